//! A frame, and the trait of everything that frames come from.

use base::Timestamp;

use crate::CaptureError;

/// What the first bytes of a frame are: a link-layer header type of the LINKTYPE registry
/// (<https://www.tcpdump.org/linktypes.html>), as far as it is told apart here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkType {
    /// IEEE 802.3 (1).
    Ethernet,
    /// An IPv4 or IPv6 header, told apart by its version (12, 14, 101, 228, 229).
    RawIp,
    /// BSD loopback (0): a 4-byte address family in the byte order of the machine that captured.
    Null,
    /// OpenBSD loopback (108): as `Null`, in network byte order.
    Loop,
    /// Linux cooked capture, version 1 (113): a 16-byte header.
    LinuxCooked,
    /// Linux cooked capture, version 2 (276): a 20-byte header.
    LinuxCookedV2,
    /// Any other, by its number.
    Other(u32),
}

impl LinkType {
    /// From the registry's number, as capture files carry it.
    #[must_use]
    pub const fn from_number(number: u32) -> Self {
        match number {
            1 => Self::Ethernet,
            // 12 and 14 are what DLT_RAW is called by some systems; 228 and 229 promise one IP version.
            12 | 14 | 101 | 228 | 229 => Self::RawIp,
            0 => Self::Null,
            108 => Self::Loop,
            113 => Self::LinuxCooked,
            276 => Self::LinuxCookedV2,
            other => Self::Other(other),
        }
    }

    /// The registry's number, as written into capture files.
    #[must_use]
    pub const fn number(self) -> u32 {
        match self {
            Self::Ethernet => 1,
            Self::RawIp => 101,
            Self::Null => 0,
            Self::Loop => 108,
            Self::LinuxCooked => 113,
            Self::LinuxCookedV2 => 276,
            Self::Other(number) => number,
        }
    }
}

/// One captured frame, borrowed from its source for the length of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Arrival on the capture clock; [`Timestamp::ZERO`] if the capture has no time for it.
    pub time: Timestamp,
    /// What `data` begins with.
    pub link: LinkType,
    /// The bytes captured, at most `limits::FRAME_BYTES_MAX`.
    pub data: &'a [u8],
    /// Bytes on the wire; more than `data.len()` if the capture cut it, never less.
    pub wire_bytes: u32,
    /// Counts from 1 within the source, or the file of a merged source: the packet's number in Wireshark.
    pub number: u64,
}

/// What a call of [`Source::poll`] came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Poll {
    /// So many frames (at least one) were handed over. More may be ready.
    Frames(usize),
    /// Nothing is ready now; ask again later. A file is never idle.
    Idle,
    /// Nothing will come any more.
    End,
}

/// Takes frames. A source that knows which come tells of each some frames before its turn.
pub trait Taker {
    /// This frame comes soon, at most some dozens after: what it needs can be fetched meanwhile. Not all are told
    /// of, and some twice; its number may not be known yet.
    fn ahead(&mut self, frame: &Frame<'_>);

    /// Its turn.
    fn take(&mut self, frame: &Frame<'_>);
}

/// Takes frames without being told before.
pub(crate) struct Unprepared<'f, F>(pub(crate) &'f mut F);

impl<F: FnMut(Frame<'_>)> Taker for Unprepared<'_, F> {
    #[inline]
    fn ahead(&mut self, _: &Frame<'_>) {}

    #[inline]
    fn take(&mut self, frame: &Frame<'_>) {
        (self.0)(*frame);
    }
}

/// Where frames come from: a capture file, several of them, or a network interface.
pub trait Source {
    /// Hands over what is ready, at most a batch, in order.
    ///
    /// # Errors
    /// What could not be captured or read. An error comes after every frame that could be read before it,
    /// and once: polling on goes on with what is left, which for a file is [`Poll::End`].
    fn poll(&mut self, on_frame: &mut impl FnMut(Frame<'_>)) -> Result<Poll, CaptureError>;

    /// The same for a taker that makes use of being told before. A source that knows nothing before tells nothing.
    ///
    /// # Errors
    /// As for [`Source::poll`].
    fn poll_ahead(&mut self, taker: &mut impl Taker) -> Result<Poll, CaptureError> {
        self.poll(&mut |frame| taker.take(&frame))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_type_keeps_its_number() {
        for number in [0, 1, 9, 101, 108, 113, 197, 276, u32::MAX] {
            assert_eq!(LinkType::from_number(number).number(), number);
        }
        for raw in [12, 14, 228, 229] {
            assert_eq!(LinkType::from_number(raw), LinkType::RawIp);
        }
    }
}
