//! Calls: how they begin, who is who, how they end.

use base::{Endpoint, Transport};
use dialog::{Action, EndReason, Handled};

use crate::script::{ALICE, BOB, CAROL, PROXY, Scene, at, audio, milliseconds, request};

#[test]
fn a_call_is_told_from_invite_to_bye() {
    let (mut scene, key) = Scene::established();
    let bye = request("BYE", 2).within("b");
    scene.play(60_000, (ALICE, BOB), &bye);
    scene.play(60_010, (BOB, ALICE), &bye.answered(200, "b"));
    let call = scene.call(key);
    assert_eq!((call.call_id.as_str(), call.joined_midway), ("id", false));
    assert_eq!(
        (call.caller.uri.as_str(), call.caller.number.as_str()),
        ("sip:alice@example.com", "alice")
    );
    assert_eq!(call.caller.display.as_deref(), Some("Alice"));
    assert_eq!((call.callee.number.as_str(), call.callee.display.as_deref()), ("+49bob", None));
    assert_eq!(
        (call.from.as_str(), call.to.as_str()),
        ("\"Alice\" <sip:alice@example.com>;tag=a", "<sip:%2B49bob@example.com>")
    );
    assert_eq!(call.request_uri, "sip:bob@example.com");
    let times =
        [Some(call.started), call.ringing, call.answered].map(|time| time.map(milliseconds));
    assert_eq!(times, [Some(0), Some(100), Some(2_000)]);
    assert_eq!(scene.end(key), Some((60_000, EndReason::Bye)));
    let [leg] = &call.legs[..] else { panic!("{:?}", call.legs) };
    assert_eq!((leg.from_tag.as_str(), leg.to_tag.as_deref()), ("a", Some("b")));
    assert_eq!((leg.answered, leg.ended), (Some(at(2_000)), Some(at(60_000))));
    assert_eq!(leg.hops, [(ALICE, BOB)]);
    let ladder: Vec<_> =
        call.ladder.iter().map(|it| (it.start_line, it.cseq, it.sdp, it.source)).collect();
    assert_eq!(ladder[0], ("INVITE sip:bob@example.com", "1 INVITE", true, ALICE));
    assert_eq!(ladder[2], ("200 Reason", "1 INVITE", true, BOB));
    assert_eq!((ladder.len(), ladder[5]), (6, ("200 Reason", "2 BYE", false, BOB)));
    let reason = EndReason::Bye;
    let wanted = [
        Action::Started(key),
        Action::Announced(key),
        Action::Announced(key),
        Action::Ended { call: key, time: at(60_000), reason },
    ];
    assert_eq!(scene.actions(), wanted);
}

#[test]
fn bye_from_callee() {
    let (mut scene, key) = Scene::established();
    scene.play(9_000, (BOB, ALICE), &request("BYE", 111).within("b").swapped());
    assert_eq!(scene.end(key), Some((9_000, EndReason::Bye)));
    assert_eq!(scene.call(key).legs.len(), 1);
}

#[test]
fn a_call_over_tcp_is_the_same_call() {
    let mut scene = Scene::new();
    scene.transport = Transport::Tcp;
    let from = Endpoint::v4([10, 0, 0, 1], 40_001);
    let invite = request("INVITE", 1).sdp(&audio("10.0.0.1", 4000));
    let key = scene.play(0, (from, BOB), &invite);
    scene.play(10, (BOB, from), &invite.answered(200, "b").sdp(&audio("10.0.0.3", 6000)));
    let other_connection = Endpoint::v4([10, 0, 0, 1], 40_002);
    let reinvite = request("INVITE", 2).within("b").sdp(&audio("10.0.0.1", 4002));
    scene.play(20, (other_connection, BOB), &reinvite);
    scene.play(30, (BOB, other_connection), &reinvite.answered(200, "b"));
    assert_eq!(
        scene.in_force(key),
        ["Callee 10.0.0.3:6000 SendRecv", "Caller 10.0.0.1:4002 SendRecv"]
    );
    assert_eq!(scene.call(key).legs[0].hops, [(from, BOB)], "another port is no other hop");
    assert!(scene.call(key).ladder.iter().all(|it| it.transport == Transport::Tcp));
}

