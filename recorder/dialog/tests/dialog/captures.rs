//! The real captures: the calls found are those that `expected/*.json` lists.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use base::{Endpoint, Ledger, Timestamp};
use capture::{FileSource, Poll, Source};
use demux::{Demux, Packet};
use dialog::{Call, CallKey, Dialogs, EndReason, Handled, SipInput};
use serde_json::Value;

/// Captures that wait for a later feature, by tag: their calls may be missing in whole or part.
const WAITS: [(&str, &str); 11] = [
    ("gre", "tunnels"),
    ("erspan", "tunnels"),
    ("vxlan", "tunnels"),
    ("geneve", "tunnels"),
    ("gtp", "tunnels"),
    ("ip-in-ip", "tunnels"),
    ("mpls", "tunnels"),
    ("pppoe", "tunnels"),
    ("tzsp", "tunnels"),
    ("sip-tls", "SIP over TLS"),
    ("sip-websocket", "SIP over WebSocket"),
];

/// Where we differ from the expected files on purpose: part of the file name, Call-ID, what differs, why.
const EXCEPTIONS: [(&str, &str, &str, &str); 8] = [
    ("rfc4475", "wsinv.", "from to", "tshark does not read these folded lines"),
    ("rfc4475", "lwsruri.", "extra", "a blank in the Request-URI: tshark sees no INVITE"),
    ("rfc4475", "lwsstart.", "extra", "blanks in the start line: tshark sees no INVITE"),
    ("oreka1", "aa27d92d", "end", "its BYE has a blank in the Request-URI: tshark sees none"),
    ("ipfixprobe", "", "messages", "tshark counts the INVITEs that ICMP errors quote"),
    ("user_defined", "", "messages", "INVITE1 is no INVITE: the call begins with the 487 to one"),
    (
        "digium",
        "2e48d115",
        "answered messages",
        "CR CR LF before CSeq: tshark does not see whose 200 it is",
    ),
    ("DTMFsipinfo", "2091060b", "end", "the CANCELs came after the 200: the call went on"),
];

/// Where the captures are, if they are there.
pub(crate) fn folder() -> Option<PathBuf> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/captures");
    let folder = std::env::var_os("SPANREEL_CAPTURES").map_or_else(|| beside.into(), PathBuf::from);
    let there = folder.join("expected").is_dir();
    if !there {
        println!("SKIPPED, none ran: no captures in {} (set SPANREEL_CAPTURES)", folder.display());
    }
    there.then_some(folder)
}

/// Every SIP message of a capture, in the order of arrival.
pub(crate) fn messages(path: &Path, take: &mut impl FnMut(SipInput<'_>)) {
    let (Ok(mut source), mut demux) = (FileSource::open(path), Demux::new()) else { return };
    let mut ledger = Ledger::default();
    let mut last = Timestamp::ZERO;
    let mut emit = |time: Timestamp, packet: Packet<'_>| {
        if let Packet::Sip { key, transport, message } = packet {
            take(SipInput { time, key, transport, message });
        }
    };
    while let Ok(Poll::Frames(_)) = source.poll(&mut |frame| {
        last = last.max(frame.time);
        let _ = demux.frame(&frame, &mut ledger, &mut emit);
    }) {}
    demux.finish(last, &mut ledger, &mut emit);
}

/// The calls of a capture, in the order in which they began.
pub(crate) fn calls(path: &Path) -> Vec<Call> {
    let mut dialogs = Dialogs::new();
    let mut keys: Vec<CallKey> = Vec::new();
    let mut last = Timestamp::ZERO;
    messages(path, &mut |input| {
        last = last.max(input.time);
        if let Handled::Call(key) = dialogs.message(input)
            && !keys.contains(&key)
        {
            keys.push(key);
        }
    });
    dialogs.end_all(last, EndReason::CaptureEnd);
    keys.iter().filter_map(|key| dialogs.forget(*key)).collect()
}

fn seconds(time: Timestamp) -> f64 {
    time.as_nanos() as f64 / 1e9
}

/// Equal to the microsecond, which is what the expected files give.
fn same_time(expected: &Value, found: Option<Timestamp>) -> bool {
    match (expected.as_f64(), found.map(seconds)) {
        (Some(expected), Some(found)) => (expected - found).abs() < 2e-6,
        (expected, found) => expected.is_none() && found.is_none(),
    }
}

