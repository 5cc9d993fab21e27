//! Calls that are up, for who watches them: which have changed, what is known of one, where its voices are.

use std::collections::VecDeque;

use base::limits::LIVE_CALL_NEWS_MAX;
use base::{Endpoint, Formats, RecordingId, Side, Timestamp};
use dialog::{CallKey, MediaKind};
use media::g711::Law;

use super::{Engine, FlowRef};

/// What is remembered for who watches calls.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    keys: VecDeque<CallKey>,
    /// So much happened that not all of it is in `keys`.
    overflown: bool,
}

/// A call that is up.
#[derive(Clone, Debug)]
pub(crate) struct UpCall {
    /// That of its recording.
    pub(crate) id: RecordingId,
    pub(crate) call_id: String,
    pub(crate) caller: String,
    pub(crate) callee: String,
    pub(crate) started: Timestamp,
    pub(crate) answered: Option<Timestamp>,
    /// Encoding names of its audio.
    pub(crate) codecs: Vec<String>,
    /// As counted when its flows were last asked about.
    pub(crate) packets: u64,
    /// Whether some of its audio is announced in an encoding that can be decoded, and in the clear.
    pub(crate) audible: bool,
}

/// A flow that carries a call's voice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Voice {
    pub(crate) flow: FlowRef,
    pub(crate) side: Side,
    pub(crate) formats: Formats,
}

impl Engine {
    /// From now on, calls that change are remembered for [`Engine::next_changed`].
    pub(crate) fn watch_calls(&mut self) {
        self.changes = Some(Changes::default());
    }

    /// A call changed.
    pub(crate) fn changed(&mut self, call: CallKey) {
        let Some(changes) = &mut self.changes else { return };
        if changes.keys.len() < LIVE_CALL_NEWS_MAX {
            changes.keys.push_back(call);
        } else {
            changes.overflown = true;
        }
    }

    /// The next call that began, changed or ended.
    pub(crate) fn next_changed(&mut self) -> Option<CallKey> {
        let changes = self.changes.as_mut()?;
        let call = changes.keys.pop_front()?;
        if changes.keys.front() == Some(&call) {
            // Its later change is told with this one.
            changes.keys.pop_front();
        }
        Some(call)
    }

    /// Whether changes were forgotten since this was last asked: then only [`Engine::calls_up`] tells what is up.
    pub(crate) fn has_forgotten_changes(&mut self) -> bool {
        self.changes.as_mut().is_some_and(|changes| std::mem::take(&mut changes.overflown))
    }

    /// The calls that are up, oldest first.
    pub(crate) fn calls_up(&self) -> Vec<CallKey> {
        let up = self.calls.iter().filter(|(_, call)| call.is_up());
        let mut up: Vec<CallKey> = up.map(|(key, _)| *key).collect();
        up.sort_unstable();
        up
    }

    /// How many calls are up.
    pub(crate) fn concurrent(&self) -> usize {
        self.calls.values().filter(|call| call.is_up()).count()
    }

    /// How many media flows are open.
    pub(crate) fn flows_open(&self) -> usize {
        self.flows.len()
    }

    /// A call, if it is up.
    pub(crate) fn up_call(&self, key: CallKey) -> Option<UpCall> {
        let state = self.calls.get(&key).filter(|call| call.is_up())?;
        let call = self.dialogs.call(key)?;
        let audio = call.announced.iter().filter(|it| it.media == MediaKind::Audio);
        let in_force = audio.filter(|it| it.until.is_none());
        let mut codecs: Vec<String> = Vec::new();
        let mut audible = false;
        for announced in in_force {
            // The first is what its sender likes best, and what is used as a rule.
            let Some(format) = announced.formats.0.first() else { continue };
            let name = format.encoding.name();
            if !codecs.iter().any(|known| known == name) {
                codecs.push(name.to_owned());
            }
            let decodable = announced.formats.0.iter().any(|it| Law::of(it).is_some());
            audible |= decodable && !announced.secure;
        }
        let packets = self.voices_of(key).filter_map(|(flow, _)| self.flows.get(flow));
        Some(UpCall {
            id: RecordingId::of_call(call.started, &identity(call)),
            call_id: call.call_id.clone(),
            caller: call.caller.number.clone(),
            callee: call.callee.number.clone(),
            started: state.started,
            answered: call.answered,
            codecs,
            packets: packets.map(|flow| flow.packets).sum(),
            audible,
        })
    }

    /// Where the voices of a call are that is up, on this run's cores.
    pub(crate) fn voices(&self, key: CallKey) -> Vec<Voice> {
        let is_up = self.calls.get(&key).is_some_and(|call| call.is_up());
        let Some(call) = self.dialogs.call(key).filter(|_| is_up) else { return Vec::new() };
        let audio = self.voices_of(key).filter(|(_, owner)| {
            let announced = call.announced.get(owner.announced);
            !owner.rtcp && announced.is_some_and(|it| it.media == MediaKind::Audio && !it.secure)
        });
        let voices = audio.filter_map(|(flow, owner)| {
            let key = self.flows.get(flow)?.key;
            let formats = super::calls::formats(call, key.destination, key.source);
            Some(Voice { flow, side: owner.side, formats })
        });
        voices.collect()
    }

    fn voices_of(
        &self,
        key: CallKey,
    ) -> impl Iterator<Item = (FlowRef, super::ownership::Owner)> + '_ {
        let endpoints: &[Endpoint] =
            self.calls.get(&key).map_or(&[], |state| state.endpoints.as_slice());
        self.flows_of(key, endpoints).into_iter()
    }
}

/// What names a call beside its begin, for [`RecordingId::of_call`].
pub(crate) fn identity(call: &dialog::Call) -> [&[u8]; 2] {
    let tag = call.legs.first().map_or("", |leg| leg.from_tag.as_str());
    [call.call_id.as_bytes(), tag.as_bytes()]
}
