//! Taking up where a killed run was: one recording of each call, with a gap as long as nobody recorded.
//!
//! The capture cores journal from the first moment on. Meanwhile the earlier journal is read by a thread of its own;
//! news of the cores waits. Then the engine is told what the earlier run saw, and after that the news, in the order
//! of time. The earlier journal goes when nothing in it is needed any more; a run that is killed before that leaves
//! its own beside it.

use std::sync::mpsc::{Receiver, Sender, TryRecvError};

use anyhow::Result;
use journal::Recovered;

use super::Run;
use super::place::Place;
use crate::alarms::AlarmId;
use crate::recovery::Past;

/// What earlier runs left, on its way.
pub(super) enum Earlier {
    /// It is being read. Nothing comes if there is nothing to take up.
    Coming(Receiver<Recovered>),
    /// The engine knows it. The journal goes when it is done with it; unless not all of it could be read.
    Known { all: bool },
    /// There is none.
    Gone,
}

/// Reads what earlier runs left. What they recorded here is told, to be taken up; anything else is finished here.
///
/// # Errors
/// What cannot be read or stored stays in the journal.
pub(super) fn read(place: &Place, tell: Sender<Recovered>) -> Result<()> {
    let Some(recovered) = place.recovered()? else { return Ok(()) };
    if place.is_own(&recovered) {
        // Only if the run has ended already does nobody take it.
        let _ = tell.send(recovered);
        return Ok(());
    }
    drop(tell);
    let recordings = place.finish(recovered)?;
    crate::output::say(format_args!(
        "spanreel: another run was killed; {recordings} recordings were made of its journal"
    ));
    Ok(())
}

impl Run<'_> {
    /// Sees to what earlier runs left. False as long as it is being read: news has to wait.
    pub(super) fn earlier_is_told(&mut self) -> bool {
        let Earlier::Coming(coming) = &self.earlier else { return true };
        match coming.try_recv() {
            Ok(recovered) => self.take_up(recovered),
            Err(TryRecvError::Empty) => return false,
            Err(TryRecvError::Disconnected) => self.earlier_is_gone(),
        }
        true
    }

    /// The same, waiting for it.
    pub(super) fn wait_for_earlier(&mut self) {
        if let Earlier::Coming(coming) = &self.earlier {
            match coming.recv() {
                Ok(recovered) => self.take_up(recovered),
                Err(_) => self.earlier_is_gone(),
            }
        }
    }

    /// Tells the engine what the earlier runs saw.
    fn take_up(&mut self, recovered: Recovered) {
        let Self { exchange, place, notify, window, .. } = self;
        // This thread is busy with it as long as it takes: signals wait, the watchdog and the clocks do not.
        let mut alive = || {
            notify.alive();
            place.clocks().look();
            window.shared().taking_up();
        };
        let replayed = exchange.take_up(recovered, &place.journal().reader(), &mut alive);
        self.earlier = Earlier::Known { all: replayed.is_ok() };
        if let Err(error) = replayed {
            let trouble =
                format!("not all of an earlier run's journal could be read; it stays: {error:#}");
            tracing::error!("{trouble}");
            self.troubles.push(trouble);
        }
        let told = "what an earlier run left in the journal was taken up";
        self.alarms.board().happened(AlarmId::RecoveryRan, told.into());
        if self.exchange.unseen(self.began_at, self.place.outages()) {
            self.place.save_outages();
        }
    }

    fn earlier_is_gone(&mut self) {
        self.earlier = Earlier::Gone;
        self.place.outages().forget_before(self.began_at);
    }

    /// Whether nothing that earlier runs left is needed, once everything has ended.
    pub(super) fn is_earlier_stored(&self) -> bool {
        match self.earlier {
            Earlier::Known { all } => all,
            Earlier::Gone => true,
            Earlier::Coming(_) => false,
        }
    }

    /// Lets go of the earlier journal as soon as nothing in it is needed.
    pub(super) fn let_go_of_earlier(&mut self) {
        let known = matches!(self.earlier, Earlier::Known { all: true });
        if !known || self.exchange.conductor.engine.needs_recovered() {
            return;
        }
        match self.place.journal().discard_earlier_runs() {
            Ok(_) => {
                crate::output::say(format_args!(
                    "spanreel: an earlier run was killed; its calls are finished"
                ));
                self.exchange.past = Past::default();
                self.earlier_is_gone();
            }
            Err(error) => tracing::warn!("{error}"),
        }
    }
}
