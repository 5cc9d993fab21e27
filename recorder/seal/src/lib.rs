//! Files of one recording become CMS ciphertext and a signed manifest.
//!
//! In: the bytes of a file, certificates, private keys, a time. Out: DER that stock OpenSSL opens and
//! checks (`openssl cms -decrypt`, `openssl cms -verify`), and the manifest that ties a recording's files
//! together.
//!
//! Invariants:
//! - A content key is drawn for one file, wrapped for every recipient, and forgotten.
//! - Nothing leaves [`open`] before all of it is authenticated; what is not is wiped.
//! - A signature is accepted only in the one byte sequence that this crate itself would have written for
//!   its certificate, time and content: no byte of it can change unnoticed.
//! - Key material is zeroed when dropped: ours by `zeroize`, the library's by AWS-LC.
//! - No file, clock or thread is touched here.
#![forbid(unsafe_code)]

mod agreement;
mod certificate;
mod digest;
pub mod envelope;
pub mod keys;
pub mod manifest;
mod pem;
mod private_key;
mod public_key;
mod recipient;
pub mod signature;
mod signing_key;
mod transport;

pub use certificate::{Certificate, CertificateError};
pub use digest::{Sha256Hash, Sha256Hasher, sha256};
pub use envelope::{OpenError, SealError, Sealer, open};
pub use manifest::{Manifest, ManifestError};
pub use private_key::{KeyError, PrivateKey};
pub use recipient::{Recipient, RecipientError, Warning};
pub use signature::{SignedBy, Signer, VerifyError, verify};
