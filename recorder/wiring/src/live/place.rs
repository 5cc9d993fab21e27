//! Where a live run puts things: the data folder, its journal and recordings, and the threads that finish calls.

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Context as _, Result};
use base::disk::SystemDisk;
use journal::{Journal, JournalKey, Recovered, SourceId, WriterOptions};
use media::{Layout, Params};
use seal::Sha256Hasher;

use super::clocks::Clocks;
use super::memory::Memory;
use super::watched;
use super::window::Sources;
use crate::alarms::{Board, Scene};
use crate::conductor::Conductor;
use crate::config::Config;
use crate::data_dir::{DataDir, node_name};
use crate::disk_watch::{Admission, DiskWatch, Marks, Watched};
use crate::engine::Engine;
use crate::finish::{Finisher, Heard, Losses, Places, Pool, Seals, Standing, Storage};
use crate::journal_thread::Health;
use crate::outages::Outages;
use crate::recovery;

/// The spool leaves this part of `disk_critical` free.
const SPOOL_PART: u64 = 4;

/// The data folder, open.
pub(super) struct Place {
    config: Config,
    data: DataDir,
    clocks: Clocks,
    memory: Memory,
    journal: Journal,
    admission: Admission,
    running: OnceLock<Running>,
    losses: Arc<Losses>,
    heard: Arc<Heard>,
    outages: Arc<Outages>,
}

/// What has threads.
struct Running {
    storage: Arc<Storage>,
    disks: DiskWatch,
}

impl Place {
    /// Opens it, making what is not there.
    ///
    /// # Errors
    /// A folder that cannot be made or written, another process that has it, keys that do not fit.
    pub(super) fn open(config: &Config) -> Result<Self> {
        let data = DataDir::create(&config.data)?;
        let clocks = Clocks::begin(&data)?;
        let key = JournalKey::load_or_create(&data.journal_key())?;
        let memory = Memory::open(&config.data);
        let journal = open_journal(&data, key, config, &memory)?;
        let admission = Admission::default();
        let losses = Arc::new(Losses::default());
        let outages = Arc::new(Outages::default());
        data.read_outages()?.into_iter().for_each(|outage| outages.add(outage));
        let place = Self {
            config: config.clone(),
            data,
            clocks,
            memory,
            journal,
            admission,
            running: OnceLock::new(),
            losses,
            heard: Arc::default(),
            outages,
        };
        // What is wrong with the keys is said before anything is captured.
        place.seals(config)?;
        place.data.signer()?;
        Ok(place)
    }

    /// Starts the threads that store recordings and watch the disks; what they find is set on `board`. They have
    /// the privileges that this thread has now.
    ///
    /// # Errors
    /// A thread cannot be started, or the data folder not be written.
    pub(super) fn start(&self, board: &Board) -> Result<()> {
        let standing = Arc::new(Standing::new(board.clone()));
        let storage = Storage::start(places(&self.config, &self.data)?, standing)?;
        let disks = DiskWatch::start(&watched(&self.config, &self.data), board, &self.admission)?;
        self.running.get_or_init(|| Running { storage, disks });
        Ok(())
    }

