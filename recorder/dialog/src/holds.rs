//! Who put whom on hold, and when (RFC 3264, 8.4), told from what was announced.
//!
//! A side holds when it says of its own free will that it will not take the other's sound: it offers `sendonly`
//! or `inactive`, or answers with that to an offer of `sendrecv`. An answer that the offer left no choice for
//! says nothing: to `inactive` only `inactive` can be said, to `recvonly` nothing that takes sound. Hold as
//! RFC 2543 did it (`c=0.0.0.0`) has been made `sendonly` before.
//!
//! What one side said before the call was answered, or first, is no hold: a page is one-way from the start.

use base::{Side, Timestamp};

use crate::call::{Announced, Call};
use crate::sdp::{Direction, MediaKind};

/// The begin or the end of a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// When it came into force: with the answer.
    pub time: Timestamp,
    /// Who holds the other.
    pub side: Side,
    /// Whether it begins.
    pub begins: bool,
}

/// What one side has said last.
#[derive(Clone, Copy, Debug, Default)]
struct State {
    /// Whether it takes no sound; unknown before it said anything.
    holds: Option<bool>,
    /// Whether that is a hold that was told.
    told: bool,
}

impl Call {
    /// The begins and ends of holds, in the order of time; of each side, they alternate. A hold that lasts until the
    /// call is over has no end.
    #[must_use]
    pub fn holds(&self) -> Vec<Hold> {
        let mut said = self.in_force_since();
        said.sort_by_key(|(since, it)| (*since, it.time));
        let mut states = [State::default(); 2];
        let mut holds = Vec::new();
        for (at, (since, it)) in said.iter().enumerate() {
            let offered = said.get(..at).unwrap_or_default().iter().rev();
            let offered = offered.map(|(_, other)| *other).find(|other| answers_to(it, other));
            let [caller, callee] = &mut states;
            let state = if it.side == Side::Caller { caller } else { callee };
            let Some(now) = will_not_take(it, offered.map(|it| it.direction)) else { continue };
            let answered = self.answered.is_some_and(|answered| *since > answered);
            let begins = now && answered && state.holds == Some(false);
            if begins || (!now && state.told) {
                holds.push(Hold { time: *since, side: it.side, begins });
                state.told = begins;
            }
            state.holds = Some(now);
        }
        holds
    }

    /// What was announced of audio and came into force, and since when it was what held.
    fn in_force_since(&self) -> Vec<(Timestamp, &Announced)> {
        let audio = self.announced.iter().filter(|it| it.media == MediaKind::Audio);
        let audio: Vec<&Announced> = audio.collect();
        let with_earlier = audio.iter().enumerate();
        let with_earlier = with_earlier.map(|(at, it)| (*it, audio.get(..at).unwrap_or_default()));
        with_earlier.filter_map(|(it, earlier)| Some((since(it, earlier)?, it))).collect()
    }
}

/// When all that the same side had said `earlier` of the same line was over, so that this held. `None` if it was
/// withdrawn before that: the offer failed.
fn since(it: &Announced, earlier: &[&Announced]) -> Option<Timestamp> {
    let mut before = earlier.iter().filter(|before| is_same_line(it, before));
    let since = before.try_fold(it.time, |since, before| Some(since.max(before.until?)))?;
    it.until.is_none_or(|until| since < until).then_some(since)
}

/// What the caller says goes to every fork, so its legs count as one.
fn is_same_line(a: &Announced, b: &Announced) -> bool {
    is_same_place(a, b) && a.side == b.side && (a.side == Side::Caller || a.leg == b.leg)
}

fn is_same_place(a: &Announced, b: &Announced) -> bool {
    (a.domain, a.hop, a.line) == (b.domain, b.hop, b.line)
}

/// Whether the one is an answer, and may be one to the other.
fn answers_to(it: &Announced, other: &Announced) -> bool {
    it.answers && it.side != other.side && is_same_place(it, other)
}

/// Whether a side, by what it says to what was offered, if it answers, takes no sound; `None` if it had no choice.
fn will_not_take(it: &Announced, offered: Option<Direction>) -> Option<bool> {
    let takes_none = matches!(it.direction, Direction::SendOnly | Direction::Inactive);
    let free = matches!(offered, None | Some(Direction::SendRecv));
    (free || !takes_none).then_some(takes_none)
}
