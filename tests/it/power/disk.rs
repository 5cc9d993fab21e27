//! A disk whose power can be cut: one file in a FUSE file system, for a loop device.
//!
//! The kernel turns every flush of the block layer (REQ_OP_FLUSH, and FUA as a flush behind the write) into an
//! fsync of the loop device's file, which is the only barrier here. What was written before a flush is on the
//! platter; of what was written since, a cut leaves each 512-byte sector of each write, or not, and of two writes
//! to a sector the older or the newer.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use fuser::{
    BackgroundSession, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags,
    Generation, INodeNo, LockOwner, OpenFlags, ReplyAttr, ReplyData, ReplyEmpty, ReplyEntry,
    ReplyOpen, ReplyWrite, Request, WriteFlags,
};
use rand::seq::SliceRandom as _;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::rig::now;

/// What a disk writes as a whole.
const SECTOR_BYTES: usize = 512;
const PAGE_BYTES: usize = 4096;
const NAME: &str = "disk";
const FILE: INodeNo = INodeNo(2);
/// Nothing here changes behind the kernel's back.
const FOR_EVER: Duration = Duration::from_secs(3600);

type Page = [u8; PAGE_BYTES];
/// Pages that were never written are zeros.
type Pages = Vec<Option<Arc<Page>>>;

/// A running disk. Unmounted when dropped.
pub(super) struct Disk {
    shared: Arc<Shared>,
    session: Option<BackgroundSession>,
    file: PathBuf,
}

/// What is on a disk, or was when its power was cut.
#[derive(Clone)]
pub(super) struct Image(Pages);

/// The state at one moment: what a flush has secured, and what was written since, oldest first.
pub(super) struct Cut {
    /// When it was.
    pub(super) at: Instant,
    durable: Pages,
    in_flight: Vec<Write>,
}

#[derive(Clone)]
struct Write {
    offset: u64,
    bytes: Arc<[u8]>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    was_cut: Condvar,
}

#[derive(Default)]
struct State {
    current: Pages,
    durable: Pages,
    in_flight: Vec<Write>,
    flushes: u64,
    /// Whether flushes are only said to be done.
    lies: bool,
    /// Writes and flushes until the power is cut.
    armed: Option<u32>,
    cut: Option<Cut>,
}

impl Image {
    /// The content of a file, holes left out.
    pub(super) fn read(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let count = file.metadata()?.len() as usize / PAGE_BYTES;
        let mut pages: Pages = vec![None; count];
        let mut page = [0; PAGE_BYTES];
        for (number, place) in pages.iter_mut().enumerate() {
            file.read_exact_at(&mut page, (number * PAGE_BYTES) as u64)?;
            *place = (page != [0; PAGE_BYTES]).then(|| Arc::new(page));
        }
        Ok(Self(pages))
    }
}

impl Disk {
    /// Starts a disk that holds `image`; its file is in `folder`, which is there and empty. One that `lies` says that
    /// it flushed, and did not.
    pub(super) fn start(image: Image, folder: &Path, lies: bool) -> io::Result<Self> {
        let Image(current) = image;
        let durable = current.clone();
        let state = Mutex::new(State { current, durable, lies, ..State::default() });
        let shared = Arc::new(Shared { state, ..Shared::default() });
        let server = Server(Arc::clone(&shared));
        let session = fuser::spawn_mount(server, folder, &Config::default())?;
        Ok(Self { shared, session: Some(session), file: folder.join(NAME) })
    }

    /// The file for the loop device.
    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// Flushes so far.
    pub(super) fn flushes(&self) -> u64 {
        self.shared.lock().flushes
    }

    /// Cuts the power now; or, if `writes` is not 0, with something in flight after so many writes and flushes, if
    /// they come within `patience`. The disk itself goes on, so that whoever uses it can be ended in peace; what they still write
    /// is nobody's.
    pub(super) fn cut(&self, writes: u32, patience: Duration) -> Cut {
        let mut state = self.shared.lock();
        if writes > 0 {
            state.armed = Some(writes);
            let waiting =
                self.shared.was_cut.wait_timeout_while(state, patience, |s| s.cut.is_none());
            state = waiting.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.cut.take().unwrap_or_else(|| state.snapshot())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            // The mount ends with the namespace at the latest.
            let _ = session.umount_and_join();
        }
    }
}

impl Cut {
    /// How much was in flight.
    pub(super) fn in_flight_bytes(&self) -> usize {
        self.in_flight.iter().map(|write| write.bytes.len()).sum()
    }

