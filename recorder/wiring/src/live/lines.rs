//! What goes between one capture core and the dialog thread: bounded lock-free rings, and what the core publishes.
//!
//! The core never waits: a full ring is counted by name. Messages travel in buffers that come back; one is allocated only
//! where more are under way than ever before.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use base::{Endpoint, FlowKey, Ledger, MediaPacket, Timestamp, Transport};
use crossbeam::queue::ArrayQueue;
use journal::{FlowId, FlowSummary};

use super::tap::TapCounts;
use crate::engine::Ticket;
use crate::worker::Seen;

/// SIP messages on their way to the dialog thread: 1 s of them at 4,000 calls begun or ended in it.
const MESSAGES_MAX: usize = 16_384;
/// Flows opened at once.
const FLOWS_OPENED_MAX: usize = 16_384;
/// Commands, and answers to them.
const COMMANDS_MAX: usize = 16_384;
/// Packets of calls that somebody listens to, on their way to him: 100 ms of 64 listened-to calls on one core.
const OVERHEARD_MAX: usize = 1_024;
/// Bytes of the largest of them: 200 ms of G.711.
const OVERHEARD_BYTES_MAX: usize = 2_048;
/// What a message's buffer is made for; a larger message makes it grow, once.
const MESSAGE_BYTES: usize = 2_048;
/// Buffers of a kind that are there before anything comes: 512 KiB.
const BUFFERS_READY: usize = 256;

/// A SIP message that a core saw.
pub(super) struct Message {
    pub(super) time: Timestamp,
    pub(super) key: FlowKey,
    pub(super) transport: Transport,
    pub(super) bytes: Vec<u8>,
}

/// A flow that a core opened.
pub(super) struct Opened {
    pub(super) time: Timestamp,
    pub(super) key: FlowKey,
    pub(super) flow: FlowId,
}

/// What the dialog thread wants of a core.
#[derive(Clone, Copy, Debug)]
pub(super) enum Order {
    Expect(Endpoint),
    Unexpect(Endpoint),
    Exclude(Endpoint),
    Include(Endpoint),
    Report(FlowId, Ticket),
    Release(FlowId, Timestamp),
    Forget(FlowId),
    /// Whether somebody listens to a flow.
    Overhear(FlowId, bool),
    /// Signalling from before this is no longer needed; and say from where on the journal is.
    ReleaseSignalling(Timestamp),
}

/// A packet of a flow that somebody listens to.
pub(super) struct Overheard {
    pub(super) flow: FlowId,
    pub(super) time: Timestamp,
    pub(super) payload: Vec<u8>,
}

/// What a core found out about a flow.
pub(super) struct Answer {
    pub(super) flow: FlowId,
    pub(super) ticket: Ticket,
    pub(super) found: Option<FlowSummary>,
}

/// What a core has counted.
#[derive(Clone, Debug, Default)]
pub(super) struct Counted {
    /// When.
    pub(super) at: Timestamp,
    pub(super) ledger: Ledger,
    pub(super) tap: TapCounts,
}

/// Buffers that come back. [`BUFFERS_READY`] are there from the begin; each of the others is made when there was never need
/// of so many at once: of those for messages, all would be 32 MiB a core.
struct Buffers {
    back: ArrayQueue<Vec<u8>>,
    made: AtomicUsize,
    bytes: usize,
}

impl Buffers {
    /// At most `count`, with room for so many bytes each.
    fn new(count: usize, bytes: usize) -> Self {
        let (back, ready) = (ArrayQueue::new(count), BUFFERS_READY.min(count));
        for _ in 0..ready {
            // There are as many places.
            let _ = back.push(Vec::with_capacity(bytes));
        }
        Self { back, made: AtomicUsize::new(ready), bytes }
    }

    /// None if all of them are away.
    fn take(&self) -> Option<Vec<u8>> {
        self.back.pop().or_else(|| self.make())
    }

    #[cold]
    fn make(&self) -> Option<Vec<u8>> {
        let one_more = |made| (made < self.back.capacity()).then_some(made + 1);
        let made = self.made.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
        made.ok().map(|_| Vec::with_capacity(self.bytes))
    }

    fn give_back(&self, buffer: Vec<u8>) {
        // As many places as buffers: there is one for it.
        let _ = self.back.push(buffer);
    }
}

