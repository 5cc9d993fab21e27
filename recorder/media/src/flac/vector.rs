//! What sees every sample, with vectors: 16 samples at a time on x86-64 with AVX2 and BMI2.
//!
//! Every part does just what its namesake in [`measure`](super::measure), [`residual`](super::residual) and
//! [`crc`](super::crc) does. This is the only module of the crate with unsafe code: calls of functions that
//! need more of the processor than every x86-64 has. They are made by [`Vector`], which exists only where
//! the processor has it. The functions themselves are safe.
#![expect(unsafe_code, reason = "calls of functions with target features, argued one by one")]

#[cfg(target_arch = "x86_64")]
mod x86;

use super::bits::Bits;
use super::measure::Measure;
use super::plan::Fixed;

/// Says that the processor has what the functions need.
#[derive(Clone, Copy, Debug)]
pub(super) struct Vector(());

#[cfg(target_arch = "x86_64")]
impl Vector {
    /// `None` where the processor lacks something.
    pub(super) fn detect() -> Option<Self> {
        let has_all = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("lzcnt")
            && is_x86_feature_detected!("pclmulqdq");
        has_all.then_some(Self(()))
    }

    /// [`measure::bits_used`](super::measure::bits_used).
    pub(super) fn bits_used(self, block: &[i16]) -> u16 {
        // SAFETY: `self` exists, so `detect` found every feature that the function needs.
        unsafe { x86::bits_used(block) }
    }

    /// [`measure::measure`](super::measure::measure), of a whole block.
    pub(super) fn measure(self, block: &[i16]) -> Measure {
        // SAFETY: as above.
        unsafe { x86::measure(block) }
    }

    /// [`residual::write`](super::residual::write), of a whole block.
    pub(super) fn write(self, block: &[i16], fixed: &Fixed, bits: &mut Bits<'_>) {
        // SAFETY: as above.
        unsafe { x86::write(block, fixed, bits) }
    }

    /// [`crc::crc16`](super::crc::crc16) from zero on.
    pub(super) fn crc16(self, bytes: &[u8]) -> u16 {
        // SAFETY: as above.
        unsafe { x86::crc16(bytes) }
    }
}

#[cfg(not(target_arch = "x86_64"))]
impl Vector {
    pub(super) fn detect() -> Option<Self> {
        None
    }
}
