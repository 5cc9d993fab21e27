//! Every variant of every format is read as it was written.

use std::io::{self, Read, Write};

use base::limits::{CAPTURE_RECORD_BYTES_MAX, FRAME_BYTES_MAX};
use proptest::prelude::*;

use crate::samples::{self, Block, Order, any_erf, any_netmon, any_pcap, any_pcapng, any_sample};
use crate::seen::{read, read_whole};

/// Gives a few bytes at a time, and is interrupted now and then, like a pipe.
struct Dribble<'a>(&'a [u8], usize);

impl Read for Dribble<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.1 += 1;
        if self.1.is_multiple_of(5) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let bytes = into.len().min(1 + self.1 % 13);
        self.0.read(&mut into[..bytes])
    }
}

fn gzip(parts: &[&[u8]]) -> Vec<u8> {
    let member = |part: &&[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(part).unwrap();
        encoder.finish().unwrap()
    };
    parts.iter().flat_map(member).collect()
}

fn zstd(parts: &[&[u8]]) -> Vec<u8> {
    parts.iter().flat_map(|part| zstd::encode_all(*part, 1).unwrap()).collect()
}

proptest! {
    #[test]
    fn pcap_is_read_as_written(sample in any_pcap(2_000)) {
        prop_assert_eq!(read_whole(&sample.bytes), sample.frames);
    }

    #[test]
    fn pcapng_is_read_as_written(sample in any_pcapng(2_000)) {
        prop_assert_eq!(read_whole(&sample.bytes), sample.frames);
    }

    #[test]
    fn erf_is_read_as_written(sample in any_erf(2_000)) {
        prop_assert_eq!(read_whole(&sample.bytes), sample.frames);
    }

    #[test]
    fn network_monitor_is_read_as_written(sample in any_netmon(2_000)) {
        prop_assert_eq!(read_whole(&sample.bytes), sample.frames);
    }

    #[test]
    fn a_file_that_comes_in_dribs_is_the_same(sample in any_sample(300)) {
        let (frames, error) = read(Dribble(&sample.bytes, 0));
        prop_assert!(error.is_none(), "{}", error.unwrap());
        prop_assert_eq!(frames, sample.frames);
    }

    #[test]
    fn compressed_is_the_same_in_one_part_or_two(sample in any_sample(300), cut in 0.0..1.0) {
        let (first, second) = sample.bytes.split_at((sample.bytes.len() as f64 * cut) as usize);
        prop_assert_eq!(&read_whole(&gzip(&[&sample.bytes])), &sample.frames);
        prop_assert_eq!(&read_whole(&gzip(&[first, second])), &sample.frames);
        prop_assert_eq!(&read_whole(&zstd(&[&sample.bytes])), &sample.frames);
        prop_assert_eq!(&read_whole(&zstd(&[first, second])), &sample.frames);
        let (frames, error) = read(Dribble(&gzip(&[first, second]), 0));
        prop_assert!(error.is_none());
        prop_assert_eq!(frames, sample.frames);
    }
}

/// More than a window, so that records lie across its border in many ways.
#[test]
fn frames_across_the_border_of_the_window_are_whole() {
    let raws: Vec<_> = (0..4_000_u64)
        .map(|i| (i << 32, vec![i as u8; (i * 37 % 1_500) as usize], (i % 7) as u32))
        .chain([(1, vec![0xab; FRAME_BYTES_MAX], 0), (2, vec![1, 2, 3], 0)])
        .collect();
    let sample = samples::pcap(Order(false), 0xa1b2_c3d4, 1, &raws);
    assert!(sample.bytes.len() > 3_000_000);
    assert_eq!(read_whole(&sample.bytes), sample.frames);
    let blocks = raws.iter().map(|raw| Block::Enhanced(0, raw.clone())).collect();
    let sample = samples::pcapng(&[(true, vec![(1, Some(9), None)], blocks)]);
    assert_eq!(read_whole(&sample.bytes), sample.frames);
}

#[test]
fn a_block_of_no_interest_is_passed_over_however_long() {
    let frame = || Block::Enhanced(0, (7, b"frame".to_vec(), 0));
    let sizes = [CAPTURE_RECORD_BYTES_MAX, 3 * CAPTURE_RECORD_BYTES_MAX];
    let unknown = |size: &usize| [Block::Unknown(10, vec![6; *size]), frame()];
    let blocks: Vec<_> = sizes.iter().flat_map(unknown).collect();
    let sample = samples::pcapng(&[(false, vec![(1, Some(9), None)], blocks)]);
    assert_eq!(sample.frames.len(), 2);
    assert_eq!(read_whole(&sample.bytes), sample.frames);
}

/// A record of Endace's format in a packet of another: its own lengths and link type count.
#[test]
fn erf_within_pcap_is_unwrapped() {
    let mut record = [[0; 8], [2, 4, 0, 40, 0, 0, 0, 20]].concat();
    record.extend([0, 0]);
    record.extend([0x77; 20]);
    record.resize(40, 0);
    let unknown = [&[0; 8][..], &[27, 4, 0, 24, 0, 0, 0, 8], &[9; 8]].concat();
    let raws = [(5 << 32, record, 0), (6 << 32, unknown.clone(), 0), (7 << 32, vec![1; 5], 0)];
    let sample = samples::pcap(Order(false), 0xa1b2_c3d4, 197, &raws);
    let frames = read_whole(&sample.bytes);
    assert_eq!((frames[0].link, frames[0].wire_bytes), (capture::LinkType::Ethernet, 20));
    assert_eq!((frames[0].data.as_slice(), frames[0].time.as_millis()), (&[0x77; 20][..], 5_000));
    assert_eq!((frames[1].link, &frames[1].data), (capture::LinkType::Other(197), &unknown));
    assert_eq!((frames[2].link, frames[2].data.len()), (capture::LinkType::Other(197), 5));
}

#[test]
fn more_captured_than_was_on_the_wire_counts_as_on_the_wire() {
    let sample = samples::pcap(Order(false), 0xa1b2_c3d4, 1, &[(0, vec![1; 60], 0)]);
    let mut bytes = sample.bytes;
    bytes[36..40].copy_from_slice(&10_u32.to_le_bytes());
    assert_eq!(read_whole(&bytes)[0].wire_bytes, 60);
}
