//! `cargo xtask test`: everything that CI runs.

use std::path::Path;

use anyhow::{Result, anyhow};

use crate::shell::{self, cargo, has};

/// The fuzz targets, one for each parser (`tests/fuzz`).
const FUZZ_TARGETS: [&str; 12] = [
    "capture_file",
    "frame",
    "sip",
    "sdp",
    "rtp",
    "segment",
    "arena",
    "envelope",
    "playback",
    "range",
    "search",
    "rewrite",
];
/// How long each runs within the tests: enough to see that it works, not to find much.
const FUZZ_SECONDS: u64 = 5;
/// What `cargo fuzz` compiles with, as far as stable Rust takes it: coverage counters, no sanitizer.
const FUZZ_FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
     -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
     -Cllvm-args=-sanitizer-coverage-pc-table --cfg fuzzing";
/// The version whose configuration file `deny.toml` is.
const DENY_VERSION: &str = "0.20.2";

/// Runs it all, cheapest first.
pub(crate) fn run() -> Result<()> {
    crate::setup::run()?;
    let pages = crate::web::tools();
    match &pages {
        Ok(()) => crate::web::build()?,
        Err(error) => eprintln!("skipped: the window's pages, because of their tools: {error:#}"),
    }
    shell::run(cargo(), &["fmt", "--all", "--check"])?;
    shell::run(
        cargo(),
        &["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"],
    )?;
    shell::run(cargo(), &["test", "--workspace", "--quiet", "--no-run"])?;
    shell::run(cargo(), &["test", "--workspace", "--no-fail-fast"])?;
    if pages.is_ok() {
        crate::web::test()?;
    }
    crate::api::run()?;
    fuzz(FUZZ_SECONDS)?;
    crate::ebpf::check()?;
    licences()
}

/// So many seeds of the simulator, in a release build.
pub(crate) fn sim(seeds: &str) -> Result<()> {
    let test = ["test", "--release", "--package", "sim", "--", "--nocapture", "always_holds"];
    shell::run_with(("SPANREEL_SIM_SEEDS", seeds), cargo(), &test)
}

/// So many power cuts.
pub(crate) fn power(cuts: &str) -> Result<()> {
    let test = ["test", "--package", "tests", "--", "--nocapture", "power_cut_costs"];
    shell::run_with(("SPANREEL_POWER_CUTS", cuts), cargo(), &test)
}

/// Every target for `seconds`, guided by coverage, from `tests/fuzz/corpus` on: for each target a small set of inputs, named
/// by their SHA-1, that reaches what long runs reached (`-set_cover_merge=1 -use_counters=0 -max_len=1024`). What is
/// found is kept in the target folder.
pub(crate) fn fuzz(seconds: u64) -> Result<()> {
    let folder = shell::target().join("fuzz");
    let triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let shown = folder.to_string_lossy();
    let build = [
        "build",
        "--quiet",
        "--locked",
        "--manifest-path",
        "tests/fuzz/Cargo.toml",
        "--target-dir",
        &*shown,
    ];
    shell::run_with(
        ("RUSTFLAGS", FUZZ_FLAGS),
        cargo(),
        &[&build[..], &["--target", &*triple]].concat(),
    )?;
    let programs = folder.join(triple).join("debug");
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    for names in FUZZ_TARGETS.chunks(cpus) {
        at_once(names, |name| fuzz_target(name, &programs.join(name), &folder, seconds))?;
    }
    Ok(())
}

fn fuzz_target(name: &str, program: &Path, folder: &Path, seconds: u64) -> Result<()> {
    let corpus = folder.join("corpus").join(name);
    std::fs::create_dir_all(&corpus)?;
    let limit = format!("-max_total_time={seconds}");
    let artifacts = format!("-artifact_prefix={}/{name}-", folder.display());
    let corpus = corpus.to_string_lossy();
    let seeds = shell::root().join("tests/fuzz/corpus").join(name);
    let seeds = seeds.to_string_lossy();
    let options = ["-max_len=8192", "-print_final_stats=1"];
    shell::run(program, &[&[&*corpus, &*seeds, &*limit, &*artifacts], &options[..]].concat())
}

/// Does something for every name at the same time.
fn at_once(names: &[&str], what: impl Fn(&str) -> Result<()> + Sync) -> Result<()> {
    let what = &what;
    std::thread::scope(|scope| {
        let running: Vec<_> = names.iter().map(|name| scope.spawn(move || what(name))).collect();
        let results = running.into_iter().map(|it| it.join().map_err(|_| anyhow!("a panic"))?);
        results.collect::<Vec<_>>().into_iter().collect()
    })
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
    if shell::run(&deny, &["fetch", "db"]).is_err() {
        eprintln!(
            "skipped: advisories, because their database cannot be fetched from here (see above)"
        );
        return Ok(());
    }
    shell::run(&deny, &["--offline", "check", "advisories"])
}
