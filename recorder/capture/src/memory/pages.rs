//! Mapped memory whose pages come into being when they are wanted, given back when dropped.
#![expect(unsafe_code, reason = "mmap, madvise")]

use std::io;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;
use std::sync::Arc;

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, mmap_anonymous, munmap};

/// What memory is mapped by.
pub(super) const PAGE_BYTES: usize = 4_096;
/// A huge page, on the processors of today: 512 pages whose place is looked up as that of one.
pub(super) const HUGE_PAGE_BYTES: usize = 2 * 1024 * 1024;

/// Memory, read- and writable, zero until it is written.
#[derive(Debug)]
pub(super) struct Pages {
    start: NonNull<u8>,
    bytes: usize,
}

// SAFETY: a mapping belongs to the process, not to a thread; what is in it is reached by raw pointers only,
// whose users argue for themselves.
unsafe impl Send for Pages {}
// SAFETY: as above; the fields do not change.
unsafe impl Sync for Pages {}

impl Pages {
    /// Memory of this process alone; `huge`: in huge pages, if the kernel has some.
    pub(super) fn anonymous(bytes: usize, huge: bool) -> io::Result<Self> {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        // SAFETY: a new mapping at an address of the kernel's choice touches no other memory.
        let start = unsafe { mmap_anonymous(std::ptr::null_mut(), bytes, protection, flags) }?;
        Self::of(start.cast(), bytes, huge)
    }

    /// A whole file, shared with whoever opens it later; it must not become shorter. Not in core dumps. It begins where a
    /// huge page may, so that huge pages of the file can be huge pages in memory.
    pub(super) fn of_file(fd: BorrowedFd<'_>, bytes: usize) -> io::Result<Self> {
        let room = bytes.checked_add(HUGE_PAGE_BYTES).ok_or(io::ErrorKind::OutOfMemory)?;
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        // SAFETY: as above.
        let reserved =
            unsafe { mmap_anonymous(std::ptr::null_mut(), room, ProtFlags::empty(), flags) }?;
        // From here on it is given back when it is dropped, the file's part with it.
        let reserved = Self::of(reserved.cast(), room, false)?;
        let before = reserved.start.as_ptr().align_offset(HUGE_PAGE_BYTES);
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        let flags = MapFlags::SHARED | MapFlags::NORESERVE | MapFlags::FIXED;
        // SAFETY: less than a huge page from the begin of what was reserved, which is that much longer than the file. It
        // is this function's own, and nobody has used it.
        let start = unsafe {
            let at = reserved.start.as_ptr().add(before);
            mmap(at.cast(), bytes, protection, flags, fd, 0)
        }?;
        let pages = reserved.only(start.cast(), bytes)?;
        // Advice: if it is not taken, nothing is wrong.
        let _ = pages.advise(0, bytes, Advice::LinuxHugepage);
        let _ = pages.advise(0, bytes, Advice::LinuxDontDump);
        Ok(pages)
    }

    /// Gives back what is before and behind a part of it, whole pages.
    fn only(self, start: *mut u8, bytes: usize) -> io::Result<Self> {
        let part = Self::of(start, bytes, false)?;
        let all = std::mem::ManuallyDrop::new(self);
        let before = start.addr() - all.start.as_ptr().addr();
        let behind = all.bytes - before - bytes;
        // SAFETY: both are of the mapping that is not used any more but for the part between them. Failure is impossible
        // for a mapping that exists, and would only leak it.
        unsafe {
            if before > 0 {
                let _ = munmap(all.start.as_ptr().cast(), before);
            }
            if behind > 0 {
                let _ = munmap(start.add(bytes).cast(), behind);
            }
        }
        Ok(part)
    }

    fn of(start: *mut u8, bytes: usize, huge: bool) -> io::Result<Self> {
        let start = NonNull::new(start).ok_or(io::ErrorKind::OutOfMemory)?;
        let pages = Self { start, bytes };
        if huge {
            let _ = pages.advise(0, bytes, Advice::LinuxHugepage);
        }
        Ok(pages)
    }

    /// Brings the pages of a part into being, so that touching them costs no fault.
    ///
    /// # Errors
    /// There is no memory for them. A kernel before 5.14 cannot do it, which is none: they come when touched.
    pub(super) fn populate(&self, offset: usize, bytes: usize) -> io::Result<()> {
        match self.advise(offset, bytes, Advice::LinuxPopulateWrite) {
            Err(rustix::io::Errno::INVAL) => Ok(()),
            done => Ok(done?),
        }
    }

    /// Makes the huge page at `offset` one, its pages being in part there, in part not.
    ///
    /// # Errors
    /// There is none, or the kernel (before 6.1) does not know how.
    pub(super) fn collapse(&self, offset: usize) -> io::Result<()> {
        let end = offset.checked_add(HUGE_PAGE_BYTES).filter(|end| *end <= self.bytes);
        if end.is_none() || cfg!(miri) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        // SAFETY: within the mapping, as just checked; what is in the memory stays.
        let done = unsafe {
            let at = self.start.as_ptr().add(offset);
            libc::madvise(at.cast(), HUGE_PAGE_BYTES, libc::MADV_COLLAPSE)
        };
        if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    fn advise(&self, offset: usize, bytes: usize, advice: Advice) -> rustix::io::Result<()> {
        let end = offset.checked_add(bytes).filter(|end| *end <= self.bytes);
        assert!(end.is_some(), "advice is about the mapping itself");
        if cfg!(miri) {
            return Ok(()); // it knows plain mappings only
        }
        // SAFETY: within the mapping, as just checked; none of the kinds of advice used here changes what is
        // in the memory.
        unsafe { madvise(self.start.as_ptr().add(offset).cast(), bytes, advice) }
    }

    /// A copy of all of it; `None` if anything else refers to it, who could be writing.
    pub(super) fn copied(self: &Arc<Self>) -> Option<Vec<u8>> {
        if Arc::strong_count(self) > 1 {
            return None;
        }
        // What the last other owner wrote came before it let go.
        std::sync::atomic::fence(std::sync::atomic::Ordering::Acquire);
        // SAFETY: the whole mapping, initialised (the kernel zeroes it). Nobody else has a reference to it, and
        // none can come into being, because the only one is borrowed here.
        Some(unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.bytes) }.to_vec())
    }

    /// Its first byte. Aligned to a page.
    pub(super) const fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// Its size.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Has the room of a vector lie in huge pages, where the kernel has some, as it is used for the first time.
pub fn in_huge_pages<T>(room: &mut Vec<T>) {
    let start = room.as_mut_ptr().cast::<u8>();
    let before = start.align_offset(PAGE_BYTES);
    let bytes = (room.capacity() * size_of::<T>()).saturating_sub(before) / PAGE_BYTES * PAGE_BYTES;
    if bytes > 0 && !cfg!(miri) {
        // SAFETY: whole pages within the vector's room; the advice changes nothing of what is in them. If it is not
        // taken, nothing is wrong.
        let _ = unsafe { madvise(start.add(before).cast(), bytes, Advice::LinuxHugepage) };
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: this is the mapping that was made, whole; who points into it holds a reference to `self`.
        // Failure is impossible for a mapping that exists, and would only leak it.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.bytes) };
    }
}
