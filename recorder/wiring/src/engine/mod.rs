//! The engine: signalling and flows in, finished calls out.
//!
//! Sans-I/O like the stages that it joins: it is told what the capture cores see and what time it is on the
//! capture clock, and answers with [`Command`]s. A capture file, a live NIC and a crashed journal all drive
//! this one engine; only who carries out the commands differs.
//!
//! A call goes through: *up* (its endpoints are announced, its flows looked after) -> *settling* (it has
//! ended; wait until its media have too) -> *finishing* (a [`Job`] is out) -> gone.

mod calls;
mod excluded;
mod flows;
mod job;
mod live;
mod ownership;
mod refused;
#[cfg(test)]
mod tests;
mod unclaimed;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use base::{FlowKey, Timestamp};
use dialog::{Action, CallKey, Dialogs, EndReason, Handled, SipInput};
use hashbrown::HashMap;

use self::calls::CallState;
use self::excluded::{Change, Exclusions};
pub use self::flows::FlowRef;
use self::flows::Flows;
pub use self::job::{Claim, Command, Job, JobKey, Report, Ticket};
use self::live::Changes;
pub(crate) use self::live::{UpCall, Voice, identity};
use self::ownership::Ownership;
use self::refused::Refusals;
pub use self::refused::{Limit, Refused};
pub(crate) use self::unclaimed::PACKETS_MIN;
use self::unclaimed::Pair;

/// How long a call's media must be silent after its end before it is finished.
pub(crate) const SETTLE: Duration = Duration::from_secs(1);
/// How long to wait for that: 64*T1, when every SIP transaction has timed out too (RFC 3261, 17).
const SETTLE_MAX: Duration = Duration::from_secs(32);
/// How often a call's flows are asked whether they live.
const ALIVE_EVERY: Duration = Duration::from_secs(60);
/// The same for calls that have shown no sign of life since the recorder was away.
const SIGN_EVERY: Duration = Duration::from_secs(5);
/// How often the dialogs' own timers are looked at.
const ADVANCE_EVERY: Duration = Duration::from_secs(1);
/// How often flows without a call are looked through.
const UNCLAIMED_EVERY: Duration = Duration::from_secs(5);

/// What is due at some time.
#[derive(Clone, Copy, Debug)]
enum Task {
    Settle(CallKey),
    Alive(CallKey),
    Sign(CallKey),
    Unclaimed,
}

/// What became of the calls seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Totals {
    /// Calls begun.
    pub calls: u64,
    /// Calls answered.
    pub answered: u64,
    /// Calls that were not answered and brought no media: nothing to record.
    pub attempts: u64,
    /// Of the answered ones, those without any media.
    pub without_media: u64,
    /// Conversations kept that no signalling explains.
    pub without_signalling: u64,
    /// Conversations, with signalling or without, of which one direction was seen only.
    pub one_sided: u64,
    /// Packets of media that no call claimed and that were not kept as one.
    pub unclaimed_packets: u64,
    /// Calls refused because the recorder was at its limit.
    pub refused: u64,
    /// Calls to whose INVITE nobody had reacted, given up for others when the table of calls was full.
    pub evicted: u64,
}

/// The engine.
pub struct Engine {
    dialogs: Dialogs,
    ownership: Ownership,
    flows: Flows,
    calls: HashMap<CallKey, CallState>,
    pairs: HashMap<FlowRef, Pair>,
    media_jobs: HashMap<FlowRef, Vec<FlowRef>>,
    agenda: BTreeMap<(Timestamp, u64), Task>,
    tasks: u64,
    commands: VecDeque<Command>,
    now: Timestamp,
    due: Timestamp,
    ending: bool,
    keep_unclaimed: bool,
    totals: Totals,
    refusals: Refusals,
    exclusions: Exclusions,
    /// Why new calls are refused, while they are.
    limit: Option<Limit>,
    /// For who watches calls, if somebody does.
    changes: Option<Changes>,
}

