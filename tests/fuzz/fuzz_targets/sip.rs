//! Any bytes as SIP messages: the view, and the calls that a sequence of them makes.
//!
//! The input is cut at each `0xff`; each piece is a message a little later, from one side or the other.
#![no_main]

use base::{Endpoint, FlowKey, Timestamp, Transport};
use dialog::sip::{Address, Message};
use dialog::{Action, Dialogs, EndReason, Handled, SipInput};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut dialogs = Dialogs::new();
    let flow = FlowKey {
        source: Endpoint::v4([192, 0, 2, 1], 5060),
        destination: Endpoint::v4([192, 0, 2, 2], 5060),
        ..FlowKey::default()
    };
    let mut time = 0_u64;
    for piece in data.split(|byte| *byte == 0xff) {
        look(piece);
        let side = piece.len() % 2 == 0;
        time += piece.len() as u64 * 100_000_000;
        let handled = dialogs.message(SipInput {
            time: Timestamp::from_nanos(time),
            key: if side { flow } else { flow.reversed() },
            transport: Transport::Udp,
            message: piece,
        });
        if let Handled::Call(key) = handled {
            let call = dialogs.call(key).expect("a named call is there");
            assert!(!call.legs.is_empty() && !call.ladder.is_empty());
            assert!(call.announced.iter().all(|it| it.leg < call.legs.len()));
        }
    }
    dialogs.end_all(Timestamp::from_nanos(time), EndReason::CaptureEnd);
    let (mut started, mut ended, mut evicted) = (0, 0, 0);
    while let Some(action) = dialogs.next_action() {
        match action {
            Action::Started(_) => started += 1,
            Action::Announced(_) => {}
            Action::Ended { .. } => ended += 1,
            Action::Evicted(_) => evicted += 1,
        }
    }
    assert_eq!((started, ended), (dialogs.len() + evicted, dialogs.len()));
});

fn look(bytes: &[u8]) {
    if let Ok(message) = Message::parse(bytes) {
        assert!(!message.call_id.is_empty() && message.body.len() <= bytes.len());
        assert!(message.from_tag().len() + message.branch().len() <= bytes.len());
        for (_, value) in message.fields() {
            let address = Address::parse(value);
            assert!(address.uri.len() + address.parameters.len() <= value.len());
            let _ = address.user();
        }
        assert!(message.sdp().is_none_or(|sdp| sdp.len() <= message.body.len()));
    }
}
