//! A recording's folder as one file: a tar archive (POSIX.1-2017, `pax`, ustar Interchange Format), of files as they
//! lie there. Its length and every byte's place follow from the files' sizes, so it comes by range, unread.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use base::RecordingId;
use rustix::fs::OFlags;
use seal::{Sha256Hash, Sha256Hasher};

use super::content::{Content, cut_short};
use crate::problem::{Answer, Problem};

/// Everything is in blocks of this size.
const BLOCK_BYTES: usize = 512;
/// A file's name in a header.
const NAME_BYTES_MAX: usize = 100;
/// Two blocks of zeros.
const END_BYTES: u64 = 2 * BLOCK_BYTES as u64;

/// An archive of a folder.
pub(super) struct Tar {
    entries: Vec<Entry>,
    bytes: u64,
}

struct Entry {
    path: PathBuf,
    header: [u8; BLOCK_BYTES],
    /// Where its header begins, and how long its content is.
    start: u64,
    size: u64,
}

impl Tar {
    /// Of the files of a recording's folder, in the order of their names.
    ///
    /// # Errors
    /// 404 if it is not there, 503 if it cannot be read.
    pub(super) fn of(folder: &Path, id: RecordingId) -> Answer<Self> {
        let mut names = match names(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Problem::not_found("there is no such recording here"));
            }
            names => names.map_err(unreadable)?,
        };
        names.sort();
        let mut archive = Self { entries: Vec::with_capacity(names.len()), bytes: 0 };
        for name in names {
            let path = folder.join(&name);
            let about = open(&path).and_then(|file| file.metadata()).map_err(unreadable)?;
            let (size, seconds) = (about.len(), u64::try_from(about.mtime()).unwrap_or(0));
            let header = header(&id.to_string(), &name, size, seconds);
            archive.entries.push(Entry { path, header, start: archive.bytes, size });
            archive.bytes += BLOCK_BYTES as u64 + size.next_multiple_of(BLOCK_BYTES as u64);
        }
        archive.bytes += END_BYTES;
        Ok(archive)
    }

    /// Names its bytes as far as the headers tell: files are replaced as a whole, with their manifest.
    pub(super) fn digest(&self) -> Sha256Hash {
        let mut hasher = Sha256Hasher::default();
        self.entries.iter().for_each(|entry| hasher.update(&entry.header));
        hasher.finish()
    }
}

impl Content for Tar {
    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn read(&self, from: u64, max: usize) -> Answer<Vec<u8>> {
        let left = usize::try_from(self.bytes.saturating_sub(from)).unwrap_or(usize::MAX);
        let zeros = |bytes: u64| vec![0; usize::try_from(bytes).unwrap_or(left).min(left).min(max)];
        let place = self.entries.partition_point(|entry| entry.start <= from);
        let Some(entry) = place.checked_sub(1).and_then(|place| self.entries.get(place)) else {
            return Ok(zeros(self.bytes.saturating_sub(from)));
        };
        let at = from - entry.start;
        let Some(at) = at.checked_sub(BLOCK_BYTES as u64) else {
            let rest = entry.header.get(at as usize..).unwrap_or_default();
            return Ok(rest.get(..rest.len().min(max)).unwrap_or_default().to_vec());
        };
        if at < entry.size {
            return entry.read(at, max);
        }
        let end = self.entries.get(place).map_or(self.bytes, |next| next.start);
        Ok(zeros(end.saturating_sub(from)))
    }
}

impl Entry {
    fn read(&self, at: u64, max: usize) -> Answer<Vec<u8>> {
        let length = usize::try_from(self.size - at).unwrap_or(usize::MAX).min(max);
        let mut bytes = vec![0; length];
        let read = open(&self.path).and_then(|file| file.read_exact_at(&mut bytes, at));
        match read {
            Ok(()) => Ok(bytes),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof
                ) =>
            {
                Err(cut_short())
            }
            Err(error) => Err(unreadable(error)),
        }
    }
}

/// The plain files of a folder.
fn names(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type()?.is_file() && name.len() <= NAME_BYTES_MAX {
            names.push(name);
        }
    }
    Ok(names)
}

