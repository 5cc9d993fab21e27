//! Offers and answers: where media is announced, and until when.

use std::sync::Arc;

use base::{Domain, Encoding, Side, Timestamp};
use dialog::{Direction, EndReason, Keying, MediaKind};

use crate::script::{ALICE, BOB, PROXY, Scene, at, audio, request};

#[test]
fn offer_and_answer_announce_both_sides() {
    let (scene, key) = Scene::established();
    let [caller, callee] = &scene.call(key).announced[..] else { panic!() };
    assert_eq!((caller.time, caller.until, caller.side), (at(0), None, Side::Caller));
    assert_eq!((callee.time, callee.until, callee.side), (at(2_000), None, Side::Callee));
    assert_eq!(
        (caller.endpoint.to_string(), callee.endpoint.to_string()),
        ("10.0.0.1:4000".into(), "10.0.0.3:6000".into())
    );
    assert_eq!((caller.rtcp.port(), caller.line, caller.leg), (4_001, 0, 0));
    assert_eq!((caller.hop, callee.hop), ((ALICE, BOB), (ALICE, BOB)));
    assert_eq!(
        (caller.media, caller.direction, caller.secure),
        (MediaKind::Audio, Direction::SendRecv, false)
    );
    assert_eq!(caller.formats.get(8).unwrap().encoding, Encoding::Pcma);
    assert!(Arc::ptr_eq(&caller.formats, &callee.formats), "equal formats are kept once");
    let all: Vec<_> = caller.endpoints().map(|it| it.port()).collect();
    assert_eq!(all, [4_000, 4_001]);
}

#[test]
fn early_media_is_announced_by_183() {
    let mut scene = Scene::new();
    let invite = request("INVITE", 1).sdp(&audio("10.0.0.1", 4000));
    let key = scene.play(0, (ALICE, BOB), &invite);
    scene.play(50, (BOB, ALICE), &invite.answered(183, "b").sdp(&audio("10.0.0.9", 7000)));
    assert_eq!(scene.in_force(key)[1], "Callee 10.0.0.9:7000 SendRecv");
    scene.play(60, (BOB, ALICE), &invite.answered(200, "b").sdp(&audio("10.0.0.3", 6000)));
    assert_eq!(scene.in_force(key)[1..], ["Callee 10.0.0.3:6000 SendRecv"], "the answer moves it");
    assert_eq!(scene.call(key).announced[1].until, Some(at(60)));
}

#[test]
fn forked_early_dialogs_keep_both_endpoints() {
    let mut scene = Scene::new();
    let invite = request("INVITE", 1).sdp(&audio("10.0.0.1", 4000));
    let key = scene.play(0, (ALICE, PROXY), &invite);
    scene.play(10, (PROXY, ALICE), &invite.answered(183, "b").sdp(&audio("10.0.0.3", 6000)));
    scene.play(20, (PROXY, ALICE), &invite.answered(183, "c").sdp(&audio("10.0.0.4", 7000)));
    scene.play(30, (PROXY, ALICE), &invite.answered(200, "c").sdp(&audio("10.0.0.4", 7000)));
    let call = scene.call(key);
    let tags: Vec<_> = call.legs.iter().map(|leg| (leg.to_tag.as_deref(), leg.answered)).collect();
    assert_eq!(tags, [(Some("b"), None), (Some("c"), Some(at(30)))]);
    let legs: Vec<_> = call.announced.iter().map(|it| (it.side, it.leg)).collect();
    assert_eq!(legs, [(Side::Caller, 0), (Side::Callee, 0), (Side::Callee, 1)]);
    assert_eq!(scene.in_force(key).len(), 3);
}

#[test]
fn delayed_offer_answer_in_ack() {
    let mut scene = Scene::new();
    let invite = request("INVITE", 1);
    let key = scene.play(0, (ALICE, BOB), &invite);
    scene.play(10, (BOB, ALICE), &invite.answered(200, "b").sdp(&audio("10.0.0.3", 6000)));
    scene.play(20, (ALICE, BOB), &request("ACK", 1).within("b").sdp(&audio("10.0.0.1", 4000)));
    assert_eq!(
        scene.in_force(key),
        ["Callee 10.0.0.3:6000 SendRecv", "Caller 10.0.0.1:4000 SendRecv"]
    );
}

