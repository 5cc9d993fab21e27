//! `a=` lines: the attributes that say where media goes and what it is.

use std::net::IpAddr;

use base::{Endpoint, limits};
use memchr::memchr;

use super::{Direction, Keying};

/// `a=rtpmap:<payload type> <name>/<clock rate>[/<channels>]` (RFC 8866, 6.6).
pub(super) struct RtpMap<'a> {
    pub(super) payload_type: u8,
    pub(super) name: &'a [u8],
    pub(super) clock_rate_hz: u32,
}

/// What has been read at session level, or for one media line.
#[derive(Default)]
pub(super) struct Attributes<'a> {
    pub(super) rtpmaps: Vec<RtpMap<'a>>,
    pub(super) fmtps: Vec<(u8, &'a [u8])>,
    pub(super) direction: Option<Direction>,
    pub(super) ptime_ms: Option<u16>,
    pub(super) rtcp: Option<(u16, Option<IpAddr>)>,
    pub(super) rtcp_mux: bool,
    pub(super) keying: Option<Keying>,
    pub(super) candidates: Vec<Endpoint>,
    pub(super) label: Option<&'a [u8]>,
    pub(super) mid: Option<&'a [u8]>,
    pub(super) ssrcs: Vec<u32>,
}

impl<'a> Attributes<'a> {
    /// One `a=` value.
    pub(super) fn read(&mut self, line: &'a [u8]) {
        let (name, value) = line.split_at(memchr(b':', line).unwrap_or(line.len()));
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        match name {
            b"rtpmap" => self.read_rtpmap(value),
            b"fmtp" => self.read_fmtp(value),
            b"sendrecv" => self.direction = Some(Direction::SendRecv),
            b"sendonly" => self.direction = Some(Direction::SendOnly),
            b"recvonly" => self.direction = Some(Direction::RecvOnly),
            b"inactive" => self.direction = Some(Direction::Inactive),
            b"ptime" => self.ptime_ms = leading_number(value),
            b"rtcp" => self.rtcp = rtcp(value),
            b"rtcp-mux" => self.rtcp_mux = true,
            // SDES wins: with it the keys can be read.
            b"crypto" => self.keying = Some(Keying::Sdes),
            b"fingerprint" => self.keying = self.keying.or(Some(Keying::Dtls)),
            b"candidate" => self.read_candidate(value),
            b"label" => self.label = short(value),
            b"mid" => self.mid = short(value),
            b"ssrc" => self.read_ssrc(value),
            _ => {}
        }
    }

    fn read_rtpmap(&mut self, value: &'a [u8]) {
        let (payload_type, mapping) = word(value);
        let mut parts = mapping.split(|b| matches!(b, b'/' | b' '));
        let name = parts.next().and_then(short);
        let clock_rate_hz = parts.next().and_then(leading_number);
        let (Some(payload_type), Some(name), Some(clock_rate_hz)) =
            (number(payload_type), name, clock_rate_hz)
        else {
            return;
        };
        if self.rtpmaps.len() < limits::SDP_FORMATS_MAX {
            self.rtpmaps.push(RtpMap { payload_type, name, clock_rate_hz });
        }
    }

    /// `a=fmtp:<format> <parameters>` (RFC 8866, 6.15).
    fn read_fmtp(&mut self, value: &'a [u8]) {
        let (payload_type, parameters) = word(value);
        if let (Some(payload_type), Some(parameters)) = (number(payload_type), short(parameters))
            && self.fmtps.len() < limits::SDP_FORMATS_MAX
        {
            self.fmtps.push((payload_type, parameters));
        }
    }

    /// `a=candidate:<foundation> <component> <transport> <priority> <address> <port> typ ...`
    /// (RFC 8839, 5.1). Host names (multicast DNS) and TCP candidates are passed over.
    fn read_candidate(&mut self, value: &[u8]) {
        let mut words = value.split(u8::is_ascii_whitespace).filter(|it| !it.is_empty()).skip(2);
        let udp = words.next().is_some_and(|it| it.eq_ignore_ascii_case(b"UDP"));
        let address = words.nth(1).and_then(ip);
        let port = words.next().and_then(number::<u16>).filter(|port| *port != 0);
        if let (true, Some(address), Some(port)) = (udp, address, port) {
            let candidate = Endpoint::new(address, port);
            if self.candidates.len() < limits::SDP_CANDIDATES_MAX
                && !self.candidates.contains(&candidate)
            {
                self.candidates.push(candidate);
            }
        }
    }

    /// `a=ssrc:<ssrc> <attribute>` (RFC 5576, 4.1): a line per attribute.
    fn read_ssrc(&mut self, value: &[u8]) {
        if let Some(ssrc) = leading_number(value)
            && self.ssrcs.len() < limits::SDP_SSRCS_MAX
            && !self.ssrcs.contains(&ssrc)
        {
            self.ssrcs.push(ssrc);
        }
    }
}

/// `a=rtcp:53020 [IN IP4 192.0.2.1]` (RFC 3605, 2.1).
fn rtcp(value: &[u8]) -> Option<(u16, Option<IpAddr>)> {
    let (port, rest) = word(value);
    let address = rest.split(u8::is_ascii_whitespace).nth(2).and_then(ip);
    Some((number(port)?, address))
}

/// The first word and what follows it, without the blanks between.
pub(super) fn word(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(u8::is_ascii_whitespace).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    (word, rest.trim_ascii_start())
}

/// A decimal number that is all of `text`.
pub(super) fn number<T: TryFrom<u64>>(text: &[u8]) -> Option<T> {
    let digits = text.iter().take_while(|b| b.is_ascii_digit()).count();
    if digits == text.len() { leading_number(text) } else { None }
}

/// A decimal number at the start of `text`; whatever follows is ignored (`20.0`, `90000/1`).
fn leading_number<T: TryFrom<u64>>(text: &[u8]) -> Option<T> {
    let digits = text.iter().take_while(|b| b.is_ascii_digit()).count();
    if digits == 0 {
        return None;
    }
    let value = text.iter().take(digits).try_fold(0_u64, |value, digit| {
        value.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
    })?;
    T::try_from(value).ok()
}

pub(super) fn ip(text: &[u8]) -> Option<IpAddr> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Neither empty nor beyond the limit.
fn short(value: &[u8]) -> Option<&[u8]> {
    (!value.is_empty() && value.len() <= limits::SDP_VALUE_BYTES_MAX).then_some(value)
}

pub(super) fn text(value: &[u8]) -> Box<str> {
    String::from_utf8_lossy(value).into()
}
