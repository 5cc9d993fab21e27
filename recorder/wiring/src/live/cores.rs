//! The capture cores as the dialog thread sees them: orders go out by rings, answers come back later. When the
//! cores have ended, it carries the orders out itself.

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::{Result, anyhow};
use base::{Endpoint, Timestamp, Transport};
use capture::xdp::{self, Directive, Endpoints, Place, Verdict};
use journal::FlowId;
use rtrb::PushError;

use super::core::{Ended, carry_out};
use super::lines::{Answer, Counted, DialogEnd, Lines, Order};
use crate::conductor::Cores;
use crate::engine::{FlowRef, Report, Ticket};

/// Orders kept for a core whose ring is full. Beyond that they are refused and counted.
const BACKLOG_MAX: usize = 1 << 20;

/// One core.
pub(super) struct Handle {
    number: u8,
    pub(super) lines: Arc<Lines>,
    pub(super) end: DialogEnd,
    backlog: VecDeque<Order>,
    running: Option<JoinHandle<Ended>>,
    ended: Option<Ended>,
}

impl Handle {
    pub(super) fn new(
        number: u8,
        lines: Arc<Lines>,
        end: DialogEnd,
        running: JoinHandle<Ended>,
    ) -> Self {
        let (backlog, running) = (VecDeque::new(), Some(running));
        Self { number, lines, end, backlog, running, ended: None }
    }

    /// Of a core that is stepped.
    pub(super) fn stepped(number: u8, lines: Arc<Lines>, end: DialogEnd) -> Self {
        Self { number, lines, end, backlog: VecDeque::new(), running: None, ended: None }
    }

    /// A core that was stepped has ended.
    pub(super) fn has_ended(&mut self, ended: Ended) {
        self.ended = Some(ended);
    }

    pub(super) fn is_running(&self) -> bool {
        self.running.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// What it has counted.
    pub(super) fn counted(&self) -> Counted {
        self.ended.as_ref().map_or_else(|| self.lines.counted(), |ended| ended.counted.clone())
    }

    /// Sends an order. False if there is no room for it anywhere.
    fn send(&mut self, order: Order) -> bool {
        if self.backlog.is_empty() {
            return self.end.orders.push(order).is_ok() || self.keep(order);
        }
        self.keep(order)
    }

    fn keep(&mut self, order: Order) -> bool {
        let room = self.backlog.len() < BACKLOG_MAX;
        if room {
            self.backlog.push_back(order);
        }
        room
    }

    fn send_backlog(&mut self) {
        while let Some(order) = self.backlog.pop_front() {
            if let Err(PushError::Full(order)) = self.end.orders.push(order) {
                self.backlog.push_front(order);
                return;
            }
        }
    }
}

/// All of them.
pub(super) struct LiveCores {
    pub(super) handles: Vec<Handle>,
    /// The kernel program's table of endpoints, if there is one.
    endpoints: Option<Endpoints>,
    endpoints_refused: u64,
    refused: u64,
}

impl LiveCores {
    pub(super) fn new(handles: Vec<Handle>, endpoints: Option<Endpoints>) -> Self {
        Self { handles, endpoints, endpoints_refused: 0, refused: 0 }
    }

    /// Orders that found no room. More than zero is an alarm: a core hangs.
    pub(super) fn refused(&self) -> u64 {
        self.refused
    }

    /// Endpoints that the kernel had no room for; their packets are judged by their looks.
    pub(super) fn endpoints_refused(&self) -> u64 {
        self.endpoints_refused
    }

    /// The next answer of a core.
    pub(super) fn next_answer(&mut self) -> Option<Report> {
        self.handles.iter_mut().find_map(|handle| {
            let answer = handle.end.answers.pop().ok()?;
            Some(report(handle.number, answer))
        })
    }

    /// Up to when every core has told everything, but not before `patience` ends.
    pub(super) fn told_until(&self, patience: Timestamp) -> Timestamp {
        let progress = self.handles.iter().map(|handle| handle.lines.progress()).min();
        progress.unwrap_or_default().max(patience)
    }

    /// Orders that did not fit go out as soon as they do.
    pub(super) fn send_backlogs(&mut self) {
        self.handles.iter_mut().for_each(Handle::send_backlog);
    }

    /// Every core may let go of signalling from before this.
    pub(super) fn release_signalling(&mut self, before: Timestamp) {
        for handle in &mut self.handles {
            self.refused += u64::from(!handle.send(Order::ReleaseSignalling(before)));
        }
    }

