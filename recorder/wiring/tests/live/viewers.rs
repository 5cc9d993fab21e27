//! What it costs recording that people look on: phases without and with viewers of the status page, players and live
//! listeners, in turn, beside calls that begin and end all the time. No packet is lost, every call is recorded whole,
//! and people see, play and hear what is so. What a packet costs the capture threads in either is printed, and how far
//! behind the wire listeners are.
//!
//! `cargo xtask viewers`; without `SPANREEL_VIEWERS`, a few of each for a moment.

mod house;
mod people;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::time::{Duration, Instant};

use self::house::House;
use self::people::{Crowd, Got, People, newest};
use crate::callers::{Callers, Habits, Kind, Sent};
use crate::inspect::Inspection;
use crate::recorder::{Recorder, Site, assert_nothing_lost, cpu_seconds};
use crate::window::children;
use crate::wire::{eventually, ip, with_wire};

/// Packets of each side that a listener hears at least.
const HEARD_MIN: usize = 25;
/// So many calls at least are compared with what was sent, packet by packet.
const INSPECTED_MAX: usize = 300;

/// How much of everything.
struct Extent {
    calls: u32,
    /// How long each is, at least and at most.
    seconds: (u32, u32),
    people: People,
    rounds: usize,
    phase: Duration,
    /// Before a phase begins, what the one before left to do is done.
    settling: Duration,
}

impl Extent {
    /// `CALLSxSECONDSxROUNDS`: so many calls, phases so long, so often.
    fn new() -> Self {
        let Ok(text) = std::env::var("SPANREEL_VIEWERS") else {
            return Self {
                calls: 20,
                seconds: (3, 8),
                people: People { viewers: 4, players: 3, listeners: 2 },
                rounds: 1,
                phase: Duration::from_secs(1),
                settling: Duration::ZERO,
            };
        };
        let numbers: Vec<u32> = text.split('x').map(|it| it.parse().unwrap()).collect();
        let [calls, seconds, rounds] = numbers[..] else { panic!("not 3 numbers: {text}") };
        Self {
            calls,
            seconds: (5, 20),
            people: People { viewers: 100, players: 50, listeners: 10 },
            rounds: rounds as usize,
            phase: Duration::from_secs(seconds.into()),
            settling: Duration::from_secs(2),
        }
    }
}

/// What a packet cost the capture threads in a phase.
#[derive(Clone, Copy)]
struct Cost {
    /// CPU time.
    nanos: f64,
    /// How often they slept.
    naps: f64,
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0} ns a packet, {:.3} naps", self.nanos, self.naps)
    }
}

/// What the capture threads have done so far.
struct Effort {
    frames: u64,
    nanos: u64,
    naps: u64,
}

impl Effort {
    fn read(recorder: &Recorder, callers: &Callers) -> Self {
        let mut effort = Self { frames: callers.frames(), nanos: 0, naps: 0 };
        for task in std::fs::read_dir(format!("/proc/{}/task", recorder.id())).unwrap() {
            let read = |file| std::fs::read_to_string(task.as_ref().unwrap().path().join(file));
            // Others come and go.
            if read("comm").is_ok_and(|name| name.starts_with("capture-")) {
                effort.nanos += first_number(&read("schedstat").unwrap());
                let status = read("status").unwrap();
                effort.naps +=
                    first_number(status.split_once("\nvoluntary_ctxt_switches:").unwrap().1);
            }
        }
        effort
    }
}

fn first_number(text: &str) -> u64 {
    text.split_whitespace().next().unwrap().parse().unwrap()
}

fn cost(recorder: &Recorder, callers: &Callers, extent: &Extent) -> Cost {
    std::thread::sleep(extent.settling);
    let before = Effort::read(recorder, callers);
    std::thread::sleep(extent.phase);
    let after = Effort::read(recorder, callers);
    let packets = (after.frames - before.frames) as f64;
    let a_packet = |before: u64, after: u64| (after - before) as f64 / packets;
    Cost { nanos: a_packet(before.nanos, after.nanos), naps: a_packet(before.naps, after.naps) }
}

/// The least, the median, and the most.
fn spread<T: Copy>(mut figures: Vec<T>, order: impl Fn(&T, &T) -> std::cmp::Ordering) -> [T; 3] {
    figures.sort_unstable_by(order);
    [0, figures.len() / 2, figures.len() - 1].map(|place| figures[place])
}

