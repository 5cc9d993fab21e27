//! What is on the wire: a few short calls, and what a bad network does to their packets.
//!
//! Every payload is noise of its call, side and number, without a sample of zero: what is found in a recording
//! says which packet it was, and silence is never mistaken for sound.

use std::time::Duration;

use base::Timestamp;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::packet::{Party, rtp, sip, udp};

/// Samples in a packet: 20 ms of G.711.
pub const PACKET_SAMPLES: usize = 160;
const PACKET: Duration = Duration::from_millis(20);
/// How long the latest packet of a call may be under way.
const DELAY_MAX: Duration = Duration::from_millis(60);

/// One call as it was sent.
#[derive(Debug)]
pub struct Call {
    /// Its Call-ID.
    pub id: String,
    /// The INVITE.
    pub invite: Timestamp,
    /// The BYE.
    pub bye: Timestamp,
    /// Caller, callee.
    pub sides: [Side; 2],
    /// Whether each of its messages comes, and in time. Of other calls nobody can say much.
    pub is_signalled: bool,
}

/// What one side sent.
#[derive(Debug)]
pub struct Side {
    /// Address and port.
    pub party: Party,
    /// The payloads, in the order of sending.
    pub payloads: Vec<[u8; PACKET_SAMPLES]>,
}

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cargo {
    /// A message of a call.
    Sip(usize),
    /// A packet: call, side, number.
    Rtp(usize, usize, usize),
    /// Something that is nobody's.
    Noise,
}

/// A frame as it comes to a capture core.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// When.
    pub time: Timestamp,
    /// To which core.
    pub core: usize,
    /// What of it was captured.
    pub bytes: Vec<u8>,
    /// How long it was on the wire.
    pub wire_bytes: usize,
    /// What is in it.
    pub cargo: Cargo,
}

impl Arrival {
    /// Whether the capture cut it.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.bytes.len() < self.wire_bytes
    }
}

/// How bad the network is.
#[derive(Clone, Copy, Debug)]
struct Network {
    loss: f64,
    delay: f64,
    copy: f64,
    cut: f64,
    noise: f64,
    /// The same for SIP.
    sip: f64,
}

/// The calls of a seed, and their frames in the order of arrival.
#[derive(Debug)]
pub struct Traffic {
    /// The calls.
    pub calls: Vec<Call>,
    /// What arrives.
    pub arrivals: Vec<Arrival>,
}

impl Traffic {
    /// Decides everything; calls begin within a few seconds of `origin`.
    #[must_use]
    pub fn new(seed: u64, origin: Timestamp, cores: usize) -> Self {
        let mut chance = ChaCha8Rng::seed_from_u64(seed);
        let rates = [0.0, 0.0, 0.01, 0.05, 0.2];
        let mut rate = || rates.choose(&mut chance).copied().unwrap_or(0.0);
        let network = Network {
            loss: rate(),
            delay: rate(),
            copy: rate(),
            cut: rate() / 10.0,
            noise: rate(),
            sip: rate() / 4.0,
        };
        let (mut calls, mut arrivals) = (Vec::new(), Vec::new());
        for index in 0..chance.random_range(1..=4) {
            let mut sender =
                Sender { chance: &mut chance, network, cores, arrivals: &mut arrivals };
            calls.push(sender.call(index, origin));
        }
        arrivals.sort_by_key(|arrival| arrival.time);
        Self { calls, arrivals }
    }

    /// When nothing more comes.
    #[must_use]
    pub fn end(&self) -> Timestamp {
        self.arrivals.last().map_or(Timestamp::ZERO, |arrival| arrival.time)
    }
}

/// Sends the packets of one call.
struct Sender<'a> {
    chance: &'a mut ChaCha8Rng,
    network: Network,
    cores: usize,
    arrivals: &'a mut Vec<Arrival>,
}

