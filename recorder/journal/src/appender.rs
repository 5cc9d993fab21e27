//! The disk's side: sealed chunks are encrypted in place, written many at a time, flushed together.
//!
//! Nothing here starts a thread or reads a clock. Whoever has the appender calls [`Appender::write`] while
//! there is something to write and [`Appender::commit`] with the time. An error leaves everything as it was
//! but for what is already on the disk, and the next call tries again.

use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;
use std::time::Duration;

use base::Timestamp;
use base::limits::{CHUNKS_PER_WRITE_MAX, COMMIT_AGE_MILLISECONDS_MAX};

use crate::cipher::SegmentCipher;
use crate::error::{JournalError, io_error};
use crate::format::{SEGMENT_HEADER_BYTES, SEGMENT_HEADER_CLEAR, SegmentHeader};
use crate::journal::Shared;
use crate::key::random;
use crate::pool::{Handover, Sealed};
use crate::segments::{Segment, file_name};

const COMMIT_AGE_MAX: Duration = Duration::from_millis(COMMIT_AGE_MILLISECONDS_MAX);
const ADVICE: &str =
    "free space on that disk or repair it; it is tried again, and what is written stays good";

/// What one call wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Chunks.
    pub chunks: usize,
    /// Their bytes in the file.
    pub bytes: u64,
}

/// Writes the journal of one capture core.
///
/// What is sealed but not written is lost if the appender is dropped: [`Appender::sync`] first.
pub struct Appender {
    shared: Arc<Shared>,
    core: u8,
    /// The first segment of this run.
    run: u32,
    handover: Arc<Handover>,
    now: Timestamp,
    current: Option<Current>,
    /// Chunks of one segment on their way to the disk.
    batch: Batch,
    /// The first chunk of the next segment, met while a batch was collected.
    ahead: Option<Sealed>,
    /// Segments that have data which is not flushed yet; the last one is the current.
    unflushed: Vec<(Arc<Segment>, Arc<File>)>,
    /// Whether a file was created since the folder was flushed.
    folder_changed: bool,
    committed: Timestamp,
    /// The oldest segment of this run that is not deleted.
    oldest: u32,
}

/// The segment being written.
struct Current {
    segment: Arc<Segment>,
    file: Arc<File>,
    /// The header, until it is written.
    header: Option<[u8; SEGMENT_HEADER_BYTES]>,
}

/// Chunks that lie next to each other in one segment, encrypted from the moment they are in here.
#[derive(Default)]
struct Batch {
    chunks: Vec<Sealed>,
    encrypted: bool,
    /// How much of the batch is in the file.
    written: usize,
}

impl Appender {
    pub(crate) fn new(
        shared: Arc<Shared>,
        core: u8,
        first: u32,
        handover: Arc<Handover>,
        now: Timestamp,
    ) -> Self {
        Self {
            shared,
            core,
            run: first,
            handover,
            now,
            current: None,
            batch: Batch { chunks: Vec::with_capacity(CHUNKS_PER_WRITE_MAX), ..Batch::default() },
            ahead: None,
            unflushed: Vec::new(),
            folder_changed: false,
            committed: now,
            oldest: first,
        }
    }

    /// Which capture core this is.
    #[must_use]
    pub const fn core(&self) -> u8 {
        self.core
    }

