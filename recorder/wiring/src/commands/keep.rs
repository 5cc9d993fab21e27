//! `spanreel web --keep`: starts the server again when it ends. And what a server that belongs to a recorder gives up.

use std::ffi::OsString;
use std::process::{Child, Command};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::Verdict;
use crate::cli::Web as Arguments;
use crate::{clock, live};

/// Below that of the recorder.
const NICE: i32 = 5;
/// Who is ended first when memory runs out (proc(5), `oom_score_adj`): never the recorder.
const OOM_SCORE: &str = "500";
/// How long it waits before it starts the server again, at first and at most. One that ran for long begins anew.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(30);
const LONG: Duration = Duration::from_secs(60);
/// How often it looks.
const NAP: Duration = Duration::from_millis(200);

/// Of a process that a recorder started: it ends with it, yields to it, and has none of its power.
///
/// # Errors
/// The recorder has ended already.
pub(super) fn belong_to(parent: u32, arguments: &Arguments) -> Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::TERM))
        .context("cannot ask to end with the recorder")?;
    let still_there = rustix::process::getppid().map(Pid::as_raw_nonzero);
    if still_there.and_then(|pid| u32::try_from(pid.get()).ok()) != Some(parent) {
        bail!("the recorder has ended");
    }
    for (what, result) in [
        (
            "it yields to no one",
            rustix::process::setpriority_process(None, NICE).map_err(Into::into),
        ),
        (
            "it may be spared for the recorder when memory runs out",
            std::fs::write("/proc/self/oom_score_adj", OOM_SCORE).map_err(Into::into),
        ),
        ("privileges are kept", live::without_privileges(&arguments.data.dir)),
    ] {
        if let Err(error) = result {
            let error: anyhow::Error = error;
            tracing::warn!("web server: {what}: {error:#}");
        }
    }
    Ok(())
}

/// Keeps the server running until told to end.
pub(super) fn run() -> Result<Verdict> {
    let mut signals = Signals::new([SIGTERM, SIGINT]).context("cannot wait for signals")?;
    let mut pause = PAUSE_MIN;
    loop {
        let began = clock::instant();
        let mut server = start()?;
        let status = loop {
            if signals.pending().next().is_some() {
                end(&mut server)?;
                return Ok(Verdict::Done);
            }
            match server.try_wait().context("cannot wait for the web server")? {
                Some(status) => break status,
                None => std::thread::sleep(NAP),
            }
        };
        if began.elapsed() >= LONG {
            pause = PAUSE_MIN;
        }
        tracing::error!("the web server ended ({status}); it is started again in {pause:?}");
        let again = clock::instant() + pause;
        while clock::instant() < again {
            if signals.pending().next().is_some() {
                return Ok(Verdict::Done);
            }
            std::thread::sleep(NAP);
        }
        pause = PAUSE_MAX.min(pause * 2);
    }
}

/// This program with the same arguments, but as a server that ends with this process.
fn start() -> Result<Child> {
    let context = "cannot start the web server";
    let mut command = Command::new(std::env::current_exe().context(context)?);
    command.args(arguments_of_server(std::env::args_os().skip(1)));
    command.args(["--parent", &std::process::id().to_string()]);
    command.spawn().context(context)
}

fn arguments_of_server(given: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments = Vec::new();
    let mut given = given;
    while let Some(argument) = given.next() {
        match argument.to_str() {
            Some("--keep") => {}
            Some("--parent") => drop(given.next()),
            _ => arguments.push(argument),
        }
    }
    arguments
}

fn end(server: &mut Child) -> Result<()> {
    // It may have ended by itself just now.
    let _ = rustix::process::kill_process(Pid::from_child(server), Signal::TERM);
    server.wait().map(drop).context("cannot wait for the web server")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_has_the_same_arguments_but_those_of_its_keeper() {
        let given = ["-v", "web", "--keep", "--parent", "7", "--data", "/d", "--listen", "[::]:1"];
        let server = arguments_of_server(given.iter().map(OsString::from));
        assert_eq!(server, ["-v", "web", "--data", "/d", "--listen", "[::]:1"]);
    }
}
