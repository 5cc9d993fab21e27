//! Killed at any moment, and started again: the same recordings as if nothing had happened.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rayon::prelude::*;

use crate::harness::{self, Data, read, sha256, synth, tell};

const KILLS: u32 = 20;

/// Id of each recording, and the SHA-256 of its sound.
type Kept = BTreeMap<String, Vec<String>>;

fn kept(data: &Data) -> Kept {
    let list = data.list();
    let kept: Kept = list
        .iter()
        .map(|recording| {
            let folder = data.export(recording);
            let files = recording.media_files.iter().map(|file| file.path.trim_end_matches(".p7m"));
            (recording.id.to_string(), files.map(|name| sha256(read(&folder.join(name)))).collect())
        })
        .collect();
    assert_eq!(kept.len(), list.len(), "a recording is listed twice");
    let folders = harness::names(&data.path().join("recordings"));
    assert_eq!(folders, kept.keys().cloned().collect::<Vec<_>>(), "folders and catalog differ");
    data.run(&["verify"]).ok();
    kept
}

fn start(data: &Data, capture: &std::path::Path) -> Child {
    let mut command = Command::new(harness::spanreel());
    command.arg("replay").arg(capture).arg("--out").arg(data.path());
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("spanreel starts")
}

#[test]
#[expect(clippy::disallowed_methods, reason = "how long a run takes says when to kill the others")]
fn killed_at_20_moments_it_ends_with_the_same_recordings() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let shape = [
        "--calls",
        "40",
        "--seconds",
        "20",
        "--start-spread",
        "15",
        "--loss",
        "1",
        "--reorder",
        "1",
    ];
    let capture = synth(&folder, &shape);
    let undisturbed = Data::new();
    let begun = Instant::now();
    undisturbed.replay(&capture).ok();
    let whole = begun.elapsed();
    let expected = kept(&undisturbed);
    assert_eq!(expected.len(), 40);
    let interrupted: Vec<bool> = (0..KILLS)
        .into_par_iter()
        .map(|number| {
            let data = Data::new();
            let killed = kill_after(&data, &capture, moment(whole, number));
            data.replay(&capture).ok();
            assert!(kept(&data) == expected, "after kill {number}, the recordings differ");
            killed
        })
        .collect();
    let killed = interrupted.iter().filter(|killed| **killed).count();
    tell(&format!("killed {killed} of {KILLS} runs of {whole:?} before they ended by themselves"));
    assert!(killed * 2 > KILLS as usize, "most runs ended before they could be killed");
}

/// One moment in each twentieth of a run.
fn moment(whole: Duration, number: u32) -> Duration {
    let within = f64::from(number.wrapping_mul(2_654_435_769) >> 16) / 65_536.0;
    whole.mul_f64((f64::from(number) + within) / f64::from(KILLS))
}

/// Whether it was still running.
fn kill_after(data: &Data, capture: &std::path::Path, delay: Duration) -> bool {
    let mut child = start(data, capture);
    std::thread::sleep(delay);
    let running = child.try_wait().expect("it can be asked").is_none();
    child.kill().expect("SIGKILL is sent");
    child.wait().expect("it ends");
    running
}

/// A run that is killed again and again gets to the end, too.
#[test]
fn killed_again_and_again_it_still_finishes() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let capture = synth(&folder, &["--calls", "20", "--seconds", "10", "--start-spread", "10"]);
    let expected = kept(&Data::of(&capture));
    let data = Data::new();
    for number in 1..=8 {
        kill_after(&data, &capture, Duration::from_millis(40 * number));
    }
    data.replay(&capture).ok();
    assert!(kept(&data) == expected);
}

/// The same capture a second time adds nothing.
#[test]
fn replaying_again_makes_no_doubles() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let capture = synth(&folder, &["--calls", "5", "--seconds", "3"]);
    let data = Data::of(&capture);
    let first = kept(&data);
    data.replay(&capture).ok();
    assert!(kept(&data) == first);
}
