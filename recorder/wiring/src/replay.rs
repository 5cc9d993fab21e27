//! `spanreel replay`: capture files through the engine, as fast as they go or at their own pace.
//!
//! This thread reads, demultiplexes, journals and drives the engine; one thread writes the journal; a pool
//! finishes calls. Finished calls come back here, so that nothing of a call is let go before its recording
//! is stored.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use base::ledger::Note;
use base::{Ledger, Timestamp};
use capture::pace::Pacer;
use capture::{Frame, Merged, Poll, Source as _};
use dialog::{EndReason, Handled, SipInput};

use crate::clock;
use crate::engine::{Command, Engine, FlowRef, Report, Totals};
use crate::finish::{Done, Pool};
use crate::journal_thread::JournalThread;
use crate::progress::Progress;
use crate::worker::{Seen, Surroundings, Worker};

/// The one capture core of a replay.
pub(crate) const CORE: u8 = 0;
/// How often chunks are looked at for their age, on the capture clock.
const SEAL_EVERY: Duration = Duration::from_millis(250);
/// How often the journal is asked to let go of what is finished, on the capture clock.
const RELEASE_EVERY: Duration = Duration::from_secs(5);

/// What became of the jobs.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Recordings made.
    pub(crate) recorded: u64,
    /// Of those, the ones of which something is missing.
    pub(crate) incomplete: u64,
    /// Calls that an earlier run had recorded.
    pub(crate) already_there: u64,
    /// Packets of jobs that held too little to keep.
    pub(crate) unclaimed_packets: u64,
}

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
    worker: Worker,
    engine: Engine,
    journal: JournalThread,
    pool: Pool,
    pacer: Option<Pacer>,
    began: Instant,
    seal_due: Timestamp,
    release_due: Timestamp,
    tally: Tally,
    failure: Option<anyhow::Error>,
}

impl Replay {
    pub(crate) fn new(
        worker: Worker,
        journal: JournalThread,
        pool: Pool,
        pacer: Option<Pacer>,
    ) -> Self {
        Self {
            worker,
            engine: Engine::new(true),
            journal,
            pool,
            pacer,
            began: clock::instant(),
            seal_due: Timestamp::ZERO,
            release_due: Timestamp::ZERO,
            tally: Tally::default(),
            failure: None,
        }
    }

    /// Reads the files to their end and waits until every call in them is stored.
    pub(crate) fn run(mut self, files: &[PathBuf]) -> Result<Replayed> {
        let mut source = Merged::open(files)?;
        let progress = Progress::bytes(source.progress().total_bytes.unwrap_or(0), "reading");
        let mut errors = Vec::new();
        loop {
            match source.poll(&mut |frame| self.frame(&frame)) {
                Ok(Poll::End) => break,
                Ok(Poll::Frames(_) | Poll::Idle) => {}
                Err(error) => errors.push(error.into()),
            }
            progress.at(source.progress().read_bytes);
            self.collect(false);
            self.check()?;
        }
        progress.done();
        self.end(EndReason::CaptureEnd)?;
        let ledger = self.worker.ledger().clone();
        let Self { engine, tally, journal, pool, .. } = self;
        pool.stop()?;
        journal.stop()?;
        if !ledger.balances() {
            bail!(
                "the packet ledger does not balance; please report this with the capture:\n{ledger}"
            );
        }
        Ok(Replayed { ledger, totals: engine.totals(), tally, errors })
    }

    /// Whether it makes sense to go on.
    fn check(&mut self) -> Result<()> {
        if let Some(failure) =
            self.failure.take().or_else(|| self.journal.failure().map(Into::into))
        {
            return Err(failure);
        }
        Ok(())
    }

