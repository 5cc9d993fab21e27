//! The files that come out.

use std::process::Command;
use std::time::Duration;

use capture::{FileSource, Poll, Source};

use super::*;
use crate::{Layout, MediaError};

#[test]
fn long_call_splits_without_a_lost_sample() {
    let (caller, callee) = (steady(1, 3_000, 0), steady(2, 2_900, 111 * MILLI));
    let wires = [Wire::of(Side::Caller, &caller), Wire::of(Side::Callee, &callee)];
    let params = Params { media_file_limit: Duration::from_secs(7), ..Params::default() };
    let done = finished(&wires, &params);
    let whole = finished(&wires, &Params::default());
    assert_eq!(done.files.len(), 9);
    assert_eq!(
        (done.files[0].name.as_str(), done.files[1].name.as_str()),
        ("audio.flac", "audio.part2.flac")
    );
    let mut joined = vec![Vec::new(), Vec::new()];
    let mut peaks: Vec<u8> = Vec::new();
    for (file, next) in done.files.iter().zip(done.files.iter().skip(1)) {
        assert_eq!((file.stop, file.samples), (next.start, 56_000));
    }
    for file in &done.files {
        let sides = channels(&file.bytes);
        joined.iter_mut().zip(sides).for_each(|(all, part)| all.extend(part));
        peaks.extend(&file.peaks);
    }
    assert_eq!(joined, channels(&whole.files[0].bytes));
    assert_same(&joined[0], &sound(&caller));
    assert_eq!(peaks, whole.files[0].peaks);
    assert_eq!(done.streams[0].stream.media_files.len(), 9);
    assert_eq!(done.streams[0].stream.media_files[8], "audio.part9.flac");
}

#[test]
fn mono_is_the_average_of_both() {
    let (caller, callee) = (steady(1, 50, 0), steady(2, 100, 0));
    let wires = [Wire::of(Side::Caller, &caller), Wire::of(Side::Callee, &callee)];
    let done = finished(&wires, &Params { layout: Layout::Mono, ..Params::default() });
    let both = channels(&done.files[0].bytes);
    assert_eq!((both.len(), done.files[0].channels), (1, 1));
    let caller = [sound(&caller), vec![0; 8_000]].concat();
    let expected: Vec<i32> = caller.iter().zip(sound(&callee)).map(|(a, b)| (a + b) / 2).collect();
    assert_eq!(both[0], expected);
}

#[test]
fn a_limit_of_nothing_is_refused() {
    let params = Params { media_file_limit: Duration::from_millis(999), ..Params::default() };
    let error = finish(&CallInput::default(), &[], &params).unwrap_err();
    assert!(matches!(error, MediaError::FileLimit(_)), "{error}");
}

#[test]
fn a_call_without_packets_has_no_files() {
    let done = finished(&[Wire::of(Side::Caller, &[])], &Params::default());
    assert!(done.files.is_empty() && done.streams.is_empty());
}

/// Reads a packet file back: arrival and IP packet.
fn packets_of(bytes: &[u8]) -> Vec<(u64, Vec<u8>, u32)> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("packets.pcapng");
    std::fs::write(&path, bytes).unwrap();
    let mut source = FileSource::open(&path).unwrap();
    let mut packets = Vec::new();
    loop {
        let poll = source.poll(&mut |frame| {
            assert_eq!(frame.link, capture::LinkType::RawIp);
            packets.push((frame.time.as_nanos(), frame.data.to_vec(), frame.wire_bytes));
        });
        if poll.unwrap() == Poll::End {
            return packets;
        }
    }
}

