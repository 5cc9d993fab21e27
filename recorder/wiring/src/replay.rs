//! `spanreel replay`: capture files through the engine, as fast as they go or at their own pace.
//!
//! This thread reads, demultiplexes, journals and drives the engine; one thread writes the journal; a pool
//! finishes calls. Finished calls come back here, so that nothing of a call is let go before its recording
//! is stored.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use base::ledger::Note;
use base::{Endpoint, Ledger, Timestamp};
use capture::pace::Pacer;
use capture::{Frame, Merged, Poll, Source as _, Taker};
use dialog::{EndReason, Handled, SipInput};

use crate::clock;
use crate::conductor::{Conductor, Cores, Tally};
use crate::engine::{Engine, FlowRef, Report, Ticket, Totals};
use crate::journal_thread::JournalThread;
use crate::progress::Progress;
use crate::worker::{Seen, Surroundings, Worker};

/// The one capture core of a replay.
pub(crate) const CORE: u8 = 0;
/// How often chunks are looked at for their age, on the capture clock. Nothing is lost if they grow old, and each is
/// the fuller for it.
const SEAL_EVERY: Duration = Duration::from_secs(10);
/// How often the journal is asked to let go of what is finished, on the capture clock.
const RELEASE_EVERY: Duration = Duration::from_secs(5);

/// Chunks that may wait for the journal's thread: 16 MiB. With more, memory is taken that was never used, for buffers
/// that come back out of every cache.
const PENDING_MAX: usize = 4_096;
/// How long reading waits when there are more.
const PENDING_PAUSE: Duration = Duration::from_millis(1);

/// What a replay came to.
#[derive(Debug)]
pub(crate) struct Replayed {
    pub(crate) ledger: Ledger,
    pub(crate) totals: Totals,
    pub(crate) tally: Tally,
    /// What could not be read. What came before it is finished.
    pub(crate) errors: Vec<anyhow::Error>,
}

/// A replay under way.
pub(crate) struct Replay {
    core: Core,
    conductor: Conductor,
    pacer: Option<Pacer>,
    began: Instant,
    release_due: Timestamp,
}

impl Replay {
    pub(crate) fn new(
        worker: Worker,
        journal: JournalThread,
        conductor: Conductor,
        pacer: Option<Pacer>,
    ) -> Self {
        let core = Core { worker, journal, seal_due: Timestamp::ZERO };
        Self { core, conductor, pacer, began: clock::instant(), release_due: Timestamp::ZERO }
    }

    /// Reads the files to their end and waits until every call in them is stored.
    pub(crate) fn run(mut self, files: &[PathBuf]) -> Result<Replayed> {
        let mut source = Merged::open(files)?;
        let progress = Progress::bytes(source.progress().total_bytes.unwrap_or(0), "reading");
        let mut errors = Vec::new();
        loop {
            match source.poll_ahead(&mut self) {
                Ok(Poll::End) => break,
                Ok(Poll::Frames(_) | Poll::Idle) => {}
                Err(error) => errors.push(error.into()),
            }
            progress.at(source.progress().read_bytes);
            self.conductor.collect(false);
            self.core.let_journal_catch_up();
            self.check()?;
        }
        progress.done();
        self.end()?;
        let Self { core: Core { worker, journal, .. }, conductor, .. } = self;
        let (engine, tally) = conductor.stop()?;
        journal.stop()?;
        let ledger = worker.ledger().clone();
        if !ledger.balances() {
            bail!(
                "the packet ledger does not balance; please report this with the capture:\n{ledger}"
            );
        }
        Ok(Replayed { ledger, totals: engine.totals(), tally, errors })
    }

    /// Whether it makes sense to go on.
    fn check(&mut self) -> Result<()> {
        match self.core.journal.failure() {
            Some(failure) => Err(failure.into()),
            None => self.conductor.check(),
        }
    }

    #[cold]
    fn tick(&mut self, time: Timestamp) {
        self.conductor.engine.advance(time);
        self.core.seal_aged(time);
        if time >= self.release_due {
            self.core.release(self.conductor.engine.needed_since());
            self.release_due = time.plus(RELEASE_EVERY);
        }
        self.conductor.obey(&mut self.core);
    }

    fn end(&mut self) -> Result<()> {
        self.core.finish(&mut self.conductor.engine);
        let ended = self.conductor.end(EndReason::CaptureEnd, &mut self.core);
        self.check().and(ended)
    }
}

