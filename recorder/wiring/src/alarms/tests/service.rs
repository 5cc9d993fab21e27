//! The service as a whole: conditions in, receivers and the state file out; reload; end.

use std::fs;

use super::receivers::{read_all, serve};
use super::*;
use crate::alarms::settings::Settings;
use crate::clock;

fn scene(data: &std::path::Path, settings: Settings) -> Scene {
    Scene { settings, data: data.to_owned(), certificates: Vec::new(), node: "span1".into() }
}

fn wait_until(is_so: impl Fn() -> bool) {
    let due = clock::instant() + Duration::from_secs(30);
    while !is_so() {
        assert!(clock::instant() < due, "it does not happen");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn an_alarm_goes_out_and_into_the_state_file() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("alarms.jsonl");
    let settings = Settings { json: Some(log.clone()), ..Settings::default() };
    let mut alarms = Alarms::start(&scene(folder.path(), settings), Board::new()).unwrap();
    alarms.look(Sample { down: Some("is down"), interface: "eth1".into(), ..Sample::default() });
    wait_until(|| fs::read_to_string(&log).is_ok_and(|text| text.contains("eth1 is down")));
    let state = || state_of(folder.path()).unwrap().unwrap();
    wait_until(|| state_of(folder.path()).unwrap().is_some_and(|it| !it.raised.is_empty()));
    assert_eq!(state().raised[0].id, AlarmId::InterfaceDown);
    assert!(state().running);
    assert_eq!(state().pid, std::process::id());
    assert!(alarms.to_string().contains("CRITICAL  interface_down"), "{alarms}");

    // Another outlet instead: what rises now goes there.
    let server = serve(read_all);
    let syslog = Some(format!("tcp://{}", server.address).parse().unwrap());
    let settings = Settings { syslog, log: false, ..Settings::default() };
    alarms.reload(&scene(folder.path(), settings)).unwrap();
    alarms.board().happened(AlarmId::RecoveryRan, "3 calls".into());
    assert!(server.next().contains(" recovery_ran [alarm "));
    assert!(!fs::read_to_string(&log).unwrap().contains("recovery_ran"));

    // What comes last is not lost.
    alarms.board().happened(AlarmId::DropJournal, "1 packet".into());
    drop(alarms);
    assert!(server.next().contains(" drop_journal [alarm "));
    assert!(!state().running);
    assert_eq!(state().outlets.len(), 1);
}

#[test]
fn settings_that_make_no_sense_start_nothing_and_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let wrong = Settings { webhook: Some("ftp://x".into()), ..Settings::default() };
    assert!(Alarms::start(&scene(folder.path(), wrong.clone()), Board::new()).is_err());
    let good = scene(folder.path(), Settings::default());
    let mut alarms = Alarms::start(&good, Board::new()).unwrap();
    assert!(alarms.reload(&scene(folder.path(), wrong)).is_err());
}