    /// What is on the platter when the power is back: of what was in flight, what chance left of it.
    pub(super) fn survivors(self, seed: u64) -> Image {
        let Self { mut durable, mut in_flight, .. } = self;
        let mut chance = ChaCha8Rng::seed_from_u64(seed);
        // Each write is lost, kept or torn; how often differs from cut to cut, all and nothing included.
        let (lost, torn) = (f64::from(chance.random_range(0..=4)) / 4.0, chance.random::<f64>());
        in_flight.shuffle(&mut chance);
        for write in in_flight {
            if chance.random_bool(lost) {
                continue;
            }
            let is_torn = chance.random_bool(torn);
            for (number, sector) in write.bytes.chunks(SECTOR_BYTES).enumerate() {
                if !is_torn || chance.random_bool(0.5) {
                    put(&mut durable, write.offset + (number * SECTOR_BYTES) as u64, sector);
                }
            }
        }
        Image(durable)
    }
}

/// Writes into pages; gives which.
fn put(pages: &mut Pages, offset: u64, mut bytes: &[u8]) -> BTreeSet<usize> {
    let (mut at, mut touched) = (offset as usize, BTreeSet::new());
    while !bytes.is_empty() {
        let (number, within) = (at / PAGE_BYTES, at % PAGE_BYTES);
        let (part, rest) = bytes.split_at(bytes.len().min(PAGE_BYTES - within));
        let Some(place) = pages.get_mut(number) else { return touched };
        let page = place.get_or_insert_with(|| Arc::new([0; PAGE_BYTES]));
        Arc::make_mut(page)[within..within + part.len()].copy_from_slice(part);
        touched.insert(number);
        (at, bytes) = (at + part.len(), rest);
    }
    touched
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Before a write, or a flush, does anything.
    fn count_down(&self, state: &mut State) {
        match state.armed {
            Some(0) if !state.in_flight.is_empty() => {
                state.armed = None;
                state.cut = Some(state.snapshot());
                self.was_cut.notify_all();
            }
            Some(writes) => state.armed = Some(writes.saturating_sub(1)),
            None => {}
        }
    }
}

impl State {
    fn snapshot(&self) -> Cut {
        // What a lying disk has in flight is everything, and all of it is lost.
        let in_flight = if self.lies { Vec::new() } else { self.in_flight.clone() };
        Cut { at: now(), durable: self.durable.clone(), in_flight }
    }

    fn bytes(&self) -> u64 {
        (self.current.len() * PAGE_BYTES) as u64
    }

    fn read(&self, offset: u64, size: usize) -> Vec<u8> {
        let end = (offset + size as u64).min(self.bytes());
        let mut read = Vec::with_capacity(size);
        let mut at = offset;
        while at < end {
            let (number, within) = (at as usize / PAGE_BYTES, at as usize % PAGE_BYTES);
            let length = (PAGE_BYTES - within).min((end - at) as usize);
            match self.current.get(number).and_then(Option::as_ref) {
                Some(page) => read.extend_from_slice(&page[within..within + length]),
                None => read.resize(read.len() + length, 0),
            }
            at += length as u64;
        }
        read
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) {
        put(&mut self.current, offset, bytes);
        self.in_flight.push(Write { offset, bytes: bytes.into() });
    }

    fn flush(&mut self) {
        self.flushes += 1;
        if self.lies {
            return;
        }
        for write in self.in_flight.drain(..) {
            let first = write.offset as usize / PAGE_BYTES;
            let last = (write.offset as usize + write.bytes.len()).div_ceil(PAGE_BYTES);
            for number in first..last.min(self.current.len()) {
                self.durable[number].clone_from(&self.current[number]);
            }
        }
    }
}

/// The file system: a folder with one file in it.
struct Server(Arc<Shared>);

impl Server {
    fn attributes(&self, inode: INodeNo) -> FileAttr {
        let (kind, size) = match inode {
            FILE => (FileType::RegularFile, self.0.lock().bytes()),
            _ => (FileType::Directory, 0),
        };
        let never = SystemTime::UNIX_EPOCH;
        FileAttr {
            ino: inode,
            size,
            blocks: size / 512,
            atime: never,
            mtime: never,
            ctime: never,
            crtime: never,
            kind,
            perm: 0o700,
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: PAGE_BYTES as u32,
            flags: 0,
        }
    }
}

impl Filesystem for Server {
    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match name == NAME {
            true => reply.entry(&FOR_EVER, &self.attributes(FILE), Generation(0)),
            false => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _: &Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&FOR_EVER, &self.attributes(inode));
    }

    /// Past the page cache: what the loop device writes is here at once, and only here.
    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(0), FopenFlags::FOPEN_DIRECT_IO);
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let bytes = self.0.lock().read(offset, size as usize);
        reply.data(&bytes);
    }

    fn write(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let mut state = self.0.lock();
        self.0.count_down(&mut state);
        state.write(offset, data);
        reply.written(data.len() as u32);
    }

    /// On close, which flushes nothing.
    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsync(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        let mut state = self.0.lock();
        self.0.count_down(&mut state);
        state.flush();
        reply.ok();
    }
}
