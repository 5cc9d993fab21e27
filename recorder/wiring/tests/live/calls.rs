//! Calls that are sent in real time are recorded.

use std::time::Duration;

use capture::nic::Link;
use rustix::process::Signal;

use crate::recorder::{assert_nothing_lost, segments};
use crate::rig::Rig;
use crate::wire::{SPAN, eventually, play, play_begin, with_wire};

fn calls_are_recorded(arguments: &'static [&'static str], way: &'static str) {
    with_wire(move || {
        let rig = Rig::new(8, 3);
        let recorder = rig.start(arguments);
        assert!(rig.read_log().contains(way), "{}", rig.read_log());
        let sent = play(&rig.capture()).frames;
        eventually("the last call's end", || rig.list().len() == rig.truth.len());
        let ledger = recorder.stop();
        rig.assert_all_recorded();
        assert_nothing_lost(&ledger);
        assert_eq!(ledger["framesReceived"], sent, "{ledger}");
        assert_eq!(ledger["recordings"], rig.truth.len(), "{ledger}");
        assert_eq!(segments(&rig.data()), 0, "the journal has done its work");
        let link = Link::find(SPAN).unwrap();
        assert!(link.xdp.is_none() && link.promiscuity == 0, "{link:?}");
    });
}

#[test]
fn by_packet_socket() {
    calls_are_recorded(&["--mode", "packet"], "TPACKET_V3");
}

#[test]
fn by_xdp() {
    calls_are_recorded(&[], "XDP, native");
}

#[test]
fn by_xdp_on_an_interface_that_is_shared_with_the_host() {
    calls_are_recorded(&["--role", "shared", "--mode", "xdp"], "shared with the host");
}

#[test]
fn by_two_packet_sockets_on_two_cpus() {
    let arguments = ["--mode", "packet", "--queues", "2", "--cores", "0,1", "--mono", "--no-seal"];
    with_wire(move || {
        let rig = Rig::new(8, 3);
        let recorder = rig.start(&arguments);
        play(&rig.capture());
        eventually("the last call's end", || rig.list().len() == rig.truth.len());
        recorder.stop();
        let recordings = rig.list();
        assert!(recordings.iter().all(|it| it.media_files[0].channels == 1), "{recordings:?}");
    });
}

#[test]
fn what_a_killed_run_received_is_finished_by_the_next() {
    with_wire(|| {
        let rig = Rig::new(8, 3);
        let recorder = rig.start(&[]);
        play(&rig.capture());
        // The calls have ended, but the last of their media is younger than what a call's end waits for; what
        // was received has to reach the disk, which it does within a second.
        std::thread::sleep(Duration::from_millis(900));
        recorder.kill();
        let recorder = rig.start(&[]);
        eventually("the earlier run is finished", || rig.list().len() == rig.truth.len());
        let ledger = recorder.stop();
        assert_eq!(ledger["ledgerBalances"], true, "{ledger}");
        rig.assert_all_recorded();
        assert_eq!(segments(&rig.data()), 0, "{}", rig.read_log());
    });
}

#[test]
fn calls_that_are_up_when_it_is_stopped_are_interrupted() {
    with_wire(|| {
        let rig = Rig::new(3, 30);
        let recorder = rig.start(&[]);
        play_begin(&rig.capture(), Duration::from_secs(4));
        recorder.signal(Signal::USR1);
        eventually("the ledger", || rig.read_log().contains("packets received by the interface"));
        let ledger = recorder.stop();
        assert_nothing_lost(&ledger);
        let recordings = rig.list();
        assert_eq!(recordings.len(), 3);
        assert!(recordings.iter().all(|it| it.end_reason == "interrupted"), "{recordings:?}");
        assert!(recordings.iter().all(|it| !it.complete), "{recordings:?}");
    });
}
