//! The bytes of a file: as they are read now, as they are durable, and what was written in between.

use std::io::{self, IoSlice};

use base::disk::DiskFile;
use rand::Rng as _;
use rand_chacha::ChaCha8Rng;

use super::{Call, Lie, MemoryDisk};

/// What a disk writes as a whole.
const SECTOR_BYTES: usize = 512;

/// One file.
#[derive(Default)]
pub(super) struct File {
    now: Vec<u8>,
    durable: Vec<u8>,
    /// As it was before what is pending was written.
    written_before: Vec<u8>,
    pending: Vec<Write>,
}

enum Write {
    Bytes { offset: usize, bytes: Vec<u8>, is_lost: bool },
    Length(usize),
}

impl File {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.now
    }

    fn write(&mut self, write: Write) {
        apply(&mut self.now, &write);
        self.pending.push(write);
    }

    pub(super) fn sync(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        for write in pending.iter().filter(|write| !write.is_lost()) {
            self.put_sectors(write, |_| true);
        }
        self.written_before.clone_from(&self.now);
    }

    /// Makes sectors that `write` touched durable as they are now: a disk writes whole sectors, and what was
    /// written to them before goes along.
    fn put_sectors(&mut self, write: &Write, mut is_chosen: impl FnMut(usize) -> bool) {
        match write {
            Write::Bytes { offset, bytes, .. } => {
                let last = (offset + bytes.len()).div_ceil(SECTOR_BYTES);
                for sector in (offset / SECTOR_BYTES..last).filter(|sector| is_chosen(*sector)) {
                    self.put_sector(sector * SECTOR_BYTES);
                }
            }
            Write::Length(bytes) => self.durable.resize(*bytes, 0),
        }
    }

    fn put_sector(&mut self, at: usize) {
        let end = (at + SECTOR_BYTES).min(self.now.len());
        if self.durable.len() < end {
            self.durable.resize(end, 0);
        }
        if let (Some(to), Some(from)) = (self.durable.get_mut(at..end), self.now.get(at..end)) {
            to.copy_from_slice(from);
        }
    }

    /// A sync failed: what it was to write can be read, but is never written (fsync(2), "EIO").
    fn sync_failed(&mut self) {
        for write in &mut self.pending {
            if let Write::Bytes { is_lost, .. } = write {
                *is_lost = true;
            }
        }
    }

    /// A power cut: of what was pending, each write is there, or some sectors of it, or nothing.
    pub(super) fn survive(&mut self, chance: &mut ChaCha8Rng) {
        let (kept, torn) = (f64::from(chance.random_range(0..=4)) / 4.0, chance.random::<f64>());
        let pending = std::mem::take(&mut self.pending);
        // As it was when each write had just been made.
        self.now.clone_from(&self.written_before);
        for write in pending {
            apply(&mut self.now, &write);
            if !chance.random_bool(kept) || write.is_lost() {
                continue;
            }
            let is_torn = chance.random_bool(torn);
            self.put_sectors(&write, |_| !is_torn || chance.random_bool(0.5));
        }
        self.now.clone_from(&self.durable);
        self.written_before.clone_from(&self.durable);
    }
}

impl Write {
    /// Whether a sync has failed on it.
    const fn is_lost(&self) -> bool {
        matches!(self, Self::Bytes { is_lost: true, .. })
    }
}

fn apply(content: &mut Vec<u8>, write: &Write) {
    match write {
        Write::Bytes { offset, bytes, .. } => {
            let end = offset + bytes.len();
            if content.len() < end {
                content.resize(end, 0);
            }
            content[*offset..end].copy_from_slice(bytes);
        }
        Write::Length(bytes) => content.resize(*bytes, 0),
    }
}

/// A handle to a file, which may have lost its name.
#[derive(Debug)]
pub(super) struct OpenFile {
    pub(super) disk: MemoryDisk,
    pub(super) number: usize,
}

impl DiskFile for OpenFile {
    fn write_at(&self, slices: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
        let mut state = self.disk.enter(Call::Grow)?;
        let mut bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        let mut chance = state.draw();
        if chance.random_bool(state.faults.short_writes) && bytes.len() > 1 {
            // Not by a byte count: a signature's length is not the seed's.
            let taken = (bytes.len() as f64 * chance.random_range(0.0..1.0)) as usize;
            bytes.truncate(taken.max(1));
        }
        let written = bytes.len();
        let offset = usize::try_from(offset).map_err(|_| io::ErrorKind::FileTooLarge)?;
        state.files[self.number].write(Write::Bytes { offset, bytes, is_lost: false });
        Ok(written)
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.disk.enter(Call::Read)?;
        let content = state.files[self.number].bytes();
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(content.len());
        let rest = &content[from..];
        let length = rest.len().min(bytes.len());
        bytes[..length].copy_from_slice(&rest[..length]);
        Ok(length)
    }

    fn sync_data(&self) -> io::Result<()> {
        let entered = self.disk.enter(Call::Sync).map(|mut state| {
            if state.lie != Some(Lie::FileSync) {
                state.files[self.number].sync();
            }
        });
        if entered.is_err() {
            self.disk.lock().files[self.number].sync_failed();
        }
        entered
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.enter(Call::Look)?.files[self.number].bytes().len() as u64)
    }

    fn preallocate(&self, _bytes: u64) -> io::Result<()> {
        self.disk.enter(Call::Grow).map(drop)
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        let mut state = self.disk.enter(Call::Change)?;
        let bytes = usize::try_from(bytes).map_err(|_| io::ErrorKind::FileTooLarge)?;
        state.files[self.number].write(Write::Length(bytes));
        Ok(())
    }
}
