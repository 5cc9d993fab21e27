//! Where a journal is.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::disk::{Disk, SystemDisk};
use capture::memory::Shelf;

/// The disk, the folders and the memory of a journal.
#[derive(Clone, Debug)]
pub struct Places {
    /// What the folders are on.
    pub disk: Arc<dyn Disk>,
    /// The journal's folder.
    pub folder: PathBuf,
    /// Where it goes on while the first cannot be written: on another disk.
    pub second: Option<PathBuf>,
    /// Memory that outlives the process, of this journal alone. Without it a killed process loses the chunks
    /// that it had not written.
    pub arena: Option<Shelf>,
}

impl Places {
    /// The folder with this number: 0 the first, else the second, if there is one.
    pub(crate) fn folder(&self, number: usize) -> &Path {
        self.second.as_ref().filter(|_| number > 0).unwrap_or(&self.folder)
    }

    /// How many folders there are.
    pub(crate) fn folders(&self) -> usize {
        1 + usize::from(self.second.is_some())
    }
}

/// A folder of the system's disk, and nothing else.
impl<P: AsRef<Path> + ?Sized> From<&P> for Places {
    fn from(folder: &P) -> Self {
        let folder = folder.as_ref().to_owned();
        Self { disk: Arc::new(SystemDisk), folder, second: None, arena: None }
    }
}
