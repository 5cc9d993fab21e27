//! Recordings compared with what callers sent, packet by packet, while the recorder was there and away.

use std::collections::HashMap;
use std::ops::Range;
use std::time::Duration;

use base::Side;
use base::recording::{Recording, Stream};
use rayon::prelude::*;
use wiring::synth::PACKET_SAMPLES;

use crate::callers::{CALLEE, CALLER, Heard, Kind, Sent, Step};
use crate::recorder::Site;

/// A capture thread that was not on a CPU when it was killed had so much waiting in its ring, at most.
const IN_FLIGHT_MAX: Duration = Duration::from_millis(1_500);
/// Fewer packets than this, of which the signalling was not seen, are not kept (`engine::unclaimed`).
const UNCLAIMED_MIN: usize = 10;
/// How far a gap may be from what is missing.
const SAMPLES_OFF_MAX: f64 = 2.0;
/// The same where a stream ended in the gap and another began after it: there, only the clock tells its length.
const CLOCK_SAMPLES_OFF_MAX: f64 = 2.0 * PACKET_SAMPLES as f64;
const NANOS_PER_SAMPLE: f64 = 125_000.0;
const SAMPLES_PER_MILLISECOND: f64 = 8.0;
/// Faults that are shown; all are counted.
const SHOWN_MAX: usize = 60;

/// When nobody recorded: from the signal until the next run said that it records.
#[derive(Clone, Debug)]
pub(crate) struct Away {
    pub(crate) at: Duration,
    pub(crate) until: Duration,
    /// Whether the run before was told to end, which ends the calls that are up.
    pub(crate) orderly: bool,
}

/// What became of calls.
pub(crate) struct Inspection<'a> {
    away: &'a [Away],
    calls: Vec<Examined<'a>>,
}

/// What an inspection comes to.
#[derive(Default)]
pub(crate) struct Account {
    /// RTP packets sent; in recordings; SIP messages in recordings.
    pub(crate) sent: u64,
    pub(crate) present: u64,
    pub(crate) messages: u64,
    /// Packets that were sent while nobody recorded, for each time.
    pub(crate) lost: Vec<u64>,
    /// How long before a kill packets were sent that nobody took.
    pub(crate) in_flight: Vec<Duration>,
    /// Packets and messages that may be in no recording, because nobody saw how their call began.
    pub(crate) forgivable: u64,
    /// By how many samples a packet is off its place, at worst.
    pub(crate) shift: usize,
    pub(crate) wrong: Vec<String>,
}

/// A call, and what became of it.
struct Examined<'a> {
    sent: &'a Sent,
    /// Those that have a stream of it, or its name.
    recordings: Vec<&'a Recording>,
    /// For each side, which packets are in a recording.
    present: [Vec<bool>; 2],
    wrong: Vec<String>,
    shift: usize,
}

impl<'a> Inspection<'a> {
    pub(crate) fn new(
        site: &Site,
        recordings: &'a [Recording],
        sent: &'a [Sent],
        away: &'a [Away],
    ) -> Self {
        let (mut by_ssrc, mut by_call) =
            (HashMap::<&str, Vec<_>>::new(), HashMap::<&str, Vec<_>>::new());
        for recording in recordings {
            for stream in &recording.streams {
                by_ssrc.entry(&stream.ssrc).or_default().push(recording);
            }
            if let Some(call_id) = &recording.call_id {
                by_call.entry(call_id).or_default().push(recording);
            }
        }
        let calls = sent.par_iter().map(|sent| {
            let ssrcs = [CALLER, CALLEE].map(|side| sent.call.ssrc_text(side));
            let streams = ssrcs.iter().filter_map(|ssrc| by_ssrc.get(&**ssrc));
            let mut found: Vec<&Recording> =
                streams.chain(by_call.get(&*sent.call.call_id())).flatten().copied().collect();
            found.sort_by_key(|recording| recording.id);
            found.dedup_by_key(|recording| recording.id);
            examine(site, sent, found, away)
        });
        Self { away, calls: calls.collect() }
    }

