//! Calls that were not recorded because the recorder was at its limit: counted once each, and the newest listed.

use std::collections::VecDeque;

use base::Timestamp;
use base::limits::REFUSED_CALLS_LISTED_MAX;
use dialog::sip::{Address, Message};
use hashbrown::HashSet;
use serde::Serialize;

/// Why a call was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Limit {
    /// As many calls are followed as may be.
    Calls,
    /// The journal's memory is nearly used up: the disk is too slow, or the load too high.
    JournalMemory,
    /// The journal's disk is nearly full.
    JournalDisk,
    /// A capture thread cannot keep up: it works all the time, or packets are lost before it.
    Capture,
}

/// A call that is not recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Refused {
    /// When it would have begun.
    pub time: Timestamp,
    /// Its Call-ID.
    pub call_id: String,
    /// Who called.
    pub caller: String,
    /// Who was called.
    pub callee: String,
    /// Why.
    pub reason: Limit,
}

impl Refused {
    /// The same with another time.
    pub(crate) fn told(&self, time: impl Fn(Timestamp) -> Timestamp) -> Self {
        Self { time: time(self.time), ..self.clone() }
    }
}

/// The newest of them.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    newest: VecDeque<Refused>,
    known: HashSet<String>,
}

impl Refusals {
    /// A message that would have begun a call was refused. True if it is the first of its call, as far as is
    /// remembered.
    pub(crate) fn add(&mut self, time: Timestamp, message: &[u8], reason: Limit) -> bool {
        let Ok(message) = Message::parse(message) else { return false };
        let call_id = String::from_utf8_lossy(message.call_id).into_owned();
        if !self.known.insert(call_id.clone()) {
            return false;
        }
        if self.newest.len() >= REFUSED_CALLS_LISTED_MAX
            && let Some(oldest) = self.newest.pop_front()
        {
            self.known.remove(&oldest.call_id);
        }
        let (caller, callee) = (user(message.from), user(message.to));
        self.newest.push_back(Refused { time, call_id, caller, callee, reason });
        true
    }

    /// Oldest first.
    pub(crate) fn newest(&self) -> impl Iterator<Item = &Refused> {
        self.newest.iter()
    }
}

fn user(value: &[u8]) -> String {
    let address = Address::parse(value);
    let name = address.user().unwrap_or(address.uri);
    let name = name.get(..NAME_BYTES_MAX).unwrap_or(name);
    String::from_utf8_lossy(name).into_owned()
}

/// Bytes kept of who called whom.
const NAME_BYTES_MAX: usize = 64;
