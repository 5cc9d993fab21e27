//! A capture multiplied: each of its packets once more for each copy, as a packet of another call.
//!
//! What is copied are the packets that the recorder sees, as plain Ethernet frames: of a tunnel what is in it, of
//! fragments the datagram, of SIP over TCP each message as a datagram. The copies begin within 20 ms of each other, so
//! that they do not come in bursts.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use base::{FlowKey, Ledger, Timestamp};
use capture::write::ip::{ethernet_header, udp_packet};
use capture::write::pcap::{Precision, Writer};
use capture::{Frame, LinkType, Merged, Poll, Source as _};
use demux::{Demux, Packet};

use super::interrupt::Interrupt;
use super::rewrite::{Rewriter, announces_srtp};

/// Within this the copies of a packet are sent.
const STAGGER_NANOS: u64 = 20_000_000;

/// What was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Made {
    /// Frames.
    pub(super) frames: u64,
    /// When the first is.
    pub(super) first: Timestamp,
    /// When the last is.
    pub(super) last: Timestamp,
}

/// Writes the capture `to`, of so many copies of the calls in `from`.
///
/// # Errors
/// A file cannot be read or written, or someone wants the bench to end.
pub(super) fn make(from: &Path, copies: u32, to: &Path, interrupt: &Interrupt) -> Result<Made> {
    let mut copier = Copier::new(copies, Rewriter::new(has_srtp(from, interrupt)?), to)?;
    let mut packets = Packets::open(from)?;
    while let Some(time) = packets.poll(&mut |time, packet| copier.take(time, &packet))? {
        interrupt.check()?;
        copier.write_until(time)?;
    }
    copier.finish()
}

fn has_srtp(file: &Path, interrupt: &Interrupt) -> Result<bool> {
    let (mut packets, mut found) = (Packets::open(file)?, false);
    let mut look = |_: Timestamp, packet: Packet<'_>| {
        if let Packet::Sip { message, .. } = packet {
            found |= announces_srtp(message);
        }
    };
    while packets.poll(&mut look)?.is_some() {
        interrupt.check()?;
    }
    Ok(found)
}

/// The packets in a capture that the recorder sees.
struct Packets {
    source: Merged,
    demux: Demux,
    ledger: Ledger,
    last: Timestamp,
}

impl Packets {
    fn open(file: &Path) -> Result<Self> {
        Ok(Self {
            source: Merged::open(&[PathBuf::from(file)])?,
            demux: Demux::new(),
            ledger: Ledger::default(),
            last: Timestamp::ZERO,
        })
    }

    /// Tells of some more. Gives the time of the last frame, or none if there is no other.
    fn poll(&mut self, tell: &mut impl FnMut(Timestamp, Packet<'_>)) -> Result<Option<Timestamp>> {
        let Self { source, demux, ledger, last } = self;
        let polled = source.poll(&mut |frame| {
            // A file's frames keep their order whatever their times say.
            *last = frame.time.max(*last);
            let frame = Frame { time: *last, ..frame };
            // What is no packet of a call is not copied.
            let _ = demux.frame(&frame, ledger, tell);
        })?;
        if polled == Poll::End {
            demux.finish(*last, ledger, tell);
            return Ok(None);
        }
        Ok(Some(*last))
    }
}

/// A frame that waits until all that come before it are there.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Waiting {
    time: Timestamp,
    /// In which order they were made.
    number: u64,
    frame: Vec<u8>,
    wire_bytes: u32,
}

struct Copier {
    copies: u32,
    rewriter: Rewriter,
    waiting: BinaryHeap<Reverse<Waiting>>,
    number: u64,
    out: Writer<File>,
    path: PathBuf,
    first: Option<Timestamp>,
    last: Timestamp,
    packet: Vec<u8>,
}

impl Copier {
    fn new(copies: u32, rewriter: Rewriter, to: &Path) -> Result<Self> {
        let file = File::create(to).with_context(|| format!("cannot create {}", to.display()))?;
        Ok(Self {
            copies,
            rewriter,
            waiting: BinaryHeap::new(),
            number: 0,
            out: Writer::new(file, LinkType::Ethernet, Precision::Nanoseconds)?,
            path: to.to_owned(),
            first: None,
            last: Timestamp::ZERO,
            packet: Vec::new(),
        })
    }

