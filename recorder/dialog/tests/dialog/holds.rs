//! Who holds whom, and keys told of in INFO.

use base::{Endpoint, FlowKey, Side, Transport};
use capture::{FileSource, Poll, Source};
use dialog::{CallKey, Handled, SipInput};

use crate::captures;
use crate::script::{ALICE, BOB, CAROL, PROXY, Scene, Sip, audio, milliseconds, request};

const TO_BOB: (Endpoint, Endpoint) = (ALICE, BOB);
const TO_ALICE: (Endpoint, Endpoint) = (BOB, ALICE);

fn said(port: u16, direction: &str) -> String {
    let address = if port == 4000 { "10.0.0.1" } else { "10.0.0.3" };
    audio(address, port) + &format!("a={direction}\r\n")
}

/// An offer of Alice's and Bob's answer, 50 ms later.
fn alice(scene: &mut Scene, time: u64, cseq: u32, offer: &str, answer: &str) {
    let reinvite = request("INVITE", cseq).within("b").sdp(&said(4000, offer));
    scene.play(time, TO_BOB, &reinvite);
    scene.play(time + 50, TO_ALICE, &reinvite.answered(200, "b").sdp(&said(6000, answer)));
}

/// The same the other way round.
fn bob(scene: &mut Scene, time: u64, cseq: u32, offer: &str, answer: &str) {
    let reinvite = request("INVITE", cseq).within("b").swapped().sdp(&said(6000, offer));
    scene.play(time, TO_ALICE, &reinvite);
    scene.play(time + 50, TO_BOB, &reinvite.answered(200, "b").sdp(&said(4000, answer)));
}

/// Begins are `+`, ends `-`, with the milliseconds and who did it.
fn holds(scene: &Scene, key: CallKey) -> Vec<String> {
    let word = |it: dialog::Hold| {
        let sign = if it.begins { '+' } else { '-' };
        format!("{sign}{} {:?}", milliseconds(it.time), it.side)
    };
    scene.call(key).holds().into_iter().map(word).collect()
}

#[test]
fn a_hold_begins_with_its_answer_and_ends_with_the_resumption() {
    let (mut scene, key) = Scene::established();
    alice(&mut scene, 10_000, 2, "sendonly", "recvonly");
    alice(&mut scene, 20_000, 3, "sendrecv", "sendrecv");
    bob(&mut scene, 30_000, 1, "inactive", "inactive");
    assert_eq!(holds(&scene, key), ["+10050 Caller", "-20050 Caller", "+30050 Callee"]);
}

#[test]
fn an_answer_that_had_no_choice_is_no_hold() {
    let (mut scene, key) = Scene::established();
    // RFC 3264, 8.4: Bob holds Alice, who is thereby inactive, too, and not by her own will.
    bob(&mut scene, 10_000, 1, "inactive", "inactive");
    bob(&mut scene, 20_000, 2, "recvonly", "sendonly");
    bob(&mut scene, 30_000, 3, "sendrecv", "sendrecv");
    assert_eq!(holds(&scene, key), ["+10050 Callee", "-20050 Callee"]);
}

#[test]
fn both_sides_hold_each_other() {
    let (mut scene, key) = Scene::established();
    alice(&mut scene, 10_000, 2, "sendonly", "recvonly");
    bob(&mut scene, 20_000, 1, "inactive", "inactive");
    alice(&mut scene, 30_000, 3, "recvonly", "sendonly");
    bob(&mut scene, 40_000, 2, "sendrecv", "sendrecv");
    assert_eq!(
        holds(&scene, key),
        ["+10050 Caller", "+20050 Callee", "-30050 Caller", "-40050 Callee"]
    );
}

#[test]
fn the_held_side_speaks_up_and_is_still_held() {
    let (mut scene, key) = Scene::established();
    alice(&mut scene, 10_000, 2, "sendonly", "recvonly");
    bob(&mut scene, 15_000, 1, "sendrecv", "sendonly"); // a refresh of the session
    alice(&mut scene, 20_000, 3, "sendrecv", "sendrecv");
    assert_eq!(holds(&scene, key), ["+10050 Caller", "-20050 Caller"]);
}

#[test]
fn the_address_zero_is_a_hold() {
    let (mut scene, key) = Scene::established();
    let hold = request("INVITE", 2).within("b").sdp(&audio("0.0.0.0", 4000));
    scene.play(10_000, TO_BOB, &hold);
    scene.play(10_050, TO_ALICE, &hold.answered(200, "b").sdp(&audio("10.0.0.3", 6000)));
    let resume = request("INVITE", 3).within("b").sdp(&audio("10.0.0.1", 4000));
    scene.play(20_000, TO_BOB, &resume);
    scene.play(20_050, TO_ALICE, &resume.answered(200, "b").sdp(&audio("10.0.0.3", 6000)));
    assert_eq!(holds(&scene, key), ["+10050 Caller", "-20050 Caller"]);
}

