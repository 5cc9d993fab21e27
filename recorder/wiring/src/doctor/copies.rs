//! Finds datagrams that come more than once: a mirror that shows a packet where it enters and where it leaves.

use std::hash::BuildHasher;

use base::{Domain, FlowKey, Timestamp};
use hashbrown::DefaultHashBuilder;

/// Two copies are this close; SIP sends again after 500 ms at the earliest (RFC 3261, 17.1.1.1).
const WINDOW_NANOS: u64 = 200_000_000;
/// Datagrams remembered; a newer one takes the place of an older. At 10,000 calls' 1,000,000 packets a second, more
/// than the millisecond that lies between most copies.
const REMEMBERED: usize = 1 << 17;

/// What a datagram is to those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Copy {
    /// The first of its kind.
    First,
    /// Another with the same addresses, ports and content, in the same VLAN.
    Same,
    /// The same in another VLAN or tunnel.
    Across,
}

#[derive(Clone, Copy, Default)]
struct Entry {
    hash: u64,
    time: Timestamp,
    domain: Domain,
}

/// What came lately.
pub(super) struct Copies {
    hasher: DefaultHashBuilder,
    entries: Box<[Entry]>,
}

impl Copies {
    pub(super) fn new() -> Self {
        let entries = vec![Entry::default(); REMEMBERED].into_boxed_slice();
        Self { hasher: DefaultHashBuilder::default(), entries }
    }

    /// Takes a datagram. What lies below IP (addresses of stations, hop counts) may differ between copies.
    pub(super) fn take(&mut self, time: Timestamp, key: &FlowKey, payload: &[u8]) -> Copy {
        let hash = self.hasher.hash_one((key.source, key.destination, payload));
        let place = hash as usize % REMEMBERED;
        let Some(entry) = self.entries.get_mut(place) else { return Copy::First };
        let near = time.as_nanos().abs_diff(entry.time.as_nanos()) <= WINDOW_NANOS;
        if entry.hash == hash && near {
            return if entry.domain == key.domain { Copy::Same } else { Copy::Across };
        }
        *entry = Entry { hash, time, domain: key.domain };
        Copy::First
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_near_and_equal() {
        let mut copies = Copies::new();
        let key = FlowKey {
            source: "192.0.2.1:4000".parse().unwrap(),
            destination: "192.0.2.2:5000".parse().unwrap(),
            ..FlowKey::default()
        };
        let tagged = FlowKey { domain: Domain::UNTAGGED.within_vlan(7), ..key };
        let at =
            |milliseconds: u64| Timestamp::from_nanos(1_000_000_000 + milliseconds * 1_000_000);
        assert_eq!(copies.take(at(0), &key, b"one"), Copy::First);
        assert_eq!(copies.take(at(1), &key, b"one"), Copy::Same);
        assert_eq!(copies.take(at(1), &tagged, b"one"), Copy::Across);
        assert_eq!(copies.take(at(1), &key, b"two"), Copy::First);
        assert_eq!(copies.take(at(1), &key.reversed(), b"one"), Copy::First);
        assert_eq!(copies.take(at(500), &key, b"one"), Copy::First, "sent again");
    }
}