    fn take(&mut self, time: Timestamp, packet: &Packet<'_>) {
        for copy in 1..=self.copies {
            match packet {
                Packet::Sip { key, message, .. } => {
                    let message = self.rewriter.sip(copy, message);
                    let bytes = u16::try_from(message.len()).unwrap_or(u16::MAX);
                    let key = self.rewriter.sip_key(copy, key);
                    self.copy(copy, time, &key, &message, bytes);
                }
                Packet::Udp { key, guess, payload, wire_bytes } => {
                    let key = self.rewriter.media_key(copy, key);
                    let mut payload = payload.to_vec();
                    self.rewriter.media(copy, *guess, &mut payload);
                    self.copy(copy, time, &key, &payload, *wire_bytes);
                }
            }
        }
    }

    fn copy(&mut self, copy: u32, time: Timestamp, key: &FlowKey, payload: &[u8], bytes: u16) {
        let ip_bytes = udp_packet(key, payload, bytes, &mut self.packet);
        let header = ethernet_header(key);
        let delay = STAGGER_NANOS * u64::from(copy - 1) / u64::from(self.copies);
        self.number += 1;
        self.waiting.push(Reverse(Waiting {
            time: time.plus(Duration::from_nanos(delay)),
            number: self.number,
            frame: [&header[..], &self.packet].concat(),
            wire_bytes: ip_bytes + header.len() as u32,
        }));
    }

