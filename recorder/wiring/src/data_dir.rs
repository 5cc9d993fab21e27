//! A data folder: what is where in it, and the keys that it needs.
//!
//! ```text
//! recordings/<id>/   the recordings
//! catalog.db         the catalog, which can be made anew from the recordings
//! annotations.db     what people say of recordings: labels, free metadata, that they must not be deleted
//! catalog.place      the database server that both are in, if not here (catalog_place.rs)
//! recordings.place   where the recordings are, if not here (finish/storage/own_place.rs)
//! spool/             recordings that wait until their place or the catalog is back
//! journal/           what is not finished yet, encrypted
//! outages.json       when `run` saw nothing, for the calls that are in the journal
//! clock.json         by which clock the times in the journal are (wall_clock.rs)
//! keys/              recording.crt, recording.key: sealed for, opened with
//!                    node.crt, node.key: manifests are signed with
//!                    catalog.crt, catalog.key: metadata are sealed for it too, to make the catalog anew
//!                    journal.key: the journal is encrypted with
//!                    web.crt, web.key: the web server shows it to browsers
//! web.db             users, log-ins, API tokens, links, saved searches
//! audit/             who did what (web/src/audit)
//! ```

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use base::recording::Recording;
use seal::keys::{Algorithm, Purpose};
use seal::{Certificate, PrivateKey, Recipient, Sealer, Signer};
use serde::Serialize;
use serde::de::DeserializeOwned;
use store::{CATALOG_NAME, Catalog, DatabasePlace, RECORDINGS_NAME};
use zeroize::Zeroizing;

use crate::finish::{OwnPlace, Places, Seals};
use crate::outages::Outage;
use crate::wall_clock::Era;
use crate::{catalog_place, clock};

/// How long a certificate that we make holds: longer than retention usually asks.
const VALIDITY: Duration = Duration::from_secs(20 * 365 * 24 * 3600);
/// It holds from a little before now: clocks differ.
const BACKDATED: Duration = Duration::from_secs(24 * 3600);

/// A data folder.
#[derive(Clone, Debug)]
pub(crate) struct DataDir(PathBuf);

/// One of the key pairs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pair {
    Recording,
    Node,
    Catalog,
}

