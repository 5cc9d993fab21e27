//! Packets built around a UDP payload: the headers that a flow's datagrams had, as far as a flow knows them.

use std::net::IpAddr;

use base::{Endpoint, FlowKey};

const IPV4_HEADER_BYTES: usize = 20;
const IPV6_HEADER_BYTES: usize = 40;
const UDP_HEADER_BYTES: usize = 8;
const UDP: u8 = 17;
const HOP_LIMIT: u8 = 64;

/// The largest payload that an IPv4 datagram can carry; IPv6 would have room for 20 bytes more.
pub const UDP_PAYLOAD_BYTES_MAX: usize = u16::MAX as usize - IPV4_HEADER_BYTES - UDP_HEADER_BYTES;

/// Replaces `packet` by an IPv4 (RFC 791) or IPv6 (RFC 8200) packet with a UDP datagram (RFC 768) of
/// `wire_bytes` of payload, of which `payload` was captured. Returns the bytes that the packet has on the
/// wire: more than `packet.len()` if the payload was cut.
///
/// Checksums are right; a cut payload's cannot be known and is 0, for "none". What is over
/// [`UDP_PAYLOAD_BYTES_MAX`] is left off.
pub fn udp_packet(key: &FlowKey, payload: &[u8], wire_bytes: u16, packet: &mut Vec<u8>) -> u32 {
    let payload = payload.get(..UDP_PAYLOAD_BYTES_MAX).unwrap_or(payload);
    let wire_bytes = usize::from(wire_bytes).clamp(payload.len(), UDP_PAYLOAD_BYTES_MAX);
    let datagram_bytes = UDP_HEADER_BYTES + wire_bytes;
    packet.clear();
    let ip_header_bytes = ip_header(key, datagram_bytes, packet);
    let checksum = if payload.len() == wire_bytes { udp_checksum(key, payload) } else { 0 };
    packet.extend(key.source.port().to_be_bytes());
    packet.extend(key.destination.port().to_be_bytes());
    packet.extend((datagram_bytes as u16).to_be_bytes());
    packet.extend(checksum.to_be_bytes());
    packet.extend(payload);
    (ip_header_bytes + datagram_bytes) as u32
}

/// An Ethernet II header for packets of this flow. Each address gets a locally administered MAC address
/// of its own, so that the same host is the same station throughout a capture.
#[must_use]
pub fn ethernet_header(key: &FlowKey) -> [u8; 14] {
    let [d0, d1, d2, d3, d4, d5] = mac_address(key.destination);
    let [s0, s1, s2, s3, s4, s5] = mac_address(key.source);
    let [t0, t1] = if addresses(key).is_some() { [0x08, 0x00] } else { [0x86, 0xdd] };
    [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, t0, t1]
}

fn mac_address(endpoint: Endpoint) -> [u8; 6] {
    let [.., a, b, c, d] = endpoint.octets();
    // The lowest bits of the first byte: locally administered, one station.
    [0x02, 0x00, a, b, c, d]
}

/// The IPv4 addresses of a flow; `None` if it is one of IPv6.
fn addresses(key: &FlowKey) -> Option<([u8; 4], [u8; 4])> {
    match (key.source.ip(), key.destination.ip()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            Some((source.octets(), destination.octets()))
        }
        _ => None,
    }
}

/// Appends the IP header of a packet with a datagram of `datagram_bytes`; returns its length.
fn ip_header(key: &FlowKey, datagram_bytes: usize, packet: &mut Vec<u8>) -> usize {
    let Some((source, destination)) = addresses(key) else {
        packet.extend([0x60, 0, 0, 0]);
        packet.extend((datagram_bytes as u16).to_be_bytes());
        packet.extend([UDP, HOP_LIMIT]);
        packet.extend(key.source.octets());
        packet.extend(key.destination.octets());
        return IPV6_HEADER_BYTES;
    };
    let [high, low] = ((IPV4_HEADER_BYTES + datagram_bytes) as u16).to_be_bytes();
    let [s0, s1, s2, s3] = source;
    let [d0, d1, d2, d3] = destination;
    // Not fragmented, so that the identification may be 0 (RFC 6864, 4.1).
    let mut header =
        [0x45, 0, high, low, 0, 0, 0x40, 0, HOP_LIMIT, UDP, 0, 0, s0, s1, s2, s3, d0, d1, d2, d3];
    [header[10], header[11]] = (!fold(sum(&header))).to_be_bytes();
    packet.extend(header);
    IPV4_HEADER_BYTES
}

/// The checksum over pseudo-header, header and payload (RFC 768; RFC 8200, 8.1).
fn udp_checksum(key: &FlowKey, payload: &[u8]) -> u16 {
    let datagram_bytes = (UDP_HEADER_BYTES + payload.len()) as u64;
    // An IPv4 address is held with a prefix of zeros and 0xffff, which is zero in one's complement too.
    let addresses = sum(&key.source.octets()) + sum(&key.destination.octets());
    let ports = u64::from(key.source.port()) + u64::from(key.destination.port());
    // The length stands in the pseudo-header and in the header.
    match !fold(addresses + u64::from(UDP) + ports + 2 * datagram_bytes + sum(payload)) {
        0 => 0xffff,
        checksum => checksum,
    }
}

