//! `spanreel bench`, small: what it measures is what was sent. Figures are not asserted, only that they are there.
#![expect(
    clippy::unwrap_used,
    reason = "all of it is tests; clippy knows only functions marked #[test] for such"
)]

mod load;
mod replay;
mod report;

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// `spanreel bench`, working in a folder.
fn bench(what: &str, data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spanreel"));
    command.args(["bench", what, "--data"]).arg(data);
    command
}

/// Runs it to its end, which is a good one; gives what it printed.
fn json(command: &mut Command) -> Value {
    let Output { status, stdout, stderr } = command.arg("--json").output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(status.success(), "{command:?}: {}{}", text(&stdout), text(&stderr));
    serde_json::from_slice(&stdout).unwrap()
}

/// Whether this test can run; says so if not, past the test harness, which would swallow it.
fn needs_root(test: &str) -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        let line = format!("skipped: {test}: needs root\n");
        std::io::stderr().write_all(line.as_bytes()).unwrap();
    }
    is_root
}

/// What a folder holds.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}
