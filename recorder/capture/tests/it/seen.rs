//! Frames as they were seen, to be compared.

use std::io::Read;

use base::Timestamp;
use capture::file::Reader;
use capture::{CaptureError, Frame, LinkType, Poll, Source};

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

/// Polls to the end: every frame, and every error.
pub(crate) fn drain(source: &mut impl Source) -> (Vec<Seen>, Vec<CaptureError>) {
    let (mut frames, mut errors) = (Vec::new(), Vec::new());
    loop {
        let before = frames.len();
        match source.poll(&mut |frame| frames.push(frame.into())) {
            Ok(Poll::Frames(count)) => assert!(count > 0 && frames.len() == before + count),
            Ok(Poll::End) => break,
            Ok(Poll::Idle) => panic!("a file is never idle"),
            Err(error) => {
                assert_eq!(frames.len(), before, "an error comes after the frames before it");
                errors.push(error);
            }
        }
    }
    assert!(matches!(source.poll(&mut |_| ()), Ok(Poll::End)), "the end is the end");
    (frames, errors)
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