/// Between one core and the dialog thread.
pub(super) struct Lines {
    pub(super) messages: ArrayQueue<Message>,
    buffers: Buffers,
    pub(super) opened: ArrayQueue<Opened>,
    pub(super) orders: ArrayQueue<Order>,
    pub(super) answers: ArrayQueue<Answer>,
    pub(super) overheard: ArrayQueue<Overheard>,
    overheard_buffers: Buffers,
    /// Packets that a listener did not get, because he was slow or they were too long.
    unheard: AtomicU64,
    /// Everything before this time has been handed over.
    progress: AtomicU64,
    needed_from: AtomicU32,
    /// How much of its time the core works, in percent.
    load: AtomicU8,
    /// How much of the time its thread has a CPU, in percent: less than the load, where others want the CPU too.
    cpu: AtomicU8,
    /// How much of its journal's memory is in use, in percent.
    memory: AtomicU8,
    stop: AtomicBool,
    failing: AtomicBool,
    counted: Mutex<Counted>,
    /// What the source says is wrong with it.
    trouble: ArrayQueue<capture::CaptureError>,
}

impl Lines {
    pub(super) fn new() -> Self {
        Self::holding(MESSAGES_MAX)
    }

    /// For so many messages at once.
    pub(super) fn holding(messages: usize) -> Self {
        Self {
            messages: ArrayQueue::new(messages),
            buffers: Buffers::new(messages, MESSAGE_BYTES),
            opened: ArrayQueue::new(FLOWS_OPENED_MAX.min(messages)),
            orders: ArrayQueue::new(COMMANDS_MAX.min(messages)),
            answers: ArrayQueue::new(COMMANDS_MAX.min(messages)),
            overheard: ArrayQueue::new(OVERHEARD_MAX.min(messages)),
            overheard_buffers: Buffers::new(OVERHEARD_MAX.min(messages), OVERHEARD_BYTES_MAX),
            unheard: AtomicU64::new(0),
            progress: AtomicU64::new(0),
            needed_from: AtomicU32::new(0),
            load: AtomicU8::new(0),
            cpu: AtomicU8::new(0),
            memory: AtomicU8::new(0),
            stop: AtomicBool::new(false),
            failing: AtomicBool::new(false),
            counted: Mutex::default(),
            trouble: ArrayQueue::new(16),
        }
    }

    /// The core's side: hands over what it saw. False if there is no room.
    pub(super) fn tell(&self, seen: Seen<'_>) -> bool {
        match seen {
            Seen::Sip { time, key, transport, message } => {
                let Some(mut bytes) = self.buffers.take() else { return false };
                bytes.clear();
                bytes.extend_from_slice(message);
                self.messages.push(Message { time, key, transport, bytes }).is_ok()
            }
            Seen::Flow { time, key, flow } => self.opened.push(Opened { time, key, flow }).is_ok(),
        }
    }

    /// The dialog thread's side: a message is dealt with.
    pub(super) fn give_back(&self, buffer: Vec<u8>) {
        // A copy that was made to give the buffer back early is small: the core would have to make it grow.
        if buffer.capacity() >= MESSAGE_BYTES {
            self.buffers.give_back(buffer);
        }
    }

    /// The core's side: hands over a packet of a flow that somebody listens to. He may be slow: then he misses it.
    #[cold]
    pub(super) fn overhear(&self, flow: FlowId, packet: &MediaPacket<'_>) {
        let buffer = (packet.payload.len() <= OVERHEARD_BYTES_MAX)
            .then(|| self.overheard_buffers.take())
            .flatten();
        let Some(mut payload) = buffer else {
            self.unheard.fetch_add(1, Ordering::Relaxed);
            return;
        };
        payload.clear();
        payload.extend_from_slice(packet.payload);
        // As many buffers as places: there is room.
        let _ = self.overheard.push(Overheard { flow, time: packet.time, payload });
    }

    /// The listener's side: a packet is dealt with.
    pub(super) fn give_back_overheard(&self, packet: Overheard) {
        self.overheard_buffers.give_back(packet.payload);
    }

    /// Packets that listeners did not get.
    pub(super) fn unheard(&self) -> u64 {
        self.unheard.load(Ordering::Relaxed)
    }

    pub(super) fn set_progress(&self, time: Timestamp) {
        self.progress.store(time.as_nanos(), Ordering::Release);
    }

    pub(super) fn progress(&self) -> Timestamp {
        Timestamp::from_nanos(self.progress.load(Ordering::Acquire))
    }

