//! `--report`, `bench plan`, `bench disk`: what they say holds together.

use std::path::Path;
use std::process::Command;

use crate::{bench, json, names};

#[test]
fn a_report_is_signed_and_a_plan_can_be_made_from_it() {
    let (data, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut another = Command::new(env!("CARGO_BIN_EXE_spanreel"));
    another.args(["bench", "load", "--calls", "1", "--seconds", "1", "--from-memory", "--data"]);
    another.arg(other.path().join("other")).arg("--report").arg(other.path().join("other.html"));
    assert!(another.output().unwrap().status.success());
    let page = data.path().join("load.html");
    let mut command = bench("load", data.path());
    command.args(["--calls", "3", "--seconds", "2", "--from-memory", "--report"]).arg(&page);
    let printed = json(&mut command);
    let content = std::fs::read_to_string(&page).unwrap();
    for told in ["<title>Spanreel bench load</title>", "passed", "Ledger", "SHA-256"] {
        assert!(content.contains(told), "{told}: {content}");
    }
    assert!(!content.contains("<script") && !content.contains("http"), "{content}");
    let saved = page.with_extension("json");
    let read: serde_json::Value = serde_json::from_slice(&std::fs::read(&saved).unwrap()).unwrap();
    assert_eq!(read["trials"], printed["trials"]);
    for file in [&page, &saved] {
        assert_signed(file, &data.path().join("keys/node.crt"));
        assert!(is_verified(file, data.path()));
        assert!(!is_verified(file, &other.path().join("other")), "signed by another node");
    }
    for told in ["failure behaviour", "configuration", "interface", "flush"] {
        assert!(content.to_lowercase().contains(told), "{told}: {content}");
    }
    assert!(read["trials"][0]["callsPerCore"].as_f64().unwrap() > 0.0);
    std::fs::write(&page, content.replace("passed", "PASSED")).unwrap();
    assert!(!is_signed(&page, &data.path().join("keys/node.crt")), "an altered page");
    assert!(!is_verified(&page, data.path()), "an altered page");

    let mut plan = Command::new(env!("CARGO_BIN_EXE_spanreel"));
    plan.args(["bench", "plan", "--calls", "1000", "--hours", "8", "--retention", "30"]);
    let planned = json(plan.arg("--from").arg(&saved));
    let cpu = printed["trials"][0]["used"]["cpuSeconds"].as_f64().unwrap() / 6.0;
    let used = planned["coefficients"]["cpuSeconds"].as_f64().unwrap();
    assert!((cpu - used).abs() < 1e-9, "{planned}");
    assert_eq!(planned["needs"][0]["what"], "cores", "{planned}");
    let cores = planned["needs"][0]["amount"].as_f64().unwrap();
    assert_eq!(cores, (1_000.0 * cpu / 0.6).ceil(), "{planned}");
}

/// By Spanreel itself, for the node of a data folder.
fn is_verified(file: &Path, data: &Path) -> bool {
    let mut verify = Command::new(env!("CARGO_BIN_EXE_spanreel"));
    verify.arg("verify").arg(file).arg("--data").arg(data).output().unwrap().status.success()
}

fn assert_signed(file: &Path, certificate: &Path) {
    assert!(is_signed(file, certificate), "{}", file.display());
}

/// By what everybody has.
fn is_signed(file: &Path, certificate: &Path) -> bool {
    let mut openssl = Command::new("openssl");
    openssl.args([
        "cms",
        "-verify",
        "-binary",
        "-inform",
        "DER",
        "-purpose",
        "any",
        "-out",
        "/dev/null",
    ]);
    openssl.arg("-in").arg(format!("{}.p7s", file.display())).arg("-content").arg(file);
    openssl.arg("-CAfile").arg(certificate).output().unwrap().status.success()
}

#[test]
fn a_disk_is_measured_and_left_as_it_was() {
    let data = tempfile::tempdir().unwrap();
    let report = json(bench("disk", data.path()).args(["--seconds", "1", "--writers", "2"]));
    let disk = &report["disk"];
    assert!(disk["megabytesPerSecond"].as_f64().unwrap() > 0.0, "{disk}");
    let [p50, p99, max] = ["p50Ms", "p99Ms", "maxMs"].map(|it| disk["flush"][it].as_f64().unwrap());
    assert!(0.0 < p50 && p50 <= p99 && p99 <= max, "{disk}");
    assert_eq!(disk["writers"], 2);
    assert_eq!(names(data.path()), [""; 0]);
}
