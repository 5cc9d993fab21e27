//! `spanreel bench search`: the most calls at once of which nothing is lost while finishing keeps up, as RFC 2544 (26.1)
//! finds throughput, and what happens beyond.
//!
//! In a trial, calls begin as long as each of them lasts: when all are up, the first end, and are finished beside the
//! others. A machine that falls behind with that carries the load for a while, but not for hours, so that it counts as
//! failing. The load is doubled until it fails, then halved in between until the two are near enough, all in short trials;
//! the most must pass again in longer ones, with other calls. What fails by a hair must fail twice: one hiccup of the
//! machine ends no search. Then come loads above it. Time is bounded: what is not done in it is left out and said.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Args;
use serde::Serialize;

use super::interrupt::Interrupt;
use super::load::told;
use super::report::Report;
use super::trial::{self, Trial, Workload};
use super::{Output, busy, disk, is_root};
use crate::clock;
use crate::commands::Verdict;
use crate::synth::Codecs;

/// Arguments of `bench search`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  spanreel bench search --report /tmp/search.html\n  \
                  spanreel bench search --data /var/lib/spanreel --minutes 20 --precision 2\n\n\
                  Needs root, and a machine that does nothing else: it is loaded beyond what it carries.")]
pub(crate) struct Search {
    /// Calls at once to begin with.
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    from: u32,
    /// Calls at once that are never exceeded.
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    most: u32,
    /// How long the parties of each call speak, and within how long the calls begin. Each call costs something besides its
    /// seconds: of longer ones, the machine carries more.
    #[arg(long, value_name = "S", default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=3_600))]
    seconds: u32,
    /// How near the load that passes and the one that fails are to be, percent.
    #[arg(long, value_name = "PERCENT", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=50))]
    precision: u32,
    /// How long the search may take.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    minutes: u64,
    /// What they speak in.
    #[arg(long, value_enum, default_value_t = Codecs::Mix)]
    codec: Codecs,
    /// Receive queues of the recorded interface, and so capture threads.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=16))]
    queues: u32,
    #[command(flatten)]
    output: Output,
}

/// Loads beyond the most, percent of it.
const OVERLOADS: [u32; 3] = [110, 130, 150];
/// From a call's end until it can be played, of 99 in 100: where finishing keeps up, it is 1 to 1.5 s.
const PLAYABLE_MS_MAX: f64 = 2_000.0;
/// Longer trials that the most must pass, and by how much they are longer.
const CONFIRMATIONS: u32 = 2;
const LONGER: u32 = 2;
/// How often a load may fail by a hair until it counts as failing.
const FAILURES_MAX: u32 = 2;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Found {
    /// The most calls at once of which nothing was lost, in a short trial and in longer ones; 0 if none passed.
    pub(super) lossless_calls: u32,
    /// The least that failed.
    pub(super) failing_calls: Option<u32>,
    /// What failed there, the last time.
    pub(super) failures: Vec<String>,
    /// Loads beyond the most.
    pub(super) overload: Vec<Beyond>,
    /// What was left out, and why.
    pub(super) left_out: Vec<String>,
    /// How long it took.
    pub(super) seconds: f64,
}

/// What became of the calls of a load beyond the most.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Beyond {
    /// Of the most.
    percent: u32,
    calls: u32,
    exact: u64,
    refused: u64,
    incomplete: u64,
    behaviour: String,
}

/// Searches, prints, reports.
///
/// # Errors
/// No root, or what keeps a load from being measured.
pub(super) fn run(arguments: &Search) -> Result<Verdict> {
    if !is_root() {
        bail!(
            "loads over a wire need root; without, `spanreel bench load --from-memory` measures the CPU"
        );
    }
    let interrupt = Interrupt::new()?;
    let began = clock::instant();
    let deadline = began + Duration::from_secs(60 * arguments.minutes);
    let measure = |workload: &Workload| {
        let folder = trial::work_folder(arguments.output.data.as_deref())?;
        trial::live(workload, arguments.queues, folder.path(), &interrupt)
    };
    let mut steps = Steps::new(arguments, measure, deadline);
    steps.double()?;
    steps.halve()?;
    steps.go_beyond()?;
    let Steps { trials, mut found, .. } = steps;
    found.seconds = began.elapsed().as_secs_f64();
    let verdict = if found.lossless_calls > 0 { Verdict::Done } else { Verdict::Bad };
    let text = in_words(&found, &trials);
    let new = Report::new("search", arguments.output.data.as_deref())?;
    let disk = disk::beside(&arguments.output, &interrupt)?;
    arguments.output.give(&Report { trials, search: Some(found), disk, ..new }, &text)?;
    Ok(verdict)
}

