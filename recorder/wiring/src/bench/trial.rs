//! One load, recorded and checked: live over a wire of the bench's own, or from a file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use seal::Sha256Hasher;
use serde::Serialize;

use super::check::{Checked, check};
use super::interrupt::Interrupt;
use super::ledger::Ledger;
use super::onlooker::{Onlooker, Playable, Seen};
use super::process::{Process, Stages, between};
use super::recorder::{self, Cpus, LOOK_EVERY, Recorder};
use super::sender::{self, Frames, Sent};
use super::wire;
use crate::clock;
use crate::data_dir::DataDir;
use crate::synth::{self, Codecs, Options, Studio, Timeline, Truth};

/// A recorder that has stored nothing new for so long stores nothing more.
const STALLED_AFTER: Duration = Duration::from_secs(10);

/// Memory of a recorder that nothing comes to has settled when it is the same after so long.
const SETTLED_AFTER: Duration = Duration::from_millis(100);
const SETTLING_LOOKS_MAX: u32 = 20;

/// How often recordings are counted: each time, all of them.
const STORED_LOOK_EVERY: Duration = Duration::from_millis(100);

/// The calls of a trial.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Workload {
    /// Calls, all at once if they last longer than it takes them to begin.
    pub(super) calls: u32,
    /// How long the parties of each speak.
    pub(super) seconds: u32,
    /// Within how many seconds they begin, and later end.
    pub(super) start_spread: f64,
    /// What they speak in.
    #[serde(serialize_with = "codec")]
    pub(super) codec: Codecs,
    /// Whether what they say is encrypted.
    pub(super) srtp: bool,
    /// RTP packets that are lost before they reach the recorder, percent.
    pub(super) loss: f64,
    /// The same number, the same calls.
    pub(super) seed: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde wants it")]
fn codec<S: serde::Serializer>(codec: &Codecs, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(match codec {
        Codecs::Pcmu => "pcmu",
        Codecs::Pcma => "pcma",
        Codecs::Mix => "pcmu and pcma",
    })
}

impl Workload {
    /// Calls at once.
    pub(super) fn at_once(&self) -> f64 {
        f64::from(self.calls) * (f64::from(self.seconds) / self.start_spread.max(0.001)).min(1.0)
    }

    /// As the generator wants it.
    fn options(&self) -> Options {
        Options {
            calls: self.calls,
            seconds: self.seconds,
            codec: self.codec,
            srtp: self.srtp,
            seed: self.seed,
            loss: self.loss,
            reorder: 0.0,
            duplicate: 0.0,
            jitter: 0.0,
            start_spread: self.start_spread,
            to: PathBuf::new(),
            json: false,
        }
    }
}

/// How the calls reach the recorder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Way {
    /// Over a pair of virtual Ethernet interfaces, in real time.
    Live {
        /// Receive queues of the recorded end, and so capture threads.
        queues: u32,
    },
    /// From a capture file, as fast as it goes.
    File,
}

impl Way {
    fn interface(self) -> String {
        match self {
            Self::Live { queues } => {
                format!("{}, a virtual Ethernet pair (veth), {queues} receive queues", wire::SPAN)
            }
            Self::File => "none, a capture file".into(),
        }
    }

    fn configuration(self) -> String {
        let arguments = match self {
            Self::Live { .. } => recorder::RUN.join(" "),
            Self::File => "replay calls.pcap".into(),
        };
        format!("spanreel {arguments}, everything else as it is by default")
    }
}

/// What the recorder used.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Used {
    /// CPU seconds of the whole recorder.
    pub(super) cpu_seconds: f64,
    /// The same by stage, as far as threads are known by name.
    pub(super) stages: Stages,
    /// Memory when it had begun and no call had come, KiB. Nothing is known of it when a file is read.
    pub(super) memory_start_kib: Option<u64>,
    /// The most memory, KiB.
    pub(super) memory_peak_kib: u64,
    /// Memory in each second, KiB; nothing when a file is read.
    pub(super) memory_kib: Vec<u64>,
    /// How long after its end a call could be played; not when a file is read.
    pub(super) playable: Option<Playable>,
    /// Bytes that it had written to the disk.
    pub(super) written_bytes: u64,
    /// Seconds from the last packet until all recordings were stored.
    pub(super) finishing_seconds: f64,
}

impl Used {
    fn calls_per_core(&self, workload: &Workload) -> f64 {
        let seconds = f64::from(workload.calls) * f64::from(workload.seconds);
        seconds / self.cpu_seconds.max(0.01)
    }

