//! Whether the recordings are what was said: of each call one, each sample of each side on its channel and nothing
//! else there.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

use anyhow::Result;
use base::recording::Recording;
use rayon::prelude::*;
use serde::Serialize;
use store::{Catalog, Filter, Order};

use super::sound::{Channels, Listener, Rtp};
use crate::data_dir::DataDir;
use crate::synth::{PACKET_SAMPLES, SideTruth, Studio, Truth};

/// What is wrong that is told in words; the rest is counted.
const TOLD_MAX: usize = 20;
/// Microseconds of a sample at 8 kHz.
const SAMPLE_NANOS: i64 = 125_000;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Checked {
    /// Recordings of the calls.
    pub(super) recordings: u64,
    /// Bytes of all recordings' media, as stored.
    pub(super) bytes: u64,
    /// Calls of which every sample that was sent is there, at its place, and nothing else.
    pub(super) exact: u64,
    /// Calls of which every sample is there, in its order, with silence put in where packets came late.
    pub(super) moved: u64,
    /// Calls of which packets are missing, and whose recordings say so.
    pub(super) incomplete: u64,
    /// Calls without a recording.
    pub(super) missing: u64,
    /// Recordings without signalling: of calls that were refused, or whose SIP was lost.
    pub(super) without_signalling: u64,
    /// Recordings that hold what nobody said, miss what they do not say, or belong to no call: never right.
    pub(super) false_recordings: u64,
    /// By how much the two sides are off against each other at worst, milliseconds.
    pub(super) alignment_worst_ms: f64,
    /// What is wrong, in words.
    pub(super) findings: Vec<String>,
}

/// How one side came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SideFound {
    /// At which sample of the channel its first packet begins.
    place: Option<usize>,
    /// Packets sent that are silence in the recording.
    missing: u64,
    /// Whether anything else than what was said is on the channel.
    is_foreign: bool,
    /// Whether there is silence between packets that follow each other.
    is_moved: bool,
}

/// Compares a data folder with the truth about the calls. Of a recorder that `lost` packets itself, a recording may say that
/// it cannot know whether it lacks any.
///
/// # Errors
/// The recordings cannot be read at all.
pub(super) fn check(
    data: &DataDir,
    truths: &[Truth],
    studio: &Studio,
    lost: bool,
) -> Result<Checked> {
    let Kept { of_calls, extra, without_signalling, bytes } = recordings(data, truths)?;
    let (listener, judge) = (Listener::new(data.clone())?, Judge { studio, lost });
    let each: Vec<_> = truths
        .par_iter()
        .map(|truth| match of_calls.get(truth.call_id.as_str()).map(Vec::as_slice) {
            None | Some([]) => Verdict::Missing,
            Some([one]) => judge.recording(&listener, truth, one),
            Some(_) => Verdict::False("it has several recordings".into()),
        })
        .collect();
    let recordings = of_calls.values().map(|these| these.len() as u64).sum();
    let mut checked = Checked {
        recordings,
        bytes,
        without_signalling,
        false_recordings: extra,
        ..Checked::default()
    };
    if extra > 0 {
        checked.findings.push(format!("{extra} recordings belong to no call that was made"));
    }
    for (truth, verdict) in truths.iter().zip(each) {
        checked.add(truth, verdict);
    }
    Ok(checked)
}

/// The recordings that are there.
struct Kept {
    of_calls: HashMap<String, Vec<Recording>>,
    /// With signalling of no call that was made.
    extra: u64,
    without_signalling: u64,
    bytes: u64,
}

fn recordings(data: &DataDir, truths: &[Truth]) -> Result<Kept> {
    let of_calls = truths.iter().map(|truth| (truth.call_id.clone(), Vec::new())).collect();
    let mut kept = Kept { of_calls, extra: 0, without_signalling: 0, bytes: 0 };
    if !data.has_catalog()? {
        return Ok(kept);
    }
    let catalog = Catalog::open_existing(&data.catalog()?)?;
    catalog.each(&Filter::default(), Order::Earliest, None, |recording| {
        kept.bytes += recording.media_files.iter().map(|file| file.size).sum::<u64>();
        match recording.call_id.as_deref().map(|id| kept.of_calls.get_mut(id)) {
            Some(Some(these)) => these.push(recording),
            Some(None) => kept.extra += 1,
            None => kept.without_signalling += 1,
        }
        ControlFlow::Continue(())
    })?;
    Ok(kept)
}

