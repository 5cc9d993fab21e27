//! The recorder under test, and what it recorded.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use rustix::process::{Pid, Signal};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use wiring::synth::{self, Codecs, Options, Truth};

use crate::wire::{SPAN, eventually};

/// A folder with a capture of calls, the truth about them, and a data folder.
pub(crate) struct Rig {
    folder: TempDir,
    pub(crate) truth: Vec<Truth>,
}

impl Rig {
    pub(crate) fn new(calls: u32, seconds: u32) -> Self {
        Self::of(7, calls, seconds)
    }

    /// Another seed: other calls.
    pub(crate) fn of(seed: u64, calls: u32, seconds: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("calls.pcap");
        let options = Options {
            calls,
            seconds,
            codec: Codecs::Mix,
            seed,
            loss: 0.0,
            reorder: 0.0,
            duplicate: 0.0,
            jitter: 0.0,
            start_spread: 0.5,
            to: to.clone(),
            json: false,
        };
        synth::write(&options, &to).unwrap();
        Self { truth: Truth::read(&to).unwrap(), folder }
    }

    pub(crate) fn capture(&self) -> PathBuf {
        self.folder.path().join("calls.pcap")
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// Starts the recorder, and waits until it records.
    pub(crate) fn start(&self, arguments: &[&str]) -> Recorder {
        let log = std::fs::File::create(self.log()).unwrap();
        let child = spanreel()
            .args(["run", "--interface", SPAN, "--json", "--data"])
            .arg(self.data())
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut recorder = Recorder { child: Some(child) };
        eventually("recording", || {
            let ended = recorder.child.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "{ended:?}: {}", self.read_log());
            self.read_log().contains("recording span0")
        });
        recorder
    }

    pub(crate) fn read_log(&self) -> String {
        std::fs::read_to_string(self.log()).unwrap()
    }

    /// What `list --json` says.
    pub(crate) fn list(&self) -> Vec<Value> {
        let output =
            spanreel().args(["list", "--json", "--data"]).arg(self.data()).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Every call of the truth is there, whole, with both sides sample for sample.
    pub(crate) fn assert_all_recorded(&self) {
        let recordings = self.list();
        assert_eq!(recordings.len(), self.truth.len(), "{}", self.read_log());
        for truth in &self.truth {
            let found = recordings.iter().find(|recording| recording["callId"] == *truth.call_id);
            let recording = found.unwrap_or_else(|| panic!("{} is missing", truth.call_id));
            assert_eq!(recording["complete"], true, "{recording}");
            let sides = self.sound(recording["id"].as_str().unwrap());
            for (side, samples) in truth.sides.iter().zip(&sides) {
                assert!(
                    contains(samples, side.samples as usize, &side.pcm_sha256),
                    "{} {:?}: other sound than sent",
                    truth.call_id,
                    side.side
                );
            }
        }
    }

    /// Left and right, 16 bit little-endian.
    fn sound(&self, id: &str) -> [Vec<u8>; 2] {
        let wav = self.folder.path().join("sound.wav");
        let mut play = spanreel();
        play.args(["play", id, "--data"]).arg(self.data()).arg("--to").arg(&wav);
        let output = play.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let bytes = std::fs::read(&wav).unwrap();
        let mut sides = [Vec::new(), Vec::new()];
        for (index, sample) in bytes[44..].as_chunks::<2>().0.iter().enumerate() {
            sides[index % 2].extend(sample);
        }
        sides
    }
}

/// Whether this many samples with this hash are in there, at whatever place.
fn contains(pcm: &[u8], samples: usize, sha256: &str) -> bool {
    let hash = |bytes: &[u8]| -> String {
        Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
    };
    let places = (pcm.len() / 2).saturating_sub(samples);
    (0..=places).any(|at| pcm.get(2 * at..2 * (at + samples)).is_some_and(|it| hash(it) == sha256))
}

/// A running recorder; killed if the test fails.
pub(crate) struct Recorder {
    child: Option<Child>,
}

impl Recorder {
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(self.child.as_ref().unwrap());
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Ends it as a service manager does; gives what it printed, which is the ledger.
    pub(crate) fn stop(mut self) -> Value {
        self.signal(Signal::TERM);
        let output = self.child.take().unwrap().wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Waits until it ends by itself; gives how, and what it printed.
    pub(crate) fn wait(mut self) -> (ExitStatus, Value) {
        let output = self.child.take().unwrap().wait_with_output().unwrap();
        (output.status, serde_json::from_slice(&output.stdout).unwrap())
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    pub(crate) fn kill(mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

pub(crate) fn spanreel() -> Command {
    Command::new(env!("CARGO_BIN_EXE_spanreel"))
}

/// Runs to its end, which is an error; gives what it says.
pub(crate) fn refused(command: &mut Command) -> String {
    let Output { status, stderr, .. } = command.output().unwrap();
    let stderr = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(1), "{stderr}");
    stderr
}

/// The segments in a journal.
pub(crate) fn segments(data: &Path) -> usize {
    let entries = std::fs::read_dir(data.join("journal")).unwrap();
    entries.filter(|entry| entry.as_ref().unwrap().metadata().unwrap().is_file()).count()
}
