//! When the recorder saw nothing: written into the calls that were up then, as gaps of their own kind.
//!
//! Where a call's packets show what they lack, its gap is exactly that; where they do not, it is as long as the
//! outage.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use base::limits::{GAPS_PER_RECORDING_MAX, OUTAGES_MAX};
use base::recording::{Gap, Recording};
use base::{Side, Timestamp};
use serde::{Deserialize, Serialize};

/// Why nothing was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Kind {
    /// The recorder was not running: it was killed, and started again.
    Restart,
    /// The interface was administratively down.
    InterfaceDown,
    /// The cable was out, the other end down, or the driver set the card up anew.
    NoCarrier,
    /// There was no such interface.
    InterfaceRemoved,
    /// The kernel gave no packets: a socket failed.
    CaptureFailed,
}

impl Kind {
    /// What a gap's `reason` says.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Restart => "restart",
            Self::InterfaceDown => "interfaceDown",
            Self::NoCarrier => "noCarrier",
            Self::InterfaceRemoved => "interfaceRemoved",
            Self::CaptureFailed => "captureFailed",
        }
    }

    /// For people.
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Restart => "the recorder was not running",
            Self::InterfaceDown => "the interface was down",
            Self::NoCarrier => "the interface had no carrier",
            Self::InterfaceRemoved => "the interface was gone",
            Self::CaptureFailed => "the capture failed",
        }
    }
}

/// One stretch of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Outage {
    /// Why.
    pub(crate) kind: Kind,
    /// The last moment before it at which packets were seen, or would have been.
    pub(crate) from: Timestamp,
    /// The first such moment after it; the end of time while it lasts.
    pub(crate) until: Timestamp,
}

impl Outage {
    /// The same with other times.
    pub(crate) fn told(self, time: impl Fn(Timestamp) -> Timestamp) -> Self {
        Self { from: time(self.from), until: time(self.until), ..self }
    }
}

/// All that are remembered; the oldest give way.
#[derive(Debug, Default)]
pub(crate) struct Outages(Mutex<VecDeque<Outage>>);

impl Outages {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Outage>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One begins, or is known as a whole.
    pub(crate) fn add(&self, outage: Outage) {
        let mut all = self.lock();
        // A run that saw nothing at all is no interruption of the one outage.
        all.retain(|known| known.from < outage.from || known.until > outage.until);
        if all.len() >= OUTAGES_MAX {
            all.pop_front();
        }
        all.push_back(outage);
    }

    /// One that is known as a whole, unless it is known already.
    pub(crate) fn add_unknown(&self, outage: Outage) {
        let is_it = |known: &Outage| {
            known.kind == outage.kind && known.from < outage.until && known.until > outage.from
        };
        if !self.lock().iter().any(is_it) {
            self.add(outage);
        }
    }

    /// The one that lasts is over.
    pub(crate) fn end(&self, until: Timestamp) {
        let mut all = self.lock();
        let lasting = all.iter_mut().filter(|outage| outage.until == Timestamp::MAX);
        lasting.for_each(|outage| outage.until = until.max(outage.from));
    }

    /// Those that ended before this hit no call that is still to be finished.
    pub(crate) fn forget_before(&self, time: Timestamp) {
        self.lock().retain(|outage| outage.until > time);
    }

    /// Oldest first.
    pub(crate) fn all(&self) -> Vec<Outage> {
        self.lock().iter().copied().collect()
    }

    /// Writes into a recording what hit its call. Its times are `ahead` nanoseconds ahead of the capture clock.
    pub(crate) fn note(&self, recording: &mut Recording, ahead: i64) {
        let (start, stop) = (recording.start_time, recording.stop_time);
        // A call whose end was seen in between tells that the outage was shorter than it looks; of an interface's, that
        // it is no matter. A recorder that was away may have missed the last of the call's media all the same.
        let lasted = |it: &Outage| {
            it.until <= stop || it.until == Timestamp::MAX || it.kind == Kind::Restart
        };
        let hit = |it: &Outage| it.from >= start && it.from < stop && lasted(it);
        let all = self.all().into_iter().map(|it| it.told(|time| time.moved(ahead)));
        for outage in all.filter(hit) {
            let (from, until) = (outage.from, outage.until.min(stop));
            let sides = [Side::Caller, Side::Callee];
            let missing = sides.map(|side| mark(recording, side, Outage { from, until, ..outage }));
            let seconds = until.since(from).as_secs_f64();
            let text = format!("{} for {seconds:.3} s from {from} on", outage.kind.words());
            if missing.contains(&true) {
                recording.complete = false;
                recording.incomplete_reasons.push(text);
            } else {
                recording.notes.push(format!("{text}, in which no packet of this call was lost"));
            }
        }
        recording.gaps.sort_by_key(|gap| (gap.start_time, gap.side));
    }
}

