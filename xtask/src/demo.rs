//! `cargo xtask demo`: the main job, seen from outside.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::shell::{self, cargo};

/// Records a capture, lists the recordings, verifies one and says where its audio is.
pub(crate) fn run(capture: Option<&Path>) -> Result<()> {
    crate::setup::run()?;
    shell::run(cargo(), &["build", "--release", "--quiet", "--package", "wiring"])?;
    let spanreel = shell::target().join("release/spanreel");
    let folder = fresh_folder()?;
    let capture = match capture {
        Some(capture) => std::path::absolute(capture)?,
        None => synthetic(&spanreel, &folder)?,
    };
    let data = folder.join("data");
    let (capture, data) = (capture.to_string_lossy(), data.to_string_lossy());
    shell::run(&spanreel, &["replay", &*capture, "--out", &*data])?;
    shell::run(&spanreel, &["list", "--data", &*data])?;
    let list = shell::output(&spanreel, &["list", "--data", &*data, "--json", "--limit", "1"])?;
    let Some(id) = list.split("\"id\":\"").nth(1).and_then(|rest| rest.split('"').next()) else {
        bail!("the capture holds no call that could be recorded");
    };
    shell::run(&spanreel, &["verify", id, "--data", &*data])?;
    let audio = folder.join("call.wav");
    shell::run(&spanreel, &["play", id, "--data", &*data, "--to", &*audio.to_string_lossy()])?;
    println!("\nOne recording, verified: {data}/recordings/{id}");
    println!("Its audio (caller left, callee right): {}", audio.display());
    Ok(())
}

fn fresh_folder() -> Result<PathBuf> {
    let folder = shell::target().join("demo");
    if folder.exists() {
        std::fs::remove_dir_all(&folder)
            .with_context(|| format!("cannot empty {}", folder.display()))?;
    }
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

fn synthetic(spanreel: &Path, folder: &Path) -> Result<PathBuf> {
    let capture = folder.join("twenty-calls.pcap");
    let to = capture.to_string_lossy();
    let shape = [
        "synth",
        "--calls",
        "20",
        "--seconds",
        "12",
        "--codec",
        "mix",
        "--seed",
        "1",
        "--loss",
        "0.5",
    ];
    let mut arguments = shape.to_vec();
    arguments.extend(["--to", &*to]);
    shell::run(spanreel, &arguments)?;
    Ok(capture)
}
