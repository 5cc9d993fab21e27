//! `spanreel run`: live traffic through the engine.
//!
//! One pinned thread per receive queue takes frames to a journal of its own (`core`), one thread a journal writes
//! it to the disk. SIP and the news of flows come by bounded rings (`lines`) to the dialog thread, which is the one
//! that calls [`run`]: it drives the engine by the capture clock, sends the engine's orders to the cores (`cores`),
//! and hands calls to the finishing pool. What a killed predecessor left is taken up first (`restart`).
//!
//! Invariants: a capture core waits for nobody; everything that can be full is bounded and counted by name; the
//! ledger of the whole way (`ledger`) balances at the end, or the run has failed.

mod clocks;
mod confine;
mod core;
mod cores;
mod exchange;
mod ledger;
mod lines;
pub mod machine;
mod memory;
mod news;
mod place;
mod port;
mod pressure;
mod restart;
mod service;
mod sight;
mod stamps;
mod tap;
mod watched;
mod window;

use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use base::Timestamp;
use capture::nic::{Link, LinkState};
use journal::{JournalState, Recovered};

pub(crate) use self::confine::without_privileges;
pub(crate) use self::ledger::LiveLedger;

use self::core::Core;
use self::cores::{Handle, LiveCores};
use self::exchange::Exchange;
use self::lines::{Lines, ListenerEnd, rings};
use self::place::Place;
use self::port::{Port, Taps};
use self::pressure::{Pressure, Strain};
use self::restart::Earlier;
use self::service::{Notify, Wish, Wishes};
use self::sight::Sight;
use self::tap::{Tap, TapCounts};
use self::window::{Door, Snapshot, Window};
use crate::alarms::{AlarmId, Alarms, Board};
use crate::clock;
use crate::config::Config;
use crate::engine::Limit;
use crate::finish::Losses;
use crate::journal_thread::JournalThread;
use crate::priority;
use crate::worker::Worker;

/// How long the dialog thread sleeps when nothing came.
const NAP: Duration = Duration::from_micros(500);
/// How late a core may be before the others' news is no longer held back for it.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often cores, journals and the interface are looked at: losses are then known before a call that ended with
/// them is finished, a second later.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How often the interface's state and the clocks are asked for: the kernel does not say when they changed.
const LINK_EVERY: Duration = Duration::from_millis(10);
/// A capture thread that has shown no counts for so long hangs: it shows them ten times a second.
const STUCK_AFTER: Duration = Duration::from_secs(2);
/// How often the journals are asked to let go of what is finished.
const RELEASE_EVERY: Duration = Duration::from_secs(5);

/// What a run came to.
pub(crate) struct Outcome {
    /// The whole way of the packets.
    pub(crate) ledger: LiveLedger,
    /// What went wrong. Empty: nothing.
    pub(crate) troubles: Vec<String>,
    /// Whether nothing is left that the journal is needed for.
    is_all_stored: bool,
}

/// Checks what can be checked without starting: values, interface, keys, folders.
///
/// # Errors
/// The first thing that is wrong.
pub(crate) fn check(config: &Config) -> Result<()> {
    config.check()?;
    Link::find(&config.interface)?;
    place::check_writable(&config.data)?;
    Place::open(config)?.check()
}

/// Records until told to stop. `reread` gives the configuration as it is now, for SIGHUP.
///
/// # Errors
/// What keeps it from starting, or from finishing.
pub(crate) fn run(config: &Config, reread: &dyn Fn() -> Result<Config>) -> Result<Outcome> {
    confine::keep_secrets();
    config.check()?;
    // Looked up first: of a mistyped name, nothing is made.
    Link::find(&config.interface)?;
    let board = Board::new();
    let place = Place::open(config)?;
    let wishes = Wishes::new()?;
    place.clocks().look();
    let (port, taps) = Port::open(config)?;
    crate::output::say(format_args!("spanreel: recording {}: {}", port.name, port.way));
    // Without a window, calls are recorded all the same.
    if let Err(error) = window::start_pages(config) {
        tracing::error!("{error:#}");
    }
    let door = Door::open(&config.data).inspect_err(|error| tracing::error!("{error:#}")).ok();
    priority::before_others();
    confine::confine(&config.data);
    place.start(&board)?;
    let alarms = Alarms::start(&place.scene(config), board)?;
    // From here on, the rings see everything.
    let began_at = clock::capture_time();
    let (tell, coming) = std::sync::mpsc::channel();
    let outcome = std::thread::scope(|scope| {
        let run = Run::start(config, (port, taps), (&place, began_at), coming, (alarms, door))?;
        let reading = std::thread::Builder::new()
            .name("recovery".into())
            .spawn_scoped(scope, || {
                priority::like_others();
                restart::read(&place, tell)
            })
            .context("cannot start the thread that reads what an earlier run left")?;
        let mut outcome = run.until_stopped(wishes, reread)?;
        let read =
            reading.join().map_err(|_| anyhow!("reading an earlier run's journal failed"))?;
        let context = "what an earlier run left in the journal is not finished; it stays there";
        if let Err(error) = read.context(context) {
            tracing::error!("{error:#}");
            outcome.troubles.push(format!("{error:#}"));
        }
        Ok::<_, anyhow::Error>(outcome)
    })?;
    if outcome.is_all_stored {
        place.discard_journal()?;
    }
    Ok(outcome)
}