#[test]
fn reinvite_moves_port() {
    let (mut scene, key) = Scene::established();
    scene.actions();
    let reinvite = request("INVITE", 2).within("b").sdp(&audio("10.0.0.1", 4444));
    scene.play(10_000, (ALICE, BOB), &reinvite);
    assert_eq!(scene.in_force(key).len(), 3, "until the answer, media may use both");
    scene.play(10_050, (BOB, ALICE), &reinvite.answered(200, "b").sdp(&audio("10.0.0.3", 6000)));
    assert_eq!(
        scene.in_force(key),
        ["Callee 10.0.0.3:6000 SendRecv", "Caller 10.0.0.1:4444 SendRecv"]
    );
    let call = scene.call(key);
    assert_eq!(call.announced[0].until, Some(at(10_050)));
    assert_eq!(call.announced[2].time, at(10_000));
    assert_eq!(scene.actions().len(), 2);
}

#[test]
fn reinvite_from_the_callee_moves_the_callee() {
    let (mut scene, key) = Scene::established();
    let reinvite = request("INVITE", 77).within("b").swapped().sdp(&audio("10.0.0.3", 6666));
    scene.play(10_000, (BOB, ALICE), &reinvite);
    scene.play(10_050, (ALICE, BOB), &reinvite.answered(200, "a").sdp(&audio("10.0.0.1", 4002)));
    assert_eq!(
        scene.in_force(key),
        ["Callee 10.0.0.3:6666 SendRecv", "Caller 10.0.0.1:4002 SendRecv"]
    );
    assert_eq!(scene.call(key).legs.len(), 1);
}

#[test]
fn failed_reinvite_keeps_the_old_session() {
    let (mut scene, key) = Scene::established();
    let before = scene.in_force(key);
    let fax = "c=IN IP4 10.0.0.1\r\nm=image 4500 udptl t38\r\n";
    let reinvite = request("INVITE", 2).within("b").sdp(fax);
    scene.play(10_000, (ALICE, BOB), &reinvite);
    scene.play(10_050, (BOB, ALICE), &reinvite.answered(488, "b"));
    assert_eq!(scene.in_force(key), before);
    assert_eq!(scene.call(key).announced[2].until, Some(at(10_050)));
    assert_eq!(scene.end(key), None, "the call goes on");
    scene.dialogs.advance(at(60_000));
    assert_eq!(scene.end(key), None);
}

#[test]
fn a_late_copy_does_not_bring_the_old_port_back() {
    let (mut scene, key) = Scene::established();
    let reinvite = request("INVITE", 2).within("b").sdp(&audio("10.0.0.1", 4444));
    scene.play(10_000, (ALICE, BOB), &reinvite);
    scene.play(10_050, (BOB, ALICE), &reinvite.answered(200, "b").sdp(&audio("10.0.0.3", 6666)));
    let after = scene.in_force(key);
    let first = request("INVITE", 1).sdp(&audio("10.0.0.1", 4000));
    scene.play(10_060, (ALICE, BOB), &first);
    scene.play(10_070, (BOB, ALICE), &first.answered(200, "b").sdp(&audio("10.0.0.3", 6000)));
    scene.play(10_080, (BOB, ALICE), &reinvite.answered(200, "b").sdp(&audio("10.0.0.3", 6666)));
    assert_eq!(scene.in_force(key), after);
}

#[test]
fn codec_change_is_a_new_announcement() {
    let (mut scene, key) = Scene::established();
    let offer = audio("10.0.0.1", 4000).replace("0 8", "9");
    let reinvite = request("INVITE", 2).within("b").sdp(&offer);
    scene.play(10_000, (ALICE, BOB), &reinvite);
    scene.play(
        10_050,
        (BOB, ALICE),
        &reinvite.answered(200, "b").sdp(&audio("10.0.0.3", 6000).replace("0 8", "9")),
    );
    let open: Vec<_> = scene.call(key).announced.iter().filter(|it| it.until.is_none()).collect();
    assert!(open.iter().all(|it| it.formats.0.len() == 1 && it.formats.0[0].payload_type == 9));
    assert_eq!((open.len(), scene.call(key).announced[0].formats.0.len()), (2, 2));
}