    /// Writes the frames that nothing can come before any more.
    fn write_until(&mut self, time: Timestamp) -> Result<()> {
        while let Some(Reverse(next)) = self.waiting.pop() {
            if next.time > time {
                self.waiting.push(Reverse(next));
                break;
            }
            self.first.get_or_insert(next.time);
            self.last = next.time;
            self.out
                .frame(next.time, &next.frame, next.wire_bytes)
                .with_context(|| format!("cannot write {}", self.path.display()))?;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Made> {
        self.write_until(Timestamp::MAX)?;
        self.rewriter.check()?;
        let Self { out, path, number, first, last, .. } = self;
        out.finish().with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Made { frames: number, first: first.unwrap_or_default(), last })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::net::IpAddr;

    use demux::Guess;
    use dialog::sip::Message;

    use super::*;
    use crate::synth::{Making, Options, Slice};

    const COPIES: u32 = 4;

    /// Two calls of a second.
    fn original(folder: &Path) -> PathBuf {
        let path = folder.join("original.pcap");
        let file = File::create(&path).unwrap();
        let mut out = Writer::new(file, LinkType::Ethernet, Precision::Nanoseconds).unwrap();
        let (mut making, mut slice) = (Making::new(&Options::of(2, 1)), Slice::default());
        while making.next(&mut slice) {
            for (time, frame) in slice.frames() {
                out.frame(time, frame, frame.len() as u32).unwrap();
            }
        }
        out.finish().unwrap();
        path
    }

    /// What names things, and how often each sound is there.
    #[derive(Default)]
    struct Named {
        messages: u64,
        call_ids: BTreeSet<Vec<u8>>,
        hosts: BTreeSet<IpAddr>,
        media_ports: BTreeSet<u16>,
        ssrcs: BTreeSet<Vec<u8>>,
        sounds: BTreeMap<Vec<u8>, u64>,
    }

    fn named(file: &Path) -> Named {
        let mut named = Named::default();
        let mut packets = Packets::open(file).unwrap();
        let mut look = |_: Timestamp, packet: Packet<'_>| match packet {
            Packet::Sip { key, message, .. } => {
                let parsed = Message::parse(message).unwrap();
                let text = std::str::from_utf8(message).unwrap();
                let (head, body) = text.split_once("\r\n\r\n").unwrap();
                let own_length = format!("Content-Length: {}", body.len());
                assert!(head.lines().any(|line| line == own_length), "{text}");
                named.messages += 1;
                named.call_ids.insert(parsed.call_id.to_vec());
                named.hosts.extend([key.source.ip(), key.destination.ip()]);
            }
            Packet::Udp { key, guess: Guess::Rtp, payload, .. } => {
                named.hosts.extend([key.source.ip(), key.destination.ip()]);
                named.media_ports.extend([key.source.port(), key.destination.port()]);
                named.ssrcs.insert(payload[8..12].to_vec());
                *named.sounds.entry([&payload[..8], &payload[12..]].concat()).or_default() += 1;
            }
            Packet::Udp { .. } => {}
        };
        while packets.poll(&mut look).unwrap().is_some() {}
        let outcomes = &packets.ledger;
        assert!(outcomes.balances(), "{outcomes:?}");
        named
    }

    /// RFC 1071: the sum over everything, checksum included, is all ones.
    fn is_right(parts: &[&[u8]]) -> bool {
        let words = parts.iter().flat_map(|part| part.chunks(2));
        let sum = words
            .map(|word| u64::from(word[0]) << 8 | word.get(1).map_or(0, |low| u64::from(*low)));
        let sum: u64 = sum.sum();
        sum.is_multiple_of(0xffff) && sum > 0
    }

    #[test]
    fn each_copy_is_of_calls_of_its_own_with_the_same_sound() {
        let folder = tempfile::tempdir().unwrap();
        let (original, copies) = (original(folder.path()), folder.path().join("copies.pcap"));
        let interrupt = Interrupt::default();
        let made = make(&original, COPIES, &copies, &interrupt).unwrap();
        let (one, many) = (named(&original), named(&copies));
        let times = COPIES as usize;
        assert_eq!(many.messages, one.messages * u64::from(COPIES));
        assert_eq!(many.call_ids.len(), one.call_ids.len() * times);
        assert_eq!(many.hosts.len(), one.hosts.len() * times);
        assert!(many.call_ids.is_disjoint(&one.call_ids));
        assert_eq!(many.ssrcs.len(), one.ssrcs.len() * times);
        assert!(many.ssrcs.is_disjoint(&one.ssrcs));
        assert!(many.media_ports.len() > one.media_ports.len());
        let wanted = one.sounds.into_iter().map(|(it, count)| (it, count * u64::from(COPIES)));
        assert_eq!(many.sounds, wanted.collect());

        let (mut source, mut frames) = (Merged::open(&[copies]).unwrap(), 0);
        let mut before = Timestamp::ZERO;
        let mut check = |frame: Frame<'_>| {
            assert!(frame.time >= before);
            (before, frames) = (frame.time, frames + 1);
            let (ip, udp) = frame.data[14..].split_at(20);
            let pseudo = [0, 17, udp[4], udp[5]];
            assert!(is_right(&[ip]) && is_right(&[&ip[12..20], &pseudo, udp]), "{ip:x?} {udp:x?}");
        };
        while source.poll(&mut check).unwrap() != Poll::End {}
        assert_eq!((frames, before), (made.frames, made.last));
    }

    #[test]
    fn what_is_no_call_is_copied_or_left_without_harm() {
        let folder = tempfile::tempdir().unwrap();
        let (file, copies) = (folder.path().join("odd.pcap"), folder.path().join("copies.pcap"));
        let mut out =
            Writer::new(File::create(&file).unwrap(), LinkType::Ethernet, Precision::Nanoseconds)
                .unwrap();
        let mut frame = vec![0; 12];
        frame.extend(b"\x08\0\x45\0\0\x24\0\0\0\0\x40\x11\0\0\x0a\0\0\x01\x0a\0\0\x02");
        frame.extend(b"\x0f\xa0\x0f\xa2\0\x10\0\0\x80\xc8\xff\xff\0\0\0\0");
        for bytes in 0..frame.len() {
            // Cut anywhere, and with times that go back.
            let time = Timestamp::from_nanos(1_000 - bytes as u64);
            out.frame(time, &frame[..bytes], frame.len() as u32).unwrap();
        }
        out.frame(Timestamp::MAX, &frame, frame.len() as u32).unwrap();
        out.finish().unwrap();
        let made = make(&file, 3, &copies, &Interrupt::default()).unwrap();
        assert_eq!(made.frames % 3, 0, "{made:?}");
        assert!(made.frames > 0);
    }
}
