//! Segments of every past format version stay readable. `examples/segment_fixture.rs` wrote them.

use std::fs;
use std::path::Path;

use base::{Endpoint, Timestamp, Transport};
use journal::{Journal, JournalKey, SourceId, Window};

use crate::common::{Datagram, read};

#[test]
fn version_1_is_readable() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v1");
    // A checkout does not keep the key's mode, and recovery locks the folder.
    let copy = tempfile::tempdir().unwrap();
    fs::copy(fixture.join("002-0000000005.journal"), copy.path().join("002-0000000005.journal"))
        .unwrap();
    let key =
        JournalKey::from_bytes(fs::read(fixture.join("journal.key")).unwrap().try_into().unwrap());
    let journal = Journal::open(copy.path(), key, SourceId::default()).unwrap();
    let recovered = journal.recover().unwrap();
    assert_eq!(recovered.damaged, []);
    let header = &recovered.segments[0].header;
    assert_eq!((header.core, header.segment, header.run), (2, 5, 5));
    assert_eq!(header.created, Timestamp::from_nanos(1_700_000_000_000_000_000));
    assert_eq!(
        header.source,
        SourceId(*b"a capture file's identity, hashed"[..32].first_chunk().unwrap())
    );
    let [caller, callee] = [&recovered.flows[0].summary, &recovered.flows[1].summary];
    assert_eq!(caller.key.source, "192.0.2.1:10000".parse::<Endpoint>().unwrap());
    assert_eq!(caller.key.destination, "[2001:db8::2]:20000".parse::<Endpoint>().unwrap());
    assert_eq!((caller.key.domain.0, callee.key), (42, caller.key.reversed()));
    assert_eq!(caller.rtp.map(|rtp| (rtp.ssrc, rtp.payload_type)), Some((0x0102_0304, 8)));
    assert_eq!((caller.packets, callee.packets), (30, 30));
    let packets = read(&journal.reader(), caller.end, Window::ALL);
    for (number, Datagram { time, payload, wire_bytes }) in (0..).zip(packets) {
        assert_eq!(time, 1_700_000_000_000_000_000 + number * 20_000_000);
        let mut expected = vec![0x80, 8, 0, number as u8, 0, 0, 0, 0, 1, 2, 3, 4];
        expected.extend([number as u8; 160]);
        assert_eq!((payload, wire_bytes), (expected, 172));
    }
    let mut messages = Vec::new();
    let replayed = recovered.replay_signalling(&journal.reader(), |core, message| {
        let text = String::from_utf8(message.message.to_vec()).unwrap();
        messages.push((core, message.key.source.port(), message.transport, text));
    });
    assert_eq!(replayed.unwrap(), []);
    let message = |port, transport, text: &str| (2, port, transport, text.to_owned());
    let invite = message(5060, Transport::Udp, "INVITE sip:bob@example.com SIP/2.0\r\n\r\n");
    let bye = message(5062, Transport::Tcp, "BYE sip:bob@example.com SIP/2.0\r\n\r\n");
    assert_eq!(messages, [invite, bye]);
}
