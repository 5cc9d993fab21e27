//! Each thing that can be wrong with a file is told apart, and told so that it can be mended.

use std::io;
use std::path::Path;

use base::limits::{CAPTURE_INTERFACES_MAX, FRAME_BYTES_MAX};
use capture::{CaptureError, FileSource};

use crate::samples::{self, Block, Order, block, interface, section_header};
use crate::seen::read;

fn text(error: Option<CaptureError>) -> String {
    error.expect("an error").to_string()
}

fn one_frame() -> Vec<u8> {
    samples::pcap(Order(false), 0xa1b2_c3d4, 1, &[(0, vec![1; 60], 0)]).bytes
}

#[test]
fn what_cannot_be_opened_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let open = |path: &Path| text(FileSource::open(path).err());
    assert!(
        open(folder.path()).contains("is a directory, not a capture file; name the files in it")
    );
    let missing = open(&folder.path().join("missing.pcap"));
    assert!(missing.contains("missing.pcap: No such file") && missing.contains("check its name"));
    let empty = folder.path().join("empty.pcap");
    std::fs::write(&empty, b"").unwrap();
    assert!(open(&empty).contains("empty.pcap is empty (0 bytes)"));
}

#[test]
fn what_is_no_capture_is_told_by_its_first_bytes() {
    let message = text(read(&b"#!/bin/sh\necho no capture at all\n"[..]).1);
    assert!(message.contains("sample is not a capture file: it begins with the bytes 23 21 2f 62"));
    for (bytes, name) in [
        (&b"\xfd7zXZ\0"[..], "`xz -d`"),
        (b"BZh91AY", "`bzip2 -d`"),
        (b"\x04\x22\x4d\x18", "`lz4 -d`"),
        (b"PK\x03\x04", "`unzip`"),
        (b"snoop\0\0\0", "`editcap -F pcapng`"),
    ] {
        let message = text(read(bytes).1);
        assert!(message.contains("which is not read") && message.contains(name), "{message}");
    }
    let packed_nothing = zstd::encode_all(&b""[..], 1).unwrap();
    assert!(matches!(read(packed_nothing.as_slice()).1, Some(CaptureError::Empty { .. })));
}

#[test]
fn a_header_without_packets_is_a_capture() {
    let (frames, error) = read(&one_frame()[..24]);
    assert!(frames.is_empty() && error.is_none());
}

#[test]
fn a_record_longer_than_any_frame_is_refused_before_it_is_read() {
    let mut bytes = one_frame();
    bytes.extend([[0; 8], [0xff; 8]].concat());
    let (frames, error) = read(bytes.as_slice());
    assert_eq!(frames.len(), 1);
    let message = text(error);
    assert!(message.contains("packet 2 at byte 100 claims 4294967295 bytes"), "{message}");

    let long = Block::Enhanced(0, (0, vec![0; FRAME_BYTES_MAX + 1], 0));
    let sample = samples::pcapng(&[(true, vec![(1, None, None)], vec![long])]);
    let error = read(sample.bytes.as_slice()).1;
    let Some(CaptureError::RecordTooLong { packet: 1, bytes, .. }) = error else {
        panic!("{error:?}")
    };
    assert_eq!(bytes, FRAME_BYTES_MAX as u64 + 1);
}

#[test]
fn a_cut_file_says_where() {
    let mut bytes = one_frame();
    bytes.extend_from_within(24..90);
    let (frames, error) = read(bytes.as_slice());
    assert_eq!(frames.len(), 1);
    let message = text(error);
    assert!(
        message
            .contains("its content ends at byte 166, before packet 2, begun at byte 100, is whole")
    );
}

/// What is wrong with a file of these blocks, after its section header and an interface.
fn damage(blocks: &[u8]) -> &'static str {
    let order = Order(false);
    let bytes =
        [section_header(order), interface(order, (1, None, None)), blocks.to_vec()].concat();
    match read(bytes.as_slice()).1 {
        Some(CaptureError::Damaged { what, packet: 1, .. }) => what,
        other => panic!("{other:?}"),
    }
}

