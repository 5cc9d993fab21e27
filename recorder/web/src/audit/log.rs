//! The log as it is written.
//!
//! Writers append under one lock and flush under another, so that a flush serves all that wrote before it began. A
//! write or flush that fails takes the log back to what is known to be on the disk, and whoever waits is refused.
//! Where both locks are held, `flushed` was taken first.

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base::Timestamp;
use base::disk::{self, Disk, DiskFile, FolderLock};
use base::limits::AUDIT_FILE_BYTES_MAX;
use seal::{KeyError, Sha256Hash, Signer};
use serde_json::json;

use super::entry::{self, Act, What};
use super::files::{self, Damage, Found};
use super::head;

/// Why the audit log cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// Another process has it.
    #[error("the audit log {} is in use: another `spanreel web` serves this data folder; stop that one first", .0.display())]
    InUse(PathBuf),
    /// It cannot be read or written.
    #[error("the audit log {} cannot be read or written: {error}; free some space or make it writable for this user", .path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// How far it goes cannot be signed.
    #[error("the audit log cannot be signed: {0}; check keys/node.key in the data folder")]
    Sign(#[from] KeyError),
    /// A flush failed that this entry, or one before it, was part of.
    #[error("the audit log could not be flushed; try again")]
    TakenBack,
}

impl AuditError {
    pub(super) fn io(path: &Path) -> impl Fn(io::Error) -> Self {
        move |error| Self::Io { path: path.to_owned(), error }
    }
}

/// How far the chain goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Number of the last entry; 0: none.
    pub(super) number: u64,
    /// Its hash.
    pub(super) hash: Sha256Hash,
}

impl Head {
    /// Before entry 1.
    pub(super) const NONE: Self = Self { number: 0, hash: Sha256Hash([0; 32]) };
}

/// The audit log, for appending. One process at a time.
pub struct Audit {
    folder: PathBuf,
    disk: Arc<dyn Disk>,
    now: fn() -> Timestamp,
    signer: Signer,
    /// What was signed last. It is taken before the other locks.
    signed: Mutex<Head>,
    flushed: Mutex<Flushed>,
    written: Mutex<Written>,
    _lock: FolderLock,
}

/// What is on the disk.
#[derive(Clone, Copy)]
struct Flushed {
    bytes: u64,
    head: Head,
}

/// What is in the file, flushed or not.
struct Written {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    bytes: u64,
    head: Head,
    /// How often the log was taken back.
    taken_back: u64,
    /// The file is to be cut to `bytes` before anything is appended.
    ragged: bool,
}

/// An entry that was written and waits for its flush.
pub(super) struct Ticket {
    number: u64,
    taken_back: u64,
}

