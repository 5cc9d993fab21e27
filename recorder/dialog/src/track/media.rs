//! Offers and answers (RFC 3264) as places where media is asked for.
//!
//! What a description says holds from when it is said: media may come before the answer. A description
//! that changes an earlier one holds beside it until its transaction is answered with a 2xx, and then
//! alone; if the transaction fails, the earlier one goes on and the newer one is withdrawn (RFC 3261,
//! 14.1). The position of a media line says which earlier one it changes.

use std::sync::Arc;

use base::{Endpoint, Formats, Side, Timestamp, limits};

use super::hops::Hop;
use super::transactions::{Kind, Transaction};
use crate::call::{Announced, Call};
use crate::sdp::{Description, Direction, Keying, MediaLine};

/// One description and where it stood.
#[derive(Clone, Copy, Debug)]
pub(super) struct Said<'a> {
    pub(super) time: Timestamp,
    pub(super) hop: &'a Hop,
    pub(super) hop_index: usize,
    pub(super) leg: usize,
    /// Who says it.
    pub(super) side: Side,
    /// Whether it answers an offer.
    pub(super) answers: bool,
    /// The transaction whose outcome decides; `None` if it holds in any case.
    pub(super) transaction: Option<Transaction>,
}

/// What is to be remembered of each announcement beside what everyone may know.
#[derive(Clone, Copy, Debug)]
struct Note {
    hop: usize,
    /// Holds in any case; else only if `decided_by` succeeds.
    established: bool,
    /// The transaction that will make it the only one of its line.
    decided_by: Option<u32>,
    /// The transaction that will end it: an offer with port 0.
    closed_by: Option<u32>,
}

/// The state beside [`Call::announced`].
#[derive(Debug, Default)]
pub(super) struct Media {
    /// One per announcement.
    notes: Vec<Note>,
    /// The highest CSeq that brought a description, per hop, leg and sender of the request.
    newest: Vec<((usize, usize, Side), u32)>,
    endpoints: usize,
    bytes: usize,
}

impl Media {
    /// Bytes kept.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether a message with this CSeq comes after a newer one, as a late retransmission does. Else it
    /// counts as the newest.
    pub(super) fn is_stale(&mut self, hop: usize, leg: usize, sender: Side, cseq: u32) -> bool {
        let origin = (hop, leg, sender);
        if let Some((_, newest)) = self.newest.iter_mut().find(|it| it.0 == origin) {
            let stale = cseq < *newest;
            *newest = cseq.max(*newest);
            return stale;
        }
        if self.newest.len() < limits::ENDPOINTS_PER_CALL_MAX {
            self.newest.push((origin, cseq));
        }
        false
    }

    /// Takes a description; returns whether that changed what is announced.
    pub(super) fn announce(&mut self, call: &mut Call, said: Said<'_>, sdp: Description) -> bool {
        let mut changed = false;
        for (line, media) in sdp.media.into_iter().enumerate() {
            changed |= self.announce_line(call, said, line, media);
            changed |= self.settle_security(call, said, line);
        }
        changed
    }

    fn announce_line(
        &mut self,
        call: &mut Call,
        said: Said<'_>,
        line: usize,
        media: MediaLine,
    ) -> bool {
        let in_force = self.in_force(call, said.hop_index, said.side, said.leg, line);
        if media.port == 0 {
            return self.close_line(call, &in_force, said);
        }
        let latest = in_force.last().and_then(|index| call.announced.get(*index));
        let Some(new) = announced(said, line, media, latest) else { return false };
        let same = in_force
            .iter()
            .find(|index| call.announced.get(**index).is_some_and(|it| same(it, &new)));
        if let Some(&index) = same {
            return self.say_again(call, index, &in_force, said);
        }
        if !self.has_room(&new, call) {
            call.announced_not_kept = call.announced_not_kept.saturating_add(1);
            return false;
        }
        if said.transaction.is_none() {
            close(call, &in_force, said.time);
        }
        let first =
            in_force.is_empty() && said.transaction.is_some_and(|it| it.kind == Kind::Invite);
        self.notes.push(Note {
            hop: said.hop_index,
            established: first || said.transaction.is_none(),
            decided_by: said.transaction.map(|it| it.id),
            closed_by: None,
        });
        if call.announced.is_empty() {
            call.announced.reserve_exact(2); // an offer and its answer, and no more in most calls
        }
        call.announced.push(shared(new, &call.announced));
        true
    }

