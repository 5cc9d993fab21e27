//! The program: threads, clocks, commands; the only crate that knows every stage.
//!
//! In: the command line. Out: running stages, and what people read. [`engine`] joins signalling and media and
//! is sans-I/O; `replay` drives it from capture files, `live` from a network interface. Invariant: only this crate starts threads and reads
//! clocks.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::print_stderr, clippy::print_stdout))]

pub mod alarms;
mod bench;
mod catalog_place;
mod cli;
mod clock;
mod commands;
mod conductor;
mod config;
mod data_dir;
mod disk_watch;
mod doctor;
pub mod engine;
mod finish;
mod journal_thread;
mod live;
mod outages;
mod output;
mod priority;
mod progress;
mod recovery;
mod replay;
mod sealed;
pub mod synth;
mod telling;
mod wall_clock;
mod web_settings;
pub mod worker;

pub use self::live::machine;

use std::process::ExitCode;

use clap::Parser as _;
use tracing_subscriber::EnvFilter;

use crate::commands::Verdict;

/// Runs the program. Exit status 0 only if it did what was asked, 2 for a wrong call, 1 otherwise.
#[must_use]
pub fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    log(cli.verbose);
    match commands::run(cli.command) {
        Ok(Verdict::Done) => ExitCode::SUCCESS,
        Ok(Verdict::Bad) => ExitCode::FAILURE,
        Err(error) if output::reader_left(&error) => ExitCode::SUCCESS,
        Err(error) => {
            crate::output::say(format_args!("spanreel: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn log(verbose: bool) {
    let default = if verbose { "info" } else { "warn" };
    let filter =
        EnvFilter::try_from_env("SPANREEL_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    // A log that cannot be written is no reason to panic.
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    log.log_internal_errors(false).init();
}
