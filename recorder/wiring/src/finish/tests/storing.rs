//! Storing while the place or the catalog is down, on the test's own clock.

use std::process::Command;
use std::time::Duration;

use base::recording::Recording;
use rustix::io::Errno;
use store::{Catalog, Existing, Recordings};

use super::rig::{Rig, recording, visible};
use crate::alarms::AlarmId;
use crate::finish::Done;
use crate::finish::storage::Steps;

fn recordings(numbers: std::ops::Range<u32>) -> Vec<Recording> {
    numbers.map(recording).collect()
}

const RECORDED: Result<Done, String> = Ok(Done::Recorded { complete: true });

/// Until nothing more is to be done.
fn settle(rig: &mut Rig, steps: &mut Steps) {
    // More than the longest pause between two tries.
    rig.pass(120);
    while steps.tend(rig.now()) {}
}

#[test]
fn while_all_is_well_nothing_waits() {
    let mut rig = Rig::new();
    let mut steps = rig.steps();
    steps.keep(rig.batch(0..5), rig.now());
    assert_eq!(rig.ended(), vec![RECORDED; 5]);
    rig.assert_stored(&recordings(0..5));
    assert_eq!(rig.alarms(), []);
}

/// An hour without the place, with recordings all the time.
fn an_hour_without(break_it: impl Fn(&Rig), mend: impl Fn(&Rig)) {
    let mut rig = Rig::new();
    let mut steps = rig.steps();
    steps.keep(rig.batch(0..2), rig.now());
    break_it(&rig);
    for minute in 1..=60 {
        rig.pass(60);
        steps.keep(rig.batch(minute * 2..minute * 2 + 2), rig.now());
        assert!(!steps.tend(rig.now()), "there is nothing that can be done");
    }
    assert_eq!(rig.ended(), vec![RECORDED; 122], "none was held up");
    assert_eq!(steps.waiting(), 120);
    let up = rig.alarms();
    assert!(
        up.contains(&AlarmId::RecordingsDown) && up.contains(&AlarmId::RecordingsWaiting),
        "{up:?}"
    );
    mend(&rig);
    settle(&mut rig, &mut steps);
    rig.assert_stored(&recordings(0..122));
    assert_eq!(rig.alarms(), []);
    steps.keep(rig.batch(500..501), rig.now());
    assert_eq!(steps.waiting(), 0, "the next goes straight to its place");
}

#[test]
fn an_hour_of_io_errors() {
    an_hour_without(|rig| rig.disk.fails(Some(Errno::IO)), |rig| rig.disk.fails(None));
}

#[test]
fn an_hour_without_space() {
    an_hour_without(|rig| rig.disk.fails(Some(Errno::NOSPC)), |rig| rig.disk.fails(None));
}

#[test]
fn an_hour_read_only() {
    an_hour_without(|rig| rig.disk.fails(Some(Errno::ROFS)), |rig| rig.disk.fails(None));
}

#[test]
fn an_hour_with_something_else_in_its_place() {
    let aside = |rig: &Rig| rig.path.join("aside");
    an_hour_without(
        |rig| {
            std::fs::rename(rig.data.recordings(), aside(rig)).unwrap();
            std::fs::write(rig.data.recordings(), "in the way").unwrap();
        },
        |rig| {
            std::fs::remove_file(rig.data.recordings()).unwrap();
            std::fs::rename(aside(rig), rig.data.recordings()).unwrap();
        },
    );
}

/// A file system mounted on a folder; unmounted when dropped.
struct Mounted<'a>(&'a std::path::Path);

impl<'a> Mounted<'a> {
    fn bind(from: &std::path::Path, at: &'a std::path::Path) -> Option<Self> {
        let ran = Command::new("mount").arg("--bind").arg(from).arg(at).output().ok()?;
        ran.status.success().then_some(Self(at))
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).output();
    }
}

