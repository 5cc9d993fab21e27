//! Sealed files: CMS AuthEnvelopedData (RFC 5083) with AES-256-GCM (RFC 5084), in DER.
//!
//! ```text
//! ContentInfo { authEnvelopedData,
//!   AuthEnvelopedData { version 0,
//!     recipientInfos SET OF { KeyTransRecipientInfo | KeyAgreeRecipientInfo },
//!     authEncryptedContentInfo { data, aes256-GCM { nonce(12), icvLen 16 }, [0] ciphertext },
//!     mac(16) } }
//! ```
//!
//! The content key and the nonce are drawn anew for each file. There are no attributes, so no additional
//! data is authenticated: what stands before the ciphertext is protected by being strict DER in exactly
//! this shape, of which a change either breaks the shape, or the unwrapping of the content key, or the
//! authentication. What a change may do unnoticed by [`open`]: spoil the entry of another recipient, or,
//! for a key without its certificate, the name in its own. The manifest's SHA-256 covers both.

mod layout;
mod open;
mod seal;

use aws_lc_rs::aead::{AES_256_GCM, LessSafeKey, UnboundKey};
use zeroize::Zeroizing;

pub use open::{OpenError, open, recipients};
pub use seal::{SealError, Sealer};

/// Bytes of a content key (AES-256).
pub(crate) const CONTENT_KEY_BYTES: usize = 32;
/// Bytes of a nonce, the length for which GCM is made (RFC 5084, 3.2).
const NONCE_BYTES: usize = 12;
/// Bytes of the authentication tag: all of it.
const TAG_BYTES: usize = 16;

/// The key of one file.
pub(crate) type ContentKey = Zeroizing<[u8; CONTENT_KEY_BYTES]>;

/// Never `None`: the key has the length that it is to have.
fn cipher(key: &ContentKey) -> Option<LessSafeKey> {
    UnboundKey::new(&AES_256_GCM, key.as_slice()).ok().map(LessSafeKey::new)
}

#[cfg(test)]
mod tests {
    use base::Timestamp;

    use super::*;
    use crate::keys::{Algorithm, Purpose, create};
    use crate::{Certificate, PrivateKey, Recipient};

    fn key(purpose: Purpose<'_>) -> (Recipient, PrivateKey) {
        let from = Timestamp::from_nanos(1_795_392_000_000_000_000);
        let until = Timestamp::from_nanos(1_895_392_000_000_000_000);
        let pair = create(purpose, Algorithm::P256, from, until).unwrap();
        let certificate = Certificate::parse(pair.certificate.as_bytes()).unwrap();
        let key = PrivateKey::parse(pair.private_key.as_bytes()).unwrap();
        (Recipient::new(certificate).unwrap(), key)
    }

    /// Whatever the ephemeral keys, on which the order of the recipients would depend if it were theirs.
    #[test]
    fn recipients_of_one_kind_with_names_of_unlike_length_open_every_time() {
        let (one, one_key) = key(Purpose::Recording);
        let (other, other_key) = key(Purpose::Catalog("a-node-with-a-rather-long-name"));
        let sealer = Sealer::new(vec![one, other]).unwrap();
        for number in 0..50_u8 {
            let sealed = sealer.seal(&[number]).unwrap();
            for key in [&one_key, &other_key] {
                assert_eq!(**open(&sealed, key).unwrap(), [number]);
            }
        }
    }
}
