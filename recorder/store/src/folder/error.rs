//! Why recordings cannot be kept in a folder.

use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

/// Why recordings cannot be kept in a folder.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The disk, or the quota, is full.
    #[error("no space left for {}: free some, or choose another folder; nothing half-written stays", .0.display())]
    NoSpace(PathBuf),
    /// Permissions, or a disk mounted read-only.
    #[error("cannot write {}: {source}; make it writable for this user, or choose another folder", .path.display())]
    NotWritable {
        /// What could not be written.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another process has the lock.
    #[error("another process writes recordings into {}: wait for it, or choose another folder", .0.display())]
    InUse(PathBuf),
    /// Not a plain, visible file name, or there twice, or too many.
    #[error("a recording cannot hold a file called {0:?}, or not twice, or not so many")]
    Name(String),
    /// The folder is not the one that recordings went to before: most likely its file system is not mounted.
    #[error("{} is not the folder that recordings were kept in: {reason}", .path.display())]
    NotThePlace {
        /// The folder.
        path: PathBuf,
        /// What is there instead, and what to do.
        reason: String,
    },
    /// A file of a recording is larger than it can be.
    #[error("{} has more than {max} bytes", .path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// What it may have.
        max: usize,
    },
    /// Anything else.
    #[error("cannot write {}: {source}", .path.display())]
    Io {
        /// What could not be written.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file or folder cannot be read.
    #[error("cannot read {}: {source}; check the disk, and who owns it", .path.display())]
    Unreadable {
        /// What could not be read.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl FolderError {
    fn new(path: &Path, source: io::Error) -> Self {
        let path = path.to_path_buf();
        match Errno::from_io_error(&source) {
            Some(Errno::NOSPC | Errno::DQUOT) => Self::NoSpace(path),
            Some(Errno::ACCESS | Errno::PERM | Errno::ROFS) => Self::NotWritable { path, source },
            _ => Self::Io { path, source },
        }
    }

    /// Whether it lies with this one recording and not with the place: another would be taken.
    #[must_use]
    pub const fn is_of_the_recording(&self) -> bool {
        matches!(self, Self::Name(_) | Self::TooLarge { .. })
    }
}

/// Adds the path to what the system says.
pub(super) trait At<T> {
    /// Of something that is written.
    fn at(self, path: &Path) -> Result<T, FolderError>;

    /// Of something that is read.
    fn reading(self, path: &Path) -> Result<T, FolderError>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, path: &Path) -> Result<T, FolderError> {
        self.map_err(|error| FolderError::new(path, error))
    }

    fn reading(self, path: &Path) -> Result<T, FolderError> {
        self.map_err(|source| FolderError::Unreadable { path: path.to_path_buf(), source })
    }
}
