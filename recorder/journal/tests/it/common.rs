//! Short ways to a journal in a scratch folder.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use base::{Endpoint, FlowKey, MediaPacket, Timestamp};
use journal::{
    Appender, Journal, JournalError, JournalKey, Locator, Packets, Places, Reader, SourceId,
    Window, Writer, WriterOptions,
};
use tempfile::TempDir;

/// A datagram as it went in or came out.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Datagram {
    pub(crate) time: u64,
    pub(crate) payload: Vec<u8>,
    pub(crate) wire_bytes: u16,
}

/// Short, because lists of them are compared.
impl fmt::Debug for Datagram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sum =
            self.payload.iter().fold(0_u32, |sum, byte| sum.rotate_left(5) ^ u32::from(*byte));
        write!(f, "{}:{}/{}:{sum:08x}", self.time, self.payload.len(), self.wire_bytes)
    }
}

/// A journal with one core.
pub(crate) struct Bench {
    pub(crate) journal: Journal,
    pub(crate) writer: Writer,
    pub(crate) appender: Appender,
    pub(crate) reader: Reader,
    pub(crate) folder: TempDir,
}

impl Bench {
    pub(crate) fn new(options: &WriterOptions) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let journal = open(folder.path());
        let (writer, appender) = journal.core(0, options, Timestamp::ZERO).unwrap();
        let reader = journal.reader();
        Self { journal, writer, appender, reader, folder }
    }

    /// Seals and writes everything, ends the run, and gives the folder.
    pub(crate) fn end(mut self) -> TempDir {
        self.writer.seal_all();
        self.appender.sync().unwrap();
        self.folder
    }

    /// Appends a datagram of `bytes` bytes that say which one it is.
    pub(crate) fn media(&mut self, flow: u16, time: u64, bytes: usize) -> Datagram {
        let datagram = datagram(flow, time, bytes);
        self.writer.media(&key(flow), packet(&datagram)).unwrap();
        datagram
    }
}

/// A few small segments' worth.
pub(crate) fn small() -> WriterOptions {
    WriterOptions {
        flows_max: 16,
        chunks_max: 64,
        large_chunks_max: 16,
        segment_bytes_max: 80_000,
        live: false,
        hold: false,
    }
}

pub(crate) fn open(folder: &Path) -> Journal {
    open_places(&Places::from(folder), SourceId([9; 32]))
}

/// A process that another test starts has our locks for a moment, until it runs its own program.
pub(crate) fn open_places(places: &Places, source: SourceId) -> Journal {
    for _ in 0..500 {
        match Journal::open(places.clone(), JournalKey::from_bytes([7; 32]), source) {
            Err(JournalError::Busy { .. }) => std::thread::sleep(Duration::from_millis(10)),
            opened => return opened.unwrap(),
        }
    }
    panic!("somebody else has {places:?}");
}

pub(crate) fn key(flow: u16) -> FlowKey {
    let source = Endpoint::v4([192, 0, 2, 1], 10_000 + flow);
    FlowKey { source, destination: Endpoint::v6([flow as u8; 16], 40_000), ..FlowKey::default() }
}

pub(crate) fn datagram(flow: u16, time: u64, bytes: usize) -> Datagram {
    let seed = time.wrapping_mul(31).wrapping_add(flow.into());
    let payload = (0..bytes as u64).map(|at| seed.wrapping_add(at * at) as u8).collect();
    Datagram { time, payload, wire_bytes: bytes.min(65_000) as u16 + 3 }
}

pub(crate) fn packet(datagram: &Datagram) -> MediaPacket<'_> {
    let time = Timestamp::from_nanos(datagram.time);
    MediaPacket { time, payload: &datagram.payload, wire_bytes: datagram.wire_bytes }
}

pub(crate) fn window(from: u64, to: u64) -> Window {
    Window { from: Timestamp::from_nanos(from), to: Timestamp::from_nanos(to) }
}

/// The packets that were read, which must be undamaged.
pub(crate) fn read(reader: &Reader, end: Option<Locator>, window: Window) -> Vec<Datagram> {
    let mut packets = Packets::default();
    if let Some(end) = end {
        reader.read(end, window, &mut packets).unwrap();
    }
    assert_eq!(packets.damaged(), []);
    datagrams(&packets)
}

pub(crate) fn datagrams(packets: &Packets) -> Vec<Datagram> {
    let datagram = |packet: MediaPacket<'_>| Datagram {
        time: packet.time.as_nanos(),
        payload: packet.payload.to_vec(),
        wire_bytes: packet.wire_bytes,
    };
    packets.iter().map(datagram).collect()
}

/// The one segment file of a journal that has but one.
pub(crate) fn only_segment(folder: &Path) -> std::path::PathBuf {
    let mut files: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 1);
    files.remove(0)
}
