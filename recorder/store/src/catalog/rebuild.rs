//! The catalog made anew from the recordings' folders. What is wrong with a folder is reported, and the rest goes on.
//!
//! An SQLite catalog is built beside the old one and takes its place by a rename. The old one's writers wait meanwhile,
//! and find out afterwards; what they would have entered stays where it waits (the spool, or the journal).
//!
//! In PostgreSQL, which other nodes use as well, each recording of the folders is entered as if it were new, and then
//! this node's rows whose folder is not there are taken out.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use base::recording::Recording;
use base::{RecordingId, limits};
use rusqlite::{Connection, OpenFlags};
use seal::manifest::SEALED_SUFFIX;
use zeroize::Zeroizing;

use super::aside::flush_folder_of;
use super::{Catalog, CatalogError, schema, write};
use crate::METADATA_NAME;
use crate::database::{DatabaseError, DatabasePlace};

/// Recordings put in by one transaction.
const BATCH: usize = 1_000;

/// What came of it.
#[derive(Debug, Default)]
pub struct Rebuilt {
    /// Recordings that are in the new catalog.
    pub recordings: usize,
    /// Folders that are not.
    pub problems: Vec<RebuildProblem>,
}

/// Why a folder is not in the new catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RebuildProblem {
    /// The folder.
    pub folder: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

impl fmt::Display for RebuildProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.folder.display(), self.reason)
    }
}

/// Makes the catalog at `place` anew from the folders in `recordings`, which are those of `node`. `open` gives the
/// plain content of a sealed file, or says why it does not.
///
/// # Errors
/// If another process writes the catalog, the folders cannot be listed, or the new catalog cannot be written. An
/// SQLite catalog is then as it was.
pub fn rebuild<E: fmt::Display>(
    place: &DatabasePlace,
    recordings: &Path,
    node: &str,
    open: impl Fn(&[u8]) -> Result<Zeroizing<Vec<u8>>, E>,
) -> Result<Rebuilt, CatalogError> {
    let DatabasePlace::File(path) = place else {
        let catalog = Catalog::open(place)?;
        let (rebuilt, entered) = enter(&catalog, recordings, open)?;
        remove_others(&catalog, node, &entered)?;
        return Ok(rebuilt);
    };
    let old = retire(path)?;
    let new = sibling(path, ".rebuilt");
    let written = build(&new, recordings, open).and_then(|rebuilt| {
        replace(path, &new).map_err(|error| not_writable(path, &error))?;
        Ok(rebuilt)
    });
    drop(old);
    if written.is_err() {
        let _ = remove_with_logs(&new);
    }
    written
}

/// `catalog.db` with something behind its name.
pub(super) fn sibling(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(suffix);
    path.with_file_name(name)
}

/// Makes sure that nobody else writes the old catalog as long as what this gives is kept, and empties its log. A
/// damaged one is why the new one is made.
fn retire(path: &Path) -> Result<Option<Connection>, CatalogError> {
    if !path.exists() {
        return Ok(None);
    }
    let held = || -> rusqlite::Result<(Connection, bool)> {
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        connection.busy_timeout(std::time::Duration::ZERO)?;
        let ours = schema::is_ours(&connection)?;
        if ours {
            connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
            connection.execute_batch("BEGIN IMMEDIATE")?;
        }
        Ok((connection, ours))
    };
    match held() {
        Ok((connection, true)) => Ok(Some(connection)),
        Ok((_, false)) => {
            Err(CatalogError::Database(DatabaseError::Foreign(path.display().to_string())))
        }
        Err(error) => match DatabaseError::of_file(&path.display().to_string(), &error).into() {
            in_use @ CatalogError::InUse { .. } => Err(in_use),
            _ => Ok(None),
        },
    }
}

fn build<E: fmt::Display>(
    new: &Path,
    recordings: &Path,
    open: impl Fn(&[u8]) -> Result<Zeroizing<Vec<u8>>, E>,
) -> Result<Rebuilt, CatalogError> {
    remove_with_logs(new).map_err(|error| not_writable(new, &error))?;
    let catalog = Catalog::open(&new.into())?;
    // The last connection that is closed moves the log into the file.
    enter(&catalog, recordings, open).map(|(rebuilt, _)| rebuilt)
}

