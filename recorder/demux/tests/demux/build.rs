//! Builds frames with pnet's packet views, which share no code with what they are to test.

use std::net::{IpAddr, SocketAddr};

use base::{Endpoint, FlowKey, Timestamp};
use capture::{Frame, LinkType};
use pnet_packet::ethernet::{EtherType, MutableEthernetPacket};
use pnet_packet::ip::IpNextHeaderProtocol;
use pnet_packet::ipv4::{self, MutableIpv4Packet};
use pnet_packet::ipv6::MutableIpv6Packet;
use pnet_packet::tcp::MutableTcpPacket;
use pnet_packet::udp::MutableUdpPacket;

pub(crate) const UDP: u8 = 17;
pub(crate) const TCP: u8 = 6;

/// A whole frame at a time in nanoseconds.
pub(crate) fn frame(link: LinkType, nanos: u64, data: &[u8]) -> Frame<'_> {
    let wire_bytes = u32::try_from(data.len()).unwrap();
    Frame { time: Timestamp::from_nanos(nanos), link, data, wire_bytes, number: 1 }
}

/// The flow between two `address:port`.
pub(crate) fn flow(source: &str, destination: &str) -> FlowKey {
    let endpoint = |text: &str| text.parse::<Endpoint>().unwrap();
    FlowKey { source: endpoint(source), destination: endpoint(destination), ..FlowKey::default() }
}

/// An IP packet, of the version that the addresses have.
pub(crate) fn ip(source: IpAddr, destination: IpAddr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap();
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let mut bytes = vec![0; 20 + payload.len()];
            let mut packet = MutableIpv4Packet::new(&mut bytes).unwrap();
            packet.set_version(4);
            packet.set_header_length(5);
            packet.set_total_length(20 + length);
            packet.set_ttl(64);
            packet.set_next_level_protocol(IpNextHeaderProtocol(protocol));
            packet.set_source(source);
            packet.set_destination(destination);
            packet.set_payload(payload);
            packet.set_checksum(ipv4::checksum(&packet.to_immutable()));
            bytes
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let mut bytes = vec![0; 40 + payload.len()];
            let mut packet = MutableIpv6Packet::new(&mut bytes).unwrap();
            packet.set_version(6);
            packet.set_payload_length(length);
            packet.set_next_header(IpNextHeaderProtocol(protocol));
            packet.set_hop_limit(64);
            packet.set_source(source);
            packet.set_destination(destination);
            packet.set_payload(payload);
            bytes
        }
        _ => panic!("one version on both sides"),
    }
}

fn addresses(source: &str, destination: &str) -> (SocketAddr, SocketAddr) {
    (source.parse().unwrap(), destination.parse().unwrap())
}

/// A UDP datagram with its header.
pub(crate) fn udp_datagram(source: &str, destination: &str, payload: &[u8]) -> Vec<u8> {
    let (source, destination) = addresses(source, destination);
    let mut bytes = vec![0; 8 + payload.len()];
    let mut packet = MutableUdpPacket::new(&mut bytes).unwrap();
    packet.set_source(source.port());
    packet.set_destination(destination.port());
    packet.set_length(u16::try_from(8 + payload.len()).unwrap());
    packet.set_payload(payload);
    bytes
}

/// An IP packet with a UDP datagram in it.
pub(crate) fn udp(source: &str, destination: &str, payload: &[u8]) -> Vec<u8> {
    let datagram = udp_datagram(source, destination, payload);
    let (source, destination) = addresses(source, destination);
    ip(source.ip(), destination.ip(), UDP, &datagram)
}

/// What a TCP segment says of itself.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Segment<'a> {
    pub(crate) sequence: u32,
    pub(crate) acknowledgment: Option<u32>,
    /// FIN 1, SYN 2, RST 4.
    pub(crate) flags: u8,
    pub(crate) payload: &'a [u8],
}

