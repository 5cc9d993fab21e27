//! The signalling of earlier runs as one sequence in the order of time, across capture cores.

use std::ops::Range;
use std::slice::Iter;

use base::Timestamp;

use crate::error::{Damage, ReadError};
use crate::reader::{ChunkRef, Reader};
use crate::records::{SIGNALLING_RECORD_BYTES, SignallingMessage, SignallingRecords};
use crate::recover::Recovered;

/// How often a chunk that cannot be read is tried.
const READ_TRIES: u32 = 8;

impl Recovered {
    /// Calls `visit` with each SIP message and the core that received it: for each core in the order of
    /// arrival, across cores in the order of time. Holds one chunk per core in memory.
    ///
    /// # Errors
    /// A segment cannot be read. Chunks that have become damaged since the recovery are left out and given
    /// back.
    pub fn replay_signalling(
        &self,
        reader: &Reader,
        mut visit: impl FnMut(u8, SignallingMessage<'_>),
    ) -> Result<Vec<Damage>, ReadError> {
        let mut damaged = Vec::new();
        let mut cores = Vec::with_capacity(self.signalling.len());
        for (core, chunks) in &self.signalling {
            let mut messages = Messages::new(*core, chunks.iter());
            messages.advance(reader, &mut damaged)?;
            cores.push(messages);
        }
        while let Some(earliest) = earliest(&mut cores) {
            if let Some(message) = earliest.message() {
                visit(earliest.core, message);
            }
            earliest.advance(reader, &mut damaged)?;
        }
        Ok(damaged)
    }

    /// How many messages there are.
    #[must_use]
    pub fn messages(&self) -> u64 {
        self.signalling.values().flatten().map(|chunk| u64::from(chunk.records)).sum()
    }
}

/// The core whose next message is the earliest; `None` when all are through.
fn earliest<'m, 'c>(cores: &'m mut [Messages<'c>]) -> Option<&'m mut Messages<'c>> {
    let waiting = cores.iter_mut().filter(|messages| messages.next.is_some());
    waiting.min_by_key(|messages| messages.next)
}

/// The messages of one core.
struct Messages<'c> {
    core: u8,
    chunks: Iter<'c, ChunkRef>,
    chunk_bytes: Vec<u8>,
    /// What of the chunk's payload is not visited yet.
    rest: Range<usize>,
    left: u16,
    /// When the next message came.
    next: Option<Timestamp>,
}

impl<'c> Messages<'c> {
    const fn new(core: u8, chunks: Iter<'c, ChunkRef>) -> Self {
        Self { core, chunks, chunk_bytes: Vec::new(), rest: 0..0, left: 0, next: None }
    }

    /// The next message.
    fn message(&self) -> Option<SignallingMessage<'_>> {
        SignallingRecords::new(self.chunk_bytes.get(self.rest.clone())?, self.left).next()
    }

    /// Goes to the message after the next one, into the next chunk if need be.
    fn advance(&mut self, reader: &Reader, damaged: &mut Vec<Damage>) -> Result<(), ReadError> {
        if let Some(message) = self.message() {
            let bytes = SIGNALLING_RECORD_BYTES + message.message.len();
            self.rest.start += bytes;
            self.left -= 1;
        }
        while self.message().is_none() {
            let Some(chunk) = self.chunks.next() else {
                self.next = None;
                return Ok(());
            };
            self.left = 0;
            match read(chunk, reader, &mut self.chunk_bytes)? {
                Ok(payload) => (self.rest, self.left) = (payload, chunk.records),
                Err(damage) => damaged.push(damage),
            }
        }
        self.next = self.message().map(|message| message.time);
        Ok(())
    }
}

/// Reads a chunk. A disk that fails for a moment is asked again: a call of which only a part is told would become
/// another one.
fn read(
    chunk: &ChunkRef,
    reader: &Reader,
    bytes: &mut Vec<u8>,
) -> Result<Result<Range<usize>, Damage>, ReadError> {
    let mut tries = 1;
    loop {
        match reader.signalling(chunk, bytes) {
            Err(ReadError::Io { .. }) if tries < READ_TRIES => tries += 1,
            read => return read,
        }
    }
}
