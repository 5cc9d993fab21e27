//! The disk's side: sealed chunks are encrypted, written many at a time, flushed together.
//!
//! Nothing here starts a thread or reads a clock. Whoever has the appender calls [`Appender::write`] while
//! there is something to write and [`Appender::commit`] with the time.
//!
//! # When the disk fails
//!
//! A live journal keeps every chunk in its buffer until it is durable. After an error no file that has unflushed
//! data is trusted (fsync(2): what could not be flushed may be gone although it can still be read): what they
//! hold of it is written again, to further parts of the same segments ([`crate::format`], "Parts"), in the
//! second folder if there is one, else in the same. Chunks keep their places, so that nobody else notices. Only
//! a disk that is full and has no second is simply tried again, with the same bytes in the same place. Every
//! call tries again; how often is the caller's choice.
//!
//! What bounds this is the number of buffers: [`crate::WriterOptions::chunks_max`] of 4 KiB hold what comes while
//! the disk does not take anything. A two-way call of G.711 fills 18.6 KB a second, so the default of 1 GiB a
//! core rides out 57 s at 1,000 calls a core and 11 s at 5,000. After that the writer refuses
//! ([`crate::Refused::JournalFull`], counted); what it has taken is not lost.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use base::Timestamp;
use base::disk::DiskFile;
use base::limits::{CHUNKS_PER_WRITE_MAX, COMMIT_AGE_MILLISECONDS_MAX, JOURNAL_WRITE_BYTES_MAX};

use crate::error::{JournalError, io_error};
use crate::held::Held;
use crate::journal::Shared;
use crate::locator::Locator;
use crate::part::{ADVICE, Part, PartHeader};
use crate::pool::{Handover, Preparer, Sealed};
use crate::segments::{Segment, file_name};
use crate::writer::WriterOptions;

const COMMIT_AGE_MAX: Duration = Duration::from_millis(COMMIT_AGE_MILLISECONDS_MAX);

/// What one call wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Chunks.
    pub chunks: usize,
    /// Their bytes in the file.
    pub bytes: u64,
}

/// How a journal does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum JournalState {
    /// It is written to its folder.
    #[default]
    Writing,
    /// It is written to its second folder, because the first failed.
    Moved,
    /// It cannot be written. What comes is kept in memory as long as there is some.
    Failing {
        /// Since when, on the clock that the appender is told.
        since: Timestamp,
        /// Why, and what to do: the latest error.
        error: String,
    },
}

/// Writes the journal of one capture core.
///
/// What is sealed but not written is not written if the appender is dropped: [`Appender::sync`] first.
pub struct Appender {
    shared: Arc<Shared>,
    core: u8,
    /// The first segment of this run.
    run: u32,
    live: bool,
    segment_bytes: u64,
    handover: Handover,
    /// What stays in memory, if anything does.
    held: Option<Arc<Held>>,
    now: Timestamp,
    /// The folder that is written to: 0, or 1 for the second.
    folder: usize,
    current: Option<Part>,
    /// Chunks of one segment on their way to the disk.
    batch: Batch,
    /// Chunks that come before those in the handover: taken from it already, or to be written again.
    waiting: VecDeque<Sealed>,
    /// Chunks that are written and not known to be durable.
    kept: VecDeque<Sealed>,
    kept_large: usize,
    /// Parts that have data which is not flushed yet, in the order of segments; the last one is the current.
    unflushed: Vec<(Arc<Segment>, Arc<dyn DiskFile>)>,
    /// How many parts each segment has had.
    begun: BTreeMap<u32, u32>,
    /// Whether a file was created since the folder was flushed.
    folder_changed: [bool; 2],
    committed: Timestamp,
    /// The oldest segment of this run that is not deleted.
    oldest: u32,
    trouble: Option<(Timestamp, String)>,
}

/// Chunks that lie next to each other in one segment.
#[derive(Default)]
struct Batch {
    chunks: Vec<Sealed>,
    /// What is to be in the file, encrypted. A repeated write repeats the same bytes, so that no nonce is used for
    /// two texts.
    image: Vec<u8>,
    /// How much of it is in the file.
    written: usize,
}

