//! What a killed run left in the journal: its signalling and flows go through the same engine.
//!
//! A capture file's leftovers are finished for good ([`run`]). A live run takes up where the killed one was: it tells
//! its engine what that saw ([`Past::replay`]), then what it sees itself.

use std::collections::BTreeMap;

use anyhow::Result;
use base::{Endpoint, Timestamp};
use dialog::{EndReason, SipInput};
use journal::{Reader, Recovered, RecoveredFlow, SignallingMessage};

use crate::conductor::{Conductor, Cores};
use crate::engine::{FlowRef, Report, Ticket};

/// Feeds a recovered journal to the engine and finishes every call in it. Calls that were up when the run was
/// killed end as interrupted.
pub(crate) fn run(recovered: Recovered, reader: &Reader, conductor: &mut Conductor) -> Result<()> {
    let mut past = Past::new(recovered);
    past.replay(reader, conductor, &mut NoCores, &mut |_| {})?;
    conductor.end(EndReason::Interrupted, &mut past.beside(&mut NoCores))
}

/// The journal of earlier runs. It knows how each flow ended, and keeps everything.
#[derive(Default)]
pub(crate) struct Past {
    recovered: Recovered,
    /// Places in the recovered flows in the order in which they were opened, the next one last.
    unopened: Vec<u32>,
    /// The last packet or message.
    last: Timestamp,
}

impl Past {
    pub(crate) fn new(recovered: Recovered) -> Self {
        let flows = &recovered.flows;
        let mut unopened: Vec<u32> = (0..).take(flows.len()).collect();
        unopened.sort_by_key(|place| {
            std::cmp::Reverse(flows.get(*place as usize).map(|f| f.summary.opened))
        });
        let last = flows.iter().map(|flow| flow.summary.last).max().unwrap_or_default();
        Self { recovered, unopened, last }
    }

    /// The last thing that was seen, as far as it is told.
    pub(crate) fn last(&self) -> Timestamp {
        self.last
    }

    /// When nothing was seen between two of the earlier runs: from the last packet of one to the begin of the next. One
    /// that was killed at once has not told of it.
    pub(crate) fn interruptions(&self) -> Vec<(Timestamp, Timestamp)> {
        let flows = || self.recovered.flows.iter().map(|it| ((it.core, it.run), &it.summary));
        let segments = self.recovered.segments.iter().map(|it| &it.header);
        let created = segments.map(|it| ((it.core, it.run), it.created));
        let mut begins: BTreeMap<(u8, u32), Timestamp> = BTreeMap::new();
        for (run, time) in created.chain(flows().map(|(run, summary)| (run, summary.opened))) {
            let begin = begins.entry(run).or_insert(time);
            *begin = time.min(*begin);
        }
        let mut each: Vec<_> = begins
            .iter()
            .filter_map(|(&(core, run), begin)| {
                let earlier = flows().filter(|((of, number), _)| *of == core && *number < run);
                let last = earlier.map(|(_, summary)| summary.last).max()?;
                (last < *begin).then_some((last, *begin))
            })
            .collect();
        each.sort_unstable();
        // What several cores saw of one interruption is as short as the shortest of it.
        let mut found: Vec<(Timestamp, Timestamp)> = Vec::new();
        for (from, until) in each {
            match found.last_mut().filter(|known| from < known.1) {
                Some(known) => *known = (from, until.min(known.1)),
                None => found.push((from, until)),
            }
        }
        found
    }

    /// Tells the engine everything in the order of time. `between` is called now and then, to see to what must not
    /// wait.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub(crate) fn replay<C: Cores>(
        &mut self,
        reader: &Reader,
        conductor: &mut Conductor,
        cores: &mut C,
        between: &mut dyn FnMut(&mut C),
    ) -> Result<()> {
        let Self { recovered, unopened, last } = self;
        let mut telling = Telling { flows: &recovered.flows, unopened, conductor };
        let mut told = 0_u32;
        let damaged = recovered.replay_signalling(reader, |_, message| {
            *last = message.time.max(*last);
            telling.message(&message, cores);
            told = told.wrapping_add(1);
            if told.is_multiple_of(MESSAGES_BETWEEN) {
                between(cores);
            }
        })?;
        telling.open_until(Timestamp::MAX, cores);
        for damage in damaged.iter().chain(&recovered.damaged) {
            tracing::warn!("the journal of the earlier run: {damage}");
        }
        Ok(())
    }

    /// These cores and the past, as one.
    pub(crate) fn beside<'a, C>(&'a self, cores: &'a mut C) -> WithPast<'a, C> {
        WithPast { flows: &self.recovered.flows, cores }
    }
}

