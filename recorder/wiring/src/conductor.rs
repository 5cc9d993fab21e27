//! Carries out what the engine wants, whoever feeds it: capture files, a crashed journal, live cores.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Error, Result};
use base::{Endpoint, Timestamp};
use dialog::EndReason;
use hashbrown::HashMap;

use crate::clock;
use crate::engine::{Command, Engine, FlowRef, Job, JobKey, Report, Ticket};
use crate::finish::{Done, Pool, Seals};
use crate::progress::Progress;
use crate::telling::Telling;

/// How long a job that failed waits before it is tried again; twice as long each time, up to the most.
const RETRY_AFTER: Duration = Duration::from_secs(1);
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);

/// The capture cores, as the engine's commands see them.
pub(crate) trait Cores {
    /// Whatever comes to or from this endpoint is media.
    fn expect(&mut self, endpoint: Endpoint);

    /// No longer.
    fn unexpect(&mut self, endpoint: Endpoint);

    /// What comes to this endpoint is not taken.
    fn exclude(&mut self, endpoint: Endpoint);

    /// It is taken again, if it looks like media.
    fn include(&mut self, endpoint: Endpoint);

    /// Seals a flow and tells what is known of it, at once or later.
    fn report(&mut self, flow: FlowRef, ticket: Ticket) -> Option<Report>;

    /// Packets of the flow before this time are no longer needed.
    fn release(&mut self, flow: FlowRef, before: Timestamp);

    /// Nothing of the flow is needed.
    fn forget(&mut self, flow: FlowRef);
}

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
    /// Jobs that failed, and were not done since. What they are to be made of stays in the journal.
    pub(crate) failed: u64,
}

/// A job that is not done.
struct InHand {
    job: Arc<Job>,
    /// When it was begun.
    since: Instant,
    /// How often it failed.
    failures: u32,
}

/// The engine with the threads that finish its jobs.
pub(crate) struct Conductor {
    pub(crate) engine: Engine,
    pool: Pool,
    /// Jobs for which the pool had no room; only if there is no waiting for it.
    waiting: VecDeque<Arc<Job>>,
    /// Jobs that are not done.
    in_hand: HashMap<JobKey, InHand>,
    /// Failed jobs, and when they are tried again.
    retries: Vec<(Instant, Arc<Job>)>,
    /// Nothing is tried again any more.
    ending: bool,
    waits_for_pool: bool,
    tally: Tally,
    failure: Option<Error>,
}

impl Conductor {
    pub(crate) fn new(engine: Engine, pool: Pool) -> Self {
        Self {
            engine,
            pool,
            waiting: VecDeque::new(),
            in_hand: HashMap::new(),
            retries: Vec::new(),
            ending: false,
            waits_for_pool: true,
            tally: Tally::default(),
            failure: None,
        }
    }

    /// For live traffic, which does not wait until the pool has room: its jobs do. A job is small, it says where
    /// in the journal the packets are. One that fails is tried again: a disk may have room again.
    pub(crate) fn never_waiting(self) -> Self {
        Self { waits_for_pool: false, ..self }
    }

    /// Carries out what the engine wants.
    pub(crate) fn obey(&mut self, cores: &mut impl Cores) {
        while let Some(command) = self.engine.next_command() {
            match command {
                Command::Expect(endpoint) => cores.expect(endpoint),
                Command::Unexpect(endpoint) => cores.unexpect(endpoint),
                Command::Exclude(endpoint) => cores.exclude(endpoint),
                Command::Include(endpoint) => cores.include(endpoint),
                Command::Report(flow, ticket) => {
                    if let Some(report) = cores.report(flow, ticket) {
                        self.engine.report(report);
                    }
                }
                Command::Release(flow, before) => cores.release(flow, before),
                Command::Drop(flow) => cores.forget(flow),
                Command::Finish(job) => self.begin(*job),
            }
        }
    }

    fn begin(&mut self, job: Job) {
        let job = Arc::new(job);
        let begun = InHand { job: Arc::clone(&job), since: clock::instant(), failures: 0 };
        self.in_hand.insert(job.key, begun);
        if self.pool.is_full() && !self.waits_for_pool {
            self.waiting.push_back(job);
            return;
        }
        if self.pool.is_full() {
            self.collect(true);
        }
        self.pool.start(job);
    }

    /// Jobs that are not done.
    pub(crate) fn unfinished(&self) -> usize {
        self.pool.running() + self.waiting.len()
    }

