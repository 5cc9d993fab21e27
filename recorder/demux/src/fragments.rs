//! IP datagrams put together from their fragments (RFC 791, 3.2; RFC 8200, 4.5).
//!
//! Fragments may come in any order and more than once. Where two overlap, the bytes that came first win, in
//! both versions of IP: RFC 5722 wants such IPv6 datagrams dropped, but this is an observer, which would
//! rather see too much, and an attacker gains nothing but his own datagram altered.
//!
//! A finished datagram is kept a moment longer, for as many as there is room: a mirror port often shows
//! every frame twice, and the copy of a last fragment would otherwise wait in vain and could be joined to
//! a later datagram with the same id. A fragment that is no copy of it begins the next datagram of its id.

use std::ops::Range;

use base::ledger::Note;
use base::limits::{
    FRAGMENT_AGE_SECONDS_MAX, FRAGMENT_BYTES_MAX, FRAGMENT_COPY_AGE_MILLISECONDS_MAX,
    FRAGMENT_STRETCHES_MAX, FRAGMENTED_DATAGRAMS_MAX,
};
use base::{Domain, FlowKey, Ledger, Outcome, Timestamp};

use crate::age;
use crate::ip::{Addresses, Fragment, Packet};
use crate::table::{Slot, Table};

/// The longest payload of an IP datagram that can be fragmented.
const DATAGRAM_BYTES_MAX: usize = 65_535;

/// Classes of the table.
const UNFINISHED: usize = 0;
const FINISHED: usize = 1;

/// What makes fragments parts of the same datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    /// Without ports: only the first fragment has them.
    flow: FlowKey,
    /// `None` in IPv6, where it is no part of the identity: only the first fragment's counts.
    protocol: Option<u8>,
    id: u32,
}

impl Key {
    /// The datagram that `fragment` of `packet` belongs to.
    pub(crate) fn new(domain: Domain, packet: &Packet<'_>, fragment: &Fragment) -> Self {
        let protocol = matches!(packet.addresses, Addresses::V4(_)).then_some(packet.protocol);
        Self { flow: packet.addresses.flow(domain, 0, 0), protocol, id: fragment.id }
    }
}

/// A datagram whose last missing fragment has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Whole<'a> {
    /// What its first fragment said that the payload begins with.
    pub(crate) protocol: u8,
    pub(crate) payload: &'a [u8],
}

/// The unfinished datagrams of one capture core.
#[derive(Debug)]
pub(crate) struct Fragments {
    table: Table<Key, Datagram, 2>,
    /// Allocated for all of them.
    held_bytes: usize,
}

#[derive(Debug, Default)]
struct Datagram {
    payload: Vec<u8>,
    /// Which stretches of `payload` have come: disjoint, not touching, in order.
    stretches: Vec<(usize, usize)>,
    /// Its length, once the last fragment has come.
    length: Option<usize>,
    /// From the first fragment.
    protocol: u8,
}

impl Fragments {
    pub(crate) fn new() -> Self {
        Self { table: Table::new(FRAGMENTED_DATAGRAMS_MAX), held_bytes: 0 }
    }

    /// Adds a fragment: its datagram, if that is whole now.
    ///
    /// # Errors
    /// The frame's outcome, if it is not.
    pub(crate) fn add(
        &mut self,
        key: Key,
        packet: &Packet<'_>,
        fragment: &Fragment,
        now: Timestamp,
    ) -> Result<Whole<'_>, Outcome> {
        let end = check(packet, fragment)?;
        let slot = self.place(key, packet, fragment, now)?;
        self.make_room_for(slot, end)?;
        let datagram = self.table.get_mut(slot).ok_or(Outcome::FragmentTableFull)?;
        let held_before = datagram.payload.capacity();
        let added = datagram.add(packet, fragment, end);
        self.held_bytes += datagram.payload.capacity().saturating_sub(held_before);
        added?;
        if !datagram.is_whole() {
            return Err(Outcome::FragmentHeld);
        }
        self.table.touch(slot, FINISHED, now);
        let datagram = self.table.get(slot).ok_or(Outcome::FragmentHeld)?;
        Ok(Whole { protocol: datagram.protocol, payload: &datagram.payload })
    }

    /// Forgets what is too old.
    pub(crate) fn expire(&mut self, now: Timestamp, ledger: &mut Ledger) {
        let is_old = |(slot, touched), limit| (age::millis(now, touched) > limit).then_some(slot);
        let oldest = |table: &Table<_, _, 2>, class, limit| {
            table.oldest(class).and_then(|oldest| is_old(oldest, limit))
        };
        while let Some(slot) = oldest(&self.table, FINISHED, FRAGMENT_COPY_AGE_MILLISECONDS_MAX) {
            self.forget(slot);
        }
        while let Some(slot) = oldest(&self.table, UNFINISHED, FRAGMENT_AGE_SECONDS_MAX * 1_000) {
            self.forget(slot);
            ledger.note(Note::DatagramIncomplete, 1);
        }
    }

    /// Forgets everything: no more fragments will come.
    pub(crate) fn finish(&mut self, ledger: &mut Ledger) {
        while let Some((slot, _)) = self.table.oldest(UNFINISHED) {
            self.forget(slot);
            ledger.note(Note::DatagramIncomplete, 1);
        }
        while self.forget_one_finished() {}
    }

    /// Datagrams and bytes held.
    pub(crate) fn held(&self) -> (usize, usize) {
        (self.table.len(), self.held_bytes)
    }

    /// The datagram to add the fragment to.
    fn place(
        &mut self,
        key: Key,
        packet: &Packet<'_>,
        fragment: &Fragment,
        now: Timestamp,
    ) -> Result<Slot, Outcome> {
        if let Some(slot) = self.table.find(&key) {
            let datagram = self.table.get(slot).ok_or(Outcome::FragmentTableFull)?;
            if !datagram.is_whole() {
                return Ok(slot);
            }
            if datagram.holds_copy_of(packet, fragment) {
                return Err(Outcome::DuplicateFrame);
            }
            self.forget(slot);
        }
        if self.table.is_full() {
            self.forget_one_finished();
        }
        let begun = self.table.insert(key, Datagram::default(), UNFINISHED, now);
        begun.ok_or(Outcome::FragmentTableFull)
    }

    /// Makes sure that the datagram may grow to `end` bytes, if need be at the cost of finished ones.
    fn make_room_for(&mut self, slot: Slot, end: usize) -> Result<(), Outcome> {
        let held = self.table.get(slot).map_or(0, |datagram| datagram.payload.capacity());
        let more = capacity_for(end).saturating_sub(held);
        while self.held_bytes.saturating_add(more) > FRAGMENT_BYTES_MAX {
            if !self.forget_one_finished() {
                // Not to be left behind empty.
                if held == 0 {
                    self.forget(slot);
                }
                return Err(Outcome::FragmentTableFull);
            }
        }
        Ok(())
    }

    fn forget_one_finished(&mut self) -> bool {
        let oldest = self.table.oldest(FINISHED);
        oldest.is_some_and(|(slot, _)| {
            self.forget(slot);
            true
        })
    }

    fn forget(&mut self, slot: Slot) {
        let held = self.table.remove(slot).map_or(0, |datagram| datagram.payload.capacity());
        self.held_bytes = self.held_bytes.saturating_sub(held);
    }
}

