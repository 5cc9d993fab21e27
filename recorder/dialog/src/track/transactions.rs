//! The transactions that can change a call: INVITE, UPDATE, PRACK (RFC 3261, 17; RFC 3311; RFC 3262).
//!
//! A transaction is seen once per hop, because every proxy puts a Via with a branch of its own on top.

use base::{Side, limits};

/// What a transaction may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// An INVITE that makes a dialog: without a To tag.
    Invite,
    /// An INVITE within a dialog, or an UPDATE or PRACK.
    Change,
}

/// How far a transaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// No final response yet.
    Open,
    /// CANCEL was sent for it.
    Cancelled,
    /// A 2xx.
    Answered,
    /// 3xx to 6xx.
    Failed,
}

/// One transaction on one hop.
#[derive(Clone, Copy, Debug)]
pub(super) struct Transaction {
    /// Unique within the call.
    pub(super) id: u32,
    pub(super) kind: Kind,
    pub(super) stage: Stage,
    /// Index of its hop.
    pub(super) hop: usize,
    /// Who sent the request.
    pub(super) sender: Side,
    pub(super) cseq: u32,
    /// Whether the request carried an offer.
    pub(super) offers: bool,
    /// Hash of the branch of its topmost Via.
    pub(super) branch: u64,
}

/// The transactions of one call; bounded.
#[derive(Debug, Default)]
pub(super) struct Transactions {
    all: Vec<Transaction>,
    next_id: u32,
}

impl Transactions {
    /// The transaction of a request, new or, if it is sent again, known; and whether it is new.
    pub(super) fn request(
        &mut self,
        kind: Kind,
        hop: usize,
        sender: Side,
        (cseq, offers): (u32, bool),
        branch: u64,
    ) -> (Transaction, bool) {
        let same = |it: &&Transaction| {
            it.branch == branch && it.cseq == cseq && it.hop == hop && it.sender == sender
        };
        if let Some(known) = self.all.iter().find(same) {
            return (*known, false);
        }
        if self.all.len() >= limits::SIP_TRANSACTIONS_PER_CALL_MAX {
            let finished = self.all.iter().position(|it| it.stage != Stage::Open);
            self.all.remove(finished.unwrap_or(0));
        }
        let id = self.next_id;
        self.next_id = self.next_id.wrapping_add(1);
        let new = Transaction { id, kind, stage: Stage::Open, hop, sender, cseq, offers, branch };
        self.all.push(new);
        (new, true)
    }

    /// The transaction of a response (or of a CANCEL): by branch, or by hop where devices garble that.
    pub(super) fn response(
        &mut self,
        branch: u64,
        cseq: u32,
        hop: Option<usize>,
    ) -> Option<&mut Transaction> {
        let numbered = |it: &Transaction| it.cseq == cseq;
        let fits: [&dyn Fn(&Transaction) -> bool; 3] = [
            &|it| numbered(it) && it.branch == branch && Some(it.hop) == hop,
            &|it| numbered(it) && it.branch == branch,
            &|it| numbered(it) && Some(it.hop) == hop,
        ];
        let index = fits.iter().find_map(|fits| self.all.iter().rposition(fits))?;
        self.all.get_mut(index)
    }

    /// Whether no first INVITE among those that `counts` waits for an outcome any more.
    pub(super) fn all_over(&self, counts: impl Fn(&Transaction) -> bool) -> bool {
        let mut invites = self.all.iter().filter(|it| it.kind == Kind::Invite);
        !invites.any(|it| it.stage == Stage::Open && counts(it))
    }
}