/// Messages after which something else has its turn: well below a millisecond.
const MESSAGES_BETWEEN: u32 = 64;

/// A journal while it is told to the engine.
struct Telling<'a> {
    flows: &'a [RecoveredFlow],
    unopened: &'a mut Vec<u32>,
    conductor: &'a mut Conductor,
}

impl Telling<'_> {
    fn message(&mut self, message: &SignallingMessage<'_>, cores: &mut impl Cores) {
        let SignallingMessage { time, key, transport, message } = *message;
        self.open_until(time, cores);
        self.conductor.engine.signalling(SipInput { time, key, transport, message });
        self.obey(cores);
        self.conductor.collect(false);
    }

    fn open_until(&mut self, time: Timestamp, cores: &mut impl Cores) {
        while let Some(place) = self.unopened.last().copied() {
            let Some(flow) = self.flows.get(place as usize).filter(|f| f.summary.opened <= time)
            else {
                return;
            };
            self.unopened.pop();
            let (key, opened) = (flow.summary.key, flow.summary.opened);
            self.conductor.engine.advance(opened);
            self.conductor.engine.flow_opened(FlowRef::Recovered(place), key, opened);
            self.obey(cores);
        }
    }

    fn obey(&mut self, cores: &mut impl Cores) {
        self.conductor.obey(&mut WithPast { flows: self.flows, cores });
    }
}

/// The cores of a run that go on, and flows of runs that are over.
pub(crate) struct WithPast<'a, C> {
    flows: &'a [RecoveredFlow],
    cores: &'a mut C,
}

impl<C: Cores> Cores for WithPast<'_, C> {
    fn expect(&mut self, endpoint: Endpoint) {
        self.cores.expect(endpoint);
    }

    fn unexpect(&mut self, endpoint: Endpoint) {
        self.cores.unexpect(endpoint);
    }

    fn exclude(&mut self, endpoint: Endpoint) {
        self.cores.exclude(endpoint);
    }

    fn include(&mut self, endpoint: Endpoint) {
        self.cores.include(endpoint);
    }

    fn report(&mut self, flow: FlowRef, ticket: Ticket) -> Option<Report> {
        let FlowRef::Recovered(place) = flow else { return self.cores.report(flow, ticket) };
        let found = self.flows.get(place as usize).map(|flow| flow.summary.clone());
        Some(Report { flow, ticket, found })
    }

    fn release(&mut self, flow: FlowRef, before: Timestamp) {
        self.cores.release(flow, before);
    }

    fn forget(&mut self, flow: FlowRef) {
        self.cores.forget(flow);
    }
}

/// When nothing is captured.
struct NoCores;

impl Cores for NoCores {
    fn expect(&mut self, _: Endpoint) {}

    fn unexpect(&mut self, _: Endpoint) {}

    fn exclude(&mut self, _: Endpoint) {}

    fn include(&mut self, _: Endpoint) {}

    fn report(&mut self, _: FlowRef, _: Ticket) -> Option<Report> {
        None
    }

    fn release(&mut self, _: FlowRef, _: Timestamp) {}

    fn forget(&mut self, _: FlowRef) {}
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use base::FlowKey;
    use journal::FlowSummary;

    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_nanos(1_700_000_000_000_000_000).plus(Duration::from_secs(seconds))
    }

    fn flow(core: u8, run: u32, opened: u64, last: u64) -> RecoveredFlow {
        let (opened, last) = (at(opened), at(last));
        let (key, rtp, end) = (FlowKey::default(), None, None);
        let summary = FlowSummary { key, opened, last, packets: 1, bytes: 1, rtp, end };
        RecoveredFlow { core, run, summary }
    }

    #[test]
    fn what_lies_between_two_runs_is_an_interruption() {
        let interruptions = |flows| {
            let mut recovered = Recovered::default();
            recovered.flows = flows;
            Past::new(recovered).interruptions()
        };
        let one_run = vec![flow(0, 0, 0, 9), flow(1, 0, 1, 5), flow(0, 0, 12, 13)];
        assert_eq!(interruptions(one_run), []);
        // Two cores of three runs; core 1 saw nothing for longer, and of the third run nothing at all.
        let runs = vec![
            flow(0, 0, 0, 9),
            flow(1, 0, 0, 8),
            flow(0, 4, 11, 15),
            flow(1, 2, 13, 14),
            flow(0, 7, 20, 30),
        ];
        assert_eq!(interruptions(runs), [(at(9), at(11)), (at(15), at(20))]);
    }
}