    fn memory_per_call_kib(&self, workload: &Workload) -> Option<f64> {
        let grown = self.memory_peak_kib.saturating_sub(self.memory_start_kib?);
        Some(grown as f64 / workload.at_once())
    }

    /// Memory in the middle and in the last third of the time, the median each, KiB.
    pub(super) fn memory_in_time(&self) -> Option<(u64, u64)> {
        let third = self.memory_kib.len() / 3;
        let median = |part: &[u64]| {
            let mut sorted = part.to_vec();
            sorted.sort_unstable();
            sorted.get(sorted.len() / 2).copied()
        };
        let (_, rest) = self.memory_kib.split_at_checked(third)?;
        let (middle, last) = rest.split_at_checked(third)?;
        Some((median(middle)?, median(last)?))
    }
}

/// What a trial came to.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Trial {
    pub(super) way: Way,
    pub(super) workload: Workload,
    /// What the recorder says about how it took the packets, such as its driver mode.
    pub(super) capture: String,
    /// What the calls came in by.
    pub(super) interface: String,
    /// How the recorder was started. It reads no configuration file: everything else is as it is by default.
    pub(super) configuration: String,
    /// What was sent; absent if a file was read.
    pub(super) sent: Option<Sent>,
    /// Packets lost, by the stage that lost them.
    pub(super) drops: BTreeMap<String, u64>,
    /// Calls that the recorder refused whole.
    pub(super) refused: u64,
    pub(super) checked: Checked,
    pub(super) used: Used,
    /// Calls that one CPU carries: seconds of calls for each CPU second.
    pub(super) calls_per_core: f64,
    /// Memory for each call at once, beyond the start, KiB. Nothing is known of it when a file is read.
    pub(super) memory_per_call_kib: Option<f64>,
    /// What the recorder counted, in its own words.
    pub(super) ledger: Ledger,
    /// SHA-256 of what the calls are: of the truth about each, or of the capture file.
    pub(super) corpus_sha256: String,
    /// Processes that wanted a CPU when the trial began, the bench's own included (1 minute's average).
    pub(super) load_average: f64,
    /// Why the trial is not passed; empty if it is.
    pub(super) failures: Vec<String>,
}

impl Trial {
    pub(super) fn is_passed(&self) -> bool {
        self.failures.is_empty()
    }

    fn new(way: Way, workload: &Workload, sent: Option<Sent>, found: Found) -> Self {
        let Found { ledger, checked, used, load_average, corpus_sha256 } = found;
        let mut trial = Self {
            way,
            workload: workload.clone(),
            capture: ledger.capture().to_owned(),
            interface: way.interface(),
            configuration: way.configuration(),
            calls_per_core: used.calls_per_core(workload),
            memory_per_call_kib: used.memory_per_call_kib(workload),
            drops: ledger.drops(sent.as_ref()),
            refused: ledger.count(&["refused"]),
            sent,
            checked,
            used,
            ledger,
            corpus_sha256,
            load_average,
            failures: Vec::new(),
        };
        trial.failures = trial.judge();
        trial
    }

    /// What became of the calls of a load that was not passed, and who dropped packets.
    pub(super) fn failure_behaviour(&self) -> String {
        let Checked { exact, moved, incomplete, missing, false_recordings, .. } = &self.checked;
        let drops: Vec<_> =
            self.drops.iter().map(|(stage, count)| format!("{count} by {stage}")).collect();
        let drops = if drops.is_empty() { "none".to_owned() } else { drops.join(", ") };
        format!(
            "{} calls: {} refused whole and counted, {exact} recorded whole and exact, {moved} whole with \
             silence where packets came late, {incomplete} recorded with gaps \
             that the recordings tell, {} not recorded, {false_recordings} recorded wrongly; packets dropped: {drops}; \
             the ledger {}.",
            self.workload.calls,
            self.refused,
            missing.saturating_sub(self.refused),
            if self.ledger.balances() { "balances" } else { "DOES NOT BALANCE" },
        )
    }

