//! SIP that is meant to break programs: RFC 4475, and what fuzzers found elsewhere. No crash, no hang.

use std::path::Path;

use base::{Endpoint, FlowKey, Timestamp};
use capture::LinkType;
use capture::write::ip::udp_packet;
use capture::write::pcap::{Precision, Writer};

use crate::expected;
use crate::harness::{Data, read, tell};

/// A datagram for each message, a tenth of a second apart.
fn capture_of(messages: &[Vec<u8>], to: &Path) {
    let file = std::fs::File::create(to).expect("a file");
    let mut pcap = Writer::new(file, LinkType::RawIp, Precision::Microseconds).expect("a capture");
    let mut packet = Vec::new();
    for (number, message) in (0_u16..).zip(messages) {
        let key = FlowKey {
            source: Endpoint::v4([192, 0, 2, 1], 10_000 + number),
            destination: Endpoint::v4([192, 0, 2, 2], 5060),
            ..FlowKey::default()
        };
        let bytes = udp_packet(&key, message, message.len() as u16, &mut packet);
        let time = Timestamp::from_nanos((17_676_000_000 + u64::from(number)) * 100_000_000);
        pcap.frame(time, &packet, bytes).expect("a frame");
    }
    pcap.finish().expect("the end");
}

#[test]
fn messages_made_to_break_programs_break_nothing() {
    let Some(folder) = expected::folder() else {
        return tell("SKIPPED: the torture messages (no shared captures)");
    };
    let texts = expected::texts(&folder);
    assert!(texts.len() > 49, "RFC 4475 alone has 49");
    let messages: Vec<Vec<u8>> =
        texts.iter().map(|path| read(path)).filter(|m| m.len() < 60_000).collect();
    let place = tempfile::tempdir().expect("a temporary folder");
    let capture = place.path().join("torture.pcap");
    capture_of(&messages, &capture);
    let data = Data::of(&capture);
    data.run(&["verify"]).ok();
    tell(&format!(
        "{} SIP messages made to break programs, {} recordings",
        messages.len(),
        data.list().len()
    ));
}
