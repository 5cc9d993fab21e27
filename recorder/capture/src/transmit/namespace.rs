//! A network of its own for who sends.
#![expect(unsafe_code, reason = "a system call that rustix does not have as a safe one")]

use std::io;

use rustix::thread::UnshareFlags;

/// Puts the calling thread, and the threads and programs that it starts from now on, into a network namespace of its
/// own. It is gone, with every interface in it, when the last of them ends, however it ends.
///
/// # Errors
/// No privilege (`CAP_SYS_ADMIN`).
pub fn enter_own_namespace() -> io::Result<()> {
    // SAFETY: only the network namespace is left, not the table of descriptors, so that every descriptor means the
    // same in all threads.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }.map_err(io::Error::from)
}
