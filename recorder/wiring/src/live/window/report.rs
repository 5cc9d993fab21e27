//! From what the run has counted to what people are told ([`Status`]).
//!
//! It is made on the windows' thread: the dialog thread hands a [`Snapshot`] over, the rest is read where it is kept.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use base::ledger::{Class, Note};
use base::{Outcome, Timestamp};
use capture::nic::Counter;
use capture::xdp::Reason;
use web::link::status::{
    Alarm, Certificate, Clock, Disk, Finishing, Interface, Ledger, LedgerRow, Listening, Part,
    Recording, Span, Status, Traffic, Worker,
};

use super::calls::Calls;
use super::shared::{Shared, Snapshot};
use crate::alarms::{self, AlarmId, Board};
use crate::clock;
use crate::disk_watch::Rooms;
use crate::engine::Limit;
use crate::finish::{Heard, Standing};
use crate::journal_thread::Health;
use crate::live::LiveLedger;
use crate::outages::Kind;
use crate::wall_clock::WallClock;

/// Alarms that cleared and calls that lack something, told at most.
const LISTED_MAX: usize = 50;
/// Over how long shares are taken, and how often their sums are remembered.
const SHARES_OVER: Duration = Duration::from_secs(900);
const SHARES_EVERY: Duration = Duration::from_secs(10);
/// How far back the slowest flush is told.
const LATENCY_OVER: Duration = Duration::from_secs(60);

/// Where the report is read from.
pub(in crate::live) struct Sources {
    pub(in crate::live) node: String,
    pub(in crate::live) build: String,
    /// Which database the catalog is in.
    pub(in crate::live) catalog: &'static str,
    /// CPUs of the capture threads, as far as they are kept on one.
    pub(in crate::live) cpus: Vec<usize>,
    pub(in crate::live) certificates: Vec<Certificate>,
    pub(in crate::live) board: Board,
    pub(in crate::live) heard: Arc<Heard>,
    pub(in crate::live) standing: Arc<Standing>,
    pub(in crate::live) wall_clock: Arc<WallClock>,
    pub(in crate::live) rooms: Rooms,
    pub(in crate::live) journals: Vec<Health>,
}

/// What came, a second.
#[derive(Default)]
struct Rates {
    calls: f64,
    packets: f64,
    bits: f64,
    by_core: Vec<f64>,
    rows: Vec<LedgerRow>,
}

/// Makes reports, with a memory of the last.
pub(super) struct Reporter {
    sources: Sources,
    state: Option<Recording>,
    last: Option<(Snapshot, Vec<LedgerRow>)>,
    latest: Option<Status>,
    shares: VecDeque<(Duration, [u64; 4])>,
    slowest: VecDeque<(Duration, Duration)>,
}

impl Reporter {
    pub(super) fn new(sources: Sources) -> Self {
        Self {
            sources,
            state: None,
            last: None,
            latest: None,
            shares: VecDeque::new(),
            slowest: VecDeque::new(),
        }
    }

