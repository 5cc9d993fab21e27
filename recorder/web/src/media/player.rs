//! What all players share: opened files, what is known of their frames, threads.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base::limits::{
    PLAYER_FILES_AGE_SECONDS_MAX, PLAYER_FILES_BYTES_MAX, PLAYER_OPENING_BYTES_MAX,
    PLAYER_THREADS_MAX, PLAYER_TRACKS_BYTES_MAX,
};
use media::playback::{Outline, Track};
use seal::manifest::File;
use seal::{PrivateKey, Sha256Hash};
use store::{Checked, Report};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use super::gate::Gate;
use super::shelf::Shelf;
use super::sittings::Sittings;
use super::source::Source;
use super::streams::Streams;
use super::trouble;
use crate::app::App;
use crate::problem::Answer;

const AGE: Duration = Duration::from_secs(PLAYER_FILES_AGE_SECONDS_MAX);

/// The plain content of a file; wiped when the last one drops it.
#[derive(Clone)]
pub(super) struct Plain(Arc<Zeroizing<Vec<u8>>>);

impl AsRef<[u8]> for Plain {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// What all players share.
pub(crate) struct Player {
    /// By the SHA-256 of their content.
    files: Shelf<Sha256Hash, Zeroizing<Vec<u8>>>,
    /// By the SHA-256 of those of their parts.
    tracks: Shelf<Sha256Hash, Track>,
    opening: Gate,
    threads: Semaphore,
    /// Whether somebody sees to it that what nobody uses is forgotten.
    tended: AtomicBool,
    pub(super) streams: Streams,
    pub(super) sittings: Sittings,
}

impl Player {
    pub(crate) fn new() -> Self {
        Self {
            files: Shelf::new(PLAYER_FILES_BYTES_MAX, AGE),
            tracks: Shelf::new(PLAYER_TRACKS_BYTES_MAX, AGE),
            opening: Gate::new(PLAYER_OPENING_BYTES_MAX),
            threads: Semaphore::new(PLAYER_THREADS_MAX),
            tended: AtomicBool::new(false),
            streams: Streams::default(),
            sittings: Sittings::default(),
        }
    }

    /// Runs what opens, decodes or encodes: so many at once as there are threads for it, whoever waits.
    ///
    /// # Errors
    /// As [`App::blocking`].
    pub(super) async fn work<T: Send + 'static>(
        &self,
        app: &App,
        work: impl FnOnce(&App) -> Answer<T> + Send + 'static,
    ) -> Answer<T> {
        // It is never closed.
        let _permit = self.threads.acquire().await;
        app.blocking(work).await
    }

    /// The plain content of a file, checked; it may have been opened before. Blocks.
    ///
    /// # Errors
    /// 409 if it is not what was signed, or does not open here.
    pub(super) fn plain(&self, app: &App, checked: &Checked, file: &File) -> Answer<Plain> {
        let kept = || self.files.get(&file.plain_sha256, app.now()).map(Plain);
        if let Some(plain) = kept() {
            return Ok(plain);
        }
        let both = usize::try_from(file.size.saturating_add(file.plain_size)).unwrap_or(usize::MAX);
        let _inside = self.opening.enter(both);
        // Another may have opened it while this one waited.
        if let Some(plain) = kept() {
            return Ok(plain);
        }
        let plain = checked.read(file, &keys(app)).map_err(|finding| trouble::found(&finding))?;
        let bytes = plain.len();
        let plain = Arc::new(plain);
        self.files.put(file.plain_sha256, Arc::clone(&plain), bytes, app.now());
        self.tend(app);
        Ok(Plain(plain))
    }

    /// Checks a folder, file by file, as memory allows. Blocks.
    pub(super) fn verifying(&self, folder: &Path, verify: impl FnOnce() -> Report) -> Report {
        let sizes = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let largest =
            sizes.filter_map(|entry| entry.metadata().ok()).map(|about| about.len()).max();
        let both = largest.unwrap_or(0).saturating_mul(2);
        let _inside = self.opening.enter(usize::try_from(both).unwrap_or(usize::MAX));
        verify()
    }

    /// The track of a source: its files one after the other. Blocks.
    ///
    /// # Errors
    /// As [`Player::plain`].
    pub(super) fn track(&self, app: &App, source: &Source) -> Answer<Arc<Track>> {
        let digest = source.digest();
        if let Some(track) = self.tracks.get(&digest, app.now()) {
            return Ok(track);
        }
        let parts = 0..source.files().len();
        let outline = |part| Ok(Outline::of(source.part(part)?.as_ref())?);
        let track = Track::new(parts.map(outline).collect::<Answer<_>>()?)?;
        let (bytes, track) = (track.memory_bytes(), Arc::new(track));
        self.tracks.put(digest, Arc::clone(&track), bytes, app.now());
        Ok(track)
    }

    /// Sees to it that what was opened is forgotten when nobody uses it any more.
    fn tend(&self, app: &App) {
        if !self.tended.swap(true, Ordering::SeqCst) {
            let app = app.clone();
            tokio::spawn(async move {
                loop {
                    tokio::time::sleep(AGE / 4).await;
                    let player = app.player();
                    if player.forget(&app) {
                        continue;
                    }
                    player.tended.store(false, Ordering::SeqCst);
                    // Something may have been opened just before that.
                    if !player.forget(&app) || player.tended.swap(true, Ordering::SeqCst) {
                        break;
                    }
                }
            });
        }
    }

    /// True if anything is left.
    fn forget(&self, app: &App) -> bool {
        let now = app.now();
        let tracks = self.tracks.forget(now);
        self.files.forget(now) || tracks
    }
}

/// What opens recordings here.
pub(super) fn keys(app: &App) -> Vec<&PrivateKey> {
    let settings = app.settings();
    [&settings.recording_key, &settings.catalog_key]
        .into_iter()
        .flatten()
        .map(|key| &**key)
        .collect()
}
