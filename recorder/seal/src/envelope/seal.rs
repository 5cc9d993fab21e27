//! Sealing.

use aws_lc_rs::aead::{Aad, Nonce};
use base::limits;
use cms::enveloped_data::RecipientInfo;
use zeroize::Zeroizing;

use super::{CONTENT_KEY_BYTES, ContentKey, NONCE_BYTES, cipher, layout};
use crate::recipient::{Recipient, RecipientKey};
use crate::{agreement, manifest, transport};

/// Why a file cannot be sealed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Nobody could open it.
    #[error("there is no certificate to seal for; give at least one")]
    NoRecipient,
    /// More than [`limits::RECIPIENTS_MAX`].
    #[error("{0} certificates to seal for are more than {max}", max = limits::RECIPIENTS_MAX)]
    TooManyRecipients(usize),
    /// Larger than [`limits::SEALED_FILE_BYTES_MAX`].
    #[error(
        "a file of {0} bytes is too large to be sealed as one; split it into files of at most 1 GiB"
    )]
    TooLarge(usize),
    /// The library refused; no memory, or no random numbers.
    #[error("the cryptographic library failed to {0}")]
    Library(&'static str),
}

/// Seals files for a fixed set of recipients. Shared by threads as it is.
#[derive(Debug)]
pub struct Sealer {
    recipients: Vec<Recipient>,
}

impl Sealer {
    /// For `recipients`, each of whom can open every file. One given twice counts once.
    ///
    /// # Errors
    /// If there is none, or more than [`limits::RECIPIENTS_MAX`].
    pub fn new(mut recipients: Vec<Recipient>) -> Result<Self, SealError> {
        recipients.sort_by_cached_key(|recipient| recipient.certificate().fingerprint());
        recipients.dedup_by(|a, b| a.certificate() == b.certificate());
        match recipients.len() {
            0 => Err(SealError::NoRecipient),
            count if count > limits::RECIPIENTS_MAX => Err(SealError::TooManyRecipients(count)),
            _ => Ok(Self { recipients }),
        }
    }

    /// For whom it seals, as the manifest names them.
    #[must_use]
    pub fn recipients(&self) -> Vec<manifest::Recipient> {
        self.recipients.iter().map(Recipient::in_manifest).collect()
    }

    /// `plain` as CMS AuthEnvelopedData in DER, under a fresh content key and nonce.
    ///
    /// # Errors
    /// If `plain` has more than [`limits::SEALED_FILE_BYTES_MAX`], or the library fails.
    pub fn seal(&self, plain: &[u8]) -> Result<Vec<u8>, SealError> {
        self.seal_in_place(plain.to_vec())
    }

    /// The same, in the memory of `plain`.
    ///
    /// # Errors
    /// As [`Sealer::seal`].
    pub fn seal_in_place(&self, plain: Vec<u8>) -> Result<Vec<u8>, SealError> {
        if plain.len() > limits::SEALED_FILE_BYTES_MAX {
            return Err(SealError::TooLarge(plain.len()));
        }
        let random = SealError::Library("draw random numbers");
        let mut content_key: ContentKey = Zeroizing::new([0; CONTENT_KEY_BYTES]);
        let mut nonce = [0; NONCE_BYTES];
        aws_lc_rs::rand::fill(content_key.as_mut_slice()).map_err(|_| random.clone())?;
        aws_lc_rs::rand::fill(&mut nonce).map_err(|_| random)?;
        let recipients: Option<Vec<_>> =
            self.recipients.iter().map(|recipient| wrap(recipient, &content_key)).collect();
        let recipients = recipients.ok_or(SealError::Library("wrap a content key"))?;
        encrypt(plain, &content_key, &nonce, &recipients).ok_or(SealError::Library("encrypt"))
    }
}

fn wrap(recipient: &Recipient, content_key: &ContentKey) -> Option<RecipientInfo> {
    let id = recipient.certificate().issuer_and_serial();
    match &recipient.key {
        RecipientKey::Rsa(key) => transport::wrap(key, id, content_key).map(RecipientInfo::Ktri),
        RecipientKey::Ec(curve, point) => {
            agreement::wrap(*curve, point, id, content_key).map(RecipientInfo::Kari)
        }
    }
}

/// Encrypts `plain`, and makes room for what goes before it. `None` if a length does not fit, which the limit rules out.
fn encrypt(
    plain: Vec<u8>,
    content_key: &ContentKey,
    nonce: &[u8; NONCE_BYTES],
    recipients: &[RecipientInfo],
) -> Option<Vec<u8>> {
    let head = layout::head(recipients, nonce, plain.len()).ok()?;
    let nonce = Nonce::assume_unique_for_key(*nonce);
    let mut text = plain;
    let tag =
        cipher(content_key)?.seal_in_place_separate_tag(nonce, Aad::empty(), &mut text).ok()?;
    let tail = layout::tail(tag.as_ref().try_into().ok()?).ok()?;
    text.reserve_exact(head.len() + tail.len());
    text.splice(0..0, head);
    text.extend_from_slice(&tail);
    Some(text)
}
