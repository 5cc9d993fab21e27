//! The hops on which a call was seen: pairs of addresses, from the caller's towards the callee's end.

use base::{Domain, Endpoint, FlowKey, Side, limits};

/// One hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hop {
    pub(super) domain: Domain,
    /// The end nearer to the caller.
    pub(super) caller: Endpoint,
    /// The end nearer to the callee.
    pub(super) callee: Endpoint,
}

impl Hop {
    /// The hop of a request from `sender`'s end.
    pub(super) fn of_request(flow: FlowKey, sender: Side) -> Self {
        let (caller, callee) = match sender {
            Side::Caller => (flow.source, flow.destination),
            Side::Callee => (flow.destination, flow.source),
        };
        Self { domain: flow.domain, caller, callee }
    }

    /// Both ends.
    pub(super) const fn ends(&self) -> (Endpoint, Endpoint) {
        (self.caller, self.callee)
    }

    /// The same hop but for the port of one end: a device may send from another port than it listens on
    /// (RFC 3581), and over TCP every connection has its own.
    fn is_near(&self, other: &Self) -> bool {
        let same_address = |a: Endpoint, b: Endpoint| a.octets() == b.octets();
        self.domain == other.domain
            && same_address(self.caller, other.caller)
            && same_address(self.callee, other.callee)
            && (self.caller == other.caller || self.callee == other.callee)
    }
}

/// The hops of one call in order of appearance; bounded.
#[derive(Debug, Default)]
pub(super) struct Hops(Vec<Hop>);

impl Hops {
    pub(super) fn get(&self, index: usize) -> Option<&Hop> {
        self.0.get(index)
    }

    /// The index of `hop`, which is added if it is not there.
    pub(super) fn exact(&mut self, hop: Hop) -> Option<usize> {
        let known = self.0.iter().position(|it| *it == hop);
        if known.is_none() && self.0.len() < limits::LEGS_PER_CALL_MAX {
            self.0.push(hop);
            return Some(self.0.len() - 1);
        }
        known
    }

    /// The index of `hop`, or of one that differs in one port.
    pub(super) fn find_near(&self, hop: &Hop) -> Option<usize> {
        let exact = self.0.iter().position(|it| it == hop);
        exact.or_else(|| self.0.iter().position(|it| it.is_near(hop)))
    }

    /// The same; it is added if it is not there.
    pub(super) fn near(&mut self, hop: Hop) -> Option<usize> {
        self.find_near(&hop).or_else(|| self.exact(hop))
    }

    /// Which side sends on `flow`, if it runs along a known hop in one direction only.
    pub(super) fn sender(&self, flow: FlowKey) -> Option<Side> {
        let along = |side| {
            let hop = Hop::of_request(flow, side);
            self.0.iter().any(|it| *it == hop || it.is_near(&hop))
        };
        match (along(Side::Caller), along(Side::Callee)) {
            (true, false) => Some(Side::Caller),
            (false, true) => Some(Side::Callee),
            _ => None,
        }
    }
}
