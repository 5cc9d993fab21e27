//! The lines of a description, and what belongs to the session or to one media line.

use std::net::IpAddr;

use base::{Encoding, Endpoint, Format, Formats, limits, sound};

use memchr::memchr2_iter;

use super::attributes::{self, Attributes};
use super::{Description, MediaKind, MediaLine, Profile};

/// One `m=` line while its attributes are read.
struct Open<'a> {
    media: MediaKind,
    port: u16,
    profile: Profile,
    /// The format list as written.
    formats: &'a [u8],
    address: Option<IpAddr>,
    attributes: Attributes<'a>,
}

pub(super) fn description(bytes: &[u8]) -> Description {
    let mut session = Attributes::default();
    let mut session_address = None;
    let mut lines: Vec<Open<'_>> = Vec::new();
    let ends = memchr2_iter(b'\n', b'\r', bytes).chain(std::iter::once(bytes.len()));
    let mut start = 0;
    for end in ends {
        let line = bytes.get(start..end).unwrap_or_default();
        start = end + 1;
        let Some((key, value)) = key_and_value(line) else { continue };
        if key == b'm' {
            if lines.len() >= limits::SDP_MEDIA_LINES_MAX {
                break;
            }
            lines.push(media_line(value));
        }
        match (key, lines.last_mut()) {
            (b'c', None) => session_address = session_address.or_else(|| connection(value)),
            (b'c', Some(open)) => open.address = open.address.or_else(|| connection(value)),
            (b'a', None) => session.read(value),
            (b'a', Some(open)) => open.attributes.read(value),
            _ => {}
        }
    }
    Description {
        media: lines.into_iter().map(|open| close(open, session_address, &session)).collect(),
    }
}

/// `k=value`; blanks around it are forgiven.
fn key_and_value(line: &[u8]) -> Option<(u8, &[u8])> {
    match line.trim_ascii() {
        [key, b'=', value @ ..] => Some((*key, value.trim_ascii_start())),
        _ => None,
    }
}

/// `audio 49170/2 RTP/AVP 0 8 101` (RFC 8866, 5.14). A port that is none counts as a rejected line.
fn media_line(value: &[u8]) -> Open<'_> {
    let (media, rest) = attributes::word(value);
    let (port, rest) = attributes::word(rest);
    let (profile, formats) = attributes::word(rest);
    let port = port.split(|b| *b == b'/').next().and_then(attributes::number);
    Open {
        media: MediaKind::of(&media.to_ascii_lowercase()),
        port: port.unwrap_or(0),
        profile: Profile::of(profile),
        formats,
        address: None,
        attributes: Attributes::default(),
    }
}

/// `IN IP4 192.0.2.1/127` (RFC 8866, 5.7); `None` for a host name.
fn connection(value: &[u8]) -> Option<IpAddr> {
    let (_, rest) = attributes::word(value);
    let (_, address) = attributes::word(rest);
    attributes::ip(address.split(|b| matches!(b, b'/' | b' ')).next()?)
}

fn close(open: Open<'_>, session_address: Option<IpAddr>, session: &Attributes<'_>) -> MediaLine {
    let own = &open.attributes;
    let endpoint =
        open.address.or(session_address).map(|address| Endpoint::new(address, open.port));
    let rtcp = rtcp(endpoint, own, session);
    let mut candidates = own.candidates.clone();
    candidates.retain(|it| Some(*it) != endpoint && Some(*it) != rtcp);
    MediaLine {
        media: open.media,
        endpoint,
        port: open.port,
        profile: open.profile,
        formats: if open.profile.is_rtp() {
            formats(open.formats, own)
        } else {
            Formats::default()
        },
        direction: own.direction.or(session.direction).unwrap_or_default(),
        ptime_ms: own.ptime_ms.or(session.ptime_ms),
        rtcp,
        keying: own.keying.or(session.keying).unwrap_or_default(),
        candidates,
        label: own.label.map(attributes::text),
        mid: own.mid.map(attributes::text),
        ssrcs: own.ssrcs.clone(),
    }
}

fn rtcp(
    endpoint: Option<Endpoint>,
    own: &Attributes<'_>,
    session: &Attributes<'_>,
) -> Option<Endpoint> {
    let endpoint = endpoint?;
    if own.rtcp_mux || session.rtcp_mux {
        return Some(endpoint);
    }
    match own.rtcp {
        Some((port, Some(address))) => Some(Endpoint::new(address, port)),
        Some((port, None)) => Some(endpoint.with_port(port)),
        None => endpoint.port().checked_add(1).map(|port| endpoint.with_port(port)),
    }
}

/// The payload types of a line with their meaning; a number that comes twice counts once.
fn formats(list: &[u8], own: &Attributes<'_>) -> Formats {
    let numbers = list.split(|b| b.is_ascii_whitespace()).filter_map(attributes::number::<u8>);
    let mut formats: Vec<Format> = Vec::with_capacity(own.rtpmaps.len());
    for payload_type in numbers.filter(|number| *number < 128).take(limits::SDP_FORMATS_MAX) {
        if formats.iter().any(|format| format.payload_type == payload_type) {
            continue;
        }
        let mapped = own.rtpmaps.iter().find(|map| map.payload_type == payload_type);
        let format = mapped.map(|map| Format {
            payload_type,
            encoding: Encoding::from_name(&String::from_utf8_lossy(map.name)),
            clock_rate_hz: map.clock_rate_hz,
            parameters: None,
        });
        if let Some(mut format) = format.or_else(|| sound::static_format(payload_type)) {
            let fmtp = own.fmtps.iter().find(|(number, _)| *number == payload_type);
            format.parameters = fmtp.map(|(_, value)| attributes::text(value).into_string());
            formats.push(format);
        }
    }
    Formats(formats)
}
