//! Keys that are pressed: what telephone events of real captures say, and that they are no sound.

use super::captures::{flow, flows_of, folder, formats_of};
use super::*;
use serde_json::Value;

/// A capture, and the keys of its streams with telephone events, as its bytes show them.
const PRESSED: [(&str, &[&str]); 18] = [
    ("NormB__sipnab/tests__pcap-samples__SIP_DTMF2.cap", &["6789123"]),
    (
        "RestComm__mediaserver/resource__dtmf__src__test__resources__dtmf_rfc2833_4_digits_fast.pcap",
        &["1234"],
    ),
    (
        "RestComm__mediaserver/rtp__src__test__resources__org__restcomm__media__core__rtp__rfc2833__dtmf-oob-one-hash.cap.gz",
        &["#"],
    ),
    (
        "RestComm__mediaserver/rtp__src__test__resources__org__restcomm__media__core__rtp__rfc2833__dtmf-oob-two-hash.cap.gz",
        &["##"],
    ),
    ("SIPp__sipp/pcap__dtmf_2833_0.pcap", &["0"]),
    ("SIPp__sipp/pcap__dtmf_2833_1.pcap", &["1"]),
    ("SIPp__sipp/pcap__dtmf_2833_2.pcap", &["2"]),
    ("SIPp__sipp/pcap__dtmf_2833_6.pcap", &["6"]),
    ("SIPp__sipp/pcap__dtmf_2833_9.pcap", &["9"]),
    ("SIPp__sipp/pcap__dtmf_2833_star.pcap", &["*"]),
    ("asterisk__testsuite/history_5845c2ce__rfc2833_dtmf_detect__dtmf_2833_1_noend.pcap", &["1"]),
    ("asterisk__testsuite/history_5845c2ce__rfc2833_dtmf_detect__dtmf_2833_4_noend.pcap", &["4"]),
    (
        "asterisk__testsuite/tests__channels__pjsip__dtmf_sdp__dtmf_sdp_recognition__sipp__ulaw-2013785496.pcap",
        &["2013785496"],
    ),
    ("cps274203__RTPExtractor/Pcaps__DTMF_API.pcap", &["123456890ABCD*#123#00"]),
    ("cps274203__RTPExtractor/Pcaps__uacsipclient.pcap", &["1", "1", "1", "1", "1"]),
    ("goffinet__sip_captures/voip-extension.pcap", &["204"]),
    ("markofu__pcaps/HoneyNet__0410__Forensic_challenge_4.pcap", &["2255#4125#4321#"]),
    // Its event is a fax modem's.
    ("ntop__nDPI/tests__cfgs__default__pcap__FAX-Call-t38-CA-TDM-SIP-FB-1.pcap", &[""]),
];

/// The streams of a capture in which telephone events were seen.
fn with_events(expected: &Value) -> Vec<&Value> {
    let lists = ["rtp_streams", "rtp_streams_without_sdp"];
    let streams = lists.iter().filter_map(|list| expected[*list].as_array()).flatten();
    let has_events = |stream: &&Value| {
        let kinds = stream["payload_types"].as_object().unwrap();
        kinds.values().any(|kind| kind["name"] == "telephone-event")
    };
    streams.filter(has_events).collect()
}

#[test]
fn the_keys_of_the_real_captures_are_found() {
    let Some(folder) = folder() else {
        println!("skipped: no captures (set SPANREEL_CAPTURES to their folder)");
        return;
    };
    for (name, wanted) in PRESSED {
        let file = folder.join("expected").join(format!("{}.json", name.replace('/', "__")));
        let expected: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        let flows = flows_of(&folder.join("files").join(name));
        let mut pressed = Vec::new();
        for stream in with_events(&expected) {
            let endpoint = |name: &str| stream[name].as_str().unwrap().parse::<Endpoint>().unwrap();
            let (source, destination) = (endpoint("src"), endpoint("dst"));
            let datagrams = &flows[&(source, destination)];
            let flow = flow(source, destination, datagrams, formats_of(stream));
            let done = finish(&CallInput::default(), &[flow], &Params::default()).unwrap();
            assert!(done.keys.is_sorted_by_key(|it| it.time));
            pressed.push(done.keys.iter().map(|it| it.key).collect::<String>());
        }
        pressed.sort();
        assert_eq!(pressed, wanted, "{name}");
    }
}

/// A press of key 5 in the middle of a second of speech: packets 20 to 24 of it, and the end twice more.
fn press() -> Vec<Sent> {
    let mut packets = steady(1, 50, 0);
    let pressed = packets[20].timestamp;
    for (duration, packet) in packets[20..25].iter_mut().enumerate() {
        let [high, low] = (duration as u16 * 160).to_be_bytes();
        let end = if duration == 4 { 0x80 } else { 0 };
        *packet = Sent {
            timestamp: pressed,
            payload_type: 101,
            payload: vec![5, end | 10, high, low],
            ..packet.clone()
        };
    }
    for number in [25, 26] {
        let copy = Sent {
            at: packets[24].at + number,
            sequence: packets[24].sequence,
            ..packets[24].clone()
        };
        packets.push(copy);
    }
    packets.sort_by_key(|packet| packet.at);
    packets
}

#[test]
fn a_press_is_told_at_its_time_and_its_side_and_is_silence() {
    let done = finished(&[Wire::of(Side::Callee, &press())], &Params::default());
    let [key] = done.keys[..] else { panic!("{:?}", done.keys) };
    assert_eq!((key.side, key.key), (Side::Callee, '5'));
    assert_eq!(key.time, Timestamp::from_nanos(EPOCH_NANOS + 20 * PACKET_NANOS));
    assert_eq!((done.streams[0].events, done.tally.silent), (5, 5));
    assert!(channels(&done.files[0].bytes)[1][20 * PACKET..25 * PACKET].iter().all(|s| *s == 0));
}

#[test]
fn a_press_that_two_flows_carry_is_one() {
    let twice = [Wire::of(Side::Caller, &press()), Wire::of(Side::Caller, &press()).on(key(3, 2))];
    let done = finished(&twice, &Params::default());
    assert_eq!(done.keys.len(), 1);
    // Of a codec that is not decoded, the copies are not known for ones by their sound.
    let other: Vec<Sent> = press()
        .into_iter()
        .map(|packet| match packet.payload_type {
            PCMA => Sent { payload_type: 97, ..packet },
            _ => packet,
        })
        .collect();
    let twice = [Wire::of(Side::Caller, &other), Wire::of(Side::Caller, &other).on(key(3, 2))];
    assert_eq!(finished(&twice, &Params::default()).keys.len(), 1);
}

#[test]
fn a_stream_of_nothing_but_events_tells_its_keys() {
    let events: Vec<Sent> = press().into_iter().filter(|it| it.payload_type == 101).collect();
    let done = finished(&[Wire::of(Side::Caller, &events)], &Params::default());
    assert_eq!(done.keys.iter().map(|it| it.key).collect::<String>(), "5");
    assert_eq!(done.files.iter().filter(|file| file.channels > 0).count(), 0);
}
