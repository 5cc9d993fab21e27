//! The packet ledger: every frame that reaches a capture core ends in exactly one [`Outcome`].
//!
//! The ledger balances when the frames received equal the sum over all outcomes. What happens later to a
//! frame that was set aside (a fragment whose rest never came) is a [`Note`], which never enters the sum.
//! A run whose ledger does not balance is a failed run.

use std::fmt;

/// What kind of end an [`Outcome`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// In the journal, or part of something that is.
    Journaled,
    /// Not of interest by its nature or by configuration.
    Filtered,
    /// Seen before.
    Duplicate,
    /// Cannot be understood, or is damaged.
    Undecodable,
    /// Of interest, and lost. Each of these is an alarm.
    Dropped,
}

macro_rules! counted {
    ($(#[$doc:meta])* $name:ident, $count:ident { $($(#[$about:meta])* $variant:ident = $label:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum $name { $($(#[$about])* $variant,)* }

        impl $name {
            /// All of them, in the order in which they are shown.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name in reports and metrics (snake case).
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $label,)* }
            }
        }

        const $count: usize = $name::ALL.len();
    };
}

counted! {
    /// How one frame ended.
    Outcome, OUTCOMES {
        /// RTP, RTCP or other datagrams of a media endpoint, in the journal.
        Media = "media",
        /// A SIP message over UDP, in the journal.
        Signalling = "signalling",
        /// A TCP segment of a connection that carries SIP (its messages are in the journal).
        TcpSegment = "tcp_segment",
        /// An IP fragment kept until its datagram is whole. The frame that completes it gets the
        /// datagram's outcome.
        FragmentHeld = "fragment_held",
        /// Not IP: ARP, spanning tree, LLDP and the like.
        NotIp = "not_ip",
        /// IP, but neither UDP nor TCP.
        OtherProtocol = "other_protocol",
        /// UDP that is neither SIP nor RTP nor for an announced endpoint.
        OtherUdp = "other_udp",
        /// TCP that carries no SIP.
        OtherTcp = "other_tcp",
        /// Excluded by policy.
        Excluded = "excluded",
        /// A copy of a frame already seen (a mirror port that sends both directions twice).
        DuplicateFrame = "duplicate_frame",
        /// A link type that is not understood.
        UnknownLink = "unknown_link",
        /// Shorter than its headers say, or cut by the capture's snap length before the ports.
        Truncated = "truncated",
        /// A header that contradicts itself: lengths, versions, more tags than allowed.
        Malformed = "malformed",
        /// The table of unfinished IP datagrams is full.
        FragmentTableFull = "fragment_table_full",
        /// The table of TCP connections is full.
        TcpTableFull = "tcp_table_full",
        /// The table of media flows is full.
        FlowTableFull = "flow_table_full",
        /// The journal could not take it (disk full, or too slow).
        JournalFull = "journal_full",
        /// The ring to the dialog thread is full.
        SignallingRingFull = "signalling_ring_full",
    }
}

impl Outcome {
    /// Which kind of end this is.
    #[must_use]
    pub const fn class(self) -> Class {
        match self {
            Self::Media | Self::Signalling | Self::TcpSegment | Self::FragmentHeld => {
                Class::Journaled
            }
            Self::NotIp
            | Self::OtherProtocol
            | Self::OtherUdp
            | Self::OtherTcp
            | Self::Excluded => Class::Filtered,
            Self::DuplicateFrame => Class::Duplicate,
            Self::UnknownLink | Self::Truncated | Self::Malformed => Class::Undecodable,
            Self::FragmentTableFull
            | Self::TcpTableFull
            | Self::FlowTableFull
            | Self::JournalFull
            | Self::SignallingRingFull => Class::Dropped,
        }
    }
}

counted! {
    /// Something noteworthy beside the sum.
    Note, NOTES {
        /// An IP datagram whose missing fragments did not come in time.
        DatagramIncomplete = "datagram_incomplete",
        /// A hole in a TCP byte stream that was skipped.
        TcpGap = "tcp_gap",
        /// A TCP stream lost its SIP framing and found it again.
        TcpResync = "tcp_resync",
        /// A SIP message that could not be parsed.
        SipMalformed = "sip_malformed",
        /// A SIP message refused because a table of calls or dialogs was full.
        SipTableFull = "sip_table_full",
        /// A SIP message that the engine saw, but that the journal could not take.
        SignallingNotJournaled = "signalling_not_journaled",
        /// RTP that belongs to no call and was not kept as one.
        MediaUnclaimed = "media_unclaimed",
        /// A datagram shorter than it was on the wire (snap length).
        MediaTruncated = "media_truncated",
    }
}

