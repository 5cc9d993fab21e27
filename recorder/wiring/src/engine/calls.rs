//! A call from its announcement to the job that makes its recording.

use base::{Endpoint, Formats, Side, Timestamp};
use dialog::{Announced, Call, CallKey};

use super::job::{Claim, Command, Job, JobKey, Report, Ticket};
use super::ownership::Owner;
use super::{ALIVE_EVERY, Engine, FlowRef, SETTLE, SETTLE_MAX, SIGN_EVERY, Task};

/// Where a call is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Up,
    Settling,
    Finishing,
}

/// What the engine keeps beside the dialog's own record.
#[derive(Debug)]
pub(crate) struct CallState {
    phase: Phase,
    /// How many of the call's announcements have been entered.
    entered: usize,
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) started: Timestamp,
    ended: Timestamp,
    /// Who watches calls knows that it was answered.
    answer_told: bool,
    waiting: usize,
    reports: Vec<Report>,
    /// The flows of the job that is out.
    flows: Vec<FlowRef>,
    /// Something of it was seen by an earlier run.
    pub(crate) recovered: bool,
}

impl CallState {
    pub(crate) fn is_up(&self) -> bool {
        self.phase == Phase::Up
    }

    pub(crate) fn is_settling(&self) -> bool {
        self.phase == Phase::Settling
    }
}

impl Engine {
    pub(crate) fn call_started(&mut self, call: CallKey) {
        self.totals.calls += 1;
        let state = CallState {
            phase: Phase::Up,
            entered: 0,
            endpoints: Vec::new(),
            started: self.dialogs.call(call).map_or(self.now, |record| record.started),
            ended: Timestamp::MAX,
            answer_told: false,
            waiting: 0,
            reports: Vec::new(),
            flows: Vec::new(),
            recovered: false,
        };
        self.calls.insert(call, state);
        self.changed(call);
        self.schedule(self.now.plus(ALIVE_EVERY), Task::Alive(call));
    }

    /// Enters what the call has announced since the last time.
    pub(crate) fn call_announced(&mut self, call: CallKey) {
        let (Some(state), Some(record)) = (self.calls.get_mut(&call), self.dialogs.call(call))
        else {
            return;
        };
        for (index, announced) in record.announced.iter().enumerate().skip(state.entered) {
            for endpoint in announced.endpoints().filter(|endpoint| usable(*endpoint)) {
                let rtcp = endpoint == announced.rtcp && endpoint != announced.endpoint;
                if self.ownership.announce(
                    endpoint,
                    announced.time,
                    Owner {
                        since: self.now.max(announced.time),
                        ..owner(call, index, announced, rtcp)
                    },
                ) {
                    self.exclusions.take_back(endpoint);
                    self.commands.push_back(Command::Expect(endpoint));
                }
                if !state.endpoints.contains(&endpoint) {
                    state.endpoints.push(endpoint);
                }
            }
        }
        state.entered = record.announced.len();
        self.changed(call);
    }

    /// A message of the call came. That it was answered is worth telling even if nothing is announced with it.
    pub(crate) fn call_heard(&mut self, call: CallKey) {
        let answered = self.dialogs.call(call).is_some_and(|record| record.answered.is_some());
        let Some(state) = self.calls.get_mut(&call).filter(|_| answered) else { return };
        if !std::mem::replace(&mut state.answer_told, true) {
            self.changed(call);
        }
    }

    pub(crate) fn call_ended(&mut self, call: CallKey, time: Timestamp) {
        let Some(state) = self.calls.get_mut(&call) else { return };
        state.phase = Phase::Settling;
        state.ended = time;
        self.changed(call);
        let due = if self.ending { self.now } else { time.plus(SETTLE) };
        self.schedule(due, Task::Settle(call));
        if self.ending {
            self.settle(call);
        }
    }

    /// Asks the cores about the media of a call. False if it is not up any more.
    pub(crate) fn ask_alive(&mut self, call: CallKey) -> bool {
        let Some(state) = self.calls.get(&call).filter(|state| state.is_up()) else { return false };
        for (flow, _) in self.flows_of(call, &state.endpoints) {
            self.commands.push_back(Command::Report(flow, Ticket::Alive(call)));
        }
        true
    }