    fn judge(&self) -> Vec<String> {
        let mut failures = Vec::new();
        let mut fail = |failed: bool, why: String| failures.extend(failed.then_some(why));
        let Checked { exact, incomplete, missing, false_recordings, .. } = &self.checked;
        let calls = u64::from(self.workload.calls);
        for (stage, count) in &self.drops {
            fail(true, format!("{count} packets were dropped: {stage}"));
        }
        fail(!self.ledger.balances(), "the recorder's ledger does not balance".into());
        if let Some(sent) = self.sent.as_ref().filter(|sent| !sent.kept_pace()) {
            let late = sent.late_max_ms;
            fail(true, format!("the sender was at its limit: up to {late:.0} ms late"));
        }
        fail(self.refused > 0, format!("{} calls were refused", self.refused));
        fail(*missing > self.refused, format!("{missing} of {calls} calls have no recording"));
        let moved = self.checked.moved;
        fail(moved > 0, format!("{moved} recordings have silence where packets came late"));
        fail(*incomplete > 0, format!("{incomplete} recordings miss packets, and say so"));
        fail(*false_recordings > 0, format!("{false_recordings} recordings are NOT RIGHT"));
        let without = self.checked.without_signalling;
        fail(without > 0, format!("{without} recordings have no signalling"));
        if failures.is_empty() && *exact != calls {
            failures.push(format!("only {exact} of {calls} calls are exact"));
        }
        failures
    }
}

#[cfg(test)]
impl Trial {
    /// One that was not measured.
    pub(super) fn made_up(workload: Workload, failures: Vec<String>) -> Self {
        Self {
            way: Way::File,
            workload,
            capture: String::new(),
            interface: String::new(),
            configuration: String::new(),
            calls_per_core: 0.0,
            memory_per_call_kib: None,
            sent: None,
            drops: BTreeMap::new(),
            refused: 0,
            checked: Checked::default(),
            used: Used::default(),
            ledger: Ledger::default(),
            corpus_sha256: String::new(),
            load_average: 0.0,
            failures,
        }
    }
}

/// What was found after the calls.
struct Found {
    ledger: Ledger,
    checked: Checked,
    used: Used,
    load_average: f64,
    corpus_sha256: String,
}

/// Records a workload live.
///
/// # Errors
/// What keeps it from being measured; that the recorder fails its task is none.
pub(super) fn live(
    workload: &Workload,
    queues: u32,
    folder: &Path,
    interrupt: &Interrupt,
) -> Result<Trial> {
    let load_average = load_average();
    let mut timeline = Timeline::new(&workload.options());
    let Recorded { sent, ledger, used } =
        record(&mut timeline, workload.calls.into(), queues, folder, interrupt)?;
    let (truths, studio) = timeline.finish();
    let lost = !ledger.drops(Some(&sent)).is_empty();
    let checked = check(&DataDir::open(&folder.join("data"))?, &truths, &studio, lost)?;
    let corpus_sha256 = corpus(&truths)?;
    let found = Found { ledger, checked, used, load_average, corpus_sha256 };
    Ok(Trial::new(Way::Live { queues }, workload, Some(sent), found))
}

/// What came of sending.
pub(super) struct Recorded {
    pub(super) sent: Sent,
    pub(super) ledger: Ledger,
    pub(super) used: Used,
}

/// Sends frames over a wire to a recorder, which works in the folder `data` of a folder, and waits until so
/// many recordings are stored, or no more come.
///
/// # Errors
/// As [`live`].
pub(super) fn record(
    frames: &mut impl Frames,
    wanted: u64,
    queues: u32,
    folder: &Path,
    interrupt: &Interrupt,
) -> Result<Recorded> {
    let (cpus, data) = (Cpus::divide()?, folder.join("data"));
    wire::within(queues, || {
        cpus.leave_sender()?;
        let recorder = Recorder::run(folder, &data, interrupt)?;
        cpus.be_sender()?;
        let process = recorder.process();
        let memory_start_kib = settled(&process);
        let (before, stages_before) = (process.cpu(), process.stages());
        let onlooker = Onlooker::start(process.clone(), &data)?;
        let sent = sender::send(frames, queues > 1, interrupt)?;
        cpus.be_anywhere()?;
        let last = clock::instant();
        let stored_after = wait_until_stored(&data, wanted, interrupt)?;
        let Seen { playable, memory_kib } = onlooker.end()?;
        let used = Used {
            cpu_seconds: process.cpu().saturating_sub(before).as_secs_f64(),
            stages: between(&stages_before, &process.stages()),
            memory_start_kib,
            memory_peak_kib: process.kibibytes("VmHWM").unwrap_or(0),
            memory_kib,
            playable: Some(playable),
            written_bytes: process.written_bytes(),
            finishing_seconds: stored_after.unwrap_or_else(|| last.elapsed()).as_secs_f64(),
        };
        let ledger = recorder.stop(frames.duration(), interrupt)?;
        Ok(Recorded { sent, ledger, used })
    })
}

