//! What goes between one capture core, the dialog thread and who listens: bounded rings with one thread at each end, of which
//! none waits for another, and what the core publishes.
//!
//! The core never waits: a full ring is counted by name. Messages travel in buffers that come back; one is allocated only
//! where more are under way than ever before.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};

use base::{Endpoint, FlowKey, Ledger, MediaPacket, Timestamp, Transport};
use capture::CaptureError;
use capture::memory::ring;
use journal::{FlowId, FlowSummary};
use rtrb::{Consumer, Producer};

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
/// Troubles of a source that are told at once.
const TROUBLES_MAX: usize = 16;
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
    back: Consumer<Vec<u8>>,
    made: usize,
    bytes: usize,
}

impl Buffers {
    /// At most `count`, with room for so many bytes each; and where they come back.
    fn new(count: usize, bytes: usize) -> (Producer<Vec<u8>>, Self) {
        let ((mut returned, back), made) = (ring(count), BUFFERS_READY.min(count));
        for _ in 0..made {
            // There are as many places.
            let _ = returned.push(Vec::with_capacity(bytes));
        }
        (returned, Self { back, made, bytes })
    }

    /// None if all of them are away.
    fn take(&mut self) -> Option<Vec<u8>> {
        self.back.pop().ok().or_else(|| self.make())
    }

    #[cold]
    fn make(&mut self) -> Option<Vec<u8>> {
        let one_more = self.made < self.back.buffer().capacity();
        self.made += usize::from(one_more);
        one_more.then(|| Vec::with_capacity(self.bytes))
    }
}

/// The core's end of the rings.
pub(super) struct CoreEnd {
    messages: Producer<Message>,
    buffers: Buffers,
    opened: Producer<Opened>,
    pub(super) orders: Consumer<Order>,
    pub(super) answers: Producer<Answer>,
    overheard: Producer<Overheard>,
    overheard_buffers: Buffers,
    trouble: Producer<CaptureError>,
    /// Packets that a listener did not get, because he was slow or they were too long.
    unheard: u64,
}

/// The dialog thread's.
pub(super) struct DialogEnd {
    pub(super) messages: Consumer<Message>,
    buffers: Producer<Vec<u8>>,
    pub(super) opened: Consumer<Opened>,
    pub(super) orders: Producer<Order>,
    pub(super) answers: Consumer<Answer>,
    pub(super) trouble: Consumer<CaptureError>,
}

/// The end of who listens.
pub(super) struct ListenerEnd {
    pub(super) overheard: Consumer<Overheard>,
    buffers: Producer<Vec<u8>>,
}

/// The rings of one core.
pub(super) fn rings() -> (CoreEnd, DialogEnd, ListenerEnd) {
    rings_for(MESSAGES_MAX)
}

/// The same for so many messages at once.
pub(super) fn rings_for(messages: usize) -> (CoreEnd, DialogEnd, ListenerEnd) {
    let (messages_in, messages_out) = ring(messages);
    let (message_back, buffers) = Buffers::new(messages, MESSAGE_BYTES);
    let (opened_in, opened_out) = ring(FLOWS_OPENED_MAX.min(messages));
    let (orders_in, orders_out) = ring(COMMANDS_MAX.min(messages));
    let (answers_in, answers_out) = ring(COMMANDS_MAX.min(messages));
    let (overheard_in, overheard_out) = ring(OVERHEARD_MAX.min(messages));
    let (overheard_back, overheard_buffers) =
        Buffers::new(OVERHEARD_MAX.min(messages), OVERHEARD_BYTES_MAX);
    let (trouble_in, trouble_out) = ring(TROUBLES_MAX);
    let core = CoreEnd {
        messages: messages_in,
        buffers,
        opened: opened_in,
        orders: orders_out,
        answers: answers_in,
        overheard: overheard_in,
        overheard_buffers,
        trouble: trouble_in,
        unheard: 0,
    };
    let dialog = DialogEnd {
        messages: messages_out,
        buffers: message_back,
        opened: opened_out,
        orders: orders_in,
        answers: answers_out,
        trouble: trouble_out,
    };
    (core, dialog, ListenerEnd { overheard: overheard_out, buffers: overheard_back })
}

