//! One direction of a TCP connection: its segments put in order (RFC 9293, 3.4).
//!
//! What comes ahead of its turn is parked until the hole before it is filled. What came before is trimmed
//! off, so retransmissions and mirrored copies are harmless; where two parked segments overlap, the bytes
//! of the one that begins earlier win. A hole is skipped when its bytes cannot be expected any more: too
//! much is parked behind it, or it is too old, and soon if the receiver has acknowledged it, for then the
//! capture lost what the wire delivered.

use base::Timestamp;
use base::limits::{
    TCP_ACKNOWLEDGED_HOLE_AGE_MILLISECONDS_MAX, TCP_HOLE_AGE_MILLISECONDS_MAX, TCP_LEAP_BYTES_MAX,
    TCP_REORDER_BYTES_MAX, TCP_REORDER_SEGMENTS_MAX,
};

use crate::age;
use crate::sip::{self, Match};
use crate::tcp::Sink;
use crate::tcp::framer::Framer;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    /// Sequence number of the next byte in order; `None` before anything was seen.
    next: Option<u32>,
    /// What is ahead of its turn, in the order of sequence numbers.
    parked: Vec<Parked>,
    parked_bytes: usize,
    /// Since when the present hole is waited for, and whether the receiver has acknowledged it.
    hole: Option<Hole>,
    framer: Framer,
}

#[derive(Debug)]
struct Parked {
    sequence: u32,
    bytes: Box<[u8]>,
    wire_bytes: u32,
}

#[derive(Clone, Copy, Debug)]
struct Hole {
    since: Timestamp,
    acknowledged: bool,
}

impl Stream {
    /// A stream whose first byte will have this sequence number.
    pub(crate) fn beginning_at(next: u32) -> Self {
        Self { next: Some(next), ..Self::default() }
    }

    /// A stream whose beginning was not seen, to be joined with the next segment.
    pub(crate) fn joining() -> Self {
        Self { framer: Framer::joining(), ..Self::default() }
    }

    /// Whether anything of it was seen.
    pub(crate) const fn has_begun(&self) -> bool {
        self.next.is_some()
    }

    /// Whether segments wait for a hole to be filled.
    pub(crate) const fn has_hole(&self) -> bool {
        self.hole.is_some()
    }

    /// Whether a SIP message ever began in this direction.
    pub(crate) const fn found_sip(&self) -> bool {
        self.framer.found()
    }

    /// How many bytes were searched in vain for a SIP message since the last; `None` while in step.
    pub(crate) fn searched_in_vain(&self) -> Option<usize> {
        self.framer.searched_in_vain()
    }

    /// Bytes allocated for it.
    pub(crate) const fn held_bytes(&self) -> usize {
        let segments = self.parked.capacity() * size_of::<Parked>();
        self.parked_bytes + segments + self.framer.held_bytes()
    }

    /// Whether a SYN with the first byte at `sequence` announces another stream than this one.
    pub(crate) fn is_restarted_by(&self, sequence: u32) -> bool {
        // A retransmitted SYN comes before there is much else.
        self.next.is_none_or(|next| next.wrapping_sub(sequence) > TCP_LEAP_BYTES_MAX)
    }

    /// A segment, cut to `bytes` by the capture if it had more `wire_bytes`.
    pub(crate) fn segment(
        &mut self,
        sequence: u32,
        bytes: &[u8],
        wire_bytes: u32,
        now: Timestamp,
        sink: &mut impl Sink,
    ) {
        if wire_bytes == 0 {
            return;
        }
        let next = *self.next.get_or_insert(sequence);
        let ahead = distance(next, sequence);
        if ahead.unsigned_abs() > TCP_LEAP_BYTES_MAX {
            self.leap(sequence, bytes, wire_bytes, sink);
        } else if ahead > 0 {
            self.park(Parked { sequence, bytes: bytes.into(), wire_bytes }, now);
        } else {
            self.deliver(sequence, bytes, wire_bytes, sink);
            self.drain(now, sink);
        }
        while self.parked_bytes > TCP_REORDER_BYTES_MAX
            || self.parked.len() > TCP_REORDER_SEGMENTS_MAX
        {
            self.skip_hole(now, sink);
        }
    }

    /// The receiver says that it has everything before `sequence`.
    pub(crate) fn acknowledge(&mut self, sequence: u32) {
        if let (Some(hole), Some(first)) = (&mut self.hole, self.parked.first()) {
            hole.acknowledged |= distance(first.sequence, sequence) >= 0;
        }
    }

