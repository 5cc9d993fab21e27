//! Storing recordings, whatever is down around it.
//!
//! ```text
//! finishers ──► keeper: place, then catalog ──► done
//!                  │ either is down                      ▲
//!                  ▼                                     │ oldest first, as soon as both are up
//!               spooler: DIR/spool, on the local disk ───┘
//! ```
//!
//! A flush costs the same for one recording as for fifty, so what has come together while the last flush ran is
//! stored together. A job is done when its recording is durable at its place and in the catalog, or durable in
//! the spool; what cannot even be spooled stays in the journal, and its job is tried again. A keeper that hangs in
//! a file system which does not answer is not waited for: the spooler takes over what comes.
//!
//! Without a spool (`replay`), whatever fails is an error at once.

mod backoff;
mod own_place;
mod places;
mod shelf;
mod spool;
mod standing;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use base::RecordingId;
use base::recording::Recording;
use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use store::{Catalog, Existing, Files, METADATA_NAME, Recordings};

use self::backoff::Backoff;
pub(crate) use self::own_place::OwnPlace;
pub(crate) use self::places::Places;
use self::shelf::{Shelf, borrowed};
use self::spool::Spool;
pub(crate) use self::standing::Standing;
use super::{Done, replaces, was_cut_short};
use crate::clock;
use crate::engine::Job;
use crate::priority;

/// Recordings stored together.
const BATCH_MAX: usize = 64;
/// How often the keeper looks at what is down, or waits.
const TEND_EVERY: Duration = Duration::from_millis(200);
/// How often the spooler looks whether the keeper hangs.
const WATCH_EVERY: Duration = Duration::from_millis(200);
/// How long the end waits for a keeper that hangs.
const END_WITHIN: Duration = Duration::from_secs(15);

/// A job's end.
pub(crate) struct Finished {
    pub(crate) job: Arc<Job>,
    pub(crate) result: Result<Done>,
}

/// A recording that is ready to be stored.
pub(crate) struct Ready {
    pub(crate) job: Arc<Job>,
    pub(crate) recording: Recording,
    /// Name and content of each file of its folder.
    pub(crate) files: Files,
    /// Who waits for it.
    pub(crate) done: Sender<Finished>,
}

impl Ready {
    fn ended(self, result: Result<Done>) {
        // The other end is only gone when nobody waits for results any more.
        let _ = self.done.send(Finished { job: self.job, result });
    }

    fn failed(self, error: &str) {
        self.ended(Err(anyhow!("{error}")));
    }
}

/// What goes to the spool.
enum Waiting {
    /// All of it.
    Whole(Ready),
    /// It is stored: the row only.
    Row { ready: Ready, recording: Box<Recording>, done: Done },
}

impl Waiting {
    fn id(&self) -> RecordingId {
        self.recording().id
    }

    fn recording(&self) -> &Recording {
        match self {
            Self::Whole(ready) => &ready.recording,
            Self::Row { recording, .. } => recording,
        }
    }

    fn files(&self) -> Vec<(&str, &[u8])> {
        match self {
            Self::Whole(ready) => borrowed(&ready.files),
            Self::Row { ready, .. } => {
                let mut files = borrowed(&ready.files);
                files.retain(|(name, _)| name.starts_with(METADATA_NAME));
                files
            }
        }
    }

    fn ended(self) {
        match self {
            Self::Whole(ready) => {
                let complete = ready.recording.complete;
                ready.ended(Ok(Done::Recorded { complete }));
            }
            Self::Row { ready, done, .. } => ready.ended(Ok(done)),
        }
    }

    fn failed(self, error: &str) {
        match self {
            Self::Whole(ready) | Self::Row { ready, .. } => ready.failed(error),
        }
    }
}

/// The threads that store, and the way to them.
pub(crate) struct Storage {
    places: Places,
    standing: Arc<Standing>,
    to: Mutex<Option<Sender<Ready>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// What the threads would do, if there are none.
    steps: Option<Mutex<(Steps, Receiver<Ready>)>>,
    stopping: Arc<AtomicBool>,
    /// For questions; opened when the first is asked.
    catalog: Mutex<Option<Catalog>>,
}