impl Appender {
    pub(crate) fn new(
        shared: Arc<Shared>,
        core: u8,
        first: u32,
        options: &WriterOptions,
        (handover, held): (Handover, Option<Arc<Held>>),
        now: Timestamp,
    ) -> Self {
        Self {
            shared,
            core,
            run: first,
            live: options.live,
            segment_bytes: options.segment_bytes_max,
            handover,
            held,
            now,
            folder: 0,
            current: None,
            batch: Batch::default(),
            waiting: VecDeque::new(),
            kept: VecDeque::new(),
            kept_large: 0,
            unflushed: Vec::new(),
            begun: BTreeMap::new(),
            folder_changed: [false; 2],
            committed: now,
            oldest: first,
            trouble: None,
        }
    }

    /// Which capture core this is.
    #[must_use]
    pub const fn core(&self) -> u8 {
        self.core
    }

    /// For another thread: this one waits for the disk now and then, longer than memory that is ready lasts.
    #[must_use]
    pub fn preparer(&self) -> Preparer {
        Preparer::new(self.handover.slabs.clone())
    }

    /// Sealed chunks that are not written yet.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.handover.pending() + self.batch.chunks.len() + self.waiting.len()
    }

    /// Whether everything that is sealed is durable.
    #[must_use]
    pub fn is_durable(&self) -> bool {
        self.pending() == 0 && self.unflushed.is_empty() && !self.folder_changed.contains(&true)
    }

    /// How it does. Trouble is over when everything that was written is durable.
    #[must_use]
    pub fn state(&self) -> JournalState {
        match &self.trouble {
            Some((since, error)) => JournalState::Failing { since: *since, error: error.clone() },
            None if self.folder > 0 => JournalState::Moved,
            None => JournalState::Writing,
        }
    }

    /// The first folder is good again: what comes is written there.
    pub fn move_back(&mut self) {
        if self.folder > 0 {
            self.folder = 0;
            // What is written stays where it is, and is flushed there.
            self.current = None;
            self.batch.clear();
        }
    }

    /// Writes what is sealed, up to [`CHUNKS_PER_WRITE_MAX`] chunks with one system call, or takes it into the
    /// memory where it is [held](WriterOptions::hold). No chunks mean that nothing was waiting.
    ///
    /// # Errors
    /// The system refused to create or write the segment. The chunks stay here; call again.
    pub fn write(&mut self) -> Result<Written, JournalError> {
        if !self.live {
            self.handover.slabs.prepare(0);
        }
        if let Some(held) = self.held.clone() {
            let taken = held.take_from(&mut self.handover);
            let short = self.handover.take_short() || held.is_full();
            let spilled = if short { self.spill(&held)? } else { Written::default() };
            return Ok(Written { chunks: taken + spilled.chunks, bytes: spilled.bytes });
        }
        if self.batch.chunks.is_empty() {
            self.collect();
        }
        match self.write_batch() {
            Ok(()) => Ok(self.finish_batch()),
            Err(error) => Err(self.failed(error, false)),
        }
    }

    /// Writes everything that is sealed.
    ///
    /// # Errors
    /// As [`Appender::write`].
    pub fn write_all(&mut self) -> Result<Written, JournalError> {
        let mut sum = Written::default();
        loop {
            let written = self.write()?;
            if written.chunks == 0 {
                return Ok(sum);
            }
            sum.chunks += written.chunks;
            sum.bytes += written.bytes;
        }
    }

    /// Flushes what is written to the disk if [`COMMIT_AGE_MILLISECONDS_MAX`] have passed since the last time, or
    /// if half of all buffers wait for it; `true` if it did. `now` is the clock of the caller's choice, which
    /// new segments carry as well.
    ///
    /// # Errors
    /// The system could not flush: what was written since the last success is written again by the next calls.
    pub fn commit(&mut self, now: Timestamp) -> Result<bool, JournalError> {
        self.now = now;
        let age = now.since(self.committed).max(self.committed.since(now));
        let (small, large) = (&self.handover.slabs.small, &self.handover.slabs.large);
        let scarce = self.kept.len() - self.kept_large > small.count() as usize / 2
            || self.kept_large > large.count() as usize / 2;
        if self.unflushed.is_empty() || !scarce && age < COMMIT_AGE_MAX {
            return Ok(false);
        }
        self.flush()?;
        Ok(true)
    }

    /// Writes everything that is sealed and flushes it to the disk.
    ///
    /// # Errors
    /// As [`Appender::write`] and [`Appender::commit`].
    pub fn sync(&mut self) -> Result<(), JournalError> {
        self.write_all()?;
        if let Some(held) = self.held.clone() {
            while self.spill(&held)?.chunks > 0 {}
        }
        self.flush()
    }

    /// Deletes this run's segments before `segment`, which nothing needs any more ([`crate::Writer::needed_from`]),
    /// and gives their number. The segment being written stays.
    ///
    /// # Errors
    /// A file cannot be deleted; it and those after it stay, and the next call tries again.
    pub fn release_before(&mut self, segment: u32) -> Result<usize, JournalError> {
        if let Some(held) = &self.held {
            held.release_before(segment, &mut self.handover);
        }
        let current = self.current.as_ref().map_or(self.oldest, |current| current.segment.id.1);
        let mut deleted = 0;
        while self.oldest < segment.min(current) {
            let id = (self.core, self.oldest);
            if self.shared.segments.is_known(id) {
                self.shared.segments.delete(&*self.shared.places.disk, id)?;
                self.unflushed.retain(|(unflushed, _)| unflushed.id != id);
                deleted += 1;
            }
            self.begun.remove(&self.oldest);
            self.oldest += 1;
        }
        Ok(deleted)
    }

    /// Takes the sealed chunks that belong into one segment.
    fn collect(&mut self) {
        let mut bytes = 0;
        while self.batch.chunks.len() < CHUNKS_PER_WRITE_MAX && bytes < JOURNAL_WRITE_BYTES_MAX {
            let Some(sealed) = self.waiting.pop_front().or_else(|| self.handover.pop()) else {
                return;
            };
            let other = |first: &Sealed| first.locator.segment() != sealed.locator.segment();
            if self.batch.chunks.first().is_some_and(other) {
                self.waiting.push_front(sealed);
                return;
            }
            bytes += sealed.len();
            self.batch.chunks.push(sealed);
        }
    }

    fn write_batch(&mut self) -> Result<(), JournalError> {
        let Some(first) = self.batch.chunks.first() else { return Ok(()) };
        let locator = first.locator;
        self.go_to(locator)?;
        let Some(current) = &mut self.current else { return Ok(()) };
        self.batch.encrypt(&current.segment, &self.handover);
        current.write(&self.batch.image, locator.offset(), &mut self.batch.written)
    }

    /// The part that is written is one for the chunk at `locator`.
    fn go_to(&mut self, locator: Locator) -> Result<(), JournalError> {
        let number = locator.segment();
        if self.current.as_ref().is_none_or(|current| current.segment.id.1 != number) {
            self.end_segment();
            self.current = Some(self.begin(number, locator.offset())?);
        }
        Ok(())
    }

    /// Writes the oldest of what is held, up to [`CHUNKS_PER_WRITE_MAX`] chunks, and gives their buffers back.
    fn spill(&mut self, held: &Held) -> Result<Written, JournalError> {
        let spilled = self.write_oldest(held);
        // Tried again, the same chunks come to the same bytes at the same place.
        self.batch.clear();
        match spilled {
            Ok(written) => {
                self.note_unflushed(written.chunks);
                held.drop_oldest(written.chunks, &mut self.handover);
                Ok(written)
            }
            Err(error) => Err(self.failed(error, false)),
        }
    }

    fn write_oldest(&mut self, held: &Held) -> Result<Written, JournalError> {
        let Some(oldest) = held.oldest() else { return Ok(Written::default()) };
        self.go_to(oldest)?;
        let Some(current) = &mut self.current else { return Ok(Written::default()) };
        let chunks = held.encrypt_oldest(&current.segment.cipher, &mut self.batch.image);
        current.write(&self.batch.image, oldest.offset(), &mut self.batch.written)?;
        Ok(Written { chunks, bytes: self.batch.image.len() as u64 })
    }

    /// The segment that was written is full: room reserved beyond its end is not needed.
    fn end_segment(&mut self) {
        if let Some(current) = self.current.take()
            && self.live
        {
            // It is no loss if this fails.
            let _ = current.file.set_len(current.segment.written());
        }
    }

    /// Begins a part of segment `number` whose first chunk is at `offset`.
    fn begin(&mut self, number: u32, offset: u64) -> Result<Part, JournalError> {
        let part = self.begun.get(&number).copied().unwrap_or(0);
        let id = (self.core, number, part);
        let path = self.shared.places.folder(self.folder).join(file_name(id));
        let (run, created, source) = (self.run, self.now, self.shared.source);
        let header = PartHeader { id, from: offset as u32, run, created, source };
        let part = Part::create(&self.shared, &header, &path, path.clone())?;
        self.begun.insert(number, id.2 + 1);
        if self.live {
            // If there is no room, the write will say so.
            let _ = part.file.preallocate(self.segment_bytes);
        }
        self.shared.segments.add(Arc::clone(&part.segment));
        self.shared.segments.keep_open(&part.segment, Arc::clone(&part.file));
        self.unflushed.push((Arc::clone(&part.segment), Arc::clone(&part.file)));
        if let Some(changed) = self.folder_changed.get_mut(self.folder) {
            *changed = true;
        }
        Ok(part)
    }

    /// The batch is in the file.
    fn finish_batch(&mut self) -> Written {
        let written = Written { chunks: self.batch.chunks.len(), bytes: self.batch.written as u64 };
        self.note_unflushed(written.chunks);
        for sealed in self.batch.chunks.drain(..) {
            if self.live {
                self.kept_large += usize::from(sealed.is_large());
                self.kept.push_back(sealed);
            } else {
                self.handover.give_back(sealed.memory);
            }
        }
        self.batch.clear();
        written
    }

    /// So many chunks were written to the current part.
    fn note_unflushed(&mut self, chunks: usize) {
        if let Some(current) = &self.current
            && chunks > 0
            && self.unflushed.last().is_none_or(|(last, _)| !Arc::ptr_eq(last, &current.segment))
        {
            self.unflushed.push((Arc::clone(&current.segment), Arc::clone(&current.file)));
        }
    }

    fn flush(&mut self) -> Result<(), JournalError> {
        if let Err(error) = self.try_flush() {
            return Err(self.failed(error, true));
        }
        for (segment, _) in self.unflushed.drain(..) {
            segment.is_flushed();
        }
        for sealed in self.kept.drain(..) {
            self.handover.give_back(sealed.memory);
        }
        self.kept_large = 0;
        self.trouble = None;
        self.committed = self.now;
        Ok(())
    }

    fn try_flush(&mut self) -> Result<(), JournalError> {
        for (segment, file) in &self.unflushed {
            let failed =
                |error| io_error("flush the journal segment", &segment.path, ADVICE, error);
            file.sync_data().map_err(failed)?;
        }
        for (number, changed) in self.folder_changed.iter_mut().enumerate() {
            if *changed {
                let folder = self.shared.places.folder(number);
                let failed = |error| io_error("flush", folder, ADVICE, error);
                self.shared.places.disk.sync_folder(folder).map_err(failed)?;
                *changed = false;
            }
        }
        Ok(())
    }

    /// Decides how it goes on after an error.
    fn failed(&mut self, error: JournalError, flushing: bool) -> JournalError {
        let since = self.trouble.take().map_or(self.now, |(since, _)| since);
        self.trouble = Some((since, error.to_string()));
        let elsewhere = self.shared.places.folders() > 1;
        let full = matches!(&error, JournalError::Io { source, .. }
            if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded));
        if elsewhere {
            self.folder = 1 - self.folder;
        }
        if elsewhere || flushing || !full {
            self.begin_again();
        }
        error
    }

    /// Nothing that is not flushed is trusted: it is written again, to new parts.
    fn begin_again(&mut self) {
        self.current = None;
        let written = self.kept.drain(..).chain(self.batch.chunks.drain(..));
        let again: Vec<Sealed> = written.collect();
        again.into_iter().rev().for_each(|sealed| self.waiting.push_front(sealed));
        self.kept_large = 0;
        self.batch.clear();
        for (segment, _) in self.unflushed.drain(..) {
            if self.live && !segment.has_durable() {
                // All of it is in memory. A file that cannot be removed does no harm.
                self.shared.segments.forget(&segment);
                let _ = self.shared.places.disk.remove(&segment.path);
            }
        }
    }
}

impl Batch {
    /// Encrypts what is not encrypted yet.
    fn encrypt(&mut self, segment: &Segment, handover: &Handover) {
        if self.image.is_empty() {
            for sealed in &self.chunks {
                let (offset, bytes) = (sealed.locator.offset(), sealed.payload_bytes as usize);
                let memory = handover.slabs.bytes(&sealed.memory);
                segment.cipher.seal_chunk(offset, memory, bytes, &mut self.image);
            }
        }
    }

    fn clear(&mut self) {
        self.image.clear();
        self.written = 0;
    }
}
