//! Publishing recordings: whole or not at all, and on the disk before it is said.
//!
//! A recording is written into a hidden folder beside its place, flushed, renamed, and the rename flushed.
//! Several recordings share the two flushes: one `syncfs` for all their files and folders instead of an
//! `fsync` of each (measured: 1 ms instead of 19 ms a recording of four files), one `fsync` for all the
//! renames. What a crash leaves is hidden, and removed (or, see [`Recordings::open`], put back) at the
//! next start.
//!
//! One process at a time writes into a folder of recordings; a lock sees to it.

mod error;
mod hidden;
mod place;
mod read;

use std::collections::HashSet;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::disk::{self, Disk, FolderIdentity, FolderLock, SystemDisk};
use base::{RecordingId, limits};
use seal::manifest::is_file_name;

use self::error::At as _;
pub use self::error::FolderError;
use self::hidden::{Hidden, NEW, OLD};
pub use self::place::{MARK_NAME, PlaceMark};
pub use self::read::Files;

/// Recordings are for their owner and its group, also where nothing is sealed.
const FOLDER_MODE: u32 = 0o750;
const FILE_MODE: u32 = 0o640;

/// From this size on, a file's pages are worth more to others than to it.
const LARGE: usize = 64 * 1024;

/// What to do with a recording that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// Leave it as it is.
    Keep,
    /// Replace it; readers see the old one or the new one.
    Supersede,
}

/// How publishing ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// It is there, complete and flushed.
    Published,
    /// One with the same id was there, and was kept.
    AlreadyThere,
}

/// A recording to publish.
#[derive(Clone, Copy, Debug)]
pub struct NewRecording<'a> {
    /// Its folder's name.
    pub id: RecordingId,
    /// Name and content of each file.
    pub files: &'a [(&'a str, &'a [u8])],
    /// If it is there already.
    pub existing: Existing,
}

/// A folder of recordings, for writing.
#[derive(Debug)]
pub struct Recordings {
    path: PathBuf,
    disk: Arc<dyn Disk>,
    /// Of the folder when it was opened.
    identity: FolderIdentity,
    /// None on a network file system that does not lock folders. Then it is up to the operator.
    _lock: Option<FolderLock>,
}

impl Recordings {
    /// Opens the folder at `path`, and makes it if it is not there. Removes what an interrupted process
    /// left in it, and puts back a recording that was just being replaced.
    ///
    /// # Errors
    /// If it cannot be made or written, or another process has it open like this.
    pub fn open(path: &Path) -> Result<Self, FolderError> {
        Self::open_on(Arc::new(SystemDisk), path)
    }

    /// The same on any disk.
    ///
    /// # Errors
    /// As [`Recordings::open`].
    pub fn open_on(disk: Arc<dyn Disk>, path: &Path) -> Result<Self, FolderError> {
        disk::create_folders(&*disk, path, FOLDER_MODE).at(path)?;
        let lock = match disk.lock_folder(path) {
            Ok(lock) => Some(lock),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(FolderError::InUse(path.to_path_buf()));
            }
            Err(_) => None,
        };
        let identity = disk.identity(path).at(path)?;
        let recordings = Self { path: path.to_path_buf(), disk, identity, _lock: lock };
        recordings.clean()?;
        Ok(recordings)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder of the recording `id`, which need not be there.
    #[must_use]
    pub fn folder_of(&self, id: RecordingId) -> PathBuf {
        self.path.join(id.to_string())
    }

    /// Whether the recording `id` is there, and so complete.
    #[must_use]
    pub fn contains(&self, id: RecordingId) -> bool {
        self.disk.exists(&self.folder_of(id)).unwrap_or(false)
    }

    /// Whether the path still leads to the folder that was opened, and not to another file system, or to the
    /// bare mount point of one that is gone.
    ///
    /// # Errors
    /// If it does not: it is to be opened again.
    pub fn check(&self) -> Result<(), FolderError> {
        if self.disk.identity(&self.path).at(&self.path)? == self.identity {
            return Ok(());
        }
        let reason = "something was mounted there, or unmounted".to_owned();
        Err(FolderError::NotThePlace { path: self.path.clone(), reason })
    }

    /// Publishes one recording. [`Recordings::publish_all`] is much cheaper for several.
    ///
    /// # Errors
    /// If it cannot be written or flushed. Then nothing of it stays.
    pub fn publish(
        &self,
        id: RecordingId,
        files: &[(&str, &[u8])],
        existing: Existing,
    ) -> Result<Published, FolderError> {
        let results = self.publish_all(&[NewRecording { id, files, existing }]);
        results.into_iter().next().unwrap_or(Ok(Published::AlreadyThere))
    }

