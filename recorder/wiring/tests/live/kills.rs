//! A recorder that is killed at any moment, again and again, while calls begin, go on and end: what it had taken
//! from its sockets is in the recordings, each call has one, and nothing is missing but what nobody was there for.
//!
//! `cargo xtask kills [N]` kills N times under 500 calls; without `SPANREEL_KILLS`, a few times under some calls.

use std::os::unix::fs::FileExt as _;
use std::time::Duration;

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

use crate::callers::{Callers, Habits, Kind};
use crate::inspect::{Away, Inspection};
use crate::recorder::{Recorder, Site, assert_nothing_lost, files, segments, spread};
use crate::wire::with_wire;

/// Where an arena counts the packets and messages that were taken (`journal::format`, "Arena").
const TAKEN_AT: u64 = 24 * 8;
/// Between two kills.
const MILLISECONDS_MAX: u64 = 2_500;
/// The last calls' media have ended by then.
const SETTLED: Duration = Duration::from_secs(3);

/// How often, and how many calls are up.
fn extent() -> (usize, u32) {
    let Ok(text) = std::env::var("SPANREEL_KILLS") else { return (5, 50) };
    let (kills, calls) = text.split_once('x').unwrap();
    (kills.parse().unwrap(), calls.parse().unwrap())
}

#[test]
fn killed_at_random_moments_under_live_calls() {
    let (kills, calls) = extent();
    with_wire(move || {
        let site = Site::new();
        let mut recorder = site.start(&[]);
        let callers = Callers::start(&Habits { seed: 1, seconds: (8, 30), kinds: &[Kind::Plain] });
        callers.wait_until_up(calls);
        let mut random = ChaCha8Rng::seed_from_u64(kills as u64);
        let (mut downtimes, mut taken) = (Vec::new(), 0);
        for number in 0..kills {
            std::thread::sleep(Duration::from_millis(random.random_range(1..MILLISECONDS_MAX)));
            let (away, took);
            (away, took, recorder) = kill_and_start(&site, recorder, &callers);
            let up = callers.up();
            println!(
                "kill {number}: {took} packets taken; {:?} to {:?}, {up} calls up",
                away.at, away.until
            );
            downtimes.push(away);
            taken += took;
        }
        let late = callers.late();
        let sent = callers.finish();
        // Calls whose end nobody saw end now.
        std::thread::sleep(SETTLED);
        let ledger = recorder.stop();
        println!("{} calls, sent {late:?} late at worst\n{ledger}", sent.len());
        assert_nothing_lost(&ledger);
        assert_eq!(ledger["failed"], 0, "{ledger}");
        site.verify();
        let recordings = site.list();
        let inspection = Inspection::new(&site, &recordings, &sent, &downtimes);
        account(&inspection, &downtimes, taken + taken_by(&ledger), sent.len());
        assert_eq!(
            (files(&site.journal_memory()), segments(&site.data())),
            (0, 0),
            "the journal has done its work"
        );
    });
}

/// Kills it, as it is; a service manager starts it again at once. Gives how many packets and messages it had taken.
fn kill_and_start(site: &Site, recorder: Recorder, callers: &Callers) -> (Away, u64, Recorder) {
    let arenas = recorder.arenas();
    let at = callers.now();
    recorder.kill();
    let taken = arenas.iter().map(|path| {
        let mut count = [0; 8];
        let read = std::fs::File::open(path).and_then(|it| it.read_exact_at(&mut count, TAKEN_AT));
        read.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        u64::from_ne_bytes(count)
    });
    let taken = taken.sum();
    let recorder = site.start(&[]);
    (Away { at, until: callers.now(), orderly: false }, taken, recorder)
}

/// What a run that was not killed took.
fn taken_by(ledger: &Value) -> u64 {
    ["media", "signalling"].iter().map(|it| ledger["outcomes"][it].as_u64().unwrap()).sum()
}

/// Prints the figures, and wants everything to be right.
fn account(inspection: &Inspection<'_>, downtimes: &[Away], taken: u64, calls: usize) {
    let mut account = inspection.account();
    let kept = account.present + account.messages;
    let milliseconds = downtimes.iter().map(|it| (it.until - it.at).as_millis() as u64).collect();
    println!(
        "{} kills, {calls} calls, {} RTP packets sent, {} of them while nobody recorded;\n\
         packets lost per kill (least, median, most): {:?}; downtime, ms: {:?};\n\
         {} packets were waiting in a ring when it was killed, for {:?} at most;\n\
         taken from the sockets: {taken} packets and messages; in recordings: {} packets, {} messages; up to {} belong \
         to calls whose begin nobody saw; off their place: {} samples",
        downtimes.len(),
        account.sent,
        account.lost.iter().sum::<u64>(),
        spread(account.lost.clone()),
        spread(milliseconds),
        account.in_flight.len(),
        account.in_flight.iter().max().copied().unwrap_or_default(),
        account.present,
        account.messages,
        account.forgivable,
        account.shift,
    );
    if !(kept..=kept + account.forgivable).contains(&taken) {
        account
            .wrong
            .push(format!("{taken} packets and messages were taken, {kept} are in recordings"));
    }
    account.assert_right();
}
