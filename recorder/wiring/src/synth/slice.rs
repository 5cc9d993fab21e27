//! A stretch of the capture: the frames of all calls within some milliseconds, in the order of time.
//!
//! Calls are worked on in groups, in parallel. A group writes its frames one after the other into a buffer
//! of its own and notes where each is; sorting the notes merges the groups. The order depends on the plan
//! only, not on the threads. Memory is bounded by what one slice holds.

use std::ops::Range;

use base::{Side, Timestamp};
use rayon::prelude::*;

use super::Studio;
use super::frame::{self, Service};
use super::plan::{Call, MILLISECOND, PACKETS_PER_SECOND, Party, REPORT_NANOS};
use super::sip::Message;
use super::srtp::Protector;
use super::truth::{self, Tally, Truth};
use super::voice::PACKET_SAMPLES;

/// Calls of one group.
const GROUP_CALLS: usize = 32;
/// RTP packets that a slice should hold: 14 MB of frames.
const SLICE_PACKETS: u64 = 65_536;

/// A call and what has been tallied of it.
pub(super) struct Running {
    call: Call,
    tallies: [Tally; 2],
}

/// The frames of one stretch of time.
#[derive(Default)]
pub(crate) struct Slice {
    groups: Vec<Group>,
    order: Vec<Place>,
}

#[derive(Default)]
struct Group {
    bytes: Vec<u8>,
    places: Vec<Place>,
    /// Payloads of the side at work, for the packets due in the slice.
    payloads: Vec<[u8; PACKET_SAMPLES]>,
}

/// Where a frame is. Sorted by time, then by call.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    time: u64,
    group: u32,
    offset: u32,
    length: u32,
}

impl Running {
    pub(super) fn new(call: Call) -> Self {
        Self { call, tallies: [Tally::hashed(), Tally::hashed()] }
    }

    pub(super) const fn end(&self) -> u64 {
        self.call.end()
    }

    pub(super) fn truth(self, studio: &Studio) -> Truth {
        truth::of_call(&studio.plan, &self.call, self.tallies)
    }
}

/// A span of time in parts, one after the other.
pub(super) struct Parts {
    left: Range<u64>,
    length: u64,
}

impl Iterator for Parts {
    type Item = Range<u64>;

    fn next(&mut self) -> Option<Range<u64>> {
        let start = self.left.start;
        let end = self.left.end.min(start + self.length);
        self.left.start = end;
        (start < end).then_some(start..end)
    }
}

/// Cuts `span` into parts for a slice each, when `calls` calls run at once.
pub(super) fn parts(span: &Range<u64>, calls: u32) -> Parts {
    let packets_per_second = u64::from(calls) * 2 * u64::from(PACKETS_PER_SECOND);
    let length = (SLICE_PACKETS * 1_000 / packets_per_second).clamp(1, 10_000) * MILLISECOND;
    Parts { left: span.clone(), length }
}

impl Slice {
    /// Makes the frames of `calls` within `span` (nanoseconds since the epoch). Spans must follow each
    /// other without a hole, because the truth is tallied on the way.
    pub(super) fn fill(&mut self, studio: &Studio, calls: &mut [Running], span: &Range<u64>) {
        self.groups.resize_with(calls.len().div_ceil(GROUP_CALLS), Group::default);
        let work = self.groups.par_iter_mut().zip(calls.par_chunks_mut(GROUP_CALLS)).enumerate();
        work.for_each(|(number, (group, calls))| group.fill(number as u32, studio, calls, span));
        self.order.clear();
        self.groups.iter().for_each(|group| self.order.extend_from_slice(&group.places));
        self.order.par_sort_unstable();
    }

    /// Has no frames any more.
    pub(crate) fn clear(&mut self) {
        self.groups.resize_with(1, Group::default);
        self.groups.iter_mut().for_each(|group| group.bytes.clear());
        self.order.clear();
    }

    /// One more frame behind those that are there, of which [`Slice::fill`] made none.
    pub(crate) fn push(&mut self, time: Timestamp, frame: &[u8]) {
        let Some(group) = self.groups.first_mut() else { return };
        let (offset, length) = (group.bytes.len() as u32, frame.len() as u32);
        group.bytes.extend_from_slice(frame);
        self.order.push(Place { time: time.as_nanos(), group: 0, offset, length });
    }