impl Taker for Replay {
    #[inline]
    fn ahead(&mut self, frame: &Frame<'_>) {
        self.core.worker.ahead(frame);
    }

    #[inline]
    fn take(&mut self, frame: &Frame<'_>) {
        if let Some(pacer) = &mut self.pacer {
            wait(pacer.wait(frame.time, self.began.elapsed()));
        }
        if frame.time >= self.conductor.engine.due() {
            self.tick(frame.time);
        }
        self.core.frame(frame, &mut self.conductor.engine);
        if self.conductor.engine.has_commands() {
            self.conductor.obey(&mut self.core);
        }
    }
}

/// The one capture core: the worker, and the thread behind its journal.
struct Core {
    worker: Worker,
    journal: JournalThread,
    seal_due: Timestamp,
}

impl Core {
    #[inline]
    fn frame(&mut self, frame: &Frame<'_>, engine: &mut Engine) {
        let mut surroundings = Replaying { engine, journal: &self.journal, malformed: 0, full: 0 };
        self.worker.frame(frame, &mut surroundings);
        let (malformed, full) = (surroundings.malformed, surroundings.full);
        if malformed + full > 0 {
            self.worker.note(Note::SipMalformed, malformed);
            self.worker.note(Note::SipTableFull, full);
        }
    }

    fn finish(&mut self, engine: &mut Engine) {
        let mut surroundings = Replaying { engine, journal: &self.journal, malformed: 0, full: 0 };
        self.worker.finish(&mut surroundings);
        self.worker.note(Note::SipMalformed, surroundings.malformed);
        self.worker.note(Note::SipTableFull, surroundings.full);
    }

    fn let_journal_catch_up(&mut self) {
        while self.worker.journal().pending() > PENDING_MAX && !self.journal.has_failed() {
            std::thread::sleep(PENDING_PAUSE);
        }
    }

    fn seal_aged(&mut self, time: Timestamp) {
        if time >= self.seal_due {
            self.worker.journal().seal_aged(time);
            self.seal_due = time.plus(SEAL_EVERY);
        }
    }

    /// Lets go of segments that nothing needs any more.
    fn release(&mut self, signalling_before: Timestamp) {
        self.worker.journal().release_signalling_before(signalling_before);
        self.journal.release_before(self.worker.journal().needed_from());
    }
}

impl Cores for Core {
    fn expect(&mut self, endpoint: Endpoint) {
        self.worker.expect(endpoint);
    }

    fn unexpect(&mut self, endpoint: Endpoint) {
        self.worker.unexpect(endpoint);
    }

    fn exclude(&mut self, endpoint: Endpoint) {
        self.worker.exclude(endpoint);
    }

    fn include(&mut self, endpoint: Endpoint) {
        self.worker.include(endpoint);
    }

    fn report(&mut self, flow: FlowRef, ticket: Ticket) -> Option<Report> {
        let FlowRef::Core(_, id) = flow else { return None };
        Some(Report { flow, ticket, found: self.worker.report(id) })
    }

    fn release(&mut self, flow: FlowRef, before: Timestamp) {
        if let FlowRef::Core(_, id) = flow {
            self.worker.journal().release_before(id, before);
        }
    }

    fn forget(&mut self, flow: FlowRef) {
        if let FlowRef::Core(_, id) = flow {
            self.worker.forget(id);
        }
    }
}

/// What the capture core of a replay calls out to.
struct Replaying<'a> {
    engine: &'a mut Engine,
    journal: &'a JournalThread,
    malformed: u64,
    full: u64,
}

impl Surroundings for Replaying<'_> {
    fn seen(&mut self, seen: Seen<'_>) -> bool {
        match seen {
            Seen::Sip { time, key, transport, message } => {
                match self.engine.signalling(SipInput { time, key, transport, message }) {
                    Handled::Malformed(_) => self.malformed += 1,
                    Handled::TableFull | Handled::Refused => self.full += 1,
                    Handled::Call(_) | Handled::NotACall => {}
                }
            }
            Seen::Flow { time, key, flow } => {
                self.engine.flow_opened(FlowRef::Core(CORE, flow), key, time)
            }
        }
        true
    }

    /// A file can wait, unless there is nothing to wait for.
    fn wait_for_journal(&mut self) -> bool {
        std::thread::sleep(Duration::from_micros(200));
        !self.journal.has_failed()
    }
}

fn wait(time: Duration) {
    if !time.is_zero() {
        std::thread::sleep(time);
    }
}
