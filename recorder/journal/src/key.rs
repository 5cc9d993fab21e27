//! The node's journal key: 32 random bytes in a file that only its owner may read.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{Context, SHA256};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::error::{JournalError, io_error};

const KEY_BYTES: usize = 32;
/// Permission bits of group and others.
const MODE_OF_OTHERS: u32 = 0o077;

/// The key under which a node encrypts its journal. Zeroed in memory when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct JournalKey([u8; KEY_BYTES]);

/// Tells journal keys apart without giving them away: the first 8 bytes of a SHA-256 of the key.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyId(pub [u8; 8]);

impl JournalKey {
    /// The key with these bytes (unsealed by a TPM, or a test's).
    #[must_use]
    pub const fn from_bytes(bytes: [u8; KEY_BYTES]) -> Self {
        Self(bytes)
    }

    /// Reads the key file at `path`; if there is none, makes one (32 random bytes, mode 0600).
    ///
    /// # Errors
    /// The file cannot be read or made, is not 32 bytes long, or others than its owner may read it.
    pub fn load_or_create(path: &Path) -> Result<Self, JournalError> {
        match File::open(path) {
            Ok(file) => Self::read(path, file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::create(path),
            Err(error) => {
                Err(io_error("open the journal key", path, "check its owner and mode", error))
            }
        }
    }

    /// Which key this is.
    #[must_use]
    pub fn id(&self) -> KeyId {
        let mut hash = Context::new(&SHA256);
        hash.update(b"spanreel journal key id v1");
        hash.update(&self.0);
        KeyId(hash.finish().as_ref().first_chunk().copied().unwrap_or_default())
    }

    pub(crate) const fn bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    fn read(path: &Path, mut file: File) -> Result<Self, JournalError> {
        let failed =
            |error| io_error("read the journal key", path, "restore it from its backup", error);
        let metadata = file.metadata().map_err(failed)?;
        if metadata.mode() & MODE_OF_OTHERS != 0 {
            return Err(JournalError::KeyExposed {
                path: path.to_owned(),
                mode: metadata.mode() & 0o777,
            });
        }
        if metadata.len() != KEY_BYTES as u64 {
            return Err(JournalError::KeyLength { path: path.to_owned(), bytes: metadata.len() });
        }
        let mut key = Self([0; KEY_BYTES]);
        file.read_exact(&mut key.0).map_err(failed)?;
        Ok(key)
    }

    /// Writes a fresh key beside `path`, flushed, then links it there: whoever else makes one at the same
    /// time, one of them wins and both use it; a crash leaves a whole key or none.
    fn create(path: &Path) -> Result<Self, JournalError> {
        let failed =
            |error| io_error("make the journal key", path, "check the folder and its disk", error);
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        random(bytes.as_mut())?;
        let hidden = hidden_beside(path);
        let written =
            write_new(&hidden, bytes.as_ref()).and_then(|()| match fs::hard_link(&hidden, path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
                linked => linked,
            });
        let _ = fs::remove_file(&hidden);
        written.map_err(failed)?;
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
        }
        Self::read(path, File::open(path).map_err(failed)?)
    }
}

/// A name that no other process and no other call takes.
fn hidden_beside(path: &Path) -> PathBuf {
    let mut suffix = [0; 8];
    // Without randomness the name is merely predictable, and `create_new` still refuses what exists.
    let _ = getrandom::fill(&mut suffix);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{:016x}", u64::from_le_bytes(suffix)))
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Fills `bytes` from the operating system's random source.
pub(crate) fn random(bytes: &mut [u8]) -> Result<(), JournalError> {
    getrandom::fill(bytes).map_err(|error| JournalError::Random { reason: error.to_string() })
}

impl fmt::Debug for JournalKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JournalKey({})", self.id())
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_is_made_once_private_and_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.key");
        let made = JournalKey::load_or_create(&path).unwrap();
        let read = JournalKey::load_or_create(&path).unwrap();
        assert_eq!(made.0, read.0);
        assert_ne!(made.0, [0; KEY_BYTES]);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no hidden file stays");
        let other = JournalKey::load_or_create(&folder.path().join("other.key")).unwrap();
        assert_ne!(made.id(), other.id());
        assert!(!format!("{made:?}").contains(&format!("{:?}", made.0)));
    }

    #[test]
    fn a_key_that_others_can_read_or_that_is_cut_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.key");
        JournalKey::load_or_create(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let error = JournalKey::load_or_create(&path).unwrap_err().to_string();
        assert!(error.contains("journal.key") && error.contains("0600"), "{error}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, [1; 31]).unwrap();
        let error = JournalKey::load_or_create(&path).unwrap_err().to_string();
        assert!(error.contains("31 bytes"), "{error}");
    }
}
