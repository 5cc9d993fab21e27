//! `cargo xtask demo`: the main job, seen from outside.
//!
//! As root, the calls go over a wire in real time and are recorded live; else the capture file is read.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::setup::is_root;
use crate::shell::{self, cargo};
use crate::wire::Wire;

/// Records a capture, lists the recordings, verifies one and says where its audio is.
pub(crate) fn run(capture: Option<&Path>) -> Result<()> {
    crate::setup::run()?;
    if let Err(error) = crate::web::build() {
        eprintln!("The window will have no pages: {error:#}");
    }
    shell::run(cargo(), &["build", "--release", "--quiet", "--package", "wiring"])?;
    let spanreel = shell::target().join("release/spanreel");
    let folder = fresh_folder()?;
    let capture = match capture {
        Some(capture) => std::path::absolute(capture)?,
        None => synthetic(&spanreel, &folder)?,
    };
    let data = folder.join("data");
    let (capture, data) = (capture.to_string_lossy(), data.to_string_lossy());
    record(&spanreel, &capture, &data)?;
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

/// Live where that can be, else from the file.
fn record(spanreel: &Path, capture: &str, data: &str) -> Result<()> {
    let wire = match is_root() {
        true => Wire::new("demo").map_err(|error| format!("{error:#}")),
        false => Err("that needs root".into()),
    };
    match wire {
        Ok(wire) => wire.record(spanreel, capture, data),
        Err(reason) => {
            eprintln!("Not live, from the file instead: {reason}.");
            shell::run(spanreel, &["replay", capture, "--out", data])
        }
    }
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
    let shape = ["synth", "--calls", "20", "--seconds", "12", "--codec", "mix", "--seed", "1"];
    let mut arguments = shape.to_vec();
    arguments.extend(["--to", &*to]);
    shell::run(spanreel, &arguments)?;
    Ok(capture)
}
