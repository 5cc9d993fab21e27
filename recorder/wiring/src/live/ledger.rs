//! The whole way of the packets in one table: interface, kernel program, sockets, capture cores.
//!
//! Three sums must hold: what the program handed over is what the sockets received or lost; what they received is
//! what the cores took; and every frame that a core took ended in one outcome. What the interface counts stands
//! beside it: drivers count a packet before or after XDP, so that it is no sum.

use std::fmt;

use base::{Ledger, Timestamp};
use capture::nic::{Counter, Statistics};
use capture::xdp::Counters;
use serde_json::{Value, json};

use super::port::losses;
use super::tap::TapCounts;
use crate::conductor::Tally;
use crate::engine::{Refused, Totals};
use crate::outages::Outage;

/// What a live run has counted so far, or came to.
#[derive(Clone, Debug, Default)]
pub(crate) struct LiveLedger {
    pub(super) interface: String,
    pub(super) way: String,
    pub(super) seconds: f64,
    pub(super) nic: Option<Statistics>,
    pub(super) program: Option<Counters>,
    pub(super) taps: TapCounts,
    pub(super) cores: Ledger,
    /// Frames that each core took.
    pub(super) by_core: Vec<u64>,
    pub(super) orders_refused: u64,
    pub(super) endpoints_refused: u64,
    pub(super) totals: Totals,
    pub(super) tally: Tally,
    /// When nothing could be seen, as far as is remembered.
    pub(super) outages: Vec<Outage>,
    /// The newest calls that were refused.
    pub(super) refused: Vec<Refused>,
    /// Whether the run is over: only then nothing is under way between two counts.
    pub(super) is_final: bool,
}

impl LiveLedger {
    /// Packets lost by this program or the kernel on its behalf.
    pub(crate) fn lost(&self) -> u64 {
        self.missed() + self.cores.of_class(base::ledger::Class::Dropped)
    }

    /// Of those, packets that were lost before a capture thread took them.
    pub(crate) fn missed(&self) -> u64 {
        self.program.as_ref().map_or(0, Counters::lost) + self.taps.lost()
    }

    /// What does not add up, in words.
    pub(crate) fn imbalances(&self) -> Vec<String> {
        let mut found = Vec::new();
        if let Some(program) = &self.program {
            // What had no socket, or no room in the ring of copies, is no delivery.
            let (handed, taken) = (program.delivered(), self.taps.received + self.taps.lost());
            if handed != taken {
                found.push(format!(
                    "the kernel program handed {handed} packets over, the sockets had {taken}"
                ));
            }
            if !program.balances() {
                found.push("the kernel program's counts do not balance".into());
            }
        }
        if self.taps.received != self.cores.received() {
            found.push(format!(
                "the sockets received {}, the capture threads took {}",
                self.taps.received,
                self.cores.received()
            ));
        }
        if !self.cores.balances() {
            found.push("frames of the capture threads have no outcome".into());
        }
        found
    }

    /// What became of the calls, in words.
    pub(crate) fn calls(&self) -> String {
        let Self { totals, tally, .. } = self;
        format!(
            "{} calls seen, {} answered; {} attempts without media\n{} recordings made ({} of them incomplete), \
             {} were there already",
            totals.calls,
            totals.answered,
            totals.attempts,
            tally.recorded,
            tally.incomplete,
            tally.already_there
        )
    }

