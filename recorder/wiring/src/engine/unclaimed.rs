//! Media that no signalling explains: kept as a call without signalling, or let go and counted.
//!
//! Only audio of a static payload type (RFC 3551) is kept: what a dynamic number means, nobody has said.
//! The two directions between a pair of endpoints are one call, so they are asked about and decided together; so are
//! the parts of them that several runs of the recorder saw.

use std::time::Duration;

use base::{Formats, Side, Timestamp, sound};
use journal::FlowSummary;

use super::calls::is_one_sided;
use super::job::{Claim, Command, Job, JobKey, Report, Ticket};
use super::{Engine, FlowRef, Task, UNCLAIMED_EVERY};

/// How long a flow must be silent before it is taken to have ended.
const IDLE: Duration = Duration::from_secs(30);
/// Fewer packets than this are no conversation (200 ms of the usual 20 ms packets).
pub(crate) const PACKETS_MIN: u64 = 10;
/// The highest static payload type for audio (RFC 3551, table 4).
const AUDIO_TYPE_MAX: u8 = 18;

/// A flow, perhaps with its reverse, about which the cores have been asked.
#[derive(Debug)]
pub(crate) struct Pair {
    waiting: usize,
    reports: Vec<Report>,
}

impl Engine {
    /// Asks about the flows that no call owns.
    pub(crate) fn look_through_unclaimed(&mut self) {
        for flow in self.flows.all() {
            if self.is_due(flow) {
                self.ask_unclaimed(flow);
            }
        }
        if self.flows.len() > 0 && !self.ending {
            self.schedule(self.now.plus(UNCLAIMED_EVERY), Task::Unclaimed);
        }
    }

    fn is_due(&self, flow: FlowRef) -> bool {
        let asked = self.flows.get(flow).map(|entry| entry.asked);
        let asked_lately = asked.is_some_and(|it| self.now.since(it) < IDLE) && !self.ending;
        self.is_free(flow) && !asked_lately
    }

    fn is_free(&self, flow: FlowRef) -> bool {
        self.flows.get(flow).is_some_and(|entry| {
            let free = entry.busy.is_empty() && entry.pair.is_none();
            free && !self.ownership.has_owner(&entry.key, self.now)
        })
    }

    /// Asks about a flow and all that belong with it: its reverse, and the parts that earlier runs or other cores
    /// saw of either.
    fn ask_unclaimed(&mut self, flow: FlowRef) {
        let Some(key) = self.flows.get(flow).map(|entry| entry.key) else { return };
        let both = self.flows.with_key(key).chain(self.flows.with_key(key.reversed()));
        let mut members: Vec<_> = both.filter(|member| self.is_free(*member)).collect();
        members.sort_unstable();
        members.dedup();
        for member in &members {
            if let Some(entry) = self.flows.get_mut(*member) {
                entry.asked = self.now;
                entry.pair = Some(flow);
            }
            self.commands.push_back(Command::Report(*member, Ticket::Unclaimed(flow)));
        }
        self.pairs.insert(flow, Pair { waiting: members.len(), reports: Vec::new() });
    }

    pub(crate) fn unclaimed_report(&mut self, first: FlowRef, report: Report) {
        if let Some(entry) = self.flows.get_mut(report.flow) {
            entry.pair = None;
        }
        let Some(pair) = self.pairs.get_mut(&first) else { return };
        pair.waiting -= 1;
        pair.reports.push(report);
        if pair.waiting == 0
            && let Some(pair) = self.pairs.remove(&first)
        {
            self.decide_unclaimed(&pair.reports);
        }
    }

    /// All of a pair have answered. If all are quiet, they are kept as a call or let go.
    fn decide_unclaimed(&mut self, reports: &[Report]) {
        let found = || reports.iter().filter_map(|r| Some((r.flow, r.found.as_ref()?)));
        let quiet = |last| self.now.since(last) >= IDLE || self.ending;
        let owned =
            |flow| self.flows.get(flow).is_none_or(|f| self.ownership.has_owner(&f.key, self.now));
        if found().any(|(flow, summary)| !quiet(summary.last) || owned(flow)) {
            return;
        }
        let mut claims: Vec<(Timestamp, Claim)> = Vec::new();
        for (flow, summary) in found() {
            let Some(entry) = self.flows.get(flow) else { continue };
            let fresh = summary.last >= entry.free_from;
            let parts = || found().map(|(_, part)| part).filter(|part| part.key == summary.key);
            match summary.end {
                Some(chain) if fresh && self.keep_unclaimed && is_conversation(parts) => {
                    let key = entry.key;
                    let from = entry.free_from;
                    claims.push((summary.opened.max(from), claim(flow, key, chain, from)));
                }
                _ => self.let_go(flow, if fresh { summary.packets } else { 0 }),
            }
        }
        claims.sort_by_key(|(opened, claim)| (*opened, claim.key));
        self.keep(claims.into_iter().map(|(_, claim)| claim).collect());
    }

    fn keep(&mut self, mut claims: Vec<Claim>) {
        let Some(first) = claims.first().map(|claim| claim.flow) else { return };
        let until = self.closing_time();
        let caller = claims.first().map(|claim| claim.key).unwrap_or_default();
        for claim in &mut claims {
            claim.side = if claim.key == caller { Side::Caller } else { Side::Callee };
            claim.until = until;
            if let Some(entry) = self.flows.get_mut(claim.flow) {
                entry.pair = Some(first);
                entry.free_from = until;
            }
        }
        self.totals.without_signalling += 1;
        self.totals.one_sided += u64::from(is_one_sided(&claims));
        let flows = claims.iter().map(|claim| claim.flow).collect();
        self.media_jobs.insert(first, flows);
        let job = Job { key: JobKey::Media(first), call: None, claims };
        self.commands.push_back(Command::Finish(Box::new(job)));
    }

    /// The recording of a call without signalling is stored. Should its flows go on, they are looked at again.
    pub(crate) fn unclaimed_finished(&mut self, first: FlowRef) {
        for flow in self.media_jobs.remove(&first).unwrap_or_default() {
            let Some(entry) = self.flows.get_mut(flow) else { continue };
            entry.pair = None;
            self.commands.push_back(Command::Release(flow, entry.free_from));
        }
    }

    fn let_go(&mut self, flow: FlowRef, packets: u64) {
        self.totals.unclaimed_packets += packets;
        self.flows.remove(flow);
        self.commands.push_back(Command::Drop(flow));
    }
}

/// Whether the parts of a flow together are audio of some length.
fn is_conversation<'a, I: Iterator<Item = &'a FlowSummary>>(parts: impl Fn() -> I) -> bool {
    let is_audio = |summary: &FlowSummary| {
        let audio = summary.rtp.and_then(|rtp| sound::static_format(rtp.payload_type));
        audio.is_some_and(|format| format.payload_type <= AUDIO_TYPE_MAX)
    };
    parts().any(is_audio) && parts().map(|summary| summary.packets).sum::<u64>() >= PACKETS_MIN
}

fn claim(flow: FlowRef, key: base::FlowKey, chain: journal::Locator, from: Timestamp) -> Claim {
    Claim {
        flow,
        key,
        chain,
        from,
        until: Timestamp::MAX,
        side: Side::Caller,
        media: "audio".into(),
        formats: Formats::default(),
        secure: false,
        rtcp: false,
    }
}
