//! Writer, appender and reader on threads of their own, as in the live program.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;

use base::Timestamp;
use journal::{Locator, Packets, ReadError, Refused, Window, WriterOptions};

use crate::common::{Bench, Datagram, datagram, datagrams, key, packet, small};

const FLOWS: u16 = 12;
const PACKETS: u64 = 4_000;

#[test]
fn three_threads_lose_nothing() {
    run(&WriterOptions { segment_bytes_max: 400_000, ..small() });
}

#[test]
fn three_threads_lose_nothing_that_is_held() {
    run(&WriterOptions { segment_bytes_max: 400_000, hold: true, ..small() });
}

fn run(options: &WriterOptions) {
    let Bench { mut writer, mut appender, reader, folder, journal } = Bench::new(options);
    let written_all = AtomicBool::new(false);
    let (ends, to_read) = mpsc::channel::<(u16, Locator, Vec<Datagram>)>();
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut told = 0;
            while !written_all.load(Ordering::Acquire) || appender.pending() > 0 {
                appender.write().unwrap();
                told += 100_000_000;
                appender.commit(Timestamp::from_nanos(told)).unwrap();
            }
        });
        scope.spawn(|| {
            // Each flow is read while later ones are still being written.
            let mut packets = Packets::default();
            for (flow, end, expected) in to_read {
                packets.clear();
                while let Err(error) = reader.read(end, Window::ALL, &mut packets) {
                    assert!(matches!(error, ReadError::NotWritten { .. }), "{error}");
                    thread::yield_now();
                }
                assert_eq!(packets.key(), Some(key(flow)));
                assert_eq!(datagrams(&packets), expected);
                assert_eq!(packets.damaged(), []);
            }
        });
        let mut sent = vec![Vec::new(); FLOWS.into()];
        for number in 0..PACKETS {
            let flow = (number * 7 % u64::from(FLOWS)) as u16;
            let datagram = datagram(flow, number * 1_000, 100 + (number % 300) as usize);
            while let Err(refused) = writer.media(&key(flow), packet(&datagram)) {
                assert_eq!(refused, Refused::JournalFull);
                thread::yield_now();
            }
            sent[usize::from(flow)].push(datagram);
            if number % 1_000 == 999 {
                let flow = (number / 1_000) as u16;
                let id = writer.find(&key(flow)).unwrap();
                let end = writer.seal_flow(id).unwrap();
                ends.send((flow, end, sent[usize::from(flow)].clone())).unwrap();
            }
        }
        for (flow, expected) in (0..).zip(sent) {
            let id = writer.find(&key(flow)).unwrap();
            ends.send((flow, writer.seal_flow(id).unwrap(), expected)).unwrap();
        }
        drop(ends);
        written_all.store(true, Ordering::Release);
    });
    assert!(
        std::fs::read_dir(folder.path()).unwrap().count() > 1,
        "segments were rolled meanwhile"
    );
    drop(journal);
}
