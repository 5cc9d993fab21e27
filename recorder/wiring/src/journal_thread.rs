//! The thread that encrypts the journal and writes it to the disk.
//!
//! A live journal's thread does not give up: as long as the disk fails it tries again, and what comes waits in
//! memory. That of a replay gives up at the first error, because its input can be read again.
//!
//! A live one has another thread beside it, which brings the memory into being that the next packets need: this one waits
//! for the disk, and the capture thread for nothing.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use journal::{Appender, JournalError, JournalState, Preparer};

use crate::clock;

/// How long the thread sleeps when nothing is sealed. What comes meanwhile is written together: shorter naps cost
/// wake-ups, and small writes.
const NAP: Duration = Duration::from_millis(2);
/// How long the thread that prepares memory sleeps when there is enough: a part of what
/// [`CHUNK_BYTES_AHEAD`](base::limits::CHUNK_BYTES_AHEAD) lasts.
const NAP_PREPARED: Duration = Duration::from_millis(5);
/// How long it waits after an error, at first and at most.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// How long it still tries when it is to stop.
const LAST_TRIES: Duration = Duration::from_secs(5);

/// A running appender.
pub(crate) struct JournalThread {
    shared: Arc<Shared>,
    handles: Vec<JoinHandle<()>>,
}

/// Whether a journal's thread still writes.
#[derive(Clone)]
pub(crate) struct Health(Arc<Shared>);

impl Health {
    /// Whether it gave up: what is not on the disk now will not be.
    pub(crate) fn is_lost(&self) -> bool {
        self.0.failed.load(Ordering::Acquire)
    }

    /// How long the slowest turn took, writing and flushing, since this was last asked.
    pub(crate) fn take_slowest(&self) -> Duration {
        Duration::from_micros(self.0.slowest.swap(0, Ordering::Relaxed))
    }
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    /// Tries again after an error.
    persistent: bool,
    failed: AtomicBool,
    error: Mutex<Option<JournalError>>,
    state: Mutex<JournalState>,
    /// Segments before this are no longer needed.
    needed_from: AtomicU32,
    /// Microseconds of the slowest turn of late.
    slowest: AtomicU64,
}

impl JournalThread {
    /// Starts it for a live journal: it keeps trying.
    pub(crate) fn start(appender: Appender) -> Result<Self> {
        let (name, preparer) = (format!("memory-{}", appender.core()), appender.preparer());
        let mut thread = Self::start_with(appender, true)?;
        let shared = Arc::clone(&thread.shared);
        thread.handles.push(spawn(name, move || shared.prepare(&preparer))?);
        Ok(thread)
    }

    /// Starts it for a replay: it gives up at the first error.
    pub(crate) fn start_giving_up(appender: Appender) -> Result<Self> {
        Self::start_with(appender, false)
    }

    fn start_with(appender: Appender, persistent: bool) -> Result<Self> {
        let shared = Arc::new(Shared { persistent, ..Shared::default() });
        let ours = Arc::clone(&shared);
        let name = format!("journal-{}", appender.core());
        let handle = spawn(name, move || ours.run(appender))?;
        Ok(Self { shared, handles: vec![handle] })
    }

    /// Whether it gave up: what was sealed since is not on the disk.
    pub(crate) fn has_failed(&self) -> bool {
        self.shared.failed.load(Ordering::Acquire)
    }

    /// For others to see whether it gave up.
    pub(crate) fn health(&self) -> Health {
        Health(Arc::clone(&self.shared))
    }

    /// How it does, for alarms.
    pub(crate) fn state(&self) -> JournalState {
        lock(&self.shared.state).clone()
    }

    /// Why it gave up.
    pub(crate) fn failure(&self) -> Option<JournalError> {
        lock(&self.shared.error).take()
    }

    /// Segments before this are no longer needed.
    pub(crate) fn release_before(&self, segment: u32) {
        self.shared.needed_from.store(segment, Ordering::Relaxed);
    }

    /// Writes what is sealed and ends the thread.
    pub(crate) fn stop(mut self) -> Result<()> {
        self.join();
        self.failure().map_or(Ok(()), |error| Err(error.into()))
    }

    fn join(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        for handle in self.handles.drain(..) {
            // A panic in the thread has been printed; the journal then counts as failed.
            if handle.join().is_err() {
                self.shared.failed.store(true, Ordering::Release);
            }
        }
    }
}

impl Drop for JournalThread {
    fn drop(&mut self) {
        self.join();
    }
}

fn spawn(name: String, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name).spawn(work).context("cannot start the journal's thread")
}

impl Shared {
    /// Until the journal is to stop.
    fn prepare(&self, preparer: &Preparer) {
        while !self.stop.load(Ordering::Acquire) {
            if !preparer.prepare() {
                std::thread::sleep(NAP_PREPARED);
            }
        }
    }

    fn run(&self, mut appender: Appender) {
        let (mut pause, mut last_try) = (PAUSE_MIN, None);
        loop {
            let stop = self.stop.load(Ordering::Acquire);
            let needed_from = self.needed_from.load(Ordering::Relaxed);
            let began = clock::instant();
            let turn = match self.persistent {
                true => turn(&mut appender, needed_from),
                false => turn_of_replay(&mut appender, needed_from),
            };
            let took = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
            self.slowest.fetch_max(took, Ordering::Relaxed);
            self.tell(&appender);
            match turn {
                Ok(0) if stop => return,
                Ok(0) => std::thread::sleep(NAP),
                Ok(_) => pause = PAUSE_MIN,
                Err(error) => {
                    if stop && last_try.is_none() {
                        last_try = Some(clock::instant() + LAST_TRIES);
                    }
                    if !self.persistent || last_try.is_some_and(|by: Instant| clock::instant() > by)
                    {
                        *lock(&self.error) = Some(error);
                        self.failed.store(true, Ordering::Release);
                        return;
                    }
                    std::thread::sleep(pause);
                    pause = PAUSE_MAX.min(pause * 2);
                }
            }
        }
    }

    /// Makes a change of the state known.
    fn tell(&self, appender: &Appender) {
        let mut known = lock(&self.state);
        let state = appender.state();
        if *known != state {
            *known = state;
        }
    }
}

/// One turn: writes, flushes if it is time, deletes segments before `needed_from`. Gives the chunks written.
pub(crate) fn turn(appender: &mut Appender, needed_from: u32) -> Result<usize, JournalError> {
    let written = appender.write()?;
    appender.commit(clock::capture_time())?;
    appender.release_before(needed_from)?;
    Ok(written.chunks)
}

/// The same without flushing: after a power cut, a replay is started again.
fn turn_of_replay(appender: &mut Appender, needed_from: u32) -> Result<usize, JournalError> {
    let written = appender.write()?;
    appender.release_before(needed_from)?;
    Ok(written.chunks)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
