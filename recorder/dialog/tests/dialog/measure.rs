//! What a message costs, in time and memory: printed, not asserted, for machines differ.
//!
//! `cargo test --release -p dialog --test dialog measure -- --nocapture`

use std::hint::black_box;
use std::time::Duration;

use base::{Endpoint, FlowKey, Timestamp, Transport};
use dialog::sdp::Description;
use dialog::sip::Message;
use dialog::{Dialogs, EndReason, SipInput};

/// An INVITE as a desk phone sends it through one proxy; `{call}` numbers the call.
const INVITE: &str = "INVITE sip:+4930123456@sip.example.com;user=phone SIP/2.0\r\n\
Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK-524287-1---0a1b2c3d{call};rport\r\n\
Via: SIP/2.0/UDP 198.51.100.21:5060;received=198.51.100.21;branch=z9hG4bK776asdhds\r\n\
Max-Forwards: 69\r\n\
Record-Route: <sip:192.0.2.10;lr;ftag=9fxced76sl>\r\n\
Contact: <sip:alice@198.51.100.21:5060;transport=udp>;+sip.instance=\"<urn:uuid:00000000-0000-1000-8000-AABBCCDDEEFF>\"\r\n\
To: \"Bob\" <sip:+4930123456@sip.example.com;user=phone>\r\n\
From: \"Alice Example\" <sip:+4930654321@sip.example.com>;tag=9fxced76sl{call}\r\n\
Call-ID: 3848276298220188511{call}@198.51.100.21\r\n\
CSeq: 2 INVITE\r\n\
Session-Expires: 1800;refresher=uac\r\n\
Allow: INVITE, ACK, CANCEL, OPTIONS, BYE, REFER, NOTIFY, MESSAGE, SUBSCRIBE, INFO, UPDATE, PRACK\r\n\
Supported: replaces, outbound, gruu, timer, 100rel, path\r\n\
User-Agent: Desk Phone 12.3.4.5\r\n\
P-Asserted-Identity: \"Alice Example\" <sip:+4930654321@sip.example.com>\r\n\
Content-Type: application/sdp\r\n\
Content-Length: 320\r\n\r\n\
v=0\r\no=- 13255849382 13255849382 IN IP4 198.51.100.21\r\ns=phone\r\nc=IN IP4 198.51.100.21\r\nt=0 0\r\n\
m=audio 49170 RTP/AVP 8 0 9 18 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:9 G722/8000\r\n\
a=rtpmap:18 G729/8000\r\na=fmtp:18 annexb=no\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\na=sendrecv\r\n";

/// The seven messages of an answered call, each with who sends it (0: caller).
fn messages(call: usize) -> Vec<(u8, String)> {
    let invite = INVITE.replace("{call}", &call.to_string());
    let (head, sdp) = invite.split_once("\r\n\r\n").unwrap();
    let bare = |start: &str, method: &str| {
        let fields = head.split_once("\r\n").unwrap().1.replace("2 INVITE", &format!("2 {method}"));
        let tagged = fields.replace(";user=phone>\r\n", ";user=phone>;tag=callee\r\n");
        format!("{start}\r\n{tagged}\r\n\r\n").replace("Content-Length: 320", "Content-Length: 0")
    };
    let ok = bare("SIP/2.0 200 OK", "INVITE").replace("Content-Length: 0\r\n\r\n", "\r\n");
    vec![
        (0, invite.clone()),
        (1, bare("SIP/2.0 100 Trying", "INVITE").replace(";tag=callee", "")),
        (1, bare("SIP/2.0 180 Ringing", "INVITE")),
        (1, format!("{ok}\r\n{}", sdp.replace("198.51.100.21", "198.51.100.99"))),
        (0, bare("ACK sip:x SIP/2.0", "ACK")),
        (0, bare("BYE sip:x SIP/2.0", "BYE")),
        (1, bare("SIP/2.0 200 OK", "BYE")),
    ]
}

/// The best of many short batches: what the work takes when nothing else runs.
#[expect(clippy::disallowed_methods, reason = "a measurement")]
fn measured(batches: u32, runs: u32, mut work: impl FnMut()) -> Duration {
    (0..batches)
        .map(|_| {
            let start = std::time::Instant::now();
            (0..runs).for_each(|_| work());
            start.elapsed() / runs
        })
        .min()
        .unwrap()
}

/// Bytes of memory this process has in use, as Linux counts them.
fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = status.split_whitespace().nth(1).and_then(|pages| pages.parse::<usize>().ok());
    pages.unwrap_or(0) * 4_096
}

#[test]
fn what_a_message_costs() {
    const CALLS: usize = 10_000;
    let flow = FlowKey {
        source: Endpoint::v4([192, 0, 2, 10], 5060),
        destination: Endpoint::v4([192, 0, 2, 20], 5060),
        ..FlowKey::default()
    };
    let (invite, calls) = (INVITE.as_bytes(), (0..CALLS).map(messages).collect::<Vec<_>>());
    let parse = measured(200, 500, || {
        let message = Message::parse(black_box(invite)).unwrap();
        black_box((
            message.call_id,
            message.from_tag(),
            message.to_tag(),
            message.branch(),
            message.sdp(),
        ));
    });
    let sdp = Message::parse(invite).unwrap().sdp().unwrap();
    let describe = measured(200, 500, || drop(black_box(Description::parse(black_box(sdp)))));
    let (mut bytes, mut count) = (0, 0);
    let whole = measured(5, 1, || {
        let before = resident_bytes();
        let mut dialogs = Dialogs::new();
        count = 0;
        for step in 0..7 {
            for (call, (sender, message)) in calls.iter().map(|call| &call[step]).enumerate() {
                let time = Timestamp::from_nanos((step * CALLS + call) as u64 * 1_000);
                let key = if *sender == 0 { flow } else { flow.reversed() };
                let message = message.as_bytes();
                dialogs.message(SipInput { time, key, transport: Transport::Udp, message });
                count += 1;
            }
        }
        bytes = bytes.max(resident_bytes().saturating_sub(before));
        dialogs.end_all(Timestamp::MAX, EndReason::CaptureEnd);
        assert_eq!(dialogs.len(), CALLS);
        let ended = std::iter::from_fn(|| dialogs.next_action());
        assert_eq!(ended.count(), CALLS * 4, "started, announced twice, ended");
    });
    println!(
        "INVITE of {} bytes parsed: {parse:?}; its SDP of {} bytes: {describe:?}",
        invite.len(),
        sdp.len()
    );
    println!("a message through Dialogs, {CALLS} calls at once: {:?}", whole / count);
    println!("memory a call of 7 messages: {} bytes resident", bytes / CALLS);
}
