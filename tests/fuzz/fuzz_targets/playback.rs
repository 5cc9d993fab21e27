//! Arbitrary bytes as a recording's FLAC file, and as edits of a real one: it is refused, or read to its end without a
//! panic. (Whether what is given is the right sound is not for this target: under a fuzzer claxon does not look at
//! checksums.)
#![no_main]

use std::sync::{Arc, LazyLock};

use base::{Endpoint, FlowKey, Formats, MediaPacket, Side, Timestamp};
use libfuzzer_sys::fuzz_target;
use media::playback::{Converter, Outline, PlaybackError, Track, View, Voices};
use media::{CallInput, FlowInput, Params};

/// Two blocks and a bit of somebody's noise.
static FILE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let datagram = |index: u32| {
        let mut bytes = vec![0x80, 0];
        bytes.extend((index as u16).to_be_bytes());
        bytes.extend((index * 160).to_be_bytes());
        bytes.extend([0, 0, 0, 1]);
        bytes.extend((0..160_u32).map(|at| (index * 160 + at).wrapping_mul(2_654_435_761).to_be_bytes()[0]));
        bytes
    };
    let datagrams: Vec<_> = (0..30).map(datagram).collect();
    let packet = |(index, payload): (usize, &'static [u8])| MediaPacket {
        time: Timestamp::from_nanos(index as u64 * 20_000_000),
        payload,
        wire_bytes: payload.len() as u16,
    };
    let packets = datagrams.leak().iter().map(Vec::as_slice).enumerate().map(packet).collect();
    let endpoint = |port| Endpoint::new([192, 0, 2, 1].into(), port);
    let key = FlowKey { source: endpoint(1), destination: endpoint(2), ..FlowKey::default() };
    let flow = FlowInput {
        key,
        side: Side::Caller,
        media: "audio".into(),
        formats: Formats::default(),
        secure: false,
        packets,
    };
    let finished = media::finish(&CallInput::default(), &[flow], &Params::default()).unwrap();
    finished.files.into_iter().next().unwrap().bytes
});

fn read(file: &[u8]) {
    let Ok(outline) = Outline::of(file) else { return };
    let Ok(track) = Track::new(vec![outline.clone(), outline]).map(Arc::new) else { return };
    let part = |_| Ok::<_, PlaybackError>(file);
    let views = [View::wav(Arc::clone(&track), Voices::Both, &[]).ok(), Some(View::flac(Arc::clone(&track), &[]))];
    for view in views.into_iter().flatten() {
        if let Ok(bytes) = view.read(0, usize::MAX, part) {
            assert_eq!(bytes.len() as u64, view.bytes());
        }
    }
    if let Ok(mut converter) = Converter::opus(track, Voices::Both, &[]) {
        while let Ok(Some(piece)) = converter.next(part) {
            assert!(!piece.is_empty());
        }
    }
}

fuzz_target!(|data: &[u8]| {
    read(data);

    // Each three bytes: which byte, and what it becomes.
    let mut edited = FILE.clone();
    for edit in data.chunks_exact(3) {
        let place = usize::from(u16::from_le_bytes([edit[0], edit[1]]));
        let length = edited.len();
        edited[place % length] = edit[2];
    }
    read(&edited);
});
