//! What goes between the dialog thread and the thread that serves windows: bounded, lock-free, and neither waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base::Timestamp;
use base::limits::{LISTENERS_MAX, LIVE_CALL_NEWS_MAX};
use crossbeam::queue::ArrayQueue;
use dialog::CallKey;
use web::link::status::LiveCall;

use crate::engine::{Limit, Voice};
use crate::live::LiveLedger;
use crate::live::lines::Lines;
use crate::outages::Kind;

/// What the dialog thread knows at one moment.
pub(in crate::live) struct Snapshot {
    /// By the wall clock.
    pub(in crate::live) at: Timestamp,
    pub(in crate::live) ledger: LiveLedger,
    /// Why nothing is seen, while nothing is.
    pub(in crate::live) blind: Option<Kind>,
    /// A capture thread that does not run, or hangs.
    pub(in crate::live) stuck_core: Option<String>,
    /// Why new calls are refused, while they are.
    pub(in crate::live) limit: Option<Limit>,
    /// What an earlier run left is not told yet.
    pub(in crate::live) recovering: bool,
    pub(in crate::live) concurrent: usize,
    pub(in crate::live) flows: usize,
    /// Ended calls that are not finished, and how long the oldest waits.
    pub(in crate::live) unfinished: (usize, Duration),
}

/// News for the windows.
pub(in crate::live) enum News {
    /// A call is up, as it is now.
    Up(CallKey, Box<LiveCall>),
    /// A call is not up any more.
    Gone(CallKey),
    /// What is known of calls is out of date: what is up follows,
    Anew,
    /// and that was all.
    Whole,
    /// Where the voices of a call are that is listened to.
    Voices(CallKey, Vec<Voice>),
}

/// Between the two threads.
pub(in crate::live) struct Shared {
    /// The newest only.
    snapshot: ArrayQueue<Snapshot>,
    news: ArrayQueue<News>,
    /// Calls to be listened to from now on, or no longer.
    wishes: ArrayQueue<(CallKey, bool)>,
    stopping: AtomicBool,
    ended: AtomicBool,
    /// The dialog thread is busy with what an earlier run left.
    taking_up: AtomicBool,
    pub(in crate::live) lines: Vec<Arc<Lines>>,
}

impl Shared {
    pub(super) fn new(lines: Vec<Arc<Lines>>) -> Self {
        Self {
            snapshot: ArrayQueue::new(1),
            news: ArrayQueue::new(LIVE_CALL_NEWS_MAX),
            // One to begin and one to end for each listener.
            wishes: ArrayQueue::new(4 * LISTENERS_MAX),
            stopping: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            taking_up: AtomicBool::new(false),
            lines,
        }
    }

    /// The dialog thread's side: this is what it knows now.
    pub(super) fn show(&self, snapshot: Snapshot) {
        // An older one that was not taken is of no interest any more.
        drop(self.snapshot.force_push(snapshot));
    }

    pub(super) fn next_snapshot(&self) -> Option<Snapshot> {
        self.snapshot.pop()
    }

    /// The dialog thread's side. The news come back if there is no room for them now.
    pub(super) fn tell(&self, news: News) -> Result<(), News> {
        self.news.push(news)
    }

    pub(super) fn next_news(&self) -> Option<News> {
        self.news.pop()
    }

    /// The windows' side: a call is listened to from now on, or no longer. False if there is no room for the wish.
    pub(super) fn wish(&self, call: CallKey, listen: bool) -> bool {
        self.wishes.push((call, listen)).is_ok()
    }

    pub(super) fn next_wish(&self) -> Option<(CallKey, bool)> {
        self.wishes.pop()
    }

    /// The run ends: nothing is taken any more.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// The windows' thread is to end.
    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Release);
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// The dialog thread takes up what an earlier run left and shows nothing meanwhile; it lives.
    pub(in crate::live) fn taking_up(&self) {
        self.taking_up.store(true, Ordering::Relaxed);
    }

    /// Whether it said so since this was last asked.
    pub(super) fn was_taking_up(&self) -> bool {
        self.taking_up.swap(false, Ordering::Relaxed)
    }
}
