//! Random streams, and random bytes.

use proptest::prelude::*;

use super::*;

/// What happens to one packet on its way.
#[derive(Clone, Copy, Debug)]
struct Luck {
    lost: bool,
    copied: bool,
    /// Milliseconds late.
    late: u64,
}

fn luck() -> impl Strategy<Value = Luck> {
    let late = prop_oneof![8 => 0_u64..15, 1 => 0_u64..600];
    (prop::bool::weighted(0.1), prop::bool::weighted(0.1), late)
        .prop_map(|(lost, copied, late)| Luck { lost, copied, late })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Loss, copies and reordering: the exact samples at the exact places, and the exact counts.
    #[test]
    fn every_sample_is_where_it_belongs(
        lucks in prop::collection::vec(luck(), 2..400), first_sequence: u16, first_timestamp: u32,
    ) {
        let mut sent = steady(1, lucks.len(), 0);
        let mut expected = Vec::new();
        let mut received = Vec::new();
        for (packet, luck) in sent.iter_mut().zip(&lucks) {
            packet.sequence = packet.sequence.wrapping_add(first_sequence);
            packet.timestamp = packet.timestamp.wrapping_add(first_timestamp);
            packet.at += luck.late * MILLI;
            expected.extend(if luck.lost { vec![0; PACKET] } else { sound(std::slice::from_ref(packet)) });
            if !luck.lost {
                received.push(packet.clone());
                if luck.copied {
                    received.push(Sent { at: packet.at + 3 * MILLI, ..packet.clone() });
                }
            }
        }
        let alive: Vec<usize> = (0..lucks.len()).filter(|i| !lucks[*i].lost).collect();
        prop_assume!(!alive.is_empty());
        let (first, last) = (alive[0], alive[alive.len() - 1]);
        let (done, left) = caller_alone(&received);
        prop_assert_eq!(&left[..], &expected[first * PACKET..(last + 1) * PACKET]);
        let stream = &done.streams[0].stream;
        prop_assert_eq!(stream.unique as usize, alive.len());
        prop_assert_eq!(stream.lost as usize, last - first + 1 - alive.len());
        prop_assert_eq!(stream.duplicates as usize, received.len() - alive.len());
    }

    /// Whatever is sent: no panic, a balanced account, no sample missing, bounded silence.
    #[test]
    fn arbitrary_packets_are_accounted_for(
        packets in prop::collection::vec(
            (0_u64..200, 0_u32..3, any::<u16>(), any::<u32>(), 0_u8..4, 0_usize..200, any::<bool>()), 0..200),
        junk in prop::collection::vec((0_u64..200, prop::collection::vec(any::<u8>(), 0..40)), 0..20),
    ) {
        let mut wire = Wire::of(Side::Caller, &[]);
        let mut at = 0;
        for (index, (wait, ssrc, number, units, kind, length, wild)) in packets.into_iter().enumerate() {
            at += wait * MILLI;
            let payload_type = [8, 0, 101, 97][usize::from(kind)];
            let (sequence, timestamp) =
                if wild { (number, units) } else { (index as u16, index as u32 * 160) };
            let payload = codes(1, 0, length);
            let sent = Sent { at, ssrc, sequence, timestamp, payload_type, payload };
            wire.datagrams.push((at, sent.datagram()));
        }
        wire.datagrams.extend(junk.into_iter().map(|(at, bytes)| (at * MILLI, bytes)));
        let done = finished(&[wire], &Params::default());
        let sounded: u64 = done.streams.iter().map(|report| report.samples).sum();
        let written: u64 = done.files.iter().filter(|f| f.channels > 0).map(|f| f.samples).sum();
        let most = sounded + 8 * (at / MILLI + 1_000) * 3;
        prop_assert!(written <= most, "{} samples of {}", written, most);
        for file in done.files.iter().filter(|file| file.channels > 0) {
            prop_assert_eq!(channels(&file.bytes)[0].len() as u64, file.samples);
        }
    }
}
