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
    TCP_IDLE_SECONDS_MAX, TCP_UNDECIDED_IDLE_SECONDS_MAX,
};
use base::{FlowKey, Outcome, Timestamp};

use crate::Packet;
use crate::age;
use crate::table::{Slot, Table};
use crate::tcp::connection::{Connection, Direction, Key, Output, State};
use crate::tcp::header::Segment;
use crate::tcp::search::{Begin, Found, find_message};

/// Classes of the table.
const EXPENDABLE: usize = 0;
const WITH_HOLE: usize = 1;
const IN_ORDER: usize = 2;

fn class(connection: &Connection) -> usize {
    match connection.state() {
        State::Undecided | State::Ended => EXPENDABLE,
        State::WithHole => WITH_HOLE,
        State::InOrder => IN_ORDER,
    }
}

/// The connections of one capture core.
#[derive(Debug)]
pub(crate) struct Connections {
    table: Table<Key, Connection, 3>,
    /// Allocated for all of their streams.
    held_bytes: usize,
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
        let outcome = if connection.is_sip() { Outcome::TcpSegment } else { Outcome::OtherTcp };
        if connection.carries_no_sip() {
            self.forget(slot, output);
        }
        while self.held_bytes > TCP_BYTES_MAX {
            let Some(slot) = self.most_expendable() else { break };
            if self.forget(slot, output) > 0 {
                output.ledger.note(Note::TcpGap, 1);
            }
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
        let (held, class) = (connection.held_bytes(), class(connection));
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

    /// Gives what the connection still holds, and forgets it: how many bytes that frees.
    fn forget<E: FnMut(Timestamp, Packet<'_>)>(
        &mut self,
        slot: Slot,
        output: &mut Output<'_, E>,
    ) -> usize {
        let Some(key) = self.table.key(slot) else { return 0 };
        let Some(mut connection) = self.table.remove(slot) else { return 0 };
        let held = connection.held_bytes();
        self.held_bytes = self.held_bytes.saturating_sub(held);
        connection.flush(key, output);
        held
    }
}
