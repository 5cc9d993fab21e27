//! The world of one run: time, what happens next, and what must hold after it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base::Timestamp;
use hashbrown::{HashMap, HashSet};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tempfile::TempDir;
use wiring::machine::{Journaled, Keys, Machine, Settings};

use crate::check::{self, Kept, Wire};
use crate::disk::{Faults, MemoryDisk};
use crate::plan::{Blow, ORIGIN, Plan, Turn};
use crate::traffic::{Cargo, Traffic};

/// A chunk's age limit, the tick that looks at it, and how long the parts sleep between two turns.
const SEALED_WITHIN: Duration = Duration::from_millis(500 + 250 + 60);
/// What a power cut may cost with a disk that behaves: [`SEALED_WITHIN`], and the journal's commit age.
const LOSS_MAX: Duration = Duration::from_millis(1_000 + 250 + 120);
/// How long everything is given to settle in the end: a job that failed is tried again after 5 minutes at most.
const SETTLE: Duration = Duration::from_secs(700);
/// From then on nothing is urgent, and turns are rare.
const CALM: Duration = Duration::from_secs(3);
const CALMER: u32 = 50;
/// How long a start that the disk refused waits for the next.
const RETRY: Duration = Duration::from_millis(300);
/// Seconds, and turns of each part, of a last run that sees nothing.
const TURNS_ONCE_MORE: u32 = 60;
/// Steps of one run; one that needs more hangs.
const STEPS_MAX: u64 = 200_000;

/// What a run came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Turns of parts.
    pub steps: u64,
    /// Calls of the disk.
    pub disk_calls: u64,
    /// Times that the recorder was killed or lost its power.
    pub blows: u64,
    /// Recordings in the end.
    pub recordings: usize,
    /// Packets that were found in them.
    pub packets: usize,
}

/// Something that must never be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The seed: it happens again.
    pub seed: u64,
    /// After so many steps.
    pub step: u64,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, step, what } = self;
        write!(f, "seed {seed}, step {step}: {what} (SPANREEL_SIM_SEED={seed} runs it alone)")
    }
}

/// What is made once for many runs.
pub struct Workshop {
    keys: Keys,
    folder: TempDir,
}

impl Workshop {
    /// Makes keys, and a folder in memory for catalogs.
    ///
    /// # Errors
    /// Keys or the folder cannot be made.
    pub fn new() -> Result<Self, Box<dyn std::error::Error>> {
        let purpose = seal::keys::Purpose::Node("sim");
        let until = ORIGIN.plus(Duration::from_secs(1 << 30));
        let made =
            seal::keys::create(purpose, seal::keys::Algorithm::default(), Timestamp::ZERO, until)?;
        let keys = Keys::new([7; 32], made.private_key.as_bytes(), made.certificate.as_bytes());
        let memory = Path::new("/dev/shm");
        let folder = match memory.is_dir() {
            true => tempfile::tempdir_in(memory)?,
            false => tempfile::tempdir()?,
        };
        Ok(Self { keys, folder })
    }
}

/// Runs a plan.
///
/// # Errors
/// The first invariant that does not hold.
pub fn run(plan: &Plan, workshop: &Workshop) -> Result<Report, Violation> {
    let traffic = Traffic::new(plan.seed, ORIGIN, plan.cores);
    let mut world = World::new(plan, &traffic, workshop);
    let ran = world.run();
    let _ = std::fs::remove_dir_all(world.settings.catalog.parent().unwrap_or(Path::new("")));
    ran.map_err(|what| Violation { seed: plan.seed, step: world.report.steps, what })?;
    Ok(world.report)
}

/// Who has a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Turn(usize),
    Arrival(usize),
    Start,
    Core(usize),
    Journal(usize),
    Dialog,
    Finish,
}

type Packet = (usize, usize, usize);

