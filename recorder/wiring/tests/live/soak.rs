//! A long time of changing load: waves of calls of all kinds, bursts, silence, restarts, reloads. After each wave
//! every call is recorded and whole, and memory, descriptors, threads and files are back where they were.
//!
//! `cargo xtask soak [MINUTES]`; without `SPANREEL_SOAK`, three short waves.

use std::path::Path;
use std::time::{Duration, SystemTime};

use base::Timestamp;
use base::recording::Recording;
use capture::nic::Link;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rustix::process::Signal;

use crate::callers::{Callers, Habits, Kind, Sent};
use crate::inspect::{Away, Inspection};
use crate::recorder::{Recorder, Site, assert_nothing_lost, files, segments, spanreel};
use crate::wire::{SPAN, eventually, with_wire};

/// Of ten calls, so many of each kind.
const ODD: &[Kind] = &[
    Kind::Plain,
    Kind::Plain,
    Kind::Plain,
    Kind::Plain,
    Kind::Plain,
    Kind::Plain,
    Kind::Moved,
    Kind::Transferred,
    Kind::Unanswered,
    Kind::MediaOnly,
];
/// How many waves one recorder sees before it is started anew.
const WAVES_PER_RUN: usize = 6;
/// By how much memory at the end of a wave may be above what it was at the end of the first, MiB.
const MEMORY_GROWS_MAX: u64 = 128;
/// The same in descriptors: segments that are open for reading.
const DESCRIPTORS_GROW_MAX: usize = 8;
/// Faults that are shown.
const SHOWN_MAX: usize = 60;

/// How long it takes.
#[derive(Clone)]
struct Extent {
    total: Duration,
    wave: Duration,
    /// What calls without signalling take until they are taken to be over.
    quiet: Duration,
    calls: (u32, u32),
    habits: Habits,
}

impl Extent {
    fn new() -> Self {
        match std::env::var("SPANREEL_SOAK") {
            Ok(minutes) => Self {
                total: Duration::from_secs_f64(minutes.parse::<f64>().unwrap() * 60.0),
                wave: Duration::from_secs(60),
                quiet: Duration::from_secs(50),
                calls: (50, 400),
                habits: Habits { seed: 3, seconds: (3, 25), kinds: ODD },
            },
            Err(_) => Self {
                total: Duration::from_secs(20),
                wave: Duration::from_secs(5),
                quiet: Duration::from_secs(3),
                calls: (10, 40),
                // Those without signalling take half a minute.
                habits: Habits { seed: 3, seconds: (1, 3), kinds: &ODD[..9] },
            },
        }
    }
}

/// What happens in the midst of a wave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Nothing,
    /// SIGHUP.
    Reload,
    /// SIGTERM, and a start.
    Restart,
    /// SIGKILL, and a start.
    Kill,
}

impl Event {
    fn of(wave: usize) -> Self {
        match wave % (2 * WAVES_PER_RUN) {
            0 => Self::Kill,
            it if it == WAVES_PER_RUN => Self::Restart,
            it if it % 2 == 1 => Self::Reload,
            _ => Self::Nothing,
        }
    }
}

/// What the recorder takes when it has nothing to do.
#[derive(Clone, Copy, Debug, Default)]
struct Standing {
    resident_mib: u64,
    own_mib: u64,
    peak_mib: u64,
    descriptors: usize,
    threads: u64,
    journal: usize,
    spool: usize,
    arenas: usize,
}

impl Standing {
    fn of(site: &Site, recorder: &Recorder) -> Self {
        Self {
            resident_mib: recorder.status("VmRSS") / 1024,
            own_mib: recorder.status("RssAnon") / 1024,
            peak_mib: recorder.status("VmHWM") / 1024,
            descriptors: files(Path::new(&format!("/proc/{}/fd", recorder.id()))),
            threads: recorder.status("Threads"),
            journal: segments(&site.data()),
            spool: files(&site.path("data/spool")),
            arenas: files(&site.journal_memory()),
        }
    }
}

#[test]
fn changing_load_leaves_everything_where_it_was() {
    with_wire(|| {
        let extent = Extent::new();
        let mut soak = Soak::new(&extent);
        println!(
            "wave  minute  calls  event    ended  recorded  RSS MiB (own, peak)  descriptors  threads  journal  spool  \
             arenas  late"
        );
        while soak.callers.now() < extent.total {
            soak.wave(&extent);
        }
        soak.end();
    });
}

struct Soak {
    site: Site,
    recorder: Option<Recorder>,
    callers: Callers,
    random: ChaCha8Rng,
    away: Vec<Away>,
    standings: Vec<Standing>,
    recordings: usize,
    calls: usize,
    wrong: Vec<String>,
}

impl Soak {
    fn new(extent: &Extent) -> Self {
        let site = Site::new();
        let recorder = Some(site.start(&[]));
        let callers = Callers::start(&extent.habits);
        let random = ChaCha8Rng::seed_from_u64(extent.habits.seed);
        let (away, standings, wrong) = (Vec::new(), Vec::new(), Vec::new());
        Self { site, recorder, callers, random, away, standings, recordings: 0, calls: 0, wrong }
    }