    /// Looks for media of a call that may have ended while the recorder was away.
    pub(crate) fn ask_for_sign(&mut self, call: CallKey) {
        if self.dialogs.is_unsure(call) {
            self.ask_alive(call);
            self.schedule(self.now.plus(SIGN_EVERY), Task::Sign(call));
        }
    }

    /// Asks the cores whether the ended call's media have stopped.
    pub(crate) fn settle(&mut self, call: CallKey) {
        let Some(state) = self.calls.get(&call).filter(|s| s.is_settling() && s.waiting == 0)
        else {
            return;
        };
        let flows = self.flows_of(call, &state.endpoints);
        if let Some(state) = self.calls.get_mut(&call) {
            state.waiting = flows.len();
            state.reports.clear();
        }
        for (flow, _) in &flows {
            self.commands.push_back(Command::Report(*flow, Ticket::Settle(call)));
        }
        if flows.is_empty() {
            self.decide(call);
        }
    }

    pub(crate) fn settle_report(&mut self, call: CallKey, report: Report) {
        let Some(state) = self.calls.get_mut(&call) else { return };
        state.waiting = state.waiting.saturating_sub(1);
        state.reports.push(report);
        if state.waiting == 0 {
            self.decide(call);
        }
    }

    /// All cores have answered: finish the call, or wait for its media a little longer.
    fn decide(&mut self, call: CallKey) {
        let Some(state) = self.calls.get(&call).filter(|s| s.is_settling()) else { return };
        let last = state.reports.iter().filter_map(|r| Some(r.found.as_ref()?.last)).max();
        let quiet_from = last.unwrap_or(state.ended).max(state.ended).plus(SETTLE);
        let latest = state.ended.plus(SETTLE_MAX);
        if self.now < quiet_from && self.now < latest && !self.ending {
            self.schedule(quiet_from.min(latest), Task::Settle(call));
        } else {
            self.finish(call);
        }
    }

    fn finish(&mut self, key: CallKey) {
        let Some(state) = self.calls.get_mut(&key) else { return };
        state.phase = Phase::Finishing;
        let endpoints = state.endpoints.clone();
        let reports = std::mem::take(&mut state.reports);
        let closed = self.closing_time();
        for endpoint in &endpoints {
            self.ownership.close(*endpoint, key, closed);
        }
        let claims = self.claims(key, &endpoints, &reports);
        let Some(call) = self.dialogs.forget(key) else { return };
        self.totals.answered += u64::from(call.answered.is_some());
        if call.answered.is_some() {
            self.totals.without_media += u64::from(claims.is_empty());
            self.totals.one_sided += u64::from(is_one_sided(&claims));
        }
        if claims.is_empty() && call.answered.is_none() {
            self.totals.attempts += 1;
            self.call_finished(key);
            return;
        }
        let flows: Vec<_> = claims.iter().map(|claim| claim.flow).collect();
        for flow in &flows {
            if let Some(entry) = self.flows.get_mut(*flow) {
                entry.busy.push(key);
            }
        }
        if let Some(state) = self.calls.get_mut(&key) {
            state.flows = flows;
        }
        let job = Job { key: JobKey::Call(key), call: Some(call), claims };
        self.commands.push_back(Command::Finish(Box::new(job)));
    }

    /// The recording is stored: what it was made of may go.
    pub(crate) fn call_finished(&mut self, key: CallKey) {
        let Some(state) = self.calls.remove(&key) else { return };
        if state.is_up() {
            self.changed(key);
        }
        for endpoint in state.endpoints {
            if self.ownership.forget(endpoint, key) {
                self.commands.push_back(Command::Unexpect(endpoint));
            }
        }
        for flow in state.flows {
            let Some(entry) = self.flows.get_mut(flow) else { continue };
            entry.busy.retain(|call| *call != key);
            if entry.busy.is_empty() {
                let needed = self.ownership.needed_from(&entry.key, entry.free_from);
                self.commands.push_back(Command::Release(flow, needed));
            }
        }
    }

