//! Live frames by AF_PACKET: where a driver has no native XDP, and to look at what a port carries.
//!
//! In: an interface's name, [`Options`]. Out: a [`PacketSource`], whose frames are borrowed from a ring in memory
//! shared with the kernel (TPACKET_V3; Documentation/networking/packet_mmap.rst), whole, with the kernel's time in
//! nanoseconds; and the count of what did not fit ([`Statistics`]).
//!
//! Invariants:
//! - A frame is neither copied nor allocated for, and no system call is made while there are frames.
//! - A frame cannot outlive its block: it is borrowed from it, and the block goes back when the borrow ends.
//! - A VLAN tag is in the frame, where it was on the wire. The kernel takes it out; it is put back in place, for
//!   which twelve bytes are moved.
//! - What the kernel offered equals what was handed over, what it dropped, what was abandoned with an interface
//!   that went away, and what is still in the ring.
//! - Nothing is ever sent, and the interface is as it was found once the source is gone, however it goes.
//!
//! Unsafe code is in `ring` only (and below, in `nic::packet_option`).

mod block;
mod error;
mod options;
mod ring;
mod source;

pub use error::PacketError;
pub use options::{Fanout, FanoutBy, Options};
pub use source::{PacketSource, Statistics};
