//! `spanreel bench plan`: from what calls cost to the machine that is needed for them.

use std::path::PathBuf;

use anyhow::Result;
use base::limits::{CHUNK_BYTES, CHUNKS_PER_WRITE_MAX, COMMIT_AGE_MILLISECONDS_MAX};
use clap::Args;
use serde::Serialize;

use super::coefficients::Coefficients;
use crate::commands::Verdict;
use crate::output;

/// Arguments of `bench plan`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  spanreel bench plan --calls 5000 --hours 10 --retention 90\n  \
                  spanreel bench plan --calls 5000 --hours 10 --retention 90 --from load.json\n\n\
                  Calls are G.711 both ways in packets of 20 ms. Every result is shown with its formula."
)]
pub(crate) struct Plan {
    /// Calls at once in the busy hour.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub(super) calls: u32,
    /// Hours a day with that many calls, or as many hours as the day's traffic would fill with them.
    #[arg(long, value_name = "H", value_parser = hours)]
    pub(super) hours: f64,
    /// Days that recordings are kept.
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub(super) retention: u32,
    /// How long a call lasts, on average.
    #[arg(long, value_name = "SECONDS", default_value_t = 180, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub(super) call_seconds: u32,
    /// Part of each CPU that is to stay free, percent.
    #[arg(long, value_name = "PERCENT", default_value_t = 40, value_parser = clap::value_parser!(u32).range(0..=90))]
    pub(super) headroom: u32,
    /// What calls cost: the JSON report of a `bench load` or `bench search` on the machine in question
    /// [default: what docs/PERFORMANCE.md states].
    #[arg(long, value_name = "FILE.json")]
    from: Option<PathBuf>,
    /// Print the result as one JSON object.
    #[arg(long)]
    json: bool,
}

/// Packets a second of a call: both sides, 20 ms each.
const PACKETS_PER_SECOND: f64 = 100.0;
/// Ethernet, IPv4, UDP, RTP, 160 samples; check sum, preamble and gap, which take the wire's time too.
const WIRE_BYTES: f64 = 214.0 + 24.0;
/// recording.json, audio.flac, manifest.json, manifest.p7s, each made and written; the folder's name; the catalog.
const DISK_OPERATIONS_PER_RECORDING: f64 = 10.0;

/// One thing that is needed.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Need {
    /// Of what.
    pub(super) what: &'static str,
    /// How much.
    pub(super) amount: f64,
    /// Its unit.
    pub(super) unit: &'static str,
    /// How that was computed.
    pub(super) formula: String,
}

/// All that is needed.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Planned<'a> {
    calls: u32,
    hours: f64,
    retention_days: u32,
    call_seconds: u32,
    coefficients: &'a Coefficients,
    needs: Vec<Need>,
}

/// Computes and prints.
///
/// # Errors
/// The report cannot be used.
pub(super) fn run(arguments: &Plan) -> Result<Verdict> {
    let coefficients = match &arguments.from {
        Some(path) => Coefficients::from_report(path)?,
        None => Coefficients::stated(),
    };
    let needs = needs(arguments, &coefficients);
    let Plan { calls, hours, retention, call_seconds, .. } = *arguments;
    if arguments.json {
        let coefficients = &coefficients;
        let planned =
            Planned { calls, hours, retention_days: retention, call_seconds, coefficients, needs };
        output::line(serde_json::to_string(&planned)?)?;
        return Ok(Verdict::Done);
    }
    output::line(format_args!(
        "{calls} calls at once, {hours} h a day, kept {retention} days, {call_seconds} s a call\n"
    ))?;
    for Need { what, amount, unit, formula } in &needs {
        output::line(format_args!("{what:<10}{:>10} {unit:<11}= {formula}", short(*amount)))?;
    }
    output::line(format_args!("\nWhat a call costs is from {}.", coefficients.source))?;
    Ok(Verdict::Done)
}

/// What so many calls need.
pub(super) fn needs(plan: &Plan, costs: &Coefficients) -> Vec<Need> {
    let all = [machine(plan, costs), mirror(plan), disk(plan, costs), storage(plan, costs)];
    all.into_iter().flatten().collect()
}

const fn need(what: &'static str, amount: f64, unit: &'static str, formula: String) -> Need {
    Need { what, amount, unit, formula }
}

fn machine(plan: &Plan, costs: &Coefficients) -> Vec<Need> {
    let calls = f64::from(plan.calls);
    let busy = 1.0 - f64::from(plan.headroom) / 100.0;
    let cores = (calls * costs.cpu_seconds / busy).ceil();
    let micros = costs.cpu_seconds * 1e6;
    let free = plan.headroom;
    let of_cores = format!(
        "{calls} calls x {micros:.0} us of CPU a second / {busy:.2} ({free} % stay free), rounded up"
    );
    let memory = (costs.memory_start_kib + calls * costs.memory_kib) / 1_048_576.0;
    let (start, each) = (costs.memory_start_kib / 1_024.0, costs.memory_kib);
    let of_memory = format!(
        "{start:.0} MiB + {calls} calls x {each:.1} KiB; as much again for the page cache is well spent"
    );
    vec![need("cores", cores, "CPUs", of_cores), need("memory", memory, "GiB", of_memory)]
}

