//! A capture that is played onto the wire and the same file through `spanreel replay` give the same recordings.
//!
//! Only times differ. A stream's place in its channel is told by when its packets came, and what sends them here is
//! late by what the machine makes it; within a stream, RTP timestamps tell. So each channel is the same in both, but
//! may be moved as a whole by how late the sender was. (If that was more than the recorder corrects within a stream,
//! the silence between sounds may differ as well, by no more than that.)

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base::recording::Recording;
use capture::{FileSource, Poll, Source as _};
use rayon::prelude::*;
use serde_json::{Map, Value};

use crate::ipv6::over_ipv6;
use crate::recorder::{Site, assert_nothing_lost};
use crate::rig::{Rig, options};
use crate::wire::{play, skip, with_wire};

/// Of the shared captures: paths, and what each is about.
const CAPTURES: &[(&str, &str)] = &[
    ("NormB__sipnab/tests__pcap-samples__rtp-protocol.pcap", "PRACK, RTCP, comfort noise"),
    ("NormB__sipnab/tests__pcap-samples__sip-over-tcp.pcap", "SIP over TCP"),
    ("NormB__sipnab/tests__pcap-samples__sip-rtp-g711.pcap", "two calls, both laws"),
    (
        "NormB__sipnab/tests__pcap-samples__register-invite-reinvite-bye.pcap",
        "re-INVITE, another SSRC and codec",
    ),
    (
        "NormB__sipnab/tests__pcap-samples__b2bua-asterisk.pcapng",
        "two calls of a back-to-back user agent that share their media",
    ),
    ("0xSp3ctra__RTP-PARSING/old__voip.pcap", "hops, other addresses than announced"),
    ("goffinet__sip_captures/voip-extension.pcap", "hops, transfer, DTMF"),
    ("derived__synth/siprec_udp_fragmented.pcap", "SIPREC in IP fragments"),
    ("derived__rewrap/udpopus__rtpreorder.pcap", "RTP out of order"),
    ("derived__rewrap/udpopus__rtploss5.pcap", "RTP lost"),
    ("derived__rewrap/udpopus__dup_span.pcap", "each frame twice"),
    ("derived__rewrap/udpopus__ipfrag_rev.pcap", "IP fragments, last first"),
    ("derived__rewrap/udpopus__vlan.pcap", "VLAN"),
    ("derived__rewrap/udpopus__qinq.pcap", "two VLAN tags"),
];
/// How many are played at the same time.
const AT_ONCE: usize = 4;
/// In a kept packet, which begins with its IPv4 header.
const ADDRESSES_AND_PORTS: Range<usize> = 12..24;
const NANOS_PER_SAMPLE: u128 = 125_000;
/// What arrives this late is corrected in the next pause.
const CORRECTED_FROM: Duration = Duration::from_millis(20);
/// What differs between two arrivals of the same packets; what is made from times, or at random.
const OF_ARRIVAL: &[&str] = &[
    "answerTime",
    "build",
    "duration",
    "id",
    "jitter",
    "mos",
    "peaks",
    "sha256",
    "size",
    "startTime",
    "stopTime",
    "time",
];

#[test]
fn real_captures_give_the_same_recordings_on_the_wire_and_from_the_file() {
    let Some(folder) = captures() else {
        return skip("no captures in ../shared/captures, and SPANREEL_CAPTURES names no folder");
    };
    let wires = rayon::ThreadPoolBuilder::new().num_threads(AT_ONCE).build().unwrap();
    wires.install(|| {
        CAPTURES.par_iter().for_each(|(path, about)| {
            let capture = folder.join("files").join(path);
            with_wire(move || drop(same_recordings(&capture, about)));
        });
    });
}

#[test]
fn damaged_calls_give_the_same_recordings_on_the_wire_and_from_the_file() {
    with_wire(|| {
        let damage = wiring::synth::Options {
            loss: 2.0,
            reorder: 3.0,
            duplicate: 2.0,
            jitter: 15.0,
            ..options(11, 6, 6)
        };
        let rig = Rig::with(&damage);
        same_recordings(&rig.capture(), "losses, late and doubled packets");
    });
}

#[test]
fn calls_over_ipv6_give_the_same_recordings_on_the_wire_and_from_the_file() {
    with_wire(|| {
        let rig = Rig::new(4, 3);
        let capture = over_ipv6(&rig.capture());
        let wire = same_recordings(&capture, "IPv6");
        rig.assert_recorded(&wire);
        let recordings = wire.list();
        let mut streams = recordings.iter().flat_map(|recording| &recording.streams);
        assert!(streams.all(|stream| stream.source.ip().is_ipv6()), "{recordings:?}");
    });
}

/// The folder of shared captures, if there is one.
fn captures() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/captures");
    let folder = std::env::var_os("SPANREEL_CAPTURES").map_or(beside, PathBuf::from);
    folder.join("catalog.tsv").exists().then_some(folder)
}

