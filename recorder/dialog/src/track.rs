//! One call while it is followed: messages in, changes out.

mod hops;
pub(crate) mod legs;
mod media;
mod outcome;
mod transactions;

use base::{FlowKey, Side, Timestamp, Transport, limits};

use crate::call::{Call, EndReason};
use crate::keys::{self, KeyPress};
use crate::ladder::Ladder;
use crate::sdp::Description;
use crate::sip::{Message, StartLine};
use crate::text;
use hops::{Hop, Hops};
use legs::{Found, Place, Role};
use media::{Media, Said};
use outcome::{Pending, Unsure};
use transactions::{Kind, Stage, Transaction, Transactions};

/// A message with what is needed of it more than once.
pub(crate) struct Seen<'m> {
    pub(crate) time: Timestamp,
    pub(crate) key: FlowKey,
    pub(crate) transport: Transport,
    pub(crate) message: Message<'m>,
    pub(crate) from_tag: &'m [u8],
    pub(crate) to_tag: &'m [u8],
    /// Hash of the topmost Via's branch.
    pub(crate) branch: u64,
    /// Hash of all that is the same when it is sent again.
    pub(crate) fingerprint: u64,
}

impl Seen<'_> {
    /// The flow of the request, also for a response.
    fn request_flow(&self) -> FlowKey {
        if self.message.status().is_some() { self.key.reversed() } else { self.key }
    }

    fn method(&self) -> &[u8] {
        self.message.method()
    }

    /// Whether offers and answers travel in it (RFC 3261, 13; RFC 3311; RFC 3262): elsewhere a
    /// description means something else, as in the response to OPTIONS.
    fn may_offer(&self) -> bool {
        let carries = matches!(self.method(), b"INVITE" | b"ACK" | b"UPDATE" | b"PRACK");
        carries && self.message.status().is_none_or(|status| (101..300).contains(&status))
    }

    /// Whether a call can be told from it when nothing is known of its Call-ID.
    pub(crate) fn makes_a_call(&self) -> bool {
        self.method() == b"INVITE" || (self.may_offer() && self.message.sdp().is_some())
    }

    /// Whether it is an INVITE outside of any dialog.
    pub(crate) fn is_first_invite(&self) -> bool {
        self.is_request(b"INVITE") && self.to_tag.is_empty()
    }

    fn is_request(&self, wanted: &[u8]) -> bool {
        matches!(self.message.start, StartLine::Request { method, .. } if method == wanted)
    }

    fn role(&self) -> Role {
        let is_ack = self.method() == b"ACK"; // to a failure it has the tag of who refused
        match self.message.status() {
            Some(..=100 | 300..) => Role::Ignores,
            None if is_ack && self.message.sdp().is_none() => Role::Ignores,
            _ if self.may_offer() => Role::Makes,
            None if self.method() == b"BYE" => Role::Uses,
            _ => Role::Ignores,
        }
    }
}

/// How a description is meant.
#[derive(Clone, Copy, Debug)]
struct Spoken {
    /// Whether it answers an offer.
    answers: bool,
    /// See [`Said::transaction`].
    transaction: Option<Transaction>,
}

/// What a message did to its call.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Effect {
    /// What is announced is not what it was.
    pub(crate) announced: bool,
    /// The call is over.
    pub(crate) over: Option<(Timestamp, EndReason)>,
}

/// One call with what is remembered to follow it.
#[derive(Debug)]
pub(crate) struct Tracked {
    pub(crate) call: Call,
    /// The Call-ID as on the wire.
    pub(crate) call_id: Box<[u8]>,
    /// When its timer is set to fire; it may be re-armed then.
    pub(crate) armed: Option<Timestamp>,
    hops: Hops,
    transactions: Transactions,
    media: Media,
    pending: Option<Pending>,
    last_activity: Timestamp,
    media_seen: bool,
    /// Whether anybody has reacted to the first INVITE.
    responded: bool,
    unsure: Option<Unsure>,
    /// The callee has picked up, as far as can be told.
    confirmed: bool,
    newest_invite: u32,
}

