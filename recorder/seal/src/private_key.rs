//! Private keys that open what was sealed. Needed only to listen, never to record.

use std::fmt;

use aws_lc_rs::agreement;
use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::{self, OaepPrivateDecryptingKey, PrivateDecryptingKey};
use der::Decode as _;
use spki::SubjectPublicKeyInfoOwned;
use zeroize::Zeroizing;

use crate::certificate::{Certificate, CertificateError};
use crate::pem;
use crate::public_key::{Curve, PublicKey};

/// Why bytes are not a usable private key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Nothing that looks like one.
    #[error(
        "not a private key: neither a PEM block `PRIVATE KEY` nor PKCS#8 DER; give the key file"
    )]
    NotAKey,
    /// The neighbouring file.
    #[error("this is a certificate, not a private key; give the key that belongs to it")]
    Certificate,
    /// Protected by a password.
    #[error(
        "the private key is protected by a password; write an open copy with \
         `openssl pkey -in KEY -out OPEN-KEY` and keep that where only you can read it"
    )]
    Encrypted,
    /// A key of another kind.
    #[error(
        "the private key is neither RSA (2,048 to 8,192 bits) nor on one of the curves {0}, or it is damaged"
    )]
    Unsupported(&'static str),
    /// Key and certificate do not belong together.
    #[error(
        "the private key does not belong to the certificate of {0}; give the pair that was made together"
    )]
    Mismatch(String),
    /// The certificate beside it.
    #[error(transparent)]
    BadCertificate(#[from] CertificateError),
    /// The library refused; no memory, or no random numbers.
    #[error("the cryptographic library failed to {0}")]
    Library(&'static str),
}

/// The DER of the first private key in `bytes` (PEM, or DER taken as it is): PKCS#8, PKCS#1 or SEC 1.
pub(crate) fn der_of(bytes: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    if !pem::is_pem(bytes) {
        return Ok(Zeroizing::new(bytes.to_vec()));
    }
    let mut blocks = pem::blocks(bytes);
    let is_key = |block: &pem::Block| block.label.ends_with("PRIVATE KEY");
    let Some(key) = blocks.iter().position(is_key) else {
        let certificate = blocks.iter().any(|block| block.label.ends_with("CERTIFICATE"));
        return Err(if certificate { KeyError::Certificate } else { KeyError::NotAKey });
    };
    let key = blocks.swap_remove(key);
    if key.encrypted || key.label == "ENCRYPTED PRIVATE KEY" {
        return Err(KeyError::Encrypted);
    }
    key.content.ok_or(KeyError::NotAKey)
}

/// A private key that opens what was sealed for its certificate.
pub struct PrivateKey {
    pub(crate) kind: Kind,
    public: PublicKey,
    certificate: Option<Certificate>,
}

pub(crate) enum Kind {
    Rsa(OaepPrivateDecryptingKey),
    Ec(Curve, agreement::PrivateKey),
}

impl PrivateKey {
    /// From PEM (`PRIVATE KEY`, `RSA PRIVATE KEY`, `EC PRIVATE KEY`) or DER. The caller zeroes `bytes`.
    ///
    /// # Errors
    /// If there is no key in it, it has a password, or is neither RSA nor EC on P-256 or P-384.
    pub fn parse(bytes: &[u8]) -> Result<Self, KeyError> {
        let der = der_of(bytes)?;
        let ec = Curve::ALL.into_iter().find_map(|curve| ec_key(curve, &der));
        let found = ec.or_else(|| rsa_key(&der));
        let (kind, public) = found.ok_or(KeyError::Unsupported("P-256, P-384"))?;
        Ok(Self { kind, public, certificate: None })
    }

    /// The key together with its certificate, so that only the recipient entry with exactly this
    /// certificate's issuer and serial number is opened. Without it, every entry that fits the kind of
    /// key is tried, and a changed name of a recipient goes unnoticed by [`crate::open`].
    ///
    /// # Errors
    /// If the two do not belong together.
    pub fn with_certificate(self, certificate: Certificate) -> Result<Self, KeyError> {
        if self.public != certificate.public_key() {
            return Err(KeyError::Mismatch(certificate.subject()));
        }
        Ok(Self { certificate: Some(certificate), ..self })
    }

    /// The certificate given with it.
    #[must_use]
    pub const fn certificate(&self) -> Option<&Certificate> {
        self.certificate.as_ref()
    }
}

fn ec_key(curve: Curve, der: &[u8]) -> Option<(Kind, PublicKey)> {
    let key = agreement::PrivateKey::from_private_key_der(curve.agreement(), der).ok()?;
    let point = key.compute_public_key().ok()?.as_ref().to_vec();
    Some((Kind::Ec(curve, key), PublicKey::Ec { curve, point }))
}

fn rsa_key(der: &[u8]) -> Option<(Kind, PublicKey)> {
    let key = PrivateDecryptingKey::from_pkcs8(der).ok().or_else(|| {
        // PKCS#1 has to be wrapped first.
        let pair = rsa::KeyPair::from_der(der).ok()?;
        let pkcs8: Pkcs8V1Der<'_> = pair.as_der().ok()?;
        PrivateDecryptingKey::from_pkcs8(pkcs8.as_ref()).ok()
    })?;
    let spki = key.public_key().as_der().ok()?;
    let public = PublicKey::from_spki(&SubjectPublicKeyInfoOwned::from_der(spki.as_ref()).ok()?);
    Some((Kind::Rsa(OaepPrivateDecryptingKey::new(key).ok()?), public))
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({})", self.public)
    }
}
