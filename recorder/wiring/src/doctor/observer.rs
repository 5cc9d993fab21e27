//! Counts what passes: frames through the demultiplexer, SIP through the dialog engine, RTP by its headers.

use std::collections::BTreeMap;
use std::net::IpAddr;

use base::{Endpoint, FlowKey, Ledger, Outcome, Timestamp, Transport};
use capture::{Frame, LinkType};
use demux::{Demux, Guess, Handled, Packet};
use dialog::{Action, CallKey, Dialogs, Direction, Handled as SipHandled, MediaKind, SipInput};
use hashbrown::HashSet;

use super::copies::{Copies, Copy};
use super::streams::{Streams, Summary};

/// Calls followed; there is no need for all of them.
const CALLS_MAX: usize = 16_384;
/// Pairs of hosts that exchange SIP, told apart.
const PAIRS_MAX: usize = 4_096;
/// Media of an answered call begins within this, nanoseconds.
const MEDIA_DELAY_NANOS: u64 = 2_000_000_000;

/// What was seen.
#[derive(Clone, Debug, Default)]
pub(super) struct Observed {
    pub(super) frames: u64,
    /// Bytes on the wire.
    pub(super) bytes: u64,
    /// Frames shorter here than on the wire.
    pub(super) truncated: u64,
    /// Frames longer than the interface can have received in one piece.
    pub(super) merged: u64,
    /// Frames by their outermost VLAN.
    pub(super) vlans: BTreeMap<u16, u64>,
    pub(super) ledger: Ledger,
    /// UDP datagrams of any kind, copies included.
    pub(super) datagrams: u64,
    /// Of these, copies of another in the same VLAN.
    pub(super) copies: u64,
    /// And in another VLAN or tunnel.
    pub(super) copies_across: u64,
    pub(super) sip: Sip,
    pub(super) streams: Summary,
}

/// What was seen of SIP, copies not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sip {
    pub(super) messages: u64,
    pub(super) malformed: u64,
    /// Pairs of hosts, each direction of its own.
    pub(super) pairs: u64,
    /// Of these, those without the other direction.
    pub(super) pairs_one_way: u64,
    pub(super) calls: u64,
    pub(super) answered: u64,
    /// Endpoints to which answered calls should have had media.
    pub(super) media_expected: u64,
    /// Of these, those that had.
    pub(super) media_heard: u64,
}

/// Watches frames go by.
pub(super) struct Observer {
    frame_bytes_max: u32,
    demux: Demux,
    senses: Senses,
    observed: Observed,
    last: Timestamp,
}

impl Observer {
    /// Of an interface that cannot receive frames longer than this in one piece.
    pub(super) fn new(frame_bytes_max: u32) -> Self {
        Self {
            frame_bytes_max,
            demux: Demux::new(),
            senses: Senses::new(),
            observed: Observed::default(),
            last: Timestamp::ZERO,
        }
    }

    /// Takes a frame.
    pub(super) fn frame(&mut self, frame: &Frame<'_>) {
        let Self { demux, senses, observed, .. } = self;
        self.last = self.last.max(frame.time);
        observed.frames += 1;
        observed.bytes += u64::from(frame.wire_bytes);
        observed.truncated += u64::from(frame.wire_bytes as usize > frame.data.len());
        observed.merged += u64::from(frame.wire_bytes > self.frame_bytes_max);
        if let Some(vlan) = vlan(frame) {
            *observed.vlans.entry(vlan).or_default() += 1;
        }
        observed.ledger.receive();
        let handled =
            demux.frame(frame, &mut observed.ledger, &mut |time, packet| senses.take(time, packet));
        observed.ledger.count(match handled {
            Handled::Ended(outcome) => outcome,
            Handled::Datagram => senses.outcome,
        });
    }

    /// What there was to see.
    pub(super) fn finish(mut self) -> Observed {
        let Self { demux, senses, observed, last, .. } = &mut self;
        demux.finish(*last, &mut observed.ledger, &mut |time, packet| senses.take(time, packet));
        self.senses.settle(&mut self.observed, self.last);
        self.observed
    }
}