    /// Skips the holes that are not worth waiting for any more.
    pub(crate) fn skip_old_holes(&mut self, now: Timestamp, sink: &mut impl Sink) {
        while let Some(hole) = self.hole {
            let limit = if hole.acknowledged {
                TCP_ACKNOWLEDGED_HOLE_AGE_MILLISECONDS_MAX
            } else {
                TCP_HOLE_AGE_MILLISECONDS_MAX
            };
            if age::millis(now, hole.since) <= limit {
                return;
            }
            self.skip_hole(now, sink);
        }
    }

    /// Gives what is there, holes or not, and forgets it: no more is expected.
    pub(crate) fn flush(&mut self, now: Timestamp, sink: &mut impl Sink) {
        while self.hole.is_some() {
            self.skip_hole(now, sink);
        }
        self.framer.gap(sink);
    }

    /// A sequence number out of all proportion: forged, or a connection that began anew unseen. Believed if
    /// a message begins here, which a stream out of place would not be able to say.
    fn leap(&mut self, sequence: u32, bytes: &[u8], wire_bytes: u32, sink: &mut impl Sink) {
        if sip::start_line(sip::without_leading_newlines(bytes)) != Match::Yes {
            return;
        }
        self.parked = Vec::new();
        self.parked_bytes = 0;
        self.hole = None;
        self.skip_to(sequence, sink);
        self.deliver(sequence, bytes, wire_bytes, sink);
    }

    /// Hands over the part of a segment that is new. `sequence` is not ahead of its turn.
    fn deliver(&mut self, sequence: u32, bytes: &[u8], wire_bytes: u32, sink: &mut impl Sink) {
        let next = self.next.unwrap_or(sequence);
        let known = next.wrapping_sub(sequence);
        if known >= wire_bytes {
            return;
        }
        let fresh = bytes.get(known as usize..).unwrap_or_default();
        self.framer.push(fresh, sink);
        let end = sequence.wrapping_add(wire_bytes);
        if (known as usize).saturating_add(fresh.len()) < wire_bytes as usize {
            self.skip_to(end, sink);
        }
        self.next = Some(end);
    }

    fn skip_to(&mut self, sequence: u32, sink: &mut impl Sink) {
        self.framer.gap(sink);
        sink.gap();
        self.next = Some(sequence);
    }

    fn park(&mut self, segment: Parked, now: Timestamp) {
        let Some(next) = self.next else { return };
        let (begin, end) = segment.range(next);
        let covers = |other: &Parked| {
            let (other_begin, other_end) = other.range(next);
            other_begin <= begin && end <= other_end
        };
        if self.parked.iter().any(covers) {
            return;
        }
        let at = self.parked.partition_point(|other| other.range(next).0 <= begin);
        self.parked_bytes = self.parked_bytes.saturating_add(segment.bytes.len());
        self.parked.insert(at, segment);
        self.hole.get_or_insert(Hole { since: now, acknowledged: false });
    }

    /// Hands over parked segments whose turn it is.
    fn drain(&mut self, now: Timestamp, sink: &mut impl Sink) {
        let mut due = 0;
        let parked = std::mem::take(&mut self.parked);
        for segment in &parked {
            if self.next.is_some_and(|next| distance(next, segment.sequence) > 0) {
                break;
            }
            self.deliver(segment.sequence, &segment.bytes, segment.wire_bytes, sink);
            self.parked_bytes = self.parked_bytes.saturating_sub(segment.bytes.len());
            due += 1;
        }
        self.parked = parked;
        if due > 0 {
            self.parked.drain(..due);
            let next_hole = Hole { since: now, acknowledged: false };
            self.hole = (!self.parked.is_empty()).then_some(next_hole);
        }
        if self.parked.is_empty() {
            self.parked = Vec::new();
        }
    }

    fn skip_hole(&mut self, now: Timestamp, sink: &mut impl Sink) {
        match self.parked.first() {
            Some(first) => {
                let sequence = first.sequence;
                self.skip_to(sequence, sink);
                self.drain(now, sink);
            }
            None => self.hole = None,
        }
    }
}

impl Parked {
    /// Where it begins and ends, counted from `next`, which is at most a leap away.
    fn range(&self, next: u32) -> (i64, i64) {
        let begin = i64::from(distance(next, self.sequence));
        (begin, begin + i64::from(self.wire_bytes))
    }
}

/// How far `sequence` is ahead of `next`, around the wrap.
fn distance(next: u32, sequence: u32) -> i32 {
    sequence.wrapping_sub(next).cast_signed()
}