/// Gives what was recorded on the wire.
fn same_recordings(capture: &Path, about: &str) -> Site {
    let (file, wire) = (Site::new(), Site::new());
    file.replay(capture);
    let recorder = wire.start(&[]);
    let played = play(capture);
    // A call may end later than its last packet, and what is stopped before is not the same.
    std::thread::sleep(Duration::from_secs(1));
    let ledger = recorder.stop();
    assert_nothing_lost(&ledger);
    assert_eq!(ledger["programSeen"], played.frames, "{about}: {ledger}");
    let (from_file, from_wire) = (sorted(file.list()), sorted(wire.list()));
    let described = |recordings: &[Recording]| recordings.iter().map(describe).collect::<Vec<_>>();
    let (expected, found) = (described(&from_file), described(&from_wire));
    assert_eq!(expected.len(), found.len(), "{about}: {}", wire.read_log());
    for (expected, found) in expected.iter().zip(&found) {
        for (name, expected) in expected {
            assert_eq!(*expected, found[name], "{about}: {name}: {found:?}");
        }
    }
    for (ours, theirs) in from_wire.iter().zip(&from_file) {
        println!("{about}: {:?}, sent {:?} late at most", ours.call_id, played.late);
        compare_media(&wire.export(ours.id), &file.export(theirs.id), ours, played.late);
    }
    wire.verify();
    wire
}

fn sorted(mut recordings: Vec<Recording>) -> Vec<Recording> {
    recordings.sort_by_key(|it| (it.call_id.clone(), it.start_time));
    recordings
}

/// What a recording says, but for what its packets' arrival decides.
fn describe(recording: &Recording) -> Map<String, Value> {
    let mut recording = recording.clone();
    recording.streams.sort_by_key(|it| (it.ssrc.clone(), it.source, it.destination));
    // The two directions come by different queues of the card, which the kernel may serve in either order.
    recording.messages.sort_by_key(|it| (it.source, it.destination));
    if recording.end_reason == "interrupted" {
        // The calls that are up at the end of a file, or when the recorder is stopped.
        recording.end_reason = "captureEnd".into();
        recording.incomplete_reasons[0] = "the capture ended before the call".into();
    }
    let mut described = serde_json::to_value(&recording).unwrap();
    forget_arrival(&mut described);
    described.as_object().unwrap().clone()
}

fn forget_arrival(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|name, _| !OF_ARRIVAL.contains(&name.as_str()));
            members.values_mut().for_each(forget_arrival);
        }
        Value::Array(items) => items.iter_mut().for_each(forget_arrival),
        _ => {}
    }
}

/// The media files are the same, but for where sound is that was sent late.
fn compare_media(ours: &Path, theirs: &Path, recording: &Recording, late: Duration) {
    for file in &recording.media_files {
        let [ours, theirs] = [ours, theirs].map(|folder| folder.join(&file.media_id));
        if file.media_type != "audio/flac" {
            assert_eq!(packets(&ours), packets(&theirs), "{}", file.media_id);
            continue;
        }
        let [ours, theirs] = [ours, theirs].map(|path| channels(&path));
        assert_eq!(ours.len(), theirs.len());
        for (ours, theirs) in ours.iter().zip(&theirs) {
            compare_sound(ours, theirs, late);
        }
    }
}

fn compare_sound(ours: &[i32], theirs: &[i32], late: Duration) {
    let sound = |samples: &[i32]| -> (Vec<i64>, Vec<i32>) {
        let placed = samples.iter().enumerate().filter(|(_, sample)| **sample != 0);
        placed.map(|(at, sample)| (at as i64, *sample)).unzip()
    };
    let ((our_places, ours), (their_places, theirs)) = (sound(ours), sound(theirs));
    assert!(ours == theirs, "other samples");
    let moves: Vec<i64> = our_places.iter().zip(&their_places).map(|(a, b)| a - b).collect();
    let (Some(least), Some(most)) = (moves.iter().min(), moves.iter().max()) else { return };
    // A sample more or less is rounding.
    let late_samples = 1 + (late.as_nanos() / NANOS_PER_SAMPLE) as i64;
    assert!(-late_samples <= *least && *most <= late_samples, "moved by {least} to {most}");
    assert!(least == most || late >= CORRECTED_FROM, "moved by {least} to {most}");
}

/// The channels of a FLAC file.
fn channels(path: &Path) -> Vec<Vec<i32>> {
    let mut reader = claxon::FlacReader::open(path).unwrap();
    let count = reader.streaminfo().channels as usize;
    let mut channels = vec![Vec::new(); count];
    for (index, sample) in reader.samples().enumerate() {
        channels[index % count].push(sample.unwrap());
    }
    channels
}

/// The packets of a file of packets, flow by flow: what came in the same microsecond of a capture comes one after the
/// other on the wire.
fn packets(path: &Path) -> Vec<Vec<u8>> {
    let mut source = FileSource::open(path).unwrap();
    let mut packets = Vec::new();
    while source.poll(&mut |frame| packets.push(frame.data.to_vec())).unwrap() != Poll::End {}
    packets.sort_by_key(|packet| packet[ADDRESSES_AND_PORTS].to_vec());
    packets
}
