//! What the engine asks of the capture cores, what they answer, and what it hands to the finishers.

use base::{Endpoint, FlowKey, Formats, Side, Timestamp};
use dialog::{Call, CallKey};
use journal::{FlowSummary, Locator};

use super::FlowRef;

/// Why a core was asked about a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ticket {
    /// To see whether the call is still alive.
    Alive(CallKey),
    /// The call has ended: to see whether its media have too.
    Settle(CallKey),
    /// No call has claimed the flow; its pair's first flow.
    Unclaimed(FlowRef),
}

/// What the engine wants done.
#[derive(Debug)]
pub enum Command {
    /// Journal everything sent to or from this endpoint, whatever it looks like.
    Expect(Endpoint),
    /// No call announces it any more.
    Unexpect(Endpoint),
    /// Take nothing that is sent to this endpoint: a call that was refused announces it.
    Exclude(Endpoint),
    /// It is over.
    Include(Endpoint),
    /// Seal the flow's open chunk and report it.
    Report(FlowRef, Ticket),
    /// Packets of the flow before this time are no longer needed.
    Release(FlowRef, Timestamp),
    /// Nothing of the flow is needed.
    Drop(FlowRef),
    /// Make a recording.
    Finish(Box<Job>),
}

/// A core's answer to [`Command::Report`].
#[derive(Clone, Debug)]
pub struct Report {
    /// Which flow.
    pub flow: FlowRef,
    /// As asked.
    pub ticket: Ticket,
    /// What the core knows, with everything sealed; nothing if it no longer has the flow.
    pub found: Option<FlowSummary>,
}

/// What a recording is made of.
#[derive(Debug)]
pub struct Job {
    /// To report back with.
    pub key: JobKey,
    /// The call, if signalling was seen.
    pub call: Option<Call>,
    /// Its media flows.
    pub claims: Vec<Claim>,
}

/// Which job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JobKey {
    /// Of a call.
    Call(CallKey),
    /// Of flows without signalling, by the first of them.
    Media(FlowRef),
}

/// A stretch of a flow that belongs to a job.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Which flow.
    pub flow: FlowRef,
    /// Who sends to whom.
    pub key: FlowKey,
    /// Where its chunks end.
    pub chain: Locator,
    /// First packet time that counts.
    pub from: Timestamp,
    /// First packet time that no longer counts.
    pub until: Timestamp,
    /// Whose voice it carries.
    pub side: Side,
    /// `audio`, `video`, ... as announced.
    pub media: String,
    /// What its payload types mean.
    pub formats: Formats,
    /// Whether SRTP was announced.
    pub secure: bool,
    /// Whether it is the RTCP companion of another flow.
    pub rtcp: bool,
}
