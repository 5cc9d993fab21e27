//! One packet of a capture as a packet of another call: addresses, ports of media, SSRCs, Call-IDs, tags and branches
//! made the copy's own.
//!
//! Addresses are replaced wherever they are, in packets and in texts (SIP, SDP), the same one by the same one, so that a
//! copy's calls are among hosts of its own. Ports of signalling stay: it is recognised by them. SSRCs stay in a capture
//! with SRTP: its keys and its authentication are of them. A Call-ID is known again in other header fields (Replaces,
//! In-Reply-To) of messages that come after one that had it.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Result, bail};
use base::{Endpoint, FlowKey};
use demux::Guess;

use super::numbers;

/// Addresses that are given out: 10.0.0.0/8, and as many of fd00::/8.
const ADDRESSES_MAX: u32 = 1 << 24;
/// A Call-ID that is known again in other header fields has so many bytes at least.
const CALL_ID_BYTES_MIN: usize = 8;
/// What separates one word of a header field from the next.
const SEPARATORS: &[u8] = b" \t;,<>\"?&=()";

/// Rewrites packets for copies, which it knows by their number.
#[derive(Debug, Default)]
pub(super) struct Rewriter {
    addresses: HashMap<(u32, IpAddr), IpAddr>,
    call_ids: HashSet<Vec<u8>>,
    keeps_ssrcs: bool,
    full: bool,
}

impl Rewriter {
    /// For a capture in which SRTP was announced, or not.
    pub(super) fn new(has_srtp: bool) -> Self {
        Self { keeps_ssrcs: has_srtp, ..Self::default() }
    }

    /// Who sent a SIP message to whom, in a copy.
    pub(super) fn sip_key(&mut self, copy: u32, key: &FlowKey) -> FlowKey {
        self.key(copy, key, |port| port)
    }

    /// Who sent any other datagram to whom, in a copy.
    pub(super) fn media_key(&mut self, copy: u32, key: &FlowKey) -> FlowKey {
        self.key(copy, key, |port| numbers::port(copy, port))
    }

    fn key(&mut self, copy: u32, key: &FlowKey, port: impl Fn(u16) -> u16) -> FlowKey {
        let mut endpoint =
            |of: Endpoint| Endpoint::new(self.address(copy, of.ip()), port(of.port()));
        FlowKey {
            source: endpoint(key.source),
            destination: endpoint(key.destination),
            ..FlowKey::default()
        }
    }

    /// A datagram that is no SIP, in a copy.
    pub(super) fn media(&self, copy: u32, guess: Guess, payload: &mut [u8]) {
        match guess {
            _ if self.keeps_ssrcs => {}
            Guess::Rtp => numbers::rtp(copy, payload),
            Guess::Rtcp => numbers::rtcp(copy, payload),
            Guess::Other => {}
        }
    }

    /// A SIP message in a copy. Its lines and their order stay.
    pub(super) fn sip(&mut self, copy: u32, message: &[u8]) -> Vec<u8> {
        let (head, body) = message.split_at(head_bytes(message));
        let mut new_body = Vec::with_capacity(body.len() + 32);
        for line in body.split_inclusive(|byte| *byte == b'\n') {
            let line = numbers::sdp_line(copy, line, !self.keeps_ssrcs);
            new_body.extend(self.text(copy, &line));
        }
        let grown = new_body.len() as i64 - body.len() as i64;
        let mut new = Vec::with_capacity(message.len() + 64);
        let mut lines = head.split_inclusive(|byte| *byte == b'\n');
        for line in lines.by_ref() {
            new.extend(self.text(copy, line));
            // Empty lines may come before the start line (RFC 3261, 7.5).
            if !is_empty(line) {
                break;
            }
        }
        for line in lines {
            self.line(copy, line, grown, &mut new);
        }
        new.extend(new_body);
        new
    }

