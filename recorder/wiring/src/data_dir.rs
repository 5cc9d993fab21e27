//! A data folder: what is where in it, and the keys that it needs.
//!
//! ```text
//! recordings/<id>/   the recordings
//! catalog.db         the catalog, which can be made anew from the recordings
//! journal/           what is not finished yet, encrypted
//! outages.json       when `run` saw nothing, for the calls that are in the journal
//! keys/              recording.crt, recording.key: sealed for, opened with
//!                    node.crt, node.key: manifests are signed with
//!                    journal.key: the journal is encrypted with
//! ```

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use base::recording::Recording;
use seal::keys::{Algorithm, Purpose};
use seal::{Certificate, PrivateKey, Recipient, Sealer, Signer};
use store::{CATALOG_NAME, Catalog, RECORDINGS_NAME};
use zeroize::Zeroizing;

use crate::clock;
use crate::outages::Outage;

/// How long a certificate that we make holds: longer than retention usually asks.
const VALIDITY: Duration = Duration::from_secs(20 * 365 * 24 * 3600);
/// It holds from a little before now: clocks differ.
const BACKDATED: Duration = Duration::from_secs(24 * 3600);

/// A data folder.
#[derive(Clone, Debug)]
pub(crate) struct DataDir(PathBuf);

/// One of the two key pairs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pair {
    Recording,
    Node,
}

impl Pair {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Recording => "recording",
            Self::Node => "node",
        }
    }
}

impl DataDir {
    /// A folder that is there.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        if !path.is_dir() {
            bail!("{} is not a data folder; name one with --data", path.display());
        }
        Ok(Self(path.to_owned()))
    }

    /// A folder that is made if it is not there.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let data = Self(path.to_owned());
        for folder in [path.to_owned(), data.recordings(), data.keys()] {
            fs::create_dir_all(&folder).with_context(|| {
                format!(
                    "cannot make the folder {}; check the path and who owns it",
                    folder.display()
                )
            })?;
        }
        Ok(data)
    }

    pub(crate) fn recordings(&self) -> PathBuf {
        self.0.join(RECORDINGS_NAME)
    }

    pub(crate) fn catalog(&self) -> PathBuf {
        self.0.join(CATALOG_NAME)
    }

    pub(crate) fn journal(&self) -> PathBuf {
        self.0.join("journal")
    }

    pub(crate) fn journal_key(&self) -> PathBuf {
        self.keys().join("journal.key")
    }

    fn outages(&self) -> PathBuf {
        self.0.join("outages.json")
    }

    /// The outages that an earlier run wrote down. A file that is not understood is left alone: without it, gaps
    /// have less exact reasons.
    pub(crate) fn read_outages(&self) -> Result<Vec<Outage>> {
        let path = self.outages();
        if !path.exists() {
            return Ok(Vec::new());
        }
        let bytes = read(&path)?;
        Ok(serde_json::from_slice(&bytes).unwrap_or_else(|error| {
            tracing::warn!("{} is not used: {error}", path.display());
            Vec::new()
        }))
    }

    /// Writes them down.
    pub(crate) fn write_outages(&self, outages: &[Outage]) -> Result<()> {
        let (path, new) = (self.outages(), hidden(&self.outages()));
        let json = serde_json::to_vec(outages).context("outages")?;
        write(&new, &json, 0o644)?;
        rename(&new, &path)
    }

    fn keys(&self) -> PathBuf {
        self.0.join("keys")
    }

    pub(crate) fn certificate_path(&self, pair: Pair) -> PathBuf {
        self.keys().join(format!("{}.crt", pair.name()))
    }

    pub(crate) fn key_path(&self, pair: Pair) -> PathBuf {
        self.keys().join(format!("{}.key", pair.name()))
    }

    /// Makes a key pair if there is none. True if it did.
    ///
    /// Killed at any moment, it leaves no pair, a whole pair, or a key whose certificate lies ready: the key
    /// gets its name first, and the next call gives the certificate its own.
    pub(crate) fn ensure_pair(&self, pair: Pair, algorithm: Algorithm) -> Result<bool> {
        let (certificate, key) = (self.certificate_path(pair), self.key_path(pair));
        let (new_certificate, new_key) = (hidden(&certificate), hidden(&key));
        if certificate.exists() {
            return Ok(false);
        }
        if !key.exists() {
            self.write_pair(pair, algorithm, &new_certificate, &new_key)?;
            rename(&new_key, &key)?;
        } else if !new_certificate.exists() {
            bail!(
                "{} is there, but its certificate {} is not; put it back, or move the key away",
                key.display(),
                certificate.display()
            );
        }
        rename(&new_certificate, &certificate)?;
        Ok(true)
    }

    fn write_pair(
        &self,
        pair: Pair,
        algorithm: Algorithm,
        certificate: &Path,
        key: &Path,
    ) -> Result<()> {
        let node = node_name();
        let purpose = match pair {
            Pair::Recording => Purpose::Recording,
            Pair::Node => Purpose::Node(&node),
        };
        let now = clock::now();
        let made =
            seal::keys::create(purpose, algorithm, now.minus(BACKDATED), now.plus(VALIDITY))?;
        fs::create_dir_all(self.keys())
            .with_context(|| format!("cannot make {}", self.keys().display()))?;
        write(certificate, made.certificate.as_bytes(), 0o644)?;
        write(key, made.private_key.as_bytes(), 0o600)
    }

    /// Seals for the given certificates, or for this folder's own.
    pub(crate) fn sealer(&self, certificates: &[PathBuf]) -> Result<Sealer> {
        let own = [self.certificate_path(Pair::Recording)];
        let paths = if certificates.is_empty() {
            self.ensure_pair(Pair::Recording, Algorithm::default())?;
            &own[..]
        } else {
            certificates
        };
        let mut recipients = Vec::new();
        for path in paths {
            recipients.extend(self::recipients(path)?);
        }
        Ok(Sealer::new(recipients)?)
    }

    /// Signs as this node.
    pub(crate) fn signer(&self) -> Result<Signer> {
        self.ensure_pair(Pair::Node, Algorithm::default())?;
        let (key, certificate) = (self.key_path(Pair::Node), self.certificate_path(Pair::Node));
        let bytes = Zeroizing::new(read(&key)?);
        let parsed = Certificate::parse(&read(&certificate)?)
            .with_context(|| certificate.display().to_string())?;
        Signer::new(&bytes, parsed).with_context(|| key.display().to_string())
    }

    /// The certificates of this node, if they are there.
    pub(crate) fn node_certificates(&self) -> Result<Vec<Certificate>> {
        let path = self.certificate_path(Pair::Node);
        if path.exists() { certificates(&path) } else { Ok(Vec::new()) }
    }

    /// The recording with this id, or with the only id that begins so.
    pub(crate) fn recording(&self, id: &str) -> Result<Recording> {
        let catalog = Catalog::open_existing(&self.catalog())?;
        Ok(catalog.get(catalog.resolve(id)?)?)
    }

    /// The private key given, or this folder's own.
    pub(crate) fn private_key(&self, given: Option<&Path>) -> Result<PrivateKey> {
        let own = self.key_path(Pair::Recording);
        let path = given.unwrap_or(&own);
        if given.is_none() && !path.exists() {
            bail!("{} is not there; name the private key with --key FILE", path.display());
        }
        private_key(path)
    }
}

