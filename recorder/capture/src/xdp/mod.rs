//! Live frames by XDP and AF_XDP: the kernel's program picks what is of interest, the packets come through
//! rings in shared memory, without a system call or an allocation each.
//!
//! In: a [`Link`](crate::nic::Link), [`Settings`] (what to look for), directives for known endpoints ([`Endpoints`]).
//! Out: [`Received`] packets with the program's description ([`Meta`]) from a [`Socket`] per receive queue,
//! or from the one ring of [`Copies`] on an interface that is shared with the host; a count for every way a
//! packet can end ([`Counters`], [`Statistics`]).
//!
//! Invariants:
//! - An AF_XDP socket only ever gets the packets of its own queue; queue numbers are socket numbers.
//! - A frame is borrowed for one call and is back with the kernel after the batch: it cannot be kept.
//! - What the kernel program saw equals the sum of its reasons; of what it handed over, a socket received
//!   or counts as dropped each one.
//! - An interface is left as it was found: the program goes with the [`Program`] that attached it, also when
//!   the process is killed. One that runs another program is not touched.
//! - Generic XDP is not used: where a driver has no native XDP, AF_PACKET with TPACKET_V3 costs less (measured
//!   1.6 us a packet against 1.7 to 1.9), so [`Attachment::Unsupported`] sends the caller there.
//!
//! Unsafe code is in `ring` and `umem` only (and below, in `crate::mapping`).

mod clock;
mod copies;
mod counters;
mod endpoints;
mod error;
mod program;
mod ring;
mod settings;
mod socket;
mod umem;

#[cfg(test)]
mod tests;

pub use abi::{
    Class, Directive, Endpoint as EndpointKey, Meta, Reason, Tunnel, Verdict, meta_flags,
};
pub use clock::{Reading, UtcOffset};
pub use copies::Copies;
pub use counters::Counters;
pub use endpoints::{Endpoints, Place, key};
pub use error::XdpError;
pub use program::{Attachment, Program};
pub use settings::{Mode, Settings};
pub use socket::{Binding, Received, Socket, SocketOptions, Statistics, Turn, open_sockets};
