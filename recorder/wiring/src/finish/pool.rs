//! The threads that finish calls.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use crossbeam::channel::{Receiver, Sender, unbounded};

use super::storage::{Finished, Ready, Storage};
use super::{Done, Finisher, Made, Seals, name_of};
use crate::engine::{Job, JobKey};
use crate::priority;
use crate::telling::Telling;

/// Jobs at once, per thread: one being done, some that wait or are being stored, so that no thread runs dry.
const JOBS_PER_THREAD: usize = 16;
/// How often one who waits looks whether there is still something to wait for.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Finishes jobs on threads of its own and gives the results back.
pub(crate) struct Pool {
    /// None: [`Pool::step`] does the jobs.
    threads: Option<rayon::ThreadPool>,
    queued: VecDeque<Arc<Job>>,
    finisher: Arc<Finisher>,
    storage: Arc<Storage>,
    /// Being done, or stored.
    out: HashSet<JobKey>,
    done: (Sender<Finished>, Receiver<Finished>),
}

impl Pool {
    /// What `finisher` makes is stored by `storage`.
    pub(crate) fn new(finisher: Finisher, storage: Arc<Storage>, threads: usize) -> Result<Self> {
        let threads = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|number| format!("finish-{number}"))
            .start_handler(|_| priority::like_others())
            .build()
            .context("cannot start the threads that finish calls")?;
        Ok(Self { threads: Some(threads), ..Self::stepped(finisher, storage) })
    }

    /// Without threads: a job is done in a step.
    pub(crate) fn stepped(finisher: Finisher, storage: Arc<Storage>) -> Self {
        Self {
            threads: None,
            queued: VecDeque::new(),
            finisher: Arc::new(finisher),
            storage,
            out: HashSet::new(),
            done: unbounded(),
        }
    }

    /// Does the first job whose packets are in the journal's files, and stores what is ready. False if there was
    /// nothing to do.
    pub(crate) fn step(&mut self) -> bool {
        let ready = self.queued.iter().position(|job| self.finisher.can_read(job));
        let job = ready.and_then(|place| self.queued.remove(place));
        let any = job.is_some();
        if let Some(job) = job {
            run(&self.finisher, &self.storage, job, self.done.0.clone());
        }
        self.storage.step() || any
    }

    /// Jobs that are not done.
    pub(crate) fn running(&self) -> usize {
        self.out.len()
    }

    /// Whether another job would only wait, and keep its call's packets in memory meanwhile. Jobs that hang with
    /// the disk do not count: others are stored elsewhere.
    pub(crate) fn is_full(&self) -> bool {
        let moving = self.out.len().saturating_sub(self.storage.standing().stuck());
        let threads = self.threads.as_ref().map_or(1, rayon::ThreadPool::current_num_threads);
        moving >= threads * JOBS_PER_THREAD
    }

    /// Seals with this from now on.
    pub(crate) fn seal_for(&self, seals: Option<Seals>) {
        self.finisher.seal_for(seals);
    }

    /// Recordings tell by this from now on.
    pub(crate) fn tell_by(&self, telling: Telling) {
        self.finisher.tell_by(telling);
    }

    /// Begins a job.
    pub(crate) fn start(&mut self, job: impl Into<Arc<Job>>) {
        let job = job.into();
        self.out.insert(job.key);
        let Some(threads) = &self.threads else { return self.queued.push_back(job) };
        let (finisher, storage) = (Arc::clone(&self.finisher), Arc::clone(&self.storage));
        let done = self.done.0.clone();
        threads.spawn(move || run(&finisher, &storage, job, done));
    }

    /// The next result, if there is one; with `wait`, as soon as there is one, if any job runs. A job that failed
    /// can be begun again: its packets are still in the journal.
    pub(crate) fn next(&mut self, wait: bool) -> Option<(JobKey, Result<Done>)> {
        loop {
            let Some(Finished { job, result }) = self.receive(wait) else {
                return if wait { self.give_up() } else { None };
            };
            // One that was given up may come after all.
            if !self.out.remove(&job.key) {
                continue;
            }
            if let Err(error) = &result {
                let told = format!("{} waits in the journal: {error:#}", name_of(&job));
                self.storage.standing().finishing_failed(told);
            }
            return Some((job.key, result));
        }
    }

    /// With `wait`, as long as one may come.
    fn receive(&mut self, wait: bool) -> Option<Finished> {
        while wait && self.threads.is_none() && self.done.1.is_empty() && self.step() {}
        if !wait || self.threads.is_none() {
            return self.done.1.try_recv().ok();
        }
        while self.out.len() > self.storage.standing().stuck() {
            if let Ok(finished) = self.done.1.recv_timeout(LOOK_EVERY) {
                return Some(finished);
            }
        }
        self.done.1.try_recv().ok()
    }

    /// The failure of a job that hangs.
    fn give_up(&mut self) -> Option<(JobKey, Result<Done>)> {
        let stuck = *self.out.iter().next()?;
        self.out.remove(&stuck);
        let error = anyhow!("where recordings go does not answer; the call stays in the journal");
        Some((stuck, Err(error)))
    }

    /// Ends the threads. What was begun is finished and stored.
    pub(crate) fn stop(self) -> Result<()> {
        drop(self.threads);
        Ok(())
    }
}

fn run(finisher: &Finisher, storage: &Storage, job: Arc<Job>, done: Sender<Finished>) {
    let result = match finisher.attempt(&job) {
        Ok(Made::Recording { recording, files }) => {
            return storage.keep(Ready { job, recording: *recording, files, done });
        }
        Ok(Made::Nothing(done)) => Ok(done),
        Err(error) => Err(error),
    };
    // The other end is only gone when nobody waits for results any more.
    let _ = done.send(Finished { job, result });
}
