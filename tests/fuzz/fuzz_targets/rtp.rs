//! Any bytes as RTP and RTCP packets, one by one and as a whole call that is finished.

#![no_main]

use base::{FlowKey, Formats, MediaPacket, Side, Timestamp};
use libfuzzer_sys::fuzz_target;
use media::rtp::Rtp;
use media::{CallInput, FlowInput, Params, finish};

/// Arrivals are this far apart at most: silence costs time to encode, and is bounded elsewhere.
const STEP_NANOS_MAX: u64 = 1_000_000_000;

/// Carves packets out of `data`: two bytes of waiting time, one of length, then the payload.
fn packets(mut data: &[u8]) -> Vec<MediaPacket<'_>> {
    let mut packets = Vec::new();
    let mut nanos = 1_700_000_000_000_000_000;
    while let Some((&[high, low, length], rest)) = data.split_first_chunk::<3>() {
        nanos += u64::from(u16::from_be_bytes([high, low])) * STEP_NANOS_MAX / u64::from(u16::MAX);
        let (payload, rest) = rest.split_at(usize::from(length).min(rest.len()));
        let wire_bytes = payload.len() as u16 + u16::from(low & 1);
        packets.push(MediaPacket { time: Timestamp::from_nanos(nanos), payload, wire_bytes });
        data = rest;
    }
    packets
}

fn flow(side: Side, packets: Vec<MediaPacket<'_>>) -> FlowInput<'_> {
    let (key, formats) = (FlowKey::default(), Formats::default());
    FlowInput { key, side, media: "audio".into(), formats, secure: false, packets }
}

fuzz_target!(|data: &[u8]| {
    if let Ok(rtp) = Rtp::parse(data, true) {
        assert!(rtp.payload.len() + 12 <= data.len());
    }
    media::rtcp::sender_clocks(Timestamp::ZERO, data, |_| {});
    let (caller, callee) = data.split_at(data.len() / 2);
    let flows = [flow(Side::Caller, packets(caller)), flow(Side::Callee, packets(callee))];
    let finished = finish(&CallInput::default(), &flows, &Params::default()).expect("no packet is an error");
    assert!(finished.tally.balances());
    let sounded: u64 = finished.streams.iter().map(|report| report.samples).sum();
    let written: u64 = finished.files.iter().filter(|f| f.channels > 0).map(|f| f.samples).sum();
    assert!(written >= sounded / 2, "a channel holds at most half of all sound");
});