    /// The announcements of a line that hold, oldest first.
    ///
    /// What the caller offers goes to every fork, so its legs count as one.
    fn in_force(&self, call: &Call, hop: usize, side: Side, leg: usize, line: usize) -> Vec<usize> {
        let fits = |it: &Announced, note: &Note| {
            it.until.is_none()
                && note.hop == hop
                && it.side == side
                && it.line == line
                && (side == Side::Caller || it.leg == leg)
        };
        let both = call.announced.iter().zip(&self.notes).enumerate();
        both.filter(|(_, (it, note))| fits(it, note)).map(|(index, _)| index).collect()
    }

    /// Port 0: the line is rejected, or removed if the transaction succeeds.
    fn close_line(&mut self, call: &mut Call, in_force: &[usize], said: Said<'_>) -> bool {
        let Some(transaction) = said.transaction else {
            return close(call, in_force, said.time);
        };
        for index in in_force {
            if let Some(note) = self.notes.get_mut(*index) {
                note.closed_by = Some(transaction.id);
            }
        }
        false
    }

    /// What is announced already is said once more.
    fn say_again(
        &mut self,
        call: &mut Call,
        index: usize,
        in_force: &[usize],
        said: Said<'_>,
    ) -> bool {
        if let Some(note) = self.notes.get_mut(index) {
            note.closed_by = None;
            note.decided_by = said.transaction.map(|it| it.id);
            note.established |= said.transaction.is_none();
        }
        let others: Vec<usize> = in_force.iter().copied().filter(|other| *other != index).collect();
        said.transaction.is_none() && close(call, &others, said.time)
    }

    fn has_room(&mut self, new: &Announced, call: &Call) -> bool {
        let endpoints = self.endpoints + new.endpoints().count();
        let bytes = self.bytes + bytes_of(new);
        let fits = call.announced.len() < limits::ENDPOINTS_PER_CALL_MAX
            && endpoints <= limits::ENDPOINTS_PER_CALL_MAX
            && bytes + call.ladder.bytes() <= limits::CALL_BYTES_MAX;
        if fits {
            (self.endpoints, self.bytes) = (endpoints, bytes);
        }
        fits
    }

    /// The outcome of a transaction: what it brought holds alone, or is withdrawn.
    pub(super) fn decide(
        &mut self,
        call: &mut Call,
        id: u32,
        success: bool,
        time: Timestamp,
    ) -> bool {
        let mut changed = false;
        for index in 0..self.notes.len() {
            let Some(note) = self.notes.get_mut(index) else { continue };
            let closes = note.closed_by.take_if(|it| *it == id).is_some() && success;
            let decides = note.decided_by.take_if(|it| *it == id).is_some();
            let withdraws = decides && !success && !note.established;
            note.established |= decides && success;
            let hop = note.hop;
            if closes || withdraws {
                changed |= close(call, &[index], time);
            } else if decides && success {
                changed |= self.close_others(call, index, hop, time);
            }
        }
        changed
    }

    fn close_others(&self, call: &mut Call, index: usize, hop: usize, time: Timestamp) -> bool {
        let Some(it) = call.announced.get(index).filter(|it| it.until.is_none()) else {
            return false;
        };
        let mut others = self.in_force(call, hop, it.side, it.leg, it.line);
        others.retain(|other| *other != index);
        close(call, &others, time)
    }