    pub(crate) fn account(&self) -> Account {
        let mut account = Account { lost: vec![0; self.away.len()], ..Account::default() };
        for call in &self.calls {
            self.add(call, &mut account);
        }
        account
    }

    fn add(&self, call: &Examined<'_>, account: &mut Account) {
        account.wrong.extend(call.wrong.iter().cloned());
        account.shift = account.shift.max(call.shift);
        let messages: usize = call.recordings.iter().map(|it| it.messages.len()).sum();
        account.messages += messages as u64;
        let forgivable = !is_begin_seen(call.sent, self.away);
        if forgivable {
            account.forgivable += call.sent.messages.len().saturating_sub(messages) as u64;
        }
        for side in [CALLER, CALLEE] {
            let there = call.present[side].iter().filter(|there| **there).count();
            let unclaimed = forgivable && there == 0;
            account.forgivable += if unclaimed { UNCLAIMED_MIN as u64 } else { 0 };
            account.present += there as u64;
            account.sent += call.present[side].len() as u64;
            for (time, there) in call.sent.packets(side).zip(&call.present[side]) {
                match (there, self.away_at(time)) {
                    (true, _) => {}
                    (false, Some(away)) => {
                        account.lost[away] += 1;
                        account.in_flight.extend(self.away[away].at.checked_sub(time));
                    }
                    (false, None) if unclaimed || is_short_rest(call.sent, side, self.away) => {}
                    (false, None) => {
                        let name = call.sent.call.call_id();
                        account.wrong.push(format!(
                            "{name}, side {side}: what was sent at {time:?} is missing"
                        ));
                    }
                }
            }
        }
    }

    /// In which absence something was sent that nobody recorded.
    fn away_at(&self, time: Duration) -> Option<usize> {
        self.away.iter().position(|away| away.may_miss(time))
    }
}

impl Away {
    /// Whether what was sent then may not have been recorded.
    fn may_miss(&self, time: Duration) -> bool {
        time + IN_FLIGHT_MAX >= self.at && time <= self.until
    }
}

impl Account {
    #[track_caller]
    pub(crate) fn assert_right(&self) {
        let shown = &self.wrong[..self.wrong.len().min(SHOWN_MAX)];
        assert!(self.wrong.is_empty(), "{} faults:\n{}", self.wrong.len(), shown.join("\n"));
    }
}

/// Whether the messages that make a call of it were certainly seen.
fn is_begin_seen(sent: &Sent, away: &[Away]) -> bool {
    let seen = |time: Duration| !away.iter().any(|away| away.may_miss(time));
    let mut begin =
        sent.messages.iter().filter(|(step, _)| matches!(step, Step::Invite | Step::Answer));
    sent.call.kind != Kind::MediaOnly && begin.all(|(_, time)| seen(*time))
}

/// Whether the recorder was away while the parties spoke.
fn is_missed(sent: &Sent, away: &[Away]) -> bool {
    let mut times = [CALLER, CALLEE].into_iter().flat_map(|side| sent.packets(side));
    times.any(|time| away.iter().any(|away| away.may_miss(time)))
}

/// Whether the recorder was ended in an orderly way while the call was up, which ends it too.
fn is_cut(sent: &Sent, away: &[Away]) -> bool {
    let begin = sent.messages.first().map(|(_, time)| *time);
    let end = sent.messages.last().map(|(_, time)| *time);
    let (Some(begin), Some(end)) = (begin, end) else { return true };
    away.iter().any(|away| away.orderly && begin <= away.until && away.at <= end)
}

/// Whether what a side still sent after such a cut is too little to be kept.
fn is_short_rest(sent: &Sent, side: usize, away: &[Away]) -> bool {
    let last_cut = away.iter().rev().find(|away| away.orderly);
    is_cut(sent, away)
        && last_cut.is_some_and(|cut| {
            let rest = sent.packets(side).filter(|time| *time > cut.until).count();
            (1..UNCLAIMED_MIN).contains(&rest)
        })
}

