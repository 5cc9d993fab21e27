//! The commands, one file each.

mod alarms;
mod export;
mod keep;
mod keys;
mod list;
mod play;
mod replay;
mod run;
mod show;
mod text;
mod verify;
mod web;

use anyhow::Result;

use crate::cli::Command;
use crate::progress::Progress;

/// What a command found, beyond errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It did what was asked.
    Done,
    /// It did, and what it found is bad: altered files, damaged captures. It has said so.
    Bad,
}

/// Runs a command.
pub(crate) fn run(command: Command) -> Result<Verdict> {
    match command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Replay(arguments) => replay::run(&arguments),
        Command::Web(arguments) => web::run(&arguments),
        Command::Alarms(arguments) => alarms::run(&arguments),
        Command::List(arguments) => list::run(&arguments),
        Command::Show(arguments) => show::run(&arguments),
        Command::Play(arguments) => play::run(&arguments),
        Command::Export(arguments) => export::run(&arguments),
        Command::Verify(arguments) => verify::run(&arguments),
        Command::Keys(arguments) => keys::run(&arguments.command),
        Command::Doctor(options) => crate::doctor::run(&options),
        Command::Bench(options) => crate::bench::run(&options),
        Command::Synth(options) => synth(&options),
    }
}

fn synth(options: &crate::synth::Options) -> Result<Verdict> {
    let progress = Progress::count(100, "writing");
    let percent = |share: f64| progress.at((share * 100.0) as u64);
    let summary = crate::synth::write_with(options, &options.to, percent)?;
    progress.done();
    if options.json {
        crate::output::line(serde_json::to_string(&summary)?)?;
    } else {
        crate::output::line(summary)?;
    }
    Ok(Verdict::Done)
}

/// A command that another program started for itself alone does not outlive it.
fn end_with_parent(wanted: bool) -> Result<()> {
    if wanted {
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM))?;
    }
    Ok(())
}
