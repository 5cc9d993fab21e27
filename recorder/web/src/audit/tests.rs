//! What is done to a log is found, and what a crash or a disk does to it hurts nothing that was answered.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use base::Timestamp;
use base::disk::{Disk, DiskEntry, DiskFile, FolderLock, Space, SystemDisk};
use proptest::prelude::*;
use seal::keys::{Algorithm, Purpose};
use seal::{Certificate, Signer};
use serde_json::json;
use tempfile::TempDir;

use super::log::AuditError;
use super::past::{self, Wanted};
use super::{Act, Audit, AuditReport, What, verify};

const NOW: Timestamp = Timestamp::from_nanos(1_800_000_000_123_456_789);

fn now() -> Timestamp {
    NOW
}

/// The node's key pair, PEM.
static NODE: LazyLock<(String, String)> = LazyLock::new(|| {
    let day = Duration::from_secs(86_400);
    let (from, until) = (NOW.minus(day), NOW.plus(day));
    let pair = seal::keys::create(Purpose::Node("span1"), Algorithm::P256, from, until).unwrap();
    (pair.certificate.clone(), pair.private_key.to_string())
});

fn certificate() -> Certificate {
    Certificate::parse(NODE.0.as_bytes()).unwrap()
}

fn open_on(disk: Arc<dyn Disk>, folder: &Path) -> Result<Audit, AuditError> {
    let signer = Signer::new(NODE.1.as_bytes(), certificate()).unwrap();
    Audit::open(folder, disk, now, signer)
}

fn open(folder: &Path) -> Audit {
    open_on(Arc::new(SystemDisk), folder).unwrap()
}

fn what(subject: &str) -> What<'_> {
    let address = Some(IpAddr::from([192, 0, 2, 7]));
    let detail = json!({ "with": ["sound", 1], "hash": "no \",\"hash\":\" of ours" });
    What { who: "anna", address, act: Act::Play, subject, detail, allowed: true }
}

fn check(folder: &Path) -> AuditReport {
    verify(folder, Some(&[certificate()])).unwrap()
}

fn findings(folder: &Path) -> Vec<String> {
    check(folder).findings.iter().map(ToString::to_string).collect()
}

/// The files of a log, by name.
type Files = BTreeMap<PathBuf, Vec<u8>>;

fn files(folder: &Path) -> Files {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries.map(|e| (e.file_name().into(), fs::read(e.path()).unwrap())).collect()
}

fn folder_of(files: &Files) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

/// Twelve entries, signed.
static SOUND: LazyLock<Files> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    for n in 0..12 {
        log.append(&what(&format!("recording {n}"))).unwrap();
    }
    log.sign().unwrap();
    files(folder.path())
});

const LOG: &str = "0000000000000001.jsonl";

fn lines() -> Vec<Vec<u8>> {
    SOUND[Path::new(LOG)].split_inclusive(|b| *b == b'\n').map(<[u8]>::to_vec).collect()
}

fn with_lines(lines: &[Vec<u8>]) -> TempDir {
    let mut files = SOUND.clone();
    files.insert(LOG.into(), lines.concat());
    folder_of(&files)
}

#[test]
fn what_was_written_is_sound_and_is_read_back() {
    let folder = folder_of(&SOUND);
    let report = check(folder.path());
    assert_eq!((report.findings.len(), report.entries, report.signed), (0, 12, 12));
    let wanted = Wanted { limit: 5, before: Some(9), ..Wanted::default() };
    let (entries, next) = past::find(folder.path(), &wanted).unwrap();
    let numbers: Vec<_> = entries.iter().map(|entry| entry.number).collect();
    assert_eq!((numbers, next), (vec![8, 7, 6, 5, 4], Some(4)));
    assert_eq!(entries[0].subject, "recording 7");
    assert_eq!(entries[0].detail, what("").detail);
    assert_eq!(entries[0].address, "192.0.2.7");
    let stranger = seal::keys::create(Purpose::Node("x"), Algorithm::P256, NOW, NOW).unwrap();
    let stranger = Certificate::parse(stranger.certificate.as_bytes()).unwrap();
    let report = verify(folder.path(), Some(&[stranger])).unwrap();
    assert!(report.findings[0].what.contains("who is not this node"), "{:?}", report.findings);
}

