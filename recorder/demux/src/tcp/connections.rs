//! Which TCP connections are followed, and for how long.
//!
//! A connection is followed from its SYN until its first bytes turn out to be no SIP, or from a segment in
//! which a SIP message begins. All other TCP leaves no state behind. State is given up for a newer
//! connection's sake in the order: undecided or closed ones, silent longest first; then, for lack of bytes
//! but not of places, those with holes and last those in good order. A connection that was given up is
//! joined anew where its next message begins.

use base::ledger::Note;
use base::limits::{
    TCP_ACKNOWLEDGED_HOLE_AGE_MILLISECONDS_MAX, TCP_BYTES_MAX, TCP_CONNECTIONS_MAX,
    TCP_IDLE_SECONDS_MAX, TCP_SEARCH_BYTES_MAX, TCP_UNDECIDED_IDLE_SECONDS_MAX,
};
use base::{Domain, Endpoint, FlowKey, Ledger, Outcome, Timestamp, Transport};

use crate::Packet;
use crate::age;
use crate::table::{Slot, Table};
use crate::tcp::Sink;
use crate::tcp::header::Segment;
use crate::tcp::search::{Begin, Found, find_message};
use crate::tcp::stream::Stream;

/// Classes of the table.
const EXPENDABLE: usize = 0;
const WITH_HOLE: usize = 1;
const IN_ORDER: usize = 2;

/// The connections of one capture core.
#[derive(Debug)]
pub(crate) struct Connections {
    table: Table<Key, Connection, 3>,
    /// Allocated for all of their streams.
    held_bytes: usize,
}

/// Where messages and notes go, and what time it is.
pub(crate) struct Output<'a, E> {
    pub(crate) now: Timestamp,
    pub(crate) ledger: &'a mut Ledger,
    pub(crate) emit: &'a mut E,
}

/// Both directions of a connection have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    domain: Domain,
    /// The lesser of the two first.
    endpoints: [Endpoint; 2],
}

/// Which of a connection's endpoints sends: an index into `Key::endpoints` and `Connection::streams`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    FromLesser,
    FromGreater,
}

#[derive(Debug)]
struct Connection {
    /// What the lesser endpoint sends, and what the greater does.
    streams: [Stream; 2],
    /// Whether SIP was ever seen in it.
    is_sip: bool,
    /// Which directions have ended.
    ended: [bool; 2],
}

impl Connections {
    pub(crate) fn new() -> Self {
        Self { table: Table::new(TCP_CONNECTIONS_MAX), held_bytes: 0 }
    }

    /// Follows one segment of `flow`; gives the messages that it completes. The frame's outcome.
    pub(crate) fn segment<E: FnMut(Timestamp, Packet<'_>)>(
        &mut self,
        flow: FlowKey,
        segment: &Segment<'_>,
        output: &mut Output<'_, E>,
    ) -> Outcome {
        let (key, direction) = Key::of(flow);
        let place = match self.table.find(&key) {
            Some(slot) => Ok(slot),
            None => self.meet(key, direction, segment, output),
        };
        match place {
            Ok(slot) => self.follow(slot, direction, segment, output),
            Err(outcome) => outcome,
        }
    }

    /// Skips what is not worth waiting for any more and forgets what has been silent for too long.
    pub(crate) fn expire<E: FnMut(Timestamp, Packet<'_>)>(&mut self, output: &mut Output<'_, E>) {
        while let Some(slot) =
            self.silent(EXPENDABLE, TCP_UNDECIDED_IDLE_SECONDS_MAX * 1_000, output.now)
        {
            self.forget(slot, output);
        }
        while let Some(slot) = self.silent(IN_ORDER, TCP_IDLE_SECONDS_MAX * 1_000, output.now) {
            self.forget(slot, output);
        }
        let limit = TCP_ACKNOWLEDGED_HOLE_AGE_MILLISECONDS_MAX;
        while let Some(slot) = self.silent(WITH_HOLE, limit, output.now) {
            self.update(slot, output, |connection, key, output| {
                connection.skip_old_holes(key, output)
            });
        }
    }

    /// Gives what is still there, and forgets everything: no more segments will come.
    pub(crate) fn finish<E: FnMut(Timestamp, Packet<'_>)>(&mut self, output: &mut Output<'_, E>) {
        while let Some(slot) = self.most_expendable() {
            self.forget(slot, output);
        }
    }

