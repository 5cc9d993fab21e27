//! Power cuts below the file system, under live calls: at most a second of media is lost, and nothing else.
//!
//! The recorder writes on an ext4 (default mount options) on a loop device on a disk of ours (`disk`), in a
//! network namespace with calls coming in (`wire`). At a random moment the power is cut: memory is gone, of what
//! the disk was not told to flush, any part. The file system is mounted again, which replays its journal, the
//! recorder is started again while the calls go on, and `check` looks at what is there in the end.
//!
//! `SPANREEL_POWER_CUTS` says how many cuts, `SPANREEL_POWER_SEED` with which number the first one begins: the
//! number decides on calls, moment, and what survives. (What the kernel writes when, it does not.)

mod check;
mod disk;
mod rig;
mod wire;

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use wiring::synth::{self, Codecs, Options, Truth};

use self::check::{Story, Verdict};
use self::disk::Image;
use self::rig::{Machine, Recorder, now};
use self::wire::Traffic;
use crate::harness::{self, tell};
use crate::rtp;

/// Room for what a recorder puts on its disk in a minute, journals included.
const DISK_BYTES: u64 = 1 << 30;
/// Cuts in the ordinary tests.
const CUTS: u64 = 5;
/// Machines at a time: they mostly wait.
const MACHINES: usize = 4;
const CALLS: u32 = 10;
const SECONDS: u32 = 4;
const START_SPREAD: f64 = 4.0;
/// The cut comes within this, before or after the calls begin.
const CUT_BEFORE: Duration = Duration::from_millis(1_500);
const CUT_WITHIN: Duration = Duration::from_millis(10_500);
/// Most flushes have fewer writes behind the one before.
const WRITES_MAX: u32 = 12;
/// How long after the last packet the calls' ends are waited for.
const SETTLE: Duration = Duration::from_millis(2_500);
/// Said by the recorder when it records.
const RECORDING: &str = "recording span0";

/// What came of one cut.
struct Outcome {
    number: u64,
    moment: Duration,
    in_flight_bytes: usize,
    flushes: u64,
    verdict: Verdict,
}

#[test]
fn a_power_cut_costs_at_most_a_second_of_media() {
    if !can_run() {
        return;
    }
    let (cuts, first) = (number("SPANREEL_POWER_CUTS", CUTS), number("SPANREEL_POWER_SEED", 1));
    let (image, next) = (rig::format(DISK_BYTES), AtomicU64::new(first));
    let outcomes = Mutex::new(Vec::new());
    // The program is built before the machines wait for each other.
    harness::spanreel();
    std::thread::scope(|scope| {
        for _ in 0..MACHINES.min(cuts as usize) {
            scope.spawn(|| {
                wire::enter_namespaces();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= first + cuts {
                        return;
                    }
                    let outcome = Cutting::new(number).run(image.clone(), false);
                    tell(&outcome.line());
                    outcomes.lock().expect("no panic").push(outcome);
                }
            });
        }
    });
    judge(&outcomes.into_inner().expect("no panic"), cuts);
}

fn judge(outcomes: &[Outcome], cuts: u64) {
    let violations: usize = outcomes.iter().map(|outcome| outcome.verdict.violations.len()).sum();
    let worst = outcomes.iter().map(|outcome| outcome.verdict.worst_loss).max();
    let calls: usize = outcomes.iter().map(|outcome| outcome.verdict.calls_checked).sum();
    tell(&format!(
        "{cuts} power cuts, {calls} calls: worst loss {:?}, {violations} violations",
        worst.unwrap_or_default()
    ));
    assert_eq!(outcomes.len() as u64, cuts, "a cut has no outcome");
    assert_eq!(violations, 0);
}

