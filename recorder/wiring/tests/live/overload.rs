//! At the recorder's limit whole calls are refused, the newest; those that are up stay complete, bit for bit; and new
//! ones are recorded again when there is room.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use wiring::synth::Options;

use crate::recorder::assert_nothing_lost;
use crate::rig::{Rig, options};
use crate::wire::{eventually, play, skip, with_wire};

const DISK_BYTES: u64 = 1 << 30;
/// Less than a fifth, which is the mark, and room for the journal's next segment.
const LEFT_BYTES: u64 = 180 << 20;
const PIECE_BYTES: usize = 1 << 20;

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

/// Fills the disk, until little is left.
fn fill(disk: &Path, file: &Path) {
    let mut file = std::fs::File::create(file).unwrap();
    let free = || {
        let disk = rustix::fs::statvfs(disk).unwrap();
        disk.f_bavail * disk.f_frsize
    };
    while free() > LEFT_BYTES {
        file.write_all(&[1; PIECE_BYTES]).unwrap();
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "calls go on meanwhile")]
fn calls_that_are_up_stay_whole_and_the_newest_are_refused_until_there_is_room() {
    with_wire(|| {
        let calls = Options { start_spread: 12.0, ..options(31, 16, 6) };
        let mut rig = Rig::with(&calls);
        let Some(_disk) = SmallDisk::mount(&rig.data()) else { return skip("nothing is mounted") };
        let recorder = rig.start(&[]);
        let capture = rig.capture();
        let all = std::thread::spawn(move || play(&capture));
        std::thread::sleep(Duration::from_secs(4));
        let filling = rig.data().join("filling");
        fill(&rig.data(), &filling);
        eventually("refusing", || rig.read_log().contains("new calls are refused"));
        std::thread::sleep(Duration::from_secs(4));
        std::fs::remove_file(&filling).unwrap();
        eventually("taking calls again", || rig.read_log().contains("calls are recorded again"));
        all.join().unwrap();
        std::thread::sleep(Duration::from_secs(2));
        let ledger = recorder.stop();
        assert_nothing_lost(&ledger);
        let refused = ledger["refusedCalls"].as_array().unwrap();
        assert!((1..=8).contains(&refused.len()), "{ledger}");
        assert_eq!(ledger["refused"], refused.len(), "{ledger}");
        rig.truth.retain(|call| refused.iter().all(|it| it["callId"] != *call.call_id));
        assert_eq!(rig.truth.len(), calls.calls as usize - refused.len(), "{ledger}");
        assert!(ledger["program"]["excluded"].as_u64().unwrap() > 100, "{ledger}");
        let begun = || rig.truth.iter().map(|call| call.start_time);
        let span = begun().max().unwrap().since(begun().min().unwrap());
        assert!(span > Duration::from_secs(6), "before and after");
        let recordings = rig.list();
        rig.assert_among(&rig, &recordings);
        for other in &recordings {
            // A refused call that is answered when there is room again is taken from then on.
            let is_of = |call_id: &str| other.call_id.as_deref() == Some(call_id);
            let known = rig.truth.iter().any(|call| is_of(&call.call_id));
            assert!(known || refused.iter().any(|it| is_of(it["callId"].as_str().unwrap())));
        }
    });
}