    /// Jobs that wait for a thread.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Jobs that are not done, those that wait to be tried again among them.
    pub(crate) fn in_hand(&self) -> usize {
        self.in_hand.len()
    }

    /// How long the oldest of them has been waiting.
    pub(crate) fn oldest(&self) -> Duration {
        let since = self.in_hand.values().map(|it| it.since).min();
        since.map_or(Duration::ZERO, |since| clock::instant().duration_since(since))
    }

    /// What became of the jobs so far.
    pub(crate) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Seals recordings with this from now on.
    pub(crate) fn seal_for(&self, seals: Option<Seals>) {
        self.pool.seal_for(seals);
    }

    /// Recordings tell by this from now on.
    pub(crate) fn tell_by(&self, telling: Telling) {
        self.pool.tell_by(telling);
    }

    /// Does a job, if there is one that can be done and no thread that does it. False if there was none.
    pub(crate) fn step(&mut self) -> bool {
        self.pool.step()
    }

    /// Takes finished jobs back; with `wait`, at least one.
    pub(crate) fn collect(&mut self, mut wait: bool) {
        while let Some((key, done)) = self.pool.next(wait) {
            wait = false;
            match done {
                Ok(Done::Recorded { complete }) => {
                    self.tally.recorded += 1;
                    self.tally.incomplete += u64::from(!complete);
                }
                Ok(Done::AlreadyThere) => self.tally.already_there += 1,
                Ok(Done::NothingToKeep { packets }) => self.tally.unclaimed_packets += packets,
                // Not finished: so that its packets are not let go.
                Err(error) => {
                    self.failed(key, error);
                    continue;
                }
            }
            let failures = self.in_hand.remove(&key).map_or(0, |it| it.failures);
            self.tally.failed -= u64::from(failures > 0);
            self.engine.finished(key);
        }
        self.try_again(clock::instant());
        while !self.pool.is_full()
            && let Some(job) = self.waiting.pop_front()
        {
            self.pool.start(job);
        }
    }

    /// A job's first failure is told; those after it are no news.
    fn failed(&mut self, key: JobKey, error: Error) {
        let Some(InHand { job, failures, .. }) = self.in_hand.get_mut(&key) else { return };
        if *failures == 0 {
            self.tally.failed += 1;
            self.failure = Some(self.failure.take().unwrap_or(error));
        }
        if !self.waits_for_pool && !self.ending {
            let due = clock::instant() + retry_after(*failures);
            self.retries.push((due, Arc::clone(job)));
        }
        *failures += 1;
    }

    fn try_again(&mut self, now: Instant) {
        let due = self.retries.extract_if(.., |(due, _)| *due <= now);
        self.waiting.extend(due.map(|(_, job)| job));
    }

    /// Obeys until every job is done.
    fn drain(&mut self, cores: &mut impl Cores) {
        self.obey(cores);
        let progress = Progress::count(self.unfinished() as u64, "finishing");
        while self.unfinished() > 0 {
            self.collect(true);
            self.obey(cores);
            progress.left(self.unfinished() as u64);
        }
        progress.done();
    }

    /// Nothing more will be seen: every call ends, for `reason` if it was still up, and is finished.
    ///
    /// # Errors
    /// The first job that failed.
    pub(crate) fn end(&mut self, reason: EndReason, cores: &mut impl Cores) -> Result<()> {
        self.engine.end(reason);
        // What has failed is tried once more.
        self.ending = true;
        self.waiting.extend(self.retries.drain(..).map(|(_, job)| job));
        self.collect(false);
        self.drain(cores);
        // What the calls did not claim; and what came after that was found.
        for _ in 0..2 {
            self.engine.sweep();
            self.drain(cores);
        }
        self.check()
    }

    /// The first job that failed, once.
    pub(crate) fn check(&mut self) -> Result<()> {
        self.failure.take().map_or(Ok(()), Err)
    }

    /// Ends the threads, and gives the engine back.
    pub(crate) fn stop(self) -> Result<(Engine, Tally)> {
        self.pool.stop()?;
        Ok((self.engine, self.tally))
    }
}

fn retry_after(failures: u32) -> Duration {
    RETRY_AFTER.saturating_mul(2_u32.saturating_pow(failures)).min(RETRY_AFTER_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_tried_again_ever_more_rarely() {
        let seconds: Vec<_> = (0..8).map(|failures| retry_after(failures).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(retry_after(u32::MAX).as_secs(), 60);
    }
}
