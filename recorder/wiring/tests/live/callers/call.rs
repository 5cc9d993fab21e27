//! One call: what it says, packet by packet, all of it drawn from its number.

use std::fmt::Write as _;
use std::net::Ipv4Addr;

use wiring::synth::{Law, PACKET_SAMPLES};

use super::frame::Place;

pub(crate) const MILLISECOND: u64 = 1_000_000;
/// Between two packets of a side.
pub(crate) const PACKET_NANOS: u64 = 20 * MILLISECOND;
const SIP_PORT: u16 = 5060;
const GATEWAYS: u32 = 8;
const PORTS_PER_GATEWAY: u32 = 5_000;
/// Bytes of a packet that tell it from all others; the rest is one code word, which compresses well.
const MARK_BYTES: usize = 16;

/// What happens in a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It is answered, both sides speak, one hangs up.
    Plain,
    /// The caller gives up while it rings.
    Unanswered,
    /// In its midst the caller moves to another port (re-INVITE).
    Moved,
    /// The callee sends the caller on to somebody else (REFER), and the call ends.
    Transferred,
    /// Nothing is seen of its signalling.
    MediaOnly,
}

/// A SIP message of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Invite,
    Trying,
    Ringing,
    Answer,
    Ack,
    Cancel,
    CancelAnswer,
    Terminated,
    TerminatedAck,
    Move,
    MoveAnswer,
    MoveAck,
    Refer,
    ReferAnswer,
    Notify,
    NotifyAnswer,
    Bye,
    ByeAnswer,
}

/// The caller's and the callee's place in pairs.
pub(crate) const CALLER: usize = 0;
pub(crate) const CALLEE: usize = 1;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) number: u32,
    pub(crate) kind: Kind,
    /// RTP packets that each side sends.
    pub(crate) packets: u32,
}

impl Call {
    pub(crate) fn call_id(&self) -> String {
        format!("call-{}@{}", self.number, self.host(CALLER))
    }

    pub(crate) const fn law(&self) -> Law {
        if self.number.is_multiple_of(2) { Law::Mu } else { Law::A }
    }

    /// No two sides of calls of a test share one.
    pub(crate) const fn ssrc(&self, side: usize) -> u32 {
        0x1000_0000 + self.number * 2 + side as u32
    }

    pub(crate) fn ssrc_text(&self, side: usize) -> String {
        format!("{:#010x}", self.ssrc(side))
    }

    const fn host(&self, side: usize) -> Ipv4Addr {
        let [_, b, c, d] = (self.number + 1).to_be_bytes();
        if side == CALLER {
            Ipv4Addr::new(10, b, c, d)
        } else {
            Ipv4Addr::new(172, 16, 0, 1 + (self.number % GATEWAYS) as u8)
        }
    }

    /// Where a side's RTP comes from and goes to, before and after the caller moves.
    pub(crate) const fn media(&self, side: usize, moved: bool) -> Place {
        let port = match side {
            CALLER => 20_000 + 2 * (self.number % 5_000) + 2 * moved as u32,
            _ => 10_000 + 2 * (self.number / GATEWAYS % PORTS_PER_GATEWAY),
        };
        Place { ip: self.host(side), port: port as u16 }
    }

    const fn signalling(&self, side: usize) -> Place {
        Place { ip: self.host(side), port: SIP_PORT }
    }

    /// When, in nanoseconds from its begin, each message is due.
    pub(crate) fn script(&self) -> Vec<(u64, Step)> {
        let end = self.last_packet() / MILLISECOND + 30;
        let middle = self.moves_at() / MILLISECOND;
        let begin = [(0, Step::Invite), (5, Step::Trying), (60, Step::Ringing)];
        let answer = [(400, Step::Answer), (420, Step::Ack)];
        let bye = [(end + 40, Step::Bye), (end + 50, Step::ByeAnswer)];
        let steps = match self.kind {
            Kind::MediaOnly => Vec::new(),
            Kind::Plain => [&begin[..], &answer, &bye].concat(),
            Kind::Unanswered => {
                let given_up = [
                    (3_000, Step::Cancel),
                    (3_005, Step::CancelAnswer),
                    (3_010, Step::Terminated),
                    (3_020, Step::TerminatedAck),
                ];
                [&begin[..], &given_up].concat()
            }
            Kind::Moved => {
                let moves = [
                    (middle - 30, Step::Move),
                    (middle - 20, Step::MoveAnswer),
                    (middle - 10, Step::MoveAck),
                ];
                [&begin[..], &answer, &moves, &bye].concat()
            }
            Kind::Transferred => {
                let sent_on = [
                    (end, Step::Refer),
                    (end + 10, Step::ReferAnswer),
                    (end + 20, Step::Notify),
                    (end + 30, Step::NotifyAnswer),
                ];
                [&begin[..], &answer, &sent_on, &bye].concat()
            }
        };
        steps.into_iter().map(|(milliseconds, step)| (milliseconds * MILLISECOND, step)).collect()
    }

