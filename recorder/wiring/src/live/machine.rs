//! The recorder as steps: what `spanreel run` does on its threads, one turn of one part at a time, in an order and
//! at times of the caller's choice.
//!
//! A turn is what the part's thread does between two looks at its clock: [`Machine::core`] of a capture core,
//! [`Machine::journal`] of the thread that writes its journal, [`Machine::dialog`], [`Machine::finish`] of the
//! threads that finish and store calls. The disk is the caller's. Only the catalog is a file of the system's: SQLite
//! does its own I/O.
//!
//! Invariant: no thread is started and no clock read; the thread that steps a machine tells it the time first
//! ([`Machine::set_time`]).

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use base::disk::Disk;
use base::{Ledger, Timestamp};
use capture::{CaptureError, Frame, LinkType, Poll, Source};
use journal::{Appender, Journal, JournalKey, Recovered, SourceId, WriterOptions};
use media::Params;
use seal::{Certificate, Signer};
use store::DatabasePlace;

use super::core::Core;
use super::cores::{Handle, LiveCores};
use super::exchange::Exchange;
use super::lines::rings_for;
use super::tap::{Tap, TapCounts};
use super::{PATIENCE, RELEASE_EVERY};
use crate::alarms::Board;
use crate::clock;
use crate::conductor::Conductor;
use crate::engine::Engine;
use crate::finish::{Finisher, Places, Pool, Standing, Storage};
use crate::outages::Outages;
use crate::worker::Worker;

/// Messages on their way from a core to the dialog: a simulated core sees few.
const MESSAGES_MAX: usize = 64;
/// Buffers of a simulated journal.
const WRITER: WriterOptions = WriterOptions {
    flows_max: 64,
    chunks_max: 256,
    large_chunks_max: 8,
    segment_bytes_max: 256 * 1024,
    live: true,
    hold: false,
};

/// Keys that a machine needs; made once for many.
#[derive(Clone)]
pub struct Keys {
    journal: JournalKey,
    node: Vec<u8>,
    certificate: Vec<u8>,
}

impl Keys {
    /// A journal key of these bytes; a node's private key and certificate (PEM).
    #[must_use]
    pub fn new(journal: [u8; 32], node: &[u8], certificate: &[u8]) -> Self {
        let (node, certificate) = (node.to_vec(), certificate.to_vec());
        Self { journal: JournalKey::from_bytes(journal), node, certificate }
    }
}

/// What a machine is made of.
#[derive(Clone)]
pub struct Settings {
    /// Journal, spool and recordings are on this.
    pub disk: Arc<dyn Disk>,
    /// The data folder on that disk.
    pub data: PathBuf,
    /// The catalog: a file of the system's.
    pub catalog: PathBuf,
    /// Its keys. Recordings are not sealed, but signed.
    pub keys: Keys,
    /// Capture cores.
    pub cores: u8,
}

impl Settings {
    /// Where recordings are.
    #[must_use]
    pub fn recordings(&self) -> PathBuf {
        self.data.join(store::RECORDINGS_NAME)
    }

    /// Where the catalog is.
    #[must_use]
    pub fn place_of_catalog(&self) -> DatabasePlace {
        DatabasePlace::File(self.catalog.clone())
    }

    fn places(&self) -> Places {
        Places {
            disk: Arc::clone(&self.disk),
            spool: Some(self.data.join("spool")),
            ..Places::new(self.recordings(), self.place_of_catalog(), "sim".into())
        }
    }
}

/// What a turn of a journal's thread came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Journaled {
    /// Everything that was sealed before this turn is durable.
    Durable,
    /// Some of it may wait.
    Waiting,
    /// The disk refused.
    Failed,
}

/// A recorder that is stepped.
pub struct Machine {
    journal: Journal,
    cores: Vec<Core<Queue>>,
    appenders: Vec<Appender>,
    exchange: Exchange,
    storage: Arc<Storage>,
    earlier: Option<Earlier>,
    outages: Arc<Outages>,
    began_at: Timestamp,
    release_due: Timestamp,
}