#[test]
fn a_line_that_is_altered_removed_added_or_moved_is_named() {
    let named = |lines: &[Vec<u8>]| findings(with_lines(lines).path()).join("\n");
    let mut altered = lines();
    altered[4] = String::from_utf8(altered[4].clone()).unwrap().replace("anna", "otto").into();
    assert!(named(&altered).contains("line 5: was altered"), "{}", named(&altered));
    let mut removed = lines();
    removed.remove(6);
    assert!(
        named(&removed)
            .contains("line 7: is entry 8, but entry 7 follows: what is between was removed")
    );
    let mut added = lines();
    added.insert(3, added[2].clone());
    assert!(named(&added).contains("line 4: is entry 3, but entry 4 follows"), "{}", named(&added));
    let mut swapped = lines();
    swapped.swap(8, 9);
    assert!(named(&swapped).contains("line 9: is entry 10"), "{}", named(&swapped));
    let cut = named(&lines()[..10]);
    assert!(cut.contains("entry 12 was signed, but the last sound one is 10"), "{cut}");
}

/// Hashes alone stop nobody who makes them anew; the signed head does.
#[test]
fn a_log_that_was_written_anew_from_some_entry_on_is_found() {
    let other = tempfile::tempdir().unwrap();
    let log = open(other.path());
    for n in 0..20 {
        log.append(&what(&format!("other {n}"))).unwrap();
    }
    log.sign().unwrap();
    let mut forged = SOUND.clone();
    forged.insert(LOG.into(), files(other.path())[Path::new(LOG)].clone());
    let folder = folder_of(&forged);
    let found = findings(folder.path()).join("\n");
    assert!(found.contains("entry 12 is another than the one that was signed"), "{found}");
    open(folder.path()).sign().unwrap();
    let later = findings(folder.path()).join("\n");
    assert!(later.contains("entry 12 is another than the one"), "after a restart too: {later}");
    assert!(later.contains("the server found"), "{later}");
}

#[test]
fn a_tail_that_was_cut_off_stays_found_when_the_server_goes_on() {
    for kept in [0, 1, 11] {
        let folder = with_lines(&lines()[..kept]);
        let log = open(folder.path());
        log.append(&what("later")).unwrap();
        log.sign().unwrap();
        let found = findings(folder.path()).join("\n");
        assert!(
            found.contains("entry 12 was signed, but the last sound one is"),
            "{kept}: {found}"
        );
        assert!(found.contains("begins with entry 13"), "{kept}: {found}");
        assert!(found.contains("the server found at"), "{kept}: {found}");
    }
    let mut headless = SOUND.clone();
    headless.remove(Path::new("0000000000000001.head"));
    let folder = folder_of(&headless);
    assert!(findings(folder.path()).join("\n").contains("0000000000000001.head: cannot be read"));
    open(folder.path()).append(&what("later")).unwrap();
    assert!(findings(folder.path()).join("\n").contains("its signed head is gone or damaged"));
}

#[test]
fn what_a_crash_left_of_a_line_is_cut_off_and_said() {
    let folder = folder_of(&SOUND);
    let log = open(folder.path());
    log.append(&what("never signed")).unwrap();
    drop(log);
    let path = folder.path().join(LOG);
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 20]).unwrap();
    assert!(findings(folder.path())[0].contains("line 13: "), "said before it is removed");
    drop(open(folder.path()));
    assert_eq!(findings(folder.path()), Vec::<String>::new());
    let text = fs::read_to_string(&path).unwrap();
    let last = text.lines().last().unwrap();
    assert!(last.contains("\"number\":13") && last.contains("\"act\":\"torn\""), "{last}");
    assert_eq!(check(folder.path()).signed, 13);
}