/// Links are not followed.
fn open(path: &Path) -> io::Result<File> {
    let flags =
        i32::try_from((OFlags::NOFOLLOW | OFlags::CLOEXEC).bits()).map_err(io::Error::other)?;
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

fn unreadable(error: io::Error) -> Problem {
    Problem::unavailable("the recording's files cannot be read now", &error)
}

/// A file's header: a plain file, readable by its owner, `folder/name`.
fn header(folder: &str, name: &str, size: u64, seconds: u64) -> [u8; BLOCK_BYTES] {
    let mut header = [0; BLOCK_BYTES];
    put(&mut header, 0, name.as_bytes());
    put(&mut header, 100, b"0000600\0");
    put(&mut header, 108, b"0000000\0");
    put(&mut header, 116, b"0000000\0");
    put(&mut header, 124, format!("{size:011o}\0").as_bytes());
    put(&mut header, 136, format!("{seconds:011o}\0").as_bytes());
    // While it is summed up, the sum is spaces.
    put(&mut header, 148, b"        ");
    put(&mut header, 156, b"0");
    put(&mut header, 257, b"ustar\x0000");
    put(&mut header, 345, folder.as_bytes());
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    put(&mut header, 148, format!("{sum:06o}\0 ").as_bytes());
    header
}

fn put(to: &mut [u8], at: usize, bytes: &[u8]) {
    to.iter_mut().skip(at).zip(bytes).for_each(|(place, byte)| *place = *byte);
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn folder() -> (tempfile::TempDir, RecordingId) {
        let dir = tempfile::tempdir().unwrap();
        let id = RecordingId::of_call(base::Timestamp::from_nanos(1), &[b"x"]);
        let folder = dir.path().join(id.to_string());
        std::fs::create_dir(&folder).unwrap();
        for (name, bytes) in [("audio.flac.p7m", 1_700), ("empty", 0), ("manifest.json", 512)] {
            let content: Vec<u8> = (0..bytes).map(|n: u32| n as u8).collect();
            std::fs::write(folder.join(name), content).unwrap();
        }
        std::os::unix::fs::symlink("/etc/passwd", folder.join("link")).unwrap();
        (dir, id)
    }

    fn archive(dir: &Path, id: RecordingId) -> Tar {
        Tar::of(&dir.join(id.to_string()), id).unwrap()
    }

    fn all(tar: &Tar, max: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while (bytes.len() as u64) < tar.bytes() {
            let piece = tar.read(bytes.len() as u64, max).unwrap();
            assert!(!piece.is_empty() && piece.len() <= max);
            bytes.extend(piece);
        }
        assert!(tar.read(tar.bytes(), max).unwrap().is_empty());
        bytes
    }

    #[test]
    fn tar_takes_out_what_lies_there() {
        let (dir, id) = folder();
        let tar = archive(dir.path(), id);
        let whole = all(&tar, 1 << 20);
        assert_eq!(whole.len(), 512 + 2_048 + 512 + 512 + 512 + 1_024);
        for max in [1, 7, 512, 1_000] {
            assert!(all(&tar, max) == whole);
        }
        let out = dir.path().join("out");
        std::fs::create_dir(&out).unwrap();
        std::fs::write(out.join("x.tar"), &whole).unwrap();
        match Command::new("tar").args(["xf", "x.tar"]).current_dir(&out).output() {
            Ok(output) => {
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr))
            }
            Err(error) => return println!("skipped: {error}"),
        }
        let taken = out.join(id.to_string());
        assert_eq!(std::fs::read_dir(&taken).unwrap().count(), 3);
        for name in ["audio.flac.p7m", "empty", "manifest.json"] {
            let stored = std::fs::read(dir.path().join(id.to_string()).join(name)).unwrap();
            assert!(std::fs::read(taken.join(name)).unwrap() == stored, "{name}");
        }
    }

    #[test]
    fn a_file_that_shrinks_meanwhile_is_an_error() {
        let (dir, id) = folder();
        let tar = archive(dir.path(), id);
        std::fs::write(dir.path().join(id.to_string()).join("audio.flac.p7m"), b"short").unwrap();
        assert_eq!(tar.read(512, 1_000).unwrap_err().status, 409);
        let nowhere = Tar::of(&dir.path().join("nowhere"), id);
        assert_eq!(nowhere.err().unwrap().status, 404);
    }
}
