use super::*;

const INVITE: &[u8] = b"INVITE sip:bob@biloxi.example.com;transport=udp SIP/2.0\r\n\
Via: SIP/2.0/UDP proxy.example.com;branch=z9hG4bK2d4;x=\";branch=no\", SIP/2.0/UDP pc33;branch=z9hG4bK77\r\n\
Via: SIP/2.0/UDP other.example.com;branch=z9hG4bKlast\r\n\
Max-Forwards: 70\r\n\
To: Bob <sip:bob@biloxi.example.com>\r\n\
From: \"Alice <a;b>\" <sip:alice@atlanta.example.com;x=y>;q=1;TAG=1928301774\r\n\
Call-ID: a84b4c76e66710@pc33.atlanta.example.com\r\n\
CSeq: 314159 INVITE\r\n\
Contact: <sip:alice@pc33.atlanta.example.com>\r\n\
s: lunch\r\n\
Content-Type: application/sdp\r\n\
Content-Length: 4\r\n\
\r\n\
v=0\r\nbeyond the length";

fn parsed(bytes: &[u8]) -> Message<'_> {
    Message::parse(bytes).unwrap()
}

#[test]
fn a_request_is_taken_apart() {
    let message = parsed(INVITE);
    let uri = b"sip:bob@biloxi.example.com;transport=udp";
    assert_eq!(message.start, StartLine::Request { method: b"INVITE", uri });
    assert_eq!(message.call_id, b"a84b4c76e66710@pc33.atlanta.example.com");
    assert_eq!(message.cseq, CSeq { number: 314_159, method: b"INVITE" });
    assert_eq!((message.from_tag(), message.to_tag()), (&b"1928301774"[..], &b""[..]));
    assert_eq!(message.branch(), b"z9hG4bK2d4");
    assert_eq!(message.body, b"v=0\r");
    assert_eq!(message.sdp(), Some(&b"v=0\r"[..]));
    assert!(!message.truncated);
    let from = Address::parse(message.from);
    assert_eq!((from.display, from.user()), (&b"Alice <a;b>"[..], Some(&b"alice"[..])));
}

#[test]
fn a_response_is_taken_apart() {
    let message = parsed(b"SIP/2.0 183 Session  Progress\r\ni:x\r\nCSeq:2 INVITE\r\n\r\n");
    assert_eq!(message.start, StartLine::Response { status: 183, reason: b"Session  Progress" });
    assert_eq!((message.method(), message.status()), (&b"INVITE"[..], Some(183)));
    let bare = parsed(b"SIP/2.0 100\r\nCall-ID: x\r\n\r\n");
    assert_eq!(bare.start, StartLine::Response { status: 100, reason: b"" });
}

#[test]
fn compact_names_mean_the_long_ones() {
    let compact = b"INVITE sip:b@h SIP/2.0\r\nv:SIP/2.0/UDP h;branch=z1\r\nf:<sip:a@h>;tag=1\r\n\
t:<sip:b@h>\r\ni:id\r\nCSEQ:1 INVITE\r\nc:application/sdp\r\nk:100rel\r\nl:3\r\n\r\nv=0";
    let message = parsed(compact);
    assert_eq!((message.call_id, message.from_tag()), (&b"id"[..], &b"1"[..]));
    assert_eq!((message.branch(), message.sdp()), (&b"z1"[..], Some(&b"v=0"[..])));
    assert_eq!(message.field("Supported"), Some(&b"100rel"[..]));
    assert_eq!(message.field("from"), Some(&b"<sip:a@h>;tag=1"[..]));
    assert_eq!(message.field("Route"), None);
}

#[test]
fn folds_blanks_lone_lf_and_stray_cr_are_forgiven() {
    let message = parsed(
        b"\r\n\n\r\nINVITE  sip:b@h; lr  SIP/2.0 \nTO :\n sip:b@h ;   tag\n   = 98\nFrom\t: \"A\"\r\n\t<sip:a@h>;tag=1\n\
no colon here\nCall-ID: id\r\r\nCSeq: 9 \r\n  INVITE\nContent-Length: 2\n\nhi",
    );
    assert_eq!(message.start, StartLine::Request { method: b"INVITE", uri: b"sip:b@h; lr" });
    assert_eq!((message.call_id, message.to_tag()), (&b"id"[..], &b"98"[..]));
    assert_eq!(Address::parse(message.from).uri, b"sip:a@h");
    assert_eq!((message.cseq.number, message.cseq.method), (9, &b"INVITE"[..]));
    assert_eq!(message.body, b"hi");
}

#[test]
fn a_wrong_content_length_does_not_lose_the_body() {
    for (length, body, truncated) in
        [("9999", "v=0", true), ("-1", "v=0", false), ("2", "v=", false), ("1e9", "v=0", false)]
    {
        let text = format!("INVITE sip:b@h SIP/2.0\r\ni:1\r\nl: {length}\r\n\r\nv=0");
        let message = parsed(text.as_bytes());
        assert_eq!((message.body, message.truncated), (body.as_bytes(), truncated), "{length}");
    }
    let cut = parsed(b"INVITE sip:b@h SIP/2.0\r\ni:1\r\nFrom: <sip:a@");
    assert!(cut.truncated);
    assert_eq!((cut.call_id, cut.body), (&b"1"[..], &b""[..]));
}

