//! Where a live run puts things: the data folder, its journal and recordings, and the threads that finish calls.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use journal::{Journal, JournalKey, Recovered, SourceId, WriterOptions};
use media::{Layout, Params};
use seal::{Sealer, Sha256Hasher};
use store::Recordings;

use super::memory::Memory;
use super::watched;
use crate::alarms::Scene;
use crate::conductor::Conductor;
use crate::config::Config;
use crate::data_dir::{DataDir, node_name};
use crate::engine::Engine;
use crate::finish::{Finisher, Heard, Losses, Pool};
use crate::journal_thread::Health;
use crate::outages::Outages;
use crate::recovery;

/// The data folder, open.
pub(super) struct Place {
    config: Config,
    data: DataDir,
    memory: Memory,
    journal: Journal,
    recordings: Arc<Recordings>,
    losses: Arc<Losses>,
    heard: Arc<Heard>,
    outages: Arc<Outages>,
}

impl Place {
    /// Opens it, making what is not there.
    ///
    /// # Errors
    /// A folder that cannot be made or written, another process that has it, keys that do not fit.
    pub(super) fn open(config: &Config) -> Result<Self> {
        let data = DataDir::create(&config.data)?;
        let key = JournalKey::load_or_create(&data.journal_key())?;
        let memory = Memory::open(&config.data);
        let journal = open_journal(&data, key, config, &memory)?;
        let recordings = Arc::new(Recordings::open(&data.recordings())?);
        let losses = Arc::new(Losses::default());
        let outages = Arc::new(Outages::default());
        data.read_outages()?.into_iter().for_each(|outage| outages.add(outage));
        let place = Self {
            config: config.clone(),
            data,
            memory,
            journal,
            recordings,
            losses,
            outages,
            heard: Arc::default(),
        };
        // What is wrong with the keys is said before anything is captured.
        place.sealer(config)?;
        place.data.signer()?;
        Ok(place)
    }

    /// What the journal of a capture core may hold.
    pub(super) fn writer_options(&self) -> WriterOptions {
        self.memory.options()
    }

    pub(super) fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Losses of this recorder, which finishers write into the calls that were up then.
    pub(super) fn losses(&self) -> Arc<Losses> {
        Arc::clone(&self.losses)
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
    pub(super) fn sealer(&self, config: &Config) -> Result<Option<Sealer>> {
        config.seal.then(|| self.data.sealer(&config.certificates)).transpose()
    }

    /// An engine with `threads` threads that finish its calls. What is on its way to `journals` is waited for.
    pub(super) fn conductor(&self, threads: usize, journals: Vec<Health>) -> Result<Conductor> {
        let config = &self.config;
        let layout = if config.mono { Layout::Mono } else { Layout::Stereo };
        let media_file_limit = Duration::from_secs(60 * u64::from(config.media_file_minutes));
        let params = Params { layout, media_file_limit };
        let keys = (self.sealer(config)?, self.data.signer()?);
        let places = (Arc::clone(&self.recordings), self.data.catalog());
        let finisher = Finisher::new(self.journal.reader(), params, keys, places, node_name())?
            .with_losses(self.losses())
            .with_heard(Arc::clone(&self.heard))
            .with_outages(Arc::clone(&self.outages))
            .watching(journals);
        let pool = Pool::new(finisher, Arc::clone(&self.recordings), self.data.catalog(), threads)?;
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
        let Self { config, data, memory, journal, .. } = self;
        drop(journal);
        let key = JournalKey::load_or_create(&data.journal_key())?;
        let journal = open_journal(&data, key, &config, &memory)?;
        journal.discard_earlier_runs().context("everything is stored, but")?;
        memory.give_back();
        Ok(())
    }
}

fn open_journal(
    data: &DataDir,
    key: JournalKey,
    config: &Config,
    memory: &Memory,
) -> Result<Journal> {
    let folder = journal::Places::from(&data.journal());
    let places = journal::Places { arena: memory.shelf.clone(), ..folder };
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