    /// The report on a new snapshot.
    pub(super) fn report(
        &mut self,
        snapshot: Snapshot,
        shared: &Shared,
        (calls, listeners): (&Calls, usize),
    ) -> Status {
        let now = Duration::from_nanos(clock::monotonic());
        let (rates, recording) = (self.rates(&snapshot), self.judge(&snapshot));
        let (span, disks) = (self.span(now, &snapshot), self.disks(now));
        let ledger = &snapshot.ledger;
        let status = Status {
            time: snapshot.at,
            node: self.sources.node.clone(),
            build: self.sources.build.clone(),
            recording,
            interface: Interface {
                name: ledger.interface.clone(),
                way: ledger.way.clone(),
                up: matches!(snapshot.blind, None | Some(Kind::CaptureFailed)),
            },
            calls: web::link::status::Calls {
                concurrent: snapshot.concurrent as u64,
                per_second: rates.calls,
                seen: ledger.totals.calls,
                answered: ledger.totals.answered,
                refused: ledger.totals.refused,
                recorded: ledger.tally.recorded,
                incomplete: ledger.tally.incomplete,
            },
            traffic: Traffic {
                packets_per_second: rates.packets,
                bits_per_second: rates.bits,
                streams: snapshot.flows as u64,
            },
            workers: self.workers(shared, &rates),
            codecs: calls.codecs(),
            quality: self.sources.heard.quality(clock::now()),
            span,
            finishing: Finishing {
                queued: snapshot.unfinished.0 as u64,
                oldest_seconds: snapshot.unfinished.1.as_secs_f64(),
                spooled: self.sources.standing.spooled() as u64,
            },
            listening: Listening {
                listeners: listeners as u64,
                missed: shared.lines.iter().map(|lines| lines.unheard()).sum(),
            },
            disks,
            catalog: Part {
                kind: self.sources.catalog.into(),
                trouble: self.sources.board.holds(AlarmId::CatalogDown),
            },
            clock: self.clock(),
            certificates: self.sources.certificates.clone(),
            alarms: self.sources.board.raised().iter().map(alarm).collect(),
            cleared: self.sources.board.history().iter().take(LISTED_MAX).map(alarm).collect(),
            incomplete: self.incomplete(ledger),
            ledger: Ledger {
                rows: rates.rows.clone(),
                lost: ledger.lost(),
                imbalances: ledger.imbalances(),
            },
        };
        self.last = Some((snapshot, rates.rows));
        self.latest = Some(status.clone());
        status
    }

    /// The last report, as far as it is still true while the dialog thread is busy.
    pub(super) fn meanwhile(&mut self, stopping: bool) -> Option<Status> {
        let mut status = self.latest.clone()?;
        status.time = clock::now();
        status.alarms = self.sources.board.raised().iter().map(alarm).collect();
        if stopping {
            status.recording =
                self.is(("stopping", Some("the recorder was told to stop".into())), status.time);
        } else {
            status.recording.recovering = true;
        }
        self.latest = Some(status.clone());
        Some(status)
    }

    /// `recording` only if what comes now is taken.
    fn judge(&mut self, snapshot: &Snapshot) -> Recording {
        // The alarm stays up for a while when packets come again; what is recorded then is.
        let board = &self.sources.board;
        let silent =
            || board.raised_detail(AlarmId::NoPackets).and(board.holds(AlarmId::NoPackets));
        let name = &snapshot.ledger.interface;
        let state = if let Some(kind) = snapshot.blind {
            ("blind", Some(format!("{name}: {}", kind.words())))
        } else if let Some(stuck) = &snapshot.stuck_core {
            ("blind", Some(stuck.clone()))
        } else if let Some(silence) = silent() {
            ("blind", Some(silence))
        } else if let Some(limit) = snapshot.limit {
            ("refusing", Some(refusing(limit).to_owned()))
        } else {
            ("recording", None)
        };
        let mut recording = self.is(state, snapshot.at);
        recording.recovering = snapshot.recovering;
        recording
    }

    fn is(&mut self, (state, reason): (&str, Option<String>), now: Timestamp) -> Recording {
        let since = self.state.as_ref().filter(|it| it.state == state).map_or(now, |it| it.since);
        let recording = Recording { state: state.to_owned(), since, reason, recovering: false };
        self.state.insert(recording).clone()
    }

    /// What came since the last snapshot, a second.
    fn rates(&self, snapshot: &Snapshot) -> Rates {
        let mut rows = rows(&snapshot.ledger);
        let Some((last, before)) = &self.last else { return Rates { rows, ..Rates::default() } };
        let seconds = snapshot.at.since(last.at).as_secs_f64().max(0.001);
        let rate = |now: u64, before: u64| now.saturating_sub(before) as f64 / seconds;
        for row in &mut rows {
            let same = |it: &&LedgerRow| it.stage == row.stage && it.name == row.name;
            // What had counted nothing may not have been in the list.
            let counted = before.iter().find(same).map_or(0, |it| it.count);
            row.per_second = rate(row.count, counted);
        }
        let (now, last) = (&snapshot.ledger, &last.ledger);
        let cores = now.by_core.iter().zip(&last.by_core);
        Rates {
            calls: rate(now.totals.calls, last.totals.calls),
            packets: rate(now.cores.received(), last.cores.received()),
            bits: 8.0 * rate(bytes(now), bytes(last)),
            by_core: cores.map(|(now, last)| rate(*now, *last)).collect(),
            rows,
        }
    }

