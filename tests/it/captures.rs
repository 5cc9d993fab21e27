//! Over every shared capture: are its calls, parties, times and streams found, and is the sound exact?
//!
//! A capture may need what is not built yet (a tunnel, SRTP, another transport). Which one, is decided by
//! the capture's tags, and only what that feature explains is forgiven. Nothing else may differ.
//!
//! The published answers come from tshark, which takes a stream for RTP only from its session description
//! on. Where it so missed the beginning or an end, what is read from the capture here ([`rtp`]) counts.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use base::recording::{Recording, Stream as Found};
use base::{Endpoint, Side};
use rayon::prelude::*;
use wiring::synth::Law;

use crate::audio::{self, Audio, Sound};
use crate::expected::{self, Call, Case, Sdp, Stream, moment};
use crate::harness::{self, Data, sha256, tell};
use crate::rtp::{self, Rtp, StreamKey};

type Packets = HashMap<StreamKey, Vec<Rtp>>;

/// How a capture did.
enum Verdict {
    Passed { recordings: usize, exact: usize, kept: usize },
    Waits { feature: &'static str, problem: String },
    NoCall,
    Failed(Vec<String>),
}

/// What is not built yet, and the tags or link types of captures that need it.
const LATER: [(&str, &[&str]); 5] = [
    (
        "tunnels",
        &[
            "gre", "erspan", "vxlan", "geneve", "gtp", "mpls", "pppoe", "ip-in-ip", "l2tp", "tzsp",
            "ppp",
        ],
    ),
    ("SIP over TLS", &["sip-tls"]),
    ("SIP over WebSocket", &["websocket"]),
    ("SCTP", &["sctp"]),
    ("SRTP", &["srtp", "savp", "zrtp"]),
];

#[test]
fn the_calls_of_real_captures_are_found_and_sound_exact() {
    let Some(folder) = expected::folder() else {
        return tell(
            "SKIPPED: no captures in ../shared/captures, and SPANREEL_CAPTURES names no folder of them",
        );
    };
    harness::spanreel();
    let cases = expected::cases(&folder);
    let verdicts: Vec<Verdict> = cases.par_iter().map(judge).collect();
    let lines = cases.iter().zip(&verdicts).map(|(case, verdict)| line(case, verdict));
    tell(&lines.collect::<Vec<_>>().join("\n"));
    tell(&summary(&verdicts));
    let failed = verdicts.iter().filter(|v| matches!(v, Verdict::Failed(_))).count();
    assert_eq!(failed, 0, "captures failed; the table above says which and why");
}

fn line(case: &Case, verdict: &Verdict) -> String {
    let name = &case.name;
    match verdict {
        Verdict::Passed { recordings, exact, kept } => {
            format!(
                "passed   {name}: {recordings} recordings, {exact} streams bit-exact, {kept} kept as packets"
            )
        }
        Verdict::Waits { feature, problem } => {
            format!("waits    {name}: for {feature} ({problem})")
        }
        Verdict::NoCall => format!("no call  {name}"),
        Verdict::Failed(problems) => {
            format!("FAILED   {name}:\n           {}", problems.join("\n           "))
        }
    }
}

fn summary(verdicts: &[Verdict]) -> String {
    let count = |of: fn(&Verdict) -> bool| verdicts.iter().filter(|v| of(v)).count();
    let exact: usize = verdicts
        .iter()
        .map(|v| if let Verdict::Passed { exact, .. } = v { *exact } else { 0 })
        .sum();
    format!(
        "{} captures: {} passed ({exact} streams bit-exact), {} wait for a later feature, {} hold no call, \
         {} failed",
        verdicts.len(),
        count(|v| matches!(v, Verdict::Passed { .. })),
        count(|v| matches!(v, Verdict::Waits { .. })),
        count(|v| matches!(v, Verdict::NoCall)),
        count(|v| matches!(v, Verdict::Failed(_))),
    )
}

fn judge(case: &Case) -> Verdict {
    let data = Data::new();
    let ran = data.replay(&case.path);
    let mut check = Check { case, problems: vec![], exact: 0, kept: 0 };
    let status = Some(i32::from(!case.answers.capinfos.error.is_empty()));
    if ran.code != status {
        check.wrong(format!("exit status {:?}, not {status:?}: {}", ran.code, ran.err.trim()));
    }
    let recordings = data.list();
    let packets = rtp::streams(&case.path);
    check.calls(&recordings);
    check.streams(&recordings, &packets);
    check.sound(&data, &recordings, &packets);
    check.verdict(&recordings)
}

/// The comparison of one capture.
struct Check<'a> {
    case: &'a Case,
    problems: Vec<String>,
    exact: usize,
    kept: usize,
}

