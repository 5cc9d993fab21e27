//! What the dialog thread does in a turn: the cores' news to the engine, the engine's orders to the cores.
//!
//! Neither thread nor clock: `run` gives it both, and [`super::machine`] steps it on a clock of its own.

use anyhow::Result;
use base::ledger::Note;
use base::{Ledger, Timestamp};
use dialog::{EndReason, Handled, SipInput};
use journal::{Reader, Recovered};

use super::cores::LiveCores;
use super::lines::{Message, Opened};
use super::news::{News, Pending, gather};
use crate::conductor::Conductor;
use crate::engine::FlowRef;
use crate::outages::{Kind, Outage, Outages};
use crate::recovery::Past;

/// Cores and engine, and what is between them.
pub(super) struct Exchange {
    pub(super) cores: LiveCores,
    pub(super) conductor: Conductor,
    /// News that is later than what all cores have told.
    pending: Pending,
    /// What the engine knows of earlier runs.
    pub(super) past: Past,
    /// Malformed and refused SIP.
    pub(super) notes: Ledger,
}

impl Exchange {
    pub(super) fn new(cores: LiveCores, conductor: Conductor) -> Self {
        let (pending, past, notes) = (Pending::default(), Past::default(), Ledger::default());
        Self { cores, conductor, pending, past, notes }
    }

    /// Takes what the cores have to say, up to a time. True if there was something.
    pub(super) fn turn(&mut self, told: Timestamp) -> bool {
        let heard = self.hear(told);
        if told >= self.conductor.engine.due() {
            self.conductor.engine.advance(told);
        }
        let answered = self.take_answers();
        self.conductor.collect(false);
        self.obey();
        self.cores.send_backlogs();
        heard || answered
    }

    /// Takes the news out of the rings and keeps it. True if there was some.
    pub(super) fn hold_back(&mut self) -> bool {
        gather(&mut self.cores, &mut self.pending)
    }

    pub(super) fn obey(&mut self) {
        self.conductor.obey(&mut self.past.beside(&mut self.cores));
    }

    /// Gives the engine the news of all cores up to a time, in the order of time.
    pub(super) fn hear(&mut self, until: Timestamp) -> bool {
        self.hold_back();
        let due = self.pending.take_until(until);
        let any = !due.is_empty();
        for (core, news) in due {
            self.tell_engine(core, news);
        }
        any
    }

    fn tell_engine(&mut self, core: usize, news: News) {
        match news {
            News::Message(Message { time, key, transport, bytes }) => {
                let input = SipInput { time, key, transport, message: &bytes };
                match self.conductor.engine.signalling(input) {
                    Handled::Malformed(_) => self.notes.note(Note::SipMalformed, 1),
                    Handled::TableFull | Handled::Refused => self.notes.note(Note::SipTableFull, 1),
                    Handled::Call(_) | Handled::NotACall => {}
                }
                if let Some(handle) = self.cores.handles.get_mut(core) {
                    handle.end.give_back(bytes);
                }
            }
            News::Opened(Opened { time, key, flow }) => {
                // There are at most 256 cores.
                let core = u8::try_from(core).unwrap_or(u8::MAX);
                self.conductor.engine.flow_opened(FlowRef::Core(core, flow), key, time);
            }
        }
        if self.conductor.engine.has_commands() {
            self.obey();
        }
    }

    pub(super) fn take_answers(&mut self) -> bool {
        let mut any = false;
        while let Some(report) = self.cores.next_answer() {
            any = true;
            self.conductor.engine.report(report);
        }
        any
    }

    /// Tells the engine what the earlier runs saw.
    ///
    /// # Errors
    /// Not all of it could be read; what could is told.
    pub(super) fn take_up(
        &mut self,
        recovered: Recovered,
        reader: &Reader,
        alive: &mut dyn FnMut(),
    ) -> Result<()> {
        let mut past = Past::new(recovered);
        let Self { conductor, cores, pending, .. } = self;
        let mut between = |cores: &mut _| {
            gather(cores, pending);
            cores.send_backlogs();
            alive();
        };
        let replayed = past.replay(reader, conductor, cores, &mut between);
        self.past = past;
        replayed
    }

    /// Nothing was seen from the last that earlier runs saw until `began_at`, when this one began. True if that is
    /// an outage of known length.
    pub(super) fn unseen(&mut self, began_at: Timestamp, outages: &Outages) -> bool {
        let last = self.past.last();
        if last > began_at {
            tracing::warn!(
                "the clock shows an earlier time than in the run before; its calls end where it was killed"
            );
            self.conductor.engine.end(EndReason::Interrupted);
            self.obey();
            self.conductor.engine.sweep();
            self.obey();
            self.conductor.engine.restart_clock(began_at);
            return false;
        }
        for (from, until) in self.past.interruptions() {
            outages.add_unknown(Outage { kind: Kind::Restart, from, until });
        }
        outages.add(Outage { kind: Kind::Restart, from: last, until: began_at });
        self.conductor.engine.unseen(last, began_at);
        self.obey();
        true
    }

    /// The cores have told everything: nothing is held back any more.
    pub(super) fn hear_all(&mut self) {
        while self.hear(Timestamp::MAX) || self.take_answers() {}
    }

    /// Ends the calls that are up, finishes and stores everything.
    ///
    /// # Errors
    /// The first call that could not be finished.
    pub(super) fn end_calls(&mut self) -> Result<()> {
        let Self { conductor, past, cores, .. } = self;
        conductor.end(EndReason::Interrupted, &mut past.beside(cores))
    }
}
