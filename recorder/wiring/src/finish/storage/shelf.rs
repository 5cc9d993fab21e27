//! Putting recordings where they belong and into the catalog, and what to do while that cannot be done.
//!
//! A step at a time, with the time as a parameter: the thread around it is in [`super`]. Order of each recording:
//! folder, then row, then whoever waits is told. If the folder cannot be written, or the row not entered, the
//! recording goes to the spool and is taken from there later; a kill at any point between leaves it in one of
//! the two, or in both, or still in the journal, and the same id finds what is there.

use std::sync::Arc;
use std::time::Instant;

use base::RecordingId;
use base::recording::Recording;
use seal::{Manifest, manifest};
use store::{
    Catalog, CatalogError, Existing, Files, FolderError, NewRecording, Published, Recordings,
    catalog,
};

use super::spool::{Spool, is_whole};
use super::standing::Standing;
use super::{Backoff, Done, Places, Ready, Waiting, replaces};
use crate::clock;

/// Recordings taken out of the spool in one step: new ones come between.
const DRAIN_MAX: usize = 16;

/// What is open, and since when what is not could not be opened.
pub(super) struct Shelf {
    places: Places,
    place: Option<Recordings>,
    place_retry: Backoff,
    catalog: Option<Catalog>,
    catalog_retry: Backoff,
    spool: Option<Arc<Spool>>,
    standing: Arc<Standing>,
}

/// A recording with its row, and how its job ended.
type Stored = (Ready, Recording, Done);

impl Shelf {
    pub(super) fn new(places: Places, spool: Option<Arc<Spool>>, standing: Arc<Standing>) -> Self {
        let retry = || Backoff::new(places.retry_first, places.retry_max);
        let (place_retry, catalog_retry) = (retry(), retry());
        let (place, catalog) = (None, None);
        Self { places, place, place_retry, catalog, catalog_retry, spool, standing }
    }

    /// Opens both now.
    ///
    /// # Errors
    /// Why one cannot be opened.
    pub(super) fn open(&mut self) -> anyhow::Result<()> {
        let place = self.place.insert(self.places.open()?);
        self.catalog = Some(open_catalog(&self.places, Some(place), &self.standing)?);
        Ok(())
    }

    /// Stores recordings, and tells those who wait. What has to wait itself is given back.
    pub(super) fn keep(&mut self, batch: Vec<Ready>, now: Instant) -> Vec<Waiting> {
        let place = self.open_place(now);
        // A catalog that is not there is made of what is at the place before this is.
        if let Err(error) = self.reach_catalog(now) {
            tracing::debug!("rows will wait: {error}");
        }
        let (stored, mut waiting) = match place {
            Ok(()) => self.publish(batch, now),
            Err(error) => (Vec::new(), self.put_off(batch, &error.to_string())),
        };
        let rows: Vec<Recording> = stored.iter().map(|(_, row, _)| row.clone()).collect();
        match self.enter(&rows, now) {
            Ok(()) => stored.into_iter().for_each(|(ready, _, done)| ready.ended(Ok(done))),
            Err(error) if self.spool.is_some() => {
                let row = |(ready, recording, done)| Waiting::Row {
                    ready,
                    recording: Box::new(recording),
                    done,
                };
                tracing::debug!("rows wait: {error}");
                waiting.extend(stored.into_iter().map(row));
            }
            Err(error) => {
                let error = error.to_string();
                stored.into_iter().for_each(|(ready, ..)| ready.failed(&error));
            }
        }
        waiting
    }

    /// Those that cannot be stored wait; without a spool, they have failed.
    fn put_off(&self, batch: Vec<Ready>, error: &str) -> Vec<Waiting> {
        if self.spool.is_some() {
            return batch.into_iter().map(Waiting::Whole).collect();
        }
        batch.into_iter().for_each(|ready| ready.failed(error));
        Vec::new()
    }

    fn publish(&mut self, batch: Vec<Ready>, now: Instant) -> (Vec<Stored>, Vec<Waiting>) {
        let Some(place) = &self.place else { return (Vec::new(), self.put_off(batch, "closed")) };
        let results = publish(place, &batch, |ready| {
            self.existing(place, ready.recording.id, &ready.recording)
        });
        let (mut stored, mut failed, mut trouble) = (Vec::new(), Vec::new(), None);
        for (ready, result) in batch.into_iter().zip(results) {
            match result {
                Ok(published) => stored.push(self.row(place, ready, published)),
                Err(error) if error.is_of_the_recording() => ready.failed(&error.to_string()),
                Err(error) => {
                    failed.push(ready);
                    trouble = Some(error);
                }
            }
        }
        let Some(error) = trouble else { return (stored, Vec::new()) };
        let waiting = self.put_off(failed, &error.to_string());
        self.lose_place(&error, now);
        (stored, waiting)
    }

