//! `cargo xtask web`: builds the window's pages, which the program then has in it; tries them in a browser
//! (`tests/web`); takes pictures of them (`docs/screenshots`).
//!
//! The Rust build alone needs neither node nor npm: a program built without the pages says so where they would be.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context as _, Result};

use crate::setup::is_root;
use crate::shell::{cargo, target};
use crate::wire::{FAR, SPAN, Wire};
use crate::{setup, shell};

/// What builds the pages.
const PROGRAMS: [setup::Program; 2] =
    [("node", "--version", "nodejs"), ("npm", "--version", "npm")];
/// What the tests need beside them.
const BROWSER: setup::Program = ("chromium", "--version", "chromium");
/// What makes pictures small.
const PALETTE: setup::Program = ("pngquant", "--version", "pngquant");
/// What the pages are made of.
const SOURCES: [&str; 8] = [
    "index.html",
    "package-lock.json",
    "package.json",
    "public",
    "src",
    "svelte.config.js",
    "tsconfig.json",
    "vite.config.ts",
];

/// Installs what the pages are built and tried with.
///
/// # Errors
/// It is not to be had here.
pub(crate) fn tools() -> Result<()> {
    setup::install(&PROGRAMS)?;
    if is_root() {
        setup::install(&[BROWSER])?;
    }
    packages(&shell::root().join("recorder/web/frontend"))?;
    packages(&shell::root().join("tests/web"))
}

/// The pages as a person uses them, in a browser, with the real program.
pub(crate) fn test() -> Result<()> {
    if !is_root() && !setup::missing(&[BROWSER]).is_empty() {
        eprintln!("skipped: the pages in a browser, because only root can install chromium");
        return Ok(());
    }
    node(&["--test", "--test-reporter=spec", "window.test.js"])
}

/// Pictures of every page.
pub(crate) fn screenshots() -> Result<()> {
    setup::install(&[PALETTE])?;
    node(&["screenshots.js"])
}

/// Runs node on what is in `tests/web`; where that can be, beside a wire that calls are sent over.
fn node(arguments: &[&str]) -> Result<()> {
    build()?;
    setup::install(&[BROWSER])?;
    let folder = shell::root().join("tests/web");
    packages(&folder)?;
    shell::run(cargo(), &["build", "--quiet", "--workspace", "--bin", "spanreel"])?;
    let wire = match is_root() {
        true => Wire::new("web").map_err(|error| format!("{error:#}")),
        false => Err("a mirror port needs root".into()),
    };
    let mut command = Command::new("node");
    if let Ok(wire) = &wire {
        let [program, rest @ ..] = wire.inside();
        command = Command::new(program);
        command.args(rest).arg("node").env("SPANREEL_WIRE", format!("{SPAN},{FAR}"));
    }
    if let Err(reason) = &wire {
        command.env("SPANREEL_OFFLINE", reason);
    }
    command.args(arguments).current_dir(folder);
    shell::succeed(command.env("SPANREEL", target().join("debug/spanreel")))
}

/// Builds the pages if their sources are newer than what is there.
pub(crate) fn build() -> Result<()> {
    let folder = shell::root().join("recorder/web/frontend");
    let built = changed(&folder.join("dist/index.html"));
    let newest = SOURCES.iter().map(|name| newest(&folder.join(name))).max().flatten();
    if built.is_some() && built >= newest {
        return Ok(());
    }
    setup::install(&PROGRAMS)?;
    packages(&folder)?;
    let folder = folder.to_string_lossy();
    shell::run("npm", &["--prefix", &*folder, "run", "--silent", "build"])
}

/// Installs what the lock file names, unless that is what is there.
fn packages(folder: &Path) -> Result<()> {
    let installed = changed(&folder.join("node_modules/.package-lock.json"));
    if installed.is_some() && installed >= changed(&folder.join("package-lock.json")) {
        return Ok(());
    }
    let folder = folder.to_string_lossy();
    shell::run("npm", &["--prefix", &*folder, "ci", "--no-audit", "--no-fund"])
        .context("what the pages are built with cannot be installed: is npm's registry reachable?")
}

fn changed(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|about| about.modified()).ok()
}

/// When the newest file at or below `path` was changed.
fn newest(path: &Path) -> Option<SystemTime> {
    let Ok(entries) = fs::read_dir(path) else { return changed(path) };
    let below: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    below.iter().map(|path| newest(path)).max().flatten()
}