#[test]
fn what_cannot_be_decoded_is_kept_as_it_came() {
    let mut packets = steady(1, 20, 777);
    packets.iter_mut().for_each(|packet| packet.payload_type = 97);
    let mut wire = Wire::of(Side::Callee, &packets);
    let mut stun = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
    stun.resize(20, 3);
    wire.datagrams.push((5 * MILLI, stun.clone()));
    wire.datagrams.push((6 * MILLI, vec![0]));
    let done = finished(&[wire], &Params::default());
    assert_eq!(done.files.len(), 1);
    let kept = packets_of(&done.files[0].bytes);
    assert_eq!(kept.len(), 22);
    assert_eq!(kept[0].0, EPOCH_NANOS + 777);
    assert_eq!(kept[0].1[28..], packets[0].datagram());
    assert_eq!(kept[0].1[12..20], [10, 0, 0, 2, 10, 0, 0, 1]);
    assert_eq!((kept[1].0, &kept[1].1[28..]), (EPOCH_NANOS + 5 * MILLI, &stun[..]));
    assert_eq!(kept[2].1[28..], [0]);
    assert_eq!(done.streams[0].stream.state, "kept as packets: ILBC is not decoded yet");
    assert_eq!(done.streams[0].stream.codec, "ILBC");
    assert_eq!((done.tally.kept, done.tally.received), (22, 22));
    let notes = done.notes.join("; ");
    assert!(notes.contains("1 STUN") && notes.contains("1 packets that are not RTP"), "{notes}");
}

#[test]
fn encrypted_video_and_fax_are_kept() {
    let wire = Wire::of(Side::Caller, &steady(1, 10, 0));
    let make = |media: &str, secure| FlowInput { media: media.into(), secure, ..wire.input() };
    for (media, secure, state) in [
        ("audio", true, "kept as packets: encrypted (SRTP), which is not decrypted yet"),
        ("video", false, "kept as packets: it is not audio (video)"),
        ("image", false, "kept as packets: fax over IP (T.38) is not decoded"),
    ] {
        let done =
            finish(&CallInput::default(), &[make(media, secure)], &Params::default()).unwrap();
        assert_eq!(done.streams[0].stream.state, state);
        assert_eq!((done.files.len(), done.files[0].samples), (1, 10));
        assert_eq!(done.tally.kept, 10);
    }
}

/// What is G.711 is decoded; because of what is not, the whole stream is kept as well.
#[test]
fn a_stream_of_two_codecs_is_both() {
    let mut packets = steady(1, 100, 0);
    for packet in &mut packets[40..60] {
        (packet.payload_type, packet.payload) = (97, vec![1; 50]);
    }
    let (done, left) = caller_alone(&packets);
    assert_eq!(silences(&left), [(40 * PACKET, 20 * PACKET)]);
    assert_eq!(packets_of(&done.files[1].bytes).len(), 100);
    assert_eq!(
        done.streams[0].stream.state,
        "decoded, and kept as packets: ILBC is not decoded yet"
    );
    assert_eq!((done.tally.sounded, done.tally.kept), (80, 20));
}

#[test]
fn packet_files_are_split() {
    let packets = vec![0x55; 60_000];
    let wire = Wire {
        key: key(1, 2),
        side: Side::Caller,
        datagrams: (0..1_200).map(|n| (n, packets.clone())).collect(),
    };
    let done = finished(&[wire], &Params::default());
    let names: Vec<_> = done.files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, ["packets.pcapng", "packets.part2.pcapng"]);
    assert!(done.files.iter().all(|file| file.bytes.len() <= base::limits::PACKET_FILE_BYTES_MAX));
    assert_eq!(done.files.iter().map(|file| file.samples).sum::<u64>(), 1_200);
}

/// Debian's own programs agree with us.
#[test]
fn flac_and_metaflac_accept_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let (caller, callee) = (steady(1, 700, 0), steady(2, 600, 333 * MILLI));
    let wires = [Wire::of(Side::Caller, &caller), Wire::of(Side::Callee, &callee)];
    let limit = Duration::from_secs(5);
    for layout in [Layout::Stereo, Layout::Mono] {
        let params = Params { layout, media_file_limit: limit };
        for file in finished(&wires, &params).files {
            let path = folder.path().join(&file.name);
            std::fs::write(&path, &file.bytes).unwrap();
            let Ok(test) = Command::new("flac").args(["-t", "-s"]).arg(&path).output() else {
                println!("skipped: the program `flac` is not installed (apt-get install flac)");
                return;
            };
            let said = String::from_utf8_lossy(&test.stderr);
            assert!(test.status.success(), "{}: {said}", file.name);
            let list = Command::new("metaflac").arg("--list").arg(&path).output().unwrap();
            let list = String::from_utf8_lossy(&list.stdout);
            assert!(list.contains("CALL-ID=test@example"), "{list}");
            assert!(list.contains(&format!("total samples: {}", file.samples)), "{list}");
            assert!(!list.contains("minimum framesize: 0 "), "{list}");
        }
    }
}
