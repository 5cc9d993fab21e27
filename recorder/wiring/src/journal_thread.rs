//! The thread that encrypts the journal and writes it to the disk.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result};
use journal::{Appender, JournalError};

use crate::clock;

/// How long the thread sleeps when nothing is sealed.
const NAP: Duration = Duration::from_micros(500);

/// A running appender.
pub(crate) struct JournalThread {
    shared: Arc<Shared>,
    handle: Option<JoinHandle<()>>,
}

/// Whether a journal's thread still writes.
#[derive(Clone)]
pub(crate) struct Health(Arc<Shared>);

impl Health {
    /// Whether it gave up: what is not on the disk now will not be.
    pub(crate) fn is_lost(&self) -> bool {
        self.0.failed.load(Ordering::Acquire)
    }
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    failed: AtomicBool,
    error: Mutex<Option<JournalError>>,
    /// Segments before this are no longer needed.
    needed_from: AtomicU32,
}

impl JournalThread {
    /// Starts it.
    pub(crate) fn start(appender: Appender) -> Result<Self> {
        let shared = Arc::new(Shared::default());
        let ours = Arc::clone(&shared);
        let name = format!("journal-{}", appender.core());
        let handle = std::thread::Builder::new()
            .name(name)
            .spawn(move || ours.run(appender))
            .context("cannot start the journal's thread")?;
        Ok(Self { shared, handle: Some(handle) })
    }

    /// Whether it gave up: what was sealed since is not on the disk.
    pub(crate) fn has_failed(&self) -> bool {
        self.shared.failed.load(Ordering::Acquire)
    }

    /// For others to see whether it gave up.
    pub(crate) fn health(&self) -> Health {
        Health(Arc::clone(&self.shared))
    }

    /// Why it gave up.
    pub(crate) fn failure(&self) -> Option<JournalError> {
        self.shared.error.lock().unwrap_or_else(PoisonError::into_inner).take()
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
        if let Some(handle) = self.handle.take() {
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

impl Shared {
    fn run(&self, mut appender: Appender) {
        loop {
            let stop = self.stop.load(Ordering::Acquire);
            match self.turn(&mut appender) {
                Ok(0) if stop => return,
                Ok(0) => std::thread::sleep(NAP),
                Ok(_) => {}
                Err(error) => {
                    *self.error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    self.failed.store(true, Ordering::Release);
                    return;
                }
            }
        }
    }

    fn turn(&self, appender: &mut Appender) -> Result<usize, JournalError> {
        let written = appender.write()?;
        appender.commit(clock::now())?;
        appender.release_before(self.needed_from.load(Ordering::Relaxed))?;
        Ok(written.chunks)
    }
}