/// What memory a process has when it brings no more into being, KiB; what it has after a while, if it goes on.
fn settled(process: &Process) -> Option<u64> {
    let mut has = process.kibibytes("VmRSS");
    for _ in 0..SETTLING_LOOKS_MAX {
        std::thread::sleep(SETTLED_AFTER);
        let before = std::mem::replace(&mut has, process.kibibytes("VmRSS"));
        if has == before {
            break;
        }
    }
    has
}

/// Waits until so many recordings are stored, or no more come. Gives how long that took, if all came.
fn wait_until_stored(data: &Path, wanted: u64, interrupt: &Interrupt) -> Result<Option<Duration>> {
    let recordings = DataDir::open(data)?.recordings();
    let (began, mut changed, mut before) = (clock::instant(), clock::instant(), 0);
    loop {
        interrupt.check()?;
        let stored = whole_folders(&recordings);
        if stored as u64 >= wanted {
            return Ok(Some(began.elapsed()));
        }
        if stored != before {
            (before, changed) = (stored, clock::instant());
        }
        if changed.elapsed() > STALLED_AFTER {
            return Ok(None);
        }
        std::thread::sleep(STORED_LOOK_EVERY);
    }
}

/// Folders in a folder but those that are hidden because they are not whole yet.
fn whole_folders(of: &Path) -> usize {
    let entries = std::fs::read_dir(of).into_iter().flatten().flatten();
    entries.filter(|entry| !entry.file_name().as_encoded_bytes().starts_with(b".")).count()
}

/// Records a workload from a capture file, which is made first.
///
/// # Errors
/// As [`live`].
pub(super) fn from_file(
    workload: &Workload,
    folder: &Path,
    interrupt: &Interrupt,
) -> Result<Trial> {
    let (capture, data) = (folder.join("calls.pcap"), folder.join("data"));
    synth::write(&workload.options(), &capture)?;
    let truths = Truth::read(&capture)?;
    let load_average = load_average();
    let (ledger, used) = replay(&capture, folder, &data, interrupt)?;
    let studio = Studio::new(&workload.options());
    let lost = !ledger.drops(None).is_empty();
    let checked = check(&DataDir::open(&data)?, &truths, &studio, lost)?;
    let corpus_sha256 = corpus(&truths)?;
    let found = Found { ledger, checked, used, load_average, corpus_sha256 };
    Ok(Trial::new(Way::File, workload, None, found))
}

/// Replays a capture file, and gives the ledger and what that used.
///
/// # Errors
/// It cannot be replayed, or someone wants the bench to end.
pub(super) fn replay(
    capture: &Path,
    folder: &Path,
    data: &Path,
    interrupt: &Interrupt,
) -> Result<(Ledger, Used)> {
    let recorder = Recorder::replay(folder, capture, data)?;
    let process = recorder.process();
    let mut used = Used::default();
    while !recorder.has_ended()? {
        interrupt.check()?;
        // Threads end one after the other.
        for (stage, seconds) in process.stages() {
            let most = used.stages.entry(stage).or_default();
            *most = most.max(seconds);
        }
        used.memory_peak_kib = process.kibibytes("VmHWM").unwrap_or(0).max(used.memory_peak_kib);
        used.written_bytes = process.written_bytes().max(used.written_bytes);
        std::thread::sleep(LOOK_EVERY);
    }
    used.cpu_seconds = process.cpu().as_secs_f64();
    let log = recorder.log();
    let (status, ledger) = recorder.result()?;
    if !status.success() {
        tracing::warn!("the replay ended with {status}: {log}");
    }
    Ok((ledger, used))
}

/// What tells these calls from all others.
fn corpus(truths: &[Truth]) -> Result<String> {
    let mut hash = Sha256Hasher::default();
    for truth in truths {
        hash.update(&serde_json::to_vec(truth)?);
    }
    Ok(hash.finish().to_string())
}

/// Processes that want a CPU, over the last minute.
pub(super) fn load_average() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|it| it.parse().ok()).unwrap_or(0.0)
}

/// A folder to work in, on the disk that is to be measured; gone with everything in it when it is let go of.
///
/// # Errors
/// It cannot be made.
pub(super) fn work_folder(data: Option<&Path>) -> Result<tempfile::TempDir> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("spanreel-bench-");
    match data {
        None => builder.tempdir().context("cannot make a folder in the system's temporary one"),
        Some(data) => std::fs::create_dir_all(data)
            .and_then(|()| builder.tempdir_in(data))
            .with_context(|| format!("cannot make a folder in {}", data.display())),
    }
}