#[test]
fn a_file_system_that_goes_and_comes_back_is_not_mistaken_for_its_mount_point() {
    let mut rig = Rig::new();
    let (backing, point) = (rig.path.join("backing"), rig.path.join("point"));
    std::fs::create_dir(&backing).unwrap();
    std::fs::create_dir(&point).unwrap();
    let Some(mounted) = Mounted::bind(&backing, &point) else {
        println!("skipped: mounting needs root");
        return;
    };
    rig.data.set_recordings(&point).unwrap();
    let mut steps = rig.steps();
    steps.keep(rig.batch(0..3), rig.now());
    drop(mounted);
    steps.keep(rig.batch(3..6), rig.now());
    // Also a start without it makes nothing there.
    drop(steps);
    let mut steps = rig.steps();
    steps.keep(rig.batch(6..7), rig.now());
    settle(&mut rig, &mut steps);
    assert_eq!(rig.ended(), vec![RECORDED; 7]);
    assert_eq!(std::fs::read_dir(&point).unwrap().count(), 0, "nothing on the bare mount point");
    assert_eq!((visible(&backing).len(), steps.waiting()), (3, 4));
    let down = rig.alarms();
    assert!(down.contains(&AlarmId::RecordingsDown), "{down:?}");
    let _mounted = Mounted::bind(&backing, &point).unwrap();
    settle(&mut rig, &mut steps);
    rig.assert_stored(&recordings(0..7));
    assert_eq!(rig.alarms(), []);
}

#[test]
fn an_hour_with_a_locked_catalog() {
    let mut rig = Rig::new();
    let mut steps = rig.steps();
    steps.keep(rig.batch(0..2), rig.now());
    let lock = rusqlite::Connection::open(rig.data.catalog_file()).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    for minute in 1..=60 {
        rig.pass(60);
        steps.keep(rig.batch(minute * 2..minute * 2 + 2), rig.now());
        steps.tend(rig.now());
    }
    assert_eq!(rig.ended(), vec![RECORDED; 122]);
    assert_eq!(visible(&rig.data.recordings()).len(), 122, "they are at their place");
    assert_eq!(rig.catalog(), recordings(0..2), "and not yet in the catalog");
    let up = rig.alarms();
    assert!(up.contains(&AlarmId::CatalogDown) && !up.contains(&AlarmId::RecordingsDown), "{up:?}");
    // Killed meanwhile: the rows wait on the disk.
    drop(steps);
    let mut steps = rig.steps();
    assert_eq!(steps.waiting(), 120);
    lock.execute_batch("ROLLBACK").unwrap();
    settle(&mut rig, &mut steps);
    rig.assert_stored(&recordings(0..122));
    assert_eq!(rig.alarms(), []);
}

/// A server of the test's own, which goes and comes back.
fn server() -> Option<test_postgres::Server> {
    test_postgres::Server::start().map_err(|why| println!("skipped: {why}")).ok()
}

#[test]
fn an_hour_without_the_database_server() {
    let Some(mut server) = server() else { return };
    let mut rig = Rig::new().with_catalog_in(&server.database("hour"));
    let mut steps = rig.steps();
    steps.keep(rig.batch(0..2), rig.now());
    assert_eq!(rig.catalog(), recordings(0..2), "its tables were made");
    server.stop();
    for minute in 1..=60 {
        rig.pass(60);
        steps.keep(rig.batch(minute * 2..minute * 2 + 2), rig.now());
        steps.tend(rig.now());
    }
    assert_eq!(rig.ended(), vec![RECORDED; 122]);
    assert_eq!(visible(&rig.data.recordings()).len(), 122, "they are at their place");
    let up = rig.alarms();
    assert!(up.contains(&AlarmId::CatalogDown) && !up.contains(&AlarmId::RecordingsDown), "{up:?}");
    // Killed meanwhile, and started while the server is still gone.
    drop(steps);
    let mut steps = rig.steps();
    assert_eq!(steps.waiting(), 120);
    steps.keep(rig.batch(122..123), rig.now());
    server.start_again();
    settle(&mut rig, &mut steps);
    rig.assert_stored(&recordings(0..123));
    assert_eq!(rig.alarms(), []);
}

