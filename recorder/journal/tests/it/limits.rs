//! Full tables, no buffers, too long, too early: every refusal is a value and spoils nothing.

use base::limits::{CHUNK_AGE_MILLISECONDS_MAX as AGE, COMMIT_AGE_MILLISECONDS_MAX};
use base::{Outcome, Timestamp, Transport};
use journal::{ReadError, Refused, RtpHint, Window, WriterOptions};

use crate::common::{Bench, Datagram, datagram, key, packet, read, small};

#[test]
fn without_buffers_packets_are_refused_and_those_taken_stay_whole() {
    let mut bench = Bench::new(&WriterOptions { chunks_max: 3, ..small() });
    let mut taken = vec![Vec::new(); 4];
    let mut refused = 0;
    for number in 0..400_u64 {
        let flow = (number % 4) as u16;
        let datagram = datagram(flow, number, 300);
        match bench.writer.media(&key(flow), packet(&datagram)) {
            Ok(_) => taken[usize::from(flow)].push(datagram),
            Err(reason) => {
                assert_eq!(reason, Refused::JournalFull);
                assert_eq!(Outcome::from(reason), Outcome::JournalFull);
                refused += 1;
            }
        }
        // The disk is slow: one chunk now and then.
        if number % 50 == 49 {
            bench.appender.write().unwrap();
        }
    }
    assert!(refused > 100 && taken.iter().all(|packets| packets.len() > 10), "{refused} refused");
    bench.writer.seal_all();
    bench.appender.write_all().unwrap();
    for (flow, taken) in (0..).zip(taken) {
        let id = bench.writer.find(&key(flow)).unwrap();
        let end = bench.writer.seal_flow(id);
        assert_eq!(read(&bench.reader, end, Window::ALL), taken);
    }
}

#[test]
fn a_refused_first_packet_opens_no_flow() {
    let mut bench = Bench::new(&WriterOptions { chunks_max: 1, ..small() });
    bench.media(0, 1, 10);
    let second = datagram(1, 2, 10);
    assert_eq!(bench.writer.media(&key(1), packet(&second)), Err(Refused::JournalFull));
    assert_eq!(bench.writer.find(&key(1)), None);
    assert_eq!(bench.writer.flows().count(), 1);
    bench.writer.seal_all();
    bench.appender.write_all().unwrap();
    assert!(bench.writer.media(&key(1), packet(&second)).unwrap().opened);
}

#[test]
fn a_full_flow_table_refuses_until_a_flow_is_forgotten() {
    let mut bench = Bench::new(&WriterOptions { flows_max: 2, ..small() });
    bench.media(0, 1, 10);
    bench.media(1, 2, 10);
    let third = datagram(2, 3, 10);
    assert_eq!(bench.writer.media(&key(2), packet(&third)), Err(Refused::FlowTableFull));
    let first = bench.writer.find(&key(0)).unwrap();
    assert!(bench.writer.forget_flow(first));
    assert!(!bench.writer.forget_flow(first), "forgotten once");
    let appended = bench.writer.media(&key(2), packet(&third)).unwrap();
    assert!(appended.opened && appended.flow != first);
    assert_eq!((bench.writer.seal_flow(first), bench.writer.flow(first)), (None, None));
}

#[test]
fn datagrams_larger_than_a_chunk_are_kept_in_order() {
    let mut bench = Bench::new(&small());
    let sizes = [100, 3_955, 3_956, 3_957, 65_535, 0, 9_000, 172];
    let written: Vec<_> =
        (0..).zip(sizes).map(|(time, bytes)| bench.media(0, time, bytes)).collect();
    let flow = bench.writer.find(&key(0)).unwrap();
    let end = bench.writer.seal_flow(flow);
    bench.appender.write_all().unwrap();
    assert_eq!(read(&bench.reader, end, Window::ALL), written);
    let too_long = datagram(0, 9, 65_536);
    assert_eq!(bench.writer.media(&key(0), packet(&too_long)), Err(Refused::TooLong));
}

#[test]
fn large_datagrams_leave_buffers_for_signalling() {
    let mut bench = Bench::new(&WriterOptions { large_chunks_max: 6, ..small() });
    let large = datagram(0, 1, 60_000);
    let taken = (0..10).filter(|_| bench.writer.media(&key(0), packet(&large)).is_ok()).count();
    assert_eq!(taken, 3);
    let message = vec![b'x'; 64 * 1024];
    for _ in 0..3 {
        bench.writer.signalling(Timestamp::ZERO, &key(1), Transport::Udp, &message).unwrap();
    }
    let refused = bench.writer.signalling(Timestamp::ZERO, &key(1), Transport::Udp, &message);
    assert_eq!(refused, Err(Refused::JournalFull));
    let message = vec![b'x'; 64 * 1024 + 1];
    let refused = bench.writer.signalling(Timestamp::ZERO, &key(1), Transport::Udp, &message);
    assert_eq!(refused, Err(Refused::TooLong));
}

