//! Segments are deleted when nothing needs them, and not before.

use std::fs;

use base::{Timestamp, Transport};
use journal::{DamageKind, Packets, ReadError, Window};

use crate::common::{Bench, Datagram, datagrams, key, read, small, window};

fn files(bench: &Bench) -> usize {
    fs::read_dir(bench.folder.path()).unwrap().count()
}

/// Gives the packets of flow 0, which fill several segments.
fn fill(bench: &mut Bench) -> Vec<Datagram> {
    let mut written = Vec::new();
    for number in 0..100 {
        written.push(bench.media(0, number * 1_000, 3_500));
        bench.writer.seal_all();
        bench.appender.write_all().unwrap();
    }
    written
}

#[test]
fn a_finished_call_frees_its_segments_while_the_next_goes_on_on_the_same_flow() {
    let mut bench = Bench::new(&small());
    let written = fill(&mut bench);
    let flow = bench.writer.find(&key(0)).unwrap();
    let end = bench.writer.seal_flow(flow).unwrap();
    let before = files(&bench);
    assert!(before >= 5, "{before}");
    assert_eq!(bench.writer.needed_from(), 0);
    bench.writer.release_signalling_before(Timestamp::MAX);
    bench.writer.release_before(flow, Timestamp::from_nanos(60_000));
    let needed = bench.writer.needed_from();
    assert!(needed > 0 && bench.appender.release_before(needed).unwrap() == needed as usize);
    assert_eq!(files(&bench), before - needed as usize);
    // What is needed is there, to the packet.
    assert_eq!(read(&bench.reader, Some(end), window(60_000, 90_000)), written[60..90]);
    // What is not is said to be gone.
    let chain = bench.reader.chain(end, Window::ALL).unwrap();
    assert!(chain.released.is_some_and(|gone| gone.segment() < needed));
    let gone = chain.released.unwrap();
    let mut packets = Packets::default();
    bench.reader.read(end, Window::ALL, &mut packets).unwrap();
    assert_eq!(
        packets.damaged().iter().map(|damage| damage.kind).collect::<Vec<_>>(),
        [DamageKind::Gone]
    );
    assert!(written.ends_with(&datagrams(&packets)));
    assert!(matches!(bench.reader.chain(gone, Window::ALL), Err(ReadError::Released { .. })));
    bench.writer.forget_flow(flow);
    let needed = bench.writer.needed_from();
    bench.appender.release_before(needed).unwrap();
    assert_eq!(files(&bench), 1, "the segment being written stays");
}

#[test]
fn signalling_keeps_its_segments_until_it_is_released() {
    let mut bench = Bench::new(&small());
    let time = Timestamp::from_nanos(5);
    bench.writer.signalling(time, &key(1), Transport::Udp, b"INVITE").unwrap();
    fill(&mut bench);
    let flow = bench.writer.find(&key(0)).unwrap();
    bench.writer.forget_flow(flow);
    assert_eq!(bench.writer.needed_from(), 0);
    bench.writer.release_signalling_before(time);
    assert_eq!(bench.writer.needed_from(), 0, "a message at that very time is needed");
    bench.writer.release_signalling_before(Timestamp::from_nanos(6));
    assert!(bench.writer.needed_from() > 0);
}

#[test]
fn times_that_go_back_release_nothing_too_early() {
    let mut bench = Bench::new(&small());
    let early = fill(&mut bench);
    let mut late = Vec::new();
    for number in 0..100 {
        late.push(bench.media(0, 1_000_000 - number * 5_000, 3_000));
        bench.appender.write_all().unwrap();
    }
    let flow = bench.writer.find(&key(0)).unwrap();
    let end = bench.writer.seal_flow(flow).unwrap();
    bench.appender.write_all().unwrap();
    bench.writer.release_signalling_before(Timestamp::MAX);
    bench.writer.release_before(flow, Timestamp::from_nanos(700_000));
    let needed = bench.writer.needed_from();
    bench.appender.release_before(needed).unwrap();
    let needed: Vec<_> =
        early.into_iter().chain(late).filter(|packet| packet.time >= 700_000).collect();
    assert_eq!(read(&bench.reader, Some(end), window(700_000, u64::MAX)), needed);
}

#[test]
fn who_reads_a_segment_while_it_is_deleted_reads_on() {
    let mut bench = Bench::new(&small());
    let written = fill(&mut bench);
    let flow = bench.writer.find(&key(0)).unwrap();
    let end = bench.writer.seal_flow(flow).unwrap();
    let chain = bench.reader.chain(end, Window::ALL).unwrap();
    bench.writer.forget_flow(flow);
    bench.writer.release_signalling_before(Timestamp::MAX);
    let needed = bench.writer.needed_from();
    assert!(bench.appender.release_before(needed).unwrap() > 0);
    let mut packets = Packets::default();
    let loaded = bench.reader.load(&chain, Window::ALL, &mut packets);
    assert!(matches!(loaded, Err(ReadError::Released { .. })), "a chain does not keep segments");
    packets.clear();
    bench.reader.load(&chain, window(99_000, 100_000), &mut packets).unwrap();
    assert_eq!(datagrams(&packets), written[99..]);
}