#[test]
fn a_database_server_that_says_nothing_or_is_locked() {
    let Some(server) = server() else { return };
    let database = server.database("frozen");
    let mut rig = Rig::new().with_catalog_in(&database);
    let mut steps = rig.steps();
    steps.keep(rig.batch(0..2), rig.now());
    server.freeze(true);
    for minute in 1..=3 {
        rig.pass(60);
        steps.keep(rig.batch(minute * 2..minute * 2 + 2), rig.now());
    }
    assert_eq!(rig.ended(), vec![RECORDED; 8], "none was held up for long");
    assert!(rig.alarms().contains(&AlarmId::CatalogDown));
    server.freeze(false);
    settle(&mut rig, &mut steps);
    rig.assert_stored(&recordings(0..8));
    // Another's transaction holds the table for longer than anyone waits.
    let name = database.url.rsplit('/').next().unwrap().split('?').next().unwrap();
    let lock = "BEGIN; LOCK TABLE recordings IN EXCLUSIVE MODE; SELECT pg_sleep(8)";
    std::thread::scope(|scope| {
        let locked = scope.spawn(|| server.sql(name, lock));
        let held = "SELECT count(*) FROM pg_locks WHERE mode = 'ExclusiveLock' AND relation = 'recordings'::regclass";
        while server.sql(name, held).unwrap() == "0" {
            std::thread::sleep(Duration::from_millis(20));
        }
        rig.pass(120);
        steps.keep(rig.batch(8..10), rig.now());
        assert_eq!(rig.ended(), vec![RECORDED; 2]);
        assert_eq!(steps.waiting(), 2);
        locked.join().unwrap().unwrap();
    });
    settle(&mut rig, &mut steps);
    rig.assert_stored(&recordings(0..10));
    assert_eq!(rig.alarms(), []);
}

#[test]
fn a_database_server_without_tables_is_given_what_is_in_the_folders() {
    let Some(server) = test_postgres::shared() else { return };
    let rig = Rig::new();
    let mut steps = rig.steps();
    steps.keep(rig.batch(0..3), rig.now());
    drop(steps);
    let rig = rig.with_catalog_in(&server.database("moved"));
    let mut steps = rig.steps();
    steps.keep(rig.batch(3..5), rig.now());
    rig.assert_stored(&recordings(0..5));
    assert!(rig.alarms_ever().contains(&AlarmId::CatalogRebuilt));
}

#[test]
fn a_catalog_that_is_gone_or_damaged_is_made_anew_without_a_private_key() {
    let rig = Rig::new();
    let mut steps = rig.steps();
    steps.keep(rig.batch(0..3), rig.now());
    // Away from the recordings, as it should be.
    std::fs::rename(rig.path.join("keys/recording.key"), rig.path.join("in-the-safe")).unwrap();
    std::fs::remove_file(rig.data.catalog_file()).unwrap();
    steps.keep(rig.batch(3..4), rig.now());
    assert_eq!(rig.catalog(), recordings(0..4));
    assert!(rig.alarms_ever().contains(&AlarmId::CatalogRebuilt));
    drop(steps);
    std::fs::write(
        rig.data.catalog_file(),
        "no database, but long enough to look like one".repeat(200),
    )
    .unwrap();
    let mut steps = rig.steps();
    steps.keep(rig.batch(4..5), rig.now());
    assert_eq!(rig.catalog(), recordings(0..5));
    let names = visible(&rig.path);
    let aside = names.iter().find(|name| name.starts_with("catalog.db.damaged-")).unwrap();
    assert!(std::fs::read(rig.path.join(aside)).unwrap().starts_with(b"no database"));
    std::fs::rename(rig.path.join("in-the-safe"), rig.path.join("keys/recording.key")).unwrap();
    rig.assert_stored(&recordings(0..5));
}

