//! What finishing a call's media costs: nanoseconds of CPU time a packet and a sample, beside libFLAC alone.
//!
//! Takes a capture (`spanreel synth --calls 100 --seconds 30 --to FILE` writes one), pairs its flows by their
//! endpoints, and finishes each pair as one call. libFLAC's level 0 encodes the very same sound, decoded
//! already. Both take turns.
#![expect(clippy::print_stdout, reason = "it prints figures")]

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use base::sound::static_format;
use base::{FlowKey, Formats, Ledger, MediaPacket, Side, Timestamp};
use benches::cpu::of_this_thread;
use benches::spread::Spread;
use capture::{FileSource, Poll, Source};
use clap::Parser;
use demux::{Demux, Packet};
use media::{CallInput, FlowInput, Params};

/// Payload types of G.711 (RFC 3551, 6).
const G711: [u8; 2] = [0, 8];

/// Nanoseconds of CPU time that media::finish takes for each packet of a capture.
#[derive(Debug, Parser)]
struct Options {
    /// The capture: calls in G.711.
    file: Option<PathBuf>,
    /// How often each is measured.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// What cargo says; without meaning here.
    #[arg(long, hide = true)]
    bench: bool,
}

type Datagrams = Vec<(Timestamp, u16, Vec<u8>)>;

fn main() -> Result<()> {
    let options = Options::parse();
    let Some(file) = options.file else {
        println!(
            "skipped: no capture; spanreel synth --calls 100 --seconds 30 --to FILE writes one"
        );
        return Ok(());
    };
    let flows = flows_of(&file).with_context(|| file.display().to_string())?;
    let calls = calls(&flows);
    let packets: usize = calls.iter().flatten().map(|flow| flow.packets.len()).sum();
    let (mut ours, mut theirs) = (Spread::default(), Spread::default());
    let (mut our_bytes, mut their_bytes, mut samples) = (0, 0, 0);
    for _ in 0..options.rounds {
        let began = of_this_thread();
        let mut files = Vec::new();
        for call in &calls {
            files.extend(media::finish(&CallInput::default(), call, &Params::default())?.files);
        }
        ours.add((of_this_thread() - began) as f64 / packets as f64);
        files.retain(|file| file.media_type == "audio/flac");
        our_bytes = files.iter().map(|file| file.bytes.len()).sum();
        samples = files.iter().map(|file| file.samples * u64::from(file.channels)).sum::<u64>();
        let (mut nanos, mut bytes) = (0, 0);
        for file in &files {
            let planes = decode(&file.bytes)?;
            let began = of_this_thread();
            bytes += by_libflac(&planes)?;
            nanos += of_this_thread() - began;
        }
        their_bytes = bytes;
        theirs.add(nanos as f64 / packets as f64);
    }
    let per_sample = |spread: &Spread| spread.median() * packets as f64 / samples as f64;
    println!(
        "{} calls, {packets} packets, {samples} samples; ns of CPU time a packet: median [least-most]",
        calls.len()
    );
    println!("media::finish    {ours} = {:.2} a sample; {our_bytes} bytes", per_sample(&ours));
    println!(
        "libFLAC level 0  {theirs} = {:.2} a sample; {their_bytes} bytes",
        per_sample(&theirs)
    );
    Ok(())
}

/// All datagrams of a capture that look like G.711 in RTP, by flow, in the order of their first.
fn flows_of(file: &Path) -> Result<Vec<(FlowKey, Datagrams)>> {
    let mut source = FileSource::open(file)?;
    let (mut demux, mut ledger) = (Demux::new(), Ledger::default());
    let mut numbers = HashMap::new();
    let mut flows: Vec<(FlowKey, Datagrams)> = Vec::new();
    let mut take = |time, packet: Packet<'_>| {
        let Packet::Udp { key, payload, wire_bytes, .. } = packet else { return };
        let g711 = payload.get(1).is_some_and(|kind| G711.contains(&(kind & 0x7f)));
        if !g711 || payload.first().is_none_or(|flags| flags >> 6 != 2) {
            return;
        }
        let number = *numbers.entry(key).or_insert_with(|| {
            flows.push((key, Vec::new()));
            flows.len() - 1
        });
        if let Some((_, datagrams)) = flows.get_mut(number) {
            datagrams.push((time, wire_bytes, payload.to_vec()));
        }
    };
    while let Poll::Frames(_) | Poll::Idle = source.poll(&mut |frame| {
        let _ = demux.frame(&frame, &mut ledger, &mut take);
    })? {}
    Ok(flows)
}

/// Each flow with the one that comes back, if there is one.
fn calls(flows: &[(FlowKey, Datagrams)]) -> Vec<Vec<FlowInput<'_>>> {
    let mut calls: Vec<Vec<FlowInput<'_>>> = Vec::new();
    let mut open: HashMap<FlowKey, usize> = HashMap::new();
    for (key, datagrams) in flows {
        let flow = |side| FlowInput {
            key: *key,
            side,
            media: "audio".to_owned(),
            formats: Formats(G711.into_iter().filter_map(static_format).collect()),
            secure: false,
            packets: datagrams
                .iter()
                .map(|(time, wire_bytes, payload)| MediaPacket {
                    time: *time,
                    payload,
                    wire_bytes: *wire_bytes,
                })
                .collect(),
        };
        match open.remove(&key.reversed()).and_then(|number| calls.get_mut(number)) {
            Some(call) => call.push(flow(Side::Callee)),
            None => {
                open.insert(*key, calls.len());
                calls.push(vec![flow(Side::Caller)]);
            }
        }
    }
    calls
}

fn decode(file: &[u8]) -> Result<Vec<Vec<i32>>> {
    let mut reader = claxon::FlacReader::new(file)?;
    let mut planes = vec![Vec::new(); reader.streaminfo().channels as usize];
    let count = planes.len().max(1);
    for (at, sample) in reader.samples().enumerate() {
        let sample = sample?;
        planes.iter_mut().skip(at % count).take(1).for_each(|plane| plane.push(sample));
    }
    Ok(planes)
}

fn by_libflac(planes: &[Vec<i32>]) -> Result<usize> {
    let mut written = Vec::new();
    let mut wrapper = flac_bound::WriteWrapper(&mut written);
    let config = flac_bound::FlacEncoder::new().context("libFLAC: out of memory")?;
    let config = config.channels(planes.len() as u32).bits_per_sample(16).sample_rate(8_000);
    let config = config.compression_level(0);
    let mut encoder = config.init_write(&mut wrapper).map_err(|error| anyhow!("{error:?}"))?;
    let planes: Vec<&[i32]> = planes.iter().map(Vec::as_slice).collect();
    encoder.process(&planes).map_err(|()| anyhow!("libFLAC failed"))?;
    encoder.finish().map_err(|_| anyhow!("libFLAC failed"))?;
    Ok(written.len())
}