#[test]
fn a_full_file_is_followed_by_the_next_and_one_process_at_a_time_writes() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    assert!(matches!(open_on(Arc::new(SystemDisk), folder.path()), Err(AuditError::InUse(_))));
    let long = "x".repeat(4_000);
    let entries = base::limits::AUDIT_FILE_BYTES_MAX / 4_000 + 10;
    let detail = json!({ "long": long });
    for _ in 0..entries {
        // Not flushed one by one: only the last has to be.
        log.write(&What { detail: detail.clone(), ..what("s") }).unwrap();
    }
    log.append(&what("last")).unwrap();
    log.sign().unwrap();
    let report = check(folder.path());
    assert_eq!((report.files, report.findings.len()), (2, 0), "{:?}", report.findings);
    assert_eq!((report.entries, report.signed), (entries + 1, entries + 1));
    drop(log);
    fs::remove_file(folder.path().join(LOG)).unwrap();
    assert!(findings(folder.path())[0].contains("but entry 1 follows"));
}

#[test]
fn what_is_long_is_cut_and_any_text_is_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    let odd = "a\n\r\"\\\u{0}\u{2028}é".repeat(500);
    log.append(&What { who: &odd, detail: json!({ "x": "y".repeat(20_000) }), ..what(&odd) })
        .unwrap();
    let (entries, _) =
        past::find(folder.path(), &Wanted { limit: 9, ..Wanted::default() }).unwrap();
    assert!(odd.starts_with(&entries[0].subject) && entries[0].subject.len() > 1_000);
    assert!(entries[0].detail["cut"].as_str().unwrap().starts_with("{\"x\":\"yyy"));
    log.sign().unwrap();
    assert_eq!(findings(folder.path()), Vec::<String>::new());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_byte_that_is_another_is_found(file in 0..2_usize, at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let mut files = SOUND.clone();
        let bytes = files.values_mut().nth(file).unwrap();
        let byte = at.get_mut(bytes);
        prop_assume!(*byte != to);
        *byte = to;
        prop_assert!(!check(folder_of(&files).path()).findings.is_empty());
    }

    #[test]
    fn any_lines_that_are_gone_or_moved_are_found(order in prop::collection::vec(0..12_usize, 0..16)) {
        let sound = lines();
        prop_assume!(!order.iter().copied().eq(0..12));
        let lines: Vec<_> = order.iter().map(|n| sound[*n].clone()).collect();
        prop_assert!(!check(with_lines(&lines).path()).findings.is_empty());
    }

    #[test]
    fn any_cut_is_found(at in any::<prop::sample::Index>()) {
        let mut files = SOUND.clone();
        let bytes = files.get_mut(Path::new(LOG)).unwrap();
        bytes.truncate(at.index(bytes.len()));
        prop_assert!(!check(folder_of(&files).path()).findings.is_empty());
    }

    #[test]
    fn any_bytes_are_read_without_harm(log in prop::collection::vec(any::<u8>(), 0..400), head in prop::collection::vec(any::<u8>(), 0..400)) {
        let files = [(LOG.into(), log), ("0000000000000001.head".into(), head)].into();
        let folder = folder_of(&files);
        prop_assert!(!check(folder.path()).findings.is_empty());
        open(folder.path()).append(&what("goes on")).unwrap();
        let (entries, _) = past::find(folder.path(), &Wanted { limit: 9, ..Wanted::default() }).unwrap();
        prop_assert_eq!(&entries[0].subject, "goes on");
    }
}

/// A disk whose writes and flushes fail when they are told to.
#[derive(Debug, Default)]
struct Faults {
    writes: AtomicBool,
    flushes: AtomicBool,
}

#[derive(Debug)]
struct Faulty(Arc<Faults>);

