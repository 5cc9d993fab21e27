//! The table of calls: messages and times in, actions out.

use std::collections::{BTreeSet, VecDeque};
use std::hash::{BuildHasher, Hash, Hasher};

use base::{FlowKey, Timestamp, Transport, limits};
use hashbrown::{DefaultHashBuilder, HashMap, HashTable};

use crate::call::{Call, EndReason};
use crate::sip::{Message, SipError, StartLine};
use crate::track::legs::{self, Found};
use crate::track::{Seen, Tracked};

/// How long the end of a call is remembered after it was [forgotten](Dialogs::forget), in seconds: so
/// long may its messages be sent again (64*T1; RFC 3261, 17).
const REMEMBERED_SECONDS: u64 = 32;

/// Names a call within one [`Dialogs`]; numbered in the order in which calls begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallKey(u64);

/// One SIP message.
#[derive(Clone, Copy, Debug)]
pub struct SipInput<'a> {
    /// Arrival on the capture clock.
    pub time: Timestamp,
    /// From whom to whom.
    pub key: FlowKey,
    /// What carried it.
    pub transport: Transport,
    /// The whole message, as the datagram or the TCP framer gave it.
    pub message: &'a [u8],
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handled {
    /// It belongs to this call.
    Call(CallKey),
    /// It is of no call: a registration, a subscription, or a call of which too little was seen.
    NotACall,
    /// It cannot be used.
    Malformed(SipError),
    /// It would begin a call, and there are as many as there may be.
    TableFull,
    /// It would begin a call, and [none may begin](Dialogs::refuse_new).
    Refused,
}

/// What happened. A call has one `Started`, any number of `Announced`, and then one `Ended` or `Evicted`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A call has begun.
    Started(CallKey),
    /// [`Call::announced`] is not what it was.
    Announced(CallKey),
    /// A call is over.
    Ended {
        /// Which.
        call: CallKey,
        /// When it ended, which may be some time ago: see [`Call::ended`].
        time: Timestamp,
        /// Why.
        reason: EndReason,
    },
    /// The table was full: this call, the oldest to whose INVITE nobody had reacted, gave way. It is forgotten
    /// already, and has no `Ended`.
    Evicted(CallKey),
}

/// What a timer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// A call may be over.
    Call(CallKey),
    /// A forgotten call, by the hash of its Call-ID, need not be remembered any longer.
    Forgotten(u64),
}

/// All calls that are followed.
///
/// Its state depends only on what it was given: the same messages with the same times make the same
/// calls and actions. Timers fire on the capture clock, before the first message that is later.
#[derive(Debug)]
pub struct Dialogs {
    calls: HashMap<CallKey, Box<Tracked>>,
    /// By hash of the Call-ID. Calls with equal Call-IDs follow each other in time.
    by_call_id: HashTable<CallKey>,
    forgotten: HashMap<u64, Timestamp>,
    /// Calls to whose INVITE nobody has reacted, oldest first.
    unanswered: BTreeSet<CallKey>,
    timers: BTreeSet<(Timestamp, Timer)>,
    actions: VecDeque<Action>,
    hasher: DefaultHashBuilder,
    started: u64,
    now: Timestamp,
    calls_max: usize,
    refuses_new: bool,
}

impl Default for Dialogs {
    fn default() -> Self {
        Self::new()
    }
}

impl Dialogs {
    /// No calls yet; as many as `base::limits::CALLS_MAX` will be followed at once.
    #[must_use]
    pub fn new() -> Self {
        Self::with_calls_max(limits::CALLS_MAX)
    }

    /// The same with a lower limit, for a machine with little memory.
    #[must_use]
    pub fn with_calls_max(calls_max: usize) -> Self {
        Self {
            calls: HashMap::new(),
            by_call_id: HashTable::new(),
            forgotten: HashMap::new(),
            unanswered: BTreeSet::new(),
            timers: BTreeSet::new(),
            actions: VecDeque::new(),
            hasher: DefaultHashBuilder::default(),
            started: 0,
            now: Timestamp::ZERO,
            calls_max: calls_max.min(limits::CALLS_MAX),
            refuses_new: false,
        }
    }

    /// From now on, whether calls that would begin are refused: the recorder is at its limit. Those that are there
    /// go on.
    pub fn refuse_new(&mut self, refuse: bool) {
        self.refuses_new = refuse;
    }

    /// How many calls there may be.
    #[must_use]
    pub fn calls_max(&self) -> usize {
        self.calls_max
    }

