//! What the XDP program (`ebpf/program`) and user space (`capture::xdp`) say to each other.
//!
//! Types in, types out: [`Config`] and [`Endpoint`] -> [`Directive`] go down into maps; [`Meta`] in front
//! of each selected packet, [`CopyHeader`] in front of each copied one, and a count per [`Reason`] come up.
//!
//! Invariants: every type is `repr(C)`, little-endian, without padding, and its size and offsets are
//! asserted below at compile time, because the committed object was built from this file and a silent
//! change would misread every packet. Numbers are in host order, unlike in the packets they came from.
//! An IPv4 address is held IPv4-mapped (RFC 4291, 2.5.5.2), as everywhere in Spanreel.
#![no_std]
#![forbid(unsafe_code)]

pub mod bench;
mod config;
mod endpoint;
mod meta;
mod reason;
pub mod transmit;

pub use config::{Config, flags as config_flags};
pub use endpoint::{Directive, Endpoint, Fragment, Verdict};
pub use meta::{COPY_DATA_BYTES, Class, CopyHeader, META_BYTES, Meta, Tunnel, flags as meta_flags};
pub use reason::{COUNTERS, Reason, SEEN};

#[cfg(not(target_endian = "little"))]
compile_error!("the BPF object is little-endian (bpfel), and so must be its user");

/// Names of programs and maps in the object.
pub mod names {
    /// The program for a port of our own: redirects what is selected to the queue's AF_XDP socket.
    pub const SPAN: &str = "span";
    /// The program for a port shared with the host: copies what is selected, passes everything.
    pub const SHARED: &str = "shared";
    /// Array, one [`Config`](crate::Config).
    pub const CONFIG: &str = "CONFIG";
    /// Hash, [`Endpoint`](crate::Endpoint) to [`Directive`](crate::Directive).
    pub const ENDPOINTS: &str = "ENDPOINTS";
    /// Least-recently-used hash of datagrams whose first fragment was not selected.
    pub const UNWANTED: &str = "UNWANTED";
    /// Per-CPU array, one `[u64; COUNTERS]`.
    pub const COUNTS: &str = "COUNTS";
    /// AF_XDP sockets by receive queue.
    pub const SOCKETS: &str = "SOCKETS";
    /// Ring buffer of copies ([`SHARED`] only).
    pub const COPIES: &str = "COPIES";
}

/// Limits that the program is built with.
pub mod limits {
    /// VLAN tags on one Ethernet header, like `base::limits::VLAN_TAGS_MAX`.
    pub const VLAN_TAGS_MAX: usize = 4;
    /// IPv6 extension headers on one packet, like `base::limits::IPV6_EXTENSIONS_MAX`.
    pub const IPV6_EXTENSIONS_MAX: usize = 8;
    /// Tunnels inside one another.
    pub const TUNNELS_MAX: usize = 2;
    /// Where the innermost payload may begin at the latest.
    pub const HEADER_BYTES_MAX: u32 = 2047;
    /// Receive queues with a socket.
    pub const QUEUES_MAX: u32 = 256;
    /// Endpoints unless the loader says otherwise.
    pub const ENDPOINTS_MAX: u32 = 65_536;
    /// Datagrams remembered as unwanted.
    pub const UNWANTED_MAX: u32 = 8_192;
    /// How long an unwanted datagram's identification means that datagram and not the next one (the
    /// identification is 16 bits, and a busy sender wraps within seconds).
    pub const UNWANTED_NANOSECONDS_MAX: u64 = 2_000_000_000;
    /// The ring of copies unless the loader says otherwise.
    pub const COPIES_BYTES: u32 = 16 * 1024 * 1024;
}
