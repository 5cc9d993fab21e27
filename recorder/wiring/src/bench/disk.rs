//! `spanreel bench disk`: what a disk sustains in the journal's pattern.
//!
//! Each writer appends pieces of the journal's size to a file of its own, as fast as it goes, flushes it (`fdatasync`)
//! as often as the journal does, and begins a new file when a segment is full. No file is older than two segments.

use std::fs::{File, remove_file};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use base::limits::{
    CHUNK_BYTES, CHUNKS_MAX, CHUNKS_PER_WRITE_MAX, COMMIT_AGE_MILLISECONDS_MAX, SEGMENT_BYTES_MAX,
};
use clap::Args;
use rustix::fs::statvfs;
use serde::Serialize;

use super::coefficients::Coefficients;
use super::interrupt::Interrupt;
use super::report::Report;
use super::{Output, trial};
use crate::clock;
use crate::commands::Verdict;
use crate::doctor::disk::noise;

/// Arguments of `bench disk`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  spanreel bench disk --data /var/lib/spanreel --writers 2 --seconds 30\n\n\
                  Writes as much as the disk takes for that time, to files that are gone afterwards: not while it \
                  records."
)]
pub(crate) struct Disk {
    /// Writers at once: as many as there are capture threads.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    writers: u32,
    /// How long to write.
    #[arg(long, value_name = "S", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
    #[command(flatten)]
    output: Output,
}

/// A piece, as the journal writes it.
const PIECE_BYTES: usize = CHUNK_BYTES * CHUNKS_PER_WRITE_MAX;
const FLUSH_EVERY: Duration = Duration::from_millis(COMMIT_AGE_MILLISECONDS_MAX);
/// The journal's memory, above which new calls are refused (`live/pressure.rs`).
const MEMORY_BYTES: f64 = (CHUNKS_MAX * CHUNK_BYTES) as f64 * 0.85;
/// For a report of something else, the disk is measured for so long.
const BESIDE_SECONDS: u32 = 3;
/// What must be free for each writer.
const FREE_BYTES_MIN: u64 = 4 * SEGMENT_BYTES_MAX;

/// How long something took, milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Latency {
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) max_ms: f64,
}

impl Latency {
    fn of(mut all: Vec<Duration>) -> Self {
        all.sort_unstable();
        let at = |share: f64| {
            let place = ((all.len() as f64 * share).ceil() as usize).saturating_sub(1);
            all.get(place).map_or(0.0, |it| it.as_secs_f64() * 1e3)
        };
        Self { p50_ms: at(0.5), p99_ms: at(0.99), max_ms: at(1.0) }
    }
}

/// What was measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Sustained {
    /// Where.
    pub(super) folder: PathBuf,
    pub(super) writers: u32,
    pub(super) seconds: f64,
    /// Durable at the end.
    pub(super) megabytes_per_second: f64,
    /// Of a piece.
    pub(super) write: Latency,
    /// Of a flush.
    pub(super) flush: Latency,
    /// Calls at once that this carries: what they write is no more, and the journal's memory holds what comes during
    /// the longest flush.
    pub(super) calls: u64,
    /// What else wanted the machine.
    pub(super) load_average: f64,
}

/// Measures, prints, reports.
///
/// # Errors
/// The disk cannot be written, or is nearly full.
pub(super) fn run(arguments: &Disk) -> Result<Verdict> {
    let interrupt = Interrupt::new()?;
    let folder = trial::work_folder(arguments.output.data.as_deref())?;
    let sustained = measure(folder.path(), arguments, &interrupt)?;
    let text = told(&sustained);
    let new = Report::new("disk", arguments.output.data.as_deref())?;
    arguments.output.give(&Report { disk: Some(sustained), ..new }, &text)?;
    Ok(Verdict::Done)
}

fn told(of: &Sustained) -> String {
    let latency = |it: Latency| {
        format!("p50 {:.2} ms, p99 {:.2} ms, max {:.2} ms", it.p50_ms, it.p99_ms, it.max_ms)
    };
    let cost = Coefficients::stated().written_bytes / 1e3;
    format!(
        "{:.0} MB/s durable, {} writers, {:.0} s\nwrite      {} (pieces of {} KiB)\nflush      {} (every {} ms)\n\
         carries    {} calls, at {cost:.0} kB/s written for each\nmachine    {}",
        of.megabytes_per_second,
        of.writers,
        of.seconds,
        latency(of.write),
        PIECE_BYTES / 1_024,
        latency(of.flush),
        FLUSH_EVERY.as_millis(),
        of.calls,
        super::busy(of.load_average),
    )
}