#[test]
fn challenge_then_retry_is_one_call() {
    let mut scene = Scene::new();
    let first = request("INVITE", 1).sdp(&audio("10.0.0.1", 4000));
    let key = scene.play(0, (ALICE, PROXY), &first);
    scene.play(10, (PROXY, ALICE), &first.answered(407, "proxy"));
    scene.play(20, (ALICE, PROXY), &request("ACK", 1).within("proxy"));
    scene.dialogs.advance(at(50_000)); // somebody types the password
    let second = request("INVITE", 2).sdp(&audio("10.0.0.1", 4000));
    scene.play(51_000, (ALICE, PROXY), &second);
    scene.play(52_000, (PROXY, ALICE), &second.answered(200, "b"));
    let call = scene.call(key);
    assert_eq!((call.ended, call.answered), (None, Some(at(52_000))));
    assert_eq!(call.legs.len(), 1);
    assert_eq!(call.legs[0].to_tag.as_deref(), Some("b"), "the tag of the challenge is no leg's");
    assert_eq!(call.announced.len(), 1, "the same description again announces nothing new");
}

#[test]
fn challenge_without_retry_ends_the_call_when_it_came() {
    let mut scene = Scene::new();
    let invite = request("INVITE", 1);
    let key = scene.play(0, (ALICE, BOB), &invite);
    scene.play(10, (BOB, ALICE), &invite.answered(401, "x"));
    scene.dialogs.advance(at(180_009));
    assert_eq!(scene.end(key), None);
    scene.dialogs.advance(at(180_010));
    assert_eq!(scene.end(key), Some((10, EndReason::Final(401))));
    assert_eq!(EndReason::Final(401).to_string(), "final 401");
}

#[test]
fn redirection_then_retry_is_one_call() {
    let mut scene = Scene::new();
    let invite = request("INVITE", 1);
    let key = scene.play(0, (ALICE, PROXY), &invite);
    scene.play(10, (PROXY, ALICE), &invite.answered(302, "p"));
    let retry = request("INVITE", 2);
    assert_eq!(scene.play(20_000, (ALICE, CAROL), &retry), key);
    scene.play(21_000, (CAROL, ALICE), &retry.answered(200, "c"));
    scene.dialogs.advance(at(60_000));
    assert_eq!((scene.end(key), scene.call(key).answered), (None, Some(at(21_000))));
}

#[test]
fn cancel_gives_487() {
    let mut scene = Scene::new();
    let invite = request("INVITE", 1);
    let key = scene.play(0, (ALICE, BOB), &invite);
    scene.play(100, (BOB, ALICE), &invite.answered(180, "b"));
    let cancel = request("CANCEL", 1);
    scene.play(3_000, (ALICE, BOB), &cancel);
    scene.play(3_010, (BOB, ALICE), &cancel.answered(200, "b"));
    scene.play(3_020, (BOB, ALICE), &invite.answered(487, "b"));
    scene.dialogs.advance(at(8_020));
    assert_eq!(scene.end(key), Some((3_020, EndReason::Final(487))));
}

#[test]
fn cancel_without_487_ends_as_cancel() {
    let mut scene = Scene::new();
    let key = scene.play(0, (ALICE, BOB), &request("INVITE", 1));
    scene.play(3_000, (ALICE, BOB), &request("CANCEL", 1));
    scene.play(3_500, (ALICE, BOB), &request("CANCEL", 1));
    scene.dialogs.advance(at(40_000));
    assert_eq!(scene.end(key), Some((3_000, EndReason::Cancel)));
}

