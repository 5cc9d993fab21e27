//! The SIP of a call: INVITE, 100, 180, 200, ACK, BYE, 200, as its two user agents write it.

use std::fmt::Write;

use base::Side;

use super::chance::Topic;
use super::g711::Law;
use super::plan::{Call, Party};

/// The messages of a call, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Message {
    Invite,
    Trying,
    Ringing,
    Answer,
    Ack,
    Bye,
    ByeAnswer,
}

impl Message {
    pub(super) const ALL: [Self; 7] = [
        Self::Invite,
        Self::Trying,
        Self::Ringing,
        Self::Answer,
        Self::Ack,
        Self::Bye,
        Self::ByeAnswer,
    ];

    pub(super) const fn time(self, call: &Call) -> u64 {
        match self {
            Self::Invite => call.invite,
            Self::Trying => call.trying,
            Self::Ringing => call.ringing,
            Self::Answer => call.answer,
            Self::Ack => call.ack,
            Self::Bye => call.bye,
            Self::ByeAnswer => call.bye_answer,
        }
    }

    pub(super) const fn sender(self, call: &Call) -> Side {
        match self {
            Self::Invite | Self::Ack => Side::Caller,
            Self::Trying | Self::Ringing | Self::Answer => Side::Callee,
            Self::Bye => call.hangs_up,
            Self::ByeAnswer => call.hangs_up.other(),
        }
    }

    /// The message as it is on the wire.
    pub(super) fn text(self, call: &Call) -> String {
        let mut text = String::with_capacity(1_024);
        // Writing to a string cannot fail.
        let _ = self.write(call, &mut text);
        text
    }

    fn write(self, call: &Call, text: &mut String) -> std::fmt::Result {
        let from = call.party(self.requester(call));
        let to = call.party(from.side.other());
        let (method, number) = self.cseq(call);
        match self {
            Self::Invite => request(text, "INVITE", &dialled(call))?,
            Self::Ack => request(text, "ACK", &contact(to))?,
            Self::Bye => request(text, "BYE", &contact(to))?,
            Self::Trying => text.write_str("SIP/2.0 100 Trying\r\n")?,
            Self::Ringing => text.write_str("SIP/2.0 180 Ringing\r\n")?,
            Self::Answer | Self::ByeAnswer => text.write_str("SIP/2.0 200 OK\r\n")?,
        }
        self.via(call, from, text)?;
        write!(text, "From: <{}>;tag={}\r\n", address(from), tag(from))?;
        // The callee's tag comes with its first answer other than 100 (RFC 3261, 8.2.6.2).
        match self {
            Self::Invite | Self::Trying => write!(text, "To: <{}>\r\n", address(to))?,
            _ => write!(text, "To: <{}>;tag={}\r\n", address(to), tag(to))?,
        }
        write!(text, "Call-ID: {}\r\nCSeq: {number} {method}\r\n", call_id(call))?;
        if matches!(self, Self::Invite | Self::Ringing | Self::Answer | Self::Ack) {
            let sender = call.party(self.sender(call));
            write!(text, "Contact: <{}>\r\nUser-Agent: Spanreel synth\r\n", contact(sender))?;
        }
        self.body(call, text)
    }

    /// Who sent the request that this is or answers.
    const fn requester(self, call: &Call) -> Side {
        match self {
            Self::Bye | Self::ByeAnswer => call.hangs_up,
            _ => Side::Caller,
        }
    }

    /// Each side counts its own requests (RFC 3261, 12.2.1.1).
    fn cseq(self, call: &Call) -> (&'static str, u32) {
        let caller_first = 1 + call.caller.chance.on(Topic::Identity).below(9_000) as u32;
        match self {
            Self::Ack => ("ACK", caller_first),
            Self::Bye | Self::ByeAnswer if call.hangs_up == Side::Caller => {
                ("BYE", caller_first + 1)
            }
            Self::Bye | Self::ByeAnswer => ("BYE", 1),
            _ => ("INVITE", caller_first),
        }
    }

    fn via(self, call: &Call, requester: &Party, text: &mut String) -> std::fmt::Result {
        // The ACK of a 2xx is a transaction of its own (RFC 3261, 13.2.2.4).
        let transaction = match self {
            Self::Ack => 1,
            Self::Bye | Self::ByeAnswer => 2,
            _ => 0,
        };
        let branch = call.chance.on(Topic::Identity).nth(transaction).bits();
        let (ip, port) = (requester.media().ip(), requester.signalling_port);
        write!(text, "Via: SIP/2.0/UDP {ip}:{port};branch=z9hG4bK{branch:016x};rport")?;
        match self {
            Self::Invite | Self::Ack | Self::Bye => text.write_str("\r\nMax-Forwards: 70\r\n"),
            _ => write!(text, "={port};received={ip}\r\n"),
        }
    }

