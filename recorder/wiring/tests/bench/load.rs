//! `bench load`: every call is recorded and checked, and nothing is left behind.

use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::{bench, json, names, needs_root};

#[test]
fn calls_over_a_wire_are_recorded_and_checked() {
    if !needs_root("calls_over_a_wire_are_recorded_and_checked") {
        return;
    }
    let data = tempfile::tempdir().unwrap();
    let mut command = bench("load", data.path());
    let report = json(command.args(["--calls", "10", "--seconds", "2", "--start-spread", "1"]));
    let trial = &report["trials"][0];
    assert_eq!(trial["checked"]["exact"], 10, "{trial}");
    assert_eq!(trial["checked"]["falseRecordings"], 0, "{trial}");
    assert_eq!(trial["drops"], serde_json::json!({}), "{trial}");
    // 2 x 100 packets, a report each now and then, 7 SIP messages.
    let frames = trial["sent"]["frames"].as_u64().unwrap();
    assert!((10 * 207..=10 * 210).contains(&frames), "{trial}");
    assert_eq!(trial["ledger"]["framesReceived"], frames, "{trial}");
    assert!(trial["used"]["cpuSeconds"].as_f64().unwrap() > 0.0, "{trial}");
    assert!(trial["used"]["stages"]["capture"].as_f64().unwrap() > 0.0, "{trial}");
    assert_eq!(names(data.path()), [""; 0], "the bench's folder is gone");
}

#[test]
fn calls_from_memory_lose_what_they_should_and_nothing_else() {
    let data = tempfile::tempdir().unwrap();
    let mut command = bench("load", data.path());
    command.args(["--calls", "6", "--seconds", "3", "--loss", "3", "--codec", "pcma"]);
    let report = json(command.arg("--from-memory"));
    let trial = &report["trials"][0];
    assert_eq!(trial["checked"]["exact"], 6, "{trial}");
    assert_eq!(trial["ledger"]["incomplete"], 6, "the loss is told: {trial}");
    assert_eq!(trial["failures"], serde_json::json!([]), "{trial}");
}

#[test]
fn encrypted_calls_are_kept_as_they_were_sent() {
    let data = tempfile::tempdir().unwrap();
    let mut command = bench("load", data.path());
    command.args(["--calls", "4", "--seconds", "3", "--loss", "3", "--srtp", "--from-memory"]);
    let report = json(&mut command);
    let trial = &report["trials"][0];
    assert_eq!(trial["workload"]["srtp"], true, "{trial}");
    assert_eq!(trial["checked"]["exact"], 4, "{trial}");
    assert_eq!(trial["ledger"]["incomplete"], 4, "the loss is told: {trial}");
    assert_eq!(trial["failures"], serde_json::json!([]), "{trial}");
}

#[test]
fn an_interrupted_bench_leaves_nothing_behind() {
    if !needs_root("an_interrupted_bench_leaves_nothing_behind") {
        return;
    }
    let data = tempfile::tempdir().unwrap();
    let mut command = bench("load", data.path());
    command.args(["--calls", "2", "--seconds", "600"]).stderr(Stdio::piped()).stdout(Stdio::null());
    let child = command.spawn().unwrap();
    let recorder = wait_for_child(child.id());
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("interrupted"));
    assert!(test_kill_process(recorder).is_err(), "the recorder is gone");
    assert_eq!(names(data.path()), [""; 0], "the bench's folder is gone");
}

#[test]
fn the_recorder_does_not_outlive_a_bench_that_is_killed() {
    if !needs_root("the_recorder_does_not_outlive_a_bench_that_is_killed") {
        return;
    }
    let data = tempfile::tempdir().unwrap();
    let mut command = bench("load", data.path());
    command.args(["--calls", "2", "--seconds", "600"]).stderr(Stdio::null()).stdout(Stdio::null());
    let mut child = command.spawn().unwrap();
    let recorder = wait_for_child(child.id());
    child.kill().unwrap();
    child.wait().unwrap();
    for _ in 0..6_000 {
        // It may be nobody's child any more and not yet be collected.
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", recorder.as_raw_nonzero()));
        if stat.is_err() || stat.is_ok_and(|it| it.contains(") Z ")) {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("the recorder still runs");
}

/// The recorder that a bench has started, once it records.
fn wait_for_child(bench: u32) -> Pid {
    for _ in 0..6_000 {
        let tasks = std::fs::read_dir(format!("/proc/{bench}/task")).into_iter().flatten();
        for task in tasks.flatten() {
            let children = std::fs::read_to_string(task.path().join("children"));
            let child = children.ok().and_then(|it| it.split_whitespace().next()?.parse().ok());
            let Some(child) = child.and_then(Pid::from_raw) else { continue };
            let command = format!("/proc/{}/cmdline", child.as_raw_nonzero());
            // Not `ip`, which makes the wire.
            if std::fs::read_to_string(command).is_ok_and(|it| it.contains("--end-with-parent")) {
                std::thread::sleep(Duration::from_secs(2));
                return child;
            }
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("no recorder is started");
}
