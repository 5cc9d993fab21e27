//! From a frame to its packets: the layers, one after the other.

use base::limits::SIP_MESSAGE_BYTES_MAX;
use base::{Domain, FlowKey, Ledger, Outcome, Timestamp, Transport};
use capture::Frame;

use crate::fragments::{Fragments, Key};
use crate::ip::{self, Addresses, Fragment, Packet as IpPacket};
use crate::tcp::connection::Output;
use crate::tcp::{self, Connections};
use crate::{Guess, Handled, Packet, guess, ipv6, link, sip, udp};

/// How often old state is looked for, on the capture clock.
const UPKEEP_INTERVAL_NANOSECONDS: u64 = 1_000_000_000;

/// The demultiplexer of one capture core.
///
/// All state that the wire can make it keep is bounded by `base::limits` and expires on the capture clock.
#[derive(Debug)]
pub struct Demux {
    fragments: Fragments,
    connections: Connections,
    last_upkeep: Timestamp,
}

/// How much a [`Demux`] holds at the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// IP datagrams that are unfinished, or were finished just now.
    pub datagrams: usize,
    /// Bytes allocated for them.
    pub datagram_bytes: usize,
    /// TCP connections followed.
    pub connections: usize,
    /// Bytes allocated for what they wait for.
    pub connection_bytes: usize,
}

impl Default for Demux {
    fn default() -> Self {
        Self::new()
    }
}

impl Demux {
    /// With nothing seen. Its tables take their memory now.
    #[must_use]
    pub fn new() -> Self {
        Self {
            fragments: Fragments::new(),
            connections: Connections::new(),
            last_upkeep: Timestamp::ZERO,
        }
    }