/// A live run, as the dialog thread has it.
struct Run<'a> {
    config: Config,
    place: &'a Place,
    port: Port,
    exchange: Exchange,
    window: Window,
    journals: Vec<JournalThread>,
    alarms: Alarms,
    earlier: Earlier,
    /// When this run began to see everything.
    began_at: Timestamp,
    losses: Arc<Losses>,
    lost: u64,
    /// Of those, packets that were lost before a capture thread took them.
    missed: u64,
    /// The same since the last look.
    missed_just_now: u64,
    troubles: Vec<String>,
    began: Instant,
    look_due: Instant,
    sight: Sight,
    notify: Notify,
    pressure: Pressure,
    strain: Strain,
    link_due: Instant,
    /// Up to when losses are known.
    counted_at: Timestamp,
    release_due: Instant,
    ledger_due: Instant,
    /// Windows are told every second look.
    is_window_due: bool,
    /// Why new calls are refused, while they are.
    limit: Option<Limit>,
}

impl<'a> Run<'a> {
    fn start(
        config: &Config,
        (mut port, taps): (Port, Taps),
        (place, began_at): (&'a Place, Timestamp),
        coming: Receiver<Recovered>,
        (alarms, door): (Alarms, Option<Door>),
    ) -> Result<Self> {
        if taps.len() > usize::from(u8::MAX) + 1 {
            bail!("{} has {} queues; use at most 256 (queues = 256)", port.name, taps.len());
        }
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        // Were there one for each CPU, nobody else would have one when there is more than they can take.
        let precede = taps.len() < cpus;
        let (handles, listening, journals) = Default::default();
        let mut starter = Starter { config, place, precede, handles, listening, journals };
        match taps {
            Taps::Xdp(taps) => taps.into_iter().try_for_each(|tap| starter.core(tap))?,
            Taps::Copies(tap) => starter.core(*tap)?,
            Taps::Packet(taps) => taps.into_iter().try_for_each(|tap| starter.core(tap))?,
        }
        let Starter { handles, listening, journals, .. } = starter;
        port.started();
        let cores = LiveCores::new(handles, port.take_endpoints());
        let health: Vec<_> = journals.iter().map(JournalThread::health).collect();
        let conductor = place.conductor(cpus, health.clone())?.never_waiting();
        let mut exchange = Exchange::new(cores, conductor);
        let sources = place.sources(config, alarms.board(), health);
        let sources = sources.context("the threads that store are not started")?;
        let window = Window::start(door, listening, sources, &mut exchange)?;
        let (now, losses) = (clock::instant(), place.losses());
        Ok(Self {
            config: config.clone(),
            place,
            port,
            exchange,
            window,
            journals,
            alarms,
            earlier: Earlier::Coming(coming),
            began_at,
            losses,
            lost: 0,
            missed: 0,
            missed_just_now: 0,
            troubles: Vec::new(),
            began: now,
            look_due: now,
            sight: Sight::new(Arc::clone(place.outages()), clock::capture_time()),
            notify: Notify::new(),
            pressure: Pressure::default(),
            strain: Strain::default(),
            link_due: now,
            counted_at: clock::capture_time(),
            release_due: now + RELEASE_EVERY,
            ledger_due: now + every(config),
            is_window_due: true,
            limit: None,
        })
    }

    fn until_stopped(
        mut self,
        mut wishes: Wishes,
        reread: &dyn Fn() -> Result<Config>,
    ) -> Result<Outcome> {
        self.notify.tell("READY=1");
        loop {
            let busy = self.turn();
            self.window.turn(&mut self.exchange);
            match wishes.next() {
                Some(Wish::Stop) => break,
                Some(Wish::Reload) => {
                    self.notify.reloading();
                    self.reload(reread);
                    self.notify.tell("READY=1");
                }
                Some(Wish::Ledger) => {
                    crate::output::say(format_args!("{}\n{}", self.ledger(false), self.alarms))
                }
                None => {}
            }
            if self.look().is_err() {
                break;
            }
            self.notify.alive();
            if !busy {
                std::thread::sleep(NAP);
            }
        }
        self.notify.tell("STOPPING=1");
        self.stop()
    }

    /// Takes what the cores have to say. True if there was something.
    fn turn(&mut self) -> bool {
        if !self.earlier_is_told() {
            return self.exchange.hold_back();
        }
        let told = self.exchange.cores.told_until(clock::capture_time().minus(PATIENCE));
        self.exchange.turn(told)
    }

    /// What is looked at now and then. An error: it makes no sense to go on.
    fn look(&mut self) -> Result<(), ()> {
        let now = clock::instant();
        if now >= self.link_due {
            self.link_due = now + LINK_EVERY;
            self.place.clocks().look();
            self.follow_interface();
        }
        if now < self.look_due {
            return Ok(());
        }
        self.look_due = now + LOOK_EVERY;
        self.admit();
        let ledger = self.note_losses();
        self.show_windows(ledger);
        self.tell_troubles();
        if now >= self.release_due {
            self.release_due = now + RELEASE_EVERY;
            self.release();
        }
        if self.config.stats_every_seconds > 0 && now >= self.ledger_due {
            self.ledger_due = now + every(&self.config);
            crate::output::say(format_args!("{}", self.ledger(false)));
        }
        if let Some(reason) = self.reason_to_end() {
            tracing::error!("{reason}; what was recorded is finished, then this run ends");
            self.troubles.push(reason);
            return Err(());
        }
        Ok(())
    }

    /// Decides over new calls: whether there is room for them on the disk and in the journal's memory, and whether the
    /// capture threads have time for them.
    fn admit(&mut self) {
        let used = self.exchange.cores.handles.iter().map(|handle| handle.lines.memory()).max();
        let memory = self.pressure.judge(used.unwrap_or(0), &self.alarms.board());
        let load = self.exchange.cores.handles.iter().map(|handle| handle.lines.cpu()).max();
        let (load, missed) = (load.unwrap_or(0), self.missed_just_now);
        let capture = self.strain.judge(load, missed, &self.alarms.board());
        let limit = self.place.admission().limit().or(memory).or(capture);
        self.exchange.conductor.engine.refuse_new(limit);
        self.limit = limit;
    }

    /// Lets go of journal segments that nothing needs any more.
    fn release(&mut self) {
        self.exchange.cores.release_signalling(self.exchange.conductor.engine.needed_since());
        for (handle, journal) in self.exchange.cores.handles.iter().zip(&self.journals) {
            journal.release_before(handle.lines.needed_from());
        }
        self.let_go_of_earlier();
    }

    /// Losses since the last look are noted for the calls that were up. When they were is known as well as the
    /// cores have shown their counts.
    fn note_losses(&mut self) -> LiveLedger {
        let counted_at = self.exchange.cores.handles.iter().map(|handle| handle.counted().at).min();
        let ledger = self.ledger(false);
        self.show_alarms(&ledger);
        let (lost, missed) = (ledger.lost(), ledger.missed());
        self.missed_just_now = missed - self.missed;
        self.missed = missed;
        if lost > self.lost {
            let packets = lost - self.lost;
            tracing::error!("{packets} packets were lost just now; SIGUSR1 shows where");
            self.losses.add(self.counted_at, clock::capture_time(), packets);
        }
        (self.lost, self.counted_at) = (lost, counted_at.unwrap_or_default());
        ledger
    }

    /// Windows are told what is known now, twice a second.
    fn show_windows(&mut self, ledger: LiveLedger) {
        self.window.look(&mut self.exchange);
        self.is_window_due = !self.is_window_due;
        if self.is_window_due {
            return;
        }
        let conductor = &self.exchange.conductor;
        self.window.show(Snapshot {
            at: clock::now(),
            blind: self.sight.lasting(),
            stuck_core: self.stuck_core(),
            limit: self.limit,
            recovering: matches!(self.earlier, Earlier::Coming(_)),
            concurrent: conductor.engine.concurrent(),
            flows: conductor.engine.flows_open(),
            unfinished: (conductor.in_hand(), conductor.oldest()),
            ledger,
        });
    }

    /// A capture thread that has ended, or shows no counts any more, takes no packets.
    fn stuck_core(&self) -> Option<String> {
        let now = clock::capture_time();
        let mut handles = self.exchange.cores.handles.iter().enumerate();
        handles.find_map(|(number, handle)| {
            if !handle.is_running() {
                return Some(format!("capture thread {number} has ended"));
            }
            let at = handle.counted().at;
            let is_stuck = at > Timestamp::ZERO && now.since(at) > STUCK_AFTER;
            is_stuck.then(|| format!("capture thread {number} has hung since {at}"))
        })
    }

    fn tell_troubles(&mut self) {
        self.tell_journals();
        for handle in &mut self.exchange.cores.handles {
            while let Ok(trouble) = handle.end.trouble.pop() {
                tracing::warn!("{trouble}");
            }
        }
        if let Err(failure) = self.exchange.conductor.check() {
            tracing::error!(
                "a call could not be finished; its packets stay in the journal: {failure:#}"
            );
        }
    }

    /// A journal that cannot be written goes on in memory, and in its second folder.
    fn tell_journals(&self) {
        for (core, journal) in (0..).zip(&self.journals) {
            let (failing, moved) = match journal.state() {
                JournalState::Writing => (None, None),
                JournalState::Moved => (None, Some(format!("of capture core {core}"))),
                JournalState::Failing { error, .. } => (Some(error), None),
            };
            self.alarms.board().set_part(AlarmId::JournalFailing, core, failing);
            self.alarms.board().set_part(AlarmId::JournalMoved, core, moved);
        }
    }

    fn reason_to_end(&mut self) -> Option<String> {
        if !self.exchange.cores.handles.iter().all(Handle::is_running) {
            return Some("a capture thread has ended".into());
        }
        if self.sight.is_removed() && self.port.is_bound_to_interface() {
            return Some(format!("{} was removed", self.port.name));
        }
        None
    }

    /// What the interface cannot show is an outage for the calls that are up.
    fn follow_interface(&mut self) {
        let failing = self.exchange.cores.handles.iter().any(|handle| handle.lines.is_failing());
        let mut changed = self.sight.look(failing, clock::capture_time());
        while let Some(state) = self.port.change() {
            changed |= self.sight.link(state, clock::capture_time());
            let name = &self.port.name;
            match state {
                LinkState::Running { .. } => tracing::warn!("{name} is up"),
                LinkState::NoCarrier { .. } => {
                    tracing::warn!("{name} has no carrier: check the cable")
                }
                LinkState::Down { .. } => {
                    tracing::warn!("{name} is down; recording goes on when it is up")
                }
                LinkState::Absent => {
                    tracing::warn!("{name} was removed; recording goes on when it is back")
                }
            }
        }
        if changed {
            self.place.save_outages();
        }
    }

    fn reload(&mut self, reread: &dyn Fn() -> Result<Config>) {
        match self.try_reload(reread) {
            Ok(()) => {
                crate::output::say(format_args!("spanreel: the configuration was read again"))
            }
            Err(error) => {
                tracing::error!("the configuration stays as it was: {error:#}");
            }
        }
    }

    fn try_reload(&mut self, reread: &dyn Fn() -> Result<Config>) -> Result<()> {
        let new = reread()?;
        new.check()?;
        let fixed = self.config.needs_restart(&new);
        if !fixed.is_empty() {
            tracing::warn!("{} changes only with a restart", fixed.join(", "));
        }
        if self.config.seal {
            self.exchange
                .conductor
                .seal_for(self.place.seals(&Config { seal: true, ..new.clone() })?);
        }
        self.alarms
            .reload(&self.place.scene(&Config { data: self.config.data.clone(), ..new.clone() }))?;
        self.port.configure(&Config { role: self.config.role, ..new.clone() })?;
        self.exchange.conductor.engine.set_keep_unclaimed(new.keep_unclaimed);
        self.exchange.conductor.tell_by(new.telling());
        let Config {
            signalling_ports,
            certificates,
            keep_unclaimed,
            own_numbers,
            dtmf,
            stats_every_seconds,
            alarms,
            ..
        } = new;
        let old = std::mem::take(&mut self.config);
        self.config = Config {
            signalling_ports,
            certificates,
            keep_unclaimed,
            own_numbers,
            dtmf,
            stats_every_seconds,
            alarms,
            ..old
        };
        self.ledger_due = clock::instant() + every(&self.config);
        Ok(())
    }

    /// Stops capturing, ends the calls that are up, finishes and stores everything.
    fn stop(mut self) -> Result<Outcome> {
        self.window.stopping();
        self.port.detach();
        self.exchange.cores.handles.iter().for_each(|handle| handle.lines.stop());
        while self.exchange.cores.is_running() {
            if !self.turn() {
                std::thread::sleep(NAP);
            }
        }
        self.wait_for_earlier();
        let late = self.exchange.cores.take_over();
        self.exchange.hear_all();
        for report in late? {
            self.exchange.conductor.engine.report(report);
        }
        self.note_losses();
        self.tell_troubles();
        self.alarms.ending();
        if let Err(failure) = self.exchange.end_calls() {
            self.troubles.push(format!("a call could not be finished: {failure:#}"));
        }
        let ledger = self.ledger(true);
        self.troubles.extend(ledger.imbalances());
        if ledger.tally.failed > 0 {
            let failed = ledger.tally.failed;
            self.troubles
                .push(format!("{failed} calls are not finished; the next run tries again"));
        }
        let is_all_stored = ledger.tally.failed == 0 && self.is_earlier_stored();
        let Self { exchange, journals, window, mut troubles, .. } = self;
        let Exchange { cores, conductor, .. } = exchange;
        drop(window);
        drop(cores);
        conductor.stop()?;
        for journal in journals {
            if let Err(error) = journal.stop() {
                troubles.push(format!("{error:#}"));
            }
        }
        Ok(Outcome { ledger, troubles, is_all_stored })
    }

    fn ledger(&mut self, is_final: bool) -> LiveLedger {
        let (mut frames, mut taps) = (self.exchange.notes.clone(), TapCounts::default());
        let mut by_core = Vec::with_capacity(self.exchange.cores.handles.len());
        for counted in self.exchange.cores.handles.iter().map(Handle::counted) {
            by_core.push(counted.ledger.received());
            frames.add(&counted.ledger);
            taps.add(&counted.tap);
        }
        let wall_clock = self.place.clocks().wall_clock();
        let shown = |time| wall_clock.shown_at(time);
        LiveLedger {
            interface: self.port.name.clone(),
            way: self.port.way.clone(),
            seconds: self.began.elapsed().as_secs_f64(),
            nic: self.port.statistics(),
            program: self.port.counters(),
            taps,
            cores: frames,
            by_core,
            orders_refused: self.exchange.cores.refused(),
            endpoints_refused: self.exchange.cores.endpoints_refused(),
            totals: self.exchange.conductor.engine.totals(),
            tally: self.exchange.conductor.tally().clone(),
            outages: self.place.outages().all().into_iter().map(|it| it.told(shown)).collect(),
            refused: self.exchange.conductor.engine.refused().map(|it| it.told(shown)).collect(),
            is_final,
        }
    }
}

/// How often the ledger is wanted; of no use if that is never.
fn every(config: &Config) -> Duration {
    Duration::from_secs(config.stats_every_seconds.max(1))
}

/// Starts the capture cores, each with its journal.
struct Starter<'a> {
    config: &'a Config,
    place: &'a Place,
    /// Whether capture threads go before all others.
    precede: bool,
    handles: Vec<Handle>,
    listening: Vec<(Arc<Lines>, ListenerEnd)>,
    journals: Vec<JournalThread>,
}

impl Starter<'_> {
    fn core(&mut self, tap: impl Tap) -> Result<()> {
        let number = u8::try_from(self.handles.len()).context("too many capture threads")?;
        let options = self.place.writer_options();
        let (writer, appender) =
            self.place.journal().core(number, &options, clock::capture_time())?;
        let (lines, (end, dialog, listener)) = (Arc::<Lines>::default(), rings());
        self.journals.push(JournalThread::start(appender)?);
        let cpu = self.config.cores.get(usize::from(number)).copied();
        let at = (cpu, self.precede);
        let core = Core::new(tap, Worker::new(writer), (Arc::clone(&lines), end));
        let running = core::start(number, at, core)?;
        self.listening.push((Arc::clone(&lines), listener));
        self.handles.push(Handle::new(number, lines, dialog, running));
        Ok(())
    }
}
