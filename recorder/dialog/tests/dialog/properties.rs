//! Noise: whatever comes, nothing panics, and what is promised of calls holds.

use std::collections::BTreeMap;

use base::{Domain, Endpoint, FlowKey, Timestamp, Transport};
use dialog::sdp::{Description, MediaKind};
use dialog::sip::{Address, Message};
use dialog::{Action, Call, Dialogs, EndReason, SipInput};
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::script::{ALICE, BOB, CAROL, PROXY, Sip, audio, request};

/// Asks for everything that can be asked of a message.
fn ask_everything(message: &Message<'_>, whole: &[u8]) {
    assert!(!message.call_id.is_empty() && message.body.len() <= whole.len());
    let tags = [message.from_tag(), message.to_tag(), message.branch(), message.method()];
    assert!(tags.iter().all(|it| it.len() <= whole.len()));
    for (_, value) in message.fields() {
        let address = Address::parse(value);
        assert!(
            address.uri.len() + address.display.len() + address.parameters.len() <= value.len()
        );
        assert!(address.user().is_none_or(|user| !user.is_empty()));
    }
    if let Some(sdp) = message.sdp() {
        assert!(Description::parse(sdp).media.len() <= base::limits::SDP_MEDIA_LINES_MAX);
    }
}

/// What a device might say, in any order.
fn any_message() -> impl Strategy<Value = Sip> {
    let method = select(vec![
        "INVITE", "INVITE", "INVITE", "ACK", "BYE", "CANCEL", "UPDATE", "PRACK", "REFER",
        "REGISTER",
    ]);
    let status =
        select(vec![0_u16, 0, 100, 180, 183, 200, 200, 302, 401, 407, 486, 487, 488, 491, 603]);
    let tags = (select(vec!["a", "a", "x", ""]), select(vec!["", "b", "b", "c"]));
    let port = select(vec![0_u16, 4_000, 4_000, 4_002, 65_535]);
    let body = (0..4_u8, select(vec!["10.0.0.1", "10.0.0.3", "0.0.0.0", "host"]), port);
    (method, 1..4_u32, status, tags, body, any::<bool>(), select(vec!["id", "id", "other"]))
        .prop_map(|(method, cseq, status, (from, to), (kind, address, port), swapped, call_id)| {
            let mut message = request(method, cseq).call_id(call_id);
            message = if from.is_empty() { message.without_tags() } else { message.by(from) };
            message = if to.is_empty() { message } else { message.within(to) };
            message = if swapped { message.swapped() } else { message };
            message = if status == 0 { message } else { message.answered(status, "b") };
            match kind {
                0 => message,
                1 => message.sdp(&audio(address, port)),
                2 => message
                    .sdp(&(audio(address, port) + "a=sendonly\r\nm=video 5000 RTP/SAVP 31\r\n")),
                _ => message.sdp(&(audio(address, port) + "a=crypto:1 x inline:y\r\n")),
            }
        })
}

/// A message, where and how long after the one before.
#[derive(Clone)]
struct Event {
    bytes: Vec<u8>,
    key: FlowKey,
    wait_milliseconds: u64,
    media: bool,
}

impl std::fmt::Debug for Event {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = String::from_utf8_lossy(&self.bytes);
        write!(f, "+{} ms {:?} media {} {text:?}", self.wait_milliseconds, self.key, self.media)
    }
}

fn any_event() -> impl Strategy<Value = Event> {
    let ends = select(vec![
        (ALICE, BOB),
        (BOB, ALICE),
        (ALICE, PROXY),
        (PROXY, BOB),
        (BOB, PROXY),
        (PROXY, CAROL),
    ]);
    let wait = prop_oneof![8 => 0..2_000_u64, 1 => 0..400_000_u64, 1 => Just(8_000_000)];
    let damage = prop::option::weighted(0.1, (any::<Index>(), any::<u8>()));
    (any_message(), ends, wait, damage, any::<bool>(), 0..2_u16).prop_map(
        |(message, (source, destination), wait_milliseconds, damage, media, vlan)| {
            let mut bytes = message.bytes();
            if let Some((place, byte)) = damage {
                let place = place.index(bytes.len());
                bytes[place] = byte;
            }
            let domain = Domain(vlan.into());
            Event { bytes, key: FlowKey { domain, source, destination }, wait_milliseconds, media }
        },
    )
}