struct World<'a> {
    plan: &'a Plan,
    traffic: &'a Traffic,
    disk: MemoryDisk,
    settings: Settings,
    chance: ChaCha8Rng,
    machine: Option<Machine>,
    /// The world's time; what the wall clock shows is off by `clock`.
    now: Timestamp,
    clock: i64,
    agenda: BinaryHeap<Reverse<(Timestamp, u64, Part)>>,
    entries: u64,
    /// Turns of a machine that is gone are not had.
    lives: u64,
    /// What has come to the machine and is not known to be durable: when, and what.
    taken: Vec<(Timestamp, usize, Cargo)>,
    /// What has to be in a recording.
    durable: HashSet<Packet>,
    /// Messages that are durable, by call: how many.
    messages: HashMap<usize, usize>,
    /// Recordings that were seen whole, and their call.
    seen: BTreeSet<String>,
    clock_was_set: bool,
    lost_news: bool,
    /// When everything has happened; whether it has.
    calm_from: Timestamp,
    is_calm: bool,
    report: Report,
}

impl<'a> World<'a> {
    fn new(plan: &'a Plan, traffic: &'a Traffic, workshop: &Workshop) -> Self {
        let disk = MemoryDisk::new(plan.seed);
        if let Some(lie) = plan.lie {
            disk.set_lie(lie);
        }
        let folder = workshop.folder.path().join(plan.seed.to_string());
        // A folder that cannot be made is found out when the machine starts.
        let _ = std::fs::create_dir_all(&folder);
        let settings = Settings {
            disk: Arc::new(disk.clone()),
            data: PathBuf::from("/data"),
            catalog: folder.join("catalog.db"),
            keys: workshop.keys.clone(),
            // There are at most three.
            cores: plan.cores as u8,
        };
        Self {
            plan,
            traffic,
            disk,
            settings,
            chance: ChaCha8Rng::seed_from_u64(plan.seed ^ 0xdeed),
            machine: None,
            now: ORIGIN,
            clock: 0,
            agenda: BinaryHeap::new(),
            entries: 0,
            lives: 0,
            taken: Vec::new(),
            durable: HashSet::new(),
            messages: HashMap::new(),
            seen: BTreeSet::new(),
            clock_was_set: false,
            lost_news: false,
            calm_from: ORIGIN,
            is_calm: false,
            report: Report::default(),
        }
    }

    fn run(&mut self) -> Result<(), String> {
        for (number, arrival) in self.traffic.arrivals.iter().enumerate() {
            self.enter(arrival.time, Part::Arrival(number));
        }
        for (number, (time, _)) in self.plan.turns.iter().enumerate() {
            self.enter(*time, Part::Turn(number));
        }
        self.enter(ORIGIN, Part::Start);
        let last = self.plan.turns.last().map_or(ORIGIN, |(time, _)| *time);
        self.calm_from = self.traffic.end().max(last).plus(CALM);
        let end = self.calm_from.plus(SETTLE);
        while let Some(Reverse((time, _, part))) = self.agenda.pop() {
            if time >= self.calm_from && !self.is_calm {
                self.is_calm = true;
                self.disk.set_faults(Faults::default());
                self.disk.cancel_cut();
            }
            if self.is_calm && self.is_settled() {
                break;
            }
            // A call whose end was not seen may be up for hours; what is in the spool may wait for the next start.
            if time >= end {
                break;
            }
            self.now = self.now.max(time);
            self.step(part)?;
            self.report.steps += 1;
            if self.report.steps > STEPS_MAX {
                return Err("it does not come to an end".into());
            }
        }
        self.end()
    }

    fn enter(&mut self, time: Timestamp, part: Part) {
        self.entries += 1;
        self.agenda.push(Reverse((time, self.entries, part)));
    }

    /// The part's next turn comes within `within`, as chance has it; later if the disk kept it busy.
    fn again(&mut self, part: Part, within: Duration) {
        let busy = self.disk.take_latency();
        let within = if self.is_calm { within * CALMER } else { within };
        let after = self.chance.random_range(Duration::from_micros(100)..within);
        self.enter(self.now.plus(busy + after), part);
    }