    pub(super) fn is_running(&self) -> bool {
        self.handles.iter().any(Handle::is_running)
    }

    /// Takes the workers of the ended cores, and does what they were still asked. Gives what they answer.
    ///
    /// # Errors
    /// A core's thread failed.
    pub(super) fn take_over(&mut self) -> Result<Vec<Report>> {
        let mut reports = Vec::new();
        for handle in &mut self.handles {
            let joined = handle.running.take().map(JoinHandle::join).transpose();
            let joined = joined.map_err(|_| anyhow!("capture thread {} failed", handle.number))?;
            let Some(mut ended) = joined.or_else(|| handle.ended.take()) else { continue };
            let sent = std::iter::from_fn(|| ended.orders.pop().ok());
            for order in sent.chain(handle.backlog.drain(..)) {
                let answer = carry_out(&mut ended.worker, &handle.lines, order);
                reports.extend(answer.map(|answer| report(handle.number, answer)));
            }
            handle.ended = Some(ended);
        }
        Ok(reports)
    }

    /// From now on, whether somebody listens to a flow.
    pub(super) fn overhear(&mut self, flow: FlowRef, on: bool) {
        if let Some((core, id)) = of_core(flow) {
            self.give(Order::Overhear(id, on), core);
        }
    }

    fn give(&mut self, order: Order, core: u8) -> Option<Answer> {
        let handle = self.handles.get_mut(usize::from(core))?;
        if let Some(ended) = &mut handle.ended {
            return carry_out(&mut ended.worker, &handle.lines, order);
        }
        if !handle.send(order) {
            self.refused += 1;
            if let Order::Report(flow, ticket) = order {
                return Some(Answer { flow, ticket, found: None });
            }
        }
        None
    }

    /// Tells the kernel program what becomes of packets for an endpoint, where there is one.
    fn direct(&mut self, endpoint: Endpoint, directive: Directive) {
        if let Some(table) = &mut self.endpoints {
            let key = xdp::key(endpoint, Transport::Udp, Place::default());
            self.endpoints_refused += u64::from(table.set([(key, directive)]).is_err());
        }
    }

    fn undirect(&mut self, endpoint: Endpoint) {
        if let Some(table) = &mut self.endpoints {
            let key = xdp::key(endpoint, Transport::Udp, Place::default());
            self.endpoints_refused += u64::from(table.remove([key]).is_err());
        }
    }

    fn give_all(&mut self, order: Order) {
        for core in 0..=u8::MAX {
            if usize::from(core) >= self.handles.len() {
                return;
            }
            self.give(order, core);
        }
    }
}

fn report(core: u8, answer: Answer) -> Report {
    let Answer { flow, ticket, found } = answer;
    Report { flow: FlowRef::Core(core, flow), ticket, found }
}

fn of_core(flow: FlowRef) -> Option<(u8, FlowId)> {
    match flow {
        FlowRef::Core(core, id) => Some((core, id)),
        FlowRef::Recovered(_) => None,
    }
}

impl Cores for LiveCores {
    fn expect(&mut self, endpoint: Endpoint) {
        self.direct(endpoint, Directive::record(1));
        self.give_all(Order::Expect(endpoint));
    }

    fn unexpect(&mut self, endpoint: Endpoint) {
        self.undirect(endpoint);
        self.give_all(Order::Unexpect(endpoint));
    }

    fn exclude(&mut self, endpoint: Endpoint) {
        self.direct(endpoint, Directive::of(Verdict::Exclude));
        self.give_all(Order::Exclude(endpoint));
    }

    fn include(&mut self, endpoint: Endpoint) {
        self.undirect(endpoint);
        self.give_all(Order::Include(endpoint));
    }

    fn report(&mut self, flow: FlowRef, ticket: Ticket) -> Option<Report> {
        let (core, id) = of_core(flow)?;
        self.give(Order::Report(id, ticket), core).map(|answer| report(core, answer))
    }

    fn release(&mut self, flow: FlowRef, before: Timestamp) {
        if let Some((core, id)) = of_core(flow) {
            self.give(Order::Release(id, before), core);
        }
    }

    fn forget(&mut self, flow: FlowRef) {
        if let Some((core, id)) = of_core(flow) {
            self.give(Order::Forget(id), core);
        }
    }
}