impl Engine {
    /// An engine that has seen nothing. With `keep_unclaimed`, audio whose signalling was never seen is
    /// kept as a call of its own.
    #[must_use]
    pub fn new(keep_unclaimed: bool) -> Self {
        Self {
            dialogs: Dialogs::new(),
            ownership: Ownership::default(),
            flows: Flows::default(),
            calls: HashMap::new(),
            pairs: HashMap::new(),
            media_jobs: HashMap::new(),
            agenda: BTreeMap::new(),
            tasks: 0,
            commands: VecDeque::new(),
            now: Timestamp::ZERO,
            due: Timestamp::ZERO,
            ending: false,
            keep_unclaimed,
            totals: Totals::default(),
            refusals: Refusals::default(),
            exclusions: Exclusions::default(),
            limit: None,
            changes: None,
        }
    }

    /// From now on, whether audio whose signalling was never seen is kept.
    pub fn set_keep_unclaimed(&mut self, keep: bool) {
        self.keep_unclaimed = keep;
    }

    /// A SIP message was seen.
    pub fn signalling(&mut self, input: SipInput<'_>) -> Handled {
        self.advance(input.time);
        let handled = self.dialogs.message(input);
        if matches!(handled, Handled::TableFull | Handled::Refused) {
            let limit = self.limit.unwrap_or(Limit::Calls);
            let is_new = self.refusals.add(input.time, input.message, limit);
            self.totals.refused += u64::from(is_new);
            let is_owned = |endpoint| self.ownership.has(endpoint);
            let change = self.exclusions.refused(input.time, input.message, is_owned);
            self.command_exclusions(change);
        }
        if matches!(handled, Handled::NotACall) {
            let is_owned = |endpoint| self.ownership.has(endpoint);
            let change = self.exclusions.heard(input.message, is_owned);
            self.command_exclusions(change);
        }
        if let Handled::Call(call) = handled {
            self.call_heard(call);
        }
        self.take_actions();
        handled
    }

    fn command_exclusions(&mut self, change: Change) {
        let include = change.include.into_iter().map(Command::Include);
        self.commands.extend(include.chain(change.exclude.into_iter().map(Command::Exclude)));
    }

    /// New calls are refused for this reason from now on, or taken again. Calls that are there go on.
    pub fn refuse_new(&mut self, limit: Option<Limit>) {
        self.limit = limit;
        self.dialogs.refuse_new(limit.is_some());
    }

    /// The newest calls that were refused, oldest first.
    pub fn refused(&self) -> impl Iterator<Item = &Refused> {
        self.refusals.newest()
    }

    /// What earlier runs left has been told, up to `from`; what comes now begins at `until`. Calls that were up go
    /// on, if they show a sign of life.
    pub fn unseen(&mut self, from: Timestamp, until: Timestamp) {
        for call in self.mark_recovered() {
            self.ask_alive(call);
            self.schedule(until.plus(SIGN_EVERY), Task::Sign(call));
        }
        self.dialogs.unseen(from, until);
        self.advance(until);
    }

    /// Every call so far needs what earlier runs left. Gives those that are up.
    fn mark_recovered(&mut self) -> Vec<CallKey> {
        self.calls.values_mut().for_each(|call| call.recovered = true);
        let up = self.calls.iter().filter(|(_, call)| call.is_up());
        let mut up: Vec<CallKey> = up.map(|(key, _)| *key).collect();
        up.sort_unstable();
        up
    }

    /// Whether anything that earlier runs left is still needed.
    #[must_use]
    pub fn needs_recovered(&self) -> bool {
        self.flows.recovered() > 0 || self.calls.values().any(|call| call.recovered)
    }

    /// The capture clock begins anew, at an earlier time: everything so far was told by a run with another clock,
    /// and has been brought to its [end](Engine::end).
    pub fn restart_clock(&mut self, now: Timestamp) {
        self.mark_recovered();
        (self.now, self.due, self.ending) = (now, now, false);
        self.agenda.clear();
        self.dialogs.restart_clock(now);
        self.schedule(now.plus(UNCLAIMED_EVERY), Task::Unclaimed);
    }

    /// A capture core opened a media flow.
    pub fn flow_opened(&mut self, flow: FlowRef, key: FlowKey, time: Timestamp) {
        if self.flows.len() == 0 {
            self.schedule(time.plus(UNCLAIMED_EVERY), Task::Unclaimed);
        }
        self.flows.open(flow, key, time);
    }

