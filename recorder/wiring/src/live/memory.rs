//! The journal's memory that outlives the process: a folder of its own on tmpfs.

use std::path::{Path, PathBuf};

use base::disk::{Disk, SystemDisk};
use base::limits::{CHUNK_BYTES, CHUNKS_MAX, LARGE_CHUNK_BYTES, LARGE_CHUNKS_MAX};
use capture::memory::Shelf;
use journal::WriterOptions;
use seal::Sha256Hasher;

/// Where Linux keeps memory with a name. It goes with a reboot, and not with a process.
const TMPFS: &str = "/dev/shm";
/// Buffers of a core that are worth having outside: below, memory of the process is more use.
const CHUNKS_MIN: u64 = 4_096;

/// The journal's memory.
#[derive(Debug)]
pub(super) struct Memory {
    /// Where it is; `None` if only this process has it.
    pub(super) shelf: Option<Shelf>,
    /// Small buffers of each core.
    chunks: usize,
}

impl Memory {
    /// For the journal of the data folder `data`. If it cannot be outside of the process, the log says why, and
    /// it goes on without: a crash then costs what was not written yet, half a second.
    pub(super) fn open(data: &Path) -> Self {
        let without = |why: String| {
            tracing::warn!(
                "the journal's memory goes with this process, so that a crash of it costs up to half a second: {why}"
            );
            Self { shelf: None, chunks: CHUNKS_MAX }
        };
        let room = match SystemDisk.space(Path::new(TMPFS)) {
            Ok(space) => space.free,
            Err(error) => return without(format!("{TMPFS}: {error}")),
        };
        let cores = std::thread::available_parallelism().map_or(1, usize::from) as u64;
        let large = (LARGE_CHUNKS_MAX * LARGE_CHUNK_BYTES) as u64;
        // Half of it is left to others.
        let chunks = (room / 2 / cores).saturating_sub(large) / CHUNK_BYTES as u64;
        if chunks < CHUNKS_MIN {
            return without(format!("{TMPFS} has only {} MiB of room; make it larger", room >> 20));
        }
        let folder = folder_of(data);
        match Shelf::folder(&folder) {
            Ok(shelf) => {
                let chunks =
                    usize::try_from(chunks).map_or(CHUNKS_MAX, |most| most.min(CHUNKS_MAX));
                Self { shelf: Some(shelf), chunks }
            }
            Err(error) => without(format!("{}: {error}", folder.display())),
        }
    }

    /// The journal is not needed any more.
    pub(super) fn give_back(self) {
        if let Some(shelf) = self.shelf {
            shelf.remove_if_empty();
        }
    }

    /// What a core's writer may hold.
    pub(super) fn options(&self) -> WriterOptions {
        WriterOptions { chunks_max: self.chunks, ..WriterOptions::default() }
    }
}

/// A name that another process with the same data folder finds, and one with another does not.
fn folder_of(data: &Path) -> PathBuf {
    let data = data.canonicalize().unwrap_or_else(|_| data.to_owned());
    let mut all = Sha256Hasher::default();
    all.update(data.as_os_str().as_encoded_bytes());
    let hash = all.finish().0.iter().take(8).map(|byte| format!("{byte:02x}")).collect::<String>();
    Path::new(TMPFS).join(format!("spanreel-{hash}"))
}
