//! The threads that finish calls.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use crossbeam::channel::{Receiver, Sender, unbounded};
use seal::Sealer;
use store::Recordings;

use super::keeper::{Finished, Keeper, Ready};
use super::{Done, Finisher, Made};
use crate::engine::{Job, JobKey};

/// Jobs at once, per thread: one being done, some that wait or are being stored, so that no thread runs dry.
const JOBS_PER_THREAD: usize = 16;

/// Finishes jobs on threads of its own and gives the results back.
pub(crate) struct Pool {
    threads: rayon::ThreadPool,
    finisher: Arc<Finisher>,
    keeper: Keeper,
    running: usize,
    done: (Sender<Finished>, Receiver<Finished>),
}

impl Pool {
    /// `recordings` and `catalog` are where the recordings go.
    pub(crate) fn new(
        finisher: Finisher,
        recordings: Arc<Recordings>,
        catalog: PathBuf,
        threads: usize,
    ) -> Result<Self> {
        let threads = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|number| format!("finish-{number}"))
            .build()
            .context("cannot start the threads that finish calls")?;
        let done = unbounded();
        let keeper = Keeper::start(recordings, catalog, done.0.clone())?;
        Ok(Self { threads, finisher: Arc::new(finisher), keeper, running: 0, done })
    }

    /// Jobs that are not done.
    pub(crate) fn running(&self) -> usize {
        self.running
    }

    /// Whether another job would only wait, and keep its call's packets in memory meanwhile.
    pub(crate) fn is_full(&self) -> bool {
        self.running >= self.threads.current_num_threads() * JOBS_PER_THREAD
    }

    /// Seals with this from now on.
    pub(crate) fn seal_for(&self, sealer: Option<Sealer>) {
        self.finisher.seal_for(sealer);
    }

    /// Begins a job.
    pub(crate) fn start(&mut self, job: Arc<Job>) {
        let finisher = Arc::clone(&self.finisher);
        let (keep, done) = (self.keeper.sender(), self.done.0.clone());
        self.running += 1;
        self.threads.spawn(move || run(&finisher, &job, &keep, &done));
    }

    /// The next result, if there is one; with `wait`, as soon as there is one, if any job runs.
    pub(crate) fn next(&mut self, wait: bool) -> Option<(JobKey, Result<Done>)> {
        let result = match wait && self.running > 0 {
            true => self.done.1.recv().ok(),
            false => self.done.1.try_recv().ok(),
        };
        self.running -= usize::from(result.is_some());
        result
    }

    /// Ends the threads. What was begun is finished and stored.
    pub(crate) fn stop(self) -> Result<()> {
        drop(self.threads);
        self.keeper.stop()
    }
}

fn run(finisher: &Finisher, job: &Job, keep: &Sender<Ready>, done: &Sender<Finished>) {
    let result = match finisher.finish(job) {
        Ok(Made::Recording { recording, files, existing }) => {
            let ready = Ready { key: job.key, recording: *recording, files, existing };
            match keep.send(ready) {
                Ok(()) => return,
                Err(_) => Err(anyhow::anyhow!("the thread that stores recordings has ended")),
            }
        }
        Ok(Made::Nothing(done)) => Ok(done),
        Err(error) => Err(error),
    };
    // The other end is only gone when nobody waits for results any more.
    let _ = done.send((job.key, result));
}
