use std::fs;
use std::path::PathBuf;

use seal::{Certificate, OpenError};
use store::{Checked, Finding, Problem, Recordings};

use crate::sample::Keys;

struct Fixture {
    _dir: tempfile::TempDir,
    keys: Keys,
    id: base::RecordingId,
    folder: PathBuf,
}

fn fixture(sealed: bool) -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let keys = Keys::new();
    let recordings = Recordings::open(&dir.path().join("recordings")).unwrap();
    let recording = keys.publish(&recordings, 1, sealed);
    let folder = recordings.folder_of(recording.id);
    Fixture { _dir: dir, keys, id: recording.id, folder }
}

impl Fixture {
    fn open(&self, trusted: Option<&[Certificate]>) -> Result<Checked, Finding> {
        Checked::open(&self.folder, self.id, trusted)
    }

    fn trusted(&self) -> &[Certificate] {
        std::slice::from_ref(&self.keys.node)
    }

    /// The recording's audio.
    fn audio(&self) -> Result<Vec<u8>, Problem> {
        let checked = self.open(Some(self.trusted())).map_err(|finding| finding.problem)?;
        let audio = |file: &&seal::manifest::File| file.plain_name == "audio.flac";
        let file = checked.manifest().files.iter().find(audio).unwrap();
        let read = checked.read(file, &[&Keys::new().key, &self.keys.key]);
        read.map(|plain| plain.to_vec()).map_err(|finding| finding.problem)
    }
}

#[test]
fn what_was_signed_is_given_with_whichever_key_fits() {
    let plain = fixture(false).audio().unwrap();
    assert!(!plain.is_empty());
    assert_eq!(fixture(true).audio().unwrap(), plain);
}

#[test]
fn without_a_key_that_fits_it_says_whose_would() {
    let fixture = fixture(true);
    let checked = fixture.open(None).unwrap();
    let file = &checked.manifest().files[0];
    for keys in [&[][..], &[&Keys::new().key]] {
        let problem = checked.read(file, keys).unwrap_err().problem;
        let Problem::DoesNotOpen(OpenError::NotForThisKey { recipients }) = problem else {
            panic!("{problem}")
        };
        assert_eq!(recipients.len(), 1);
    }
}

#[test]
fn an_altered_file_is_not_given() {
    for sealed in [true, false] {
        let fixture = fixture(sealed);
        let path = fixture.folder.join(if sealed { "audio.flac.p7m" } else { "audio.flac" });
        let good = fs::read(&path).unwrap();
        let mut bytes = good.clone();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&path, &bytes).unwrap();
        assert!(matches!(fixture.audio(), Err(Problem::Hash { .. })));
        fs::write(&path, &good[1..]).unwrap();
        assert!(matches!(fixture.audio(), Err(Problem::Size { .. })));
        fs::remove_file(&path).unwrap();
        assert!(matches!(fixture.audio(), Err(Problem::Missing)));
        fs::write(&path, &good).unwrap();
        assert!(fixture.audio().is_ok());
    }
}

#[test]
fn nothing_is_given_under_a_manifest_that_nobody_signed() {
    let fixture = fixture(true);
    let manifest = fixture.folder.join("manifest.json");
    let good = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, good.replace("span1", "span2")).unwrap();
    assert!(matches!(fixture.audio(), Err(Problem::Signature(_))));
    fs::write(&manifest, good).unwrap();
    let others = [Keys::new().node];
    let problem = fixture.open(Some(&others)).unwrap_err().problem;
    assert!(matches!(problem, Problem::UnknownSigner { .. }), "{problem}");
    fs::remove_file(fixture.folder.join("manifest.p7s")).unwrap();
    assert!(matches!(fixture.audio(), Err(Problem::Missing)));
}

#[test]
fn another_recordings_folder_is_not_taken_for_this_one() {
    let fixture = fixture(true);
    let other = crate::sample::recording(2).id;
    let problem = Checked::open(&fixture.folder, other, None).unwrap_err().problem;
    assert!(matches!(problem, Problem::WrongFolder(id) if id == fixture.id));
    let nowhere = fixture.folder.with_file_name(other.to_string());
    assert!(matches!(Checked::open(&nowhere, other, None).unwrap_err().problem, Problem::Missing));
}
