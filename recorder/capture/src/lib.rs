//! Where frames come from: capture files now, and the network interface behind the same trait.
//!
//! In: files in the pcap, pcapng, ERF and Network Monitor 2 formats, plain or compressed; several of them
//! are read in the order of time ([`merge`]), at the pace at which they were captured if wanted ([`pace`]).
//! Out: [`Frame`]s (borrowed bytes, arrival time, link type) from a [`Source`], and errors that say which
//! packet of which file could not be read. [`write`](mod@write) makes capture files and the packets in them.
//! Live frames come from [`packet_socket`] and [`xdp`]; [`nic`] knows the interface they come from. [`memory`]
//! is what packets are copied into: blocks of it outlive the process if wanted. [`transmit`] sends, for measurements,
//! on interfaces that were made for them.
//!
//! Invariants:
//! - A source's memory does not depend on how much it reads, nor on what the file claims about itself.
//! - Every whole record before damage or a premature end is delivered; then the error comes, once.
//! - The frames of one file keep their order, whatever their times say.
//! - A frame is never copied between the read buffer and its receiver, and never allocated for.
#![deny(unsafe_code)] // expected in rings, memory and system calls of `memory`, `nic`, `packet_socket`, `transmit`, `xdp` only

mod error;
pub mod file;
mod frame;
mod mapping;
pub mod memory;
pub mod merge;
pub mod nic;
pub mod pace;
pub mod packet_socket;
mod precedence;
mod prefetch;
pub mod transmit;
pub mod write;
pub mod xdp;

pub use error::CaptureError;
pub use file::FileSource;
pub use frame::{Frame, LinkType, Poll, Source, Taker};
pub use merge::Merged;
pub use packet_socket::PacketSource;
pub use precedence::Precedence;
pub use prefetch::{prefetch, prefetch_bytes, prefetch_to_write};
