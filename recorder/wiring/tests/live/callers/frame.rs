//! Frames as telephones send them: Ethernet, IPv4, UDP.

use std::net::Ipv4Addr;

pub(crate) const ETHERNET_BYTES: usize = 14;
pub(crate) const IPV4_BYTES: usize = 20;
pub(crate) const UDP_BYTES: usize = 8;

/// Where something comes from or goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) ip: Ipv4Addr,
    pub(crate) port: u16,
}

/// Ethernet around an IPv4 packet.
pub(crate) fn ethernet(frame: &mut Vec<u8>, packet: &[u8]) {
    frame.clear();
    frame.extend([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0]);
    frame.extend(packet);
}

/// A UDP datagram in a frame of its own.
pub(crate) fn udp(frame: &mut Vec<u8>, from: Place, to: Place, payload: &[u8]) {
    let mut datagram = Vec::with_capacity(UDP_BYTES + payload.len());
    datagram.extend([from.port, to.port].map(u16::to_be_bytes).as_flattened());
    datagram.extend(((UDP_BYTES + payload.len()) as u16).to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend(payload);
    frame.clear();
    frame.extend([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0]);
    ipv4(frame, from.ip, to.ip, Part { id: 0, offset: 0, more: false }, 17, &datagram);
}

/// Which part of a datagram an IPv4 packet is.
#[derive(Clone, Copy)]
pub(crate) struct Part {
    pub(crate) id: u16,
    /// In units of 8 bytes.
    pub(crate) offset: u16,
    pub(crate) more: bool,
}

/// Appends an IPv4 packet (RFC 791, 3.1).
pub(crate) fn ipv4(
    to: &mut Vec<u8>,
    source: Ipv4Addr,
    destination: Ipv4Addr,
    part: Part,
    protocol: u8,
    payload: &[u8],
) {
    let mut header = [0; IPV4_BYTES];
    header[0] = 0x45;
    header[2..4].copy_from_slice(&((IPV4_BYTES + payload.len()) as u16).to_be_bytes());
    header[4..6].copy_from_slice(&part.id.to_be_bytes());
    let flags = u16::from(part.more) << 13;
    header[6..8].copy_from_slice(&(flags | part.offset).to_be_bytes());
    header[8] = 64;
    header[9] = protocol;
    header[12..16].copy_from_slice(&source.octets());
    header[16..20].copy_from_slice(&destination.octets());
    let mut sum: u32 =
        header.as_chunks().0.iter().map(|it| u32::from(u16::from_be_bytes(*it))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    header[10..12].copy_from_slice(&(!(sum as u16)).to_be_bytes());
    to.extend(header);
    to.extend(payload);
}
