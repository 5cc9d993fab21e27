use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use base::disk::SystemDisk;
use base::{RecordingId, Timestamp};
use store::{Existing, FolderError, NewRecording, PlaceMark, Published, Recordings};

fn id(number: u64) -> RecordingId {
    RecordingId::of_call(Timestamp::from_nanos(1), &[&number.to_le_bytes()])
}

fn names(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).unwrap();
    let mut names: Vec<_> =
        entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_published_recording_is_there_with_its_files_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data/recordings");
    let recordings = Recordings::open(&path).unwrap();
    assert!(!recordings.contains(id(1)));
    let files: [(&str, &[u8]); 2] = [("a.json", b"{}"), ("b.flac", b"")];
    assert_eq!(recordings.publish(id(1), &files, Existing::Keep).unwrap(), Published::Published);
    assert!(recordings.contains(id(1)));
    let folder = recordings.folder_of(id(1));
    assert_eq!(folder, path.join(id(1).to_string()));
    assert_eq!(names(&path), [id(1).to_string()]);
    assert_eq!(names(&folder), ["a.json", "b.flac"]);
    assert_eq!(fs::read(folder.join("a.json")).unwrap(), b"{}");
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o007;
    assert_eq!((mode(folder.join("a.json")), mode(folder)), (0, 0), "others can read it");
}

#[test]
fn an_existing_recording_is_kept_or_replaced_as_asked() {
    let dir = tempfile::tempdir().unwrap();
    let recordings = Recordings::open(dir.path()).unwrap();
    let publish =
        |files: &[(&str, &[u8])], existing| recordings.publish(id(1), files, existing).unwrap();
    publish(&[("a", b"1"), ("gone", b"")], Existing::Supersede);
    assert_eq!(publish(&[("a", b"2")], Existing::Keep), Published::AlreadyThere);
    assert_eq!(fs::read(recordings.folder_of(id(1)).join("a")).unwrap(), b"1");
    assert_eq!(publish(&[("a", b"3")], Existing::Supersede), Published::Published);
    assert_eq!(names(&recordings.folder_of(id(1))), ["a"]);
    assert_eq!(fs::read(recordings.folder_of(id(1)).join("a")).unwrap(), b"3");
    assert_eq!(names(dir.path()), [id(1).to_string()], "nothing hidden stays");
}

#[test]
fn a_batch_publishes_each_and_a_bad_one_harms_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let recordings = Recordings::open(dir.path()).unwrap();
    recordings.publish(id(7), &[("x", b"old")], Existing::Keep).unwrap();
    let good: &[(&str, &[u8])] = &[("x", b"new")];
    let bad: [&[(&str, &[u8])]; 5] = [
        &[("../x", b"")],
        &[(".x", b"")],
        &[("", b"")],
        &[("x", b""), ("x", b"")],
        &[("a/b", b"")],
    ];
    let mut batch: Vec<_> = (0..20)
        .map(|number| NewRecording { id: id(number), files: good, existing: Existing::Keep })
        .collect();
    // The same one twice in one batch.
    batch.push(batch[0]);
    batch.extend(bad.iter().zip(100..).map(|(files, n)| NewRecording {
        id: id(n),
        files,
        existing: Existing::Keep,
    }));
    let results = recordings.publish_all(&batch);
    for (number, result) in results[..20].iter().enumerate() {
        let expected = if number == 7 { Published::AlreadyThere } else { Published::Published };
        assert_eq!(*result.as_ref().unwrap(), expected, "{number}");
    }
    assert_eq!(*results[20].as_ref().unwrap(), Published::AlreadyThere);
    assert!(
        results[21..].iter().all(|result| matches!(result, Err(FolderError::Name(_)))),
        "{results:?}"
    );
    assert_eq!(results.len(), 26);
    assert_eq!(names(dir.path()).len(), 20, "nothing half-written stays");
    assert_eq!(fs::read(recordings.folder_of(id(7)).join("x")).unwrap(), b"old");
}

#[test]
fn leftovers_are_removed_at_the_start_and_nothing_else_is() {
    let dir = tempfile::tempdir().unwrap();
    let leftover = dir.path().join(format!(".{}.new-123-0", id(1)));
    fs::create_dir(&leftover).unwrap();
    fs::write(leftover.join("audio.flac"), b"half").unwrap();
    let others =
        [".snapshots", ".x.new-1", "lost+found", &format!(".{}", id(2)), &id(3).to_string()];
    others.iter().for_each(|name| fs::create_dir(dir.path().join(name)).unwrap());
    let recordings = Recordings::open(dir.path()).unwrap();
    let mut expected = others.map(str::to_owned).to_vec();
    expected.sort();
    assert_eq!(names(recordings.path()), expected);
}

#[test]
fn two_processes_do_not_write_into_one_folder() {
    let dir = tempfile::tempdir().unwrap();
    let first = Recordings::open(dir.path()).unwrap();
    let error = Recordings::open(dir.path()).unwrap_err();
    assert!(matches!(error, FolderError::InUse(_)), "{error}");
    assert!(error.to_string().contains("another process writes recordings into"), "{error}");
    drop(first);
    Recordings::open(dir.path()).unwrap();
}

/// A file system of its own, of this size in KiB.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(options: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        let mounted =
            mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(dir.path()).output().ok()?;
        mounted.status.success().then_some(Self(dir))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).output();
    }
}

