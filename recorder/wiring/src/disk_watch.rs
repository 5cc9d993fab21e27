//! Room on the disks: an alarm early, and new calls refused before there is no room for those that are up.
//!
//! Two marks of free space. Below the lower one (`disk_critical`), new calls are refused, the newest first so to
//! say: what is recorded goes on, and is finished. For that, room is kept beyond the mark: as much as the journal
//! holds, because at most that much is written while the calls in it are finished, before it is let go. Calls are
//! taken again when there is a tenth more.
//!
//! The file system of the data folder (journal, spool, catalog) decides over new calls. One of recordings elsewhere
//! is watched by a thread of its own, which may hang with it; when it is full, recordings wait in the spool.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result};
use base::disk::{Disk, Space};
use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded};
use serde::Deserialize;
use serde::de::{self, Deserializer};

use crate::alarms::{AlarmId, Board, Filling};
use crate::clock;
use crate::engine::Limit;

/// How often to look.
const EVERY: Duration = Duration::from_secs(1);
/// A mark in bytes never is a larger part of a disk than one of this many.
const PARTS_MIN: u64 = 5;
/// The data folder among the parts that tell of their room, and recordings elsewhere.
const DATA: u32 = 0;
const PLACE: u32 = 1;

/// Free space below which something is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// Of the whole.
    Percent(u8),
    /// But at most a fifth of the whole.
    Bytes(u64),
}

impl Mark {
    /// In bytes, for a disk of `total`.
    pub(crate) fn of(self, total: u64) -> u64 {
        match self {
            Self::Percent(percent) => total / 100 * u64::from(percent),
            Self::Bytes(bytes) => bytes.min(total / PARTS_MIN),
        }
    }
}

/// `10 %`, `2 GiB`, `500 MiB`.
impl std::str::FromStr for Mark {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("{text:?} is no free space such as \"10 %\" (up to 50 %) or \"2 GiB\"");
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let bytes = |shift: u32| number.checked_mul(1 << shift).map(Self::Bytes).ok_or_else(wrong);
        match unit.trim() {
            "%" if number <= 50 => u8::try_from(number).map(Self::Percent).map_err(|_| wrong()),
            "MiB" => bytes(20),
            "GiB" => bytes(30),
            "TiB" => bytes(40),
            _ => Err(wrong()),
        }
    }
}

impl<'de> Deserialize<'de> for Mark {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// The two marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Marks {
    /// An alarm.
    pub(crate) low: Mark,
    /// No new calls.
    pub(crate) critical: Mark,
}

/// Whether new calls are recorded; a clone says the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Admission(Arc<AtomicBool>);

impl Admission {
    /// Why new calls are refused, if they are.
    pub(crate) fn limit(&self) -> Option<Limit> {
        self.0.load(Ordering::Relaxed).then_some(Limit::JournalDisk)
    }
}

/// A disk as it was when it was last looked at.
#[derive(Clone, Debug)]
pub(crate) struct ShownRoom {
    /// `journal` or `recordings`.
    pub(crate) purpose: &'static str,
    pub(crate) path: PathBuf,
    pub(crate) space: Space,
    /// How long the free space lasts at the pace of the last day; unknown if it does not fill.
    pub(crate) days_left: Option<f64>,
}

/// The disks, for who tells people of them. A clone shows the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rooms(Arc<Mutex<BTreeMap<u32, ShownRoom>>>);

impl Rooms {
    fn show(&self, part: u32, room: ShownRoom) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(part, room);
    }

    /// The data folder's, then that of recordings elsewhere.
    pub(crate) fn all(&self) -> Vec<ShownRoom> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

/// How much room there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Room {
    Plenty,
    Low,
    Critical,
}

/// Judges one file system, with a memory: what is bad gets good a tenth later than it got bad.
#[derive(Debug)]
struct Judge {
    marks: Marks,
    room: Room,
}

impl Judge {
    const fn new(marks: Marks) -> Self {
        Self { marks, room: Room::Plenty }
    }

    /// `reserve` is what finishing may still write.
    fn judge(&mut self, space: Space, reserve: u64) -> Room {
        let mark = |mark: Mark, is_below: bool| {
            let bytes = mark.of(space.total).saturating_add(reserve);
            if is_below { bytes.saturating_add(bytes / 10) } else { bytes }
        };
        let critical = mark(self.marks.critical, self.room == Room::Critical);
        let low = mark(self.marks.low, self.room >= Room::Low).max(critical);
        self.room = match space.free {
            free if free < critical => Room::Critical,
            free if free < low => Room::Low,
            _ => Room::Plenty,
        };
        self.room
    }
}

/// What is watched.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) data: PathBuf,
    pub(crate) journal: PathBuf,
    /// Recordings, if they are not in the data folder.
    pub(crate) place: Option<PathBuf>,
    pub(crate) marks: Marks,
}

/// The threads that look; they end when it is dropped, but one that hangs with its disk is not waited for.
pub(crate) struct DiskWatch {
    _stop: Vec<Sender<()>>,
    rooms: Rooms,
    data: Option<JoinHandle<()>>,
}

