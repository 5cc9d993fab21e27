//! Recordings that wait on the local disk: sealed as they are, each in a folder as where it belongs.
//!
//! ```text
//! DIR/spool/<id>/   all files: it is to be stored, and entered in the catalog
//! DIR/spool/<id>/   the metadata only, no manifest: it is stored, and is to be entered in the catalog
//! ```
//!
//! It is bounded by the disk: below a mark it takes no more, and calls then wait in the journal, where they are.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base::RecordingId;
use base::disk::Disk;
use store::{Existing, FolderError, NewRecording, Recordings};

use super::Waiting;

/// The folder, open while it can be.
#[derive(Debug)]
pub(super) struct Spool {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    /// Left free on its file system, for the journal.
    keep_free: u64,
    open: Mutex<Option<Arc<Recordings>>>,
    waiting: Mutex<BTreeSet<RecordingId>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Spool {
    /// What an earlier run left in it waits again. That it cannot be opened now is no error.
    pub(super) fn new(disk: Arc<dyn Disk>, path: &Path, keep_free: u64) -> Self {
        let (open, waiting) = (Mutex::default(), Mutex::default());
        let spool = Self { disk, path: path.to_owned(), keep_free, open, waiting };
        if let Err(error) = spool.folder() {
            tracing::error!("nothing can wait on the local disk: {error}");
        }
        spool
    }

    /// Recordings in it.
    pub(super) fn len(&self) -> usize {
        lock(&self.waiting).len()
    }

    /// The oldest ones, by the begin of their calls.
    pub(super) fn oldest(&self, count: usize) -> Vec<RecordingId> {
        lock(&self.waiting).iter().take(count).copied().collect()
    }

    pub(super) fn folder(&self) -> Result<Arc<Recordings>, FolderError> {
        let mut open = lock(&self.open);
        if let Some(folder) = &*open {
            return Ok(Arc::clone(folder));
        }
        let folder = Arc::new(Recordings::open_on(Arc::clone(&self.disk), &self.path)?);
        lock(&self.waiting).extend(folder.ids()?);
        *open = Some(Arc::clone(&folder));
        Ok(folder)
    }

    /// Puts recordings in, each with what to do if it is there. The results are in their order.
    pub(super) fn put(
        &self,
        waiting: &[Waiting],
        existing: impl Fn(&Recordings, &Waiting) -> Existing,
    ) -> Result<Vec<Result<(), FolderError>>, FolderError> {
        let folder = self.folder()?;
        self.has_room(waiting)?;
        let files: Vec<Vec<(&str, &[u8])>> = waiting.iter().map(Waiting::files).collect();
        let new: Vec<_> = waiting
            .iter()
            .zip(&files)
            .map(|(waiting, files)| NewRecording {
                id: waiting.id(),
                files,
                existing: existing(&folder, waiting),
            })
            .collect();
        let results = folder.publish_all(&new);
        let mut ids = lock(&self.waiting);
        Ok(results
            .into_iter()
            .zip(&new)
            .map(|(result, new)| {
                result?;
                ids.insert(new.id);
                Ok(())
            })
            .collect())
    }

    fn has_room(&self, waiting: &[Waiting]) -> Result<(), FolderError> {
        let bytes: usize =
            waiting.iter().flat_map(Waiting::files).map(|(_, file)| file.len()).sum();
        // A file system that does not tell its room is tried.
        let space = self.disk.space(&self.path).ok();
        match space {
            Some(space) if space.free < self.keep_free.saturating_add(bytes as u64) => {
                Err(FolderError::NoSpace(self.path.clone()))
            }
            _ => Ok(()),
        }
    }

    /// Takes out what is stored now.
    pub(super) fn remove(&self, ids: &[RecordingId]) -> Result<(), FolderError> {
        self.folder()?.remove(ids)?;
        self.forget(ids);
        Ok(())
    }

    /// Leaves them in their folders, and does not try them again in this run.
    pub(super) fn forget(&self, ids: &[RecordingId]) {
        let mut waiting = lock(&self.waiting);
        for id in ids {
            waiting.remove(id);
        }
    }
}

/// Whether these are all files of a recording, and not only its metadata.
pub(super) fn is_whole(files: &[(String, Vec<u8>)]) -> bool {
    files.iter().any(|(name, _)| name == seal::manifest::MANIFEST_NAME)
}