#[test]
fn hold_holds_off_the_timer() {
    let (mut scene, key) = Scene::established();
    scene.dialogs.media_seen(key, at(3_000));
    let hold = request("INVITE", 2).within("b").sdp(&(audio("10.0.0.1", 4000) + "a=sendonly\r\n"));
    scene.play(10_000, (ALICE, BOB), &hold);
    scene.play(
        10_050,
        (BOB, ALICE),
        &hold.answered(200, "b").sdp(&(audio("10.0.0.3", 6000) + "a=recvonly\r\n")),
    );
    assert_eq!(
        scene.in_force(key),
        ["Caller 10.0.0.1:4000 SendOnly", "Callee 10.0.0.3:6000 RecvOnly"]
    );
    scene.dialogs.advance(at(3_600_000));
    assert_eq!(scene.end(key), None);
    let resume = request("INVITE", 3).within("b").sdp(&audio("10.0.0.1", 4000));
    scene.play(3_600_000, (ALICE, BOB), &resume);
    scene.play(3_600_050, (BOB, ALICE), &resume.answered(200, "b").sdp(&audio("10.0.0.3", 6000)));
    assert_eq!(
        scene.in_force(key),
        ["Caller 10.0.0.1:4000 SendRecv", "Callee 10.0.0.3:6000 SendRecv"]
    );
    scene.dialogs.advance(at(3_600_050 + 300_000));
    assert_eq!(scene.end(key), Some((3_600_050, EndReason::Timeout)));
}

#[test]
fn hold_by_zero_address_keeps_the_address() {
    let (mut scene, key) = Scene::established();
    let hold = request("INVITE", 2).within("b").sdp(&audio("0.0.0.0", 4000));
    scene.play(10_000, (ALICE, BOB), &hold);
    scene.play(10_050, (BOB, ALICE), &hold.answered(200, "b").sdp(&audio("10.0.0.3", 6000)));
    assert_eq!(
        scene.in_force(key),
        ["Callee 10.0.0.3:6000 SendRecv", "Caller 10.0.0.1:4000 SendOnly"]
    );
    assert!(scene.call(key).on_hold());
    // Third-party call control begins so: there is no address yet.
    let mut scene = Scene::new();
    let key = scene.play(0, (ALICE, BOB), &request("INVITE", 1).sdp(&audio("0.0.0.0", 4000)));
    assert!(scene.in_force(key).is_empty());
}

#[test]
fn update_and_prack_carry_offers_too() {
    let mut scene = Scene::new();
    let invite = request("INVITE", 1);
    let key = scene.play(0, (ALICE, BOB), &invite);
    scene.play(10, (BOB, ALICE), &invite.answered(183, "b").sdp(&audio("10.0.0.3", 6000)));
    let prack = request("PRACK", 2).within("b").sdp(&audio("10.0.0.1", 4000));
    scene.play(20, (ALICE, BOB), &prack);
    scene.play(30, (BOB, ALICE), &prack.answered(200, "b"));
    assert_eq!(
        scene.in_force(key),
        ["Callee 10.0.0.3:6000 SendRecv", "Caller 10.0.0.1:4000 SendRecv"]
    );
    let update = request("UPDATE", 3).within("b").sdp(&audio("10.0.0.1", 4002));
    scene.play(40, (ALICE, BOB), &update);
    scene.play(50, (BOB, ALICE), &update.answered(200, "b").sdp(&audio("10.0.0.3", 6002)));
    assert_eq!(
        scene.in_force(key),
        ["Caller 10.0.0.1:4002 SendRecv", "Callee 10.0.0.3:6002 SendRecv"]
    );
    let refused = request("UPDATE", 4).within("b").sdp(&audio("10.0.0.1", 4004));
    scene.play(60, (ALICE, BOB), &refused);
    scene.play(70, (BOB, ALICE), &refused.answered(491, "b"));
    assert_eq!(
        scene.in_force(key),
        ["Caller 10.0.0.1:4002 SendRecv", "Callee 10.0.0.3:6002 SendRecv"]
    );
    scene.play(80, (BOB, ALICE), &invite.answered(200, "b"));
    assert_eq!((scene.end(key), scene.call(key).answered), (None, Some(at(80))));
}

#[test]
fn video_comes_and_goes() {
    let (mut scene, key) = Scene::established();
    let video = |port: u16| audio("10.0.0.1", 4000) + &format!("m=video {port} RTP/AVP 31\r\n");
    let add = request("INVITE", 2).within("b").sdp(&video(4010));
    scene.play(10_000, (ALICE, BOB), &add);
    scene.play(10_050, (BOB, ALICE), &add.answered(200, "b"));
    assert_eq!(scene.in_force(key)[2], "Caller 10.0.0.1:4010 SendRecv");
    assert_eq!(
        (scene.call(key).announced[2].line, scene.call(key).announced[2].media),
        (1, MediaKind::Video)
    );
    let refused = request("INVITE", 3).within("b").sdp(&video(0));
    scene.play(11_000, (ALICE, BOB), &refused);
    scene.play(11_050, (BOB, ALICE), &refused.answered(500, "b"));
    assert_eq!(scene.in_force(key).len(), 3, "the removal failed");
    let remove = request("INVITE", 4).within("b").sdp(&video(0));
    scene.play(12_000, (ALICE, BOB), &remove);
    scene.play(12_050, (BOB, ALICE), &remove.answered(200, "b"));
    assert_eq!(scene.in_force(key).len(), 2);
    assert_eq!(scene.call(key).announced[2].until, Some(at(12_050)));
}