#[test]
fn cancel_that_crosses_the_answer_changes_nothing() {
    let mut scene = Scene::new();
    let invite = request("INVITE", 1);
    let key = scene.play(0, (ALICE, BOB), &invite);
    scene.play(3_000, (ALICE, BOB), &request("CANCEL", 1));
    scene.play(3_001, (BOB, ALICE), &invite.answered(200, "b"));
    scene.play(3_002, (ALICE, BOB), &request("CANCEL", 1));
    scene.dialogs.advance(at(100_000));
    assert_eq!((scene.end(key), scene.call(key).answered), (None, Some(at(3_001))));
}

#[test]
fn a_failure_ends_the_call_once_it_is_not_repeated() {
    let mut scene = Scene::new();
    let invite = request("INVITE", 1);
    let key = scene.play(0, (ALICE, BOB), &invite);
    scene.play(1_000, (BOB, ALICE), &invite.answered(603, "b"));
    scene.play(1_500, (BOB, ALICE), &invite.answered(603, "b"));
    scene.dialogs.advance(at(6_499));
    assert_eq!(scene.end(key), None);
    scene.dialogs.advance(at(6_500));
    assert_eq!(scene.end(key), Some((1_500, EndReason::Final(603))));
}

#[test]
fn bye_after_a_failure_ends_as_bye() {
    let mut scene = Scene::new();
    let invite = request("INVITE", 1);
    let key = scene.play(0, (ALICE, BOB), &invite);
    scene.play(10, (BOB, ALICE), &invite.answered(180, "b"));
    scene.play(20, (BOB, ALICE), &invite.answered(403, "b"));
    scene.play(30, (ALICE, BOB), &request("BYE", 2).within("b"));
    assert_eq!(scene.end(key), Some((30, EndReason::Bye)));
}

#[test]
fn proxy_hop_is_one_call() {
    let mut scene = Scene::new();
    let invite = request("INVITE", 1).sdp(&audio("10.0.0.1", 4000));
    let onward = invite.clone().forwarded("p1").sdp(&audio("10.0.0.2", 5000));
    let key = scene.play(0, (ALICE, PROXY), &invite);
    scene.play(1, (PROXY, BOB), &onward);
    scene.play(100, (BOB, PROXY), &onward.answered(200, "b").sdp(&audio("10.0.0.3", 6000)));
    scene.play(101, (PROXY, ALICE), &invite.answered(200, "b").sdp(&audio("10.0.0.2", 5002)));
    let bye = request("BYE", 9).within("b").swapped();
    scene.play(5_000, (BOB, PROXY), &bye);
    scene.play(5_001, (PROXY, ALICE), &bye.clone().forwarded("p2"));
    let call = scene.call(key);
    assert_eq!((call.legs.len(), &call.legs[0].hops[..]), (1, &[(ALICE, PROXY), (PROXY, BOB)][..]));
    let announced: Vec<_> =
        call.announced.iter().map(|it| (it.hop, it.side, it.endpoint.to_string())).collect();
    let side = base::Side::Caller;
    let wanted = [
        ((ALICE, PROXY), side, "10.0.0.1:4000".to_owned()),
        ((PROXY, BOB), side, "10.0.0.2:5000".to_owned()),
        ((PROXY, BOB), side.other(), "10.0.0.3:6000".to_owned()),
        ((ALICE, PROXY), side.other(), "10.0.0.2:5002".to_owned()),
    ];
    assert_eq!(announced, wanted);
    assert_eq!(scene.end(key), Some((5_000, EndReason::Bye)));
    assert!(call.ladder.iter().all(|it| !it.retransmission));
}

