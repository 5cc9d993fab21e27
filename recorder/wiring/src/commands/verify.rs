//! `spanreel verify`: whether recordings, or the audit log, are unaltered and whole.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use seal::{Certificate, PrivateKey, SignedBy};
use serde_json::json;
use store::{Catalog, Filter, Finding, Order, Problem, Report};

use super::Verdict;
use crate::cli::Verify;
use crate::data_dir::{self, DataDir};
use crate::output;

pub(super) fn run(arguments: &Verify) -> Result<Verdict> {
    let trusted = trusted(arguments)?;
    if arguments.audit {
        return audit(arguments, trusted.as_deref());
    }
    let key = arguments.opening.key.as_deref().map(data_dir::private_key).transpose()?;
    let targets = targets(arguments)?;
    let recordings = recordings(arguments);
    let mut bad = 0;
    for target in &targets {
        let report = if target.exists() {
            check(target, &recordings, trusted.as_deref(), key.as_ref())
        } else {
            let gone = Finding { path: target.clone(), problem: Problem::Missing };
            Report { findings: vec![gone], ..Report::default() }
        };
        bad += usize::from(!report.findings.is_empty());
        tell(target, &report, arguments.json)?;
    }
    if !arguments.json {
        output::line(summary(targets.len(), bad, trusted.is_some(), key.as_ref()))?;
    }
    Ok(if bad == 0 { Verdict::Done } else { Verdict::Bad })
}

/// Whether the audit log is as it was written.
fn audit(arguments: &Verify, trusted: Option<&[Certificate]>) -> Result<Verdict> {
    let report = web::audit::verify(&arguments.data.dir.join("audit"), trusted)?;
    let good = report.findings.is_empty();
    let findings: Vec<_> = report.findings.iter().map(ToString::to_string).collect();
    if arguments.json {
        output::line(json!({
            "good": good,
            "findings": findings,
            "moreFindings": report.more,
            "files": report.files,
            "entries": report.entries,
            "signedUpTo": report.signed,
            "signedBy": report.signers,
            "trusted": trusted.is_some() && good,
        }))?;
    } else {
        findings.iter().try_for_each(|finding| output::line(format_args!("BAD   {finding}")))?;
        let whose = if trusted.is_some() {
            ""
        } else {
            "; whose signature counts is not known: name the node's certificate with --node-cert"
        };
        output::line(format_args!(
            "{} entries in {} files, {} bad; signed up to entry {} by {}{whose}",
            report.entries,
            report.files,
            report.findings.len() as u64 + report.more,
            report.signed,
            if report.signers.is_empty() { "nobody".to_owned() } else { report.signers.join(", ") },
        ))?;
    }
    Ok(if good { Verdict::Done } else { Verdict::Bad })
}

/// Where the data folder's recordings are, if there is one.
fn recordings(arguments: &Verify) -> Option<PathBuf> {
    let data = DataDir::open(&arguments.data.dir).ok()?;
    data.recordings().canonicalize().ok()
}

/// A folder in the data folder must be as it was stored; one elsewhere may be a bundle that was exported.
fn check(
    target: &Path,
    recordings: &Option<PathBuf>,
    trusted: Option<&[Certificate]>,
    key: Option<&PrivateKey>,
) -> Report {
    if let Some(signature) = own_signature(target) {
        return check_signed(target, &signature, trusted);
    }
    let target_path = target.canonicalize().unwrap_or_else(|_| target.to_path_buf());
    let is_stored = recordings.as_ref().is_some_and(|folder| target_path.starts_with(folder));
    if is_stored {
        store::verify(target, trusted, key)
    } else {
        store::verify_exported(target, trusted, key)
    }
}

/// The signature beside a file that belongs to no recording, such as a report of `bench`.
fn own_signature(file: &Path) -> Option<PathBuf> {
    let mut name = file.as_os_str().to_owned();
    name.push(".p7s");
    let signature = PathBuf::from(name);
    let of_recording = file.parent()?.join(seal::manifest::MANIFEST_NAME).exists();
    (file.is_file() && signature.is_file() && !of_recording).then_some(signature)
}

/// A file by the signature beside it.
fn check_signed(file: &Path, signature: &Path, trusted: Option<&[Certificate]>) -> Report {
    let bad = |path: &Path, problem: Problem| Report {
        findings: vec![Finding { path: path.to_owned(), problem }],
        ..Report::default()
    };
    let (Ok(content), Ok(signed)) = (std::fs::read(file), std::fs::read(signature)) else {
        return bad(file, Problem::Missing);
    };
    match seal::verify(&signed, &content, trusted) {
        Err(error) => bad(file, error.into()),
        Ok(SignedBy { subject, fingerprint, trusted: false, .. }) if trusted.is_some() => {
            bad(signature, Problem::UnknownSigner { subject, fingerprint })
        }
        Ok(by) => Report { signed_by: Some(by), files_good: 1, ..Report::default() },
    }
}

