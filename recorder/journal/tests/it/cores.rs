//! Several cores, each with its own segments, one reader.

use base::{Timestamp, Transport};
use journal::{Packets, Window};

use crate::common::{datagram, datagrams, key, open, packet, small};

#[test]
fn a_call_is_read_across_the_journals_of_two_cores() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path());
    let (mut first, mut first_appender) = journal.core(0, &small(), Timestamp::ZERO).unwrap();
    let (mut second, mut second_appender) = journal.core(200, &small(), Timestamp::ZERO).unwrap();
    let mut sent = [Vec::new(), Vec::new()];
    let mut flows = [None, None];
    for number in 0..200_u64 {
        for (core, writer) in [&mut first, &mut second].into_iter().enumerate() {
            let datagram = datagram(core as u16, number * 20, 1_000);
            flows[core] = Some(writer.media(&key(core as u16), packet(&datagram)).unwrap().flow);
            sent[core].push(datagram);
            first_appender.write_all().unwrap();
            second_appender.write_all().unwrap();
        }
    }
    let ends =
        [first.seal_flow(flows[0].unwrap()).unwrap(), second.seal_flow(flows[1].unwrap()).unwrap()];
    first_appender.write_all().unwrap();
    second_appender.write_all().unwrap();
    assert_eq!(ends.map(|end| end.core()), [0, 200]);
    let (reader, mut packets) = (journal.reader(), Packets::default());
    for end in ends {
        reader.read(end, Window::ALL, &mut packets).unwrap();
    }
    assert_eq!(datagrams(&packets), sent.concat());
}

#[test]
fn signalling_is_replayed_in_the_order_of_time_across_cores() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path());
    let mut cores: Vec<_> = [3, 0, 7]
        .iter()
        .map(|core| journal.core(*core, &small(), Timestamp::ZERO).unwrap())
        .collect();
    let mut expected = Vec::new();
    for time in 0..500_u64 {
        let (writer, appender) = &mut cores[(time * time % 3) as usize];
        let transport = if time % 5 == 0 { Transport::Tcp } else { Transport::Udp };
        let message = format!("OPTIONS {time}").repeat(time as usize % 20);
        writer
            .signalling(Timestamp::from_nanos(time), &key(1), transport, message.as_bytes())
            .unwrap();
        expected.push((time, writer.core(), transport, message));
        if time % 90 == 0 {
            writer.seal_signalling();
        }
        appender.write_all().unwrap();
    }
    for (writer, appender) in &mut cores {
        writer.seal_all();
        appender.sync().unwrap();
    }
    drop((cores, journal));
    let journal = open(folder.path());
    let recovered = journal.recover().unwrap();
    let mut replayed = Vec::new();
    let damaged = recovered.replay_signalling(&journal.reader(), |core, message| {
        assert_eq!(message.key, key(1));
        let text = String::from_utf8(message.message.to_vec()).unwrap();
        replayed.push((message.time.as_nanos(), core, message.transport, text));
    });
    assert_eq!(damaged.unwrap(), []);
    assert_eq!(replayed, expected);
    assert_eq!(recovered.messages(), 500);
}
