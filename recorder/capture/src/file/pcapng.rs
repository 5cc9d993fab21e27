//! The pcapng format: blocks of a type, a length, a body and the length again.
//!
//! Source: draft-ietf-opsawg-pcapng. A file is one or more sections; each begins with a Section Header
//! Block that fixes its byte order, then declares its interfaces (link type, unit of time), to which its
//! packet blocks refer by their place. Blocks that hold no packet and declare no interface are passed over.

use base::limits::{CAPTURE_INTERFACES_MAX, CAPTURE_RECORD_BYTES_MAX};

use super::records::{Fault, Next, Order, Records, frame};
use crate::{Frame, LinkType};

pub(super) const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
/// Obsolete, and still written by some: as an Enhanced Packet Block with a 16-bit interface number.
const PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;

/// Type, length, and length again.
const BLOCK_BYTES_MIN: u32 = 12;
const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;
const OPTION_TIME_RESOLUTION: u16 = 9;
const OPTION_TIME_OFFSET: u16 = 14;
const NANOS: u64 = 1_000_000_000;

pub(super) struct Pcapng {
    order: Order,
    interfaces: Vec<Interface>,
}

struct Interface {
    link: LinkType,
    /// 0: no limit.
    snap_bytes: u32,
    unit: Unit,
    offset_seconds: i64,
}

/// What a timestamp counts.
#[derive(Clone, Copy)]
enum Unit {
    /// So many nanoseconds.
    Nanos(u64),
    /// One of so many parts of a nanosecond.
    PartOfNano(u64),
    /// 2 to the power of minus so many seconds.
    Binary(u32),
}

impl Unit {
    /// From the value of `if_tsresol`: a negative power of 10, or of 2 if the highest bit is set.
    fn from_resolution(value: u8) -> Self {
        let power = u32::from(value & 0x7f);
        if value & 0x80 != 0 {
            return Self::Binary(power);
        }
        match power.checked_sub(9) {
            None | Some(0) => Self::Nanos(10_u64.pow(9 - power)),
            // Past 10^19 parts of a nanosecond, 64 bits do not count to one.
            Some(finer) => Self::PartOfNano(10_u64.checked_pow(finer).unwrap_or(u64::MAX)),
        }
    }
}

impl Interface {
    /// Nanoseconds since the epoch, or the end of their range that is nearer.
    #[inline]
    fn nanos(&self, high: u32, low: u32) -> u64 {
        let units = (u64::from(high) << 32) | u64::from(low);
        match self.unit {
            Unit::Nanos(factor) if self.offset_seconds == 0 => units.saturating_mul(factor),
            _ => self.shifted_nanos(units),
        }
    }

    #[cold]
    fn shifted_nanos(&self, units: u64) -> u64 {
        let units = u128::from(units);
        // Each is below 2^94; the binary power is below 128.
        let nanos = match self.unit {
            Unit::Nanos(factor) => units * u128::from(factor),
            Unit::PartOfNano(parts) => units / u128::from(parts),
            Unit::Binary(power) => (units * u128::from(NANOS)) >> power,
        };
        let sum = nanos.cast_signed() + i128::from(self.offset_seconds) * i128::from(NANOS);
        u64::try_from(sum).unwrap_or(if sum < 0 { 0 } else { u64::MAX })
    }

    /// From the body of an Interface Description Block.
    fn parse(order: Order, body: &[u8]) -> Result<Self, Fault> {
        let Some((head, mut options)) = body.split_first_chunk::<8>() else {
            return Err(Fault::Damaged("an interface description is too short"));
        };
        let [link_0, link_1, ..] = *head;
        let [_, snap_bytes] = order.words(head);
        let link = LinkType::from_number(order.u16([link_0, link_1]).into());
        let mut interface = Self { link, snap_bytes, unit: Unit::Nanos(1_000), offset_seconds: 0 };
        while let Some(setting) = Setting::parse(order, options)? {
            interface.set(order, &setting)?;
            options = setting.after;
        }
        Ok(interface)
    }

