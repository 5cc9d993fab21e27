//! Identifiers.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::Timestamp;

/// A recording's id: a UUID version 7 (RFC 9562, 5.7).
///
/// Its time is the call's start and its random part is a hash of what identifies the call. Finishing the
/// same call again, after a crash or from a second replay of the same capture, so gives the same id, and
/// a recording that exists is found instead of doubled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RecordingId(Uuid);

impl RecordingId {
    /// The id of the call that began at `start`, told apart by the byte strings in `identity`
    /// (Call-ID, tags, addresses: whatever names it).
    #[must_use]
    pub fn of_call(start: Timestamp, identity: &[&[u8]]) -> Self {
        let mut hash = Sha256::new();
        hash.update(start.as_nanos().to_le_bytes());
        for part in identity {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        let digest: [u8; 32] = hash.finalize().into();
        let mut random = [0_u8; 10];
        random.copy_from_slice(digest.first_chunk::<10>().unwrap_or(&[0; 10]));
        Self(uuid::Builder::from_unix_timestamp_millis(start.as_millis(), &random).into_uuid())
    }
}

impl fmt::Display for RecordingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::str::FromStr for RecordingId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::parse_str(text).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_call_has_the_same_id_and_another_has_another() {
        let start = Timestamp::from_nanos(1_700_000_000_123_000_000);
        let id = RecordingId::of_call(start, &[b"a@b", b"tag"]);
        assert_eq!(id, RecordingId::of_call(start, &[b"a@b", b"tag"]));
        assert_ne!(id, RecordingId::of_call(start, &[b"a@bt", b"ag"]));
        assert_eq!(id.0.get_version_num(), 7);
        assert_eq!(id.0.get_timestamp().map(|t| t.to_unix().0), Some(1_700_000_000));
    }
}