fn mirror(plan: &Plan) -> Vec<Need> {
    let calls = f64::from(plan.calls);
    let packets = calls * PACKETS_PER_SECOND;
    let of_bits =
        format!("{calls} calls x {PACKETS_PER_SECOND} packets/s x {WIRE_BYTES} bytes x 8");
    let of_packets = format!("{calls} calls x 2 sides x 50 packets/s");
    vec![
        need("mirror", packets * WIRE_BYTES * 8.0 / 1e6, "Mbit/s", of_bits),
        need("packets", packets, "packets/s", of_packets),
    ]
}

fn disk(plan: &Plan, costs: &Coefficients) -> Vec<Need> {
    let calls = f64::from(plan.calls);
    let each = costs.written_bytes / 1e3;
    let of_bytes = format!("{calls} calls x {each:.1} kB/s written, journal and recordings");
    vec![need("disk", calls * each / 1e3, "MB/s", of_bytes), operations(plan, costs)]
}

fn storage(plan: &Plan, costs: &Coefficients) -> Vec<Need> {
    let calls = f64::from(plan.calls);
    let (each, Plan { hours, retention, .. }) = (costs.stored_bytes / 1e3, plan);
    let bits = calls * costs.stored_bytes * 8.0 / 1e6;
    let bytes = calls * costs.stored_bytes * hours * 3_600.0 * f64::from(*retention);
    let of_bits = format!("{calls} calls x {each:.1} kB/s stored x 8, if that is elsewhere");
    let of_bytes =
        format!("{calls} calls x {each:.1} kB/s x {hours} h x 3600 s x {retention} days");
    vec![need("location", bits, "Mbit/s", of_bits), need("storage", bytes / 1e12, "TB", of_bytes)]
}

/// Operations of the disk: the journal writes pieces and flushes now and then, recordings are many small files.
fn operations(plan: &Plan, costs: &Coefficients) -> Need {
    let calls = f64::from(plan.calls);
    let piece = (CHUNK_BYTES * CHUNKS_PER_WRITE_MAX) as f64;
    let pieces = calls * costs.written_bytes / piece;
    let flushes = 1_000.0 / COMMIT_AGE_MILLISECONDS_MAX as f64;
    let ends = calls / f64::from(plan.call_seconds);
    Need {
        what: "disk",
        amount: pieces + flushes + ends * DISK_OPERATIONS_PER_RECORDING,
        unit: "IOPS",
        formula: format!(
            "{pieces:.0} pieces of {:.0} KiB + {flushes:.0} flushes for each capture thread + {ends:.1} calls ending a \
             second x {DISK_OPERATIONS_PER_RECORDING}",
            piece / 1_024.0
        ),
    }
}

/// Three digits that count.
fn short(amount: f64) -> String {
    let digits = if amount >= 100.0 || amount.fract() == 0.0 { 0 } else { 2 };
    format!("{amount:.digits$}")
}

fn hours(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(hours) if hours > 0.0 && hours <= 24.0 => Ok(hours),
        _ => Err("hours of a day are a number up to 24, such as 8 or 0.5".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_formulas_give_what_they_say() {
        let plan = Plan {
            calls: 1_000,
            hours: 10.0,
            retention: 100,
            call_seconds: 200,
            headroom: 50,
            from: None,
            json: false,
        };
        let costs = Coefficients {
            source: "a test".into(),
            cpu_seconds: 0.001,
            memory_start_kib: 48_576.0,
            memory_kib: 1_000.0,
            written_bytes: 26_214.4,
            stored_bytes: 10_000.0,
        };
        let needs = needs(&plan, &costs);
        let amount = |what: &str, unit: &str| {
            needs.iter().find(|it| (it.what, it.unit) == (what, unit)).unwrap().amount
        };
        assert_eq!(amount("cores", "CPUs"), 2.0);
        assert_eq!(amount("memory", "GiB"), 1.0);
        assert_eq!(amount("mirror", "Mbit/s"), 190.4);
        assert_eq!(amount("packets", "packets/s"), 100_000.0);
        assert_eq!(amount("disk", "MB/s"), 26.2144);
        assert_eq!(amount("disk", "IOPS"), 100.0 + 4.0 + 50.0);
        assert_eq!(amount("location", "Mbit/s"), 80.0);
        assert_eq!(amount("storage", "TB"), 36.0);
    }

    #[test]
    fn a_day_has_at_most_24_hours() {
        assert_eq!(hours("8.5"), Ok(8.5));
        assert!(["0", "25", "NaN", "all"].iter().all(|text| hours(text).is_err()));
    }
}
