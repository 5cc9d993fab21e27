//! `spanreel bench load`: so many synthetic calls at once, recorded and checked.

use std::fmt::Write as _;

use anyhow::Result;
use clap::Args;

use super::interrupt::Interrupt;
use super::onlooker::Playable;
use super::report::Report;
use super::sender::Sent;
use super::trial::{self, Trial, Workload};
use super::{Output, disk};
use crate::commands::Verdict;
use crate::synth::Codecs;

/// Arguments of `bench load`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  spanreel bench load --calls 500 --seconds 30\n  \
                  spanreel bench load --calls 1000 --from-memory --report /tmp/load.html\n\n\
                  As root, the calls go over two virtual interfaces in a network namespace of the bench's own, one CPU \
                  sends\nand the others record; else they are read from a file. Every call is then checked, sample for \
                  sample.\nEnds 1 if a packet was dropped or a call is not exactly as it was sent.")]
pub(crate) struct Load {
    /// Calls, all at once if they last longer than it takes them to begin.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    calls: u32,
    /// How long the parties of each call speak.
    #[arg(long, value_name = "S", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=7_200))]
    seconds: u32,
    /// What they speak in.
    #[arg(long, value_enum, default_value_t = Codecs::Mix)]
    codec: Codecs,
    /// What they say is encrypted: SRTP (AES_CM_128_HMAC_SHA1_80), with the keys in the SDP. It is recorded as it is, and
    /// checked packet for packet.
    #[arg(long)]
    srtp: bool,
    /// RTP packets that are lost before they reach the recorder, percent.
    #[arg(long, value_name = "PERCENT", default_value_t = 0.0, value_parser = crate::synth::percent)]
    loss: f64,
    /// Seconds within which the calls begin [default: 3, or more for more than 1,200 calls].
    #[arg(long, value_name = "SECONDS")]
    start_spread: Option<u16>,
    /// Another number, other calls.
    #[arg(long, value_name = "K", default_value_t = 1)]
    seed: u64,
    /// Receive queues of the recorded interface, and so capture threads.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=16))]
    queues: u32,
    /// No wire: the same calls from a capture file in memory, as fast as it goes. Needs no root.
    #[arg(long)]
    from_memory: bool,
    #[command(flatten)]
    output: Output,
}

/// New calls a second, if nothing else is said: 10,000 calls begin within 25 s.
const BEGINS_PER_SECOND: f64 = 400.0;
const START_SPREAD_MIN: f64 = 3.0;

/// The time within which so many calls begin.
fn start_spread(calls: u32) -> f64 {
    (f64::from(calls) / BEGINS_PER_SECOND).max(START_SPREAD_MIN)
}

/// Measures, prints, reports.
///
/// # Errors
/// What keeps it from being measured.
pub(super) fn run(arguments: &Load) -> Result<Verdict> {
    let interrupt = Interrupt::new()?;
    let workload = Workload {
        calls: arguments.calls,
        seconds: arguments.seconds,
        start_spread: arguments.start_spread.map_or(start_spread(arguments.calls), f64::from),
        codec: arguments.codec,
        srtp: arguments.srtp,
        loss: arguments.loss,
        seed: arguments.seed,
    };
    let folder = trial::work_folder(arguments.output.data.as_deref())?;
    let trial = if arguments.from_memory || !super::is_root() {
        if !arguments.from_memory {
            crate::output::say("spanreel: not over a wire, which needs root; from memory instead");
        }
        trial::from_file(&workload, folder.path(), &interrupt)?
    } else {
        trial::live(&workload, arguments.queues, folder.path(), &interrupt)?
    };
    let verdict = if trial.is_passed() { Verdict::Done } else { Verdict::Bad };
    let text = told(&trial);
    let new = Report::new("load", arguments.output.data.as_deref())?;
    let disk = disk::beside(&arguments.output, &interrupt)?;
    arguments.output.give(&Report { trials: vec![trial], disk, ..new }, &text)?;
    Ok(verdict)
}

/// A trial in words.
pub(super) fn told(trial: &Trial) -> String {
    let mut text = String::new();
    let Trial { workload, checked, sent, .. } = trial;
    let mut line = |name: &str, told: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name:<11}{told}");
    };
    line(
        "calls",
        format!(
            "{} of {} s each, {:.0} at once{}",
            workload.calls,
            workload.seconds,
            workload.at_once(),
            if workload.srtp { ", SRTP" } else { "" }
        ),
    );
    line("capture", trial.capture.clone());
    if let Some(sent) = sent {
        let Sent { way, frames, late_max_ms, cpu_seconds, .. } = sent;
        let each = cpu_seconds * 1e9 / (*frames).max(1) as f64;
        line(
            "sent",
            format!(
                "{frames} packets, at most {late_max_ms:.1} ms late, {cpu_seconds:.2} CPU s ({each:.0} ns each); {way}"
            ),
        );
    }
    let what = if workload.srtp { "packet" } else { "sample" };
    line(
        "recorded",
        format!(
            "{} of {} calls exact, {what} for {what}; {} incomplete, {} missing, {} refused, {} NOT RIGHT",
            checked.exact,
            workload.calls,
            checked.incomplete,
            checked.missing.saturating_sub(trial.refused),
            trial.refused,
            checked.false_recordings
        )
        .replace(", 0 NOT RIGHT", ""),
    );
    let dropped: u64 = trial.drops.values().sum();
    let balance =
        if trial.ledger.balances() { "the ledger balances" } else { "THE LEDGER DOES NOT BALANCE" };
    line("packets", format!("{dropped} dropped; {balance}"));
    for (name, told) in resources(trial) {
        line(name, told);
    }
    line("machine", super::busy(trial.load_average));
    for finding in &checked.findings {
        line("", finding.clone());
    }
    match trial.failures.as_slice() {
        [] => line("PASSED", "nothing was lost, every call is as it was sent".into()),
        failures => failures.iter().for_each(|why| line("FAILED", why.clone())),
    }
    text.trim_end().to_owned()
}

/// What the recorder used, and how soon it was done.
pub(super) fn resources(trial: &Trial) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    let used = &trial.used;
    let mut line = |name, told| lines.push((name, told));
    let stages = used.stages.iter().filter(|(_, seconds)| **seconds > 0.01 * used.cpu_seconds);
    let stages: Vec<_> = stages.map(|(stage, seconds)| format!("{stage} {seconds:.2}")).collect();
    line(
        "CPU",
        format!(
            "{:.2} s ({}); one CPU carries {:.0} calls",
            used.cpu_seconds,
            stages.join(", "),
            trial.calls_per_core
        ),
    );
    let each = trial.memory_per_call_kib.map(|it| format!(", {it:.1} KiB a call"));
    let peak = used.memory_peak_kib / 1_024;
    let in_time = used.memory_in_time().map(|(middle, last)| {
        format!("; {} MiB in the middle third, {} in the last", middle / 1_024, last / 1_024)
    });
    line(
        "memory",
        format!("{peak} MiB at most{}{}", each.unwrap_or_default(), in_time.unwrap_or_default()),
    );
    if let Some(Playable { recordings, median_ms, p99_ms, worst_ms }) = used.playable {
        line(
            "playable",
            format!(
                "{:.1} s after a call's end in the median, p99 {:.1}, at worst {:.1} ({recordings} recordings)",
                median_ms / 1e3,
                p99_ms / 1e3,
                worst_ms / 1e3
            ),
        );
    }
    if trial.sent.is_some() {
        line("finishing", format!("{:.1} s after the last packet", used.finishing_seconds));
    }
    lines
}
