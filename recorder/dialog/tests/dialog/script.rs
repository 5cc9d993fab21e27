//! SIP messages and what becomes of them, in few words.

use base::{Domain, Endpoint, FlowKey, Timestamp, Transport};
use dialog::{Action, Call, CallKey, Dialogs, EndReason, Handled, SipInput};

/// Alice's phone, who calls.
pub(crate) const ALICE: Endpoint = Endpoint::v4([10, 0, 0, 1], 5060);
/// A proxy between them.
pub(crate) const PROXY: Endpoint = Endpoint::v4([10, 0, 0, 2], 5060);
/// Bob's phone.
pub(crate) const BOB: Endpoint = Endpoint::v4([10, 0, 0, 3], 5060);
/// Bob's other phone.
pub(crate) const CAROL: Endpoint = Endpoint::v4([10, 0, 0, 4], 5060);

/// A message under construction: first INVITE's Call-ID `id`, Alice's tag `a`.
#[derive(Clone, Debug)]
pub(crate) struct Sip {
    start: String,
    call_id: String,
    from: String,
    to: String,
    cseq: String,
    branch: String,
    content_type: String,
    body: String,
}

/// A request outside of a dialog, from Alice to Bob.
pub(crate) fn request(method: &str, cseq: u32) -> Sip {
    Sip {
        start: format!("{method} sip:bob@example.com SIP/2.0"),
        call_id: "id".into(),
        from: "\"Alice\" <sip:alice@example.com>;tag=a".into(),
        to: "<sip:%2B49bob@example.com>".into(),
        cseq: format!("{cseq} {method}"),
        branch: format!("z9hG4bK{method}{cseq}").replace("CANCEL", "INVITE"),
        content_type: "application/sdp".into(),
        body: String::new(),
    }
}

/// The description of one audio line.
pub(crate) fn audio(address: &str, port: u16) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 {address}\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\nm=audio {port} RTP/AVP 0 8\r\n"
    )
}

impl Sip {
    /// A request within the dialog with this callee's tag.
    pub(crate) fn within(mut self, callee_tag: &str) -> Self {
        self.to = format!("<sip:%2B49bob@example.com>;tag={callee_tag}");
        self
    }

    /// The same from the callee.
    pub(crate) fn swapped(mut self) -> Self {
        std::mem::swap(&mut self.from, &mut self.to);
        self.branch.push_str("callee");
        self
    }

    /// The response to this request, with a To tag.
    pub(crate) fn answered(&self, status: u16, to_tag: &str) -> Self {
        let mut response = self.clone();
        response.start = format!("SIP/2.0 {status} Reason");
        response.body = String::new();
        if !to_tag.is_empty() && !self.to.contains("tag=") {
            response.to = format!("{};tag={to_tag}", self.to);
        }
        response
    }

    pub(crate) fn by(mut self, tag: &str) -> Self {
        self.from = format!("<sip:alice@example.com>;tag={tag}");
        self
    }

    pub(crate) fn without_tags(mut self) -> Self {
        let bare = |value: &str| value.split(";tag").next().unwrap().to_owned();
        (self.from, self.to) = (bare(&self.from), bare(&self.to));
        self
    }

    pub(crate) fn call_id(mut self, call_id: &str) -> Self {
        self.call_id = call_id.into();
        self
    }

    /// As a proxy sends it on: with a Via of its own on top.
    pub(crate) fn forwarded(mut self, branch: &str) -> Self {
        self.branch = format!("z9hG4bK{branch}");
        self
    }

    pub(crate) fn sdp(mut self, body: &str) -> Self {
        self.body = body.into();
        self
    }

    pub(crate) fn body(mut self, content_type: &str, body: &str) -> Self {
        self.content_type = content_type.into();
        self.body = body.into();
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let Self { start, call_id, from, to, cseq, branch, content_type, body } = self;
        let length = body.len();
        format!(
            "{start}\r\nVia: SIP/2.0/UDP h;branch={branch}\r\nFrom: {from}\r\nTo: {to}\r\nCall-ID: {call_id}\r\n\
CSeq: {cseq}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .into_bytes()
    }
}

/// Dialogs with a clock in milliseconds.
pub(crate) struct Scene {
    pub(crate) dialogs: Dialogs,
    pub(crate) transport: Transport,
    pub(crate) domain: Domain,
}

/// Milliseconds on the scene's clock.
pub(crate) fn at(milliseconds: u64) -> Timestamp {
    Timestamp::from_nanos(1_700_000_000_000_000_000 + milliseconds * 1_000_000)
}

/// Milliseconds of a time.
pub(crate) fn milliseconds(time: Timestamp) -> u64 {
    time.since(at(0)).as_millis().try_into().unwrap()
}

impl Scene {
    pub(crate) fn new() -> Self {
        Self { dialogs: Dialogs::new(), transport: Transport::Udp, domain: Domain::UNTAGGED }
    }

    /// A message from one device to another.
    pub(crate) fn send(
        &mut self,
        time: u64,
        (source, destination): (Endpoint, Endpoint),
        message: &Sip,
    ) -> Handled {
        let key = FlowKey { domain: self.domain, source, destination };
        let transport = self.transport;
        self.dialogs.message(SipInput { time: at(time), key, transport, message: &message.bytes() })
    }

    /// The same for a call that is the scene's only one.
    pub(crate) fn play(&mut self, time: u64, hop: (Endpoint, Endpoint), message: &Sip) -> CallKey {
        match self.send(time, hop, message) {
            Handled::Call(key) => key,
            other => panic!("{other:?}: {message:?}"),
        }
    }

    pub(crate) fn call(&self, key: CallKey) -> &Call {
        self.dialogs.call(key).unwrap()
    }

    /// How a call ended: when (milliseconds) and why.
    pub(crate) fn end(&self, key: CallKey) -> Option<(u64, EndReason)> {
        self.call(key).ended.map(|(time, reason)| (milliseconds(time), reason))
    }

    pub(crate) fn actions(&mut self) -> Vec<Action> {
        std::iter::from_fn(|| self.dialogs.next_action()).collect()
    }

    /// INVITE, 180, 200, ACK between Alice and Bob's tag `b`, with media at 10.0.0.1:4000 and 10.0.0.3:6000.
    pub(crate) fn established() -> (Self, CallKey) {
        let mut scene = Self::new();
        let invite = request("INVITE", 1).sdp(&audio("10.0.0.1", 4000));
        let key = scene.play(0, (ALICE, BOB), &invite);
        scene.play(100, (BOB, ALICE), &invite.answered(180, "b"));
        scene.play(2_000, (BOB, ALICE), &invite.answered(200, "b").sdp(&audio("10.0.0.3", 6000)));
        scene.play(2_100, (ALICE, BOB), &request("ACK", 1).within("b"));
        (scene, key)
    }

    /// What is in force: side, address, direction; in order.
    pub(crate) fn in_force(&self, key: CallKey) -> Vec<String> {
        let open = self.call(key).announced.iter().filter(|it| it.until.is_none());
        open.map(|it| format!("{:?} {} {:?}", it.side, it.endpoint, it.direction)).collect()
    }
}