/// Enters what is in the folders.
fn enter<E: fmt::Display>(
    catalog: &Catalog,
    recordings: &Path,
    open: impl Fn(&[u8]) -> Result<Zeroizing<Vec<u8>>, E>,
) -> Result<(Rebuilt, BTreeSet<RecordingId>), CatalogError> {
    let folders = folders(recordings).map_err(|error| not_readable(recordings, &error))?;
    let (mut rebuilt, mut entered) = (Rebuilt::default(), BTreeSet::new());
    for batch in folders.chunks(BATCH) {
        let mut found: Vec<Recording> = Vec::with_capacity(batch.len());
        for folder in batch {
            match read(folder, &open) {
                Ok(recording) => found.push(recording),
                Err(reason) => {
                    rebuilt.problems.push(RebuildProblem { folder: folder.clone(), reason })
                }
            }
        }
        catalog.insert(&found)?;
        rebuilt.recordings += found.len();
        entered.extend(found.iter().map(|recording| recording.id));
    }
    Ok((rebuilt, entered))
}

/// Takes out the rows of a node that were not entered just now.
fn remove_others(
    catalog: &Catalog,
    node: &str,
    entered: &BTreeSet<RecordingId>,
) -> Result<(), CatalogError> {
    let mut last = String::from("00000000-0000-0000-0000-000000000000");
    loop {
        let sql = "SELECT id FROM recordings WHERE node = $1 AND id > $2 ORDER BY id LIMIT $3";
        let values = [node.into(), last.as_str().into(), (BATCH as i64).into()];
        let rows = catalog.database().query(sql, &values)?;
        let Some(end) = rows.last() else { return Ok(()) };
        last = end.text("id")?.to_owned();
        let ids = rows.iter().filter_map(|row| row.text("id").ok()?.parse().ok());
        let gone: Vec<RecordingId> = ids.filter(|id| !entered.contains(id)).collect();
        catalog.database().transaction(|transaction| write::remove(transaction, &gone))?;
    }
}

/// What is visible in the folder of recordings, in the order of time: ids begin with it.
fn folders(recordings: &Path) -> io::Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    for entry in fs::read_dir(recordings)? {
        let entry = entry?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            folders.push(entry.path());
        }
    }
    folders.sort();
    Ok(folders)
}

/// The recording in `folder`, or why there is none.
fn read<E: fmt::Display>(
    folder: &Path,
    open: impl Fn(&[u8]) -> Result<Zeroizing<Vec<u8>>, E>,
) -> Result<Recording, String> {
    let plain = folder.join(METADATA_NAME);
    let sealed = folder.join(format!("{METADATA_NAME}{SEALED_SUFFIX}"));
    let json = match (plain.exists(), sealed.exists()) {
        (true, _) => Zeroizing::new(read_file(&plain)?),
        (false, true) => open(&read_file(&sealed)?)
            .map_err(|error| format!("{METADATA_NAME}{SEALED_SUFFIX}: {error}"))?,
        (false, false) => return Err(format!("it holds no {METADATA_NAME}")),
    };
    let recording: Recording = serde_json::from_slice(&json)
        .map_err(|error| format!("{METADATA_NAME} is damaged: {error}"))?;
    match folder.file_name().is_some_and(|name| *name == *recording.id.to_string()) {
        true => Ok(recording),
        false => Err(format!("it holds recording {}, and must have that name", recording.id)),
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    let max = limits::METADATA_BYTES_MAX;
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(max as u64 + 1).read_to_end(&mut bytes));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    match read {
        Ok(read) if read <= max => Ok(bytes),
        Ok(_) => Err(format!("{name} has more than {max} bytes")),
        Err(error) => Err(format!("{name} cannot be read: {error}")),
    }
}

/// Flushed, then renamed, then the rename flushed.
fn replace(path: &Path, new: &Path) -> io::Result<()> {
    File::open(new)?.sync_all()?;
    // A log of the old catalog that could not be emptied would be applied to the new one.
    for suffix in ["-wal", "-shm", "-journal"] {
        remove(&sibling(path, suffix))?;
    }
    fs::rename(new, path)?;
    flush_folder_of(path)
}

fn remove_with_logs(path: &Path) -> io::Result<()> {
    ["", "-wal", "-shm", "-journal"].iter().try_for_each(|suffix| remove(&sibling(path, suffix)))
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

pub(super) fn not_writable(path: &Path, error: &io::Error) -> CatalogError {
    CatalogError::NotWritable { place: path.display().to_string(), reason: error.to_string() }
}

fn not_readable(path: &Path, error: &io::Error) -> CatalogError {
    CatalogError::NoRecordings { path: path.to_path_buf(), reason: error.to_string() }
}
