//! What is inside a decrypted payload: the flow key and the records. The layout is in [`crate::format`].
//!
//! Payloads are read only after their tag was checked, but a reader believes no length all the same.

use base::{Domain, Endpoint, FlowKey, MediaPacket, Timestamp, Transport};

use crate::format::Kind;
use crate::locator::ALIGNMENT;

/// A flow key as stored.
pub(crate) const FLOW_KEY_BYTES: usize = 44;
/// A media record without its datagram.
pub(crate) const MEDIA_RECORD_BYTES: usize = 8;
/// A signalling record without its message.
pub(crate) const SIGNALLING_RECORD_BYTES: usize = 16 + FLOW_KEY_BYTES;

/// A flow key in its stored form.
pub(crate) fn encode_flow_key(key: &FlowKey) -> [u8; FLOW_KEY_BYTES] {
    let mut bytes = [0; FLOW_KEY_BYTES];
    bytes[0..8].copy_from_slice(&key.domain.0.to_le_bytes());
    bytes[8..24].copy_from_slice(&key.source.octets());
    bytes[24..26].copy_from_slice(&key.source.port().to_le_bytes());
    bytes[26..42].copy_from_slice(&key.destination.octets());
    bytes[42..44].copy_from_slice(&key.destination.port().to_le_bytes());
    bytes
}

fn take<'a, const N: usize>(bytes: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (head, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(head)
}

fn take_slice<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (head, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(head)
}

fn take_endpoint(bytes: &mut &[u8]) -> Option<Endpoint> {
    let address = *take(bytes)?;
    Some(Endpoint::v6(address, u16::from_le_bytes(*take(bytes)?)))
}

fn take_flow_key(bytes: &mut &[u8]) -> Option<FlowKey> {
    let domain = Domain(u64::from_le_bytes(*take(bytes)?));
    Some(FlowKey { domain, source: take_endpoint(bytes)?, destination: take_endpoint(bytes)? })
}

/// The datagrams of one media chunk, in arrival order. Ends early where the payload makes no sense.
#[derive(Clone, Debug)]
pub struct MediaRecords<'a> {
    rest: &'a [u8],
    left: u16,
    first: Timestamp,
}

impl<'a> MediaRecords<'a> {
    /// The flow and the datagrams of a decrypted `payload` with `records` records, the earliest at `first`.
    /// `None` if it is too short for the flow key.
    #[must_use]
    pub fn new(payload: &'a [u8], records: u16, first: Timestamp) -> Option<(FlowKey, Self)> {
        let mut rest = payload;
        let key = take_flow_key(&mut rest)?;
        Some((key, Self { rest, left: records, first }))
    }

    /// What is not read yet.
    pub(crate) const fn rest_bytes(&self) -> usize {
        self.rest.len()
    }

    fn take(&mut self) -> Option<MediaPacket<'a>> {
        let delta = u32::from_le_bytes(*take(&mut self.rest)?);
        let captured = u16::from_le_bytes(*take(&mut self.rest)?);
        let wire_bytes = u16::from_le_bytes(*take(&mut self.rest)?);
        let payload = take_slice(&mut self.rest, captured.into())?;
        let time = Timestamp::from_nanos(self.first.as_nanos().saturating_add(delta.into()));
        Some(MediaPacket { time, payload, wire_bytes })
    }
}

impl<'a> Iterator for MediaRecords<'a> {
    type Item = MediaPacket<'a>;

    #[inline]
    fn next(&mut self) -> Option<MediaPacket<'a>> {
        self.left = self.left.checked_sub(1)?;
        let packet = self.take();
        if packet.is_none() {
            self.left = 0;
        }
        packet
    }
}

/// A SIP message as it was captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignallingMessage<'a> {
    /// Arrival on the capture clock.
    pub time: Timestamp,
    /// From where to where.
    pub key: FlowKey,
    /// What carried it.
    pub transport: Transport,
    /// Start line, headers and body.
    pub message: &'a [u8],
}

/// The head of a signalling record.
pub(crate) fn encode_signalling(
    time: Timestamp,
    key: &FlowKey,
    transport: Transport,
    message_bytes: u32,
) -> [u8; SIGNALLING_RECORD_BYTES] {
    let mut bytes = [0; SIGNALLING_RECORD_BYTES];
    bytes[0..8].copy_from_slice(&time.as_nanos().to_le_bytes());
    bytes[8..52].copy_from_slice(&encode_flow_key(key));
    bytes[52] = match transport {
        Transport::Udp => 1,
        Transport::Tcp => 2,
    };
    bytes[56..60].copy_from_slice(&message_bytes.to_le_bytes());
    bytes
}

/// The messages of one signalling chunk, in arrival order. Ends early where the payload makes no sense.
#[derive(Clone, Debug)]
pub struct SignallingRecords<'a> {
    rest: &'a [u8],
    left: u16,
}

