//! At the recorder's limit whole calls are refused, the newest; those that are up stay complete, bit for bit; and new
//! ones are recorded again when there is room.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::recorder::assert_nothing_lost;
use crate::rig::Rig;
use crate::wire::{eventually, play, skip, with_wire};

const DISK_BYTES: u64 = 512 << 20;
/// Less than a fifth, which is the mark.
const LEFT_BYTES: u64 = 48 << 20;

/// A small disk; unmounted when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// None where nothing may be mounted.
    fn mount(at: &Path) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let size = format!("size={DISK_BYTES}");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &size, "none"]).arg(at);
        mount.status().unwrap().success().then(|| Self(at.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "calls go on meanwhile")]
fn calls_that_are_up_stay_whole_and_the_newest_are_refused_until_there_is_room() {
    with_wire(|| {
        let mut rig = Rig::of(31, 8, 14);
        let Some(_disk) = SmallDisk::mount(&rig.data()) else { return skip("nothing is mounted") };
        let (newest, later) = (Rig::of(32, 5, 3), Rig::of(33, 4, 2));
        let recorder = rig.start(&[]);
        let capture = rig.capture();
        let up = std::thread::spawn(move || play(&capture));
        std::thread::sleep(Duration::from_secs(3));
        let filling = rig.data().join("filling");
        let disk = rustix::fs::statvfs(rig.data()).unwrap();
        let free = disk.f_bavail * disk.f_frsize;
        std::fs::write(&filling, vec![1; (free - LEFT_BYTES) as usize]).unwrap();
        eventually("refusing", || rig.read_log().contains("new calls are refused"));
        play(&newest.capture());
        std::fs::remove_file(&filling).unwrap();
        eventually("taking calls again", || rig.read_log().contains("calls are recorded again"));
        play(&later.capture());
        up.join().unwrap();
        rig.truth.extend(later.truth.iter().cloned());
        eventually("the calls", || rig.list().len() == rig.truth.len());
        let ledger = recorder.stop();
        assert_nothing_lost(&ledger);
        assert_eq!(ledger["refused"], newest.truth.len(), "{ledger}");
        let refused = ledger["refusedCalls"].as_array().unwrap();
        for truth in &newest.truth {
            assert!(refused.iter().any(|it| it["callId"] == *truth.call_id), "{ledger}");
        }
        assert!(ledger["program"]["excluded"].as_u64().unwrap() > 500, "{ledger}");
        rig.assert_all_recorded();
    });
}
