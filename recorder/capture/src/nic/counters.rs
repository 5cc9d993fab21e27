//! What an interface counts (`struct rtnl_link_stats64`; Documentation/networking/statistics.rst).

use std::fmt;

macro_rules! counters {
    ($($(#[$about:meta])* $variant:ident = $label:literal,)*) => {
        /// One of an interface's counts. What a driver puts where differs; the kernel's documentation says
        /// what it should.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(usize)]
        pub enum Counter { $($(#[$about])* $variant,)* }

        impl Counter {
            /// All of them, in the kernel's order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name in `/sys/class/net/*/statistics` and in reports.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $label,)* }
            }
        }

        const COUNTERS: usize = Counter::ALL.len();
    };
}

counters! {
    /// Good packets received.
    RxPackets = "rx_packets",
    /// Packets sent. A mirror port has none.
    TxPackets = "tx_packets",
    /// Bytes of good packets received.
    RxBytes = "rx_bytes",
    /// Bytes sent.
    TxBytes = "tx_bytes",
    /// Bad packets received, of every kind.
    RxErrors = "rx_errors",
    /// Packets not sent.
    TxErrors = "tx_errors",
    /// Received, but not processed: no memory, or nobody who wanted them.
    RxDropped = "rx_dropped",
    /// Dropped on their way out.
    TxDropped = "tx_dropped",
    /// Multicast packets received.
    Multicast = "multicast",
    /// Collisions while sending.
    Collisions = "collisions",
    /// Dropped for their length.
    RxLengthErrors = "rx_length_errors",
    /// Did not fit the buffers that the host gave the card.
    RxOverErrors = "rx_over_errors",
    /// Damaged on the wire.
    RxCrcErrors = "rx_crc_errors",
    /// Misaligned on the wire.
    RxFrameErrors = "rx_frame_errors",
    /// The card's own queue was full.
    RxFifoErrors = "rx_fifo_errors",
    /// The card had no buffer from the host: it was too slow.
    RxMissedErrors = "rx_missed_errors",
    /// Sending aborted.
    TxAbortedErrors = "tx_aborted_errors",
    /// No carrier while sending.
    TxCarrierErrors = "tx_carrier_errors",
    /// The sending queue failed.
    TxFifoErrors = "tx_fifo_errors",
    /// Heartbeat (SQE) errors.
    TxHeartbeatErrors = "tx_heartbeat_errors",
    /// Late collisions.
    TxWindowErrors = "tx_window_errors",
    /// Compressed packets received.
    RxCompressed = "rx_compressed",
    /// Compressed packets sent.
    TxCompressed = "tx_compressed",
    /// Received on an interface that takes none (an inactive member of a bond).
    RxNohandler = "rx_nohandler",
    /// For another host's address. Not a loss: a mirror port's packets are just that.
    RxOtherhostDropped = "rx_otherhost_dropped",
}

impl Counter {
    /// Whether it counts packets that reached the machine, but not whoever captures.
    ///
    /// Some drivers count one packet under several of these: their sum is an upper bound.
    #[must_use]
    pub const fn is_loss(self) -> bool {
        matches!(
            self,
            Self::RxDropped | Self::RxMissedErrors | Self::RxFifoErrors | Self::RxOverErrors
        )
    }

    /// Whether it counts packets that came damaged.
    #[must_use]
    pub const fn is_damage(self) -> bool {
        matches!(self, Self::RxCrcErrors | Self::RxFrameErrors | Self::RxLengthErrors)
    }
}

/// All counts of an interface, of one moment.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Statistics([u64; COUNTERS]);

impl Statistics {
    /// From `struct rtnl_link_stats64`. An older kernel gives fewer counts; those are zero.
    pub(super) fn parse(value: &[u8]) -> Self {
        let mut counts = Self::default();
        let (numbers, _) = value.as_chunks::<8>();
        counts.0.iter_mut().zip(numbers).for_each(|(place, it)| *place = u64::from_ne_bytes(*it));
        counts
    }

    /// One count.
    #[must_use]
    #[expect(clippy::indexing_slicing, reason = "the array has one place per variant")]
    pub const fn of(&self, counter: Counter) -> u64 {
        self.0[counter as usize]
    }

    /// What came since `earlier`. Counts that went backwards (the driver began anew) came in full.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut difference = *self;
        for (now, then) in difference.0.iter_mut().zip(earlier.0) {
            *now = now.checked_sub(then).unwrap_or(*now);
        }
        difference
    }

    /// Names and counts, of those that are not zero.
    pub fn named(&self) -> impl Iterator<Item = (Counter, u64)> + '_ {
        Counter::ALL.iter().map(|counter| (*counter, self.of(*counter))).filter(|it| it.1 > 0)
    }

    /// The counts of lost packets that are not zero.
    pub fn losses(&self) -> impl Iterator<Item = (Counter, u64)> + '_ {
        self.named().filter(|(counter, _)| counter.is_loss())
    }
}

/// These counts; all others are zero.
impl FromIterator<(Counter, u64)> for Statistics {
    #[expect(clippy::indexing_slicing, reason = "the array has one place per variant")]
    fn from_iter<T: IntoIterator<Item = (Counter, u64)>>(counts: T) -> Self {
        let mut statistics = Self::default();
        for (counter, count) in counts {
            statistics.0[counter as usize] = count;
        }
        statistics
    }
}

/// A table: a line per count that is not zero.
impl fmt::Display for Statistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (counter, count)) in self.named().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{count:>12}  {}", counter.name())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Statistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.named().map(|(counter, count)| (counter.name(), count))).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_where_the_kernel_puts_them() {
        let bytes: Vec<u8> = (0..25_u64).flat_map(u64::to_ne_bytes).collect();
        let counts = Statistics::parse(&bytes);
        assert_eq!(counts.of(Counter::RxPackets), 0);
        assert_eq!(counts.of(Counter::RxDropped), 6);
        assert_eq!(counts.of(Counter::RxMissedErrors), 15);
        assert_eq!(counts.of(Counter::RxOtherhostDropped), 24);
        let losses: Vec<_> =
            counts.losses().map(|(counter, count)| (counter.name(), count)).collect();
        assert_eq!(
            losses,
            [
                ("rx_dropped", 6),
                ("rx_over_errors", 11),
                ("rx_fifo_errors", 14),
                ("rx_missed_errors", 15)
            ]
        );
        assert_eq!(Statistics::parse(&bytes[..23 * 8 + 3]).of(Counter::RxNohandler), 0);
        assert_eq!(Statistics::parse(&[]), Statistics::default());
    }

    #[test]
    fn a_driver_that_begins_anew_does_not_count_backwards() {
        let counts = |packets: u64, bytes: u64| {
            Statistics::parse(&[packets.to_ne_bytes(), [0; 8], bytes.to_ne_bytes()].concat())
        };
        let since = counts(10, 700).since(&counts(4, 900));
        assert_eq!((since.of(Counter::RxPackets), since.of(Counter::RxBytes)), (6, 700));
        assert_eq!(since.to_string(), "           6  rx_packets\n         700  rx_bytes");
    }
}