/// The certificates in a PEM file.
pub(crate) fn certificates(path: &Path) -> Result<Vec<Certificate>> {
    Certificate::parse_all(&read(path)?).with_context(|| path.display().to_string())
}

/// The recipients in a PEM file, with a word about those that are odd.
pub(crate) fn recipients(path: &Path) -> Result<Vec<Recipient>> {
    let mut recipients = Vec::new();
    for certificate in certificates(path)? {
        let recipient = Recipient::new(certificate).with_context(|| path.display().to_string())?;
        for warning in recipient.warnings(clock::now()) {
            tracing::warn!("{}: {warning}", path.display());
        }
        recipients.push(recipient);
    }
    Ok(recipients)
}

/// A private key from a PEM file.
pub(crate) fn private_key(path: &Path) -> Result<PrivateKey> {
    let bytes = Zeroizing::new(read(path)?);
    PrivateKey::parse(&bytes).with_context(|| path.display().to_string())
}

/// This machine's name, as recordings name it.
pub(crate) fn node_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let write = || {
        // A leftover may have other rights: the mode counts only for a file that is made.
        let _ = fs::remove_file(path);
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    let rename = || {
        fs::rename(from, to)?;
        to.parent().map_or(Ok(()), |folder| fs::File::open(folder)?.sync_all())
    };
    rename().with_context(|| format!("cannot write {}", to.display()))
}

/// The name of a file that is not whole yet.
fn hidden(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.new"))
}
