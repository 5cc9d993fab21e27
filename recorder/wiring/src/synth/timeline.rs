//! The frames of all calls one after the other as they are due: what a sender needs, and nothing beside it.
//!
//! The streams' packets are 20 ms apart, so that they follow each other in the same order in every round of 20 ms: to
//! find the next one takes a step, and no sorting. A stream's headers are patched, its sound is copied. SIP and RTCP,
//! which are few, wait in a heap. The frames are those that [`Slice`](super::Slice) makes: packets may be lost, but not
//! late, overtaken or there twice.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use base::{Side, Timestamp};
use capture::prefetch_bytes;
use capture::transmit::FRAME_BYTES_MAX;
use rayon::prelude::*;

use super::frame::{self, RTP_FRAME_HEADER_BYTES, Template};
use super::g711::Law;
use super::plan::{Call, PACKET_NANOS, SRTP_PAYLOAD_BYTES};
use super::sip::Message;
use super::srtp::Protector;
use super::truth::{self, Tally};
use super::voice::{PACKET_SAMPLES, Slot, Voice};
use super::{Options, Studio, Truth};

/// So many streams ahead of its turn, a stream's sound is fetched from memory.
const AHEAD: usize = 8;

const SIDES: [Side; 2] = [Side::Caller, Side::Callee];

/// What is sent, and how far that is.
pub(crate) struct Timeline {
    studio: Studio,
    calls: Vec<Call>,
    /// In the order in which each round has them.
    streams: Vec<Stream>,
    /// The stream whose turn it is, and in which round of 20 ms since the origin.
    turn: usize,
    round: u64,
    /// Packets that are not sent yet, lost ones included.
    left: u64,
    others: BinaryHeap<Reverse<Other>>,
    next: Option<(u64, Next)>,
    frame: Vec<u8>,
}

/// One side's RTP.
struct Stream {
    template: Template,
    voice: Voice,
    law: Law,
    /// Of its SRTP, and the index of its first packet there.
    protector: Option<(Box<Protector>, u64)>,
    /// Of the next packet.
    slot: Slot,
    index: u32,
    first_round: u32,
    /// Nanoseconds within a round.
    phase: u32,
    call: u32,
    side: Side,
}

#[derive(Clone, Copy)]
enum Next {
    Packet,
    Other,
}

/// A frame that is no RTP.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Other {
    time: u64,
    call: u32,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// By its number in a call.
    Message(usize),
    /// Of a side, by its number.
    Report(Side, u64),
}

impl Timeline {
    /// Nothing of them is sent yet.
    pub(crate) fn new(options: &Options) -> Self {
        let studio = Studio::new(options);
        let calls: Vec<Call> = (0..options.calls).map(|index| studio.plan.call(index)).collect();
        let sides = calls.iter().flat_map(|call| SIDES.map(|side| (call, side)));
        let mut streams: Vec<Stream> =
            sides.clone().map(|(call, side)| Stream::new(&studio, call, side)).collect();
        streams.sort_by_key(|stream| stream.phase);
        let reports = sides.filter_map(|(call, side)| Other::report(&studio, call, side, 0));
        let messages = calls.iter().filter_map(|call| Other::message(call, 0));
        let left = streams.len() as u64 * u64::from(studio.plan.packets);
        let others = reports.chain(messages).map(Reverse).collect();
        let (round, frame) = (0, Vec::new());
        let mut timeline =
            Self { studio, calls, streams, turn: 0, round, left, others, next: None, frame };
        timeline.find_next();
        timeline
    }

    /// When the calls' time begins.
    pub(crate) fn origin(&self) -> Timestamp {
        Timestamp::from_nanos(self.studio.plan.origin())
    }

    /// From then until the last of them has ended.
    pub(crate) fn duration(&self) -> Duration {
        let end = self.calls.iter().map(Call::end).max().unwrap_or_default();
        Timestamp::from_nanos(end).since(self.origin())
    }

    /// When the next frame is due. None if there is no other.
    #[inline]
    pub(crate) fn due(&self) -> Option<Timestamp> {
        self.next.map(|(time, _)| Timestamp::from_nanos(time))
    }

    /// Writes the next frame, and gives its length; 0 if there is none.
    #[inline]
    pub(crate) fn write(&mut self, to: &mut [u8; FRAME_BYTES_MAX]) -> usize {
        let length = match self.next {
            Some((_, Next::Packet)) => self.write_packet(to),
            Some((_, Next::Other)) => self.write_other(to),
            None => return 0,
        };
        self.find_next();
        length
    }

    fn write_packet(&mut self, to: &mut [u8; FRAME_BYTES_MAX]) -> usize {
        if let Some(ahead) = self.streams.get(self.turn + AHEAD) {
            let sound = self.studio.bank.sound(ahead.slot, ahead.law, ahead.index);
            sound.into_iter().for_each(|sound| prefetch_bytes(sound));
        }
        let Some(stream) = self.streams.get_mut(self.turn) else { return 0 };
        let written = stream.write(&self.studio, to);
        self.end_turn();
        written.unwrap_or(0)
    }