    /// The flows that touch the call's endpoints and are its own, with the announcement that says so.
    pub(crate) fn flows_of(&self, call: CallKey, endpoints: &[Endpoint]) -> Vec<(FlowRef, Owner)> {
        let mut found: Vec<(FlowRef, Owner)> = Vec::new();
        for flow in endpoints.iter().flat_map(|endpoint| self.flows.at(*endpoint)) {
            if found.iter().any(|(known, _)| known == flow) {
                continue;
            }
            found.extend(self.owned(call, *flow).map(|owner| (*flow, owner)));
        }
        found.sort_unstable_by_key(|(flow, _)| *flow);
        found
    }

    /// The call's hold on a flow: by who receives it, else by who sends it. A flow is the call's from when the
    /// first of its ends is, until the first of its ends is another's.
    fn owned(&self, call: CallKey, flow: FlowRef) -> Option<Owner> {
        let key = self.flows.get(flow)?.key;
        let hold = |endpoint| {
            let owner = self.ownership.of_call(endpoint, key.domain, call)?;
            let foreign = owner.domain != key.domain;
            (!(foreign && self.ownership.of_another(endpoint, key.domain, call))).then_some(*owner)
        };
        match (hold(key.destination), hold(key.source)) {
            (Some(to), Some(from)) => Some(Owner {
                since: to.since.min(from.since),
                from: to.from.min(from.from),
                until: to.until.min(from.until),
                rtcp: to.rtcp || from.rtcp,
                side: to.side.other(),
                ..to
            }),
            (Some(to), None) => Some(Owner { side: to.side.other(), ..to }),
            (None, from) => from,
        }
    }

    fn claims(&mut self, key: CallKey, endpoints: &[Endpoint], reports: &[Report]) -> Vec<Claim> {
        let mut claims = Vec::new();
        for (flow, owner) in self.flows_of(key, endpoints) {
            let found = reports.iter().find(|r| r.flow == flow).and_then(|r| r.found.as_ref());
            let (Some(summary), Some(call)) = (found, self.dialogs.call(key)) else { continue };
            let Some(chain) = summary.end else { continue };
            let Some(entry) = self.flows.get_mut(flow) else { continue };
            // What was finished before is not taken again; but a call that ran beside this one shares it.
            let from = owner.takes_from(entry.free_from);
            if summary.last < from || summary.opened >= owner.until {
                continue;
            }
            let announced = call.announced.get(owner.announced);
            claims.push(Claim {
                flow,
                key: entry.key,
                chain,
                from,
                until: owner.until,
                side: owner.side,
                media: announced.map_or_else(|| "audio".into(), |a| a.media.name().into()),
                formats: formats(call, entry.key.destination, entry.key.source),
                secure: announced.is_some_and(|a| a.secure),
                rtcp: owner.rtcp,
            });
            entry.free_from = entry.free_from.max(owner.until);
        }
        claims
    }
}

/// Whether the audio is of one of the two sides only.
pub(super) fn is_one_sided(claims: &[Claim]) -> bool {
    let of = |side| claims.iter().any(|it| it.side == side && it.media == "audio" && !it.rtcp);
    of(Side::Caller) != of(Side::Callee)
}

fn owner(call: CallKey, index: usize, announced: &Announced, rtcp: bool) -> Owner {
    Owner {
        call,
        domain: announced.domain,
        side: announced.side,
        rtcp,
        announced: index,
        asker: announced.hop.0.ip(),
        since: announced.time,
        from: Timestamp::ZERO,
        until: Timestamp::MAX,
    }
}

/// RFC 3264, 5.1 and 6.1: the numbers in a description are what its sender wants to receive. The latest
/// description of the receiver comes first, then those of the sender.
pub(super) fn formats(call: &Call, destination: Endpoint, source: Endpoint) -> Formats {
    let mut formats = Formats::default();
    for endpoint in [destination, source] {
        for announced in
            call.announced.iter().rev().filter(|a| a.endpoints().any(|e| e == endpoint))
        {
            for format in &announced.formats.0 {
                if !formats.0.iter().any(|known| known.payload_type == format.payload_type) {
                    formats.0.push(format.clone());
                }
            }
        }
    }
    formats
}

pub(super) fn usable(endpoint: Endpoint) -> bool {
    endpoint.port() != 0 && !endpoint.ip().is_unspecified()
}
