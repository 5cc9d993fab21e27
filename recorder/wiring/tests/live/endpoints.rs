//! Calls between real endpoints (SIPp), recorded from a mirror of what they send to each other.

use base::Side;
use base::recording::{Recording, Stream};
use capture::nic::Link;
use rayon::prelude::*;

use crate::recorder::{Site, assert_nothing_lost, of_call};
use crate::sipp::{Conversation, Sound, conversations, converse};
use crate::switch::{CALLEE, CALLER, Host, with_hosts};
use crate::wire::{SPAN, eventually, output_of, sent, skip};

/// How far apart, in samples, a sound may be in its recording from when its first packet arrived: that packet may have
/// been late, and what follows it tells when the sound really began. 100 ms.
const LATE_SAMPLES_MAX: i64 = 800;
const NANOS_PER_SAMPLE: i64 = 125_000;

/// Runs a test with hosts that have SIPp.
fn with_endpoints(test: impl FnOnce(&[Host; 2]) + Send + 'static) {
    // It ends with an error after it told its version.
    match output_of("sipp", &["-v"]) {
        Err(why) if !why.starts_with("sipp") => skip(&format!("needs sipp, of sip-tester: {why}")),
        _ => with_hosts(test),
    }
}

#[test]
fn conversations_of_sipp_are_recorded_sample_for_sample() {
    with_endpoints(|hosts| are_recorded(hosts, &conversations(6, 4), 2));
}

#[test]
fn two_hundred_conversations_of_sipp_at_once_are_recorded_sample_for_sample() {
    with_endpoints(|hosts| are_recorded(hosts, &conversations(200, 5), 100));
}

fn are_recorded(hosts: &[Host; 2], conversations: &[Conversation], rate: usize) {
    let site = Site::new();
    let recorder = site.start(&[]);
    assert!(site.read_log().contains("XDP, native"), "{}", site.read_log());
    converse(hosts, conversations, rate);
    eventually("all are recorded", || site.list().len() >= conversations.len());
    let ledger = recorder.stop();
    assert_nothing_lost(&ledger);
    assert_eq!(ledger["programSeen"], sent(), "{ledger}");
    assert_eq!(ledger["recordings"], conversations.len(), "{ledger}");
    let recordings = site.list();
    assert_eq!(recordings.len(), conversations.len());
    conversations.par_iter().for_each(|conversation| {
        let recording = of_call(&recordings, &conversation.call_id);
        assert_described(recording, conversation);
        let heard = site.sound(recording.id);
        for (sound, heard) in conversation.sounds.iter().zip(&heard) {
            assert_heard(recording, sound, heard);
        }
    });
    site.verify();
    assert!(Link::find(SPAN).unwrap().xdp.is_none());
}

/// Who called whom, that nothing is missing, and what each side sent.
fn assert_described(recording: &Recording, conversation: &Conversation) {
    let number = conversation.call_id.trim_end_matches("@sipp");
    let parties = (&recording.caller_phone_number, &recording.dialed_phone_number);
    assert_eq!(parties, (&format!("caller{number}"), &format!("callee{number}")));
    assert_eq!(recording.end_reason, "BYE", "{recording:?}");
    assert!(recording.complete && recording.gaps.is_empty(), "{recording:?}");
    assert_eq!(recording.notes, [""; 0]);
    assert_eq!(recording.streams.len(), 2, "{recording:?}");
    for (sound, address) in conversation.sounds.iter().zip([CALLER, CALLEE]) {
        let stream = stream_of(recording, sound.side);
        assert_eq!(stream.source.to_string().split(':').next(), Some(address));
        let counts = [stream.packets, stream.unique, stream.lost, stream.duplicates];
        assert_eq!(counts, [sound.packets(), sound.packets(), 0, 0], "{stream:?}");
        assert_eq!((&*stream.ssrc, &*stream.codec), (&*sound.ssrc(), sound.codec()));
    }
}

/// The channel has the sound at its place, and is silent but for it.
fn assert_heard(recording: &Recording, sound: &Sound, heard: &[i16]) {
    let played = sound.samples();
    let first = |samples: &[i16]| samples.iter().position(|sample| *sample != 0).unwrap();
    let at = first(heard) - first(&played);
    let told = || format!("{:?}, {:?}", recording.call_id, sound.side);
    assert!(heard[at..].starts_with(&played), "{}: other sound than played", told());
    let around = heard[..at].iter().chain(&heard[at + played.len()..]);
    assert_eq!(around.filter(|sample| **sample != 0).count(), 0, "{}", told());
    let (stream, file) = (stream_of(recording, sound.side), &recording.media_files[0]);
    let arrival = stream.start_time.signed_nanos_since(file.start_time) / NANOS_PER_SAMPLE;
    let late = arrival - at as i64;
    assert!((-1..=LATE_SAMPLES_MAX).contains(&late), "{}: {late} samples", told());
}

fn stream_of(recording: &Recording, side: Side) -> &Stream {
    recording.streams.iter().find(|stream| stream.side == side).unwrap()
}
