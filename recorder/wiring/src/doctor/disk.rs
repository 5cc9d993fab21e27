//! How fast a folder's disk takes what a journal writes: pieces of 256 KiB, each flushed.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base::limits::{CHUNK_BYTES, CHUNKS_PER_WRITE_MAX};
use rustix::fs::{Mode, OFlags, fdatasync, open, statvfs, unlink};
use rustix::io::Errno;

use crate::clock;

/// Flushes that are measured, unless the disk is so slow that time is up first.
const FLUSHES: usize = 32;
const TIME_MAX: Duration = Duration::from_secs(3);

/// What was measured.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Disk {
    /// Where: the folder, or the nearest above it that is there already.
    pub(crate) folder: PathBuf,
    /// Bytes that are free to this user.
    pub(crate) free_bytes: u64,
    /// Milliseconds of a write with its flush, in the middle.
    pub(crate) flush_median: f64,
    /// The longest.
    pub(crate) flush_worst: f64,
    /// Megabytes a second, flushes included.
    pub(crate) megabytes_per_second: f64,
}

/// Writes to a file without a name, which is gone afterwards.
///
/// # Errors
/// The folder does not take a file, or not that much.
pub(crate) fn measure(folder: &Path) -> io::Result<Disk> {
    let folder = existing(folder);
    let stat = statvfs(&folder)?;
    let file = nameless(&folder)?;
    let piece = noise(CHUNK_BYTES * CHUNKS_PER_WRITE_MAX);
    let mut flushes: Vec<Duration> = Vec::with_capacity(FLUSHES);
    let begun = clock::instant();
    while flushes.len() < FLUSHES && begun.elapsed() < TIME_MAX {
        let before = clock::instant();
        write_all(&file, &piece)?;
        fdatasync(&file)?;
        flushes.push(before.elapsed());
    }
    let took = begun.elapsed();
    let bytes = flushes.len() * piece.len();
    flushes.sort_unstable();
    let milliseconds = |it: Option<&Duration>| it.map_or(0.0, |it| it.as_secs_f64() * 1e3);
    Ok(Disk {
        folder,
        free_bytes: stat.f_bavail.saturating_mul(stat.f_frsize),
        flush_median: milliseconds(flushes.get(flushes.len() / 2)),
        flush_worst: milliseconds(flushes.last()),
        megabytes_per_second: bytes as f64 / 1e6 / took.as_secs_f64().max(1e-9),
    })
}

/// The folder, or the nearest above it that is there.
fn existing(folder: &Path) -> PathBuf {
    let there = folder.ancestors().find(|path| path.is_dir());
    there.filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
}

fn nameless(folder: &Path) -> io::Result<OwnedFd> {
    let (write, mode) = (OFlags::WRONLY | OFlags::CLOEXEC, Mode::RUSR | Mode::WUSR);
    match open(folder, write | OFlags::TMPFILE, mode) {
        // Not every file system knows files without a name.
        Err(Errno::OPNOTSUPP | Errno::ISDIR) => {}
        result => return Ok(result?),
    }
    let path = folder.join(format!(".spanreel-doctor-{}", std::process::id()));
    let file = open(&path, write | OFlags::CREATE | OFlags::EXCL, mode)?;
    unlink(&path)?;
    Ok(file)
}

fn write_all(file: &OwnedFd, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = rustix::io::write(file, bytes)?;
        bytes = bytes.get(written..).unwrap_or_default();
    }
    Ok(())
}

/// Bytes that no file system can make smaller (xorshift, Marsaglia 2003).
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_measured_and_left_empty() {
        let folder = tempfile::tempdir().unwrap();
        let disk = measure(&folder.path().join("not/there/yet")).unwrap();
        assert_eq!(disk.folder, folder.path());
        assert!(disk.flush_median > 0.0 && disk.flush_median <= disk.flush_worst, "{disk:?}");
        assert!(disk.megabytes_per_second > 0.0 && disk.free_bytes > 0, "{disk:?}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_relative_folder_is_looked_for_from_here() {
        assert_eq!(existing(Path::new("no-such-folder-here")), Path::new("."));
        assert_eq!(existing(Path::new("/proc/no/such")), Path::new("/proc"));
    }

    #[test]
    fn a_folder_that_takes_no_file_is_an_error() {
        assert!(measure(Path::new("/proc")).is_err());
    }
}
