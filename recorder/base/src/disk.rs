//! Everything durable goes through here, so that a test can put a disk underneath that fails, is full, is slow,
//! or loses power.
//!
//! [`SystemDisk`] is the real one: each call is one or two system calls, with nothing kept in between. What
//! makes data durable is said by the caller: a file's bytes by [`DiskFile::sync_data`], a name in a folder
//! (created, renamed, removed) by [`Disk::sync_folder`]. Until then a power cut may undo it, in any order.

use std::any::Any;
use std::ffi::OsString;
use std::fmt::Debug;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, IoSlice};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{Advice, CWD, FallocateFlags, FlockOperation, RenameFlags};

/// A file system, or what stands for one.
pub trait Disk: Send + Sync + Debug {
    /// Makes a file that does not exist yet, with permission bits `mode`, to be read and written.
    ///
    /// # Errors
    /// The system's; [`io::ErrorKind::AlreadyExists`] among them.
    fn create(&self, path: &Path, mode: u32) -> io::Result<Arc<dyn DiskFile>>;

    /// Opens a file that exists, to be read and written.
    ///
    /// # Errors
    /// The system's.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// Makes a folder that does not exist yet in one that does.
    ///
    /// # Errors
    /// The system's; [`io::ErrorKind::AlreadyExists`] among them.
    fn create_folder(&self, path: &Path, mode: u32) -> io::Result<()>;

    /// What is in a folder, in the order of names.
    ///
    /// # Errors
    /// The system's.
    fn list(&self, folder: &Path) -> io::Result<Vec<DiskEntry>>;

    /// Whether there is a file or folder.
    ///
    /// # Errors
    /// The system's, for anything but "no".
    fn exists(&self, path: &Path) -> io::Result<bool>;

