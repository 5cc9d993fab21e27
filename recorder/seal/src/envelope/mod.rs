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

use aes_gcm::{Aes256Gcm, KeyInit as _};
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

fn cipher(key: &ContentKey) -> Aes256Gcm {
    Aes256Gcm::new((&**key).into())
}
