//! `cargo xtask web`: builds the window's pages, which the program then has in it.
//!
//! The Rust build alone needs neither node nor npm: a program built without the pages says so where they would be.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context as _, Result};

use crate::{setup, shell};

/// What builds the pages.
const PROGRAMS: [setup::Program; 2] =
    [("node", "--version", "nodejs"), ("npm", "--version", "npm")];
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
