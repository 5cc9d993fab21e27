//! One capture core: a pinned thread that takes frames from its source to the journal, and answers.
//!
//! It runs each batch to completion: no allocation, lock, log or wait in it. When nothing comes it sleeps, the
//! longer the longer nothing came.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result};
use base::{Ledger, MediaPacket, Timestamp};
use capture::{CaptureError, Frame, Poll, Precedence, Taker};
use journal::FlowId;
use rtrb::Consumer;

use super::lines::{Answer, CoreEnd, Counted, Lines, Order};
use super::tap::{Tap, TapCounts};
use crate::clock;
use crate::worker::{Seen, Surroundings, Worker};

/// Orders carried out between two batches.
const ORDERS_PER_TURN: usize = 64;
/// How often old chunks are sealed and counts shown.
const TICK: Duration = Duration::from_millis(100);
/// How long it sleeps when nothing came, at first and at most. A ring of 32,768 places fills in 10 ms at 3 million a second.
const NAP_MIN: Duration = Duration::from_micros(100);
const NAP_MAX: Duration = Duration::from_micros(500);
/// Frames that do not come out of a stopped source within this are not waited for.
const END_WITHIN: Duration = Duration::from_secs(5);

/// What is left of a core that has ended.
pub(super) struct Ended {
    pub(super) worker: Worker,
    pub(super) counted: Counted,
    /// What it was asked and did not get to.
    pub(super) orders: Consumer<Order>,
}

/// Starts a core.
pub(super) fn start<T: Tap>(
    number: u8,
    (cpu, precedes): (Option<usize>, bool),
    core: Core<T>,
) -> Result<JoinHandle<Ended>> {
    std::thread::Builder::new()
        .name(format!("capture-{number}"))
        .spawn(move || {
            pin(cpu);
            let _precedence = precedes.then(precede).flatten();
            core.run()
        })
        .context("cannot start a capture thread")
}

/// Keeps the thread on one CPU. Where that is not allowed, it runs wherever it is put.
fn pin(cpu: Option<usize>) {
    let Some(cpu) = cpu else { return };
    let mut set = rustix::thread::CpuSet::new();
    set.set(cpu);
    if let Err(error) = rustix::thread::sched_setaffinity(None, &set) {
        tracing::warn!("a capture thread cannot be kept on CPU {cpu}: {error}");
    }
}

/// Goes before all that share its CPU: a ring of 32,768 places fills in 33 ms at a million a second, and even a thread with
/// the best nice value waits longer than that now and then.
fn precede() -> Option<Precedence> {
    Precedence::take()
        .inspect_err(|error| {
            tracing::warn!(
                "packets may be lost when others want the CPUs: a capture thread cannot be scheduled in real time \
                 (CAP_SYS_NICE): {error}"
            );
        })
        .ok()
}

/// A core, to be run or stepped.
pub(super) struct Core<T> {
    tap: T,
    worker: Worker,
    lines: Arc<Lines>,
    end: CoreEnd,
    tick_due: Timestamp,
    /// Time spent on frames since the last tick.
    busy: Duration,
    /// CPU time of its thread at the last tick, and what it was since the one before; of who steps it, nothing is known.
    cpu: (Duration, Duration),
    /// When it has to have ended.
    stopping: Option<Timestamp>,
}

impl<T: Tap> Core<T> {
    pub(super) fn new(tap: T, worker: Worker, (lines, end): (Arc<Lines>, CoreEnd)) -> Self {
        let (busy, cpu) = (Duration::ZERO, Default::default());
        Self { tap, worker, lines, end, tick_due: Timestamp::ZERO, busy, cpu, stopping: None }
    }

    fn run(mut self) -> Ended {
        let mut nap = NAP_MIN;
        loop {
            let asked = clock::capture_time();
            let polled = self.poll();
            let obeyed = self.obey();
            let now = clock::capture_time();
            match polled {
                Poll::Frames(_) => {
                    nap = NAP_MIN;
                    self.busy += now.since(asked);
                }
                // Not from now on: this thread may have been kept from running since it asked.
                Poll::Idle => self.lines.set_progress(asked.minus(self.tap.delay())),
                Poll::End => break,
            }
            if now >= self.tick_due {
                let cpu = clock::thread_cpu();
                self.cpu = (cpu, cpu.saturating_sub(self.cpu.0));
                self.tick(now);
            }
            if polled == Poll::Idle && !obeyed && !self.tap.is_busy() {
                std::thread::sleep(nap);
                nap = NAP_MAX.min(nap * 2);
            }
            if self.lines.is_to_stop() && self.is_over(now) {
                break;
            }
        }
        self.end()
    }

    /// One round of [`Core::run`], for who has no thread for it.
    pub(super) fn turn(&mut self) {
        let polled = self.poll();
        self.obey();
        let now = clock::capture_time();
        if polled == Poll::Idle {
            self.lines.set_progress(now.minus(self.tap.delay()));
        }
        if now >= self.tick_due {
            self.tick(now);
        }
    }

    pub(super) fn tap(&mut self) -> &mut T {
        &mut self.tap
    }

    pub(super) fn ledger(&self) -> &Ledger {
        self.worker.ledger()
    }