impl<'a> SignallingRecords<'a> {
    /// The messages of a decrypted `payload` with `records` records.
    #[must_use]
    pub const fn new(payload: &'a [u8], records: u16) -> Self {
        Self { rest: payload, left: records }
    }

    /// What is not read yet.
    pub(crate) const fn rest_bytes(&self) -> usize {
        self.rest.len()
    }

    fn take(&mut self) -> Option<SignallingMessage<'a>> {
        let time = Timestamp::from_nanos(u64::from_le_bytes(*take(&mut self.rest)?));
        let key = take_flow_key(&mut self.rest)?;
        let transport = match take(&mut self.rest)? {
            [1, 0, 0, 0] => Transport::Udp,
            [2, 0, 0, 0] => Transport::Tcp,
            _ => return None,
        };
        let bytes = u32::from_le_bytes(*take(&mut self.rest)?);
        let message = take_slice(&mut self.rest, usize::try_from(bytes).ok()?)?;
        Some(SignallingMessage { time, key, transport, message })
    }
}

impl<'a> Iterator for SignallingRecords<'a> {
    type Item = SignallingMessage<'a>;

    fn next(&mut self) -> Option<SignallingMessage<'a>> {
        self.left = self.left.checked_sub(1)?;
        let message = self.take();
        if message.is_none() {
            self.left = 0;
        }
        message
    }
}

/// Whether `payload` is exactly `records` records and the zeros that fill its last block.
pub(crate) fn well_formed(kind: Kind, payload: &[u8], records: u16, first: Timestamp) -> bool {
    let whole = |count: usize, rest: &[u8]| {
        count == usize::from(records)
            && rest.len() < ALIGNMENT
            && rest.iter().all(|byte| *byte == 0)
    };
    match kind {
        Kind::Media => MediaRecords::new(payload, records, first).is_some_and(|(_, mut media)| {
            let count = media.by_ref().count();
            whole(count, media.rest)
        }),
        Kind::Signalling => {
            let mut messages = SignallingRecords::new(payload, records);
            let count = messages.by_ref().count();
            whole(count, messages.rest)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key() -> FlowKey {
        FlowKey {
            domain: Domain(0x0102_0304_0506_0708),
            source: "192.0.2.1:5060".parse().unwrap(),
            destination: "[2001:db8::2]:40000".parse().unwrap(),
        }
    }

    #[test]
    fn a_record_beyond_the_payload_is_malformed() {
        let mut payload = encode_flow_key(&key()).to_vec();
        payload.extend([1, 0, 0, 0, 4, 0, 9, 0, 0xa, 0xb, 0xc, 0xd]);
        let first = Timestamp::from_nanos(100);
        let (stored, records) = MediaRecords::new(&payload, 1, first).unwrap();
        assert_eq!(stored, key());
        let time = Timestamp::from_nanos(101);
        let packet = MediaPacket { time, payload: &[0xa, 0xb, 0xc, 0xd], wire_bytes: 9 };
        assert_eq!(records.collect::<Vec<_>>(), [packet]);
        assert!(well_formed(Kind::Media, &payload, 1, first));
        assert!(!well_formed(Kind::Media, &payload, 2, first), "one more than there is");
        assert!(!well_formed(Kind::Media, &payload, 0, first), "one fewer than there is");
        payload.push(1);
        assert!(
            !well_formed(Kind::Media, &payload, 1, first),
            "filled with something else than zeros"
        );
        payload.truncate(payload.len() - 2);
        assert!(!well_formed(Kind::Media, &payload, 1, first), "cut");
    }

    proptest! {
        #[test]
        fn arbitrary_payloads_never_panic(payload: Vec<u8>, records: u16, first: u64) {
            let first = Timestamp::from_nanos(first);
            if let Some((_, media)) = MediaRecords::new(&payload, records, first) {
                let bytes: usize = media.map(|packet| packet.payload.len() + MEDIA_RECORD_BYTES).sum();
                prop_assert!(bytes + FLOW_KEY_BYTES <= payload.len());
            }
            let messages = SignallingRecords::new(&payload, records);
            let bytes: usize = messages.map(|m| m.message.len() + SIGNALLING_RECORD_BYTES).sum();
            prop_assert!(bytes <= payload.len());
            let _ = well_formed(Kind::Media, &payload, records, first);
            let _ = well_formed(Kind::Signalling, &payload, records, first);
        }

        #[test]
        fn signalling_comes_back_as_it_went_in(time: u64, tcp: bool, message: Vec<u8>) {
            let transport = if tcp { Transport::Tcp } else { Transport::Udp };
            let time = Timestamp::from_nanos(time);
            let mut payload = encode_signalling(time, &key(), transport, message.len() as u32).to_vec();
            payload.extend(&message);
            let expected = SignallingMessage { time, key: key(), transport, message: &message };
            prop_assert_eq!(SignallingRecords::new(&payload, 1).collect::<Vec<_>>(), [expected]);
            prop_assert!(well_formed(Kind::Signalling, &payload, 1, time));
        }
    }
}