    /// Connections and bytes held.
    pub(crate) fn held(&self) -> (usize, usize) {
        (self.table.len(), self.held_bytes)
    }

    /// The first segment of a connection that is not followed: follows it, if it may carry SIP.
    fn meet<E: FnMut(Timestamp, Packet<'_>)>(
        &mut self,
        key: Key,
        direction: Direction,
        segment: &Segment<'_>,
        output: &mut Output<'_, E>,
    ) -> Result<Slot, Outcome> {
        let opens = segment.syn && !segment.rst;
        if !opens && !matches!(find_message(segment.payload, Begin::OfLine), Found::At(_)) {
            return Err(Outcome::OtherTcp);
        }
        if self.table.is_full()
            && let Some((slot, _)) = self.table.oldest(EXPENDABLE)
        {
            self.forget(slot, output);
        }
        let mut connection = Connection::joining();
        if opens {
            connection.begin(direction, segment);
        }
        let place = self.table.insert(key, connection, EXPENDABLE, output.now);
        // A SYN alone does not say that SIP is lost.
        place.ok_or(if opens { Outcome::OtherTcp } else { Outcome::TcpTableFull })
    }

    fn follow<E: FnMut(Timestamp, Packet<'_>)>(
        &mut self,
        slot: Slot,
        direction: Direction,
        segment: &Segment<'_>,
        output: &mut Output<'_, E>,
    ) -> Outcome {
        self.update(slot, output, |connection, key, output| {
            connection.segment(key, direction, segment, output);
        });
        let Some(connection) = self.table.get(slot) else { return Outcome::OtherTcp };
        let outcome = if connection.is_sip { Outcome::TcpSegment } else { Outcome::OtherTcp };
        if connection.carries_no_sip() {
            self.forget(slot, output);
        }
        while self.held_bytes > TCP_BYTES_MAX {
            let Some(slot) = self.most_expendable() else { break };
            self.forget(slot, output);
            output.ledger.note(Note::TcpGap, 1);
        }
        outcome
    }

    /// Changes a connection and keeps the table's books about it.
    fn update<E>(
        &mut self,
        slot: Slot,
        output: &mut Output<'_, E>,
        change: impl FnOnce(&mut Connection, Key, &mut Output<'_, E>),
    ) {
        let Some(key) = self.table.key(slot) else { return };
        let Some(connection) = self.table.get_mut(slot) else { return };
        let held_before = connection.held_bytes();
        change(connection, key, output);
        let (held, class) = (connection.held_bytes(), connection.class());
        self.held_bytes = self.held_bytes.saturating_sub(held_before).saturating_add(held);
        self.table.touch(slot, class, output.now);
    }

    /// The connection of `class` that has been silent longest, if for longer than `limit` milliseconds.
    fn silent(&self, class: usize, limit: u64, now: Timestamp) -> Option<Slot> {
        let (slot, touched) = self.table.oldest(class)?;
        (age::millis(now, touched) > limit).then_some(slot)
    }

    fn most_expendable(&self) -> Option<Slot> {
        let oldest = [EXPENDABLE, WITH_HOLE, IN_ORDER].map(|class| self.table.oldest(class));
        oldest.into_iter().flatten().map(|(slot, _)| slot).next()
    }

    fn forget<E: FnMut(Timestamp, Packet<'_>)>(&mut self, slot: Slot, output: &mut Output<'_, E>) {
        let Some(key) = self.table.key(slot) else { return };
        let Some(mut connection) = self.table.remove(slot) else { return };
        self.held_bytes = self.held_bytes.saturating_sub(connection.held_bytes());
        connection.flush(key, output);
    }
}

impl Key {
    fn of(flow: FlowKey) -> (Self, Direction) {
        let (source, destination) = (flow.source, flow.destination);
        if source <= destination {
            (Self { domain: flow.domain, endpoints: [source, destination] }, Direction::FromLesser)
        } else {
            (Self { domain: flow.domain, endpoints: [destination, source] }, Direction::FromGreater)
        }
    }

    fn flow(&self, direction: Direction) -> FlowKey {
        let [lesser, greater] = self.endpoints;
        let flow = FlowKey { domain: self.domain, source: lesser, destination: greater };
        match direction {
            Direction::FromLesser => flow,
            Direction::FromGreater => flow.reversed(),
        }
    }
}

impl Direction {
    const BOTH: [Self; 2] = [Self::FromLesser, Self::FromGreater];

