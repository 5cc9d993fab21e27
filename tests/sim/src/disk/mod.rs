//! A disk in memory that fails as real ones do: short writes, EIO, ENOSPC, latency, and power cuts at any call.
//!
//! It knows what is durable: a file's bytes by `sync_data`, a name by `sync_folder`, everything by `sync_all`. A
//! power cut keeps that, and of the rest what chance leaves: names made, changed or removed since, each or not;
//! writes since, each whole, torn by 512-byte sectors, or not at all. After the call at which the power is to be
//! cut, every call fails until [`MemoryDisk::power_on`].

mod file;
mod names;

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base::disk::{Disk, DiskEntry, DiskFile, FolderLock, Space};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use self::file::{File, OpenFile};
use self::names::{Change, Names, Node};

/// Total room; nothing that is simulated comes near it unless the disk is made full.
const TOTAL_BYTES: u64 = 1 << 30;

/// How a disk behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Faults {
    /// Share of the calls that fail with EIO.
    pub errors: f64,
    /// Share of the writes of which only a part is taken.
    pub short_writes: f64,
    /// No room for anything new.
    pub full: bool,
    /// How long a call that reaches the disk takes at most.
    pub latency_max: Duration,
}

/// What a disk is made to forget, to show that the checks see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// `sync_data` says that it did.
    FileSync,
    /// `sync_folder` and `sync_all` say that they did.
    FolderSync,
}

/// The disk; clones are handles to the same one.
#[derive(Clone)]
pub struct MemoryDisk(Arc<Mutex<State>>);

struct State {
    files: Vec<File>,
    names: Names,
    locks: BTreeSet<PathBuf>,
    faults: Faults,
    lie: Option<Lie>,
    chance: u64,
    calls: u64,
    cut_at: Option<u64>,
    is_off: bool,
    /// Since the last time that it was asked for.
    latency: Duration,
}

/// What a call does; decides which faults can hit it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Call {
    Look,
    Read,
    /// Needs room.
    Grow,
    Change,
    Sync,
}

impl MemoryDisk {
    /// An empty disk with a root folder. `seed` decides on its faults.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            files: Vec::new(),
            names: Names::default(),
            locks: BTreeSet::new(),
            faults: Faults::default(),
            lie: None,
            chance: seed,
            calls: 0,
            cut_at: None,
            is_off: false,
            latency: Duration::ZERO,
        })))
    }

    /// How it behaves from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.lock().faults = faults;
    }

    /// What it forgets from now on.
    pub fn set_lie(&self, lie: Lie) {
        self.lock().lie = Some(lie);
    }

    /// Cuts the power in so many calls.
    pub fn cut_in(&self, calls: u64) {
        let mut state = self.lock();
        state.cut_at = Some(state.calls + calls);
    }

    /// The power is not cut after all, unless it is.
    pub fn cancel_cut(&self) {
        self.lock().cut_at = None;
    }

    /// Whether it has no power.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.lock().is_off
    }

    /// Cuts the power now, unless it is cut, and switches it on again: what was not durable is up to chance.
    /// Without faults, and whoever had a lock has it no longer.
    pub fn power_on(&self) {
        let mut state = self.lock();
        let mut chance = state.draw();
        let State { files, names, locks, .. } = &mut *state;
        names.survive(&mut chance);
        files.iter_mut().for_each(|file| file.survive(&mut chance));
        locks.clear();
        (state.faults, state.cut_at, state.is_off) = (Faults::default(), None, false);
    }

    /// How long the calls since the last time took.
    #[must_use]
    pub fn take_latency(&self) -> Duration {
        std::mem::take(&mut self.lock().latency)
    }

    /// Calls so far.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.lock().calls
    }

    /// The names in a folder, whatever the disk's state; none if it is not there.
    #[must_use]
    pub fn peek_names(&self, folder: &Path) -> Vec<String> {
        let list = self.lock().names.list(folder).unwrap_or_default();
        list.iter().map(|entry| entry.name.to_string_lossy().into_owned()).collect()
    }

    /// A file's content, whatever the disk's state.
    #[must_use]
    pub fn peek(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.lock();
        let Ok(Node::File(file)) = state.names.get(path) else { return None };
        Some(state.files[file].bytes().to_vec())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call, and lets it fail if chance or the disk's state says so.
    fn enter(&self, call: Call) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.lock();
        if state.is_off {
            return Err(errno(5));
        }
        state.calls += 1;
        if state.cut_at.is_some_and(|at| state.calls >= at) {
            state.is_off = true;
            return Err(errno(5));
        }
        let mut chance = state.draw();
        let Faults { errors, full, latency_max, .. } = state.faults;
        if call != Call::Look {
            state.latency += latency_max.mul_f64(chance.random::<f64>().powi(4));
        }
        if call != Call::Look && chance.random_bool(errors) {
            return Err(errno(5));
        }
        if call == Call::Grow && full {
            return Err(errno(28));
        }
        Ok(state)
    }

    fn change(&self, call: Call, change: Change) -> io::Result<()> {
        let mut state = self.enter(call)?;
        state.names.change(change)
    }
}

