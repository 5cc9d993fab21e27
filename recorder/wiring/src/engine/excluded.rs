//! Media of calls that were refused: not taken at all, so that those that are up have the room.
//!
//! What a refused call announces is excluded until it ends, or until a call that is followed announces it too. It is
//! remembered within limits: what is beyond them is taken, and found to be nobody's.

use std::collections::VecDeque;
use std::time::Duration;

use base::limits::EXCLUDED_CALLS_MAX;
use base::{Endpoint, Timestamp};
use dialog::sdp::Description;
use dialog::sip::{Message, StartLine};
use hashbrown::HashMap;

/// Endpoints of a refused call that are excluded: those of three media lines on both sides, with RTCP.
const ENDPOINTS_PER_CALL_MAX: usize = 12;
/// A refused call whose end was not seen is over after so long.
const EXCLUDED_FOR: Duration = Duration::from_secs(3_600);

/// What is excluded.
#[derive(Debug, Default)]
pub(crate) struct Exclusions {
    /// By Call-ID.
    calls: HashMap<Box<[u8]>, Vec<Endpoint>>,
    /// Of each endpoint, the call.
    endpoints: HashMap<Endpoint, Box<[u8]>>,
    /// In the order of their begin; some have ended.
    begun: VecDeque<(Timestamp, Box<[u8]>)>,
}

/// What a message of a refused call changes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) exclude: Vec<Endpoint>,
    pub(crate) include: Vec<Endpoint>,
}

impl Exclusions {
    /// A message that would have begun a call was refused. `is_owned` says of which endpoints a call that is followed
    /// has a use.
    pub(crate) fn refused(
        &mut self,
        time: Timestamp,
        message: &[u8],
        is_owned: impl Fn(Endpoint) -> bool,
    ) -> Change {
        let mut change = Change::default();
        let Ok(parsed) = Message::parse(message) else { return change };
        while let Some((begun, _)) = self.begun.front()
            && (time.since(*begun) > EXCLUDED_FOR || self.begun.len() >= EXCLUDED_CALLS_MAX)
            && let Some((_, call_id)) = self.begun.pop_front()
        {
            self.end(&call_id, &mut change);
        }
        if !self.calls.contains_key(parsed.call_id) {
            self.calls.insert(parsed.call_id.into(), Vec::new());
            self.begun.push_back((time, parsed.call_id.into()));
        }
        self.take(&parsed, is_owned, &mut change);
        change
    }

    /// Another message that belongs to no call that is followed.
    pub(crate) fn heard(&mut self, message: &[u8], is_owned: impl Fn(Endpoint) -> bool) -> Change {
        let mut change = Change::default();
        if !self.calls.is_empty()
            && let Ok(parsed) = Message::parse(message)
        {
            self.take(&parsed, is_owned, &mut change);
        }
        change
    }

    /// A call that is followed announces the endpoint: it is that call's.
    pub(crate) fn take_back(&mut self, endpoint: Endpoint) {
        if let Some(call_id) = self.endpoints.remove(&endpoint)
            && let Some(endpoints) = self.calls.get_mut(&call_id)
        {
            endpoints.retain(|it| *it != endpoint);
        }
    }

    fn take(
        &mut self,
        message: &Message<'_>,
        is_owned: impl Fn(Endpoint) -> bool,
        change: &mut Change,
    ) {
        let Some(endpoints) = self.calls.get_mut(message.call_id) else { return };
        if ends_a_call(message) {
            self.end(message.call_id, change);
            return;
        }
        let media = message.sdp().map(Description::parse).unwrap_or_default().media;
        let announced = media.iter().flat_map(|line| [line.endpoint, line.rtcp]).flatten();
        for endpoint in announced.filter(|it| super::calls::usable(*it)) {
            let has_room = endpoints.len() < ENDPOINTS_PER_CALL_MAX;
            if has_room && !is_owned(endpoint) && !self.endpoints.contains_key(&endpoint) {
                self.endpoints.insert(endpoint, message.call_id.into());
                endpoints.push(endpoint);
                change.exclude.push(endpoint);
            }
        }
    }

    fn end(&mut self, call_id: &[u8], change: &mut Change) {
        for endpoint in self.calls.remove(call_id).unwrap_or_default() {
            self.endpoints.remove(&endpoint);
            change.include.push(endpoint);
        }
    }
}

/// BYE, CANCEL, or a final answer other than success to what began it (RFC 3261, 9, 13.2.2 and 15).
fn ends_a_call(message: &Message<'_>) -> bool {
    match message.start {
        StartLine::Request { method, .. } => matches!(method, b"BYE" | b"CANCEL"),
        StartLine::Response { status, .. } => status >= 300 && message.cseq.method == b"INVITE",
    }
}