    fn step(&mut self, part: Part) -> Result<(), String> {
        Machine::set_time(self.wall(self.now), self.now.since(ORIGIN));
        let millis = Duration::from_millis;
        match part {
            Part::Turn(number) => return self.turn(number),
            Part::Start => return self.start(),
            Part::Arrival(number) => return self.arrival(number),
            _ if self.machine.is_none() => return Ok(()),
            Part::Core(core) => {
                self.core(core)?;
                self.again(part, millis(20));
            }
            Part::Journal(core) => {
                self.journal(core);
                self.again(part, millis(40));
            }
            Part::Dialog => {
                self.with(Machine::dialog);
                self.again(part, millis(30));
            }
            Part::Finish => {
                self.with(Machine::finish);
                self.look_at_recordings()?;
                self.again(part, millis(200));
            }
        }
        if self.disk.is_off() {
            return self.blow(Duration::from_millis(400), 0);
        }
        Ok(())
    }

    fn with<T: Default>(&mut self, act: impl FnOnce(&mut Machine) -> T) -> T {
        self.machine.as_mut().map(act).unwrap_or_default()
    }

    fn wall(&self, time: Timestamp) -> Timestamp {
        match u64::try_from(self.clock) {
            Ok(later) => time.plus(Duration::from_nanos(later)),
            Err(_) => time.minus(Duration::from_nanos(self.clock.unsigned_abs())),
        }
    }

    fn turn(&mut self, number: usize) -> Result<(), String> {
        match self.plan.turns[number].1 {
            Turn::Disk(faults) => self.disk.set_faults(faults),
            Turn::Blow(Blow::Kill, away, clock) => return self.kill(away, clock),
            // Whoever calls the disk for the last time is where the power goes.
            Turn::Blow(Blow::Power(calls), _, clock) => {
                self.disk.cut_in(calls);
                self.set_clock(clock);
            }
        }
        Ok(())
    }

    fn set_clock(&mut self, by: i64) {
        self.clock += by;
        self.clock_was_set |= by != 0;
    }

    /// The process is gone. What it wrote is there; what it had in memory is not.
    fn kill(&mut self, away: Duration, clock: i64) -> Result<(), String> {
        self.set_clock(clock);
        self.gone(away)
    }

    /// The power is gone, and comes back.
    fn blow(&mut self, away: Duration, clock: i64) -> Result<(), String> {
        self.set_clock(clock);
        self.machine = None;
        self.disk.power_on();
        if self.plan.has_good_disk() && self.plan.lie.is_none() {
            self.judge_loss()?;
        }
        self.look_at_recordings()?;
        self.gone(away)
    }

    fn gone(&mut self, away: Duration) -> Result<(), String> {
        self.machine = None;
        self.taken.clear();
        self.lives += 1;
        self.report.blows += 1;
        self.drop_turns();
        self.enter(self.now.plus(away), Part::Start);
        Ok(())
    }

    /// With a disk that behaves, what is older than the promise says is durable.
    fn judge_loss(&self) -> Result<(), String> {
        let late = self.taken.iter().find(|(time, ..)| self.now.since(*time) > LOSS_MAX);
        late.map_or(Ok(()), |(time, core, cargo)| {
            let age = self.now.since(*time);
            Err(format!("{cargo:?} of core {core} was lost {age:?} after it came"))
        })
    }

    /// A machine's parts have no turns when it is gone.
    fn drop_turns(&mut self) {
        let entries = std::mem::take(&mut self.agenda).into_iter();
        let stays = |part: &Part| matches!(part, Part::Turn(_) | Part::Arrival(_));
        self.agenda = entries.filter(|Reverse((_, _, part))| stays(part)).collect();
    }

