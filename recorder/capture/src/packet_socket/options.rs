//! How to capture.

use std::time::Duration;

use base::limits::FRAME_BYTES_MAX;

use super::PacketError;
use crate::nic::packet_option::RingRequest;

/// How to capture. The ring takes `block_bytes * blocks` of memory, which cannot be swapped out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Bytes of a block: a power of two from 512 KiB to 16 MiB. A block is handed over at once.
    pub block_bytes: u32,
    /// Blocks in the ring, 2 to 4,096. The ring bounds how long a worker may be away: 64 MiB are 0.2 s at
    /// 1.5 million packets a second of G.711.
    pub blocks: u32,
    /// A block that is not full is handed over after so long: 1 ms to 1 s.
    pub block_timeout: Duration,
    /// Have the interface take frames for other addresses, which those of a mirror port are.
    pub promiscuous: bool,
    /// Also take what this host sends. On a mirror port it sends nothing.
    pub outgoing: bool,
    /// Share the interface's frames with other sources.
    pub fanout: Option<Fanout>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            block_bytes: 1024 * 1024,
            blocks: 64,
            block_timeout: Duration::from_millis(10),
            promiscuous: true,
            outgoing: false,
            fanout: None,
        }
    }
}

/// A group of sources that share the frames of one interface: each frame goes to one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fanout {
    /// The same for all of them, and no other program's. The process number is a good choice. (The interface's
    /// number is added to it: an interface that comes back is another, and needs another group.)
    pub group: u16,
    /// Which frame goes where.
    pub by: FanoutBy,
}

/// Which frame goes to which source of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FanoutBy {
    /// By the CPU that received it: source `n`, in the order in which they joined, gets those of CPU `n`, modulo
    /// their number. Worker and interrupt on one CPU share its cache.
    Cpu,
    /// By its addresses and ports, the same for both directions.
    Flow,
    /// By the card's receive queue, likewise.
    Queue,
}

const BLOCK_BYTES_MIN: u32 = 512 * 1024;
const BLOCK_BYTES_MAX: u32 = 16 * 1024 * 1024;
/// The kernel wants to know a frame's size, and uses it for nothing in this version of its ring.
const FRAME_BYTES_NOMINAL: u32 = 2_048;

const _: () =
    assert!(BLOCK_BYTES_MIN as usize > FRAME_BYTES_MAX + 4_096, "any frame fits any block");

impl Options {
    /// The ring's size as the kernel wants it.
    pub(super) fn ring(&self) -> Result<RingRequest, PacketError> {
        let Self { block_bytes, blocks, block_timeout, .. } = self;
        let sizes = BLOCK_BYTES_MIN..=BLOCK_BYTES_MAX;
        if !block_bytes.is_power_of_two() || !sizes.contains(block_bytes) {
            let wanted = "a power of two from 524288 to 16777216 bytes";
            return Err(PacketError::Size {
                what: "the packet socket's block size",
                wanted,
                given: u64::from(*block_bytes),
            });
        }
        if !(2..=4_096).contains(blocks) {
            let (what, wanted) = ("the packet socket's number of blocks", "2 to 4096");
            return Err(PacketError::Size { what, wanted, given: u64::from(*blocks) });
        }
        let milliseconds = u32::try_from(block_timeout.as_millis()).unwrap_or(u32::MAX);
        if !(1..=1_000).contains(&milliseconds) {
            let (what, wanted) = ("the packet socket's block timeout", "1 to 1000 milliseconds");
            return Err(PacketError::Size { what, wanted, given: u64::from(milliseconds) });
        }
        Ok(RingRequest {
            block_bytes: *block_bytes,
            blocks: *blocks,
            frame_bytes: FRAME_BYTES_NOMINAL,
            frames: block_bytes / FRAME_BYTES_NOMINAL * blocks,
            block_timeout_milliseconds: milliseconds,
            private_bytes: 0,
            features: 0,
        })
    }
}

impl Fanout {
    /// The number of the group on an interface.
    pub(super) const fn group_on(self, interface: u32) -> u16 {
        self.group.wrapping_add(interface as u16)
    }

    /// The option's value.
    pub(super) const fn argument(self, interface: u32, outgoing: bool) -> u32 {
        let by = match self.by {
            FanoutBy::Cpu => libc::PACKET_FANOUT_CPU,
            FanoutBy::Flow => libc::PACKET_FANOUT_HASH,
            FanoutBy::Queue => libc::PACKET_FANOUT_QM,
        };
        // A group looks at frames before its sockets do, so that it has to be told as well.
        let ignore = if outgoing { 0 } else { libc::PACKET_FANOUT_FLAG_IGNORE_OUTGOING };
        (by | ignore) << 16 | self.group_on(interface) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_out_of_range_are_named() {
        let refused = |options: Options| options.ring().unwrap_err().to_string();
        let sizes = Options { block_bytes: 1_000_000, ..Options::default() };
        assert_eq!(
            refused(sizes),
            "the packet socket's block size is 1000000: it must be a power of two from 524288 to 16777216 bytes"
        );
        assert!(
            refused(Options { blocks: 1, ..Options::default() }).contains("number of blocks is 1")
        );
        let timeout = Options { block_timeout: Duration::from_secs(2), ..Options::default() };
        assert!(refused(timeout).contains("timeout is 2000"));
        let largest = Options { block_bytes: 1 << 24, blocks: 4_096, ..Options::default() };
        assert_eq!(largest.ring().unwrap().frames, 8_192 * 4_096);
    }

    #[test]
    fn a_group_has_another_number_on_another_interface() {
        let fanout = Fanout { group: 0xffff, by: FanoutBy::Flow };
        assert_eq!((fanout.group_on(1), fanout.group_on(3)), (0, 2));
        assert_eq!(fanout.argument(3, false), 0x4000_0002);
        assert_eq!(Fanout { by: FanoutBy::Cpu, ..fanout }.argument(3, true), 0x0002_0002);
    }
}
