use base::{Encoding, Format};

use super::*;

fn endpoint(text: &str) -> Option<Endpoint> {
    Some(text.parse().unwrap())
}

fn lines(text: &str) -> Vec<MediaLine> {
    Description::parse(text.as_bytes()).media
}

fn only(text: &str) -> MediaLine {
    let mut media = lines(text);
    assert_eq!(media.len(), 1);
    media.remove(0)
}

#[test]
fn an_offer_is_taken_apart() {
    let media = lines(
        "v=0\r\no=- 1 2 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\na=sendonly\r\n\
m=audio 49170 RTP/AVP 8 0 101 96 97\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\n\
a=rtpmap:96 opus/48000/2\r\na=fmtp:96 useinbandfec=1; stereo=0\r\na=ptime:20\r\na=label:1\r\n\
m=video 0 RTP/AVP 31\r\n\
m=image 49172 udptl t38\r\nc=IN IP6 2001:db8::7\r\na=inactive\r\n",
    );
    let [audio, video, image] = &media[..] else { panic!("{media:?}") };
    assert_eq!((audio.media, audio.profile), (MediaKind::Audio, Profile::RtpAvp));
    assert_eq!(
        (audio.endpoint, audio.rtcp),
        (endpoint("192.0.2.1:49170"), endpoint("192.0.2.1:49171"))
    );
    assert_eq!((audio.direction, audio.ptime_ms), (Direction::SendOnly, Some(20)));
    assert_eq!((audio.label.as_deref(), audio.keying), (Some("1"), Keying::None));
    let wanted = [
        (8, Encoding::Pcma, 8_000, None),
        (0, Encoding::Pcmu, 8_000, None),
        (101, Encoding::TelephoneEvent, 8_000, Some("0-16")),
        (96, Encoding::Other("OPUS".into()), 48_000, Some("useinbandfec=1; stereo=0")),
    ];
    let wanted = wanted.map(|(payload_type, encoding, clock_rate_hz, parameters)| {
        let parameters = parameters.map(str::to_owned);
        Format { payload_type, encoding, clock_rate_hz, parameters }
    });
    assert_eq!(audio.formats.0, wanted, "97 is dynamic and nothing explains it");
    assert_eq!((video.media, video.port), (MediaKind::Video, 0));
    assert_eq!((image.media, image.profile), (MediaKind::Image, Profile::Udptl));
    assert_eq!(
        (image.endpoint, image.direction),
        (endpoint("[2001:db8::7]:49172"), Direction::Inactive)
    );
    assert!(image.formats.0.is_empty());
}

#[test]
fn what_real_devices_send_is_forgiven() {
    let media = only(
        " c=IN IP4 192.0.2.1/127 \nm=audio 4000/2  RTP/AVP  0   0\na=rtpmap: 0 PCMU/8000/1\ngarbage\n\0\n",
    );
    assert_eq!(media.endpoint, endpoint("192.0.2.1:4000"));
    assert_eq!(media.formats.0.len(), 1);
    let without_version = only("m=audio 4000 rtp/avp 0\rc=IN IP4 192.0.2.1\r");
    assert_eq!(without_version.endpoint, endpoint("192.0.2.1:4000"));
    assert_eq!(only("c=IN IP4 host.example.com\nm=audio 4000 RTP/AVP 0").endpoint, None);
    assert_eq!(only("m=audio 99999 RTP/AVP 0").port, 0);
    assert_eq!(lines("m="), [only("m= 0")], "a line keeps its place even if it is empty");
    assert!(lines("").is_empty());
}

#[test]
fn rtcp_goes_where_it_is_said_to_go() {
    for (attribute, wanted) in [
        ("", "192.0.2.1:4001"),
        ("a=rtcp:53020", "192.0.2.1:53020"),
        ("a=rtcp:53020 IN IP4 198.51.100.4", "198.51.100.4:53020"),
        ("a=rtcp:53020\na=rtcp-mux", "192.0.2.1:4000"),
    ] {
        let media = only(&format!("c=IN IP4 192.0.2.1\nm=audio 4000 RTP/AVP 0\n{attribute}"));
        assert_eq!(media.rtcp, endpoint(wanted), "{attribute}");
    }
    assert_eq!(only("c=IN IP4 192.0.2.1\nm=audio 65535 RTP/AVP 0").rtcp, None);
}

#[test]
fn udp_candidates_are_further_addresses() {
    let media = only(
        "c=IN IP4 192.0.2.1\nm=audio 4000 UDP/TLS/RTP/SAVPF 111\na=fingerprint:sha-256 00\n\
a=candidate:1 1 UDP 2130706431 10.0.0.5 5000 typ host\n\
a=candidate:1 2 udp 2130706430 10.0.0.5 5001 typ host\n\
a=candidate:2 1 TCP 2105458943 10.0.0.5 9 typ host tcptype active\n\
a=candidate:3 1 UDP 1 192.0.2.1 4000 typ srflx raddr 10.0.0.5 rport 5000\n\
a=candidate:4 1 UDP 1 0a1b.local 5000 typ host\n\
a=ssrc:1234 cname:x\na=ssrc:1234 msid:y\na=ssrc:99 cname:x\na=mid:0",
    );
    let wanted: Vec<Endpoint> =
        ["10.0.0.5:5000", "10.0.0.5:5001"].map(|it| it.parse().unwrap()).into();
    assert_eq!(media.candidates, wanted);
    assert_eq!((media.profile, media.keying), (Profile::RtpSavpf, Keying::Dtls));
    assert_eq!((media.ssrcs, media.mid.as_deref()), (vec![1234, 99], Some("0")));
}

#[test]
fn keys_in_the_signalling_win_over_dtls() {
    let media = only(
        "a=fingerprint:sha-1 00\nm=audio 4000 RTP/SAVP 0\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x\na=fingerprint:sha-1 00",
    );
    assert_eq!((media.profile, media.keying), (Profile::RtpSavp, Keying::Sdes));
    assert_eq!(only("a=fingerprint:sha-1 00\nm=audio 4000 RTP/AVP 0").keying, Keying::Dtls);
}

#[test]
fn limits_hold() {
    assert_eq!(lines(&"m=audio 4000 RTP/AVP 0\n".repeat(100)).len(), 32);
    let many: String = (0..100)
        .map(|n| format!("a=candidate:1 1 UDP 1 10.0.0.1 {} typ host\n", n + 5_000))
        .collect();
    assert_eq!(only(&format!("m=audio 4000 RTP/AVP 0\n{many}")).candidates.len(), 32);
    let long = format!("m=audio 4000 RTP/AVP 0\na=fmtp:0 {}", "x".repeat(513));
    assert_eq!(only(&long).formats.0[0].parameters, None);
}
