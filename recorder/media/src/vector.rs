//! What sees every sample, with vectors: 16 samples at a time on x86-64 with AVX2 and BMI2, and 32 in some of it
//! where there is AVX-512.
//!
//! Every part does just what its namesake in [`g711`](crate::g711) or [`flac`](crate::flac) does. This is the
//! only module of the crate with unsafe code: calls of functions that need more of the processor than every
//! x86-64 has. They are made by [`Vector`], which exists only where the processor has it. The functions
//! themselves are safe.
#![expect(unsafe_code, reason = "calls of functions with target features, argued one by one")]

#[cfg(target_arch = "x86_64")]
mod flac;
#[cfg(target_arch = "x86_64")]
mod g711;
#[cfg(target_arch = "x86_64")]
mod wide;

use crate::flac::bits::Bits;
use crate::flac::measure::Measure;
use crate::flac::plan::Fixed;
use crate::g711::Law;

/// Says that the processor has what the functions need.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Vector {
    /// It also has AVX-512, with lanes of 16 bits.
    wide: bool,
}

#[cfg(target_arch = "x86_64")]
impl Vector {
    /// `None` where the processor lacks something.
    pub(crate) fn detect() -> Option<Self> {
        let has_all = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("lzcnt")
            && is_x86_feature_detected!("pclmulqdq");
        let wide = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw");
        has_all.then_some(Self { wide })
    }

    /// The same without AVX-512.
    #[cfg(test)]
    pub(crate) fn detect_narrow() -> Option<Self> {
        Self::detect().map(|_| Self { wide: false })
    }

    /// [`Law::decode_into`].
    pub(crate) fn decode_into(self, law: Law, codes: &[u8], samples: &mut [i16]) {
        // SAFETY: `self` exists, so `detect` found every feature that the function needs.
        unsafe { g711::decode_into(law, codes, samples) }
    }

    /// [`measure::bits_used`](crate::flac::measure::bits_used).
    pub(crate) fn bits_used(self, block: &[i16]) -> u16 {
        // SAFETY: as above.
        unsafe { flac::bits_used(block) }
    }

    /// [`measure::measure`](crate::flac::measure::measure), of a whole block.
    pub(crate) fn measure(self, block: &[i16]) -> Measure {
        if self.wide {
            // SAFETY: as above; `wide` says that `detect` found these features too.
            return unsafe { wide::measure(block) };
        }
        // SAFETY: as above.
        unsafe { flac::measure(block) }
    }

    /// [`residual::write`](crate::flac::residual::write), of a whole block.
    pub(crate) fn write(self, block: &[i16], fixed: &Fixed, bits: &mut Bits<'_>) {
        if self.wide {
            // SAFETY: as above; `wide` says that `detect` found these features too.
            return unsafe { wide::write(block, fixed, bits) };
        }
        // SAFETY: as above.
        unsafe { flac::write(block, fixed, bits) }
    }

    /// [`crc::crc16`](crate::flac::crc::crc16) from zero on.
    pub(crate) fn crc16(self, bytes: &[u8]) -> u16 {
        // SAFETY: as above.
        unsafe { flac::crc16(bytes) }
    }
}

#[cfg(not(target_arch = "x86_64"))]
impl Vector {
    pub(crate) fn detect() -> Option<Self> {
        None
    }

    #[cfg(test)]
    pub(crate) fn detect_narrow() -> Option<Self> {
        None
    }
}
