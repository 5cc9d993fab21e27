//! Finishes what a killed run left in the journal: its signalling and flows go through the same engine.

use anyhow::Result;
use base::{Endpoint, Timestamp};
use dialog::{EndReason, SipInput};
use journal::{Reader, Recovered, RecoveredFlow, SignallingMessage};

use crate::conductor::{Conductor, Cores};
use crate::engine::{FlowRef, Report, Ticket};

/// Feeds a recovered journal to the engine and finishes every call in it. Calls that were up when the run was
/// killed end as interrupted.
pub(crate) fn run(recovered: &Recovered, reader: &Reader, conductor: &mut Conductor) -> Result<()> {
    let mut past = Past::new(&recovered.flows);
    let damaged =
        recovered.replay_signalling(reader, |_, message| past.message(&message, conductor))?;
    past.open_until(Timestamp::MAX, conductor);
    for damage in damaged.iter().chain(&recovered.damaged) {
        tracing::warn!("the journal of the earlier run: {damage}");
    }
    conductor.end(EndReason::Interrupted, &mut past)
}

/// The cores of a run that is over: they know how each flow ended, and keep everything.
struct Past<'a> {
    flows: &'a [RecoveredFlow],
    /// Places in `flows` in the order in which they were opened, the next one last.
    unopened: Vec<u32>,
}

impl<'a> Past<'a> {
    fn new(flows: &'a [RecoveredFlow]) -> Self {
        let mut unopened: Vec<u32> = (0..).take(flows.len()).collect();
        unopened.sort_by_key(|place| {
            std::cmp::Reverse(flows.get(*place as usize).map(|f| f.summary.opened))
        });
        Self { flows, unopened }
    }

    fn message(&mut self, message: &SignallingMessage<'_>, conductor: &mut Conductor) {
        let SignallingMessage { time, key, transport, message } = *message;
        self.open_until(time, conductor);
        conductor.engine.signalling(SipInput { time, key, transport, message });
        conductor.obey(self);
        conductor.collect(false);
    }

    fn open_until(&mut self, time: Timestamp, conductor: &mut Conductor) {
        while let Some(place) = self.unopened.last().copied() {
            let Some(flow) = self.flows.get(place as usize).filter(|f| f.summary.opened <= time)
            else {
                return;
            };
            self.unopened.pop();
            conductor.engine.advance(flow.summary.opened);
            conductor.engine.flow_opened(
                FlowRef::Recovered(place),
                flow.summary.key,
                flow.summary.opened,
            );
            conductor.obey(self);
        }
    }
}

impl Cores for Past<'_> {
    fn expect(&mut self, _: Endpoint) {}

    fn unexpect(&mut self, _: Endpoint) {}

    fn report(&mut self, flow: FlowRef, ticket: Ticket) -> Option<Report> {
        let FlowRef::Recovered(place) = flow else { return None };
        let found = self.flows.get(place as usize).map(|flow| flow.summary.clone());
        Some(Report { flow, ticket, found })
    }

    fn release(&mut self, _: FlowRef, _: Timestamp) {}

    fn forget(&mut self, _: FlowRef) {}
}
