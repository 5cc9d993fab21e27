//! What a packet costs in user space, from the ring to the journal's chunk, by how many streams come at once:
//! nanoseconds of CPU time of the thread that takes frames.
//!
//! Needs no root: the frames lie in memory as those of an AF_XDP socket do (32,768 of 2 KiB), and are taken as it gives
//! them, each shown some frames before its turn. What writes them there is not counted, nor is the thread that encrypts
//! and writes the journal (to tmpfs). Every stream sends 20 ms of G.711 each 20 ms, one after the other in an order of
//! its own; they began within 400 ms, so that their chunks grow full at different times.
#![expect(clippy::print_stdout, reason = "it prints figures")]

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use base::{Endpoint, Outcome, Timestamp};
use benches::alone::{Alone, prepare};
use benches::cpu::{self, of_this_thread};
use benches::machine;
use benches::spread::Spread;
use capture::memory::Shelf;
use capture::{Frame, LinkType};
use clap::Parser;
use journal::{Appender, Journal, JournalKey, Places, SourceId, WriterOptions};
use tempfile::TempDir;
use wiring::worker::Worker;

/// Ethernet, IPv4, UDP, RTP, 20 ms of G.711.
const FRAME_BYTES: usize = 214;
/// A frame's place.
const STRIDE_BYTES: usize = 2_048;
/// Places.
const FRAMES: usize = 32_768;
/// Frames taken at once.
const BATCH: usize = 1_024;
/// Where an AF_XDP socket begins to fetch a frame.
const FETCHED_AHEAD: usize = 32;
const PACKET_NANOS: u64 = 20_000_000;
/// Streams begin within so many packets.
const BEGIN_PACKETS: u64 = 20;
/// What a core does between batches, by the clock of the packets.
const TICK: Duration = Duration::from_millis(100);
/// Chunks that may wait for the journal's thread: it is waited for, uncounted, so that none is refused.
const PENDING_MAX: usize = 4_096;
const NAP: Duration = Duration::from_micros(50);
const BEGAN: Timestamp = Timestamp::from_nanos(1_700_000_000_000_000_000);
/// Whom all streams go to.
const RECEIVER: ([u8; 4], u16) = ([10, 200, 0, 9], 20_000);
/// Interrupts come to CPU 0 first.
const CPU: usize = 3;

/// Nanoseconds of CPU time a packet, by the number of streams.
#[derive(Debug, Parser)]
struct Options {
    /// Numbers of streams, the least first.
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 10_000, 100_000])]
    streams: Vec<u32>,
    /// Packets of each measurement.
    #[arg(long, default_value_t = 2_000_000)]
    packets: u64,
    /// How often each number is measured, in turn with the others.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// How many frames before its turn a frame is shown.
    #[arg(long, default_value_t = 12)]
    ahead: usize,
    /// Where the journal and its memory are: in memory, so that the disk is not what is measured.
    #[arg(long, default_value = "/dev/shm")]
    folder: PathBuf,
    /// What cargo says; without meaning here.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let machine = machine::described();
    cpu::pin(CPU);
    let mut all = Vec::new();
    for streams in &options.streams {
        let mut load = Load::new(*streams, &options)?;
        // Opens streams and touches memory for the first time.
        let opening = u64::from(*streams) * (2 * BEGIN_PACKETS + 10);
        load.measure(opening.max(options.packets / 4))?;
        all.push((load, Spread::default()));
    }
    for _ in 0..options.rounds {
        for (load, spread) in &mut all {
            spread.add(load.measure(options.packets)?);
        }
    }
    println!(
        "{machine}; {} rounds of {} packets; ns of CPU time a packet: median [least-most]",
        options.rounds, options.packets
    );
    let least = all.first().map_or(1.0, |(_, spread)| spread.median());
    for (load, spread) in all {
        let ratio = spread.median() / least;
        println!("{:>9} streams  {spread:<18}{ratio:.2}", load.order.len());
        load.finish()?;
    }
    Ok(())
}

