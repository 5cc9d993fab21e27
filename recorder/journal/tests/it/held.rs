//! A journal that stays in memory as long as there is room.

use std::fs;

use base::{Timestamp, Transport};
use journal::{DamageKind, Packets, ReadError, Window, WriterOptions};

use crate::common::{Bench, Datagram, datagram, datagrams, key, open, packet, read, small, window};

fn held() -> WriterOptions {
    WriterOptions { hold: true, ..small() }
}

/// Gives packets of flow 0, a chunk each.
fn fill(bench: &mut Bench, packets: std::ops::Range<u64>) -> Vec<Datagram> {
    packets
        .map(|number| {
            let written = bench.media(0, number * 1_000, 3_500);
            bench.writer.seal_all();
            bench.appender.write_all().unwrap();
            written
        })
        .collect()
}

fn files(bench: &Bench) -> usize {
    fs::read_dir(bench.folder.path()).unwrap().count()
}

#[test]
fn what_fits_is_read_from_memory_and_never_written() {
    let mut bench = Bench::new(&held());
    let written = fill(&mut bench, 0..40);
    let large = bench.media(1, 7, 20_000);
    let ends = [0, 1].map(|flow| {
        let flow = bench.writer.find(&key(flow)).unwrap();
        bench.writer.seal_flow(flow)
    });
    assert!(!bench.reader.is_written(ends[1].unwrap()), "the appender has not taken it");
    bench.appender.write().unwrap();
    assert!(bench.reader.is_written(ends[1].unwrap()));
    assert_eq!(read(&bench.reader, ends[0], Window::ALL), written);
    assert_eq!(read(&bench.reader, ends[0], window(5_000, 9_000)), written[5..9]);
    assert_eq!(read(&bench.reader, ends[1], Window::ALL), [large]);
    assert_eq!(files(&bench), 0);
}

#[test]
fn what_does_not_fit_is_written_oldest_first_and_all_of_it_is_read() {
    let mut bench = Bench::new(&held());
    let written = fill(&mut bench, 0..400);
    assert!(files(&bench) > 5, "400 chunks and 64 buffers");
    let flow = bench.writer.find(&key(0)).unwrap();
    let end = bench.writer.seal_flow(flow);
    assert_eq!(read(&bench.reader, end, Window::ALL), written);
    assert_eq!(read(&bench.reader, end, window(330_000, 370_000)), written[330..370]);
    // When it ends, everything is on the disk.
    let folder = bench.end();
    let journal = open(folder.path());
    let recovered = journal.recover().unwrap();
    assert_eq!((recovered.damaged.len(), recovered.flows.len()), (0, 1));
    assert_eq!(read(&journal.reader(), end, Window::ALL), written);
}

#[test]
fn what_is_released_frees_its_buffers_and_is_said_to_be_gone() {
    let mut bench = Bench::new(&held());
    let early = fill(&mut bench, 0..50);
    bench.writer.signalling(Timestamp::ZERO, &key(1), Transport::Udp, b"INVITE").unwrap();
    let used = bench.writer.memory_used_percent();
    let flow = bench.writer.find(&key(0)).unwrap();
    bench.writer.release_signalling_before(Timestamp::MAX);
    bench.writer.release_before(flow, Timestamp::from_nanos(45_000));
    let needed = bench.writer.needed_from();
    assert!(needed > 0);
    bench.appender.release_before(needed).unwrap();
    assert!(bench.writer.memory_used_percent() < used / 2);
    let end = bench.writer.seal_flow(flow);
    assert_eq!(read(&bench.reader, end, window(45_000, 50_000)), early[45..]);
    let mut packets = Packets::default();
    bench.reader.read(end.unwrap(), Window::ALL, &mut packets).unwrap();
    let kinds: Vec<_> = packets.damaged().iter().map(|damage| damage.kind).collect();
    assert_eq!(kinds, [DamageKind::Gone]);
    assert!(early.ends_with(&datagrams(&packets)));
    let gone = bench.reader.chain(end.unwrap(), Window::ALL).unwrap().released.unwrap();
    assert!(matches!(bench.reader.chain(gone, Window::ALL), Err(ReadError::Released { .. })));
    // Nothing had to be written, and there is room again.
    fill(&mut bench, 50..90);
    assert_eq!(files(&bench), 0);
}

#[test]
fn more_flows_than_buffers_give_their_oldest_chunks_up() {
    let mut bench = Bench::new(&WriterOptions { flows_max: 200, ..held() });
    let mut sent = vec![Vec::new(); 200];
    for number in 0..2_000 {
        let flow = (number * 7 % 200) as u16;
        let written = datagram(flow, number * 1_000, 160);
        while bench.writer.media(&key(flow), packet(&written)).is_err() {
            assert!(bench.writer.seal_oldest(10) > 0);
            assert!(bench.appender.write().unwrap().chunks > 0);
        }
        sent[usize::from(flow)].push(written);
    }
    for (flow, expected) in (0..).zip(sent) {
        let flow = bench.writer.find(&key(flow)).unwrap();
        let end = bench.writer.seal_flow(flow);
        bench.appender.write_all().unwrap();
        assert_eq!(read(&bench.reader, end, Window::ALL), expected);
    }
}
