//! What each part of the way costs by itself: nanoseconds of CPU time, each part in turn, round after round.
//!
//! The packets are those of synthetic calls (`spanreel synth`), in memory. Sealing stands beside what OpenSSL says of
//! itself (`openssl speed`), where it is installed.
#![expect(clippy::print_stdout, reason = "it prints figures")]

use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::rc::Rc;

use anyhow::{Context as _, Result};
use base::{FlowKey, Ledger, MediaPacket, Timestamp};
use benches::cpu::of_this_thread;
use benches::machine;
use benches::spread::Spread;
use capture::{FileSource, Frame, LinkType, Poll, Source as _};
use clap::Parser;
use demux::{Demux, Guess, Packet};
use dialog::sdp::Description;
use dialog::sip::Message;
use journal::{Appender, Journal, JournalKey, SourceId, Writer, WriterOptions};
use media::g711::Law;
use media::parts;
use seal::keys::{Algorithm, Purpose};
use seal::{Certificate, Recipient, Sealer};
use wiring::synth::{self, Codecs};

const CALLS: u32 = 100;
const SECONDS: u32 = 10;
const RTP_HEADER_BYTES: usize = 12;
/// Flows among which one is looked up.
const FLOWS: [u32; 2] = [1_000, 50_000];
/// Packets between two turns of the journal's writing, which is not counted.
const TURN: usize = 1_000;
/// Packets between telling of a flow and its packet, as a capture core does.
const AHEAD: usize = 12;
/// Files of half a minute and of some minutes of a call.
const SEALED_KIB: [usize; 2] = [256, 4_096];
/// Files that are sealed one after the other.
const SEALED_FILES: u32 = 20;
/// A certificate's time.
const DAY_NANOS: u64 = 86_400_000_000_000;

/// Nanoseconds of CPU time that each part takes.
#[derive(Debug, Parser)]
struct Options {
    /// How often each is measured.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// What cargo says; without meaning here.
    #[arg(long, hide = true)]
    bench: bool,
}

/// One part of the way.
struct Part<'a> {
    name: String,
    /// Measures, and gives nanoseconds each.
    measure: Box<dyn FnMut() -> Result<f64> + 'a>,
    spread: Spread,
}

impl<'a> Part<'a> {
    fn new(name: impl Into<String>, measure: impl FnMut() -> Result<f64> + 'a) -> Self {
        Self { name: name.into(), measure: Box::new(measure), spread: Spread::default() }
    }
}

/// All of them, in the order of the data.
fn all<'a>(input: &'a Input, folder: &Path) -> Result<Vec<Part<'a>>> {
    let mut parts = vec![
        Part::new("demux, a frame", || Ok(demux(input))),
        Part::new("SIP parse, a message", || Ok(sip(input))),
        Part::new("SDP parse, a description", || Ok(sdp(input))),
    ];
    for flows in FLOWS {
        let journal = OpenJournal::new(folder, flows)?;
        let name = format!("flow look-up, among {flows}");
        parts.push(Part::new(name, move || Ok(journal.look_up())));
    }
    let mut journal = OpenJournal::new(folder, FLOWS[0])?;
    let sealer = Rc::new(sealer()?);
    parts.extend([
        Part::new("chunk append, a packet", move || journal.append()),
        Part::new("decode, a packet of 160 samples", || Ok(decode(input))),
        Part::new("mix, 160 samples of both sides", || Ok(mix(input))),
        Part::new("FLAC, a stereo frame of one sample each", || Ok(flac(input))),
        Part::new("seal, an empty file", {
            let sealer = sealer.clone();
            move || seal(&sealer, 0)
        }),
    ]);
    for kib in SEALED_KIB {
        let sealer = sealer.clone();
        let name = format!("seal, a KiB of a file of {kib} KiB");
        parts.push(Part::new(name, move || Ok(seal(&sealer, kib)? / kib as f64)));
    }
    Ok(parts)
}

fn main() -> Result<()> {
    let options = Options::parse();
    let folder = tempfile::tempdir()?;
    let input = Input::make(folder.path())?;
    let mut parts = all(&input, folder.path())?;
    for _ in 0..options.rounds {
        for part in &mut parts {
            part.spread.add((part.measure)()?);
        }
    }
    println!(
        "{}; {} rounds; ns of CPU time: median [least-most]",
        machine::described(),
        options.rounds
    );
    for Part { name, spread, .. } in &parts {
        println!("{name:<42}{spread:.2}");
    }
    match openssl() {
        Ok(nanos) => println!("{:<42}{nanos:.2}", "AES-256-GCM by openssl speed, a KiB"),
        Err(why) => println!("skipped: openssl speed: {why:#}"),
    }
    Ok(())
}