    fn write_other(&mut self, to: &mut [u8; FRAME_BYTES_MAX]) -> usize {
        let Some(Reverse(Other { call, kind, .. })) = self.others.pop() else { return 0 };
        let Some(call) = self.calls.get(call as usize) else { return 0 };
        self.frame.clear();
        let (length, following) = match kind {
            Kind::Message(number) => {
                let message = Message::ALL.get(number).copied().unwrap_or(Message::Invite);
                (frame::sip(&mut self.frame, call, message), Other::message(call, number + 1))
            }
            Kind::Report(side, number) => {
                let following = Other::report(&self.studio, call, side, number + 1);
                (frame::report(&mut self.frame, call, side, number), following)
            }
        };
        self.others.extend(following.map(Reverse));
        to.iter_mut().zip(&self.frame).for_each(|(to, from)| *to = *from);
        length
    }

    fn find_next(&mut self) {
        let packet = self.find_packet();
        let other = self.others.peek().map(|Reverse(other)| other.time);
        self.next = match (packet, other) {
            (Some(packet), Some(other)) if other <= packet => Some((other, Next::Other)),
            (Some(packet), _) => Some((packet, Next::Packet)),
            (None, other) => other.map(|other| (other, Next::Other)),
        };
    }

    /// Steps to the stream whose turn is next, and gives when it is due.
    fn find_packet(&mut self) -> Option<u64> {
        while self.left > 0 {
            let Some(stream) = self.streams.get(self.turn) else {
                (self.turn, self.round) = (0, self.round + 1);
                continue;
            };
            if self.round < u64::from(stream.first_round)
                || stream.index >= self.studio.plan.packets
            {
                self.turn += 1;
            } else if self.is_lost(stream) {
                self.streams.get_mut(self.turn).into_iter().for_each(Stream::step);
                self.end_turn();
            } else {
                let origin = self.studio.plan.origin();
                return Some(origin + self.round * PACKET_NANOS + u64::from(stream.phase));
            }
        }
        None
    }

    fn end_turn(&mut self) {
        self.turn += 1;
        self.left -= 1;
    }

    fn is_lost(&self, stream: &Stream) -> bool {
        let plan = &self.studio.plan;
        let call = plan.loses().then(|| self.calls.get(stream.call as usize)).flatten();
        call.is_some_and(|call| plan.fate(call.party(stream.side), stream.index).arrival.is_none())
    }

    /// What a recorder should have found; and what makes any payload again.
    pub(crate) fn finish(self) -> (Vec<Truth>, Studio) {
        let Self { studio, calls, .. } = self;
        let truth = |call: &Call| {
            let tally = |side| Tally::of_party(&studio.plan, call.party(side));
            truth::of_call(&studio.plan, call, SIDES.map(tally))
        };
        (calls.par_iter().map(truth).collect(), studio)
    }
}

impl Stream {
    fn new(studio: &Studio, call: &Call, side: Side) -> Self {
        let (party, to) = (call.party(side), call.party(side.other()));
        let first = party.first_time - studio.plan.origin();
        let protector = party.protector().map(|it| (Box::new(it), party.packet_index(0)));
        let bytes = if protector.is_some() { SRTP_PAYLOAD_BYTES } else { PACKET_SAMPLES };
        Self {
            template: Template::new(party, to, call.law.payload_type(), bytes),
            voice: party.voice,
            law: call.law,
            protector,
            slot: party.voice.slot_of(0),
            index: 0,
            first_round: (first / PACKET_NANOS) as u32,
            phase: (first % PACKET_NANOS) as u32,
            call: call.index,
            side,
        }
    }

    /// Writes its next packet. Gives how long that is; there is always room.
    #[inline]
    fn write(&mut self, studio: &Studio, to: &mut [u8; FRAME_BYTES_MAX]) -> Option<usize> {
        let (headers, rest) = to.split_first_chunk_mut()?;
        let sound = rest.first_chunk_mut::<PACKET_SAMPLES>()?;
        studio.bank.read(&self.voice, self.slot, self.law, self.index, sound);
        let payload: &[u8] = match &self.protector {
            None => sound,
            Some((protector, first)) => {
                let payload = rest.first_chunk_mut::<SRTP_PAYLOAD_BYTES>()?;
                let index = first + u64::from(self.index);
                protector.rtp(&self.template.rtp(self.index), index, payload);
                payload
            }
        };
        self.template.write(self.index, payload, headers);
        self.step();
        Some(RTP_FRAME_HEADER_BYTES + payload.len())
    }

    #[inline]
    fn step(&mut self) {
        self.index += 1;
        if Voice::begins_slot(self.index) {
            self.slot = self.voice.slot_of(self.index);
        }
    }
}

impl Other {
    fn message(call: &Call, number: usize) -> Option<Self> {
        let time = Message::ALL.get(number)?.time(call);
        Some(Self { time, call: call.index, kind: Kind::Message(number) })
    }

    fn report(studio: &Studio, call: &Call, side: Side, number: u64) -> Option<Self> {
        let party = call.party(side);
        let (time, end) = (party.report(number), party.due(studio.plan.packets));
        let kind = Kind::Report(side, number);
        (time < end).then_some(Self { time, call: call.index, kind })
    }
}
