//! The recorder under test: where it keeps things, how it is started and ended, what it made.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use base::RecordingId;
use base::recording::Recording;
use rustix::process::{Pid, Signal};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::wire::{SPAN, eventually};

/// Bytes before the samples of a WAV file that `play` writes.
const WAV_HEADER_BYTES: usize = 44;
/// In `/proc/*/stat`, on every Linux (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

/// The folder in which one recorder works: its data, its log, and what a test puts there.
pub(crate) struct Site {
    folder: TempDir,
}

impl Site {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.path("data")
    }

    /// The folder on tmpfs in which the journal's memory is: named for the data folder.
    pub(crate) fn journal_memory(&self) -> PathBuf {
        let data = self.data().canonicalize().unwrap();
        let hash = Sha256::digest(data.as_os_str().as_encoded_bytes());
        let name: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Path::new("/dev/shm").join(format!("spanreel-{name}"))
    }

    fn log(&self) -> PathBuf {
        self.path("log")
    }

    pub(crate) fn read_log(&self) -> String {
        std::fs::read_to_string(self.log()).unwrap()
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

    /// Makes the recordings of a capture file, as fast as it goes.
    pub(crate) fn replay(&self, capture: &Path) {
        let mut command = spanreel();
        succeed(command.arg("replay").arg(capture).arg("--out").arg(self.data()));
    }

    /// What `list --json` says.
    pub(crate) fn list(&self) -> Vec<Recording> {
        let output =
            spanreel().args(["list", "--json", "--data"]).arg(self.data()).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The recordings are there unaltered and whole.
    pub(crate) fn verify(&self) {
        succeed(spanreel().args(["verify", "--data"]).arg(self.data()));
    }

    /// Decrypts the files of a recording into a folder.
    pub(crate) fn export(&self, id: RecordingId) -> PathBuf {
        let to = self.path(&format!("export-{id}"));
        let mut command = spanreel();
        command.args(["export", &id.to_string(), "--data"]).arg(self.data());
        succeed(command.arg("--to").arg(&to));
        to
    }

    /// What `play` writes.
    pub(crate) fn wav(&self, id: RecordingId) -> Vec<u8> {
        let wav = self.path(&format!("{id}.wav"));
        succeed(
            spanreel()
                .args(["play", &id.to_string(), "--data"])
                .arg(self.data())
                .arg("--to")
                .arg(&wav),
        );
        let bytes = std::fs::read(&wav).unwrap();
        std::fs::remove_file(&wav).unwrap();
        bytes
    }

    /// What one hears: left and right.
    pub(crate) fn sound(&self, id: RecordingId) -> [Vec<i16>; 2] {
        let mut sides = [Vec::new(), Vec::new()];
        let bytes = self.wav(id);
        let samples = bytes[WAV_HEADER_BYTES..].as_chunks::<2>().0;
        for (index, sample) in samples.iter().enumerate() {
            sides[index % 2].push(i16::from_le_bytes(*sample));
        }
        sides
    }
}

/// A run that was killed leaves its journal's memory, for the next one.
impl Drop for Site {
    fn drop(&mut self) {
        if self.data().exists() {
            let _ = std::fs::remove_dir_all(self.journal_memory());
        }
    }
}

/// The one recording of a call.
#[track_caller]
pub(crate) fn of_call<'a>(recordings: &'a [Recording], call_id: &str) -> &'a Recording {
    let mut found = recordings.iter().filter(|it| it.call_id.as_deref() == Some(call_id));
    let recording = found.next().unwrap_or_else(|| panic!("{call_id} is missing"));
    assert!(found.next().is_none(), "{call_id} is there twice");
    recording
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

    /// What the kernel tells about it in `/proc`.
    pub(crate) fn proc(&self, file: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.id())).unwrap()
    }

    /// A figure of `/proc/*/status`, such as `VmHWM` (KiB).
    pub(crate) fn status(&self, name: &str) -> u64 {
        let status = self.proc("status");
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap().trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// The memory of its journals that outlives it.
    pub(crate) fn arenas(&self) -> Vec<PathBuf> {
        let maps = self.proc("maps");
        let paths = maps.lines().filter_map(|line| Some(Path::new(&line[line.find('/')?..])));
        let mut arenas: Vec<_> = paths
            .filter(|it| it.extension().is_some_and(|it| it == "arena"))
            .map(Path::to_owned)
            .collect();
        arenas.sort();
        arenas.dedup();
        arenas
    }

    /// Seconds of CPU time that it has used.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        cpu_seconds(self.id())
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

/// Seconds of CPU time that a process has used.
pub(crate) fn cpu_seconds(process: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<_> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    let ticks = |place: usize| fields[place].parse::<f64>().unwrap();
    (ticks(11) + ticks(12)) / TICKS_PER_SECOND
}

pub(crate) fn spanreel() -> Command {
    Command::new(env!("CARGO_BIN_EXE_spanreel"))
}

/// Runs to its end, which is a good one.
fn succeed(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Runs to its end, which is an error; gives what it says.
pub(crate) fn refused(command: &mut Command) -> String {
    let Output { status, stderr, .. } = command.output().unwrap();
    let stderr = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(1), "{stderr}");
    stderr
}

/// No packet was lost anywhere, and every count adds up.
#[track_caller]
pub(crate) fn assert_nothing_lost(ledger: &Value) {
    assert_eq!((&ledger["lost"], &ledger["ledgerBalances"]), (&0.into(), &true.into()), "{ledger}");
}

/// The segments in a journal.
pub(crate) fn segments(data: &Path) -> usize {
    let entries = std::fs::read_dir(data.join("journal")).unwrap();
    entries.filter(|entry| entry.as_ref().unwrap().metadata().unwrap().is_file()).count()
}

/// How many files a folder has; none if it is not there.
pub(crate) fn files(folder: &Path) -> usize {
    std::fs::read_dir(folder).map_or(0, Iterator::count)
}

/// The least, the median, and the most.
pub(crate) fn spread(mut figures: Vec<u64>) -> [u64; 3] {
    figures.sort_unstable();
    let at = |part: usize| figures.get((figures.len().max(1) - 1) * part / 2).copied().unwrap_or(0);
    [0, 1, 2].map(at)
}