    #[inline]
    fn frame(&mut self, frame: &Frame<'_>) {
        if self.failure.is_some() {
            return;
        }
        if let Some(pacer) = &mut self.pacer {
            wait(pacer.wait(frame.time, self.began.elapsed()));
        }
        if frame.time >= self.engine.due() {
            self.tick(frame.time);
        }
        let mut surroundings =
            Replaying { engine: &mut self.engine, journal: &self.journal, malformed: 0, full: 0 };
        self.worker.frame(frame, &mut surroundings);
        let (malformed, full) = (surroundings.malformed, surroundings.full);
        if malformed + full > 0 {
            self.worker.note(Note::SipMalformed, malformed);
            self.worker.note(Note::SipTableFull, full);
        }
        if self.engine.has_commands() {
            self.obey();
        }
    }

    #[cold]
    fn tick(&mut self, time: Timestamp) {
        self.engine.advance(time);
        if time >= self.seal_due {
            self.worker.journal().seal_aged(time);
            self.seal_due = time.plus(SEAL_EVERY);
        }
        if time >= self.release_due {
            let needed_since = self.engine.needed_since();
            self.worker.journal().release_signalling_before(needed_since);
            self.journal.release_before(self.worker.journal().needed_from());
            self.release_due = time.plus(RELEASE_EVERY);
        }
        self.obey();
    }

    /// Carries out what the engine wants.
    fn obey(&mut self) {
        while let Some(command) = self.engine.next_command() {
            match command {
                Command::Expect(endpoint) => self.worker.expect(endpoint),
                Command::Unexpect(endpoint) => self.worker.unexpect(endpoint),
                Command::Report(flow, ticket) => {
                    let found = self.worker.report(flow.flow);
                    self.engine.report(Report { flow, ticket, found });
                }
                Command::Release(flow, before) => {
                    self.worker.journal().release_before(flow.flow, before)
                }
                Command::Drop(flow) => {
                    self.worker.journal().forget_flow(flow.flow);
                }
                Command::Finish(job) => {
                    if self.pool.is_full() {
                        self.collect(true);
                    }
                    self.pool.start(*job);
                }
            }
        }
    }

    /// Takes finished jobs back; with `wait`, at least one.
    fn collect(&mut self, mut wait: bool) {
        while let Some((key, done)) = self.pool.next(wait) {
            wait = false;
            match done {
                Ok(Done::Recorded { complete }) => {
                    self.tally.recorded += 1;
                    self.tally.incomplete += u64::from(!complete);
                }
                Ok(Done::AlreadyThere) => self.tally.already_there += 1,
                Ok(Done::NothingToKeep { packets }) => self.tally.unclaimed_packets += packets,
                Err(error) => self.failure = Some(self.failure.take().unwrap_or(error)),
            }
            self.engine.finished(key);
        }
    }

    fn end(&mut self, reason: EndReason) -> Result<()> {
        let mut surroundings =
            Replaying { engine: &mut self.engine, journal: &self.journal, malformed: 0, full: 0 };
        self.worker.finish(&mut surroundings);
        self.engine.end(reason);
        self.drain();
        // What the calls did not claim; and what came after that was found.
        for _ in 0..2 {
            self.engine.sweep();
            self.drain();
        }
        self.check()
    }

    /// Obeys until there is nothing left to do.
    fn drain(&mut self) {
        self.obey();
        let progress = Progress::count(self.pool.running() as u64, "finishing");
        while self.pool.running() > 0 {
            self.collect(true);
            self.obey();
            progress.left(self.pool.running() as u64);
        }
        progress.done();
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
    fn seen(&mut self, seen: Seen<'_>) {
        match seen {
            Seen::Sip { time, key, transport, message } => {
                match self.engine.signalling(SipInput { time, key, transport, message }) {
                    Handled::Malformed(_) => self.malformed += 1,
                    Handled::TableFull => self.full += 1,
                    Handled::Call(_) | Handled::NotACall => {}
                }
            }
            Seen::Flow { time, key, flow } => {
                self.engine.flow_opened(FlowRef { core: CORE, flow }, key, time)
            }
        }
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
