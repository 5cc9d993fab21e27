//! Files that are cut, altered or never were captures: what can be read is read, the rest is said once, and
//! nothing panics or goes on for ever.

use capture::CaptureError;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::samples::{Sample, any_sample};
use crate::seen::{Seen, read};

fn frames_within(sample: &Sample, end: usize) -> &[Seen] {
    let (frames, _) = read(&sample.bytes[..end]);
    let expected = &sample.frames[..frames.len()];
    assert_eq!(frames, expected, "cut at {end}");
    expected
}

/// Every error that a cut can cause, at the place where it was cut.
fn check_cut(sample: &Sample, end: usize) {
    let (frames, error) = read(&sample.bytes[..end]);
    let whole = sample.whole_at.contains(&end);
    match error {
        None => assert!(whole, "an end within a record is told: {end}"),
        Some(CaptureError::Empty { .. }) => assert_eq!(end, 0),
        // Less than a magic number; or of a format without one, less than a record.
        Some(CaptureError::NotACapture { .. }) => {
            assert!(end < 4 || end < *sample.whole_at.first().unwrap(), "{end}");
        }
        Some(CaptureError::TruncatedFile { packet, offset, end: told, .. }) => {
            assert!(!whole, "cut at {end}");
            assert_eq!((packet, told), (frames.len() as u64 + 1, end as u64));
            let begun = sample.whole_at.iter().rev().find(|at| **at < end).copied().unwrap_or(0);
            assert!(offset == begun as u64, "cut at {end}: {offset} is not {begun}");
        }
        Some(other) => panic!("cut at {end}: {other}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_cut_anywhere_leaves_what_came_before(sample in any_sample(60)) {
        let mut last = 0;
        for end in 0..=sample.bytes.len() {
            let frames = frames_within(&sample, end).len();
            prop_assert!(frames >= last, "more bytes give no fewer frames");
            check_cut(&sample, end);
            last = frames;
        }
        prop_assert_eq!(last, sample.frames.len());
    }

    #[test]
    fn a_cut_compressed_file_leaves_what_came_before(sample in any_sample(60), cut in 0.0..1.0) {
        let packed = zstd::encode_all(sample.bytes.as_slice(), 1).unwrap();
        let end = 4 + ((packed.len() - 4) as f64 * cut) as usize;
        let (frames, error) = read(&packed[..end]);
        prop_assert_eq!(&frames, &sample.frames[..frames.len()]);
        prop_assert!(matches!(error, Some(CaptureError::TruncatedFile { .. })), "{:?}", error);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn altered_bytes_never_panic(
        sample in any_sample(100),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
    ) {
        let mut bytes = sample.bytes;
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let (frames, _) = read(bytes.as_slice());
        let data: usize = frames.iter().map(|frame| frame.data.len()).sum();
        prop_assert!(data <= bytes.len());
    }

    #[test]
    fn arbitrary_bytes_never_panic(
        magic in prop_oneof![
            Just(vec![]), Just(vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0]), Just(vec![0x0a, 0x0d, 0x0d, 0x0a]),
            Just(vec![0x1f, 0x8b, 8]), Just(vec![0x28, 0xb5, 0x2f, 0xfd]), Just(b"GMBU\0\x02".to_vec()),
            Just(vec![0, 0, 0, 0, 0, 0, 0, 0, 2]),
        ],
        rest in vec(any::<u8>(), 0..600),
    ) {
        read([magic, rest].concat().as_slice());
    }
}