impl State {
    /// Chance of this call alone: how much is drawn for one call changes nothing for another.
    fn draw(&self) -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(self.chance ^ self.calls.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }
}

/// EIO is 5, ENOSPC is 28.
fn errno(number: i32) -> io::Error {
    io::Error::from_raw_os_error(number)
}

impl fmt::Debug for MemoryDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemoryDisk({} calls)", self.calls())
    }
}

impl Disk for MemoryDisk {
    fn create(&self, path: &Path, _mode: u32) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.enter(Call::Grow)?;
        let number = state.files.len();
        state.names.change(Change::Make(path.to_owned(), Node::File(number)))?;
        state.files.push(File::default());
        Ok(Arc::new(OpenFile { disk: self.clone(), number }))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        match self.enter(Call::Look)?.names.get(path)? {
            Node::File(number) => Ok(Arc::new(OpenFile { disk: self.clone(), number })),
            Node::Folder => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    fn create_folder(&self, path: &Path, _mode: u32) -> io::Result<()> {
        self.change(Call::Grow, Change::Make(path.to_owned(), Node::Folder))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<DiskEntry>> {
        self.enter(Call::Look)?.names.list(folder)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        Ok(self.enter(Call::Look)?.names.get(path).is_ok())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change(Call::Change, Change::Rename(from.to_owned(), to.to_owned()))
    }

    fn exchange(&self, one: &Path, other: &Path) -> io::Result<()> {
        self.change(Call::Change, Change::Exchange(one.to_owned(), other.to_owned()))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.change(Call::Change, Change::Remove(path.to_owned()))
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        self.change(Call::Change, Change::RemoveFolder(path.to_owned()))
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        let mut state = self.enter(Call::Sync)?;
        if state.lie != Some(Lie::FolderSync) {
            state.names.sync(Some(folder));
        }
        Ok(())
    }

    fn sync_all(&self, _folder: &Path) -> io::Result<()> {
        let mut state = self.enter(Call::Sync)?;
        if state.lie != Some(Lie::FolderSync) {
            state.names.sync(None);
            state.files.iter_mut().for_each(File::sync);
        }
        Ok(())
    }

    fn lock_folder(&self, folder: &Path) -> io::Result<FolderLock> {
        let mut state = self.enter(Call::Look)?;
        match state.locks.insert(folder.to_owned()) {
            true => Ok(Box::new(Lock { disk: self.clone(), folder: folder.to_owned() })),
            false => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn space(&self, _path: &Path) -> io::Result<Space> {
        let state = self.enter(Call::Look)?;
        let used: u64 = state.names.files().map(|n| state.files[n].bytes().len() as u64).sum();
        let free = if state.faults.full { 0 } else { TOTAL_BYTES.saturating_sub(used) };
        Ok(Space { total: TOTAL_BYTES, free })
    }
}

/// A folder's lock. What was locked before a power cut is not locked after it.
struct Lock {
    disk: MemoryDisk,
    folder: PathBuf,
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.disk.lock().locks.remove(&self.folder);
    }
}
