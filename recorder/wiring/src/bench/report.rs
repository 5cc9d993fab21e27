//! What a bench found, for people (a page with its curves drawn in it) and for programs (JSON), both signed as
//! manifests are: CMS, detached, by the node's key.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use base::Timestamp;
use seal::{Sha256Hasher, Signer};
use serde::Serialize;
use serde_json::Value;

use super::disk::Sustained;
use super::html;
use super::multiply::Multiplied;
use super::search::Found;
use super::trial::Trial;
use crate::clock;
use crate::data_dir::DataDir;
use crate::doctor::machine::Machine;

/// What a bench found.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    /// What was measured: the subcommand.
    pub(super) kind: &'static str,
    /// When.
    pub(super) time: Timestamp,
    /// Program and version.
    pub(super) build: String,
    /// SHA-256 of the program's file.
    pub(super) program_sha256: String,
    /// The command line.
    pub(super) command: Vec<String>,
    /// The processor's name.
    pub(super) processor: String,
    /// Kernel, memory, CPUs, clock, disk, as `spanreel doctor` sees them.
    pub(super) machine: Value,
    /// Each load, in the order of measuring.
    pub(super) trials: Vec<Trial>,
    /// What a multiplied capture came to.
    pub(super) replay: Option<Multiplied>,
    /// What the search came to.
    pub(super) search: Option<Found>,
    /// What the disk sustains.
    pub(super) disk: Option<Sustained>,
}

impl Report {
    /// Of nothing yet. `data` is on the disk that matters.
    pub(super) fn new(kind: &'static str, data: Option<&Path>) -> Result<Self> {
        let build = concat!("spanreel ", env!("CARGO_PKG_VERSION"));
        let profile = if cfg!(debug_assertions) { " (a development build)" } else { "" };
        let place = data.map_or_else(std::env::temp_dir, Path::to_owned);
        Ok(Self {
            kind,
            time: clock::now(),
            build: format!("{build}{profile}"),
            program_sha256: program_sha256()?,
            command: std::env::args().collect(),
            processor: processor(),
            machine: Machine::look(&place).as_json(),
            trials: Vec::new(),
            replay: None,
            search: None,
            disk: None,
        })
    }

    /// Writes the page, the JSON beside it, and a signature of each, by the data folder's key or one made for it.
    ///
    /// # Errors
    /// They cannot be written.
    pub(super) fn write(&self, page: &Path, data: Option<&Path>) -> Result<()> {
        let temporary = tempfile::tempdir()?;
        let signer = DataDir::create(data.unwrap_or(temporary.path()))?.signer()?;
        signed(page, html::page(self).as_bytes(), &signer, self.time)?;
        signed(&page.with_extension("json"), &serde_json::to_vec_pretty(self)?, &signer, self.time)
    }
}

/// A file, and its signature beside it.
fn signed(path: &Path, content: &[u8], signer: &Signer, time: Timestamp) -> Result<()> {
    let signature = with_suffix(path, ".p7s");
    let write = |path: &Path, bytes: &[u8]| {
        std::fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
    };
    write(path, content)?;
    write(&signature, &signer.sign(content, time)?)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

fn program_sha256() -> Result<String> {
    let path = std::env::current_exe()?;
    let mut hash = Sha256Hasher::default();
    hash.update(&crate::data_dir::read(&path)?);
    Ok(hash.finish().to_string())
}

fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    name.map_or("unknown", |(_, name)| name).to_owned()
}