    pub(super) fn set_needed_from(&self, segment: u32) {
        self.needed_from.store(segment, Ordering::Relaxed);
    }

    pub(super) fn needed_from(&self) -> u32 {
        self.needed_from.load(Ordering::Relaxed)
    }

    pub(super) fn set_load(&self, percent: u8) {
        self.load.store(percent, Ordering::Relaxed);
    }

    pub(super) fn set_cpu(&self, percent: u8) {
        self.cpu.store(percent, Ordering::Relaxed);
    }

    pub(super) fn cpu(&self) -> u8 {
        self.cpu.load(Ordering::Relaxed)
    }

    pub(super) fn load(&self) -> u8 {
        self.load.load(Ordering::Relaxed)
    }

    pub(super) fn set_memory(&self, percent: u8) {
        self.memory.store(percent, Ordering::Relaxed);
    }

    pub(super) fn memory(&self) -> u8 {
        self.memory.load(Ordering::Relaxed)
    }

    /// How full the fullest ring is that the core fills, in percent.
    pub(super) fn fullest(&self) -> u8 {
        let messages = self.messages.len() * 100 / MESSAGES_MAX;
        let opened = self.opened.len() * 100 / FLOWS_OPENED_MAX;
        let answers = self.answers.len() * 100 / COMMANDS_MAX;
        u8::try_from(messages.max(opened).max(answers)).unwrap_or(100)
    }

    /// Asks the core to end.
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }

    pub(super) fn is_to_stop(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// The core's side: whether its source gives nothing because of what is not the interface's state.
    pub(super) fn set_failing(&self, failing: bool) {
        self.failing.store(failing, Ordering::Relaxed);
    }

    pub(super) fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    /// The core's side: shows its counts, unless someone is just looking at the last ones.
    pub(super) fn publish(&self, at: Timestamp, ledger: &Ledger, tap: &TapCounts) {
        if let Ok(mut counted) = self.counted.try_lock() {
            counted.at = at;
            counted.ledger.clone_from(ledger);
            counted.tap.clone_from(tap);
        }
    }

    /// The core's counts, not older than a moment.
    pub(super) fn counted(&self) -> Counted {
        self.counted.lock().map(|counted| counted.clone()).unwrap_or_default()
    }

    /// The core's side: something is wrong with the source. Of many troubles the first are told.
    pub(super) fn complain(&self, trouble: capture::CaptureError) {
        let _ = self.trouble.push(trouble);
    }

    pub(super) fn next_trouble(&self) -> Option<capture::CaptureError> {
        self.trouble.pop()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_listener_misses_packets_and_they_are_counted() {
        let lines = Lines::holding(4);
        let packet = |payload: &'static [u8]| MediaPacket {
            time: Timestamp::ZERO,
            payload,
            wire_bytes: payload.len() as u16,
        };
        let flow = FlowId::default();
        for number in [b"0", b"1", b"2", b"3", b"4"] {
            lines.overhear(flow, &packet(number));
        }
        assert_eq!(lines.unheard(), 1, "four places");
        let first = lines.overheard.pop().unwrap();
        assert_eq!(first.payload, b"0");
        lines.give_back_overheard(first);
        lines.overhear(flow, &packet(&[0; OVERHEARD_BYTES_MAX + 1]));
        assert_eq!(lines.unheard(), 2, "too long");
        lines.overhear(flow, &packet(b"5"));
        let heard: Vec<_> =
            std::iter::from_fn(|| lines.overheard.pop()).map(|it| it.payload).collect();
        assert_eq!(heard, [b"1", b"2", b"3", b"5"]);
    }

    #[test]
    fn a_full_ring_refuses_and_buffers_come_back() {
        let lines = Lines::new();
        let sip = |message| Seen::Sip {
            time: Timestamp::ZERO,
            key: FlowKey::default(),
            transport: Transport::Udp,
            message,
        };
        for _ in 0..MESSAGES_MAX {
            assert!(lines.tell(sip(b"OPTIONS")));
        }
        assert!(!lines.tell(sip(b"one too many")));
        let message = lines.messages.pop().unwrap();
        assert_eq!(message.bytes, b"OPTIONS");
        assert!(!lines.tell(sip(b"its buffer is not back yet")));
        lines.give_back(message.bytes);
        assert!(lines.tell(sip(b"now there is room")));
    }
}