    #[inline]
    fn poll(&mut self) -> Poll {
        let surroundings = Live { end: &mut self.end };
        let mut taking = Taking { worker: &mut self.worker, surroundings, last: None };
        let polled = self.tap.poll_ahead(&mut taking);
        if let Some(last) = taking.last {
            self.lines.set_progress(last);
        }
        match polled {
            Ok(polled) => polled,
            Err(trouble) => self.complain(trouble),
        }
    }

    #[cold]
    fn complain(&mut self, trouble: CaptureError) -> Poll {
        self.end.complain(trouble);
        Poll::Idle
    }

    /// Carries out some orders. An order that has an answer waits until there is room for it.
    fn obey(&mut self) -> bool {
        for turn in 0..ORDERS_PER_TURN {
            if self.end.answers.is_full() {
                return true;
            }
            let Ok(order) = self.end.orders.pop() else { return turn > 0 };
            if let Some(answer) = carry_out(&mut self.worker, &self.lines, order) {
                // There is room: nobody else puts any in.
                let _ = self.end.answers.push(answer);
            }
        }
        true
    }

    fn tick(&mut self, now: Timestamp) {
        self.worker.journal().seal_aged(now);
        self.lines.set_memory(self.worker.journal().memory_used_percent());
        self.lines.set_fullest(self.end.fullest());
        self.lines.set_unheard(self.end.unheard());
        let looked = self.tap.look();
        self.lines.set_failing(looked.as_ref().is_err_and(|trouble| !is_of_link(trouble)));
        if let Err(trouble) = looked {
            self.end.complain(trouble);
        }
        let counts = self.tap.counts();
        self.lines.publish(now, self.worker.ledger(), &counts);
        let span = now.since(self.tick_due.minus(TICK)).as_micros().max(1);
        let percent =
            |of: Duration| u8::try_from(of.as_micros() * 100 / span).unwrap_or(100).min(100);
        self.lines.set_load(percent(std::mem::take(&mut self.busy)));
        self.lines.set_cpu(percent(self.cpu.1));
        self.tick_due = now.plus(TICK);
    }

    /// Asked to stop: takes nothing new, and what is on its way, for a while.
    fn is_over(&mut self, now: Timestamp) -> bool {
        let Some(deadline) = self.stopping else {
            self.stopping = Some(now.plus(END_WITHIN));
            if let Err(trouble) = self.tap.stop() {
                self.end.complain(trouble);
                return true;
            }
            return false;
        };
        now >= deadline
    }

    pub(super) fn end(mut self) -> Ended {
        self.worker.finish(&mut Live { end: &mut self.end });
        let tap: TapCounts = self.tap.counts();
        let counted =
            Counted { at: clock::capture_time(), ledger: self.worker.ledger().clone(), tap };
        Ended { worker: self.worker, counted, orders: self.end.orders }
    }
}

/// Whether it says no more than the interface's state does.
fn is_of_link(trouble: &CaptureError) -> bool {
    use capture::packet_socket::PacketError::{Down, Removed};
    matches!(trouble, CaptureError::Live(Down { .. } | Removed { .. }))
}

/// Does what the dialog thread wants of a core.
pub(super) fn carry_out(worker: &mut Worker, lines: &Lines, order: Order) -> Option<Answer> {
    match order {
        Order::Expect(endpoint) => worker.expect(endpoint),
        Order::Unexpect(endpoint) => worker.unexpect(endpoint),
        Order::Exclude(endpoint) => worker.exclude(endpoint),
        Order::Include(endpoint) => worker.include(endpoint),
        Order::Report(flow, ticket) => {
            return Some(Answer { flow, ticket, found: worker.report(flow) });
        }
        Order::Release(flow, before) => worker.journal().release_before(flow, before),
        Order::Forget(flow) => {
            worker.forget(flow);
        }
        Order::Overhear(flow, on) => worker.overhear(flow, on),
        Order::ReleaseSignalling(before) => {
            worker.journal().release_signalling_before(before);
            lines.set_needed_from(worker.journal().needed_from());
        }
    }
    None
}

/// Frames on their way to the worker.
struct Taking<'a> {
    worker: &'a mut Worker,
    surroundings: Live<'a>,
    /// Time of the latest.
    last: Option<Timestamp>,
}

impl Taker for Taking<'_> {
    #[inline]
    fn ahead(&mut self, frame: &Frame<'_>) {
        self.worker.ahead(frame);
    }

    #[inline]
    fn take(&mut self, frame: &Frame<'_>) {
        self.worker.frame(frame, &mut self.surroundings);
        self.last = Some(frame.time);
    }
}

/// What a live capture core calls out to.
struct Live<'a> {
    end: &'a mut CoreEnd,
}

impl Surroundings for Live<'_> {
    #[inline]
    fn seen(&mut self, seen: Seen<'_>) -> bool {
        self.end.tell(seen)
    }

    #[inline]
    fn overheard(&mut self, flow: FlowId, packet: &MediaPacket<'_>) {
        self.end.overhear(flow, packet);
    }

    /// Live traffic does not wait.
    fn wait_for_journal(&mut self) -> bool {
        false
    }
}