    fn workers(&self, shared: &Shared, rates: &Rates) -> Vec<Worker> {
        let share = |percent: u8| f64::from(percent) / 100.0;
        let workers = shared.lines.iter().enumerate().map(|(core, lines)| Worker {
            queue: core as u32,
            cpu: self.sources.cpus.get(core).map(|cpu| *cpu as u32),
            load: share(lines.load()),
            ring: share(lines.fullest()),
            journal_memory: share(lines.memory()),
            packets_per_second: rates.by_core.get(core).copied().unwrap_or_default(),
        });
        workers.collect()
    }

    /// Shares over the last quarter of an hour.
    fn span(&mut self, now: Duration, snapshot: &Snapshot) -> Span {
        let (frames, totals) = (&snapshot.ledger.cores, &snapshot.ledger.totals);
        let (_, copies) = self.sources.heard.packets();
        let sums = [
            frames.received(),
            frames.of(Outcome::DuplicateFrame) + copies,
            totals.answered,
            totals.without_media,
        ];
        if self.shares.back().is_none_or(|(at, _)| now.saturating_sub(*at) >= SHARES_EVERY) {
            self.shares.push_back((now, sums));
        }
        while self.shares.get(1).is_some_and(|(at, _)| now.saturating_sub(*at) >= SHARES_OVER) {
            self.shares.pop_front();
        }
        let first = self.shares.front().map_or([0; 4], |(_, first)| *first);
        let [received, copies, answered, silent] = std::array::from_fn(|it| {
            sums.get(it).zip(first.get(it)).map_or(0, |(a, b)| a.saturating_sub(*b))
        });
        let share = |part: u64, of: u64| if of == 0 { 0.0 } else { part as f64 / of as f64 };
        Span {
            duplicates: share(copies, received).min(1.0),
            one_direction: self.sources.heard.one_direction(clock::now()),
            without_media: share(silent, answered),
            without_signalling: totals.without_signalling,
        }
    }

    fn disks(&mut self, now: Duration) -> Vec<Disk> {
        let slowest = self.sources.journals.iter().map(Health::take_slowest).max();
        self.slowest.extend(slowest.filter(|it| !it.is_zero()).map(|slowest| (now, slowest)));
        while self.slowest.front().is_some_and(|(at, _)| now.saturating_sub(*at) > LATENCY_OVER) {
            self.slowest.pop_front();
        }
        let latency = self.slowest.iter().map(|(_, took)| took.as_secs_f64() * 1e3);
        let latency = latency.reduce(f64::max);
        let board = &self.sources.board;
        let rooms = self.sources.rooms.all().into_iter();
        rooms
            .map(|room| {
                let is_data = room.purpose == "journal";
                let trouble =
                    if is_data { AlarmId::JournalFailing } else { AlarmId::RecordingsDown };
                let full = [AlarmId::DiskFull, AlarmId::DiskLow].into_iter();
                let part = u32::from(!is_data);
                Disk {
                    purpose: room.purpose.into(),
                    path: room.path.display().to_string(),
                    total: room.space.total,
                    free: room.space.free,
                    days_left: room.days_left,
                    latency: latency.filter(|_| is_data),
                    trouble: board
                        .holds(trouble)
                        .or_else(|| full.into_iter().find_map(|id| board.holds_part(id, part))),
                }
            })
            .collect()
    }

    fn clock(&self) -> Clock {
        let (synchronised, steering, error_max) = self.sources.wall_clock.quality();
        Clock { synchronised, steering, error_max: error_max.as_secs_f64() }
    }

