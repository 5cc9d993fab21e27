//! One TCP connection: both of its directions, and whether it carries SIP.

use base::ledger::Note;
use base::limits::TCP_SEARCH_BYTES_MAX;
use base::{Domain, Endpoint, FlowKey, Ledger, Timestamp, Transport};

use crate::Packet;
use crate::tcp::Sink;
use crate::tcp::header::Segment;
use crate::tcp::stream::Stream;

/// Both directions of a connection have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    domain: Domain,
    /// The lesser of the two first.
    endpoints: [Endpoint; 2],
}

/// Which of a connection's endpoints sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    FromLesser,
    FromGreater,
}

/// What a connection is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It has not shown what it carries.
    Undecided,
    /// It carries SIP, and waits for a hole to be filled.
    WithHole,
    /// It carries SIP, and waits for nothing.
    InOrder,
    /// It carried SIP, and is closed.
    Ended,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Connection {
    /// What the lesser endpoint sends, and what the greater does.
    streams: [Stream; 2],
    /// Which directions have ended.
    ended: [bool; 2],
    /// Whether SIP was ever seen in it.
    is_sip: bool,
    /// Noted when it turns out to carry SIP: nobody cares for the gaps of other connections.
    unnoted: Notes,
}

#[derive(Clone, Copy, Debug, Default)]
struct Notes {
    gaps: u64,
    resyncs: u64,
}

/// Where messages and notes go, and what time it is.
pub(crate) struct Output<'a, E> {
    pub(crate) now: Timestamp,
    pub(crate) ledger: &'a mut Ledger,
    pub(crate) emit: &'a mut E,
}

/// Where those of one direction go.
struct Messages<'a, E> {
    flow: FlowKey,
    now: Timestamp,
    notes: &'a mut Notes,
    emit: &'a mut E,
}

impl Key {
    /// The connection of a flow, and the direction that the flow is.
    pub(crate) fn of(flow: FlowKey) -> (Self, Direction) {
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
    pub(crate) fn joining() -> Self {
        Self {
            streams: [Stream::joining(), Stream::joining()],
            ended: [false; 2],
            is_sip: false,
            unnoted: Notes::default(),
        }
    }

    /// `segment` is a SYN: its direction begins.
    pub(crate) fn begin(&mut self, direction: Direction, segment: &Segment<'_>) {
        *direction.of(&mut self.streams).0 = Stream::beginning_at(segment.payload_sequence());
        self.ended = [false; 2];
    }

    /// The next segment.
    pub(crate) fn segment<E: FnMut(Timestamp, Packet<'_>)>(
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
        let flow = key.flow(direction);
        let sink = &mut Messages::new(flow, &mut self.unnoted, output);
        stream.segment(sequence, segment.payload, segment.wire_bytes, sink.now, sink);
        *direction.of(&mut self.ended).0 |= segment.fin;
        if segment.rst {
            self.ended = [true; 2];
        }
        self.skip_old_holes(key, output);
    }

    /// Skips the holes that are not worth waiting for any more.
    pub(crate) fn skip_old_holes<E: FnMut(Timestamp, Packet<'_>)>(
        &mut self,
        key: Key,
        output: &mut Output<'_, E>,
    ) {
        self.each_stream(key, output, |stream, sink| stream.skip_old_holes(sink.now, sink));
    }

    /// Gives what is there: no more is expected.
    pub(crate) fn flush<E: FnMut(Timestamp, Packet<'_>)>(
        &mut self,
        key: Key,
        output: &mut Output<'_, E>,
    ) {
        self.each_stream(key, output, |stream, sink| stream.flush(sink.now, sink));
    }

    /// Whether SIP was ever seen in it.
    pub(crate) const fn is_sip(&self) -> bool {
        self.is_sip
    }

    pub(crate) fn state(&self) -> State {
        if !self.is_sip {
            State::Undecided
        } else if self.streams.iter().any(Stream::has_hole) {
            State::WithHole
        } else if self.ended == [true; 2] {
            State::Ended
        } else {
            State::InOrder
        }
    }

    /// Whether what was seen so far speaks against SIP: a first byte that begins no start line, or, where
    /// SIP was seen, a long stretch without any.
    pub(crate) fn carries_no_sip(&self) -> bool {
        let in_vain = self.streams.iter().filter_map(Stream::searched_in_vain).max().unwrap_or(0);
        in_vain > if self.is_sip { TCP_SEARCH_BYTES_MAX } else { 0 }
    }

    /// Bytes allocated for it.
    pub(crate) fn held_bytes(&self) -> usize {
        self.streams.iter().map(Stream::held_bytes).sum()
    }

    fn each_stream<E: FnMut(Timestamp, Packet<'_>)>(
        &mut self,
        key: Key,
        output: &mut Output<'_, E>,
        act: impl Fn(&mut Stream, &mut Messages<'_, E>),
    ) {
        for direction in [Direction::FromLesser, Direction::FromGreater] {
            let (stream, _) = direction.of(&mut self.streams);
            act(stream, &mut Messages::new(key.flow(direction), &mut self.unnoted, output));
        }
        self.is_sip |= self.streams.iter().any(Stream::found_sip);
        if self.is_sip {
            let Notes { gaps, resyncs } = std::mem::take(&mut self.unnoted);
            output.ledger.note(Note::TcpGap, gaps);
            output.ledger.note(Note::TcpResync, resyncs);
        }
    }
}

impl<'a, E> Messages<'a, E> {
    fn new(flow: FlowKey, notes: &'a mut Notes, output: &'a mut Output<'_, E>) -> Self {
        Self { flow, now: output.now, notes, emit: output.emit }
    }
}

impl<E: FnMut(Timestamp, Packet<'_>)> Sink for Messages<'_, E> {
    fn message(&mut self, message: &[u8]) {
        (self.emit)(self.now, Packet::Sip { key: self.flow, transport: Transport::Tcp, message });
    }

    fn gap(&mut self) {
        self.notes.gaps += 1;
    }

    fn resync(&mut self) {
        self.notes.resyncs += 1;
    }
}
