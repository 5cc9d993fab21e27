//! FLAC files in memory (RFC 9639), by an encoder made for telephone audio.
//!
//! Sixteen bits, one or two channels that have nothing to do with each other, blocks of [`BLOCK_SAMPLES`].
//! What pays for such sound and is used: unused low bits (G.711 has two or three in sixteen), constant
//! blocks (a silent party costs a few bytes a block), fixed predictors of order 0 to 4, Rice codes with a
//! parameter for each stretch of 16 ms. What does not pay and is absent: linear prediction, stereo
//! decorrelation, an MD5 of the samples (RFC 9639, 8.2 lets it be zero; it would cost more than all of the
//! rest, for a check that the CRC of every frame and the SHA-256 of every file make already).
//!
//! [`encoder`] makes files of frames, [`frame`] frames of blocks; [`plan`] decides how a block is coded, from
//! sums that [`measure`] takes; [`residual`] writes what the predictor leaves into [`bits`], and [`crc`]
//! closes each frame. The two parts that see every sample, and the CRC, exist twice: written plainly, and
//! with vectors ([`vector`](crate::vector)). Both give the same bits, and the tests hold them to it.

pub(crate) mod bits;
pub(crate) mod crc;
pub(crate) mod encoder;
pub(crate) mod frame;
pub(crate) mod measure;
pub(crate) mod metadata;
pub(crate) mod plan;
pub(crate) mod residual;
#[cfg(test)]
mod tests;

/// Samples a channel in every frame but the last: 256 ms at 8 kHz.
pub(crate) const BLOCK_SAMPLES: usize = 2_048;
/// Bits of a sample, as decoded.
pub(crate) const SAMPLE_BITS: u32 = 16;
/// Fixed predictors are of order 0 to 4 (RFC 9639, 9.2.5).
pub(crate) const ORDERS: usize = 5;
/// Stretches of a whole block that may have a Rice parameter of their own: as many as two to this.
const PARTITION_ORDER_MAX: u32 = 4;
pub(crate) const PARTITIONS: usize = 1 << PARTITION_ORDER_MAX;
/// Samples in the shortest of them.
pub(crate) const PARTITION_SAMPLES: usize = BLOCK_SAMPLES / PARTITIONS;

/// What one file is like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings<'t> {
    /// 1 or 2.
    pub(crate) channels: usize,
    pub(crate) sample_rate_hz: u32,
    /// Name and value of each Vorbis comment.
    pub(crate) tags: &'t [(String, String)],
}