impl Pair {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Recording => "recording",
            Self::Node => "node",
            Self::Catalog => "catalog",
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
        // Recordings elsewhere are not made here: it may be a mount point whose file system is not mounted.
        let recordings = Some(data.recordings()).filter(|folder| folder.starts_with(path));
        for folder in [path.to_owned(), data.keys()].into_iter().chain(recordings) {
            fs::create_dir_all(&folder).with_context(|| {
                format!(
                    "cannot make the folder {}; check the path and who owns it",
                    folder.display()
                )
            })?;
        }
        Ok(data)
    }

    /// The folder of recordings, here or elsewhere.
    pub(crate) fn recordings(&self) -> PathBuf {
        let own = OwnPlace::read(&self.0).unwrap_or_else(|error| {
            tracing::warn!("{error:#}");
            None
        });
        own.map_or_else(|| self.0.join(RECORDINGS_NAME), |own| own.path().to_owned())
    }

    /// Recordings go to `path` from now on.
    pub(crate) fn set_recordings(&self, path: &Path) -> Result<()> {
        OwnPlace::set(&self.0, path).map(drop)
    }

    /// Where recordings are put, how their metadata are opened for the catalog; without a spool.
    pub(crate) fn places(&self) -> Result<Places> {
        let own = OwnPlace::read(&self.0)?;
        self.ensure_pair(Pair::Catalog, Algorithm::default())?;
        let catalog_key = self.catalog_key().unwrap_or_else(|error| {
            tracing::warn!("the catalog could not be made anew from sealed recordings: {error:#}");
            None
        });
        let catalog_key = catalog_key.map(Arc::new);
        let places = Places::new(self.recordings(), self.catalog()?, node_name());
        Ok(Places { own, catalog_key, ..places })
    }

    /// Where recordings wait.
    pub(crate) fn spool(&self) -> PathBuf {
        self.0.join("spool")
    }

    /// Opens metadata that this node sealed.
    pub(crate) fn catalog_key(&self) -> Result<Option<PrivateKey>> {
        let path = self.key_path(Pair::Catalog);
        if path.exists() { private_key(&path).map(Some) } else { Ok(None) }
    }

    /// The catalog, here or in a database server.
    ///
    /// # Errors
    /// What the data folder knows of a server is not understood.
    pub(crate) fn catalog(&self) -> Result<DatabasePlace> {
        catalog_place::read(&self.0, self.catalog_file())
    }

    /// The catalog, if it is here.
    pub(crate) fn catalog_file(&self) -> PathBuf {
        self.0.join(CATALOG_NAME)
    }

    /// Whether there is a catalog, as far as can be known without asking a server.
    ///
    /// # Errors
    /// As [`DataDir::catalog`].
    pub(crate) fn has_catalog(&self) -> Result<bool> {
        Ok(match self.catalog()? {
            DatabasePlace::File(path) => path.exists(),
            DatabasePlace::Postgres(_) => true,
        })
    }

    /// The catalog is there from now on; commands find it without the configuration of `run`.
    ///
    /// # Errors
    /// The data folder cannot be written.
    pub(crate) fn set_catalog(&self, settings: &catalog_place::Settings) -> Result<()> {
        catalog_place::set(&self.0, settings)
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
        Ok(read_json(&self.outages())?.unwrap_or_default())
    }

    /// Writes them down.
    pub(crate) fn write_outages(&self, outages: &[Outage]) -> Result<()> {
        write_json(&self.outages(), &outages)
    }

    fn era(&self) -> PathBuf {
        self.0.join("clock.json")
    }

    /// By which clock an earlier run's journal is. Without it, the wall clock is taken for it.
    pub(crate) fn read_era(&self) -> Result<Option<Era>> {
        read_json(&self.era())
    }

    /// Writes it down.
    pub(crate) fn write_era(&self, era: &Era) -> Result<()> {
        write_json(&self.era(), era)
    }

    /// There is no journal any more: the next run need not keep to its clock.
    pub(crate) fn forget_era(&self) {
        // If it stays, the next run keeps to it, which is right too.
        let _ = fs::remove_file(self.era());
    }

    pub(crate) fn keys(&self) -> PathBuf {
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
            Pair::Catalog => Purpose::Catalog(&node),
        };
        let now = clock::now();
        let made =
            seal::keys::create(purpose, algorithm, now.minus(BACKDATED), now.plus(VALIDITY))?;
        fs::create_dir_all(self.keys())
            .with_context(|| format!("cannot make {}", self.keys().display()))?;
        write(certificate, made.certificate.as_bytes(), 0o644)?;
        write(key, made.private_key.as_bytes(), 0o600)
    }

    /// Seals for the given certificates, or for this folder's own; the metadata for this node's catalog too.
    pub(crate) fn seals(&self, certificates: &[PathBuf]) -> Result<Seals> {
        let own = [self.certificate_path(Pair::Recording)];
        let paths = if certificates.is_empty() {
            self.ensure_pair(Pair::Recording, Algorithm::default())?;
            &own[..]
        } else {
            certificates
        };
        let of = |paths: &[PathBuf]| -> Result<Vec<Recipient>> {
            let each = paths.iter().map(|path| recipients(path));
            Ok(each.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
        };
        self.ensure_pair(Pair::Catalog, Algorithm::default())?;
        let own = self.certificate_path(Pair::Catalog);
        let all: Vec<PathBuf> = paths.iter().cloned().chain([own]).collect();
        Ok(Seals { media: Sealer::new(of(paths)?)?, metadata: Sealer::new(of(&all)?)? })
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
        let catalog = Catalog::open_existing(&self.catalog()?)?;
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

/// What a file says; nothing if there is none, or if it is not understood.
fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    if !path.exists() {
        return Ok(None);
    }
    let told = serde_json::from_slice(&read(path)?);
    Ok(told.map_err(|error| tracing::warn!("{} is not used: {error}", path.display())).ok())
}

/// Replaces a file as a whole.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let new = hidden(path);
    let json = serde_json::to_vec(value).with_context(|| path.display().to_string())?;
    write(&new, &json, 0o644)?;
    rename(&new, path)
}

/// The name of a file that is not whole yet.
fn hidden(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.new"))
}
