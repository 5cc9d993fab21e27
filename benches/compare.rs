//! One capture file by Spanreel and by whatever other recorders are installed, in turn: CPU seconds, and how many times
//! Spanreel's that is.
//!
//!     cargo bench -p benches --bench compare -- load.pcap
//!
//! Each writes to a folder of its own, which is empty before. What one of them does with the file is beside its name:
//! they do not do the same. A recorder that reads no file, or needs a configuration, is given by `--rival`.
#![expect(clippy::print_stdout, reason = "it prints figures")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use benches::child::cpu_seconds;
use benches::machine;
use benches::spread::Spread;
use clap::Parser;

/// The first word with which this program is Spanreel itself.
const REPLAY: &str = "replay";
/// Name, program, arguments, what it does.
const RIVALS: [(&str, &str, &[&str], &str); 3] = [
    (
        "tcpdump",
        "tcpdump",
        &["-n", "-Z", "root", "-r", "{file}", "-w", "{out}/copy.pcap"],
        "copies the file",
    ),
    ("pcapsipdump", "pcapsipdump", &["-f", "-r", "{file}", "-d", "{out}"], "a capture file a call"),
    (
        "VoIPmonitor",
        "voipmonitor",
        &["-k", "-c", "-W", "-d", "{out}", "-r", "{file}"],
        "plain WAV, without a database",
    ),
];
/// These read no capture by a command line alone.
const BY_CONFIGURATION: [(&str, &str); 2] =
    [("Oreka", "orkaudio"), ("rtpengine", "rtpengine-recording")];

/// CPU seconds of recorders with the same capture file.
#[derive(Debug, Parser)]
struct Options {
    /// The capture.
    file: Option<PathBuf>,
    /// How often each is measured.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// One more: NAME=COMMAND, with {file} and {out} in it; words are separated by blanks.
    #[arg(long, value_name = "NAME=COMMAND")]
    rival: Vec<String>,
    /// Who has not ended after so many seconds is ended, and left out.
    #[arg(long, default_value_t = 300)]
    limit: u64,
    /// Where to write [default: the system's temporary folder].
    #[arg(long)]
    folder: Option<PathBuf>,
    /// What cargo says; without meaning here.
    #[arg(long, hide = true)]
    bench: bool,
}

/// Somebody who reads the file.
struct Runner {
    name: String,
    does: String,
    program: PathBuf,
    arguments: Vec<String>,
    spread: Spread,
    /// Why it is left out.
    failed: Option<String>,
}

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some(REPLAY) {
        return wiring::main();
    }
    match compare() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn compare() -> Result<()> {
    let options = Options::parse();
    let Some(file) = &options.file else {
        println!(
            "skipped: no capture; spanreel synth --calls 1000 --seconds 30 --to FILE writes one"
        );
        return Ok(());
    };
    let file = std::path::absolute(file)?;
    let bytes = file.metadata().with_context(|| file.display().to_string())?.len();
    let mut runners = runners(&options.rival)?;
    let limit = Duration::from_secs(options.limit);
    for _ in 0..options.rounds {
        for runner in runners.iter_mut().filter(|runner| runner.failed.is_none()) {
            let folder = match &options.folder {
                Some(folder) => tempfile::tempdir_in(folder)?,
                None => tempfile::tempdir()?,
            };
            match cpu_seconds(
                &runner.program,
                &runner.words(&file, folder.path()),
                folder.path(),
                limit,
            ) {
                Ok(seconds) => runner.spread.add(seconds),
                Err(why) => runner.failed = Some(format!("{why:#}")),
            }
        }
    }
    println!("{}", machine::described());
    println!(
        "{}, {:.0} MB; {} rounds in turn; CPU seconds, user and system: median [least-most]",
        file.display(),
        bytes as f64 / 1e6,
        options.rounds
    );
    let own = runners.first().map_or(0.0, |spanreel| spanreel.spread.median());
    for Runner { name, does, spread, failed, .. } in &runners {
        match failed {
            Some(why) => println!("left out: {name}: {why}"),
            None => println!(
                "{name:<14}{:<26}{:>6.2} times Spanreel's  ({does})",
                format!("{spread:.2}"),
                spread.median() / own.max(0.01)
            ),
        }
    }
    Ok(())
}

/// Spanreel first, then who is installed, then who is given.
fn runners(given: &[String]) -> Result<Vec<Runner>> {
    let runner = |name: &str, does: &str, program: PathBuf, arguments: &[&str]| Runner {
        name: name.to_owned(),
        does: does.to_owned(),
        program,
        arguments: arguments.iter().map(|it| (*it).to_owned()).collect(),
        spread: Spread::default(),
        failed: None,
    };
    let own = [REPLAY, "{file}", "--out", "{out}/data"];
    let does = "stereo FLAC, sealed, signed, catalogued";
    let mut runners = vec![runner("Spanreel", does, std::env::current_exe()?, &own)];
    for (name, program, arguments, does) in RIVALS {
        match installed(program) {
            Some(program) => runners.push(runner(name, does, program, arguments)),
            None => println!("skipped: {name}: {program} is not installed"),
        }
    }
    for (name, program) in BY_CONFIGURATION {
        let state =
            if installed(program).is_some() { "needs a configuration" } else { "is not installed" };
        if !given.iter().any(|it| it.starts_with(name)) {
            println!("skipped: {name}: {program} {state}; give it by --rival");
        }
    }
    for rival in given {
        let (name, command) = rival.split_once('=').context("--rival is NAME=COMMAND")?;
        let words: Vec<&str> = command.split_whitespace().collect();
        let (program, arguments) = words.split_first().context("--rival has no command")?;
        let program = installed(program).with_context(|| format!("{program} is not installed"))?;
        runners.push(runner(name, "as given", program, arguments));
    }
    Ok(runners)
}

/// Where a program is.
fn installed(program: &str) -> Option<PathBuf> {
    if program.contains('/') {
        return Some(PathBuf::from(program)).filter(|it| it.is_file());
    }
    let paths = std::env::var_os("PATH")?;
    std::env::split_paths(&paths).map(|folder| folder.join(program)).find(|it| it.is_file())
}

impl Runner {
    /// Its arguments for a file and a folder.
    fn words(&self, file: &Path, out: &Path) -> Vec<String> {
        let (file, out) = (file.display().to_string(), out.display().to_string());
        let words = self.arguments.iter();
        words.map(|it| it.replace("{file}", &file).replace("{out}", &out)).collect()
    }
}