    /// # Errors
    /// There were more addresses than can be given out.
    pub(super) fn check(&self) -> Result<()> {
        if self.full {
            bail!("the copies need more than {ADDRESSES_MAX} addresses; make fewer");
        }
        Ok(())
    }

    fn line(&mut self, copy: u32, line: &[u8], grown: i64, to: &mut Vec<u8>) {
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(0);
        let (name, value) = line.split_at(colon);
        match name.trim_ascii_end().to_ascii_lowercase().as_slice() {
            b"call-id" | b"i" => {
                let id = value.get(1..).unwrap_or_default().trim_ascii();
                // A shorter one may be any other word; one of several words is none (RFC 3261, 25.1).
                if id.len() >= CALL_ID_BYTES_MIN && id.iter().all(u8::is_ascii_graphic) {
                    self.call_ids.insert(id.to_vec());
                }
                to.extend(name);
                to.extend(b": ");
                to.extend(call_id(copy, id));
                to.extend(line_end(line));
            }
            b"content-length" | b"l" => {
                let text = String::from_utf8_lossy(value.get(1..).unwrap_or_default());
                match text.trim().parse::<i64>() {
                    Ok(length) => {
                        to.extend(name);
                        let length = length.saturating_add(grown).max(0);
                        to.extend(format!(": {length}").bytes());
                        to.extend(line_end(line));
                    }
                    Err(_) => to.extend(line),
                }
            }
            _ => self.words(copy, line, to),
        }
    }

    /// A header field's words.
    fn words(&mut self, copy: u32, line: &[u8], to: &mut Vec<u8>) {
        let (mut rest, mut parameter): (&[u8], &[u8]) = (line, b"");
        while !rest.is_empty() {
            let end = word_end(rest);
            let (word, after) = rest.split_at(end);
            if is_call_id(&self.call_ids, word) {
                to.extend(call_id(copy, word));
            } else if is_own_name(parameter) && !word.is_empty() {
                to.extend(word.trim_ascii_end());
                to.extend(suffix(copy).bytes());
                to.extend(word.get(word.trim_ascii_end().len()..).unwrap_or_default());
            } else {
                to.extend(self.text(copy, word));
            }
            let (separator, after) = after.split_at(separator_bytes(after));
            to.extend(separator);
            parameter = if matches!(separator, b"=" | b"%3D" | b"%3d") { word } else { b"" };
            rest = after;
        }
    }

    /// A text with every address in it replaced.
    fn text(&mut self, copy: u32, text: &[u8]) -> Vec<u8> {
        let mut new = Vec::with_capacity(text.len() + 16);
        let (mut rest, mut before) = (text, b' ');
        while let Some(first) = rest.first() {
            if let Some((address, bytes)) = address_at(rest, before) {
                new.extend(self.address(copy, address).to_string().bytes());
                rest = rest.get(bytes..).unwrap_or_default();
                before = b'.';
                continue;
            }
            new.push(*first);
            before = *first;
            rest = rest.get(1..).unwrap_or_default();
        }
        new
    }

    fn address(&mut self, copy: u32, of: IpAddr) -> IpAddr {
        // "Nobody" (a call on hold) and groups stay what they are.
        if of.is_unspecified() || of.is_multicast() || of == Ipv4Addr::BROADCAST {
            return of;
        }
        let number = self.addresses.len() as u32 + 1;
        if number >= ADDRESSES_MAX {
            self.full = true;
            return of;
        }
        let new = || match of {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from_bits(10 << 24 | number)),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from_bits(0xfd << 120 | u128::from(number))),
        };
        *self.addresses.entry((copy, of)).or_insert_with(new)
    }
}

/// Whether a message announces SRTP (RFC 3711; RFC 4568), or something that is named like it.
pub(super) fn announces_srtp(message: &[u8]) -> bool {
    let has = |text: &[u8]| message.windows(text.len()).any(|it| it == text);
    has(b"/SAVP") || has(b"a=crypto:")
}