    /// Takes one frame. `emit` gets the packets that it completes, with the frame's time; `ledger` gets
    /// notes, but neither the receipt nor the outcome: those are the caller's to count, by what is returned.
    ///
    /// About once a second of capture time it does the work of [`Demux::upkeep`] first.
    #[inline]
    pub fn frame(
        &mut self,
        frame: &Frame<'_>,
        ledger: &mut Ledger,
        emit: &mut impl FnMut(Timestamp, Packet<'_>),
    ) -> Handled {
        // Either way round: a clock that is set back does not stop the upkeep.
        let since = frame.time.as_nanos().abs_diff(self.last_upkeep.as_nanos());
        if since >= UPKEEP_INTERVAL_NANOSECONDS {
            self.upkeep(frame.time, ledger, emit);
        }
        self.dissect(frame, ledger, emit).unwrap_or_else(Handled::Ended)
    }

    /// Lets go of what has waited too long: notes datagrams whose fragments did not come, and gives the
    /// SIP messages behind holes in TCP streams. [`Demux::frame`] sees to it by itself; to be called while
    /// no frames come.
    pub fn upkeep(
        &mut self,
        now: Timestamp,
        ledger: &mut Ledger,
        emit: &mut impl FnMut(Timestamp, Packet<'_>),
    ) {
        self.last_upkeep = now;
        self.fragments.expire(now, ledger);
        self.connections.expire(&mut Output { now, ledger, emit });
    }

    /// No more frames will come: gives what was held back, with the time `now`, and forgets everything.
    pub fn finish(
        &mut self,
        now: Timestamp,
        ledger: &mut Ledger,
        emit: &mut impl FnMut(Timestamp, Packet<'_>),
    ) {
        self.fragments.finish(ledger);
        self.connections.finish(&mut Output { now, ledger, emit });
    }

    /// How much state there is.
    #[must_use]
    pub fn held(&self) -> Held {
        let (datagrams, datagram_bytes) = self.fragments.held();
        let (connections, connection_bytes) = self.connections.held();
        Held { datagrams, datagram_bytes, connections, connection_bytes }
    }

    #[inline]
    fn dissect(
        &mut self,
        frame: &Frame<'_>,
        ledger: &mut Ledger,
        emit: &mut impl FnMut(Timestamp, Packet<'_>),
    ) -> Result<Handled, Outcome> {
        let network = link::network(frame.link, frame.data)?;
        let missing = (frame.wire_bytes as usize).saturating_sub(frame.data.len());
        let packet = ip::parse(&network, missing)?;
        let mut output = Output { now: frame.time, ledger, emit };
        match packet.fragment {
            None => transport(&mut self.connections, network.domain, &packet, &mut output),
            Some(fragment) => self.fragment(network.domain, &packet, fragment, &mut output),
        }
    }

    #[cold]
    fn fragment<E: FnMut(Timestamp, Packet<'_>)>(
        &mut self,
        domain: Domain,
        packet: &IpPacket<'_>,
        fragment: Fragment,
        output: &mut Output<'_, E>,
    ) -> Result<Handled, Outcome> {
        let leads_on = match packet.addresses {
            Addresses::V4(_) => false,
            Addresses::V6(_) => ipv6::is_extension(packet.protocol),
        };
        if !leads_on && !matches!(packet.protocol, ip::UDP | ip::TCP) {
            return Err(Outcome::OtherProtocol);
        }
        self.fragments.expire(output.now, output.ledger);
        let key = Key::new(domain, packet, &fragment);
        let whole = self.fragments.add(key, packet, &fragment, output.now)?;
        let inside = match packet.addresses {
            Addresses::V4(_) => {
                ipv6::Inside { protocol: whole.protocol, payload: whole.payload, fragment: None }
            }
            Addresses::V6(_) => ipv6::extensions(whole.protocol, whole.payload)?,
        };
        if inside.fragment.is_some() {
            // Fragments of fragments are no one's honest doing.
            return Err(Outcome::Malformed);
        }
        let packet = IpPacket {
            protocol: inside.protocol,
            payload: inside.payload,
            wire_bytes: inside.payload.len(),
            fragment: None,
            ..*packet
        };
        transport(&mut self.connections, domain, &packet, output)
    }
}

/// The flow of a frame that is one UDP datagram, whole: a glance, before the frame's turn. Nothing of anything else.
#[must_use]
#[inline]
pub fn udp_flow(frame: &Frame<'_>) -> Option<FlowKey> {
    let network = link::network(frame.link, frame.data).ok()?;
    let packet = ip::parse(&network, 0).ok()?;
    if packet.protocol != ip::UDP || packet.fragment.is_some() {
        return None;
    }
    let [s0, s1, d0, d1] = *packet.payload.first_chunk()?;
    let (source, destination) = (u16::from_be_bytes([s0, s1]), u16::from_be_bytes([d0, d1]));
    Some(packet.addresses.flow(network.domain, source, destination))
}

/// What an IP datagram carries. A protocol that carries packets of its own (a tunnel) branches off here,
/// with a domain of its own.
#[inline]
fn transport<E: FnMut(Timestamp, Packet<'_>)>(
    connections: &mut Connections,
    domain: Domain,
    packet: &IpPacket<'_>,
    output: &mut Output<'_, E>,
) -> Result<Handled, Outcome> {
    let flow = |source_port, destination_port| {
        packet.addresses.flow(domain, source_port, destination_port)
    };
    match packet.protocol {
        ip::UDP => {
            let datagram = udp::parse(packet.payload, packet.wire_bytes)?;
            let key = flow(datagram.source_port, datagram.destination_port);
            (output.emit)(output.now, classify(key, &datagram)?);
            Ok(Handled::Datagram)
        }
        ip::TCP => {
            let segment = tcp::header::parse(packet.payload, packet.wire_bytes)?;
            let key = flow(segment.source_port, segment.destination_port);
            Ok(Handled::Ended(connections.segment(key, &segment, output)))
        }
        _ => Err(Outcome::OtherProtocol),
    }
}

/// What a UDP datagram is.
#[inline]
fn classify<'a>(key: FlowKey, datagram: &udp::Datagram<'a>) -> Result<Packet<'a>, Outcome> {
    let (payload, wire_bytes) = (datagram.payload, datagram.wire_bytes);
    let guess = guess::guess(payload, wire_bytes);
    if guess == Guess::Other
        && let Some(message) = sip::datagram(payload)
    {
        if message.len() > SIP_MESSAGE_BYTES_MAX {
            return Err(Outcome::Malformed);
        }
        return Ok(Packet::Sip { key, transport: Transport::Udp, message });
    }
    let wire_bytes = u16::try_from(wire_bytes).unwrap_or(u16::MAX);
    Ok(Packet::Udp { key, guess, payload, wire_bytes })
}