    /// When packet `index` of a side is due.
    pub(crate) const fn packet_due(&self, side: usize, index: u32) -> u64 {
        let phase = (self.number as u64 * 7_919 % 20_000) * 1_000;
        let answered = if side == CALLER { 425 } else { 405 };
        answered * MILLISECOND + phase + index as u64 * PACKET_NANOS
    }

    const fn last_packet(&self) -> u64 {
        self.packet_due(CALLER, self.packets)
    }

    const fn moves_at(&self) -> u64 {
        self.packet_due(CALLEE, self.packets / 2)
    }

    /// Whether that packet goes by the caller's second port.
    pub(crate) fn is_moved(&self, side: usize, index: u32) -> bool {
        self.kind == Kind::Moved && self.packet_due(side, index) >= self.moves_at()
    }

    pub(crate) fn speaks(&self) -> bool {
        self.kind != Kind::Unanswered
    }

    /// The RTP packet `index` of a side (RFC 3550, 5.1).
    pub(crate) fn rtp(&self, side: usize, index: u32) -> [u8; 12 + PACKET_SAMPLES] {
        let mut packet = [0; 12 + PACKET_SAMPLES];
        let marker = if index == 0 { 0x80 } else { 0 };
        packet[0] = 0x80;
        packet[1] = marker | self.law().payload_type();
        packet[2..4].copy_from_slice(&(index as u16).wrapping_sub(50).to_be_bytes());
        let timestamp = (index * PACKET_SAMPLES as u32).wrapping_sub(8_000);
        packet[4..8].copy_from_slice(&timestamp.to_be_bytes());
        packet[8..12].copy_from_slice(&self.ssrc(side).to_be_bytes());
        packet[12..].copy_from_slice(&self.payload(side, index));
        packet
    }

    /// What a packet carries: never a code word of silence.
    pub(crate) fn payload(&self, side: usize, index: u32) -> [u8; PACKET_SAMPLES] {
        let name = u64::from(self.ssrc(side)) << 32 | u64::from(index);
        let marks = [mix(name), mix(!name)].map(u64::to_be_bytes);
        let audible = |code: u8| if code | 0x80 == 0xff { code - 1 } else { code };
        let marks: &[u8; MARK_BYTES] = marks.as_flattened().try_into().unwrap();
        let marks = marks.map(audible);
        let mut payload = [marks[0]; PACKET_SAMPLES];
        payload[..MARK_BYTES].copy_from_slice(&marks);
        payload
    }

    /// The same as samples.
    pub(crate) fn samples(&self, side: usize, index: u32) -> [i16; PACKET_SAMPLES] {
        self.payload(side, index).map(|code| self.law().decode(code))
    }

    /// A message, with who sends it to whom.
    pub(crate) fn message(&self, step: Step) -> (Place, Place, String) {
        let (line, sender, requester, cseq) = self.line(step);
        let branch = step.branch() as u32;
        let mut text = format!(
            "{line}\r\nVia: SIP/2.0/UDP {}:5060;branch=z9hG4bK-{}-{branch}\r\n",
            self.host(requester),
            self.number
        );
        let (from, to) = (self.name(requester), self.name(1 - requester));
        let tag = |side: usize| format!(";tag={side}-{}", self.number);
        let answered = !matches!(step, Step::Invite | Step::Trying | Step::Cancel);
        let to_tag = if answered { tag(1 - requester) } else { String::new() };
        let sdp = match step {
            Step::Invite | Step::Answer | Step::MoveAnswer => self.description(sender, false),
            Step::Move => self.description(sender, true),
            _ => String::new(),
        };
        let kind = if sdp.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        write!(
            text,
            "Max-Forwards: 70\r\nFrom: <{from}>{}\r\nTo: <{to}>{to_tag}\r\nCall-ID: {}\r\nCSeq: {cseq}\r\n\
             Contact: <{}:5060>\r\n{}{kind}Content-Length: {}\r\n\r\n{sdp}",
            tag(requester),
            self.call_id(),
            self.name(sender),
            if step == Step::Refer { "Refer-To: <sip:third@192.0.2.7>\r\n" } else { "" },
            sdp.len(),
        )
        .unwrap();
        (self.signalling(sender), self.signalling(1 - sender), text)
    }

