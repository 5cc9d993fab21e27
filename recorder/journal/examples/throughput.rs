//! What the journal costs: 3 million G.711 packets of 2,000 flows, round robin, into a journal and back.
//!
//!     cargo run --release -p journal --example throughput [FLOWS [FOLDER [live]]]
//!
//! `live`: chunks are kept until they are durable, in an arena on tmpfs, as when traffic is recorded; without it,
//! they are used again when they are written, as when a file is read.
//!
//! Writer and appender take turns on one thread, so that each has a time of its own; the reader reads every
//! flow as finishing does, into memory that is used again. Times are CPU seconds of the thread, so that other
//! programs on the machine disturb little.

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use base::{Endpoint, FlowKey, MediaPacket, Timestamp};
use capture::memory::Shelf;
use journal::{
    Appender, FlowId, Journal, JournalKey, Locator, Packets, Places, SourceId, Window, Writer,
    WriterOptions,
};
use rustix::time::{ClockId, clock_gettime};

const FLOWS: u32 = 2_000;
const PACKETS: u64 = 3_000_000;
const PAYLOAD_BYTES: usize = 172;
/// 20 ms.
const PACKET_NANOS: u64 = 20_000_000;
/// Packets between two turns of the appender: as many as a capture core sees in 10 ms at full load.
const TURN: usize = 1_000;
/// Packets between telling of a flow and its packet.
const AHEAD: usize = 12;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let mut arguments = std::env::args().skip(1);
    let flows = arguments.next().map_or(Ok(FLOWS), |flows| flows.parse())?;
    let folder = arguments.next().map_or_else(|| scratch.path().join("journal"), PathBuf::from);
    let live = arguments.next().is_some_and(|argument| argument == "live");
    let memory = tempfile::Builder::new().tempdir_in("/dev/shm")?;
    let arena = live.then(|| Shelf::folder(&memory.path().join("arena"))).transpose()?;
    let places = Places { arena, ..Places::from(&folder) };
    let journal = Journal::open(places, JournalKey::from_bytes([7; 32]), SourceId::default())?;
    let options = WriterOptions { live, ..WriterOptions::default() };
    let (mut writer, mut appender) = journal.core(0, &options, Timestamp::ZERO)?;
    let began = cpu_time();
    let ends = write(flows, &mut writer, &mut appender)?;
    let journaled = since(began);
    println!("{:>10.3} s   journaled in all", journaled.as_secs_f64());
    let began = cpu_time();
    appender.sync()?;
    println!("{:>10.3} s       final flush to the disk", since(began).as_secs_f64());
    read(&journal, &ends)?;
    drop((writer, appender, journal));
    recover(&folder)
}

/// Gives the chain end of every flow.
fn write(flows: u32, writer: &mut Writer, appender: &mut Appender) -> Result<Vec<Locator>> {
    let keys: Vec<FlowKey> = (0..flows).map(key).collect();
    let rounds = PACKETS / u64::from(flows);
    let mut flows: Vec<FlowId> = Vec::new();
    let payload = payload();
    let (mut writing, mut appending, mut bytes) = (Duration::ZERO, Duration::ZERO, 0);
    let mut packets =
        (0..rounds).flat_map(|number| keys.iter().map(move |key| (number, key))).peekable();
    for turn in 0.. {
        if packets.peek().is_none() {
            break;
        }
        let began = cpu_time();
        let mut now = Timestamp::ZERO;
        for (place, (number, key)) in packets.by_ref().take(TURN).enumerate() {
            // As a capture core does with a batch of frames.
            if let Some(soon) = keys.get((turn * TURN + place + AHEAD) % keys.len()) {
                writer.ahead(soon);
            }
            now = Timestamp::from_nanos(1_700_000_000_000_000_000 + number * PACKET_NANOS);
            let packet =
                MediaPacket { time: now, payload: &payload, wire_bytes: PAYLOAD_BYTES as u16 };
            let appended = writer.media(key, packet)?;
            if appended.opened {
                flows.push(appended.flow);
            }
        }
        writer.seal_aged(now);
        writing += since(began);
        let began = cpu_time();
        bytes += appender.write_all()?.bytes;
        appender.commit(now)?;
        appending += since(began);
    }
    let ends = flows.iter().filter_map(|flow| writer.seal_flow(*flow)).collect();
    bytes += appender.write_all()?.bytes;
    report("writer: look-up and copy", writing, bytes);
    report("appender: encrypt and write", appending, bytes);
    Ok(ends)
}

fn read(journal: &Journal, ends: &[Locator]) -> Result<()> {
    let (reader, mut packets) = (journal.reader(), Packets::default());
    let [mut walking, mut loading, mut reading, mut visiting] = [Duration::ZERO; 4];
    let (mut count, mut bytes, mut sum) = (0_u64, 0, 0_u64);
    for end in ends {
        let began = cpu_time();
        let chain = reader.chain(*end, Window::ALL)?;
        walking += since(began);
        bytes += chain.bytes() as u64;
        let began = cpu_time();
        packets.clear();
        reader.load(&chain, Window::ALL, &mut packets)?;
        loading += since(began);
    }
    for end in ends {
        let began = cpu_time();
        packets.clear();
        reader.read(*end, Window::ALL, &mut packets)?;
        reading += since(began);
        let began = cpu_time();
        for packet in packets.iter() {
            count += 1;
            sum += u64::from(packet.payload.last().copied().unwrap_or_default());
        }
        visiting += since(began);
    }
    assert_eq!(sum, 171 * count, "what went in comes out");
    report("reader: chain of headers", walking, bytes);
    report("reader: load the chain", loading, bytes);
    report("reader: read, which is both at once", reading, bytes);
    report("reader: visit every packet", visiting, bytes);
    Ok(())
}

fn recover(folder: &std::path::Path) -> Result<()> {
    let journal = Journal::open(folder, JournalKey::from_bytes([7; 32]), SourceId::default())?;
    let began = cpu_time();
    let recovered = journal.recover()?;
    let bytes = recovered.segments.iter().map(|segment| segment.bytes).sum();
    report("recovery: verify everything", since(began), bytes);
    assert!(
        recovered.flows.iter().map(|flow| flow.summary.packets).sum::<u64>() > PACKETS * 9 / 10
    );
    assert_eq!(recovered.damaged, []);
    journal.discard_earlier_runs()?;
    Ok(())
}

fn key(flow: u32) -> FlowKey {
    let source = Endpoint::v4([10, (flow >> 16) as u8, (flow >> 8) as u8, flow as u8], 10_000);
    FlowKey { source, destination: Endpoint::v4([10, 1, 0, 1], 30_000), ..FlowKey::default() }
}

fn payload() -> Vec<u8> {
    (0..PAYLOAD_BYTES).map(|byte| if byte == 0 { 0x80 } else { byte as u8 }).collect()
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn since(began: Duration) -> Duration {
    cpu_time() - began
}

fn report(what: &str, spent: Duration, bytes: u64) {
    let seconds = spent.as_secs_f64();
    let (nanos, rate) = (seconds * 1e9 / PACKETS as f64, bytes as f64 / seconds / 1e9);
    println!("{seconds:>10.3} s   {nanos:>7.1} ns a packet   {rate:>6.2} GB/s   {what}");
}
