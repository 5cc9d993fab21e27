//! Bad input: a clear message, exit status 1, and no half recording.

use std::path::Path;

use crate::harness::{Data, is_root, names, program, read, run, spanreel, synth, tell};

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// Nothing that looks like a recording, not even a hidden beginning of one.
fn no_recording(data: &Data) {
    let recordings = data.path().join("recordings");
    assert!(!recordings.exists() || names(&recordings).is_empty(), "{:?}", names(&recordings));
}

#[test]
fn what_is_no_capture_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("notes.txt");
    for content in [&b"these are not packets, but notes"[..], b"", b"\xd4\xc3\xb2\xa1", &[0; 4_096]]
    {
        std::fs::write(&path, content).unwrap();
        let data = Data::new();
        data.replay(&path).fails_naming(&[text(&path)]);
        no_recording(&data);
    }
    Data::new().replay(&folder.path().join("no.pcap")).fails_naming(&["no.pcap"]);
    Data::new().replay(folder.path()).fails_naming(&["directory"]);
}

#[test]
fn a_capture_cut_in_a_packet_is_finished_up_to_there() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let capture = synth(&folder, &["--calls", "6", "--seconds", "4", "--start-spread", "20"]);
    let whole = Data::of(&capture).list();
    let bytes = read(&capture);
    std::fs::write(&capture, &bytes[..bytes.len() * 3 / 5 + 7]).unwrap();
    let data = Data::new();
    data.replay(&capture).fails_naming(&[text(&capture), "packet"]);
    let found = data.list();
    let complete: Vec<_> = found.iter().filter(|recording| recording.end_reason == "BYE").collect();
    assert!(
        !complete.is_empty() && found.len() < whole.len(),
        "{} of {}",
        found.len(),
        whole.len()
    );
    for recording in complete {
        let undisturbed = whole.iter().find(|other| other.id == recording.id).expect("the same id");
        assert_eq!(
            (&recording.streams, &recording.gaps),
            (&undisturbed.streams, &undisturbed.gaps)
        );
    }
    for cut in found.iter().filter(|recording| recording.end_reason != "BYE") {
        assert!(!cut.complete, "{} ended with {}", cut.id, cut.end_reason);
    }
    data.run(&["verify"]).ok();
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let capture = synth(&folder, &["--calls", "1", "--seconds", "1"]);
    let file = folder.path().join("a-file");
    std::fs::write(&file, b"in the way").unwrap();
    for out in [file.join("out"), "/proc/spanreel".into()] {
        run(&["replay", text(&capture), "--out", text(&out)]).fails_naming(&[text(&out)]);
    }
}

/// Its log is on a full disk: what it has to say about a capture that is cut off cannot be written.
#[test]
fn what_nobody_can_hear_stops_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let capture = synth(&folder, &["--calls", "3", "--seconds", "2"]);
    let bytes = read(&capture);
    std::fs::write(&capture, &bytes[..bytes.len() - 7]).unwrap();
    let data = Data::new();
    let status = std::process::Command::new(spanreel())
        .args(["--verbose", "replay", text(&capture), "--out", text(&data.path())])
        .stderr(std::fs::File::options().write(true).open("/dev/full").unwrap())
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap();
    // Of a panic it would be 101.
    assert_eq!(status.code(), Some(1));
    assert_eq!(data.list().len(), 3);
}

#[test]
fn a_full_disk_leaves_no_half_recording() {
    if !is_root() {
        return tell("SKIPPED: a full disk (only root can mount a small one)");
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let capture = synth(&folder, &["--calls", "8", "--seconds", "60"]);
    let small = Mount::new(folder.path().join("small"), "4m");
    let Some(small) = small else {
        return tell("SKIPPED: a full disk (tmpfs cannot be mounted here)");
    };
    let out = small.0.join("data");
    let replay = ["replay", text(&capture), "--out", text(&out)];
    let ran = run(&replay).fails_naming(&[text(&out)]);
    assert!(ran.err.contains("space") || ran.err.contains("full"), "{}", ran.err);
    let recordings = out.join("recordings");
    let kept = if recordings.exists() { names(&recordings) } else { vec![] };
    assert!(kept.iter().all(|name| !name.starts_with('.')), "{kept:?}");
    // With room, the same again finishes what is missing, and no half of anything is in the way.
    let room = ["-o", "remount,size=200m", text(&small.0)];
    program("mount", &room).ok();
    run(&replay).ok();
    run(&["verify", "--data", text(&out)]).ok();
    assert_eq!(names(&recordings).len(), 8);
}

/// A small file system, gone when dropped.
struct Mount(std::path::PathBuf);

impl Mount {
    fn new(at: std::path::PathBuf, size: &str) -> Option<Self> {
        std::fs::create_dir(&at).ok()?;
        let options = format!("size={size}");
        let ran = program("mount", &["-t", "tmpfs", "-o", &options, "tmpfs", text(&at)]);
        (ran.code == Some(0)).then_some(Self(at))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        program("umount", &[text(&self.0)]);
    }
}

#[test]
fn a_wrong_key_opens_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let capture = synth(&folder, &["--calls", "1", "--seconds", "2"]);
    let (data, other) = (Data::of(&capture), Data::of(&capture));
    let id = data.list()[0].id.to_string();
    let key = other.path().join("keys/recording.key");
    let (to, exported) = (folder.path().join("call.wav"), folder.path().join("exported"));
    data.run(&["play", &id, "--key", text(&key), "--to", text(&to)]).fails_naming(&["key"]);
    data.run(&["export", &id, "--key", text(&key), "--to", text(&exported)]).fails_naming(&["key"]);
    assert!(!to.exists() && !exported.exists());
    std::fs::write(&to, b"-----BEGIN PRIVATE KEY-----\nnonsense\n-----END PRIVATE KEY-----\n")
        .unwrap();
    let wav = folder.path().join("other.wav");
    data.run(&["play", &id, "--key", text(&to), "--to", text(&wav)]).fails_naming(&[text(&to)]);
}

#[test]
fn a_certificate_that_cannot_be_sealed_for_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let capture = synth(&folder, &["--calls", "1", "--seconds", "1"]);
    let (key, certificate) = (folder.path().join("ed25519.key"), folder.path().join("ed25519.crt"));
    let request = format!(
        "req -x509 -newkey ed25519 -nodes -subj /CN=nobody -days 30 -keyout {} -out {}",
        text(&key),
        text(&certificate)
    );
    program("openssl", &request.split_whitespace().collect::<Vec<_>>()).ok();
    let nonsense = folder.path().join("nonsense.crt");
    std::fs::write(&nonsense, b"not a certificate").unwrap();
    for bad in [&certificate, &nonsense, &folder.path().join("absent.crt")] {
        let data = Data::new();
        let out = data.path();
        let arguments = ["replay", text(&capture), "--out", text(&out), "--cert", text(bad)];
        run(&arguments).fails_naming(&[text(bad)]);
        no_recording(&data);
    }
}

#[test]
fn a_wrong_call_ends_with_status_2() {
    for arguments in
        [&["replay"][..], &["nonsense"], &["synth", "--calls", "0", "--to", "x"], &["play"]]
    {
        let ran = run(arguments);
        assert_eq!(ran.code, Some(2), "{arguments:?}: {}", ran.err);
        assert!(ran.err.contains("Usage") || ran.err.contains("--help"), "{}", ran.err);
    }
}
