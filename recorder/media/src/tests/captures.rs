//! Real captures: what is counted of each stream, the payload of its unique packets in order, and that
//! the FLAC holds just that.
//!
//! Reads `$SPANREEL_CAPTURES` or `../shared/captures` beside the repository; without it, nothing is tested
//! and the output says so.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use base::{Endpoint, Ledger};
use capture::{FileSource, Poll, Source};
use demux::{Demux, Packet};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::*;
use crate::heard::{Heard, hear};
use crate::streams::split;

/// SRTP, of which tshark knows how long the authentication tag is: its payload is without.
const SRTP: [&str; 4] = [
    "derived__synth/sdes_srtp_udp",
    "derived__synth/sip_tls1",
    "ntop__nDPI/tests__cfgs__default__pcap__stun_dtls_rtp",
    "ntop__nDPI/tests__cfgs__default__pcap__stun_google_meet",
];

pub(super) fn folder() -> Option<PathBuf> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/captures");
    let folder = std::env::var_os("SPANREEL_CAPTURES").map_or(PathBuf::from(beside), PathBuf::from);
    folder.join("expected").is_dir().then_some(folder)
}

pub(super) type Datagrams = Vec<(Timestamp, u16, Vec<u8>)>;

/// All datagrams of a capture, by who sent them to whom.
pub(super) fn flows_of(path: &Path) -> BTreeMap<(Endpoint, Endpoint), Datagrams> {
    let mut flows: BTreeMap<_, Datagrams> = BTreeMap::new();
    let Ok(mut source) = FileSource::open(path) else { return flows };
    let (mut demux, mut ledger) = (Demux::new(), Ledger::default());
    let mut take = |time, packet: Packet<'_>| {
        if let Packet::Udp { key, payload, wire_bytes, .. } = packet {
            let flow = flows.entry((key.source, key.destination)).or_default();
            flow.push((time, wire_bytes, payload.to_vec()));
        }
    };
    loop {
        let poll = source.poll(&mut |frame| {
            let _ = demux.frame(&frame, &mut ledger, &mut take);
        });
        if !matches!(poll, Ok(Poll::Frames(_) | Poll::Idle)) {
            return flows;
        }
    }
}

/// What `expected` says the dynamic payload types of a stream are, as far as it matters here.
pub(super) fn formats_of(stream: &Value) -> Formats {
    let mut formats = Formats::default();
    for (number, kind) in stream["payload_types"].as_object().unwrap() {
        let encoding = match kind["name"].as_str().unwrap_or_default() {
            "telephone-event" => Encoding::TelephoneEvent,
            "Comfort noise" => Encoding::ComfortNoise,
            _ => continue,
        };
        let payload_type = number.parse().unwrap();
        formats.0.push(Format { payload_type, encoding, clock_rate_hz: 8_000, parameters: None });
    }
    formats
}

/// How a stream differs from what is expected of it.
fn differences(heard: &Heard<'_>, stream: &Value, encrypted_from: Timestamp) -> Vec<String> {
    let mut differences = Vec::new();
    let counts = heard.counts;
    // tshark takes the packet that an ICMP error quotes for another copy of it.
    let quoted = stream["packets"].as_u64().unwrap_or(0).saturating_sub(counts.packets);
    for (what, ours) in [
        ("packets", counts.packets + quoted),
        ("unique", counts.unique),
        ("lost", counts.lost),
        ("duplicates", counts.duplicates + quoted),
        ("reordered", counts.late),
    ] {
        if stream[what].as_u64() != Some(ours) {
            differences.push(format!("{what} {} not {ours}", stream[what]));
        }
    }
    let mut hashes: HashMap<u8, Sha256> = HashMap::new();
    for packet in heard.unique.iter().filter(|packet| packet.time < encrypted_from) {
        hashes.entry(packet.payload_type).or_default().update(packet.payload);
    }
    for (number, kind) in stream["payload_types"].as_object().unwrap() {
        let ours = hashes.remove(&number.parse().unwrap()).map(|hash| hash.finalize());
        let ours = ours.map(|digest| digest.iter().map(|b| format!("{b:02x}")).collect::<String>());
        if kind["payload_sha256"].as_str() != ours.as_deref() {
            differences.push(format!("payload of type {number}"));
        }
    }
    differences
}

/// Whether `channel` is `sound` with silence inserted and nothing else.
fn is_sound_and_silence(channel: &[i32], sound: &[i32]) -> bool {
    let mut sound = sound.iter().peekable();
    channel.iter().all(|s| sound.next_if_eq(&s).is_some() || *s == 0) && sound.next().is_none()
}

