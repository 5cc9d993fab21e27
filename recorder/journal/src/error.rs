//! What can go wrong, as values: what, where, what to do.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use base::Outcome;

use crate::format::SegmentFault;
use crate::locator::Locator;

/// Opening, writing, flushing or recovering the journal failed.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The operating system refused something. What was written before stays good; it can be tried again.
    #[error("cannot {action} {}: {source}; {advice}", path.display())]
    Io {
        /// What was being done, in words that a path can follow.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What a person can do.
        advice: &'static str,
        /// The system's reason.
        source: io::Error,
    },
    /// A file in the journal's folder is not a segment that can be read.
    #[error("{} {fault}", path.display())]
    Segment {
        /// The file.
        path: PathBuf,
        /// Why not.
        fault: SegmentFault,
    },
    /// Another process has the journal's folder open.
    #[error("another process uses the journal in {}; stop it, or choose another folder", path.display())]
    Busy {
        /// The folder.
        path: PathBuf,
    },
    /// There is no memory for chunks.
    #[error(
        "no memory for the journal of capture core {core}: {source}; free memory, or give it fewer buffers"
    )]
    Memory {
        /// The core.
        core: u8,
        /// The system's reason.
        source: io::Error,
    },
    /// A second writer for the same capture core.
    #[error("capture core {core} already has a journal writer; give each core its own number")]
    CoreTaken {
        /// The core.
        core: u8,
    },
    /// A file's name carries a segment number that no run of ours has reached.
    #[error("{} has an impossible segment number; move it out of the journal's folder", path.display())]
    SegmentNumber {
        /// The file.
        path: PathBuf,
    },
    /// The key file can be read by others than its owner.
    #[error("the journal key {} has mode {mode:04o}; set it to 0600", path.display())]
    KeyExposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The key file is not a key.
    #[error("the journal key {} has {bytes} bytes instead of 32; restore it from its backup", path.display())]
    KeyLength {
        /// The file.
        path: PathBuf,
        /// Its length.
        bytes: u64,
    },
    /// No random bytes to be had.
    #[error("the operating system gives no random bytes: {reason}")]
    Random {
        /// The system's reason.
        reason: String,
    },
}

/// A [`JournalError::Io`].
pub(crate) fn io_error(
    action: &'static str,
    path: &Path,
    advice: &'static str,
    source: io::Error,
) -> JournalError {
    JournalError::Io { action, path: path.to_owned(), advice, source }
}

/// Why the writer did not take a packet. The packet is in no chunk; what was taken before is untouched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No slot for another flow.
    #[error("the flow table is full")]
    FlowTableFull,
    /// Every chunk buffer is waiting for the disk.
    #[error("all chunk buffers are in use: the disk is full or too slow")]
    JournalFull,
    /// Longer than any UDP datagram or SIP message.
    #[error("longer than the protocol allows")]
    TooLong,
}

impl From<Refused> for Outcome {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::FlowTableFull => Self::FlowTableFull,
            Refused::JournalFull => Self::JournalFull,
            Refused::TooLong => Self::Malformed,
        }
    }
}

/// Why a chunk could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Sealed, but the appender has not written it yet: let it run, then read again.
    #[error("the chunk at {locator} is not written yet; run the appender and read again")]
    NotWritten {
        /// The chunk.
        locator: Locator,
    },
    /// Its segment was released, or belongs to an earlier run and was not recovered, or ends before it.
    #[error("the chunk at {locator} is in no segment that is kept")]
    Released {
        /// The chunk.
        locator: Locator,
    },
    /// The operating system could not read it.
    #[error("cannot read {} at {locator}: {source}; check the disk", path.display())]
    Io {
        /// The segment's file.
        path: PathBuf,
        /// The chunk.
        locator: Locator,
        /// The system's reason.
        source: io::Error,
    },
}

/// A stretch of a segment that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The segment's file.
    pub path: PathBuf,
    /// Where the stretch begins, bytes from the begin of the file.
    pub offset: u64,
    /// How long it is.
    pub bytes: u64,
    /// What is wrong with it.
    pub kind: DamageKind,
}

/// What is wrong with a [`Damage`]d stretch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DamageKind {
    /// A chunk's header is altered or overwritten, so that where it ends is known only by the next one.
    Header,
    /// A chunk's payload or its tag is altered.
    Payload,
    /// A chunk is authentic but its records are not what its header says.
    Records,
    /// What follows the last whole chunk: writing was interrupted here.
    TornTail,
    /// A chunk that is still wanted, and all before it, went with its segment.
    Gone,
    /// A chunk that others refer to is not there: its write was interrupted, by a power cut for one.
    Missing,
    /// The memory of a killed run is not what it should be: what was only there is lost.
    Arena,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            DamageKind::Header => "chunk with an altered header refused",
            DamageKind::Payload => "chunk with an altered payload refused",
            DamageKind::Records => "chunk with contradictory records refused",
            DamageKind::TornTail => "interrupted write set aside",
            DamageKind::Gone => "released although it is still wanted",
            DamageKind::Missing => "chunk that should be here is missing",
            DamageKind::Arena => "memory of a killed run that makes no sense set aside",
        };
        write!(f, "{}: {what}, {} bytes at offset {}", self.path.display(), self.bytes, self.offset)
    }
}
