//! What is decided of a call before a packet of it is made: who, where, when, and what goes wrong.

use base::{Endpoint, Side};

use super::chance::{Chance, Topic};
use super::frame::{Host, Port};
use super::g711::Law;
use super::srtp::{Master, Protector, TAG_BYTES};
use super::voice::{PACKET_SAMPLES, Voice};
use super::{Codecs, Options};

/// Nanoseconds between two packets of a side.
pub(super) const PACKET_NANOS: u64 = 20 * MILLISECOND;
/// RTP timestamp units per packet.
pub(super) const PACKET_UNITS: u32 = 160;
/// Bytes of a packet's sound and its authentication tag.
pub(super) const SRTP_PAYLOAD_BYTES: usize = PACKET_SAMPLES + TAG_BYTES;
pub(super) const PACKETS_PER_SECOND: u32 = 50;
pub(super) const MILLISECOND: u64 = 1_000_000;
/// RFC 3550, 6.2: the recommended minimum between two reports.
pub(super) const REPORT_NANOS: u64 = 5 * SECOND;
const SECOND: u64 = 1_000 * MILLISECOND;
/// Capture times are whole microseconds, which every capture format keeps.
const MICROSECOND: u64 = 1_000;
/// 2026-01-05 08:00 UTC, a Monday.
const ORIGIN: u64 = 1_767_600_000 * SECOND;
const SIP_PORT: u16 = 5060;
/// Calls that share one gateway address on the callee's side, each with ports of its own.
const CALLS_PER_GATEWAY: u32 = 100;

/// Everything that holds for all calls.
pub(super) struct Plan {
    chance: Chance,
    codecs: Codecs,
    /// Whether what they say is encrypted.
    pub(super) srtp: bool,
    /// RTP packets that each side sends.
    pub(super) packets: u32,
    spread: u64,
    loss: f64,
    reorder: f64,
    duplicate: f64,
    jitter: u64,
}

/// One call.
#[derive(Clone, Copy)]
pub(super) struct Call {
    pub(super) index: u32,
    pub(super) chance: Chance,
    pub(super) law: Law,
    pub(super) caller: Party,
    pub(super) callee: Party,
    pub(super) invite: u64,
    pub(super) trying: u64,
    pub(super) ringing: u64,
    pub(super) answer: u64,
    pub(super) ack: u64,
    pub(super) bye: u64,
    pub(super) bye_answer: u64,
    pub(super) hangs_up: Side,
}

/// One side of a call. Times are nanoseconds since the epoch.
#[derive(Clone, Copy)]
pub(super) struct Party {
    pub(super) side: Side,
    /// The digits of its telephone number, without the plus sign.
    pub(super) number: u64,
    pub(super) host: Host,
    pub(super) signalling_port: u16,
    pub(super) media_port: u16,
    pub(super) ssrc: u32,
    pub(super) first_sequence: u16,
    pub(super) first_timestamp: u32,
    pub(super) first_time: u64,
    pub(super) ip_id: u16,
    pub(super) voice: Voice,
    /// Of its SRTP, if that is what it sends.
    pub(super) keys: Option<Master>,
    pub(super) chance: Chance,
}

/// When a packet of a side is in the capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fate {
    /// `None` if it is lost.
    pub(super) arrival: Option<u64>,
    /// A second time, bit for bit.
    pub(super) copy: Option<u64>,
}

