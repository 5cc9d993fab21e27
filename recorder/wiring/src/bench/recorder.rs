//! The recorder under measurement: this same program, as another process.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::interrupt::Interrupt;
use super::ledger::Ledger;
use super::process::Process;
use super::wire::SPAN;
use crate::clock;

/// How it is started for calls over a wire.
pub(super) const RUN: [&str; 3] = ["run", "--interface", SPAN];
/// The stage of its capture threads.
const CAPTURE: &str = "capture";
/// How long it may take to begin, and to end.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often it is looked at.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A running recorder. Killed if it is let go of.
pub(super) struct Recorder {
    child: Child,
    folder: PathBuf,
}

impl Recorder {
    /// Starts `spanreel run` in the calling thread's network namespace, and waits until it records and its capture
    /// threads run: then what it has for itself, whatever comes, is there.
    pub(super) fn run(folder: &Path, data: &Path, interrupt: &Interrupt) -> Result<Self> {
        let mut command = Command::new(program()?);
        command.args(RUN).args(["--json", "--end-with-parent", "--data"]).arg(data);
        let recorder = Self::start(&mut command, folder)?;
        let began = clock::instant();
        let is_there = || {
            recorder.log().contains("spanreel: recording")
                && recorder.process().stages().contains_key(CAPTURE)
        };
        while !is_there() {
            interrupt.check()?;
            if recorder.has_ended()? || began.elapsed() > PATIENCE {
                bail!("spanreel run did not begin to record: {}", recorder.log());
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(recorder)
    }

    /// Starts `spanreel replay`.
    pub(super) fn replay(folder: &Path, capture: &Path, data: &Path) -> Result<Self> {
        let mut command = Command::new(program()?);
        command.arg("replay").arg(capture).args(["--json", "--end-with-parent", "--out"]).arg(data);
        Self::start(&mut command, folder)
    }

    fn start(command: &mut Command, folder: &Path) -> Result<Self> {
        let file = |name: &str| {
            let path = folder.join(name);
            File::create(&path).with_context(|| format!("cannot write {}", path.display()))
        };
        command.stdin(std::process::Stdio::null()).stdout(file("ledger")?).stderr(file("log")?);
        let child = command.spawn().context("cannot start the recorder")?;
        Ok(Self { child, folder: folder.to_owned() })
    }

    pub(super) fn process(&self) -> Process {
        Process::new(self.child.id())
    }

    /// What it has said.
    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// Whether it has ended; what it used can still be asked.
    pub(super) fn has_ended(&self) -> Result<bool> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        Ok(waitid(WaitId::Pid(Pid::from_child(&self.child)), options)?.is_some())
    }

    /// Ends it as a service manager does.
    pub(super) fn stop(self, patience: Duration, interrupt: &Interrupt) -> Result<Ledger> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let began = clock::instant();
        while !self.has_ended()? {
            interrupt.check()?;
            if began.elapsed() > patience + PATIENCE {
                bail!("the recorder does not end: {}", self.log());
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(self.result()?.1)
    }

    /// How it ended, and the ledger that it printed.
    pub(super) fn result(mut self) -> Result<(ExitStatus, Ledger)> {
        let status = self.child.wait()?;
        let printed = std::fs::read(self.folder.join("ledger"))?;
        let ledger = Ledger::parse(&printed)
            .with_context(|| format!("the recorder failed ({status}): {}", self.log()))?;
        Ok((status, ledger))
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program() -> Result<PathBuf> {
    std::env::current_exe().context("cannot find this program's own file")
}

/// How the CPUs are divided: one sends, the others record.
pub(super) struct Cpus {
    all: CpuSet,
    sender: Option<usize>,
}

impl Cpus {
    /// Of those that this process may use.
    pub(super) fn divide() -> Result<Self> {
        let all = sched_getaffinity(None)?;
        let last = (0..CpuSet::MAX_CPU).rev().find(|cpu| all.is_set(*cpu));
        Ok(Self { sender: last.filter(|_| all.count() > 1), all })
    }

    /// What the calling thread starts now runs where it may not disturb the sender.
    pub(super) fn leave_sender(&self) -> Result<()> {
        let mut others = self.all;
        self.sender.iter().for_each(|cpu| others.unset(*cpu));
        Ok(sched_setaffinity(None, &others)?)
    }

    /// The calling thread is the sender.
    pub(super) fn be_sender(&self) -> Result<()> {
        let Some(sender) = self.sender else { return Ok(()) };
        let mut one = CpuSet::new();
        one.set(sender);
        Ok(sched_setaffinity(None, &one)?)
    }

    /// The calling thread may run anywhere.
    pub(super) fn be_anywhere(&self) -> Result<()> {
        Ok(sched_setaffinity(None, &self.all)?)
    }
}
