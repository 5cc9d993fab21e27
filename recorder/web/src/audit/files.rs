//! The files of the log: their names, and where the last one ends.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::disk::{self, Disk, DiskFile};

use super::chain::Chain;
use super::log::{AuditError, Head};
use super::{entry, head};

/// Behind a file's name.
const SUFFIX: &str = ".jsonl";
/// Digits of the number that is a file's name.
const DIGITS: usize = 16;

/// Where the log ends.
pub(super) struct Found {
    /// The file to append to.
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) path: PathBuf,
    /// Its whole entries.
    pub(super) bytes: u64,
    pub(super) head: Head,
    pub(super) damage: Option<Damage>,
}

/// The log's files, and the number of the first entry of each, in order.
pub(super) fn list(disk: &dyn Disk, folder: &Path) -> Result<Vec<(u64, PathBuf)>, AuditError> {
    let entries = disk.list(folder).map_err(AuditError::io(folder))?;
    let mut found: Vec<_> = entries
        .iter()
        .filter_map(|entry| {
            let digits = entry.name.to_str()?.strip_suffix(SUFFIX)?;
            let number = digits.parse().ok().filter(|_| digits.len() == DIGITS)?;
            Some((number, folder.join(&entry.name)))
        })
        .collect();
    found.sort();
    Ok(found)
}

/// A new file for entry `number` and those after it.
pub(super) fn create(
    disk: &dyn Disk,
    folder: &Path,
    number: u64,
) -> Result<(Arc<dyn DiskFile>, PathBuf), AuditError> {
    let path = folder.join(format!("{number:0DIGITS$}{SUFFIX}"));
    let file = disk.create(&path, 0o600).map_err(AuditError::io(&path))?;
    disk.sync_folder(folder).map_err(AuditError::io(folder))?;
    Ok((file, path))
}

/// All bytes of a file.
pub(super) fn read(file: &dyn DiskFile, path: &Path) -> Result<Vec<u8>, AuditError> {
    let failed = AuditError::io(path);
    let mut bytes = vec![0; usize::try_from(file.len().map_err(&failed)?).unwrap_or(0)];
    let read = disk::read_full_at(file, &mut bytes, 0).map_err(&failed)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// What is wrong with where the log ends.
pub(super) enum Damage {
    /// A crash cut an entry off, which was never answered.
    Torn(String),
    /// Something else: it was altered, or what was signed is gone.
    Altered(String),
}

/// Where the log in `folder` ends. Without one, or behind a file that was altered, a new file is made: what was altered
/// stays as it is, with its signed head, for whoever wants to see.
pub(super) fn last(disk: &dyn Disk, folder: &Path) -> Result<Found, AuditError> {
    let files = list(disk, folder)?;
    let Some((first, path)) = files.last() else {
        let (file, path) = create(disk, folder, Head::NONE.number + 1)?;
        return Ok(Found { file, path, bytes: 0, head: Head::NONE, damage: None });
    };
    let file = disk.open(path).map_err(AuditError::io(path))?;
    let content = read(&*file, path)?;
    let (sound, chain) = sound(&content, *first);
    let torn = content.get(sound..).unwrap_or_default();
    let head = match chain.head() {
        Some(head) => head,
        // A new file whose first entry was never written.
        None => head_before(disk, &files)?,
    };
    let signed = signed(disk, path)?;
    let name = path.display();
    if let Some(what) = altered(&content, torn, head, signed) {
        let number = head.number.max(*first).max(signed.map_or(0, |signed| signed.number));
        let head = Head { number, ..head };
        let what =
            format!("{name}: {what}; it is left as it is, and the log goes on in a new file");
        let (file, path) = create(disk, folder, head.number + 1)?;
        return Ok(Found { file, path, bytes: 0, head, damage: Some(Damage::Altered(what)) });
    }
    let damage = (!torn.is_empty()).then(|| {
        let bytes = torn.len();
        Damage::Torn(format!("{name}: {bytes} bytes of an entry that a crash cut off, and that was never answered, were removed"))
    });
    Ok(Found { file, path: path.clone(), bytes: sound as u64, head, damage })
}

/// What the signed head of a log file says, if there is one.
fn signed(disk: &dyn Disk, log: &Path) -> Result<Option<Head>, AuditError> {
    let path = head::path(log);
    if !disk.exists(&path).map_err(AuditError::io(&path))? {
        return Ok(None);
    }
    let file = disk.open(&path).map_err(AuditError::io(&path))?;
    Ok(head::read(&read(&*file, &path)?, None).ok().map(|(head, _)| head))
}

/// What shows that somebody was at the file.
fn altered(content: &[u8], torn: &[u8], head: Head, signed: Option<Head>) -> Option<&'static str> {
    if torn.contains(&b'\n') {
        return Some("an entry was altered, removed or added");
    }
    let Some(signed) = signed else {
        // A file gets its head before its first entry.
        return (!content.is_empty()).then_some("its signed head is gone or damaged");
    };
    let mut entries = content.split(|byte| *byte == b'\n').filter_map(entry::read);
    let same =
        signed == head || entries.any(|entry| entry.head() == signed || entry.before() == signed);
    (!same).then_some("entries that were signed are gone, or others than those that were signed")
}

/// How many bytes of a file are whole entries that follow from one another, and the chain behind them.
fn sound(content: &[u8], first: u64) -> (usize, Chain) {
    let mut chain = Chain::from(first);
    let mut sound = 0;
    for line in content.split_inclusive(|byte| *byte == b'\n') {
        let Some(line) = line.strip_suffix(b"\n") else { break };
        let mut next = chain.clone();
        if next.take(line).is_err() {
            break;
        }
        (chain, sound) = (next, sound + line.len() + 1);
    }
    (sound, chain)
}

/// The last entry that can be read, in whichever file.
fn head_before(disk: &dyn Disk, files: &[(u64, PathBuf)]) -> Result<Head, AuditError> {
    for (_, path) in files.iter().rev() {
        let file = disk.open(path).map_err(AuditError::io(path))?;
        let content = read(&*file, path)?;
        if let Some(entry) = content.split(|byte| *byte == b'\n').rev().find_map(entry::read) {
            return Ok(entry.head());
        }
    }
    Ok(Head::NONE)
}
