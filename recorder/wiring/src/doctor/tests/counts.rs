//! Each finding about traffic, from counts.

use base::Ledger;
use base::Outcome;
use base::ledger::Note;
use capture::nic::{Counter, Statistics};
use capture::packet_socket::Statistics as RingStatistics;

use crate::doctor::finding::tests::{assert_complete, on};
use crate::doctor::finding::{Finding, Severity, worst};
use crate::doctor::listen::Traffic;
use crate::doctor::observer::{Observed, Sip};
use crate::doctor::streams::Summary;
use crate::doctor::traffic_findings::findings;

fn ledger(counts: &[(Outcome, u64)]) -> Ledger {
    let mut ledger = Ledger::default();
    for (outcome, count) in counts {
        for _ in 0..*count {
            ledger.receive();
            ledger.count(*outcome);
        }
    }
    ledger
}

/// Five seconds of a mirror port on which everything is as it should be.
fn good() -> Traffic {
    let observed = Observed {
        frames: 10_000,
        bytes: 2_140_000,
        ledger: ledger(&[
            (Outcome::Media, 9_800),
            (Outcome::Signalling, 150),
            (Outcome::NotIp, 50),
        ]),
        datagrams: 9_950,
        sip: Sip {
            messages: 150,
            pairs: 4,
            calls: 12,
            answered: 10,
            media_expected: 20,
            media_heard: 20,
            ..Sip::default()
        },
        streams: Summary { streams: 20, packets: 9_800, expected: 9_800, ..Summary::default() },
        ..Observed::default()
    };
    Traffic {
        interface: "span0".into(),
        seconds: 5.0,
        speed_megabits: Some(1_000),
        observed,
        nic: Statistics::from_iter([(Counter::RxPackets, 10_000)]),
        ring: RingStatistics { offered: 10_000, received: 10_000, ..RingStatistics::default() },
        interrupted: None,
    }
}

/// What is found on a topic when something is different.
#[track_caller]
fn of(topic: &str, change: impl FnOnce(&mut Traffic)) -> Finding {
    let mut traffic = good();
    change(&mut traffic);
    let findings = findings(&traffic);
    assert_complete(&findings);
    on(&findings, topic).clone()
}

#[track_caller]
fn expect(topic: &str, severity: Severity, words: &str, change: impl FnOnce(&mut Traffic)) {
    let finding = of(topic, change);
    assert_eq!(finding.severity, severity, "{finding}");
    assert!(finding.finding.contains(words), "{finding}");
}

#[test]
fn good_traffic_is_good_in_every_respect() {
    let findings = findings(&good());
    assert_eq!(worst(&findings), Severity::Ok, "{findings:#?}");
    assert_eq!(on(&findings, "traffic").finding, "2000 frames/s, 3.4 Mbit/s");
    assert_eq!(
        on(&findings, "calls").finding,
        "150 SIP messages, 20 RTP streams; 12 calls seen, 10 of them answered"
    );
}

#[test]
fn silence_is_a_problem_and_the_only_finding() {
    let mut traffic = good();
    traffic.observed = Observed::default();
    let findings = findings(&traffic);
    assert_eq!(findings.len(), 1);
    assert_eq!((findings[0].severity, findings[0].topic), (Severity::Problem, "traffic"));
    assert!(findings[0].finding.contains("not one frame in 5 s"));
}

#[test]
fn an_interface_that_went_away_meanwhile() {
    let reason = "span0 is down";
    expect("interruption", Severity::Problem, reason, |it| it.interrupted = Some(reason.into()));
}

#[test]
fn a_full_mirror_port() {
    expect("load", Severity::Warning, "80 % of the port's 1000 Mbit/s", |it| {
        it.observed.bytes = 500_000_000;
    });
}

#[test]
fn packets_lost_on_this_machine() {
    expect("losses", Severity::Problem, "7 ring full", |it| it.ring.dropped = 7);
    expect("losses", Severity::Problem, "3 rx_missed_errors", |it| {
        it.nic = Statistics::from_iter([(Counter::RxMissedErrors, 3)]);
    });
    expect("damage", Severity::Warning, "2 rx_crc_errors", |it| {
        it.nic = Statistics::from_iter([(Counter::RxCrcErrors, 2)]);
    });
    expect("sending", Severity::Note, "sent 9 packets", |it| {
        it.nic = Statistics::from_iter([(Counter::TxPackets, 9)]);
    });
}