/// Plays events; returns what was done and, at the end, all calls.
fn play(events: &[Event]) -> (Vec<Action>, Vec<Call>) {
    let mut dialogs = Dialogs::new();
    let mut milliseconds = 0;
    let (mut actions, mut keys) = (Vec::new(), Vec::new());
    for event in events {
        milliseconds += event.wait_milliseconds;
        let time = Timestamp::from_nanos(milliseconds * 1_000_000);
        let handled = dialogs.message(SipInput {
            time,
            key: event.key,
            transport: Transport::Udp,
            message: &event.bytes,
        });
        if let dialog::Handled::Call(key) = handled {
            keys.push(key);
            if event.media {
                dialogs.media_seen(key, time);
            }
        }
        actions.extend(std::iter::from_fn(|| dialogs.next_action()));
    }
    dialogs.end_all(Timestamp::from_nanos(milliseconds * 1_000_000), EndReason::CaptureEnd);
    actions.extend(std::iter::from_fn(|| dialogs.next_action()));
    keys.sort_unstable();
    keys.dedup();
    let calls = keys.iter().map(|key| dialogs.forget(*key).unwrap()).collect();
    assert!(dialogs.is_empty(), "every call was named by a message");
    (actions, calls)
}

/// Started once, then announced, then ended once, for every call.
fn check_actions(actions: &[Action], calls: usize) {
    let mut ended = BTreeMap::new();
    for action in actions {
        match action {
            Action::Started(key) => assert_eq!(ended.insert(*key, false), None),
            Action::Announced(key) => assert_eq!(ended.get(key), Some(&false)),
            Action::Ended { call, .. } => assert_eq!(ended.insert(*call, true), Some(false)),
            Action::Evicted(call) => panic!("{call:?}: the table was never full"),
        }
    }
    assert_eq!(ended.len(), calls);
    assert!(ended.values().all(|ended| *ended));
}

