//! Where regions with a name are kept: a folder on tmpfs, which a killed process leaves behind.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::pages::Pages;
use super::region::Region;

/// Regions by name.
#[derive(Clone, Debug)]
pub struct Shelf(Arc<Place>);

#[derive(Debug)]
enum Place {
    Folder(PathBuf),
    Memory(Mutex<BTreeMap<String, Arc<Pages>>>),
}

impl Shelf {
    /// The shelf in `folder`, which is made (mode 0700) if it does not exist. It should be on tmpfs.
    ///
    /// # Errors
    /// The system's; or the folder is another user's, or open to others, who could have put anything there.
    pub fn folder(folder: &Path) -> io::Result<Self> {
        match DirBuilder::new().mode(0o700).create(folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let found = fs::symlink_metadata(folder)?;
        let ours = found.uid() == rustix::process::geteuid().as_raw() && found.mode() & 0o077 == 0;
        if !found.is_dir() || !ours {
            let what = "is not a folder that only its owner can open, or belongs to another user";
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, what));
        }
        Ok(Self(Arc::new(Place::Folder(folder.to_owned()))))
    }

    /// A shelf in memory, which outlives what uses it, but not the process: for tests.
    #[must_use]
    pub fn in_memory() -> Self {
        Self(Arc::new(Place::Memory(Mutex::default())))
    }

    /// What is there, in the order of names.
    ///
    /// # Errors
    /// The system's.
    pub fn names(&self) -> io::Result<Vec<String>> {
        let mut names = match &*self.0 {
            Place::Folder(folder) => fs::read_dir(folder)?
                .map(|entry| entry.map(|entry| entry.file_name().into_string().ok()))
                .filter_map(Result::transpose)
                .collect::<io::Result<Vec<_>>>()?,
            Place::Memory(regions) => lock(regions).keys().cloned().collect(),
        };
        names.sort_unstable();
        Ok(names)
    }

    /// A new region of at least `bytes` bytes, all zero, mode 0600. `name` is a file name.
    ///
    /// # Errors
    /// The system's; [`io::ErrorKind::AlreadyExists`] among them.
    pub fn make(&self, name: &str, bytes: usize) -> io::Result<Region> {
        let bytes = bytes.next_multiple_of(4_096);
        match &*self.0 {
            Place::Folder(folder) => {
                let mut options = OpenOptions::new();
                options.read(true).write(true).create_new(true).mode(0o600);
                let file = options.open(folder.join(name))?;
                file.set_len(bytes as u64)?;
                Region::of_file(file, bytes)
            }
            Place::Memory(regions) => {
                let mapping = Arc::new(Pages::anonymous(bytes, true)?);
                let mut regions = lock(regions);
                if regions.contains_key(name) {
                    return Err(io::ErrorKind::AlreadyExists.into());
                }
                regions.insert(name.to_owned(), Arc::clone(&mapping));
                Ok(Region::of(mapping, None))
            }
        }
    }

    /// What a process that is over left in the region `name`.
    ///
    /// # Errors
    /// The system's; [`io::ErrorKind::WouldBlock`] if (in memory) it is still in use.
    pub fn kept(&self, name: &str) -> io::Result<Kept> {
        match &*self.0 {
            Place::Folder(folder) => {
                let mut options = OpenOptions::new();
                let no_link = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
                let options = options.read(true).custom_flags(no_link.bits().cast_signed());
                Ok(Kept(Content::File(options.open(folder.join(name))?)))
            }
            Place::Memory(regions) => {
                let regions = lock(regions);
                let mapping = regions.get(name).ok_or(io::ErrorKind::NotFound)?;
                let copied = mapping.copied().ok_or(io::ErrorKind::WouldBlock)?;
                Ok(Kept(Content::Memory(copied)))
            }
        }
    }

    /// Removes the region `name`; who uses it still can.
    ///
    /// # Errors
    /// The system's; [`io::ErrorKind::NotFound`] among them.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        match &*self.0 {
            Place::Folder(folder) => fs::remove_file(folder.join(name)),
            Place::Memory(regions) => {
                lock(regions).remove(name).map(drop).ok_or(io::ErrorKind::NotFound.into())
            }
        }
    }

    /// Removes the shelf itself if nothing is on it.
    pub fn remove_if_empty(&self) {
        if let Place::Folder(folder) = &*self.0 {
            // The system refuses to remove a folder that is not empty, and that is no error here.
            let _ = fs::remove_dir(folder);
        }
    }

    /// The region's path, for messages.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        match &*self.0 {
            Place::Folder(folder) => folder.join(name),
            Place::Memory(_) => Path::new("memory").join(name),
        }
    }
}

/// What was left in a region. Read by copying, so that a file which changes or ends early does no harm.
#[derive(Debug)]
pub struct Kept(Content);

#[derive(Debug)]
enum Content {
    File(File),
    Memory(Vec<u8>),
}

impl Kept {
    /// These bytes: for tests.
    #[must_use]
    pub const fn of_bytes(bytes: Vec<u8>) -> Self {
        Self(Content::Memory(bytes))
    }

    /// Reads some bytes; 0 means the end.
    ///
    /// # Errors
    /// The system's.
    pub fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        match &self.0 {
            Content::File(file) => file.read_at(bytes, offset),
            Content::Memory(all) => {
                let rest = usize::try_from(offset).ok().and_then(|offset| all.get(offset..));
                let rest = rest.unwrap_or_default();
                let count = rest.len().min(bytes.len());
                if let (Some(to), Some(from)) = (bytes.get_mut(..count), rest.get(..count)) {
                    to.copy_from_slice(from);
                }
                Ok(count)
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn keeps(shelf: &Shelf) {
        let mut region = shelf.make("one", 5_000).unwrap();
        assert_eq!(shelf.make("one", 1).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        let (slab, mut fresh) = region.slab::<4_096>(2).unwrap();
        let mut block = fresh.take().unwrap();
        slab.bytes_mut(&mut block)[100..105].copy_from_slice(b"voice");
        drop((region, slab, fresh));
        assert_eq!(shelf.names().unwrap(), ["one"]);
        let kept = shelf.kept("one").unwrap();
        let mut bytes = [0; 5];
        assert_eq!(kept.read_at(&mut bytes, 100).unwrap(), 5);
        assert_eq!(&bytes, b"voice");
        assert_eq!(kept.read_at(&mut bytes, 8_190).unwrap(), 2);
        assert_eq!(kept.read_at(&mut bytes, 1 << 40).unwrap(), 0);
        shelf.remove("one").unwrap();
        assert_eq!(shelf.names().unwrap(), [""; 0]);
        assert_eq!(shelf.kept("one").map(drop).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn what_is_in_a_region_stays_when_its_user_is_gone() {
        keeps(&Shelf::in_memory());
        let scratch = tempfile::tempdir().unwrap();
        let folder = scratch.path().join("shelf");
        keeps(&Shelf::folder(&folder).unwrap());
        Shelf::folder(&folder).unwrap().remove_if_empty();
        assert!(!folder.exists());
        let region = Shelf::folder(&folder).unwrap().make("two", 1).unwrap();
        let mode = fs::metadata(folder.join("two")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        drop(region);
        Shelf::folder(&folder).unwrap().remove_if_empty();
        assert!(folder.join("two").exists());
    }

    #[test]
    fn a_folder_that_others_can_open_is_refused() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = scratch.path().join("shelf");
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(Shelf::folder(&folder).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        let link = scratch.path().join("link");
        std::os::unix::fs::symlink(scratch.path(), &link).unwrap();
        assert_eq!(Shelf::folder(&link).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    }
}
