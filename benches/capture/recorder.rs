//! A capture core as `spanreel run` has it, with its journal and the thread that writes that.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use base::ledger::Class;
use base::{Outcome, Timestamp};
use benches::alone::{Alone, prepare};
use benches::cpu;
use capture::Frame;
use journal::{Appender, Journal, JournalKey, SourceId, WriterOptions};
use tempfile::TempDir;
use wiring::worker::Worker;

use crate::JOURNAL_CPU;

const NAP: Duration = Duration::from_micros(500);

/// In memory, so that the disk is not what is measured.
const FOLDER: &str = "/dev/shm";

/// A capture core's work, and who writes its journal.
pub(crate) struct Recorder {
    worker: Worker,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Result<()>>>,
    _journal: Journal,
    _folder: TempDir,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    needed_from: AtomicU32,
    cpu_nanos: AtomicU64,
}

impl Recorder {
    pub(crate) fn new(now: Timestamp) -> Result<Self> {
        let folder = tempfile::tempdir_in(FOLDER).with_context(|| format!("no {FOLDER}"))?;
        let key = JournalKey::load_or_create(&folder.path().join("key"))?;
        let journal = Journal::open(folder.path(), key, SourceId([0; 32]))?;
        let (writer, appender) = journal.core(0, &WriterOptions::default(), now)?;
        let (shared, preparer) = (Arc::new(Shared::default()), appender.preparer());
        let (ours, theirs) = (Arc::clone(&shared), Arc::clone(&shared));
        std::thread::Builder::new().spawn(move || {
            // The one that is left alone.
            cpu::pin(0);
            prepare(&preparer, &theirs.stop);
        })?;
        let thread = std::thread::Builder::new().spawn(move || ours.write(appender))?;
        let worker = Worker::new(writer);
        Ok(Self { worker, shared, thread: Some(thread), _journal: journal, _folder: folder })
    }

    /// A frame to its end.
    #[inline]
    pub(crate) fn frame(&mut self, frame: &Frame<'_>) {
        self.worker.frame(frame, &mut Alone);
    }

    /// A frame that comes soon.
    #[inline]
    pub(crate) fn ahead(&mut self, frame: &Frame<'_>) {
        self.worker.ahead(frame);
    }

    /// What a core does a few times a second.
    pub(crate) fn tick(&mut self, now: Timestamp) {
        self.worker.journal().seal_aged(now);
    }

    /// CPU time of the thread that writes the journal.
    pub(crate) fn writing_nanos(&self) -> u64 {
        self.shared.cpu_nanos.load(Ordering::Relaxed)
    }

    /// Everything so far is finished: the journal lets go of it. How many frames were lost on the way into it.
    pub(crate) fn settle(&mut self, now: Timestamp) -> u64 {
        let journal = self.worker.journal();
        journal.seal_all();
        let flows: Vec<_> = journal.flows().map(|(flow, _)| flow).collect();
        flows.into_iter().for_each(|flow| journal.release_before(flow, now));
        journal.release_signalling_before(now);
        self.shared.needed_from.store(journal.needed_from(), Ordering::Relaxed);
        while self.worker.journal().pending() > 0 {
            std::thread::sleep(NAP);
        }
        let ledger = self.worker.ledger();
        assert!(ledger.balances(), "{ledger}");
        assert_eq!(ledger.of(Outcome::Media) + ledger.of_class(Class::Dropped), ledger.received());
        ledger.of_class(Class::Dropped)
    }

    pub(crate) fn finish(mut self) -> Result<()> {
        self.shared.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().context("it was finished")?;
        thread.join().map_err(|_| anyhow!("the journal's thread panicked"))?
    }
}

impl Shared {
    fn write(&self, mut appender: Appender) -> Result<()> {
        cpu::pin(JOURNAL_CPU);
        while !self.stop.load(Ordering::Relaxed) {
            let written = appender.write()?;
            appender.commit(crate::ways::now())?;
            appender.release_before(self.needed_from.load(Ordering::Relaxed))?;
            self.cpu_nanos.store(cpu::of_this_thread(), Ordering::Relaxed);
            if written.chunks == 0 {
                std::thread::sleep(NAP);
            }
        }
        Ok(())
    }
}