    fn body(self, call: &Call, text: &mut String) -> std::fmt::Result {
        let body = match self {
            Self::Invite => description(&call.caller, &[call.law, other(call.law)]),
            Self::Answer => description(&call.callee, &[call.law]),
            _ => return text.write_str("Content-Length: 0\r\n\r\n"),
        };
        text.write_str(
            "Allow: INVITE, ACK, BYE, CANCEL, OPTIONS\r\nContent-Type: application/sdp\r\n",
        )?;
        write!(text, "Content-Length: {}\r\n\r\n{body}", body.len())
    }
}

/// The Call-ID of a call.
pub(super) fn call_id(call: &Call) -> String {
    format!("{:016x}@{}", call.chance.on(Topic::Identity).bits(), call.caller.media().ip())
}

/// A party's number as it stands in its URI.
pub(super) fn user(party: &Party) -> String {
    format!("+{}", party.number)
}

fn request(text: &mut String, method: &str, uri: &str) -> std::fmt::Result {
    write!(text, "{method} {uri} SIP/2.0\r\n")
}

fn dialled(call: &Call) -> String {
    address(&call.callee)
}

fn address(party: &Party) -> String {
    format!("sip:{}@{}", user(party), party.media().ip())
}

fn contact(party: &Party) -> String {
    format!("{}:{}", address(party), party.signalling_port)
}

fn tag(party: &Party) -> String {
    format!("{:012x}", party.chance.on(Topic::Identity).bits() >> 16)
}

const fn other(law: Law) -> Law {
    match law {
        Law::Mu => Law::A,
        Law::A => Law::Mu,
    }
}

/// RFC 8866, with telephone events (RFC 4733) beside the laws; the keys of SRTP by RFC 4568.
fn description(party: &Party, laws: &[Law]) -> String {
    let id = party.chance.on(Topic::Identity).nth(1).below(1 << 31);
    let ip = party.media().ip();
    let types: Vec<String> = laws.iter().map(|law| law.payload_type().to_string()).collect();
    let maps: String = laws
        .iter()
        .map(|law| format!("a=rtpmap:{} {}/8000\r\n", law.payload_type(), law.name()))
        .collect();
    let (profile, crypto) = match party.keys {
        None => ("RTP/AVP", String::new()),
        Some(keys) => {
            let keys = keys.inline();
            ("RTP/SAVP", format!("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{keys}\r\n"))
        }
    };
    format!(
        "v=0\r\no=- {id} {id} IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\n\
         m=audio {} {profile} {} 101\r\n{crypto}{maps}a=rtpmap:101 telephone-event/8000\r\n\
         a=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n",
        party.media_port,
        types.join(" ")
    )
}

#[cfg(test)]
mod tests {
    use super::super::Options;
    use super::super::plan::Plan;
    use super::*;

    fn header<'a>(text: &'a str, name: &str) -> &'a str {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        line.unwrap_or_else(|| panic!("no {name} in {text}"))
    }

    #[test]
    fn lengths_and_ids_hold_together() {
        let plan = Plan::new(&Options::of(20, 1));
        for call in (0..20).map(|i| plan.call(i)) {
            let texts = Message::ALL.map(|message| message.text(&call));
            for text in &texts {
                let (head, body) = text.split_once("\r\n\r\n").unwrap();
                assert_eq!(header(head, "Content-Length"), body.len().to_string());
                assert_eq!(header(head, "Call-ID"), call_id(&call));
                assert!(head.lines().count() == head.split("\r\n").count());
            }
            let [invite, trying, ringing, answer, ack, bye, bye_answer] = texts;
            assert_eq!(header(&invite, "From"), header(&ack, "From"));
            assert_eq!(header(&ringing, "To"), header(&answer, "To"));
            assert_eq!(header(&trying, "To"), header(&invite, "To"));
            assert_eq!(header(&ack, "To"), header(&answer, "To"));
            assert_eq!(header(&bye, "CSeq"), header(&bye_answer, "CSeq"));
            assert_eq!(
                header(&ack, "CSeq").split(' ').next(),
                header(&invite, "CSeq").split(' ').next()
            );
            let (from, to) = (header(&bye, "From"), header(&bye, "To"));
            let parties = [header(&ack, "From"), header(&ack, "To")];
            assert!(parties == [from, to] || parties == [to, from]);
        }
    }
}