    /// A wave of calls, and the silence after it, in which all of them are stored and looked at.
    fn wave(&mut self, extent: &Extent) {
        let wave = self.standings.len();
        let (event, began) = (Event::of(wave), wall_clock());
        let most = self.load(extent, event);
        self.callers.want(0);
        eventually("the calls end", || self.callers.up() == 0);
        std::thread::sleep(extent.quiet);
        let sent = self.callers.ended();
        let recordings = self.recordings_since(began, &sent);
        let standing = Standing::of(&self.site, self.recorder.as_ref().unwrap());
        self.examine(&recordings, &sent);
        self.recordings += recordings.len();
        self.calls += sent.len();
        self.standings.push(standing);
        let Standing {
            resident_mib,
            own_mib,
            peak_mib,
            descriptors,
            threads,
            journal,
            spool,
            arenas,
        } = standing;
        println!(
            "{wave:>4}  {:>6.1}  {most:>5}  {event:<7?}  {:>5}  {:>8}  {resident_mib:>7} ({own_mib}, {peak_mib})  \
             {descriptors:>11}  {threads:>7}  {journal:>7}  {spool:>5}  {arenas:>6}  {:?}",
            self.callers.now().as_secs_f64() / 60.0,
            sent.len(),
            recordings.len(),
            self.callers.late(),
        );
    }

    /// So many calls, then others, a moment of silence, and a burst; in the midst, something happens to the
    /// recorder. Gives how many calls were up at most.
    fn load(&mut self, extent: &Extent, event: Event) -> u32 {
        let (least, most) = extent.calls;
        let mut up = 0;
        for part in 0..5 {
            let calls = match part {
                3 => 0,
                4 => most,
                _ => self.random.random_range(least..=most),
            };
            self.callers.want(calls);
            let half = extent.wave / 10;
            std::thread::sleep(half);
            if part == 1 {
                self.happen(event);
            }
            std::thread::sleep(half);
            up = up.max(self.callers.up());
        }
        up
    }

    fn happen(&mut self, event: Event) {
        let at = self.callers.now();
        match event {
            Event::Nothing => return,
            Event::Reload => return self.recorder.as_ref().unwrap().signal(Signal::HUP),
            Event::Kill => self.recorder.take().unwrap().kill(),
            Event::Restart => assert_nothing_lost(&self.recorder.take().unwrap().stop()),
        }
        self.recorder = Some(self.site.start(&[]));
        let until = self.callers.now();
        self.away.push(Away { at, until, orderly: event == Event::Restart });
    }

    /// The recordings of the calls of this wave, when they are all there, or do not come.
    fn recordings_since(&self, began: Timestamp, sent: &[Sent]) -> Vec<Recording> {
        let wanted =
            sent.iter().filter(|it| it.call.speaks() && it.call.kind != Kind::MediaOnly).count();
        let list = || -> Vec<Recording> {
            let mut command = spanreel();
            command
                .args(["list", "--json", "--since", &began.to_string(), "--data"])
                .arg(self.site.data());
            let text = String::from_utf8(command.output().unwrap().stdout).unwrap();
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
        };
        let mut found = list();
        for _ in 0..20 {
            if found.len() >= wanted {
                break;
            }
            std::thread::sleep(Duration::from_millis(500));
            found = list();
        }
        found
    }

    fn examine(&mut self, recordings: &[Recording], sent: &[Sent]) {
        let account = Inspection::new(&self.site, recordings, sent, &self.away).account();
        for wrong in account.wrong {
            println!("WRONG {wrong}");
            self.wrong.push(wrong);
        }
    }

    /// Everything is verified, and nothing has grown.
    fn end(self) {
        let Self { site, recorder, callers, standings, calls, recordings, wrong, .. } = self;
        let ledger = recorder.unwrap().stop();
        println!("{calls} calls, {} frames, {recordings} recordings\n{ledger}", callers.frames());
        drop(callers);
        assert_nothing_lost(&ledger);
        site.verify();
        assert_eq!(
            (segments(&site.data()), files(&site.journal_memory())),
            (0, 0),
            "the journal has done its work"
        );
        assert!(Link::find(SPAN).unwrap().xdp.is_none());
        assert!(
            wrong.is_empty(),
            "{} faults:\n{}",
            wrong.len(),
            wrong[..wrong.len().min(SHOWN_MAX)].join("\n")
        );
        println!("memory, MiB a wave: {:+.2}", slope(&standings));
        let (first, last) = (standings[0], standings[standings.len() - 1]);
        assert!(last.own_mib <= first.own_mib + MEMORY_GROWS_MAX, "{first:?} {last:?}");
        assert!(last.descriptors <= first.descriptors + DESCRIPTORS_GROW_MAX, "{first:?} {last:?}");
        assert_eq!(
            (first.threads, first.spool, first.arenas),
            (last.threads, last.spool, last.arenas)
        );
    }
}

/// How much memory grows from wave to wave (least squares).
fn slope(standings: &[Standing]) -> f64 {
    let count = standings.len() as f64;
    let middle = (count - 1.0) / 2.0;
    let mean = standings.iter().map(|it| it.own_mib as f64).sum::<f64>() / count;
    let (mut up, mut along) = (0.0, f64::MIN_POSITIVE);
    for (wave, standing) in standings.iter().enumerate() {
        up += (wave as f64 - middle) * (standing.own_mib as f64 - mean);
        along += (wave as f64 - middle).powi(2);
    }
    up / along
}

#[expect(clippy::disallowed_methods, reason = "what the recorder's times are compared with")]
fn wall_clock() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    Timestamp::from_nanos(since.as_nanos() as u64)
}