/// Whether a fragment can be part of any datagram: where it ends.
fn check(packet: &Packet<'_>, fragment: &Fragment) -> Result<usize, Outcome> {
    let end = fragment.offset.saturating_add(packet.wire_bytes);
    let unaligned = fragment.more && !packet.wire_bytes.is_multiple_of(8);
    if packet.wire_bytes == 0 || end > DATAGRAM_BYTES_MAX || unaligned {
        return Err(Outcome::Malformed);
    }
    if packet.payload.len() < packet.wire_bytes {
        return Err(Outcome::Truncated);
    }
    Ok(end)
}

/// How much is allocated for `end` bytes: so much more each time that growing is rare.
fn capacity_for(end: usize) -> usize {
    end.next_power_of_two().clamp(2_048, 65_536)
}

impl Datagram {
    fn add(&mut self, packet: &Packet<'_>, fragment: &Fragment, end: usize) -> Result<(), Outcome> {
        let beyond = self.length.is_some_and(|length| end > length);
        let too_short = !fragment.more && end < self.payload.len();
        if beyond || too_short {
            return Err(Outcome::Malformed);
        }
        if self.stretches.len() >= FRAGMENT_STRETCHES_MAX
            && self.joined(fragment.offset, end).is_empty()
        {
            return Err(Outcome::FragmentTableFull);
        }
        if fragment.offset == 0 && !self.has_first() {
            self.protocol = packet.protocol;
        }
        if !fragment.more {
            self.length = Some(end);
        }
        if self.payload.len() < end {
            self.payload.reserve_exact(capacity_for(end).saturating_sub(self.payload.len()));
            self.payload.resize(end, 0);
        }
        if self.fill(fragment.offset, end, packet.payload) {
            Ok(())
        } else {
            Err(Outcome::DuplicateFrame)
        }
    }

    /// Copies what is not there yet of the stretch from `begin` to `end`; says whether that was anything.
    fn fill(&mut self, begin: usize, end: usize, bytes: &[u8]) -> bool {
        let mut at = begin;
        let mut filled = false;
        let later = (end, end);
        for (from, to) in self.stretches.iter().copied().chain([later]) {
            let hole_end = from.min(end);
            if at < hole_end {
                let fresh = bytes.get(at - begin..hole_end - begin).unwrap_or_default();
                if let Some(place) = self.payload.get_mut(at..hole_end) {
                    place.copy_from_slice(fresh);
                }
                filled = true;
            }
            at = at.max(to);
        }
        self.join_stretch(begin, end);
        filled
    }

    fn join_stretch(&mut self, begin: usize, end: usize) {
        let joined = self.joined(begin, end);
        let touched = self.stretches.get(joined.clone()).unwrap_or_default();
        let begin = touched.first().map_or(begin, |(from, _)| begin.min(*from));
        let end = touched.last().map_or(end, |(_, to)| end.max(*to));
        self.stretches.splice(joined, [(begin, end)]);
    }

    /// Which stretches the one from `begin` to `end` overlaps or touches.
    fn joined(&self, begin: usize, end: usize) -> Range<usize> {
        let first = self.stretches.partition_point(|(_, to)| *to < begin);
        first..self.stretches.partition_point(|(from, _)| *from <= end)
    }

    fn has_first(&self) -> bool {
        self.stretches.first().is_some_and(|(from, _)| *from == 0)
    }

    fn is_whole(&self) -> bool {
        self.length.is_some_and(|length| self.stretches == [(0, length)])
    }

    fn holds_copy_of(&self, packet: &Packet<'_>, fragment: &Fragment) -> bool {
        let rest = self.payload.get(fragment.offset..).unwrap_or_default();
        rest.starts_with(packet.payload) && (rest.len() > packet.payload.len()) == fragment.more
    }
}
