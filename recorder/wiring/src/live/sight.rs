//! Whether packets can be seen at all: the interface is followed, and what it misses is an outage for the calls that
//! are up.

use std::sync::Arc;

use base::Timestamp;
use capture::nic::LinkState;

use crate::outages::{Kind, Outage, Outages};

/// What is known of the interface and of the sockets on it.
pub(super) struct Sight {
    outages: Arc<Outages>,
    /// Why the interface shows nothing.
    link: Option<Kind>,
    /// Whether a socket fails.
    failing: bool,
    /// The outage that lasts.
    lasting: Option<Kind>,
    /// When all was well for the last time.
    seen: Timestamp,
}

impl Sight {
    /// All is well.
    pub(super) fn new(outages: Arc<Outages>, now: Timestamp) -> Self {
        Self { outages, link: None, failing: false, lasting: None, seen: now }
    }

    /// The interface's state changed between the last look and `now`. True if an outage began or ended.
    pub(super) fn link(&mut self, state: LinkState, now: Timestamp) -> bool {
        self.link = match state {
            LinkState::Running { .. } => None,
            LinkState::NoCarrier { .. } => Some(Kind::NoCarrier),
            LinkState::Down { .. } => Some(Kind::InterfaceDown),
            LinkState::Absent => Some(Kind::InterfaceRemoved),
        };
        self.settle(now)
    }

    /// Whether a socket fails at `now`. True if an outage began or ended.
    pub(super) fn look(&mut self, failing: bool, now: Timestamp) -> bool {
        self.failing = failing;
        self.settle(now)
    }

    /// Why nothing is seen, while nothing is.
    pub(super) fn lasting(&self) -> Option<Kind> {
        self.lasting
    }

    /// Whether there is no such interface any more.
    pub(super) fn is_removed(&self) -> bool {
        self.link == Some(Kind::InterfaceRemoved)
    }

    fn settle(&mut self, now: Timestamp) -> bool {
        let blind = self.link.or(self.failing.then_some(Kind::CaptureFailed));
        let changed = blind.is_some() != self.lasting.is_some();
        match (self.lasting, blind) {
            (None, Some(kind)) => {
                let outage = Outage { kind, from: self.seen, until: Timestamp::MAX };
                self.outages.add(outage);
                self.lasting = Some(kind);
            }
            (Some(_), None) => {
                self.outages.end(now);
                self.lasting = None;
            }
            // An interface that comes up is without carrier for a moment: still the same outage.
            (None, None) | (Some(_), Some(_)) => {}
        }
        if blind.is_none() {
            self.seen = now;
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn down_without_carrier_and_up_again_is_one_outage() {
        let at = Timestamp::from_nanos;
        let outages = Arc::new(Outages::default());
        let mut sight = Sight::new(Arc::clone(&outages), at(0));
        assert!(!sight.look(false, at(10)));
        assert!(sight.link(LinkState::Down { index: 1 }, at(20)));
        assert!(!sight.look(false, at(30)) && !sight.is_removed());
        assert!(!sight.link(LinkState::Absent, at(35)) && sight.is_removed());
        assert!(!sight.link(LinkState::NoCarrier { index: 1 }, at(40)));
        assert!(sight.link(LinkState::Running { index: 1 }, at(50)));
        let first = Outage { kind: Kind::InterfaceDown, from: at(10), until: at(50) };
        assert_eq!(outages.all(), [first]);
        assert!(sight.look(true, at(60)) && sight.look(false, at(70)));
        let second = Outage { kind: Kind::CaptureFailed, from: at(50), until: at(70) };
        assert_eq!(outages.all(), [first, second]);
    }
}