#[test]
fn a_full_disk_is_named_and_leaves_nothing_half_written() {
    let Some(disk) = SmallDisk::mount("size=256k") else {
        println!("SKIPPED: a full disk (mounting one needs root)");
        return;
    };
    let recordings = Recordings::open(disk.0.path()).unwrap();
    recordings.publish(id(1), &[("a", &[1; 50_000])], Existing::Keep).unwrap();
    let large: &[(&str, &[u8])] = &[("a", &[1; 50_000]), ("b", &[2; 300_000])];
    let small: &[(&str, &[u8])] = &[("a", &[3; 10_000])];
    let results = recordings.publish_all(&[
        NewRecording { id: id(1), files: large, existing: Existing::Supersede },
        NewRecording { id: id(2), files: large, existing: Existing::Keep },
        NewRecording { id: id(3), files: small, existing: Existing::Keep },
    ]);
    for (number, result) in results[..2].iter().enumerate() {
        let message = result.as_ref().unwrap_err().to_string();
        assert!(matches!(result, Err(FolderError::NoSpace(_))), "{message}");
        assert!(
            message.contains(&id(number as u64 + 1).to_string()) && message.contains("free some"),
            "{message}"
        );
    }
    assert_eq!(*results[2].as_ref().unwrap(), Published::Published);
    assert_eq!(names(disk.0.path()).len(), 2, "{:?}", names(disk.0.path()));
    assert_eq!(fs::read(recordings.folder_of(id(1)).join("a")).unwrap(), vec![1; 50_000]);
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let Some(disk) = SmallDisk::mount("ro") else {
        println!("SKIPPED: a read-only disk (mounting one needs root)");
        return;
    };
    let error = Recordings::open(&disk.0.path().join("recordings")).unwrap_err();
    let message = error.to_string();
    assert!(matches!(error, FolderError::NotWritable { .. }), "{message}");
    assert!(message.contains("recordings: Read-only file system"), "{message}");
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), b"").unwrap();
    let error = Recordings::open(&dir.path().join("file/recordings")).unwrap_err();
    assert!(error.to_string().contains("file/recordings: Not a directory"), "{error}");
}

#[test]
fn what_is_there_is_read_back_and_taken_out() {
    let dir = tempfile::tempdir().unwrap();
    let recordings = Recordings::open(dir.path()).unwrap();
    let at = |nanos: u64| RecordingId::of_call(Timestamp::from_nanos(nanos * 1_000_000_000), &[]);
    for nanos in [3, 1, 2] {
        let files: [(&str, &[u8]); 2] = [("a.json", b"{}"), ("recording.json.p7m", &[nanos as u8])];
        recordings.publish(at(nanos), &files, Existing::Keep).unwrap();
    }
    fs::create_dir(dir.path().join("lost+found")).unwrap();
    assert_eq!(recordings.ids().unwrap(), [at(1), at(2), at(3)]);
    let files = recordings.files(at(2)).unwrap();
    assert_eq!(files, [("a.json".into(), b"{}".to_vec()), ("recording.json.p7m".into(), vec![2])]);
    assert_eq!(recordings.metadata(at(3)).unwrap(), Some((vec![3], true)));
    assert_eq!(recordings.metadata(at(4)).unwrap(), None);
    assert!(matches!(recordings.file(at(1), "a.json", 1), Err(FolderError::TooLarge { .. })));
    recordings.remove(&[at(1), at(4), at(3)]).unwrap();
    assert_eq!(recordings.ids().unwrap(), [at(2)]);
    assert_eq!(names(dir.path()), [at(2).to_string(), "lost+found".into()]);
}

#[test]
fn a_place_is_known_by_its_mark() {
    let dir = tempfile::tempdir().unwrap();
    let (path, disk) = (dir.path().join("place"), Arc::new(SystemDisk));
    let (one, other) = (PlaceMark::of_random([1; 16]), PlaceMark::of_random([2; 16]));
    let open = |known, new| Recordings::open_place(disk.clone(), &path, known, new);
    let missing = open(Some(one), other).unwrap_err();
    assert!(matches!(missing, FolderError::NotThePlace { .. }), "{missing}");
    assert!(!path.exists(), "nothing is made where the place should be");
    assert_eq!(open(None, one).unwrap().1, one);
    assert_eq!(open(None, other).unwrap().1, one, "a mark that is there is taken over");
    assert_eq!(open(Some(one), other).unwrap().1, one);
    let wrong = open(Some(other), other).unwrap_err().to_string();
    assert!(wrong.contains("it is marked") && wrong.contains("recordings.place"), "{wrong}");
    fs::remove_file(path.join(".spanreel-place")).unwrap();
    let bare = open(Some(one), other).unwrap_err().to_string();
    assert!(bare.contains("mount its file system"), "{bare}");
}

#[test]
fn a_file_system_that_goes_is_noticed() {
    let Some(disk) = SmallDisk::mount("size=1m") else {
        println!("SKIPPED: a file system that goes (mounting one needs root)");
        return;
    };
    let recordings = Recordings::open(disk.0.path()).unwrap();
    recordings.check().unwrap();
    let unmounted = Command::new("umount").arg("-l").arg(disk.0.path()).status().unwrap();
    assert!(unmounted.success());
    let error = recordings.check().unwrap_err();
    assert!(error.to_string().contains("unmounted"), "{error}");
}
