//! The segments of a journal, as appenders, readers and recovery share them.
//!
//! A segment is known from its creation (or recovery) until it is released. Its file is kept open while it
//! is among the newest; older ones are opened for each pass of a reader, so that a journal of any size needs a
//! bounded number of file descriptors.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use base::limits::SEGMENTS_OPEN_MAX;

use crate::cipher::SegmentCipher;
use crate::error::{JournalError, io_error};

/// Core and number.
pub(crate) type SegmentId = (u8, u32);

/// One segment.
pub(crate) struct Segment {
    pub(crate) id: SegmentId,
    /// The first segment of its run.
    pub(crate) run: u32,
    pub(crate) path: PathBuf,
    pub(crate) cipher: SegmentCipher,
    /// Bytes from the begin of the file that hold whole chunks.
    written: AtomicU64,
    file: Mutex<Option<Arc<File>>>,
}

impl Segment {
    pub(crate) fn new(
        id: SegmentId,
        run: u32,
        path: PathBuf,
        cipher: SegmentCipher,
        written: u64,
    ) -> Self {
        Self { id, run, path, cipher, written: AtomicU64::new(written), file: Mutex::new(None) }
    }

    pub(crate) fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    /// The file holds whole chunks up to `bytes` now.
    pub(crate) fn publish(&self, bytes: u64) {
        self.written.store(bytes, Ordering::Release);
    }

    /// The file, opened for this call if it is not kept open.
    pub(crate) fn file(&self) -> io::Result<Arc<File>> {
        let kept = lock(&self.file).clone();
        kept.map_or_else(|| File::open(&self.path).map(Arc::new), Ok)
    }
}

/// All segments that can be read.
#[derive(Default)]
pub(crate) struct Segments {
    table: RwLock<BTreeMap<SegmentId, Arc<Segment>>>,
    /// Those whose file is kept open, in the order in which they were added.
    open: Mutex<VecDeque<Arc<Segment>>>,
}

impl Segments {
    /// Makes a segment known.
    pub(crate) fn add(&self, segment: Arc<Segment>) {
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        table.insert(segment.id, segment);
    }

    /// Keeps a segment's file open, and closes the one that was kept longest if there are too many.
    pub(crate) fn keep_open(&self, segment: &Arc<Segment>, file: Arc<File>) {
        *lock(&segment.file) = Some(file);
        let mut open = lock(&self.open);
        open.push_back(Arc::clone(segment));
        if open.len() > SEGMENTS_OPEN_MAX
            && let Some(oldest) = open.pop_front()
        {
            *lock(&oldest.file) = None;
        }
    }

    pub(crate) fn get(&self, id: SegmentId) -> Option<Arc<Segment>> {
        self.table.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    /// Whether this segment, or a later one of its core, was begun: one that is not known is then gone, and
    /// not merely to come.
    pub(crate) fn is_begun(&self, id: SegmentId) -> bool {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        table.range(id..=(id.0, u32::MAX)).next().is_some()
    }

    /// Deletes a segment's file; who reads it at this moment still can.
    pub(crate) fn delete(&self, segment: &Segment) -> Result<(), JournalError> {
        delete_file(&segment.path)?;
        self.table.write().unwrap_or_else(PoisonError::into_inner).remove(&segment.id);
        lock(&self.open).retain(|open| open.id != segment.id);
        *lock(&segment.file) = None;
        Ok(())
    }
}

/// Deletes a segment's file; one that is gone already is as good.
pub(crate) fn delete_file(path: &Path) -> Result<(), JournalError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            let advice = "check the folder's owner and mode";
            Err(io_error("delete the finished journal segment", path, advice, error))
        }
        _ => Ok(()),
    }
}

/// Every critical section leaves the data whole, so a panic elsewhere does not spoil it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The file name of a segment: `003-0000000017.journal`.
pub(crate) fn file_name((core, segment): SegmentId) -> String {
    format!("{core:03}-{segment:010}.journal")
}

/// The core and number in a file name; `None` if it is not a segment's.
pub(crate) fn parse_file_name(name: &str) -> Option<SegmentId> {
    let (core, segment) = name.strip_suffix(".journal")?.split_once('-')?;
    let id = (core.parse().ok()?, segment.parse().ok()?);
    (file_name(id) == name).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_segments_own_name_is_one() {
        assert_eq!(file_name((3, 17)), "003-0000000017.journal");
        assert_eq!(parse_file_name("003-0000000017.journal"), Some((3, 17)));
        assert_eq!(parse_file_name(&file_name((255, u32::MAX))), Some((255, u32::MAX)));
        for name in
            ["3-17.journal", "256-0000000000.journal", "003-0000000017", "+03-0000000017.journal"]
        {
            assert_eq!(parse_file_name(name), None, "{name}");
        }
    }
}
