//! What we write opens with the programs that everybody has: `openssl`, `flac`, `metaflac`.

use std::path::Path;

use base::recording::Recording;

use crate::harness::{Data, names, program, read, synth};

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

fn recordings() -> (Data, Vec<Recording>) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let capture = synth(&folder, &["--calls", "4", "--seconds", "5", "--loss", "1", "--seed", "8"]);
    let data = Data::of(&capture);
    let list = data.list();
    assert_eq!(list.len(), 4);
    (data, list)
}

/// Runs `openssl` with the words of `arguments`; the paths among them hold no space.
fn openssl(arguments: &str) {
    program("openssl", &arguments.split_whitespace().collect::<Vec<_>>()).ok();
}

#[test]
fn openssl_decrypts_every_sealed_file() {
    let (data, list) = recordings();
    let keys = data.path().join("keys");
    for recording in &list {
        let (sealed, opened) = (data.recording(recording), data.export(recording));
        let files: Vec<String> =
            names(&sealed).into_iter().filter(|name| name.ends_with(".p7m")).collect();
        assert!(files.iter().any(|name| name.starts_with("audio")), "{files:?}");
        for name in files {
            let plain = opened.join("by-openssl");
            openssl(&format!(
                "cms -decrypt -binary -inform DER -in {} -inkey {} -recip {} -out {}",
                text(&sealed.join(&name)),
                text(&keys.join("recording.key")),
                text(&keys.join("recording.crt")),
                text(&plain)
            ));
            assert!(read(&plain) == read(&opened.join(name.trim_end_matches(".p7m"))), "{name}");
            std::fs::remove_file(plain).expect("it was just made");
        }
    }
}

#[test]
fn openssl_verifies_every_manifest() {
    let (data, list) = recordings();
    for folder in list.iter().map(|recording| data.recording(recording)) {
        openssl(&format!(
            "cms -verify -binary -inform DER -in {} -content {} -CAfile {} -purpose any -out /dev/null",
            text(&folder.join("manifest.p7s")),
            text(&folder.join("manifest.json")),
            text(&data.path().join("keys/node.crt"))
        ));
    }
}

#[test]
fn flac_tests_and_metaflac_reads_every_audio_file() {
    let (data, list) = recordings();
    for recording in &list {
        let audio = data.export(recording).join("audio.flac");
        program("flac", &["--test", "--silent", text(&audio)]).ok();
        let tags =
            program("metaflac", &["--list", "--block-type=VORBIS_COMMENT", text(&audio)]).ok().out;
        let call_id = recording.call_id.as_deref().expect("it was signalled");
        for word in [call_id, &recording.caller_phone_number, &recording.dialed_phone_number] {
            assert!(tags.contains(word), "{word} is not among the tags: {tags}");
        }
        let samples = program("metaflac", &["--show-total-samples", text(&audio)]).ok().out;
        assert!(
            samples.trim().parse::<u64>().is_ok_and(|samples| samples > 5 * 8_000),
            "{samples}"
        );
    }
}

/// The names that DESIGN.md gives, in what `list --json` and the folder's own `recording.json` say.
#[test]
fn json_has_the_documented_names() {
    let (data, list) = recordings();
    let listed = data.run(&["list", "--json"]).ok().out;
    let first: serde_json::Value = serde_json::from_str(listed.lines().next().unwrap()).unwrap();
    for name in [
        "id",
        "callId",
        "callerPhoneNumber",
        "dialedPhoneNumber",
        "startTime",
        "stopTime",
        "duration",
        "complete",
        "gaps",
        "legs",
        "streams",
        "mediaFiles",
    ] {
        assert!(first.get(name).is_some(), "{name} is missing in {first}");
    }
    for (list, wanted) in [
        (
            "streams",
            &[
                "source",
                "destination",
                "ssrc",
                "codec",
                "packets",
                "lost",
                "duplicates",
                "jitter",
                "mos",
            ][..],
        ),
        (
            "mediaFiles",
            &[
                "mediaId",
                "path",
                "type",
                "startTime",
                "stopTime",
                "duration",
                "channels",
                "size",
                "sha256",
            ],
        ),
    ] {
        for name in wanted {
            assert!(first[list][0].get(name).is_some(), "{list}: {name} is missing in {first}");
        }
    }
    let exported = data.export(&list[0]).join("recording.json");
    let exported: Recording = serde_json::from_slice(&read(&exported)).unwrap();
    assert_eq!(exported.id, list[0].id);
    assert_eq!(
        (exported.streams, exported.media_files.len()),
        (list[0].streams.clone(), list[0].media_files.len())
    );
}

/// What `play` writes as WAV is what the FLAC holds.
#[test]
fn play_gives_the_same_samples_as_wav() {
    let (data, list) = recordings();
    let wav = data.path().join("one.wav");
    data.run(&["play", &list[0].id.to_string(), "--to", text(&wav)]).ok();
    let flac = data.export(&list[0]).join("audio.flac");
    let decoded = data.path().join("two.wav");
    program("flac", &["--decode", "--silent", "--force", "-o", text(&decoded), text(&flac)]).ok();
    assert!(read(&wav)[44..] == read(&decoded)[44..]);
}

/// As FLAC it is the stored file; one side alone is its channel; Opus is Opus.
#[test]
fn play_writes_other_formats_and_each_side_alone() {
    let (data, list) = recordings();
    let id = list[0].id.to_string();
    let play = |name: &str, more: &[&str]| {
        let to = data.path().join(name);
        data.run(&[&["play", &id, "--to", text(&to)], more].concat()).ok();
        read(&to)
    };
    assert!(play("all.flac", &[]) == read(&data.export(&list[0]).join("audio.flac")));
    let both = play("both.wav", &[]);
    let sides = [play("a.wav", &["--side", "caller"]), play("b.wav", &["--side", "callee"])];
    for (at, side) in sides.iter().enumerate() {
        let alone = both[44..].chunks(4).flat_map(|pair| &pair[2 * at..2 * at + 2]);
        assert!(side[44..].iter().eq(alone));
    }
    assert!(play("small.opus", &[]).starts_with(b"OggS"));
}