#[test]
fn what_cannot_be_followed_is_refused_by_name() {
    let refused = |bytes: &[u8]| Message::parse(bytes).unwrap_err();
    for line in ["", "\r\n", "HTTP/1.1 200 OK", "SIP/2.0 99 x", "SIP/2.0 700 x", "SIP/2.0 4x4 x"] {
        assert_eq!(
            refused(format!("{line}\r\ni:1\r\n\r\n").as_bytes()),
            SipError::StartLine,
            "{line}"
        );
    }
    for line in ["INVITE sip:b@h SIP/7.0", "INVITE SIP/2.0", "IN{VITE sip:b@h SIP/2.0", "INVITE"] {
        assert_eq!(
            refused(format!("{line}\r\ni:1\r\n\r\n").as_bytes()),
            SipError::StartLine,
            "{line}"
        );
    }
    assert_eq!(refused(b"BYE sip:b@h SIP/2.0\r\nFrom: x\r\n\r\ni:1"), SipError::NoCallId);
    let long = format!("BYE sip:b@h SIP/2.0\r\ni:{}\r\n\r\n", "x".repeat(1_025));
    assert_eq!(refused(long.as_bytes()), SipError::CallIdTooLong(1_025));
    let many = format!("BYE sip:b@h SIP/2.0\r\ni:1\r\n{}\r\n", "x:y\r\n".repeat(256));
    assert_eq!(refused(many.as_bytes()), SipError::TooManyFields);
    assert_eq!(refused(&vec![b'x'; 65_537]), SipError::TooLong(65_537));
}

#[test]
fn sdp_is_found_in_multipart_bodies() {
    let inner = "--in\r\nContent-Type: application/sdp;charset=utf-8\r\n\r\nv=0\r\n--in--";
    let body = format!(
        "preamble b1 --b\r\n--b1\r\nContent-Type: application/rs-metadata+xml\r\nContent-Disposition: x\r\n\r\n\
<xml/>\r\n--b1\r\nC : Multipart/Alternative;boundary=in\r\n\r\n{inner}\r\n--b1--\r\n"
    );
    for kind in ["multipart/mixed;boundary=b1", "MULTIPART/mixed; boundary = \"b1\""] {
        let text = format!("INVITE sip:b@h SIP/2.0\r\ni:1\r\nc:{kind}\r\n\r\n{body}");
        assert_eq!(parsed(text.as_bytes()).sdp(), Some(&b"v=0\r\n"[..]), "{kind}");
    }
    let unnamed = "INVITE sip:b@h SIP/2.0\r\ni:1\r\nc:multipart/mixed\r\n\r\n--b\r\nc:application/sdp\r\n\r\nv=0\r\n--b--";
    assert_eq!(parsed(unnamed.as_bytes()).sdp(), Some(&b"v=0\r\n"[..]));
    let other = "INVITE sip:b@h SIP/2.0\r\ni:1\r\nc:text/plain\r\n\r\nv=0";
    assert_eq!(parsed(other.as_bytes()).sdp(), None);
    let none = "INVITE sip:b@h SIP/2.0\r\ni:1\r\n\r\n\r\nv=0";
    assert_eq!(parsed(none.as_bytes()).sdp(), Some(&b"\r\nv=0"[..]));
}

#[test]
fn addresses_come_apart_however_they_are_written() {
    for (value, display, uri, tag) in [
        ("sip:a@h;tag=1;x", "", "sip:a@h", "1"),
        ("<sip:a@h;tag=uri>", "", "sip:a@h;tag=uri", ""),
        ("A B <sip:a@h> ; Tag = 1", "A B", "sip:a@h", "1"),
        ("\"q \\\" <x>\" <sip:a@h>;y=\";tag=no\";tag=yes", "q \\\" <x>", "sip:a@h", "yes"),
        ("\"never closed <sip:a@h>;tag=1", "never closed", "sip:a@h", "1"),
        ("<sip:a@h", "", "sip:a@h", ""),
        ("", "", "", ""),
    ] {
        let address = Address::parse(value.as_bytes());
        let parts = [address.display, address.uri, address.tag()].map(String::from_utf8_lossy);
        assert_eq!(parts, [display, uri, tag], "{value}");
    }
    assert_eq!(Address::parse(&[b";tag=".to_vec(), vec![b't'; 999]].concat()).tag().len(), 256);
}

#[test]
fn the_user_part_is_what_was_dialled() {
    for (uri, wanted) in [
        ("sip:+49301234;npdi:pw@example.com;user=phone", Some("+49301234")),
        ("sips:alice:secret@example.com?subject=a@b", Some("alice")),
        ("sip:example.com", None),
        ("tel:+1-201-555-0123;isub=9", Some("+1-201-555-0123")),
        ("alice@example.com", None),
        ("sip:@example.com", None),
    ] {
        assert_eq!(user(uri.as_bytes()), wanted.map(str::as_bytes), "{uri}");
    }
}