/// Up to the end of the empty line behind the header section; lone LF ends a line too, as in most implementations.
fn head_bytes(message: &[u8]) -> usize {
    let (mut bytes, mut began) = (0, false);
    for line in message.split_inclusive(|byte| *byte == b'\n') {
        bytes += line.len();
        if began && is_empty(line) {
            break;
        }
        began = began || !is_empty(line);
    }
    bytes
}

fn is_empty(line: &[u8]) -> bool {
    matches!(line, b"\n" | b"\r\n")
}

/// What a line ends with.
fn line_end(line: &[u8]) -> &[u8] {
    line.get(line.trim_ascii_end().len()..).unwrap_or_default()
}

/// The Call-ID of a copy. It is told from the original's by its end.
fn call_id(copy: u32, id: &[u8]) -> Vec<u8> {
    [id, suffix(copy).as_bytes()].concat()
}

/// What is behind every Call-ID, tag and branch of a copy.
pub(super) fn suffix(copy: u32) -> String {
    format!("-copy{copy}")
}

/// Parameters whose value names a dialog or a transaction.
fn is_own_name(parameter: &[u8]) -> bool {
    [&b"tag"[..], b"to-tag", b"from-tag", b"branch"]
        .iter()
        .any(|name| parameter.eq_ignore_ascii_case(name))
}

/// Also with its `@` escaped, as in the URI of a Refer-To.
fn is_call_id(known: &HashSet<Vec<u8>>, word: &[u8]) -> bool {
    let word = word.trim_ascii_end();
    let at = word.windows(3).position(|it| it == b"%40");
    let plain = at.and_then(|at| Some([word.get(..at)?, b"@", word.get(at + 3..)?].concat()));
    known.contains(word) || plain.is_some_and(|plain| known.contains(&plain))
}

fn word_end(text: &[u8]) -> usize {
    (0..text.len())
        .find(|at| separator_bytes(text.get(*at..).unwrap_or_default()) > 0)
        .unwrap_or(text.len())
}

/// How long the separator is that a text begins with; 0 if it begins with none.
fn separator_bytes(text: &[u8]) -> usize {
    match text {
        [b'%', b'3', b'b' | b'B' | b'd' | b'D', ..] => 3,
        [b'\r', b'\n', ..] => 2,
        [first, ..] if SEPARATORS.contains(first) || *first == b'\n' => 1,
        _ => 0,
    }
}

