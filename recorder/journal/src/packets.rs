//! The packets of a flow, decrypted and held together, for a caller that needs them all at once.

use std::ops::Range;

use base::{FlowKey, MediaPacket, Timestamp};

use crate::error::Damage;
use crate::records::MediaRecords;

/// A stretch of time: from `from` on, before `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The first moment that is in.
    pub from: Timestamp,
    /// The first moment that is not; [`Timestamp::MAX`] means that none is.
    pub to: Timestamp,
}

impl Window {
    /// All of time.
    pub const ALL: Self = Self { from: Timestamp::ZERO, to: Timestamp::MAX };

    /// Whether `time` is in.
    #[must_use]
    #[inline]
    pub fn contains(&self, time: Timestamp) -> bool {
        self.from <= time && (time < self.to || self.to == Timestamp::MAX)
    }

    /// Whether any moment from `first` to `last` is in.
    pub(crate) fn touches(&self, first: Timestamp, last: Timestamp) -> bool {
        last >= self.from && (first < self.to || self.to == Timestamp::MAX)
    }
}

/// Decrypted chunks in one block of memory, which is kept when it is cleared: to be used again and again.
#[derive(Default)]
pub struct Packets {
    /// Whole chunks, headers and tags included: they are decrypted where they were read to.
    pub(crate) bytes: Vec<u8>,
    chunks: Vec<Loaded>,
    damaged: Vec<Damage>,
}

/// One chunk.
struct Loaded {
    payload: Range<usize>,
    records: u16,
    first: Timestamp,
    window: Window,
}

/// How much a [`Packets`] held at some time.
#[derive(Clone, Copy)]
pub(crate) struct Mark {
    bytes: usize,
    chunks: usize,
}

impl Packets {
    /// Forgets all packets.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.chunks.clear();
        self.damaged.clear();
    }

    /// Memory that it holds, used or not.
    #[must_use]
    pub fn capacity_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// The packets, in the order in which their chunks were loaded; within what one call loaded that is the
    /// order of arrival.
    pub fn iter(&self) -> impl Iterator<Item = MediaPacket<'_>> {
        self.chunks.iter().flat_map(|chunk| {
            let records = self.records(chunk).into_iter().flat_map(|(_, records)| records);
            records.filter(|packet| chunk.window.contains(packet.time))
        })
    }

    /// Adds them, as [`Packets::iter`] gives them, to `all`.
    pub fn append_to<'p>(&'p self, all: &mut Vec<MediaPacket<'p>>) {
        all.reserve(self.chunks.iter().map(|chunk| usize::from(chunk.records)).sum());
        for chunk in &self.chunks {
            let records = self.records(chunk).into_iter().flat_map(|(_, records)| records);
            all.extend(records.filter(|packet| chunk.window.contains(packet.time)));
        }
    }

    /// The flow of the first chunk; `None` if there are no packets.
    #[must_use]
    pub fn key(&self) -> Option<FlowKey> {
        self.chunks.first().and_then(|chunk| self.records(chunk)).map(|(key, _)| key)
    }

    /// Chunks that had to be left out.
    #[must_use]
    pub fn damaged(&self) -> &[Damage] {
        &self.damaged
    }

    /// What is here now.
    pub(crate) fn mark(&self) -> Mark {
        Mark { bytes: self.bytes.len(), chunks: self.chunks.len() }
    }

    /// Turns the order of what was added since `mark`.
    pub(crate) fn reverse_since(&mut self, mark: Mark) {
        if let Some(added) = self.chunks.get_mut(mark.chunks..) {
            added.reverse();
        }
    }

    /// Forgets what was added since `mark`.
    pub(crate) fn forget_since(&mut self, mark: Mark) {
        self.bytes.truncate(mark.bytes);
        self.chunks.truncate(mark.chunks);
    }

    /// The packets of `payload`, a place in `bytes`.
    pub(crate) fn add(
        &mut self,
        payload: Range<usize>,
        records: u16,
        first: Timestamp,
        window: Window,
    ) {
        self.chunks.push(Loaded { payload, records, first, window });
    }

    pub(crate) fn add_damage(&mut self, damage: Damage) {
        self.damaged.push(damage);
    }

    fn records(&self, chunk: &Loaded) -> Option<(FlowKey, MediaRecords<'_>)> {
        let payload = self.bytes.get(chunk.payload.clone())?;
        MediaRecords::new(payload, chunk.records, chunk.first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_half_open_but_for_the_end_of_time() {
        let at = Timestamp::from_nanos;
        let window = Window { from: at(10), to: at(20) };
        assert!(window.contains(at(10)) && window.contains(at(19)));
        assert!(!window.contains(at(9)) && !window.contains(at(20)));
        assert!(window.touches(at(0), at(10)) && window.touches(at(19), at(30)));
        assert!(!window.touches(at(0), at(9)) && !window.touches(at(20), at(30)));
        assert!(
            Window::ALL.contains(Timestamp::MAX)
                && Window::ALL.touches(Timestamp::MAX, Timestamp::MAX)
        );
    }
}
