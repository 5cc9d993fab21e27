//! Runs `spanreel` and other programs, and reads what they leave.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use base::recording::Recording;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// The program, built once, in the profile of this test: `SPANREEL` names another one.
pub(crate) fn spanreel() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| match std::env::var_os("SPANREEL") {
        Some(path) => path.into(),
        None => build(),
    })
}

/// This test is `target/<profile>/deps/it-<hash>`.
fn build() -> PathBuf {
    let test = std::env::current_exe().expect("a running test has a path");
    let folder = test.ancestors().nth(2).expect("a test lies in target/<profile>/deps");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--package", "wiring", "--bin", "spanreel"]);
    if folder.ends_with("release") {
        cargo.arg("--release");
    }
    cargo.env("CARGO_TARGET_DIR", folder.parent().expect("a profile lies in target"));
    let status = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status().expect("cargo starts");
    assert!(status.success(), "spanreel does not build");
    folder.join("spanreel")
}

/// How a run of a program ended.
pub(crate) struct Ran {
    /// The exit status; `None` if a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
    shown: String,
}

impl Ran {
    fn new(shown: String, output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let ran = Self {
            code: output.status.code(),
            out: text(&output.stdout),
            err: text(&output.stderr),
            shown,
        };
        assert!(!ran.err.contains("panicked at"), "{} panicked:\n{}", ran.shown, ran.err);
        ran
    }

    /// Wants exit status 0.
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{}\n{}{}", self.shown, self.out, self.err);
        self
    }

    /// Wants exit status 1 and a message that holds each of these.
    pub(crate) fn fails_naming(self, words: &[&str]) -> Self {
        assert_eq!(self.code, Some(1), "{}\n{}{}", self.shown, self.out, self.err);
        let told = format!("{}{}", self.out, self.err);
        for word in words {
            assert!(told.contains(word), "{}: nothing about {word} in\n{told}", self.shown);
        }
        self
    }
}

/// Runs `spanreel`.
pub(crate) fn run<S: AsRef<OsStr>>(arguments: &[S]) -> Ran {
    program(spanreel(), arguments)
}

/// Runs any program.
pub(crate) fn program<S: AsRef<OsStr>>(program: impl AsRef<OsStr>, arguments: &[S]) -> Ran {
    let mut command = Command::new(program.as_ref());
    command.args(arguments);
    let output = command.output().unwrap_or_else(|e| panic!("{:?}: {e}", program.as_ref()));
    Ran::new(format!("{command:?}"), &output)
}

/// A data folder that `replay` fills, removed when dropped.
pub(crate) struct Data {
    folder: TempDir,
}

impl Data {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    /// A new one, filled from `capture` without a complaint.
    pub(crate) fn of(capture: &Path) -> Self {
        let data = Self::new();
        data.replay(capture).ok();
        data
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub(crate) fn replay(&self, capture: &Path) -> Ran {
        run(&["replay".as_ref(), capture.as_os_str(), "--out".as_ref(), self.path().as_os_str()])
    }

    /// Runs a command on this folder.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        let data = self.path();
        let arguments = arguments.iter().map(OsStr::new);
        run(&arguments.chain(["--data".as_ref(), data.as_os_str()]).collect::<Vec<_>>())
    }

    pub(crate) fn list(&self) -> Vec<Recording> {
        let listed = self.run(&["list", "--json"]).ok().out;
        listed.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
    }

    /// The folder of a recording.
    pub(crate) fn recording(&self, recording: &Recording) -> PathBuf {
        self.path().join("recordings").join(recording.id.to_string())
    }

    /// Decrypts a recording into a folder.
    pub(crate) fn export(&self, recording: &Recording) -> PathBuf {
        let id = recording.id.to_string();
        let to = self.folder.path().join(format!("export-{id}"));
        if !to.exists() {
            self.run(&["export", &id, "--to", to.to_str().expect("UTF-8")]).ok();
        }
        to
    }
}

/// A capture that `synth` makes, with its truth beside it.
pub(crate) fn synth(folder: &TempDir, arguments: &[&str]) -> PathBuf {
    let capture = folder.path().join("synth.pcap");
    let mut all = vec!["synth", "--to", capture.to_str().expect("UTF-8")];
    all.extend(arguments);
    run(&all).ok();
    capture
}

/// Whether this process may do what only root may.
pub(crate) fn is_root() -> bool {
    program("id", &["-u"]).out.trim() == "0"
}

/// Hexadecimal SHA-256.
pub(crate) fn sha256(bytes: impl AsRef<[u8]>) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The whole file.
pub(crate) fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Names in a folder, sorted.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let name = |entry: std::fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
    let mut names: Vec<String> =
        entries.map(|entry| name(entry.expect("a folder can be read"))).collect();
    names.sort();
    names
}

/// Shown even when the test passes, which `println!` is not.
pub(crate) fn tell(text: &str) {
    use std::io::Write;
    writeln!(std::io::stderr(), "{text}").expect("standard error can be written");
}