/// Whether every address and port of the call's descriptions is announced. `0.0.0.0` is none; where the
/// lines of one description have several addresses, the expected files do not say which is whose.
fn all_media_announced(expected: &Value, found: &Call) -> bool {
    let announced: Vec<String> = found.announced.iter().map(|it| it.endpoint.to_string()).collect();
    expected["sdp"].as_array().unwrap().iter().all(|sdp| {
        let mut addresses: Vec<&str> =
            sdp["conn"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        addresses.dedup();
        let [address] = addresses[..] else { return true };
        let Ok(ip) = address.parse::<IpAddr>() else { return true };
        sdp["media"].as_array().unwrap().iter().filter_map(Value::as_str).all(|line| {
            let port =
                line.split_whitespace().nth(1).and_then(|port| port.parse().ok()).unwrap_or(0);
            let endpoint = Endpoint::new(ip, port).to_string();
            port == 0 || ip.is_unspecified() || announced.contains(&endpoint)
        })
    })
}

/// Whether the ladder holds every request and response of the call. Registrations and the like that use its
/// Call-ID before it begins are not its own.
fn all_messages_kept(expected: &Value, found: &Call) -> bool {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for rung in found.ladder.iter() {
        let (first, _) = rung.start_line.split_once(' ').unwrap_or((rung.start_line, ""));
        let method = rung.cseq.split_whitespace().nth(1).unwrap_or_default();
        let is_response = first.parse::<u16>().is_ok();
        let name = if is_response { format!("{first} {method}") } else { first.to_owned() };
        *counts.entry(name).or_default() += 1;
    }
    let wanted = ["methods", "responses"].map(|it| expected[it].as_object().unwrap());
    let others = ["REGISTER", "OPTIONS", "SUBSCRIBE", "NOTIFY", "PUBLISH", "MESSAGE"];
    wanted.into_iter().flatten().all(|(name, count)| {
        others.iter().any(|it| name.ends_with(it)) || counts.get(name).copied() == count.as_u64()
    })
}

/// In what a call is not as expected, by name.
fn differences(expected: &Value, found: &Call) -> Vec<&'static str> {
    // The expected files know no time-outs: a call without an end has none.
    let open = [EndReason::CaptureEnd, EndReason::Timeout];
    let ended = found.ended.filter(|(_, reason)| !open.contains(reason));
    let end_by = ended.map(|(_, reason)| reason.to_string());
    let answered = expected["answered"].as_bool() == Some(found.answered.is_some());
    let checks = [
        ("from", expected["from"] == found.from.as_str()),
        ("to", expected["to"] == found.to.as_str()),
        ("start", same_time(&expected["invite_time"], Some(found.started))),
        ("answered", answered && same_time(&expected["answer_time"], found.answered)),
        ("messages", all_messages_kept(expected, found)),
        ("media", all_media_announced(expected, found)),
        ("end", expected["end_by"].as_str() == end_by.as_deref()),
        ("end", same_time(&expected["end_time"], ended.map(|(time, _)| time))),
    ];
    checks.iter().filter(|(_, fine)| !fine).map(|(name, _)| *name).collect()
}

/// What is wrong with a capture, a line per call, but for the exceptions.
fn problems(name: &str, expected: &[Value], found: &[Call]) -> Vec<String> {
    let excused = |call_id: &str, what: &str| {
        EXCEPTIONS.iter().any(|(file, id, excused, _)| {
            name.contains(file) && call_id.starts_with(id) && excused.contains(what)
        })
    };
    let by_id: BTreeMap<&str, &Call> =
        found.iter().map(|call| (call.call_id.as_str(), call)).collect();
    let ids: Vec<&str> = expected.iter().filter_map(|call| call["call_id"].as_str()).collect();
    let mut problems = Vec::new();
    for (call, id) in expected.iter().zip(&ids) {
        let mut what = by_id.get(id).map_or(vec!["missing"], |found| differences(call, found));
        what.retain(|what| !excused(id, what));
        if !what.is_empty() {
            problems.push(format!("{name}: {id}: {what:?}, found {:?}", by_id.get(id)));
        }
    }
    for call in found {
        let same = found.iter().filter(|it| it.call_id == call.call_id).count();
        let known = ids.contains(&call.call_id.as_str()) || excused(&call.call_id, "extra");
        if !known || same > 1 {
            problems.push(format!("{name}: {} found {same} times: {call:?}", call.call_id));
        }
    }
    problems
}

#[test]
fn the_calls_of_the_real_captures_are_the_expected_ones() {
    let Some(folder) = folder() else { return };
    let expected = std::fs::read_dir(folder.join("expected")).unwrap();
    let mut expected: Vec<PathBuf> = expected.map(|entry| entry.unwrap().path()).collect();
    expected.sort();
    let (mut passed, mut waiting, mut calls_found, mut wrong) = (0, 0, 0, Vec::new());
    for file in &expected {
        let json: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        let name = json["file"].as_str().unwrap();
        let found = calls(&folder.join("files").join(name));
        let wanted = json["calls"].as_array().unwrap();
        let problems = problems(name, wanted, &found);
        let tags = json["tags"].as_array().unwrap();
        let waits = WAITS.iter().find(|(tag, _)| tags.iter().any(|it| it == tag));
        match (problems.is_empty(), waits) {
            (true, _) => (passed, calls_found) = (passed + 1, calls_found + found.len()),
            (false, Some((_, feature))) => {
                waiting += 1;
                println!("{name} waits for {feature}");
            }
            (false, None) => wrong.extend(problems),
        }
    }
    println!("{passed} captures ran with {calls_found} calls, {waiting} wait for a later feature");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(calls_found > 1_000, "only {calls_found} calls");
}
