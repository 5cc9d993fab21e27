//! Setting a damaged catalog aside, so that a new one can take its place and the old one can still be looked at.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use base::Timestamp;

use super::CatalogError;
use super::rebuild::{not_writable, sibling};
use crate::database::DatabasePlace;

/// Gives an SQLite catalog, and its log, another name that says since `now` when. Gives the new path, or none if there
/// is no such file. What people say of recordings is in another file, and stays.
///
/// # Errors
/// If the folder cannot be written. What is there then can be set aside again.
pub fn set_aside(place: &DatabasePlace, now: Timestamp) -> Result<Option<PathBuf>, CatalogError> {
    let DatabasePlace::File(path) = place else { return Ok(None) };
    let stamp: String = now.to_string().chars().filter(char::is_ascii_digit).take(14).collect();
    let aside = sibling(path, &format!(".damaged-{stamp}"));
    // The log first: a log beside a new catalog would be taken for its own.
    let moved = ["-wal", "-shm", ""]
        .iter()
        .try_fold(false, |_, suffix| rename(&sibling(path, suffix), &sibling(&aside, suffix)));
    let moved = moved.and_then(|moved| flush_folder_of(path).map(|()| moved));
    Ok(moved.map_err(|error| not_writable(path, &error))?.then_some(aside))
}

/// Whether there was anything.
fn rename(from: &Path, to: &Path) -> io::Result<bool> {
    match fs::rename(from, to) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Makes names in the catalog's folder durable.
pub(super) fn flush_folder_of(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_database_and_its_log_go_together() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("catalog.db");
        let place = DatabasePlace::from(path.as_path());
        let now = Timestamp::from_nanos(1_795_392_000_000_000_000);
        assert_eq!(set_aside(&place, now).unwrap(), None);
        fs::write(&path, "damaged").unwrap();
        fs::write(dir.path().join("catalog.db-wal"), "log").unwrap();
        let aside = set_aside(&place, now).unwrap().unwrap();
        assert_eq!(aside, dir.path().join("catalog.db.damaged-20261123000000"));
        assert_eq!(fs::read(&aside).unwrap(), b"damaged");
        assert_eq!(fs::read(sibling(&aside, "-wal")).unwrap(), b"log");
        assert!(!path.exists());
    }
}