#[derive(Debug)]
struct FaultyFile(Arc<dyn DiskFile>, Arc<Faults>);

fn fails(flag: &AtomicBool) -> io::Result<()> {
    if flag.load(Ordering::Relaxed) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
}

impl DiskFile for FaultyFile {
    fn write_at(&self, slices: &[io::IoSlice<'_>], offset: u64) -> io::Result<usize> {
        if self.1.writes.load(Ordering::Relaxed) {
            // Half of it, and then no more.
            let half = slices.iter().map(|s| &s[..s.len() / 2]).next().unwrap_or_default();
            self.0.write_at(&[io::IoSlice::new(half)], offset)?;
        }
        fails(&self.1.writes)?;
        self.0.write_at(slices, offset)
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        fails(&self.1.flushes)?;
        self.0.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn preallocate(&self, bytes: u64) -> io::Result<()> {
        self.0.preallocate(bytes)
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.0.set_len(bytes)
    }
}

impl Disk for Faulty {
    fn create(&self, path: &Path, mode: u32) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(FaultyFile(SystemDisk.create(path, mode)?, self.0.clone())))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(FaultyFile(SystemDisk.open(path)?, self.0.clone())))
    }

    fn create_folder(&self, path: &Path, mode: u32) -> io::Result<()> {
        SystemDisk.create_folder(path, mode)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<DiskEntry>> {
        SystemDisk.list(folder)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        SystemDisk.exists(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        SystemDisk.rename(from, to)
    }

    fn exchange(&self, one: &Path, other: &Path) -> io::Result<()> {
        SystemDisk.exchange(one, other)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        SystemDisk.remove(path)
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        SystemDisk.remove_folder(path)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        SystemDisk.sync_folder(folder)
    }

    fn sync_all(&self, folder: &Path) -> io::Result<()> {
        SystemDisk.sync_all(folder)
    }

    fn lock_folder(&self, folder: &Path) -> io::Result<FolderLock> {
        SystemDisk.lock_folder(folder)
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        SystemDisk.space(path)
    }
}

#[test]
fn what_cannot_be_written_or_flushed_is_refused_and_leaves_no_trace() {
    let folder = tempfile::tempdir().unwrap();
    let faults = Arc::new(Faults::default());
    let log = open_on(Arc::new(Faulty(faults.clone())), folder.path()).unwrap();
    log.append(&what("first")).unwrap();
    for flag in [&faults.writes, &faults.flushes] {
        flag.store(true, Ordering::Relaxed);
        for _ in 0..3 {
            assert!(log.append(&what("lost")).is_err());
        }
        flag.store(false, Ordering::Relaxed);
        log.append(&what("kept")).unwrap();
    }
    log.sign().unwrap();
    let report = check(folder.path());
    assert_eq!((report.findings.len(), report.entries), (0, 3), "{:?}", report.findings);
    let (entries, _) =
        past::find(folder.path(), &Wanted { limit: 9, ..Wanted::default() }).unwrap();
    let subjects: Vec<_> = entries.iter().map(|entry| entry.subject.as_str()).collect();
    assert_eq!(subjects, ["kept", "kept", "first"]);
}

#[test]
fn many_at_once_share_flushes_and_each_is_in_it_once() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    std::thread::scope(|scope| {
        for writer in 0..8 {
            let log = &log;
            scope.spawn(move || {
                for n in 0..25 {
                    log.append(&what(&format!("{writer}/{n}"))).unwrap();
                }
            });
        }
    });
    log.sign().unwrap();
    let report = check(folder.path());
    assert_eq!((report.findings.len(), report.entries), (0, 200));
    let wanted = Wanted { limit: 1_000, ..Wanted::default() };
    let (entries, _) = past::find(folder.path(), &wanted).unwrap();
    let mut subjects: Vec<_> = entries.into_iter().map(|entry| entry.subject).collect();
    subjects.sort();
    subjects.dedup();
    assert_eq!(subjects.len(), 200);
}
