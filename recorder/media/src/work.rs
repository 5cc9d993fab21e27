//! A call's packets, taken apart, placed, and sorted by where they go.

use std::cmp::Reverse;

use base::limits::RECORDING_HOURS_MAX;
use base::{FlowKey, Side, Timestamp};

use crate::heard::{Fate, Heard, hear, report_ppb};
use crate::input::{CallInput, FlowInput};
use crate::kept::Kept;
use crate::lanes::{Candidate, Lane, assign};
use crate::output::{File, Tally};
use crate::render::{Channel, Strip};
use crate::rtcp::{SenderClock, is_rtcp};
use crate::rtp::Rtp;
use crate::streams::{Aside, split};
use crate::timeline::place::Placed;
use crate::timeline::{Track, apply_stretch, stretch};

/// Where every stream goes.
#[derive(Debug)]
pub(crate) struct Places {
    pub(crate) lanes: Vec<Lane>,
    /// A place for each stream, by its number.
    pub(crate) placed: Vec<Placed>,
    /// How much slower than the capture clock each stream's clock is.
    pub(crate) drift_ppb: Vec<i64>,
    /// By how much the recording's clock had to be made faster than the capture clock.
    pub(crate) stretch_ppb: i64,
}

impl Places {
    /// The lane of a stream.
    pub(crate) fn lane_of(&self, id: usize) -> Option<usize> {
        self.lanes.iter().position(|lane| lane.caller.contains(&id) || lane.callee.contains(&id))
    }
}

/// A call's streams, and all that belongs to none.
pub(crate) struct Work<'f, 'a> {
    pub(crate) flows: &'f [FlowInput<'a>],
    /// The moment of position 0.
    pub(crate) reference: Timestamp,
    pub(crate) heard: Vec<Heard<'a>>,
    /// Flow, packet, and why it is in no stream.
    aside: Vec<(usize, u32, Aside)>,
    clocks: Vec<(Side, SenderClock)>,
}

