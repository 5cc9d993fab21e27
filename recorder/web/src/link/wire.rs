//! How words travel over the recorder's Unix socket: frames, each a length, a kind and a body.
//!
//! ```text
//! offset  bytes
//!      0      4  length of what follows it, little endian: 1 to the limit of the direction
//!      4      1  kind
//!      5      -  body
//!
//! kind 1, words: the body is JSON, an Ask (to the recorder) or a Tell (from it)
//! kind 2, sound: from the recorder only
//!      0      4  the listener's number, little endian
//!      4      8  when its first sample was sent: milliseconds since 1970-01-01, UTC, little endian
//!     12      -  samples, 16 bits little endian, interleaved: caller, callee; 4 bytes a pair
//! ```
//!
//! Limits: [`LINK_ASK_BYTES_MAX`], [`LINK_TELL_BYTES_MAX`]. An end that breaks these rules is disconnected. Both
//! ends are one program of one version, so that there is no version here.

use base::limits::{LINK_ASK_BYTES_MAX, LINK_SOUND_SAMPLES_MAX, LINK_TELL_BYTES_MAX};
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use super::words::{Ask, Tell};

/// Bytes of the length, and of length and kind.
const LENGTH_BYTES: usize = 4;
const HEAD_BYTES: usize = LENGTH_BYTES + 1;
/// Bytes before a block's samples.
const SOUND_HEAD_BYTES: usize = 12;

const WORDS: u8 = 1;
const SOUND: u8 = 2;

/// Why what came is no frame. The connection is of no use then.
#[derive(Debug, Error)]
pub enum WireError {
    /// Longer than any frame of this direction, or empty.
    #[error(
        "a frame of {length} bytes on the link; there are none of more than {max}, and none that are empty"
    )]
    Length {
        /// As it says.
        length: usize,
        /// As it may be.
        max: usize,
    },
    /// No such kind in this direction.
    #[error("a frame of kind {0} on the link, which is not known here")]
    Kind(u8),
    /// Not the words of this direction.
    #[error("words on the link that are not understood: {0}")]
    Words(#[from] serde_json::Error),
    /// Samples that are no pairs, or too many.
    #[error("a block of sound of {0} bytes on the link")]
    Sound(usize),
}

/// A block of sound.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sound {
    /// Whose.
    pub listener: u32,
    /// When its first sample was sent, milliseconds since the epoch, UTC.
    pub time: u64,
    /// Caller and callee.
    pub samples: Vec<[i16; 2]>,
}

/// What one end says.
pub trait Words: Serialize + DeserializeOwned {
    /// Bytes of a frame's kind and body.
    const BYTES_MAX: usize;
    /// Whether sound comes this way too.
    const SOUNDS: bool;
}

impl Words for Ask {
    const BYTES_MAX: usize = LINK_ASK_BYTES_MAX;
    const SOUNDS: bool = false;
}

impl Words for Tell {
    const BYTES_MAX: usize = LINK_TELL_BYTES_MAX;
    const SOUNDS: bool = true;
}

/// A frame that came.
#[derive(Clone, Debug)]
pub enum Frame<W> {
    /// Words.
    Words(W),
    /// Sound.
    Sound(Sound),
}

/// Words as a frame; nothing if it would be too long.
#[must_use]
pub fn encode<W: Words>(words: &W) -> Option<Vec<u8>> {
    let mut frame = vec![0; LENGTH_BYTES];
    frame.push(WORDS);
    serde_json::to_writer(&mut frame, words).ok()?;
    let length = frame.len() - LENGTH_BYTES;
    let told = u32::try_from(length).ok().filter(|_| length <= W::BYTES_MAX)?;
    frame.get_mut(..LENGTH_BYTES)?.copy_from_slice(&told.to_le_bytes());
    Some(frame)
}

/// A block of at most [`LINK_SOUND_SAMPLES_MAX`] pairs as a frame; further ones are left out.
#[must_use]
pub fn encode_sound(listener: u32, time: u64, samples: &[[i16; 2]]) -> Vec<u8> {
    let samples = samples.get(..LINK_SOUND_SAMPLES_MAX).unwrap_or(samples);
    let length = 1 + SOUND_HEAD_BYTES + samples.len() * 4;
    let mut frame = Vec::with_capacity(LENGTH_BYTES + length);
    frame.extend((length as u32).to_le_bytes());
    frame.push(SOUND);
    frame.extend(listener.to_le_bytes());
    frame.extend(time.to_le_bytes());
    samples.iter().flatten().for_each(|sample| frame.extend(sample.to_le_bytes()));
    frame
}

/// Frames out of bytes as they come. Holds at most one frame and what was pushed last.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
    /// Bytes of the buffer that are done with.
    taken: usize,
}

impl Decoder {
    /// Bytes that came.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next frame that is there whole.
    ///
    /// # Errors
    /// What came is none; nothing can be read after it.
    pub fn frame<W: Words>(&mut self) -> Result<Option<Frame<W>>, WireError> {
        let rest = self.buffer.get(self.taken..).unwrap_or_default();
        let Some((length, rest)) = rest.split_first_chunk::<LENGTH_BYTES>() else {
            return Ok(None);
        };
        let length = u32::from_le_bytes(*length) as usize;
        if !(1..=W::BYTES_MAX).contains(&length) {
            return Err(WireError::Length { length, max: W::BYTES_MAX });
        }
        let Some((kind, body)) = rest.get(..length).and_then(<[u8]>::split_first) else {
            return Ok(None);
        };
        let frame = match *kind {
            WORDS => Frame::Words(serde_json::from_slice(body)?),
            SOUND if W::SOUNDS => Frame::Sound(sound(body)?),
            kind => return Err(WireError::Kind(kind)),
        };
        self.taken += LENGTH_BYTES + length;
        Ok(Some(frame))
    }

