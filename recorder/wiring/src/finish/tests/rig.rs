//! A data folder, recordings to store in it, and a disk that can fail.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base::disk::{Disk, DiskEntry, DiskFile, FolderIdentity, FolderLock, Space, SystemDisk};
use base::recording::Recording;
use base::{RecordingId, Timestamp};
use crossbeam::channel::{Receiver, Sender, unbounded};
use seal::{Manifest, Signer, manifest};
use store::{Catalog, Filter, METADATA_NAME, Order};

use crate::alarms::{AlarmId, Board, Moment};
use crate::clock;
use crate::data_dir::DataDir;
use crate::engine::{FlowRef, Job, JobKey};
use crate::finish::storage::{Finished, Ready, Steps};
use crate::finish::{Done, Places, Seals, Standing};

/// 2026-11-23T00:00:00Z.
const NOW: Timestamp = Timestamp::from_nanos(1_795_392_000_000_000_000);

/// A call that began so many seconds after [`NOW`].
pub(super) fn recording(number: u32) -> Recording {
    let start_time = NOW.plus(Duration::from_secs(number.into()));
    let call_id = format!("{number}@example.com");
    Recording {
        id: RecordingId::of_call(start_time, &[call_id.as_bytes()]),
        call_id: Some(call_id),
        caller_phone_number: format!("+331{number:06}"),
        dialed_phone_number: "100".into(),
        from: None,
        to: None,
        direction: None,
        start_time,
        answer_time: None,
        stop_time: start_time.plus(Duration::from_secs(5)),
        duration: 5_000,
        end_reason: "BYE".into(),
        complete: true,
        incomplete_reasons: Vec::new(),
        gaps: Vec::new(),
        marks: Vec::new(),
        legs: Vec::new(),
        streams: Vec::new(),
        media_files: Vec::new(),
        messages: Vec::new(),
        clock: None,
        notes: Vec::new(),
        node: "span1".into(),
        build: "test".into(),
    }
}

/// A data folder with keys.
pub(super) struct Rig {
    _scratch: tempfile::TempDir,
    pub(super) data: DataDir,
    pub(super) path: PathBuf,
    pub(super) disk: Arc<Flaky>,
    catalog_patience: Duration,
    pub(super) board: Board,
    seals: Seals,
    signer: Signer,
    done: (Sender<Finished>, Receiver<Finished>),
    begin: Instant,
    seconds: u64,
}

impl Rig {
    pub(super) fn new() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("data");
        let data = DataDir::create(&path).unwrap();
        let (seals, signer) = (data.seals(&[]).unwrap(), data.signer().unwrap());
        let disk = Arc::new(Flaky { faulty: data.recordings(), ..Flaky::default() });
        Self {
            _scratch: scratch,
            data,
            path,
            disk,
            catalog_patience: Duration::from_millis(10),
            board: Board::new(),
            seals,
            signer,
            done: unbounded(),
            begin: clock::instant(),
            seconds: 0,
        }
    }

    /// The catalog is in a database server.
    pub(super) fn with_catalog_in(self, database: &test_postgres::Database) -> Self {
        let settings = crate::catalog_place::Settings {
            postgres: Some(database.url.clone()),
            password_file: Some(database.password_file.clone()),
            ca: Some(database.ca.clone()),
        };
        self.data.set_catalog(&settings).unwrap();
        // Over TLS, on a busy machine.
        Self { catalog_patience: Duration::from_secs(2), ..self }
    }

    pub(super) fn places(&self) -> Places {
        Places {
            disk: self.disk.clone(),
            spool: Some(self.data.spool()),
            catalog_patience: self.catalog_patience,
            ..self.data.places().unwrap()
        }
    }

    pub(super) fn standing(&self) -> Arc<Standing> {
        Arc::new(Standing::new(self.board.clone()))
    }

    /// The storing threads, a step at a time; as at a start.
    pub(super) fn steps(&self) -> Steps {
        Steps::new(self.places(), &self.standing())
    }

    /// The clock of the test.
    pub(super) fn now(&self) -> Instant {
        self.begin + Duration::from_secs(self.seconds)
    }

    pub(super) fn pass(&mut self, seconds: u64) {
        self.seconds += seconds;
    }

    pub(super) fn ready(&self, recording: Recording) -> Ready {
        let audio: Vec<u8> = recording.id.to_string().repeat(100).into_bytes();
        let json = serde_json::to_vec(&recording).unwrap();
        let mut manifest = Manifest::new(recording.id, NOW, "span1", "test");
        let mut files = Vec::new();
        for (name, plain, sealer) in
            [("audio.flac", audio, &self.seals.media), (METADATA_NAME, json, &self.seals.metadata)]
        {
            let sealed = sealer.seal(&plain).unwrap();
            let file = manifest::File::new(name, "x/y", &plain, Some(&sealed));
            files.push((file.name.clone(), sealed));
            manifest.files.push(file);
        }
        let json = manifest.to_json().unwrap();
        files.push((manifest::SIGNATURE_NAME.into(), self.signer.sign(&json, NOW).unwrap()));
        files.push((manifest::MANIFEST_NAME.into(), json));
        let number = u32::try_from(recording.start_time.since(NOW).as_secs()).unwrap();
        let key = JobKey::Media(FlowRef::Recovered(number));
        let job = Arc::new(Job { key, call: None, claims: Vec::new() });
        Ready { job, recording, files, done: self.done.0.clone() }
    }

    pub(super) fn batch(&self, numbers: std::ops::Range<u32>) -> Vec<Ready> {
        numbers.map(|number| self.ready(recording(number))).collect()
    }

    /// How the jobs that ended since the last time ended.
    pub(super) fn ended(&self) -> Vec<Result<Done, String>> {
        let ended = self.done.1.try_iter();
        ended.map(|finished| finished.result.map_err(|error| format!("{error:#}"))).collect()
    }

    /// The next job's end.
    pub(super) fn wait(&self) -> Result<Done, String> {
        let finished = self.done.1.recv_timeout(Duration::from_secs(60)).unwrap();
        finished.result.map_err(|error| format!("{error:#}"))
    }

    /// Exactly these recordings are at their place, each whole by its signature, and in the catalog; nothing waits.
    pub(super) fn assert_stored(&self, expected: &[Recording]) {
        let ids: Vec<_> = expected.iter().map(|recording| recording.id.to_string()).collect();
        assert_eq!(visible(&self.data.recordings()), ids);
        let trusted = self.data.node_certificates().unwrap();
        let key = self.data.private_key(None).unwrap();
        for id in &ids {
            let folder = self.data.recordings().join(id);
            let report = store::verify(&folder, Some(&trusted), Some(&key));
            assert!(report.findings.is_empty(), "{:?}", report.findings);
            assert_eq!(report.files_opened, 2);
        }
        assert_eq!(self.catalog(), expected);
        assert_eq!(visible(&self.data.spool()), [""; 0]);
    }

    pub(super) fn catalog(&self) -> Vec<Recording> {
        let catalog = Catalog::open_existing(&self.data.catalog().unwrap()).unwrap();
        catalog.find(&Filter::default(), Order::Earliest, None, 10_000).unwrap()
    }

    /// The alarms that are up, once they have had time to rise or clear.
    pub(super) fn alarms(&mut self) -> Vec<AlarmId> {
        for _ in 0..3 {
            self.pass(3_600);
            let monotonic = Duration::from_secs(self.seconds);
            self.board.tick(Moment { monotonic, ..Moment::default() });
        }
        self.board.raised().into_iter().map(|alarm| alarm.id).collect()
    }
}