impl Tracked {
    /// The call that begins with this message, which is then to be [taken](Self::take).
    pub(crate) fn begin(seen: &Seen<'_>) -> Self {
        let message = &seen.message;
        let request_uri = match message.start {
            StartLine::Request { uri, .. } if seen.is_first_invite() => text::value(uri),
            _ => String::new(),
        };
        let mut legs = Vec::with_capacity(1);
        let callee_tag = if seen.role() == Role::Ignores { &[] } else { seen.to_tag };
        legs::add(&mut legs, seen.from_tag, callee_tag, seen.time);
        let call = Call {
            call_id: text::clipped(message.call_id, limits::SIP_CALL_ID_BYTES_MAX),
            caller: text::party(message.from),
            callee: text::party(message.to),
            from: text::value(message.from),
            to: text::value(message.to),
            request_uri,
            started: seen.time,
            ringing: None,
            answered: None,
            ended: None,
            joined_midway: !seen.is_first_invite(),
            legs,
            announced: Vec::new(),
            announced_not_kept: 0,
            keys: Vec::new(),
            keys_not_kept: 0,
            ladder: Ladder::default(),
        };
        Self {
            call,
            call_id: message.call_id.into(),
            armed: None,
            hops: Hops::default(),
            transactions: Transactions::default(),
            media: Media::default(),
            pending: None,
            last_activity: seen.time,
            media_seen: false,
            responded: message.status().is_some() || !seen.to_tag.is_empty(),
            unsure: None,
            confirmed: message.status().is_none() && !seen.to_tag.is_empty(),
            newest_invite: 0,
        }
    }

    /// Whether this INVITE begins another call: this one is over, and it is no late copy.
    pub(crate) fn is_followed_by(&self, seen: &Seen<'_>) -> bool {
        self.call.ended.is_some()
            && seen.is_first_invite()
            && (seen.message.cseq.number > self.newest_invite
                || legs::find(&self.call.legs, seen.from_tag, &[]) == Found::Nowhere)
    }

    /// Takes a message of this call.
    pub(crate) fn take(&mut self, seen: &Seen<'_>) -> Effect {
        let budget = limits::CALL_BYTES_MAX.saturating_sub(self.media.bytes());
        let carried = (seen.key, seen.transport);
        self.call.ladder.push(seen.time, carried, &seen.message, seen.fingerprint, budget);
        if self.call.ended.is_some() {
            return Effect::default();
        }
        self.active(seen.time);
        let by_address = self.hops.sender(seen.request_flow());
        let tags = (seen.from_tag, seen.to_tag);
        let place = legs::place(&mut self.call.legs, tags, seen.role(), by_address, seen.time);
        match seen.message.status() {
            None => self.take_request(seen, place),
            Some(status) => self.take_response(seen, place, status),
        }
    }

    fn take_request(&mut self, seen: &Seen<'_>, place: Place) -> Effect {
        match seen.method() {
            b"INVITE" | b"UPDATE" | b"PRACK" => {
                Effect { announced: self.take_transaction(seen, place), over: None }
            }
            b"ACK" => {
                let answer = Spoken { answers: true, transaction: None };
                Effect { announced: self.describe(seen, place, None, answer), over: None }
            }
            b"INFO" => {
                self.press(seen, place);
                Effect::default()
            }
            b"BYE" => Effect { announced: false, over: self.hang_up(seen, place) },
            b"CANCEL" => {
                self.give_up(seen);
                Effect::default()
            }
            _ => Effect::default(),
        }
    }

    /// INVITE, UPDATE, PRACK: remembers the transaction, and takes the offer.
    fn take_transaction(&mut self, seen: &Seen<'_>, place: Place) -> bool {
        let is_invite = seen.method() == b"INVITE";
        let kind = if seen.is_first_invite() { Kind::Invite } else { Kind::Change };
        let hop = Hop::of_request(seen.key, place.sender);
        let hop = if kind == Kind::Invite { self.hops.exact(hop) } else { self.hops.near(hop) };
        let Some(hop) = hop else { return false };
        self.visit(place.leg, hop);
        let cseq = seen.message.cseq.number;
        let offers = seen.message.sdp().is_some();
        let (transaction, is_new) =
            self.transactions.request(kind, hop, place.sender, (cseq, offers), seen.branch);
        if is_invite {
            self.newest_invite = self.newest_invite.max(cseq);
            // Another attempt: with credentials, to another target, or of another kind.
            if is_new {
                self.pending = None;
            }
            self.confirmed |= kind == Kind::Change;
        }
        // What a PRACK says is not undone if it fails: it answers, or the call fails with it.
        let deciding = (seen.method() != b"PRACK").then_some(transaction);
        let offer = Spoken { answers: false, transaction: deciding };
        self.describe(seen, place, Some(hop), offer)
    }