/// The outermost VLAN of an Ethernet frame (IEEE 802.1Q, 9.6); priority tags are none.
fn vlan(frame: &Frame<'_>) -> Option<u16> {
    let head = frame.data.first_chunk::<16>().filter(|_| frame.link == LinkType::Ethernet)?;
    let tag = u16::from_be_bytes([head[14], head[15]]) & 0x0fff;
    let tagged = matches!([head[12], head[13]], [0x81, 0x00] | [0x88, 0xa8] | [0x91, 0x00]);
    (tagged && tag != 0).then_some(tag)
}

/// What looks at packets.
struct Senses {
    outcome: Outcome,
    copies: Copies,
    streams: Streams,
    dialogs: Dialogs,
    calls: Vec<CallKey>,
    pairs: HashSet<(IpAddr, IpAddr)>,
    datagrams: u64,
    same: u64,
    across: u64,
    sip: Sip,
}

impl Senses {
    fn new() -> Self {
        Self {
            outcome: Outcome::OtherUdp,
            copies: Copies::new(),
            streams: Streams::default(),
            dialogs: Dialogs::with_calls_max(CALLS_MAX),
            calls: Vec::new(),
            pairs: HashSet::new(),
            datagrams: 0,
            same: 0,
            across: 0,
            sip: Sip::default(),
        }
    }

    fn take(&mut self, time: Timestamp, packet: Packet<'_>) {
        match packet {
            Packet::Sip { key, transport, message } => {
                self.outcome = Outcome::Signalling;
                // TCP streams are put in order, which takes out copies.
                if transport == Transport::Tcp || self.is_first(time, &key, message) {
                    self.sip(SipInput { time, key, transport, message });
                }
            }
            Packet::Udp { key, guess, payload, .. } => {
                let media = guess != Guess::Other;
                self.outcome = if media { Outcome::Media } else { Outcome::OtherUdp };
                if self.is_first(time, &key, payload) && guess == Guess::Rtp {
                    self.streams.take(&key, payload);
                }
            }
        }
    }

    fn is_first(&mut self, time: Timestamp, key: &FlowKey, payload: &[u8]) -> bool {
        self.datagrams += 1;
        let copy = self.copies.take(time, key, payload);
        self.same += u64::from(copy == Copy::Same);
        self.across += u64::from(copy == Copy::Across);
        copy == Copy::First
    }

    fn sip(&mut self, input: SipInput<'_>) {
        self.sip.messages += 1;
        if self.pairs.len() < PAIRS_MAX {
            self.pairs.insert((input.key.source.ip(), input.key.destination.ip()));
        }
        if matches!(self.dialogs.message(input), SipHandled::Malformed(_)) {
            self.sip.malformed += 1;
        }
        while let Some(action) = self.dialogs.next_action() {
            if let Action::Started(call) = action {
                self.calls.push(call);
            }
        }
    }

    fn settle(&self, observed: &mut Observed, end: Timestamp) {
        observed.datagrams = self.datagrams;
        // Whatever the demultiplexer already set aside as a copy never came here.
        observed.copies = self.same + observed.ledger.of(Outcome::DuplicateFrame);
        observed.copies_across = self.across;
        observed.streams = self.streams.summary();
        let one_way = self.pairs.iter().filter(|(a, b)| !self.pairs.contains(&(*b, *a)));
        let (expected, heard) = self.media(end);
        observed.sip = Sip {
            pairs: self.pairs.len() as u64,
            pairs_one_way: one_way.count() as u64,
            calls: self.calls.len() as u64,
            answered: self.answered().count() as u64,
            media_expected: expected,
            media_heard: heard,
            ..self.sip
        };
    }

    fn answered(&self) -> impl Iterator<Item = &dialog::Call> {
        let calls = self.calls.iter().filter_map(|key| self.dialogs.call(*key));
        calls.filter(|call| call.answered.is_some())
    }

    /// Endpoints where there should have been sound by now, and where there was some.
    fn media(&self, end: Timestamp) -> (u64, u64) {
        let touched = self.streams.touches();
        let expected: HashSet<Endpoint> = self
            .answered()
            .flat_map(|call| call.announced.iter())
            .filter(|it| it.media == MediaKind::Audio && it.direction == Direction::SendRecv)
            .filter(|it| end.since(it.time).as_nanos() >= MEDIA_DELAY_NANOS.into())
            .map(|it| it.endpoint)
            .collect();
        let heard = expected.iter().filter(|endpoint| touched.contains(*endpoint)).count();
        (expected.len() as u64, heard as u64)
    }
}