#[test]
fn chunks_are_sealed_by_age_in_the_order_of_their_opening() {
    let at = |milliseconds: u64| Timestamp::from_nanos(milliseconds * 1_000_000);
    let mut bench = Bench::new(&small());
    bench.writer.seal_aged(at(10_000));
    bench.media(0, 1, 10);
    bench.writer.signalling(at(1), &key(9), Transport::Udp, b"x").unwrap();
    assert_eq!(bench.writer.seal_aged(at(10_300)), 0);
    bench.media(1, 2, 10);
    bench.media(0, 3, 10);
    assert_eq!(bench.writer.seal_aged(at(9_999 + AGE)), 0);
    assert_eq!(bench.writer.seal_aged(at(10_000 + AGE)), 2, "flow 0 and signalling");
    assert_eq!(bench.writer.seal_aged(at(10_299 + AGE)), 0);
    assert_eq!(bench.writer.seal_aged(at(10_300 + AGE)), 1, "flow 1");
    bench.media(0, 4, 10);
    assert_eq!(bench.writer.seal_aged(at(10_200 + AGE)), 0, "a clock may step back a little");
    assert_eq!(bench.writer.seal_aged(at(5_000)), 1, "and when it jumps, nothing is left behind");
    assert_eq!(bench.writer.seal_all(), 0);
}

#[test]
fn a_commit_waits_for_its_age() {
    let at = |milliseconds: u64| Timestamp::from_nanos(milliseconds * 1_000_000);
    let mut bench = Bench::new(&small());
    bench.media(0, 1, 10);
    bench.writer.seal_all();
    assert_eq!(bench.appender.pending(), 1);
    assert!(!bench.appender.commit(at(1_000)).unwrap(), "nothing is written");
    bench.appender.write().unwrap();
    assert!(bench.appender.commit(at(1_001)).unwrap());
    bench.media(0, 2, 10);
    bench.writer.seal_all();
    bench.appender.write().unwrap();
    assert!(!bench.appender.commit(at(1_000 + COMMIT_AGE_MILLISECONDS_MAX)).unwrap(), "too early");
    assert!(bench.appender.commit(at(1_001 + COMMIT_AGE_MILLISECONDS_MAX)).unwrap());
    assert!(!bench.appender.commit(at(9_000)).unwrap(), "all is flushed");
}

#[test]
fn a_chunk_can_be_read_as_soon_as_it_is_written_and_not_before() {
    let mut bench = Bench::new(&small());
    let datagram = bench.media(0, 1, 10);
    let flow = bench.writer.find(&key(0)).unwrap();
    let end = bench.writer.seal_flow(flow).unwrap();
    assert!(!bench.reader.is_written(end));
    let early = bench.reader.chain(end, Window::ALL);
    assert!(matches!(early, Err(ReadError::NotWritten { locator }) if locator == end), "{early:?}");
    bench.appender.write().unwrap();
    assert!(bench.reader.is_written(end));
    assert_eq!(read(&bench.reader, Some(end), Window::ALL), [datagram]);
    bench.media(0, 2, 10);
    let later = bench.writer.seal_flow(flow).unwrap();
    assert!(matches!(bench.reader.chain(later, Window::ALL), Err(ReadError::NotWritten { .. })));
}

#[test]
fn a_summary_tells_what_the_first_packet_looked_like() {
    let mut bench = Bench::new(&small());
    let rtp = [0x80, 0x88, 0, 1, 0, 0, 0, 160, 0xde, 0xad, 0xbe, 0xef, 1, 2, 3];
    bench
        .writer
        .media(&key(0), packet(&Datagram { time: 5, payload: rtp.to_vec(), wire_bytes: 15 }))
        .unwrap();
    bench.media(0, 9, 100);
    let (_, summary) = bench.writer.flows().next().unwrap();
    assert_eq!(summary.rtp, Some(RtpHint { ssrc: 0xdead_beef, payload_type: 8 }));
    assert_eq!((summary.packets, summary.bytes, summary.end), (2, 115, None));
    assert_eq!((summary.opened.as_nanos(), summary.last.as_nanos()), (5, 9));
}

#[test]
fn a_forgotten_flow_gives_its_buffer_back() {
    let mut bench = Bench::new(&WriterOptions { chunks_max: 1, ..small() });
    for time in 0..10 {
        let appended = bench.writer.media(&key(0), packet(&datagram(0, time, 10))).unwrap();
        assert!(appended.opened);
        assert!(bench.writer.forget_flow(appended.flow));
    }
    assert_eq!((bench.writer.seal_all(), bench.writer.pending()), (0, 0));
}