    fn name(&self, side: usize) -> String {
        let who = if side == CALLER { "1201" } else { "1601" };
        format!("sip:+{who}{:07}@{}", self.number, self.host(side))
    }

    /// The start line, who sends it, who made the request, and the `CSeq`.
    fn line(&self, step: Step) -> (String, usize, usize, &'static str) {
        let request = |method: &str, to| format!("{method} {} SIP/2.0", self.name(to));
        let answer = |status: &str| format!("SIP/2.0 {status}");
        match step {
            Step::Invite => (request("INVITE", CALLEE), CALLER, CALLER, "1 INVITE"),
            Step::Trying => (answer("100 Trying"), CALLEE, CALLER, "1 INVITE"),
            Step::Ringing => (answer("180 Ringing"), CALLEE, CALLER, "1 INVITE"),
            Step::Answer => (answer("200 OK"), CALLEE, CALLER, "1 INVITE"),
            Step::Ack | Step::TerminatedAck => (request("ACK", CALLEE), CALLER, CALLER, "1 ACK"),
            Step::Cancel => (request("CANCEL", CALLEE), CALLER, CALLER, "1 CANCEL"),
            Step::CancelAnswer => (answer("200 OK"), CALLEE, CALLER, "1 CANCEL"),
            Step::Terminated => (answer("487 Request Terminated"), CALLEE, CALLER, "1 INVITE"),
            Step::Move => (request("INVITE", CALLEE), CALLER, CALLER, "2 INVITE"),
            Step::MoveAnswer => (answer("200 OK"), CALLEE, CALLER, "2 INVITE"),
            Step::MoveAck => (request("ACK", CALLEE), CALLER, CALLER, "2 ACK"),
            Step::Refer => (request("REFER", CALLER), CALLEE, CALLEE, "1 REFER"),
            Step::ReferAnswer => (answer("202 Accepted"), CALLER, CALLEE, "1 REFER"),
            Step::Notify => (request("NOTIFY", CALLEE), CALLER, CALLER, "3 NOTIFY"),
            Step::NotifyAnswer => (answer("200 OK"), CALLEE, CALLER, "3 NOTIFY"),
            Step::Bye => (request("BYE", CALLEE), CALLER, CALLER, "4 BYE"),
            Step::ByeAnswer => (answer("200 OK"), CALLEE, CALLER, "4 BYE"),
        }
    }

    /// RFC 8866.
    fn description(&self, side: usize, moved: bool) -> String {
        let Place { ip, port } = self.media(side, moved);
        let (law, version) = (self.law(), 1 + u32::from(moved));
        let (number, name) = (law.payload_type(), law.name());
        format!(
            "v=0\r\no=- {} {version} IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {port} RTP/AVP {number}\r\n\
             a=rtpmap:{number} {name}/8000\r\na=ptime:20\r\na=sendrecv\r\n",
            self.number
        )
    }
}

impl Step {
    /// The first message of the transaction (RFC 3261, 8.1.1.7).
    const fn branch(self) -> Self {
        match self {
            Self::Invite | Self::Trying | Self::Ringing | Self::Answer => Self::Invite,
            Self::Cancel | Self::CancelAnswer | Self::Terminated | Self::TerminatedAck => {
                Self::Invite
            }
            Self::Move | Self::MoveAnswer => Self::Move,
            Self::Refer | Self::ReferAnswer => Self::Refer,
            Self::Notify | Self::NotifyAnswer => Self::Notify,
            Self::Bye | Self::ByeAnswer => Self::Bye,
            Self::Ack => Self::Ack,
            Self::MoveAck => Self::MoveAck,
        }
    }
}

/// Mixes all bits (the finalizer of SplitMix64).
const fn mix(value: u64) -> u64 {
    let value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}