/// A sum that [`fold`]s to the one's complement sum of the 16-bit words of `bytes` (RFC 1071): words of 32
/// bits are two of 16, as 2^16 is 1 there.
fn sum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<4>();
    let mut last = [0; 4];
    last.iter_mut().zip(rest).for_each(|(place, byte)| *place = *byte);
    words.iter().chain([&last]).map(|word| u64::from(u32::from_be_bytes(*word))).sum()
}

fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(source: &str, destination: &str) -> FlowKey {
        let (source, destination) = (source.parse().unwrap(), destination.parse().unwrap());
        FlowKey { source, destination, ..FlowKey::default() }
    }

    /// RFC 1071, by its letter: 16-bit words, carries added back.
    fn plain_checksum(parts: &[&[u8]]) -> u16 {
        let mut bytes = parts.concat();
        bytes.resize(bytes.len().next_multiple_of(2), 0);
        let sum = bytes.chunks(2).fold(0_u32, |sum, word| {
            let sum = sum + u32::from(u16::from_be_bytes([word[0], word[1]]));
            (sum & 0xffff) + (sum >> 16)
        });
        !(sum as u16)
    }

    #[test]
    fn an_ipv4_packet_has_every_field_and_both_checksums() {
        let mut packet = vec![9; 9];
        for length in 0..40_u8 {
            let payload: Vec<u8> = (100..100 + length).collect();
            let flow = key("192.0.2.1:5060", "198.51.100.255:65535");
            let wire_bytes = udp_packet(&flow, &payload, length.into(), &mut packet);
            assert_eq!(wire_bytes as usize, packet.len());
            assert_eq!(packet[..4], [0x45, 0, 0, 28 + length]);
            assert_eq!(
                plain_checksum(&[&packet[..20]]),
                0,
                "a header sums to zero with its checksum"
            );
            assert_eq!(packet[12..20], [192, 0, 2, 1, 198, 51, 100, 255]);
            assert_eq!(packet[20..26], [0x13, 0xc4, 0xff, 0xff, 0, 8 + length]);
            let pseudo = [&packet[12..20], &[0, 17, 0, 8 + length]].concat();
            assert_eq!(plain_checksum(&[&pseudo, &packet[20..]]), 0);
            assert_eq!(packet[28..], payload);
        }
    }

    #[test]
    fn an_ipv6_packet_has_every_field_and_its_checksum() {
        let mut packet = Vec::new();
        let flow = key("[2001:db8::1]:4000", "[fe80::ffff:7]:4002");
        assert_eq!(udp_packet(&flow, b"hello", 5, &mut packet), 53);
        assert_eq!(packet[..8], [0x60, 0, 0, 0, 0, 13, 17, 64]);
        let pseudo = [&packet[8..40], &[0, 0, 0, 13, 0, 0, 0, 17]].concat();
        assert_eq!(plain_checksum(&[&pseudo, &packet[40..]]), 0);
        assert_eq!(packet[48..], *b"hello");
        assert_eq!(ethernet_header(&flow)[12..], [0x86, 0xdd]);
    }

    #[test]
    fn a_checksum_of_zero_is_sent_as_ones() {
        let flow = key("0.0.0.0:0", "0.0.0.0:0");
        // 17, twice the length of 10, and this: 0xffff.
        let payload = (0xffff - 17 - 20_u16).to_be_bytes();
        let mut packet = Vec::new();
        udp_packet(&flow, &payload, 2, &mut packet);
        assert_eq!(packet[26..28], [0xff, 0xff]);
    }

    #[test]
    fn a_cut_payload_keeps_its_length_on_the_wire() {
        let mut packet = Vec::new();
        let wire_bytes = udp_packet(&key("192.0.2.1:1", "192.0.2.2:2"), b"cut", 1_000, &mut packet);
        assert_eq!((wire_bytes, packet.len()), (1_028, 31));
        assert_eq!(packet[2..4], 1_028_u16.to_be_bytes());
        assert_eq!(packet[24..28], [0x03, 0xf0, 0, 0]);
    }

    #[test]
    fn a_payload_past_the_largest_datagram_is_cut_there() {
        let mut packet = Vec::new();
        let flow = key("192.0.2.1:1", "192.0.2.2:2");
        assert_eq!(udp_packet(&flow, &[0; 70_000], u16::MAX, &mut packet), 65_535);
        assert_eq!((packet.len(), &packet[2..4]), (65_535, &[0xff, 0xff][..]));
    }

    #[test]
    fn a_host_is_the_same_station_both_ways() {
        let flow = key("192.0.2.1:1", "192.0.2.2:2");
        let (there, back) = (ethernet_header(&flow), ethernet_header(&flow.reversed()));
        assert_eq!((&there[..6], &there[6..12]), (&back[6..12], &back[..6]));
        assert_eq!(there[6..], [0x02, 0, 192, 0, 2, 1, 0x08, 0x00]);
    }
}