/// The counts of one capture core, or the sum over several.
#[derive(Clone, PartialEq, Eq)]
pub struct Ledger {
    received: u64,
    outcomes: [u64; OUTCOMES],
    notes: [u64; NOTES],
}

impl Default for Ledger {
    fn default() -> Self {
        Self { received: 0, outcomes: [0; OUTCOMES], notes: [0; NOTES] }
    }
}

impl Ledger {
    /// A frame came in. Each such call is followed by exactly one [`Ledger::count`].
    #[inline]
    pub fn receive(&mut self) {
        self.received += 1;
    }

    /// How the frame ended.
    #[inline]
    #[expect(clippy::indexing_slicing, reason = "the array has one place per variant")]
    pub fn count(&mut self, outcome: Outcome) {
        self.outcomes[outcome as usize] += 1;
    }

    /// Something noteworthy happened `times` times.
    #[inline]
    #[expect(clippy::indexing_slicing, reason = "the array has one place per variant")]
    pub fn note(&mut self, note: Note, times: u64) {
        self.notes[note as usize] += times;
    }

    /// Frames received.
    #[must_use]
    pub const fn received(&self) -> u64 {
        self.received
    }

    /// Frames with this outcome.
    #[must_use]
    #[expect(clippy::indexing_slicing, reason = "the array has one place per variant")]
    pub const fn of(&self, outcome: Outcome) -> u64 {
        self.outcomes[outcome as usize]
    }

    /// How often this was noted.
    #[must_use]
    #[expect(clippy::indexing_slicing, reason = "the array has one place per variant")]
    pub const fn noted(&self, note: Note) -> u64 {
        self.notes[note as usize]
    }

    /// Frames with an outcome of this class.
    #[must_use]
    pub fn of_class(&self, class: Class) -> u64 {
        Outcome::ALL.iter().filter(|o| o.class() == class).map(|o| self.of(*o)).sum()
    }

    /// Whether every received frame has an outcome.
    #[must_use]
    pub fn balances(&self) -> bool {
        self.received == self.outcomes.iter().sum::<u64>()
    }

    /// Adds another core's counts.
    pub fn add(&mut self, other: &Self) {
        self.received += other.received;
        self.outcomes.iter_mut().zip(other.outcomes).for_each(|(sum, more)| *sum += more);
        self.notes.iter_mut().zip(other.notes).for_each(|(sum, more)| *sum += more);
    }
}

/// A table: a line per count that is not zero, and whether it balances.
impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:>12}  frames received", self.received)?;
        for outcome in Outcome::ALL.iter().filter(|o| self.of(**o) > 0) {
            let class = format!("{:?}", outcome.class()).to_lowercase();
            writeln!(f, "{:>12}  {} ({class})", self.of(*outcome), outcome.name())?;
        }
        for note in Note::ALL.iter().filter(|n| self.noted(**n) > 0) {
            writeln!(f, "{:>12}  {} (noted)", self.noted(*note), note.name())?;
        }
        let verdict =
            if self.balances() { "the ledger balances" } else { "THE LEDGER DOES NOT BALANCE" };
        write!(f, "{verdict}")
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_without_an_outcome_unbalances() {
        let mut ledger = Ledger::default();
        ledger.receive();
        assert!(!ledger.balances());
        ledger.count(Outcome::NotIp);
        ledger.note(Note::TcpGap, 3);
        assert!(ledger.balances());
        let mut sum = ledger.clone();
        sum.add(&ledger);
        assert_eq!((sum.received(), sum.of(Outcome::NotIp), sum.noted(Note::TcpGap)), (2, 2, 6));
        assert!(sum.balances());
    }

    #[test]
    fn names_are_distinct() {
        let mut names: Vec<_> = Outcome::ALL.iter().map(|o| o.name()).collect();
        names.extend(Note::ALL.iter().map(|n| n.name()));
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
