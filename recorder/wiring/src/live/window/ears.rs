//! The dialog thread's part of listening: which flows carry the voices of the calls that are listened to. The capture
//! cores are told to copy their packets, the windows' thread whose voice they are.

use std::collections::BTreeSet;

use dialog::CallKey;

use super::shared::{News, Shared};
use crate::engine::{FlowRef, Voice};
use crate::live::exchange::Exchange;

/// Calls that are listened to.
#[derive(Default)]
pub(super) struct Ears {
    calls: Vec<(CallKey, Vec<Voice>)>,
    /// Flows whose packets the cores copy.
    copied: BTreeSet<FlowRef>,
}

impl Ears {
    /// Takes wishes. True if there was one.
    pub(super) fn take_wishes(&mut self, shared: &Shared) -> bool {
        let mut any = false;
        while let Some((call, listen)) = shared.next_wish() {
            any = true;
            self.calls.retain(|(other, _)| *other != call);
            if listen {
                self.calls.push((call, Vec::new()));
            }
        }
        any
    }

    /// Follows the voices: streams begin and end in mid-call. Those of a call that is over are nobody's.
    pub(super) fn look(&mut self, exchange: &mut Exchange, shared: &Shared) {
        if self.calls.is_empty() && self.copied.is_empty() {
            return;
        }
        let mut wanted = BTreeSet::new();
        for (call, known) in &mut self.calls {
            let voices = exchange.conductor.engine.voices(*call);
            wanted.extend(voices.iter().map(|voice| voice.flow));
            // If there is no room for the news now, they are told at the next look.
            if voices != *known && shared.tell(News::Voices(*call, voices.clone())).is_ok() {
                *known = voices;
            }
        }
        for flow in wanted.difference(&self.copied) {
            exchange.cores.overhear(*flow, true);
        }
        for flow in self.copied.difference(&wanted) {
            exchange.cores.overhear(*flow, false);
        }
        self.copied = wanted;
    }
}
