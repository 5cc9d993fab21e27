//! The messages of RFC 4475, as resiprocate and sipsorcery keep them.

use std::path::Path;

use dialog::sip::Message;
use dialog::{SipError, sdp};

use crate::captures::folder;

/// The messages that are refused, and why they may be.
const REFUSED: [(&str, SipError); 4] = [
    ("badvers", SipError::StartLine), // 3.1.2.16: SIP/7.0
    ("bigcode", SipError::StartLine), // 3.1.2.19: status 4294967301
    ("test", SipError::StartLine),    // not of the RFC: no version
    ("insuf", SipError::NoCallId),    // 3.3.1: neither From, To nor Call-ID
];

/// The Call-ID as somebody would look for it who knows nothing of SIP but this.
fn call_id_by_eye(text: &str) -> &str {
    let names = ["call-id", "i"];
    let line = text.lines().find(|line| {
        let name = line.split(':').next().unwrap_or_default().trim().to_ascii_lowercase();
        names.contains(&name.as_str())
    });
    line.unwrap().split_once(':').unwrap().1.trim()
}

fn check(path: &Path) {
    let bytes = std::fs::read(path).unwrap();
    let name = path.file_stem().unwrap().to_string_lossy();
    let name = name.rsplit("__").next().unwrap();
    let refused = REFUSED.iter().find(|(it, _)| *it == name).map(|(_, error)| *error);
    match (Message::parse(&bytes), refused) {
        (Ok(message), None) => {
            let wanted = call_id_by_eye(&String::from_utf8_lossy(&bytes)).to_owned();
            assert_eq!(String::from_utf8_lossy(message.call_id), wanted, "{name}");
            assert!(!message.method().is_empty(), "{name}");
            check_values(name, &message);
        }
        (found, refused) => assert_eq!(found.err(), refused, "{name}"),
    }
}

/// What the RFC's text says of some of them.
fn check_values(name: &str, message: &Message<'_>) {
    match name {
        "wsinv" => {
            assert_eq!(message.to_tag(), b"1918181833n");
            assert_eq!(message.from_tag(), b"98asjd8");
            assert_eq!((message.cseq.number, message.cseq.method), (9, &b"INVITE"[..]));
            assert_eq!(message.branch(), b"390skdjuw");
            assert_eq!(sdp::Description::parse(message.sdp().unwrap()).media.len(), 2);
        }
        "esc01" => assert_eq!(message.to_tag(), b""),
        "intmeth" => assert_eq!(message.method(), b"!interesting-Method0123456789_*+`.%indeed'~"),
        "mpart01" => assert!(message.sdp().is_none() && message.body.starts_with(b"--")),
        "unreason" => assert_eq!(message.status(), Some(200)),
        "noreason" => assert_eq!(message.status(), Some(100)),
        "scalar02" => assert_eq!(message.cseq.number, 0, "beyond 32 bits"),
        _ => {}
    }
}

#[test]
fn the_torture_messages_yield_their_call_id() {
    let Some(folder) = folder() else { return };
    let mut ran = 0;
    for place in ["resiprocate__resiprocate/rfc4475", "sipsorcery-org__sipsorcery/rfc4475"] {
        let Ok(entries) = std::fs::read_dir(folder.join("files").join(place)) else { continue };
        let files = entries.map(|entry| entry.unwrap().path());
        files.filter(|path| path.extension().is_some_and(|it| it == "dat")).for_each(|path| {
            check(&path);
            ran += 1;
        });
    }
    println!("{ran} torture messages ran");
    assert!(ran >= 49, "only {ran}");
}
