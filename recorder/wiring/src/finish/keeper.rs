//! The thread that puts recordings on the disk and into the catalog, many at a time.
//!
//! A flush costs the same for one recording as for fifty, so what has come together while the last flush ran
//! is stored together. A job is done when its recording is durable and in the catalog.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::{Context as _, Result, anyhow};
use base::RecordingId;
use base::recording::Recording;
use crossbeam::channel::{Receiver, Sender, unbounded};
use seal::{Manifest, manifest};
use store::{Catalog, Existing, NewRecording, Published, Recordings};

use super::Done;
use crate::data_dir;
use crate::engine::JobKey;

/// Recordings stored together.
const BATCH_MAX: usize = 64;

/// A recording that is ready to be stored.
pub(super) struct Ready {
    pub(super) key: JobKey,
    pub(super) recording: Recording,
    /// Name and content of each file of its folder.
    pub(super) files: Vec<(String, Vec<u8>)>,
    pub(super) existing: Existing,
}

/// A job's end.
pub(super) type Finished = (JobKey, Result<Done>);

/// The thread, and the way to it.
pub(super) struct Keeper {
    to: Sender<Ready>,
    handle: JoinHandle<()>,
}

impl Keeper {
    pub(super) fn start(
        recordings: Arc<Recordings>,
        catalog: PathBuf,
        done: Sender<Finished>,
    ) -> Result<Self> {
        let catalog = Catalog::open(&catalog)?;
        let (to, from) = unbounded();
        let mut store = Store { recordings, catalog };
        let handle = std::thread::Builder::new()
            .name("keeper".into())
            .spawn(move || store.run(&from, &done))
            .context("cannot start the thread that stores recordings")?;
        Ok(Self { to, handle })
    }

    /// The way to the thread.
    pub(super) fn sender(&self) -> Sender<Ready> {
        self.to.clone()
    }

    /// Waits until all is stored. Every other sender must be gone.
    pub(super) fn stop(self) -> Result<()> {
        drop(self.to);
        self.handle.join().map_err(|_| anyhow!("the thread that stores recordings failed"))
    }
}

struct Store {
    recordings: Arc<Recordings>,
    catalog: Catalog,
}

impl Store {
    fn run(&mut self, from: &Receiver<Ready>, done: &Sender<Finished>) {
        while let Ok(first) = from.recv() {
            let mut batch = vec![first];
            batch.extend(from.try_iter().take(BATCH_MAX - 1));
            for finished in self.store(batch) {
                // The other end is only gone when nobody waits for results any more.
                let _ = done.send(finished);
            }
        }
    }

    fn store(&mut self, batch: Vec<Ready>) -> Vec<Finished> {
        let published = self.publish(&batch);
        let mut rows = Vec::with_capacity(batch.len());
        let mut finished = Vec::with_capacity(batch.len());
        for (ready, published) in batch.into_iter().zip(published) {
            let complete = ready.recording.complete;
            let result = published.map(|published| match published {
                Published::Published => (ready.recording, Done::Recorded { complete }),
                Published::AlreadyThere => (self.adopted(ready.recording), Done::AlreadyThere),
            });
            match result {
                Ok((recording, done)) => {
                    rows.push(recording);
                    finished.push((ready.key, Ok(done)));
                }
                Err(error) => finished.push((ready.key, Err(error))),
            }
        }
        match self.catalog.insert(&rows) {
            Ok(_) => finished,
            Err(error) => {
                let error = format!("{error}");
                finished
                    .into_iter()
                    .map(|(key, done)| (key, done.and(Err(anyhow!("{error}")))))
                    .collect()
            }
        }
    }

    fn publish(&self, batch: &[Ready]) -> Vec<Result<Published>> {
        let files: Vec<Vec<(&str, &[u8])>> = batch
            .iter()
            .map(|ready| ready.files.iter().map(|(name, bytes)| (&**name, &**bytes)).collect())
            .collect();
        let new: Vec<_> = batch
            .iter()
            .zip(&files)
            .map(|(ready, files)| NewRecording {
                id: ready.recording.id,
                files,
                existing: ready.existing,
            })
            .collect();
        self.recordings.publish_all(&new).into_iter().map(|result| Ok(result?)).collect()
    }

    /// A run that was killed between publishing and cataloguing left the folder without its row. The folder
    /// stays as it is; of the row, what sealing made differently is taken from the folder's manifest.
    fn adopted(&self, mut recording: Recording) -> Recording {
        if let Some(manifest) = self.manifest(recording.id) {
            for file in &mut recording.media_files {
                let Some(stored) =
                    manifest.files.iter().find(|stored| stored.plain_name == file.media_id)
                else {
                    continue;
                };
                file.path.clone_from(&stored.name);
                file.size = stored.size;
                file.sha256 = stored.sha256.to_string();
            }
        }
        recording
    }

    fn manifest(&self, id: RecordingId) -> Option<Manifest> {
        let path = self.recordings.folder_of(id).join(manifest::MANIFEST_NAME);
        Manifest::from_json(&data_dir::read(&path).ok()?).ok()
    }
}
