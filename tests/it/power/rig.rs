//! One machine whose power is cut: a disk, what is mounted from it, and the recorder that writes on it.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use tempfile::TempDir;

use super::disk::{Disk, Image};
use super::wire::SPAN;
use crate::harness;

/// Where the recorder keeps in memory what a power cut takes.
const MEMORY: [&str; 2] = ["/dev/shm", "/run"];
/// How long anything may take before it counts as hanging.
const PATIENCE: Duration = Duration::from_secs(60);
/// A recorder that has calls writes more often than this.
const WRITES_WITHIN: Duration = Duration::from_secs(1);

/// The folders of one machine.
pub(super) struct Machine {
    folder: TempDir,
    disk: Option<Disk>,
    disk_lies: bool,
}

impl Machine {
    /// With power, and `image` on its disk, which may be one that lies about flushes.
    pub(super) fn start(image: Image, disk_lies: bool) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for name in ["fuse", "root"] {
            std::fs::create_dir(folder.path().join(name)).expect("a new folder");
        }
        let mut machine = Self { folder, disk: None, disk_lies };
        machine.power_on(image);
        machine
    }

    fn power_on(&mut self, image: Image) {
        for memory in MEMORY {
            command("mount", &["-t", "tmpfs", "tmpfs", memory]);
        }
        let disk = Disk::start(image, &self.path("fuse"), self.disk_lies).expect("FUSE mounts");
        let file = disk.file().to_str().expect("UTF-8").to_owned();
        self.disk = Some(disk);
        command("mount", &["-t", "ext4", "-o", "loop", &file, &self.root()]);
    }

    /// Cuts the power under `recorder`, in the midst of a flush after so many `writes` or now if that is 0, and
    /// switches it on again. What is on the disk then, `seed` says. Gives when it was, and the bytes in flight.
    pub(super) fn cut(&mut self, recorder: Recorder, writes: u32, seed: u64) -> (Instant, usize) {
        let disk = self.disk.take().expect("it has power");
        let cut = disk.cut(writes, WRITES_WITHIN);
        recorder.kill();
        command("umount", &[&self.root()]);
        drop(disk);
        for memory in MEMORY {
            command("umount", &["--lazy", memory]);
        }
        let (at, in_flight) = (cut.at, cut.in_flight_bytes());
        self.power_on(cut.survivors(seed));
        (at, in_flight)
    }

    /// Flushes that reached the disk.
    pub(super) fn flushes(&self) -> u64 {
        self.disk.as_ref().map_or(0, Disk::flushes)
    }

    fn root(&self) -> String {
        self.path("root").to_str().expect("UTF-8").to_owned()
    }

    pub(super) fn data(&self) -> PathBuf {
        self.folder.path().join("root").join("data")
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// Starts the recorder; does not wait until it records.
    pub(super) fn record(&self, mode: &str) -> Recorder {
        let mut options = File::options();
        let log = options.create(true).append(true).open(self.path("log")).expect("a log");
        let mut recorder = Command::new(harness::spanreel());
        recorder.args(["run", "--json", "--interface", SPAN, "--mode", mode, "--data"]);
        recorder.arg(self.data()).stdout(Stdio::null()).stderr(log);
        Recorder(Some(recorder.spawn().expect("spanreel starts")))
    }

    /// Waits until the log says `what` for the `times`th time.
    pub(super) fn wait_for(&self, what: &str, times: usize, recorder: &mut Recorder) {
        let begun = now();
        while self.log().matches(what).count() < times {
            let ended = recorder.0.as_mut().and_then(|child| child.try_wait().expect("a child"));
            assert!(ended.is_none(), "it ended, {ended:?}: {}", self.log());
            assert!(begun.elapsed() < PATIENCE, "no \"{what}\": {}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // After a failure, too: the mounts end with the namespace at the latest.
        let _ = Command::new("umount").args(["--lazy", &self.root()]).status();
    }
}

/// A running recorder; killed if the test fails.
pub(super) struct Recorder(Option<Child>);

impl Recorder {
    /// Ends it as a service manager does.
    pub(super) fn stop(mut self, log: impl Fn() -> String) {
        let mut child = self.0.take().expect("it runs");
        let pid = Pid::from_child(&child);
        rustix::process::kill_process(pid, Signal::TERM).expect("it runs");
        let status = child.wait().expect("it ends");
        assert!(status.success(), "{status}: {}", log());
    }

    fn kill(mut self) {
        if let Some(mut child) = self.0.take() {
            child.kill().expect("SIGKILL is sent");
            child.wait().expect("it ends");
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Makes a disk with an empty ext4 file system on it.
pub(super) fn format(bytes: u64) -> Image {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("image");
    File::create(&path).and_then(|file| file.set_len(bytes)).expect("room for a sparse file");
    let file = path.to_str().expect("UTF-8");
    // Otherwise the kernel goes on initialising for minutes.
    let now = "lazy_itable_init=0,lazy_journal_init=0";
    command("mkfs.ext4", &["-q", "-F", "-E", now, file]);
    Image::read(&path).expect("the image can be read")
}

/// Runs a program that must succeed.
pub(super) fn command(name: &str, arguments: &[&str]) {
    let output = Command::new(name).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{name}: {error}"));
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{name} {arguments:?}: {error}");
}

#[expect(clippy::disallowed_methods, reason = "what was on the wire when, is the question")]
pub(super) fn now() -> Instant {
    Instant::now()
}