/// What earlier runs left.
enum Earlier {
    /// It is to be told to the engine.
    Read(Recovered),
    /// The engine knows it; it goes when it is done with it, unless not all of it could be read.
    Known { all: bool },
}

impl Machine {
    /// Tells the time to the machine that this thread steps: the wall clock, and how much time has passed since
    /// whenever, which never runs backwards.
    pub fn set_time(wall: Timestamp, passed: Duration) {
        clock::simulate(wall, passed);
    }

    /// Starts a recorder on what is in its data folder.
    ///
    /// # Errors
    /// What cannot be opened or read.
    pub fn start(settings: &Settings) -> Result<Self> {
        let (began_at, keys) = (clock::now(), &settings.keys);
        base::disk::create_folders(&*settings.disk, &settings.data, 0o750)?;
        // Making it anew from the folders is the system's disk's.
        drop(store::Catalog::open(&settings.place_of_catalog())?);
        let places = journal::Places {
            disk: Arc::clone(&settings.disk),
            folder: settings.data.join("journal"),
            second: None,
            arena: None,
        };
        let journal = Journal::open(places, keys.journal.clone(), SourceId::default())?;
        let earlier = journal.recover()?;
        let (mut cores, mut appenders, mut handles) = (Vec::new(), Vec::new(), Vec::new());
        for number in 0..settings.cores {
            let (writer, appender) = journal.core(number, &WRITER, began_at)?;
            let (lines, (core, dialog, _)) = (Arc::default(), rings_for(MESSAGES_MAX));
            handles.push(Handle::stepped(number, Arc::clone(&lines), dialog));
            cores.push(Core::new(Queue::default(), Worker::new(writer), (lines, core)));
            appenders.push(appender);
        }
        let outages = Arc::new(Outages::default());
        let standing = Arc::new(Standing::new(Board::new()));
        let storage = Storage::stepped(settings.places(), standing);
        let signer = Signer::new(&keys.node, Certificate::parse(&keys.certificate)?)?;
        let own = (None, signer);
        let finisher = Finisher::new(
            journal.reader(),
            Params::default(),
            own,
            Arc::clone(&storage),
            "sim".into(),
        )
        .with_outages(Arc::clone(&outages));
        let pool = Pool::stepped(finisher, Arc::clone(&storage));
        let conductor = Conductor::new(Engine::new(true), pool).never_waiting();
        Ok(Self {
            journal,
            cores,
            appenders,
            exchange: Exchange::new(LiveCores::new(handles, None), conductor),
            storage,
            earlier: Some(Earlier::Read(earlier)),
            outages,
            began_at,
            release_due: began_at,
        })
    }

    /// A frame comes to a core; it is taken in the core's next turn.
    pub fn arrive(&mut self, core: usize, time: Timestamp, bytes: &[u8], wire_bytes: usize) {
        if let Some(core) = self.cores.get_mut(core) {
            core.tap().frames.push_back((time, bytes.to_vec(), wire_bytes as u32));
        }
    }

    /// A turn of a capture core's thread.
    pub fn core(&mut self, core: usize) {
        if let Some(core) = self.cores.get_mut(core) {
            core.turn();
        }
    }

    /// A turn of a journal's thread.
    pub fn journal(&mut self, core: usize) -> Journaled {
        let (Some(appender), Some(handle)) =
            (self.appenders.get_mut(core), self.exchange.cores.handles.get(core))
        else {
            return Journaled::Waiting;
        };
        let needed_from = handle.lines.needed_from();
        match crate::journal_thread::turn(appender, needed_from) {
            Ok(_) if appender.is_durable() => Journaled::Durable,
            Ok(_) => Journaled::Waiting,
            Err(_) => Journaled::Failed,
        }
    }