impl Rig {
    fn tick(&self) {
        let monotonic = Duration::from_secs(self.seconds);
        self.board.tick(Moment { monotonic, ..Moment::default() });
    }

    /// The alarms that rise at once, and are up or were.
    pub(super) fn alarms_ever(&self) -> Vec<AlarmId> {
        self.tick();
        let all = self.board.raised().into_iter().chain(self.board.history());
        all.map(|alarm| alarm.id).collect()
    }

    /// What the alarms that rise at once say.
    pub(super) fn alarm_details(&self) -> Vec<String> {
        self.tick();
        self.board.raised().into_iter().map(|alarm| alarm.detail).collect()
    }
}

/// Visible names in a folder, sorted.
pub(super) fn visible(folder: &Path) -> Vec<String> {
    let entries = SystemDisk.list(folder).unwrap_or_default();
    let names = entries.into_iter().map(|entry| entry.name.into_string().unwrap());
    names.filter(|name| !name.starts_with('.')).collect()
}

/// The system's disk, but for one folder in which things fail.
#[derive(Debug, Default)]
pub(super) struct Flaky {
    faulty: PathBuf,
    /// What every write there gives.
    pub(super) fault: Mutex<Option<rustix::io::Errno>>,
    /// How long a flush there takes, milliseconds.
    pub(super) latency: AtomicU64,
    /// Whether whatever is done there hangs.
    pub(super) hangs: AtomicBool,
}

impl Flaky {
    pub(super) fn fails(&self, fault: Option<rustix::io::Errno>) {
        *self.fault.lock().unwrap() = fault;
    }

    fn touch(&self, path: &Path) -> io::Result<()> {
        if !path.starts_with(&self.faulty) {
            return Ok(());
        }
        while self.hangs.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.fault.lock().unwrap().map_or(Ok(()), |errno| Err(errno.into()))
    }
}

impl Disk for Flaky {
    fn create(&self, path: &Path, mode: u32) -> io::Result<Arc<dyn DiskFile>> {
        self.touch(path)?;
        SystemDisk.create(path, mode)
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.touch(path)?;
        SystemDisk.open(path)
    }

    fn create_folder(&self, path: &Path, mode: u32) -> io::Result<()> {
        self.touch(path)?;
        SystemDisk.create_folder(path, mode)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<DiskEntry>> {
        self.touch(folder)?;
        SystemDisk.list(folder)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        SystemDisk.exists(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.touch(to)?;
        SystemDisk.rename(from, to)
    }

    fn exchange(&self, one: &Path, other: &Path) -> io::Result<()> {
        self.touch(other)?;
        SystemDisk.exchange(one, other)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.touch(path)?;
        SystemDisk.remove(path)
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        self.touch(path)?;
        SystemDisk.remove_folder(path)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.touch(folder)?;
        SystemDisk.sync_folder(folder)
    }

    fn sync_all(&self, folder: &Path) -> io::Result<()> {
        self.touch(folder)?;
        if folder.starts_with(&self.faulty) {
            std::thread::sleep(Duration::from_millis(self.latency.load(Ordering::Relaxed)));
        }
        SystemDisk.sync_all(folder)
    }

    fn identity(&self, folder: &Path) -> io::Result<FolderIdentity> {
        SystemDisk.identity(folder)
    }

    fn lock_folder(&self, folder: &Path) -> io::Result<FolderLock> {
        SystemDisk.lock_folder(folder)
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        SystemDisk.space(path)
    }
}
