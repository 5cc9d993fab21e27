//! Whether a recording's folder is exactly what was signed.
//!
//! Works offline, without the catalog and without a private key: the manifest's signature is checked,
//! then every file against the manifest, then that nothing else is there. With the private key, sealed
//! files are opened too, and their plain content compared.
//!
//! [`verify_exported()`] also takes a bundle that was exported: sealed files stand there opened, under their plain
//! names, and are checked against what the manifest says of the plain content.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use base::limits;
use rustix::fs::OFlags;
use seal::manifest::{self, MANIFEST_NAME, SIGNATURE_NAME};
use seal::signature::SIGNATURE_BYTES_MAX;
use seal::{
    Certificate, Manifest, ManifestError, OpenError, PrivateKey, Sha256Hash, Sha256Hasher,
    SignedBy, VerifyError, sha256,
};

/// What came of checking a folder, or one file of it.
#[derive(Debug, Default)]
pub struct Report {
    /// Who signed the manifest; absent if no signature holds.
    pub signed_by: Option<SignedBy>,
    /// Files that are as the manifest says.
    pub files_good: usize,
    /// Of these, sealed ones that were opened and whose content is as the manifest says.
    pub files_opened: usize,
    /// Of the good ones, those of a bundle that stand there opened and whose plain content is as the manifest says.
    pub files_exported: usize,
    /// The recording, as far as the manifest is to be believed.
    pub recording: Option<base::RecordingId>,
    /// Everything that is wrong; nothing is, if this is empty.
    pub findings: Vec<Finding>,
}

/// One thing that is wrong.
#[derive(Debug)]
pub struct Finding {
    /// The file, or the folder where it concerns the whole.
    pub path: PathBuf,
    /// What is wrong with it.
    pub problem: Problem,
}

/// `DIR/audio.flac.p7m: altered: ...`
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.problem)
    }
}

/// What can be wrong.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// Not there.
    #[error("missing")]
    Missing,
    /// There, and not in the manifest; or not a plain file.
    #[error("added: {0}")]
    Added(&'static str),
    /// Longer or shorter.
    #[error("altered: {found} bytes, the manifest says {expected}")]
    Size {
        /// By the manifest.
        expected: u64,
        /// In the folder.
        found: u64,
    },
    /// Other bytes.
    #[error("altered: SHA-256 {found}, the manifest says {expected}")]
    Hash {
        /// By the manifest.
        expected: Sha256Hash,
        /// In the folder.
        found: Sha256Hash,
    },
    /// As stored, but its plain content is not what the manifest says.
    #[error(
        "the plain content is not what the manifest says: SHA-256 {found} instead of {expected}"
    )]
    PlainHash {
        /// By the manifest.
        expected: Sha256Hash,
        /// In the folder.
        found: Sha256Hash,
    },
    /// As stored, but it does not open with the key given.
    #[error("does not open: {0}")]
    DoesNotOpen(#[from] OpenError),
    /// The signature does not hold.
    #[error("{0}")]
    Signature(#[from] VerifyError),
    /// Signed by somebody else.
    #[error(
        "signed by {subject} (SHA-256 {fingerprint}), which is not trusted: give the node's certificate"
    )]
    UnknownSigner {
        /// Subject of the signer's certificate.
        subject: String,
        /// SHA-256 of the signer's certificate.
        fingerprint: Sha256Hash,
    },
    /// Not a manifest.
    #[error("{0}")]
    Manifest(#[from] ManifestError),
    /// The folder is called otherwise than the recording in it.
    #[error("the folder holds recording {0}, and must have that name")]
    WrongFolder(base::RecordingId),
    /// The system does not let it be read.
    #[error("cannot be read: {0}")]
    Unreadable(#[from] io::Error),
}

/// Checks the folder of a recording, or if `path` is a file, that file against its folder's manifest.
///
/// `trusted` are the certificates that may sign, or may issue signers' certificates; without them any
/// intact signature is taken, and the report says whose it is. With `key`, sealed files are opened.
#[must_use]
pub fn verify(path: &Path, trusted: Option<&[Certificate]>, key: Option<&PrivateKey>) -> Report {
    check(path, trusted, key, false)
}

/// The same for a folder, or a file of it, that may be a bundle: opened files count as the sealed ones that they
/// were, and the folder may have any name but another recording's.
#[must_use]
pub fn verify_exported(
    path: &Path,
    trusted: Option<&[Certificate]>,
    key: Option<&PrivateKey>,
) -> Report {
    check(path, trusted, key, true)
}

fn check(
    path: &Path,
    trusted: Option<&[Certificate]>,
    key: Option<&PrivateKey>,
    exported: bool,
) -> Report {
    let whole = path.is_dir();
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let folder = if whole { path } else { parent.unwrap_or(Path::new(".")) };
    let mut check = Check { folder, key, exported, report: Report::default() };
    if !path.exists() && !folder.join(MANIFEST_NAME).exists() {
        let path = path.to_path_buf();
        check.report.findings.push(Finding { path, problem: Problem::Missing });
        return check.report;
    }
    let Some(manifest) = check.manifest(trusted) else { return check.report };
    match path.file_name().filter(|_| !whole) {
        Some(name) => check.one(&manifest, &name.to_string_lossy()),
        None => check.all(&manifest),
    }
    check.report
}

struct Check<'a> {
    folder: &'a Path,
    key: Option<&'a PrivateKey>,
    /// Whether opened files count as the sealed ones.
    exported: bool,
    report: Report,
}

