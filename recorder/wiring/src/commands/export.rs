//! `spanreel export`: a recording as a folder of plain files, with its manifest and signature.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use seal::manifest;
use serde_json::json;

use super::Verdict;
use crate::cli::Export;
use crate::data_dir::DataDir;
use crate::{output, sealed};

pub(super) fn run(arguments: &Export) -> Result<Verdict> {
    let data = DataDir::open(&arguments.data.dir)?;
    let recording = data.recording(&arguments.id)?;
    let folder = data.recordings().join(recording.id.to_string());
    if arguments.to.exists() {
        bail!("{} is there already; name a folder that is not", arguments.to.display());
    }
    let mut opener = sealed::Opener::new(&data, arguments.opening.key.as_deref());
    let files = read_all(&folder, &mut opener)?;
    fs::create_dir_all(&arguments.to)
        .with_context(|| format!("cannot make {}", arguments.to.display()))?;
    for (name, bytes) in &files {
        let path = arguments.to.join(name);
        fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let names: Vec<_> = files.iter().map(|(name, _)| name).collect();
    if arguments.json {
        output::line(json!({ "id": recording.id, "folder": arguments.to, "files": names }))?;
    } else {
        output::line(format_args!(
            "{} files of {} in {}",
            names.len(),
            recording.id,
            arguments.to.display()
        ))?;
    }
    Ok(Verdict::Done)
}

/// Everything is read and opened before anything is written: a wrong key leaves no half bundle.
fn read_all(folder: &Path, opener: &mut sealed::Opener<'_>) -> Result<Vec<(String, Vec<u8>)>> {
    let list = || format!("cannot read {}", folder.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(list)? {
        let path = entry.with_context(list)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let plain = name.strip_suffix(manifest::SEALED_SUFFIX).unwrap_or(&name).to_owned();
        files.push((plain, opener.read(&path)?));
    }
    files.sort();
    Ok(files)
}