#[test]
fn a_failure_behind_the_proxy_does_not_end_the_call() {
    let mut scene = Scene::new();
    let invite = request("INVITE", 1);
    let key = scene.play(0, (ALICE, PROXY), &invite);
    let first = invite.clone().forwarded("p1");
    scene.play(1, (PROXY, BOB), &first);
    scene.play(2, (BOB, PROXY), &first.answered(486, "b"));
    scene.dialogs.advance(at(30_000));
    assert_eq!(scene.end(key), None, "the proxy may try others");
    let second = invite.clone().forwarded("p2");
    scene.play(30_000, (PROXY, CAROL), &second);
    scene.play(31_000, (CAROL, PROXY), &second.answered(603, "c"));
    scene.play(31_001, (PROXY, ALICE), &invite.answered(486, "p"));
    scene.dialogs.advance(at(40_000));
    assert_eq!(scene.end(key), Some((31_001, EndReason::Final(486))));
}

#[test]
fn the_caller_hears_the_failure_even_if_a_branch_behind_is_not_seen_to_end() {
    let mut scene = Scene::new();
    let invite = request("INVITE", 1);
    let key = scene.play(0, (ALICE, PROXY), &invite);
    scene.play(1, (PROXY, BOB), &invite.clone().forwarded("p1"));
    scene.play(9_000, (PROXY, ALICE), &invite.answered(480, "p"));
    scene.dialogs.advance(at(14_000));
    assert_eq!(scene.end(key), Some((9_000, EndReason::Final(480))));
}

#[test]
fn one_fork_fails_while_the_other_rings() {
    let mut scene = Scene::new();
    let (to_bob, to_carol) =
        (request("INVITE", 1).forwarded("1"), request("INVITE", 1).forwarded("2"));
    let key = scene.play(0, (PROXY, BOB), &to_bob);
    scene.play(0, (PROXY, CAROL), &to_carol);
    scene.play(10, (BOB, PROXY), &to_bob.answered(486, "b"));
    scene.play(20, (CAROL, PROXY), &to_carol.answered(180, "c"));
    scene.dialogs.advance(at(60_000));
    assert_eq!(scene.end(key), None);
    scene.play(61_000, (CAROL, PROXY), &to_carol.answered(200, "c"));
    assert_eq!(scene.call(key).answered, Some(at(61_000)));
}

#[test]
fn bye_for_one_fork_does_not_end_the_other() {
    let mut scene = Scene::new();
    let invite = request("INVITE", 1);
    let key = scene.play(0, (ALICE, PROXY), &invite);
    scene.play(10, (PROXY, ALICE), &invite.answered(200, "b"));
    scene.play(11, (PROXY, ALICE), &invite.answered(200, "c"));
    scene.play(20, (ALICE, PROXY), &request("BYE", 2).within("c"));
    assert_eq!(scene.end(key), None);
    assert_eq!(scene.call(key).legs[1].ended, Some(at(20)));
    scene.play(9_000, (ALICE, PROXY), &request("BYE", 2).within("b"));
    assert_eq!(scene.end(key), Some((9_000, EndReason::Bye)));
}

#[test]
fn a_bye_with_strange_tags_counts_unless_media_goes_on() {
    for goes_on in [false, true] {
        let (mut scene, key) = Scene::established();
        scene.play(10_000, (ALICE, BOB), &request("BYE", 2).within("other"));
        if goes_on {
            scene.dialogs.media_seen(key, at(13_000));
        }
        scene.dialogs.advance(at(42_000));
        assert_eq!(scene.end(key), (!goes_on).then_some((10_000, EndReason::Bye)));
    }
}

#[test]
fn devices_without_tags_are_told_apart_by_address() {
    let mut scene = Scene::new();
    let invite = request("INVITE", 1).without_tags().sdp(&audio("10.0.0.1", 4000));
    let key = scene.play(0, (ALICE, BOB), &invite);
    scene.play(10, (BOB, ALICE), &invite.answered(200, "").sdp(&audio("10.0.0.3", 6000)));
    let reinvite = request("INVITE", 5).swapped().without_tags().sdp(&audio("10.0.0.3", 6002));
    scene.play(20, (BOB, ALICE), &reinvite);
    scene.play(30, (ALICE, BOB), &reinvite.answered(200, ""));
    assert_eq!(
        scene.in_force(key),
        ["Caller 10.0.0.1:4000 SendRecv", "Callee 10.0.0.3:6002 SendRecv"]
    );
    scene.play(40, (BOB, ALICE), &request("BYE", 6).swapped().without_tags());
    assert_eq!((scene.end(key), scene.call(key).legs.len()), (Some((40, EndReason::Bye)), 1));
}