    /// Sealed chunks that are not written yet.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.handover.pending() + self.batch.chunks.len() + usize::from(self.ahead.is_some())
    }

    /// Writes what is sealed, up to [`CHUNKS_PER_WRITE_MAX`] chunks with one system call, and gives their
    /// buffers back. Nothing written means that nothing was waiting.
    ///
    /// # Errors
    /// The system refused to create or write the segment. The chunks stay here; call again.
    pub fn write(&mut self) -> Result<Written, JournalError> {
        if self.batch.chunks.is_empty() {
            self.collect();
        }
        let Some(first) = self.batch.chunks.first() else { return Ok(Written::default()) };
        let number = first.locator.segment();
        if self.current.as_ref().is_none_or(|current| current.segment.id.1 != number) {
            self.current = Some(self.create(number)?);
        }
        let Some(current) = &mut self.current else { return Ok(Written::default()) };
        current.write_header()?;
        self.batch.encrypt(&current.segment);
        self.batch.write(current)?;
        Ok(self.finish_batch())
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

    /// Flushes what is written to the disk if [`COMMIT_AGE_MILLISECONDS_MAX`] have passed since the last time;
    /// `true` if it did. `now` is the clock of the caller's choice, which new segments carry as well.
    ///
    /// # Errors
    /// The system could not flush: what was written since the last success may be lost by a power cut.
    pub fn commit(&mut self, now: Timestamp) -> Result<bool, JournalError> {
        self.now = now;
        let age = now.since(self.committed).max(self.committed.since(now));
        if age < COMMIT_AGE_MAX || self.unflushed.is_empty() {
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
        self.flush()
    }

    /// Deletes this run's segments before `segment`, which nothing needs any more ([`crate::Writer::needed_from`]),
    /// and gives their number. The segment being written stays.
    ///
    /// # Errors
    /// A file cannot be deleted; it and those after it stay, and the next call tries again.
    pub fn release_before(&mut self, segment: u32) -> Result<usize, JournalError> {
        let current = self.current.as_ref().map_or(self.oldest, |current| current.segment.id.1);
        let mut deleted = 0;
        while self.oldest < segment.min(current) {
            if let Some(released) = self.shared.segments.get((self.core, self.oldest)) {
                self.shared.segments.delete(&released)?;
                self.unflushed.retain(|(unflushed, _)| unflushed.id != released.id);
                deleted += 1;
            }
            self.oldest += 1;
        }
        Ok(deleted)
    }

    /// Takes the sealed chunks that belong into one segment.
    fn collect(&mut self) {
        while self.batch.chunks.len() < CHUNKS_PER_WRITE_MAX {
            let Some(sealed) = self.ahead.take().or_else(|| self.handover.pop()) else { return };
            let other = |first: &Sealed| first.locator.segment() != sealed.locator.segment();
            if self.batch.chunks.first().is_some_and(other) {
                self.ahead = Some(sealed);
                return;
            }
            self.batch.chunks.push(sealed);
        }
    }

    /// Begins a segment. Its header is written with its first chunks, because that may fail and be repeated.
    fn create(&mut self, number: u32) -> Result<Current, JournalError> {
        let id = (self.core, number);
        let path = self.shared.folder.join(file_name(id));
        let mut salt = [0; 32];
        random(&mut salt)?;
        let cipher = SegmentCipher::new(&self.shared.key, &salt, self.core, number);
        let clear = SegmentHeader {
            core: self.core,
            segment: number,
            run: self.run,
            created: self.now,
            source: self.shared.source,
            salt,
            key_id: self.shared.key.id(),
        }
        .encode();
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create_new(true).mode(0o600).open(&path);
        let file =
            file.map_err(|error| io_error("create the journal segment", &path, ADVICE, error))?;
        let file = Arc::new(file);
        let mut header = [0; SEGMENT_HEADER_BYTES];
        header[..SEGMENT_HEADER_CLEAR].copy_from_slice(&clear);
        header[SEGMENT_HEADER_CLEAR..].copy_from_slice(&cipher.segment_tag(&clear));
        let segment = Arc::new(Segment::new(id, self.run, path, cipher, 0));
        self.shared.segments.add(Arc::clone(&segment));
        self.shared.segments.keep_open(&segment, Arc::clone(&file));
        self.unflushed.push((Arc::clone(&segment), Arc::clone(&file)));
        self.folder_changed = true;
        Ok(Current { segment, file, header: Some(header) })
    }

    /// Publishes the batch that is in the file and gives its buffers back.
    fn finish_batch(&mut self) -> Written {
        let written = Written { chunks: self.batch.chunks.len(), bytes: self.batch.written as u64 };
        if let (Some(current), Some(last)) = (&self.current, self.batch.chunks.last()) {
            current.segment.publish(last.locator.offset() + last.len() as u64);
            if self.unflushed.last().is_none_or(|(unflushed, _)| unflushed.id != current.segment.id)
            {
                self.unflushed.push((Arc::clone(&current.segment), Arc::clone(&current.file)));
            }
        }
        for sealed in self.batch.chunks.drain(..) {
            self.handover.give_back(sealed.memory);
        }
        (self.batch.encrypted, self.batch.written) = (false, 0);
        written
    }

    fn flush(&mut self) -> Result<(), JournalError> {
        while let Some((segment, file)) = self.unflushed.first() {
            file.sync_data().map_err(|error| {
                io_error("flush the journal segment", &segment.path, ADVICE, error)
            })?;
            self.unflushed.remove(0);
        }
        if self.folder_changed {
            let folder = &self.shared.folder;
            self.shared
                .handle
                .sync_all()
                .map_err(|error| io_error("flush", folder, ADVICE, error))?;
            self.folder_changed = false;
        }
        self.committed = self.now;
        Ok(())
    }
}

impl Current {
    fn write_header(&mut self) -> Result<(), JournalError> {
        if let Some(header) = self.header {
            write_at(&self.file, &mut [IoSlice::new(&header)], 0)
                .map_err(|(_, error)| self.failed(error))?;
            self.header = None;
        }
        Ok(())
    }

    fn failed(&self, error: io::Error) -> JournalError {
        io_error("write the journal segment", &self.segment.path, ADVICE, error)
    }
}

impl Batch {
    /// Encrypts once: a repeated write repeats the same bytes, so that no nonce is used for two texts.
    fn encrypt(&mut self, segment: &Segment) {
        if !self.encrypted {
            for sealed in &mut self.chunks {
                segment.cipher.seal_chunk(sealed.locator.offset(), sealed.bytes_mut());
            }
            self.encrypted = true;
        }
    }

    /// Writes what of the batch is not in the file yet.
    fn write(&mut self, current: &Current) -> Result<(), JournalError> {
        let Some(first) = self.chunks.first() else { return Ok(()) };
        let mut slices: Vec<IoSlice<'_>> =
            self.chunks.iter().map(|sealed| IoSlice::new(sealed.bytes())).collect();
        let mut rest = slices.as_mut_slice();
        IoSlice::advance_slices(&mut rest, self.written);
        let offset = first.locator.offset() + self.written as u64;
        match write_at(&current.file, rest, offset) {
            Ok(bytes) => self.written += bytes,
            Err((bytes, error)) => {
                self.written += bytes;
                return Err(current.failed(error));
            }
        }
        Ok(())
    }
}

/// Writes all of `slices` at `offset`, and gives how much that was; on an error, how much was written before.
fn write_at(
    file: &File,
    mut slices: &mut [IoSlice<'_>],
    offset: u64,
) -> Result<usize, (usize, io::Error)> {
    let mut written = 0;
    while !slices.is_empty() {
        match rustix::io::pwritev(file, slices, offset + written as u64) {
            Ok(0) => return Err((written, io::ErrorKind::WriteZero.into())),
            Ok(bytes) => {
                written += bytes;
                IoSlice::advance_slices(&mut slices, bytes);
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err((written, error.into())),
        }
    }
    Ok(written)
}

#[cfg(test)]
mod tests {
    use base::{FlowKey, MediaPacket};
    use tempfile::TempDir;

    use super::*;
    use crate::{Journal, JournalKey, Packets, SourceId, Window, Writer, WriterOptions};

    fn journal() -> (TempDir, Journal, Writer, Appender) {
        let folder = tempfile::tempdir().unwrap();
        let key = JournalKey::from_bytes([7; 32]);
        let journal =
            Journal::open(&folder.path().join("journal"), key, SourceId::default()).unwrap();
        let options = WriterOptions { flows_max: 4, chunks_max: 16, ..WriterOptions::default() };
        let (writer, appender) = journal.core(0, &options, Timestamp::ZERO).unwrap();
        (folder, journal, writer, appender)
    }

    fn fill(writer: &mut Writer, times: std::ops::Range<u64>) {
        for time in times {
            let packet = MediaPacket {
                time: Timestamp::from_nanos(time),
                payload: &[time as u8; 1_000],
                wire_bytes: 1_000,
            };
            writer.media(&FlowKey::default(), packet).unwrap();
        }
        writer.seal_all();
    }

    fn assert_all_there(journal: &Journal, writer: &Writer, count: u64) {
        let (_, summary) = writer.flows().next().unwrap();
        let mut packets = Packets::default();
        journal.reader().read(summary.end.unwrap(), Window::ALL, &mut packets).unwrap();
        assert_eq!(packets.damaged(), []);
        let times: Vec<u64> = packets.iter().map(|packet| packet.time.as_nanos()).collect();
        assert_eq!(times, (0..count).collect::<Vec<_>>());
        assert!(
            packets.iter().all(|packet| packet.payload == [packet.time.as_nanos() as u8; 1_000])
        );
    }

    #[test]
    fn a_full_disk_is_told_and_what_waits_is_written_when_there_is_room() {
        let (_folder, journal, mut writer, mut appender) = journal();
        fill(&mut writer, 0..10);
        appender.write_all().unwrap();
        fill(&mut writer, 10..20);
        let full = Arc::new(OpenOptions::new().write(true).open("/dev/full").unwrap());
        let current = appender.current.as_mut().unwrap();
        let disk = std::mem::replace(&mut current.file, full);
        for _ in 0..2 {
            let error = appender.write().unwrap_err().to_string();
            assert!(
                error.contains("000-0000000000.journal") && error.contains("No space left"),
                "{error}"
            );
            assert!(error.contains("free space"), "{error}");
            assert!(appender.pending() > 0);
        }
        appender.current.as_mut().unwrap().file = disk;
        appender.sync().unwrap();
        assert_eq!(appender.pending(), 0);
        assert_all_there(&journal, &writer, 20);
    }

    #[test]
    fn a_write_that_stops_half_way_goes_on_where_it_stopped() {
        let (_folder, journal, mut writer, mut appender) = journal();
        fill(&mut writer, 0..3);
        appender.write_all().unwrap();
        fill(&mut writer, 3..30);
        // As `write` does, but the system takes only the first 5,000 bytes.
        appender.collect();
        let current = appender.current.as_ref().unwrap();
        appender.batch.encrypt(&current.segment);
        let bytes: Vec<u8> =
            appender.batch.chunks.iter().flat_map(|sealed| sealed.bytes().to_vec()).collect();
        let offset = appender.batch.chunks[0].locator.offset();
        write_at(&current.file, &mut [IoSlice::new(&bytes[..5_000])], offset).unwrap();
        appender.batch.written = 5_000;
        assert_eq!(appender.write_all().unwrap().bytes, bytes.len() as u64);
        assert_all_there(&journal, &writer, 30);
    }

    #[test]
    fn a_segment_that_cannot_be_created_is_tried_again() {
        let (folder, journal, mut writer, mut appender) = journal();
        let (path, aside) = (folder.path().join("journal"), folder.path().join("aside"));
        std::fs::rename(&path, &aside).unwrap();
        fill(&mut writer, 0..5);
        let error = appender.write().unwrap_err().to_string();
        assert!(error.contains("cannot create the journal segment"), "{error}");
        std::fs::rename(&aside, &path).unwrap();
        appender.sync().unwrap();
        assert_all_there(&journal, &writer, 5);
    }
}