#[test]
fn without_place_and_catalog_at_once() {
    let mut rig = Rig::new();
    let mut steps = rig.steps();
    steps.keep(rig.batch(0..3), rig.now());
    drop(steps);
    rig.disk.fails(Some(Errno::IO));
    std::fs::remove_file(rig.data.catalog_file()).unwrap();
    let mut steps = rig.steps();
    steps.keep(rig.batch(3..6), rig.now());
    assert_eq!(rig.ended(), vec![RECORDED; 6]);
    let up = rig.alarms();
    assert!(up.contains(&AlarmId::CatalogDown) && up.contains(&AlarmId::RecordingsDown), "{up:?}");
    rig.disk.fails(None);
    settle(&mut rig, &mut steps);
    rig.assert_stored(&recordings(0..6));
}

/// Where a kill between two steps leaves a recording in two places, the next start finds one.
#[test]
fn what_a_kill_left_in_two_places_comes_once() {
    let mut rig = Rig::new();
    rig.disk.fails(Some(Errno::IO));
    let mut steps = rig.steps();
    steps.keep(rig.batch(0..4), rig.now());
    drop(steps);
    rig.disk.fails(None);
    // Stored, but neither catalogued nor out of the spool.
    let spool = Recordings::open(&rig.data.spool()).unwrap();
    let place = Recordings::open(&rig.data.recordings()).unwrap();
    for recording in recordings(0..2) {
        let files = spool.files(recording.id).unwrap();
        let files: Vec<_> = files.iter().map(|(name, bytes)| (&**name, &**bytes)).collect();
        place.publish(recording.id, &files, Existing::Keep).unwrap();
    }
    // And catalogued as well.
    Catalog::open(&rig.data.catalog().unwrap()).unwrap().insert([&recording(0)]).unwrap();
    // And half of one.
    std::fs::create_dir(rig.data.recordings().join(format!(".{}.new-1-1", recording(2).id)))
        .unwrap();
    drop((spool, place));
    let mut steps = rig.steps();
    settle(&mut rig, &mut steps);
    rig.assert_stored(&recordings(0..4));
    // The journal tells of them once more.
    rig.ended();
    steps.keep(rig.batch(0..4), rig.now());
    assert_eq!(rig.ended(), vec![Ok(Done::AlreadyThere); 4]);
    rig.assert_stored(&recordings(0..4));
}

#[test]
fn a_fuller_recording_takes_the_place_of_one_that_was_cut_short_wherever_that_is() {
    let cut = |number| Recording { end_reason: "interrupted".into(), ..recording(number) };
    let fuller = |number| {
        let whole = recording(number);
        Recording { stop_time: whole.stop_time.plus(Duration::from_secs(9)), ..whole }
    };
    let mut rig = Rig::new();
    let mut steps = rig.steps();
    // At its place, and in the spool.
    steps.keep(vec![rig.ready(cut(0))], rig.now());
    rig.disk.fails(Some(Errno::IO));
    steps.keep(vec![rig.ready(cut(1)), rig.ready(fuller(0)), rig.ready(cut(2))], rig.now());
    steps.keep(vec![rig.ready(fuller(1)), rig.ready(cut(0))], rig.now());
    rig.disk.fails(None);
    settle(&mut rig, &mut steps);
    rig.assert_stored(&[fuller(0), fuller(1), cut(2)]);
    steps.keep(vec![rig.ready(cut(1)), rig.ready(fuller(2))], rig.now());
    rig.assert_stored(&[fuller(0), fuller(1), fuller(2)]);
}

#[test]
fn a_spool_without_room_leaves_calls_in_the_journal() {
    let mut rig = Rig::new();
    rig.disk.fails(Some(Errno::NOSPC));
    let places = crate::finish::Places { spool_keeps_free: u64::MAX, ..rig.places() };
    let mut steps = Steps::new(places, &rig.standing());
    steps.keep(rig.batch(0..1), rig.now());
    let ended = rig.ended();
    assert!(ended[0].as_ref().is_err_and(|error| error.contains("no space left")), "{ended:?}");
    assert_eq!(visible(&rig.data.spool()), [""; 0]);
    // The job is tried again.
    rig.disk.fails(None);
    rig.pass(120);
    steps.keep(rig.batch(0..1), rig.now());
    assert_eq!(rig.ended(), [RECORDED]);
    rig.assert_stored(&recordings(0..1));
}