/// How a file was found to be good.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Good {
    AsStored,
    Opened,
    Exported,
}

impl Check<'_> {
    fn find(&mut self, name: &str, problem: impl Into<Problem>) {
        let path = if name.is_empty() { self.folder.to_path_buf() } else { self.folder.join(name) };
        self.report.findings.push(Finding { path, problem: problem.into() });
    }

    /// Reads a whole file of at most `max` bytes, or finds out why not.
    fn read(&mut self, name: &str, max: usize) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        let read = open_plain(&self.folder.join(name))
            .and_then(|file| Ok(file.take(max as u64 + 1).read_to_end(&mut bytes)?));
        match read {
            Ok(_) => Some(bytes),
            Err(problem) => {
                self.find(name, problem);
                None
            }
        }
    }

    /// The manifest, if it can be read at all. A wrong signature is found, and the manifest used all the
    /// same: what it says of the files helps to see what happened.
    fn manifest(&mut self, trusted: Option<&[Certificate]>) -> Option<Manifest> {
        let signature = self.read(SIGNATURE_NAME, SIGNATURE_BYTES_MAX);
        let json = self.read(MANIFEST_NAME, limits::MANIFEST_BYTES_MAX)?;
        match signature.map(|signature| seal::verify(&signature, &json, trusted)) {
            Some(Ok(signed_by)) => self.signer(signed_by, trusted.is_some()),
            Some(Err(VerifyError::ContentAltered)) => {
                self.find(MANIFEST_NAME, VerifyError::ContentAltered)
            }
            Some(Err(error)) => self.find(SIGNATURE_NAME, error),
            None => {}
        }
        match Manifest::from_json(&json) {
            Ok(manifest) => {
                self.name(&manifest);
                Some(manifest)
            }
            Err(error) => {
                self.find(MANIFEST_NAME, error);
                None
            }
        }
    }

    fn signer(&mut self, signed_by: SignedBy, must_be_trusted: bool) {
        if must_be_trusted && !signed_by.trusted {
            let SignedBy { subject, fingerprint, .. } = signed_by.clone();
            self.find(SIGNATURE_NAME, Problem::UnknownSigner { subject, fingerprint });
        }
        self.report.signed_by = Some(signed_by);
    }

    /// Else a recording could pass for another by moving its whole folder.
    fn name(&mut self, manifest: &Manifest) {
        let id = manifest.recording_id;
        self.report.recording = Some(id);
        let fits = |name: &std::ffi::OsStr| {
            // A bundle's name that is no id at all says nothing false.
            let says_nothing = || name.to_string_lossy().parse::<base::RecordingId>().is_err();
            *name == *id.to_string() || self.exported && says_nothing()
        };
        // `.` and the like have a name only once resolved.
        match self.folder.canonicalize() {
            Ok(path) if path.file_name().is_some_and(fits) => {}
            Ok(_) => self.find("", Problem::WrongFolder(id)),
            Err(error) => self.find("", error),
        }
    }

    fn one(&mut self, manifest: &Manifest, name: &str) {
        let is_it = |file: &&manifest::File| {
            file.name == name || self.exported && file.sealed && file.plain_name == name
        };
        match manifest.files.iter().find(is_it) {
            Some(file) => self.file(file),
            // Both were checked on the way here.
            None if [MANIFEST_NAME, SIGNATURE_NAME].contains(&name) => {}
            None => match self.folder.join(name).symlink_metadata() {
                Ok(_) => self.find(name, Problem::Added("the manifest does not list it")),
                Err(_) => self.find(name, Problem::Missing),
            },
        }
    }

    fn all(&mut self, manifest: &Manifest) {
        let mut there = match names(self.folder) {
            Ok(names) => names,
            Err(error) => return self.find("", error),
        };
        for file in &manifest.files {
            let found = there.remove(&file.name);
            if found.is_none() && self.stands_opened(file) {
                there.remove(&file.plain_name);
            }
            match found {
                // Found with what is added.
                Some(false) => self.find(&file.name, Problem::Added("not a plain file")),
                Some(true) | None => self.file(file),
            }
        }
        for (name, is_file) in there {
            let listed = [MANIFEST_NAME, SIGNATURE_NAME].contains(&name.as_str());
            match is_file {
                true if listed => {}
                true => self.find(&name, Problem::Added("the manifest does not list it")),
                // Of the two that are always read, that is found already.
                false if listed => {}
                false => self.find(&name, Problem::Added("not a plain file")),
            }
        }
    }

    fn file(&mut self, file: &manifest::File) {
        match self.compare(file) {
            Ok(good) => {
                self.report.files_good += 1;
                self.report.files_opened += usize::from(good == Good::Opened);
                self.report.files_exported += usize::from(good == Good::Exported);
            }
            Err(problem) if self.stands_opened(file) => self.find(&file.plain_name, problem),
            Err(problem) => self.find(&file.name, problem),
        }
    }

    /// Whether a sealed file is not there, but what was in it is.
    fn stands_opened(&self, file: &manifest::File) -> bool {
        let is_there = |name: &str| self.folder.join(name).symlink_metadata().is_ok();
        self.exported && file.sealed && !is_there(&file.name) && is_there(&file.plain_name)
    }

    fn compare(&self, file: &manifest::File) -> Result<Good, Problem> {
        if self.stands_opened(file) {
            let plain = open_plain(&self.folder.join(&file.plain_name))?;
            let found = plain.metadata()?.len();
            if found != file.plain_size {
                return Err(Problem::Size { expected: file.plain_size, found });
            }
            same(hash(plain)?, file.plain_sha256)?;
            return Ok(Good::Exported);
        }
        let stored = open_plain(&self.folder.join(&file.name))?;
        let found = stored.metadata()?.len();
        if found != file.size {
            return Err(Problem::Size { expected: file.size, found });
        }
        let Some(key) = self.key.filter(|_| file.sealed) else {
            same(hash(stored)?, file.sha256)?;
            return Ok(Good::AsStored);
        };
        let mut bytes = Vec::new();
        stored.take(file.size + 1).read_to_end(&mut bytes)?;
        same(sha256(&bytes), file.sha256)?;
        let found = sha256(&seal::open(&bytes, key)?);
        match found == file.plain_sha256 {
            true => Ok(Good::Opened),
            false => Err(Problem::PlainHash { expected: file.plain_sha256, found }),
        }
    }
}