    /// Gives a file or folder another name in the same file system; a file or empty folder of that name gives
    /// way. Whoever looks sees the old or the new, whole.
    ///
    /// # Errors
    /// The system's.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Swaps the names of two files or folders at one moment.
    ///
    /// # Errors
    /// The system's; some file systems cannot ([`io::ErrorKind::InvalidInput`]).
    fn exchange(&self, one: &Path, other: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// The system's; [`io::ErrorKind::NotFound`] among them.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Removes a folder and everything in it.
    ///
    /// # Errors
    /// The system's; a part may be gone then.
    fn remove_folder(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a folder durable as they are now.
    ///
    /// # Errors
    /// The system's.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;

    /// Makes everything durable that is on the same file system as `folder`: many small files at once.
    ///
    /// # Errors
    /// The system's.
    fn sync_all(&self, folder: &Path) -> io::Result<()>;

    /// What tells this folder from another that takes its path: a file system mounted over it, or unmounted.
    /// A disk whose folders cannot be exchanged like that always gives the same.
    ///
    /// # Errors
    /// The system's.
    fn identity(&self, _folder: &Path) -> io::Result<FolderIdentity> {
        Ok(FolderIdentity::default())
    }

    /// Keeps other processes (and other callers in this one) from locking the same folder until the guard is
    /// dropped.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if another has it; else the system's.
    fn lock_folder(&self, folder: &Path) -> io::Result<FolderLock>;

    /// Room on the file system that holds `path`.
    ///
    /// # Errors
    /// The system's.
    fn space(&self, path: &Path) -> io::Result<Space>;
}

/// An open file. Any number of threads may use it at once: no call moves a position.
pub trait DiskFile: Send + Sync + Debug {
    /// Writes some of `slices`, at least one byte if there is one, `offset` bytes from the begin; gives how many.
    ///
    /// # Errors
    /// The system's. Nothing is known then of the bytes that were to be written.
    fn write_at(&self, slices: &[IoSlice<'_>], offset: u64) -> io::Result<usize>;

    /// Reads some bytes; 0 means the end of the file.
    ///
    /// # Errors
    /// The system's.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Makes what was written durable, and the file's length.
    ///
    /// # Errors
    /// The system's. What was written since the last success may then be lost although it can still be read,
    /// and a later success does not bring it back (fsync(2), "EIO").
    fn sync_data(&self) -> io::Result<()>;

    /// Bytes in the file.
    ///
    /// # Errors
    /// The system's.
    fn len(&self) -> io::Result<u64>;

    /// Whether it is empty.
    ///
    /// # Errors
    /// As [`DiskFile::len`].
    fn is_empty(&self) -> io::Result<bool> {
        self.len().map(|length| length == 0)
    }

    /// Reserves room for the first `bytes` bytes; the length stays. A file system that cannot do so is no
    /// error.
    ///
    /// # Errors
    /// The system's: no such room, above all.
    fn preallocate(&self, bytes: u64) -> io::Result<()>;

    /// Cuts the file, or fills it up with zeros; room reserved beyond `bytes` is given back.
    ///
    /// # Errors
    /// The system's.
    fn set_len(&self, bytes: u64) -> io::Result<()>;

    /// The pages of the file that are on the disk need not stay in memory.
    fn forget_cached(&self) {}
}

/// What [`Disk::list`] gives.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DiskEntry {
    /// Its name within the folder.
    pub name: OsString,
    /// Whether it is a folder itself.
    pub is_folder: bool,
}

/// Room on a file system, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Space {
    /// All of it.
    pub total: u64,
    /// What this process may still use.
    pub free: u64,
}

/// See [`Disk::identity`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FolderIdentity {
    /// The file system.
    pub device: u64,
    /// The folder in it.
    pub inode: u64,
}

/// A folder's lock; dropping it unlocks.
pub type FolderLock = Box<dyn Any + Send + Sync>;

/// Makes `path` and the folders above it where they do not exist.
///
/// # Errors
/// The system's.
pub fn create_folders(disk: &dyn Disk, path: &Path, mode: u32) -> io::Result<()> {
    if path.as_os_str().is_empty() || disk.exists(path)? {
        return Ok(());
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent {
        create_folders(disk, parent, mode)?;
    }
    match disk.create_folder(path, mode) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        made => made?,
    }
    disk.sync_folder(parent.unwrap_or(Path::new(".")))
}

/// Writes all of `slices` at `offset`.
///
/// # Errors
/// How much was written before, and the system's reason.
pub fn write_all_at(
    file: &dyn DiskFile,
    mut slices: &mut [IoSlice<'_>],
    offset: u64,
) -> Result<usize, (usize, io::Error)> {
    let mut written = 0;
    // An empty slice would look like a disk that takes nothing.
    IoSlice::advance_slices(&mut slices, 0);
    while !slices.is_empty() {
        match file.write_at(slices, offset + written as u64) {
            Ok(0) => return Err((written, io::ErrorKind::WriteZero.into())),
            Ok(bytes) => {
                written += bytes;
                IoSlice::advance_slices(&mut slices, bytes);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err((written, error)),
        }
    }
    Ok(written)
}

/// Fills `bytes` from `offset` on; gives how many there were before the end of the file.
///
/// # Errors
/// The system's.
pub fn read_full_at(file: &dyn DiskFile, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while let Some(rest) = bytes.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset + done as u64) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// The operating system's file systems.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemDisk;

impl Disk for SystemDisk {
    fn create(&self, path: &Path, mode: u32) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create_new(true).mode(mode).open(path)?;
        Ok(Arc::new(SystemFile(file)))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        Ok(Arc::new(SystemFile(file)))
    }

    fn create_folder(&self, path: &Path, mode: u32) -> io::Result<()> {
        DirBuilder::new().mode(mode).create(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<DiskEntry>> {
        let entry = |entry: io::Result<fs::DirEntry>| {
            let entry = entry?;
            let is_folder = entry.file_type()?.is_dir();
            Ok(DiskEntry { name: entry.file_name(), is_folder })
        };
        let mut entries = fs::read_dir(folder)?.map(entry).collect::<io::Result<Vec<_>>>()?;
        entries.sort();
        Ok(entries)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        path.try_exists()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn exchange(&self, one: &Path, other: &Path) -> io::Result<()> {
        Ok(rustix::fs::renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE)?)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir_all(path)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }

    fn sync_all(&self, folder: &Path) -> io::Result<()> {
        Ok(rustix::fs::syncfs(File::open(folder)?)?)
    }

    fn identity(&self, folder: &Path) -> io::Result<FolderIdentity> {
        let found = fs::metadata(folder)?;
        Ok(FolderIdentity { device: found.dev(), inode: found.ino() })
    }

    fn lock_folder(&self, folder: &Path) -> io::Result<FolderLock> {
        let handle = File::open(folder)?;
        rustix::fs::flock(&handle, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Box::new(handle))
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        let found = rustix::fs::statvfs(path)?;
        let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
        Ok(Space { total: bytes(found.f_blocks), free: bytes(found.f_bavail) })
    }
}

/// A file of [`SystemDisk`].
#[derive(Debug)]
struct SystemFile(File);

impl DiskFile for SystemFile {
    fn write_at(&self, slices: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
        Ok(rustix::io::pwritev(&self.0, slices, offset)?)
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn preallocate(&self, bytes: u64) -> io::Result<()> {
        match rustix::fs::fallocate(&self.0, FallocateFlags::KEEP_SIZE, 0, bytes) {
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => Ok(()),
            done => Ok(done?),
        }
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.0.set_len(bytes)
    }

    fn forget_cached(&self) {
        // Advice: if it is not taken, nothing is wrong.
        let _ = rustix::fs::fadvise(&self.0, 0, None, Advice::DontNeed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_listed() {
        let scratch = tempfile::tempdir().unwrap();
        let disk: &dyn Disk = &SystemDisk;
        let folder = scratch.path().join("a/b");
        create_folders(disk, &folder, 0o700).unwrap();
        create_folders(disk, &folder, 0o700).unwrap();
        let file = disk.create(&folder.join("f"), 0o600).unwrap();
        let again = disk.create(&folder.join("f"), 0o600).unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
        file.preallocate(10_000).unwrap();
        assert!(file.is_empty().unwrap(), "room is not length");
        let mut slices = [IoSlice::new(b""), IoSlice::new(b"hello "), IoSlice::new(b"world")];
        assert_eq!(write_all_at(&*file, &mut slices, 3).unwrap(), 11);
        file.sync_data().unwrap();
        let mut bytes = [1; 20];
        let read = read_full_at(&*disk.open(&folder.join("f")).unwrap(), &mut bytes, 0).unwrap();
        assert_eq!(&bytes[..read], b"\0\0\0hello world");
        disk.rename(&folder.join("f"), &folder.join("g")).unwrap();
        disk.create_folder(&folder.join("c"), 0o700).unwrap();
        disk.sync_folder(&folder).unwrap();
        let entry = |name: &str, is_folder| DiskEntry { name: name.into(), is_folder };
        assert_eq!(disk.list(&folder).unwrap(), [entry("c", true), entry("g", false)]);
        disk.exchange(&folder.join("c"), &folder.join("g")).unwrap();
        assert_eq!(disk.list(&folder).unwrap(), [entry("c", false), entry("g", true)]);
        disk.remove(&folder.join("c")).unwrap();
        disk.remove_folder(&scratch.path().join("a")).unwrap();
        assert!(!disk.exists(&folder).unwrap());
    }

    #[test]
    fn a_folder_is_locked_once_at_a_time_and_has_room() {
        let scratch = tempfile::tempdir().unwrap();
        let lock = SystemDisk.lock_folder(scratch.path()).unwrap();
        let busy = SystemDisk.lock_folder(scratch.path()).map(drop).unwrap_err();
        assert_eq!(busy.kind(), io::ErrorKind::WouldBlock);
        drop(lock);
        SystemDisk.lock_folder(scratch.path()).unwrap();
        let space = SystemDisk.space(scratch.path()).unwrap();
        assert!(space.total >= space.free && space.free > 0, "{space:?}");
    }
}