impl Search {
    fn workload(&self, calls: u32, longer: u32, seed: u64) -> Workload {
        let (seconds, codec) = (self.seconds * longer, self.codec);
        let start_spread = f64::from(seconds);
        Workload { calls, seconds, start_spread, codec, srtp: false, loss: 0.0, seed }
    }
}

/// How a load came out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Passed,
    /// By so little that another try may pass.
    FailedByAHair,
    Failed,
}

/// Also fails a trial in which finishing did not keep up.
fn judge(trial: &mut Trial) -> Outcome {
    let playable = trial.used.playable.unwrap_or_default();
    if playable.p99_ms > PLAYABLE_MS_MAX {
        let [p99, most] = [playable.p99_ms, PLAYABLE_MS_MAX].map(|ms| ms / 1e3);
        trial.failures.push(format!(
            "finishing does not keep up: {p99:.1} s from a call's end until it can be played (p99; {most} s at most)"
        ));
    }
    match trial.is_passed() {
        true => Outcome::Passed,
        false if playable.median_ms > PLAYABLE_MS_MAX => Outcome::Failed,
        false => Outcome::FailedByAHair,
    }
}

impl Beyond {
    fn of(percent: u32, trial: &Trial) -> Self {
        Self {
            percent,
            calls: trial.workload.calls,
            exact: trial.checked.exact,
            refused: trial.refused,
            incomplete: trial.checked.incomplete,
            behaviour: trial.failure_behaviour(),
        }
    }
}

/// The trials so far.
struct Steps<'a, M> {
    arguments: &'a Search,
    measure: M,
    deadline: Instant,
    /// The most that passed, and the least that failed.
    passed: u32,
    failed: Option<u32>,
    /// How long the longest trial took; of one that is so many times as long as is usual, that part.
    longest: Duration,
    trials: Vec<Trial>,
    found: Found,
}

impl<'a, M: FnMut(&Workload) -> Result<Trial>> Steps<'a, M> {
    fn new(arguments: &'a Search, measure: M, deadline: Instant) -> Self {
        Self {
            arguments,
            measure,
            deadline,
            passed: 0,
            failed: None,
            longest: Duration::ZERO,
            trials: Vec::new(),
            found: Found::default(),
        }
    }

    /// Whether there is time for so many more trials.
    fn has_time_for(&self, trials: u32) -> bool {
        clock::instant() + self.longest * trials <= self.deadline
    }

    /// Measures one load, so many times as long as is usual.
    fn try_once(&mut self, calls: u32, longer: u32) -> Result<Outcome> {
        let (began, seed) = (clock::instant(), self.trials.len() as u64 + 1);
        let mut trial = (self.measure)(&self.arguments.workload(calls, longer, seed))?;
        self.longest = self.longest.max(began.elapsed() / longer);
        let outcome = judge(&mut trial);
        let told = if trial.is_passed() { "passed".into() } else { trial.failures.join("; ") };
        if std::io::stderr().is_terminal() {
            crate::output::say(format_args!("{calls} calls: {told}"));
        }
        self.trials.push(trial);
        Ok(outcome)
    }

    /// The same, but what fails by a hair is measured again, with other calls. True if it passed.
    fn try_load(&mut self, calls: u32, longer: u32) -> Result<bool> {
        for _ in 0..FAILURES_MAX {
            match self.try_once(calls, longer)? {
                Outcome::Passed => return Ok(true),
                Outcome::Failed => return Ok(false),
                Outcome::FailedByAHair => {}
            }
        }
        Ok(false)
    }

    /// Measures one load between the bounds, or above the lower one, and moves a bound there.
    fn step(&mut self, calls: u32) -> Result<()> {
        if self.try_load(calls, 1)? {
            self.passed = self.passed.max(calls);
        } else {
            self.failed = Some(self.failed.map_or(calls, |failed| failed.min(calls)));
        }
        Ok(())
    }

