//! Cut anywhere, flipped anywhere, or not a segment at all: what is whole is found, what is not is named.

use std::fs;
use std::path::Path;

use base::{Timestamp, Transport};
use journal::{DamageKind, Inspection, JournalKey, Packets, Window, inspect};
use proptest::prelude::*;
use tempfile::TempDir;

use crate::common::{Bench, Datagram, datagrams, key, only_segment, open, read, small};

/// What a chunk of [`chunks`] holds.
struct Written {
    offset: usize,
    end: usize,
    flow: u16,
    packets: Vec<Datagram>,
}

/// Offset, length and kind of what recovery set aside.
type Damaged = Vec<(u64, u64, DamageKind)>;

/// A journal of one segment: chunks of two flows in turn, two packets each.
fn chunks(count: u64) -> (TempDir, Vec<Written>) {
    let mut bench = Bench::new(&small());
    let mut written = Vec::new();
    for number in 0..count {
        let flow = (number % 2) as u16;
        let time = number * 1_000;
        let packets = vec![bench.media(flow, time, 33), bench.media(flow, time + 7, 5)];
        let id = bench.writer.find(&key(flow)).unwrap();
        let offset = bench.writer.seal_flow(id).unwrap().offset() as usize;
        written.push(Written { offset, end: 0, flow, packets });
    }
    let folder = bench.end();
    let length = fs::metadata(only_segment(folder.path())).unwrap().len() as usize;
    let mut end = length;
    for chunk in written.iter_mut().rev() {
        chunk.end = end;
        end = chunk.offset;
    }
    (folder, written)
}

/// A folder with the segment of `folder` as `change` leaves it.
fn changed(folder: &Path, change: impl FnOnce(&mut Vec<u8>)) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    let path = only_segment(folder);
    let mut bytes = fs::read(&path).unwrap();
    change(&mut bytes);
    fs::write(copy.path().join(path.file_name().unwrap()), bytes).unwrap();
    copy
}

/// Recovers `folder` and reads each of the two flows: packets, and damage named by recovery.
fn recover(folder: &Path) -> (Vec<Vec<Datagram>>, Damaged) {
    let journal = open(folder);
    let recovered = journal.recover().unwrap();
    let reader = journal.reader();
    let flow = |flow: u16| {
        let found = recovered.flows.iter().find(|found| found.summary.key == key(flow));
        let Some(summary) = found.map(|found| &found.summary) else { return Vec::new() };
        let mut packets = Packets::default();
        reader.read(summary.end.unwrap(), Window::ALL, &mut packets).unwrap();
        let packets = datagrams(&packets);
        assert_eq!(summary.packets, packets.len() as u64);
        assert_eq!(
            summary.bytes,
            packets.iter().map(|packet| packet.payload.len() as u64).sum::<u64>()
        );
        packets
    };
    let damaged = recovered.damaged.iter();
    let segment = only_segment(folder);
    let damaged = damaged.map(|damage| {
        assert_eq!(damage.path, segment);
        (damage.offset, damage.bytes, damage.kind)
    });
    (vec![flow(0), flow(1)], damaged.collect())
}

/// The packets of the two flows in `chunks`.
fn expected<'a>(chunks: impl Iterator<Item = &'a Written> + Clone) -> Vec<Vec<Datagram>> {
    let of_flow = |flow| chunks.clone().filter(move |chunk| chunk.flow == flow);
    let packets = |flow| of_flow(flow).flat_map(|chunk| chunk.packets.clone()).collect();
    vec![packets(0), packets(1)]
}

#[test]
fn a_tail_torn_at_any_byte_leaves_exactly_the_whole_chunks() {
    let (folder, written) = chunks(6);
    let length = written.last().unwrap().end;
    for cut in written[2].offset..=length {
        let torn = changed(folder.path(), |bytes| bytes.truncate(cut));
        let (flows, damaged) = recover(torn.path());
        let mut whole = written.iter().filter(|chunk| chunk.end <= cut);
        assert_eq!(flows, expected(whole.clone()), "cut at {cut}");
        let end = whole.next_back().unwrap().end;
        let tail = (end as u64, (cut - end) as u64, DamageKind::TornTail);
        assert_eq!(damaged, if end == cut { vec![] } else { vec![tail] }, "cut at {cut}");
    }
}