    /// The row of what is at the place now.
    fn row(&self, place: &Recordings, ready: Ready, published: Published) -> Stored {
        let complete = ready.recording.complete;
        match published {
            Published::Published => {
                let row = ready.recording.clone();
                (ready, row, Done::Recorded { complete })
            }
            Published::AlreadyThere => {
                let row = self.adopted(place, &ready.recording);
                (ready, row, Done::AlreadyThere)
            }
        }
    }

    /// What to do with a recording whose id is at the place already: an earlier run, or the spool, was faster.
    fn existing(&self, place: &Recordings, id: RecordingId, new: &Recording) -> Existing {
        let kept = if place.contains(id) { self.metadata(place, id) } else { None };
        match kept {
            Some(kept) if replaces(new, &kept) => Existing::Supersede,
            _ => Existing::Keep,
        }
    }

    /// The metadata of a recording that is there, by its folder or else by the catalog.
    fn metadata(&self, place: &Recordings, id: RecordingId) -> Option<Recording> {
        let by_catalog = || self.catalog.as_ref().and_then(|catalog| catalog.get(id).ok());
        self.places.metadata(place, id).ok().flatten().or_else(by_catalog)
    }

    /// The row of a folder that was there: what it says, or if that cannot be opened (another key), what was made
    /// again of the same call, with what sealing did differently taken from the folder's manifest.
    fn adopted(&self, place: &Recordings, made: &Recording) -> Recording {
        if let Some(recording) = self.metadata(place, made.id) {
            return recording;
        }
        let mut recording = made.clone();
        let max = base::limits::MANIFEST_BYTES_MAX;
        let json = place.file(made.id, manifest::MANIFEST_NAME, max).ok().flatten();
        let Some(manifest) = json.and_then(|json| Manifest::from_json(&json).ok()) else {
            return recording;
        };
        for file in &mut recording.media_files {
            let stored = manifest.files.iter().find(|stored| stored.plain_name == file.media_id);
            if let Some(stored) = stored {
                file.path.clone_from(&stored.name);
                file.size = stored.size;
                file.sha256 = stored.sha256.to_string();
            }
        }
        recording
    }

    /// Enters rows in the catalog.
    fn enter(&mut self, rows: &[Recording], now: Instant) -> Result<(), CatalogError> {
        if rows.is_empty() {
            return Ok(());
        }
        self.reach_catalog(now)?;
        let entered = self.insert(rows);
        let Err(error) = entered else { return Ok(()) };
        self.catalog = None;
        if error.needs_rebuild() {
            // Found out just now: made anew at once.
            self.reach_catalog(now)?;
            return self.insert(rows).inspect_err(|error| self.standing.catalog_is_down(error));
        }
        self.standing.catalog_is_down(&error);
        self.catalog_retry.failed(now);
        Err(error)
    }

    fn insert(&self, rows: &[Recording]) -> Result<(), CatalogError> {
        match &self.catalog {
            Some(catalog) => catalog.insert(rows),
            None => Err(CatalogError::Missing(self.places.catalog.to_string())),
        }
    }

    /// What can be done now of what could not before: opens what was closed, empties the spool. True if there is
    /// more to do at once.
    pub(super) fn tend(&mut self, now: Instant) -> bool {
        let place = self.open_place(now).is_ok();
        let catalog = self.reach_catalog(now).is_ok();
        let Some(spool) = self.spool.clone().filter(|_| place && catalog) else { return false };
        let oldest = spool.oldest(DRAIN_MAX);
        if oldest.is_empty() {
            return false;
        }
        let drained = self.drain(&spool, &oldest, now);
        self.standing.waiting(spool.len());
        drained && spool.len() > 0
    }

    /// Stores recordings of the spool, oldest first. False if it has to wait again.
    fn drain(&mut self, spool: &Spool, ids: &[RecordingId], now: Instant) -> bool {
        let Ok(folder) = spool.folder() else { return false };
        let (mut rows, mut out) = (Vec::new(), Vec::new());
        for id in ids {
            match self.take(&folder, *id) {
                Ok(row) => {
                    rows.extend(row);
                    out.push(*id);
                }
                Err(Trouble::Spool(error)) => {
                    tracing::error!("{id} stays in the spool until the next start: {error}");
                    spool.forget(&[*id]);
                }
                Err(Trouble::Place(error)) => {
                    self.lose_place(&error, now);
                    break;
                }
            }
        }
        let entered = self.enter(&rows, now).is_ok();
        if entered && let Err(error) = spool.remove(&out) {
            // Its next turn finds it stored, and takes it out.
            tracing::warn!("what is stored stays in the spool too for now: {error}");
            return false;
        }
        entered && self.place.is_some()
    }

