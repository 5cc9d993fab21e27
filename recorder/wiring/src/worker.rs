//! A capture core's work on one frame: demultiplex, journal, count. No more.

use base::ledger::Note;
use base::limits::UNANNOUNCED_FLOWS_MAX;
use base::{Endpoint, FlowKey, Ledger, MediaPacket, Outcome, Timestamp, Transport};
use capture::Frame;
use demux::{Demux, Guess, Handled, Packet};
use hashbrown::HashSet;
use journal::{FlowId, FlowSummary, Refused, Writer};

/// Below this, ports belong to well-known services; RTP is only expected there if it is announced.
const MEDIA_PORT_MIN: u16 = 1024;

/// Open chunks that are given up at a time when all buffers are in use, each by a flow.
const SEALED_WHEN_FULL: usize = 1_024;

/// What a core saw that the engine must know.
#[derive(Debug)]
pub enum Seen<'a> {
    /// A SIP message, which is journaled.
    Sip {
        /// Arrival.
        time: Timestamp,
        /// Who sent it to whom.
        key: FlowKey,
        /// What carried it.
        transport: Transport,
        /// Its bytes.
        message: &'a [u8],
    },
    /// The first packet of a media flow.
    Flow {
        /// Arrival of its first packet.
        time: Timestamp,
        /// Who sends to whom.
        key: FlowKey,
        /// Its name in this core's journal.
        flow: FlowId,
    },
}

/// What a core calls out to.
pub trait Surroundings {
    /// Something that the engine must know. False if the way to it is full: of what was seen, it will not know.
    fn seen(&mut self, seen: Seen<'_>) -> bool;

    /// A packet of a flow that somebody listens to, which is journaled. Nobody does in most surroundings.
    fn overheard(&mut self, _flow: FlowId, _packet: &MediaPacket<'_>) {}

    /// The journal has no buffer free. Whether it is worth trying again: a capture file can wait for the
    /// disk, live traffic cannot.
    fn wait_for_journal(&mut self) -> bool;
}

/// One capture core.
pub struct Worker {
    demux: Demux,
    journal: Writer,
    directives: Directives,
    /// Flows that nobody had announced when they were opened.
    unannounced: Unannounced,
    ledger: Ledger,
    now: Timestamp,
}

impl Worker {
    /// With the journal that it writes.
    #[must_use]
    pub fn new(journal: Writer) -> Self {
        let (directives, ledger) = (Directives::default(), Ledger::default());
        let unannounced = Unannounced::new(UNANNOUNCED_FLOWS_MAX);
        Self { demux: Demux::new(), journal, directives, unannounced, ledger, now: Timestamp::ZERO }
    }

    /// With another limit of flows that nobody has announced.
    #[cfg(test)]
    pub(crate) fn with_unannounced_max(self, max: usize) -> Self {
        Self { unannounced: Unannounced::new(max), ..self }
    }

    /// Takes one frame to its end.
    #[inline]
    pub fn frame(&mut self, frame: &Frame<'_>, surroundings: &mut impl Surroundings) {
        self.ledger.receive();
        self.now = frame.time;
        let mut sink =
            Sink::new(&mut self.journal, (&self.directives, &mut self.unannounced), surroundings);
        let handled =
            self.demux.frame(frame, &mut self.ledger, &mut |time, packet| sink.take(time, packet));
        let outcome = match handled {
            Handled::Ended(outcome) => outcome,
            Handled::Datagram => sink.outcome,
        };
        let (truncated, refused) = (sink.truncated, sink.refused);
        self.ledger.count(outcome);
        self.settle_notes(truncated, refused);
    }

    /// This frame comes soon: what it will touch is fetched meanwhile.
    #[inline]
    pub fn ahead(&mut self, frame: &Frame<'_>) {
        if let Some(flow) = demux::udp_flow(frame) {
            self.journal.ahead(&flow);
        }
    }

    /// The capture is over: what the demultiplexer still holds comes out, and every chunk is sealed.
    pub fn finish(&mut self, surroundings: &mut impl Surroundings) {
        let mut sink =
            Sink::new(&mut self.journal, (&self.directives, &mut self.unannounced), surroundings);
        self.demux.finish(self.now, &mut self.ledger, &mut |time, packet| sink.take(time, packet));
        let (truncated, refused) = (sink.truncated, sink.refused);
        self.settle_notes(truncated, refused);
        self.journal.seal_all();
    }

    #[inline]
    fn settle_notes(&mut self, truncated: u64, refused: u64) {
        if truncated + refused > 0 {
            self.ledger.note(Note::MediaTruncated, truncated);
            self.ledger.note(Note::SignallingNotJournaled, refused);
        }
    }

    /// Seals the flow and tells what is known of it.
    pub fn report(&mut self, flow: FlowId) -> Option<FlowSummary> {
        self.journal.seal_flow(flow);
        self.journal.flow(flow)
    }

    /// Whatever comes to or from this endpoint is media.
    pub fn expect(&mut self, endpoint: Endpoint) {
        self.directives.excluded.remove(&endpoint);
        self.directives.expected.insert(endpoint);
    }

    /// No longer.
    pub fn unexpect(&mut self, endpoint: Endpoint) {
        self.directives.expected.remove(&endpoint);
    }

    /// What comes to this endpoint is not taken, unless it is to or from one that is expected.
    pub fn exclude(&mut self, endpoint: Endpoint) {
        self.directives.excluded.insert(endpoint);
    }

    /// It is taken again.
    pub fn include(&mut self, endpoint: Endpoint) {
        self.directives.excluded.remove(&endpoint);
    }

    /// Nothing of the flow is needed. False if it is forgotten already.
    pub fn forget(&mut self, flow: FlowId) -> bool {
        self.unannounced.flows.remove(&flow);
        self.journal.forget_flow(flow)
    }

    /// From now on, whether somebody listens to the flow.
    pub fn overhear(&mut self, flow: FlowId, on: bool) {
        // One that is forgotten has nothing to be heard.
        let _ = self.journal.overhear(flow, on);
    }

    /// Its journal.
    pub fn journal(&mut self) -> &mut Writer {
        &mut self.journal
    }

    /// How its frames ended.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Notes something beside the sum.
    pub fn note(&mut self, note: Note, times: u64) {
        self.ledger.note(note, times);
    }
}

/// What is known about endpoints.
#[derive(Default)]
struct Directives {
    /// Calls that are followed announce them.
    expected: HashSet<Endpoint>,
    /// Calls that were refused announce them.
    excluded: HashSet<Endpoint>,
}

impl Directives {
    fn expect(&self, key: &FlowKey) -> bool {
        self.expected.contains(&key.destination) || self.expected.contains(&key.source)
    }

    #[inline]
    fn exclude(&self, key: &FlowKey) -> bool {
        !self.excluded.is_empty() && self.excluded.contains(&key.destination) && !self.expect(key)
    }
}

/// The flows of what only looks like media. They may fill a part of the journal's memory and no more: RTP from random
/// ports does not crowd out that of calls.
struct Unannounced {
    flows: HashSet<FlowId>,
    max: usize,
}

impl Unannounced {
    /// All the memory it will ever need is taken now.
    fn new(max: usize) -> Self {
        Self { flows: HashSet::with_capacity(max), max }
    }

    fn is_full(&self) -> bool {
        self.flows.len() >= self.max
    }
}

/// Where the packets of one frame go.
struct Sink<'a, S> {
    journal: &'a mut Writer,
    directives: &'a Directives,
    unannounced: &'a mut Unannounced,
    surroundings: &'a mut S,
    outcome: Outcome,
    truncated: u64,
    refused: u64,
}

impl<'a, S: Surroundings> Sink<'a, S> {
    fn new(
        journal: &'a mut Writer,
        (directives, unannounced): (&'a Directives, &'a mut Unannounced),
        surroundings: &'a mut S,
    ) -> Self {
        Self {
            journal,
            directives,
            unannounced,
            surroundings,
            outcome: Outcome::OtherUdp,
            truncated: 0,
            refused: 0,
        }
    }