#[test]
fn a_segment_torn_within_its_header_is_empty() {
    let (folder, _) = chunks(1);
    for cut in 0..128 {
        let torn = changed(folder.path(), |bytes| bytes.truncate(cut));
        let (flows, damaged) = recover(torn.path());
        assert_eq!(flows.concat(), [], "cut at {cut}");
        assert_eq!(damaged.len(), usize::from(cut > 0), "cut at {cut}");
    }
    // A power cut may leave the length without the bytes.
    let zeroed = changed(folder.path(), |bytes| bytes.fill(0));
    let (flows, damaged) = recover(zeroed.path());
    assert_eq!((flows.concat().len(), damaged.len()), (0, 1));
}

#[test]
fn a_flipped_bit_anywhere_costs_its_chunk_and_no_other() {
    let (folder, written) = chunks(6);
    for at in 128..written.last().unwrap().end {
        let flipped = changed(folder.path(), |bytes| bytes[at] ^= 1 << (at % 8));
        let (flows, damaged) = recover(flipped.path());
        let hit = written.iter().find(|chunk| at < chunk.end).unwrap();
        let others = written.iter().filter(|chunk| chunk.offset != hit.offset);
        assert_eq!(flows, expected(others), "byte {at}");
        let header = at - hit.offset < 64;
        let kind = match (header, hit.end == written.last().unwrap().end) {
            (true, true) => DamageKind::TornTail,
            (true, false) => DamageKind::Header,
            (false, _) => DamageKind::Payload,
        };
        let bytes = (hit.end - hit.offset) as u64;
        assert_eq!(damaged, [(hit.offset as u64, bytes, kind)], "byte {at}");
    }
}

#[test]
fn a_flipped_bit_in_the_segment_header_refuses_the_segment_by_name() {
    let (folder, _) = chunks(2);
    for at in 0..128 {
        let flipped = changed(folder.path(), |bytes| bytes[at] ^= 1 << (at % 8));
        let error = open(flipped.path()).recover().unwrap_err().to_string();
        assert!(error.contains("000-0000000000.journal"), "byte {at}: {error}");
    }
}

#[test]
fn a_reader_steps_over_what_was_damaged_under_it() {
    let mut bench = Bench::new(&small());
    let mut written = Vec::new();
    for number in 0..40 {
        // Several segments, with another flow's chunks and signalling between.
        written.push(bench.media(0, number * 1_000, 3_500));
        bench.media(1, number * 1_000, 3_000);
        let message = [7; 300];
        bench
            .writer
            .signalling(Timestamp::from_nanos(number), &key(2), Transport::Udp, &message)
            .unwrap();
        bench.writer.seal_all();
        bench.appender.write_all().unwrap();
    }
    let flow = bench.writer.find(&key(0)).unwrap();
    let end = bench.writer.seal_flow(flow).unwrap();
    let chain = bench.reader.chain(end, Window::ALL).unwrap();
    assert_eq!((chain.chunks.len(), chain.packets()), (40, 40));
    assert!(end.segment() >= 3, "{end}");
    let flip = |number: usize, within: u64| {
        let locator = chain.chunks[number].locator;
        let path = bench.folder.path().join(format!("000-{:010}.journal", locator.segment()));
        let mut bytes = fs::read(&path).unwrap();
        bytes[(locator.offset() + within) as usize] ^= 1;
        fs::write(&path, bytes).unwrap();
        (path, locator.offset())
    };
    let first_of_second =
        chain.chunks.iter().position(|chunk| chunk.locator.segment() == 1).unwrap();
    // A pointer, a length, a payload, a payload's tag; the first of all, and one whose predecessor is in the
    // segment before.
    let hits = [(0, 33), (5, 4), (9, 64), (first_of_second, 40), (30, 64 + 3_555)];
    let mut damaged: Vec<_> = hits.map(|(number, within)| flip(number, within)).to_vec();
    let mut packets = Packets::default();
    bench.reader.read(end, Window::ALL, &mut packets).unwrap();
    for (number, _) in hits.into_iter().rev() {
        written.remove(number);
    }
    assert_eq!(datagrams(&packets), written);
    let named = packets.damaged().iter().map(|damage| (damage.path.clone(), damage.offset));
    let mut named: Vec<_> = named.collect();
    named.sort();
    damaged.sort();
    assert_eq!(named, damaged);
}