#[test]
fn retransmission_is_marked() {
    let mut scene = Scene::new();
    let invite = request("INVITE", 1).sdp(&audio("10.0.0.1", 4000));
    let key = scene.play(0, (ALICE, PROXY), &invite);
    scene.play(1, (PROXY, BOB), &invite.clone().forwarded("p"));
    scene.play(500, (ALICE, PROXY), &invite);
    scene.play(600, (PROXY, ALICE), &invite.answered(180, "b"));
    scene.play(601, (PROXY, ALICE), &invite.answered(180, "c"));
    scene.play(602, (PROXY, ALICE), &invite.answered(180, "c"));
    let marks: Vec<_> = scene.call(key).ladder.iter().map(|it| it.retransmission).collect();
    assert_eq!(marks, [false, false, true, false, false, true]);
    assert_eq!(scene.call(key).announced.len(), 2);
}

#[test]
fn messages_of_other_kinds_belong_to_the_call_and_change_nothing() {
    let (mut scene, key) = Scene::established();
    for (cseq, method) in
        ["REFER", "NOTIFY", "INFO", "MESSAGE", "OPTIONS", "SUBSCRIBE", "X-NEW"].iter().enumerate()
    {
        let request = request(method, cseq as u32 + 2).within("b").sdp(&audio("10.9.9.9", 9));
        assert_eq!(scene.play(5_000, (ALICE, BOB), &request), key);
        scene.play(5_001, (BOB, ALICE), &request.answered(200, "b").sdp(&audio("10.9.9.8", 9)));
    }
    assert_eq!((scene.call(key).ladder.len(), scene.call(key).announced.len()), (18, 2));
    assert_eq!(scene.end(key), None);
}

#[test]
fn what_is_no_call_makes_none() {
    let mut scene = Scene::new();
    for method in [
        "REGISTER",
        "OPTIONS",
        "SUBSCRIBE",
        "NOTIFY",
        "MESSAGE",
        "PUBLISH",
        "BYE",
        "CANCEL",
        "ACK",
        "INFO",
    ] {
        let request = request(method, 1);
        assert_eq!(scene.send(0, (ALICE, BOB), &request), Handled::NotACall, "{method}");
        assert_eq!(
            scene.send(1, (BOB, ALICE), &request.answered(200, "b")),
            Handled::NotACall,
            "{method}"
        );
    }
    let options = request("OPTIONS", 1).answered(200, "b").sdp(&audio("10.0.0.3", 6000));
    assert_eq!(scene.send(2, (BOB, ALICE), &options), Handled::NotACall);
    assert!(scene.dialogs.is_empty() && scene.actions().is_empty());
    let key = base::FlowKey { source: ALICE, destination: BOB, ..Default::default() };
    let input = dialog::SipInput { time: at(3), key, transport: Transport::Udp, message: b"hello" };
    assert_eq!(scene.dialogs.message(input), Handled::Malformed(dialog::SipError::StartLine));
}