fn check_call(call: &Call) {
    let (end, _) = call.ended.unwrap();
    assert!(end >= call.started, "{call:?}");
    assert!(call.answered.is_none_or(|time| time >= call.started && time <= end), "{call:?}");
    assert!(!call.legs.is_empty() && !call.ladder.is_empty());
    let hops: Vec<(Endpoint, Endpoint)> =
        call.legs.iter().flat_map(|leg| leg.hops.clone()).collect();
    for it in &call.announced {
        assert!(
            it.leg < call.legs.len() && it.until.is_none_or(|until| until >= it.time),
            "{call:?}"
        );
        assert!(it.endpoint.port() != 0 && !it.endpoint.ip().is_unspecified(), "{call:?}");
        assert!(hops.contains(&it.hop), "{call:?}");
        assert!(
            matches!(it.media, MediaKind::Audio | MediaKind::Video | MediaKind::Other),
            "{call:?}"
        );
    }
    assert!(call.ladder.iter().count() == call.ladder.len(), "every rung has its text");
    assert!(call.ladder.iter().zip(call.ladder.iter().skip(1)).all(|(a, b)| a.time <= b.time));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        if let Ok(message) = Message::parse(&bytes) {
            ask_everything(&message, &bytes);
        }
        let _ = Description::parse(&bytes);
        let prefixed = [b"SIP/2.0 200 OK\r\ni:x\r\nc:multipart/x;boundary=a\r\nf:", &bytes[..]].concat();
        ask_everything(&Message::parse(&prefixed).unwrap(), &prefixed);
    }

    #[test]
    fn any_lines_are_read_without_panic(
        lines in prop::collection::vec("[ivftlcsICF]{1,2}[ \t]{0,2}[:;]?[a-z<>\";=,@ \\\\%0-9\u{e9}-]{0,30}", 0..30),
        ends in prop::collection::vec(select(vec!["\r\n", "\n", "\r\n ", "\r\r\n", "\r\n\r\n"]), 30),
    ) {
        let body: String = lines.iter().zip(ends).map(|(line, end)| line.clone() + end).collect();
        let text = format!("INVITE sip:a SIP/2.0\r\nCall-ID: x\r\n{body}");
        ask_everything(&Message::parse(text.as_bytes()).unwrap(), text.as_bytes());
    }

    #[test]
    fn compact_and_folded_fields_mean_the_same(
        display in "[a-z ;,<]{0,8}", tag in "[a-z0-9.]{1,12}", branch in "[a-z0-9]{1,12}",
        call_id in "[a-z0-9@.-]{1,20}", cseq in any::<u32>(), fold in select(vec!["\r\n ", "\n\t", "\r\n \t "]),
        order in Just(["f", "t", "i", "v", "CSeq"]).prop_shuffle(), unix in any::<bool>(),
    ) {
        let value = |name: &str, blank: &str| match name {
            "f" => format!("\"{display}\"{blank}<sip:a@h>{blank};{blank}tag{blank}={blank}{tag}"),
            "t" => format!("<sip:b@h>{blank};x=\"{display};tag=no\""),
            "i" => format!("{blank}{call_id}"),
            "v" => format!("SIP/2.0/UDP{blank}h;branch{blank}={blank}{branch}{blank},SIP/2.0/UDP h;branch=other"),
            _ => format!("{cseq}{blank}INVITE"),
        };
        let long = |name| match name { "f" => "From", "t" => "TO", "i" => "call-id", "v" => "Via", other => other };
        let plain: String = order.iter().map(|it| format!("{}: {}\r\n", long(it), value(it, " "))).collect();
        let compact: String = order.iter().map(|it| format!("{it} :{}\r\n", value(it, fold))).collect();
        let with_line = |fields: &str| {
            let text = format!("INVITE sip:b@h SIP/2.0\r\n{fields}\r\nbody");
            if unix { text.replace("\r\n", "\n") } else { text }
        };
        let (plain, compact) = (with_line(&plain), with_line(&compact));
        let (a, b) = (Message::parse(plain.as_bytes()).unwrap(), Message::parse(compact.as_bytes()).unwrap());
        let parts = |it: &Message<'_>| {
            let from = Address::parse(it.from);
            let parts = [it.call_id, it.from_tag(), it.to_tag(), it.branch(), it.cseq.method, it.body, from.uri, from.display];
            parts.map(<[u8]>::to_vec)
        };
        prop_assert_eq!(parts(&a), parts(&b));
        prop_assert_eq!((a.cseq.number, b.cseq.number), (cseq, cseq));
        prop_assert_eq!((a.from_tag(), a.branch(), a.to_tag()), (tag.as_bytes(), branch.as_bytes(), &b""[..]));
    }

    #[test]
    fn sdp_is_seen_as_sdp_types_sees_it(
        media in prop::collection::vec((
            select(vec!["audio", "video", "image", "application"]), any::<u16>(),
            select(vec!["RTP/AVP", "RTP/SAVP", "udptl"]), prop::collection::vec(0..128_u8, 1..6),
            prop::option::of(any::<[u8; 4]>()),
            prop::collection::vec(select(vec!["a=sendonly", "a=rtpmap:101 opus/48000/2", "b=AS:64", "a=ptime:20", "k=clear:x", "a=x"]), 0..4),
        ), 0..5),
        session in any::<[u8; 4]>(),
    ) {
        use std::fmt::Write as _;
        let ip = |it: [u8; 4]| std::net::Ipv4Addr::from(it);
        let mut text = format!("v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 {}\r\nt=0 0\r\n", ip(session));
        for (kind, port, profile, formats, address, attributes) in &media {
            let formats: Vec<String> = formats.iter().map(u8::to_string).collect();
            write!(text, "m={kind} {port} {profile} {}\r\n", formats.join(" ")).unwrap();
            if let Some(address) = address {
                write!(text, "c=IN IP4 {}\r\n", ip(*address)).unwrap();
            }
            attributes.iter().for_each(|line| text.extend([line, "\r\n"]));
        }
        let ours = Description::parse(text.as_bytes()).media;
        let Ok(theirs) = sdp_types::Session::parse(text.as_bytes()) else { return Ok(()) };
        prop_assert_eq!(ours.len(), theirs.medias.len());
        for (ours, theirs) in ours.iter().zip(&theirs.medias) {
            prop_assert_eq!((ours.media.name(), ours.port), (theirs.media.as_str(), theirs.port));
            let address = theirs.connections.first().map_or(ip(session).to_string(), |it| it.connection_address.clone());
            prop_assert_eq!(ours.endpoint.map(|it| it.ip().to_string()), Some(address));
            let numbers: Vec<u8> = theirs.fmt.split(' ').filter_map(|it| it.parse().ok()).collect();
            prop_assert!(ours.formats.0.iter().all(|it| numbers.contains(&it.payload_type)));
        }
    }

    #[test]
    fn calls_keep_their_promises_whatever_comes(events in prop::collection::vec(any_event(), 1..60)) {
        let (actions, calls) = play(&events);
        check_actions(&actions, calls.len());
        calls.iter().for_each(check_call);
        let (again, _) = play(&events);
        prop_assert_eq!(actions, again, "the same messages make the same calls");
    }
}
