//! A journal: the folder, its lock and key, and who writes and reads it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use base::Timestamp;
use base::disk::{FolderLock, create_folders};

use crate::appender::Appender;
use crate::arena::{Arena, ArenaHeader, named};
use crate::error::{Damage, DamageKind, JournalError, io_error};
use crate::flows::FlowTable;
use crate::format::SourceId;
use crate::held::Held;
use crate::key::{JournalKey, random};
use crate::leftover::{Leftover, save};
use crate::places::Places;
use crate::pool::handover;
use crate::reader::Reader;
use crate::recover::{Recovered, recover};
use crate::segments::{PartId, Segments, delete_file, is_hidden_name, parse_file_name};
use crate::tail::Tail;
use crate::writer::{Writer, WriterOptions};

/// No run gets here: 2^31 segments are 128 PiB.
const SEGMENT_NUMBER_MAX: u32 = u32::MAX / 2;
const ADVICE: &str = "check its owner and disk";

/// An open journal. One process has it at a time; its writers, appenders and readers keep it open.
pub struct Journal {
    shared: Arc<Shared>,
    /// What earlier runs left.
    found: Mutex<Found>,
    /// The first free segment number of each core that has one.
    next: BTreeMap<u8, u32>,
    taken: Mutex<BTreeSet<u8>>,
}

/// What earlier runs left.
struct Found {
    segments: BTreeMap<PartId, PathBuf>,
    /// Names of arenas.
    arenas: Vec<String>,
}

/// What every part of a journal needs.
pub(crate) struct Shared {
    pub(crate) places: Places,
    pub(crate) key: JournalKey,
    pub(crate) source: SourceId,
    pub(crate) segments: Segments,
    /// What cores have in memory only.
    held: RwLock<BTreeMap<u8, Arc<Held>>>,
    /// Nobody else has the folders.
    _locks: Vec<FolderLock>,
}

impl Journal {
    /// Opens the journal in `places` (a folder's path will do), which is made if it does not exist. `source`
    /// goes into each new segment. What earlier runs left stays as it is until [`Journal::recover`] reads it and
    /// [`Journal::discard_earlier_runs`] deletes it.
    ///
    /// # Errors
    /// A folder cannot be made, read or locked, or another process has it open.
    pub fn open(
        places: impl Into<Places>,
        key: JournalKey,
        source: SourceId,
    ) -> Result<Self, JournalError> {
        let places = places.into();
        let locks = lock_folders(&places)?;
        let found = Found { segments: find_segments(&places)?, arenas: find_arenas(&places)? };
        let next = next_numbers(&places, &found)?;
        let (segments, held) = (Segments::default(), RwLock::default());
        let shared = Shared { places, key, source, segments, held, _locks: locks };
        let taken = Mutex::default();
        Ok(Self { shared: Arc::new(shared), found: Mutex::new(found), next, taken })
    }

    /// Writer and appender of capture core `core`: one for the thread that receives packets, one for a thread
    /// that may wait for the disk. `now` becomes the time of the first segment.
    ///
    /// # Errors
    /// The core has a writer already, there is no memory, or the system gives no random bytes.
    pub fn core(
        &self,
        core: u8,
        options: &WriterOptions,
        now: Timestamp,
    ) -> Result<(Writer, Appender), JournalError> {
        let (mut seed, mut stamp) = ([0; 8], [0; 8]);
        random(&mut seed)?;
        random(&mut stamp)?;
        if !lock(&self.taken).insert(core) {
            return Err(JournalError::CoreTaken { core });
        }
        let options = options.in_range();
        let first = self.next.get(&core).copied().unwrap_or(0);
        let header = ArenaHeader {
            core,
            run: first,
            stamp: u64::from_ne_bytes(stamp),
            small: options.chunks_max as u32,
            large: options.large_chunks_max as u32,
            source: self.shared.source,
        };
        let (arena, tails, buffers) = Arena::make(&header, self.shared.places.arena.as_ref())
            .map_err(|source| JournalError::Memory { core, source })?;
        let (handover, outlet, pools) = handover(buffers);
        let tail = Tail::new(core, first, options.segment_bytes_max, outlet, tails);
        let flows = FlowTable::new(options.flows_max, u64::from_le_bytes(seed))
            .map_err(|source| JournalError::Memory { core, source })?;
        let writer = Writer::new(&options, flows, tail, pools, arena);
        let shared = Arc::clone(&self.shared);
        let held = options.holds().then(|| shared.hold(core, Held::new(handover.slabs.clone())));
        let appender = Appender::new(shared, core, first, &options, (handover, held), now);
        Ok((writer, appender))
    }

    /// A reader; any number of threads may share it or have their own.
    #[must_use]
    pub fn reader(&self) -> Reader {
        Reader::new(Arc::clone(&self.shared))
    }