    fn double(&mut self) -> Result<()> {
        let most = self.arguments.most;
        let mut calls = self.arguments.from.min(most);
        while self.failed.is_none() && self.passed < most {
            if !self.has_time_for(FAILURES_MAX) {
                self.leave_out("larger loads than the largest that passed: no time");
                return Ok(());
            }
            self.step(calls)?;
            calls = calls.saturating_mul(2).min(most);
        }
        Ok(())
    }

    /// The most must pass again, and longer; of one that does not, the bounds begin anew below it.
    fn halve(&mut self) -> Result<()> {
        // Loads beyond are left out before the most is known less well.
        let afterwards = CONFIRMATIONS * LONGER;
        loop {
            while let Some(calls) = self.middle() {
                if !self.has_time_for(afterwards + FAILURES_MAX) {
                    self.leave_out(
                        "loads between the most that passed and the least that failed: no time",
                    );
                    break;
                }
                self.step(calls)?;
            }
            if self.passed == 0 || self.is_confirmed()? {
                break;
            }
            let again = self.passed;
            self.failed = Some(again);
            let lower = self.trials.iter().filter(|it| it.is_passed() && it.workload.calls < again);
            self.passed = lower.map(|it| it.workload.calls).max().unwrap_or(0);
        }
        self.found.lossless_calls = self.passed;
        self.found.failing_calls = self.failed;
        let failing = |it: &&Trial| Some(it.workload.calls) == self.failed && !it.is_passed();
        let failing = self.trials.iter().rev().find(failing);
        self.found.failures = failing.map(|it| it.failures.clone()).unwrap_or_default();
        Ok(())
    }