impl Audit {
    /// The log in `folder`, which is made if it is not there. What a crash left of a line is cut off; a damaged file is
    /// left as it is and followed by a new one. An entry says either.
    ///
    /// # Errors
    /// If another process has it, or it cannot be read or written.
    pub fn open(
        folder: &Path,
        disk: Arc<dyn Disk>,
        now: fn() -> Timestamp,
        signer: Signer,
    ) -> Result<Self, AuditError> {
        disk::create_folders(&*disk, folder, 0o700).map_err(AuditError::io(folder))?;
        let lock = disk.lock_folder(folder).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => AuditError::InUse(folder.to_owned()),
            _ => AuditError::Io { path: folder.to_owned(), error },
        })?;
        let Found { file, path, bytes, head, damage } = files::last(&*disk, folder)?;
        let log = Self {
            folder: folder.to_owned(),
            disk,
            now,
            signer,
            signed: Mutex::new(Head::NONE),
            flushed: Mutex::new(Flushed { bytes, head }),
            written: Mutex::new(Written { file, path, bytes, head, taken_back: 0, ragged: true }),
            _lock: lock,
        };
        if let Some(damage) = damage {
            let (act, what) = match &damage {
                Damage::Torn(what) => (Act::Torn, what),
                Damage::Altered(what) => (Act::Altered, what),
            };
            tracing::error!("audit log: {what}");
            log.append(&What::server(act, what, json!({})))?;
        }
        log.sign_head(true)?;
        Ok(log)
    }

    /// Where it is.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Signs how far the log goes, if it went on since this was last signed. To be called every few seconds, and at the
    /// end. Blocks.
    ///
    /// # Errors
    /// If it cannot be signed or written. The log itself goes on.
    pub fn sign(&self) -> Result<(), AuditError> {
        self.sign_head(false)
    }

    fn sign_head(&self, anyway: bool) -> Result<(), AuditError> {
        let mut signed = guard(&self.signed);
        let (head, path) = {
            let flushed = guard(&self.flushed);
            (flushed.head, guard(&self.written).path.clone())
        };
        if *signed != head || anyway {
            head::write(&*self.disk, &path, head, &self.signer, (self.now)())?;
            *signed = head;
        }
        Ok(())
    }

    /// Appends an entry; it is on the disk when this returns. Blocks.
    ///
    /// # Errors
    /// If it is not on the disk.
    pub fn append(&self, what: &What<'_>) -> Result<(), AuditError> {
        let ticket = self.write(what)?;
        self.flush(&ticket)
    }

    pub(super) fn write(&self, what: &What<'_>) -> Result<Ticket, AuditError> {
        let mut written = guard(&self.written);
        if written.bytes >= AUDIT_FILE_BYTES_MAX {
            drop(written);
            self.next_file()?;
            written = guard(&self.written);
        }
        written.append((self.now)(), what)
    }

    /// Goes on in a new file, once all that is in this one is on the disk.
    fn next_file(&self) -> Result<(), AuditError> {
        let mut signed = guard(&self.signed);
        let mut flushed = guard(&self.flushed);
        let mut written = guard(&self.written);
        if written.bytes < AUDIT_FILE_BYTES_MAX {
            return Ok(());
        }
        written.sync(*flushed)?;
        *flushed = Flushed { bytes: written.bytes, head: written.head };
        head::write(&*self.disk, &written.path, written.head, &self.signer, (self.now)())?;
        let (file, path) = files::create(&*self.disk, &self.folder, written.head.number + 1)?;
        (written.file, written.path, written.bytes) = (file, path, 0);
        flushed.bytes = 0;
        // Each file has a head from its begin.
        head::write(&*self.disk, &written.path, written.head, &self.signer, (self.now)())?;
        *signed = written.head;
        Ok(())
    }

    fn flush(&self, ticket: &Ticket) -> Result<(), AuditError> {
        let mut flushed = guard(&self.flushed);
        let (file, path, upto) = {
            let written = guard(&self.written);
            if written.taken_back != ticket.taken_back {
                return Err(AuditError::TakenBack);
            }
            if flushed.head.number >= ticket.number {
                return Ok(());
            }
            let upto = Flushed { bytes: written.bytes, head: written.head };
            (Arc::clone(&written.file), written.path.clone(), upto)
        };
        if let Err(error) = file.sync_data() {
            guard(&self.written).take_back(*flushed);
            return Err(AuditError::Io { path, error });
        }
        *flushed = upto;
        Ok(())
    }
}

impl Written {
    fn append(&mut self, time: Timestamp, what: &What<'_>) -> Result<Ticket, AuditError> {
        let number = self.head.number + 1;
        let (line, hash) = entry::line(number, time, self.head.hash, what);
        if self.ragged {
            self.file.set_len(self.bytes).map_err(AuditError::io(&self.path))?;
            self.ragged = false;
        }
        let mut slices = [IoSlice::new(line.as_bytes())];
        if let Err((_, error)) = disk::write_all_at(&*self.file, &mut slices, self.bytes) {
            self.ragged = true;
            return Err(AuditError::Io { path: self.path.clone(), error });
        }
        self.bytes += line.len() as u64;
        self.head = Head { number, hash };
        Ok(Ticket { number, taken_back: self.taken_back })
    }

    fn sync(&mut self, flushed: Flushed) -> Result<(), AuditError> {
        let result = self.file.sync_data();
        if result.is_err() {
            self.take_back(flushed);
        }
        result.map_err(AuditError::io(&self.path))
    }

    /// Forgets what is not known to be on the disk.
    fn take_back(&mut self, flushed: Flushed) {
        (self.bytes, self.head) = (flushed.bytes, flushed.head);
        self.taken_back += 1;
        self.ragged = true;
    }
}

/// What a panic left behind a lock is as whole as after an error.
fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