fn can_run() -> bool {
    let why = if !harness::is_root() {
        "needs root"
    } else if !Path::new("/dev/fuse").exists() || !Path::new("/dev/loop-control").exists() {
        "needs FUSE and loop devices"
    } else {
        return true;
    };
    tell(&format!("skipped: power cuts: {why}"));
    false
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// One power cut, as its number decides it.
struct Cutting {
    number: u64,
    mode: &'static str,
    moment: Duration,
    /// 0: in between flushes; else in the midst of one, after so many writes.
    writes: u32,
    survivors: u64,
}

impl Cutting {
    fn new(number: u64) -> Self {
        let mut chance = ChaCha8Rng::seed_from_u64(number);
        let mode = if number.is_multiple_of(2) { "auto" } else { "packet" };
        let moment = chance.random_range(Duration::ZERO..CUT_BEFORE + CUT_WITHIN);
        let writes = if chance.random_bool(0.25) { 0 } else { chance.random_range(1..=WRITES_MAX) };
        Self { number, mode, moment, writes, survivors: chance.random() }
    }

    /// Cuts, and looks what is left.
    fn run(&self, image: Image, disk_lies: bool) -> Outcome {
        let mut machine = Machine::start(image, disk_lies);
        let capture = machine.path("calls.pcap");
        calls(self.number, &capture);
        let mut recorder = machine.record(self.mode);
        let mut recorded_from = None;
        if self.moment >= CUT_BEFORE {
            machine.wait_for(RECORDING, 1, &mut recorder);
            recorded_from = Some(now());
        }
        let traffic = Traffic::start(&capture);
        std::thread::sleep(self.moment.checked_sub(CUT_BEFORE).unwrap_or(self.moment));
        let mut verdict = Verdict::default();
        let (cut, in_flight_bytes, flushes) = self.cut(&mut machine, recorder, &mut verdict);
        let times = machine.log().matches(RECORDING).count();
        let mut recorder = machine.record(self.mode);
        machine.wait_for(RECORDING, times + 1, &mut recorder);
        let recorded_again = now();
        let sent = traffic.join();
        std::thread::sleep(SETTLE);
        recorder.stop(|| machine.log());
        let (truths, packets) = (Truth::read(&capture).expect("the truth"), rtp::streams(&capture));
        let story = Story { truths, packets, sent, cut, recorded_from, recorded_again };
        check::check(&story, &machine.data(), &machine.path("export"), &mut verdict);
        if !verdict.violations.is_empty() && !disk_lies {
            tell(&format!("cut {}, what the recorder said:\n{}", self.number, machine.log()));
        }
        let Self { number, moment, .. } = *self;
        Outcome { number, moment, in_flight_bytes, flushes, verdict }
    }

    /// What was in the catalog before is in it afterwards.
    fn cut(
        &self,
        machine: &mut Machine,
        recorder: Recorder,
        verdict: &mut Verdict,
    ) -> (Instant, usize, u64) {
        let before = check::listed(&machine.data(), verdict, false);
        let flushes = machine.flushes();
        let (at, in_flight_bytes) = machine.cut(recorder, self.writes, self.survivors);
        let after = check::listed(&machine.data(), verdict, false);
        for lost in before.keys().filter(|id| !after.contains_key(*id)) {
            let what = format!("{lost} was listed before the cut, and is not after it");
            verdict.violations.push(what);
        }
        (at, in_flight_bytes, flushes)
    }
}

/// That the checks would notice: a disk that does not flush, although it says so.
#[test]
fn a_disk_that_lies_about_flushes_is_noticed() {
    if !can_run() {
        return;
    }
    let image = rig::format(DISK_BYTES);
    let late = Cutting { moment: CUT_BEFORE + CUT_WITHIN, writes: 0, ..Cutting::new(1) };
    let run = || {
        wire::enter_namespaces();
        late.run(image, true)
    };
    let outcome = std::thread::scope(|scope| scope.spawn(run).join()).expect("no panic");
    let says = |what| outcome.verdict.violations.iter().any(|violation| violation.contains(what));
    assert!(says("was listed before the cut, and is not after it"), "{}", outcome.line());
    assert!(says("before the cut"), "{}", outcome.line());
}

fn calls(seed: u64, to: &Path) {
    let options = Options {
        calls: CALLS,
        seconds: SECONDS,
        codec: Codecs::Mix,
        srtp: false,
        seed,
        loss: 0.0,
        reorder: 0.0,
        duplicate: 0.0,
        jitter: 0.0,
        start_spread: START_SPREAD,
        to: to.to_owned(),
        json: false,
    };
    synth::write(&options, to).expect("a capture");
}

impl Outcome {
    fn line(&self) -> String {
        let Self { number, moment, in_flight_bytes, flushes, verdict } = self;
        let mut line = format!(
            "cut {number:>3}: at {:>5} ms, {flushes:>3} flushes before, {:>5} KiB in flight, loss {:>4} ms",
            moment.as_millis(),
            in_flight_bytes / 1024,
            verdict.worst_loss.as_millis()
        );
        for violation in &verdict.violations {
            line += &format!("\n    VIOLATION: {violation}");
        }
        line
    }
}