/// How long writing takes where a load was recorded: for its report.
///
/// # Errors
/// As [`run`].
pub(super) fn beside(output: &Output, interrupt: &Interrupt) -> Result<Option<Sustained>> {
    if output.report.is_none() {
        return Ok(None);
    }
    let folder = trial::work_folder(output.data.as_deref())?;
    let output = Output { data: None, report: None, json: false };
    measure(folder.path(), &Disk { writers: 1, seconds: BESIDE_SECONDS, output }, interrupt)
        .map(Some)
}

fn measure(folder: &Path, arguments: &Disk, interrupt: &Interrupt) -> Result<Sustained> {
    let stat = statvfs(folder)?;
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    if free < u64::from(arguments.writers) * FREE_BYTES_MIN {
        bail!("{} has only {} MB free; that is too little", folder.display(), free / 1_000_000);
    }
    let (load_average, begun) = (trial::load_average(), clock::instant());
    let lasting = Duration::from_secs(arguments.seconds.into());
    let written: Vec<Written> = std::thread::scope(|scope| {
        let start = |number| {
            let prefix = folder.join(format!("writer-{number}"));
            std::thread::Builder::new()
                .name(format!("writer-{number}"))
                .spawn_scoped(scope, move || write(&prefix, lasting, interrupt))
        };
        let threads = (0..arguments.writers).map(start).collect::<std::io::Result<Vec<_>>>()?;
        let ended =
            threads.into_iter().map(|it| it.join().map_err(|_| anyhow!("a writer panicked"))?);
        ended.collect::<Result<_>>()
    })?;
    let seconds = begun.elapsed().as_secs_f64();
    let bytes: u64 = written.iter().map(|it| it.bytes).sum();
    let all = |of: fn(&Written) -> &Vec<Duration>| {
        Latency::of(written.iter().flat_map(|it| of(it).iter().copied()).collect())
    };
    let (write, flush) = (all(|it| &it.writes), all(|it| &it.flushes));
    let calls = carried(bytes as f64 / seconds, flush, arguments.writers);
    let folder = arguments.output.data.clone().unwrap_or_else(std::env::temp_dir);
    Ok(Sustained {
        folder,
        writers: arguments.writers,
        seconds,
        megabytes_per_second: bytes as f64 / 1e6 / seconds,
        write,
        flush,
        calls,
        load_average,
    })
}

/// Calls at once of which everything is written, also when a flush takes as long as the longest did.
fn carried(bytes_per_second: f64, flush: Latency, writers: u32) -> u64 {
    let each = Coefficients::stated().written_bytes;
    let waiting = MEMORY_BYTES * f64::from(writers) / (flush.max_ms / 1e3).max(1e-3);
    (bytes_per_second.min(waiting) / each) as u64
}

/// What a writer wrote.
#[derive(Default)]
struct Written {
    bytes: u64,
    writes: Vec<Duration>,
    flushes: Vec<Duration>,
}

fn write(prefix: &Path, lasting: Duration, interrupt: &Interrupt) -> Result<Written> {
    let piece = noise(PIECE_BYTES);
    let (begun, mut written) = (clock::instant(), Written::default());
    for number in 0.. {
        let path = prefix.with_extension(number.to_string());
        let context = || format!("cannot write {}", path.display());
        let mut file = File::create(&path).with_context(context)?;
        let (mut bytes, mut flushed) = (0, clock::instant());
        while bytes < SEGMENT_BYTES_MAX && begun.elapsed() < lasting {
            interrupt.check()?;
            let before = clock::instant();
            file.write_all(&piece).with_context(context)?;
            written.writes.push(before.elapsed());
            bytes += piece.len() as u64;
            if flushed.elapsed() >= FLUSH_EVERY {
                written.flush(&file).with_context(context)?;
                flushed = clock::instant();
            }
        }
        written.flush(&file).with_context(context)?;
        written.bytes += bytes;
        if let Some(before) = u64::checked_sub(number, 1) {
            remove_file(prefix.with_extension(before.to_string()))?;
        }
        if begun.elapsed() >= lasting {
            break;
        }
    }
    Ok(written)
}

impl Written {
    fn flush(&mut self, file: &File) -> std::io::Result<()> {
        let before = clock::instant();
        file.sync_data()?;
        self.flushes.push(before.elapsed());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_what_was_measured() {
        let latency = Latency::of((1..=200).map(Duration::from_millis).collect());
        assert_eq!(latency, Latency { p50_ms: 100.0, p99_ms: 198.0, max_ms: 200.0 });
        assert_eq!(Latency::of(Vec::new()), Latency::default());
    }

    #[test]
    fn a_long_flush_costs_calls() {
        let flush = |max_ms| Latency { max_ms, ..Latency::default() };
        let fast = carried(3.9e9, flush(10.0), 1);
        assert_eq!(fast, 100_000);
        let slow = carried(3.9e9, flush(2_000.0), 1);
        assert!(slow < fast / 5, "{slow}");
        assert_eq!(carried(3.9e9, flush(2_000.0), 2) / 2, slow);
    }
}
