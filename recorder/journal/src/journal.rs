//! A journal: the folder, its lock and key, and who writes and reads it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use base::Timestamp;
use rustix::fs::FlockOperation;

use crate::appender::Appender;
use crate::error::{JournalError, io_error};
use crate::format::SourceId;
use crate::key::{JournalKey, random};
use crate::pool::Handover;
use crate::reader::Reader;
use crate::recover::{Recovered, recover};
use crate::segments::{SegmentId, Segments, delete_file, parse_file_name};
use crate::tail::Tail;
use crate::writer::{Writer, WriterOptions};

/// No run gets here: 2^31 segments are 128 PiB.
const SEGMENT_NUMBER_MAX: u32 = u32::MAX / 2;

/// An open journal. One process has it at a time; its writers, appenders and readers keep it open.
pub struct Journal {
    shared: Arc<Shared>,
    /// The segments of earlier runs.
    found: Mutex<BTreeMap<SegmentId, PathBuf>>,
    /// The first free segment number of each core that has one.
    next: BTreeMap<u8, u32>,
    taken: Mutex<BTreeSet<u8>>,
}

/// What every part of a journal needs.
pub(crate) struct Shared {
    pub(crate) folder: PathBuf,
    pub(crate) key: JournalKey,
    pub(crate) source: SourceId,
    pub(crate) segments: Segments,
    /// The folder itself; its lock is held as long as it is open.
    pub(crate) handle: File,
}

impl Journal {
    /// Opens the journal in `folder`, which is made if it does not exist. `source` goes into each new segment.
    /// Segments of earlier runs stay as they are until [`Journal::recover`] reads them and
    /// [`Journal::discard_earlier_runs`] deletes them.
    ///
    /// # Errors
    /// The folder cannot be made, read or locked, or another process has it open.
    pub fn open(folder: &Path, key: JournalKey, source: SourceId) -> Result<Self, JournalError> {
        let failed =
            |error| io_error("open the journal in", folder, "check its owner and disk", error);
        fs::create_dir_all(folder).map_err(failed)?;
        let handle = File::open(folder).map_err(failed)?;
        match rustix::fs::flock(&handle, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(JournalError::Busy { path: folder.to_owned() });
            }
            locked => locked.map_err(|error| failed(error.into()))?,
        }
        let found = find_segments(folder)?;
        // Segments are sorted, so the last of each core decides.
        let next = found.keys().map(|(core, segment)| (*core, segment + 1)).collect();
        let segments = Segments::default();
        let shared = Shared { folder: folder.to_owned(), key, source, segments, handle };
        let taken = Mutex::default();
        Ok(Self { shared: Arc::new(shared), found: Mutex::new(found), next, taken })
    }

    /// Writer and appender of capture core `core`: one for the thread that receives packets, one for a thread
    /// that may wait for the disk. `now` becomes the time of the first segment.
    ///
    /// # Errors
    /// The core has a writer already, or the system gives no random bytes.
    pub fn core(
        &self,
        core: u8,
        options: &WriterOptions,
        now: Timestamp,
    ) -> Result<(Writer, Appender), JournalError> {
        let mut seed = [0; 8];
        random(&mut seed)?;
        if !self.taken.lock().unwrap_or_else(PoisonError::into_inner).insert(core) {
            return Err(JournalError::CoreTaken { core });
        }
        let options = options.in_range();
        let first = self.next.get(&core).copied().unwrap_or(0);
        let handover = Arc::new(Handover::new(options.chunks_max, options.large_chunks_max));
        let tail = Tail::new(core, first, options.segment_bytes_max, Arc::clone(&handover));
        let writer = Writer::new(&options, tail, &handover, u64::from_le_bytes(seed));
        let appender = Appender::new(Arc::clone(&self.shared), core, first, handover, now);
        Ok((writer, appender))
    }

    /// A reader; any number of threads may share it or have their own.
    #[must_use]
    pub fn reader(&self) -> Reader {
        Reader::new(Arc::clone(&self.shared))
    }

    /// Reads the segments of earlier runs, checks all of them, and makes them readable.
    ///
    /// # Errors
    /// A segment cannot be read from the disk, is of another version or key, or is no segment. Damage within
    /// one is no error: it is in the result.
    pub fn recover(&self) -> Result<Recovered, JournalError> {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        recover(&self.shared, &found)
    }

    /// Deletes the segments of earlier runs: everything in them is finished and stored. Gives their number.
    ///
    /// # Errors
    /// A file cannot be deleted; it stays, as do those after it.
    pub fn discard_earlier_runs(&self) -> Result<usize, JournalError> {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let mut deleted = 0;
        while let Some(entry) = found.first_entry() {
            match self.shared.segments.get(*entry.key()) {
                Some(segment) => self.shared.segments.delete(&segment)?,
                None => delete_file(entry.get())?,
            }
            entry.remove();
            deleted += 1;
        }
        Ok(deleted)
    }
}

fn find_segments(folder: &Path) -> Result<BTreeMap<SegmentId, PathBuf>, JournalError> {
    let failed = |error| io_error("list the journal in", folder, "check its owner and disk", error);
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let Some(id) = name.and_then(parse_file_name) else { continue };
        if id.1 >= SEGMENT_NUMBER_MAX {
            return Err(JournalError::SegmentNumber { path });
        }
        found.insert(id, path);
    }
    Ok(found)
}