impl Sender<'_> {
    fn call(&mut self, index: usize, origin: Timestamp) -> Call {
        let invite = origin.plus(self.millis(1, 3_000));
        let answer = invite.plus(self.millis(20, 400));
        let packets = self.chance.random_range(20..=110);
        let sides = [0, 1].map(|side| self.side(index, side, packets));
        let mut bye = answer;
        for (number, side) in sides.iter().enumerate() {
            let first = answer.plus(self.millis(1, 200));
            let core = self.chance.random_range(0..self.cores);
            bye = bye.max(self.media((index, number), (side, &sides[1 - number]), first, core));
        }
        let bye = bye.plus(DELAY_MAX).plus(self.millis(5, 60));
        let id = format!("call-{index}@sim");
        let is_signalled =
            self.signalling(index, &id, [&sides[0], &sides[1]], [invite, answer, bye]);
        Call { id, invite, bye, sides, is_signalled }
    }

    fn side(&mut self, call: usize, side: usize, packets: usize) -> Side {
        let address = [10, side as u8, 0, call as u8 + 1];
        let party = Party {
            address,
            port: 10_000 + 2 * self.chance.random_range(0..5_000_u16),
            ssrc: self.chance.random(),
            sequence: self.chance.random(),
            timestamp: self.chance.random(),
        };
        let payloads = (0..packets).map(|_| std::array::from_fn(|_| self.code())).collect();
        Side { party, payloads }
    }

    /// A code of G.711 mu-law that is not silence (0x7f and 0xff).
    fn code(&mut self) -> u8 {
        self.chance.random_range(0..0x7f_u8) | if self.chance.random() { 0x80 } else { 0 }
    }

    /// Gives when the last packet was sent.
    fn media(
        &mut self,
        (call, number): (usize, usize),
        (from, to): (&Side, &Side),
        first: Timestamp,
        core: usize,
    ) -> Timestamp {
        let mut sent = first;
        for (index, payload) in from.payloads.iter().enumerate() {
            sent = first.plus(PACKET * index as u32);
            let bytes = udp(&from.party, &to.party, &rtp(&from.party, index, payload));
            self.send(sent, core, bytes, Cargo::Rtp(call, number, index));
            if self.chance.random_bool(self.network.noise) {
                // Not of RTP's version, or it would be a stream of its own.
                let noise = [&[0], &payload[..20]].concat();
                let bytes = udp(&from.party, &to.party.with_port(53), &noise);
                self.send(sent, core, bytes, Cargo::Noise);
            }
        }
        sent
    }

    fn send(&mut self, sent: Timestamp, core: usize, bytes: Vec<u8>, cargo: Cargo) {
        if self.chance.random_bool(self.network.loss) {
            return;
        }
        let delay = match self.chance.random_bool(self.network.delay) {
            true => self.chance.random_range(Duration::ZERO..DELAY_MAX),
            false => self.chance.random_range(Duration::ZERO..Duration::from_millis(1)),
        };
        let (time, wire_bytes) = (sent.plus(delay), bytes.len());
        let kept = match self.chance.random_bool(self.network.cut) {
            // Within the headers, or so far behind them that what is left can be told from others.
            true if self.chance.random() => self.chance.random_range(0..54.min(wire_bytes)),
            true => self.chance.random_range(74.min(wire_bytes - 1)..wire_bytes),
            false => wire_bytes,
        };
        let bytes = bytes[..kept].to_vec();
        let arrival = Arrival { time, core, bytes, wire_bytes, cargo };
        if self.chance.random_bool(self.network.copy) {
            let time = time.plus(self.chance.random_range(Duration::ZERO..DELAY_MAX));
            self.arrivals.push(Arrival { time, ..arrival.clone() });
        }
        self.arrivals.push(arrival);
    }

    /// Gives whether all of it comes in time.
    fn signalling(
        &mut self,
        call: usize,
        id: &str,
        [caller, callee]: [&Side; 2],
        [invite, answer, bye]: [Timestamp; 3],
    ) -> bool {
        let core = self.chance.random_range(0..self.cores);
        let parties = [&caller.party, &callee.party];
        let round_trip = Duration::from_millis(7);
        let script = [
            (invite, 0, sip::invite(id, parties)),
            (
                invite.plus(round_trip),
                1,
                sip::answer(id, parties, "1 INVITE", "180 Ringing", false),
            ),
            (answer, 1, sip::answer(id, parties, "1 INVITE", "200 OK", true)),
            (answer.plus(round_trip), 0, sip::request(id, parties, "1 ACK")),
            (bye, 0, sip::request(id, parties, "2 BYE")),
            (bye.plus(round_trip), 1, sip::answer(id, parties, "2 BYE", "200 OK", false)),
        ];
        let mut whole = true;
        for (time, from, message) in script {
            let (from, to) = (parties[from].with_port(5060), parties[1 - from].with_port(5060));
            let bytes = udp(&from, &to, message.as_bytes());
            let wire_bytes = bytes.len();
            let mut arrival = Arrival { time, core, bytes, wire_bytes, cargo: Cargo::Sip(call) };
            if self.chance.random_bool(self.network.sip) {
                whole = false;
                match self.chance.random_range(0..3) {
                    0 => continue,
                    1 => arrival.time = time.plus(self.millis(1, 600)),
                    _ => arrival.bytes.truncate(self.chance.random_range(0..wire_bytes)),
                }
            }
            self.arrivals.push(arrival);
        }
        whole
    }

    fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_micros(self.chance.random_range(from * 1_000..to * 1_000))
    }
}