pub(crate) fn same(found: Sha256Hash, expected: Sha256Hash) -> Result<(), Problem> {
    if found == expected { Ok(()) } else { Err(Problem::Hash { expected, found }) }
}

/// Opens a plain file for reading; a link or a device in its place is not followed, and not waited for.
pub(crate) fn open_plain(path: &Path) -> Result<File, Problem> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut options = OpenOptions::new();
    let flags = i32::try_from(flags.bits()).map_err(io::Error::other)?;
    match options.read(true).custom_flags(flags).open(path) {
        Ok(file) if file.metadata()?.is_file() => Ok(file),
        Ok(_) => Err(Problem::Added("not a plain file")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Problem::Missing),
        Err(_) if path.is_symlink() => Err(Problem::Added("not a plain file")),
        Err(error) => Err(error.into()),
    }
}

fn hash(mut file: File) -> io::Result<Sha256Hash> {
    let mut hasher = Sha256Hasher::default();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finish()),
            read => hasher.update(buffer.get(..read).unwrap_or_default()),
        }
    }
}

/// What is in the folder, and whether it is a plain file.
fn names(folder: &Path) -> io::Result<BTreeMap<String, bool>> {
    let entry = |entry: io::Result<fs::DirEntry>| {
        let entry = entry?;
        Ok((entry.file_name().to_string_lossy().into_owned(), entry.file_type()?.is_file()))
    };
    fs::read_dir(folder)?.map(entry).collect()
}
