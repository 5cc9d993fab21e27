//! Where recordings go, and how their metadata are read back.

use std::fmt::Display;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base::RecordingId;
use base::disk::{Disk, SystemDisk};
use base::recording::Recording;
use seal::PrivateKey;
use store::{DatabasePlace, FolderError, Recordings};
use zeroize::Zeroizing;

use super::OwnPlace;

/// Where recordings go.
#[derive(Clone)]
pub(crate) struct Places {
    pub(crate) disk: Arc<dyn Disk>,
    /// The folder of recordings.
    pub(crate) recordings: PathBuf,
    /// If that is a place of its own: what the data folder knows of it.
    pub(crate) own: Option<OwnPlace>,
    pub(crate) catalog: DatabasePlace,
    /// Whose recordings they are, where several nodes share a catalog.
    pub(crate) node: String,
    /// How long to wait for another process that writes the catalog, before it counts as down.
    pub(crate) catalog_patience: Duration,
    /// Opens the metadata that this node sealed, for the catalog.
    pub(crate) catalog_key: Option<Arc<PrivateKey>>,
    /// Where recordings wait; without it, what cannot be stored has failed.
    pub(crate) spool: Option<PathBuf>,
    /// Left free by what waits, bytes.
    pub(crate) spool_keeps_free: u64,
    /// How long to wait before trying again, at first and at most.
    pub(crate) retry_first: Duration,
    pub(crate) retry_max: Duration,
}

impl Places {
    /// A folder and a catalog on this machine, without a spool.
    pub(crate) fn new(recordings: PathBuf, catalog: DatabasePlace, node: String) -> Self {
        Self {
            disk: Arc::new(SystemDisk),
            recordings,
            own: None,
            catalog,
            node,
            catalog_patience: Duration::from_secs(5),
            catalog_key: None,
            spool: None,
            spool_keeps_free: 0,
            retry_first: Duration::from_secs(1),
            retry_max: Duration::from_secs(60),
        }
    }

    /// Whether the folder of recordings can be opened.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn check(&self) -> Result<(), FolderError> {
        self.open().map(drop)
    }

    /// Opens the folder of recordings.
    pub(super) fn open(&self) -> Result<Recordings, FolderError> {
        let disk = Arc::clone(&self.disk);
        let Some(own) = &self.own else { return Recordings::open_on(disk, &self.recordings) };
        let (place, mark) =
            Recordings::open_place(disk, &self.recordings, own.mark(), OwnPlace::new_mark())?;
        if let Err(error) = own.remember(mark) {
            // Else the next start takes over the mark that is there.
            tracing::warn!("{error:#}");
        }
        Ok(place)
    }

    /// The metadata of a recording in a folder, if it is there.
    ///
    /// # Errors
    /// Why they cannot be read, or opened.
    pub(super) fn metadata(
        &self,
        folder: &Recordings,
        id: RecordingId,
    ) -> Result<Option<Recording>, String> {
        let words = |error: &dyn Display| error.to_string();
        let json = match folder.metadata(id).map_err(|error| words(&error))? {
            None => return Ok(None),
            Some((bytes, true)) => self.unseal(&bytes)?,
            Some((bytes, false)) => Zeroizing::new(bytes),
        };
        serde_json::from_slice(&json).map(Some).map_err(|error| words(&error))
    }

    /// Opens what was sealed for this node's catalog.
    pub(super) fn unseal(&self, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, String> {
        match &self.catalog_key {
            Some(key) => seal::open(sealed, key).map_err(|error| error.to_string()),
            None => Err("this node has no key for its catalog (keys/catalog.key)".into()),
        }
    }
}
