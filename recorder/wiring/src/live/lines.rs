//! What goes between one capture core and the dialog thread: bounded lock-free rings, and what the core publishes.
//!
//! The core never waits: a full ring is counted by name. Messages travel in buffers that come back, so that
//! after the first use nothing is allocated for them.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};

use base::{Endpoint, FlowKey, Ledger, Timestamp, Transport};
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
/// What a message's buffer is made for; a larger message makes it grow, once.
const MESSAGE_BYTES: usize = 2_048;

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
    Report(FlowId, Ticket),
    Release(FlowId, Timestamp),
    Forget(FlowId),
    /// Signalling from before this is no longer needed; and say from where on the journal is.
    ReleaseSignalling(Timestamp),
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

/// Between one core and the dialog thread.
pub(super) struct Lines {
    pub(super) messages: ArrayQueue<Message>,
    buffers: ArrayQueue<Vec<u8>>,
    pub(super) opened: ArrayQueue<Opened>,
    pub(super) orders: ArrayQueue<Order>,
    pub(super) answers: ArrayQueue<Answer>,
    /// Everything before this time has been handed over.
    progress: AtomicU64,
    needed_from: AtomicU32,
    /// How much of its time the core works, in percent.
    load: AtomicU8,
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
        let buffers = ArrayQueue::new(messages);
        while buffers.push(Vec::with_capacity(MESSAGE_BYTES)).is_ok() {}
        Self {
            messages: ArrayQueue::new(messages),
            buffers,
            opened: ArrayQueue::new(FLOWS_OPENED_MAX.min(messages)),
            orders: ArrayQueue::new(COMMANDS_MAX.min(messages)),
            answers: ArrayQueue::new(COMMANDS_MAX.min(messages)),
            progress: AtomicU64::new(0),
            needed_from: AtomicU32::new(0),
            load: AtomicU8::new(0),
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
                let Some(mut bytes) = self.buffers.pop() else { return false };
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
            // As many buffers as places: there is one for it.
            let _ = self.buffers.push(buffer);
        }
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