#[test]
fn a_capture_may_begin_within_a_call() {
    let reinvite = request("INVITE", 7).within("b").sdp(&audio("10.0.0.1", 4000));
    let answer = request("INVITE", 1).answered(200, "b").sdp(&audio("10.0.0.3", 6000));
    let ack = request("ACK", 1).within("b").sdp(&audio("10.0.0.1", 4000));
    for (first, hop, side) in [
        (&reinvite, (ALICE, BOB), "Caller 10.0.0.1:4000 SendRecv"),
        (&answer, (BOB, ALICE), "Callee 10.0.0.3:6000 SendRecv"),
        (&ack, (ALICE, BOB), "Caller 10.0.0.1:4000 SendRecv"),
    ] {
        let mut scene = Scene::new();
        let key = scene.play(0, hop, first);
        assert!(scene.call(key).joined_midway);
        assert_eq!(scene.call(key).request_uri, "");
        assert_eq!(scene.in_force(key), [side]);
        scene.play(9_000, (BOB, ALICE), &request("BYE", 3).within("b").swapped());
        assert_eq!(scene.end(key), Some((9_000, EndReason::Bye)), "{first:?}");
        assert_eq!(scene.call(key).legs.len(), 1);
    }
}

#[test]
fn a_lone_failure_is_a_call_that_failed() {
    let mut scene = Scene::new();
    let key = scene.play(0, (BOB, ALICE), &request("INVITE", 1).answered(403, "b"));
    scene.dialogs.advance(at(5_000));
    assert_eq!(scene.end(key), Some((0, EndReason::Final(403))));
}

#[test]
fn the_same_call_id_after_the_end_is_a_new_call() {
    let (mut scene, first) = Scene::established();
    scene.play(5_000, (ALICE, BOB), &request("BYE", 2).within("b"));
    assert_eq!(scene.play(5_001, (ALICE, BOB), &request("INVITE", 1)), first, "a late copy");
    let again = scene.play(6_000, (ALICE, BOB), &request("INVITE", 1).by("z"));
    assert_ne!(again, first);
    let late = request("BYE", 2).within("b");
    assert_eq!(scene.play(6_001, (ALICE, BOB), &late), first, "the tags say so");
    assert_eq!(
        scene.play(6_002, (BOB, ALICE), &request("INVITE", 1).by("z").answered(180, "y")),
        again
    );
    assert_eq!(scene.end(again), None);
    let third = request("INVITE", 9);
    assert_eq!(scene.play(6_003, (ALICE, BOB), &third.clone().by("z")), again, "it goes on");
    scene.play(7_000, (ALICE, BOB), &request("BYE", 10).by("z").within("y"));
    assert!(scene.end(again).is_some());
    assert_ne!(
        scene.play(8_000, (ALICE, BOB), &request("INVITE", 11).by("z")),
        again,
        "a higher CSeq"
    );
}

#[test]
fn late_copies_of_a_forgotten_call_do_not_begin_it_anew() {
    let (mut scene, key) = Scene::established();
    scene.play(5_000, (ALICE, BOB), &request("BYE", 2).within("b"));
    let call = scene.dialogs.forget(key).unwrap();
    assert_eq!((call.call_id.as_str(), scene.dialogs.len()), ("id", 0));
    assert!(scene.dialogs.forget(key).is_none() && scene.dialogs.call(key).is_none());
    let late = request("INVITE", 1).answered(200, "b").sdp(&audio("10.0.0.3", 6000));
    assert_eq!(scene.send(5_500, (BOB, ALICE), &late), Handled::NotACall);
    assert!(matches!(scene.send(6_000, (ALICE, BOB), &request("INVITE", 1)), Handled::Call(_)));
    let other = late.clone().call_id("other");
    assert!(matches!(scene.send(6_001, (BOB, ALICE), &other), Handled::Call(_)));
    let (mut scene, key) = Scene::established();
    scene.play(5_000, (ALICE, BOB), &request("BYE", 2).within("b"));
    scene.dialogs.forget(key).unwrap();
    assert!(matches!(scene.send(37_001, (BOB, ALICE), &late), Handled::Call(_)), "long after");
}

