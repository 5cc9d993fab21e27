//! Looks on while a recorder records: how its memory goes, and when a recording can be played.

use std::collections::HashSet;
use std::path::Path;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use base::{RecordingId, Timestamp};
use crossbeam::channel::{RecvTimeoutError, Sender, bounded};
use serde::Serialize;
use store::{Catalog, Cursor, Filter, Order};

use super::process::Process;
use crate::clock;
use crate::data_dir::DataDir;

/// How often the catalog is looked at, and so the error of what is told of it.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How often memory is noted.
const MEMORY_EVERY: Duration = Duration::from_secs(1);
/// Recordings that are read at once. The newest are looked at as long as there are new ones among so many: calls of one
/// length end about in the order in which they begin.
const PAGE: usize = 50;

/// How long after a call's end its recording could be played: stored whole, and found in the catalog.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Playable {
    /// Recordings of which it is known.
    pub(super) recordings: u64,
    /// Milliseconds, in the median.
    pub(super) median_ms: f64,
    /// The 99th percentile.
    pub(super) p99_ms: f64,
    /// At worst.
    pub(super) worst_ms: f64,
}

impl Playable {
    fn of(mut delays: Vec<f64>) -> Self {
        delays.sort_by(f64::total_cmp);
        let at = |part: f64| {
            let place = (delays.len() as f64 * part).ceil() as usize;
            delays.get(place.saturating_sub(1)).copied().unwrap_or_default()
        };
        Self {
            recordings: delays.len() as u64,
            median_ms: at(0.5),
            p99_ms: at(0.99),
            worst_ms: at(1.0),
        }
    }
}

/// What was seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) playable: Playable,
    /// Resident memory of each second, KiB.
    pub(super) memory_kib: Vec<u64>,
}

/// Somebody who looks on.
pub(super) struct Onlooker {
    end: Sender<()>,
    thread: JoinHandle<Result<Seen>>,
}

impl Onlooker {
    /// Begins to look at a recorder that works in a data folder.
    pub(super) fn start(process: Process, data: &Path) -> Result<Self> {
        let (end, ended) = bounded(0);
        let mut shelf = Shelf::new(DataDir::open(data)?);
        let look = move || {
            let (began, mut memory_kib) = (clock::instant(), Vec::new());
            loop {
                // A recorder that has just begun may have no catalog, or be making one.
                let looked = shelf.look();
                let seconds = began.elapsed().as_secs_f64() / MEMORY_EVERY.as_secs_f64();
                if seconds >= memory_kib.len() as f64 {
                    memory_kib.extend(process.kibibytes("VmRSS"));
                }
                if ended.recv_timeout(LOOK_EVERY) != Err(RecvTimeoutError::Timeout) {
                    looked?;
                    shelf.look_at_all()?;
                    return Ok(Seen { playable: Playable::of(shelf.delays), memory_kib });
                }
            }
        };
        let thread = std::thread::Builder::new().name("onlooker".into()).spawn(look);
        Ok(Self { end, thread: thread.context("cannot start a thread")? })
    }

    /// All is recorded: what was seen.
    pub(super) fn end(self) -> Result<Seen> {
        drop(self.end);
        self.thread.join().map_err(|_| anyhow!("the thread that looked on failed"))?
    }
}

/// The recordings so far.
struct Shelf {
    data: DataDir,
    catalog: Option<Catalog>,
    known: HashSet<RecordingId>,
    /// From a call's end until its recording was found, milliseconds.
    delays: Vec<f64>,
}

impl Shelf {
    fn new(data: DataDir) -> Self {
        Self { data, catalog: None, known: HashSet::new(), delays: Vec::new() }
    }

    /// Looks for new ones among the newest.
    fn look(&mut self) -> Result<()> {
        self.look_while(|new| new > 0)
    }

    /// Looks for new ones anywhere.
    fn look_at_all(&mut self) -> Result<()> {
        self.look_while(|_| true)
    }

    fn look_while(&mut self, mut goes_on: impl FnMut(usize) -> bool) -> Result<()> {
        if self.catalog.is_none() && self.data.has_catalog()? {
            self.catalog = Some(Catalog::open_existing(&self.data.catalog()?)?);
        }
        let Some(catalog) = &self.catalog else { return Ok(()) };
        let (mut after, mut new) = (None, Vec::new());
        loop {
            let page = catalog.find(&Filter::default(), Order::Latest, after.as_ref(), PAGE)?;
            let before = new.len();
            let unknown = page.iter().filter(|it| !self.known.contains(&it.id));
            new.extend(unknown.map(|it| (it.id, it.stop_time)));
            after = page.last().map(Cursor::behind);
            if page.len() < PAGE || !goes_on(new.len() - before) {
                break;
            }
        }
        let now = clock::now();
        self.known.extend(new.iter().map(|(id, _)| *id));
        self.delays.extend(new.iter().map(|(_, stopped)| milliseconds(now, *stopped)));
        Ok(())
    }
}

fn milliseconds(now: Timestamp, then: Timestamp) -> f64 {
    now.since(then).as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_of_what_was_measured() {
        let playable = Playable::of((1..=200).rev().map(f64::from).collect());
        let expected =
            Playable { recordings: 200, median_ms: 100.0, p99_ms: 198.0, worst_ms: 200.0 };
        assert_eq!(playable, expected);
        assert_eq!(Playable::of(Vec::new()), Playable::default());
    }
}