    /// Reads what earlier runs left, checks all of it, and makes it readable. What a killed run had in memory
    /// only, in an arena that outlived it, is first written to segments of that run.
    ///
    /// # Errors
    /// A segment cannot be read from the disk, is of another version or key, or is no segment; or what was in
    /// memory cannot be written (it stays there). Damage within a segment is no error: it is in the result.
    pub fn recover(&self) -> Result<Recovered, JournalError> {
        let mut found = lock(&self.found);
        let Found { segments, arenas } = &mut *found;
        let mut damaged = Vec::new();
        if let Some(shelf) = &self.shared.places.arena {
            while let Some(name) = arenas.last() {
                let path = shelf.path(name);
                let failed =
                    |error| io_error("read what a killed run left in", &path, ADVICE, error);
                match Leftover::open(shelf.kept(name).map_err(failed)?).map_err(failed)? {
                    Some(leftover) => save(&self.shared, &leftover, &path, segments)?,
                    None => {
                        let (offset, bytes, kind) = (0, 0, DamageKind::Arena);
                        damaged.push(Damage { path: path.clone(), offset, bytes, kind });
                    }
                }
                shelf.remove(name).map_err(failed)?;
                arenas.pop();
            }
        }
        recover(&self.shared, segments, damaged)
    }

    /// Deletes what earlier runs left: everything in it is finished and stored. Gives the number of segments'
    /// files.
    ///
    /// # Errors
    /// A file cannot be deleted; it stays, as do those after it.
    pub fn discard_earlier_runs(&self) -> Result<usize, JournalError> {
        let mut found = lock(&self.found);
        if let Some(shelf) = &self.shared.places.arena {
            for name in found.arenas.drain(..) {
                match shelf.remove(&name) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        return Err(io_error("delete", &shelf.path(&name), ADVICE, error));
                    }
                    _ => {}
                }
            }
        }
        let (disk, mut deleted) = (&*self.shared.places.disk, 0);
        while let Some(entry) = found.segments.first_entry() {
            let (core, segment, _) = *entry.key();
            delete_file(disk, entry.get())?;
            for (_, known) in self.shared.segments.parts((core, segment)) {
                if known.path == *entry.get() {
                    self.shared.segments.forget(&known);
                }
            }
            entry.remove();
            deleted += 1;
        }
        Ok(deleted)
    }
}

impl Shared {
    /// What `core` has in memory only, if it keeps anything there.
    pub(crate) fn held(&self, core: u8) -> Option<Arc<Held>> {
        self.held.read().unwrap_or_else(PoisonError::into_inner).get(&core).cloned()
    }

    fn hold(&self, core: u8, held: Held) -> Arc<Held> {
        let held = Arc::new(held);
        let mut all = self.held.write().unwrap_or_else(PoisonError::into_inner);
        all.insert(core, Arc::clone(&held));
        held
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes the folders and locks them.
fn lock_folders(places: &Places) -> Result<Vec<FolderLock>, JournalError> {
    let mut locks = Vec::new();
    for folder in (0..places.folders()).map(|number| places.folder(number)) {
        let failed = |error| io_error("open the journal in", folder, ADVICE, error);
        create_folders(&*places.disk, folder, 0o700).map_err(failed)?;
        match places.disk.lock_folder(folder) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(JournalError::Busy { path: folder.to_owned() });
            }
            locked => locks.push(locked.map_err(failed)?),
        }
    }
    Ok(locks)
}

/// The parts of segments in all folders. Files that were not finished are removed.
fn find_segments(places: &Places) -> Result<BTreeMap<PartId, PathBuf>, JournalError> {
    let mut found = BTreeMap::new();
    for folder in (0..places.folders()).map(|number| places.folder(number)) {
        let failed = |error| io_error("list the journal in", folder, ADVICE, error);
        for entry in places.disk.list(folder).map_err(failed)? {
            let Some(name) = entry.name.to_str() else { continue };
            let path = folder.join(name);
            if is_hidden_name(name) {
                delete_file(&*places.disk, &path)?;
            }
            let Some(id) = parse_file_name(name) else { continue };
            if id.1 >= SEGMENT_NUMBER_MAX {
                return Err(JournalError::SegmentNumber { path });
            }
            found.insert(id, path);
        }
    }
    Ok(found)
}

fn find_arenas(places: &Places) -> Result<Vec<String>, JournalError> {
    let Some(shelf) = &places.arena else { return Ok(Vec::new()) };
    let failed = |error| io_error("list", &shelf.path(""), ADVICE, error);
    Ok(shelf.names().map_err(failed)?.into_iter().filter(|name| name.ends_with(".arena")).collect())
}

/// The first number of each core that no segment has, nor will have when arenas are read.
fn next_numbers(places: &Places, found: &Found) -> Result<BTreeMap<u8, u32>, JournalError> {
    let mut next = BTreeMap::new();
    let mut raise = |core: u8, number: u32| {
        let known = next.entry(core).or_insert(0);
        *known = number.max(*known);
    };
    for (core, segment, _) in found.segments.keys() {
        raise(*core, segment + 1);
    }
    for (shelf, name) in
        places.arena.iter().flat_map(|shelf| found.arenas.iter().map(move |name| (shelf, name)))
    {
        // Of a run that was killed before its header was there, the name is taken all the same.
        if let Some((core, run)) = named(name).filter(|(_, run)| *run < SEGMENT_NUMBER_MAX) {
            raise(core, run + 1);
        }
        let path = shelf.path(name);
        let failed = |error| io_error("read what a killed run left in", &path, ADVICE, error);
        if let Some(left) = Leftover::open(shelf.kept(name).map_err(failed)?).map_err(failed)?
            && left.tail < SEGMENT_NUMBER_MAX
        {
            raise(left.header.core, left.tail + 1 + left.segments_needed());
        }
    }
    Ok(next)
}
