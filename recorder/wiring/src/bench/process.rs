//! What a process has used, as the kernel tells in `/proc`: CPU time by the name of its threads, memory.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// In `/proc/*/stat`, on every Linux (`USER_HZ`).
const TICKS_PER_SECOND: u64 = 100;

/// CPU seconds by stage: threads that have the same name but for a number are one stage.
pub(super) type Stages = BTreeMap<String, f64>;

/// A process that was started here.
#[derive(Clone, Debug)]
pub(super) struct Process(PathBuf);

impl Process {
    /// By its number.
    pub(super) fn new(id: u32) -> Self {
        Self(PathBuf::from(format!("/proc/{id}")))
    }

    /// CPU seconds so far of the threads that run, to the nanosecond.
    pub(super) fn stages(&self) -> Stages {
        let mut stages = Stages::new();
        for task in fs::read_dir(self.0.join("task")).into_iter().flatten().flatten() {
            let read = |name| fs::read_to_string(task.path().join(name)).unwrap_or_default();
            let (name, used) = (read("comm"), read("schedstat"));
            let nanos: u64 = used.split(' ').next().and_then(|it| it.parse().ok()).unwrap_or(0);
            *stages.entry(stage(name.trim()).to_owned()).or_default() += nanos as f64 / 1e9;
        }
        stages
    }

    /// CPU time so far of all threads, those that ended included, to 10 ms. It is still known of a process that has
    /// ended, until it is waited for.
    pub(super) fn cpu(&self) -> Duration {
        let stat = fs::read_to_string(self.0.join("stat")).unwrap_or_default();
        // The name in parentheses may have spaces in it.
        let mut fields = stat.rsplit(") ").next().unwrap_or_default().split(' ').skip(11);
        let mut ticks = || fields.next().and_then(|it| it.parse::<u64>().ok()).unwrap_or(0);
        Duration::from_millis((ticks() + ticks()) * 1_000 / TICKS_PER_SECOND)
    }

    /// A size in `/proc/*/status`, such as `VmHWM`, the most memory so far; KiB.
    pub(super) fn kibibytes(&self, name: &str) -> Option<u64> {
        let status = fs::read_to_string(self.0.join("status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.trim().trim_end_matches(" kB").parse().ok()
    }

    /// Bytes so far that it had the system write to a disk.
    pub(super) fn written_bytes(&self) -> u64 {
        let io = fs::read_to_string(self.0.join("io")).unwrap_or_default();
        let line = io.lines().find_map(|line| line.strip_prefix("write_bytes: "));
        line.and_then(|it| it.parse().ok()).unwrap_or(0)
    }
}

/// `capture-0` is of the stage `capture`; the main thread is the one that has the calls.
fn stage(name: &str) -> &str {
    match name.trim_end_matches(|it: char| it.is_ascii_digit()).trim_end_matches('-') {
        "spanreel" | "" => "calls",
        stage => stage,
    }
}

/// What was used between two looks.
pub(super) fn between(before: &Stages, after: &Stages) -> Stages {
    let used = |(name, after): (&String, &f64)| {
        (name.clone(), (after - before.get(name).copied().unwrap_or(0.0)).max(0.0))
    };
    after.iter().map(used).filter(|(_, seconds)| *seconds > 0.0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_named_for_their_stage() {
        assert_eq!(stage("capture-0"), "capture");
        assert_eq!(stage("finish-12"), "finish");
        assert_eq!(stage("spanreel"), "calls");
        assert_eq!(stage("store"), "store");
    }

    #[test]
    fn this_process_has_used_something() {
        let this = Process::new(std::process::id());
        assert!(this.kibibytes("VmHWM").unwrap() > 0);
        assert!(!this.stages().is_empty());
        let _ = this.cpu();
    }

    #[test]
    fn only_what_was_used_since_counts() {
        let stages = |of: &[(&str, f64)]| -> Stages {
            of.iter().map(|(name, used)| ((*name).to_owned(), *used)).collect()
        };
        let used = between(&stages(&[("a", 1.0), ("b", 2.0)]), &stages(&[("a", 1.5), ("b", 2.0)]));
        assert_eq!(used, stages(&[("a", 0.5)]));
    }
}