/// Marks what one side lacks because of an outage. False if its packets show that it lacks nothing.
fn mark(recording: &mut Recording, side: Side, outage: Outage) -> bool {
    let Outage { kind, from, until } = outage;
    let mut covered = 0.0;
    for gap in recording.gaps.iter_mut().filter(|gap| gap.side == side) {
        let overlap = overlap(gap, from, until);
        if overlap > 0.0 {
            gap.reason = kind.name().into();
            covered += overlap;
        }
    }
    let goes_on = recording
        .streams
        .iter()
        .any(|stream| stream.side == side && stream.start_time < from && stream.stop_time > until);
    // A recorder that was away may have missed anything; an interface that flaps, only what its packets say.
    if covered == 0.0 && goes_on && kind != Kind::Restart {
        return false;
    }
    let duration = milliseconds(from, until);
    if covered * 2.0 < duration && recording.gaps.len() < GAPS_PER_RECORDING_MAX {
        let (start_time, packets, reason) = (from, None, kind.name().into());
        recording.gaps.push(Gap { side, start_time, duration, packets, reason });
    }
    true
}

/// Milliseconds that a gap and a span have in common.
fn overlap(gap: &Gap, from: Timestamp, until: Timestamp) -> f64 {
    let begin = gap.start_time.signed_nanos_since(from) as f64 / 1e6;
    (begin + gap.duration).min(milliseconds(from, until)) - begin.max(0.0)
}