    fn start(&mut self) -> Result<(), String> {
        match Machine::start(&self.settings) {
            Ok(machine) => self.machine = Some(machine),
            Err(_) if self.disk.is_off() => return self.blow(RETRY, 0),
            Err(error) if self.plan.has_good_disk() => {
                return Err(format!("it does not start: {error:#}"));
            }
            Err(error) if self.is_calm => {
                return Err(format!("it does not start, although the disk is well: {error:#}"));
            }
            Err(_) => {
                self.enter(self.now.plus(RETRY), Part::Start);
                return Ok(());
            }
        }
        for core in 0..self.plan.cores {
            self.again(Part::Core(core), Duration::from_millis(5));
            self.again(Part::Journal(core), Duration::from_millis(40));
        }
        self.again(Part::Dialog, Duration::from_millis(30));
        self.again(Part::Finish, Duration::from_millis(200));
        Ok(())
    }

    fn arrival(&mut self, number: usize) -> Result<(), String> {
        let arrival = &self.traffic.arrivals[number];
        let time = self.wall(arrival.time);
        let Some(machine) = &mut self.machine else { return Ok(()) };
        machine.arrive(arrival.core, time, &arrival.bytes, arrival.wire_bytes);
        if !arrival.is_cut() {
            self.taken.push((self.now, arrival.core, arrival.cargo));
        }
        Ok(())
    }

    /// A turn of a core: every frame ends in one outcome. What it refuses because it has no memory is not taken.
    fn core(&mut self, core: usize) -> Result<(), String> {
        let refused =
            |machine: &mut Machine| machine.ledger(core).map_or(0, wiring::machine::refused);
        let before = self.with(refused);
        self.with(|machine| machine.core(core));
        if self.with(refused) > before {
            // Which ones it was, is not known here.
            self.lost_news = true;
            self.taken.retain(|(_, of, _)| *of != core);
        }
        match self.machine.as_ref().and_then(|machine| machine.ledger(core)) {
            Some(ledger) if !ledger.balances() => Err(format!("core {core}: {ledger}")),
            _ => Ok(()),
        }
    }

    fn journal(&mut self, core: usize) {
        let journaled = self.machine.as_mut().map(|machine| machine.journal(core));
        if journaled == Some(Journaled::Durable) {
            let sealed_until = self.now.minus(SEALED_WITHIN);
            let (durable, messages) = (&mut self.durable, &mut self.messages);
            self.taken.retain(|(time, of, cargo)| {
                let is_durable = *of == core && *time < sealed_until;
                match cargo {
                    Cargo::Rtp(call, side, index) if is_durable => {
                        durable.insert((*call, *side, *index));
                    }
                    Cargo::Sip(call) if is_durable => *messages.entry(*call).or_default() += 1,
                    _ => {}
                }
                !is_durable
            });
        }
    }

    /// What is visible stays, and is whole.
    fn look_at_recordings(&mut self) -> Result<(), String> {
        let names = self.disk.peek_names(&self.settings.recordings());
        let visible: BTreeSet<String> =
            names.into_iter().filter(|name| !name.starts_with('.')).collect();
        if visible == self.seen {
            return Ok(());
        }
        if let Some(gone) = self.seen.difference(&visible).next()
            && self.listed()?.contains(gone)
        {
            return Err(format!("recording {gone} was there, and is gone"));
        }
        check::kept(&self.disk, &self.settings.recordings())?;
        self.seen = visible;
        Ok(())
    }

    /// The ids in the catalog.
    fn listed(&self) -> Result<BTreeSet<String>, String> {
        let catalog = match store::Catalog::open_existing(&self.settings.place_of_catalog()) {
            Err(store::CatalogError::Missing(_)) => return Ok(BTreeSet::new()),
            catalog => catalog.map_err(|error| error.to_string())?,
        };
        let all = catalog.find(&store::Filter::default(), store::Order::default(), None, 1_000);
        Ok(all.map_err(|error| error.to_string())?.iter().map(|r| r.id.to_string()).collect())
    }