    /// A capture core answered.
    pub fn report(&mut self, report: Report) {
        match &report.found {
            Some(summary) => self.flows.counted(report.flow, summary.packets),
            None => self.flows.remove(report.flow),
        }
        match report.ticket {
            Ticket::Alive(call) => {
                if let Some(summary) = report.found {
                    self.dialogs.media_seen(call, summary.last);
                }
            }
            Ticket::Settle(call) => self.settle_report(call, report),
            Ticket::Unclaimed(first) => self.unclaimed_report(first, report),
        }
        self.take_actions();
    }

    /// A job is done: its packets are in a recording that is safely stored, or it was given up.
    pub fn finished(&mut self, job: JobKey) {
        match job {
            JobKey::Call(call) => self.call_finished(call),
            JobKey::Media(first) => self.unclaimed_finished(first),
        }
    }

    /// The capture clock shows `now`. It never runs backwards here.
    pub fn advance(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
        while let Some(entry) = self.agenda.first_entry().filter(|e| e.key().0 <= self.now) {
            match entry.remove() {
                Task::Settle(call) => self.settle(call),
                Task::Alive(call) => {
                    if self.ask_alive(call) {
                        self.schedule(self.now.plus(ALIVE_EVERY), Task::Alive(call));
                    }
                }
                Task::Sign(call) => self.ask_for_sign(call),
                Task::Unclaimed => self.look_through_unclaimed(),
            }
        }
        self.dialogs.advance(self.now);
        self.take_actions();
        let next = self.agenda.first_key_value().map_or(Timestamp::MAX, |((due, _), _)| *due);
        self.due = next.min(self.now.plus(ADVANCE_EVERY));
    }

    /// When [`Engine::advance`] is next wanted; a packet of that time or later is taken after it.
    #[must_use]
    #[inline]
    pub fn due(&self) -> Timestamp {
        self.due
    }

    /// The capture is over. Every call ends now, for `reason` if it was still up; nothing more is waited for.
    /// When their jobs are done, [`Engine::sweep`] sees to the media that are left.
    pub fn end(&mut self, reason: EndReason) {
        self.ending = true;
        self.dialogs.end_all(self.now, reason);
        self.take_actions();
        let settling = self.calls.iter().filter(|(_, call)| call.is_settling());
        let mut settling: Vec<_> = settling.map(|(key, call)| (call.started, *key)).collect();
        settling.sort_unstable();
        for (_, call) in settling {
            self.settle(call);
        }
    }

    /// Looks through the media that no call has claimed.
    pub fn sweep(&mut self) {
        self.look_through_unclaimed();
    }

    /// What to do next.
    pub fn next_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// Whether there is a command to carry out.
    #[must_use]
    pub fn has_commands(&self) -> bool {
        !self.commands.is_empty()
    }

    /// Calls that have not become recordings yet.
    #[must_use]
    pub fn calls_open(&self) -> usize {
        self.calls.len()
    }

    /// Signalling from before this is no longer needed: it belongs to calls that are finished.
    #[must_use]
    pub fn needed_since(&self) -> Timestamp {
        self.calls.values().map(|call| call.started).min().unwrap_or(self.now)
    }

    /// What became of the calls seen.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// The first moment that a job begun now does not see: after every packet taken so far.
    fn closing_time(&self) -> Timestamp {
        if self.ending { Timestamp::MAX } else { self.now.plus(Duration::from_nanos(1)) }
    }

    fn schedule(&mut self, due: Timestamp, task: Task) {
        self.tasks += 1;
        self.agenda.insert((due, self.tasks), task);
        self.due = self.due.min(due);
    }

    fn take_actions(&mut self) {
        while let Some(action) = self.dialogs.next_action() {
            match action {
                Action::Started(call) => self.call_started(call),
                Action::Announced(call) => self.call_announced(call),
                Action::Ended { call, time, .. } => self.call_ended(call, time),
                Action::Evicted(call) => {
                    self.totals.evicted += 1;
                    self.call_finished(call);
                }
            }
        }
    }
}
