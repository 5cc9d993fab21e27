//! Which leg a message belongs to, and which side sent the request: told by the tags.
//!
//! The From tag of the INVITE that made the leg is the caller's; in a request from the callee the tags
//! stand the other way round, and a response repeats the tags of its request (RFC 3261, 12.1.1, 12.2.1.1).

use base::{Side, Timestamp, limits};

use crate::call::Leg;
use crate::text::{self, same_tag};

/// How well a pair of tags fits a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Both tags are the leg's, or there is only the caller's yet. With the sender of the request.
    Exact(usize, Side),
    /// One tag is the leg's, the other is not.
    Half(usize, Side),
    /// Neither.
    Nowhere,
}

/// Looks for the leg of a request, or of a response to it, by From tag and To tag (empty: absent).
pub(crate) fn find(legs: &[Leg], from: &[u8], to: &[u8]) -> Found {
    let fits = legs.iter().enumerate().filter_map(|(index, leg)| {
        let (rank, side) = fit(leg, from, to)?;
        Some((rank, index, side))
    });
    match fits.min_by_key(|(rank, index, _)| (*rank, *index)) {
        Some((0..=EXACT, index, side)) => Found::Exact(index, side),
        Some((_, index, side)) => Found::Half(index, side),
        None => Found::Nowhere,
    }
}

/// The highest rank of [`fit`] at which both tags fit.
const EXACT: u8 = 1;

/// How well the tags fit one leg, 0 best, and who sent the request then.
fn fit(leg: &Leg, from: &[u8], to: &[u8]) -> Option<(u8, Side)> {
    let is_caller = |tag: &[u8]| same_tag(&leg.from_tag, tag);
    let is_callee = |tag: &[u8]| leg.to_tag.as_deref().is_some_and(|it| same_tag(it, tag));
    let caller_is_to = !to.is_empty() && is_caller(to);
    let waits = leg.to_tag.is_none();
    match (is_caller(from), caller_is_to) {
        (true, _) if to.is_empty() || is_callee(to) => Some((0, Side::Caller)),
        (_, true) if is_callee(from) => Some((1, Side::Callee)),
        // A leg that waits for the callee's tag is the better half.
        (true, _) => Some((if waits { 2 } else { 4 }, Side::Caller)),
        (_, true) => Some((if waits { 3 } else { 5 }, Side::Callee)),
        _ if is_callee(to) => Some((6, Side::Caller)),
        _ if is_callee(from) => Some((7, Side::Callee)),
        _ => None,
    }
}

/// What a message may do to the legs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Sets up or changes a dialog: INVITE, its provisional and 2xx responses, and what carries SDP.
    Makes,
    /// Belongs to a dialog that is there: BYE.
    Uses,
    /// Tells nothing about tags: 100, failures, whose To tag may be a proxy's, and what is answered so.
    Ignores,
}

/// Where a message belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Index of the leg.
    pub(super) leg: usize,
    /// Who sent the request.
    pub(super) sender: Side,
    /// Whether the tags say so.
    pub(super) found: Found,
}

/// Finds the leg, fills in the callee's tag when it is first seen, and adds legs for forks.
///
/// `by_address` is the sender of the request as the addresses tell, for when the tags do not.
pub(super) fn place(
    legs: &mut Vec<Leg>,
    (from, to): (&[u8], &[u8]),
    role: Role,
    by_address: Option<Side>,
    time: Timestamp,
) -> Place {
    let found = find(legs, from, to);
    let (index, sender) = match found {
        // Devices of RFC 2543 may have no tags at all.
        Found::Exact(leg, side) if from.is_empty() && to.is_empty() => {
            (leg, by_address.unwrap_or(side))
        }
        Found::Exact(leg, side) | Found::Half(leg, side) => (leg, side),
        Found::Nowhere => (0, by_address.unwrap_or(Side::Caller)),
    };
    let (caller, callee) = if sender == Side::Caller { (from, to) } else { (to, from) };
    match (found, legs.get_mut(index)) {
        (Found::Half(..), Some(leg)) if leg.to_tag.is_none() && role != Role::Ignores => {
            leg.to_tag = tag(callee);
            Place { leg: index, sender, found: Found::Exact(index, sender) }
        }
        (Found::Half(..) | Found::Nowhere, _) if role == Role::Makes => {
            let index = add(legs, caller, callee, time).unwrap_or(index);
            Place { leg: index, sender, found }
        }
        _ => Place { leg: index, sender, found },
    }
}

/// A new leg; `None` if the call has as many as it may.
pub(super) fn add(
    legs: &mut Vec<Leg>,
    caller: &[u8],
    callee: &[u8],
    time: Timestamp,
) -> Option<usize> {
    if legs.len() >= limits::LEGS_PER_CALL_MAX {
        return None;
    }
    legs.push(Leg {
        from_tag: tag(caller).unwrap_or_default(),
        to_tag: tag(callee),
        started: time,
        answered: None,
        ended: None,
        hops: Vec::new(),
    });
    Some(legs.len() - 1)
}

fn tag(tag: &[u8]) -> Option<String> {
    (!tag.is_empty()).then(|| text::clipped(tag, limits::SIP_TAG_BYTES_MAX))
}
