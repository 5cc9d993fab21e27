//! What a thread that sends needs of the kernel: a network of its own, and the first place on its CPU.
#![expect(unsafe_code, reason = "system calls that rustix does not have, or not as safe ones")]

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

/// The calling thread comes before all that are scheduled as usual, until this is dropped; as far as it may.
#[derive(Debug)]
#[must_use]
pub struct Precedence {
    _of_this_thread: std::marker::PhantomData<*const ()>,
}

impl Precedence {
    /// By `SCHED_RR` (sched(7)). Without the privilege (`CAP_SYS_NICE`) nothing changes.
    pub fn take() -> Self {
        schedule(libc::SCHED_RR, 1);
        Self { _of_this_thread: std::marker::PhantomData }
    }
}

impl Drop for Precedence {
    fn drop(&mut self) {
        schedule(libc::SCHED_OTHER, 0);
    }
}

fn schedule(policy: libc::c_int, priority: libc::c_int) {
    // SAFETY: a structure of numbers, for all of which zero is a value.
    let mut parameters: libc::sched_param = unsafe { std::mem::zeroed() };
    parameters.sched_priority = priority;
    // SAFETY: the kernel reads the parameters; 0 is the calling thread. What it may not have, it goes without.
    unsafe { libc::sched_setscheduler(0, policy, &raw const parameters) };
}