impl CoreEnd {
    /// Hands over what the core saw. False if there is no room.
    pub(super) fn tell(&mut self, seen: Seen<'_>) -> bool {
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

    /// Hands over a packet of a flow that somebody listens to. He may be slow: then he misses it.
    #[cold]
    pub(super) fn overhear(&mut self, flow: FlowId, packet: &MediaPacket<'_>) {
        let buffer = (packet.payload.len() <= OVERHEARD_BYTES_MAX)
            .then(|| self.overheard_buffers.take())
            .flatten();
        let Some(mut payload) = buffer else {
            self.unheard += 1;
            return;
        };
        payload.clear();
        payload.extend_from_slice(packet.payload);
        // As many buffers as places: there is room.
        let _ = self.overheard.push(Overheard { flow, time: packet.time, payload });
    }

    /// Packets that listeners did not get.
    pub(super) const fn unheard(&self) -> u64 {
        self.unheard
    }

    /// Something is wrong with the source. Of many troubles the first are told.
    pub(super) fn complain(&mut self, trouble: CaptureError) {
        let _ = self.trouble.push(trouble);
    }

    /// How full the fullest ring is that the core fills, in percent.
    pub(super) fn fullest(&self) -> u8 {
        let messages = used_percent(&self.messages);
        messages.max(used_percent(&self.opened)).max(used_percent(&self.answers))
    }
}

fn used_percent<T>(ring: &Producer<T>) -> u8 {
    let capacity = ring.buffer().capacity().max(1);
    u8::try_from((capacity - ring.slots()) * 100 / capacity).unwrap_or(100)
}

impl DialogEnd {
    /// A message is dealt with.
    pub(super) fn give_back(&mut self, buffer: Vec<u8>) {
        // A copy that was made to give the buffer back early is small: the core would have to make it grow.
        if buffer.capacity() >= MESSAGE_BYTES {
            // As many places as buffers: there is one for it.
            let _ = self.buffers.push(buffer);
        }
    }
}

impl ListenerEnd {
    /// A packet is dealt with.
    pub(super) fn give_back(&mut self, packet: Overheard) {
        // As many places as buffers: there is one for it.
        let _ = self.buffers.push(packet.payload);
    }
}

/// What a core publishes, and whether it is to end.
#[derive(Default)]
pub(super) struct Lines {
    /// Everything before this time has been handed over.
    progress: AtomicU64,
    needed_from: AtomicU32,
    /// How much of its time the core works, in percent.
    load: AtomicU8,
    /// How much of the time its thread has a CPU, in percent: less than the load, where others want the CPU too.
    cpu: AtomicU8,
    /// How much of its journal's memory is in use, in percent.
    memory: AtomicU8,
    /// How full the fullest ring is that it fills, in percent.
    fullest: AtomicU8,
    unheard: AtomicU64,
    stop: AtomicBool,
    failing: AtomicBool,
    counted: Mutex<Counted>,
}

impl Lines {
    pub(super) fn set_unheard(&self, packets: u64) {
        self.unheard.store(packets, Ordering::Relaxed);
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

    pub(super) fn set_fullest(&self, percent: u8) {
        self.fullest.store(percent, Ordering::Relaxed);
    }

    pub(super) fn fullest(&self) -> u8 {
        self.fullest.load(Ordering::Relaxed)
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_listener_misses_packets_and_they_are_counted() {
        let (mut core, _dialog, mut listener) = rings_for(4);
        let packet = |payload: &'static [u8]| MediaPacket {
            time: Timestamp::ZERO,
            payload,
            wire_bytes: payload.len() as u16,
        };
        let flow = FlowId::default();
        for number in [b"0", b"1", b"2", b"3", b"4"] {
            core.overhear(flow, &packet(number));
        }
        assert_eq!(core.unheard(), 1, "four places");
        let first = listener.overheard.pop().unwrap();
        assert_eq!(first.payload, b"0");
        listener.give_back(first);
        core.overhear(flow, &packet(&[0; OVERHEARD_BYTES_MAX + 1]));
        assert_eq!(core.unheard(), 2, "too long");
        core.overhear(flow, &packet(b"5"));
        let heard: Vec<_> =
            std::iter::from_fn(|| listener.overheard.pop().ok()).map(|it| it.payload).collect();
        assert_eq!(heard, [b"1", b"2", b"3", b"5"]);
    }

    #[test]
    fn a_full_ring_refuses_and_buffers_come_back() {
        let (mut core, mut dialog, _listener) = rings();
        let sip = |message| Seen::Sip {
            time: Timestamp::ZERO,
            key: FlowKey::default(),
            transport: Transport::Udp,
            message,
        };
        for _ in 0..MESSAGES_MAX {
            assert!(core.tell(sip(b"OPTIONS")));
        }
        assert!(!core.tell(sip(b"one too many")));
        let message = dialog.messages.pop().unwrap();
        assert_eq!(message.bytes, b"OPTIONS");
        assert!(!core.tell(sip(b"its buffer is not back yet")));
        dialog.give_back(message.bytes);
        assert!(core.tell(sip(b"now there is room")));
    }
}
