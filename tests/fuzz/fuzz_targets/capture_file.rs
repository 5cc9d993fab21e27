//! Any bytes as a capture file: no panic, no loop, frames within their limits, an error at most once.
#![no_main]

use base::limits::FRAME_BYTES_MAX;
use capture::file::Reader;
use capture::{Poll, Source};
use libfuzzer_sys::fuzz_target;

/// Compressed input may hold far more than its size; this much of it is enough.
const CONTENT_BYTES: usize = 64 * 1024 * 1024;

fuzz_target!(|data: &[u8]| {
    let Ok(mut reader) = Reader::new("fuzz", data) else { return };
    let (mut last, mut content_bytes, mut errors) = (0, 0, 0);
    while content_bytes < CONTENT_BYTES {
        let polled = reader.poll(&mut |frame| {
            assert!(frame.data.len() <= FRAME_BYTES_MAX);
            assert!(frame.wire_bytes as usize >= frame.data.len());
            assert_eq!(frame.number, last + 1);
            last = frame.number;
            // A record is longer than its frame.
            content_bytes += frame.data.len() + 12;
        });
        match polled {
            Ok(Poll::Frames(frames)) => assert!(frames > 0),
            Ok(Poll::End) => break,
            Ok(Poll::Idle) => panic!("a file is never idle"),
            Err(_) => errors += 1,
        }
        assert!(errors <= 1);
    }
});
