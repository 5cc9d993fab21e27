//! One capture file by Spanreel and by whatever other recorders are installed, in turn: CPU seconds, and how many times
//! Spanreel's that is.
//!
//!     cargo bench -p benches --bench compare -- load.pcap
//!
//! Each writes to a folder of its own, which is empty before. What one of them does with the file is beside its name:
//! they do not do the same. A recorder that reads no file, or needs a configuration, is given by `--rival`.
#![expect(clippy::print_stdout, reason = "it prints figures")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use benches::machine;
use benches::spread::Spread;
use clap::Parser;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

/// In `/proc/*/stat`, on every Linux (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;
const LOOK_EVERY: Duration = Duration::from_millis(10);
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
            match runner.run(&file, folder.path(), limit) {
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
    /// CPU seconds that it takes.
    fn run(&self, file: &Path, out: &Path, limit: Duration) -> Result<f64> {
        let (file, out) = (file.display().to_string(), out.display().to_string());
        let words =
            self.arguments.iter().map(|it| it.replace("{file}", &file).replace("{out}", &out));
        let mut command = Command::new(&self.program);
        command.args(words).current_dir(&out);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().with_context(|| self.program.display().to_string())?;
        let used = used_at_end(&child, limit);
        if used.is_err() {
            child.kill()?;
        }
        let status = child.wait()?;
        let used = used?;
        if !status.success() {
            bail!("it ended with {status}");
        }
        Ok(used)
    }
}

/// CPU seconds of a process when it has ended, before its end is taken note of.
#[expect(clippy::disallowed_methods, reason = "a program of its own: how long another one takes")]
fn used_at_end(child: &Child, limit: Duration) -> Result<f64> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
    let began = Instant::now();
    while waitid(WaitId::Pid(Pid::from_child(child)), options)?.is_none() {
        if began.elapsed() > limit {
            bail!("it did not end within {} s", limit.as_secs());
        }
        std::thread::sleep(LOOK_EVERY);
    }
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id()))?;
    // The name in parentheses may have spaces in it. User, system, and both of children that it waited for.
    let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ').skip(11).take(4);
    let ticks: u64 = fields.filter_map(|it| it.parse::<u64>().ok()).sum();
    Ok(ticks as f64 / TICKS_PER_SECOND)
}