    /// Takes a message. Timers that are due before it fire first.
    pub fn message(&mut self, input: SipInput<'_>) -> Handled {
        self.advance(input.time);
        let message = match Message::parse(input.message) {
            Ok(message) => message,
            Err(error) => return Handled::Malformed(error),
        };
        let seen = self.seen(&input, message);
        let call_id = self.hasher.hash_one(message.call_id);
        let key = match self.find(call_id, &seen) {
            Some(key) => key,
            None if !seen.makes_a_call() || self.is_echo(call_id, &seen) => {
                return Handled::NotACall;
            }
            None if self.refuses_new => return Handled::Refused,
            None if self.calls.len() >= self.calls_max && !self.evict() => {
                return Handled::TableFull;
            }
            None => self.begin(call_id, &seen),
        };
        self.take(key, &seen);
        Handled::Call(key)
    }

    /// Capture time moves on: timers fire. Time does not move back.
    pub fn advance(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
        while let Some((_, timer)) = self.timers.first().copied().filter(|it| it.0 <= self.now) {
            self.timers.pop_first();
            match timer {
                Timer::Call(key) => self.fire(key),
                Timer::Forgotten(call_id) => {
                    if self.forgotten.get(&call_id).is_some_and(|until| *until <= self.now) {
                        self.forgotten.remove(&call_id);
                    }
                }
            }
        }
    }

    /// What happened since the last time, oldest first.
    pub fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Media of this call was seen, which shows that it goes on. Once a second will do.
    pub fn media_seen(&mut self, call: CallKey, time: Timestamp) {
        if let Some(tracked) = self.calls.get_mut(&call) {
            tracked.media(time);
            self.arm(call);
        }
    }

    /// Nothing was seen between these times: the recorder was not there. A call that was talking and shows no sign
    /// of life soon after `until` has ended meanwhile; the others have until then at least.
    pub fn unseen(&mut self, from: Timestamp, until: Timestamp) {
        let mut keys: Vec<CallKey> = self.calls.keys().copied().collect();
        keys.sort_unstable();
        for key in keys {
            let Some(tracked) = self.calls.get_mut(&key) else { continue };
            if tracked.call.ended.is_none() {
                tracked.was_unseen(from, until);
                self.arm(key);
            }
        }
    }

    /// Whether a call has shown no sign of life since what was [unseen](Self::unseen).
    #[must_use]
    pub fn is_unsure(&self, call: CallKey) -> bool {
        self.calls.get(&call).is_some_and(|tracked| tracked.is_unsure())
    }

    /// The capture clock begins anew, at an earlier time: that of another machine, or of one that has started with
    /// a wrong clock. Every call must have ended.
    pub fn restart_clock(&mut self, now: Timestamp) {
        self.now = now;
        self.forgotten.clear();
        self.timers.clear();
    }

    /// The capture is at its end: so are all calls, each as it would have ended if its end was near.
    pub fn end_all(&mut self, time: Timestamp, reason: EndReason) {
        self.advance(time);
        let mut keys: Vec<CallKey> = self.calls.keys().copied().collect();
        keys.sort_unstable();
        for key in keys {
            let verdict = self.calls.get(&key).and_then(|tracked| tracked.pending_verdict());
            self.end(key, verdict.unwrap_or((time, reason)));
        }
    }

    /// A call, running or over.
    #[must_use]
    pub fn call(&self, call: CallKey) -> Option<&Call> {
        self.calls.get(&call).map(|tracked| &tracked.call)
    }

    /// Takes a call out. If it is over, late copies of its messages do not begin it anew. Calls that are over
    /// stay in the table until then, and what is said in them a moment later still joins their ladder.
    pub fn forget(&mut self, call: CallKey) -> Option<Call> {
        let tracked = *self.calls.remove(&call)?;
        self.unanswered.remove(&call);
        let call_id = self.hasher.hash_one(&*tracked.call_id);
        if let Ok(entry) = self.by_call_id.find_entry(call_id, |it| *it == call) {
            entry.remove();
        }
        if let Some(armed) = tracked.armed {
            self.timers.remove(&(armed, Timer::Call(call)));
        }
        if tracked.call.ended.is_some() && self.forgotten.len() < self.calls_max {
            let until = self.now.plus(std::time::Duration::from_secs(REMEMBERED_SECONDS));
            self.forgotten.insert(call_id, until);
            self.timers.insert((until, Timer::Forgotten(call_id)));
        }
        Some(tracked.call)
    }