impl Check<'_> {
    fn verdict(mut self, recordings: &[Recording]) -> Verdict {
        let expects_call = self.case.answers.calls.iter().any(|call| self.is_wanted(call));
        if self.case.has("negative") && !recordings.is_empty() {
            self.problems.push(format!("{} recordings, and there is no call", recordings.len()));
        }
        match (self.problems.first().cloned(), self.later()) {
            (None, _) if expects_call => {
                Verdict::Passed { recordings: recordings.len(), exact: self.exact, kept: self.kept }
            }
            (None, _) => Verdict::NoCall,
            (Some(problem), Some(feature)) => Verdict::Waits { feature, problem },
            (Some(_), None) => Verdict::Failed(self.problems),
        }
    }

    /// The feature without which this capture cannot be understood.
    fn later(&self) -> Option<&'static str> {
        let needs =
            |tags: &[&str]| tags.iter().any(|tag| self.case.has(tag) || self.case.link == **tag);
        LATER.iter().find(|(_, tags)| needs(tags)).map(|(feature, _)| *feature)
    }

    /// Whether a call is to be recorded: it was answered, or had media.
    fn is_wanted(&self, call: &Call) -> bool {
        let streams = &self.case.answers.rtp_streams;
        call.answered || streams.iter().any(|stream| stream.call_ids.contains(&call.call_id))
    }

    fn wrong(&mut self, what: String) {
        self.problems.push(what);
    }

    fn calls(&mut self, recordings: &[Recording]) {
        for call in &self.case.answers.calls {
            let found: Vec<&Recording> =
                recordings.iter().filter(|r| is_of(r, &call.call_id)).collect();
            match found.as_slice() {
                [] if self.is_wanted(call) => {
                    self.wrong(format!("no recording of call {}", call.call_id))
                }
                [] => {}
                [recording] => self.call(call, recording),
                several => {
                    self.wrong(format!("{} recordings of call {}", several.len(), call.call_id))
                }
            }
        }
        for recording in recordings {
            let known =
                |id: &String| self.case.answers.calls.iter().any(|call| call.call_id == *id);
            if let Some(unknown) = recording.call_id.as_ref().filter(|id| !known(id)) {
                self.wrong(format!("a recording of call {unknown}, which is not in the capture"));
            }
        }
    }

    fn call(&mut self, call: &Call, recording: &Recording) {
        let id = &call.call_id;
        let moments = [
            ("start", call.invite_time, Some(recording.start_time)),
            ("answer", call.answer_time, recording.answer_time),
            ("end", call.end_time, Some(recording.stop_time)),
        ];
        for (what, expected, found) in moments {
            let close = |a: base::Timestamp, b| a.signed_nanos_since(b).abs() <= 1_000;
            match (expected.map(moment), found) {
                (Some(expected), Some(found)) if close(expected, found) => {}
                (None, _) => {}
                (expected, found) => {
                    self.wrong(format!("{what} of call {id}: {found:?}, not {expected:?}"))
                }
            }
        }
        self.parties(call, recording);
    }

    fn parties(&mut self, call: &Call, recording: &Recording) {
        for (what, header, found) in [
            ("caller", &call.from, &recording.caller_phone_number),
            ("dialed number", &call.to, &recording.dialed_phone_number),
        ] {
            let expected = header.as_deref().map(user_part).unwrap_or_default();
            if expected != *found {
                self.wrong(format!("{what} of call {}: {found}, not {expected}", call.call_id));
            }
        }
        if let Some(end) = &call.end_by
            && recording.end_reason != *end
        {
            self.wrong(format!(
                "end of call {}: {}, not {end}",
                call.call_id, recording.end_reason
            ));
        }
    }

    fn streams(&mut self, recordings: &[Recording], packets: &Packets) {
        for stream in self.case.answers.rtp_streams.iter().filter(|s| !s.call_ids.is_empty()) {
            let found: Vec<(&Recording, &Found)> = recordings
                .iter()
                .flat_map(|recording| recording.streams.iter().map(move |found| (recording, found)))
                .filter(|(_, found)| key(found) == expected_key(stream))
                .collect();
            let read = packets.get(&expected_key(stream)).map_or(&[][..], Vec::as_slice);
            let claimed = found.iter().any(|(r, _)| stream.call_ids.iter().any(|id| is_of(r, id)));
            if claimed {
                self.counts(stream, &found, read);
                self.sides(stream, &found);
                self.payloads(stream, &found, read);
            } else {
                self.wrong(format!("{} is in no recording of its call", shown(stream)));
            }
        }
    }

    fn counts(&mut self, stream: &Stream, found: &[(&Recording, &Found)], read: &[Rtp]) {
        let once = rtp::unique(read);
        let (all, unique) = (read.len() as u64, once.packets.len() as u64);
        // tshark also counts what ICMP errors quote as copies; and where it saw only a part, so it is.
        let expected = if unique > stream.unique {
            [all, unique, once.lost, all - unique]
        } else {
            [all, stream.unique, stream.lost.max(0) as u64, all - unique]
        };
        // A stream that two calls announced is whole in both; one that they share in turn is in parts.
        let own = |recording: &Recording| stream.call_ids.iter().any(|id| is_of(recording, id));
        let sum = |all: bool| {
            let of =
                found.iter().filter(|(recording, _)| all || own(recording)).map(|(_, found)| found);
            of.fold([0; 4], |[a, b, c, d], f| {
                [a + f.packets, b + f.unique, c + f.lost, d + f.duplicates]
            })
        };
        if sum(true) != expected && sum(false) != expected {
            let (what, counts) = ("packets, unique, lost, duplicates", sum(false));
            self.wrong(format!("{}: {what} are {counts:?}, not {expected:?}", shown(stream)));
        }
    }

    fn sides(&mut self, stream: &Stream, found: &[(&Recording, &Found)]) {
        for (recording, found) in found {
            let call = self.case.answers.calls.iter().find(|call| is_of(recording, &call.call_id));
            if let Some(side) = call.and_then(|call| announced_side(call, stream))
                && side != found.side
            {
                self.wrong(format!(
                    "{} is the {side:?}'s, not the {:?}'s",
                    shown(stream),
                    found.side
                ));
            }
        }
    }

    /// G.711 must have been decoded, and what was read from the capture here must be what is published.
    fn payloads(&mut self, stream: &Stream, found: &[(&Recording, &Found)], read: &[Rtp]) {
        let published = moment(stream.first_time)..=moment(stream.last_time + 1e-6);
        let within: Vec<Rtp> =
            read.iter().filter(|p| published.contains(&p.time)).cloned().collect();
        let unique = rtp::unique(&within).packets;
        for (number, payload) in
            stream.payload_types.iter().filter(|(_, payload)| payload.is_g711())
        {
            if found.iter().any(|(_, found)| !found.state.starts_with("decoded")) {
                let states: Vec<&str> = found.iter().map(|(_, found)| &*found.state).collect();
                self.wrong(format!("{} was not decoded: {states:?}", shown(stream)));
            }
            let bytes =
                unique.iter().filter(|p| p.payload_type == *number).flat_map(|p| &p.payload);
            let same = Some(sha256(bytes.copied().collect::<Vec<_>>())) == payload.payload_sha256;
            if !same && unique.len() as u64 == stream.unique {
                self.wrong(format!("{}: the payload is not what is published", shown(stream)));
            }
        }
    }

    fn sound(&mut self, data: &Data, recordings: &[Recording], packets: &Packets) {
        for recording in recordings {
            let folder = data.export(recording);
            let mut lanes: BTreeMap<Vec<&str>, Vec<&Found>> = BTreeMap::new();
            for stream in &recording.streams {
                let parts =
                    recording.media_files.iter().filter(|file| file.media_type == "audio/flac");
                let parts = parts.filter(|file| stream.media_files.contains(&file.media_id));
                let parts: Vec<&str> = parts.map(|file| file.media_id.as_str()).collect();
                if parts.is_empty() {
                    self.kept += 1;
                } else {
                    lanes.entry(parts).or_default().push(stream);
                }
            }
            for (parts, streams) in lanes {
                self.lane(&folder, recording, &parts, &streams, packets);
            }
        }
    }

    /// One audio file, in parts or not, and the streams that are in it.
    fn lane(
        &mut self,
        folder: &Path,
        recording: &Recording,
        parts: &[&str],
        streams: &[&Found],
        packets: &Packets,
    ) {
        let files =
            recording.media_files.iter().filter(|file| parts.contains(&file.media_id.as_str()));
        let audio = Audio::read(folder, &files.collect::<Vec<_>>());
        let mut places = [vec![], vec![]];
        for stream in streams {
            let channel = usize::from(stream.side == Side::Callee);
            let sounds = sounds(stream, packets.get(&key(stream)).map_or(&[], Vec::as_slice));
            match audio::place(&audio, channel, &sounds) {
                Ok(found) => {
                    self.exact += usize::from(!found.is_empty());
                    places[channel].extend(found);
                }
                Err(why) => {
                    self.wrong(format!("the sound of {} {}: {why}", stream.source, stream.ssrc))
                }
            }
        }
        for (channel, places) in places.iter().enumerate() {
            if let Some(at) = audio::uncalled_for(&audio, channel, places) {
                self.wrong(format!("channel {channel} of {parts:?}: sample {at} is nobody's"));
            }
        }
    }
}

