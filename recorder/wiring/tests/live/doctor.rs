//! The doctor listens to a mirror port.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use capture::nic::Link;
use capture::write::pcap::{Precision, Writer};
use capture::{FileSource, LinkType, Poll, Source as _};
use serde_json::Value;

use crate::recorder::spanreel;
use crate::rig::Rig;
use crate::wire::{SPAN, eventually, ip, play, with_wire};

/// Starts it, and waits until it listens.
fn start(data: &Path) -> Child {
    let mut command = spanreel();
    command.args(["doctor", SPAN, "--seconds", "6", "--json", "--data"]).arg(data);
    let child = command.stdout(Stdio::piped()).spawn().unwrap();
    eventually("listening", || Link::find(SPAN).unwrap().promiscuity > 0);
    child
}

/// What it found, and how it ended.
fn finish(doctor: Child) -> (Value, Option<i32>) {
    let output = doctor.wait_with_output().unwrap();
    (serde_json::from_slice(&output.stdout).unwrap(), output.status.code())
}

#[track_caller]
fn severity<'a>(report: &'a Value, topic: &str) -> &'a str {
    let findings = report["findings"].as_array().unwrap();
    let finding = findings.iter().find(|finding| finding["topic"] == topic);
    finding.unwrap_or_else(|| panic!("nothing on {topic}: {report:#}"))["severity"]
        .as_str()
        .unwrap()
}

/// The signalling of a capture, in a capture beside it.
fn signalling_of(capture: &Path) -> PathBuf {
    let to = capture.with_extension("sip.pcap");
    let file = File::create(&to).unwrap();
    let mut writer = Writer::new(file, LinkType::Ethernet, Precision::Nanoseconds).unwrap();
    let mut source = FileSource::open(capture).unwrap();
    let sip = 5060_u16.to_be_bytes();
    let mut keep = |frame: capture::Frame<'_>| {
        if frame.data[34..36] == sip || frame.data[36..38] == sip {
            writer.frame(frame.time, frame.data, frame.wire_bytes).unwrap();
        }
    };
    while source.poll(&mut keep).unwrap() != Poll::End {}
    writer.finish().unwrap();
    to
}

#[test]
fn doctor_tells_good_traffic_from_signalling_alone() {
    with_wire(|| {
        let rig = Rig::new(5, 3);
        let doctor = start(&rig.data());
        let sent = play(&rig.capture()).frames;
        let (good, _) = finish(doctor);
        for topic in ["link", "calls", "directions", "announced media", "losses", "RTP loss"] {
            assert_eq!(severity(&good, topic), "ok", "{good:#}");
        }
        let traffic = &good["traffic"];
        assert_eq!(
            (&traffic["frames"], &traffic["answered"]),
            (&sent.into(), &5.into()),
            "{good:#}"
        );
        assert_eq!(traffic["rtpStreams"], 10, "{good:#}");
        assert_eq!(good["interface"]["driver"], "veth");

        let doctor = start(&rig.data());
        play(&signalling_of(&rig.capture()));
        let (silent, code) = finish(doctor);
        assert_eq!(severity(&silent, "calls"), "problem", "{silent:#}");
        assert_eq!((silent["worst"].as_str(), code), (Some("problem"), Some(1)));
        assert_eq!(Link::find(SPAN).unwrap().promiscuity, 0, "the interface is as it was");
    });
}

#[test]
fn doctor_says_when_the_interface_goes_away_while_it_listens() {
    with_wire(|| {
        let rig = Rig::new(1, 1);
        let doctor = start(&rig.data());
        ip(&["link", "set", SPAN, "down"]);
        let (report, code) = finish(doctor);
        assert_eq!(severity(&report, "interruption"), "problem", "{report:#}");
        assert_eq!(code, Some(1));
    });
}