    /// Whether every call is stored where it belongs.
    fn is_settled(&self) -> bool {
        let spool = self.disk.peek_names(&self.settings.data.join("spool"));
        self.machine.as_ref().is_some_and(|machine| machine.open() == 0)
            && spool.iter().all(|name| name.starts_with('.'))
    }

    /// One more run that sees nothing: it finds what can only be found at a start.
    fn run_once_more(&mut self) -> Result<(), String> {
        let failed = |error| format!("it does not start in the end: {error:#}");
        let mut machine = Machine::start(&self.settings).map_err(failed)?;
        for _ in 0..TURNS_ONCE_MORE {
            self.now = self.now.plus(Duration::from_secs(1));
            Machine::set_time(self.wall(self.now), self.now.since(ORIGIN));
            for core in 0..self.plan.cores {
                machine.core(core);
                machine.journal(core);
            }
            machine.dialog();
            machine.finish();
        }
        machine.stop().map_err(|error| format!("it does not end once more: {error:#}"))
    }

    /// Everything has come to rest: now all must be there.
    fn end(&mut self) -> Result<(), String> {
        let machine = self.machine.take().ok_or("it is not running in the end")?;
        machine.stop().map_err(|error| format!("it does not end: {error:#}"))?;
        self.run_once_more()?;
        for (_, _, cargo) in std::mem::take(&mut self.taken) {
            match cargo {
                Cargo::Rtp(call, side, index) => drop(self.durable.insert((call, side, index))),
                Cargo::Sip(call) => *self.messages.entry(call).or_default() += 1,
                Cargo::Noise => {}
            }
        }
        let kept = check::kept(&self.disk, &self.settings.recordings())?;
        let listed = self.listed()?;
        if !listed.iter().eq(kept.keys()) {
            return Err(format!("listed: {listed:?}; there: {:?}", kept.keys()));
        }
        let wire = Wire::new(self.traffic);
        let found = wire.packets(&kept, !self.clock_was_set)?;
        self.judge_packets(&found)?;
        self.judge_calls(&kept)?;
        self.report.recordings = kept.len();
        self.report.packets = found.len();
        self.report.disk_calls = self.disk.calls();
        Ok(())
    }

    fn judge_packets(&self, found: &HashMap<Packet, u32>) -> Result<(), String> {
        if self.clock_was_set {
            // Times that come again: what belongs to which call, nobody can tell for sure.
            return Ok(());
        }
        if let Some((packet, times)) = found.iter().filter(|(_, times)| **times > 1).min() {
            return Err(format!("{packet:?} is in the recordings {times} times"));
        }
        let mut missing: Vec<&Packet> =
            self.durable.iter().filter(|packet| !found.contains_key(*packet)).collect();
        missing.sort_unstable();
        match missing.first() {
            // A few packets without signalling are no conversation.
            Some(packet) if self.is_conversation(packet.0) => {
                Err(format!("{} packets are missing, first {packet:?}", missing.len()))
            }
            _ => Ok(()),
        }
    }

    /// Whether enough of a call's signalling is durable for its media to be anybody's.
    fn is_conversation(&self, call: usize) -> bool {
        self.traffic.calls[call].is_signalled && self.messages.get(&call).is_some_and(|m| *m == 6)
    }

    fn judge_calls(&self, kept: &BTreeMap<String, Kept>) -> Result<(), String> {
        for (number, call) in self.traffic.calls.iter().enumerate() {
            let of_call = |kept: &&Kept| kept.recording.call_id.as_ref() == Some(&call.id);
            let count = kept.values().filter(of_call).count();
            let whole = self.is_conversation(number) && !self.lost_news && !self.clock_was_set;
            if whole && count != 1 {
                return Err(format!("{} has {count} recordings", call.id));
            }
        }
        Ok(())
    }
}
