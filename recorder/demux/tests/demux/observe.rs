//! Runs frames through a demultiplexer and keeps what comes out.

use base::{FlowKey, Ledger, Outcome, Timestamp, Transport};
use capture::Frame;
use demux::{Demux, Guess, Handled, Packet};

/// A packet that outlives its frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Sip { key: FlowKey, transport: Transport, message: Vec<u8> },
    Udp { key: FlowKey, guess: Guess, payload: Vec<u8>, wire_bytes: u16 },
}

impl From<Packet<'_>> for Seen {
    fn from(packet: Packet<'_>) -> Self {
        match packet {
            Packet::Sip { key, transport, message } => {
                Self::Sip { key, transport, message: message.to_vec() }
            }
            Packet::Udp { key, guess, payload, wire_bytes } => {
                Self::Udp { key, guess, payload: payload.to_vec(), wire_bytes }
            }
        }
    }
}

/// A demultiplexer, its ledger, and everything that it gave.
#[derive(Debug, Default)]
pub(crate) struct Observer {
    demux: Demux,
    pub(crate) ledger: Ledger,
    pub(crate) seen: Vec<(Timestamp, Seen)>,
}

impl Observer {
    /// Takes a frame as a caller would, and counts it. Checks what is promised of every frame.
    pub(crate) fn frame(&mut self, frame: &Frame<'_>) -> Handled {
        let before = self.seen.len();
        let seen = &mut self.seen;
        let handled = self.demux.frame(frame, &mut self.ledger, &mut |time, packet| {
            assert_eq!(time, frame.time);
            seen.push((time, packet.into()));
        });
        let by_udp = |seen: &Seen| !matches!(seen, Seen::Sip { transport: Transport::Tcp, .. });
        let mut new = self.seen[before..].iter().map(|(_, seen)| seen).rev();
        let last_by_udp = new.next().is_some_and(by_udp);
        assert_eq!(last_by_udp, handled == Handled::Datagram, "{handled:?}");
        assert!(!new.any(by_udp), "one datagram a frame");
        self.ledger.receive();
        self.ledger.count(match handled {
            Handled::Ended(outcome) => outcome,
            Handled::Datagram => match self.seen.last() {
                Some((_, Seen::Sip { .. })) => Outcome::Signalling,
                _ => Outcome::OtherUdp,
            },
        });
        handled
    }

    pub(crate) fn finish(&mut self, now: Timestamp) {
        let seen = &mut self.seen;
        self.demux
            .finish(now, &mut self.ledger, &mut |time, packet| seen.push((time, packet.into())));
        assert_eq!(self.demux.held(), demux::Held::default());
        assert!(self.ledger.balances());
    }

    pub(crate) fn demux(&self) -> &Demux {
        &self.demux
    }

    /// The payloads of datagrams that are no SIP.
    pub(crate) fn payloads(&self) -> impl Iterator<Item = &[u8]> {
        self.seen.iter().filter_map(|(_, seen)| match seen {
            Seen::Udp { payload, .. } => Some(payload.as_slice()),
            Seen::Sip { .. } => None,
        })
    }

    pub(crate) fn messages(&self) -> impl Iterator<Item = &[u8]> {
        self.seen.iter().filter_map(|(_, seen)| match seen {
            Seen::Sip { message, .. } => Some(message.as_slice()),
            Seen::Udp { .. } => None,
        })
    }
}
