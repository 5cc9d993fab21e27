//! Cuts one direction of a TCP connection into SIP messages (RFC 3261, 18.3).
//!
//! A framer is *in step* while it knows where the next message begins: at the beginning of a connection,
//! and from one `Content-Length` to the next. After a gap, garbage, or a message beyond the limit it is out
//! of step and searches for the next start line. Bytes are copied only to wait for the rest of a message.

use base::limits::SIP_MESSAGE_BYTES_MAX;

use crate::sip::{self, Match};
use crate::tcp::Sink;
use crate::tcp::search::{Begin, Found, find_message};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Framer {
    /// The beginning of a message whose rest has not come.
    waiting: Vec<u8>,
    /// How many bytes of `waiting` hold no end of the header section.
    searched: usize,
    /// How many bytes the message has, once its header section is there; 0 before.
    wanted: usize,
    step: Step,
    /// Bytes thrown away since the framer was last in step.
    thrown_away: usize,
    /// Whether a message ever began.
    found: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Step {
    #[default]
    In,
    /// Out of step from the start: the connection was joined in its middle.
    Joining,
    /// Out of step after having been in step.
    Lost,
}

impl Framer {
    /// For a stream whose beginning was not seen.
    pub(crate) fn joining() -> Self {
        Self { step: Step::Joining, ..Self::default() }
    }

    /// Whether a SIP message ever began in this stream.
    pub(crate) const fn found(&self) -> bool {
        self.found
    }

    /// How many bytes were searched in vain since the framer was last in step; `None` if it is in step.
    pub(crate) fn searched_in_vain(&self) -> Option<usize> {
        (self.step != Step::In).then_some(self.thrown_away)
    }

    /// Bytes allocated.
    pub(crate) const fn held_bytes(&self) -> usize {
        self.waiting.capacity()
    }

    /// The next bytes of the stream. Every message that they complete goes to `sink`.
    pub(crate) fn push(&mut self, bytes: &[u8], sink: &mut impl Sink) {
        if self.waiting.is_empty() {
            let used = self.consume(bytes, sink);
            self.waiting.extend_from_slice(bytes.get(used..).unwrap_or_default());
            return;
        }
        let mut waiting = std::mem::take(&mut self.waiting);
        waiting.extend_from_slice(bytes);
        let used = self.consume(&waiting, sink);
        waiting.drain(..used.min(waiting.len()));
        if !waiting.is_empty() {
            self.waiting = waiting;
        }
    }

    /// Some bytes of the stream will never come, or no more will. A message whose header section is whole
    /// goes to `sink` without the rest of its body: who called whom is worth more than a body's end.
    pub(crate) fn gap(&mut self, sink: &mut impl Sink) {
        if self.wanted > 0 {
            sink.message(&self.waiting);
        }
        self.lose_step();
        self.waiting = Vec::new();
    }

    fn lose_step(&mut self) {
        self.begin_message();
        if self.step == Step::In {
            self.step = Step::Lost;
            self.thrown_away = 0;
        }
    }

    fn begin_message(&mut self) {
        self.searched = 0;
        self.wanted = 0;
    }

    /// Takes whole messages off the front of `bytes`; says how many bytes are done with.
    fn consume(&mut self, bytes: &[u8], sink: &mut impl Sink) -> usize {
        let mut rest = bytes;
        loop {
            let used = match self.step {
                Step::In => self.take_message(rest, sink),
                Step::Joining | Step::Lost => self.search(rest, sink),
            };
            match used {
                Some(used) => rest = rest.get(used..).unwrap_or_default(),
                None => return bytes.len().saturating_sub(rest.len()),
            }
        }
    }

    /// One message, or what keeps the framer from taking one. `None` if more bytes are needed first.
    fn take_message(&mut self, bytes: &[u8], sink: &mut impl Sink) -> Option<usize> {
        if self.wanted == 0 && self.searched == 0 {
            let message = sip::without_leading_newlines(bytes);
            let newlines = bytes.len().saturating_sub(message.len());
            if newlines > 0 {
                return Some(newlines);
            }
            if self.begins_message(bytes)? == Match::No {
                self.lose_step();
                return Some(0);
            }
        }
        if self.wanted == 0 {
            return self.take_header(bytes);
        }
        let message = bytes.get(..self.wanted)?;
        sink.message(message);
        self.begin_message();
        Some(message.len())
    }

    fn begins_message(&mut self, bytes: &[u8]) -> Option<Match> {
        if bytes.is_empty() {
            return None;
        }
        match sip::start_line(bytes) {
            Match::Partial => None,
            decided => {
                self.found |= decided == Match::Yes;
                Some(decided)
            }
        }
    }

    /// Looks for the end of the header section, which says how long the message is.
    fn take_header(&mut self, bytes: &[u8]) -> Option<usize> {
        let Some(end) = sip::header_end(bytes, self.searched) else {
            // An end may lie across what is here and what comes.
            self.searched = bytes.len().saturating_sub(3).max(1);
            return self.refuse_if(bytes.len() > SIP_MESSAGE_BYTES_MAX, bytes.len());
        };
        let body = sip::content_length(bytes.get(..end).unwrap_or_default());
        self.wanted = end.saturating_add(body);
        self.refuse_if(self.wanted > SIP_MESSAGE_BYTES_MAX, end).or(Some(0))
    }

    fn refuse_if(&mut self, too_long: bool, bytes: usize) -> Option<usize> {
        too_long.then(|| {
            self.lose_step();
            bytes
        })
    }

    /// Out of step: goes to the next start line. `None` if there is none yet.
    fn search(&mut self, bytes: &[u8], sink: &mut impl Sink) -> Option<usize> {
        let at = if self.found { Begin::Anywhere } else { Begin::OfLine };
        match find_message(bytes, at) {
            Found::At(begin) => {
                if self.step == Step::Lost {
                    sink.resync();
                }
                self.step = Step::In;
                Some(begin)
            }
            // The beginning of a start line, which is bounded in length.
            Found::NotBefore(0) => None,
            Found::NotBefore(useless) => {
                self.thrown_away = self.thrown_away.saturating_add(useless);
                Some(useless)
            }
        }
    }
}