    fn take_response(&mut self, seen: &Seen<'_>, place: Place, status: u16) -> Effect {
        if !matches!(seen.method(), b"INVITE" | b"UPDATE" | b"PRACK") {
            return Effect::default();
        }
        self.responded |= status > 100;
        let by_address = Hop::of_request(seen.request_flow(), place.sender);
        let known = self.hops.find_near(&by_address);
        let cseq = seen.message.cseq.number;
        let transaction = self.transactions.response(seen.branch, cseq, known).map(|it| {
            it.stage = match status {
                ..=199 => it.stage,
                200..=299 => Stage::Answered,
                _ => Stage::Failed,
            };
            *it
        });
        let hop = transaction.map(|it| it.hop).or_else(|| self.hops.near(by_address));
        let announced = self.respond(seen, place, status, hop, transaction);
        Effect { announced, over: None }
    }

    /// Takes a response to INVITE, UPDATE or PRACK; returns whether that changed what is announced.
    fn respond(
        &mut self,
        seen: &Seen<'_>,
        place: Place,
        status: u16,
        hop: Option<usize>,
        transaction: Option<Transaction>,
    ) -> bool {
        let is_invite = seen.method() == b"INVITE";
        if let (Some(hop), true) = (hop, status < 300) {
            self.visit(place.leg, hop);
        }
        let mut announced = false;
        let answers = transaction.is_none_or(|it| it.offers);
        match status {
            ..=199 => {
                if matches!(status, 180..=189) && is_invite {
                    self.call.ringing.get_or_insert(seen.time);
                }
                announced = self.describe(seen, place, hop, Spoken { answers, transaction });
            }
            200..=299 => {
                if is_invite {
                    self.answer(seen.time, place.leg);
                }
                let settled = Spoken { answers, transaction: None };
                announced = self.describe(seen, place, hop, settled);
            }
            _ if is_invite && transaction.map_or(!self.confirmed, |it| it.kind == Kind::Invite) => {
                self.fail(seen.time, status);
            }
            _ => {}
        }
        if let (200.., Some(it)) = (status, transaction) {
            announced |= self.media.decide(&mut self.call, it.id, status < 300, seen.time);
        }
        announced
    }

    /// Takes the description in a message, if there is one that counts.
    fn describe(
        &mut self,
        seen: &Seen<'_>,
        place: Place,
        hop: Option<usize>,
        Spoken { answers, transaction }: Spoken,
    ) -> bool {
        let Some(sdp) = seen.message.sdp().filter(|_| seen.may_offer()) else { return false };
        let hop =
            hop.or_else(|| self.hops.near(Hop::of_request(seen.request_flow(), place.sender)));
        let Some((hop_index, hop)) = hop.and_then(|index| Some((index, *self.hops.get(index)?)))
        else {
            return false;
        };
        self.visit(place.leg, hop_index);
        if self.media.is_stale(hop_index, place.leg, place.sender, seen.message.cseq.number) {
            return false;
        }
        let is_response = seen.message.status().is_some();
        let side: Side = if is_response { place.sender.other() } else { place.sender };
        let (time, leg) = (seen.time, place.leg);
        let said = Said { time, hop: &hop, hop_index, leg, side, answers, transaction };
        self.media.announce(&mut self.call, said, Description::parse(sdp))
    }

    /// Takes an INFO: notes the key that it tells of, once.
    fn press(&mut self, seen: &Seen<'_>, Place { leg, sender: side, .. }: Place) {
        let Some(key) = keys::key_in(seen.message.content_type, seen.message.body) else { return };
        let (time, cseq) = (seen.time, seen.message.cseq.number);
        let is_known = |it: &KeyPress| (it.leg, it.side, it.cseq) == (leg, side, cseq);
        if self.call.keys.iter().any(is_known) {
            return;
        }
        if self.call.keys.len() >= limits::KEYS_PER_CALL_MAX {
            self.call.keys_not_kept = self.call.keys_not_kept.saturating_add(1);
            return;
        }
        self.call.keys.push(KeyPress { time, side, leg, cseq, key });
    }

    /// Notes that a leg was seen on a hop.
    fn visit(&mut self, leg: usize, hop: usize) {
        let Some(ends) = self.hops.get(hop).map(Hop::ends) else { return };
        if let Some(leg) = self.call.legs.get_mut(leg)
            && !leg.hops.contains(&ends)
        {
            leg.hops.push(ends);
        }
    }

    fn answer(&mut self, time: Timestamp, leg: usize) {
        self.call.answered.get_or_insert(time);
        self.confirmed = true;
        self.pending = None;
        if let Some(leg) = self.call.legs.get_mut(leg) {
            leg.answered.get_or_insert(time);
        }
    }
}
