//! Frames as they were seen, to be compared.

use std::collections::VecDeque;
use std::io::Read;

use base::Timestamp;
use capture::file::Reader;
use capture::{CaptureError, Frame, LinkType, Poll, Source, Taker};

/// A frame that outlives its source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) time: Timestamp,
    pub(crate) link: LinkType,
    pub(crate) data: Vec<u8>,
    pub(crate) wire_bytes: u32,
    pub(crate) number: u64,
}

impl From<Frame<'_>> for Seen {
    fn from(frame: Frame<'_>) -> Self {
        let Frame { time, link, data, wire_bytes, number } = frame;
        Self { time, link, data: data.to_vec(), wire_bytes, number }
    }
}

/// Takes every frame, and knows that it was told of before, as it is.
#[derive(Default)]
struct Prepared {
    frames: Vec<Seen>,
    coming: VecDeque<Seen>,
}

impl Taker for Prepared {
    fn ahead(&mut self, frame: &Frame<'_>) {
        self.coming.push_back((*frame).into());
    }

    fn take(&mut self, frame: &Frame<'_>) {
        let frame = (*frame).into();
        assert_eq!(self.coming.pop_front().as_ref(), Some(&frame));
        self.frames.push(frame);
    }
}

/// Polls to the end: every frame, and every error.
pub(crate) fn drain(source: &mut impl Source) -> (Vec<Seen>, Vec<CaptureError>) {
    let (mut taker, mut errors) = (Prepared::default(), Vec::new());
    loop {
        let before = taker.frames.len();
        match source.poll_ahead(&mut taker) {
            Ok(Poll::Frames(count)) => {
                assert!(count > 0 && taker.frames.len() == before + count);
            }
            Ok(Poll::End) => break,
            Ok(Poll::Idle) => panic!("a file is never idle"),
            Err(error) => {
                assert_eq!(taker.frames.len(), before, "an error comes after the frames before it");
                errors.push(error);
            }
        }
    }
    assert!(matches!(source.poll(&mut |_| ()), Ok(Poll::End)), "the end is the end");
    assert_eq!(taker.coming, [], "whoever is told of has a turn");
    (taker.frames, errors)
}

/// Everything in `input`, and how it ended.
pub(crate) fn read(input: impl Read) -> (Vec<Seen>, Option<CaptureError>) {
    match Reader::new("sample", input) {
        Ok(mut reader) => {
            let (frames, mut errors) = drain(&mut reader);
            assert!(errors.len() <= 1, "an error comes once: {errors:?}");
            (frames, errors.pop())
        }
        Err(error) => (Vec::new(), Some(error)),
    }
}

/// Everything in `bytes`, which is whole.
pub(crate) fn read_whole(bytes: &[u8]) -> Vec<Seen> {
    let (frames, error) = read(bytes);
    assert!(error.is_none(), "{}", error.unwrap());
    frames
}
