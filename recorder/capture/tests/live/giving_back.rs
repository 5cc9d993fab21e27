//! An interface is given back as it was found, however its user ends.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use capture::PacketSource;
use capture::nic::{Link, NicError, OffloadsOff, Promiscuous, VLAN_STRIPPING, features};

use crate::wire::{SPAN, eventually, small, with_wire};

/// Names the folder for notes, in a process that is to hold an interface and be killed.
const HOLD: &str = "SPANREEL_TEST_HOLD";

fn promiscuity() -> u32 {
    Link::find(SPAN).unwrap().promiscuity
}

/// What is switched: on in a new veth, in which merging is off.
const OFF: [&str; 2] = [VLAN_STRIPPING, "rx-gro"];

fn is_stripping() -> bool {
    features(&Link::find(SPAN).unwrap()).unwrap().is_on(VLAN_STRIPPING)
}

/// Not a test of its own: the process that the tests below start and kill.
#[test]
fn holder() {
    let Some(folder) = std::env::var_os(HOLD) else { return };
    let link = Link::find(SPAN).unwrap();
    let _promiscuous = Promiscuous::on(&link).unwrap();
    let _offloads = OffloadsOff::switch(&link, &OFF, Path::new(&folder)).unwrap();
    let _source = PacketSource::open(SPAN, small()).unwrap();
    loop {
        std::thread::park();
    }
}

/// Starts such a process in the namespace of the calling thread.
fn start_holder(folder: &Path) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "giving_back::holder", "--nocapture"]).env(HOLD, folder);
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    eventually("the other process holds the interface", || promiscuity() == 2);
    child
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

fn note(folder: &Path) -> PathBuf {
    folder.join(format!("{SPAN}.offloads"))
}

#[test]
fn promiscuous_mode_goes_with_its_guard() {
    with_wire(|_| {
        let link = Link::find(SPAN).unwrap();
        assert_eq!(promiscuity(), 0);
        let guard = Promiscuous::on(&link).unwrap();
        let source = PacketSource::open(SPAN, small()).unwrap();
        assert_eq!(promiscuity(), 2);
        // Another test's child process may have inherited the socket for the moment until it runs its program.
        drop(guard);
        eventually("giving one back", || promiscuity() == 1);
        drop(source);
        eventually("giving the other back", || promiscuity() == 0);
    });
}

#[test]
fn offloads_go_off_and_come_back() {
    with_wire(|_| {
        let folder = tempfile::tempdir().unwrap();
        assert!(is_stripping(), "a new interface does");
        let link = Link::find(SPAN).unwrap();
        let guard = OffloadsOff::switch(&link, &OFF, folder.path()).unwrap();
        assert!(!is_stripping() && guard.switched() == [VLAN_STRIPPING], "{guard:?}");
        assert!(note(folder.path()).exists());
        let error = OffloadsOff::switch(&link, &OFF, folder.path()).unwrap_err();
        assert!(matches!(error, NicError::Held { .. }), "{error}");
        guard.restore().unwrap();
        assert!(is_stripping() && !note(folder.path()).exists());
        drop(OffloadsOff::switch(&link, &OFF, folder.path()).unwrap());
        assert!(is_stripping(), "dropping gives back too");
    });
}

#[test]
fn a_killed_process_gives_everything_back() {
    with_wire(|_| {
        let folder = tempfile::tempdir().unwrap();
        assert!(is_stripping(), "a new interface does");
        let child = start_holder(folder.path());
        assert!(!is_stripping());
        kill(child);
        eventually("promiscuous mode ends", || promiscuity() == 0);
        assert!(!is_stripping(), "the kernel does not switch these back");
        let link = Link::find(SPAN).unwrap();
        let guard = OffloadsOff::switch(&link, &[], folder.path()).unwrap();
        assert!(guard.switched() == [VLAN_STRIPPING], "{guard:?}");
        drop(guard);
        assert!(is_stripping(), "whoever comes next does");
        assert!(!note(folder.path()).exists());
    });
}

#[test]
fn a_note_of_another_time_is_not_believed() {
    with_wire(|_| {
        let folder = tempfile::tempdir().unwrap();
        for stale in ["boot 0\ninterface 1\nrx-lro\n", "", "\u{0}nonsense", "boot"] {
            std::fs::write(note(folder.path()), stale).unwrap();
            let link = Link::find(SPAN).unwrap();
            let guard = OffloadsOff::switch(&link, &[], folder.path()).unwrap();
            assert_eq!(guard.switched(), &[] as &[String], "{stale:?}");
        }
    });
}

#[test]
fn an_interface_that_is_gone_needs_nothing_back() {
    with_wire(|_| {
        let folder = tempfile::tempdir().unwrap();
        let link = Link::find(SPAN).unwrap();
        let guard = OffloadsOff::switch(&link, &OFF, folder.path()).unwrap();
        crate::wire::ip(&["link", "del", SPAN]);
        guard.restore().unwrap();
        assert!(!note(folder.path()).exists());
    });
}
