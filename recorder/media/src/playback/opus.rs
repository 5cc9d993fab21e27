//! Opus in Ogg (RFC 7845).
//!
//! Two parties are two streams that know nothing of each other (channel mapping family 1, none coupled): neither voice
//! is ever heard in the other's channel, however low the rate.

use ::opus::{Application, Bitrate, MSEncoder};
use ogg::{PacketWriteEndInfo, PacketWriter};

use super::PlaybackError;
use crate::flac::metadata::vorbis_comment;

/// Of each channel. Telephone sound is as good with it as it gets.
const BITS_PER_SECOND: i32 = 24_000;
/// Of 0 to 10. An hour of both voices takes 9 s with 1 and 25 s with 10, and comes out as like to what was said.
const COMPLEXITY: i32 = 1;
/// Packets of 20 ms.
const PACKETS_PER_SECOND: u32 = 50;
/// Positions count samples at 48 kHz, whatever the rate (RFC 7845, 4).
const POSITION_RATE_HZ: u32 = 48_000;
/// Far more than a packet has at this rate.
const PACKET_BYTES_MAX: usize = 4_000;
/// Names the one stream in the file.
const SERIAL: u32 = 1;

/// Encodes samples as they come.
pub(super) struct Opus {
    encoder: MSEncoder,
    pages: PacketWriter<'static, Vec<u8>>,
    channels: usize,
    /// Samples a channel of a packet.
    packet_samples: usize,
    /// Positions in one sample.
    scale: u64,
    /// Positions that the decoder is to skip at the begin: the encoder looks so far ahead.
    skip: u64,
    /// Samples that there will be on each channel, packets that they take, and packets made.
    samples: u64,
    packets: u64,
    made: u64,
    /// Interleaved samples that wait for their packet.
    waiting: Vec<i16>,
}

impl std::fmt::Debug for Opus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opus")
            .field("packets", &self.packets)
            .field("made", &self.made)
            .finish_non_exhaustive()
    }
}

impl Opus {
    /// An encoder for so many samples on each of 1 or 2 channels; its head waits to be taken.
    pub(super) fn new(
        sample_rate_hz: u32,
        channels: usize,
        samples: u64,
        tags: &[(String, String)],
    ) -> Result<Self, PlaybackError> {
        let mapping = [0, 1];
        let mapping = mapping.get(..channels).unwrap_or_default();
        let streams = channels as u8;
        let mut encoder = MSEncoder::new(sample_rate_hz, streams, 0, mapping, Application::Voip)
            .map_err(refused)?;
        encoder.set_bitrate(Bitrate::Bits(BITS_PER_SECOND * channels as i32)).map_err(refused)?;
        encoder.set_complexity(COMPLEXITY).map_err(refused)?;
        let scale = u64::from(POSITION_RATE_HZ / sample_rate_hz);
        let look_ahead = u64::try_from(encoder.get_lookahead().map_err(refused)?).unwrap_or(0);
        let packet_samples = (sample_rate_hz / PACKETS_PER_SECOND) as usize;
        let packets = (samples + look_ahead).div_ceil(packet_samples as u64).max(1);
        let skip = look_ahead * scale;
        let mut pages = PacketWriter::new(Vec::new());
        let mut write =
            |packet: Vec<u8>| pages.write_packet(packet, SERIAL, PacketWriteEndInfo::EndPage, 0);
        write(head(sample_rate_hz, mapping, skip)).map_err(refused)?;
        write([&b"OpusTags"[..], &vorbis_comment(tags)].concat()).map_err(refused)?;
        let waiting = Vec::new();
        Ok(Self {
            encoder,
            pages,
            channels,
            packet_samples,
            scale,
            skip,
            samples,
            packets,
            made: 0,
            waiting,
        })
    }

    /// Takes interleaved samples.
    pub(super) fn take(&mut self, samples: &[i16]) -> Result<(), PlaybackError> {
        self.waiting.extend_from_slice(samples);
        let waiting = std::mem::take(&mut self.waiting);
        let packets = waiting.chunks_exact(self.packet_samples * self.channels);
        self.waiting.extend_from_slice(packets.remainder());
        packets.into_iter().try_for_each(|packet| self.packet(packet))
    }

    /// All samples were taken.
    pub(super) fn finish(&mut self) -> Result<(), PlaybackError> {
        let mut last = std::mem::take(&mut self.waiting);
        while self.made < self.packets {
            last.resize(self.packet_samples * self.channels, 0);
            self.packet(&last)?;
            last.fill(0);
        }
        Ok(())
    }

    /// What of the file is ready.
    pub(super) fn ready(&mut self) -> Vec<u8> {
        std::mem::take(self.pages.inner_mut())
    }

    fn packet(&mut self, samples: &[i16]) -> Result<(), PlaybackError> {
        let packet = self.encoder.encode_vec(samples, PACKET_BYTES_MAX).map_err(refused)?;
        self.made += 1;
        // The last position says where the sound ends, and so how much of the last packet is to be cut off.
        let played = (self.made * self.packet_samples as u64 * self.scale)
            .min(self.skip + self.samples * self.scale);
        let end = match self.made {
            made if made == self.packets => PacketWriteEndInfo::EndStream,
            made if made % u64::from(PACKETS_PER_SECOND) == 0 => PacketWriteEndInfo::EndPage,
            _ => PacketWriteEndInfo::NormalPacket,
        };
        self.pages.write_packet(packet, SERIAL, end, played).map_err(refused)
    }
}

/// The identification header (RFC 7845, 5.1).
fn head(sample_rate_hz: u32, mapping: &[u8], skip: u64) -> Vec<u8> {
    let channels = mapping.len() as u8;
    let mut head = b"OpusHead\x01".to_vec();
    head.push(channels);
    head.extend((skip as u16).to_le_bytes());
    head.extend(sample_rate_hz.to_le_bytes());
    // No gain.
    head.extend([0, 0]);
    match channels {
        1 => head.push(0),
        // Family 1: as many streams as channels, none of them coupled.
        _ => {
            head.extend([1, channels, 0]);
            head.extend(mapping);
        }
    }
    head
}

fn refused(error: impl ToString) -> PlaybackError {
    PlaybackError::Opus(error.to_string())
}