enum Verdict {
    Exact { off: i64 },
    Moved,
    Incomplete(u64),
    Missing,
    False(String),
}

impl Checked {
    fn add(&mut self, truth: &Truth, verdict: Verdict) {
        let mut tell = |what: String| {
            if self.findings.len() < TOLD_MAX {
                self.findings.push(format!("call {} ({}): {what}", truth.call, truth.call_id));
            }
        };
        match verdict {
            Verdict::Exact { off } => {
                self.exact += 1;
                self.alignment_worst_ms =
                    self.alignment_worst_ms.max(off.unsigned_abs() as f64 / 1e6);
            }
            Verdict::Moved => {
                tell("all of it is there, with silence where packets came late".into());
                self.moved += 1;
            }
            Verdict::Incomplete(0) => {
                tell("none of its packets is missing; it says that it cannot know that".into());
                self.incomplete += 1;
            }
            Verdict::Incomplete(packets) => {
                tell(format!("{packets} packets are missing, and the recording says so"));
                self.incomplete += 1;
            }
            Verdict::Missing => {
                tell("there is no recording".into());
                self.missing += 1;
            }
            Verdict::False(what) => {
                // Before all others: it is what must never be.
                let told = format!("call {} ({}): NOT RIGHT: {what}", truth.call, truth.call_id);
                self.findings.insert(0, told);
                self.findings.truncate(TOLD_MAX);
                self.false_recordings += 1;
            }
        }
    }
}

/// Judges recordings.
struct Judge<'a> {
    studio: &'a Studio,
    /// Whether the recorder lost packets.
    lost: bool,
}

impl Judge<'_> {
    fn recording(&self, listener: &Listener, truth: &Truth, recording: &Recording) -> Verdict {
        let judged = match self.studio.is_encrypted() {
            false => listener.hear(recording).map(|it| self.sound(&it, truth, recording.complete)),
            true => {
                listener.packets(recording).map(|it| self.packets(&it, truth, recording.complete))
            }
        };
        judged.unwrap_or_else(|error| Verdict::False(format!("{error:#}")))
    }

    /// Of what was encrypted, the packets are kept as they were: each once, and no other.
    fn packets(&self, packets: &[Rtp], truth: &Truth, complete: bool) -> Verdict {
        let mut wanted = HashSet::new();
        for side in &truth.sides {
            let speaker = self.studio.speaker(truth.call, side.side);
            let arrived = (0..side.sent).filter(|index| side.lost.binary_search(index).is_err());
            wanted.extend(arrived.map(|index| speaker.packet(index)));
        }
        if !packets.iter().all(|packet| wanted.remove(packet.bytes())) {
            return Verdict::False("there is a packet that neither side sent, or twice".into());
        }
        let missing = wanted.len() as u64;
        self.told_wrongly(missing, truth, complete).unwrap_or(Verdict::Exact { off: 0 })
    }

    fn sound(&self, channels: &Channels, truth: &Truth, complete: bool) -> Verdict {
        let mut found = truth
            .sides
            .iter()
            .zip(channels)
            .map(|(side, channel)| compare(truth.call, side, channel, self.studio));
        let (Some(caller), Some(callee)) = (found.next(), found.next()) else {
            return Verdict::Missing;
        };
        if caller.is_foreign || callee.is_foreign {
            let what = "there is something on a channel that its side did not say";
            return Verdict::False(what.into());
        }
        let missing = caller.missing + callee.missing;
        if let Some(verdict) = self.told_wrongly(missing, truth, complete) {
            return verdict;
        }
        if caller.is_moved || callee.is_moved {
            return Verdict::Moved;
        }
        match (caller.place, callee.place) {
            (Some(caller), Some(callee)) => {
                let apart = (callee as i64 - caller as i64) * SAMPLE_NANOS;
                Verdict::Exact { off: apart - truth.callee_offset_nanos }
            }
            _ => Verdict::False("a side is not heard at all".into()),
        }
    }

    /// What is to be said of a recording that misses packets, or that does not say what is so.
    fn told_wrongly(&self, missing: u64, truth: &Truth, complete: bool) -> Option<Verdict> {
        let lost: u64 = truth.sides.iter().map(|side| side.lost.len() as u64).sum();
        let wrong = |what: String| Some(Verdict::False(what));
        match (complete, missing, lost) {
            (true, 0, 0) | (false, 0, 1..) => None,
            (true, 1.., _) => {
                wrong(format!("{missing} packets are missing, and it is called complete"))
            }
            (true, 0, _) => {
                wrong(format!("{lost} packets were lost on the way, and it is called complete"))
            }
            // Where the recorder lost packets, it may not be able to know whose they were.
            (false, 1.., _) => Some(Verdict::Incomplete(missing)),
            (false, 0, 0) if self.lost => Some(Verdict::Incomplete(0)),
            (false, 0, 0) => wrong("all of it is there, and it is called incomplete".into()),
        }
    }
}

