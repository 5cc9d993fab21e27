//! The media flows of all capture cores, found by their endpoints.

use base::{Endpoint, FlowKey, Timestamp};
use dialog::CallKey;
use hashbrown::HashMap;
use journal::FlowId;

/// A flow, wherever it was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FlowRef {
    /// By an earlier run, in this place of what was recovered.
    Recovered(u32),
    /// By this capture core, under this number.
    Core(u8, FlowId),
}

/// What is known of one flow.
#[derive(Clone, Debug)]
pub(crate) struct Flow {
    /// Who sends to whom.
    pub key: FlowKey,
    /// Packets before this have been finished with an earlier call.
    pub free_from: Timestamp,
    /// Calls that are being finished with its packets.
    pub busy: Vec<CallKey>,
    /// The pair without signalling that it is being decided or finished with, by its first flow.
    pub pair: Option<FlowRef>,
    /// When its core was last asked about it.
    pub asked: Timestamp,
    /// Its packets, when its core last told of it.
    pub packets: u64,
}

/// All flows.
#[derive(Debug, Default)]
pub(crate) struct Flows {
    flows: HashMap<FlowRef, Flow>,
    by_endpoint: HashMap<Endpoint, Vec<FlowRef>>,
    recovered: usize,
}

impl Flows {
    /// A core opened a flow.
    pub(crate) fn open(&mut self, flow: FlowRef, key: FlowKey, time: Timestamp) {
        let (free_from, busy, pair) = (Timestamp::ZERO, Vec::new(), None);
        let entry = Flow { key, free_from, busy, pair, asked: time, packets: 0 };
        self.recovered += usize::from(matches!(flow, FlowRef::Recovered(_)));
        self.flows.insert(flow, entry);
        self.by_endpoint.entry(key.source).or_default().push(flow);
        self.by_endpoint.entry(key.destination).or_default().push(flow);
    }

    /// The core has told how many packets it has.
    pub(crate) fn counted(&mut self, flow: FlowRef, packets: u64) {
        if let Some(entry) = self.flows.get_mut(&flow) {
            entry.packets = packets;
        }
    }

    /// The core no longer has it.
    pub(crate) fn remove(&mut self, flow: FlowRef) {
        let Some(entry) = self.flows.remove(&flow) else { return };
        self.recovered -= usize::from(matches!(flow, FlowRef::Recovered(_)));
        for endpoint in [entry.key.source, entry.key.destination] {
            if let Some(list) = self.by_endpoint.get_mut(&endpoint) {
                list.retain(|other| *other != flow);
                if list.is_empty() {
                    self.by_endpoint.remove(&endpoint);
                }
            }
        }
    }

    /// One flow.
    pub(crate) fn get(&self, flow: FlowRef) -> Option<&Flow> {
        self.flows.get(&flow)
    }

    /// One flow, to change.
    pub(crate) fn get_mut(&mut self, flow: FlowRef) -> Option<&mut Flow> {
        self.flows.get_mut(&flow)
    }

    /// The flows from or to an endpoint.
    pub(crate) fn at(&self, endpoint: Endpoint) -> &[FlowRef] {
        self.by_endpoint.get(&endpoint).map_or(&[], Vec::as_slice)
    }

    /// The flows with exactly this key: of earlier runs, and on whichever core.
    pub(crate) fn with_key(&self, key: FlowKey) -> impl Iterator<Item = FlowRef> + '_ {
        let here = self.at(key.source).iter().copied();
        here.filter(move |flow| self.get(*flow).is_some_and(|f| f.key == key))
    }

    /// All of them, in a fixed order.
    pub(crate) fn all(&self) -> Vec<FlowRef> {
        let mut all: Vec<_> = self.flows.keys().copied().collect();
        all.sort_unstable();
        all
    }

    /// How many are of earlier runs.
    pub(crate) fn recovered(&self) -> usize {
        self.recovered
    }

    /// How many.
    pub(crate) fn len(&self) -> usize {
        self.flows.len()
    }
}
