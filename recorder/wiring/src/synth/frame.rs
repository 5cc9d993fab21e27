//! Ethernet, IPv4 and UDP around a payload, with right lengths and checksums; RTP and RTCP.

use base::Side;

use super::plan::{Call, PACKET_NANOS, PACKET_UNITS, Party};
use super::sip::Message;

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
    checksum_or_ones(pseudo + ports + u64::from(udp_bytes) + data)
}

/// Big-endian 16-bit words, an odd last byte padded with zero. The sum may be folded.
#[inline]
fn sum_of_words(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<2>();
    // Added in whatever order of bytes the machine has, the sum has that order too (RFC 1071, 2, B).
    let sum: u32 = words.iter().map(|word| u32::from(u16::from_ne_bytes(*word))).sum();
    let sum = u16::from_be_bytes(fold(sum.into()).to_ne_bytes());
    u64::from(sum) + rest.first().map_or(0, |last| u64::from(*last) << 8)
}

#[inline]
fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// The frames of one RTP stream, which differ in some fields only.
#[derive(Clone)]
pub(super) struct Template {
    /// Of the next packet, the checksums of the one before.
    headers: [u8; RTP_FRAME_HEADER_BYTES],
    first_sequence: u16,
    first_timestamp: u32,
    ip_id: u16,
    /// Sums of what is the same in all: of the IP header, and of what the UDP checksum is over.
    ip_sum: u64,
    udp_sum: u64,
}

/// Ethernet, IPv4, UDP, RTP.
pub(super) const RTP_FRAME_HEADER_BYTES: usize = HEADER_BYTES + RTP_BYTES;
const IP_AT: usize = ETHERNET_BYTES;
const UDP_AT: usize = ETHERNET_BYTES + IPV4_BYTES;

impl Template {
    /// Of the packets of `party` to `to`, with payloads of one length.
    pub(super) fn new(party: &Party, to: &Party, payload_type: u8, payload_bytes: usize) -> Self {
        let mut frame = Vec::new();
        let ports = (party.media_port(), to.media_port());
        // The second packet: the first one has the marker.
        let header = rtp_header(party, payload_type, 1);
        udp(&mut frame, ports, Service::Media, 0, &[&header, &vec![0; payload_bytes]]);
        let mut headers = [0; RTP_FRAME_HEADER_BYTES];
        headers.iter_mut().zip(&frame).for_each(|(to, from)| *to = *from);
        let Party { first_sequence, first_timestamp, ip_id, .. } = *party;
        let mut template =
            Self { headers, first_sequence, first_timestamp, ip_id, ip_sum: 0, udp_sum: 0 };
        for field in [IP_CHECKSUM_AT, UDP_CHECKSUM_AT, SEQUENCE_AT, TIMESTAMP_AT, TIMESTAMP_AT + 2]
        {
            template.set(field, 0);
        }
        let (ip, udp) = template.headers.split_at(UDP_AT);
        let udp_bytes = (UDP_BYTES + RTP_BYTES + payload_bytes) as u64;
        template.ip_sum = sum_of_words(ip.get(IP_AT..).unwrap_or_default());
        let addresses = ip.get(UDP_AT - 8..).unwrap_or_default();
        template.udp_sum = sum_of_words(addresses) + u64::from(UDP) + udp_bytes + sum_of_words(udp);
        template
    }

    /// The RTP header of the packet `index`.
    #[inline]
    pub(super) fn rtp(&self, index: u32) -> [u8; RTP_BYTES] {
        let mut header = self.headers.last_chunk::<RTP_BYTES>().copied().unwrap_or_default();
        let sequence = self.first_sequence.wrapping_add(index as u16);
        let timestamp = self.first_timestamp.wrapping_add(index.wrapping_mul(PACKET_UNITS));
        header[1] |= if index == 0 { MARKER as u8 } else { 0 };
        header[2..4].copy_from_slice(&sequence.to_be_bytes());
        header[4..8].copy_from_slice(&timestamp.to_be_bytes());
        header
    }

