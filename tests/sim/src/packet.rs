//! The bytes of frames: Ethernet, IPv4 and UDP around SIP or RTP.

use crate::traffic::PACKET_SAMPLES;

/// Who sends or receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Party {
    /// IPv4 address.
    pub address: [u8; 4],
    /// UDP port.
    pub port: u16,
    /// Of its stream.
    pub ssrc: u32,
    /// Of its first packet.
    pub sequence: u16,
    /// Of its first packet.
    pub timestamp: u32,
}

impl Party {
    /// The same at another port.
    #[must_use]
    pub const fn with_port(&self, port: u16) -> Self {
        Self { port, ..*self }
    }

    fn host(&self) -> String {
        let [a, b, c, d] = self.address;
        format!("{a}.{b}.{c}.{d}")
    }
}

/// A frame with a datagram (RFC 768; without the optional checksum).
#[must_use]
pub fn udp(from: &Party, to: &Party, payload: &[u8]) -> Vec<u8> {
    let udp_bytes = 8 + payload.len() as u16;
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
    let mut ip = [0_u8; 20];
    ip[0] = 0x45;
    ip[2..4].copy_from_slice(&(20 + udp_bytes).to_be_bytes());
    (ip[6], ip[8], ip[9]) = (0x40, 64, 17);
    ip[12..16].copy_from_slice(&from.address);
    ip[16..20].copy_from_slice(&to.address);
    let checksum = checksum(&ip);
    ip[10..12].copy_from_slice(&checksum.to_be_bytes());
    frame.extend(ip);
    for field in [from.port, to.port, udp_bytes, 0] {
        frame.extend(field.to_be_bytes());
    }
    frame.extend(payload);
    frame
}

/// RFC 1071.
fn checksum(header: &[u8; 20]) -> u16 {
    let words = header.as_chunks::<2>().0.iter().map(|word| u32::from(u16::from_be_bytes(*word)));
    let sum: u32 = words.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !((folded + (folded >> 16)) as u16)
}

/// The packet `index` of a stream of G.711 mu-law (RFC 3550, 5.1; RFC 3551, table 4).
#[must_use]
pub fn rtp(from: &Party, index: usize, payload: &[u8; PACKET_SAMPLES]) -> Vec<u8> {
    let mut packet = vec![0x80, if index == 0 { 0x80 } else { 0 }];
    packet.extend(from.sequence.wrapping_add(index as u16).to_be_bytes());
    let elapsed = (index * PACKET_SAMPLES) as u32;
    packet.extend(from.timestamp.wrapping_add(elapsed).to_be_bytes());
    packet.extend(from.ssrc.to_be_bytes());
    packet.extend(payload);
    packet
}

/// Messages (RFC 3261) between a caller and a callee.
pub mod sip {
    use super::Party;

    /// With an offer.
    #[must_use]
    pub fn invite(id: &str, parties: [&Party; 2]) -> String {
        message("INVITE", id, parties, "1 INVITE", "", Some(parties[0]))
    }

    /// Any other request of the caller.
    #[must_use]
    pub fn request(id: &str, parties: [&Party; 2], cseq: &str) -> String {
        let method = cseq.split(' ').nth(1).unwrap_or_default();
        message(method, id, parties, cseq, ";tag=b", None)
    }

    /// The callee's answer; perhaps with a description.
    #[must_use]
    pub fn answer(
        id: &str,
        [caller, callee]: [&Party; 2],
        cseq: &str,
        status: &str,
        describes: bool,
    ) -> String {
        let body = body(describes.then_some(callee));
        let head = head(id, [caller, callee], cseq, ";tag=b");
        format!("SIP/2.0 {status}\r\n{head}{body}")
    }

    fn message(
        method: &str,
        id: &str,
        parties: [&Party; 2],
        cseq: &str,
        tag: &str,
        describes: Option<&Party>,
    ) -> String {
        let (to, head, body) = (parties[1].host(), head(id, parties, cseq, tag), body(describes));
        format!("{method} sip:200@{to} SIP/2.0\r\n{head}{body}")
    }

    fn head(id: &str, [caller, callee]: [&Party; 2], cseq: &str, tag: &str) -> String {
        let (from, to) = (caller.host(), callee.host());
        let branch: String =
            format!("{id}{cseq}").chars().filter(char::is_ascii_alphanumeric).collect();
        format!(
            "Via: SIP/2.0/UDP {from};branch=z9hG4bK{branch}\r\nFrom: <sip:100@{from}>;tag=a\r\n\
             To: <sip:200@{to}>{tag}\r\nCall-ID: {id}\r\nCSeq: {cseq}\r\n"
        )
    }

    /// RFC 8866.
    fn body(party: Option<&Party>) -> String {
        let Some(party) = party else { return "Content-Length: 0\r\n\r\n".into() };
        let (host, port) = (party.host(), party.port);
        let sdp = format!(
            "v=0\r\no=- 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\n"
        );
        format!("Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}", sdp.len())
    }
}