#[test]
fn encryption_that_only_one_side_offers_is_not_in_use() {
    let keyed = |body: String| body + "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x\r\n";
    for (answer_has_keys, profile, secure) in
        [(true, "RTP/AVP", true), (false, "RTP/AVP", false), (true, "RTP/SAVP", true)]
    {
        let with_profile = |body: String| body.replace("RTP/AVP", profile);
        let mut scene = Scene::new();
        let invite = request("INVITE", 1).sdp(&with_profile(keyed(audio("10.0.0.1", 4000))));
        let key = scene.play(0, (ALICE, BOB), &invite);
        assert!(scene.call(key).announced[0].secure, "as far as the offer says");
        let answer = audio("10.0.0.3", 6000);
        let answer = with_profile(if answer_has_keys { keyed(answer) } else { answer });
        scene.play(10, (BOB, ALICE), &invite.answered(200, "b").sdp(&answer));
        let found: Vec<_> = scene.call(key).announced.iter().map(|it| it.secure).collect();
        assert_eq!(found, [secure, secure], "{profile}");
        assert_eq!(scene.call(key).announced[0].keying, Keying::Sdes);
    }
}

#[test]
fn a_part_of_a_multipart_body_announces_too() {
    let mut scene = Scene::new();
    let sdp = "c=IN IP4 10.0.0.1\r\nm=audio 4000 RTP/AVP 0\r\na=label:1\r\nm=audio 4002 RTP/AVP 0\r\na=label:2\r\n";
    let body = format!(
        "--b\r\nContent-Type: application/sdp\r\n\r\n{sdp}\r\n--b\r\nContent-Type: application/rs-metadata+xml\r\n\r\n<x/>\r\n--b--\r\n"
    );
    let key = scene.play(
        0,
        (ALICE, BOB),
        &request("INVITE", 1).body("multipart/mixed;boundary=b", &body),
    );
    let labels: Vec<_> =
        scene.call(key).announced.iter().map(|it| (it.line, it.label.as_deref())).collect();
    assert_eq!(labels, [(0, Some("1")), (1, Some("2"))]);
}

#[test]
fn copies_in_two_vlans_are_announced_in_both() {
    let mut scene = Scene::new();
    let invite = request("INVITE", 1).sdp(&audio("10.0.0.1", 4000));
    let key = scene.play(0, (ALICE, BOB), &invite);
    scene.domain = Domain::UNTAGGED.within_vlan(7);
    scene.play(0, (ALICE, BOB), &invite);
    let domains: Vec<_> = scene.call(key).announced.iter().map(|it| it.domain).collect();
    assert_eq!(domains, [Domain::UNTAGGED, Domain::UNTAGGED.within_vlan(7)]);
}

#[test]
fn what_one_call_can_keep_is_limited() {
    let (mut scene, key) = Scene::established();
    for cseq in 2..1_000 {
        let port = u16::try_from(cseq).unwrap() * 10;
        let reinvite = request("INVITE", cseq).within("b").sdp(&audio("10.0.0.1", port));
        scene.play(10_000, (ALICE, BOB), &reinvite);
        scene.play(10_000, (BOB, ALICE), &reinvite.answered(200, "b"));
    }
    let call = scene.call(key);
    let endpoints: usize = call.announced.iter().map(|it| it.endpoints().count()).sum();
    assert!(endpoints <= base::limits::ENDPOINTS_PER_CALL_MAX && endpoints > 200, "{endpoints}");
    assert_eq!(call.announced.len() as u64 + call.announced_not_kept, 1_000);
    assert_eq!((call.ladder.len(), call.ladder.not_kept()), (512, 4 + 998 * 2 - 512));
    scene.play(11_000, (ALICE, BOB), &request("BYE", 2_000).within("b"));
    assert_eq!(
        scene.call(key).ended.map(|(time, _)| time),
        Some(Timestamp::from_nanos(at(11_000).as_nanos()))
    );
}