    /// Refused calls, and those of whose recording something is missing; the newest first.
    fn incomplete(&self, ledger: &LiveLedger) -> Vec<web::link::status::Incomplete> {
        let refused = ledger.refused.iter().rev().take(LISTED_MAX);
        let refused = refused.map(|call| web::link::status::Incomplete {
            id: None,
            time: call.time,
            caller: call.caller.clone(),
            callee: call.callee.clone(),
            reasons: vec![format!("not recorded: {}", refusing(call.reason))],
        });
        let mut all: Vec<_> = refused.chain(self.sources.heard.incomplete()).collect();
        all.sort_by_key(|call| std::cmp::Reverse(call.time));
        all.truncate(LISTED_MAX);
        all
    }
}

fn bytes(ledger: &LiveLedger) -> u64 {
    ledger.nic.as_ref().map_or(0, |nic| nic.of(Counter::RxBytes))
}

const fn refusing(limit: Limit) -> &'static str {
    match limit {
        Limit::Calls => "as many calls are up as can be followed",
        Limit::JournalMemory => "the journal's memory is nearly used up: the disk is too slow",
        Limit::JournalDisk => "the journal's disk is nearly full",
        Limit::Capture => "a capture thread cannot keep up with the packets",
    }
}

fn alarm(alarm: &alarms::Alarm) -> Alarm {
    Alarm {
        id: alarm.id.name().into(),
        severity: alarm.id.severity().name().into(),
        detail: alarm.detail.clone(),
        since: alarm.since,
        raised: alarm.raised,
        cleared: alarm.cleared,
        count: alarm.count,
        meaning: alarm.id.meaning().into(),
        action: alarm.id.action().into(),
    }
}

/// The whole way of the packets. Of the kernel's names the ones that counted something; of ours, all.
fn rows(ledger: &LiveLedger) -> Vec<LedgerRow> {
    let row = |stage: &str, name: &str, class: &str, count| LedgerRow {
        stage: stage.into(),
        name: name.into(),
        class: class.into(),
        count,
        per_second: 0.0,
    };
    let mut rows = Vec::new();
    for (counter, count) in ledger.nic.iter().flat_map(|nic| nic.named()) {
        let class = match counter {
            Counter::RxPackets | Counter::RxBytes => "received",
            // What nobody wanted is in it too.
            Counter::RxDropped => "noted",
            other if other.is_loss() => "dropped",
            _ => "noted",
        };
        rows.push(row("interface", counter.name(), class, count));
    }
    if let Some(program) = &ledger.program {
        rows.push(row("program", "seen", "received", program.seen()));
        for reason in Reason::ALL {
            let class = match (reason.is_delivery(), reason.is_loss()) {
                (true, _) => "delivered",
                (_, true) => "dropped",
                _ => "filtered",
            };
            let count = program.of(*reason);
            if count > 0 || reason.is_loss() {
                rows.push(row("program", reason.name(), class, count));
            }
        }
    }
    rows.push(row("sockets", "received", "received", ledger.taps.received));
    for (class, pairs) in [("dropped", &ledger.taps.lost[..]), ("noted", &ledger.taps.beside)] {
        let named = pairs.iter().filter(|(name, _)| !name.is_empty());
        rows.extend(named.map(|(name, count)| row("sockets", name, class, *count)));
    }
    rows.push(row("cores", "received", "received", ledger.cores.received()));
    for outcome in Outcome::ALL {
        let class = class_name(outcome.class());
        rows.push(row("cores", outcome.name(), class, ledger.cores.of(*outcome)));
    }
    for note in Note::ALL {
        rows.push(row("cores", note.name(), "noted", ledger.cores.noted(*note)));
    }
    rows
}

const fn class_name(class: Class) -> &'static str {
    match class {
        Class::Journaled => "journaled",
        Class::Filtered => "filtered",
        Class::Duplicate => "duplicate",
        Class::Undecodable => "undecodable",
        Class::Dropped => "dropped",
    }
}