    /// Calls in the table, running or over.
    #[must_use]
    pub fn len(&self) -> usize {
        self.calls.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    fn seen<'m>(&self, input: &SipInput<'_>, message: Message<'m>) -> Seen<'m> {
        let (from_tag, to_tag) = (message.from_tag(), message.to_tag());
        let branch = self.hasher.hash_one(message.branch());
        let mut hasher = self.hasher.build_hasher();
        input.key.hash(&mut hasher);
        match message.start {
            StartLine::Request { method, .. } => method.hash(&mut hasher),
            StartLine::Response { status, .. } => status.hash(&mut hasher),
        }
        (message.cseq.number, message.cseq.method, branch, to_tag).hash(&mut hasher);
        message.body.hash(&mut hasher);
        Seen {
            time: input.time,
            key: input.key,
            transport: input.transport,
            message,
            from_tag,
            to_tag,
            branch,
            fingerprint: hasher.finish(),
        }
    }

    /// The call of a message: the newest with its Call-ID, unless an older one has its tags.
    fn find(&self, call_id: u64, seen: &Seen<'_>) -> Option<CallKey> {
        let named = self.by_call_id.iter_hash(call_id).filter_map(|key| {
            let tracked = self.calls.get(key)?;
            (*tracked.call_id == *seen.message.call_id).then_some((*key, tracked))
        });
        let fits = |tracked: &Tracked| {
            matches!(legs::find(&tracked.call.legs, seen.from_tag, seen.to_tag), Found::Exact(..))
        };
        let better = named.reduce(|a, b| if (fits(a.1), a.0) > (fits(b.1), b.0) { a } else { b });
        let (key, tracked) = better?;
        (!tracked.is_followed_by(seen)).then_some(key)
    }

    /// Whether it is a late message of a call that was forgotten.
    fn is_echo(&self, call_id: u64, seen: &Seen<'_>) -> bool {
        !seen.is_first_invite() && self.forgotten.contains_key(&call_id)
    }

    /// Makes room for a call. A flood of INVITEs that nobody reacts to so only ever hurts itself.
    fn evict(&mut self) -> bool {
        let Some(oldest) = self.unanswered.pop_first() else { return false };
        self.forget(oldest);
        self.actions.push_back(Action::Evicted(oldest));
        true
    }

    fn begin(&mut self, call_id: u64, seen: &Seen<'_>) -> CallKey {
        let key = CallKey(self.started);
        self.started += 1;
        let tracked = Tracked::begin(seen);
        if tracked.is_unanswered() {
            self.unanswered.insert(key);
        }
        self.calls.insert(key, Box::new(tracked));
        let Self { calls, hasher, .. } = self;
        self.by_call_id.insert_unique(call_id, key, |key| {
            calls.get(key).map_or(0, |tracked| hasher.hash_one(&*tracked.call_id))
        });
        self.actions.push_back(Action::Started(key));
        key
    }

    fn take(&mut self, key: CallKey, seen: &Seen<'_>) {
        let Some(tracked) = self.calls.get_mut(&key) else { return };
        let effect = tracked.take(seen);
        if !tracked.is_unanswered() {
            self.unanswered.remove(&key);
        }
        if effect.announced {
            self.actions.push_back(Action::Announced(key));
        }
        match effect.over {
            Some(verdict) => self.end(key, verdict),
            None => self.arm(key),
        }
    }

    /// A call's timer went off: the call is over, or it has lived on since and gets a new one.
    fn fire(&mut self, key: CallKey) {
        let Some(tracked) = self.calls.get_mut(&key) else { return };
        tracked.armed = None;
        match tracked.deadline() {
            Some(deadline) if deadline <= self.now => {
                let verdict = tracked.verdict();
                self.end(key, verdict);
            }
            _ => self.arm(key),
        }
    }

    fn end(&mut self, key: CallKey, (time, reason): (Timestamp, EndReason)) {
        let Some(tracked) = self.calls.get_mut(&key) else { return };
        if tracked.call.ended.is_none() {
            tracked.call.ended = Some((time, reason));
            self.unanswered.remove(&key);
            if let Some(armed) = tracked.armed.take() {
                self.timers.remove(&(armed, Timer::Call(key)));
            }
            self.actions.push_back(Action::Ended { call: key, time, reason });
        }
    }

    /// Sets a call's timer no later than its deadline. One that is set earlier stays: it will be set anew
    /// when it fires, which spares the tree most messages.
    fn arm(&mut self, key: CallKey) {
        let Some(tracked) = self.calls.get_mut(&key) else { return };
        let Some(deadline) = tracked.deadline() else { return };
        match tracked.armed {
            Some(armed) if armed <= deadline => return,
            Some(armed) => self.timers.remove(&(armed, Timer::Call(key))),
            None => false,
        };
        tracked.armed = Some(deadline);
        self.timers.insert((deadline, Timer::Call(key)));
    }
}