/// A channel holds what its side sent, whole and in one piece, or else packet by packet.
fn compare(call: u32, truth: &SideTruth, channel: &[i16], studio: &Studio) -> SideFound {
    let samples = truth.samples as usize;
    let speaker = studio.speaker(call, truth.side);
    let packet = |index| speaker.payload(index).map(|code| truth.codec.decode(code));
    let find = |index| {
        let wanted = packet(index);
        let at = channel.windows(PACKET_SAMPLES).position(|window| window == wanted)?;
        at.checked_sub(index as usize * PACKET_SAMPLES)
    };
    let arrived = (0..truth.sent).filter(|index| truth.lost.binary_search(index).is_err());
    // In an overload the first ones may be missing; and then the channel may begin with the first one that is there.
    let Some(place) = arrived.clone().take(100).find_map(find) else {
        let (missing, is_foreign) = one_by_one(arrived.map(packet), channel);
        return SideFound { place: None, missing, is_foreign, is_moved: false };
    };
    let (before, rest) = channel.split_at(place);
    let (said, after) = rest.split_at(samples.min(rest.len()));
    let is_silent = |part: &[i16]| part.iter().all(|sample| *sample == 0);
    let mut found = SideFound {
        place: Some(place),
        missing: 0,
        is_foreign: !is_silent(before) || !is_silent(after),
        is_moved: false,
    };
    let mut slots = said.chunks(PACKET_SAMPLES);
    for index in 0..truth.sent {
        let slot = slots.next().unwrap_or_default();
        let is_lost = truth.lost.binary_search(&index).is_ok();
        if is_silent(slot) {
            found.missing += u64::from(!is_lost);
        } else {
            found.is_foreign |= is_lost || packet(index) != *slot;
        }
    }
    if found.is_foreign {
        let (missing, is_foreign) = one_by_one(arrived.map(packet), channel);
        return SideFound { place: Some(place), missing, is_foreign, is_moved: !is_foreign };
    }
    found
}

