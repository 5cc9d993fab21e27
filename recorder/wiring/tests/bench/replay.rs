//! `bench replay`: each copy of a capture is a call of its own and sounds as the original does.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{bench, json, names, needs_root};

/// Of the shared captures: path, recordings, and what it is about.
const CAPTURES: &[(&str, u64, &str)] = &[
    ("NormB__sipnab/tests__pcap-samples__rtp-protocol.pcap", 1, "PRACK, RTCP"),
    ("NormB__sipnab/tests__pcap-samples__sip-over-tcp.pcap", 1, "SIP over TCP"),
    ("NormB__sipnab/tests__pcap-samples__sip-rtp-g711.pcap", 2, "two calls, both laws"),
    (
        "NormB__sipnab/tests__pcap-samples__b2bua-asterisk.pcapng",
        2,
        "two calls that share their media",
    ),
    ("0xSp3ctra__RTP-PARSING/old__voip.pcap", 1, "hops, other addresses than announced"),
    ("goffinet__sip_captures/voip-extension.pcap", 2, "hops, transfer, keys"),
    ("derived__rewrap/udpopus__ipfrag_rev.pcap", 1, "IP fragments, last first"),
    ("derived__rewrap/udpopus__vlan.pcap", 1, "VLAN, media that is kept as packets"),
];

fn captures() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/captures/files");
    folder.is_dir().then_some(folder)
}

#[test]
fn copies_of_real_captures_sound_as_the_originals_do() {
    let Some(folder) = captures() else {
        eprintln!("skipped: copies_of_real_captures_sound_as_the_originals_do: no shared captures");
        return;
    };
    for (path, recordings, about) in CAPTURES {
        let data = tempfile::tempdir().unwrap();
        let mut command = bench("replay", data.path());
        let report = json(command.arg(folder.join(path)).args(["--copies", "3"]));
        let replay = &report["replay"];
        assert_eq!(replay["failures"], serde_json::json!([]), "{path} ({about})");
        assert_eq!(replay["originalRecordings"], *recordings, "{path} ({about})");
        assert_eq!(replay["recordings"], 3 * recordings, "{path} ({about})");
        assert_eq!(names(data.path()), [""; 0], "{path}");
    }
}

fn synthetic(folder: &Path) -> PathBuf {
    let capture = folder.join("calls.pcap");
    let mut synth = Command::new(env!("CARGO_BIN_EXE_spanreel"));
    synth.args(["synth", "--calls", "4", "--seconds", "2", "--start-spread", "1"]);
    synth.args(["--loss", "2", "--reorder", "2", "--duplicate", "2", "--to"]);
    assert!(synth.arg(&capture).output().unwrap().status.success());
    capture
}

#[test]
fn copies_go_over_a_wire_too() {
    if !needs_root("copies_go_over_a_wire_too") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let capture = synthetic(folder.path());
    let mut command = bench("replay", &folder.path().join("data"));
    let report = json(command.arg(&capture).args(["--copies", "5", "--live"]));
    let replay = &report["replay"];
    assert_eq!(replay["recordings"], 20, "{replay}");
    assert_eq!(replay["ledger"]["framesReceived"], replay["frames"], "{replay}");
    assert_eq!(replay["failures"], serde_json::json!([]), "{replay}");
}

#[test]
fn a_file_that_is_no_capture_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("notes.txt");
    std::fs::write(&file, "no capture at all, but long enough to look into").unwrap();
    let mut command = bench("replay", folder.path());
    let output = command.arg(&file).args(["--copies", "2"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("notes.txt"), "{output:?}");
}
