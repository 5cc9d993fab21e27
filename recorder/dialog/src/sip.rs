//! The grammar of a SIP message (RFC 3261, 7 and 25), as a view over its bytes.
//!
//! One pass finds the header fields that an observer needs and borrows them; nothing is copied, and what
//! nobody asks for (display names, tags, multipart bodies) is only looked at when asked. The parser takes
//! what real devices send: compact names, folded lines, a lone LF, stray CRs, blanks before the colon,
//! blank lines before the start line, bytes that are not UTF-8, a body cut short by the capture. It
//! refuses what cannot be followed: no SIP start line, no Call-ID, or beyond the limits.

mod address;
mod body;
mod fields;

use base::limits;

pub use address::{Address, parameter, user};
pub use fields::{Field, Fields};

/// Why a message cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SipError {
    /// Neither `METHOD uri SIP/2.0` nor `SIP/2.0 code reason`.
    #[error("the first line is no SIP/2.0 request line or status line; the message is left out")]
    StartLine,
    /// Without a Call-ID nothing says to which call it belongs.
    #[error("no Call-ID header field; the message cannot be given to a call")]
    NoCallId,
    /// The Call-ID is the key of the table of calls.
    #[error("a Call-ID of {0} bytes; {max} are taken", max = limits::SIP_CALL_ID_BYTES_MAX)]
    CallIdTooLong(usize),
    /// Longer than a SIP message may be.
    #[error("a message of {0} bytes; {max} are taken", max = limits::SIP_MESSAGE_BYTES_MAX)]
    TooLong(usize),
    /// More header fields than a SIP message may have.
    #[error("more than {max} header fields; the message is left out", max = limits::SIP_HEADERS_MAX)]
    TooManyFields,
}

/// The first line of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartLine<'a> {
    /// RFC 3261, 7.1.
    Request {
        /// As written; methods are case-sensitive.
        method: &'a [u8],
        /// The Request-URI as written.
        uri: &'a [u8],
    },
    /// RFC 3261, 7.2.
    Response {
        /// 100 to 699.
        status: u16,
        /// The reason phrase, possibly empty.
        reason: &'a [u8],
    },
}

/// A `CSeq` value (RFC 3261, 8.1.1.5). Missing or damaged parts are zero and empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CSeq<'a> {
    /// The sequence number; one beyond 32 bits counts as missing.
    pub number: u32,
    /// The method of the request, also in responses.
    pub method: &'a [u8],
}

/// A SIP message. Header field values are as written, possibly folded, and empty if the field is missing.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// The first line.
    pub start: StartLine<'a>,
    /// Never empty.
    pub call_id: &'a [u8],
    /// The From value.
    pub from: &'a [u8],
    /// The To value.
    pub to: &'a [u8],
    /// The sequence number and method.
    pub cseq: CSeq<'a>,
    /// The topmost Via field's value; it may hold several Vias, separated by commas.
    pub via: &'a [u8],
    /// The first Contact field's value.
    pub contact: &'a [u8],
    /// The Content-Type value.
    pub content_type: &'a [u8],
    /// As long as Content-Length says, if that is there and not beyond the message; else what follows.
    pub body: &'a [u8],
    /// The header ends without a blank line, or the body before its Content-Length.
    pub truncated: bool,
    head: &'a [u8],
}

