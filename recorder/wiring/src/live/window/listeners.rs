//! Who listens to which call, and the sound on its way to him.

use std::sync::Arc;
use std::time::Duration;

use base::limits::LISTENERS_MAX;
use base::{Formats, Side, Timestamp};
use dialog::CallKey;
use hashbrown::HashMap;
use web::link::wire;

use super::mixer::{LASTING, Mixer, Source};
use super::shared::Shared;
use crate::clock;
use crate::engine::{FlowRef, Voice};
use crate::live::lines::{ListenerEnd, Overheard};
use crate::wall_clock::WallClock;

/// A core that the machine does not let run is waited for so long.
const WAIT_MAX: Duration = Duration::from_millis(200);

/// One who listens, by his window and its number for him.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Listener {
    pub(super) window: u64,
    pub(super) listener: u32,
}

/// A call that is listened to.
struct Tap {
    listeners: Vec<Listener>,
    mixer: Mixer,
    voices: Vec<(Source, Side, Formats)>,
    /// The call is over; until then what is on its way is heard.
    over: Option<Timestamp>,
}

/// All of them.
pub(super) struct Ears {
    shared: Arc<Shared>,
    /// Where each core's packets come out.
    overheard: Vec<ListenerEnd>,
    wall_clock: Arc<WallClock>,
    taps: HashMap<CallKey, Tap>,
    /// Whose voices a flow carries.
    routes: HashMap<Source, Vec<CallKey>>,
}

impl Ears {
    pub(super) fn new(
        shared: Arc<Shared>,
        overheard: Vec<ListenerEnd>,
        wall_clock: Arc<WallClock>,
    ) -> Self {
        Self { shared, overheard, wall_clock, taps: HashMap::new(), routes: HashMap::new() }
    }

    /// Whether nobody listens.
    pub(super) fn is_idle(&self) -> bool {
        self.taps.is_empty()
    }

    /// The calls that are listened to.
    pub(super) fn calls(&self) -> impl Iterator<Item = CallKey> + '_ {
        self.taps.keys().copied()
    }

    /// All who listen.
    pub(super) fn listeners(&self) -> impl Iterator<Item = &Listener> {
        self.taps.values().flat_map(|tap| &tap.listeners)
    }

    /// Somebody begins to listen.
    ///
    /// # Errors
    /// Why he cannot, in a word of [`web::link::words::Tell::Ended`].
    pub(super) fn listen(&mut self, listener: Listener, call: CallKey) -> Result<(), &'static str> {
        if self.listeners().count() >= LISTENERS_MAX || self.listeners().any(|it| *it == listener) {
            return Err("full");
        }
        if !self.taps.contains_key(&call) && !self.shared.wish(call, true) {
            return Err("full");
        }
        let new = || Tap {
            listeners: Vec::new(),
            mixer: Mixer::new(clock::capture_time()),
            voices: Vec::new(),
            over: None,
        };
        let tap = self.taps.entry(call).or_insert_with(new);
        if tap.over.is_some() {
            return Err("unknown");
        }
        tap.listeners.push(listener);
        Ok(())
    }

    /// He listens no longer.
    pub(super) fn leave(&mut self, listener: Listener) {
        self.retain(|other| *other != listener);
    }

    /// All of a window do.
    pub(super) fn window_is_gone(&mut self, window: u64) {
        self.retain(|listener| listener.window != window);
    }

    fn retain(&mut self, stays: impl Fn(&Listener) -> bool) {
        for tap in self.taps.values_mut() {
            tap.listeners.retain(&stays);
        }
        let left = self.taps.extract_if(|_, tap| tap.listeners.is_empty());
        let left: Vec<_> = left.map(|(call, _)| call).collect();
        for call in left {
            self.tell_over(call);
        }
    }

    /// Nobody listens to the call any more. Should there be no room for that, the call's own end does it.
    fn tell_over(&mut self, call: CallKey) {
        let _ = self.shared.wish(call, false);
        self.route();
    }

    /// A call is over: what is on its way is still heard.
    pub(super) fn call_is_over(&mut self, call: CallKey) {
        if let Some(tap) = self.taps.get_mut(&call) {
            tap.over.get_or_insert(clock::capture_time().plus(LASTING));
        }
    }

    /// Nobody listens any more. Gives those who did.
    pub(super) fn end_all(&mut self) -> Vec<Listener> {
        let calls: Vec<_> = self.taps.keys().copied().collect();
        self.end(&calls)
    }

    fn end(&mut self, calls: &[CallKey]) -> Vec<Listener> {
        let mut listened = Vec::new();
        for call in calls {
            listened.extend(self.taps.remove(call).into_iter().flat_map(|tap| tap.listeners));
            self.tell_over(*call);
        }
        listened
    }

    /// Where the voices of a call are.
    pub(super) fn voices(&mut self, call: CallKey, voices: &[Voice]) {
        let Some(tap) = self.taps.get_mut(&call) else { return };
        let here = voices.iter().filter_map(|voice| match voice.flow {
            FlowRef::Core(core, flow) => Some(((core, flow), voice.side, voice.formats.clone())),
            FlowRef::Recovered(_) => None,
        });
        tap.voices = here.collect();
        self.route();
    }

    fn route(&mut self) {
        self.routes.clear();
        for (call, tap) in &self.taps {
            for (source, ..) in &tap.voices {
                self.routes.entry(*source).or_default().push(*call);
            }
        }
    }

    /// Takes what the cores copied, and gives what is due to who listens. Those come back whose call is over.
    pub(super) fn turn(&mut self, mut give: impl FnMut(Listener, &[u8])) -> Vec<Listener> {
        // Asked for before the packets are taken: all from before it are among them.
        let until = handed_over(&self.shared);
        let Self { overheard, taps, routes, .. } = self;
        for (core, end) in (0..=u8::MAX).zip(overheard) {
            while let Ok(packet) = end.overheard.pop() {
                hear((core, packet.flow), &packet, taps, routes);
                end.give_back(packet);
            }
        }
        for tap in self.taps.values_mut() {
            while let Some((time, samples)) = tap.mixer.block(until) {
                let time = self.wall_clock.shown_at(time).as_millis();
                for listener in &tap.listeners {
                    give(*listener, &wire::encode_sound(listener.listener, time, &samples));
                }
            }
        }
        let over = self.taps.iter().filter(|(_, tap)| tap.over.is_some_and(|over| until >= over));
        let over: Vec<_> = over.map(|(call, _)| *call).collect();
        self.end(&over)
    }
}

/// Gives a packet to the calls whose voice it carries.
fn hear(
    source: Source,
    packet: &Overheard,
    taps: &mut HashMap<CallKey, Tap>,
    routes: &HashMap<Source, Vec<CallKey>>,
) {
    for call in routes.get(&source).into_iter().flatten() {
        let Some(Tap { mixer, voices, .. }) = taps.get_mut(call) else { continue };
        let Some((_, side, formats)) = voices.iter().find(|(of, ..)| *of == source) else {
            continue;
        };
        mixer.packet((*side, formats), source, packet.time, &packet.payload);
    }
}

/// Every packet that came before this has been handed over by its core, unless one is so far behind that nobody is
/// to wait for it.
fn handed_over(shared: &Shared) -> Timestamp {
    let least = clock::capture_time().minus(WAIT_MAX);
    let cores = shared.lines.iter().map(|lines| lines.progress());
    cores.min().map_or(least, |progress| progress.max(least))
}
