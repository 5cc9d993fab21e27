//! The messages of one call, kept small: fixed-size rungs, one text buffer, each flow once.

use base::{Endpoint, FlowKey, Timestamp, Transport, limits};

use crate::sip::{Message, StartLine};
use crate::text;

/// A method as kept; known ones have at most nine letters.
const METHOD_BYTES_MAX: usize = 64;

/// One message of the ladder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LadderMessage<'a> {
    /// Arrival.
    pub time: Timestamp,
    /// Sender.
    pub source: Endpoint,
    /// Receiver.
    pub destination: Endpoint,
    /// What carried it.
    pub transport: Transport,
    /// Start line without the version: `INVITE sip:bob@example.com`, `180 Ringing`.
    pub start_line: &'a str,
    /// The CSeq value: `1 INVITE`; empty if it was missing.
    pub cseq: &'a str,
    /// Whether it carried a session description.
    pub sdp: bool,
    /// Whether the same message had been seen on this hop.
    pub retransmission: bool,
}

/// One message. The text buffer holds its start line and, behind that, its CSeq.
#[derive(Clone, Debug)]
struct Rung {
    time: Timestamp,
    /// Hash of what makes it the same message when it comes again.
    fingerprint: u64,
    text_at: u32,
    start_line_bytes: u16,
    cseq_bytes: u16,
    flow: u16,
    sdp: bool,
    retransmission: bool,
}

/// The messages of a call in the order of arrival, up to the limits.
#[derive(Clone, Debug, Default)]
pub struct Ladder {
    rungs: Vec<Rung>,
    text: String,
    flows: Vec<(FlowKey, Transport)>,
    not_kept: u64,
}

impl Ladder {
    /// The kept messages.
    pub fn iter(&self) -> impl Iterator<Item = LadderMessage<'_>> + '_ {
        self.rungs.iter().filter_map(|rung| {
            let (flow, transport) = self.flows.get(usize::from(rung.flow))?;
            let text = self.text.get(rung.text_at as usize..)?;
            let (start_line, rest) = text.split_at_checked(rung.start_line_bytes.into())?;
            Some(LadderMessage {
                time: rung.time,
                source: flow.source,
                destination: flow.destination,
                transport: *transport,
                start_line,
                cseq: rest.get(..rung.cseq_bytes.into())?,
                sdp: rung.sdp,
                retransmission: rung.retransmission,
            })
        })
    }

    /// How many messages are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rungs.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rungs.is_empty()
    }

    /// How many messages came when the limits were reached.
    #[must_use]
    pub const fn not_kept(&self) -> u64 {
        self.not_kept
    }

    /// Adds a message; returns whether the same had been here before.
    pub(crate) fn push(
        &mut self,
        time: Timestamp,
        carried: (FlowKey, Transport),
        message: &Message<'_>,
        fingerprint: u64,
        budget_bytes: usize,
    ) -> bool {
        let seen = self.rungs.iter().rev().any(|rung| rung.fingerprint == fingerprint);
        let room = self.rungs.len() < limits::LADDER_MESSAGES_MAX && self.bytes() < budget_bytes;
        let flow = if room { self.flow(carried) } else { None };
        let Some(flow) = flow else {
            self.not_kept = self.not_kept.saturating_add(1);
            return seen;
        };
        let text_at = self.text.len();
        self.push_start_line(message);
        let cseq_at = self.text.len();
        self.push_cseq(message);
        self.rungs.push(Rung {
            time,
            fingerprint,
            text_at: u32::try_from(text_at).unwrap_or(u32::MAX),
            start_line_bytes: u16::try_from(cseq_at - text_at).unwrap_or(0),
            cseq_bytes: u16::try_from(self.text.len() - cseq_at).unwrap_or(0),
            flow,
            sdp: message.sdp().is_some(),
            retransmission: seen,
        });
        seen
    }

    fn push_start_line(&mut self, message: &Message<'_>) {
        let (first, rest) = match message.start {
            StartLine::Request { method, uri } => (text::clipped(method, METHOD_BYTES_MAX), uri),
            StartLine::Response { status, reason } => (status.to_string(), reason),
        };
        self.text.push_str(&first);
        if !rest.is_empty() {
            self.text.push(' ');
            self.text.push_str(&text::clipped(rest, limits::LADDER_START_LINE_BYTES_MAX));
        }
    }

    fn push_cseq(&mut self, message: &Message<'_>) {
        if !message.cseq.method.is_empty() {
            self.text.push_str(&message.cseq.number.to_string());
            self.text.push(' ');
            self.text.push_str(&text::clipped(message.cseq.method, METHOD_BYTES_MAX));
        }
    }

    /// The number of a flow; `None` if there are too many.
    fn flow(&mut self, carried: (FlowKey, Transport)) -> Option<u16> {
        let known = self.flows.iter().position(|it| *it == carried);
        let index = known.unwrap_or(self.flows.len());
        if known.is_none() {
            self.flows.push(carried);
        }
        u16::try_from(index).ok()
    }

    /// Bytes kept.
    pub(crate) fn bytes(&self) -> usize {
        self.rungs.len() * size_of::<Rung>()
            + self.flows.len() * size_of::<(FlowKey, Transport)>()
            + self.text.len()
    }
}