    /// Whether the most passes longer trials too, as many as there is time for.
    fn is_confirmed(&mut self) -> Result<bool> {
        for _ in 0..CONFIRMATIONS {
            if !self.has_time_for(LONGER) {
                self.leave_out("a longer trial of the most that passed: no time");
            } else if !self.try_load(self.passed, LONGER)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Halfway between the bounds, unless they are near enough.
    fn middle(&self) -> Option<u32> {
        let failed = self.failed?;
        let apart = failed.saturating_sub(self.passed);
        let near = (failed / 100 * self.arguments.precision).max(1);
        (apart > near).then(|| self.passed + apart / 2)
    }

    /// Loads above the most, whether they pass or not.
    fn go_beyond(&mut self) -> Result<()> {
        for percent in OVERLOADS {
            let calls = self.passed.saturating_mul(percent) / 100;
            if calls > self.arguments.most {
                self.leave_out(&format!("the load of {percent} %: it is above --most"));
            } else if calls == 0 || !self.has_time_for(1) {
                self.leave_out(&format!("the load of {percent} %: no time"));
            } else {
                self.try_once(calls, 1)?;
                self.found.overload.extend(self.trials.last().map(|it| Beyond::of(percent, it)));
            }
        }
        Ok(())
    }

    fn leave_out(&mut self, what: &str) {
        self.found.left_out.push(what.to_owned());
    }
}

fn in_words(found: &Found, trials: &[Trial]) -> String {
    let mut text =
        String::from(" calls  exact  refused  incomplete  wrong  dropped  calls/CPU  verdict\n");
    for trial in trials {
        let dropped: u64 = trial.drops.values().sum();
        let verdict =
            if trial.is_passed() { "passed".to_owned() } else { trial.failures.join("; ") };
        text += &format!(
            "{:>6} {:>6} {:>8} {:>11} {:>6} {dropped:>8} {:>10.0}  {verdict}\n",
            trial.workload.calls,
            trial.checked.exact,
            trial.refused,
            trial.checked.incomplete,
            trial.checked.false_recordings,
            trial.calls_per_core,
        );
    }
    let best = trials
        .iter()
        .filter(|it| it.is_passed() && it.workload.calls == found.lossless_calls)
        .max_by(|a, b| a.load_average.total_cmp(&b.load_average));
    best.iter().for_each(|best| text += &format!("\n{}\n", told(best)));
    let seconds = found.seconds;
    text += &match found.lossless_calls {
        0 => "\nNO LOAD PASSED".to_owned(),
        most => format!(
            "\n{most} calls at once without any loss, finished as they end; found in {seconds:.0} s"
        ),
    };
    if let Some(failing) = found.failing_calls {
        text += &format!("; {failing} fail: {}", found.failures.join("; "));
    }
    for left in &found.left_out {
        text += &format!("\nleft out: {left}");
    }
    let load = trials.iter().map(|it| it.load_average).fold(0.0, f64::max);
    text + &format!("\nmachine: {}", busy(load))
}

#[cfg(test)]
mod tests {
    use super::super::onlooker::Playable;
    use super::*;

    #[test]
    fn a_load_that_is_finished_too_late_fails_and_for_good_if_most_of_it_is() {
        let workload = search(1, 1).workload(1, 1, 1);
        let judged = |median_ms, p99_ms, dropped: bool| {
            let failures = dropped.then(|| "it dropped".to_owned()).into_iter().collect();
            let mut trial = Trial::made_up(workload.clone(), failures);
            trial.used.playable = Some(Playable { median_ms, p99_ms, ..Playable::default() });
            let outcome = judge(&mut trial);
            (outcome, trial.failures.len())
        };
        assert!(judged(1_100.0, 1_999.0, false) == (Outcome::Passed, 0));
        assert!(judged(1_100.0, 2_001.0, false) == (Outcome::FailedByAHair, 1));
        assert!(judged(2_001.0, 4_000.0, false) == (Outcome::Failed, 1));
        assert!(judged(1_100.0, 1_300.0, true) == (Outcome::FailedByAHair, 1));
    }

    fn search(from: u32, most: u32) -> Search {
        Search {
            from,
            most,
            seconds: 1,
            precision: 5,
            minutes: 1,
            codec: Codecs::Mix,
            queues: 1,
            output: Output { data: None, report: None, json: false },
        }
    }

    /// A machine that carries so many calls, except in its first trial of exactly that many or more if it `stumbles`.
    fn searched(from: u32, most: u32, carries: u32, stumbles_at: Option<u32>) -> (Found, Vec<u32>) {
        let arguments = search(from, most);
        let mut seen = Vec::new();
        let measure = |workload: &Workload| {
            let calls = workload.calls;
            let again = seen.contains(&calls);
            seen.push(calls);
            let fails = calls > carries || (stumbles_at == Some(calls) && again);
            let failures = if fails { vec!["it dropped".to_owned()] } else { Vec::new() };
            Ok(Trial::made_up(workload.clone(), failures))
        };
        let mut steps =
            Steps::new(&arguments, measure, clock::instant() + Duration::from_secs(3_600));
        steps.double().unwrap();
        steps.halve().unwrap();
        steps.go_beyond().unwrap();
        let found = steps.found;
        (found, seen)
    }

    #[test]
    fn the_most_is_found_to_the_precision_and_the_step_after_it_fails() {
        for carries in [40, 99, 100, 1_234, 7_777] {
            let (found, seen) = searched(100, 100_000, carries, None);
            assert!(found.lossless_calls <= carries, "{found:?}");
            assert!(
                found.lossless_calls as f64 >= carries as f64 * 0.94 - 1.0,
                "{carries}: {found:?}"
            );
            let failing = found.failing_calls.unwrap();
            assert!(
                failing > carries && failing as f64 <= carries as f64 * 1.06 + 2.0,
                "{found:?}"
            );
            assert_eq!(found.failures, ["it dropped"]);
            let times = |calls| seen.iter().filter(|it| **it == calls).count();
            assert_eq!((times(found.lossless_calls), times(failing)), (3, 2), "{seen:?}");
            let beyond: Vec<_> = OVERLOADS.map(|it| found.lossless_calls * it / 100).to_vec();
            assert!(seen.ends_with(&beyond), "{seen:?}");
        }
    }

    #[test]
    fn a_load_that_passes_only_once_is_not_the_most() {
        let (steady, _) = searched(100, 100_000, 1_234, None);
        let (found, _) = searched(100, 100_000, 1_234, Some(steady.lossless_calls));
        assert!(found.lossless_calls < steady.lossless_calls, "{found:?}");
        assert!(found.lossless_calls > 1_000, "{found:?}");
    }

    #[test]
    fn a_machine_that_carries_all_that_may_be_tried_has_no_failing_load() {
        let (found, seen) = searched(100, 1_000, 5_000, None);
        assert_eq!((found.lossless_calls, found.failing_calls), (1_000, None));
        assert_eq!(seen, [100, 200, 400, 800, 1_000, 1_000, 1_000], "never more than may be tried");
        assert_eq!(found.left_out.len(), OVERLOADS.len());
    }
}