/// So many streams, with the core that takes them.
struct Load {
    ring: Vec<u8>,
    /// Streams in the order in which their packets come.
    order: Vec<u32>,
    /// The next packet: how many times all streams were gone through, and the place in their order.
    next: (u64, usize),
    /// When the frames of a batch came.
    times: Vec<Timestamp>,
    place: usize,
    ahead: usize,
    worker: Worker,
    tick_due: Timestamp,
    writing: Writing,
}

impl Load {
    fn new(streams: u32, options: &Options) -> Result<Self> {
        let (writing, mut worker) = Writing::start(&options.folder)?;
        worker.expect(Endpoint::new(IpAddr::from(RECEIVER.0), RECEIVER.1));
        // A permutation without pattern: by a multiplicative hash.
        let mut order: Vec<u32> = (0..streams).collect();
        order.sort_by_key(|stream| u64::from(*stream).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20);
        let ring = vec![0; FRAMES * STRIDE_BYTES];
        let (times, tick_due) = (Vec::with_capacity(BATCH), BEGAN);
        Ok(Self {
            ring,
            order,
            next: (0, 0),
            times,
            place: 0,
            ahead: options.ahead,
            worker,
            tick_due,
            writing,
        })
    }

    /// Takes so many packets; nanoseconds a packet.
    fn measure(&mut self, packets: u64) -> Result<f64> {
        let (mut taken, mut nanos) = (0, 0);
        while taken < packets {
            self.fill();
            let began = of_this_thread();
            self.take();
            nanos += of_this_thread() - began;
            taken += self.times.len() as u64;
            self.settle();
        }
        let ledger = self.worker.ledger();
        ensure!(ledger.of(Outcome::Media) == ledger.received(), "packets were lost: {ledger}");
        Ok(nanos as f64 / taken as f64)
    }

    /// What the kernel does: writes frames into the memory.
    fn fill(&mut self) {
        self.times.clear();
        while self.times.len() < BATCH {
            let (round, at) = self.next;
            let Some(stream) = self.order.get(at) else {
                self.next = (round + 1, 0);
                continue;
            };
            self.next = (round, at + 1);
            if round < u64::from(*stream) % BEGIN_PACKETS {
                continue;
            }
            let within = PACKET_NANOS * at as u64 / self.order.len() as u64;
            let start = (self.place + self.times.len()) % FRAMES * STRIDE_BYTES;
            self.times.push(BEGAN.plus(Duration::from_nanos(round * PACKET_NANOS + within)));
            if let Some(place) = self.ring.get_mut(start..start + FRAME_BYTES) {
                place.copy_from_slice(&frame(*stream, round));
            }
        }
    }

    /// What the core does with what came.
    fn take(&mut self) {
        let Self { ring, times, place, ahead, worker, .. } = self;
        let coming = |number: usize| {
            let time = *times.get(number)?;
            let start = (*place + number) % FRAMES * STRIDE_BYTES;
            let data = ring.get(start..start + FRAME_BYTES)?;
            Some(Frame {
                time,
                link: LinkType::Ethernet,
                data,
                wire_bytes: FRAME_BYTES as u32,
                number: 0,
            })
        };
        let fetch = |number| {
            if let Some(frame) = coming(number) {
                capture::prefetch_bytes(frame.data);
            }
        };
        (0..FETCHED_AHEAD).for_each(fetch);
        (0..*ahead).filter_map(coming).for_each(|frame| worker.ahead(&frame));
        for number in 0..times.len() {
            fetch(number + FETCHED_AHEAD);
            if let Some(soon) = coming(number + *ahead) {
                worker.ahead(&soon);
            }
            if let Some(frame) = coming(number) {
                worker.frame(&frame, &mut Alone);
            }
        }
        *place = (*place + times.len()) % FRAMES;
        let now = times.last().copied().unwrap_or(BEGAN);
        if now >= self.tick_due {
            worker.journal().seal_aged(now);
            self.tick_due = now.plus(TICK);
        }
    }