#[test]
fn a_hold_that_was_refused_is_none() {
    let (mut scene, key) = Scene::established();
    let reinvite = request("INVITE", 2).within("b").sdp(&said(4000, "sendonly"));
    scene.play(10_000, TO_BOB, &reinvite);
    scene.play(10_050, TO_ALICE, &reinvite.answered(491, "b"));
    assert_eq!(holds(&scene, key), [""; 0]);
    alice(&mut scene, 12_000, 3, "sendonly", "recvonly");
    assert_eq!(holds(&scene, key), ["+12050 Caller"]);
}

#[test]
fn what_is_one_way_from_the_start_is_no_hold() {
    let mut scene = Scene::new();
    let invite = request("INVITE", 1).sdp(&said(4000, "sendonly"));
    let key = scene.play(0, TO_BOB, &invite);
    scene.play(500, TO_ALICE, &invite.answered(183, "b").sdp(&said(6000, "recvonly")));
    scene.play(900, TO_ALICE, &invite.answered(200, "b").sdp(&said(6000, "recvonly")));
    alice(&mut scene, 10_000, 2, "inactive", "inactive");
    alice(&mut scene, 20_000, 3, "sendrecv", "sendrecv");
    assert_eq!(holds(&scene, key), [""; 0]);
    alice(&mut scene, 30_000, 4, "inactive", "inactive");
    assert_eq!(holds(&scene, key), ["+30050 Caller"]);
}

#[test]
fn an_offer_in_the_answer_is_answered_by_the_ack() {
    let (mut scene, key) = Scene::established();
    // Alice asks for an offer; Bob, who wants to talk, makes one; her ACK holds him.
    let reinvite = request("INVITE", 2).within("b");
    scene.play(10_000, TO_BOB, &reinvite);
    scene.play(10_050, TO_ALICE, &reinvite.answered(200, "b").sdp(&said(6002, "sendrecv")));
    scene.play(10_100, TO_BOB, &request("ACK", 2).within("b").sdp(&said(4000, "sendonly")));
    // Then Bob offers a hold of his own in a 2xx, and Alice can only agree.
    let reinvite = request("INVITE", 3).within("b");
    scene.play(20_000, TO_BOB, &reinvite);
    scene.play(20_050, TO_ALICE, &reinvite.answered(200, "b").sdp(&said(6002, "inactive")));
    scene.play(20_100, TO_BOB, &request("ACK", 3).within("b").sdp(&said(4000, "inactive")));
    assert_eq!(holds(&scene, key), ["+10100 Caller", "+20050 Callee"]);
}

#[test]
fn one_hold_on_every_hop_is_one() {
    let mut scene = Scene::new();
    let through = |scene: &mut Scene, time: u64, first: &Sip, answer: &Sip| {
        let second = first.clone().forwarded(&format!("proxy{time}"));
        scene.play(time, (ALICE, PROXY), first);
        scene.play(time + 1, (PROXY, BOB), &second);
        let forwarded = answer.clone().forwarded(&format!("proxy{time}"));
        scene.play(time + 50, (BOB, PROXY), &forwarded);
        scene.play(time + 51, (PROXY, ALICE), answer)
    };
    let invite = request("INVITE", 1).sdp(&said(4000, "sendrecv"));
    let key =
        through(&mut scene, 0, &invite, &invite.answered(200, "b").sdp(&said(6000, "sendrecv")));
    for (time, cseq, offer, answer) in
        [(10_000, 2, "sendonly", "recvonly"), (20_000, 3, "sendrecv", "sendrecv")]
    {
        let reinvite = request("INVITE", cseq).within("b").sdp(&said(4000, offer));
        through(&mut scene, time, &reinvite, &reinvite.answered(200, "b").sdp(&said(6000, answer)));
    }
    assert_eq!(holds(&scene, key), ["+10050 Caller", "-20050 Caller"]);
}

