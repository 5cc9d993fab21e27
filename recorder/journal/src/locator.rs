//! Names of things in the journal: a chunk's place, a flow of one writer.

use std::fmt;

/// Chunks begin at multiples of this many bytes.
pub(crate) const ALIGNMENT: usize = 16;
/// The core is the highest byte, the segment the next 32 bits, the place in units of [`ALIGNMENT`] the rest.
const CORE_SHIFT: u32 = 56;
const SEGMENT_SHIFT: u32 = 24;

/// Where a chunk is: capture core, segment and byte offset in the segment's file.
///
/// Eight bytes: bits 56..64 the core, 24..56 the segment, 0..24 the offset in units of 16 bytes. Never all
/// zero, because no chunk lies at offset 0. Locators of one core compare in the order of writing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Locator(u64);

impl Locator {
    pub(crate) fn new(core: u8, segment: u32, offset: u32) -> Self {
        debug_assert!(offset > 0 && (offset as usize).is_multiple_of(ALIGNMENT), "offset {offset}");
        let place = u64::from(offset) / ALIGNMENT as u64;
        Self(u64::from(core) << CORE_SHIFT | u64::from(segment) << SEGMENT_SHIFT | place)
    }

    /// From the stored form; zero means "none".
    #[must_use]
    pub const fn from_bits(bits: u64) -> Option<Self> {
        if bits == 0 { None } else { Some(Self(bits)) }
    }

    /// The stored form; never zero.
    #[must_use]
    pub const fn to_bits(self) -> u64 {
        self.0
    }

    /// The capture core whose writer placed the chunk.
    #[must_use]
    pub const fn core(self) -> u8 {
        (self.0 >> CORE_SHIFT) as u8
    }

    /// The segment's number on that core.
    #[must_use]
    pub const fn segment(self) -> u32 {
        (self.0 >> SEGMENT_SHIFT) as u32
    }

    /// Bytes from the begin of the segment's file.
    #[must_use]
    pub const fn offset(self) -> u64 {
        (self.0 & ((1 << SEGMENT_SHIFT) - 1)) * ALIGNMENT as u64
    }
}

impl fmt::Display for Locator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "core {} segment {} offset {}", self.core(), self.segment(), self.offset())
    }
}

impl fmt::Debug for Locator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A media flow of one writer.
///
/// Slots are used again; the generation tells a slot's flows apart. Unique per capture core and run of the
/// program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowId {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}

impl FlowId {
    /// The chain of a core's signalling, which is no media flow.
    pub(crate) const SIGNALLING: Self = Self { slot: u32::MAX, generation: 0 };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locator_keeps_its_parts_and_orders_by_them() {
        let locator = Locator::new(255, u32::MAX, 64 * 1024 * 1024);
        assert_eq!((locator.core(), locator.segment()), (255, u32::MAX));
        assert_eq!(locator.offset(), 64 * 1024 * 1024);
        assert_eq!(Locator::from_bits(locator.to_bits()), Some(locator));
        assert_eq!(Locator::from_bits(0), None);
        assert!(Locator::new(1, 2, 4096) < Locator::new(1, 3, 128));
        assert_eq!(Locator::new(3, 17, 4224).to_string(), "core 3 segment 17 offset 4224");
    }
}