    /// Publishes recordings together, with one flush for all. The results are in their order; one that
    /// fails does not touch the others, but a failing flush fails all that are not there yet.
    pub fn publish_all(&self, new: &[NewRecording<'_>]) -> Vec<Result<Published, FolderError>> {
        let staged: Vec<_> = new.iter().map(|recording| self.stage(recording)).collect();
        let any_staged = staged.iter().any(|staged| matches!(staged, Ok(Some(_))));
        let flushed = if any_staged { self.disk.sync_all(&self.path) } else { Ok(()) };
        let mut replaced = Vec::new();
        let mut results: Vec<_> = new
            .iter()
            .zip(staged)
            .map(|(recording, staged)| {
                let Some(mut staged) = staged? else { return Ok(Published::AlreadyThere) };
                again(&flushed).at(&self.path)?;
                staged.is_on_the_disk();
                self.show(recording, staged, &mut replaced)
            })
            .collect();
        self.flush_renames(&mut results);
        // Only now: until the renames are flushed, a power cut may bring the old ones back.
        drop(replaced);
        results
    }

    /// Takes recordings out, each at one moment.
    ///
    /// # Errors
    /// If it cannot be written; some may be out then.
    pub fn remove(&self, ids: &[RecordingId]) -> Result<(), FolderError> {
        let mut out = Vec::new();
        for id in ids {
            let (place, hidden) = (self.folder_of(*id), hidden::path(&self.path, *id, NEW));
            match self.disk.rename(&place, &hidden) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                renamed => renamed.at(&place)?,
            }
            out.push(Hidden::new(&self.disk, hidden));
        }
        if !out.is_empty() {
            self.disk.sync_folder(&self.path).at(&self.path)?;
        }
        Ok(())
    }

    /// Writes the hidden folder; `None` if the recording is there and is to be kept.
    fn stage(&self, new: &NewRecording<'_>) -> Result<Option<Hidden>, FolderError> {
        check_names(new.files)?;
        if new.existing == Existing::Keep && self.contains(new.id) {
            return Ok(None);
        }
        let mut hidden = Hidden::new(&self.disk, hidden::path(&self.path, new.id, NEW));
        self.disk.create_folder(&hidden.path, FOLDER_MODE).at(&hidden.path)?;
        for (name, bytes) in new.files {
            let path = hidden.path.join(name);
            let file = self.disk.create(&path, FILE_MODE).at(&path)?;
            disk::write_all_at(&*file, &mut [IoSlice::new(bytes)], 0)
                .map_err(|(_, error)| error)
                .at(&path)?;
            if bytes.len() >= LARGE {
                hidden.remember_large(file);
            }
        }
        Ok(Some(hidden))
    }

    /// Gives the hidden folder its name. What it replaces is put into `replaced`.
    fn show(
        &self,
        new: &NewRecording<'_>,
        staged: Hidden,
        replaced: &mut Vec<Hidden>,
    ) -> Result<Published, FolderError> {
        let place = self.folder_of(new.id);
        // Refused by the system if there is a folder with anything in it.
        match self.disk.rename(&staged.path, &place) {
            Ok(()) => {
                staged.became_visible();
                Ok(Published::Published)
            }
            Err(error) if is_taken(&error) && new.existing == Existing::Keep => {
                Ok(Published::AlreadyThere)
            }
            Err(error) if is_taken(&error) => {
                replaced.push(self.replace(staged, &place, new.id)?);
                Ok(Published::Published)
            }
            Err(error) => Err(error).at(&place),
        }
    }

    /// Exchanges the hidden folder with the visible one, which is given back.
    fn replace(
        &self,
        staged: Hidden,
        place: &Path,
        id: RecordingId,
    ) -> Result<Hidden, FolderError> {
        match self.disk.exchange(&staged.path, place) {
            Ok(()) => Ok(staged),
            Err(error) if cannot_exchange(&error) => self.step_aside(staged, place, id),
            Err(error) => Err(error).at(place),
        }
    }

    /// The same in two steps, for file systems that cannot exchange. A crash between them leaves no
    /// recording visible, and [`Recordings::open`] puts the old one back.
    fn step_aside(
        &self,
        staged: Hidden,
        place: &Path,
        id: RecordingId,
    ) -> Result<Hidden, FolderError> {
        let old = hidden::path(&self.path, id, OLD);
        self.disk.rename(place, &old).at(place)?;
        match self.disk.rename(&staged.path, place).at(place) {
            Ok(()) => {
                staged.became_visible();
                Ok(Hidden::new(&self.disk, old))
            }
            Err(error) => {
                self.disk.rename(&old, place).at(place)?;
                Err(error)
            }
        }
    }

