//! Whole calls, made of packets built here, through [`finish`](crate::finish) and back out of the FLAC.
//!
//! The sound is random A-law, whose codes never decode to zero: every zero in the output is silence that
//! was inserted, and what is left without zeros must be what went in, bit by bit.

mod bounds;
mod captures;
mod clocks;
mod files;
mod keys;
mod lanes;
mod packets;
mod properties;
mod srtp;

use base::{Encoding, Endpoint, FlowKey, Format, Formats, MediaPacket, Side, Timestamp};

use crate::g711::Law;
use crate::{CallInput, Finished, FlowInput, Params, finish};

/// A moment that all tests count from.
const EPOCH_NANOS: u64 = 1_700_000_000_000_000_000;
const MILLI: u64 = 1_000_000;
const PCMA: u8 = 8;
/// Samples in the usual packet, and its time.
const PACKET: usize = 160;
const PACKET_NANOS: u64 = 20 * MILLI;

/// The code of sample `at` of the voice `seed`: never twice the same course.
fn code(seed: u64, at: u64) -> u8 {
    let mut x = (seed << 40) ^ at ^ 0x9e37_79b9_7f4a_7c15;
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (x >> 33) as u8
}

fn codes(seed: u64, from: u64, count: usize) -> Vec<u8> {
    (0..count as u64).map(|at| code(seed, from + at)).collect()
}

fn decoded(codes: &[u8]) -> Vec<i32> {
    codes.iter().map(|code| i32::from(Law::A.table()[usize::from(*code)])).collect()
}

/// One RTP packet on its way.
#[derive(Clone, Debug)]
struct Sent {
    /// Arrival, nanoseconds after [`EPOCH_NANOS`].
    at: u64,
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    payload_type: u8,
    payload: Vec<u8>,
}

impl Sent {
    fn datagram(&self) -> Vec<u8> {
        let mut bytes = vec![0x80, self.payload_type];
        bytes.extend(self.sequence.to_be_bytes());
        bytes.extend(self.timestamp.to_be_bytes());
        bytes.extend(self.ssrc.to_be_bytes());
        bytes.extend(&self.payload);
        bytes
    }
}

/// `count` packets of 20 ms, the first at `at`, as an ideal sender sends them.
fn steady(seed: u64, count: usize, at: u64) -> Vec<Sent> {
    let packet = |index: usize| Sent {
        at: at + index as u64 * PACKET_NANOS,
        ssrc: seed as u32,
        sequence: 1_000_u16.wrapping_add(index as u16),
        timestamp: 50_000_u32.wrapping_add((index * PACKET) as u32),
        payload_type: PCMA,
        payload: codes(seed, (index * PACKET) as u64, PACKET),
    };
    (0..count).map(packet).collect()
}

/// The sound of `packets` in this order.
fn sound(packets: &[Sent]) -> Vec<i32> {
    packets.iter().flat_map(|packet| decoded(&packet.payload)).collect()
}

fn key(source: u8, destination: u8) -> FlowKey {
    FlowKey {
        source: Endpoint::v4([10, 0, 0, source], 4_000),
        destination: Endpoint::v4([10, 0, 0, destination], 4_000),
        ..FlowKey::default()
    }
}

fn formats() -> Formats {
    let format = |payload_type, encoding| Format {
        payload_type,
        encoding,
        clock_rate_hz: 8_000,
        parameters: None,
    };
    Formats(vec![format(101, Encoding::TelephoneEvent), format(97, Encoding::Other("ILBC".into()))])
}

/// One flow of a test: datagrams with their arrival.
struct Wire {
    key: FlowKey,
    side: Side,
    datagrams: Vec<(u64, Vec<u8>)>,
}

impl Wire {
    fn of(side: Side, packets: &[Sent]) -> Self {
        let key = match side {
            Side::Caller => key(1, 2),
            Side::Callee => key(2, 1),
        };
        let datagrams = packets.iter().map(|packet| (packet.at, packet.datagram())).collect();
        Self { key, side, datagrams }
    }

    fn on(self, key: FlowKey) -> Self {
        Self { key, ..self }
    }

    /// As finish takes it, in the order of arrival.
    fn input(&self) -> FlowInput<'_> {
        let packet = |(at, bytes): &'_ (u64, Vec<u8>)| (*at, bytes.len());
        let mut order: Vec<usize> = (0..self.datagrams.len()).collect();
        order.sort_by_key(|index| packet(&self.datagrams[*index]).0);
        let packets = order.into_iter().map(|index| {
            let (at, bytes) = &self.datagrams[index];
            MediaPacket {
                time: Timestamp::from_nanos(EPOCH_NANOS + at),
                payload: bytes,
                wire_bytes: bytes.len() as u16,
            }
        });
        FlowInput {
            key: self.key,
            side: self.side,
            media: "audio".into(),
            formats: formats(),
            secure: false,
            packets: packets.collect(),
        }
    }
}

fn finished(wires: &[Wire], params: &Params) -> Finished {
    let flows: Vec<FlowInput<'_>> = wires.iter().map(Wire::input).collect();
    let call = CallInput {
        start: Timestamp::from_nanos(EPOCH_NANOS),
        tags: vec![("CALL-ID".into(), "test@example".into())],
    };
    let finished = finish(&call, &flows, params).unwrap();
    assert!(finished.tally.balances());
    finished
}

/// Left and right of a FLAC file (left alone if it is mono).
fn channels(bytes: &[u8]) -> Vec<Vec<i32>> {
    let mut reader = claxon::FlacReader::new(bytes).unwrap();
    let count = reader.streaminfo().channels as usize;
    let mut channels = vec![Vec::new(); count];
    for (index, sample) in reader.samples().enumerate() {
        channels[index % count].push(sample.unwrap());
    }
    channels
}

/// A call with only a caller: what finish says, and the left channel of `audio.flac`.
fn caller_alone(packets: &[Sent]) -> (Finished, Vec<i32>) {
    let done = finished(&[Wire::of(Side::Caller, packets)], &Params::default());
    let left = channels(&done.files[0].bytes).remove(0);
    (done, left)
}

fn without_silence(samples: &[i32]) -> Vec<i32> {
    samples.iter().copied().filter(|sample| *sample != 0).collect()
}

/// Without the silence before and after: what is inside must not have any.
fn trimmed(samples: &[i32]) -> &[i32] {
    let first = samples.iter().position(|sample| *sample != 0).unwrap_or(0);
    let last = samples.iter().rposition(|sample| *sample != 0).map_or(0, |last| last + 1);
    &samples[first..last]
}

/// Like `assert_eq`, but says where instead of printing an hour of sound.
#[track_caller]
fn assert_same(actual: &[i32], expected: &[i32]) {
    let differs = actual.iter().zip(expected).position(|(a, b)| a != b);
    assert_eq!(differs, None, "first difference, of {} and {}", actual.len(), expected.len());
    assert_eq!(actual.len(), expected.len());
}

/// Begin and length of each stretch of silence.
fn silences(samples: &[i32]) -> Vec<(usize, usize)> {
    let mut all: Vec<(usize, usize)> = Vec::new();
    for (at, _) in samples.iter().enumerate().filter(|(_, sample)| **sample == 0) {
        match all.last_mut() {
            Some((begin, length)) if *begin + *length == at => *length += 1,
            _ => all.push((at, 1)),
        }
    }
    all
}

/// A reproducible number below `below`, for jitter.
fn chance(seed: u64, at: u64, below: u64) -> u64 {
    let bytes = [0, 1, 2, 3].map(|part| code(seed, at * 4 + part));
    u64::from(u32::from_be_bytes(bytes)) % below.max(1)
}