impl Storage {
    /// Starts the threads.
    ///
    /// # Errors
    /// A thread cannot be started; without a spool, also what cannot be opened.
    pub(crate) fn start(places: Places, standing: Arc<Standing>) -> Result<Arc<Self>> {
        let (to, ready) = unbounded();
        let (to_spool, for_spool) = unbounded();
        let spool = places.spool.as_ref().map(|path| {
            Arc::new(Spool::new(Arc::clone(&places.disk), path, places.spool_keeps_free))
        });
        let mut shelf = Shelf::new(places.clone(), spool.clone(), Arc::clone(&standing));
        if spool.is_none() {
            shelf.open()?;
        }
        let stopping = Arc::new(AtomicBool::new(false));
        let place = places.recordings.clone();
        let mut threads = Vec::new();
        if let Some(spool) = spool {
            standing.waiting(spool.len());
            let spooler = Spooler {
                spool,
                places: places.clone(),
                standing: Arc::clone(&standing),
                stopping: Arc::clone(&stopping),
            };
            let ready = ready.clone();
            threads.push(thread("spooler", move || spooler.run(&for_spool, &ready))?);
        }
        let ours = Arc::clone(&standing);
        threads.push(thread("keeper", move || keeper(shelf, &ready, &to_spool, &ours, &place))?);
        let (to, threads) = (Mutex::new(Some(to)), Mutex::new(threads));
        let catalog = Mutex::default();
        Ok(Arc::new(Self { places, standing, to, threads, steps: None, stopping, catalog }))
    }

    /// Without threads: [`Storage::step`] stores.
    pub(crate) fn stepped(places: Places, standing: Arc<Standing>) -> Arc<Self> {
        let (to, ready) = unbounded();
        let steps = Some(Mutex::new((Steps::new(places.clone(), &standing), ready)));
        Arc::new(Self {
            places,
            standing,
            to: Mutex::new(Some(to)),
            threads: Mutex::default(),
            steps,
            stopping: Arc::default(),
            catalog: Mutex::default(),
        })
    }

    /// Stores what has come, and sees to what could not be stored before. False if nothing had come.
    pub(crate) fn step(&self) -> bool {
        let Some(steps) = &self.steps else { return false };
        let mut steps = steps.lock().unwrap_or_else(PoisonError::into_inner);
        let (steps, ready) = &mut *steps;
        let batch: Vec<Ready> = ready.try_iter().take(BATCH_MAX).collect();
        let any = !batch.is_empty();
        if any {
            steps.keep(batch, clock::instant());
        }
        steps.tend(clock::instant());
        any
    }

    /// Stores a recording; whoever waits for it is told.
    pub(crate) fn keep(&self, ready: Ready) {
        let to = self.to.lock().unwrap_or_else(PoisonError::into_inner);
        match &*to {
            Some(to) => {
                if let Err(refused) = to.send(ready) {
                    refused.0.failed("the thread that stores recordings has ended");
                }
            }
            None => ready.failed("nothing is stored any more"),
        }
    }

    /// How storing is doing.
    pub(crate) fn standing(&self) -> &Arc<Standing> {
        &self.standing
    }

    /// Whether an earlier run has made this recording, and there can be nothing to add: then it need not be made
    /// again. While anything is down, nobody knows.
    pub(crate) fn is_known(&self, id: RecordingId) -> bool {
        let folder = self.places.recordings.join(id.to_string());
        // Most are new: the folder, which is asked in no time, says so.
        if !self.standing.is_up() || !self.places.disk.exists(&folder).unwrap_or(false) {
            return false;
        }
        let mut catalog = self.catalog.lock().unwrap_or_else(PoisonError::into_inner);
        if catalog.as_ref().is_none_or(|catalog| !catalog.is_in_place()) {
            let patience = self.places.catalog_patience;
            *catalog = Catalog::open_existing_within(&self.places.catalog, patience).ok();
        }
        let known = catalog.as_ref().and_then(|catalog| catalog.get(id).ok());
        known.is_some_and(|known| !was_cut_short(&known))
    }

    /// Stores what has come, and ends the threads; but does not wait for ever for one that hangs.
    ///
    /// # Errors
    /// A thread failed, or hangs. What it had in hand stays in the journal.
    pub(crate) fn stop(&self) -> Result<()> {
        self.to.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.stopping.store(true, Ordering::Release);
        let threads =
            std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        let until = clock::instant() + END_WITHIN;
        for thread in threads {
            while !thread.is_finished() && (!self.standing.is_stuck() || clock::instant() < until) {
                std::thread::sleep(Duration::from_millis(2));
            }
            if !thread.is_finished() {
                return Err(anyhow!(
                    "{} does not answer: what was being stored there stays in the journal",
                    self.places.recordings.display()
                ));
            }
            thread.join().map_err(|_| anyhow!("the thread that stores recordings failed"))?;
        }
        Ok(())
    }
}

