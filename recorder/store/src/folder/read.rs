//! What is in a folder of recordings, for those who write it.

use std::io;
use std::path::Path;

use base::disk::{self, Disk};
use base::{RecordingId, limits};

use super::error::At as _;
use super::{FolderError, Recordings};
use crate::METADATA_NAME;
use seal::manifest::SEALED_SUFFIX;

/// Name and content of each file of a recording.
pub type Files = Vec<(String, Vec<u8>)>;

impl Recordings {
    /// The recordings that are there, in the order in which their calls began.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn ids(&self) -> Result<Vec<RecordingId>, FolderError> {
        let entries = self.disk.list(&self.path).reading(&self.path)?;
        let id = |name: &std::ffi::OsStr| name.to_str()?.parse().ok();
        let folders = entries.iter().filter(|entry| entry.is_folder);
        let mut ids: Vec<RecordingId> = folders.filter_map(|entry| id(&entry.name)).collect();
        ids.sort_unstable();
        Ok(ids)
    }

    /// Every file of the recording `id`.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn files(&self, id: RecordingId) -> Result<Files, FolderError> {
        let folder = self.folder_of(id);
        let entries = self.disk.list(&folder).reading(&folder)?;
        let file = |name: &std::ffi::OsStr| {
            let bytes = read(&*self.disk, &folder.join(name), limits::SEALED_FILE_BYTES_MAX * 2)?;
            Ok((name.to_string_lossy().into_owned(), bytes))
        };
        entries.iter().map(|entry| file(&entry.name)).collect()
    }

    /// A file of the recording `id`, of at most `max` bytes, if it is there.
    ///
    /// # Errors
    /// If it cannot be read, or is larger.
    pub fn file(
        &self,
        id: RecordingId,
        name: &str,
        max: usize,
    ) -> Result<Option<Vec<u8>>, FolderError> {
        let path = self.folder_of(id).join(name);
        match read(&*self.disk, &path, max) {
            Err(FolderError::Unreadable { source, .. }) if is_absent(&source) => Ok(None),
            read => read.map(Some),
        }
    }

    /// The metadata of the recording `id` as they are stored, if they are there, and whether they are sealed.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn metadata(&self, id: RecordingId) -> Result<Option<(Vec<u8>, bool)>, FolderError> {
        let max = limits::METADATA_BYTES_MAX;
        let sealed = format!("{METADATA_NAME}{SEALED_SUFFIX}");
        if let Some(bytes) = self.file(id, &sealed, max)? {
            return Ok(Some((bytes, true)));
        }
        Ok(self.file(id, METADATA_NAME, max)?.map(|bytes| (bytes, false)))
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn read(disk: &dyn Disk, path: &Path, max: usize) -> Result<Vec<u8>, FolderError> {
    let file = disk.open(path).reading(path)?;
    let length = usize::try_from(file.len().reading(path)?).unwrap_or(usize::MAX);
    if length > max {
        return Err(FolderError::TooLarge { path: path.to_path_buf(), max });
    }
    let mut bytes = vec![0; length];
    let read = disk::read_full_at(&*file, &mut bytes, 0).reading(path)?;
    bytes.truncate(read);
    Ok(bytes)
}