#[test]
fn a_foreign_key_version_or_name_is_told_and_the_file_named() {
    let (folder, _) = chunks(1);
    let error_of = |change: fn(&mut Vec<u8>)| {
        let copy = changed(folder.path(), change);
        open(copy.path()).recover().unwrap_err().to_string()
    };
    let error = error_of(|bytes| bytes[8] = 2);
    assert!(error.contains("000-0000000000.journal has journal format version 2"), "{error}");
    let error = error_of(|bytes| bytes[0] = b'x');
    assert!(error.contains("000-0000000000.journal is not a journal segment"), "{error}");
    let error = error_of(|bytes| bytes[64] ^= 1);
    assert!(error.contains("is encrypted under journal key"), "{error}");
    let renamed = folder.path().join("003-0000000004.journal");
    fs::rename(only_segment(folder.path()), renamed).unwrap();
    let error = open(folder.path()).recover().unwrap_err().to_string();
    assert!(error.contains("003-0000000004.journal belongs to core 0, segment 0"), "{error}");
}

#[test]
fn bytes_behind_the_largest_segment_are_set_aside() {
    let (folder, written) = chunks(2);
    let end = written.last().unwrap().end as u64;
    let file = fs::OpenOptions::new().write(true).open(only_segment(folder.path())).unwrap();
    file.set_len((64 << 20) + 5).unwrap();
    let (flows, damaged) = recover(folder.path());
    assert_eq!(flows, expected(written.iter()));
    let most = 64 << 20;
    assert_eq!(damaged, [(end, most - end, DamageKind::TornTail), (most, 5, DamageKind::TornTail)]);
}

fn key_and_segment() -> (JournalKey, Vec<u8>) {
    let (folder, _) = chunks(4);
    (JournalKey::from_bytes([7; 32]), fs::read(only_segment(folder.path())).unwrap())
}

#[test]
fn an_untouched_segment_inspects_clean() {
    let (key, mut segment) = key_and_segment();
    assert_eq!(inspect(&mut segment, &key), Ok(Inspection { chunks: 4, records: 8, damaged: 0 }));
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_no_segment_and_no_panic(mut bytes: Vec<u8>) {
        let key = JournalKey::from_bytes([7; 32]);
        let found = inspect(&mut bytes, &key);
        prop_assert!(found.is_err() || found == Ok(Inspection::default()));
    }

    /// Authentic chunks cut out, doubled, moved and overwritten: only those in their place count.
    #[test]
    fn spliced_segments_never_give_what_was_not_written(
        edits in proptest::collection::vec((0..900_usize, 0..900_usize, 0..300_usize), 1..6),
    ) {
        let (key, original) = key_and_segment();
        let mut bytes = original.clone();
        for (from, to, length) in edits {
            let piece: Vec<u8> = original.iter().skip(from).take(length).copied().collect();
            let to = to.max(128).min(bytes.len());
            let end = (to + length).min(bytes.len());
            bytes.splice(to..end, piece);
        }
        if let Ok(found) = inspect(&mut bytes, &key) {
            prop_assert!(found.chunks <= 4 && found.records == 2 * found.chunks as u64);
        }
    }
}

#[test]
fn a_chunk_that_is_cut_off_while_it_is_read_is_damage_not_a_crash() {
    let mut bench = Bench::new(&small());
    let first = bench.media(0, 1, 3_000);
    bench.writer.seal_all();
    bench.media(0, 2, 3_000);
    let flow = bench.writer.find(&key(0)).unwrap();
    let end = bench.writer.seal_flow(flow).unwrap();
    bench.appender.write_all().unwrap();
    let chain = bench.reader.chain(end, Window::ALL).unwrap();
    let path = only_segment(bench.folder.path());
    fs::OpenOptions::new().write(true).open(path).unwrap().set_len(end.offset() + 100).unwrap();
    let mut packets = Packets::default();
    bench.reader.load(&chain, Window::ALL, &mut packets).unwrap();
    assert_eq!((datagrams(&packets), packets.damaged().len()), (vec![first.clone()], 1));
    assert_eq!(packets.key(), Some(key(0)));
    // The arena can be used again.
    packets.clear();
    bench.reader.read(chain.chunks[0].locator, Window::ALL, &mut packets).unwrap();
    assert_eq!((datagrams(&packets), packets.damaged().len()), (vec![first], 0));
    assert_eq!(read(&bench.reader, None, Window::ALL), []);
}