#[test]
fn a_key_in_info_counts_once() {
    let (mut scene, key) = Scene::established();
    let relay = |cseq: u32, signal: char| {
        let body = format!("Signal={signal}\r\nDuration=160\r\n");
        request("INFO", cseq).within("b").body("application/dtmf-relay", &body)
    };
    scene.play(5_000, (ALICE, PROXY), &relay(2, '1'));
    scene.play(5_001, (PROXY, BOB), &relay(2, '1').forwarded("p1"));
    scene.play(5_500, (ALICE, PROXY), &relay(2, '1')); // sent again
    scene.play(6_000, (ALICE, PROXY), &relay(3, '1'));
    scene.play(6_000, (BOB, CAROL), &relay(2, '#').swapped());
    scene.play(7_000, TO_BOB, &request("INFO", 4).within("b").body("application/dtmf", "D\r\n"));
    scene.play(8_000, TO_BOB, &request("INFO", 5).within("b").sdp("v=0\r\n"));
    let keys = scene.call(key).keys.iter();
    let keys: Vec<_> = keys.map(|it| (milliseconds(it.time), it.side, it.key)).collect();
    assert_eq!(
        keys,
        [
            (5_000, Side::Caller, '1'),
            (6_000, Side::Caller, '1'),
            (6_000, Side::Callee, '#'),
            (7_000, Side::Caller, 'D')
        ]
    );
    for cseq in 10..400 {
        scene.play(9_000, TO_BOB, &relay(cseq, '5'));
    }
    assert_eq!(scene.call(key).keys.len(), base::limits::KEYS_PER_CALL_MAX);
    assert_eq!(scene.call(key).keys_not_kept, 390 + 4 - 256);
}

/// Seconds of the capture's clock, who, and whether it begins.
type Told = (f64, Side, bool);

/// A capture, the beginning of a Call-ID, and the holds of that call, as tshark shows the 2xx of the re-INVITEs with
/// `sendonly`, and of those without.
const HELD: [(&str, &str, &[Told]); 6] = [
    (
        "Kesuera__SIP-proxy/pcap__redirect_call.pcap",
        "jm0KdR5kll",
        &[(1_645_889_998.278649, Side::Callee, true), (1_645_890_027.010438, Side::Callee, false)],
    ),
    (
        "Kesuera__SIP-proxy/pcap__conference_call.pcap",
        "AUSkgrEiXx",
        &[(1_645_890_213.475911, Side::Caller, true), (1_645_890_222.130237, Side::Caller, false)],
    ),
    (
        "Kesuera__SIP-proxy/pcap__conference_call.pcap",
        "Xy3ueAvflo",
        &[(1_645_890_222.053964, Side::Caller, true), (1_645_890_238.951642, Side::Caller, false)],
    ),
    (
        "kuko6__mtaa-sip-proxy/pcap__presmerovanie.pcapng",
        "bRr8PoocMJ",
        &[(1_646_165_373.479357, Side::Callee, true)],
    ),
    ("kuko6__mtaa-sip-proxy/pcap__presmerovanie.pcapng", "E7SYw4pIv-", &[]),
    ("NormB__sipnab/tests__pcap-samples__sip-rtp-g711.pcap", "", &[]),
];

#[test]
fn the_holds_of_the_real_captures_are_those_that_tshark_shows() {
    let Some(folder) = captures::folder() else { return };
    for (file, call_id, expected) in HELD {
        let calls = captures::calls(&folder.join("files").join(file));
        let call = calls.iter().find(|it| it.call_id.starts_with(call_id)).unwrap();
        let holds = call.holds();
        let same = |(it, wanted): (&dialog::Hold, &Told)| {
            let seconds = it.time.as_nanos() as f64 / 1e9;
            (seconds - wanted.0).abs() < 2e-6 && (it.side, it.begins) == (wanted.1, wanted.2)
        };
        let all_same = holds.len() == expected.len() && holds.iter().zip(expected).all(same);
        assert!(all_same, "{file} {call_id}: {holds:?}");
    }
}

/// Bytes before the SIP message in its frames: Ethernet, PPPoE, IPv4, UDP. PPPoE is not taken apart yet.
const PPPOE_HEADERS: usize = 14 + 8 + 20 + 8;

#[test]
fn the_keys_of_a_real_capture_are_found() {
    let Some(folder) = captures::folder() else { return };
    let file = folder.join("files/NormB__sipnab/tests__pcap-samples__DTMFsipinfo.pcap");
    let mut source = FileSource::open(&file).unwrap();
    let mut scene = Scene::new();
    let mut call = None;
    while let Ok(Poll::Frames(_)) = source.poll(&mut |frame| {
        let message = frame.data.get(PPPOE_HEADERS..).unwrap_or_default();
        let key = FlowKey { domain: scene.domain, source: ALICE, destination: BOB };
        let answers = message.starts_with(b"SIP/2.0");
        let key = if answers { key.reversed() } else { key };
        let input = SipInput { time: frame.time, key, transport: Transport::Udp, message };
        if let Handled::Call(key) = scene.dialogs.message(input) {
            call = Some(key);
        }
    }) {}
    let keys: String = scene.call(call.unwrap()).keys.iter().map(|it| it.key).collect();
    assert_eq!(keys, "1342");
}