impl DiskWatch {
    /// Looks once, then every second.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub(crate) fn start(watched: &Watched, board: &Board, admission: &Admission) -> Result<Self> {
        let (stop, stopped) = bounded(0);
        let mut data = DataWatch::new(watched.clone(), board.clone(), admission.clone());
        let rooms = data.rooms.clone();
        data.look();
        let data = thread("disk-watch", move || every(&stopped, || data.look()))?;
        let mut stops = vec![stop];
        if let Some(place) = watched.place.clone() {
            let (stop, stopped) = bounded(0);
            let mut look = PlaceWatch {
                disk: Arc::clone(&watched.disk),
                place,
                judge: Judge::new(watched.marks),
                board: board.clone(),
                filling: Filling::default(),
                rooms: rooms.clone(),
            };
            thread("place-watch", move || every(&stopped, || look.look()))?;
            stops.push(stop);
        }
        Ok(Self { _stop: stops, rooms, data: Some(data) })
    }

    /// The disks as they were last seen.
    pub(crate) fn rooms(&self) -> &Rooms {
        &self.rooms
    }
}

impl Drop for DiskWatch {
    fn drop(&mut self) {
        self._stop.clear();
        if let Some(data) = self.data.take() {
            // It has printed why it failed, if it did.
            let _ = data.join();
        }
    }
}

fn thread(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name(name.into())
        .spawn(run)
        .context("cannot start the thread that watches the disks")
}

fn every(stopped: &Receiver<()>, mut look: impl FnMut()) {
    while stopped.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
        look();
    }
}

/// Watches the data folder, and decides over new calls.
struct DataWatch {
    watched: Watched,
    judge: Judge,
    board: Board,
    admission: Admission,
    filling: Filling,
    rooms: Rooms,
}

impl DataWatch {
    fn new(watched: Watched, board: Board, admission: Admission) -> Self {
        let judge = Judge::new(watched.marks);
        let (filling, rooms) = (Filling::default(), Rooms::default());
        Self { watched, judge, board, admission, filling, rooms }
    }

    fn look(&mut self) {
        let Watched { disk, data, journal, .. } = &self.watched;
        // Without an answer, what was known stays: the journal tells if it cannot be written.
        let Ok(space) = disk.space(data) else { return };
        show(&self.rooms, (DATA, "journal"), data, space, &mut self.filling);
        let room = self.judge.judge(space, bytes_in(&**disk, journal));
        let refused = room == Room::Critical;
        if self.admission.0.swap(refused, Ordering::Relaxed) != refused {
            let mib = space.free >> 20;
            match refused {
                true => tracing::error!(
                    "new calls are refused: {mib} MiB are free in {}",
                    data.display()
                ),
                false => tracing::warn!("new calls are recorded again: {mib} MiB are free"),
            }
        }
        tell(&self.board, DATA, room, space, data, "new calls are refused");
        let refusing = format!("{} is nearly full", data.display());
        self.board.set_part(AlarmId::CallsRefused, DATA, refused.then_some(refusing));
    }
}

/// Watches recordings elsewhere.
struct PlaceWatch {
    disk: Arc<dyn Disk>,
    place: PathBuf,
    judge: Judge,
    board: Board,
    filling: Filling,
    rooms: Rooms,
}

impl PlaceWatch {
    fn look(&mut self) {
        // That it does not answer is found, and told, by whoever stores there.
        if let Ok(space) = self.disk.space(&self.place) {
            show(&self.rooms, (PLACE, "recordings"), &self.place, space, &mut self.filling);
            let room = self.judge.judge(space, 0);
            let then = "recordings will wait on the local disk";
            tell(&self.board, PLACE, room, space, &self.place, then);
        }
    }
}

