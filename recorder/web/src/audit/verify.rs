//! Whether a log is as it was written. It needs nothing but the files and the node's certificate.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use base::disk::SystemDisk;
use base::limits::{AUDIT_FILE_BYTES_MAX, AUDIT_FINDINGS_MAX};
use seal::{Certificate, Sha256Hash};

use super::chain::Chain;
use super::log::{AuditError, Head};
use super::{Act, files, head};

/// What was found.
#[derive(Debug, Default)]
pub struct AuditReport {
    /// Files of the log.
    pub files: usize,
    /// Entries that follow from those before them.
    pub entries: u64,
    /// Number of the last entry that is under a signature.
    pub signed: u64,
    /// Who signed, in words.
    pub signers: Vec<String>,
    /// What is wrong; nothing: the log is as it was written.
    pub findings: Vec<AuditFinding>,
    /// Findings that are not listed because there are too many.
    pub more: u64,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditFinding {
    /// In which file.
    pub path: PathBuf,
    /// In which line, from 1; `None`: the file.
    pub line: Option<usize>,
    /// What.
    pub what: String,
}

impl fmt::Display for AuditFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match self.line {
            Some(line) => write!(f, "{path}, line {line}: {}", self.what),
            None => write!(f, "{path}: {}", self.what),
        }
    }
}

/// Checks the log in `folder`. With certificates to trust, whoever else signed is a finding.
///
/// # Errors
/// If the folder cannot be read.
pub fn verify(folder: &Path, trusted: Option<&[Certificate]>) -> Result<AuditReport, AuditError> {
    let files = files::list(&SystemDisk, folder)?;
    let mut check =
        Check { trusted, report: AuditReport::default(), chain: Chain::after(Head::NONE) };
    check.report.files = files.len();
    if files.is_empty() {
        check.finding(folder, None, "there is no file of an audit log in it");
    }
    for (first, path) in &files {
        check.file(*first, path);
    }
    Ok(check.report)
}

struct Check<'a> {
    trusted: Option<&'a [Certificate]>,
    report: AuditReport,
    chain: Chain,
}

impl Check<'_> {
    fn finding(&mut self, path: &Path, line: Option<usize>, what: impl Into<String>) {
        if self.report.findings.len() >= AUDIT_FINDINGS_MAX {
            self.report.more += 1;
            return;
        }
        self.report.findings.push(AuditFinding { path: path.to_owned(), line, what: what.into() });
    }

    fn file(&mut self, first: u64, path: &Path) {
        let content = match read(path) {
            Ok(content) => content,
            Err(what) => return self.finding(path, None, what),
        };
        if first != self.chain.next() {
            let what =
                format!("begins with entry {first}, but entry {} follows", self.chain.next());
            self.finding(path, None, what);
            self.chain = Chain::from(first);
        }
        // Heads are of the last entries: the others need not be remembered.
        let mut hashes = BTreeMap::new();
        hashes.extend(self.chain.head().map(|head| (head.number, head.hash)));
        for (line, text) in (1..).zip(content.split_inclusive(|byte| *byte == b'\n')) {
            match text.strip_suffix(b"\n") {
                Some(text) => self.line(path, line, text, &mut hashes),
                None => self.finding(path, Some(line), format!(
                    "{} bytes that are no whole entry: a crash cut it off (the next start removes it and says so), or it was added",
                    text.len()
                )),
            }
        }
        self.head(path, &hashes);
    }

    fn line(
        &mut self,
        path: &Path,
        line: usize,
        text: &[u8],
        hashes: &mut BTreeMap<u64, Sha256Hash>,
    ) {
        match self.chain.take(text) {
            Ok(entry) => {
                self.report.entries += 1;
                if entry.act == Act::Altered {
                    let what = format!("the server found at {}: {}", entry.time, entry.subject);
                    self.finding(path, Some(line), what);
                }
                hashes.insert(entry.number, entry.hash);
            }
            Err(fault) => self.finding(path, Some(line), fault.to_string()),
        }
    }

    /// Whether the file goes as far as its signed head says.
    fn head(&mut self, log: &Path, hashes: &BTreeMap<u64, Sha256Hash>) {
        let path = head::path(log);
        let text = match read(&path) {
            Ok(text) => text,
            Err(what) => return self.finding(&path, None, what),
        };
        let (head, by) = match head::read(&text, self.trusted) {
            Ok(found) => found,
            Err(what) => return self.finding(&path, None, what),
        };
        if !self.report.signers.contains(&by.subject) {
            self.report.signers.push(by.subject);
        }
        match hashes.get(&head.number) {
            Some(hash) if *hash == head.hash => self.report.signed = head.number,
            Some(_) => {
                let what = format!("entry {} is another than the one that was signed", head.number);
                self.finding(log, None, what);
            }
            None if head == Head::NONE => {}
            None => {
                let last = hashes.keys().next_back().copied().unwrap_or(0);
                let what = format!(
                    "entry {} was signed, but the last sound one is {last}: what is between was removed or altered",
                    head.number
                );
                self.finding(log, None, what);
            }
        }
    }
}

/// All of a file that is no longer than ours are.
fn read(path: &Path) -> Result<Vec<u8>, String> {
    let file = fs::File::open(path).map_err(|error| format!("cannot be read: {error}"))?;
    let mut content = Vec::new();
    let most = 2 * AUDIT_FILE_BYTES_MAX;
    file.take(most + 1)
        .read_to_end(&mut content)
        .map_err(|error| format!("cannot be read: {error}"))?;
    if content.len() as u64 > most {
        return Err(format!("is longer than {most} bytes: no file of an audit log is"));
    }
    Ok(content)
}
