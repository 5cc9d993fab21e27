//! The segments of a journal, as appenders, readers and recovery share them.
//!
//! A segment is known from its creation (or recovery) until it is released. It is one file, or several parts
//! ([`crate::format`], "Parts"): each is known by the first offset from which on it counts. Files are kept open
//! while they are among the newest; older ones are opened for each pass of a reader, so that a journal of any
//! size needs a bounded number of file descriptors.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use base::disk::{Disk, DiskFile};
use base::limits::SEGMENTS_OPEN_MAX;

use crate::cipher::SegmentCipher;
use crate::error::{JournalError, io_error};
use crate::locator::Locator;

/// Core and number.
pub(crate) type SegmentId = (u8, u32);
/// Core, number and part.
pub(crate) type PartId = (u8, u32, u32);

/// One part of a segment; most have only one.
pub(crate) struct Segment {
    pub(crate) id: SegmentId,
    /// Where its first chunk is.
    pub(crate) from: u32,
    /// The first segment of its run.
    pub(crate) run: u32,
    pub(crate) path: PathBuf,
    pub(crate) cipher: SegmentCipher,
    /// Bytes from the begin of the file that hold whole chunks.
    written: AtomicU64,
    /// How many of them are durable.
    durable: AtomicU64,
    /// Of an earlier run: nothing more will be written.
    finished: bool,
    file: Mutex<Option<Arc<dyn DiskFile>>>,
}

impl Segment {
    pub(crate) fn new(
        (core, segment, _): PartId,
        from: u32,
        run: u32,
        path: PathBuf,
        cipher: SegmentCipher,
        written: u64,
    ) -> Self {
        let (written, durable) = (AtomicU64::new(written), AtomicU64::new(written));
        let (id, file) = ((core, segment), Mutex::new(None));
        Self { id, from, run, path, cipher, written, durable, finished: false, file }
    }

    /// The same of an earlier run.
    pub(crate) fn finished(self) -> Self {
        Self { finished: true, ..self }
    }

    pub(crate) const fn is_finished(&self) -> bool {
        self.finished
    }

    pub(crate) fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    /// The file holds whole chunks up to `bytes` now.
    pub(crate) fn publish(&self, bytes: u64) {
        self.written.store(bytes, Ordering::Release);
    }

    /// All that was written is durable.
    pub(crate) fn is_flushed(&self) {
        self.durable.store(self.written(), Ordering::Release);
    }

    /// Whether any chunk of it is durable.
    pub(crate) fn has_durable(&self) -> bool {
        self.durable.load(Ordering::Acquire) > u64::from(self.from)
    }

    /// The file, opened for this call if it is not kept open.
    pub(crate) fn file(&self, disk: &dyn Disk) -> io::Result<Arc<dyn DiskFile>> {
        let kept = lock(&self.file).clone();
        kept.map_or_else(|| disk.open(&self.path), Ok)
    }
}

/// Where a part begins to count.
type Begin = (u8, u32, u32);

/// All segments that can be read.
#[derive(Default)]
pub(crate) struct Segments {
    table: RwLock<BTreeMap<Begin, Arc<Segment>>>,
    /// Those whose file is kept open, in the order in which they were added.
    open: Mutex<VecDeque<Arc<Segment>>>,
}

impl Segments {
    /// Makes a part known for the chunks from its first on.
    pub(crate) fn add(&self, segment: Arc<Segment>) {
        let from = segment.from;
        self.add_from(segment, from);
    }

    /// Makes a part known for the chunks from offset `from` on.
    pub(crate) fn add_from(&self, segment: Arc<Segment>, from: u32) {
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        table.insert((segment.id.0, segment.id.1, from), segment);
    }

    /// Keeps a part's file open, and closes the one that was kept longest if there are too many.
    pub(crate) fn keep_open(&self, segment: &Arc<Segment>, file: Arc<dyn DiskFile>) {
        *lock(&segment.file) = Some(file);
        let mut open = lock(&self.open);
        open.push_back(Arc::clone(segment));
        if open.len() > SEGMENTS_OPEN_MAX
            && let Some(oldest) = open.pop_front()
        {
            *lock(&oldest.file) = None;
        }
    }

