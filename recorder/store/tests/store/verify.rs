use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use seal::Certificate;
use store::{Problem, Recordings, Report, verify, verify_exported};

use crate::sample::Keys;

struct Fixture {
    _dir: tempfile::TempDir,
    keys: Keys,
    recordings: Recordings,
    /// Of the recording that the tests damage.
    folder: PathBuf,
}

fn fixture(sealed: bool) -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let keys = Keys::new();
    let recordings = Recordings::open(&dir.path().join("recordings")).unwrap();
    let recording = keys.publish(&recordings, 1, sealed);
    let folder = recordings.folder_of(recording.id);
    Fixture { _dir: dir, keys, recordings, folder }
}

impl Fixture {
    fn trusted(&self) -> &[Certificate] {
        std::slice::from_ref(&self.keys.node)
    }

    fn verify(&self) -> Report {
        verify(&self.folder, Some(self.trusted()), None)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// What was found, as `name: message`.
fn findings(report: &Report) -> Vec<String> {
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    report
        .findings
        .iter()
        .map(|finding| format!("{}: {}", name(&finding.path), finding.problem))
        .collect()
}

const SEALED: [&str; 4] = ["audio.flac.p7m", "recording.json.p7m", "manifest.json", "manifest.p7s"];
const PLAIN: [&str; 4] = ["audio.flac", "recording.json", "manifest.json", "manifest.p7s"];

#[test]
fn an_untouched_recording_is_good_with_and_without_the_private_key() {
    for (sealed, opened) in [(true, 2), (false, 0)] {
        let fixture = fixture(sealed);
        let report = fixture.verify();
        assert_eq!(findings(&report), [""; 0]);
        assert_eq!((report.files_good, report.files_opened), (2, 0));
        let signed_by = report.signed_by.unwrap();
        assert_eq!(
            (signed_by.subject.as_str(), signed_by.trusted),
            ("CN=Spanreel node span1", true)
        );
        let report = verify(&fixture.folder, Some(fixture.trusted()), Some(&fixture.keys.key));
        assert_eq!(findings(&report), [""; 0]);
        assert_eq!((report.files_good, report.files_opened), (2, opened));
        for name in if sealed { SEALED } else { PLAIN } {
            let report =
                verify(&fixture.path(name), Some(fixture.trusted()), Some(&fixture.keys.key));
            assert_eq!(findings(&report), [""; 0], "{name}");
        }
    }
}

#[test]
fn an_altered_file_is_named_and_no_other() {
    for (sealed, names) in [(true, SEALED), (false, PLAIN)] {
        let fixture = fixture(sealed);
        for name in names {
            let path = fixture.path(name);
            let original = fs::read(&path).unwrap();
            for place in (0..original.len()).step_by(61).chain([original.len() - 1]) {
                let mut changed = original.clone();
                changed[place] ^= 1 << (place % 8);
                fs::write(&path, &changed).unwrap();
                for whole in [fixture.folder.as_path(), &path] {
                    for key in [None, Some(&fixture.keys.key)] {
                        let found = findings(&verify(whole, Some(fixture.trusted()), key));
                        assert!(!found.is_empty(), "{name}, byte {place}");
                        let named = found.iter().any(|finding| finding.starts_with(name));
                        assert!(named, "{name}, byte {place}: {found:?}");
                        // A manifest that says something else of other files says so of them too.
                        let alone = found.iter().all(|finding| finding.starts_with(name));
                        assert!(
                            alone || name == "manifest.json",
                            "{name}, byte {place}: {found:?}"
                        );
                    }
                }
            }
            fs::write(&path, &original[..original.len() - 1]).unwrap();
            assert!(findings(&fixture.verify())[0].starts_with(name));
            fs::write(&path, &original).unwrap();
        }
        assert_eq!(findings(&fixture.verify()), [""; 0]);
    }
}

#[test]
fn a_missing_file_is_named() {
    for name in SEALED {
        let fixture = fixture(true);
        fs::remove_file(fixture.path(name)).unwrap();
        let found = findings(&fixture.verify());
        assert_eq!(found, [format!("{name}: missing")]);
        let found = findings(&verify(&fixture.path(name), Some(fixture.trusted()), None));
        assert!(found.contains(&format!("{name}: missing")), "{found:?}");
    }
    let fixture = fixture(true);
    fs::remove_dir_all(&fixture.folder).unwrap();
    let report = fixture.verify();
    assert!(matches!(report.findings[0].problem, Problem::Missing), "{:?}", findings(&report));
    assert_eq!(report.findings[0].path, fixture.folder);
}

#[test]
fn what_is_added_is_named_whatever_it_is() {
    let fixture = fixture(true);
    fs::write(fixture.path("notes.txt"), b"x").unwrap();
    fs::write(fixture.path(".hidden"), b"").unwrap();
    fs::create_dir(fixture.path("sub")).unwrap();
    symlink("audio.flac.p7m", fixture.path("link")).unwrap();
    let found = findings(&fixture.verify());
    assert_eq!(
        found,
        [
            ".hidden: added: the manifest does not list it",
            "link: added: not a plain file",
            "notes.txt: added: the manifest does not list it",
            "sub: added: not a plain file",
        ]
    );
    let one = findings(&verify(&fixture.path("notes.txt"), Some(fixture.trusted()), None));
    assert_eq!(one, ["notes.txt: added: the manifest does not list it"]);
}

#[test]
fn a_link_in_the_place_of_a_file_does_not_count_as_the_file() {
    for name in SEALED {
        let fixture = fixture(true);
        let elsewhere = fixture.folder.parent().unwrap().join("elsewhere");
        fs::rename(fixture.path(name), &elsewhere).unwrap();
        symlink(&elsewhere, fixture.path(name)).unwrap();
        assert_eq!(findings(&fixture.verify()), [format!("{name}: added: not a plain file")]);
    }
}

#[test]
fn a_renamed_file_is_missing_and_added() {
    let fixture = fixture(true);
    fs::rename(fixture.path("audio.flac.p7m"), fixture.path("audio-2.flac.p7m")).unwrap();
    assert_eq!(
        findings(&fixture.verify()),
        ["audio.flac.p7m: missing", "audio-2.flac.p7m: added: the manifest does not list it"]
    );
}

#[test]
fn files_and_folders_do_not_pass_for_those_of_another_recording() {
    let fixture = fixture(true);
    let other = fixture.keys.publish(&fixture.recordings, 2, true);
    let other = fixture.recordings.folder_of(other.id);
    let swap = |name: &str| {
        let (a, b) = (fixture.path(name), other.join(name));
        let (bytes, other_bytes) = (fs::read(&a).unwrap(), fs::read(&b).unwrap());
        fs::write(a, other_bytes).unwrap();
        fs::write(b, bytes).unwrap();
    };
    swap("audio.flac.p7m");
    for folder in [&fixture.folder, &other] {
        let found = findings(&verify(folder, Some(fixture.trusted()), Some(&fixture.keys.key)));
        assert!(found.len() == 1 && found[0].starts_with("audio.flac.p7m: altered: "), "{found:?}");
    }
    // Everything but the name.
    swap("audio.flac.p7m");
    SEALED.iter().for_each(|name| swap(name));
    let found = findings(&fixture.verify());
    assert!(found.len() == 1 && found[0].contains("must have that name"), "{found:?}");
    // The manifest and its signature only.
    ["audio.flac.p7m", "recording.json.p7m"].iter().for_each(|name| swap(name));
    let found = findings(&fixture.verify());
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(
        found[1].starts_with("audio.flac.p7m: altered")
            && found[2].starts_with("recording.json.p7m: altered")
    );
}

#[test]
fn a_recording_signed_anew_by_somebody_else_is_noticed() {
    let fixture = fixture(true);
    let json = fs::read(fixture.path("manifest.json")).unwrap();
    let stranger = Keys::new();
    let signature = stranger.signer.sign(&json, crate::sample::NOW).unwrap();
    fs::write(fixture.path("manifest.p7s"), signature).unwrap();
    let report = fixture.verify();
    let found = findings(&report);
    assert!(found.len() == 1 && found[0].contains("not trusted"), "{found:?}");
    assert_eq!(report.signed_by.unwrap().fingerprint, stranger.node.fingerprint());
    // Without anybody to trust, the report says who it was.
    let report = verify(&fixture.folder, None, None);
    assert!(report.findings.is_empty() && !report.signed_by.unwrap().trusted);
}

#[test]
fn with_a_key_the_plain_content_is_compared() {
    let fixture = fixture(true);
    let stranger = Keys::new();
    let found = findings(&verify(&fixture.folder, None, Some(&stranger.key)));
    assert_eq!(found.len(), 2);
    assert!(
        found.iter().all(|finding| finding.contains("does not open: not sealed for this key")),
        "{found:?}"
    );
    // A node that signs what it did not seal.
    let path = fixture.path("manifest.json");
    let json = String::from_utf8(fs::read(&path).unwrap()).unwrap();
    let plain = |json: &str| json.find("\"plainSha256\": \"").unwrap() + 16;
    let mut changed = json.clone().into_bytes();
    changed[plain(&json)] = if changed[plain(&json)] == b'0' { b'1' } else { b'0' };
    fs::write(&path, &changed).unwrap();
    let signature = fixture.keys.signer.sign(&changed, crate::sample::NOW).unwrap();
    fs::write(fixture.path("manifest.p7s"), signature).unwrap();
    assert_eq!(findings(&fixture.verify()), [""; 0]);
    let found =
        findings(&verify(&fixture.folder, Some(fixture.trusted()), Some(&fixture.keys.key)));
    assert!(found.len() == 1 && found[0].contains("the plain content is not what"), "{found:?}");
}

/// What `spanreel export` makes.
fn export(fixture: &Fixture, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(&fixture.folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let stored = fs::read(&path).unwrap();
        match name.strip_suffix(".p7m") {
            Some(plain) => {
                let opened = seal::open(&stored, &fixture.keys.key).unwrap();
                fs::write(to.join(plain), &*opened).unwrap();
            }
            None => fs::write(to.join(name), stored).unwrap(),
        }
    }
}

#[test]
fn a_bundle_is_checked_by_its_opened_files() {
    let fixture = fixture(true);
    let bundle = fixture.folder.parent().unwrap().join("for the court");
    export(&fixture, &bundle);
    let check = |path: &Path| verify_exported(path, Some(fixture.trusted()), None);
    let report = check(&bundle);
    assert_eq!(findings(&report), [""; 0]);
    assert_eq!((report.files_good, report.files_exported, report.files_opened), (2, 2, 0));
    assert_eq!(report.recording, Some(crate::sample::recording(1).id));
    for name in PLAIN {
        assert_eq!(findings(&check(&bundle.join(name))), [""; 0], "{name}");
    }
    // What is stored is good as well; and as a stored recording, a bundle is none.
    assert_eq!(findings(&check(&fixture.folder)), [""; 0]);
    let stored = findings(&verify(&bundle, Some(fixture.trusted()), None));
    assert_eq!(stored.len(), 5, "{stored:?}");
    assert!(stored.contains(&"audio.flac.p7m: missing".to_owned()), "{stored:?}");

    let audio = bundle.join("audio.flac");
    let whole = fs::read(&audio).unwrap();
    let mut altered = whole.clone();
    altered[700] ^= 1;
    fs::write(&audio, &altered).unwrap();
    for path in [&bundle, &audio] {
        let found = findings(&check(path));
        assert!(
            found.len() == 1 && found[0].starts_with("audio.flac: altered: SHA-256"),
            "{found:?}"
        );
    }
    fs::write(&audio, &whole[..whole.len() - 1]).unwrap();
    assert!(findings(&check(&bundle))[0].starts_with("audio.flac: altered: 2000 bytes"));
    fs::write(&audio, whole).unwrap();
    fs::write(bundle.join("notes.txt"), b"x").unwrap();
    assert_eq!(findings(&check(&bundle)), ["notes.txt: added: the manifest does not list it"]);
    fs::remove_file(bundle.join("notes.txt")).unwrap();
    fs::remove_file(bundle.join("recording.json")).unwrap();
    assert_eq!(findings(&check(&bundle)), ["recording.json.p7m: missing"]);
}

#[test]
fn a_bundle_does_not_pass_for_another_recording() {
    let fixture = fixture(true);
    let other = crate::sample::recording(2).id.to_string();
    let bundle = fixture.folder.parent().unwrap().join(other);
    export(&fixture, &bundle);
    let found = findings(&verify_exported(&bundle, Some(fixture.trusted()), None));
    assert!(found.len() == 1 && found[0].contains("must have that name"), "{found:?}");
    // An opened file beside the sealed one is one too many.
    fs::copy(bundle.join("audio.flac"), fixture.path("audio.flac")).unwrap();
    let found = findings(&verify_exported(&fixture.folder, Some(fixture.trusted()), None));
    assert_eq!(found, ["audio.flac: added: the manifest does not list it"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_change_of_any_file_is_named(
        file in 0..4_usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), 1..=255_u8), 1..4),
        manifest in any::<bool>(),
    ) {
        let fixture = fixture(true);
        let name = SEALED[file];
        let mut bytes = fs::read(fixture.path(name)).unwrap();
        let original = bytes.clone();
        for (place, change) in changes {
            let place = place.index(bytes.len());
            bytes[place] ^= change;
        }
        prop_assume!(bytes != original);
        fs::write(fixture.path(name), bytes).unwrap();
        let whole = if manifest { fixture.path(name) } else { fixture.folder.clone() };
        let found = findings(&verify(&whole, Some(fixture.trusted()), None));
        prop_assert!(found.iter().any(|finding| finding.starts_with(name)), "{name}: {found:?}");
    }

    #[test]
    fn arbitrary_files_never_panic(
        json in prop::collection::vec(any::<u8>(), 0..200),
        signature in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("manifest.json"), json).unwrap();
        fs::write(dir.path().join("manifest.p7s"), signature).unwrap();
        prop_assert!(!verify(dir.path(), None, None).findings.is_empty());
    }
}
