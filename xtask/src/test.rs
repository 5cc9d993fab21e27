//! `cargo xtask test`: everything that CI runs.

use anyhow::Result;

use crate::shell::{self, cargo, has};

/// The fuzz targets, one for each parser (`tests/fuzz`).
const FUZZ_TARGETS: [&str; 7] =
    ["capture_file", "frame", "sip", "sdp", "rtp", "segment", "envelope"];
/// Runs of each target within the tests: enough to see that it works, not to find much.
const FUZZ_RUNS: u32 = 20_000;
/// The version whose configuration file `deny.toml` is.
const DENY_VERSION: &str = "0.20.2";

/// Runs it all, cheapest first.
pub(crate) fn run() -> Result<()> {
    crate::setup::run()?;
    shell::run(cargo(), &["fmt", "--all", "--check"])?;
    shell::run(
        cargo(),
        &["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"],
    )?;
    shell::run(cargo(), &["test", "--workspace", "--quiet", "--no-run"])?;
    shell::run(cargo(), &["test", "--workspace", "--no-fail-fast"])?;
    fuzz_smoke()?;
    licences()
}

/// Every target on stable, without coverage: finds what falls over at once.
fn fuzz_smoke() -> Result<()> {
    let manifest = "tests/fuzz/Cargo.toml";
    let target = shell::target().join("fuzz");
    let target = target.to_string_lossy();
    let common = ["--quiet", "--manifest-path", manifest, "--target-dir", &*target];
    for name in FUZZ_TARGETS {
        let mut arguments = vec!["run"];
        arguments.extend(common);
        let (runs, corpus) = (format!("-runs={FUZZ_RUNS}"), target_corpus(name)?);
        arguments.extend(["--bin", name, "--", &*runs, "-max_len=8192", &*corpus]);
        shell::run(cargo(), &arguments)?;
    }
    Ok(())
}

fn target_corpus(name: &str) -> Result<String> {
    let folder = shell::target().join("fuzz-corpus").join(name);
    std::fs::create_dir_all(&folder)?;
    Ok(folder.to_string_lossy().into_owned())
}

/// Every target for `seconds`, with coverage feedback: needs nightly and cargo-fuzz.
pub(crate) fn fuzz(seconds: u64) -> Result<()> {
    let limit = format!("-max_total_time={seconds}");
    for name in FUZZ_TARGETS {
        let corpus = target_corpus(name)?;
        shell::run(
            "cargo",
            &["+nightly", "fuzz", "run", "--fuzz-dir", "tests/fuzz", name, &corpus, "--", &limit],
        )?;
    }
    Ok(())
}

/// Licences, bans and sources of every dependency; advisories where their database can be had.
fn licences() -> Result<()> {
    let tools = shell::target().join("tools");
    let deny = tools.join("bin/cargo-deny");
    if !deny.exists() && !has("cargo-deny", "--version") {
        let tools = tools.to_string_lossy();
        shell::run(
            cargo(),
            &[
                "install",
                "--quiet",
                "--locked",
                "--root",
                &*tools,
                "cargo-deny",
                "--version",
                DENY_VERSION,
            ],
        )?;
    }
    let deny = if deny.exists() { deny.into_os_string() } else { "cargo-deny".into() };
    shell::run(&deny, &["--offline", "check", "licenses", "bans", "sources"])?;
    if shell::run(&deny, &["check", "advisories"]).is_err() {
        eprintln!(
            "skipped: advisories (see above: found some, or their database cannot be reached from here)"
        );
    }
    Ok(())
}
