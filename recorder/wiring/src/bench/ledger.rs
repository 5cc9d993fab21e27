//! The ledger that a recorder printed at its end, and which stage of it dropped packets.

use std::collections::BTreeMap;

use base::Outcome;
use base::ledger::Class;
use capture::xdp::Reason;
use serde::Serialize;
use serde_json::Value;

use super::sender::Sent;

/// What a recorder counted, in its own words.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
pub(super) struct Ledger(Value);

impl Ledger {
    /// As it was printed.
    pub(super) fn parse(printed: &[u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(printed).map(Self)
    }

    /// A count, by the names that lead to it; 0 if there is none.
    pub(super) fn count(&self, path: &[&str]) -> u64 {
        let place = path.iter().try_fold(&self.0, |value, name| value.get(name));
        place.and_then(Value::as_u64).unwrap_or(0)
    }

    /// How the packets were taken.
    pub(super) fn capture(&self) -> &str {
        self.0.get("capture").and_then(Value::as_str).unwrap_or("capture file")
    }

    /// Whether everything that came is accounted for.
    pub(super) fn balances(&self) -> bool {
        self.0.get("ledgerBalances") == Some(&Value::Bool(true))
    }

    /// Packets lost, by who lost them. Counts of zero are left out.
    pub(super) fn drops(&self, sent: Option<&Sent>) -> BTreeMap<String, u64> {
        let mut drops = BTreeMap::new();
        let mut add = |stage: String, count: u64| {
            if count > 0 {
                drops.insert(stage, count);
            }
        };
        let sockets: Vec<_> = self.sockets_lost().collect();
        if let Some(sent) = sent {
            let all = sent.frames + sent.dropped;
            let lost: u64 = sockets.iter().map(|(_, count)| count).sum();
            let by_socket = self.count(&["socketsReceived"]) + lost;
            let came = self.0.get("programSeen").and_then(Value::as_u64).unwrap_or(by_socket);
            add("the virtual wire had no room".into(), all.saturating_sub(came));
        }
        for reason in Reason::ALL.iter().filter(|reason| reason.is_loss()) {
            let name = reason.name();
            add(format!("kernel program: {name}"), self.count(&["program", name]));
        }
        for (name, count) in sockets {
            add(format!("socket: {name}"), count);
        }
        for outcome in Outcome::ALL.iter().filter(|it| it.class() == Class::Dropped) {
            let name = outcome.name();
            add(format!("capture core: {name}"), self.count(&["outcomes", name]));
        }
        drops
    }

    fn sockets_lost(&self) -> impl Iterator<Item = (&str, u64)> {
        let lost = self.0.get("socketsLost").and_then(Value::as_object).into_iter().flatten();
        lost.map(|(name, count)| (name.as_str(), count.as_u64().unwrap_or(0)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_drop_has_the_stage_that_dropped() {
        let ledger = Ledger(json!({
            "programSeen": 90, "program": {"no_socket": 2, "media": 88},
            "socketsReceived": 80, "socketsLost": {"rx_ring_full": 8, "rx_dropped": 0},
            "outcomes": {"media": 77, "journal_full": 3}, "ledgerBalances": true,
        }));
        let sent = Sent { frames: 99, dropped: 1, ..Sent::default() };
        let drops = ledger.drops(Some(&sent));
        let told: Vec<_> = drops.iter().map(|(stage, count)| (stage.as_str(), *count)).collect();
        assert_eq!(
            told,
            [
                ("capture core: journal_full", 3),
                ("kernel program: no_socket", 2),
                ("socket: rx_ring_full", 8),
                ("the virtual wire had no room", 10),
            ]
        );
        assert!(ledger.balances() && Ledger::default().drops(None).is_empty());
    }

    #[test]
    fn without_a_program_the_sockets_say_what_came() {
        let ledger = Ledger(json!({"socketsReceived": 7, "socketsLost": {"ring_full": 3}}));
        let sent = Sent { frames: 10, ..Sent::default() };
        assert_eq!(ledger.drops(Some(&sent)).len(), 1, "the ring's; the wire lost none");
    }
}