/// The G.711 packets of a stream that the recording says it has, decoded.
fn sounds(stream: &Found, packets: &[Rtp]) -> Vec<Sound> {
    let held = stream.start_time..=stream.stop_time;
    let law = |packet: &Rtp| match packet.payload_type {
        0 => Some(Law::Mu),
        8 => Some(Law::A),
        _ => None,
    };
    let held: Vec<Rtp> =
        packets.iter().filter(|packet| held.contains(&packet.time)).cloned().collect();
    let decode = |packet: &Rtp| {
        let law = law(packet).filter(|_| !packet.payload.is_empty())?;
        let samples = packet.payload.iter().map(|code| law.decode(*code)).collect();
        Some(Sound { arrival: packet.time, timestamp: packet.timestamp, samples })
    };
    rtp::unique(&held).packets.into_iter().filter_map(decode).collect()
}

fn is_of(recording: &Recording, call_id: &str) -> bool {
    recording.call_id.as_deref() == Some(call_id)
}

fn key(stream: &Found) -> StreamKey {
    (stream.source, stream.destination, ssrc(&stream.ssrc))
}

fn expected_key(stream: &Stream) -> StreamKey {
    (endpoint(&stream.src), endpoint(&stream.dst), ssrc(&stream.ssrc))
}

pub(crate) fn ssrc(text: &str) -> u32 {
    u32::from_str_radix(text.trim_start_matches("0x"), 16).expect("an SSRC is hexadecimal")
}