impl Plan {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            chance: Chance::new(options.seed),
            codecs: options.codec,
            srtp: options.srtp,
            packets: options.seconds * PACKETS_PER_SECOND,
            spread: micros(options.start_spread * 1e6),
            loss: options.loss,
            reorder: options.reorder,
            duplicate: options.duplicate,
            jitter: micros(options.jitter * 1e3),
        }
    }

    /// The root of everything drawn.
    pub(super) const fn chance(&self) -> Chance {
        self.chance
    }

    /// Whether any packet is lost.
    pub(super) fn loses(&self) -> bool {
        self.loss > 0.0
    }

    /// The time at which the capture begins.
    pub(super) const fn origin(&self) -> u64 {
        ORIGIN
    }

    /// The longest that a packet's arrival can lie after its due time, its copy included.
    pub(super) fn delay_max(&self) -> u64 {
        let impaired = self.reorder > 0.0 || self.duplicate > 0.0;
        self.jitter + if impaired { PACKET_NANOS + 10 * MILLISECOND } else { 0 }
    }

    pub(super) fn call(&self, index: u32) -> Call {
        let chance = self.chance.on(Topic::Call).nth(index.into());
        let after = |time: u64, topic, from: u64, until: u64| {
            time + chance.on(topic).between(from * 1_000, until * 1_000) * MICROSECOND
        };
        let invite = ORIGIN + whole_micros(chance.on(Topic::Start).below(self.spread.max(1)));
        let answer = after(invite, Topic::Answer, 500, 2_500);
        let ack = after(answer, Topic::RoundTrip, 2, 30);
        let mut caller = self.party(chance, index, Side::Caller);
        let mut callee = self.party(chance, index, Side::Callee);
        // A callee may speak as soon as it has answered, a caller when it knows of the answer.
        caller.first_time += ack;
        callee.first_time += answer;
        let last =
            caller.first_time.max(callee.first_time) + u64::from(self.packets) * PACKET_NANOS;
        let bye = after(last + self.delay_max(), Topic::HangUp, 5, 60);
        Call {
            index,
            chance,
            law: self.law(chance),
            caller,
            callee,
            invite,
            trying: after(invite, Topic::RoundTrip, 1, 5),
            ringing: after(invite, Topic::Ringing, 60, 300),
            answer,
            ack,
            bye,
            bye_answer: after(bye, Topic::RoundTrip, 1, 20),
            hangs_up: if chance.on(Topic::HangUp).below(2) == 0 {
                Side::Caller
            } else {
                Side::Callee
            },
        }
    }

    fn law(&self, chance: Chance) -> Law {
        match self.codecs {
            Codecs::Pcmu => Law::Mu,
            Codecs::Pcma => Law::A,
            Codecs::Mix if chance.on(Topic::Codec).below(2) == 0 => Law::Mu,
            Codecs::Mix => Law::A,
        }
    }

    /// `first_time` is still the phase alone: what is to be added to the moment from which it may send.
    fn party(&self, call: Chance, index: u32, side: Side) -> Party {
        let chance = call.on(match side {
            Side::Caller => Topic::Caller,
            Side::Callee => Topic::Callee,
        });
        let (host, media_port) = match side {
            Side::Caller => (phone(index), 16_384 + 2 * chance.on(Topic::Port).below(8_192) as u16),
            Side::Callee => (gateway(index), 10_000 + 2 * (index % CALLS_PER_GATEWAY) as u16),
        };
        let phase = MILLISECOND + whole_micros(chance.on(Topic::Phase).below(PACKET_NANOS));
        Party {
            side,
            number: number(index, side),
            host,
            signalling_port: SIP_PORT,
            media_port,
            ssrc: chance.on(Topic::Ssrc).bits() as u32,
            first_sequence: self.first_sequence(chance.on(Topic::Sequence)),
            first_timestamp: self.first_timestamp(chance.on(Topic::RtpTime)),
            first_time: phase,
            ip_id: chance.on(Topic::IpId).bits() as u16,
            voice: Voice::new(call, chance, side == Side::Callee),
            keys: self.srtp.then(|| master(chance.on(Topic::Keys))),
            chance,
        }
    }

    /// Anywhere; for every fourth side so that it wraps within the call.
    fn first_sequence(&self, chance: Chance) -> u16 {
        let within = u64::from(self.packets.clamp(2, 65_535));
        if chance.nth(0).below(4) == 0 {
            (65_536 - chance.nth(1).between(1, within)) as u16
        } else {
            chance.nth(1).bits() as u16
        }
    }

    fn first_timestamp(&self, chance: Chance) -> u32 {
        let within = u64::from(self.packets) * u64::from(PACKET_UNITS);
        if chance.nth(0).below(4) == 0 {
            ((1 << 32) - chance.nth(1).between(1, within)) as u32
        } else {
            chance.nth(1).bits() as u32
        }
    }

    /// What becomes of the packet `index` of `party`. A side's first and last packets always arrive, so
    /// that whoever listens can count what is missing between them.
    pub(super) fn fate(&self, party: &Party, index: u32) -> Fate {
        let chance = party.chance.nth(index.into());
        let edge = index == 0 || index + 1 == self.packets;
        if !edge && chance.on(Topic::Loss).happens(self.loss) {
            return Fate { arrival: None, copy: None };
        }
        let mut arrival =
            party.due(index) + whole_micros(chance.on(Topic::Jitter).below(self.jitter));
        if chance.on(Topic::Reorder).happens(self.reorder) {
            arrival += PACKET_NANOS
                + whole_micros(chance.on(Topic::Start).between(MILLISECOND, 9 * MILLISECOND));
        }
        let copy = chance.on(Topic::Duplicate).happens(self.duplicate).then(|| {
            arrival + whole_micros(chance.on(Topic::Phase).between(50 * MICROSECOND, MILLISECOND))
        });
        Fate { arrival: Some(arrival), copy }
    }
}

impl Call {
    pub(super) const fn party(&self, side: Side) -> &Party {
        match side {
            Side::Caller => &self.caller,
            Side::Callee => &self.callee,
        }
    }

    /// When nothing more of the call comes.
    pub(super) const fn end(&self) -> u64 {
        self.bye_answer
    }
}

