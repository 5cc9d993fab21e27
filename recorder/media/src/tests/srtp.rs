//! SRTP that nobody announced.

use super::*;

/// `packets` with as many bytes more, as an authentication tag makes them.
fn tagged(mut packets: Vec<Sent>, bytes: usize) -> Vec<Sent> {
    for (number, packet) in packets.iter_mut().enumerate() {
        packet.payload.extend(codes(77, number as u64 * 100, bytes));
    }
    packets
}

/// What becomes of a caller's packets that no signalling announced, or that some did.
fn state(packets: &[Sent], announced: bool) -> (String, Finished) {
    let wire = Wire::of(Side::Caller, packets);
    let mut flow = wire.input();
    if !announced {
        flow.formats = Formats::default();
    }
    let done = finish(&CallInput::default(), &[flow], &Params::default()).unwrap();
    assert!(done.tally.balances());
    (done.streams[0].stream.state.clone(), done)
}

#[test]
fn tags_of_both_lengths_are_told() {
    for bytes in [4, 10] {
        // Some are lost, and there is a pause: most neighbours are enough.
        let mut packets = tagged(steady(1, 300, 0), bytes);
        packets.retain(|packet| packet.sequence % 7 != 0);
        packets.iter_mut().skip(100).for_each(|packet| packet.timestamp += 8_000);
        let (state, done) = state(&packets, false);
        let said =
            format!("kept as packets: encrypted (SRTP), told by its packets, each {bytes} bytes");
        assert!(state.starts_with(&said), "{state}");
        assert_eq!(done.tally.kept, packets.len() as u64);
        assert_eq!((done.files.len(), done.files[0].name.as_str()), (1, "packets.pcapng"));
    }
}

#[test]
fn what_is_as_long_as_it_lasts_is_sound() {
    assert_eq!(state(&steady(1, 300, 0), false).0, "decoded");
    // Longer by what is no tag's length: a sender that counts wrong.
    assert_eq!(state(&tagged(steady(1, 300, 0), 8), false).0, "decoded");
    // One packet in three is longer.
    let mut packets = steady(1, 300, 0);
    packets.iter_mut().step_by(3).for_each(|packet| packet.payload.extend([0xd5; 10]));
    assert_eq!(state(&packets, false).0, "decoded");
}

#[test]
fn what_was_announced_is_believed() {
    assert_eq!(state(&tagged(steady(1, 300, 0), 10), true).0, "decoded");
}

#[test]
fn a_few_packets_prove_nothing() {
    assert_eq!(state(&tagged(steady(1, 4, 0), 10), false).0, "decoded");
}
