//! Reading files of a recording, whether they are sealed or not.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use seal::{PrivateKey, manifest};

use crate::data_dir::{self, DataDir};

/// Opens sealed files; the private key is read when the first one is.
pub(crate) struct Opener<'a> {
    data: &'a DataDir,
    given: Option<PathBuf>,
    key: Option<PrivateKey>,
}

impl<'a> Opener<'a> {
    /// With the key given, or the data folder's own.
    pub(crate) fn new(data: &'a DataDir, given: Option<&Path>) -> Self {
        Self { data, given: given.map(Path::to_owned), key: None }
    }

    /// The plain content of a file.
    pub(crate) fn read(&mut self, path: &Path) -> Result<Vec<u8>> {
        let stored = data_dir::read(path)?;
        if !path.to_string_lossy().ends_with(manifest::SEALED_SUFFIX) {
            return Ok(stored);
        }
        self.open(&stored).with_context(|| path.display().to_string())
    }

    /// The plain content of sealed bytes.
    pub(crate) fn open(&mut self, sealed: &[u8]) -> Result<Vec<u8>> {
        let key = match self.key.take() {
            Some(key) => key,
            None => self.data.private_key(self.given.as_deref())?,
        };
        let opened = seal::open(sealed, &key);
        self.key = Some(key);
        Ok(opened?.to_vec())
    }
}
