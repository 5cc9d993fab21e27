//! CPU time of threads, to the nanosecond, and which CPU they run on.

use std::fs;

use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

/// CPU time of the calling thread so far, user and system, nanoseconds. Interrupts that it served are in it.
#[must_use]
pub fn of_this_thread() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}

/// Keeps the calling thread on one CPU, where that is allowed.
pub fn pin(cpu: usize) {
    let mut set = CpuSet::new();
    set.set(cpu);
    // Where it is not allowed the figures are worse, which their spread shows.
    let _ = sched_setaffinity(None, &set);
}

/// CPUs that this process may use.
#[must_use]
pub fn count() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The kernel's thread for interrupts that one CPU could not serve at once.
#[derive(Debug)]
pub struct SoftIrq {
    schedstat: Option<String>,
}

impl SoftIrq {
    /// Of a CPU.
    #[must_use]
    pub fn of(cpu: usize) -> Self {
        let wanted = format!("ksoftirqd/{cpu}\n");
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        let found = processes
            .map(|entry| entry.path())
            .find(|path| fs::read_to_string(path.join("comm")).is_ok_and(|name| name == wanted));
        Self { schedstat: found.map(|path| format!("{}/schedstat", path.display())) }
    }

    /// Its CPU time so far, nanoseconds; 0 where the kernel does not tell.
    #[must_use]
    pub fn nanos(&self) -> u64 {
        let text = self.schedstat.as_ref().and_then(|path| fs::read_to_string(path).ok());
        let first = text.as_deref().and_then(|text| text.split_whitespace().next());
        first.and_then(|number| number.parse().ok()).unwrap_or_default()
    }
}
