//! Media: each stream with its call, its counts and its side; the sound of G.711 exact and in its place;
//! the packets of what is not decoded all kept.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use base::recording::{MediaFile, Recording, Stream as Found};
use base::{Endpoint, Side};
use wiring::synth::Law;

use super::{Check, Kind, is_of};
use crate::audio::{self, Audio, Sound};
use crate::expected::{Call, Sdp, Stream, moment};
use crate::harness::{Data, sha256};
use crate::rtp::{self, Rtp, StreamKey};

type Packets = HashMap<StreamKey, Vec<Rtp>>;

impl Check<'_> {
    pub(super) fn media(&mut self, data: &Data, recordings: &[Recording], packets: &Packets) {
        self.streams(recordings, packets);
        for recording in recordings {
            let folder = data.export(recording);
            let mut lanes: BTreeMap<Vec<&str>, Vec<&Found>> = BTreeMap::new();
            for stream in &recording.streams {
                let parts = files(recording, "audio/flac");
                let parts = parts.filter(|file| stream.media_files.contains(&file.media_id));
                lanes.entry(parts.map(|file| &*file.media_id).collect()).or_default().push(stream);
            }
            self.kept(&folder, recording, &lanes.remove(&vec![]).unwrap_or_default(), packets);
            for (parts, streams) in lanes {
                self.lane(&folder, recording, &parts, &streams, packets);
            }
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
                let text = format!("{} is in no recording of its call", shown(stream));
                self.problem(Kind::Missing, text);
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
            let text = format!("{}: {what} are {counts:?}, not {expected:?}", shown(stream));
            self.problem(Kind::Wrong, text);
        }
    }

    fn sides(&mut self, stream: &Stream, found: &[(&Recording, &Found)]) {
        for (recording, found) in found {
            let call = self.case.answers.calls.iter().find(|call| is_of(recording, &call.call_id));
            if let Some(side) = call.and_then(|call| announced_side(call, stream))
                && side != found.side
            {
                let text =
                    format!("{} is the {side:?}'s, not the {:?}'s", shown(stream), found.side);
                self.problem(Kind::Wrong, text);
            }
        }
    }

    /// G.711 must have been decoded, and what was read from the capture here must be what is published.
    fn payloads(&mut self, stream: &Stream, found: &[(&Recording, &Found)], read: &[Rtp]) {
        let published = moment(stream.first_time)..=moment(stream.last_time + 1e-6);
        let within: Vec<Rtp> =
            read.iter().filter(|p| published.contains(&p.time)).cloned().collect();
        let unique = rtp::unique(&within).packets;
        for (number, payload) in stream.payload_types.iter().filter(|(_, p)| p.is_g711()) {
            if found.iter().any(|(_, found)| !found.state.starts_with("decoded")) {
                let states: Vec<&str> = found.iter().map(|(_, found)| &*found.state).collect();
                let text = format!("{} was not decoded: {states:?}", shown(stream));
                self.problem(Kind::Sound, text);
            }
            let bytes =
                unique.iter().filter(|p| p.payload_type == *number).flat_map(|p| &p.payload);
            let same = Some(sha256(bytes.copied().collect::<Vec<_>>())) == payload.payload_sha256;
            if !same && unique.len() as u64 == stream.unique {
                let text = format!("{}: the payload is not what is published", shown(stream));
                self.problem(Kind::Sound, text);
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
        let files = files(recording, "audio/flac").filter(|file| parts.contains(&&*file.media_id));
        let audio = Audio::read(folder, &files.collect::<Vec<_>>());
        let mut places = [vec![], vec![]];
        for stream in streams {
            let channel = usize::from(stream.side == Side::Callee);
            match audio::place(&audio, channel, &sounds(stream, packets)) {
                Ok(found) => {
                    self.exact += usize::from(!found.is_empty());
                    places[channel].extend(found);
                }
                Err(why) => {
                    let text = format!("the sound of {} {}: {why}", stream.source, stream.ssrc);
                    self.problem(Kind::Sound, text);
                }
            }
        }
        for (channel, places) in places.iter().enumerate() {
            if let Some(at) = audio::uncalled_for(&audio, channel, places) {
                let text = format!("channel {channel} of {parts:?}: sample {at} is nobody's");
                self.problem(Kind::Sound, text);
            }
        }
    }

    /// Streams that are not decoded: every packet must be in the recording's files of packets.
    fn kept(
        &mut self,
        folder: &Path,
        recording: &Recording,
        streams: &[&Found],
        packets: &Packets,
    ) {
        let mut kept = Packets::new();
        for file in files(recording, "application/x-pcapng") {
            for (key, packets) in rtp::streams(&folder.join(file.path.trim_end_matches(".p7m"))) {
                kept.entry(key).or_default().extend(packets);
            }
        }
        for stream in streams {
            let once = |packets: &Packets| {
                rtp::unique(&held(stream, packets)).packets.into_iter().cloned().collect::<Vec<_>>()
            };
            if once(packets) == once(&kept) {
                self.kept += 1;
            } else {
                let text = format!("{} {}: not all packets are kept", stream.source, stream.ssrc);
                self.problem(Kind::Wrong, text);
            }
        }
    }
}

fn files<'a>(recording: &'a Recording, kind: &'a str) -> impl Iterator<Item = &'a MediaFile> {
    recording.media_files.iter().filter(move |file| file.media_type == kind)
}

/// The packets of a stream that the recording says it has.
fn held(stream: &Found, packets: &Packets) -> Vec<Rtp> {
    let span = stream.start_time..=stream.stop_time;
    let all = packets.get(&key(stream)).map_or(&[][..], Vec::as_slice);
    all.iter().filter(|packet| span.contains(&packet.time)).cloned().collect()
}

/// The G.711 among them, decoded.
fn sounds(stream: &Found, packets: &Packets) -> Vec<Sound> {
    let decode = |packet: &Rtp| {
        let law = match packet.payload_type {
            0 => Law::Mu,
            8 => Law::A,
            _ => return None,
        };
        let samples: Vec<i16> = packet.payload.iter().map(|code| law.decode(*code)).collect();
        let sound = Sound { arrival: packet.time, timestamp: packet.timestamp, samples };
        (!sound.samples.is_empty()).then_some(sound)
    };
    rtp::unique(&held(stream, packets)).packets.into_iter().filter_map(decode).collect()
}

fn key(stream: &Found) -> StreamKey {
    (stream.source, stream.destination, ssrc(&stream.ssrc))
}

fn expected_key(stream: &Stream) -> StreamKey {
    (endpoint(&stream.src), endpoint(&stream.dst), ssrc(&stream.ssrc))
}

fn ssrc(text: &str) -> u32 {
    u32::from_str_radix(text.trim_start_matches("0x"), 16).expect("an SSRC is hexadecimal")
}

/// The published answers write IPv6 addresses without brackets.
fn endpoint(text: &str) -> Endpoint {
    let (ip, port) = text.rsplit_once(':').expect("an endpoint has a port");
    let ip = ip.trim_matches(['[', ']']).parse().expect("an address");
    Endpoint::new(ip, port.parse().expect("a port"))
}

fn shown(stream: &Stream) -> String {
    format!("stream {} > {} {}", stream.src, stream.dst, stream.ssrc)
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
