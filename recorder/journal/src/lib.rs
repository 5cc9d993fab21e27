//! Packets and signalling, encrypted, append-only, durable: everything that a capture core sees is here first.
//!
//! Takes [`base::MediaPacket`]s of [`base::FlowKey`]s and SIP messages, gives them back per flow and in order,
//! while they are being written and after a crash. Sans clock and threads: the caller tells the time and runs
//! the two halves.
//!
//! - [`Journal`]: a folder, its lock, its key; hands out the parts.
//! - [`Writer`]: the capture core's half. Looks the flow up, copies the packet once into the flow's open chunk,
//!   seals chunks that are full or old and hands their buffers over.
//! - [`Appender`]: the disk's half. Encrypts chunks, writes many at a time, flushes them together, writes them
//!   again elsewhere if that fails, deletes what is released.
//! - [`Reader`]: walks a flow's chain of chunks backwards and decrypts what a call claims of it.
//! - [`Recovered`]: what an earlier run left behind, for replay: on the disk, and in the memory of its buffers
//!   if that outlives the process ([`Places::arena`]).
//!
//! The bytes on the disk are described in [`mod@format`].
//!
//! # What always holds
//!
//! - A packet that was taken is in exactly one chunk; one that was refused is in none.
//! - Chunks of a core are written in the order in which they were sealed; what is written is never changed.
//! - A chunk's place is known when it is sealed, before it is written: reading it too early is a state, not an
//!   error to guess at ([`ReadError::NotWritten`]).
//! - Every byte of a segment is authenticated. Damage costs the chunk it is in, which is named, and no other.
//! - The number of buffers is fixed; without a free one the writer refuses ([`Refused::JournalFull`]) and waits
//!   for nothing.
#![forbid(unsafe_code)]

mod appender;
mod arena;
mod chunk;
mod cipher;
mod cursor;
mod error;
mod flows;
pub mod format;
mod held;
mod index;
mod journal;
mod key;
mod leftover;
mod locator;
mod packets;
mod part;
mod places;
mod pool;
mod reader;
pub mod records;
mod recover;
mod replay;
mod scan;
mod segments;
mod tail;
mod writer;

pub use appender::{Appender, JournalState, Written};
pub use error::{Damage, DamageKind, JournalError, ReadError, Refused};
pub use flows::{FlowSummary, RtpHint};
pub use format::{SegmentFault, SegmentHeader, SourceId};
pub use journal::Journal;
pub use key::{JournalKey, KeyId};
pub use leftover::{ArenaInspection, inspect_arena};
pub use locator::{FlowId, Locator};
pub use packets::{Packets, Window};
pub use places::Places;
pub use pool::Preparer;
pub use reader::{Chain, ChunkRef, Reader};
pub use records::SignallingMessage;
pub use recover::{Recovered, RecoveredFlow, RecoveredSegment};
pub use scan::{Inspection, inspect};
pub use writer::{Appended, Writer, WriterOptions};