    /// How many frames there are.
    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }

    /// The frames, in their order.
    pub(crate) fn frames(&self) -> impl Iterator<Item = (Timestamp, &[u8])> {
        (0..self.len()).filter_map(|number| self.frame(number))
    }

    /// One of them, by its number.
    pub(crate) fn frame(&self, number: usize) -> Option<(Timestamp, &[u8])> {
        let place = self.order.get(number)?;
        let bytes = &self.groups.get(place.group as usize)?.bytes;
        let frame = bytes.get(place.offset as usize..(place.offset + place.length) as usize)?;
        Some((Timestamp::from_nanos(place.time), frame))
    }
}

impl Group {
    fn fill(&mut self, number: u32, studio: &Studio, calls: &mut [Running], span: &Range<u64>) {
        self.bytes.clear();
        self.places.clear();
        for Running { call, tallies } in calls {
            if call.invite >= span.end || call.end() < span.start {
                continue;
            }
            self.signalling(number, call, span);
            for (side, tally) in [Side::Caller, Side::Callee].into_iter().zip(tallies) {
                self.media(number, studio, (call, side), tally, span);
                self.reports(number, studio, (call, side), span);
            }
        }
    }

    fn signalling(&mut self, group: u32, call: &Call, span: &Range<u64>) {
        for message in Message::ALL {
            let time = message.time(call);
            if span.contains(&time) {
                self.append(group, time, |bytes| frame::sip(bytes, call, message));
            }
        }
    }

    fn media(
        &mut self,
        group: u32,
        studio: &Studio,
        (call, side): (&Call, Side),
        tally: &mut Tally,
        span: &Range<u64>,
    ) {
        let party = call.party(side);
        let protector = party.protector();
        let due = studio.packets_due(party, span);
        let mut payloads = std::mem::take(&mut self.payloads);
        payloads.clear();
        payloads.extend(due.clone().map(|index| studio.render(call, side, index)));
        for (index, payload) in due.clone().zip(&payloads) {
            let fate = studio.plan.fate(party, index);
            match fate.arrival {
                None => tally.lose(index),
                Some(at) => {
                    let late = studio.is_overtaken(party, index, at);
                    tally.deliver(call.law, payload, fate.copy.is_some(), late);
                }
            }
        }
        let delayed = studio
            .packets_due(party, &(span.start.saturating_sub(studio.plan.delay_max())..span.start));
        for index in delayed.start..due.end {
            let fate = studio.plan.fate(party, index);
            for time in
                [fate.arrival, fate.copy].into_iter().flatten().filter(|time| span.contains(time))
            {
                let ready =
                    index.checked_sub(due.start).and_then(|i| payloads.get(i as usize)).copied();
                let payload = ready.unwrap_or_else(|| studio.render(call, side, index));
                self.packet(group, call, (party, protector.as_ref()), (index, time), &payload);
            }
        }
        self.payloads = payloads;
    }

    fn packet(
        &mut self,
        group: u32,
        call: &Call,
        (party, protector): (&Party, Option<&Protector>),
        (index, time): (u32, u64),
        payload: &[u8; PACKET_SAMPLES],
    ) {
        let ports = (party.media_port(), call.party(party.side.other()).media_port());
        let header = frame::rtp_header(party, call.law.payload_type(), index);
        let id = party.ip_id.wrapping_add(index as u16);
        let protected = protector.map(|it| party.protected(it, index, &header, payload));
        let payload = protected.as_ref().map_or(&payload[..], |protected| &protected[..]);
        self.append(group, time, |bytes| {
            frame::udp(bytes, ports, Service::Media, id, &[&header, payload])
        });
    }

    fn reports(
        &mut self,
        group: u32,
        studio: &Studio,
        (call, side): (&Call, Side),
        span: &Range<u64>,
    ) {
        let party = call.party(side);
        let end = party.due(studio.plan.packets).min(span.end);
        let before = span.start.saturating_sub(party.first_report()).div_ceil(REPORT_NANOS);
        for number in (before..).take_while(|number| party.report(*number) < end) {
            self.append(group, party.report(number), |bytes| {
                frame::report(bytes, call, side, number)
            });
        }
    }

    /// Appends a frame that `make` appends to bytes and gives the length of.
    fn append(&mut self, group: u32, time: u64, make: impl FnOnce(&mut Vec<u8>) -> usize) {
        let offset = self.bytes.len() as u32;
        let length = make(&mut self.bytes) as u32;
        self.places.push(Place { time, group, offset, length });
    }
}