impl<'a> Message<'a> {
    /// Reads a whole message, as a datagram or a TCP framer delivers it.
    ///
    /// # Errors
    /// See [`SipError`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, SipError> {
        if bytes.len() > limits::SIP_MESSAGE_BYTES_MAX {
            return Err(SipError::TooLong(bytes.len()));
        }
        let (line, head) = fields::split_line(skip_blank_lines(bytes));
        let mut message = Self {
            start: start_line(line)?,
            call_id: &[],
            from: &[],
            to: &[],
            cseq: CSeq::default(),
            via: &[],
            contact: &[],
            content_type: &[],
            body: &[],
            truncated: false,
            head,
        };
        let length = message.read_fields()?;
        match message.call_id.len() {
            0 => return Err(SipError::NoCallId),
            bytes if bytes > limits::SIP_CALL_ID_BYTES_MAX => {
                return Err(SipError::CallIdTooLong(bytes));
            }
            _ => {}
        }
        if let Some(length) = length {
            message.truncated |= length > message.body.len();
            message.body = message.body.get(..length).unwrap_or(message.body);
        }
        Ok(message)
    }

    /// Fills in the fields, the head and everything behind it; returns the Content-Length.
    fn read_fields(&mut self) -> Result<Option<usize>, SipError> {
        let mut fields = Fields::new(self.head);
        let mut length = None;
        let mut count = 0;
        while let Some(line) = fields.next_line() {
            count += 1;
            if count > limits::SIP_HEADERS_MAX {
                return Err(SipError::TooManyFields);
            }
            if !fields::may_matter(line) {
                continue;
            }
            let Some((field, value)) = fields::split_field(line) else { continue };
            match field {
                Field::CallId => set(&mut self.call_id, value),
                Field::From => set(&mut self.from, value),
                Field::To => set(&mut self.to, value),
                Field::Via => set(&mut self.via, value),
                Field::Contact => set(&mut self.contact, value),
                Field::ContentType => set(&mut self.content_type, value),
                Field::CSeq if self.cseq.method.is_empty() => self.cseq = cseq(value),
                Field::ContentLength if length.is_none() => length = decimal(value),
                _ => {}
            }
        }
        self.truncated = !fields.complete();
        self.body = fields.rest();
        self.head = self.head.get(..self.head.len() - self.body.len()).unwrap_or_default();
        Ok(length)
    }

    /// All header fields in order, including those that have a place of their own.
    #[must_use]
    pub fn fields(&self) -> Fields<'a> {
        Fields::new(self.head)
    }

    /// The value of the first field with this name, in any case; give the long form of the name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&'a [u8]> {
        let wanted = Field::of(name.as_bytes());
        self.fields().find(|(field, _)| *field == wanted).map(|(_, value)| value)
    }

    /// The method: of the request line, or in a response that of `CSeq`.
    #[must_use]
    pub const fn method(&self) -> &'a [u8] {
        match self.start {
            StartLine::Request { method, .. } => method,
            StartLine::Response { .. } => self.cseq.method,
        }
    }

    /// The status code of a response.
    #[must_use]
    pub const fn status(&self) -> Option<u16> {
        match self.start {
            StartLine::Request { .. } => None,
            StartLine::Response { status, .. } => Some(status),
        }
    }

    /// The tag of From, cut to the limit; empty if there is none.
    #[must_use]
    pub fn from_tag(&self) -> &'a [u8] {
        Address::parse(self.from).tag()
    }

    /// The tag of To, likewise.
    #[must_use]
    pub fn to_tag(&self) -> &'a [u8] {
        Address::parse(self.to).tag()
    }

    /// The branch of the topmost Via (RFC 3261, 8.1.1.7); empty if there is none.
    #[must_use]
    pub fn branch(&self) -> &'a [u8] {
        let end = address::list_item_end(self.via);
        parameter(self.via.get(..end).unwrap_or_default(), b"branch").unwrap_or_default()
    }

    /// The session description, alone or as a part of a multipart body (RFC 5621).
    #[must_use]
    pub fn sdp(&self) -> Option<&'a [u8]> {
        body::session_description(self.content_type, self.body)
    }
}

/// RFC 3261, 7.5: CRLFs before the start line are ignored.
fn skip_blank_lines(bytes: &[u8]) -> &[u8] {
    let start = bytes.iter().position(|b| !matches!(b, b'\r' | b'\n')).unwrap_or(bytes.len());
    bytes.get(start..).unwrap_or_default()
}

fn start_line(line: &[u8]) -> Result<StartLine<'_>, SipError> {
    let line = line.trim_ascii();
    let (first, rest) = split_at_blank(line);
    if is_version(first) {
        let (status, reason) = split_at_blank(rest);
        let status = decimal(status).and_then(|status| u16::try_from(status).ok());
        return match status {
            Some(status @ 100..=699) => Ok(StartLine::Response { status, reason }),
            _ => Err(SipError::StartLine),
        };
    }
    // The URI is what stands between the first and the last blank: some devices put blanks into it.
    let version_at = rest.iter().rposition(u8::is_ascii_whitespace).ok_or(SipError::StartLine)?;
    let (uri, version) = rest.split_at_checked(version_at).ok_or(SipError::StartLine)?;
    let uri = uri.trim_ascii();
    if !is_version(version.trim_ascii()) || uri.is_empty() || !first.iter().all(|b| is_token(*b)) {
        return Err(SipError::StartLine);
    }
    Ok(StartLine::Request { method: first, uri })
}

fn is_version(word: &[u8]) -> bool {
    word.eq_ignore_ascii_case(b"SIP/2.0")
}

/// RFC 3261, 25.1: `token`.
const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~')
}

fn split_at_blank(line: &[u8]) -> (&[u8], &[u8]) {
    let end = line.iter().position(u8::is_ascii_whitespace).unwrap_or(line.len());
    let (first, rest) = line.split_at(end);
    (first, rest.trim_ascii_start())
}

/// The first field of a name counts; a proxy would have refused a message with two of these.
fn set<'a>(place: &mut &'a [u8], value: &'a [u8]) {
    if place.is_empty() {
        *place = value;
    }
}

fn cseq(value: &[u8]) -> CSeq<'_> {
    let (number, method) = split_at_blank(value);
    let number = decimal(number).and_then(|number| u32::try_from(number).ok());
    CSeq { number: number.unwrap_or(0), method: method.trim_ascii() }
}

/// Digits and nothing else; `None` beyond the range.
fn decimal(text: &[u8]) -> Option<usize> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_usize, |value, byte| {
        let digit = byte.is_ascii_digit().then(|| usize::from(byte - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests;
