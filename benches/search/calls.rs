//! Recordings, made up from their number.

use std::time::Duration;

use base::recording::{Direction, Gap, Recording, Stream};
use base::{Endpoint, RecordingId, Side, Timestamp};

/// 2025-11-23T00:00:00Z; a year from there on, whatever their number.
const BEGIN: Timestamp = Timestamp::from_nanos(1_763_856_000_000_000_000);
const YEAR: Duration = Duration::from_secs(365 * 86_400);

/// A number that follows from another, and looks like chance (SplitMix64).
pub(crate) fn chance(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

/// When the recording `number` of `rows` began.
pub(crate) fn start(number: u64, rows: u64) -> Timestamp {
    let nanos = u128::from(number) * YEAR.as_nanos() / u128::from(rows.max(1));
    let jitter = chance(number) % 1_000_000;
    BEGIN.plus(Duration::from_nanos(
        u64::try_from(nanos).unwrap_or(u64::MAX) / 1_000_000 * 1_000_000 + jitter,
    ))
}

/// An outer number; there are two million.
pub(crate) fn outer(number: u64) -> String {
    format!("+336{:08}", chance(chance(number) % 2_000_000) % 100_000_000)
}

/// One of 5,000 extensions.
pub(crate) fn extension(number: u64) -> String {
    format!("{}", 1_000 + chance(number ^ 0xE) % 5_000)
}

/// The Call-ID of a recording.
pub(crate) fn call_id(number: u64) -> String {
    format!("{:016x}@carrier.example", chance(number ^ 0xCA))
}

/// The recordings `from` to, not including, `to`, of ten million over the year.
pub(crate) fn range(from: u64, to: u64, rows: u64) -> Vec<Recording> {
    (from..to).map(|number| recording(number, rows)).collect()
}

/// The recording `number` of `rows`.
pub(crate) fn recording(number: u64, rows: u64) -> Recording {
    let luck = chance(number ^ 0x1);
    let start_time = start(number, rows);
    // Half are shorter than two minutes, one in a thousand is longer than 20.
    let duration =
        (-(f64::from((luck >> 40) as u32 | 1) / f64::from(1_u32 << 24)).ln() * 173_000.0) as u64;
    let (direction, caller, callee) = match luck % 100 {
        0..45 => (Direction::Inbound, outer(number), extension(number)),
        45..85 => (Direction::Outbound, extension(number), outer(number)),
        _ => (Direction::Internal, extension(number), extension(number ^ 0xF0)),
    };
    let host = |party: &str| if party.starts_with('+') { "carrier.example" } else { "pbx.example" };
    let address = |party: &str| Some(format!("<sip:{party}@{}>;tag=1", host(party)));
    let call_id = call_id(number);
    Recording {
        id: RecordingId::of_call(start_time, &[call_id.as_bytes()]),
        call_id: Some(call_id),
        from: address(&caller),
        to: address(&callee),
        caller_phone_number: caller,
        dialed_phone_number: callee,
        direction: Some(direction),
        start_time,
        answer_time: None,
        stop_time: start_time.plus(Duration::from_millis(duration)),
        duration,
        end_reason: "BYE".into(),
        complete: !luck.is_multiple_of(211),
        incomplete_reasons: Vec::new(),
        gaps: if luck.is_multiple_of(53) { vec![gap(start_time)] } else { Vec::new() },
        marks: Vec::new(),
        legs: Vec::new(),
        streams: if (luck >> 8).is_multiple_of(10) {
            vec![stream(luck, start_time)]
        } else {
            Vec::new()
        },
        media_files: Vec::new(),
        messages: Vec::new(),
        clock: None,
        notes: Vec::new(),
        node: format!("span{}", number % 3),
        build: "bench".into(),
    }
}

fn gap(start_time: Timestamp) -> Gap {
    Gap { side: Side::Caller, start_time, duration: 20.0, packets: Some(1), reason: "loss".into() }
}

/// One in ten has a stream that is worth a word: MOS from 1 to 4.4, few of them low.
fn stream(luck: u64, time: Timestamp) -> Stream {
    let height = f64::from((luck >> 16) as u16) / f64::from(u16::MAX);
    Stream {
        source: Endpoint::default(),
        destination: Endpoint::default(),
        ssrc: "0x00000001".into(),
        side: Side::Caller,
        media: "audio".into(),
        codec: "PCMA".into(),
        packets: 100,
        unique: 100,
        lost: 0,
        duplicates: 0,
        late: 0,
        jitter: 0.5,
        mos: Some(1.0 + 3.4 * height.powf(0.25)),
        quality: Vec::new(),
        start_time: time,
        stop_time: time,
        media_files: Vec::new(),
        state: "decoded".into(),
    }
}
