//! Where alarms go: each outlet on a thread of its own, behind a bounded queue.
//!
//! Whoever has news never waits: a full queue is counted, the outlet marked as failing. An outlet that fails tries
//! again, later and later, and gives an event up after [`GIVE_UP_AFTER`], which is counted too. So a dead receiver
//! disturbs nothing else, and one that comes back gets what happened meanwhile.

mod json;
mod log;
mod state_file;
pub(super) mod syslog;
pub(super) mod tls;
mod webhook;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use base::limits::ALARM_QUEUE_MAX;
use crossbeam::channel::{Receiver, Sender, bounded};
use serde::{Deserialize, Serialize};

pub(super) use self::json::JsonOutlet;
pub(super) use self::log::LogOutlet;
pub(crate) use self::state_file::State;
pub(super) use self::state_file::StateFile;
pub(super) use self::syslog::SyslogOutlet;
pub(super) use self::webhook::WebhookOutlet;
use super::Event;
use crate::clock;

/// The pause after the first failure; it doubles up to the longest.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// An event older than this is no news any more.
const GIVE_UP_AFTER: Duration = Duration::from_secs(3_600);

/// Why an event did not go out.
#[derive(Debug, thiserror::Error)]
pub(super) enum OutletError {
    /// The receiver, or the way to it, does not work: worth another try.
    #[error("{0}")]
    Unreachable(String),
    /// The receiver does not want it; it will not the next time either.
    #[error("{0}")]
    Refused(String),
}

impl OutletError {
    pub(super) fn unreachable(what: &str, error: &dyn std::error::Error) -> Self {
        Self::Unreachable(format!("{what}: {error}"))
    }
}

/// A way out.
pub(super) trait Outlet: Send + 'static {
    /// What it is called in reports: its kind and address.
    fn name(&self) -> String;

    /// How many events it takes at once. What fails is sent again as a whole.
    fn batch_max(&self) -> usize {
        1
    }

    /// Sends events. May take its time, within a bound.
    ///
    /// # Errors
    /// None of them counts as sent.
    fn send(&mut self, events: &[Arc<Event>]) -> Result<(), OutletError>;
}

/// What an outlet has done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OutletReport {
    /// Kind and address.
    pub(crate) name: String,
    /// Events that went out.
    pub(crate) sent: u64,
    /// Events lost because the queue was full.
    pub(crate) dropped_queue_full: u64,
    /// Events lost because the receiver refused them.
    pub(crate) dropped_refused: u64,
    /// Events lost because the receiver could not be reached for too long.
    pub(crate) dropped_too_old: u64,
    /// What is wrong now; nothing if the last event went out.
    pub(crate) trouble: Option<String>,
}

impl OutletReport {
    /// Events lost.
    #[must_use]
    pub(crate) const fn dropped(&self) -> u64 {
        self.dropped_queue_full + self.dropped_refused + self.dropped_too_old
    }
}

#[derive(Debug, Default)]
struct Shared {
    sent: AtomicU64,
    queue_full: AtomicU64,
    refused: AtomicU64,
    too_old: AtomicU64,
    trouble: Mutex<Option<String>>,
}

impl Shared {
    fn say(&self, trouble: Option<String>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }
}

/// A running outlet. Dropping it leaves the thread to end by itself, soon, and waits for nothing.
#[derive(Debug)]
pub(super) struct Line {
    name: String,
    events: Sender<(Instant, Arc<Event>)>,
    /// Nothing is ever sent: dropping it wakes a thread that pauses, and tells it to end.
    _alive: Sender<()>,
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

impl Line {
    /// Starts an outlet's thread.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub(super) fn start(outlet: impl Outlet) -> Result<Self> {
        let name = outlet.name();
        let (events, queue) = bounded(ALARM_QUEUE_MAX);
        let (_alive, alive) = bounded(0);
        let shared = Arc::new(Shared::default());
        let runner = Runner { outlet, queue, alive, shared: Arc::clone(&shared) };
        let thread = std::thread::Builder::new()
            .name("alarm-outlet".into())
            .spawn(move || runner.run())
            .with_context(|| format!("cannot start the outlet {name}"))?;
        Ok(Self { name, events, _alive, shared, thread })
    }

    /// Hands an event over, unless the queue is full. Never waits.
    pub(super) fn offer(&self, event: Arc<Event>) {
        if self.events.try_send((clock::instant(), event)).is_err() {
            self.shared.queue_full.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn report(&self) -> OutletReport {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let trouble = &self.shared.trouble;
        OutletReport {
            name: self.name.clone(),
            sent: count(&self.shared.sent),
            dropped_queue_full: count(&self.shared.queue_full),
            dropped_refused: count(&self.shared.refused),
            dropped_too_old: count(&self.shared.too_old),
            trouble: trouble.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    /// Nothing more will come: gives the thread to wait for.
    pub(super) fn end(self) -> JoinHandle<()> {
        self.thread
    }
}

/// What runs on the thread.
struct Runner<O> {
    outlet: O,
    queue: Receiver<(Instant, Arc<Event>)>,
    alive: Receiver<()>,
    shared: Arc<Shared>,
}

impl<O: Outlet> Runner<O> {
    fn run(mut self) {
        let batch_max = self.outlet.batch_max();
        while let Ok((since, first)) = self.queue.recv() {
            let mut events = vec![first];
            events.extend(self.queue.try_iter().take(batch_max - 1).map(|(_, event)| event));
            self.deliver(since, &events);
        }
    }

    /// Tries until it works or makes no sense. When the program ends, each event has one try.
    fn deliver(&mut self, since: Instant, events: &[Arc<Event>]) {
        let count = events.len() as u64;
        let mut pause = PAUSE_MIN;
        loop {
            let lost = match self.outlet.send(events) {
                Ok(()) => {
                    self.shared.sent.fetch_add(count, Ordering::Relaxed);
                    self.shared.say(None);
                    return;
                }
                Err(error) => {
                    self.shared.say(Some(error.to_string()));
                    self.lost(&error, since)
                }
            };
            if let Some(counter) = lost {
                counter.fetch_add(count, Ordering::Relaxed);
                return;
            }
            // Comes back early when the program ends; then the next failure is the last.
            let _ = self.alive.recv_timeout(pause);
            pause = PAUSE_MAX.min(pause * 2);
        }
    }

    /// Under which name the events are lost, if they are.
    fn lost(&self, error: &OutletError, since: Instant) -> Option<&AtomicU64> {
        let ending =
            || matches!(self.alive.try_recv(), Err(crossbeam::channel::TryRecvError::Disconnected));
        match error {
            OutletError::Refused(_) => Some(&self.shared.refused),
            OutletError::Unreachable(_) if since.elapsed() >= GIVE_UP_AFTER || ending() => {
                Some(&self.shared.too_old)
            }
            OutletError::Unreachable(_) => None,
        }
    }
}
