//! For whom recordings are sealed.

use aws_lc_rs::agreement::{ParsedPublicKey, UnparsedPublicKey};
use aws_lc_rs::rsa::{OaepPublicEncryptingKey, PublicEncryptingKey};
use base::Timestamp;

use crate::certificate::Certificate;
use crate::manifest;
use crate::public_key::{Curve, PublicKey, RSA_BITS_MAX, RSA_BITS_MIN};

/// Why nothing can be sealed for a certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecipientError {
    /// Its key cannot encrypt.
    #[error(
        "the certificate of {subject} has a key of kind {algorithm}; recordings are sealed for RSA keys \
         and for EC keys on P-256 or P-384"
    )]
    UnsupportedKey {
        /// Whose certificate.
        subject: String,
        /// What key it has.
        algorithm: String,
    },
    /// Its RSA key is too short, or longer than can be handled.
    #[error("the RSA key of {subject} has {bits} bits; use one of 2,048 to 8,192 bits")]
    RsaSize {
        /// Whose certificate.
        subject: String,
        /// How long the key is.
        bits: usize,
    },
    /// Its key is not a valid public key.
    #[error("the key in the certificate of {subject} is damaged; export the certificate again")]
    DamagedKey {
        /// Whose certificate.
        subject: String,
    },
}

/// What a person should know of a certificate that is used all the same: refusing it would stop the
/// recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// It ended at this time.
    Expired(Timestamp),
    /// It begins at this time.
    NotYetValid(Timestamp),
    /// Its key usage extension does not allow what is done with it.
    KeyUsage,
}

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Expired(time) => write!(f, "expired on {time}"),
            Self::NotYetValid(time) => write!(f, "not valid before {time}"),
            Self::KeyUsage => f.write_str("its key usage does not allow to encrypt keys"),
        }
    }
}

/// A certificate that recordings are sealed for.
#[derive(Debug)]
pub struct Recipient {
    certificate: Certificate,
    pub(crate) key: RecipientKey,
}

#[derive(Debug)]
pub(crate) enum RecipientKey {
    Rsa(OaepPublicEncryptingKey),
    Ec(Curve, Vec<u8>),
}

impl Recipient {
    /// Checks that `certificate` has a key that can be sealed for.
    ///
    /// # Errors
    /// If its key is neither RSA of a safe size nor EC on P-256 or P-384, or is damaged.
    pub fn new(certificate: Certificate) -> Result<Self, RecipientError> {
        let subject = certificate.subject();
        let key = match certificate.public_key() {
            PublicKey::Rsa { bits, .. } if !(RSA_BITS_MIN..=RSA_BITS_MAX).contains(&bits) => {
                return Err(RecipientError::RsaSize { subject, bits });
            }
            PublicKey::Rsa { spki, .. } => PublicEncryptingKey::from_der(&spki)
                .ok()
                .and_then(|key| OaepPublicEncryptingKey::new(key).ok())
                .map(RecipientKey::Rsa),
            PublicKey::Ec { curve, point } => {
                let unparsed = UnparsedPublicKey::new(curve.agreement(), point.as_slice());
                let is_on_curve = ParsedPublicKey::try_from(unparsed).is_ok();
                is_on_curve.then_some(RecipientKey::Ec(curve, point))
            }
            PublicKey::Other(algorithm) => {
                return Err(RecipientError::UnsupportedKey { subject, algorithm });
            }
        };
        let key = key.ok_or(RecipientError::DamagedKey { subject })?;
        Ok(Self { certificate, key })
    }

    /// The certificate.
    #[must_use]
    pub const fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// What a person should know about it at the time `now`.
    #[must_use]
    pub fn warnings(&self, now: Timestamp) -> Vec<Warning> {
        let certificate = &self.certificate;
        let allowed = certificate.key_usage().is_none_or(|usage| match self.key {
            RecipientKey::Rsa(_) => usage.key_encipherment(),
            RecipientKey::Ec(..) => usage.key_agreement(),
        });
        let expired = !certificate.is_valid_at(now) && now > certificate.not_after();
        [
            expired.then(|| Warning::Expired(certificate.not_after())),
            (now < certificate.not_before())
                .then(|| Warning::NotYetValid(certificate.not_before())),
            (!allowed).then_some(Warning::KeyUsage),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// How the manifest names it.
    #[must_use]
    pub fn in_manifest(&self) -> manifest::Recipient {
        manifest::Recipient {
            issuer: self.certificate.issuer(),
            serial: self.certificate.serial(),
            algorithm: match &self.key {
                RecipientKey::Rsa(key) => format!("RSA-{} OAEP SHA-256", key.key_size_bits()),
                RecipientKey::Ec(curve, _) => format!("ECDH {}", curve.name()),
            },
        }
    }
}
