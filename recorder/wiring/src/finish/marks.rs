//! What is marked in a recording beside its sound: holds and keys.

use std::time::Duration;

use base::limits::MARKS_PER_RECORDING_MAX;
use base::recording::{Mark, MarkKind};
use base::{Side, Timestamp};
use dialog::Call;
use media::{Finished, KeyPress};

use crate::telling::Dtmf;

/// A key told of in the signalling is the one told of in the media if they are no further apart: many gateways do
/// both.
const SAME_PRESS_MAX: Duration = Duration::from_secs(1);
/// In place of a key that is not to be told.
const MASKED: char = '?';

/// The marks of a call, in the order of time, and how many more there are than are listed. Its signalling is `ahead`
/// nanoseconds behind the recording's clock, its media are on it.
pub(super) fn marks(
    call: Option<&Call>,
    finished: &Finished,
    ahead: i64,
    dtmf: Dtmf,
) -> (Vec<Mark>, u64) {
    let pressed = |time: Timestamp, side: Side, key: char| {
        let key = if dtmf == Dtmf::Keep { key } else { MASKED };
        Mark { time, kind: MarkKind::Dtmf, side, value: Some(key.into()) }
    };
    let mut marks: Vec<Mark> =
        finished.keys.iter().map(|it| pressed(it.time, it.side, it.key)).collect();
    let mut left_out = 0;
    if let Some(call) = call {
        let told = call.keys.iter();
        let told =
            told.map(|it| KeyPress { time: it.time.moved(ahead), side: it.side, key: it.key });
        let told = told.filter(|it| !is_heard(it, &finished.keys));
        marks.extend(told.map(|it| pressed(it.time, it.side, it.key)));
        marks.extend(call.holds().into_iter().map(|hold| Mark {
            time: hold.time.moved(ahead),
            kind: if hold.begins { MarkKind::Hold } else { MarkKind::Resume },
            side: hold.side,
            value: None,
        }));
        left_out += call.keys_not_kept;
    }
    marks.sort_by_key(|mark| (mark.time, mark.kind, mark.side));
    left_out += marks.len().saturating_sub(MARKS_PER_RECORDING_MAX) as u64;
    marks.truncate(MARKS_PER_RECORDING_MAX);
    (marks, left_out)
}

/// Whether a key that the signalling tells of is among those that the media tell of.
fn is_heard(told: &KeyPress, heard: &[KeyPress]) -> bool {
    let same = |it: &KeyPress| (it.side, it.key) == (told.side, told.key);
    let near = |it: &KeyPress| {
        told.time.signed_nanos_since(it.time).unsigned_abs() <= SAME_PRESS_MAX.as_nanos() as u64
    };
    heard.iter().any(|it| same(it) && near(it))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dialog::{Ladder, Party};

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_nanos(1_795_392_000_000_000_000 + millis * 1_000_000)
    }

    /// Keys told of in the signalling: time, side, key.
    fn call(keys: &[(u64, Side, char)]) -> Call {
        let keys = keys.iter().zip(1..);
        Call {
            call_id: "id".into(),
            caller: Party::default(),
            callee: Party::default(),
            from: String::new(),
            to: String::new(),
            request_uri: String::new(),
            started: at(0),
            ringing: None,
            answered: Some(at(0)),
            ended: None,
            joined_midway: false,
            legs: Vec::new(),
            announced: Vec::new(),
            announced_not_kept: 0,
            keys: keys
                .map(|((time, side, key), cseq)| {
                    let (time, side, key) = (at(*time), *side, *key);
                    dialog::KeyPress { time, side, leg: 0, cseq, key }
                })
                .collect(),
            keys_not_kept: 3,
            ladder: Ladder::default(),
        }
    }

    fn heard(keys: &[(u64, Side, char)]) -> Finished {
        let press = |(time, side, key): &(u64, Side, char)| KeyPress {
            time: at(*time),
            side: *side,
            key: *key,
        };
        Finished { keys: keys.iter().map(press).collect(), ..Finished::default() }
    }

    fn told(marks: &[Mark]) -> Vec<(u64, &str)> {
        let millis = |mark: &Mark| (mark.time.as_nanos() - at(0).as_nanos()) / 1_000_000;
        marks.iter().map(|mark| (millis(mark), mark.value.as_deref().unwrap())).collect()
    }

    #[test]
    fn keys_are_masked_unless_they_are_to_be_kept() {
        let finished = heard(&[(2_000, Side::Caller, '5')]);
        let (masked, _) = marks(None, &finished, 0, Dtmf::Mask);
        assert_eq!(told(&masked), [(2_000, "?")]);
        let (kept, left_out) = marks(None, &finished, 0, Dtmf::Keep);
        assert_eq!((told(&kept), kept[0].kind, left_out), (vec![(2_000, "5")], MarkKind::Dtmf, 0));
    }

    #[test]
    fn a_press_that_signalling_and_media_tell_of_is_one() {
        // The signalling is half a second behind the recording's clock.
        let told_of = [
            (1_400, Side::Caller, '5'),
            (1_600, Side::Caller, '6'),
            (1_600, Side::Callee, '5'),
            (9_000, Side::Caller, '5'),
        ];
        let finished = heard(&[(2_000, Side::Caller, '5')]);
        let (all, left_out) = marks(Some(&call(&told_of)), &finished, 500_000_000, Dtmf::Keep);
        assert_eq!(told(&all), [(2_000, "5"), (2_100, "6"), (2_100, "5"), (9_500, "5")]);
        assert_eq!((all[2].side, left_out), (Side::Callee, 3));
    }

    #[test]
    fn no_more_are_listed_than_there_may_be() {
        let keys: Vec<_> =
            (0..MARKS_PER_RECORDING_MAX as u64 + 7).map(|n| (n, Side::Caller, '1')).collect();
        let (all, left_out) = marks(None, &heard(&keys), 0, Dtmf::Keep);
        assert_eq!((all.len(), left_out), (MARKS_PER_RECORDING_MAX, 7));
    }
}