/// The published answers write IPv6 addresses without brackets.
pub(crate) fn endpoint(text: &str) -> Endpoint {
    let (ip, port) = text.rsplit_once(':').expect("an endpoint has a port");
    Endpoint::new(
        ip.trim_matches(['[', ']']).parse().expect("an address"),
        port.parse().expect("a port"),
    )
}

fn shown(stream: &Stream) -> String {
    format!("stream {} > {} {}", stream.src, stream.dst, stream.ssrc)
}

/// What stands before the `@` of the URI in a From or To header field, without password and parameters
/// (RFC 3261, 25.1 and 19.1.6), or the whole URI.
fn user_part(header: &str) -> String {
    let uri = match header.split_once('<') {
        Some((_, rest)) => rest.split('>').next().unwrap_or(rest),
        None => header.split(';').next().unwrap_or(header).trim(),
    };
    let bare = uri.split_once(':').map_or(uri, |(_, rest)| rest);
    bare.split_once('@')
        .map_or(uri, |(user, _)| user.split([':', ';']).next().unwrap_or(user))
        .to_owned()
}

/// Whose stream it is by the session descriptions: whoever sends to where the INVITE's sender wants to
/// hear is the callee. `None` where both or neither announced the destination.
fn announced_side(call: &Call, stream: &Stream) -> Option<Side> {
    let offer = call.sdp.iter().find(|sdp| sdp.msg == "INVITE")?;
    let one_host = call.sdp.iter().all(|sdp| sdp.src == offer.src);
    let is_callers = |sdp: &Sdp| if one_host { sdp.msg == "INVITE" } else { sdp.src == offer.src };
    let announces = |callers: bool| {
        call.sdp.iter().filter(|sdp| is_callers(sdp) == callers).any(|sdp| {
            let port = |line: &String| line.split([' ', '/']).nth(1).map(str::to_owned);
            let mut ports = sdp.media.iter().filter_map(port);
            sdp.conn.iter().any(|ip| ports.any(|port| format!("{ip}:{port}") == stream.dst))
        })
    };
    match (announces(true), announces(false)) {
        (true, false) => Some(Side::Callee),
        (false, true) => Some(Side::Caller),
        _ => None,
    }
}