impl Drop for Storage {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            tracing::error!("{error:#}");
        }
    }
}

fn thread(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name(name.into())
        .spawn(|| {
            priority::like_others();
            run();
        })
        .context("cannot start a thread that stores recordings")
}

/// The keeper's thread, until nothing can come any more.
fn keeper(
    mut shelf: Shelf,
    ready: &Receiver<Ready>,
    to_spool: &Sender<Vec<Waiting>>,
    standing: &Standing,
    place: &Path,
) {
    let mut more = false;
    loop {
        match ready.recv_timeout(if more { Duration::ZERO } else { TEND_EVERY }) {
            Ok(first) => {
                let mut batch = vec![first];
                batch.extend(ready.try_iter().take(BATCH_MAX - 1));
                standing.begins(batch.len());
                let waiting = shelf.keep(batch, clock::instant());
                standing.is_done(place);
                if !waiting.is_empty() {
                    // The other end is there as long as this one, if there is a spool; else nothing waits.
                    let _ = to_spool.send(waiting);
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        standing.begins(0);
        more = shelf.tend(clock::instant());
        standing.is_done(place);
    }
}

/// The thread that puts recordings into the spool.
struct Spooler {
    spool: Arc<Spool>,
    places: Places,
    standing: Arc<Standing>,
    stopping: Arc<AtomicBool>,
}

impl Spooler {
    fn run(&self, for_spool: &Receiver<Vec<Waiting>>, ready: &Receiver<Ready>) {
        loop {
            match for_spool.recv_timeout(WATCH_EVERY) {
                Ok(waiting) => self.put(waiting),
                Err(RecvTimeoutError::Timeout) if self.standing.is_stuck() => {
                    let waiting: Vec<_> =
                        ready.try_iter().take(BATCH_MAX).map(Waiting::Whole).collect();
                    if waiting.is_empty() && self.stopping.load(Ordering::Acquire) {
                        return;
                    }
                    self.put(waiting);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn put(&self, waiting: Vec<Waiting>) {
        if waiting.is_empty() {
            return;
        }
        let results = self.spool.put(&waiting, |folder, waiting| self.existing(folder, waiting));
        match results {
            Ok(results) => {
                for (waiting, result) in waiting.into_iter().zip(results) {
                    match result {
                        Ok(()) => waiting.ended(),
                        Err(error) => waiting.failed(&error.to_string()),
                    }
                }
            }
            Err(error) => {
                let error = error.to_string();
                waiting.into_iter().for_each(|waiting| waiting.failed(&error));
            }
        }
        self.standing.waiting(self.spool.len());
    }

    /// What to do with one that waits already.
    fn existing(&self, folder: &Recordings, waiting: &Waiting) -> Existing {
        let id = waiting.id();
        let kept = || self.places.metadata(folder, id).ok().flatten();
        match folder.contains(id).then(kept).flatten() {
            Some(kept) if replaces(waiting.recording(), &kept) => Existing::Supersede,
            _ => Existing::Keep,
        }
    }
}

/// A step at a time: what the keeper and the spooler do, on a clock of the caller's.
pub(super) struct Steps {
    shelf: Shelf,
    spooler: Option<Spooler>,
}

impl Steps {
    pub(super) fn new(places: Places, standing: &Arc<Standing>) -> Self {
        let spool = places.spool.as_ref().map(|path| {
            Arc::new(Spool::new(Arc::clone(&places.disk), path, places.spool_keeps_free))
        });
        let spooler = spool.clone().map(|spool| Spooler {
            spool,
            places: places.clone(),
            standing: Arc::clone(standing),
            stopping: Arc::default(),
        });
        Self { shelf: Shelf::new(places, spool, Arc::clone(standing)), spooler }
    }

    #[cfg(test)]
    /// Recordings in the spool.
    pub(super) fn waiting(&self) -> usize {
        self.spooler.as_ref().map_or(0, |spooler| spooler.spool.len())
    }

    pub(super) fn keep(&mut self, batch: Vec<Ready>, now: Instant) {
        let waiting = self.shelf.keep(batch, now);
        match &self.spooler {
            Some(spooler) => spooler.put(waiting),
            None => assert!(waiting.is_empty()),
        }
    }

    pub(super) fn tend(&mut self, now: Instant) -> bool {
        self.shelf.tend(now)
    }
}