    /// Bytes that are held: never more than a frame and what was pushed last.
    #[must_use]
    pub fn held(&self) -> usize {
        self.buffer.len() - self.taken
    }
}

fn sound(body: &[u8]) -> Result<Sound, WireError> {
    let wrong = || WireError::Sound(body.len());
    let (listener, rest) = body.split_first_chunk::<4>().ok_or_else(wrong)?;
    let (time, rest) = rest.split_first_chunk::<8>().ok_or_else(wrong)?;
    let (pairs, odd) = rest.as_chunks::<4>();
    if !odd.is_empty() || pairs.len() > LINK_SOUND_SAMPLES_MAX {
        return Err(wrong());
    }
    let pair =
        |[a, b, c, d]: &[u8; 4]| [i16::from_le_bytes([*a, *b]), i16::from_le_bytes([*c, *d])];
    Ok(Sound {
        listener: u32::from_le_bytes(*listener),
        time: u64::from_le_bytes(*time),
        samples: pairs.iter().map(pair).collect(),
    })
}

const _: () = assert!(
    HEAD_BYTES + SOUND_HEAD_BYTES + LINK_SOUND_SAMPLES_MAX * 4 <= LINK_TELL_BYTES_MAX,
    "every block fits a frame"
);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn asks() -> Vec<Ask> {
        vec![
            Ask::Calls { question: 7, party: Some("+49 30 \"x\"".into()), limit: 200 },
            Ask::Listen { listener: 1, call: "018f0000-0000-7000-8000-000000000000".into() },
            Ask::Leave { listener: u32::MAX },
        ]
    }

    #[test]
    fn words_and_sound_come_back_however_they_are_cut() {
        let samples = vec![[1, -1], [i16::MAX, i16::MIN]];
        let mut bytes = encode(&Tell::NewsLost).unwrap();
        bytes.extend(encode_sound(9, 1_700_000_000_123, &samples));
        for cut in 1..bytes.len() {
            let (mut decoder, mut frames) = (Decoder::default(), Vec::new());
            for piece in bytes.chunks(cut) {
                decoder.push(piece);
                while let Some(frame) = decoder.frame::<Tell>().unwrap() {
                    frames.push(frame);
                }
            }
            let [Frame::Words(Tell::NewsLost), Frame::Sound(sound)] = frames.as_slice() else {
                panic!("cut at {cut}: {frames:?}");
            };
            let expected = Sound { listener: 9, time: 1_700_000_000_123, samples: samples.clone() };
            assert_eq!((sound, decoder.held()), (&expected, 0));
        }
    }

    #[test]
    fn asks_come_back() {
        let mut decoder = Decoder::default();
        for ask in asks() {
            decoder.push(&encode(&ask).unwrap());
            let Some(Frame::Words(read)) = decoder.frame::<Ask>().unwrap() else {
                panic!("{ask:?}")
            };
            assert_eq!(read, ask);
        }
    }

    #[test]
    fn what_breaks_the_rules_is_refused() {
        let next = |bytes: &[u8]| {
            let mut decoder = Decoder::default();
            decoder.push(bytes);
            decoder.frame::<Ask>().unwrap_err().to_string()
        };
        assert!(next(&[0, 0, 0, 0]).contains("a frame of 0 bytes"));
        assert!(next(&[255, 255, 255, 255, 1]).contains("a frame of 4294967295 bytes"));
        assert!(next(&[1, 0, 0, 0, 9]).contains("kind 9"));
        assert!(next(&encode_sound(1, 2, &[])).contains("kind 2"), "a recorder hears nothing");
        assert!(next(&[3, 0, 0, 0, 1, b'{', b'}']).contains("not understood"));
        let long = Ask::Listen { listener: 1, call: "x".repeat(LINK_ASK_BYTES_MAX) };
        assert!(encode(&long).is_none());
        let mut decoder = Decoder::default();
        decoder.push(&[3, 0, 0, 0, 2, 1, 2]);
        assert!(matches!(decoder.frame::<Tell>(), Err(WireError::Sound(2))));
    }

    proptest! {
        #[test]
        fn any_bytes_end_or_wait_and_are_not_hoarded(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..600), 0..20)
        ) {
            let mut decoder = Decoder::default();
            for piece in &pieces {
                decoder.push(piece);
                loop {
                    match decoder.frame::<Ask>() {
                        Ok(Some(_)) => {}
                        Ok(None) => break,
                        Err(_) => return Ok(()),
                    }
                }
                prop_assert!(decoder.held() <= LENGTH_BYTES + LINK_ASK_BYTES_MAX);
            }
        }

        #[test]
        fn any_sound_comes_back(listener: u32, time: u64, samples in prop::collection::vec(any::<[i16; 2]>(), 0..400)) {
            let mut decoder = Decoder::default();
            decoder.push(&encode_sound(listener, time, &samples));
            let Ok(Some(Frame::Sound(sound))) = decoder.frame::<Tell>() else {
                return Err(TestCaseError::fail("no sound"));
            };
            prop_assert_eq!(sound, Sound { listener, time, samples });
        }
    }
}