#[test]
fn two_dialogs_under_one_call_id_end_with_the_last() {
    let (mut scene, key) = Scene::established();
    let other = request("INVITE", 1).by("x").forwarded("x");
    assert_eq!(
        scene.play(3_000, (PROXY, CAROL), &other),
        key,
        "a border element that keeps the Call-ID"
    );
    scene.play(3_100, (CAROL, PROXY), &other.answered(200, "y"));
    scene.play(4_000, (PROXY, CAROL), &request("BYE", 2).by("x").within("y"));
    assert_eq!(scene.end(key), None);
    scene.play(5_000, (ALICE, BOB), &request("BYE", 2).within("b"));
    assert_eq!(scene.end(key), Some((5_000, EndReason::Bye)));
    assert_eq!(scene.call(key).legs.len(), 2);
}

#[test]
fn silence_ends_a_call() {
    const MINUTE: u64 = 60_000;
    // Ringing.
    let mut scene = Scene::new();
    let key = scene.play(0, (ALICE, BOB), &request("INVITE", 1));
    scene.dialogs.advance(at(4 * MINUTE - 1));
    assert_eq!(scene.end(key), None);
    scene.dialogs.advance(at(4 * MINUTE));
    assert_eq!(scene.end(key), Some((0, EndReason::Timeout)));
    // Talking: media came, and stopped.
    let (mut scene, key) = Scene::established();
    for minute in 1..10 {
        scene.dialogs.media_seen(key, at(minute * MINUTE));
        scene.dialogs.advance(at(minute * MINUTE));
    }
    scene.dialogs.advance(at(14 * MINUTE - 1));
    assert_eq!(scene.end(key), None);
    scene.dialogs.advance(at(14 * MINUTE));
    assert_eq!(scene.end(key), Some((9 * MINUTE, EndReason::Timeout)));
    // Media that never comes by here says nothing by its silence.
    let (mut scene, key) = Scene::established();
    scene.dialogs.advance(at(2_100 + 120 * MINUTE - 1));
    assert_eq!(scene.end(key), None);
    scene.dialogs.advance(at(2_100 + 120 * MINUTE));
    assert_eq!(scene.end(key), Some((2_100, EndReason::Timeout)));
}

#[test]
fn the_end_of_the_capture_ends_all_calls() {
    let (mut scene, talking) = Scene::established();
    let invite = request("INVITE", 1).call_id("failed");
    let failed = scene.play(3_000, (ALICE, BOB), &invite);
    scene.play(3_500, (BOB, ALICE), &invite.answered(486, "b"));
    scene.dialogs.end_all(at(4_000), EndReason::CaptureEnd);
    assert_eq!(scene.end(talking), Some((4_000, EndReason::CaptureEnd)));
    assert_eq!(scene.end(failed), Some((3_500, EndReason::Final(486))), "that was known already");
    scene.dialogs.end_all(at(5_000), EndReason::Interrupted);
    let ended = scene.actions().into_iter().filter(|it| matches!(it, Action::Ended { .. }));
    assert_eq!(ended.count(), 2);
    assert_eq!(scene.end(talking), Some((4_000, EndReason::CaptureEnd)));
}

#[test]
fn a_full_table_is_said() {
    let mut scene = Scene::new();
    scene.dialogs = dialog::Dialogs::with_calls_max(2);
    let invites = ["1", "2", "3"].map(|id| request("INVITE", 1).call_id(id));
    let first = scene.play(0, (ALICE, BOB), &invites[0]);
    scene.play(0, (ALICE, BOB), &invites[1]);
    for invite in &invites[..2] {
        scene.play(0, (BOB, ALICE), &invite.answered(180, "b"));
    }
    assert_eq!(scene.send(0, (ALICE, BOB), &invites[2]), Handled::TableFull);
    assert_eq!(scene.play(0, (ALICE, BOB), &invites[0]), first, "those that are there go on");
    scene.dialogs.forget(first).unwrap();
    assert!(matches!(scene.send(0, (ALICE, BOB), &invites[2]), Handled::Call(_)));
}

