//! Messages by the letter of RFC 5424 and RFC 5674, and addresses.

use proptest::prelude::*;

use super::message::element;
use super::*;
use crate::alarms::{Alarm, AlarmId, Change, Event};
use base::Timestamp;

fn time(seconds: u64) -> Timestamp {
    Timestamp::from_nanos((1_780_000_000 + seconds) * 1_000_000_000)
}

fn event(id: AlarmId, change: Change, detail: &str) -> Event {
    let cleared = (change == Change::Cleared).then(|| time(70));
    let detail = detail.to_owned();
    Event {
        change,
        alarm: Alarm { id, since: time(0), raised: time(10), cleared, detail, count: 2 },
    }
}

#[test]
fn a_message_has_every_part() {
    let sender = Sender::new(3, "span1", 4711);
    let raised = sender.message(&event(AlarmId::DiskLow, Change::Raised, "8 % free of /data"));
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        raised,
        format!(
            "<27>1 2026-05-28T20:26:50.000000Z span1 spanreel 4711 disk_low \
             [alarm resource=\"span1/disk_low\" probableCause=\"other\" perceivedSeverity=\"minor\"]\
             [origin software=\"spanreel\" swVersion=\"{version}\"] 8 % free of /data; {}",
            AlarmId::DiskLow.action()
        )
    );
    let cleared = sender.message(&event(AlarmId::DiskLow, Change::Cleared, "8 % free of /data"));
    assert!(cleared.starts_with("<29>1 2026-05-28T20:27:50.000000Z "), "{cleared}");
    assert!(cleared.contains("perceivedSeverity=\"cleared\""));
    assert!(cleared.ends_with(" cleared after 60 s, came 2 times: 8 % free of /data"));
}

#[test]
fn severities_are_those_of_rfc_5674() {
    let level = |id| {
        let message = Sender::new(16, "n", 1).message(&event(id, Change::Raised, ""));
        message[1..4].parse::<u16>().unwrap() - 16 * 8
    };
    assert_eq!(level(AlarmId::NoPackets), 1);
    assert_eq!(level(AlarmId::WorkerBusy), 2);
    assert_eq!(level(AlarmId::DiskLow), 3);
    assert_eq!(level(AlarmId::RecoveryRan), 4);
}

#[test]
fn text_that_is_not_ascii_says_so_and_has_no_line_breaks() {
    let sender = Sender::new(3, "b\u{fc}ro 1", 1);
    let message = sender.message(&event(AlarmId::DiskLow, Change::Raised, "voll: \u{fc}\n<34>1 "));
    assert!(message.contains(" bro1 spanreel 1 "), "{message}");
    assert!(message.contains("\u{feff}voll: \u{fc} <34>1 ; "), "{message}");
    assert!(message.contains("resource=\"b\u{fc}ro 1/disk_low\""));
    assert!(
        Sender::new(3, "\u{fc}", 1)
            .message(&event(AlarmId::DiskLow, Change::Raised, ""))
            .contains("Z - spanreel")
    );
}

#[test]
fn addresses_are_read_and_written() {
    let read = |text: &str| text.parse::<Address>().map(|address| address.to_string());
    assert_eq!(read("udp://log.example.com").unwrap(), "udp://log.example.com:514");
    assert_eq!(read("tcp://10.0.0.1").unwrap(), "tcp://10.0.0.1:601");
    assert_eq!(read("tls://log:7000").unwrap(), "tls://log:7000");
    assert_eq!(read("tls://[fd00::1]").unwrap(), "tls://[fd00::1]:6514");
    assert_eq!(read("udp://[fd00::1]:99").unwrap(), "udp://[fd00::1]:99");
    for wrong in [
        "log",
        "http://log",
        "udp://",
        "udp://log:port",
        "tcp://log:70000",
        "tcp://a/b",
        "tls://[::1]x",
    ] {
        assert!(read(wrong).is_err(), "{wrong}");
    }
}

/// Reads an element back by the grammar of RFC 5424, 6; the rest of the text after it.
fn read_element(text: &str) -> Option<(Vec<(String, String)>, &str)> {
    let mut rest = text.strip_prefix('[')?;
    rest = rest.get(rest.find([' ', ']'])?..)?;
    let mut parameters = Vec::new();
    while let Some(after) = rest.strip_prefix(' ') {
        let (name, after) = after.split_once("=\"")?;
        let (value, after) = read_value(after)?;
        parameters.push((name.to_owned(), value));
        rest = after;
    }
    Some((parameters, rest.strip_prefix(']')?))
}

fn read_value(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((place, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, &text[place + 1..])),
            ']' => return None,
            '\\' => value.push(letters.next().filter(|(_, it)| matches!(it, '"' | '\\' | ']'))?.1),
            other => value.push(other),
        }
    }
    None
}

proptest! {
    #[test]
    fn structured_data_reads_as_it_was_meant(values in proptest::collection::vec("(?s).{0,40}|[\"\\\\\\]]{0,8}", 0..4)) {
        let names = ["a", "b", "c", "d"];
        let parameters: Vec<_> = names.iter().copied().zip(values.iter().map(String::as_str)).collect();
        let text = element("alarm", &parameters) + " the rest";
        let (read, rest) = read_element(&text).unwrap();
        prop_assert_eq!(rest, " the rest");
        let meant: Vec<_> = parameters
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.replace(|c: char| c.is_control(), " ")))
            .collect();
        prop_assert_eq!(read, meant);
    }

    /// A message is one line, whatever is said, and octet counting counts octets.
    #[test]
    fn a_message_is_one_line(detail in "(?s).{0,200}") {
        let message = Sender::new(3, "span1", 1).message(&event(AlarmId::NoPackets, Change::Raised, &detail));
        prop_assert!(!message.chars().any(char::is_control));
        let mut bytes = Vec::new();
        write_counted(&mut bytes, &[message.clone(), message.clone()]).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let counted = format!("{} {message}", message.len());
        prop_assert_eq!(text, format!("{counted}{counted}"));
    }

    #[test]
    fn any_address_is_read_or_refused(text in "\\PC{0,40}") {
        if let Ok(address) = text.parse::<Address>() {
            prop_assert_eq!(address.to_string().parse::<Address>().unwrap(), address);
        }
    }
}