    fn set(&mut self, order: Order, setting: &Setting<'_>) -> Result<(), Fault> {
        match (setting.code, setting.value) {
            (OPTION_TIME_RESOLUTION, [value]) => self.unit = Unit::from_resolution(*value),
            (OPTION_TIME_OFFSET, value) if value.len() == 8 => {
                let [first, second] = order.words(value);
                let (high, low) = match order {
                    Order::Big => (first, second),
                    Order::Little => (second, first),
                };
                self.offset_seconds = ((u64::from(high) << 32) | u64::from(low)).cast_signed();
            }
            (OPTION_TIME_RESOLUTION | OPTION_TIME_OFFSET, _) => {
                return Err(Fault::Damaged("an interface's time option has a wrong length"));
            }
            _ => {}
        }
        Ok(())
    }
}

/// An option of a block.
struct Setting<'a> {
    code: u16,
    value: &'a [u8],
    after: &'a [u8],
}

impl<'a> Setting<'a> {
    /// The first in `bytes`; `None` at the end of them.
    fn parse(order: Order, bytes: &'a [u8]) -> Result<Option<Self>, Fault> {
        let Some((&[code_0, code_1, length_0, length_1], rest)) = bytes.split_first_chunk::<4>()
        else {
            return Ok(None);
        };
        let code = order.u16([code_0, code_1]);
        let length = usize::from(order.u16([length_0, length_1]));
        if code == 0 {
            return Ok(None);
        }
        let Some((value, after)) = rest.split_at_checked(length) else {
            return Err(Fault::Damaged("an option is longer than its block"));
        };
        let padding = length.next_multiple_of(4) - length;
        Ok(Some(Self { code, value, after: after.get(padding..).unwrap_or_default() }))
    }
}

impl Pcapng {
    /// To be given the file from its first byte, so that the first block sets the order.
    pub(super) const fn new() -> Self {
        Self { order: Order::Little, interfaces: Vec::new() }
    }

    /// Takes a Section Header Block, whose length only its own body tells how to read.
    #[cold]
    fn section<'a>(&mut self, bytes: &'a [u8], head: &[u8; 12]) -> Next<'a> {
        let orders = [Order::Little, Order::Big];
        let order = orders.into_iter().find(|order| order.words::<3>(head)[2] == BYTE_ORDER_MAGIC);
        let Some(order) = order else {
            return Next::Fault(Fault::Damaged("a section's byte order is unknown"));
        };
        let [_, length, _] = order.words(head);
        let (body, after) = match whole(order, bytes, length) {
            Ok(block) => block,
            Err(next) => return next,
        };
        let Some(&[_, _, _, _, major_0, major_1]) = body.first_chunk::<6>() else {
            return Next::Fault(Fault::Damaged("a section header is too short"));
        };
        if order.u16([major_0, major_1]) != 1 {
            return Next::Fault(Fault::Damaged("the version of the pcapng format is not 1"));
        }
        *self = Self { order, interfaces: Vec::new() };
        Next::Other(after)
    }

    #[cold]
    fn interface(&mut self, body: &[u8]) -> Result<(), Fault> {
        if self.interfaces.len() >= CAPTURE_INTERFACES_MAX {
            return Err(Fault::Damaged("a section declares more than 65,536 interfaces"));
        }
        self.interfaces.push(Interface::parse(self.order, body)?);
        Ok(())
    }

    /// The frame of an Enhanced Packet Block, or of an obsolete Packet Block.
    #[inline]
    fn packet<'a>(&self, kind: u32, body: &'a [u8]) -> Result<Frame<'a>, Fault> {
        let Some((head, rest)) = body.split_first_chunk::<20>() else {
            return Err(Fault::Damaged("a packet block is too short"));
        };
        let [mut number, high, low, captured_bytes, wire_bytes] = self.order.words(head);
        if kind == PACKET {
            let [number_0, number_1, ..] = *head;
            number = self.order.u16([number_0, number_1]).into();
        }
        let Some(interface) = self.interfaces.get(number as usize) else {
            return Err(Fault::Damaged("a packet's interface is not declared"));
        };
        if let Some(fault) = Fault::of_frame_bytes(captured_bytes) {
            return Err(fault);
        }
        let Some(data) = rest.get(..captured_bytes as usize) else {
            return Err(Fault::Damaged("a packet is longer than its block"));
        };
        Ok(frame(interface.nanos(high, low), interface.link, data, wire_bytes))
    }

    /// The frame of a Simple Packet Block: of the first interface, without a time, cut by the snap length.
    fn simple_packet<'a>(&self, body: &'a [u8]) -> Result<Frame<'a>, Fault> {
        let Some((head, rest)) = body.split_first_chunk::<4>() else {
            return Err(Fault::Damaged("a packet block is too short"));
        };
        let Some(interface) = self.interfaces.first() else {
            return Err(Fault::Damaged("a packet's interface is not declared"));
        };
        let wire_bytes = self.order.u32(*head);
        let snap_bytes = if interface.snap_bytes == 0 { u32::MAX } else { interface.snap_bytes };
        let captured_bytes = wire_bytes.min(snap_bytes).min(rest.len() as u32);
        if let Some(fault) = Fault::of_frame_bytes(captured_bytes) {
            return Err(fault);
        }
        let data = rest.get(..captured_bytes as usize).unwrap_or_default();
        Ok(frame(0, interface.link, data, wire_bytes))
    }
}