#[test]
fn a_flood_of_invites_pushes_out_its_own_and_no_call_that_rings_or_talks() {
    let mut scene = Scene::new();
    scene.dialogs = dialog::Dialogs::with_calls_max(100);
    let (talk, ring) = (request("INVITE", 1), request("INVITE", 1).call_id("ringing"));
    let (talking, rings) = (scene.play(0, (ALICE, BOB), &talk), scene.play(0, (ALICE, BOB), &ring));
    scene.play(10, (BOB, ALICE), &talk.answered(200, "b"));
    scene.play(10, (BOB, ALICE), &ring.answered(180, "r"));
    let max = scene.dialogs.calls_max();
    for number in 0..max + 1_000 {
        let flood = request("INVITE", 1).call_id(&format!("flood-{number}"));
        assert!(matches!(scene.send(3_000, (CAROL, BOB), &flood), Handled::Call(_)), "{number}");
    }
    assert_eq!(scene.dialogs.len(), max);
    let evicted: Vec<_> = scene
        .actions()
        .into_iter()
        .filter_map(|it| if let Action::Evicted(key) = it { Some(key) } else { None })
        .collect();
    assert_eq!(evicted.len(), 1_002, "the two calls had their places");
    assert!(evicted.is_sorted() && !evicted.contains(&talking) && !evicted.contains(&rings));
    scene.play(4_000, (ALICE, BOB), &request("BYE", 2).within("b"));
    assert_eq!(scene.end(talking), Some((4_000, EndReason::Bye)));
}

#[test]
fn at_the_limit_new_calls_are_refused_and_running_ones_go_on() {
    let (mut scene, running) = Scene::established();
    scene.dialogs.refuse_new(true);
    let other = request("INVITE", 1).call_id("other");
    assert_eq!(scene.send(3_000, (ALICE, BOB), &other), Handled::Refused);
    assert_eq!(scene.play(3_000, (ALICE, BOB), &request("INFO", 2).within("b")), running);
    scene.play(4_000, (ALICE, BOB), &request("BYE", 2).within("b"));
    assert_eq!(scene.end(running), Some((4_000, EndReason::Bye)));
    scene.dialogs.refuse_new(false);
    assert!(matches!(scene.send(5_000, (ALICE, BOB), &other), Handled::Call(_)));
}

#[test]
fn a_call_that_ended_while_nobody_looked_ends_as_interrupted_at_its_last_sign() {
    const HOUR: u64 = 3_600_000;
    // Talking until then: it must go on talking.
    let (mut scene, key) = Scene::established();
    scene.dialogs.media_seen(key, at(9_000));
    scene.dialogs.unseen(at(9_010), at(HOUR));
    scene.dialogs.advance(at(HOUR + 29_999));
    assert!(scene.end(key).is_none() && scene.dialogs.is_unsure(key));
    scene.dialogs.advance(at(HOUR + 30_000));
    assert_eq!(scene.end(key), Some((9_000, EndReason::Interrupted)));
    // On hold: its silence says nothing, the usual time goes on.
    let (mut scene, key) = Scene::established();
    scene.dialogs.unseen(at(9_010), at(20_000));
    scene.dialogs.advance(at(HOUR));
    assert_eq!(scene.end(key), None);
    scene.dialogs.advance(at(3 * HOUR));
    assert_eq!(scene.end(key), Some((2_100, EndReason::Interrupted)));
}

#[test]
fn a_sign_of_life_after_nobody_looked_is_as_good_as_ever() {
    let (mut scene, key) = Scene::established();
    scene.dialogs.media_seen(key, at(9_000));
    scene.dialogs.unseen(at(9_010), at(20_000));
    scene.dialogs.media_seen(key, at(9_005));
    assert!(scene.dialogs.is_unsure(key), "seen before");
    scene.dialogs.media_seen(key, at(21_000));
    assert!(!scene.dialogs.is_unsure(key));
    scene.dialogs.advance(at(21_000 + 299_999));
    assert_eq!(scene.end(key), None);
    scene.dialogs.advance(at(21_000 + 300_000));
    assert_eq!(scene.end(key), Some((21_000, EndReason::Timeout)));
}
