//! Killed at any moment: what is visible is complete, what was said to be published is there.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use base::{RecordingId, Timestamp};
use store::{Existing, FolderError, NewRecording, Recordings};

/// Set for the process that is killed.
const FOLDER: &str = "STORE_CRASH_TEST_FOLDER";
const ROUNDS: u64 = 20;
const IDS: u64 = 40;

fn id(number: u64) -> RecordingId {
    RecordingId::of_call(Timestamp::from_nanos(1), &[&number.to_le_bytes()])
}

/// Files that all say which edition they are of.
fn files(edition: u64) -> Vec<(String, Vec<u8>)> {
    (0..4_u64)
        .map(|n| (format!("file{n}"), edition.to_le_bytes().repeat(500 * (n as usize + 1))))
        .collect()
}

/// Not a test of its own: publishes without end when started by the test below, in batches, replacing
/// what is there, and prints each id once it is said to be published.
#[test]
fn publisher() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let recordings = opened(Path::new(&folder));
    for batch in 0.. {
        let editions: Vec<_> = (0..5).map(|n| files(batch * 5 + n)).collect();
        let files: Vec<Vec<(&str, &[u8])>> = editions
            .iter()
            .map(|files| {
                files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect()
            })
            .collect();
        let id_of = |n: usize| id((batch * 5 + n as u64) % IDS);
        let batch: Vec<_> = files
            .iter()
            .enumerate()
            .map(|(n, files)| NewRecording { id: id_of(n), files, existing: Existing::Supersede })
            .collect();
        for (new, result) in batch.iter().zip(recordings.publish_all(&batch)) {
            result.unwrap();
            println!("published {}", new.id);
        }
    }
}

/// A process that another test starts holds our lock until it has become what it is to be.
fn opened(folder: &Path) -> Recordings {
    for _ in 0..500 {
        match Recordings::open(folder) {
            Err(FolderError::InUse(_)) => std::thread::sleep(Duration::from_millis(10)),
            opened => return opened.unwrap(),
        }
    }
    panic!("{} stays locked", folder.display());
}

#[test]
fn killed_at_any_moment_leaves_whole_recordings_only() {
    let dir = tempfile::tempdir().unwrap();
    let mut published = BTreeSet::new();
    let (mut leftovers, mut after_some) = (0, 0);
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crash::publisher", "--nocapture"])
            .env(FOLDER, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // Every fourth dies before it says anything, the others some time after a few batches.
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut said = Vec::new();
        while said.len() < (round % 4 * 5) as usize {
            said.extend(lines.next().unwrap().strip_prefix("published ").map(str::to_owned));
        }
        std::thread::sleep(Duration::from_micros(1_000 + round * 1_700 % 11_000));
        child.kill().unwrap();
        said.extend(lines.filter_map(|line| Some(line.strip_prefix("published ")?.to_owned())));
        child.wait().unwrap();
        after_some += u64::from(!said.is_empty());
        published.extend(said);
        leftovers += hidden(dir.path());

        check_whole(dir.path(), &published);
        drop(opened(dir.path()));
        assert_eq!(hidden(dir.path()), 0, "round {round}");
        check_whole(dir.path(), &published);
    }
    println!("{ROUNDS} kills, {after_some} after something was said to be published");
    println!("{} recordings published, {leftovers} leftovers removed", published.len());
    assert!(after_some >= ROUNDS / 2 && published.len() >= 10 && leftovers > 0);
}

fn hidden(path: &Path) -> usize {
    let names = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.as_encoded_bytes().starts_with(b".")).count()
}

/// Every visible folder has all four files of one edition, and every published one is visible.
fn check_whole(path: &Path, published: &BTreeSet<String>) {
    let names = fs::read_dir(path).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let visible: BTreeSet<String> = names.filter(|name| !name.starts_with('.')).collect();
    assert!(visible.is_superset(published), "lost: {:?}", published.difference(&visible));
    for name in &visible {
        let read = |n: usize| fs::read(path.join(name).join(format!("file{n}"))).unwrap();
        let edition = read(0)[..8].to_vec();
        for n in 0..4 {
            assert_eq!(read(n), edition.repeat(500 * (n + 1)), "{name}/file{n}");
        }
    }
}
