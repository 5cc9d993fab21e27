//! What both versions of IP come down to: who sends what to whom, in one piece or in several.

use base::{Domain, Endpoint, FlowKey, Outcome};

use crate::link::{Family, Network};
use crate::{ipv4, ipv6};

/// Protocol numbers (IANA, "Assigned Internet Protocol Numbers") that are understood here.
pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;

/// One IP packet: a datagram, or a fragment of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Packet<'a> {
    pub(crate) addresses: Addresses<'a>,
    /// What the payload is. For a fragment: what its header says the datagram's payload begins with.
    pub(crate) protocol: u8,
    /// As much of the payload as was captured, without what the frame carries behind it.
    pub(crate) payload: &'a [u8],
    /// Bytes of the payload on the wire; never less than `payload.len()`.
    pub(crate) wire_bytes: usize,
    /// Which part of its datagram this is, if not the whole.
    pub(crate) fragment: Option<Fragment>,
}

/// Source and destination, as they follow each other in the header. Left there until a flow is named: both
/// endpoints, moved from layer to layer, would cost a tenth of what a frame costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Addresses<'a> {
    V4(&'a [u8; 8]),
    V6(&'a [u8; 32]),
}

impl Addresses<'_> {
    /// The flow between these addresses and the given ports.
    #[inline]
    pub(crate) fn flow(&self, domain: Domain, source_port: u16, destination_port: u16) -> FlowKey {
        // Whole numbers, not arrays of bytes, meet here: those would be merged byte by byte.
        let (source, destination) = match self {
            Self::V4(both) => {
                let both = u64::from_be_bytes(**both);
                (mapped((both >> 32) as u32), mapped(both as u32))
            }
            Self::V6(both) => (
                u128::from_be_bytes(both.first_chunk().copied().unwrap_or_default()),
                u128::from_be_bytes(both.last_chunk().copied().unwrap_or_default()),
            ),
        };
        let source = Endpoint::v6(source.to_be_bytes(), source_port);
        let destination = Endpoint::v6(destination.to_be_bytes(), destination_port);
        FlowKey { domain, source, destination }
    }
}

/// An IPv4-mapped IPv6 address (RFC 4291, 2.5.5.2), as [`Endpoint`] holds it.
#[inline]
fn mapped(address: u32) -> u128 {
    0xffff_0000_0000 | u128::from(address)
}

/// Where a fragment belongs (RFC 791, 3.1; RFC 8200, 4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fragment {
    /// 16 bits in IPv4.
    pub(crate) id: u32,
    /// Of its first byte in the datagram's payload, bytes.
    pub(crate) offset: usize,
    /// Whether others come after it.
    pub(crate) more: bool,
}

/// Parses the IP header that the link layer announced. `missing` says how many bytes the capture cut off
/// the frame.
///
/// # Errors
/// The frame's outcome, if the header is cut or contradicts itself.
#[inline]
pub(crate) fn parse<'a>(network: &Network<'a>, missing: usize) -> Result<Packet<'a>, Outcome> {
    match network.family {
        Family::V4 => ipv4::parse(network.bytes, missing),
        Family::V6 => ipv6::parse(network.bytes, missing),
    }
}

/// Cuts off what comes behind the payload: Ethernet's padding, and its checksum if that was captured.
#[inline]
pub(crate) fn trim(payload: &[u8], wire_bytes: usize) -> &[u8] {
    payload.get(..wire_bytes).unwrap_or(payload)
}
