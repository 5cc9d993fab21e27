//! Ethernet, IPv4 and UDP around a payload, with right lengths and checksums; RTP and RTCP.

use super::plan::{PACKET_UNITS, Party};

const ETHERNET_BYTES: usize = 14;
const IPV4_BYTES: usize = 20;
const UDP_BYTES: usize = 8;
const RTP_BYTES: usize = 12;
const HEADER_BYTES: usize = ETHERNET_BYTES + IPV4_BYTES + UDP_BYTES;
const ETHERTYPE_IPV4: [u8; 2] = [0x08, 0x00];
const DONT_FRAGMENT: u16 = 0x4000;
const UDP: u8 = 17;
/// Seconds from 1900 (RFC 3550, 4) to 1970.
const NTP_EPOCH: u64 = 2_208_988_800;

/// A network interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Host {
    pub(super) mac: [u8; 6],
    pub(super) ip: [u8; 4],
}

/// Sender or receiver of a datagram.
#[derive(Clone, Copy)]
pub(super) struct Port(pub(super) Host, pub(super) u16);

/// The type of service octet (RFC 2474): what telephones mark their packets with.
#[derive(Clone, Copy)]
pub(super) enum Service {
    /// CS3.
    Signalling = 0x60,
    /// Expedited forwarding.
    Media = 0xb8,
}

impl Host {
    /// With a locally administered MAC made from the address.
    pub(super) const fn new(ip: [u8; 4]) -> Self {
        let [a, b, c, d] = ip;
        Self { mac: [2, 0, a, b, c, d], ip }
    }
}

/// Appends a frame with `payload` to `out` and returns its length.
pub(super) fn udp(
    out: &mut Vec<u8>,
    (from, to): (Port, Port),
    service: Service,
    ip_id: u16,
    payload: &[&[u8]],
) -> usize {
    let payload_bytes: usize = payload.iter().map(|part| part.len()).sum();
    let udp_bytes = (UDP_BYTES + payload_bytes) as u16;
    let start = out.len();
    out.reserve(HEADER_BYTES + payload_bytes);
    out.extend_from_slice(&to.0.mac);
    out.extend_from_slice(&from.0.mac);
    out.extend_from_slice(&ETHERTYPE_IPV4);
    ipv4(out, (from.0.ip, to.0.ip), service, ip_id, udp_bytes);
    for field in [from.1, to.1, udp_bytes, udp_checksum(from, to, udp_bytes, payload)] {
        out.extend_from_slice(&field.to_be_bytes());
    }
    payload.iter().for_each(|part| out.extend_from_slice(part));
    out.len() - start
}

/// RFC 791, 3.1.
fn ipv4(
    out: &mut Vec<u8>,
    (from, to): ([u8; 4], [u8; 4]),
    service: Service,
    id: u16,
    udp_bytes: u16,
) {
    let first = u16::from_be_bytes([0x45, service as u8]);
    let hops_and_protocol = u16::from_be_bytes([64, UDP]);
    let fields = [first, IPV4_BYTES as u16 + udp_bytes, id, DONT_FRAGMENT, hops_and_protocol];
    let sum: u64 = fields.into_iter().map(u64::from).sum();
    let checksum = !fold(sum + sum_of_words(&from) + sum_of_words(&to));
    fields
        .into_iter()
        .chain([checksum])
        .for_each(|field| out.extend_from_slice(&field.to_be_bytes()));
    out.extend_from_slice(&from);
    out.extend_from_slice(&to);
}

/// RFC 768: over a pseudo header, the header and the data; a sum of zero is sent as all ones.
fn udp_checksum(from: Port, to: Port, udp_bytes: u16, payload: &[&[u8]]) -> u16 {
    let ports = u64::from(from.1) + u64::from(to.1);
    let pseudo =
        sum_of_words(&from.0.ip) + sum_of_words(&to.0.ip) + u64::from(UDP) + u64::from(udp_bytes);
    // Parts before the last have an even length.
    let data: u64 = payload.iter().map(|part| sum_of_words(part)).sum();
    match !fold(pseudo + ports + u64::from(udp_bytes) + data) {
        0 => 0xffff,
        checksum => checksum,
    }
}

/// Big-endian 16-bit words, an odd last byte padded with zero.
fn sum_of_words(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<2>();
    let sum: u32 = words.iter().map(|word| u32::from(u16::from_be_bytes(*word))).sum();
    u64::from(sum) + rest.first().map_or(0, |last| u64::from(*last) << 8)
}

fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// RFC 3550, 5.1: the header of the packet `index` of `party`; the first one carries the marker
/// (RFC 3551, 4.1: the beginning of a talkspurt).
pub(super) fn rtp_header(party: &Party, payload_type: u8, index: u32) -> [u8; RTP_BYTES] {
    let marker = if index == 0 { 0x80 } else { 0 };
    let [sequence_high, sequence_low] =
        party.first_sequence.wrapping_add(index as u16).to_be_bytes();
    let [t0, t1, t2, t3] =
        party.first_timestamp.wrapping_add(index.wrapping_mul(PACKET_UNITS)).to_be_bytes();
    let [s0, s1, s2, s3] = party.ssrc.to_be_bytes();
    [0x80, marker | payload_type, sequence_high, sequence_low, t0, t1, t2, t3, s0, s1, s2, s3]
}

/// RFC 3550, 6.4.1 and 6.5: a sender report and the canonical name, of `party` at the time `now`, after
/// `packets` packets.
pub(super) fn rtcp(party: &Party, now: u64, packets: u32) -> Vec<u8> {
    let name = format!("{}@{}", party.number, party.media().ip());
    let since_first = (now - party.first_time) / 125_000;
    let mut report = vec![0x80, 200, 0, 6];
    report.extend(party.ssrc.to_be_bytes());
    report.extend(((now / 1_000_000_000 + NTP_EPOCH) as u32).to_be_bytes());
    report.extend(
        (((now % 1_000_000_000) << 32) / 1_000_000_000).to_be_bytes().get(4..).unwrap_or_default(),
    );
    report.extend(party.first_timestamp.wrapping_add(since_first as u32).to_be_bytes());
    report.extend(packets.to_be_bytes());
    report.extend(packets.wrapping_mul(PACKET_UNITS).to_be_bytes());
    let words = (4 + 2 + name.len() + 1).div_ceil(4);
    let end = report.len() + 4 + 4 * words;
    report.extend([0x81, 202, 0, words as u8]);
    report.extend(party.ssrc.to_be_bytes());
    report.extend([1, name.len() as u8]);
    report.extend(name.bytes());
    report.resize(end, 0);
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a receiver does: the sum over everything, checksum included, is all ones.
    #[test]
    fn checksums_add_up() {
        let (from, to) =
            (Port(Host::new([10, 1, 2, 3]), 5060), Port(Host::new([172, 16, 0, 9]), 40_000));
        for payload in [&b"an odd one"[..9], b"even", b"", &[0xff; 1_201]] {
            let mut frame = Vec::new();
            let length = udp(&mut frame, (from, to), Service::Media, 0xbeef, &[b"header", payload]);
            assert_eq!(length, frame.len());
            let (ip, udp) = frame[14..].split_at(20);
            assert_eq!(fold(sum_of_words(ip)), 0xffff);
            let pseudo = sum_of_words(&ip[12..]) + u64::from(UDP) + udp.len() as u64;
            assert_eq!(fold(pseudo + sum_of_words(udp)), 0xffff);
        }
    }
}