    /// The part that the chunk at `locator` is in.
    pub(crate) fn get(&self, locator: Locator) -> Option<Arc<Segment>> {
        let id = (locator.core(), locator.segment());
        let offset = u32::try_from(locator.offset()).ok()?;
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        let before = table.range(..=(id.0, id.1, offset)).next_back();
        before.filter(|(_, segment)| segment.id == id).map(|(_, segment)| Arc::clone(segment))
    }

    /// All parts of a segment, and from where on each counts.
    pub(crate) fn parts(&self, id: SegmentId) -> Vec<(u32, Arc<Segment>)> {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        let parts = table.range((id.0, id.1, 0)..=(id.0, id.1, u32::MAX));
        parts.map(|((_, _, from), segment)| (*from, Arc::clone(segment))).collect()
    }

    /// Whether any part of this segment is there.
    pub(crate) fn is_known(&self, id: SegmentId) -> bool {
        !self.parts(id).is_empty()
    }

    /// Whether this segment, or a later one of its core, was begun: one that is not known is then gone, and
    /// not merely to come.
    pub(crate) fn is_begun(&self, id: SegmentId) -> bool {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        table.range((id.0, id.1, 0)..=(id.0, u32::MAX, u32::MAX)).next().is_some()
    }

    /// Deletes a segment's files; who reads one at this moment still can.
    pub(crate) fn delete(&self, disk: &dyn Disk, id: SegmentId) -> Result<(), JournalError> {
        for (_, segment) in self.parts(id) {
            delete_file(disk, &segment.path)?;
            self.forget(&segment);
        }
        Ok(())
    }

    /// A part is not to be read any more.
    pub(crate) fn forget(&self, segment: &Arc<Segment>) {
        let same = |other: &Arc<Segment>| Arc::ptr_eq(other, segment);
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        table.retain(|_, other| !same(other));
        lock(&self.open).retain(|other| !same(other));
        *lock(&segment.file) = None;
    }
}

/// Deletes a segment's file; one that is gone already is as good.
pub(crate) fn delete_file(disk: &dyn Disk, path: &Path) -> Result<(), JournalError> {
    match disk.remove(path) {
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

/// The file name of a part: `003-0000000017.journal`, a later one `003-0000000017.1.journal`.
pub(crate) fn file_name((core, segment, part): PartId) -> String {
    match part {
        0 => format!("{core:03}-{segment:010}.journal"),
        _ => format!("{core:03}-{segment:010}.{part}.journal"),
    }
}

/// What a part is called until it is finished, where that matters.
pub(crate) fn hidden_name(id: PartId) -> String {
    format!(".{}.new", file_name(id))
}

/// Whether a file is a part that was not finished.
pub(crate) fn is_hidden_name(name: &str) -> bool {
    name.starts_with('.') && name.ends_with(".journal.new")
}

/// The core, number and part in a file name; `None` if it is not a segment's.
pub(crate) fn parse_file_name(name: &str) -> Option<PartId> {
    let (core, rest) = name.strip_suffix(".journal")?.split_once('-')?;
    let (segment, part) = rest.split_once('.').unwrap_or((rest, "0"));
    let id = (core.parse().ok()?, segment.parse().ok()?, part.parse().ok()?);
    (file_name(id) == name).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_segments_own_name_is_one() {
        assert_eq!(file_name((3, 17, 0)), "003-0000000017.journal");
        assert_eq!(parse_file_name("003-0000000017.journal"), Some((3, 17, 0)));
        assert_eq!(parse_file_name("003-0000000017.12.journal"), Some((3, 17, 12)));
        assert_eq!(parse_file_name(&file_name((255, u32::MAX, 1))), Some((255, u32::MAX, 1)));
        assert!(is_hidden_name(&hidden_name((3, 17, 0))));
        for name in [
            "3-17.journal",
            "256-0000000000.journal",
            "003-0000000017",
            "+03-0000000017.journal",
            "003-0000000017.0.journal",
            ".003-0000000017.1.journal.new",
        ] {
            assert_eq!(parse_file_name(name), None, "{name}");
        }
    }
}
