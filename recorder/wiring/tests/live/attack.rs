//! An attack beside honest calls: floods of SIP, RTP from random ports, fragments that never become a datagram,
//! tunnels in tunnels. The calls are complete, bit for bit; memory stays below its limit; what was refused is
//! counted by name.
//!
//! `cargo xtask attack [SECONDS]` attacks 500 calls; without `SPANREEL_ATTACK`, a smaller attack on some calls.

mod flood;

use std::time::Duration;

use base::limits::{
    CALLS_MAX, CHUNK_BYTES, CHUNKS_MAX, FRAGMENT_BYTES_MAX, LARGE_CHUNK_BYTES, LARGE_CHUNKS_MAX,
    NEWS_PENDING_BYTES_MAX, TCP_BYTES_MAX,
};
use base::recording::Recording;
use rayon::prelude::*;
use serde_json::Value;

use self::flood::{FRAGMENTS, Flood, Part, RTP, SIP, TUNNELS};
use crate::callers::{CALLEE, CALLER, Callers, Habits, Heard, Kind, Sent};
use crate::recorder::{Site, of_call};
use crate::wire::{now, with_wire};

/// Receive queues of the wire, each with a capture core.
const CORES: usize = 4;
/// What a call takes that consists of an INVITE, and what every packet core takes besides the tables named below:
/// program, packet memory (UMEM), buffers of messages, threads that finish calls.
const CALL_BYTES: usize = 4 * 1024;
const FIXED_BYTES: usize = 512 * 1024 * 1024;

/// Calls that are not stored then will not be.
const STORED_WITHIN: Duration = Duration::from_secs(45);

/// Faults that are shown; all are counted.
const SHOWN_MAX: usize = 40;

/// How many seconds, how many calls, and which part of the full rates.
fn extent() -> (u64, u32, f64) {
    let Ok(text) = std::env::var("SPANREEL_ATTACK") else { return (5, 50, 0.1) };
    let (seconds, calls) = text.split_once('x').unwrap();
    (seconds.parse().unwrap(), calls.parse().unwrap(), 1.0)
}

/// What the limits add up to.
fn memory_limit_kib() -> u64 {
    let journal = CHUNKS_MAX * CHUNK_BYTES + LARGE_CHUNKS_MAX * LARGE_CHUNK_BYTES;
    let core = journal + FRAGMENT_BYTES_MAX + TCP_BYTES_MAX;
    ((CORES * core + NEWS_PENDING_BYTES_MAX + CALLS_MAX * CALL_BYTES + FIXED_BYTES) / 1024) as u64
}

#[test]
fn an_attack_does_not_disturb_calls() {
    let (seconds, calls, part) = extent();
    with_wire(move || {
        let site = Site::new();
        let recorder = site.start(&[]);
        let habits = Habits { seed: 2, seconds: (4, 20), kinds: &[Kind::Plain] };
        let callers = Callers::start(&habits);
        callers.wait_until_up(calls);
        let before = recorder.status("VmRSS");
        let parts: [Part; 4] = [SIP, RTP, FRAGMENTS, TUNNELS];
        let floods: Vec<_> = parts.iter().map(|it| Flood::start(*it, part)).collect();
        for _ in 0..seconds {
            std::thread::sleep(Duration::from_secs(1));
            println!("{} calls up, {} MiB", callers.up(), recorder.status("VmRSS") / 1024);
        }
        let floods: Vec<_> = floods.into_iter().map(Flood::stop).collect();
        let late = callers.late();
        let sent = callers.finish();
        let stored = || site.list().iter().filter(|it| is_honest(it.call_id.as_deref())).count();
        let waited = now();
        while stored() < sent.len() && waited.elapsed() < STORED_WITHIN {
            std::thread::sleep(Duration::from_millis(500));
        }
        println!("{} of {} honest calls are stored; {}", stored(), sent.len(), site.read_log());
        let peak = recorder.status("VmHWM");
        let ledger = recorder.stop();
        for (flood, (frames, took)) in parts.iter().zip(&floods) {
            println!(
                "{}: {frames} frames in {took:?}: {:.0} a second",
                flood.name,
                *frames as f64 / took.as_secs_f64()
            );
        }
        println!(
            "{} honest calls, sent {late:?} late at worst; memory {} MiB before, {} MiB at most, limit {} MiB\n{ledger}",
            sent.len(),
            before / 1024,
            peak / 1024,
            memory_limit_kib() / 1024,
        );
        assert_eq!(ledger["ledgerBalances"], true, "{ledger}");
        assert_whole(&site, &sent);
        assert!(peak < memory_limit_kib(), "{peak} KiB");
        assert_refused_by_name(&ledger);
        site.verify();
    });
}

fn is_honest(call_id: Option<&str>) -> bool {
    call_id.is_some_and(|it| it.starts_with("call-"))
}

/// What the attack sent and nobody kept.
fn assert_refused_by_name(ledger: &Value) {
    let named = [
        ("notes", "sip_malformed"),
        ("notes", "datagram_incomplete"),
        ("outcomes", "other_udp"),
        ("program", "other_protocol"),
    ];
    for (table, name) in named {
        assert!(ledger[table][name].as_u64().unwrap() > 0, "{name}: {ledger}");
    }
}

/// Every honest call has a recording with all that was sent.
fn assert_whole(site: &Site, sent: &[Sent]) {
    let recordings = site.list();
    let faults: Vec<String> =
        sent.par_iter().flat_map_iter(|sent| faults(site, &recordings, sent)).collect();
    let shown = &faults[..faults.len().min(SHOWN_MAX)];
    assert!(
        faults.is_empty(),
        "{} faults of {} calls:\n{}",
        faults.len(),
        sent.len(),
        shown.join("\n")
    );
}

/// What is wrong with the recording of a call.
fn faults(site: &Site, recordings: &[Recording], sent: &Sent) -> Vec<String> {
    let name = sent.call.call_id();
    if !recordings.iter().any(|it| it.call_id.as_deref() == Some(&name)) {
        return vec![format!("{name} is not recorded")];
    }
    let recording = of_call(recordings, &name);
    let channels = site.sound(recording.id);
    let of_side = |side: usize| match Heard::of(&sent.call, side, &channels[side]) {
        Err(why) => Some(why),
        Ok(heard) if heard.missing() > 0 => {
            let (missing, all) = (heard.missing(), heard.places.len());
            Some(format!("{name}, side {side}: {missing} of {all} packets are missing"))
        }
        Ok(_) => None,
    };
    let mut faults: Vec<_> = [CALLER, CALLEE].into_iter().filter_map(of_side).collect();
    if !recording.complete {
        faults.push(format!("{name} is incomplete: {:?}", recording.incomplete_reasons));
    }
    faults
}