/// The body of the block of `length` at the start of `bytes`, and the bytes after it.
#[inline]
fn whole(order: Order, bytes: &[u8], length: u32) -> Result<(&[u8], &[u8]), Next<'_>> {
    if length < BLOCK_BYTES_MIN || !length.is_multiple_of(4) {
        return Err(Next::Fault(Fault::Damaged("a block's length is impossible")));
    }
    if length as usize > CAPTURE_RECORD_BYTES_MAX {
        return Err(Next::Fault(Fault::TooLong(length.into())));
    }
    let Some((block, after)) = bytes.split_at_checked(length as usize) else {
        return Err(Next::Need(length as usize));
    };
    match block.split_last_chunk::<4>() {
        Some((rest, again)) if order.u32(*again) == length => {
            Ok((rest.get(8..).unwrap_or_default(), after))
        }
        _ => Err(Next::Fault(Fault::Damaged("a block's two lengths differ"))),
    }
}

impl Records for Pcapng {
    #[inline]
    fn next<'a>(&mut self, bytes: &'a [u8]) -> Next<'a> {
        let Some(head) = bytes.first_chunk::<12>() else {
            return Next::Need(BLOCK_BYTES_MIN as usize);
        };
        let [kind, length, _] = self.order.words(head);
        let held = matches!(kind, INTERFACE_DESCRIPTION | PACKET | SIMPLE_PACKET | ENHANCED_PACKET);
        if kind == SECTION_HEADER {
            return self.section(bytes, head);
        }
        if !held && length as usize > CAPTURE_RECORD_BYTES_MAX && length.is_multiple_of(4) {
            return Next::Skip(length.into());
        }
        let (body, after) = match whole(self.order, bytes, length) {
            Ok(block) => block,
            Err(next) => return next,
        };
        let frame = match kind {
            ENHANCED_PACKET | PACKET => self.packet(kind, body),
            SIMPLE_PACKET => self.simple_packet(body),
            INTERFACE_DESCRIPTION => {
                return self.interface(body).map_or_else(Next::Fault, |()| Next::Other(after));
            }
            _ => return Next::Other(after),
        };
        frame.map_or_else(Next::Fault, |frame| Next::Frame(frame, after))
    }
}