    /// The thing of this direction, and that of the other.
    fn of<T>(self, both: &mut [T; 2]) -> (&mut T, &mut T) {
        let [lesser, greater] = both;
        match self {
            Self::FromLesser => (lesser, greater),
            Self::FromGreater => (greater, lesser),
        }
    }
}

impl Connection {
    /// A connection whose beginning was not seen.
    fn joining() -> Self {
        Self { streams: [Stream::joining(), Stream::joining()], is_sip: false, ended: [false; 2] }
    }

    /// `segment` is a SYN: its direction begins.
    fn begin(&mut self, direction: Direction, segment: &Segment<'_>) {
        *direction.of(&mut self.streams).0 = Stream::beginning_at(segment.payload_sequence());
        self.ended = [false; 2];
    }

    fn segment<E: FnMut(Timestamp, Packet<'_>)>(
        &mut self,
        key: Key,
        direction: Direction,
        segment: &Segment<'_>,
        output: &mut Output<'_, E>,
    ) {
        let sequence = segment.payload_sequence();
        let (stream, _) = direction.of(&mut self.streams);
        if segment.syn && !segment.rst && stream.is_restarted_by(sequence) {
            if stream.has_begun() {
                // Another connection between the same endpoints.
                self.flush(key, output);
                self.streams = [Stream::joining(), Stream::joining()];
            }
            self.begin(direction, segment);
        }
        let (stream, opposite) = direction.of(&mut self.streams);
        if let Some(acknowledgment) = segment.acknowledgment {
            opposite.acknowledge(acknowledgment);
        }
        let now = output.now;
        let sink = &mut output.of(key.flow(direction));
        stream.segment(sequence, segment.payload, segment.wire_bytes, now, sink);
        self.skip_old_holes(key, output);
        *direction.of(&mut self.ended).0 |= segment.fin;
        if segment.rst {
            self.ended = [true; 2];
        }
        self.is_sip |= self.streams.iter().any(Stream::found_sip);
    }

    fn skip_old_holes<E: FnMut(Timestamp, Packet<'_>)>(
        &mut self,
        key: Key,
        output: &mut Output<'_, E>,
    ) {
        let now = output.now;
        for direction in Direction::BOTH {
            let (stream, _) = direction.of(&mut self.streams);
            stream.skip_old_holes(now, &mut output.of(key.flow(direction)));
        }
    }

    fn flush<E: FnMut(Timestamp, Packet<'_>)>(&mut self, key: Key, output: &mut Output<'_, E>) {
        let now = output.now;
        for direction in Direction::BOTH {
            let (stream, _) = direction.of(&mut self.streams);
            stream.flush(now, &mut output.of(key.flow(direction)));
        }
    }

    fn class(&self) -> usize {
        if !self.is_sip || self.ended == [true; 2] {
            EXPENDABLE
        } else if self.streams.iter().any(Stream::has_hole) {
            WITH_HOLE
        } else {
            IN_ORDER
        }
    }

    /// Whether what was seen so far speaks against SIP: a first byte that begins no start line, or, where
    /// SIP was seen, a long stretch without any.
    fn carries_no_sip(&self) -> bool {
        let in_vain = self.streams.iter().filter_map(Stream::searched_in_vain).max().unwrap_or(0);
        in_vain > if self.is_sip { TCP_SEARCH_BYTES_MAX } else { 0 }
    }

    fn held_bytes(&self) -> usize {
        self.streams.iter().map(Stream::held_bytes).sum()
    }
}

impl<E> Output<'_, E> {
    fn of(&mut self, flow: FlowKey) -> Messages<'_, E> {
        Messages { flow, now: self.now, ledger: self.ledger, emit: self.emit }
    }
}

/// Where the messages of one direction go.
struct Messages<'a, E> {
    flow: FlowKey,
    now: Timestamp,
    ledger: &'a mut Ledger,
    emit: &'a mut E,
}

impl<E: FnMut(Timestamp, Packet<'_>)> Sink for Messages<'_, E> {
    fn message(&mut self, message: &[u8]) {
        (self.emit)(self.now, Packet::Sip { key: self.flow, transport: Transport::Tcp, message });
    }

    fn note(&mut self, note: Note) {
        self.ledger.note(note, 1);
    }
}
