//! A piece of memory from `mmap`, given back when dropped.
#![expect(unsafe_code, reason = "mmap")]

use std::io;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;

use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, mmap_anonymous, munmap};

/// Huge pages on x86-64 and most others; memory in them is a multiple of this.
const HUGE_PAGE_BYTES: usize = 2 * 1024 * 1024;

/// Mapped memory, read- and writable, zeroed if it is not the kernel's.
#[derive(Debug)]
pub(crate) struct Mapping {
    start: NonNull<u8>,
    bytes: usize,
    huge: bool,
}

// SAFETY: a mapping belongs to the process, not to a thread; what is in it is reached by raw pointers only,
// whose users argue for themselves.
unsafe impl Send for Mapping {}
// SAFETY: as above; the fields do not change.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Memory of our own, in huge pages if there are enough free ones and `huge` asks for them.
    pub(crate) fn anonymous(bytes: usize, huge: bool) -> io::Result<Self> {
        if huge
            && !cfg!(miri) // it knows plain mappings only
            && let Some(rounded) = bytes.checked_next_multiple_of(HUGE_PAGE_BYTES)
            && let Ok(mapping) = Self::map_anonymous(rounded, MapFlags::HUGETLB)
        {
            return Ok(Self { huge: true, ..mapping });
        }
        let mapping = Self::map_anonymous(bytes, MapFlags::empty())?;
        if !cfg!(miri) {
            mapping.populate(huge)?;
        }
        Ok(mapping)
    }

    /// Makes all pages at once: a page fault in the capture loop is a lost packet.
    fn populate(&self, huge: bool) -> io::Result<()> {
        let advise = |advice| {
            // SAFETY: the mapping is ours, and neither advice changes what is in it.
            unsafe { madvise(self.start.as_ptr().cast(), self.bytes, advice) }
        };
        if huge {
            // Those that the kernel puts together where it can (`transparent_hugepage`); it may be without.
            let _ = advise(Advice::LinuxHugepage);
        }
        match advise(Advice::LinuxPopulateWrite) {
            // Not known before Linux 5.14.
            Err(Errno::INVAL) => Ok(()),
            result => Ok(result?),
        }
    }

    fn map_anonymous(bytes: usize, flags: MapFlags) -> io::Result<Self> {
        let reserved = flags.contains(MapFlags::HUGETLB);
        let populate = if reserved { MapFlags::POPULATE } else { MapFlags::empty() };
        // SAFETY: a new mapping at an address of the kernel's choice touches no other memory.
        let start = unsafe {
            mmap_anonymous(
                std::ptr::null_mut(),
                bytes,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::PRIVATE | populate | flags,
            )
        }?;
        Self::of(start.cast(), bytes)
    }

    /// A part of what a descriptor maps: of an AF_XDP socket, one of its rings.
    pub(crate) fn of_file(fd: BorrowedFd<'_>, offset: u64, bytes: usize) -> io::Result<Self> {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        let flags = MapFlags::SHARED | MapFlags::POPULATE;
        // SAFETY: as above.
        let start = unsafe { mmap(std::ptr::null_mut(), bytes, protection, flags, fd, offset) }?;
        Self::of(start.cast(), bytes)
    }

    fn of(start: *mut u8, bytes: usize) -> io::Result<Self> {
        let start = NonNull::new(start).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { start, bytes, huge: false })
    }

    /// Its first byte. Aligned to a page.
    pub(crate) const fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// Its size.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether it is in huge pages.
    pub(crate) const fn is_huge(&self) -> bool {
        self.huge
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: this is the mapping that was made, whole; who points into it holds a reference to `self`.
        // Failure is impossible for a mapping that exists, and would only leak it.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.bytes) };
    }
}
