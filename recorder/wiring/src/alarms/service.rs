//! The alarms of a running service: the thread that lets them rise and clear, and hands the news to the outlets.
//!
//! It touches neither disk nor network: what may hang (checks, outlets, the state file) has threads of its own. So
//! it also notices that the dialog thread does not look any more.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use capture::xdp::UtcOffset;
use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::checks::{self, Subjects};
use super::outlets::{Line, OutletReport, State, StateFile};
use super::settings::Settings;
use super::watch::{Sample, Watch};
use super::{AlarmId, Board, Event, Moment, text};
use crate::clock;

/// How often conditions become alarms.
const TICK: Duration = Duration::from_millis(250);
/// How old the state file may grow.
const STATE_EVERY: Duration = Duration::from_secs(5);
/// How long the dialog thread may be silent.
const STALLED_AFTER: Duration = Duration::from_secs(5);
/// Steps of the wall clock below this are a time service's work.
const STEP_MIN: Duration = Duration::from_millis(100);
/// How long outlets may take for their last events.
const END_WITHIN: Duration = Duration::from_secs(3);

/// What the alarms need to know of the configuration.
#[derive(Clone, Debug)]
pub(crate) struct Scene {
    pub(crate) settings: Settings,
    pub(crate) data: PathBuf,
    /// Files of certificates whose expiry is watched.
    pub(crate) certificates: Vec<PathBuf>,
    pub(crate) node: String,
}

impl Scene {
    fn subjects(&self) -> Subjects {
        let own = self.settings.syslog_certificate.clone();
        Subjects {
            certificates: self.certificates.iter().cloned().chain(own).collect(),
            data: self.data.clone(),
            retention_days: self.settings.retention_days,
        }
    }
}

/// The alarms of a live run, as its dialog thread has them. Dropping it ends the threads, within seconds.
pub(crate) struct Alarms {
    board: Board,
    watch: Watch,
    settings: Settings,
    /// Milliseconds of the monotonic clock at the last look.
    looked: Arc<AtomicU64>,
    orders: Option<Sender<Vec<Line>>>,
    subjects: Sender<Subjects>,
    thread: Option<JoinHandle<()>>,
}

impl Alarms {
    /// Starts the threads, and the outlets that are configured.
    ///
    /// # Errors
    /// What is wrong with the settings, or a thread that cannot be started.
    pub(crate) fn start(scene: &Scene, board: Board) -> Result<Self> {
        let lines = scene.settings.outlets(&scene.node)?;
        let state_file = StateFile::start(&scene.data)?;
        let (orders, inbox) = bounded(1);
        let (subjects, to_check) = bounded(4);
        let looked = Arc::new(AtomicU64::new(0));
        let checked = board.clone();
        // Not waited for: a hanging disk may have it.
        spawn("alarm-checks", move || checks::run(&checked, &to_check, Moment::now))?;
        let _ = subjects.try_send(scene.subjects());
        let ticker = Ticker {
            board: board.clone(),
            node: scene.node.clone(),
            lines,
            dropped: Vec::new(),
            state_file,
            state_due: clock::instant(),
            looked: Arc::clone(&looked),
            offset: clock::utc_offset(),
        };
        let thread = spawn("alarms", move || ticker.run(&inbox))?;
        Ok(Self {
            watch: Watch::new(board.clone()),
            board,
            settings: scene.settings.clone(),
            looked,
            orders: Some(orders),
            subjects,
            thread: Some(thread),
        })
    }

    /// For whoever knows of a condition.
    pub(crate) fn board(&self) -> Board {
        self.board.clone()
    }

    /// What the run has counted, a few times a second.
    pub(crate) fn look(&mut self, sample: Sample) {
        let now = Moment::now();
        self.looked.store(millis(now.monotonic), Ordering::Relaxed);
        self.watch.look(now, sample, &self.settings);
    }

    /// The run ends: from now on there is nothing to look at, and that is no fault.
    pub(crate) fn ending(&self) {
        self.looked.store(0, Ordering::Relaxed);
    }

    /// From now on by other settings. Outlets start anew; what waits in the old ones still goes out.
    ///
    /// # Errors
    /// What is wrong with them; then nothing changes.
    pub(crate) fn reload(&mut self, scene: &Scene) -> Result<()> {
        if scene.settings != self.settings {
            let lines = scene.settings.outlets(&scene.node)?;
            if let Some(orders) = &self.orders {
                orders.send(lines).context("the thread of the alarms has ended")?;
            }
            self.settings = scene.settings.clone();
        }
        // If the thread hangs, it will look at what it has.
        let _ = self.subjects.try_send(scene.subjects());
        Ok(())
    }
}

impl Drop for Alarms {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            // A panic in it has been printed.
            let _ = thread.join();
        }
    }
}

/// The alarms that are up.
impl fmt::Display for Alarms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text::table(&self.board.raised()))
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name(name.into())
        .spawn(run)
        .with_context(|| format!("cannot start the thread {name}"))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// What runs on the thread.
