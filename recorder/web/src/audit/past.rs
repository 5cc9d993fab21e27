//! Reading back, the newest first.

use std::fs;
use std::io;
use std::path::Path;

use base::disk::SystemDisk;
use base::limits::AUDIT_SEARCH_BYTES_MAX;

use super::log::AuditError;
use super::{Act, Entry, entry, files};

/// What is looked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    /// Entries with smaller numbers.
    pub(super) before: Option<u64>,
    pub(super) who: Option<String>,
    pub(super) act: Option<Act>,
    pub(super) limit: usize,
}

impl Wanted {
    fn fits(&self, entry: &Entry) -> bool {
        self.before.is_none_or(|before| entry.number < before)
            && self.who.as_ref().is_none_or(|who| *who == entry.who)
            && self.act.is_none_or(|act| act == entry.act)
    }
}

/// The entries, the newest first, and before which number to go on; `None`: that was all. No more than
/// [`AUDIT_SEARCH_BYTES_MAX`] is read, so that there may be fewer than the limit, or none, although there are more.
pub(super) fn find(
    folder: &Path,
    wanted: &Wanted,
) -> Result<(Vec<Entry>, Option<u64>), AuditError> {
    let mut found: Vec<Entry> = Vec::new();
    let mut read = 0;
    for (first, path) in files::list(&SystemDisk, folder)?.into_iter().rev() {
        if wanted.before.is_some_and(|before| before <= first) {
            continue;
        }
        let content = match fs::read(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(AuditError::Io { path, error });
            }
            content => content.unwrap_or_default(),
        };
        for line in content.split(|byte| *byte == b'\n').rev() {
            let Some(entry) = entry::read(line).filter(|entry| wanted.fits(entry)) else {
                continue;
            };
            if found.len() == wanted.limit {
                return Ok((found.clone(), found.last().map(|entry| entry.number)));
            }
            found.push(entry);
        }
        read += content.len();
        if read >= AUDIT_SEARCH_BYTES_MAX && first > 1 {
            return Ok((found, Some(first)));
        }
    }
    Ok((found, None))
}