#[test]
fn people_who_look_on_cost_recording_nothing() {
    with_wire(|| {
        let extent = Extent::new();
        ip(&["link", "set", "lo", "up"]);
        let site = Site::new();
        let recorder = site.start(&["--web", "127.0.0.1:0"]);
        let house = House::enter(&site);
        let keys: Vec<_> = (0..extent.people.players)
            .map(|number| house.player(&format!("player-{number}")))
            .collect();
        let habits = Habits { seed: 11, seconds: extent.seconds, kinds: &[Kind::Plain] };
        let callers = Callers::start(&habits);
        callers.wait_until_up(extent.calls);
        eventually("there is something to play", || newest(&house).len() >= 5);
        let began = callers.began();
        let (mut costs, mut got) = ([Vec::new(), Vec::new()], Vec::new());
        let server = || children(children(recorder.id())[0])[0];
        for _ in 0..extent.rounds {
            costs[0].push(cost(&recorder, &callers, &extent));
            let crowd = Crowd::let_in(&house, extent.people, &keys);
            crowd.wait_until_all_get_something();
            let before = cpu_seconds(server());
            costs[1].push(cost(&recorder, &callers, &extent));
            let served = cpu_seconds(server()) - before;
            println!("{:?}", [&costs[0], &costs[1]].map(|it| it.last().unwrap().to_string()));
            println!("the process that serves the pages took {served:.2} s of CPU time");
            let mut these = crowd.leave();
            assert_played_as_stored(&site, &mut these);
            got.push(these);
        }
        let late = callers.late();
        let sent = callers.finish();
        eventually("the calls are over", || house.get("calls?limit=1")["total"] == 0);
        eventually("the calls are recorded", || site.list().len() == sent.len());
        let missed = house.get("status")["recorder"]["listening"]["missed"].clone();
        let ledger = recorder.stop();
        println!(
            "{} calls, sent {late:?} late at worst, of which listeners missed {missed} packets\n{ledger}",
            sent.len()
        );
        report(&costs);
        assert_nothing_lost(&ledger);
        assert!(site.list().iter().all(|it| it.complete), "every call is recorded whole");
        got.iter().for_each(assert_seen);
        assert_heard(&got, &sent, began);
        let inspected = &sent[sent.len().saturating_sub(INSPECTED_MAX)..];
        Inspection::new(&site, &site.list(), inspected, &[]).account().assert_right();
    });
}

fn report(costs: &[Vec<Cost>; 2]) {
    for (costs, name) in costs.iter().zip(["alone", "watched"]) {
        let [least, median, most] =
            spread(costs.clone(), |one, other| one.nanos.total_cmp(&other.nanos));
        println!("{name}: median {median}; [{:.0}-{:.0}]", least.nanos, most.nanos);
    }
    let [alone, watched] = costs;
    let ratios = alone.iter().zip(watched).map(|(alone, watched)| watched.nanos / alone.nanos);
    let [least, median, most] = spread(ratios.collect(), f64::total_cmp);
    println!("watched to alone, round by round: {median:.3} [{least:.3}-{most:.3}]");
}

/// What players got is, byte by byte, what `play` writes. It is forgotten then.
fn assert_played_as_stored(site: &Site, got: &mut Got) {
    let mut stored = HashMap::new();
    let (mut whole, mut bytes) = (0, 0);
    for (number, played) in got.played.iter_mut().enumerate() {
        assert!(played.iter().any(|it| it.whole), "player {number} played nothing to its end");
        for it in played.drain(..) {
            let wav =
                stored.entry(it.id.clone()).or_insert_with(|| site.wav(it.id.parse().unwrap()));
            let is_so = if it.whole { *wav == it.bytes } else { wav.starts_with(&it.bytes) };
            assert!(is_so, "player {number}, {}: not as it is stored", it.id);
            (whole, bytes) = (whole + u32::from(it.whole), bytes + it.bytes.len());
        }
    }
    println!("players: {whole} recordings to their end, {bytes} bytes");
}

/// What viewers saw went on.
fn assert_seen(got: &Got) {
    for (number, seen) in got.seen.iter().enumerate() {
        let goes_on = seen.is_sorted_by(|a, b| a.time <= b.time && a.packets <= b.packets);
        assert!(goes_on, "viewer {number} saw what was before");
        let (first, last) = (&seen[0], &seen[seen.len() - 1]);
        assert!(last.time > first.time && last.packets > first.packets, "viewer {number}");
    }
}

/// What listeners heard is what was said in the call that they listened to.
fn assert_heard(got: &[Got], sent: &[Sent], began: Instant) {
    let calls: BTreeMap<_, _> = sent.iter().map(|sent| (sent.call.call_id(), sent)).collect();
    let mut delays = Vec::new();
    for (number, listener) in got.iter().flat_map(|got| got.heard.iter().enumerate()) {
        let mut packets = 0;
        for heard in listener {
            let sent = calls[&heard.call_id];
            let told = heard.sound.assert_as_sent(sent);
            packets += told.packets();
            delays.extend(heard.sound.delays(&told, sent, began));
        }
        assert!(packets >= HEARD_MIN, "listener {number} heard {packets} packets of a side");
    }
    delays.sort_unstable();
    if delays.is_empty() {
        println!(
            "this machine let nobody speak evenly: how far behind the wire listeners are is not known"
        );
        return;
    }
    let share =
        |of_thousand: usize| delays[(delays.len() - 1) * of_thousand / 1_000].as_secs_f64() * 1e3;
    println!(
        "{} packets were heard to their end after {:.0} ms (median; 99 %: {:.0}, 99.9 %: {:.0}, all: {:.0}) from when \
         they were sent",
        delays.len(),
        share(500),
        share(990),
        share(999),
        share(1_000),
    );
}
