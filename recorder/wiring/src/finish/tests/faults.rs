//! A disk that is slow, or hangs: with the real threads and the real clock.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::rig::{Rig, recording, visible};
use crate::alarms::AlarmId;
use crate::finish::{Done, Standing, Storage};

const RECORDED: Result<Done, String> = Ok(Done::Recorded { complete: true });

#[test]
fn seconds_of_latency_are_ridden_out() {
    let mut rig = Rig::new();
    let storage = Storage::start(rig.places(), rig.standing()).unwrap();
    rig.disk.latency.store(5_000, Ordering::Relaxed);
    rig.batch(0..20).into_iter().for_each(|ready| storage.keep(ready));
    assert_eq!(rig.wait(), RECORDED);
    rig.disk.latency.store(0, Ordering::Relaxed);
    for _ in 1..20 {
        assert_eq!(rig.wait(), RECORDED);
    }
    storage.stop().unwrap();
    rig.assert_stored(&(0..20).map(recording).collect::<Vec<_>>());
    // It rose, and the next flush cleared it.
    assert!(rig.alarms_ever().contains(&AlarmId::DiskSlow));
    assert!(!rig.alarms().contains(&AlarmId::DiskSlow));
}

#[test]
fn a_disk_that_does_not_answer_holds_up_only_what_it_has() {
    let rig = Rig::new();
    let standing = Standing::new(rig.board.clone()).less_patient(Duration::from_millis(300));
    let storage = Storage::start(rig.places(), Arc::new(standing)).unwrap();
    storage.keep(rig.ready(recording(0)));
    assert_eq!(rig.wait(), RECORDED);
    rig.disk.hangs.store(true, Ordering::Relaxed);
    storage.keep(rig.ready(recording(1)));
    std::thread::sleep(Duration::from_millis(600));
    // From here on, recordings wait elsewhere.
    rig.batch(2..10).into_iter().for_each(|ready| storage.keep(ready));
    for _ in 2..10 {
        assert_eq!(rig.wait(), RECORDED);
    }
    assert!(visible(&rig.data.spool()).len() >= 8);
    assert!(rig.alarms_ever().contains(&AlarmId::RecordingsDown));
    rig.disk.hangs.store(false, Ordering::Relaxed);
    assert_eq!(rig.wait(), RECORDED, "the one that hung");
    while !visible(&rig.data.spool()).is_empty() {
        std::thread::sleep(Duration::from_millis(20));
    }
    storage.stop().unwrap();
    rig.assert_stored(&(0..10).map(recording).collect::<Vec<_>>());
}

#[test]
fn without_a_spool_a_failure_is_told_at_once() {
    let rig = Rig::new();
    let places = crate::finish::Places { spool: None, ..rig.places() };
    let storage = Storage::start(places.clone(), rig.standing()).unwrap();
    rig.disk.fails(Some(rustix::io::Errno::NOSPC));
    storage.keep(rig.ready(recording(0)));
    assert!(rig.wait().unwrap_err().contains("no space left"));
    storage.stop().unwrap();
    assert!(Storage::start(places, rig.standing()).is_err(), "nor does it start");
}
