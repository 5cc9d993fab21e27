//! The first place on its CPU, for a thread that would lose packets if it waited.
#![expect(unsafe_code, reason = "a system call that rustix does not have")]

use std::io;
use std::marker::PhantomData;

/// The calling thread comes before all that are scheduled as usual, until this is dropped. It has to sleep now and then:
/// others on its CPU have only what it leaves, and a twentieth.
#[derive(Debug)]
#[must_use]
pub struct Precedence {
    _of_this_thread: PhantomData<*const ()>,
}

impl Precedence {
    /// By `SCHED_RR` (sched(7)).
    ///
    /// # Errors
    /// Neither `CAP_SYS_NICE` nor `RLIMIT_RTPRIO` allows it; nothing changes.
    pub fn take() -> io::Result<Self> {
        schedule(libc::SCHED_RR, 1)?;
        Ok(Self { _of_this_thread: PhantomData })
    }
}

impl Drop for Precedence {
    fn drop(&mut self) {
        // Stepping back needs no privilege.
        let _ = schedule(libc::SCHED_OTHER, 0);
    }
}

fn schedule(policy: libc::c_int, priority: libc::c_int) -> io::Result<()> {
    // SAFETY: a structure of numbers, for all of which zero is a value.
    let mut parameters: libc::sched_param = unsafe { std::mem::zeroed() };
    parameters.sched_priority = priority;
    // SAFETY: the kernel reads the parameters; 0 is the calling thread.
    match unsafe { libc::sched_setscheduler(0, policy, &raw const parameters) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
