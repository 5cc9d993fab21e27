//! Switching offloads off for the time of a capture, and back afterwards, also after a process that was killed.
//!
//! The kernel does not switch them back by itself, so what they were is noted in a file first, and the file is
//! locked as long as this process lives:
//!
//! ```text
//! <folder>/<interface>.offloads:
//!     boot <id of this boot>
//!     interface <number>
//!     <feature>                    a line for each that was on
//! ```
//!
//! A note that nobody has locked was left by a process that was killed: what it says was on is to be on again
//! at the end. One of an earlier boot, or of an interface that was made anew since, says nothing any more.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::ethtool::Ethtool;
use super::{Link, NicError};

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// A note is a few lines.
const NOTE_BYTES_MAX: u64 = 4_096;

/// Keeps offloads switched off, as long as it lives.
#[derive(Debug)]
pub struct OffloadsOff {
    link: Link,
    switched: Vec<String>,
    /// Locked. Nothing once everything is switched back: what then has that name is another's.
    note: Option<File>,
    path: PathBuf,
}

impl OffloadsOff {
    /// Switches off those of `features` (names as [`Features`](super::Features) has them) that are on and can be
    /// switched. `folder` takes the note; `/run/spanreel` is a good place.
    ///
    /// # Errors
    /// [`NicError::Held`] while another process does the same, [`NicError::Note`], or what the kernel says.
    pub fn switch(link: &Link, features: &[&str], folder: &Path) -> Result<Self, NicError> {
        let path = folder.join(format!("{}.offloads", link.name));
        let note_error = |source: io::Error| {
            let (name, path) = (link.name.clone(), path.clone());
            match Errno::from_io_error(&source) {
                Some(Errno::WOULDBLOCK) => NicError::Held { name, path },
                _ => NicError::Note { name, path, source },
            }
        };
        let mut note = lock(folder, &path).map_err(note_error)?;
        let failed = |source| NicError::from_kernel(&link.name, "switch offloads", source);
        let mut ethtool = Ethtool::open(link).map_err(failed)?;
        let now = ethtool.features().map_err(failed)?;
        let header = header(link);
        let mut switched = left_by_predecessor(&mut note, &header);
        let on = features.iter().filter(|name| now.can_go_off(name)).map(|name| (*name).to_owned());
        switched.extend(on);
        switched.sort_unstable();
        switched.dedup();
        write_note(&mut note, header, &switched).map_err(note_error)?;
        let guard = Self { link: link.clone(), switched, note: Some(note), path: path.clone() };
        ethtool.switch(&guard.switched, false).map_err(failed)?;
        Ok(guard)
    }

    /// What was switched off.
    #[must_use]
    pub fn switched(&self) -> &[String] {
        &self.switched
    }

    /// Switches everything back. Dropping does the same and keeps silent about what fails.
    ///
    /// # Errors
    /// What the kernel says. The note then stays for the next who comes.
    pub fn restore(mut self) -> Result<(), NicError> {
        self.switch_back()
    }

    fn switch_back(&mut self) -> Result<(), NicError> {
        if self.note.is_none() {
            return Ok(());
        }
        if !self.switched.is_empty() {
            let back = Ethtool::open(&self.link).and_then(|mut it| it.switch(&self.switched, true));
            match back {
                Ok(()) => {}
                // An interface that is gone needs nothing back.
                Err(error) if error.raw_os_error() == Some(libc::ENODEV) => {}
                Err(error) => {
                    return Err(NicError::from_kernel(&self.link.name, "switch offloads", error));
                }
            }
        }
        // While it is locked, so that nobody is just reading it.
        let _ = std::fs::remove_file(&self.path);
        self.note = None;
        Ok(())
    }
}

/// The features that a killed process had switched off.
fn left_by_predecessor(note: &mut File, header: &str) -> Vec<String> {
    let mut text = String::new();
    match (note.take(NOTE_BYTES_MAX).read_to_string(&mut text), text.strip_prefix(header)) {
        (Ok(_), Some(features)) => features.lines().map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

fn write_note(note: &mut File, header: String, features: &[String]) -> io::Result<()> {
    let mut text = header;
    for feature in features {
        text.push_str(feature);
        text.push('\n');
    }
    note.set_len(0)?;
    note.rewind()?;
    note.write_all(text.as_bytes())?;
    note.sync_all()
}

fn header(link: &Link) -> String {
    let boot = std::fs::read_to_string(BOOT_ID).unwrap_or_default();
    format!("boot {}\ninterface {}\n", boot.trim(), link.index)
}

impl Drop for OffloadsOff {
    fn drop(&mut self) {
        // The note stays where this fails, and who comes next tries again.
        let _ = self.switch_back();
    }
}

/// Opens the note and locks it. Who held it before may just have removed it: then it is another file by now.
fn lock(folder: &Path, path: &Path) -> io::Result<File> {
    std::fs::create_dir_all(folder)?;
    loop {
        let mut options = File::options();
        let file = options.read(true).write(true).create(true).truncate(false).open(path)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        let locked = rustix::fs::fstat(&file)?;
        match rustix::fs::stat(path) {
            Ok(named) if (named.st_dev, named.st_ino) == (locked.st_dev, locked.st_ino) => {
                return Ok(file);
            }
            Ok(_) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}
