//! What a data folder knows of a place of its own: `recordings.place`.
//!
//! ```text
//! {"path": "/mnt/recordings", "mark": "6e3a..."}
//! ```
//!
//! The mark is there once the place was opened for the first time. Commands find the recordings by it, without
//! the configuration of `run`.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use store::PlaceMark;

const FILE_NAME: &str = "recordings.place";

/// A place of recordings outside of the data folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OwnPlace {
    file: PathBuf,
    path: PathBuf,
    mark: Option<PlaceMark>,
}

#[derive(Serialize, Deserialize)]
struct Content {
    path: PathBuf,
    mark: Option<String>,
}

impl OwnPlace {
    /// What the data folder knows, if its recordings go elsewhere.
    ///
    /// # Errors
    /// The file cannot be read, or is damaged.
    pub(crate) fn read(data: &Path) -> Result<Option<Self>> {
        let file = data.join(FILE_NAME);
        let bytes = match fs::read(&file) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            bytes => bytes.with_context(|| format!("cannot read {}", file.display()))?,
        };
        let damaged =
            || format!("{} is damaged; remove it, and restart `spanreel run`", file.display());
        let content: Content = serde_json::from_slice(&bytes).with_context(damaged)?;
        let mark = content.mark.map(|mark| mark.parse()).transpose().with_context(damaged)?;
        Ok(Some(Self { path: content.path, mark, file }))
    }

    /// Recordings go to `path` from now on.
    ///
    /// # Errors
    /// The data folder cannot be written.
    pub(crate) fn set(data: &Path, path: &Path) -> Result<Self> {
        let path = std::path::absolute(path).context("the place of recordings")?;
        let known = Self::read(data)?;
        // Moved as a whole, it has the same mark.
        let mark = known.as_ref().and_then(|known| known.mark);
        let own = Self { file: data.join(FILE_NAME), path, mark };
        if known.as_ref() != Some(&own) {
            own.write()?;
        }
        Ok(own)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The mark that the place must have.
    ///
    /// What another handle has remembered since counts too.
    pub(super) fn mark(&self) -> Option<PlaceMark> {
        let data = self.file.parent()?;
        self.mark.or_else(|| Self::read(data).ok().flatten().and_then(|own| own.mark))
    }

    /// One for a place that has none.
    pub(super) fn new_mark() -> PlaceMark {
        PlaceMark::of_random(rand::random())
    }

    /// The place was found to have this mark.
    pub(super) fn remember(&self, mark: PlaceMark) -> Result<()> {
        if self.mark() == Some(mark) {
            return Ok(());
        }
        Self { mark: Some(mark), ..self.clone() }.write()
    }

    fn write(&self) -> Result<()> {
        let mark = self.mark.map(|mark| mark.to_string());
        let json = serde_json::to_vec(&Content { path: self.path.clone(), mark })?;
        let new = self.file.with_extension("place.new");
        let write = || {
            let mut file = fs::File::create(&new)?;
            file.write_all(&json)?;
            file.sync_all()?;
            fs::rename(&new, &self.file)?;
            self.file.parent().map_or(Ok(()), |folder| fs::File::open(folder)?.sync_all())
        };
        write().with_context(|| format!("cannot write {}", self.file.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_remembered_and_moves_with_its_mark() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(OwnPlace::read(dir.path()).unwrap(), None);
        let own = OwnPlace::set(dir.path(), Path::new("/mnt/a")).unwrap();
        assert_eq!((own.path(), own.mark()), (Path::new("/mnt/a"), None));
        let mark = OwnPlace::new_mark();
        own.remember(mark).unwrap();
        assert_eq!(own.mark(), Some(mark));
        let moved = OwnPlace::set(dir.path(), Path::new("/mnt/b")).unwrap();
        assert_eq!(moved.mark(), Some(mark));
        assert_eq!(OwnPlace::read(dir.path()).unwrap(), Some(moved));
        fs::write(dir.path().join(FILE_NAME), b"{").unwrap();
        let error = format!("{:#}", OwnPlace::read(dir.path()).unwrap_err());
        assert!(error.contains("recordings.place is damaged"), "{error}");
    }
}