fn show(
    rooms: &Rooms,
    (part, purpose): (u32, &'static str),
    path: &Path,
    space: Space,
    filling: &mut Filling,
) {
    let now = Duration::from_nanos(clock::monotonic());
    filling.note(now, space.free);
    let days_left = filling.days_left(now, space.free);
    rooms.show(part, ShownRoom { purpose, path: path.to_owned(), space, days_left });
}

fn tell(board: &Board, part: u32, room: Room, space: Space, path: &Path, then: &str) {
    let Space { free, total } = space;
    let percent = free.saturating_mul(100).checked_div(total).unwrap_or_default();
    let detail = |then: &str| {
        format!("{} MiB ({percent} %) are free in {}{then}", free >> 20, path.display())
    };
    board.set_part(AlarmId::DiskLow, part, (room == Room::Low).then(|| detail("")));
    let full = (room == Room::Critical).then(|| detail(&format!(": {then}")));
    board.set_part(AlarmId::DiskFull, part, full);
}

/// What the files in a folder have; nothing if it cannot be read.
fn bytes_in(disk: &dyn Disk, folder: &Path) -> u64 {
    let entries = disk.list(folder).unwrap_or_default();
    let files = entries.iter().filter(|entry| !entry.is_folder);
    let size = |path: PathBuf| disk.open(&path).and_then(|file| file.len()).unwrap_or_default();
    files.map(|entry| size(folder.join(&entry.name))).sum()
}

#[cfg(test)]
mod tests {
    use base::disk::SystemDisk;

    use super::*;
    use crate::alarms::Moment;

    const GIB: u64 = 1 << 30;

    fn marks(low: &str, critical: &str) -> Marks {
        Marks { low: low.parse().unwrap(), critical: critical.parse().unwrap() }
    }

    #[test]
    fn marks_are_read_and_measured() {
        let of = |text: &str, total| text.parse::<Mark>().unwrap().of(total);
        assert_eq!(of("10 %", 500 * GIB), 50 * GIB);
        assert_eq!(of("2GiB", 500 * GIB), 2 * GIB);
        assert_eq!(of("500 MiB", 500 * GIB), 500 << 20);
        assert_eq!(of("2 GiB", 5 << 20), 1 << 20, "at most a fifth");
        for wrong in ["", "10", "51 %", "-1 GiB", "2 GB", "x", "99999999999999 TiB"] {
            assert!(wrong.parse::<Mark>().unwrap_err().contains("such as"), "{wrong}");
        }
    }

    #[test]
    fn it_gets_bad_in_time_and_good_a_little_later() {
        let mut judge = Judge::new(marks("10 %", "2 GiB"));
        let mut at = |free_mib: u64, reserve_mib: u64| {
            let space = Space { total: 100 * GIB, free: free_mib << 20 };
            judge.judge(space, reserve_mib << 20)
        };
        assert_eq!(at(10_241, 0), Room::Plenty);
        assert_eq!(at(10_200, 0), Room::Low);
        assert_eq!(at(10_300, 0), Room::Low, "not yet");
        assert_eq!(at(11_300, 0), Room::Plenty);
        assert_eq!(at(2_047, 0), Room::Critical);
        assert_eq!(at(2_200, 0), Room::Critical);
        assert_eq!(at(2_300, 0), Room::Low);
        assert_eq!(at(2_300, 1_000), Room::Critical, "room for what the journal holds");
    }

    /// A file system of this many MiB; unmounted when dropped.
    struct Small(tempfile::TempDir);

    impl Small {
        fn new(mib: u32) -> Option<Self> {
            let dir = tempfile::tempdir().unwrap();
            let size = format!("size={mib}m");
            let mut mount = std::process::Command::new("mount");
            mount.args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(dir.path());
            mount.output().ok()?.status.success().then_some(Self(dir))
        }
    }

    impl Drop for Small {
        fn drop(&mut self) {
            let _ = std::process::Command::new("umount").arg("-l").arg(self.0.path()).output();
        }
    }

    #[test]
    fn a_disk_that_fills_up_refuses_calls_until_there_is_room() {
        let Some(small) = Small::new(20) else {
            println!("skipped: mounting a small disk needs root");
            return;
        };
        let (data, board, admission) = (small.0.path(), Board::new(), Admission::default());
        let journal = data.join("journal");
        std::fs::create_dir(&journal).unwrap();
        let watched = Watched {
            disk: Arc::new(SystemDisk),
            data: data.to_owned(),
            journal: journal.clone(),
            place: None,
            marks: marks("50 %", "10 %"),
        };
        let mut watch = DataWatch::new(watched, board.clone(), admission.clone());
        let mut minute = 0;
        let mut raised = |watch: &mut DataWatch| {
            watch.look();
            minute += 1;
            // Set, and then let rise or clear however long that takes.
            for second in [0, 59] {
                let monotonic = Duration::from_secs(60 * minute + second);
                board.tick(Moment { monotonic, ..Moment::default() });
            }
            board.raised().into_iter().map(|alarm| alarm.id).collect::<Vec<_>>()
        };
        assert_eq!((raised(&mut watch), admission.limit()), (vec![], None));
        let fill = |mib: usize| std::fs::write(data.join("fill"), vec![1; mib << 20]).unwrap();
        fill(12);
        assert_eq!((raised(&mut watch), admission.limit()), (vec![AlarmId::DiskLow], None));
        // Finishing what the journal holds needs as much again.
        std::fs::write(journal.join("segment"), vec![1; 3 << 20]).unwrap();
        assert_eq!(raised(&mut watch), [AlarmId::DiskLow]);
        fill(14);
        let full = raised(&mut watch);
        assert!(
            full.contains(&AlarmId::DiskFull) && full.contains(&AlarmId::CallsRefused),
            "{full:?}"
        );
        assert_eq!(admission.limit(), Some(Limit::JournalDisk));
        assert!(
            board.raised()[0].detail.contains("free in")
                || board.raised()[1].detail.contains("free in")
        );
        std::fs::remove_file(data.join("fill")).unwrap();
        raised(&mut watch);
        raised(&mut watch);
        assert_eq!((raised(&mut watch), admission.limit()), (vec![], None));
    }
}