    /// Whether recordings can be stored.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn check(self) -> Result<()> {
        let checked = places(&self.config, &self.data).and_then(|places| Ok(places.check()?));
        let Self { memory, journal, .. } = self;
        memory.give_back();
        drop(journal);
        checked
    }

    /// Whether there is room for new calls.
    pub(super) fn admission(&self) -> &Admission {
        &self.admission
    }

    /// What the journal of a capture core may hold.
    pub(super) fn writer_options(&self) -> WriterOptions {
        self.memory.options()
    }

    /// The clocks of this run.
    pub(super) fn clocks(&self) -> &Clocks {
        &self.clocks
    }

    pub(super) fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Losses of this recorder, which finishers write into the calls that were up then.
    pub(super) fn losses(&self) -> Arc<Losses> {
        Arc::clone(&self.losses)
    }

    /// Where the status is read from, for the windows. Without the threads that [`Place::start`] starts there is none.
    pub(super) fn sources(
        &self,
        config: &Config,
        board: Board,
        journals: Vec<Health>,
    ) -> Option<Sources> {
        let running = self.running.get()?;
        Some(Sources {
            node: node_name(),
            build: format!("spanreel {}", env!("CARGO_PKG_VERSION")),
            catalog: if config.catalog.postgres.is_some() { "PostgreSQL" } else { "SQLite" },
            cpus: config.cores.clone(),
            certificates: watched::certificates(config, &self.data),
            board,
            heard: Arc::clone(&self.heard),
            standing: Arc::clone(running.storage.standing()),
            wall_clock: Arc::clone(self.clocks.wall_clock()),
            rooms: running.disks.rooms().clone(),
            journals,
        })
    }

    /// What was found in the media so far.
    pub(super) fn heard(&self) -> &Heard {
        &self.heard
    }

    /// What the alarms need to know of a configuration of this place.
    pub(super) fn scene(&self, config: &Config) -> Scene {
        watched::scene(config, &self.data)
    }

    /// What recordings are sealed with, if they are.
    pub(super) fn seals(&self, config: &Config) -> Result<Option<Seals>> {
        config.seal.then(|| self.data.seals(&config.certificates)).transpose()
    }

    /// An engine with `threads` threads that finish its calls. What is on its way to `journals` is waited for.
    pub(super) fn conductor(&self, threads: usize, journals: Vec<Health>) -> Result<Conductor> {
        let config = &self.config;
        let layout = if config.mono { Layout::Mono } else { Layout::Stereo };
        let media_file_limit = Duration::from_secs(60 * u64::from(config.media_file_minutes));
        let params = Params { layout, media_file_limit };
        let keys = (self.seals(config)?, self.data.signer()?);
        let running = self.running.get().context("the threads that store are not started")?;
        let (storage, reader) = (&running.storage, self.journal.reader());
        let finisher = Finisher::new(reader, params, keys, Arc::clone(storage), node_name())
            .with_telling(config.telling())
            .with_losses(self.losses())
            .with_heard(Arc::clone(&self.heard))
            .with_outages(Arc::clone(&self.outages))
            .with_wall_clock(Arc::clone(self.clocks.wall_clock()))
            .watching(journals);
        let pool = Pool::new(finisher, Arc::clone(storage), threads)?;
        Ok(Conductor::new(Engine::new(config.keep_unclaimed), pool))
    }

    /// What killed predecessors left in the journal, if anything.
    ///
    /// # Errors
    /// What cannot be read; the journal keeps it.
    pub(super) fn recovered(&self) -> Result<Option<Recovered>> {
        let recovered = self.journal.recover()?;
        if recovered.segments.is_empty() {
            self.journal.discard_earlier_runs()?;
            return Ok(None);
        }
        Ok(Some(recovered))
    }

    /// Whether they recorded what this run records.
    pub(super) fn is_own(&self, recovered: &Recovered) -> bool {
        let own = source_id(&self.config.interface);
        recovered.segments.iter().all(|segment| segment.header.source == own)
    }

    /// Finishes what was recovered, all of it as it is. Gives the number of recordings made.
    ///
    /// # Errors
    /// What could not be read or stored. The journal then keeps it.
    pub(super) fn finish(&self, recovered: Recovered) -> Result<u64> {
        let mut conductor = self.conductor(1, Vec::new())?;
        recovery::run(recovered, &self.journal.reader(), &mut conductor)?;
        let (_, tally) = conductor.stop()?;
        self.journal.discard_earlier_runs()?;
        Ok(tally.recorded)
    }

    /// When the recorder saw nothing, which finishers write into the calls that were up then.
    pub(super) fn outages(&self) -> &Arc<Outages> {
        &self.outages
    }

    /// For a run after this one, should this one be killed.
    pub(super) fn save_outages(&self) {
        if let Err(error) = self.data.write_outages(&self.outages.all()) {
            tracing::warn!("{error:#}; should this run be killed, the next does not know of them");
        }
    }

    /// Everything is stored: the journal has done its work. Nothing else may hold it any more.
    ///
    /// # Errors
    /// A segment cannot be deleted; the next run finds its calls stored.
    pub(super) fn discard_journal(self) -> Result<()> {
        let Self { config, data, memory, journal, running, .. } = self;
        // What it had in hand is stored, or the journal is still needed.
        running.into_inner().map_or(Ok(()), |running| running.storage.stop())?;
        drop(journal);
        let key = JournalKey::load_or_create(&data.journal_key())?;
        let journal = open_journal(&data, key, &config, &memory)?;
        journal.discard_earlier_runs().context("everything is stored, but")?;
        memory.give_back();
        data.forget_era();
        Ok(())
    }
}

fn open_journal(
    data: &DataDir,
    key: JournalKey,
    config: &Config,
    memory: &Memory,
) -> Result<Journal> {
    let places = journal::Places {
        arena: memory.shelf.clone(),
        second: config.journal_second.clone(),
        ..journal::Places::from(&data.journal())
    };
    Ok(Journal::open(places, key, source_id(&config.interface))?)
}

/// Tells this node's live traffic on this interface from everything else. What it left is never read again from
/// its source, so that it always has to be finished.
fn source_id(interface: &str) -> SourceId {
    let mut all = Sha256Hasher::default();
    for part in ["live", interface, &node_name()] {
        all.update(&(part.len() as u64).to_le_bytes());
        all.update(part.as_bytes());
    }
    SourceId(all.finish().0)
}

/// Where recordings go, and wait.
fn places(config: &Config, data: &DataDir) -> Result<Places> {
    if let Some(path) = &config.recordings {
        data.set_recordings(path)?;
    }
    data.set_catalog(&config.catalog)?;
    let (spool, places) = (data.spool(), data.places()?);
    // The journal has the rest: calls that are up go on while nothing can be stored.
    let total = places.disk.space(&config.data).map_or(0, |space| space.total);
    let spool_keeps_free = config.disk_critical.of(total) / SPOOL_PART;
    Ok(Places { spool: Some(spool), spool_keeps_free, ..places })
}

fn watched(config: &Config, data: &DataDir) -> Watched {
    let recordings = data.recordings();
    Watched {
        disk: Arc::new(SystemDisk),
        data: config.data.clone(),
        journal: data.journal(),
        place: (!recordings.starts_with(&config.data)).then_some(recordings),
        marks: Marks { low: config.disk_low, critical: config.disk_critical },
    }
}

/// Whether a folder can be written: tries it.
///
/// # Errors
/// Why not.
pub(super) fn check_writable(folder: &Path) -> Result<()> {
    DataDir::create(folder)?;
    let probe = folder.join(format!(".probe-{}", std::process::id()));
    std::fs::write(&probe, b"spanreel").and_then(|()| std::fs::remove_file(&probe)).with_context(
        || format!("cannot write in {}; check its owner and the disk", folder.display()),
    )
}
