//! How a call ends: BYE, failure, giving up, silence.

use std::time::Duration;

use base::Timestamp;

use super::hops::Hops;
use super::legs::{Found, Place};
use super::transactions::{Stage, Transaction};
use super::{Seen, Tracked};
use crate::call::{EndReason, Leg};

/// T4 (RFC 3261, 17.1.2.2): how long a message may stay in the network. For this long after a failure,
/// its repetitions, the same failure on other hops, and the next attempt belong to the call.
const SETTLE: Duration = Duration::from_secs(5);
/// 64*T1 (RFC 3261, 17.1.1.2): how long a transaction waits. For this long after a redirection or a CANCEL,
/// what follows it belongs to the call.
const FOLLOW: Duration = Duration::from_secs(32);
/// For this long after a challenge, the attempt that heeds it belongs to the call: often a person types
/// the password first, and some phones come back after 50 s. Timer C (RFC 3261, 16.6) is as long.
const RETRY: Duration = Duration::from_secs(3 * 60);
/// How long a call may ring without a sign (RFC 3261, 16.6: timer C is above 3 minutes).
const RINGING_QUIET: Duration = Duration::from_secs(4 * 60);
/// How long the media of an answered call may stop without a sign.
const TALKING_QUIET: Duration = Duration::from_secs(5 * 60);
/// The same on hold, and for a call whose media never comes by here: then its silence says nothing.
const HELD_QUIET: Duration = Duration::from_secs(2 * 60 * 60);
/// Media later than this after a BYE that fits no leg proves that the BYE was not for this call.
const LATE_MEDIA: Duration = Duration::from_secs(2);

/// For this long after the recorder was away, a call that had media shows a sign of life, or it ended meanwhile.
const SIGN_WITHIN: Duration = Duration::from_secs(30);

/// Since the recorder was away, the call has shown no sign of life.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unsure {
    /// When the recorder was last there before.
    before: Timestamp,
    /// When it was back.
    since: Timestamp,
}

/// How the call will have ended if nothing else comes before the deadline.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pending {
    time: Timestamp,
    reason: EndReason,
    deadline: Timestamp,
}

impl Tracked {
    /// The BYE ends its leg, and the call if no other leg talks or, before an answer, rings.
    pub(super) fn hang_up(
        &mut self,
        seen: &Seen<'_>,
        place: Place,
    ) -> Option<(Timestamp, EndReason)> {
        let legs = &mut self.call.legs;
        let answered = self.call.answered.is_some();
        let is_live = |leg: &Leg| {
            leg.ended.is_none()
                && if answered { leg.answered.is_some() } else { leg.to_tag.is_some() }
        };
        let is_ours = match place.found {
            Found::Exact(..) => true,
            Found::Half(..) => !legs.iter().any(is_live),
            Found::Nowhere => false,
        };
        if !is_ours {
            // A fork that was not seen, or a device with wrong tags: the media will tell.
            self.pend(seen.time, EndReason::Bye, FOLLOW);
            return None;
        }
        if let Some(leg) = legs.get_mut(place.leg) {
            leg.ended.get_or_insert(seen.time);
        }
        let over = !legs.iter().any(is_live);
        over.then_some((seen.time, EndReason::Bye))
    }

    /// CANCEL: the 487 should follow.
    pub(super) fn give_up(&mut self, seen: &Seen<'_>) {
        let transaction = self.transactions.response(seen.branch, seen.message.cseq.number, None);
        if let Some(it) = transaction
            && it.stage == Stage::Open
        {
            it.stage = Stage::Cancelled;
        }
        if self.call.answered.is_none() && self.pending.is_none() && self.all_over() {
            self.pend(seen.time, EndReason::Cancel, FOLLOW);
        }
    }

    /// A final failure of a first INVITE.
    pub(super) fn fail(&mut self, time: Timestamp, status: u16) {
        if self.call.answered.is_some() || !self.all_over() {
            return; // others ring on
        }
        let wait = match status {
            401 | 407 | 484 => RETRY,
            300..=399 => FOLLOW,
            _ => SETTLE,
        };
        self.pend(time, EndReason::Final(status), wait);
    }

    fn pend(&mut self, time: Timestamp, reason: EndReason, wait: Duration) {
        self.pending = Some(Pending { time, reason, deadline: time.plus(wait) });
    }

    /// Whether no first INVITE is open where the caller's end was first seen. What a proxy behind that
    /// still tries does not matter once it has told the caller.
    fn all_over(&self) -> bool {
        let caller = |hops: &Hops, hop| hops.get(hop).map(|hop| (hop.domain, hop.caller.octets()));
        let root = caller(&self.hops, 0);
        self.transactions.all_over(|it: &Transaction| caller(&self.hops, it.hop) == root)
    }

    /// Media of this call was seen.
    pub(crate) fn media(&mut self, time: Timestamp) {
        self.media_seen = true;
        self.active(time);
        let is_late = |it: Pending| it.reason == EndReason::Bye && time > it.time.plus(LATE_MEDIA);
        if self.pending.is_some_and(is_late) {
            self.pending = None;
        }
    }

    /// A message or media of this call was seen.
    pub(super) fn active(&mut self, time: Timestamp) {
        self.last_activity = self.last_activity.max(time);
        self.unsure = self.unsure.filter(|it| time < it.since);
    }

    /// Nothing was seen between these times, whatever there was.
    pub(crate) fn was_unseen(&mut self, from: Timestamp, until: Timestamp) {
        self.unsure = Some(Unsure { before: from, since: until });
    }

    /// Whether it has shown no sign of life since the recorder was away.
    pub(crate) fn is_unsure(&self) -> bool {
        self.call.ended.is_none() && self.unsure.is_some()
    }

    /// Whether nobody has reacted to the INVITE with which it began.
    pub(crate) fn is_unanswered(&self) -> bool {
        !self.responded && self.call.ended.is_none()
    }

    /// When the call is over if nothing more comes; `None` if it is.
    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        if self.call.ended.is_some() {
            return None;
        }
        let quiet = self.quiet_deadline();
        Some(self.pending.map_or(quiet, |it| it.deadline.min(quiet)))
    }

    fn quiet_deadline(&self) -> Timestamp {
        let quiet = if !self.confirmed {
            RINGING_QUIET
        } else if self.media_seen && !self.call.on_hold() {
            TALKING_QUIET
        } else {
            HELD_QUIET
        };
        let deadline = self.last_activity.plus(quiet);
        let Some(Unsure { before, since }) = self.unsure else { return deadline };
        // Media that went on until then must go on now. Anything else may have come while nobody saw it.
        let talked = self.media_seen && self.last_activity.plus(SIGN_WITHIN) >= before;
        let sign = since.plus(SIGN_WITHIN);
        if talked && !self.call.on_hold() { sign } else { deadline.max(sign) }
    }

    /// How it ended, now that its deadline has passed.
    pub(crate) fn verdict(&self) -> (Timestamp, EndReason) {
        let reason =
            if self.unsure.is_some() { EndReason::Interrupted } else { EndReason::Timeout };
        self.pending_verdict().unwrap_or((self.last_activity, reason))
    }

    /// How it would have ended: known before the deadline if a failure or BYE was seen.
    pub(crate) fn pending_verdict(&self) -> Option<(Timestamp, EndReason)> {
        self.pending.map(|it| (it.time, it.reason))
    }
}