    /// As one JSON object.
    pub(crate) fn to_json(&self) -> Value {
        let named = |pairs: &[(&str, u64)]| -> Value {
            let pairs = pairs.iter().filter(|(name, _)| !name.is_empty());
            pairs
                .map(|(name, count)| ((*name).to_owned(), json!(count)))
                .collect::<serde_json::Map<_, _>>()
                .into()
        };
        let nic: Vec<_> =
            self.nic.iter().flat_map(|nic| nic.named()).map(|(c, n)| (c.name(), n)).collect();
        let program: Vec<_> = self
            .program
            .iter()
            .flat_map(|counts| {
                let reasons = capture::xdp::Reason::ALL.iter();
                reasons.map(|reason| (reason.name(), counts.of(*reason)))
            })
            .filter(|(_, count)| *count > 0)
            .collect();
        let outcomes: Vec<_> =
            base::Outcome::ALL.iter().map(|it| (it.name(), self.cores.of(*it))).collect();
        let notes: Vec<_> =
            base::ledger::Note::ALL.iter().map(|it| (it.name(), self.cores.noted(*it))).collect();
        json!({
            "interface": self.interface,
            "capture": self.way,
            "seconds": self.seconds,
            "nic": named(&nic),
            "programSeen": self.program.as_ref().map(Counters::seen),
            "program": named(&program),
            "socketsReceived": self.taps.received,
            "socketsLost": named(&self.taps.lost),
            "socketsNoted": named(&self.taps.beside),
            "framesReceived": self.cores.received(),
            "outcomes": named(&outcomes),
            "notes": named(&notes),
            "ordersRefused": self.orders_refused,
            "endpointsRefused": self.endpoints_refused,
            "lost": self.lost(),
            "ledgerBalances": self.imbalances().is_empty(),
            "calls": self.totals.calls,
            "answered": self.totals.answered,
            "attempts": self.totals.attempts,
            "recordings": self.tally.recorded,
            "incomplete": self.tally.incomplete,
            "failed": self.tally.failed,
            "refused": self.totals.refused,
            "evicted": self.totals.evicted,
            "refusedCalls": self.refused,
            "outages": self.outages,
        })
    }
}

impl fmt::Display for LiveLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}; {:.1} s", self.interface, self.way, self.seconds)?;
        if let Some(nic) = &self.nic {
            let received = nic.of(Counter::RxPackets);
            writeln!(f, "{received:>12}  packets received by the interface")?;
            for (counter, count) in losses(nic) {
                writeln!(f, "{count:>12}  {} (the interface's own count)", counter.name())?;
            }
        }
        if let Some(program) = &self.program {
            writeln!(f, "{program}")?;
        }
        writeln!(f, "{}", self.taps)?;
        // Its last line says whether it balances, which here is said of the whole.
        let cores = self.cores.to_string();
        for line in cores.lines().filter(|line| line.starts_with(' ')) {
            writeln!(f, "{line}")?;
        }
        for (count, what) in [
            (self.orders_refused, "orders to capture threads refused"),
            (self.endpoints_refused, "endpoints that the kernel had no room for"),
            (self.totals.refused, "calls refused at the recorder's limit"),
            (self.totals.evicted, "calls without any reaction given up for others"),
        ] {
            if count > 0 {
                writeln!(f, "{count:>12}  {what} (noted)")?;
            }
        }
        for outage in &self.outages {
            let lasting = outage.until == Timestamp::MAX;
            let until = if lasting { "now".into() } else { outage.until.to_string() };
            writeln!(f, "  {} from {} to {until}", outage.kind.words(), outage.from)?;
        }
        let imbalances = self.imbalances();
        match (imbalances.is_empty(), self.is_final) {
            (true, _) => write!(f, "the ledger balances; {} packets were lost", self.lost()),
            (false, true) => write!(f, "THE LEDGER DOES NOT BALANCE: {}", imbalances.join("; ")),
            (false, false) => write!(f, "packets are under way; {} were lost", self.lost()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_that_vanished_between_socket_and_core_is_told() {
        let mut ledger = LiveLedger { is_final: true, ..LiveLedger::default() };
        assert!(ledger.imbalances().is_empty());
        assert!(ledger.to_string().ends_with("the ledger balances; 0 packets were lost"));
        ledger.taps.received = 2;
        ledger.cores.receive();
        ledger.cores.count(base::Outcome::Media);
        assert_eq!(ledger.imbalances(), ["the sockets received 2, the capture threads took 1"]);
        assert!(ledger.to_string().contains("THE LEDGER DOES NOT BALANCE"));
    }

    #[test]
    fn losses_of_every_stage_add_up() {
        let mut ledger = LiveLedger::default();
        ledger.taps.lost = [("rx_dropped", 3), ("rx_ring_full", 4), ("", 0)];
        ledger.cores.receive();
        ledger.cores.count(base::Outcome::JournalFull);
        assert_eq!(ledger.lost(), 8);
        assert_eq!(ledger.to_json()["lost"], 8);
    }
}