/// What is worked on.
struct Input {
    frames: Vec<(Timestamp, Vec<u8>)>,
    messages: Vec<Vec<u8>>,
    /// G.711 of each packet of one side.
    payloads: Vec<Vec<u8>>,
    /// Some minutes of sound.
    sides: [Vec<i16>; 2],
}

impl Input {
    fn make(folder: &Path) -> Result<Self> {
        let to = folder.join("calls.pcap");
        let options = synth::Options {
            calls: CALLS,
            seconds: SECONDS,
            codec: Codecs::Pcmu,
            srtp: false,
            seed: 1,
            loss: 0.0,
            reorder: 0.0,
            duplicate: 0.0,
            jitter: 0.0,
            start_spread: 1.0,
            to: to.clone(),
            json: false,
        };
        synth::write(&options, &to)?;
        let mut source = FileSource::open(&to)?;
        let mut frames = Vec::new();
        while source.poll(&mut |frame| frames.push((frame.time, frame.data.to_vec())))? != Poll::End
        {
        }
        let (mut messages, mut payloads) = (Vec::new(), Vec::new());
        each_packet(&frames, &mut |packet| match packet {
            Packet::Sip { message, .. } => messages.push(message.to_vec()),
            Packet::Udp { guess: Guess::Rtp, payload, .. } => {
                payloads.push(payload.get(RTP_HEADER_BYTES..).unwrap_or_default().to_vec());
            }
            Packet::Udp { .. } => {}
        });
        let half = payloads.len() / 2;
        let side = |payloads: &[Vec<u8>]| {
            let codes = payloads.concat();
            let mut samples = vec![0; codes.len()];
            parts::decode(Law::Mu, &codes, &mut samples);
            samples
        };
        let (one, other) = payloads.split_at(half);
        let sides = [side(one), side(other)];
        Ok(Self { frames, messages, payloads, sides })
    }
}