/// The address that a text begins with, and how long it is written; `before` is the byte before it. In the middle of a
/// word is none, and behind a colon only one of IPv4: such as a fingerprint has groups of digits too.
fn address_at(text: &[u8], before: u8) -> Option<(IpAddr, usize)> {
    if before.is_ascii_alphanumeric() || before == b'.' {
        return None;
    }
    let run = |accepts: fn(&u8) -> bool| {
        let bytes = text.iter().take(45).take_while(|byte| accepts(byte)).count();
        text.get(..bytes).and_then(|run| std::str::from_utf8(run).ok()).unwrap_or_default()
    };
    let v6 = run(|byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.'));
    let follows = |bytes: usize| text.get(bytes).is_some_and(u8::is_ascii_alphanumeric);
    if before != b':'
        && v6.bytes().filter(|byte| *byte == b':').count() >= 2
        && let Ok(address) = v6.parse::<Ipv6Addr>()
        && !follows(v6.len())
    {
        return Some((address.into(), v6.len()));
    }
    let v4 = run(|byte| byte.is_ascii_digit() || *byte == b'.').trim_end_matches('.');
    let address = v4.parse::<Ipv4Addr>().ok()?;
    (!follows(v4.len())).then(|| (address.into(), v4.len()))
}

#[cfg(test)]
mod tests {
    use dialog::sip::Message;
    use proptest::prelude::*;

    use super::*;

    fn rewritten(copy: u32, text: &str) -> String {
        String::from_utf8(Rewriter::default().sip(copy, text.as_bytes())).unwrap()
    }

    const INVITE: &str = "INVITE sip:200@192.0.2.7:5070 SIP/2.0\r\n\
        Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK77;received=192.0.2.1\r\n\
        From: \"A. 1.5\" <sip:100@192.0.2.1>;tag=abc\r\nTo: <sip:200@192.0.2.7>\r\n\
        Call-ID: 1-77@192.0.2.1\r\nCSeq: 1 INVITE\r\nMax-Forwards: 70\r\n\
        Contact: <sip:100@[2001:db8::1]:5060;transport=udp>\r\n\
        Content-Type: application/sdp\r\nContent-Length: 0\r\n\r\n\
        v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\nc=IN IP4 192.0.2.1\r\nm=audio 4000 RTP/AVP 0\r\n";

    #[test]
    fn everything_that_names_a_call_is_the_copys_own() {
        let body_bytes = INVITE.split_once("\r\n\r\n").unwrap().1.len();
        let original =
            INVITE.replace("Content-Length: 0", &format!("Content-Length: {body_bytes}"));
        // The body is rewritten first: its address is the first that is given out.
        let expected = "INVITE sip:200@10.0.0.2:5070 SIP/2.0\r\n\
            Via: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK77-copy3;received=10.0.0.1\r\n\
            From: \"A. 1.5\" <sip:100@10.0.0.1>;tag=abc-copy3\r\nTo: <sip:200@10.0.0.2>\r\n\
            Call-ID: 1-77@192.0.2.1-copy3\r\nCSeq: 1 INVITE\r\nMax-Forwards: 70\r\n\
            Contact: <sip:100@[fd00::3]:5060;transport=udp>\r\n\
            Content-Type: application/sdp\r\nContent-Length: BODY\r\n\r\n\
            v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\nc=IN IP4 10.0.0.1\r\nm=audio 4006 RTP/AVP 0\r\n";
        let shorter = 2 * ("192.0.2.1".len() - "10.0.0.1".len());
        let expected = expected.replace("BODY", &(body_bytes - shorter).to_string());
        assert_eq!(rewritten(3, &original), expected);
    }

    #[test]
    fn a_call_id_is_known_again_where_another_call_names_it() {
        let mut rewriter = Rewriter::default();
        rewriter.sip(1, b"BYE sip:a SIP/2.0\r\nCall-ID: 77777@host\r\n\r\n");
        let refer = "REFER sip:b SIP/2.0\r\nCall-ID: 88888@host\r\nIn-Reply-To: 77777@host, 99999@host\r\n\
                     Replaces: 77777@host;to-tag=x;from-tag=y\r\n\
                     Refer-To: <sip:c?Replaces=77777%40host%3Bto-tag%3Dx%3Bfrom-tag%3Dy>\r\n\r\n";
        let copy = String::from_utf8(rewriter.sip(1, refer.as_bytes())).unwrap();
        assert_eq!(
            copy,
            "REFER sip:b SIP/2.0\r\nCall-ID: 88888@host-copy1\r\nIn-Reply-To: 77777@host-copy1, 99999@host\r\n\
             Replaces: 77777@host-copy1;to-tag=x-copy1;from-tag=y-copy1\r\n\
             Refer-To: <sip:c?Replaces=77777%40host-copy1%3Bto-tag%3Dx-copy1%3Bfrom-tag%3Dy-copy1>\r\n\r\n"
        );
    }

    #[test]
    fn empty_lines_before_the_message_are_none_of_it() {
        let bye = "\r\n\r\nBYE sip:a SIP/2.0\r\nCall-ID: 77777@host\r\n\r\nCall-ID: 77777@host\r\n";
        let expected =
            "\r\n\r\nBYE sip:a SIP/2.0\r\nCall-ID: 77777@host-copy1\r\n\r\nCall-ID: 77777@host\r\n";
        assert_eq!(rewritten(1, bye), expected);
    }

    #[test]
    fn what_is_no_host_stays() {
        for text in [
            "c=IN IP4 0.0.0.0\r\n",
            "c=IN IP4 239.1.2.3/127\r\n",
            "User-Agent: phone/1.2.3\r\nDate: Mon, 23 Nov 2026 10:20:30 GMT\r\n",
            "a=fingerprint:sha-1 AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD\r\n",
            "v1.2.3.4x 300.1.1.1 1.2.3.4.5\r\n",
        ] {
            assert_eq!(rewritten(9, text), text);
        }
    }

    fn address() -> impl Strategy<Value = IpAddr> {
        prop_oneof![
            any::<[u8; 4]>().prop_map(IpAddr::from),
            any::<[u8; 16]>().prop_map(IpAddr::from)
        ]
    }

    proptest! {
        /// Whatever the bytes: no panic, and as many lines as before.
        #[test]
        fn any_bytes_can_be_rewritten(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            let new = Rewriter::default().sip(1, &bytes);
            let lines = |of: &[u8]| of.iter().filter(|byte| **byte == b'\n').count();
            prop_assert!(lines(&new) >= lines(&bytes));
        }

        /// A message stays the same message in another call: its fields, its body's length, and hosts that are the same
        /// stay so; hosts and Call-IDs of different copies differ.
        #[test]
        fn copies_are_whole_messages_of_calls_of_their_own(
            caller in address(), callee in address(), id in "[a-z0-9.]{1,20}@[a-z0-9.:]{1,20}",
            tag in "[a-z0-9]{1,12}", lines in prop::collection::vec("[ -~]{0,40}", 0..6),
        ) {
            let body: String = lines.iter().map(|line| format!("a={line}\r\n")).collect();
            let body = format!("c=IN IP4 {caller}\r\n{body}");
            let host = |of: &IpAddr| match of { IpAddr::V4(v4) => v4.to_string(), IpAddr::V6(v6) => format!("[{v6}]") };
            let text = format!(
                "INVITE sip:b@{} SIP/2.0\r\nFrom: <sip:a@{}>;tag={tag}\r\nTo: <sip:b@{}>\r\nCall-ID: {id}\r\n\
                 CSeq: 1 INVITE\r\nContent-Length: {}\r\n\r\n{body}",
                host(&callee), host(&caller), host(&callee), body.len(),
            );
            let mut rewriter = Rewriter::default();
            let copies = [1, 2].map(|copy| rewriter.sip(copy, text.as_bytes()));
            let key = FlowKey { source: Endpoint::new(caller, 1), destination: Endpoint::new(callee, 2), ..FlowKey::default() };
            for (copy, bytes) in (1..).zip(&copies) {
                let message = Message::parse(bytes).unwrap();
                prop_assert_eq!(message.call_id, call_id(copy, id.as_bytes()));
                let text = std::str::from_utf8(bytes).unwrap();
                let (head, body) = text.split_once("\r\n\r\n").unwrap();
                let own_length = format!("Content-Length: {}", body.len());
                prop_assert!(head.ends_with(&own_length), "{}", head);
                let new = rewriter.media_key(copy, &key);
                let (from, to) = (host(&new.source.ip()), host(&new.destination.ip()));
                let own_uri = format!("INVITE sip:b@{to} ");
                prop_assert!(head.starts_with(&own_uri), "{}", head);
                let own_tag = format!("<sip:a@{from}>;tag={tag}-copy{copy}\r\n");
                prop_assert!(head.contains(&own_tag), "{}", head);
            }
            let other = [1, 2].map(|copy| rewriter.media_key(copy, &key));
            let stays = |it: IpAddr| it.is_multicast() || it.is_unspecified() || it == Ipv4Addr::BROADCAST;
            prop_assert!(stays(caller) || other[0].source != other[1].source);
            prop_assert_eq!(caller == callee, other[0].source.ip() == other[0].destination.ip());
        }
    }
}
