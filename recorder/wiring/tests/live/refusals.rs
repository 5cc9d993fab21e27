//! What keeps the recorder from starting is said, and the interface stays as it was.

use std::os::unix::process::CommandExt as _;

use capture::nic::Link;

use crate::recorder::{refused, spanreel};
use crate::rig::Rig;
use crate::wire::{SPAN, eventually, play, with_wire};

/// Nobody, on every Linux.
const NOBODY: u32 = 65_534;

#[test]
fn no_such_interface() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let said = refused(spanreel().args(["run", "--interface", "nosuch0", "--data"]).arg(&data));
    assert!(said.contains("nosuch0"), "{said}");
    assert!(!data.exists(), "nothing is made for a mistyped name");
}

#[test]
fn no_interface_at_all() {
    let said = refused(spanreel().arg("run"));
    assert!(said.contains("--interface"), "{said}");
}

#[test]
fn a_misspelt_key() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("spanreel.toml");
    std::fs::write(&config, "interface = \"eth1\"\nsignaling_ports = [5060]\n").unwrap();
    let said = refused(spanreel().args(["run", "--check", "--config"]).arg(&config));
    assert!(
        said.contains(
            "line 2: there is no key `signaling_ports`; did you mean `signalling_ports`?"
        ),
        "{said}"
    );
}

#[test]
fn no_privilege() {
    with_wire(|| {
        let before = Link::find(SPAN).unwrap();
        for mode in ["packet", "auto", "xdp"] {
            let folder = tempfile::tempdir().unwrap();
            std::os::unix::fs::chown(folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
            let program = folder.path().join("spanreel");
            std::fs::copy(env!("CARGO_BIN_EXE_spanreel"), &program).unwrap();
            let mut command = std::process::Command::new(&program);
            command.args(["run", "--interface", SPAN, "--mode", mode, "--data"]);
            let said = refused(command.arg(folder.path().join("data")).uid(NOBODY).gid(NOBODY));
            assert!(said.contains("CAP_NET_"), "{mode}: {said}");
        }
        let after = Link::find(SPAN).unwrap();
        assert_eq!((after.promiscuity, after.xdp), (before.promiscuity, before.xdp));
    });
}

#[test]
fn a_check_changes_nothing_and_a_second_recorder_is_refused() {
    with_wire(|| {
        let rig = Rig::new(1, 1);
        let check = || {
            let mut command = spanreel();
            command.args(["run", "--check", "--interface", SPAN, "--data"]).arg(rig.data());
            command
        };
        assert!(check().status().unwrap().success());
        assert!(Link::find(SPAN).unwrap().xdp.is_none());
        let recorder = rig.start(&[]);
        let said = refused(&mut check());
        assert!(said.contains("journal"), "{said}");
        let other = tempfile::tempdir().unwrap();
        let mut second = spanreel();
        second.args(["run", "--interface", SPAN, "--data"]).arg(other.path());
        let said = refused(&mut second);
        assert!(said.contains("already runs another XDP program"), "{said}");
        play(&rig.capture());
        eventually("the call is recorded all the same", || rig.list().len() == 1);
        recorder.stop();
        rig.assert_all_recorded();
    });
}
