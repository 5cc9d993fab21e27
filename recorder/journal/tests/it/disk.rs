//! A disk that fails as told: on top of the system's, in a scratch folder.

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use base::disk::{Disk, DiskEntry, DiskFile, FolderLock, Space, SystemDisk};

/// What fails.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// Creating and writing files whose path contains this.
    pub(crate) write: Option<(&'static str, io::ErrorKind)>,
    /// Flushing such files. What was not flushed is gone.
    pub(crate) flush: Option<&'static str>,
    /// So many bytes are taken at once.
    pub(crate) write_bytes_max: Option<usize>,
    /// What a power cut may undo, by file.
    unflushed: BTreeMap<PathBuf, Vec<(u64, usize)>>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct FaultyDisk(Arc<Mutex<Faults>>);

#[derive(Debug)]
struct FaultyFile {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    disk: FaultyDisk,
}

impl FaultyDisk {
    pub(crate) fn faults(&self) -> MutexGuard<'_, Faults> {
        self.0.lock().unwrap()
    }

    /// The power fails: of each sector written and not flushed, `keeps` says whether it is there.
    pub(crate) fn cut_power(&self, mut keeps: impl FnMut() -> bool) {
        let unflushed = std::mem::take(&mut self.faults().unflushed);
        for (path, stretches) in unflushed {
            let Ok(file) = SystemDisk.open(&path) else { continue };
            for (offset, bytes) in stretches {
                for at in (offset..offset + bytes as u64).step_by(512) {
                    let end = (at + 512).min(offset + bytes as u64);
                    if !keeps() {
                        file.write_at(&[IoSlice::new(&vec![0; (end - at) as usize])], at).unwrap();
                    }
                }
            }
        }
    }

    fn wrap(&self, path: &Path, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(FaultyFile { file, path: path.to_owned(), disk: self.clone() })
    }

    fn check_write(&self, path: &Path) -> io::Result<()> {
        match self.faults().write {
            Some((part, kind)) if path.to_string_lossy().contains(part) => Err(kind.into()),
            _ => Ok(()),
        }
    }
}

impl Disk for FaultyDisk {
    fn create(&self, path: &Path, mode: u32) -> io::Result<Arc<dyn DiskFile>> {
        self.check_write(path)?;
        Ok(self.wrap(path, SystemDisk.create(path, mode)?))
    }
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.wrap(path, SystemDisk.open(path)?))
    }
    fn create_folder(&self, path: &Path, mode: u32) -> io::Result<()> {
        SystemDisk.create_folder(path, mode)
    }
    fn list(&self, folder: &Path) -> io::Result<Vec<DiskEntry>> {
        SystemDisk.list(folder)
    }
    fn exists(&self, path: &Path) -> io::Result<bool> {
        SystemDisk.exists(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        SystemDisk.rename(from, to)
    }
    fn exchange(&self, one: &Path, other: &Path) -> io::Result<()> {
        SystemDisk.exchange(one, other)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.faults().unflushed.remove(path);
        SystemDisk.remove(path)
    }
    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        SystemDisk.remove_folder(path)
    }
    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        SystemDisk.sync_folder(folder)
    }
    fn sync_all(&self, folder: &Path) -> io::Result<()> {
        SystemDisk.sync_all(folder)
    }
    fn lock_folder(&self, folder: &Path) -> io::Result<FolderLock> {
        SystemDisk.lock_folder(folder)
    }
    fn space(&self, path: &Path) -> io::Result<Space> {
        SystemDisk.space(path)
    }
}

impl DiskFile for FaultyFile {
    fn write_at(&self, slices: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
        let mut bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        let most = self.disk.faults().write_bytes_max.unwrap_or(usize::MAX);
        bytes.truncate(most);
        self.disk.check_write(&self.path)?;
        let written = self.file.write_at(&[IoSlice::new(&bytes)], offset)?;
        let mut faults = self.disk.faults();
        faults.unflushed.entry(self.path.clone()).or_default().push((offset, written));
        Ok(written)
    }
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(bytes, offset)
    }
    fn sync_data(&self) -> io::Result<()> {
        let mut faults = self.disk.faults();
        let gone = faults.unflushed.remove(&self.path).unwrap_or_default();
        if faults.flush.is_none_or(|part| !self.path.to_string_lossy().contains(part)) {
            return Ok(());
        }
        for (offset, bytes) in gone {
            self.file.write_at(&[IoSlice::new(&vec![0; bytes])], offset)?;
        }
        Err(io::Error::from_raw_os_error(5))
    }
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
    fn preallocate(&self, bytes: u64) -> io::Result<()> {
        self.file.preallocate(bytes.min(1 << 20))
    }
    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.file.set_len(bytes)
    }
}