/// An IP packet with a TCP segment in it.
pub(crate) fn tcp(source: &str, destination: &str, segment: Segment<'_>) -> Vec<u8> {
    let (source, destination) = addresses(source, destination);
    let mut bytes = vec![0; 20 + segment.payload.len()];
    let mut packet = MutableTcpPacket::new(&mut bytes).unwrap();
    packet.set_source(source.port());
    packet.set_destination(destination.port());
    packet.set_sequence(segment.sequence);
    packet.set_acknowledgement(segment.acknowledgment.unwrap_or(0));
    packet.set_flags(segment.flags | if segment.acknowledgment.is_some() { 0x10 } else { 0 });
    packet.set_data_offset(5);
    packet.set_payload(segment.payload);
    ip(source.ip(), destination.ip(), TCP, &bytes)
}

/// An Ethernet frame around an IP packet.
pub(crate) fn ethernet(packet: &[u8]) -> Vec<u8> {
    let ethertype = if packet[0] >> 4 == 4 { 0x0800 } else { 0x86dd };
    let mut bytes = vec![0; 14 + packet.len()];
    let mut frame = MutableEthernetPacket::new(&mut bytes).unwrap();
    frame.set_ethertype(EtherType(ethertype));
    frame.set_payload(packet);
    bytes
}

/// An Ethernet frame around an IP packet, with VLAN tags (EtherType and identifier), outermost first.
pub(crate) fn tagged(tags: &[(u16, u16)], packet: &[u8]) -> Vec<u8> {
    let mut frame = ethernet(packet);
    let tags = tags.iter().flat_map(|(ethertype, id)| [ethertype.to_be_bytes(), id.to_be_bytes()]);
    let tags: Vec<u8> = tags.flatten().collect();
    frame.splice(12..12, tags);
    frame
}

/// The fragments of an IP packet that carries more than `payload_bytes` (a multiple of 8), in order. In
/// IPv6 each gets a fragment header.
pub(crate) fn fragments(packet: &[u8], id: u16, payload_bytes: usize) -> Vec<Vec<u8>> {
    let header_bytes = if packet[0] >> 4 == 4 { 20 } else { 40 };
    let (header, payload) = packet.split_at(header_bytes);
    let pieces = payload.chunks(payload_bytes).enumerate();
    let piece = |(index, piece): (usize, &[u8])| {
        let offset = index * payload_bytes;
        let more = offset + piece.len() < payload.len();
        fragment(header, id, offset, more, piece)
    };
    pieces.map(piece).collect()
}

/// One fragment under the header of the whole packet.
pub(crate) fn fragment(header: &[u8], id: u16, offset: usize, more: bool, piece: &[u8]) -> Vec<u8> {
    let offset = u16::try_from(offset).unwrap();
    let mut bytes = header.to_vec();
    if header.len() == 20 {
        bytes.extend_from_slice(piece);
        let mut packet = MutableIpv4Packet::new(&mut bytes).unwrap();
        packet.set_total_length(u16::try_from(20 + piece.len()).unwrap());
        packet.set_identification(id);
        packet.set_flags(u8::from(more));
        packet.set_fragment_offset(offset / 8);
    } else {
        let place = (offset | u16::from(more)).to_be_bytes();
        bytes.extend([header[6], 0, place[0], place[1], 0, 0]);
        bytes.extend(id.to_be_bytes());
        bytes.extend_from_slice(piece);
        let mut packet = MutableIpv6Packet::new(&mut bytes).unwrap();
        packet.set_payload_length(u16::try_from(8 + piece.len()).unwrap());
        packet.set_next_header(IpNextHeaderProtocol(44));
    }
    bytes
}

/// A SIP message with a body of so many bytes, which need not end with a line.
pub(crate) fn sip(call_id: &str, body_bytes: usize) -> Vec<u8> {
    let body: Vec<u8> =
        b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\n".iter().copied().cycle().take(body_bytes).collect();
    let head = format!(
        "INVITE sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/TCP 192.0.2.1\r\nCall-ID: {call_id}\r\n\
         Content-Length: {body_bytes}\r\n\r\n"
    );
    [head.into_bytes(), body].concat()
}

/// An RTP packet of G.711, with this sequence number.
pub(crate) fn rtp(sequence: u16) -> Vec<u8> {
    let [high, low] = sequence.to_be_bytes();
    [&[0x80, 0, high, low, 0, 0, 0, 0, 1, 2, 3, 4][..], &[0xd5; 160]].concat()
}
