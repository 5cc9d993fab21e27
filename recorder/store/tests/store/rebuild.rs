use std::fs;

use base::Side;
use base::recording::{Direction, Mark, MarkKind, Recording};
use seal::OpenError;
use store::catalog::{Rebuilt, rebuild, set_aside};
use store::{Catalog, CatalogError, DatabaseError, DatabasePlace, Filter, Hold, Order, Recordings};
use zeroize::Zeroizing;

use crate::places::places;
use crate::sample::{Keys, NOW, recording};

struct Fixture {
    dir: tempfile::TempDir,
    keys: Keys,
    recordings: Recordings,
}

/// Six recordings, every other one sealed.
fn fixture() -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let keys = Keys::new();
    let recordings = Recordings::open(&dir.path().join("recordings")).unwrap();
    (0..6).for_each(|at| {
        keys.publish(&recordings, at, at.is_multiple_of(2));
    });
    Fixture { dir, keys, recordings }
}

impl Fixture {
    fn catalog(&self) -> std::path::PathBuf {
        self.dir.path().join("catalog.db")
    }

    fn place(&self) -> DatabasePlace {
        DatabasePlace::File(self.catalog())
    }

    fn rebuild(&self) -> Result<Rebuilt, CatalogError> {
        self.rebuild_in(&self.place())
    }

    fn rebuild_in(&self, place: &DatabasePlace) -> Result<Rebuilt, CatalogError> {
        rebuild(place, self.recordings.path(), "span1", |cms| seal::open(cms, &self.keys.key))
    }

    fn list(&self) -> Vec<base::recording::Recording> {
        let catalog = Catalog::open_existing(&self.place()).unwrap();
        catalog.find(&Filter::default(), Order::Earliest, None, 100).unwrap()
    }

    fn folder(&self, at: u64) -> std::path::PathBuf {
        self.recordings.folder_of(recording(at).id)
    }
}

fn all() -> Vec<base::recording::Recording> {
    (0..6).map(recording).collect()
}

#[test]
fn the_catalog_comes_back_from_the_folders() {
    let fixture = fixture();
    let rebuilt = fixture.rebuild().unwrap();
    assert_eq!((rebuilt.recordings, rebuilt.problems), (6, vec![]));
    assert_eq!(fixture.list(), all());
    // Over a good one with more in it, over a damaged one, over an empty file.
    Catalog::open(&fixture.place()).unwrap().insert([&recording(99)]).unwrap();
    fixture.rebuild().unwrap();
    assert_eq!(fixture.list(), all());
    for damaged in [&b"garbage that is no database"[..], b""] {
        fs::write(fixture.catalog(), damaged).unwrap();
        fixture.rebuild().unwrap();
        assert_eq!(fixture.list(), all());
    }
    let names = fs::read_dir(fixture.dir.path()).unwrap().map(|e| e.unwrap().file_name());
    let names: Vec<_> = names.filter(|name| name.to_string_lossy().contains("rebuilt")).collect();
    assert!(names.is_empty(), "{names:?}");
}

/// What earlier releases wrote. 1: before the direction, marks, and quality over time.
const PAST_SHAPES: [&str; 1] = [include_str!("../fixtures/recording-1.json")];

#[test]
fn recordings_of_past_releases_are_catalogued_beside_those_of_this_one() {
    let fixture = fixture();
    let mut expected = all();
    for (number, text) in PAST_SHAPES.iter().enumerate() {
        let past: Recording = serde_json::from_str(text).unwrap();
        assert_eq!((past.direction, past.marks.len()), (None, 0));
        assert!(past.streams.iter().all(|stream| stream.packets > 0 && stream.quality.is_empty()));
        let sealed = number.is_multiple_of(2);
        fixture.keys.publish_json(&fixture.recordings, past.id, text.as_bytes().to_vec(), sealed);
        // Nothing is read into it that it does not say.
        let told: serde_json::Value = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_value(&past).unwrap(), told);
        expected.push(past);
    }
    let mut new = recording(7);
    new.direction = Some(Direction::Inbound);
    new.marks = vec![
        Mark { time: new.start_time, kind: MarkKind::Hold, side: Side::Callee, value: None },
        Mark {
            time: new.stop_time,
            kind: MarkKind::Dtmf,
            side: Side::Caller,
            value: Some("#".into()),
        },
    ];
    let json = serde_json::to_vec(&new).unwrap();
    fixture.keys.publish_json(&fixture.recordings, new.id, json, true);
    expected.push(new);
    let rebuilt = fixture.rebuild().unwrap();
    assert_eq!((rebuilt.recordings, rebuilt.problems), (expected.len(), vec![]));
    expected.sort_by_key(|it| it.start_time);
    assert_eq!(fixture.list(), expected);
}