    #[inline]
    fn take(&mut self, time: Timestamp, packet: Packet<'_>) {
        self.outcome = match packet {
            Packet::Udp { key, guess, payload, wire_bytes } => {
                let likely = guess != Guess::Other && !is_low(&key);
                if !likely && !self.is_expected(&key) {
                    self.outcome = Outcome::OtherUdp;
                    return;
                }
                if self.directives.exclude(&key) {
                    self.outcome = Outcome::Excluded;
                    return;
                }
                if self.unannounced.is_full() && self.is_one_too_many(&key) {
                    self.outcome = Outcome::FlowTableFull;
                    return;
                }
                self.media(&key, MediaPacket { time, payload, wire_bytes })
            }
            Packet::Sip { key, transport, message } => self.sip(time, key, transport, message),
        }
    }

    #[inline]
    fn media(&mut self, key: &FlowKey, packet: MediaPacket<'_>) -> Outcome {
        loop {
            match self.journal.media(key, packet) {
                Ok(appended) => {
                    self.truncated +=
                        u64::from(usize::from(packet.wire_bytes) > packet.payload.len());
                    if appended.overheard {
                        self.surroundings.overheard(appended.flow, &packet);
                    }
                    return if appended.opened {
                        self.opened(key, packet.time, appended.flow)
                    } else {
                        Outcome::Media
                    };
                }
                Err(Refused::JournalFull) if self.surroundings.wait_for_journal() => {
                    self.journal.seal_oldest(SEALED_WHEN_FULL);
                }
                Err(refused) => return refused.into(),
            }
        }
    }

    /// A flow that the engine does not hear of would be nobody's: it is forgotten, and its next packet opens it
    /// again.
    #[cold]
    fn opened(&mut self, key: &FlowKey, time: Timestamp, flow: FlowId) -> Outcome {
        if self.surroundings.seen(Seen::Flow { time, key: *key, flow }) {
            if !self.is_expected(key) {
                self.unannounced.flows.insert(flow);
            }
            return Outcome::Media;
        }
        self.journal.forget_flow(flow);
        Outcome::SignallingRingFull
    }

    /// Signalling reaches the engine even if the journal refuses it: the call is then recorded, only a
    /// crash would forget it.
    fn sip(
        &mut self,
        time: Timestamp,
        key: FlowKey,
        transport: Transport,
        message: &[u8],
    ) -> Outcome {
        let outcome = loop {
            match self.journal.signalling(time, &key, transport, message) {
                Ok(()) => break Outcome::Signalling,
                Err(Refused::JournalFull) if self.surroundings.wait_for_journal() => {
                    self.journal.seal_oldest(SEALED_WHEN_FULL);
                }
                Err(refused) => {
                    self.refused += 1;
                    break refused.into();
                }
            }
        };
        if self.surroundings.seen(Seen::Sip { time, key, transport, message }) {
            outcome
        } else {
            Outcome::SignallingRingFull
        }
    }

    /// Whether a packet would open a flow that nobody has announced.
    #[cold]
    fn is_one_too_many(&self, key: &FlowKey) -> bool {
        !self.is_expected(key) && self.journal.find(key).is_none()
    }

    fn is_expected(&self, key: &FlowKey) -> bool {
        self.directives.expect(key)
    }
}

#[inline]
fn is_low(key: &FlowKey) -> bool {
    key.source.port() < MEDIA_PORT_MIN || key.destination.port() < MEDIA_PORT_MIN
}
