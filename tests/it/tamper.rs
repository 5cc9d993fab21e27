//! Whoever alters, removes or adds anything in a recording is found out, and so is what.

use std::path::Path;

use crate::harness::{Data, names, read, run, synth};

/// Positions tried per file; the first and the last byte are always among them.
const FLIPS_PER_FILE: usize = 12;

fn data() -> Data {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let capture = synth(&folder, &["--calls", "2", "--seconds", "3", "--loss", "2", "--seed", "3"]);
    Data::of(&capture)
}

/// Numbers that look random: the same ones in every run, so that a failure can be repeated.
fn positions(length: usize, seed: usize) -> impl Iterator<Item = usize> {
    let spread = move |n: usize| (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_u64 as usize) ^ seed;
    [0, length - 1].into_iter().chain((2..FLIPS_PER_FILE).map(move |n| spread(n) % length))
}

#[test]
fn an_untouched_recording_passes_with_and_without_its_appliance() {
    let data = data();
    data.run(&["verify"]).ok();
    let folder = data.recording(&data.list()[0]);
    let elsewhere = tempfile::tempdir().expect("a temporary folder");
    let moved = elsewhere.path().join(folder.file_name().expect("it has one"));
    std::fs::create_dir(&moved).unwrap();
    for name in names(&folder) {
        std::fs::copy(folder.join(&name), moved.join(&name)).unwrap();
    }
    let certificate = data.path().join("keys/node.crt");
    let arguments =
        ["verify".as_ref(), moved.as_os_str(), "--node-cert".as_ref(), certificate.as_os_str()];
    run(&arguments).ok();
}

#[test]
fn any_flipped_byte_is_found_and_its_file_named() {
    let data = data();
    for (number, recording) in data.list().iter().enumerate() {
        let folder = data.recording(recording);
        for name in names(&folder) {
            let path = folder.join(&name);
            let whole = read(&path);
            for position in positions(whole.len(), number) {
                let mut altered = whole.clone();
                altered[position] ^= 1 << (position % 8);
                std::fs::write(&path, &altered).unwrap();
                let ran = data.run(&["verify", &recording.id.to_string()]);
                assert_eq!(ran.code, Some(1), "byte {position} of {name}: {}{}", ran.out, ran.err);
                ran.fails_naming(&[&name]);
            }
            std::fs::write(&path, whole).unwrap();
        }
    }
    data.run(&["verify"]).ok();
}

#[test]
fn a_missing_file_is_named() {
    let data = data();
    let folder = data.recording(&data.list()[0]);
    for name in names(&folder) {
        let (path, aside) = (folder.join(&name), data.path().join("aside"));
        std::fs::rename(&path, &aside).unwrap();
        verify(&folder, &data).fails_naming(&[&name]);
        std::fs::rename(&aside, &path).unwrap();
    }
    verify(&folder, &data).ok();
}

#[test]
fn an_added_file_is_named() {
    let data = data();
    let folder = data.recording(&data.list()[0]);
    for name in ["extra.txt", "audio-9.flac.p7m", ".hidden"] {
        std::fs::write(folder.join(name), b"one more").unwrap();
        verify(&folder, &data).fails_naming(&[name]);
        std::fs::remove_file(folder.join(name)).unwrap();
    }
    std::fs::create_dir(folder.join("folder")).unwrap();
    verify(&folder, &data).fails_naming(&["folder"]);
}

/// Each file is genuine, and from another recording.
#[test]
fn a_file_of_another_recording_is_named() {
    let data = data();
    let list = data.list();
    let (one, other) = (data.recording(&list[0]), data.recording(&list[1]));
    for name in names(&one).into_iter().filter(|name| other.join(name).exists()) {
        let whole = read(&one.join(&name));
        std::fs::copy(other.join(&name), one.join(&name)).unwrap();
        // A manifest and a signature that do not belong together: either may be the false one.
        verify(&one, &data).fails_naming(&[name.trim_end_matches(".p7s")]);
        std::fs::write(one.join(&name), whole).unwrap();
    }
    // All of them: every signature holds, but it is not the recording that the folder's name says.
    for name in names(&other) {
        std::fs::copy(other.join(&name), one.join(&name)).unwrap();
    }
    let ran = verify(&one, &data);
    assert_eq!(ran.code, Some(1), "a whole recording under another's name: {}", ran.out);
}

#[test]
fn a_removed_recording_is_missed() {
    let data = data();
    let list = data.list();
    std::fs::remove_dir_all(data.recording(&list[1])).unwrap();
    data.run(&["verify"]).fails_naming(&[&list[1].id.to_string()]);
}

fn verify(folder: &Path, data: &Data) -> crate::harness::Ran {
    data.run(&["verify", folder.to_str().expect("UTF-8")])
}