    /// Also for those that were there: the process that renamed them may have been killed before this.
    fn flush_renames(&self, results: &mut [Result<Published, FolderError>]) {
        let flushed = self.disk.sync_folder(&self.path);
        if flushed.is_err() {
            for result in results.iter_mut().filter(|result| result.is_ok()) {
                *result = again(&flushed).at(&self.path).map(|()| Published::AlreadyThere);
            }
        }
    }

    /// Removes what an interrupted process left; nothing that it did not make.
    fn clean(&self) -> Result<(), FolderError> {
        for entry in self.disk.list(&self.path).reading(&self.path)? {
            let Some((id, mark)) = entry.name.to_str().and_then(hidden::parse) else { continue };
            let path = self.path.join(&entry.name);
            match mark == OLD && !self.contains(id) {
                true => self.disk.rename(&path, &self.folder_of(id)).at(&path)?,
                false => self.disk.remove_folder(&path).at(&path)?,
            }
        }
        Ok(())
    }
}

/// The same result once more: the system's errors cannot be copied.
fn again(result: &io::Result<()>) -> io::Result<()> {
    match result {
        Ok(()) => Ok(()),
        Err(error) => Err(error.raw_os_error().map_or_else(
            || io::Error::new(error.kind(), error.to_string()),
            io::Error::from_raw_os_error,
        )),
    }
}

/// There is a folder with something in it.
fn is_taken(error: &io::Error) -> bool {
    use io::ErrorKind::{AlreadyExists, DirectoryNotEmpty};
    matches!(error.kind(), AlreadyExists | DirectoryNotEmpty)
}

/// The file system, or the kernel, does not know how.
fn cannot_exchange(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported)
}

fn check_names(files: &[(&str, &[u8])]) -> Result<(), FolderError> {
    let mut seen = HashSet::new();
    let bad =
        files.iter().map(|(name, _)| *name).find(|name| !is_file_name(name) || !seen.insert(*name));
    let too_many = files.get(limits::FILES_PER_RECORDING_MAX).map(|(name, _)| *name);
    match bad.or(too_many) {
        Some(name) => Err(FolderError::Name(name.to_owned())),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use base::Timestamp;

    use super::*;

    fn id(name: &str) -> RecordingId {
        RecordingId::of_call(Timestamp::from_nanos(1), &[name.as_bytes()])
    }

    fn visible(recordings: &Recordings) -> Vec<String> {
        let names = fs::read_dir(recordings.path()).unwrap().map(|e| e.unwrap().file_name());
        let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn replacing_in_two_steps_ends_like_an_exchange() {
        let dir = tempfile::tempdir().unwrap();
        let recordings = Recordings::open(dir.path()).unwrap();
        recordings.publish(id("a"), &[("x", b"old")], Existing::Keep).unwrap();
        let new =
            NewRecording { id: id("a"), files: &[("x", b"new")], existing: Existing::Supersede };
        let staged = recordings.stage(&new).unwrap().unwrap();
        let place = recordings.folder_of(id("a"));
        let old = recordings.step_aside(staged, &place, id("a")).unwrap();
        assert_eq!(fs::read(old.path.join("x")).unwrap(), b"old");
        assert_eq!(fs::read(place.join("x")).unwrap(), b"new");
        drop(old);
        assert_eq!(visible(&recordings), [id("a").to_string()]);
    }

    #[test]
    fn a_crash_between_the_two_steps_brings_the_old_one_back() {
        let dir = tempfile::tempdir().unwrap();
        let recordings = Recordings::open(dir.path()).unwrap();
        recordings.publish(id("a"), &[("x", b"old")], Existing::Keep).unwrap();
        let (old, new) =
            (hidden::path(dir.path(), id("a"), OLD), hidden::path(dir.path(), id("a"), NEW));
        fs::rename(recordings.folder_of(id("a")), old).unwrap();
        fs::create_dir(new).unwrap();
        drop(recordings);
        let recordings = Recordings::open(dir.path()).unwrap();
        assert_eq!(visible(&recordings), [id("a").to_string()]);
        assert_eq!(fs::read(recordings.folder_of(id("a")).join("x")).unwrap(), b"old");
        // Had the second step been taken, the old one would go.
        fs::create_dir(hidden::path(dir.path(), id("a"), OLD)).unwrap();
        drop(recordings);
        assert_eq!(visible(&Recordings::open(dir.path()).unwrap()), [id("a").to_string()]);
    }
}
