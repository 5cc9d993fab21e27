//! A mirror port without hardware: a network namespace of its own with two interfaces that are joined like the ends
//! of a cable. What is sent on one end, `spanreel run` records on the other.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::setup;
use crate::shell;

/// Recorded on.
pub(crate) const SPAN: &str = "span0";
/// Sent on.
pub(crate) const FAR: &str = "far0";
/// What `spanreel run` prints when it records.
const RECORDING: &str = "spanreel: recording";
/// A recorder that has not begun or ended within this is stuck.
const PATIENCE: Duration = Duration::from_secs(60);

/// The namespace; gone with this value, and all that is in it.
pub(crate) struct Wire {
    namespace: String,
}

impl Wire {
    /// Makes it, which only root may. `purpose` is in the namespace's name.
    pub(crate) fn new(purpose: &str) -> Result<Self> {
        setup::install(&[("tcpreplay", "--version", "tcpreplay")])?;
        let namespace = format!("spanreel-{purpose}-{}", std::process::id());
        shell::run("ip", &["netns", "add", &namespace])?;
        let wire = Self { namespace };
        let queues = ["numrxqueues", "2", "numtxqueues", "2"];
        let pair = [&["link", "add", SPAN], &queues[..], &["type", "veth", "peer", "name", FAR]];
        wire.ip(&[&pair.concat()[..], &queues[..]].concat())?;
        for interface in [SPAN, FAR] {
            // Without an IPv6 address of its own it sends nothing of its own.
            wire.ip(&["link", "set", interface, "addrgenmode", "none"])?;
            wire.ip(&["link", "set", interface, "up"])?;
        }
        wire.ip(&["link", "set", "lo", "up"])?;
        Ok(wire)
    }

    /// What goes before a command for it to run there.
    pub(crate) fn inside(&self) -> [&str; 4] {
        ["ip", "netns", "exec", &self.namespace]
    }

    /// Sends a capture as it was captured, and records it meanwhile.
    pub(crate) fn record(&self, spanreel: &Path, capture: &str, data: &str) -> Result<()> {
        let mut recorder = self.start(spanreel, data)?;
        let sent = shell::run(
            "ip",
            &[
                "netns",
                "exec",
                &self.namespace,
                "tcpreplay",
                "--quiet",
                "--timer",
                "nano",
                "--intf1",
                FAR,
                capture,
            ],
        );
        shell::run("kill", &["-TERM", &recorder.id().to_string()])?;
        let began = Instant::now();
        while recorder.try_wait()?.is_none() {
            if began.elapsed() > PATIENCE {
                recorder.kill()?;
                bail!("spanreel run does not end");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let status = recorder.wait()?;
        if !status.success() {
            bail!("spanreel run failed ({status})");
        }
        sent
    }

    /// Starts `spanreel run` and waits until it records. What it prints is shown.
    fn start(&self, spanreel: &Path, data: &str) -> Result<Child> {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace]).arg(spanreel);
        command.args(["run", "--interface", SPAN, "--data", data]).stderr(Stdio::piped());
        eprintln!("$ {}", shell::show(&command));
        let mut recorder = command.spawn().context("cannot start spanreel run")?;
        let stderr = recorder.stderr.take().context("spanreel run has no stderr")?;
        let (told, heard) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                eprintln!("{line}");
                // Nobody listens any more once it records.
                let _ = line.starts_with(RECORDING).then(|| told.send(()));
            }
        });
        if heard.recv_timeout(PATIENCE).is_err() {
            // It may have ended by itself.
            let _ = recorder.kill();
            bail!("spanreel run did not begin to record: {}", recorder.wait()?);
        }
        Ok(recorder)
    }

    fn ip(&self, arguments: &[&str]) -> Result<()> {
        shell::run("ip", &[&["-netns", &*self.namespace], arguments].concat())
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if let Err(error) = shell::run("ip", &["netns", "delete", &self.namespace]) {
            eprintln!("xtask: the namespace is still there: {error:#}");
        }
    }
}