struct Ticker {
    board: Board,
    node: String,
    lines: Vec<Line>,
    /// What the outlets had lost at the last look.
    dropped: Vec<u64>,
    state_file: StateFile,
    state_due: Instant,
    looked: Arc<AtomicU64>,
    offset: Option<UtcOffset>,
}

impl Ticker {
    fn run(mut self, orders: &Receiver<Vec<Line>>) {
        loop {
            match orders.recv_timeout(TICK) {
                Ok(lines) => self.replace(lines),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.tick();
        }
        self.end();
    }

    fn replace(&mut self, lines: Vec<Line>) {
        for part in (0..).take(self.lines.len()) {
            self.board.set_part(AlarmId::OutletFailing, part, None);
        }
        self.lines = lines;
        self.dropped.clear();
    }

    fn tick(&mut self) {
        let now = Moment::now();
        self.look_at_clock();
        self.look_at_dialog_thread(now);
        self.look_at_outlets();
        let events = self.publish(now);
        if !events.is_empty() {
            self.state_due = clock::instant();
        }
        // What cannot be written now is tried at the next tick.
        if clock::instant() >= self.state_due && self.state_file.offer(self.state(now, true)) {
            self.state_due = clock::instant() + STATE_EVERY;
        }
    }

    fn publish(&self, now: Moment) -> Vec<Arc<Event>> {
        let events: Vec<_> = self.board.tick(now).into_iter().map(Arc::new).collect();
        for event in &events {
            self.lines.iter().for_each(|line| line.offer(Arc::clone(event)));
        }
        events
    }

    fn look_at_clock(&mut self) {
        let offset = clock::utc_offset();
        if let (Some(now), Some(before)) = (offset, self.offset)
            && let Some(detail) = stepped(now.step_since(before))
        {
            self.board.happened(AlarmId::ClockStepped, detail);
        }
        self.offset = offset.or(self.offset);
    }

    fn look_at_dialog_thread(&self, now: Moment) {
        let looked = self.looked.load(Ordering::Relaxed);
        self.board.set(AlarmId::EngineStalled, stalled(looked, now.monotonic));
    }

    fn look_at_outlets(&mut self) {
        self.dropped.resize(self.lines.len(), 0);
        for (part, (line, before)) in (0..).zip(self.lines.iter().zip(&mut self.dropped)) {
            let report = line.report();
            let lost = report.dropped() - *before;
            *before = report.dropped();
            self.board.set_part(AlarmId::OutletFailing, part, failing(&report, lost));
        }
    }

    fn state(&self, now: Moment, running: bool) -> State {
        State {
            time: now.wall,
            node: self.node.clone(),
            pid: std::process::id(),
            running,
            raised: self.board.raised(),
            history: self.board.history(),
            outlets: self.lines.iter().map(Line::report).collect(),
        }
    }

    /// The last news go out, as far as that goes quickly.
    fn end(self) {
        let now = Moment::now();
        self.publish(now);
        let state = self.state(now, false);
        let Self { lines, state_file, .. } = self;
        let mut threads: Vec<_> = lines.into_iter().map(Line::end).collect();
        let due = clock::instant() + END_WITHIN;
        while !state_file.offer(state.clone()) && clock::instant() < due {
            std::thread::sleep(Duration::from_millis(10));
        }
        threads.push(state_file.end());
        while threads.iter().any(|thread| !thread.is_finished()) && clock::instant() < due {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// In words, if the wall clock moved by so many nanoseconds against the monotonic one between two looks.
pub(super) fn stepped(nanos: i64) -> Option<String> {
    let step = Duration::from_nanos(nanos.unsigned_abs());
    let sign = if nanos < 0 { '-' } else { '+' };
    (step >= STEP_MIN).then(|| format!("by {sign}{:.3} s", step.as_secs_f64()))
}

/// In words, if the last look (milliseconds; 0: there was none yet) was too long ago.
pub(super) fn stalled(looked: u64, now: Duration) -> Option<String> {
    let silent = now.saturating_sub(Duration::from_millis(looked));
    (looked > 0 && silent >= STALLED_AFTER)
        .then(|| format!("the dialog thread has been silent for {} s", silent.as_secs()))
}

/// In words, what is wrong with an outlet that has lost so many events since the last look.
pub(super) fn failing(report: &OutletReport, lost: u64) -> Option<String> {
    let OutletReport { name, trouble, .. } = report;
    match (trouble, lost) {
        (Some(trouble), _) => {
            Some(format!("{name}: {trouble} ({} events lost so far)", report.dropped()))
        }
        (None, 1..) => Some(format!("{name}: {} events lost so far", report.dropped())),
        (None, 0) => None,
    }
}

/// The state that a service left in a data folder, if it did.
///
/// # Errors
/// It cannot be read.
pub(crate) fn state_of(data: &Path) -> Result<Option<State>> {
    State::read(data)
}
