//! Packets that the recorder itself lost, written into the calls that were up then.
//!
//! Where a packet is lost, nobody has seen whose it was. That a call lacks packets shows in its own streams, where they go
//! on: this says why it may. Where a stream begins or ends just then, or there is none, nobody can know.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use base::recording::Recording;
use base::{Side, Timestamp};

/// Losses remembered; the oldest give way.
const LOSSES_MAX: usize = 4_096;
/// Losses written into one recording; further ones are summed up.
const NOTES_MAX: usize = 32;

/// One stretch of time in which packets were lost.
#[derive(Clone, Copy, Debug)]
struct Loss {
    from: Timestamp,
    until: Timestamp,
    packets: u64,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Losses(Mutex<VecDeque<Loss>>);

impl Losses {
    /// Packets were lost between two times.
    pub(crate) fn add(&self, from: Timestamp, until: Timestamp, packets: u64) {
        let mut losses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if losses.len() >= LOSSES_MAX {
            losses.pop_front();
        }
        losses.push_back(Loss { from, until, packets });
    }

    /// Says in a recording what was lost while its call was up. It is made incomplete by that where its own streams cannot
    /// tell whether it lacks any of the packets: they do where they go on. Its times are `ahead` nanoseconds ahead of the
    /// capture clock.
    pub(super) fn note(&self, recording: &mut Recording, ahead: i64) {
        let losses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (start, stop) = (recording.start_time, recording.stop_time);
        let told = losses.iter().map(|loss| Loss {
            from: loss.from.moved(ahead),
            until: loss.until.moved(ahead),
            ..*loss
        });
        let hit = told.filter(|loss| loss.until >= start && loss.from <= stop);
        let (mut more, mut unknown) = (0, 0);
        for (index, loss) in hit.enumerate() {
            unknown += u64::from(!loss.shows(recording));
            if index >= NOTES_MAX {
                more += loss.packets;
                continue;
            }
            recording.notes.push(format!(
                "the recorder lost {} packets, of this call or of others, between {} and {}",
                loss.packets, loss.from, loss.until
            ));
        }
        if more > 0 {
            recording.notes.push(format!("and {more} more packets while the call was up"));
        }
        if unknown > 0 {
            recording.complete = false;
            recording.incomplete_reasons.push(
                "the recorder lost packets when one of the sides began, ended or sent nothing: whether they were \
                 this call's cannot be known (see the notes)"
                    .into(),
            );
        }
    }
}

impl Loss {
    /// Whether the recording would show it, had any of the packets been media of its call: before it is answered, nothing is
    /// missed; then, each side's stream has to go on.
    fn shows(&self, recording: &Recording) -> bool {
        let Some(answered) = recording.answer_time.filter(|answered| *answered <= self.until)
        else {
            return true;
        };
        let from = self.from.max(answered);
        [Side::Caller, Side::Callee].into_iter().all(|side| {
            let of_side = recording.streams.iter().filter(|stream| stream.side == side);
            of_side.into_iter().any(|it| it.start_time <= from && it.stop_time > self.until)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outages::tests::{at, recording, stream};

    /// What a loss from 10.0 to 10.25 s does to a call that is answered at 1 s, or not, with these streams.
    fn hit(answered: Option<u64>, streams: &[(Side, u64, u64)]) -> Recording {
        let streams = streams.iter().map(|(side, from, until)| stream(*side, *from, *until));
        let mut recording = recording(Vec::new(), streams.collect());
        recording.answer_time = answered.map(at);
        let losses = Losses::default();
        losses.add(at(10_000), at(10_250), 7);
        losses.note(&mut recording, 0);
        recording
    }

    #[test]
    fn a_call_whose_streams_go_on_shows_itself_what_it_lacks() {
        let (caller, callee) = ((Side::Caller, 1_000, 59_000), (Side::Callee, 1_000, 59_000));
        let whole = hit(Some(1_000), &[caller, callee]);
        assert!(whole.complete && whole.notes[0].contains("lost 7 packets"), "{:?}", whole.notes);
        let ringing = hit(Some(10_251), &[(Side::Callee, 11_000, 59_000)]);
        assert!(ringing.complete, "nobody had answered");
        assert!(hit(None, &[]).complete, "nobody ever did");
        let answered_meanwhile = [(Side::Caller, 10_100, 59_000), (Side::Callee, 10_100, 59_000)];
        assert!(hit(Some(10_100), &answered_meanwhile).complete, "both spoke at once");
    }

    #[test]
    fn what_a_streams_edge_may_hide_is_not_called_complete() {
        let caller = (Side::Caller, 1_000, 59_000);
        for callee in [(1_000, 10_200), (1_000, 9_999), (10_001, 59_000), (10_300, 59_000)] {
            let (from, until) = callee;
            let hit = hit(Some(1_000), &[caller, (Side::Callee, from, until)]);
            assert!(!hit.complete, "{callee:?}");
            assert!(hit.incomplete_reasons[0].contains("cannot be known"));
        }
        assert!(!hit(Some(1_000), &[caller]).complete, "the callee was never heard");
    }
}
