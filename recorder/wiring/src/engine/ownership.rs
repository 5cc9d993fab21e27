//! Which call a media endpoint belongs to, and from when to when.
//!
//! Signalling announces endpoints; packets carry them. The two meet here and in [`super::flows`]. An
//! endpoint may serve one call after another (a phone keeps its port), or two calls at once (a back-to-back
//! user agent passes one party's description on in a call of its own), so ownership is a span of time.

use std::net::IpAddr;

use base::{Domain, Endpoint, FlowKey, Side, Timestamp};
use dialog::CallKey;
use hashbrown::HashMap;

/// One announcement of an endpoint by one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    /// The call.
    pub call: CallKey,
    /// Where the announcement was seen.
    pub domain: Domain,
    /// Who announced it: who receives there.
    pub side: Side,
    /// Whether it is the endpoint for RTCP alone.
    pub rtcp: bool,
    /// Which of the call's announcements it was.
    pub announced: usize,
    /// The address that sent the announcing message.
    pub asker: IpAddr,
    /// When the announcement was heard.
    pub since: Timestamp,
    /// Packets before this belong to an earlier call.
    pub from: Timestamp,
    /// Packets from here on belong to a later one, or to none.
    pub until: Timestamp,
}

impl Owner {
    /// From when on the packets of a flow are this call's, if those before `free_from` were finished with another:
    /// with one that was over when this was announced. What was finished since is shared with one that ran beside.
    pub(crate) fn takes_from(&self, free_from: Timestamp) -> Timestamp {
        if free_from <= self.since { self.from.max(free_from) } else { self.from }
    }
}

/// The owners of every announced endpoint.
#[derive(Debug, Default)]
pub(crate) struct Ownership {
    owners: HashMap<Endpoint, Vec<Owner>>,
}

impl Ownership {
    /// An endpoint was announced at `time`. True if nobody had announced it before.
    ///
    /// A phone that announces it again for a new call has ended its earlier use of it, whether or not the
    /// earlier call's BYE was seen. Another asker shares it.
    pub(crate) fn announce(
        &mut self,
        endpoint: Endpoint,
        time: Timestamp,
        mut owner: Owner,
    ) -> bool {
        // Nearly all have one.
        let owners = self.owners.entry(endpoint).or_insert_with(|| Vec::with_capacity(1));
        let new = owners.is_empty();
        let same_use =
            |o: &Owner| o.call == owner.call && o.side == owner.side && o.rtcp == owner.rtcp;
        if let Some(earlier) = owners.iter_mut().find(|o| same_use(o)) {
            earlier.announced = owner.announced;
            earlier.domain = owner.domain;
            return false;
        }
        let others = owners.iter_mut().filter(|o| o.call != owner.call && o.domain == owner.domain);
        for earlier in others {
            if earlier.asker == owner.asker {
                earlier.until = earlier.until.min(time);
            }
            owner.from = owner.from.max(earlier.until.min(time));
        }
        owners.push(owner);
        new
    }

    /// The call takes no packets from `time` on.
    pub(crate) fn close(&mut self, endpoint: Endpoint, call: CallKey, time: Timestamp) {
        let owners = self.owners.get_mut(&endpoint).into_iter().flatten();
        owners.filter(|o| o.call == call).for_each(|o| o.until = o.until.min(time));
    }

    /// The call is finished. True if the endpoint now has no owner left.
    pub(crate) fn forget(&mut self, endpoint: Endpoint, call: CallKey) -> bool {
        let Some(owners) = self.owners.get_mut(&endpoint) else { return false };
        owners.retain(|o| o.call != call);
        let none = owners.is_empty();
        if none {
            self.owners.remove(&endpoint);
        }
        none
    }

    /// Whether any call has announced it.
    pub(crate) fn has(&self, endpoint: Endpoint) -> bool {
        self.owners.contains_key(&endpoint)
    }

    /// Whether any call that is not closed at `time` owns one end of the flow.
    pub(crate) fn has_owner(&self, key: &FlowKey, time: Timestamp) -> bool {
        [key.source, key.destination]
            .iter()
            .filter_map(|endpoint| self.owners.get(endpoint))
            .flatten()
            .any(|owner| owner.until > time)
    }

    /// The call's hold on an endpoint; announcements from the same capture domain come first.
    pub(crate) fn of_call(
        &self,
        endpoint: Endpoint,
        domain: Domain,
        call: CallKey,
    ) -> Option<&Owner> {
        let owners = self.owners.get(&endpoint)?;
        let mine = || owners.iter().filter(|o| o.call == call);
        mine().find(|o| o.domain == domain).or_else(|| mine().next())
    }

    /// The first packets of the flow that some call still takes; `free_from` if none does.
    pub(crate) fn needed_from(&self, key: &FlowKey, free_from: Timestamp) -> Timestamp {
        let ends = [key.source, key.destination];
        let owners = ends.iter().filter_map(|endpoint| self.owners.get(endpoint)).flatten();
        owners.map(|owner| owner.takes_from(free_from)).fold(free_from, Timestamp::min)
    }

    /// Whether some other call announced the endpoint in this very domain.
    pub(crate) fn of_another(&self, endpoint: Endpoint, domain: Domain, call: CallKey) -> bool {
        let owners = self.owners.get(&endpoint).into_iter().flatten();
        owners.into_iter().any(|o| o.call != call && o.domain == domain)
    }

    /// Endpoints with an owner.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.owners.len()
    }
}