/// The certificates whose signatures count: those given, else this data folder's own, if it is there.
fn trusted(arguments: &Verify) -> Result<Option<Vec<Certificate>>> {
    if !arguments.node_certificates.is_empty() {
        let read = arguments.node_certificates.iter().map(|path| data_dir::certificates(path));
        return Ok(Some(read.collect::<Result<Vec<_>>>()?.concat()));
    }
    match DataDir::open(&arguments.data.dir) {
        Ok(data) => {
            Ok(Some(data.node_certificates()?).filter(|certificates| !certificates.is_empty()))
        }
        Err(_) => Ok(None),
    }
}

/// Folders and files to check. Nothing named: every recording of the data folder.
fn targets(arguments: &Verify) -> Result<Vec<PathBuf>> {
    if arguments.what.is_empty() {
        return all(&DataDir::open(&arguments.data.dir)?);
    }
    let mut targets = Vec::new();
    for what in &arguments.what {
        let path = Path::new(what);
        if path.is_dir()
            && !path.join(seal::manifest::MANIFEST_NAME).exists()
            && holds_folders(path)
        {
            targets.extend(folders(path)?);
        } else if path.exists() {
            targets.push(std::path::absolute(path)?);
        } else {
            targets.push(by_id(arguments, what)?);
        }
    }
    Ok(targets)
}

/// Every recording that is there, and every one that the catalog says should be.
fn all(data: &DataDir) -> Result<Vec<PathBuf>> {
    let mut targets: BTreeSet<PathBuf> = folders(&data.recordings())?.into_iter().collect();
    if data.has_catalog()? {
        let recordings = std::path::absolute(data.recordings())?;
        Catalog::open_existing(&data.catalog()?)?.each(
            &Filter::default(),
            Order::Earliest,
            None,
            |recording| {
                targets.insert(recordings.join(recording.id.to_string()));
                ControlFlow::Continue(())
            },
        )?;
    }
    Ok(targets.into_iter().collect())
}

/// A recording of the data folder, found without its catalog.
fn by_id(arguments: &Verify, id: &str) -> Result<PathBuf> {
    let data = DataDir::open(&arguments.data.dir).with_context(|| {
        format!("{id} is neither a file nor a folder, and no data folder to look it up in")
    })?;
    let wanted = id.to_lowercase();
    let matches =
        |path: &PathBuf| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with(&wanted));
    let mut found: Vec<_> = folders(&data.recordings())?.into_iter().filter(matches).collect();
    match (found.pop(), found.len()) {
        (Some(only), 0) => Ok(only),
        (Some(_), _) => bail!("several recordings begin with {id}; give more of the id"),
        (None, _) => bail!("{id} is no recording in {}", data.recordings().display()),
    }
}

fn holds_folders(path: &Path) -> bool {
    folders(path).is_ok_and(|folders| !folders.is_empty())
}

/// The visible folders in a folder, sorted.
fn folders(path: &Path) -> Result<Vec<PathBuf>> {
    let list = || format!("cannot read {}", path.display());
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(path).with_context(list)? {
        let entry = entry.with_context(list)?;
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        if !hidden && entry.file_type().with_context(list)?.is_dir() {
            folders.push(std::path::absolute(entry.path())?);
        }
    }
    folders.sort();
    Ok(folders)
}

fn tell(target: &Path, report: &Report, json: bool) -> Result<()> {
    let findings: Vec<_> = report.findings.iter().map(ToString::to_string).collect();
    if json {
        let signer = report.signed_by.as_ref();
        return output::line(json!({
            "path": target,
            "good": findings.is_empty(),
            "findings": findings,
            "signedBy": signer.map(|s| &s.subject),
            "signerSha256": signer.map(|s| s.fingerprint.to_string()),
            "signedAt": signer.map(|s| s.time),
            "trusted": signer.map(|s| s.trusted),
            "files": report.files_good,
            "opened": report.files_opened,
            "exported": report.files_exported,
            "recording": report.recording,
        }));
    }
    if findings.is_empty() {
        let by = report
            .signed_by
            .as_ref()
            .map_or_else(String::new, |s| format!(", signed by {}", s.subject));
        return output::line(format_args!(
            "good  {} ({} files{}{by})",
            target.display(),
            report.files_good,
            exported(report)
        ));
    }
    output::line(format_args!("BAD   {}", target.display()))?;
    findings.iter().try_for_each(|finding| output::line(format_args!("      {finding}")))
}

/// Says of a bundle what it is of: its folder need not.
fn exported(report: &Report) -> String {
    match (report.files_exported, report.recording) {
        (1.., Some(id)) => format!(", exported from recording {id}"),
        _ => String::new(),
    }
}

fn summary(count: usize, bad: usize, trusted: bool, key: Option<&PrivateKey>) -> String {
    let mut text = format!("{count} checked, {bad} bad");
    if !trusted {
        text +=
            "; whose signature counts is not known: name the node's certificate with --node-cert";
    }
    if key.is_none() {
        text += "; sealed files were checked as stored, not opened (--key FILE opens them)";
    }
    text
}