#[test]
fn traffic_that_is_not_ip() {
    expect("IP", Severity::Warning, "only 20.0 % of the frames", |it| {
        it.observed.ledger = ledger(&[(Outcome::NotIp, 8_000), (Outcome::Media, 2_000)]);
    });
    expect("tunnels", Severity::Note, "50.0 % of the frames", |it| {
        it.observed.ledger = ledger(&[(Outcome::OtherProtocol, 5_000), (Outcome::Media, 5_000)]);
    });
}

#[test]
fn frames_cut_or_merged() {
    expect("truncation", Severity::Problem, "100 frames (1.0 %)", |it| it.observed.truncated = 100);
    let merged = of("merged packets", |it| it.observed.merged = 3);
    assert_eq!(merged.severity, Severity::Warning);
    assert!(merged.advice.unwrap().starts_with("ethtool -K span0 gro off lro off"));
}

#[test]
fn vlans_are_listed_by_size() {
    expect("VLANs", Severity::Ok, "none", |_| ());
    expect("VLANs", Severity::Ok, "7 (60 %), 100 (40 %)", |it| {
        it.observed.vlans = [(100, 4_000), (7, 6_000)].into();
    });
    expect("VLANs", Severity::Ok, "12 more", |it| {
        it.observed.vlans = (1..=20).map(|vlan| (vlan, 500)).collect();
    });
}

#[test]
fn packets_that_come_twice() {
    expect("copies", Severity::Warning, "every packet comes twice", |it| {
        it.observed.copies = 4_970;
    });
    expect("copies", Severity::Note, "5.0 % of the datagrams", |it| it.observed.copies = 497);
    expect("copies across", Severity::Warning, "two VLANs or tunnels", |it| {
        it.observed.copies_across = 4_970;
    });
    let findings =
        findings(&Traffic { observed: Observed { copies: 9, ..good().observed }, ..good() });
    assert!(findings.iter().all(|it| it.topic != "copies"), "a few are chance");
}

#[test]
fn signalling_or_sound_alone() {
    let silent = |it: &mut Traffic| it.observed.streams = Summary::default();
    expect("calls", Severity::Problem, "SIP but no RTP", silent);
    expect("calls", Severity::Note, "SIP but no RTP", |it| {
        silent(it);
        it.observed.sip = Sip { messages: 40, pairs: 2, ..Sip::default() };
    });
    expect("calls", Severity::Problem, "RTP but no SIP", |it| it.observed.sip = Sip::default());
    expect("calls", Severity::Problem, "neither SIP nor RTP", |it| {
        silent(it);
        it.observed.sip = Sip::default();
    });
}

#[test]
fn one_direction_only() {
    expect("directions", Severity::Problem, "one direction only: 20 of 20", |it| {
        it.observed.streams.one_way = 20;
    });
    expect("directions", Severity::Warning, "5 of 20", |it| it.observed.streams.one_way = 5);
    expect("directions", Severity::Ok, "both directions", |it| it.observed.streams.one_way = 1);
    expect("directions across", Severity::Note, "100 % of the streams", |it| {
        it.observed.streams.across = 20;
    });
    expect("SIP directions", Severity::Problem, "2 of 2 pairs", |it| {
        (it.observed.sip.pairs, it.observed.sip.pairs_one_way) = (2, 2);
    });
    expect("SIP directions", Severity::Warning, "2 of 6 pairs", |it| {
        (it.observed.sip.pairs, it.observed.sip.pairs_one_way) = (6, 2);
    });
}

#[test]
fn sound_of_other_calls_than_those_signalled() {
    let heard = |heard| move |it: &mut Traffic| it.observed.sip.media_heard = heard;
    expect("announced media", Severity::Problem, "0 of 20", heard(0));
    expect("announced media", Severity::Warning, "12 of 20", heard(12));
    expect("announced media", Severity::Ok, "19 of 20", heard(19));
}

#[test]
fn packets_missing_before_they_came_here() {
    expect("RTP loss", Severity::Warning, "2.0 % of the packets", |it| {
        it.observed.streams.expected = 10_000;
    });
    let noted = |note| move |it: &mut Traffic| it.observed.ledger.note(note, 4);
    expect("fragments", Severity::Warning, "4 IP datagrams", noted(Note::DatagramIncomplete));
    expect("TCP", Severity::Warning, "4 holes", noted(Note::TcpGap));
    expect("SIP syntax", Severity::Note, "3 messages (2.0 %)", |it| it.observed.sip.malformed = 3);
}
