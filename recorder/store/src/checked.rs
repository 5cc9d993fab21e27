//! Files of a recording, for those who hear or see them: nothing comes out that is not what was signed.
//!
//! [`verify`](crate::verify()) says all that is wrong with a folder; this gives the content of its files, and stops at
//! the first fault. The bytes that are given are those that were checked: nothing is read twice.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use base::{RecordingId, limits};
use seal::manifest::{self, MANIFEST_NAME, SIGNATURE_NAME};
use seal::signature::SIGNATURE_BYTES_MAX;
use seal::{Certificate, Manifest, OpenError, PrivateKey, SignedBy, sha256};
use zeroize::Zeroizing;

use crate::verify::{Finding, Problem, open_plain, same};

/// A recording's folder whose manifest was found to be signed.
#[derive(Debug)]
pub struct Checked {
    folder: PathBuf,
    manifest: Manifest,
    signed_by: SignedBy,
}

impl Checked {
    /// Opens the folder of the recording `id`. `trusted` as for [`verify`](crate::verify()).
    ///
    /// # Errors
    /// If it is not there, or its manifest or signature is not as it was written. The files were not looked at yet.
    pub fn open(
        folder: &Path,
        id: RecordingId,
        trusted: Option<&[Certificate]>,
    ) -> Result<Self, Finding> {
        let found = |name: &str, problem: Problem| Finding { path: folder.join(name), problem };
        if !folder.is_dir() {
            return Err(Finding { path: folder.to_owned(), problem: Problem::Missing });
        }
        let read =
            |name, max| read(&folder.join(name), max).map_err(|problem| found(name, problem));
        let json = read(MANIFEST_NAME, limits::MANIFEST_BYTES_MAX)?;
        let signature = read(SIGNATURE_NAME, SIGNATURE_BYTES_MAX)?;
        let signed_by = seal::verify(&signature, &json, trusted)
            .map_err(|error| found(SIGNATURE_NAME, error.into()))?;
        if trusted.is_some() && !signed_by.trusted {
            let SignedBy { subject, fingerprint, .. } = signed_by;
            return Err(found(SIGNATURE_NAME, Problem::UnknownSigner { subject, fingerprint }));
        }
        let manifest =
            Manifest::from_json(&json).map_err(|error| found(MANIFEST_NAME, error.into()))?;
        if manifest.recording_id != id {
            let problem = Problem::WrongFolder(manifest.recording_id);
            return Err(Finding { path: folder.to_owned(), problem });
        }
        Ok(Self { folder: folder.to_owned(), manifest, signed_by })
    }

    /// What is in the folder.
    #[must_use]
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Who signed that.
    #[must_use]
    pub const fn signed_by(&self) -> &SignedBy {
        &self.signed_by
    }

    /// Where a file of the manifest is.
    #[must_use]
    pub fn path(&self, file: &manifest::File) -> PathBuf {
        self.folder.join(&file.name)
    }

    /// The plain content of a file of the manifest; one that is sealed is opened with the first of `keys` that fits.
    ///
    /// # Errors
    /// If it is not there, not what was signed, or none of the keys opens it.
    pub fn read(
        &self,
        file: &manifest::File,
        keys: &[&PrivateKey],
    ) -> Result<Zeroizing<Vec<u8>>, Finding> {
        self.plain(file, keys).map_err(|problem| Finding { path: self.path(file), problem })
    }

    fn plain(
        &self,
        file: &manifest::File,
        keys: &[&PrivateKey],
    ) -> Result<Zeroizing<Vec<u8>>, Problem> {
        let stored = open_plain(&self.path(file))?;
        let found = stored.metadata()?.len();
        if found != file.size {
            return Err(Problem::Size { expected: file.size, found });
        }
        let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(file.size).unwrap_or(0)));
        stored.take(file.size).read_to_end(&mut bytes)?;
        same(sha256(&bytes), file.sha256)?;
        if !file.sealed {
            return Ok(bytes);
        }
        let plain = open(&bytes, keys)?;
        let found = sha256(&plain);
        if found != file.plain_sha256 {
            return Err(Problem::PlainHash { expected: file.plain_sha256, found });
        }
        Ok(plain)
    }
}

/// Opens with the first key that fits; if none does, what the last one says.
fn open(sealed: &[u8], keys: &[&PrivateKey]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let mut last = None;
    for key in keys {
        match seal::open(sealed, key) {
            Err(error @ OpenError::NotForThisKey { .. }) => last = Some(error),
            opened => return opened,
        }
    }
    let nobody = || {
        let recipients = seal::envelope::recipients(sealed)?;
        Err(OpenError::NotForThisKey { recipients })
    };
    last.map_or_else(nobody, Err)
}

/// A whole file of at most `max` bytes.
fn read(path: &Path, max: usize) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::new();
    open_plain(path)?.take(max as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