    /// Lets go of what is in the journal, and waits for its thread.
    fn settle(&mut self) {
        let now = self.times.last().copied().unwrap_or(BEGAN);
        let journal = self.worker.journal();
        if self.next.1 < BATCH {
            let flows: Vec<_> = journal.flows().map(|(flow, _)| flow).collect();
            flows.into_iter().for_each(|flow| journal.release_before(flow, now));
            journal.release_signalling_before(now);
            self.writing.shared.needed_from.store(journal.needed_from(), Ordering::Relaxed);
        }
        // Streams that begin need memory, which the journal's thread brings into being ahead.
        if self.next.0 < BEGIN_PACKETS {
            std::thread::sleep(20 * NAP);
        }
        while self.worker.journal().pending() > PENDING_MAX {
            std::thread::sleep(NAP);
        }
    }

    fn finish(mut self) -> Result<()> {
        self.worker.journal().seal_all();
        drop(self.worker);
        self.writing.finish()
    }
}

/// A packet of a stream, the `number`th.
fn frame(stream: u32, number: u64) -> [u8; FRAME_BYTES] {
    let mut frame = [0xd5; FRAME_BYTES];
    let [_, s1, s2, s3] = stream.to_be_bytes();
    let [.., n0, n1] = number.to_be_bytes();
    let (ip, udp) = ((FRAME_BYTES - 14) as u16, (FRAME_BYTES - 34) as u16);
    let ([r0, r1, r2, r3], [p0, p1]) = (RECEIVER.0, RECEIVER.1.to_be_bytes());
    let ([i0, i1], [u0, u1]) = (ip.to_be_bytes(), udp.to_be_bytes());
    frame[..54].copy_from_slice(&[
        0x02, 0, 0, 0, 0, 7, 0x02, 0, 0, 0, 0, 1, 0x08, 0x00, // Ethernet
        0x45, 0, i0, i1, 0, 0, 0x40, 0, 64, 17, 0, 0, 10, s1, s2, s3, r0, r1, r2, r3, // IPv4
        0x40, 0, p0, p1, u0, u1, 0, 0, // UDP
        0x80, 0, n0, n1, 0, 0, 0, 160, 0x12, s1, s2, s3, // RTP
    ]);
    frame
}

/// The thread that writes a core's journal.
struct Writing {
    shared: Arc<Shared>,
    thread: JoinHandle<Result<()>>,
    _journal: Journal,
    _folder: TempDir,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    needed_from: AtomicU32,
}

impl Writing {
    /// With the core itself.
    fn start(folder: &Path) -> Result<(Self, Worker)> {
        let folder =
            tempfile::tempdir_in(folder).with_context(|| format!("no {}", folder.display()))?;
        let arena = Some(Shelf::folder(&folder.path().join("arena"))?);
        let places = Places { arena, ..Places::from(&folder.path().join("journal")) };
        let journal = Journal::open(places, JournalKey::from_bytes([7; 32]), SourceId::default())?;
        let (writer, appender) = journal.core(0, &WriterOptions::default(), BEGAN)?;
        let (shared, preparer) = (Arc::new(Shared::default()), appender.preparer());
        let (ours, theirs) = (Arc::clone(&shared), Arc::clone(&shared));
        std::thread::Builder::new().spawn(move || {
            cpu::pin(CPU - 2);
            prepare(&preparer, &theirs.stop);
        })?;
        let thread = std::thread::Builder::new().spawn(move || ours.write(appender))?;
        Ok((Self { shared, thread, _journal: journal, _folder: folder }, Worker::new(writer)))
    }

    fn finish(self) -> Result<()> {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow!("the journal's thread panicked"))?
    }
}

impl Shared {
    /// What is written counts as durable at once.
    fn write(&self, mut appender: Appender) -> Result<()> {
        cpu::pin(CPU - 1);
        while !self.stop.load(Ordering::Relaxed) {
            let written = appender.write()?;
            appender.sync()?;
            appender.release_before(self.needed_from.load(Ordering::Relaxed))?;
            if written.chunks == 0 {
                std::thread::sleep(NAP);
            }
        }
        Ok(())
    }
}
