//! Packets, layer by layer: `ethernet(IPV4, &ipv4(UDP, &udp(4000, 5060, b"...")))`.

pub(super) const IPV4: u16 = 0x0800;
pub(super) const IPV6: u16 = 0x86dd;
pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;
pub(super) const GRE: u8 = 47;

/// The addresses of all packets here, and the IPv4-mapped or IPv6 form of the destination.
pub(super) const SOURCE: [u8; 4] = [192, 0, 2, 1];
pub(super) const DESTINATION: [u8; 4] = [198, 51, 100, 7];
pub(super) const SOURCE6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
pub(super) const DESTINATION6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];

/// A SIP request and a G.711 packet of 20 ms.
pub(super) const SIP: &[u8] = b"OPTIONS sip:a@example.com SIP/2.0\r\nCall-ID: 1\r\n\r\n";

pub(super) fn rtp() -> Vec<u8> {
    let mut packet = vec![0x80, 0, 0x12, 0x34, 0, 0, 0, 160, 0xde, 0xad, 0xbe, 0xef];
    packet.resize(12 + 160, 0xff);
    packet
}

pub(super) fn rtcp() -> Vec<u8> {
    let mut packet = vec![0x80, 200, 0, 6];
    packet.resize(28, 1);
    packet
}

pub(super) fn ethernet(kind: u16, body: &[u8]) -> Vec<u8> {
    tagged(&[], kind, body)
}

/// Ethernet with tags: a tag's EtherType and its VLAN id, outermost first.
pub(super) fn tagged(tags: &[(u16, u16)], kind: u16, body: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
    for (tag, id) in tags {
        frame.extend(tag.to_be_bytes());
        frame.extend((id | 0xa000).to_be_bytes()); // priority 5
    }
    frame.extend(kind.to_be_bytes());
    frame.extend(body);
    frame
}

pub(super) fn ipv4(protocol: u8, body: &[u8]) -> Vec<u8> {
    ipv4_part(protocol, 0x1111, 0, &[], body)
}

/// IPv4 with identification, flags and fragment offset as one field, and options.
pub(super) fn ipv4_part(
    protocol: u8,
    id: u16,
    offset: u16,
    options: &[u8],
    body: &[u8],
) -> Vec<u8> {
    let header = 20 + options.len();
    let mut packet = vec![0x40 | (header / 4) as u8, 0];
    packet.extend((header as u16 + body.len() as u16).to_be_bytes());
    packet.extend(id.to_be_bytes());
    packet.extend(offset.to_be_bytes());
    packet.extend([64, protocol, 0, 0]);
    packet.extend(SOURCE);
    packet.extend(DESTINATION);
    packet.extend(options);
    packet.extend(body);
    packet
}

/// IPv6; `next` is the protocol of `body`, which can begin with extensions.
pub(super) fn ipv6(next: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend((body.len() as u16).to_be_bytes());
    packet.extend([next, 64]);
    packet.extend(SOURCE6);
    packet.extend(DESTINATION6);
    packet.extend(body);
    packet
}

/// An extension header of `8 * (1 + words)` bytes in front of `body`.
pub(super) fn extension(next: u8, words: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![next, words];
    bytes.resize(8 * (1 + usize::from(words)), 0);
    bytes.extend(body);
    bytes
}

/// An IPv6 fragment header: offset in units of 8 bytes, and whether more follow.
pub(super) fn fragment6(next: u8, offset: u16, more: bool, id: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![next, 0];
    bytes.extend((offset << 3 | u16::from(more)).to_be_bytes());
    bytes.extend(id.to_be_bytes());
    bytes.extend(body);
    bytes
}

pub(super) fn udp(source: u16, destination: u16, payload: &[u8]) -> Vec<u8> {
    let mut datagram = Vec::new();
    datagram.extend(source.to_be_bytes());
    datagram.extend(destination.to_be_bytes());
    datagram.extend((8 + payload.len() as u16).to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend(payload);
    datagram
}

/// TCP with so many bytes of options, a multiple of four.
pub(super) fn tcp(source: u16, destination: u16, options: usize, payload: &[u8]) -> Vec<u8> {
    let mut segment = Vec::new();
    segment.extend(source.to_be_bytes());
    segment.extend(destination.to_be_bytes());
    segment.extend([0; 8]);
    segment.extend([((5 + options / 4) << 4) as u8, 0x18, 0xff, 0xff, 0, 0, 0, 0]);
    segment.resize(20 + options, 1);
    segment.extend(payload);
    segment
}

/// GRE with flags, protocol type, the optional fields, and what it carries.
pub(super) fn gre(flags: u16, kind: u16, fields: &[u8], body: &[u8]) -> Vec<u8> {
    let mut packet = flags.to_be_bytes().to_vec();
    packet.extend(kind.to_be_bytes());
    packet.extend(fields);
    packet.extend(body);
    packet
}

pub(super) fn vxlan(flags: u8, vni: u32, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![flags, 0, 0, 0];
    packet.extend((vni << 8).to_be_bytes());
    packet.extend(body);
    packet
}

/// Geneve: its first two bytes without the options' length, protocol type, VNI, options.
pub(super) fn geneve(first: [u8; 2], kind: u16, vni: u32, options: &[u8], body: &[u8]) -> Vec<u8> {
    let mut packet = vec![first[0] | (options.len() / 4) as u8, first[1]];
    packet.extend(kind.to_be_bytes());
    packet.extend((vni << 8).to_be_bytes());
    packet.extend(options);
    packet.extend(body);
    packet
}