impl Party {
    /// When packet `index` is sent.
    #[inline]
    pub(super) const fn due(&self, index: u32) -> u64 {
        self.first_time + index as u64 * PACKET_NANOS
    }

    /// When its first sender report is sent: at a moment of its own.
    pub(super) fn first_report(&self) -> u64 {
        self.first_time + self.chance.on(Topic::Phase).between(500, 5_000) * MILLISECOND
    }

    /// When the report `number` is sent. There is none once the party has ended.
    pub(super) fn report(&self, number: u64) -> u64 {
        self.first_report() + number * REPORT_NANOS
    }

    /// What protects its RTP, if anything does.
    pub(super) fn protector(&self) -> Option<Protector> {
        self.keys.map(|keys| keys.rtp(self.ssrc))
    }

    /// Its sound as it is on the wire, behind the header of the packet `index`.
    pub(super) fn protected(
        &self,
        protector: &Protector,
        index: u32,
        header: &[u8],
        sound: &[u8; PACKET_SAMPLES],
    ) -> [u8; SRTP_PAYLOAD_BYTES] {
        let mut payload = [0; SRTP_PAYLOAD_BYTES];
        payload.iter_mut().zip(sound).for_each(|(to, from)| *to = *from);
        protector.rtp(header, self.packet_index(index), &mut payload);
        payload
    }

    /// With the rollover counter (RFC 3711, 3.3.1).
    pub(super) fn packet_index(&self, index: u32) -> u64 {
        u64::from(self.first_sequence) + u64::from(index)
    }

    /// Its end of the stream, as that of a datagram.
    pub(super) const fn media_port(&self) -> Port {
        Port(self.host, self.media_port)
    }

    /// Where its RTP comes from and goes to.
    pub(super) const fn media(&self) -> Endpoint {
        Endpoint::v4(self.host.ip, self.media_port)
    }
}

fn master(chance: Chance) -> Master {
    let words: [_; 4] = std::array::from_fn(|at| chance.nth(at as u64).bits().to_be_bytes());
    Master::new(words.as_flattened().first_chunk().copied().unwrap_or([0; 30]))
}

/// A telephone of its own: 10.0.0.0/8.
fn phone(index: u32) -> Host {
    let [_, b, c, d] = (index + 1).to_be_bytes();
    Host::new([10, b, c, d])
}

/// One of the gateways: 172.16.0.0/12.
fn gateway(index: u32) -> Host {
    let [_, b, c, d] = (index / CALLS_PER_GATEWAY + 1).to_be_bytes();
    Host::new([172, 16 + b, c, d])
}

/// North American numbers with the exchange 555; no two parties share one.
fn number(index: u32, side: Side) -> u64 {
    let area = match side {
        Side::Caller => 201,
        Side::Callee => 601,
    };
    let index = u64::from(index);
    10_000_000_000 + (area + index / 10_000) * 10_000_000 + 5_550_000 + index % 10_000
}

fn micros(micros: f64) -> u64 {
    micros as u64 * MICROSECOND
}

const fn whole_micros(nanos: u64) -> u64 {
    nanos / MICROSECOND * MICROSECOND
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn nothing_is_shared_between_calls() {
        let plan = Plan::new(&Options::of(1_000, 30));
        let mut seen = HashSet::new();
        for call in (0..1_000).map(|i| plan.call(i)) {
            for party in [call.caller, call.callee] {
                assert!(seen.insert(party.media().to_string()), "{}", party.media());
                assert!(seen.insert(party.number.to_string()), "{}", party.number);
                assert!(seen.insert(format!("ssrc {}", party.ssrc)));
            }
        }
    }

    #[test]
    fn a_call_happens_in_order() {
        let plan = Plan::new(&Options { jitter: 15.0, reorder: 1.0, ..Options::of(500, 2) });
        for call in (0..500).map(|i| plan.call(i)) {
            let steps = [
                call.invite,
                call.trying,
                call.ringing,
                call.answer,
                call.ack,
                call.bye,
                call.end(),
            ];
            assert!(steps.is_sorted(), "{steps:?}");
            for party in [call.caller, call.callee] {
                assert!(party.first_time > call.answer);
                assert!((0..100).all(|i| plan.fate(&party, i).arrival.unwrap() < call.bye));
            }
        }
    }

    #[test]
    fn sequence_and_timestamp_wrap_in_some_calls() {
        let plan = Plan::new(&Options::of(200, 30));
        let parties = || (0..200).map(|i| plan.call(i).caller);
        assert!(parties().filter(|p| p.first_sequence.checked_add(1_499).is_none()).count() > 20);
        assert!(
            parties().filter(|p| p.first_timestamp.checked_add(239_840).is_none()).count() > 20
        );
    }
}