fn milliseconds(from: Timestamp, until: Timestamp) -> f64 {
    until.since(from).as_nanos() as f64 / 1e6
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Duration;

    use base::RecordingId;
    use base::recording::Stream;

    use super::*;

    pub(crate) fn at(ms: u64) -> Timestamp {
        Timestamp::from_nanos(1_700_000_000_000_000_000).plus(Duration::from_millis(ms))
    }

    fn gap(side: Side, ms: u64, duration: f64) -> Gap {
        Gap { side, start_time: at(ms), duration, packets: Some(1), reason: "loss".into() }
    }

    pub(crate) fn stream(side: Side, from: u64, until: u64) -> Stream {
        Stream {
            source: "192.0.2.1:4000".parse().unwrap(),
            destination: "192.0.2.2:5000".parse().unwrap(),
            ssrc: "0x00000001".into(),
            side,
            media: "audio".into(),
            codec: "PCMU".into(),
            packets: 1,
            unique: 1,
            lost: 0,
            duplicates: 0,
            late: 0,
            jitter: 0.0,
            mos: None,
            quality: Vec::new(),
            start_time: at(from),
            stop_time: at(until),
            media_files: Vec::new(),
            state: "decoded".into(),
        }
    }

    /// A call from 0 to 60 s.
    pub(crate) fn recording(gaps: Vec<Gap>, streams: Vec<Stream>) -> Recording {
        Recording {
            id: RecordingId::of_call(at(0), &[b"call"]),
            call_id: Some("call".into()),
            caller_phone_number: String::new(),
            dialed_phone_number: String::new(),
            from: None,
            to: None,
            direction: None,
            start_time: at(0),
            answer_time: None,
            stop_time: at(60_000),
            duration: 60_000,
            end_reason: "BYE".into(),
            complete: true,
            incomplete_reasons: Vec::new(),
            gaps,
            marks: Vec::new(),
            legs: Vec::new(),
            streams,
            media_files: Vec::new(),
            messages: Vec::new(),
            clock: None,
            notes: Vec::new(),
            node: String::new(),
            build: String::new(),
        }
    }

    fn told(recording: &Recording) -> Vec<(Side, u64, f64, &str)> {
        let ms = |gap: &Gap| u64::try_from(gap.start_time.since(at(0)).as_millis()).unwrap();
        let gaps = recording.gaps.iter();
        gaps.map(|gap| (gap.side, ms(gap), gap.duration, gap.reason.as_str())).collect()
    }

    fn outages(kind: Kind, from: u64, until: u64) -> Outages {
        let outages = Outages::default();
        outages.add(Outage { kind, from: at(from), until: at(until) });
        outages
    }

    #[test]
    fn what_is_lost_in_a_restart_is_named_for_it_and_other_losses_are_not() {
        let lost = vec![gap(Side::Caller, 4_990, 2_010.0), gap(Side::Caller, 9_000, 20.0)];
        let mut hit = recording(lost, vec![stream(Side::Caller, 0, 60_000)]);
        outages(Kind::Restart, 5_000, 7_000).note(&mut hit, 0);
        let expected = [
            (Side::Caller, 4_990, 2_010.0, "restart"),
            (Side::Callee, 5_000, 2_000.0, "restart"),
            (Side::Caller, 9_000, 20.0, "loss"),
        ];
        assert_eq!(told(&hit), expected, "the callee was on hold: nobody knows");
        assert!(!hit.complete);
        assert!(hit.incomplete_reasons[0].starts_with("the recorder was not running for 2.000 s"));
    }

    #[test]
    fn a_call_that_was_not_up_is_not_hit() {
        let mut missed = recording(Vec::new(), Vec::new());
        outages(Kind::Restart, 60_000, 70_000).note(&mut missed, 0);
        outages(Kind::InterfaceDown, 59_990, 60_010).note(&mut missed, 0);
        assert!(missed.complete && missed.gaps.is_empty() && missed.notes.is_empty());
    }

    #[test]
    fn a_call_that_ended_just_when_the_recorder_was_back_may_lack_its_end() {
        let mut hit = recording(Vec::new(), vec![stream(Side::Caller, 0, 59_000)]);
        outages(Kind::Restart, 59_010, 60_010).note(&mut hit, 0);
        let span = |side| (side, 59_010, 990.0, "restart");
        assert_eq!(told(&hit), [span(Side::Caller), span(Side::Callee)]);
        assert!(!hit.complete);
    }

    #[test]
    fn an_interface_that_flaps_between_two_packets_costs_nothing() {
        let sides = vec![stream(Side::Caller, 0, 60_000), stream(Side::Callee, 0, 60_000)];
        let mut unhurt = recording(Vec::new(), sides);
        outages(Kind::NoCarrier, 5_000, 5_010).note(&mut unhurt, 0);
        assert!(unhurt.complete && unhurt.gaps.is_empty());
        assert!(unhurt.notes[0].contains("no carrier for 0.010 s"), "{:?}", unhurt.notes);
    }

    #[test]
    fn a_recording_by_another_clock_is_hit_at_the_same_moment() {
        let mut hit = recording(Vec::new(), Vec::new());
        // The recording's times are 50 s ahead of the capture clock's.
        let early = Outages::default();
        let (from, until) = (at(5_000).moved(-50_000_000_000), at(7_000).moved(-50_000_000_000));
        early.add(Outage { kind: Kind::Restart, from, until });
        early.note(&mut hit, 50_000_000_000);
        let span = |side| (side, 5_000, 2_000.0, "restart");
        assert_eq!(told(&hit), [span(Side::Caller), span(Side::Callee)]);
        assert!(hit.incomplete_reasons[0].contains(&at(5_000).to_string()), "{hit:?}");
    }

    #[test]
    fn an_outage_that_lasts_reaches_to_the_calls_end() {
        let outages = outages(Kind::InterfaceDown, 50_000, 50_000);
        let began = Outage { kind: Kind::InterfaceDown, from: at(50_000), until: Timestamp::MAX };
        outages.add(began);
        let mut hit = recording(Vec::new(), Vec::new());
        outages.note(&mut hit, 0);
        let span = |side| (side, 50_000, 10_000.0, "interfaceDown");
        assert_eq!(told(&hit), [span(Side::Caller), span(Side::Callee)]);
        outages.end(at(90_000));
        assert_eq!(outages.all().last().unwrap().until, at(90_000));
    }
}
