//! `spanreel bench`: what this machine carries, for who plans capacity.
//!
//! Calls whose every sample is known are sent (`sender`, on a `wire`; from a capture file by a `feed`) to this same program, which runs as another
//! process (`recorder`); what it made is compared with what was sent (`check`), what it used is asked of the kernel
//! (`process`). A `trial` is one such load; `multiply` takes a capture of the user's instead, of which `copies` makes
//! many. Out: text, JSON, and a signed page (`report`).
//!
//! Invariants: nothing is sent but on interfaces that the bench made itself, in a namespace that vanishes with it; its
//! folder is gone when it ends; a trial in which anything was lost, late or wrong is not passed.

mod check;
mod coefficients;
mod copies;
mod disk;
mod feed;
mod html;
mod interrupt;
mod ledger;
mod load;
mod multiply;
mod numbers;
mod onlooker;
mod plan;
mod process;
mod recorder;
mod report;
mod rewrite;
mod search;
mod sender;
mod sound;
mod trial;
mod wire;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::commands::Verdict;
use crate::output;
use report::Report;

/// Arguments of `bench`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// What to measure.
    #[command(subcommand)]
    command: Command,
}

/// What `bench` can do.
#[derive(Debug, Subcommand)]
enum Command {
    /// Record so many synthetic calls at once, and check each of them.
    Load(load::Load),
    /// Search the most calls at once of which nothing is lost, and show what happens beyond.
    Search(search::Search),
    /// Record a capture of yours at so many times its load, and compare every copy with the original.
    Replay(multiply::Multiply),
    /// Measure what the disk sustains in the journal's pattern.
    Disk(disk::Disk),
    /// Compute the machine that so many calls need, from what they cost.
    Plan(plan::Plan),
}

/// Where a bench works, and how it tells what it found.
#[derive(Debug, Args)]
pub(crate) struct Output {
    /// A data folder: the bench works in a folder of its own on its disk, and its node key signs the report
    /// [default: a temporary folder, and a key that is made for it].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Write a report: this page, the same as JSON beside it, and a signature of each (CMS, detached).
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
    /// Print the result as one JSON object.
    #[arg(long)]
    json: bool,
}

impl Output {
    /// Prints and writes it.
    fn give(&self, report: &Report, text: &str) -> Result<()> {
        if self.json {
            output::line(serde_json::to_string(report)?)?;
        } else {
            output::line(text)?;
        }
        match &self.report {
            Some(path) => report.write(path, self.data.as_deref()),
            None => Ok(()),
        }
    }
}

/// Measures.
///
/// # Errors
/// What keeps it from being measured.
pub(crate) fn run(options: &Options) -> Result<Verdict> {
    match &options.command {
        Command::Load(arguments) => load::run(arguments),
        Command::Search(arguments) => search::run(arguments),
        Command::Replay(arguments) => multiply::run(arguments),
        Command::Disk(arguments) => disk::run(arguments),
        Command::Plan(arguments) => plan::run(arguments),
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Whether something else wanted the CPUs, in words.
fn busy(load_average: f64) -> String {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    // Up to a quarter of the CPUs is what an idle system and the bench's own start come to.
    if load_average * 4.0 > cpus as f64 {
        return format!(
            "BUSY WITH OTHER WORK (load {load_average:.1} on {cpus} CPUs): times and limits are worse than they would be"
        );
    }
    format!("{cpus} CPUs, quiet (load {load_average:.1})")
}