impl<'f, 'a> Work<'f, 'a> {
    pub(crate) fn read(call: &CallInput, flows: &'f [FlowInput<'a>]) -> Self {
        let times = flows.iter().flat_map(|flow| flow.packets.iter().map(|packet| packet.time));
        let hours = std::time::Duration::from_secs(RECORDING_HOURS_MAX / 2 * 3_600);
        let reference = times.min().unwrap_or_default().max(call.start.minus(hours));
        let mut work =
            Self { flows, reference, heard: Vec::new(), aside: Vec::new(), clocks: Vec::new() };
        let mut streams_before = 0;
        let mut splits = Vec::with_capacity(flows.len());
        for flow in flows {
            let split = split(flow, streams_before);
            streams_before += split.streams.len();
            splits.push(split);
        }
        let agreed: Vec<(FlowKey, Timestamp)> = flows
            .iter()
            .zip(&splits)
            .filter_map(|(flow, split)| Some((flow.key, split.agreed?)))
            .collect();
        for (number, (flow, split)) in flows.iter().zip(splits).enumerate() {
            work.aside.extend(split.aside.into_iter().map(|(index, why)| (number, index, why)));
            work.clocks.extend(split.clocks.into_iter().map(|clock| (flow.side, clock)));
            // An agreement in one direction is one for both.
            let own =
                agreed.iter().filter(|(key, _)| [flow.key, flow.key.reversed()].contains(key));
            let encrypted = own.map(|(_, time)| *time).min().unwrap_or(Timestamp::MAX);
            let streams = split.streams.into_iter();
            work.heard
                .extend(streams.map(|stream| hear(number, flow, stream, reference, encrypted)));
        }
        work
    }

    pub(crate) fn flow_of(&self, heard: &Heard<'_>) -> Option<&'f FlowInput<'a>> {
        self.flows.get(heard.flow)
    }

    pub(crate) fn side_of(&self, heard: &Heard<'_>) -> Side {
        self.flow_of(heard).map_or(Side::Caller, |flow| flow.side)
    }

    /// A stream that another flow of its side carries too gets no lane of its own.
    pub(crate) fn recognise_duplicates(&mut self) {
        let mut order: Vec<usize> = (0..self.heard.len()).collect();
        order.sort_by_key(|id| self.heard.get(*id).map(|h| (h.ssrc, Reverse(h.unique.len()))));
        for (rank, id) in order.iter().enumerate() {
            let Some(heard) = self.heard.get(*id).filter(|heard| heard.fate.has_sound()) else {
                continue;
            };
            let before = order.get(..rank).unwrap_or_default().iter().rev();
            let same_ssrc = before.map_while(|other| {
                self.heard.get(*other).filter(|h| h.ssrc == heard.ssrc).map(|h| (*other, h))
            });
            let original = same_ssrc
                .filter(|(_, other)| other.fate.has_sound() && other.flow != heard.flow)
                .filter(|(_, other)| self.side_of(other) == self.side_of(heard))
                .find(|(_, other)| heard.is_within(other));
            let original = original.map(|(other, _)| other);
            if let (Some(original), Some(heard)) = (original, self.heard.get_mut(*id)) {
                heard.fate = Fate::DuplicateOf(original);
            }
        }
        self.heard.iter_mut().for_each(|heard| heard.unique = Vec::new());
    }

    /// Puts every stream with sound on the clock and into a lane.
    pub(crate) fn place(&mut self) -> Places {
        let mut tracks = self.tracks();
        let mut alone = self.place_alone(&tracks);
        let drift_ppb = tracks.iter().map(Track::drift_ppb).collect();
        let stretch_ppb = stretch(tracks.iter().zip(&alone));
        if stretch_ppb > 0 {
            let voices = self.heard.iter_mut().map(|heard| &mut heard.voice);
            voices.for_each(|voice| apply_stretch(&mut voice.sounds, stretch_ppb));
            tracks = self.tracks();
            alone = self.place_alone(&tracks);
        }
        let lanes = assign(self.candidates(&alone));
        let mut laned = vec![false; self.heard.len()];
        for ids in lanes.iter().flat_map(|lane| [&lane.caller, &lane.callee]) {
            let mut end = None;
            for id in ids {
                let (Some(track), Some(heard)) = (tracks.get(*id), self.heard.get(*id)) else {
                    continue;
                };
                let Some(placed) = alone.get_mut(*id) else { continue };
                if end.is_some_and(|end| end > placed.begin()) {
                    *placed = track.place(&heard.voice.sounds, end);
                }
                end = Some(placed.end);
                laned.iter_mut().skip(*id).take(1).for_each(|laned| *laned = true);
            }
        }
        for (heard, laned) in self.heard.iter_mut().zip(laned) {
            if heard.fate.has_sound() && !laned {
                let reason = "too many streams of one side ran at the same time";
                heard.fate = Fate::Kept(reason.to_owned());
            }
        }
        Places { lanes, placed: alone, drift_ppb, stretch_ppb }
    }

    fn tracks(&self) -> Vec<Track> {
        let track = |heard: &Heard<'a>| {
            let side = self.side_of(heard);
            let own =
                self.clocks.iter().filter(|(of, clock)| *of == side && clock.ssrc == heard.ssrc);
            let clocks: Vec<SenderClock> = own.map(|(_, clock)| *clock).collect();
            Track::new(&heard.voice.sounds, report_ppb(&clocks, heard.ssrc))
        };
        self.heard.iter().map(track).collect()
    }

    fn place_alone(&self, tracks: &[Track]) -> Vec<Placed> {
        let pairs = tracks.iter().zip(&self.heard);
        pairs.map(|(track, heard)| track.place(&heard.voice.sounds, None)).collect()
    }

    fn candidates(&self, placed: &[Placed]) -> Vec<Candidate> {
        let with_sound = self.heard.iter().zip(placed).enumerate();
        let with_sound = with_sound.filter(|(_, (heard, _))| heard.fate.has_sound());
        let candidate = |(id, (heard, placed)): (usize, (&Heard<'_>, &Placed))| Candidate {
            id,
            side: self.side_of(heard),
            key: self.flow_of(heard).map(|flow| flow.key).unwrap_or_default(),
            begin: placed.begin(),
            end: placed.end,
            samples: heard.voice.samples,
        };
        with_sound.map(candidate).collect()
    }

    /// One side of a lane, ready to be decoded.
    pub(crate) fn channel(&self, ids: &[usize], placed: &[Placed]) -> Channel<'_> {
        let mut channel = Channel::default();
        for id in ids {
            let (Some(heard), Some(placed)) = (self.heard.get(*id), placed.get(*id)) else {
                continue;
            };
            let strips = placed.pieces.iter().filter_map(|piece| {
                let sounds = heard.voice.sounds.get(piece.first..piece.until)?;
                (!sounds.is_empty()).then_some(Strip { position: piece.position, sounds })
            });
            channel.strips.extend(strips);
            channel.end = placed.end;
        }
        channel
    }

    /// Every packet that goes into a packet file.
    pub(crate) fn kept(&self) -> Vec<Kept<'a>> {
        let mut kept = Vec::new();
        let take = |flow: usize, index: u32| {
            let flow = self.flows.get(flow)?;
            flow.packets.get(index as usize).map(|packet| (flow.key, *packet))
        };
        kept.extend(self.aside.iter().filter_map(|(flow, index, _)| take(*flow, *index)));
        for heard in self.heard.iter().filter(|heard| !heard.fate.is_kept()) {
            kept.extend(heard.misfits.iter().filter_map(|index| take(heard.flow, *index)));
        }
        for (number, flow) in self.flows.iter().enumerate() {
            let own =
                self.heard.iter().filter(|heard| heard.flow == number && heard.fate.is_kept());
            let ssrcs: Vec<u32> = own.map(|heard| heard.ssrc).collect();
            if ssrcs.is_empty() {
                continue;
            }
            let of_these = flow.packets.iter().filter(|packet| {
                !is_rtcp(packet.payload)
                    && Rtp::parse(packet.payload, packet.payload.len() >= packet.wire_bytes.into())
                        .is_ok_and(|rtp| ssrcs.contains(&rtp.ssrc))
            });
            kept.extend(of_these.map(|packet| (flow.key, *packet)));
        }
        kept
    }

    pub(crate) fn tally(&self) -> Tally {
        let received = self.flows.iter().map(|flow| flow.packets.len() as u64).sum();
        let mut tally = Tally { received, kept: self.aside.len() as u64, ..Tally::default() };
        self.heard.iter().for_each(|heard| heard.count(&mut tally));
        tally
    }

    /// What is in the packet files beside streams.
    pub(crate) fn notes(&self, audio: &[File]) -> Vec<String> {
        let words = [
            (Aside::Rtcp, "RTCP packets"),
            (Aside::Stun, "STUN packets"),
            (Aside::NotRtpByNature, "packets of a medium that is not RTP"),
            (Aside::Unknown, "packets that are not RTP"),
            (Aside::SsrcLimit, "RTP packets of more SSRCs than are told apart"),
        ];
        let mut notes = Vec::new();
        for (why, what) in words {
            let count = self.aside.iter().filter(|(_, _, reason)| *reason == why).count();
            if count > 0 {
                notes.push(format!("{count} {what} are kept as packets"));
            }
        }
        let misfits: usize = self.heard.iter().map(|heard| heard.misfits.len()).sum();
        if misfits > 0 {
            notes.push(format!(
                "{misfits} RTP packets whose sequence number fits nowhere are kept as packets"
            ));
        }
        if audio.is_empty() && !self.heard.is_empty() {
            notes.push("no stream could be decoded; the call has no audio file".to_owned());
        }
        notes
    }
}