#[test]
fn a_log_of_the_old_catalog_is_not_applied_to_the_new_one() {
    let fixture = fixture();
    fixture.rebuild().unwrap();
    // As after a crash: what the old one's log holds was never moved into it.
    let old = Catalog::open(&fixture.place()).unwrap();
    old.insert([&recording(77)]).unwrap();
    let log = fixture.dir.path().join("catalog.db-wal");
    let (bytes, database) = (fs::read(&log).unwrap(), fs::read(fixture.catalog()).unwrap());
    assert!(!bytes.is_empty());
    drop(old);
    fs::write(&log, bytes).unwrap();
    fs::write(fixture.catalog(), &database[..database.len() / 2]).unwrap();
    fixture.rebuild().unwrap();
    assert_eq!(fixture.list(), all());
}

#[test]
fn every_problem_is_named_by_its_folder_and_the_rest_goes_on() {
    let fixture = fixture();
    fs::write(fixture.folder(1).join("recording.json"), "{").unwrap();
    let sealed = fixture.folder(2).join("recording.json.p7m");
    let mut altered = fs::read(&sealed).unwrap();
    let last = altered.len() - 20;
    altered[last] ^= 1;
    fs::write(&sealed, altered).unwrap();
    fs::remove_file(fixture.folder(3).join("recording.json")).unwrap();
    let elsewhere = fixture.recordings.path().join("elsewhere");
    fs::rename(fixture.folder(4), &elsewhere).unwrap();
    fs::write(fixture.recordings.path().join("file"), b"").unwrap();
    fs::create_dir(fixture.recordings.path().join(".hidden")).unwrap();

    let rebuilt = fixture.rebuild().unwrap();
    assert_eq!(rebuilt.recordings, 2);
    assert_eq!(fixture.list(), [recording(0), recording(5)]);
    let problems: Vec<_> = rebuilt.problems.iter().map(ToString::to_string).collect();
    let expected = [
        (fixture.folder(1), "recording.json is damaged: EOF"),
        (fixture.folder(2), "recording.json.p7m: the file was altered"),
        (fixture.folder(3), "it holds no recording.json"),
        (elsewhere, "must have that name"),
        (fixture.recordings.path().join("file"), "it holds no recording.json"),
    ];
    assert_eq!(problems.len(), expected.len(), "{problems:#?}");
    for (problem, (folder, reason)) in problems.iter().zip(expected) {
        assert!(
            problem.starts_with(&folder.display().to_string()) && problem.contains(reason),
            "{problem}"
        );
    }
}

#[test]
fn without_the_key_the_sealed_ones_are_problems() {
    let fixture = fixture();
    let no_key = |_: &[u8]| Err::<Zeroizing<Vec<u8>>, _>("no private key was given");
    let rebuilt = rebuild(&fixture.place(), fixture.recordings.path(), "span1", no_key).unwrap();
    assert_eq!((rebuilt.recordings, rebuilt.problems.len()), (3, 3));
    assert!(rebuilt.problems[0].reason.ends_with("no private key was given"));
    let stranger = Keys::new();
    let wrong = |cms: &[u8]| seal::open(cms, &stranger.key);
    let rebuilt = rebuild(&fixture.place(), fixture.recordings.path(), "span1", wrong).unwrap();
    assert!(
        rebuilt.problems[0].reason.contains("not sealed for this key"),
        "{:?}",
        rebuilt.problems
    );
}

