//! Where recordings go is down while calls are recorded, and comes back.

use std::path::Path;
use std::process::Command;

use crate::rig::Rig;
use crate::wire::{eventually, play, with_wire};

/// One folder mounted on another; unmounted when dropped.
struct Mounted<'a>(&'a Path);

impl<'a> Mounted<'a> {
    fn bind(from: &Path, at: &'a Path) -> Self {
        let status = Command::new("mount").arg("--bind").arg(from).arg(at).status().unwrap();
        assert!(status.success(), "{} is not mounted", at.display());
        Self(at)
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

/// Visible names.
fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| !name.starts_with('.')).collect()
}

#[test]
fn the_output_file_system_goes_and_comes_back() {
    with_wire(|| {
        let rig = Rig::new(3, 2);
        let (backing, point) = (rig.path("backing"), rig.path("point"));
        [&backing, &point].iter().for_each(|folder| std::fs::create_dir(folder).unwrap());
        let mounted = Mounted::bind(&backing, &point);
        let config = rig.path("spanreel.toml");
        std::fs::write(&config, format!("recordings = {point:?}\n")).unwrap();
        let recorder = rig.start(&["--config", config.to_str().unwrap()]);
        eventually("marking the place", || backing.join(".spanreel-place").exists());
        drop(mounted);
        play(&rig.capture());
        let spool = rig.data().join("spool");
        eventually("waiting in the spool", || names(&spool).len() == 3);
        assert_eq!(std::fs::read_dir(&point).unwrap().count(), 0, "the bare mount point");
        assert!(rig.list().is_empty());
        let _mounted = Mounted::bind(&backing, &point);
        eventually("storing them", || rig.list().len() == 3 && names(&spool).is_empty());
        assert_eq!(names(&backing).len(), 3);
        rig.assert_all_recorded();
        recorder.stop();
        let log = rig.read_log();
        assert!(log.contains("recordings wait on the local disk"), "{log}");
        assert!(log.contains("recordings are stored where they belong again"), "{log}");
    });
}

#[test]
fn a_locked_catalog_and_then_none_at_all() {
    with_wire(|| {
        let rig = Rig::new(2, 1);
        let recorder = rig.start(&[]);
        let catalog = rig.data().join("catalog.db");
        eventually("the catalog", || catalog.exists());
        let lock = rusqlite::Connection::open(&catalog).unwrap();
        lock.execute_batch("BEGIN IMMEDIATE").unwrap();
        play(&rig.capture());
        eventually("their rows wait", || names(&rig.data().join("spool")).len() == 2);
        assert_eq!(names(&rig.data().join("recordings")).len(), 2, "they are at their place");
        drop(lock);
        eventually("they are listed", || rig.list().len() == 2);
        std::fs::remove_file(&catalog).unwrap();
        eventually("a new catalog", || catalog.exists() && rig.list().len() == 2);
        recorder.stop();
        rig.assert_all_recorded();
        assert!(rig.read_log().contains("made anew"), "{}", rig.read_log());
    });
}
