//! Many seeds, each a run of the whole recorder in which something else goes wrong.
//!
//! `SPANREEL_SIM_SEEDS` says how many, `SPANREEL_SIM_SEED` runs one alone.

#![expect(clippy::expect_used, reason = "a test")]

use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use sim::disk::Lie;
use sim::{Plan, Report, Violation, Workshop, run};

/// Seeds in the ordinary tests.
const SEEDS: u64 = 300;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().and_then(|text| text.parse().ok())
}

#[test]
fn nothing_that_always_holds_is_violated() {
    let alone = number("SPANREEL_SIM_SEED");
    let seeds = match alone {
        Some(seed) => seed..seed + 1,
        None => 1..1 + number("SPANREEL_SIM_SEEDS").unwrap_or(SEEDS),
    };
    let (reports, violations) = run_all(seeds);
    let sum = |of: fn(&Report) -> u64| reports.iter().map(of).sum::<u64>();
    tell(&format!(
        "{} seeds: {} steps, {} calls of the disk, {} kills and power cuts, {} recordings, {} packets found; \
         {} violations",
        reports.len() + violations.len(),
        sum(|report| report.steps),
        sum(|report| report.disk_calls),
        sum(|report| report.blows),
        sum(|report| report.recordings as u64),
        sum(|report| report.packets as u64),
        violations.len()
    ));
    let first: Vec<String> = violations.iter().take(20).map(ToString::to_string).collect();
    assert!(violations.is_empty(), "{}", first.join("\n"));
}

fn run_all(seeds: std::ops::Range<u64>) -> (Vec<Report>, Vec<Violation>) {
    let workshop = Workshop::new().expect("keys are made");
    let next = AtomicU64::new(seeds.start);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let work = || {
        let (mut reports, mut violations) = (Vec::new(), Vec::new());
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return (reports, violations);
            }
            match run(&Plan::new(seed), &workshop) {
                Ok(report) => reports.push(report),
                Err(violation) => violations.push(violation),
            }
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let (mut reports, mut violations) = (Vec::new(), Vec::new());
        for thread in threads {
            let (more, bad) = thread.join().expect("no panic");
            reports.extend(more);
            violations.extend(bad);
        }
        violations.sort_by_key(|violation| violation.seed);
        (reports, violations)
    })
}

/// That the simulator would notice: a disk that says that it flushed, and did not.
#[test]
fn a_disk_that_lies_is_noticed() {
    let workshop = Workshop::new().expect("keys are made");
    for lie in [Lie::FileSync, Lie::FolderSync] {
        let noticed = (1..=20).any(|seed| run(&Plan::lying(seed, lie), &workshop).is_err());
        assert!(noticed, "{lie:?}");
    }
}

/// A seed is a run: again, it is the same.
#[test]
fn a_seed_replays() {
    let workshop = Workshop::new().expect("keys are made");
    for seed in 1..=10 {
        let once = run(&Plan::new(seed), &workshop);
        assert_eq!(run(&Plan::new(seed), &workshop), once);
    }
}

fn tell(text: &str) {
    writeln!(std::io::stderr(), "{text}").expect("standard error can be written");
}