    /// A turn of the dialog thread.
    pub fn dialog(&mut self) {
        let now = clock::now();
        if let Some(Earlier::Read(recovered)) = self.earlier.take() {
            let taken_up = self.exchange.take_up(recovered, &self.journal.reader(), &mut || {});
            self.earlier = Some(Earlier::Known { all: taken_up.is_ok() });
            if let Err(error) = taken_up {
                tracing::error!("not all of an earlier run's journal could be read: {error:#}");
            }
            self.exchange.unseen(self.began_at, &self.outages);
        }
        let told = self.exchange.cores.told_until(now.minus(PATIENCE));
        self.exchange.turn(told);
        if let Err(failure) = self.exchange.conductor.check() {
            tracing::warn!(
                "a call could not be finished; its packets stay in the journal: {failure:#}"
            );
        }
        if now >= self.release_due {
            self.release_due = now.plus(RELEASE_EVERY);
            self.release();
        }
    }

    fn release(&mut self) {
        let needed_since = self.exchange.conductor.engine.needed_since();
        self.exchange.cores.release_signalling(needed_since);
        let known = matches!(self.earlier, Some(Earlier::Known { all: true }));
        let done = known && !self.exchange.conductor.engine.needs_recovered();
        if done && self.journal.discard_earlier_runs().is_ok() {
            (self.earlier, self.exchange.past) = (None, Default::default());
        }
    }

    /// A turn of the threads that finish calls, and of the one that stores them. True if there was something.
    pub fn finish(&mut self) -> bool {
        let finished = self.exchange.conductor.step();
        self.storage.step();
        self.exchange.conductor.collect(false);
        finished
    }

    /// Ends it as a service manager does: what is up is interrupted, everything is finished and stored.
    ///
    /// # Errors
    /// What could not be.
    pub fn stop(mut self) -> Result<()> {
        for (core, handle) in self.cores.drain(..).zip(&mut self.exchange.cores.handles) {
            handle.has_ended(core.end());
        }
        let late = self.exchange.cores.take_over()?;
        self.exchange.hear_all();
        for report in late {
            self.exchange.conductor.engine.report(report);
        }
        for appender in &mut self.appenders {
            appender.sync()?;
        }
        // What failed before is tried once more, and told if it fails again.
        let _ = self.exchange.conductor.check();
        self.exchange.end_calls()?;
        let Self { exchange, .. } = self;
        let Exchange { cores, conductor, .. } = exchange;
        drop(cores);
        conductor.stop().map(drop)
    }

    /// What a core has counted.
    #[must_use]
    pub fn ledger(&self, core: usize) -> Option<&Ledger> {
        self.cores.get(core).map(Core::ledger)
    }

    /// Calls that are neither stored nor given up, and jobs that are not done; what earlier runs left is one.
    #[must_use]
    pub fn open(&self) -> usize {
        let conductor = &self.exchange.conductor;
        let untold = usize::from(matches!(self.earlier, Some(Earlier::Read(_))));
        conductor.engine.calls_open() + conductor.in_hand() + untold
    }
}

/// Frames that have come to a core.
#[derive(Default)]
struct Queue {
    frames: VecDeque<(Timestamp, Vec<u8>, u32)>,
    received: u64,
}

impl Source for Queue {
    fn poll(&mut self, on_frame: &mut impl FnMut(Frame<'_>)) -> Result<Poll, CaptureError> {
        let frames = self.frames.len();
        for (time, data, wire_bytes) in self.frames.drain(..) {
            self.received += 1;
            let number = self.received;
            on_frame(Frame { time, link: LinkType::Ethernet, data: &data, wire_bytes, number });
        }
        Ok(if frames == 0 { Poll::Idle } else { Poll::Frames(frames) })
    }
}

impl Tap for Queue {
    fn stop(&mut self) -> Result<(), CaptureError> {
        Ok(())
    }

    fn look(&mut self) -> Result<(), CaptureError> {
        Ok(())
    }

    fn counts(&mut self) -> TapCounts {
        TapCounts { received: self.received, ..TapCounts::default() }
    }

    fn delay(&self) -> Duration {
        Duration::ZERO
    }
}

/// Frames that a core had no room for anywhere.
#[must_use]
pub fn refused(ledger: &Ledger) -> u64 {
    ledger.of_class(base::ledger::Class::Dropped)
}