fn each_packet(frames: &[(Timestamp, Vec<u8>)], take: &mut impl FnMut(Packet<'_>)) {
    let (mut demux, mut ledger) = (Demux::new(), Ledger::default());
    for (number, (time, data)) in (1..).zip(frames) {
        let wire_bytes = data.len() as u32;
        let frame = Frame { time: *time, link: LinkType::Ethernet, data, wire_bytes, number };
        let _ = demux.frame(&frame, &mut ledger, &mut |_, packet| take(packet));
    }
}

/// Nanoseconds of CPU time that something takes, by how often it is done in it.
fn each(times: usize, work: impl FnOnce()) -> f64 {
    let began = of_this_thread();
    work();
    (of_this_thread() - began) as f64 / times as f64
}

fn demux(input: &Input) -> f64 {
    let mut packets = 0;
    let nanos = each(input.frames.len(), || {
        each_packet(&input.frames, &mut |packet| {
            black_box(packet);
            packets += 1;
        });
    });
    assert_eq!(packets, input.frames.len(), "every frame is a packet");
    nanos
}

fn sip(input: &Input) -> f64 {
    each(input.messages.len(), || {
        for message in &input.messages {
            assert!(black_box(Message::parse(message)).is_ok());
        }
    })
}

fn sdp(input: &Input) -> f64 {
    let parsed = input.messages.iter().filter_map(|message| Message::parse(message).ok());
    let bodies: Vec<&[u8]> = parsed.filter_map(|message| message.sdp()).collect();
    each(bodies.len(), || {
        for body in &bodies {
            assert_eq!(black_box(Description::parse(body)).media.len(), 1);
        }
    })
}

/// A journal with flows in it.
struct OpenJournal {
    _journal: Journal,
    writer: Writer,
    appender: Appender,
    keys: Vec<FlowKey>,
    /// The keys in no order.
    shuffled: Vec<FlowKey>,
    packets: u64,
}

impl OpenJournal {
    fn new(folder: &Path, flows: u32) -> Result<Self> {
        let folder = tempfile::tempdir_in(folder)?.keep();
        let journal = Journal::open(&folder, JournalKey::from_bytes([7; 32]), SourceId::default())?;
        let options = WriterOptions { live: false, ..WriterOptions::default() };
        let (writer, appender) = journal.core(0, &options, Timestamp::ZERO)?;
        let keys: Vec<FlowKey> = (0..flows).map(key).collect();
        let mut shuffled = keys.clone();
        shuffled.sort_by_key(|key| key.source.port().wrapping_mul(40_503) ^ key.destination.port());
        let mut opened = Self { _journal: journal, writer, appender, keys, shuffled, packets: 0 };
        opened.append()?;
        Ok(opened)
    }

    fn look_up(&self) -> f64 {
        each(self.shuffled.len(), || {
            for key in &self.shuffled {
                assert!(black_box(self.writer.find(key)).is_some());
            }
        })
    }

    /// A packet and more of each flow.
    fn append(&mut self) -> Result<f64> {
        let payload = [0x55; RTP_HEADER_BYTES + 160];
        let rounds = 100_000_usize.div_ceil(self.keys.len());
        let (mut nanos, mut count) = (0, 0);
        for _ in 0..rounds {
            let turns = self.keys.len().div_ceil(TURN);
            for turn in 0..turns {
                let began = of_this_thread();
                for place in turn * TURN..self.keys.len().min((turn + 1) * TURN) {
                    if let Some(soon) = self.keys.get((place + AHEAD) % self.keys.len()) {
                        self.writer.ahead(soon);
                    }
                    let key = self.keys.get(place).context("a flow")?;
                    self.packets += 1;
                    let time =
                        Timestamp::from_nanos(1_700_000_000_000_000_000 + self.packets * 10_000);
                    let wire_bytes = payload.len() as u16;
                    self.writer.media(key, MediaPacket { time, payload: &payload, wire_bytes })?;
                    count += 1;
                }
                nanos += of_this_thread() - began;
                self.appender.write_all()?;
            }
        }
        Ok(nanos as f64 / f64::from(count))
    }
}

fn key(number: u32) -> FlowKey {
    let endpoint = |host: u32, port: u32| {
        base::Endpoint::new(std::net::Ipv4Addr::from_bits(host).into(), port as u16)
    };
    FlowKey {
        source: endpoint(0x0a00_0001 + number / 20_000, 20_000 + number % 20_000 * 2),
        destination: endpoint(0x0a80_0001, 20_000 + number % 20_000 * 2),
        ..FlowKey::default()
    }
}

fn decode(input: &Input) -> f64 {
    let mut samples = [0_i16; 160];
    each(input.payloads.len(), || {
        for payload in &input.payloads {
            let to = samples.get_mut(..payload.len()).unwrap_or_default();
            parts::decode(Law::Mu, payload, to);
            black_box(&samples);
        }
    })
}

fn mix(input: &Input) -> f64 {
    let [one, other] = &input.sides;
    let mut mixed = one.clone();
    each(one.len() / 160, || {
        for (one, other) in mixed.chunks_mut(160).zip(other.chunks(160)) {
            parts::mix(one, other);
        }
        black_box(&mixed);
    })
}

fn flac(input: &Input) -> f64 {
    let [one, other] = &input.sides;
    each(one.len().min(other.len()), || {
        assert!(black_box(parts::encode([one, other])).len() > one.len() / 2);
    })
}

fn sealer() -> Result<Sealer> {
    let (from, to) = (Timestamp::ZERO, Timestamp::from_nanos(DAY_NANOS));
    let pair = seal::keys::create(Purpose::Recording, Algorithm::P256, from, to)?;
    let certificate = Certificate::parse(pair.certificate.as_bytes())?;
    Ok(Sealer::new(vec![Recipient::new(certificate)?])?)
}

/// A file.
fn seal(sealer: &Sealer, kib: usize) -> Result<f64> {
    let plain = vec![7; kib * 1_024];
    let began = of_this_thread();
    for _ in 0..SEALED_FILES {
        black_box(sealer.seal(&plain)?);
    }
    Ok((of_this_thread() - began) as f64 / f64::from(SEALED_FILES))
}

/// Nanoseconds a KiB.
fn openssl() -> Result<f64> {
    let mut command = Command::new("openssl");
    command.args(["speed", "-mr", "-seconds", "1", "-bytes", "16384", "-evp", "aes-256-gcm"]);
    let output = command.output().context("it does not run")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().find(|line| line.starts_with("+F:")).context("it says nothing")?;
    let bytes_per_second: f64 = line.rsplit(':').next().unwrap_or_default().parse()?;
    Ok(1_024.0 * 1e9 / bytes_per_second)
}