/// Packets in their order, with nothing but silence between them: how many are not there, and whether anything else is.
fn one_by_one(
    packets: impl Iterator<Item = [i16; PACKET_SAMPLES]>,
    channel: &[i16],
) -> (u64, bool) {
    let (mut rest, mut missing) = (channel, 0);
    for packet in packets {
        let silence = rest.iter().take_while(|sample| **sample == 0).count();
        let mut places = rest.windows(PACKET_SAMPLES).take(silence + 1);
        match places.position(|window| window == packet) {
            Some(at) => rest = rest.get(at + PACKET_SAMPLES..).unwrap_or_default(),
            None => missing += 1,
        }
    }
    (missing, rest.iter().any(|sample| *sample != 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synth::{Codecs, Making, Options, Slice};

    fn calls(srtp: bool) -> (Vec<Truth>, Studio) {
        let options = Options { codec: Codecs::Pcmu, srtp, loss: 10.0, ..Options::of(2, 1) };
        let mut making = Making::new(&options);
        let mut slice = Slice::default();
        while making.next(&mut slice) {}
        making.finish()
    }

    /// What a recorder makes of a side, with silence around it.
    fn channel(truth: &Truth, side: usize, studio: &Studio) -> Vec<i16> {
        let side = &truth.sides[side];
        let mut channel = vec![0; 77];
        for index in 0..side.sent {
            match side.lost.contains(&index) {
                true => channel.extend([0; PACKET_SAMPLES]),
                false => channel.extend(
                    studio
                        .payload(truth.call, side.side, index)
                        .map(|code| side.codec.decode(code)),
                ),
            }
        }
        channel.extend([0; 33]);
        channel
    }

    #[test]
    fn packets_that_were_kept_are_those_that_were_sent() {
        let (truths, studio) = calls(true);
        let arrived = |truth: &Truth, except: &[(usize, u32)]| -> Vec<Rtp> {
            let mut packets = Vec::new();
            for (number, side) in truth.sides.iter().enumerate() {
                let speaker = studio.speaker(truth.call, side.side);
                let wanted = (0..side.sent).filter(|index| {
                    !side.lost.contains(index) && !except.contains(&(number, *index))
                });
                packets.extend(wanted.map(|index| Rtp(speaker.packet(index))));
            }
            packets
        };
        let (truth, other) = (&truths[0], &truths[1]);
        let judge = Judge { studio: &studio, lost: false };
        let judged = |packets: &[Rtp], complete| judge.packets(packets, truth, complete);
        assert!(truth.sides.iter().all(|side| !side.lost.is_empty()), "{truth:?}");
        assert!(matches!(judged(&arrived(truth, &[]), false), Verdict::Exact { .. }));
        assert!(matches!(judged(&arrived(truth, &[]), true), Verdict::False(_)), "some were lost");
        // The first and the last of a side always arrive.
        let fewer = arrived(truth, &[(0, 0), (1, 49)]);
        assert!(matches!(judged(&fewer, false), Verdict::Incomplete(2)));
        assert!(matches!(judged(&fewer, true), Verdict::False(_)));
        let mut more = arrived(truth, &[]);
        more.push(Rtp(more[7].bytes().to_vec()));
        assert!(matches!(judged(&more, false), Verdict::False(_)), "one is there twice");
        more.pop();
        more[7].0[30] ^= 1;
        assert!(matches!(judged(&more, false), Verdict::False(_)), "one is another");
        assert!(matches!(judged(&arrived(other, &[]), false), Verdict::False(_)));
    }

    #[test]
    fn a_recording_may_say_that_it_cannot_know_only_where_the_recorder_lost_packets() {
        let (mut truths, studio) = calls(false);
        truths[0].sides.iter_mut().for_each(|side| side.lost.clear());
        let told = |lost, missing, complete| {
            Judge { studio: &studio, lost }.told_wrongly(missing, &truths[0], complete)
        };
        assert!(matches!(told(true, 0, false), Some(Verdict::Incomplete(0))));
        assert!(matches!(told(false, 0, false), Some(Verdict::False(_))));
        assert!(matches!(told(true, 1, true), Some(Verdict::False(_))));
        assert!(told(true, 0, true).is_none() && told(false, 0, true).is_none());
    }

    #[test]
    fn a_channel_as_it_was_said_is_found_so_and_any_change_is_told() {
        let (truths, studio) = calls(false);
        for (truth, other) in [(&truths[0], &truths[1]), (&truths[1], &truths[0])] {
            for side in 0..2 {
                let as_said = channel(truth, side, &studio);
                let judged =
                    |channel: &[i16]| compare(truth.call, &truth.sides[side], channel, &studio);
                let exact =
                    SideFound { place: Some(77), missing: 0, is_foreign: false, is_moved: false };
                assert_eq!(judged(&as_said), exact);
                let silenced = |from: usize| {
                    let mut channel = as_said.clone();
                    channel[from..from + PACKET_SAMPLES].fill(0);
                    channel
                };
                // A packet that arrived: the first, and the last.
                assert_eq!(judged(&silenced(77)).missing, 1);
                assert_eq!(judged(&silenced(77)).place, Some(77));
                let last = as_said.len() - 33 - PACKET_SAMPLES;
                assert_eq!(judged(&silenced(last)), SideFound { missing: 1, ..exact });
                // The first ones, and the silence in their place.
                let begun_late = judged(&as_said[77 + 10 * PACKET_SAMPLES..]);
                let lost = &truth.sides[side].lost;
                let arrived = 10 - lost.iter().filter(|index| **index < 10).count() as u64;
                assert_eq!((begun_late.missing, begun_late.is_foreign), (arrived, false));
                let mut late = as_said.clone();
                let at = 77 + 20 * PACKET_SAMPLES;
                late.splice(at..at, [0; 1_234]);
                assert_eq!(judged(&late), SideFound { is_moved: true, ..exact });
                late.drain(77..77 + PACKET_SAMPLES);
                assert_eq!((judged(&late).missing, judged(&late).is_foreign), (1, false));
                for (at, sample) in [(0, 1), (77 + 500, 12_345), (as_said.len() - 1, -1)] {
                    let mut channel = as_said.clone();
                    channel[at] = sample;
                    assert!(judged(&channel).is_foreign, "sample {at}");
                }
                let crossed = channel(other, side, &studio);
                assert!(judged(&crossed).is_foreign);
                assert!(judged(&channel(truth, 1 - side, &studio)).is_foreign);
                assert_eq!(judged(&[]).place, None);
            }
        }
    }
}