#[test]
fn damaged_blocks_are_told_apart() {
    let order = Order(false);
    let altered = |kind: u32, body: &[u8], at: usize, value: u8| {
        let mut block = block(order, kind, body);
        block[at] = value;
        damage(&block)
    };
    let packet = [[0; 12], [0; 12]].concat();
    assert_eq!(altered(6, &packet, 4, 37), "a block's length is impossible");
    assert_eq!(altered(6, &packet, 4, 8), "a block's length is impossible");
    assert_eq!(altered(6, &packet, 32, 99), "a block's two lengths differ");
    assert_eq!(altered(4, &packet, 32, 99), "a block's two lengths differ");
    assert_eq!(altered(6, &packet, 8, 1), "a packet's interface is not declared");
    assert_eq!(altered(6, &packet, 20, 5), "a packet is longer than its block");
    assert_eq!(damage(&block(order, 6, &[0; 16])), "a packet block is too short");
    assert_eq!(damage(&block(order, 3, &[])), "a packet block is too short");
    assert_eq!(damage(&block(order, 1, &[0; 4])), "an interface description is too short");
    assert_eq!(damage(&block(order, 1, &[0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 9, 0])), OPTION_TOO_LONG);
    assert_eq!(
        damage(&block(order, 1, &[&[0; 8][..], &[9, 0, 0, 0]].concat())),
        OPTION_OF_WRONG_LENGTH
    );
    let mut section = section_header(order);
    section[8] = 0;
    assert_eq!(damage(&section), "a section's byte order is unknown");
    let mut section = section_header(order);
    section[12] = 2;
    assert_eq!(damage(&section), "the version of the pcapng format is not 1");
}

const OPTION_TOO_LONG: &str = "an option is longer than its block";
const OPTION_OF_WRONG_LENGTH: &str = "an interface's time option has a wrong length";

#[test]
fn interfaces_without_end_are_refused() {
    let order = Order(false);
    let mut bytes = section_header(order);
    for _ in 0..CAPTURE_INTERFACES_MAX {
        bytes.extend(block(order, 1, &[0; 8]));
    }
    assert!(read(bytes.as_slice()).1.is_none());
    bytes.extend(block(order, 1, &[0; 8]));
    assert!(text(read(bytes.as_slice()).1).contains("more than 65,536 interfaces"));
}

#[test]
fn other_versions_are_refused() {
    let mut pcap = one_frame();
    pcap[4] = 3;
    assert!(text(read(pcap.as_slice()).1).contains("the version of the pcap format is not 2"));
    let netmon = [&b"GMBU\x04\x02"[..], &[0; 122]].concat();
    assert!(text(read(netmon.as_slice()).1).contains("is not 2.0 to 2.3"));
}

#[test]
fn damaged_compression_is_told_from_a_damaged_capture() {
    let raws: Vec<_> =
        (0..2_000_u64).map(|i| (i << 32, (i * i).to_le_bytes().to_vec(), 0)).collect();
    let sample = samples::pcap(Order(false), 0xa1b2_c3d4, 1, &raws);
    let mut packed = zstd::encode_all(sample.bytes.as_slice(), 1).unwrap();
    let middle = packed.len() / 2;
    packed[middle..].fill(0xff);
    let (_, error) = read(packed.as_slice());
    assert!(text(error).contains("test it with `gzip -t` or `zstd -t`"));
}

#[test]
fn a_failing_disk_is_told_after_what_could_be_read() {
    struct Failing(io::Cursor<Vec<u8>>);
    impl io::Read for Failing {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            match self.0.read(into)? {
                0 => Err(io::Error::other("the disk is gone")),
                read => Ok(read),
            }
        }
    }
    let (frames, error) = read(Failing(io::Cursor::new(one_frame())));
    assert_eq!(frames.len(), 1);
    let message = text(error);
    assert!(message.contains("failed at byte 100, before packet 2: the disk is gone"), "{message}");
}