    /// Writes the headers of the packet `index`, which go before its payload.
    #[inline]
    pub(super) fn write(
        &mut self,
        index: u32,
        payload: &[u8],
        to: &mut [u8; RTP_FRAME_HEADER_BYTES],
    ) {
        let sequence = self.first_sequence.wrapping_add(index as u16);
        let timestamp = self.first_timestamp.wrapping_add(index.wrapping_mul(PACKET_UNITS));
        let id = self.ip_id.wrapping_add(index as u16);
        let [high, low] = [(timestamp >> 16) as u16, timestamp as u16];
        let marker = if index == 0 { MARKER } else { 0 };
        let sum = self.udp_sum
            + [sequence, high, low, marker].map(u64::from).iter().sum::<u64>()
            + sum_of_words(payload);
        self.set(IP_AT + 4, id);
        self.set(IP_CHECKSUM_AT, !fold(self.ip_sum + u64::from(id)));
        self.set(UDP_CHECKSUM_AT, checksum_or_ones(sum));
        self.set(SEQUENCE_AT, sequence);
        self.set(TIMESTAMP_AT, high);
        self.set(TIMESTAMP_AT + 2, low);
        *to = self.headers;
        if marker > 0
            && let Some(byte) = to.get_mut(SEQUENCE_AT - 1)
        {
            *byte |= 0x80;
        }
    }

    #[inline]
    fn set(&mut self, at: usize, value: u16) {
        if let Some(field) = self.headers.get_mut(at..at + 2) {
            field.copy_from_slice(&value.to_be_bytes());
        }
    }
}

/// The marker bit in the first 16 bits of an RTP header.
const MARKER: u16 = 0x80;
const IP_CHECKSUM_AT: usize = IP_AT + 10;
const UDP_CHECKSUM_AT: usize = UDP_AT + 6;
const SEQUENCE_AT: usize = HEADER_BYTES + 2;
const TIMESTAMP_AT: usize = HEADER_BYTES + 4;

/// RFC 768: a sum of zero is sent as all ones.
#[inline]
fn checksum_or_ones(sum: u64) -> u16 {
    match !fold(sum) {
        0 => 0xffff,
        checksum => checksum,
    }
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

/// Appends the frame of a SIP message of `call` to `out` and returns its length.
pub(super) fn sip(out: &mut Vec<u8>, call: &Call, message: Message) -> usize {
    let from = call.party(message.sender(call));
    let to = call.party(from.side.other());
    let ports = (Port(from.host, from.signalling_port), Port(to.host, to.signalling_port));
    let id = from.ip_id.wrapping_add(0x8000 + message as u16);
    udp(out, ports, Service::Signalling, id, &[message.text(call).as_bytes()])
}

/// Appends the frame of a side's sender report `number` to `out` and returns its length.
pub(super) fn report(out: &mut Vec<u8>, call: &Call, side: Side, number: u64) -> usize {
    let (party, to) = (call.party(side), call.party(side.other()));
    let ports = (Port(party.host, party.media_port + 1), Port(to.host, to.media_port + 1));
    let time = party.report(number);
    let sent = (time - party.first_time) / PACKET_NANOS + 1;
    let id = party.ip_id.wrapping_add(0x4000 + number as u16);
    let mut packet = rtcp(party, time, sent as u32);
    if let Some(keys) = party.keys {
        keys.rtcp(party.ssrc).rtcp(number as u32, &mut packet);
    }
    udp(out, ports, Service::Media, id, &[&packet])
}

/// RFC 3550, 6.4.1 and 6.5: a sender report and the canonical name, of `party` at the time `now`, after
/// `packets` packets.
fn rtcp(party: &Party, now: u64, packets: u32) -> Vec<u8> {
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
    use super::super::Options;
    use super::super::plan::Plan;
    use super::*;

    /// A stream's frames are those that are made one by one.
    #[test]
    fn a_template_makes_the_same_frames() {
        let plan = Plan::new(&Options::of(20, 2));
        for call in (0..20).map(|index| plan.call(index)) {
            let (from, to) = (&call.callee, &call.caller);
            let mut template = Template::new(from, to, 8, 160);
            for index in [0, 1, 2, 63, 700, 65_535, 70_000] {
                let payload: [u8; 160] = std::array::from_fn(|at| (at as u32 * 7 + index) as u8);
                let mut whole = Vec::new();
                let header = rtp_header(from, 8, index);
                let id = from.ip_id.wrapping_add(index as u16);
                let ports = (from.media_port(), to.media_port());
                udp(&mut whole, ports, Service::Media, id, &[&header, &payload]);
                let mut headers = [0; RTP_FRAME_HEADER_BYTES];
                template.write(index, &payload, &mut headers);
                assert_eq!([&headers[..], &payload].concat(), whole, "packet {index}");
                assert_eq!(template.rtp(index), header, "packet {index}");
            }
        }
    }

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
