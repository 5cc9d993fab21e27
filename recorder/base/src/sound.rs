//! What a payload type number means, and whose voice a stream carries.

use serde::{Deserialize, Serialize};

/// One of the two parties of a call. Stereo: caller left, callee right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// Who sent the INVITE.
    Caller,
    /// Who answered it.
    Callee,
}

impl Side {
    /// The other party.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Caller => Self::Callee,
            Self::Callee => Self::Caller,
        }
    }
}

/// An encoding as SDP's `a=rtpmap` or RFC 3551 names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// G.711 mu-law.
    Pcmu,
    /// G.711 A-law.
    Pcma,
    /// RFC 3389 comfort noise.
    ComfortNoise,
    /// RFC 4733 telephone events.
    TelephoneEvent,
    /// Anything else, by its name in upper case; kept as packets until it is decoded.
    Other(String),
}

impl Encoding {
    /// From an encoding name, in any case.
    #[must_use]
    pub fn from_name(name: &str) -> Self {
        match name.to_ascii_uppercase().as_str() {
            "PCMU" => Self::Pcmu,
            "PCMA" => Self::Pcma,
            "CN" => Self::ComfortNoise,
            "TELEPHONE-EVENT" => Self::TelephoneEvent,
            other => Self::Other(other.to_owned()),
        }
    }

    /// The registered name, as written in `recording.json`.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
            Self::ComfortNoise => "CN",
            Self::TelephoneEvent => "telephone-event",
            Self::Other(name) => name,
        }
    }
}

/// One payload type of one media line.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Format {
    /// 0 to 127.
    pub payload_type: u8,
    /// What it carries.
    pub encoding: Encoding,
    /// RTP timestamp units a second.
    pub clock_rate_hz: u32,
    /// The `a=fmtp` parameters, as written.
    pub parameters: Option<String>,
}

/// The payload types in force for a stream, announced ones first, then RFC 3551's static table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Formats(pub Vec<Format>);

/// RFC 3551, tables 4 and 5: the payload types whose meaning needs no SDP.
const STATIC: [(u8, &str, u32); 24] = [
    (0, "PCMU", 8_000),
    (3, "GSM", 8_000),
    (4, "G723", 8_000),
    (5, "DVI4", 8_000),
    (6, "DVI4", 16_000),
    (7, "LPC", 8_000),
    (8, "PCMA", 8_000),
    (9, "G722", 8_000),
    (10, "L16", 44_100),
    (11, "L16", 44_100),
    (12, "QCELP", 8_000),
    (13, "CN", 8_000),
    (14, "MPA", 90_000),
    (15, "G728", 8_000),
    (16, "DVI4", 11_025),
    (17, "DVI4", 22_050),
    (18, "G729", 8_000),
    (25, "CELB", 90_000),
    (26, "JPEG", 90_000),
    (28, "NV", 90_000),
    (31, "H261", 90_000),
    (32, "MPV", 90_000),
    (33, "MP2T", 90_000),
    (34, "H263", 90_000),
];

impl Formats {
    /// What `payload_type` means here; `None` for a dynamic one that nobody announced.
    #[must_use]
    pub fn get(&self, payload_type: u8) -> Option<Format> {
        let announced = self.0.iter().find(|format| format.payload_type == payload_type);
        announced.cloned().or_else(|| static_format(payload_type))
    }
}

/// The RFC 3551 static assignment of `payload_type`, if it has one.
#[must_use]
pub fn static_format(payload_type: u8) -> Option<Format> {
    let (_, name, clock_rate_hz) = STATIC.iter().find(|(number, _, _)| *number == payload_type)?;
    Some(Format {
        payload_type,
        encoding: Encoding::from_name(name),
        clock_rate_hz: *clock_rate_hz,
        parameters: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_announced_type_overrides_the_static_table() {
        let announced = Format {
            payload_type: 8,
            encoding: Encoding::Other("G726-32".into()),
            clock_rate_hz: 8_000,
            parameters: None,
        };
        let formats = Formats(vec![announced.clone()]);
        assert_eq!(formats.get(8), Some(announced));
        assert_eq!(formats.get(0).unwrap().encoding, Encoding::Pcmu);
        assert_eq!(formats.get(96), None);
    }
}