#[test]
fn a_catalog_that_is_written_or_of_another_program_is_left_alone() {
    let fixture = fixture();
    let open = Catalog::open(&fixture.place()).unwrap();
    open.insert([&recording(99)]).unwrap();
    let writer = rusqlite::Connection::open(fixture.catalog()).unwrap();
    writer.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = fixture.rebuild().unwrap_err();
    assert!(matches!(error, CatalogError::InUse { .. }), "{error}");
    assert_eq!(open.get(recording(99).id).unwrap(), recording(99));
    drop(writer);
    // Who only has it open goes on with the new one.
    fixture.rebuild().unwrap();
    assert!(!open.is_in_place());
    assert_eq!(open.find(&Filter::default(), Order::Earliest, None, 100).unwrap(), all());
    open.insert([&recording(98)]).unwrap();
    assert_eq!(fixture.list().len(), 7);
    drop(open);
    assert_eq!(fixture.list().len(), 7);

    fs::remove_file(fixture.catalog()).unwrap();
    let theirs = rusqlite::Connection::open(fixture.catalog()).unwrap();
    theirs.execute_batch("CREATE TABLE theirs (x)").unwrap();
    drop(theirs);
    let foreign = fixture.rebuild().unwrap_err();
    assert!(matches!(foreign, CatalogError::Database(DatabaseError::Foreign(_))), "{foreign}");
    let new = DatabasePlace::File(fixture.dir.path().join("new.db"));
    let nowhere = rebuild(&new, &fixture.dir.path().join("none"), "span1", |_| {
        Err::<_, OpenError>(OpenError::Altered)
    });
    assert!(matches!(nowhere.unwrap_err(), CatalogError::NoRecordings { .. }));
    assert!(!fixture.dir.path().join("new.db").exists());
}

/// What people said of recordings is nowhere else.
#[test]
fn what_people_said_outlives_the_catalog() {
    for place in places("said") {
        let fixture = fixture();
        fixture.rebuild_in(&place.database).unwrap();
        let catalog = Catalog::open_existing(&place.database).unwrap();
        let id = recording(3).id;
        catalog.label(id, "complaint", true).unwrap();
        catalog.set_metadata(id, "case", Some("4711")).unwrap();
        let hold = Hold { who: "anna".into(), reason: "court".into(), time: NOW };
        catalog.hold(id, &hold).unwrap();
        let said = catalog.annotations(&[id]).unwrap();
        drop(catalog);
        if let DatabasePlace::File(path) = &place.database {
            fs::write(path, "damaged".repeat(1_000)).unwrap();
            set_aside(&place.database, NOW).unwrap().unwrap();
        }
        fixture.rebuild_in(&place.database).unwrap();
        let catalog = Catalog::open_existing(&place.database).unwrap();
        assert_eq!(catalog.annotations(&[id]).unwrap(), said);
        assert_eq!(said[&id].hold, Some(hold));
        for filter in [
            Filter { labels: vec!["complaint".into()], ..Filter::default() },
            Filter { metadata: vec![("case".into(), "4711".into())], ..Filter::default() },
            Filter { held: Some(true), ..Filter::default() },
        ] {
            let found = catalog.find(&filter, Order::Earliest, None, 10).unwrap();
            assert_eq!(found, [recording(3)]);
        }
    }
}

#[test]
fn other_nodes_of_a_shared_catalog_are_left_alone() {
    for place in places("nodes") {
        let DatabasePlace::Postgres(_) = place.database else { continue };
        let fixture = fixture();
        let catalog = Catalog::open(&place.database).unwrap();
        let elsewhere = |at| base::recording::Recording { node: "span2".into(), ..recording(at) };
        catalog.insert([&elsewhere(50), &elsewhere(51), &recording(99)]).unwrap();
        let rebuilt = fixture.rebuild_in(&place.database).unwrap();
        assert_eq!((rebuilt.recordings, rebuilt.problems), (6, vec![]));
        let mut expected = all();
        expected.extend([elsewhere(50), elsewhere(51)]);
        let found = catalog.find(&Filter::default(), Order::Earliest, None, 100).unwrap();
        assert_eq!(found, expected);
    }
}