    /// Stores one recording of the spool. Gives its row, if it is known.
    fn take(&self, spool: &Recordings, id: RecordingId) -> Result<Option<Recording>, Trouble> {
        let Some(place) = &self.place else { return Ok(None) };
        let files = spool.files(id).map_err(Trouble::Spool)?;
        let recording = self.places.metadata(spool, id).ok().flatten();
        if recording.is_none() {
            tracing::error!(
                "{id} is not in the catalog: its metadata do not open; `spanreel list --rebuild --key FILE` \
                 enters it"
            );
        }
        if !is_whole(&files) {
            // What was removed since does not come back.
            return Ok(recording.filter(|_| place.contains(id)));
        }
        let existing = match &recording {
            Some(recording) => self.existing(place, id, recording),
            None => Existing::Keep,
        };
        let published = publish_one(place, id, &files, existing).map_err(Trouble::Place)?;
        Ok(match (recording, published) {
            (Some(recording), Published::AlreadyThere) => Some(self.adopted(place, &recording)),
            (recording, _) => recording,
        })
    }

    fn lose_place(&mut self, error: &FolderError, now: Instant) {
        self.place = None;
        self.place_retry.failed(now);
        self.standing.place_is_down(error);
    }

    /// Sees to it that the place is open, and still the same.
    fn open_place(&mut self, now: Instant) -> Result<(), FolderError> {
        match &self.place {
            Some(place) if place.check().is_ok() => return Ok(()),
            // Its lock is given up before it is opened anew.
            Some(_) => self.place = None,
            None if !self.place_retry.is_due(now) => {
                let reason = "it could not be written a moment ago".to_owned();
                return Err(FolderError::NotThePlace {
                    path: self.places.recordings.clone(),
                    reason,
                });
            }
            None => {}
        }
        match self.places.open() {
            Ok(place) => {
                self.place = Some(place);
                self.place_retry.worked();
                self.standing.place_is_up();
                Ok(())
            }
            Err(error) => {
                self.lose_place(&error, now);
                Err(error)
            }
        }
    }

    /// Sees to it that the catalog is open, and still the same file.
    fn reach_catalog(&mut self, now: Instant) -> Result<(), CatalogError> {
        match &self.catalog {
            Some(catalog) if catalog.is_in_place() => return Ok(()),
            Some(_) => self.catalog = None,
            None if !self.catalog_retry.is_due(now) => {
                let reason = "it did not answer a moment ago".to_owned();
                return Err(CatalogError::InUse { place: self.places.catalog.to_string(), reason });
            }
            None => {}
        }
        match open_catalog(&self.places, self.place.as_ref(), &self.standing) {
            Ok(catalog) => {
                self.catalog = Some(catalog);
                self.catalog_retry.worked();
                self.standing.catalog_is_up();
                Ok(())
            }
            Err(error) => {
                self.standing.catalog_is_down(&error);
                self.catalog_retry.failed(now);
                Err(error)
            }
        }
    }
}

/// Why a recording stays in the spool.
enum Trouble {
    /// It cannot be read there.
    Spool(FolderError),
    /// It cannot be stored where it belongs.
    Place(FolderError),
}

fn publish(
    place: &Recordings,
    batch: &[Ready],
    existing: impl Fn(&Ready) -> Existing,
) -> Vec<Result<Published, FolderError>> {
    let files: Vec<Vec<(&str, &[u8])>> = batch.iter().map(|ready| borrowed(&ready.files)).collect();
    let new: Vec<_> = batch
        .iter()
        .zip(&files)
        .map(|(ready, files)| NewRecording {
            id: ready.recording.id,
            files,
            existing: existing(ready),
        })
        .collect();
    place.publish_all(&new)
}

fn publish_one(
    place: &Recordings,
    id: RecordingId,
    files: &Files,
    existing: Existing,
) -> Result<Published, FolderError> {
    place.publish(id, &borrowed(files), existing)
}

pub(super) fn borrowed(files: &[(String, Vec<u8>)]) -> Vec<(&str, &[u8])> {
    files.iter().map(|(name, bytes)| (&**name, &**bytes)).collect()
}

/// Opens the catalog. One that is damaged is set aside, and one that is missing made anew from the recordings that
/// are at the place; the node's own key opens their metadata.
fn open_catalog(
    places: &Places,
    place: Option<&Recordings>,
    standing: &Standing,
) -> Result<Catalog, CatalogError> {
    let at = &places.catalog;
    let open = || Catalog::open_existing_within(at, places.catalog_patience);
    let (error, place) = match (open(), place) {
        (Err(error), Some(place)) if error.needs_rebuild() => (error, place),
        (opened, _) => return opened,
    };
    let aside = match error {
        CatalogError::Missing(_) => None,
        _ => catalog::set_aside(at, clock::now())?,
    };
    let rebuilt = catalog::rebuild(at, place.path(), &places.node, |sealed| places.unseal(sealed))?;
    let found = rebuilt.recordings + rebuilt.problems.len();
    if found > 0 || aside.is_some() {
        let left_out = rebuilt.problems.len();
        let kept =
            aside.map_or_else(String::new, |aside| format!("; the old one is {}", aside.display()));
        standing.catalog_was_rebuilt(&format!(
            "the catalog was made anew, because: {error}. {} recordings are in it, {left_out} could not be \
             read{kept}",
            rebuilt.recordings
        ));
    }
    open()
}
