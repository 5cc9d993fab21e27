//! Whole captures of synthetic calls, and what is missing or doubled in them.

use base::Timestamp;
use capture::nic::Statistics;
use capture::packet_socket::Statistics as RingStatistics;
use capture::{FileSource, Frame, LinkType, Poll, Source as _};

use crate::doctor::finding::tests::{assert_complete, on};
use crate::doctor::finding::{Finding, Severity, worst};
use crate::doctor::interface_findings::frame_bytes_max;
use crate::doctor::listen::Traffic;
use crate::doctor::observer::Observer;
use crate::doctor::traffic_findings::findings;
use crate::synth::{Codecs, Options, write};

/// A frame that is to pass: its time, its bytes, and its length on the wire.
type Passing = (Timestamp, Vec<u8>, u32);

fn calls() -> Vec<Passing> {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("calls.pcap");
    let options = Options {
        calls: 10,
        seconds: 6,
        codec: Codecs::Mix,
        srtp: false,
        seed: 3,
        loss: 0.0,
        reorder: 0.0,
        duplicate: 0.0,
        jitter: 0.0,
        start_spread: 1.0,
        to: to.clone(),
        json: false,
    };
    write(&options, &to).unwrap();
    let mut source = FileSource::open(&to).unwrap();
    let mut frames = Vec::new();
    while source.poll(&mut |it| frames.push((it.time, it.data.to_vec(), it.wire_bytes))).unwrap()
        != Poll::End
    {}
    assert!(frames.len() > 5_000, "{} frames", frames.len());
    frames
}

/// What is found when the frames pass by, each as what `change` makes of it.
fn judge(frames: &[Passing], mut change: impl FnMut(&Passing) -> Vec<Passing>) -> Vec<Finding> {
    let mut observer = Observer::new(frame_bytes_max(1_500));
    let passing = frames.iter().flat_map(&mut change);
    for (number, (time, data, wire_bytes)) in (1..).zip(passing) {
        let link = LinkType::Ethernet;
        observer.frame(&Frame { time, link, data: &data, wire_bytes, number });
    }
    let observed = observer.finish();
    assert!(observed.ledger.balances(), "{}", observed.ledger);
    let findings = findings(&Traffic {
        interface: "span0".into(),
        seconds: 10.0,
        speed_megabits: None,
        observed,
        nic: Statistics::default(),
        ring: RingStatistics::default(),
        interrupted: None,
    });
    assert_complete(&findings);
    findings
}

fn ports(frame: &[u8]) -> (u16, u16) {
    let at = |at: usize| u16::from_be_bytes([frame[at], frame[at + 1]]);
    (at(34), at(36))
}

fn is_sip(frame: &Passing) -> bool {
    ports(&frame.1).0 == 5060 || ports(&frame.1).1 == 5060
}

fn only(keep: bool, frame: &Passing) -> Vec<Passing> {
    if keep { vec![frame.clone()] } else { Vec::new() }
}

fn tagged(frame: &Passing, vlan: u8) -> Passing {
    let (head, rest) = frame.1.split_at(12);
    (frame.0, [head, &[0x81, 0x00, 0, vlan], rest].concat(), frame.2 + 4)
}

#[test]
fn whole_calls_are_good() {
    let findings = judge(&calls(), |it| vec![it.clone()]);
    assert_eq!(worst(&findings), Severity::Ok, "{findings:#?}");
    assert!(on(&findings, "calls").finding.ends_with("10 calls seen, 10 of them answered"));
    assert_eq!(on(&findings, "announced media").finding, "RTP at 20 of 20 announced endpoints");
    assert_eq!(on(&findings, "RTP loss").finding, "0.00 % of the packets are missing");
}

#[test]
fn signalling_without_sound_and_sound_without_signalling() {
    let calls = calls();
    let findings = judge(&calls, |it| only(is_sip(it), it));
    assert_eq!(on(&findings, "calls").severity, Severity::Problem);
    assert!(on(&findings, "calls").finding.starts_with("SIP but no RTP"));
    let findings = judge(&calls, |it| only(!is_sip(it), it));
    assert!(on(&findings, "calls").finding.starts_with("RTP but no SIP: 0 SIP messages, 20 RTP"));
}

#[test]
fn one_direction_of_everything() {
    // The caller's side of each pair of hosts has the lower address or port; either will do.
    let findings = judge(&calls(), |it| only(it.1[26..30] < it.1[30..34], it));
    assert_eq!(on(&findings, "directions").severity, Severity::Problem);
    assert_eq!(on(&findings, "SIP directions").severity, Severity::Problem);
}

#[test]
fn everything_twice_at_once_or_a_moment_later_or_in_another_vlan() {
    let calls = calls();
    let findings = judge(&calls, |it| vec![it.clone(), it.clone()]);
    let copies = on(&findings, "copies");
    assert_eq!(copies.severity, Severity::Warning);
    assert_eq!(copies.finding, "every packet comes twice (50 % are copies)");
    assert_eq!(on(&findings, "RTP loss").finding, "0.00 % of the packets are missing");
    let findings = judge(&calls, |it| vec![tagged(it, 7), tagged(it, 8)]);
    assert!(on(&findings, "copies across").finding.starts_with("50.0 %"));
    assert_eq!(on(&findings, "VLANs").finding, "7 (50 %), 8 (50 %)");
}

#[test]
fn cut_and_merged_frames() {
    let calls = calls();
    let cut = |it: &Passing| vec![(it.0, it.1[..it.1.len().min(96)].to_vec(), it.2)];
    let findings = judge(&calls, cut);
    assert_eq!(on(&findings, "truncation").severity, Severity::Problem);
    let large = |it: &Passing| {
        let mut data = it.1.clone();
        data.resize(3_000, 0);
        vec![(it.0, data, 3_000)]
    };
    assert_eq!(on(&judge(&calls, large), "merged packets").severity, Severity::Warning);
}

#[test]
fn a_mirror_that_drops_every_tenth_packet() {
    let mut count = 0;
    let findings = judge(&calls(), |it| {
        count += 1;
        only(is_sip(it) || count % 10 != 0, it)
    });
    let loss = on(&findings, "RTP loss");
    assert_eq!(loss.severity, Severity::Warning);
    assert!(loss.finding.starts_with("10.") || loss.finding.starts_with("9."), "{loss}");
}