/// Finishes the flow of a stream alone and compares the audio.
fn audio_differs(flow: &FlowInput<'_>, ssrc: u32) -> Option<String> {
    let reference = Timestamp::ZERO;
    let own = split(flow, 0).streams.into_iter().find(|own| own.ssrc == ssrc)?;
    let heard = hear(0, flow, own, reference, Timestamp::MAX);
    let sounds = heard.voice.sounds.iter();
    let sound: Vec<i32> = sounds
        .flat_map(|s| s.payload.iter().map(|code| i32::from(s.law.table()[usize::from(*code)])))
        .collect();
    let done =
        finish(&CallInput::default(), std::slice::from_ref(flow), &Params::default()).unwrap();
    let ssrc = format!("0x{:08x}", heard.ssrc);
    let report = done.streams.iter().find(|report| report.stream.ssrc == ssrc)?;
    if done.streams.len() > 1 {
        return None;
    }
    let mut channel = Vec::new();
    for file in done.files.iter().filter(|file| report.stream.media_files.contains(&file.name)) {
        channel.extend(channels(&file.bytes).remove(0));
    }
    let took = report.stream.stop_time.since(report.stream.start_time).as_secs_f64();
    let plays = channel.len() as f64 / 8_000.0;
    println!(
        "    {:9} {ssrc} {took:8.2} s, plays {plays:8.2} s, {} corrections of {} samples, {} gaps, MOS {:.2}",
        heard.codec,
        report.corrections.len(),
        report.corrections.iter().map(|c| c.samples).sum::<i64>(),
        done.gaps.len(),
        report.stream.mos.unwrap_or_default(),
    );
    (!is_sound_and_silence(&channel, &sound)).then(|| "the audio".to_owned())
}

pub(super) fn flow(
    source: Endpoint,
    destination: Endpoint,
    datagrams: &Datagrams,
    formats: Formats,
) -> FlowInput<'_> {
    let packets = datagrams.iter().map(|(time, wire_bytes, payload)| MediaPacket {
        time: *time,
        payload,
        wire_bytes: *wire_bytes,
    });
    FlowInput {
        key: FlowKey { source, destination, ..FlowKey::default() },
        side: Side::Caller,
        media: "audio".into(),
        formats,
        secure: false,
        packets: packets.collect(),
    }
}

/// Compares one stream. `None` if this build does not reach it (tunnels, TCP).
fn compare(
    flows: &BTreeMap<(Endpoint, Endpoint), Datagrams>,
    stream: &Value,
) -> Option<Vec<String>> {
    let endpoint =
        |name: &str| stream[name].as_str().and_then(|text| text.parse::<Endpoint>().ok());
    let (source, destination) = (endpoint("src")?, endpoint("dst")?);
    let datagrams = flows.get(&(source, destination))?;
    let ssrc = u32::from_str_radix(stream["ssrc"].as_str()?.trim_start_matches("0x"), 16).ok()?;
    let flow = flow(source, destination, datagrams, formats_of(stream));
    let reference = flow.packets.iter().map(|packet| packet.time).min()?;
    let back = flows.get(&(destination, source));
    let back = back.map(|datagrams| self::flow(destination, source, datagrams, Formats::default()));
    let agreed = [Some(&flow), back.as_ref()].map(|flow| split(flow?, 0).agreed);
    let encrypted_from = agreed.into_iter().flatten().min().unwrap_or(Timestamp::MAX);
    let mut own = split(&flow, 0).streams.into_iter().find(|own| own.ssrc == ssrc)?;
    // tshark takes for RTP what comes after its SDP, not before.
    let second = |name: &str| (stream[name].as_f64().unwrap_or(0.0) * 1e9) as u64;
    let seen = second("first_time").saturating_sub(2_000)..second("last_time") + 2_000;
    own.packets.retain(|packet| seen.contains(&packet.time.as_nanos()));
    let heard = hear(0, &flow, own, reference, encrypted_from);
    let mut all = differences(&heard, stream, encrypted_from);
    if !heard.voice.sounds.is_empty() && agreed == [None, None] {
        all.extend(audio_differs(&flow, ssrc));
    }
    Some(all)
}

#[test]
fn real_streams_are_as_expected() {
    let Some(folder) = folder() else {
        println!("skipped: no captures (set SPANREEL_CAPTURES to their folder)");
        return;
    };
    let (mut as_expected, mut not_reached, mut encrypted, mut wrong) = (0, 0, 0, Vec::new());
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder.join("expected"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    for file in files {
        let expected: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        let name = expected["file"].as_str().unwrap();
        let lists = ["rtp_streams", "rtp_streams_without_sdp"];
        let streams: Vec<&Value> =
            lists.iter().filter_map(|list| expected[*list].as_array()).flatten().collect();
        if streams.is_empty() {
            continue;
        }
        println!("{name}");
        let flows = flows_of(&folder.join("files").join(name));
        for stream in streams {
            match compare(&flows, stream) {
                None => not_reached += 1,
                Some(differences) if differences.is_empty() => as_expected += 1,
                Some(differences) => {
                    let row = format!("{name} {}: {}", stream["ssrc"], differences.join(", "));
                    if SRTP.iter().any(|part| row.contains(part))
                        && row.matches("payload").count() == 1
                    {
                        encrypted += 1;
                    } else {
                        wrong.push(row);
                    }
                }
            }
        }
    }
    println!(
        "{as_expected} streams as expected, {encrypted} of SRTP as expected but for the tag, \
         {not_reached} not reached (tunnels, TCP)"
    );
    assert!(wrong.is_empty(), "{} streams differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(as_expected > 0);
}