    /// SRTP under a plain profile (`a=crypto` with `RTP/AVP`) is in use only if both sides offer it.
    fn settle_security(&self, call: &mut Call, said: Said<'_>, line: usize) -> bool {
        let keyed = |call: &Call, side| {
            let index = self.in_force(call, said.hop_index, side, said.leg, line).last().copied();
            let it = index.and_then(|index| call.announced.get(index))?;
            Some((it.profile.is_secure(), it.keying != Keying::None))
        };
        let (Some(caller), Some(callee)) = (keyed(call, Side::Caller), keyed(call, Side::Callee))
        else {
            return false;
        };
        let secure = caller.0 || callee.0 || (caller.1 && callee.1);
        let mut changed = false;
        for side in [Side::Caller, Side::Callee] {
            let index = self.in_force(call, said.hop_index, side, said.leg, line).last().copied();
            if let Some(it) = index.and_then(|index| call.announced.get_mut(index)) {
                changed |= it.secure != secure;
                it.secure = secure;
            }
        }
        changed
    }
}

/// Ends announcements; returns whether there was one to end.
fn close(call: &mut Call, indexes: &[usize], time: Timestamp) -> bool {
    for index in indexes {
        if let Some(it) = call.announced.get_mut(*index) {
            it.until.get_or_insert(time);
        }
    }
    !indexes.is_empty()
}

/// The announcement that a media line makes; `None` if it names no address.
fn announced(
    said: Said<'_>,
    line: usize,
    media: MediaLine,
    latest: Option<&Announced>,
) -> Option<Announced> {
    let on_hold = media.endpoint.is_some_and(|it| it.ip().is_unspecified());
    let endpoint = if on_hold {
        // Hold as RFC 2543 did it. Music on hold still comes from where the media came from before.
        latest?.endpoint.with_port(media.port)
    } else {
        media.endpoint?
    };
    let direction = match media.direction {
        Direction::SendRecv if on_hold => Direction::SendOnly,
        Direction::RecvOnly if on_hold => Direction::Inactive,
        said => said,
    };
    Some(Announced {
        time: said.time,
        until: None,
        answers: said.answers,
        domain: said.hop.domain,
        endpoint,
        rtcp: if on_hold { latest?.rtcp } else { media.rtcp.unwrap_or(endpoint) },
        candidates: media.candidates.into(),
        side: said.side,
        leg: said.leg,
        hop: said.hop.ends(),
        line,
        media: media.media,
        profile: media.profile,
        formats: Arc::new(media.formats),
        direction,
        secure: media.profile.is_secure() || media.keying != Keying::None,
        keying: media.keying,
        ptime_ms: media.ptime_ms,
        label: media.label,
        mid: media.mid,
        ssrcs: media.ssrcs.into(),
    })
}

/// Whether two announcements of one line of one side say the same.
fn same(a: &Announced, b: &Announced) -> bool {
    let place = |it: &Announced| (it.media, it.profile, it.endpoint, it.rtcp);
    let manner = |it: &Announced| (it.direction, it.keying, it.ptime_ms);
    place(a) == place(b)
        && manner(a) == manner(b)
        && a.candidates == b.candidates
        && a.formats == b.formats
}

/// Uses the formats of an earlier announcement again if they are the same: hops and holds repeat them.
fn shared(mut new: Announced, earlier: &[Announced]) -> Announced {
    if let Some(known) = earlier.iter().rev().find(|it| it.formats == new.formats) {
        new.formats = Arc::clone(&known.formats);
    }
    new
}

fn bytes_of(new: &Announced) -> usize {
    let parameters = |it: &base::Format| it.parameters.as_ref().map_or(0, String::len);
    let Formats(formats) = &*new.formats;
    size_of::<Announced>()
        + size_of::<Note>()
        + new.candidates.len() * size_of::<Endpoint>()
        + new.ssrcs.len() * size_of::<u32>()
        + formats.iter().map(|it| size_of::<base::Format>() + parameters(it)).sum::<usize>()
}
