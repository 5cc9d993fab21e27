//! The catalog made anew from the recordings' folders.
//!
//! The new one is built beside the old one and takes its place by a rename. What is wrong with a folder
//! is reported, and the rest goes on.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use base::limits;
use base::recording::Recording;
use rusqlite::{Connection, OpenFlags};
use seal::manifest::SEALED_SUFFIX;
use zeroize::Zeroizing;

use super::aside::flush_folder_of;
use super::{CatalogError, In as _, insert, schema};
use crate::METADATA_NAME;

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

/// Makes the catalog at `path` anew from the folders in `recordings`. `open` gives the plain content of a
/// sealed file, or says why it does not.
///
/// # Errors
/// If another process uses the catalog, the folders cannot be listed, or the new catalog cannot be
/// written. The old one is then as it was.
pub fn rebuild<E: fmt::Display>(
    path: &Path,
    recordings: &Path,
    open: impl Fn(&[u8]) -> Result<Zeroizing<Vec<u8>>, E>,
) -> Result<Rebuilt, CatalogError> {
    retire(path)?;
    let new = sibling(path, ".rebuilt");
    let written = build(&new, recordings, open).and_then(|rebuilt| {
        replace(path, &new).map_err(|error| not_writable(path, &error))?;
        Ok(rebuilt)
    });
    if written.is_err() {
        let _ = fs::remove_file(&new);
    }
    written
}

/// `catalog.db` with something behind its name.
pub(super) fn sibling(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(suffix);
    path.with_file_name(name)
}

/// Makes sure that no process has the old catalog open, which would go on writing into a file that is no
/// longer the catalog, and empties its log, which would be taken for the new one's.
fn retire(path: &Path) -> Result<(), CatalogError> {
    if !path.exists() {
        return Ok(());
    }
    let retired = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)
        .and_then(|connection| exclusively(&connection))
        .of(path);
    match retired {
        Ok(true) => Err(CatalogError::Foreign(path.to_path_buf())),
        Err(error @ CatalogError::InUse(_)) => Err(error),
        // A damaged one is why the new one is made.
        Ok(false) | Err(_) => Ok(()),
    }
}

/// Whether it is another program's after all.
fn exclusively(connection: &Connection) -> rusqlite::Result<bool> {
    connection.busy_timeout(std::time::Duration::ZERO)?;
    connection.pragma_update(None, "locking_mode", "exclusive")?;
    connection.execute_batch("BEGIN EXCLUSIVE; ROLLBACK")?;
    if schema::is_foreign(connection)? {
        return Ok(true);
    }
    connection.pragma_update(None, "journal_mode", "delete")?;
    Ok(false)
}

fn build<E: fmt::Display>(
    new: &Path,
    recordings: &Path,
    open: impl Fn(&[u8]) -> Result<Zeroizing<Vec<u8>>, E>,
) -> Result<Rebuilt, CatalogError> {
    remove_with_logs(new).map_err(|error| not_writable(new, &error))?;
    let mut connection = Connection::open(new).of(new)?;
    // Nobody reads it, and what a crash leaves is thrown away: it is flushed once, when whole.
    connection.pragma_update(None, "journal_mode", "memory").of(new)?;
    connection.pragma_update(None, "synchronous", "off").of(new)?;
    schema::prepare(&mut connection, new)?;
    let folders = folders(recordings).map_err(|error| not_readable(recordings, &error))?;
    let mut rebuilt = Rebuilt::default();
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
        insert(&mut connection, &found).of(new)?;
        rebuilt.recordings += found.len();
    }
    connection.close().map_err(|(_, error)| error).of(new)?;
    Ok(rebuilt)
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
    CatalogError::NotWritable { path: path.to_path_buf(), reason: error.to_string() }
}

fn not_readable(path: &Path, error: &io::Error) -> CatalogError {
    CatalogError::NoRecordings { path: path.to_path_buf(), reason: error.to_string() }
}