fn examine<'a>(
    site: &Site,
    sent: &'a Sent,
    recordings: Vec<&'a Recording>,
    away: &[Away],
) -> Examined<'a> {
    let call = &sent.call;
    let present = [CALLER, CALLEE].map(|side| vec![false; sent.packets(side).len()]);
    let mut examined = Examined { sent, recordings, present, wrong: Vec::new(), shift: 0 };
    let named = examined.recordings.iter().filter(|it| it.call_id == Some(call.call_id())).count();
    let expected = usize::from(call.speaks());
    let expected_named = if call.kind == Kind::MediaOnly { 0 } else { expected };
    let one = match call.kind {
        Kind::MediaOnly => !is_missed(sent, away),
        _ => is_begin_seen(sent, away) && !is_cut(sent, away),
    };
    if one && (named, examined.recordings.len()) != (expected_named, expected) {
        let ids: Vec<_> = examined.recordings.iter().map(|it| (it.id, &it.call_id)).collect();
        examined.wrong.push(format!(
            "{}, {:?}: not {expected} recording: {ids:?}",
            call.call_id(),
            call.kind
        ));
    }
    for recording in examined.recordings.clone() {
        let channels = site.sound(recording.id);
        for side in [CALLER, CALLEE] {
            let ssrc = call.ssrc_text(side);
            // A side that moves has a stream from each of its places, in one channel.
            let Some(stream) = recording.streams.iter().find(|stream| stream.ssrc == ssrc) else {
                continue;
            };
            match Heard::of(call, side, &channels[usize::from(stream.side == Side::Callee)]) {
                Ok(heard) => compare(&mut examined, side, stream, recording, &heard),
                Err(wrong) => examined.wrong.push(wrong),
            }
        }
    }
    examined
}

/// What is missing on a side is told, and nothing else is.
fn compare(
    examined: &mut Examined<'_>,
    side: usize,
    stream: &Stream,
    recording: &Recording,
    heard: &Heard,
) {
    examined.shift = examined.shift.max(heard.shift());
    let name = format!("{}, side {side}", examined.sent.call.call_id());
    let moved = examined.sent.call.kind == Kind::Moved;
    let off = if moved { CLOCK_SAMPLES_OFF_MAX } else { SAMPLES_OFF_MAX };
    let mut last = None;
    for (index, place) in heard.places.iter().enumerate() {
        let Some(place) = place else { continue };
        if std::mem::replace(&mut examined.present[side][index], true) {
            examined.wrong.push(format!("{name}: packet {index} is in two recordings"));
        }
        if let Some((before, end)) = last.replace((index, place + PACKET_SAMPLES))
            && index > before + 1
            && !is_told(recording, stream.side, end..*place, off)
        {
            let gaps: Vec<_> =
                recording.gaps.iter().filter(|gap| gap.side == stream.side).collect();
            let missing =
                format!("packets {before} to {index} are missing, samples {end} to {place}");
            examined.wrong.push(format!("{name}: {missing}, but the gaps are {gaps:?}"));
        }
    }
    let (missing, complete) = (heard.missing(), recording.complete);
    if complete && missing > 0 {
        let Recording { call_id, start_time, end_reason, messages, .. } = recording;
        let lines: Vec<_> = messages.iter().map(|it| &it.start_line).collect();
        examined.wrong.push(format!(
            "{name}: {missing} packets are missing, and it is called complete: {call_id:?}, from {start_time} to \
             {end_reason}, {lines:?}"
        ));
    }
}

/// Whether a gap of a side covers these samples, and no more.
fn is_told(recording: &Recording, side: Side, missing: Range<usize>, off: f64) -> bool {
    let begin = recording.media_files[0].start_time;
    recording.gaps.iter().filter(|gap| gap.side == side).any(|gap| {
        let from = gap.start_time.signed_nanos_since(begin) as f64 / NANOS_PER_SAMPLE;
        let until = from + gap.duration * SAMPLES_PER_MILLISECOND;
        let near = |sample: f64, place: usize| (sample - place as f64).abs() <= off;
        near(from, missing.start) && near(until, missing.end)
    })
}
