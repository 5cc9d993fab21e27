//! X.509 certificates (RFC 5280) as recipients, signers and trust anchors.

use std::fmt;

use base::Timestamp;
use cms::cert::IssuerAndSerialNumber;
use der::{Decode as _, Reader as _};
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage};

use crate::digest::{Sha256Hash, sha256};
use crate::pem;
use crate::public_key::PublicKey;

/// Why bytes are not a usable certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// No PEM block of the right kind, no DER.
    #[error(
        "not a certificate: neither a PEM block `CERTIFICATE` nor DER; give an X.509 certificate file"
    )]
    NotACertificate,
    /// The neighbouring file.
    #[error("this is a private key, not a certificate; give the certificate that belongs to it")]
    PrivateKey,
    /// It says that it is one.
    #[error("the certificate is damaged: {0}; export it again")]
    Damaged(String),
}

/// An X.509 certificate: its exact bytes and what they say.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    der: Vec<u8>,
    x509: x509_cert::Certificate,
}

impl Certificate {
    /// The first certificate in `bytes`, PEM or DER.
    ///
    /// # Errors
    /// If there is none, or it is damaged.
    pub fn parse(bytes: &[u8]) -> Result<Self, CertificateError> {
        Self::parse_all(bytes)?.into_iter().next().ok_or(CertificateError::NotACertificate)
    }

    /// Every certificate in `bytes`: one in DER, or at least one PEM block.
    ///
    /// # Errors
    /// If there is none, or one is damaged.
    pub fn parse_all(bytes: &[u8]) -> Result<Vec<Self>, CertificateError> {
        if !pem::is_pem(bytes) {
            return Ok(vec![Self::from_der(bytes).map_err(|_| CertificateError::NotACertificate)?]);
        }
        let blocks = pem::blocks(bytes);
        let labels = ["CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE"];
        let mut found = Vec::new();
        for block in blocks.iter().filter(|block| labels.contains(&block.label.as_str())) {
            let der = block
                .content
                .as_deref()
                .ok_or_else(|| CertificateError::Damaged("not base64".into()))?;
            found.push(Self::from_der(der)?);
        }
        match blocks.iter().any(|block| block.label.ends_with("PRIVATE KEY")) {
            true if found.is_empty() => Err(CertificateError::PrivateKey),
            _ if found.is_empty() => Err(CertificateError::NotACertificate),
            _ => Ok(found),
        }
    }

    /// From DER, nothing before or behind it.
    ///
    /// # Errors
    /// If it is not the DER of a certificate.
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        let x509 = x509_cert::Certificate::from_der(der)
            .map_err(|e| CertificateError::Damaged(e.to_string()))?;
        Ok(Self { der: der.to_vec(), x509 })
    }

    /// The certificate's bytes.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// As a PEM block.
    #[must_use]
    pub fn to_pem(&self) -> String {
        pem::encode("CERTIFICATE", &self.der).to_string()
    }

    /// Whose it is, as RFC 4514 writes names: `CN=Spanreel node span1`.
    #[must_use]
    pub fn subject(&self) -> String {
        self.x509.tbs_certificate().subject().to_string()
    }

    /// Who issued it, likewise.
    #[must_use]
    pub fn issuer(&self) -> String {
        self.x509.tbs_certificate().issuer().to_string()
    }

    /// The serial number, upper-case hexadecimal as OpenSSL prints it.
    #[must_use]
    pub fn serial(&self) -> String {
        serial(self.x509.tbs_certificate().serial_number())
    }

    /// SHA-256 of the DER: the certificate's fingerprint.
    #[must_use]
    pub fn fingerprint(&self) -> Sha256Hash {
        sha256(&self.der)
    }

    /// The algorithm and size of its key, e.g. `P-256`, `RSA-3072`.
    #[must_use]
    pub fn key_algorithm(&self) -> String {
        self.public_key().to_string()
    }

    /// First moment at which it holds.
    #[must_use]
    pub fn not_before(&self) -> Timestamp {
        timestamp(self.x509.tbs_certificate().validity().not_before)
    }

    /// Last second in which it holds.
    #[must_use]
    pub fn not_after(&self) -> Timestamp {
        timestamp(self.x509.tbs_certificate().validity().not_after)
    }

    /// Whether `time` is within its validity.
    #[must_use]
    pub fn is_valid_at(&self, time: Timestamp) -> bool {
        self.not_before() <= time
            && time.minus(std::time::Duration::from_secs(1)) < self.not_after()
    }

    /// Whether `issuer` is a certificate authority, is named as issuer and signed it. Validity times are
    /// not looked at.
    #[must_use]
    pub fn is_issued_by(&self, issuer: &Self) -> bool {
        let tbs = self.x509.tbs_certificate();
        let signature = self.x509.signature();
        let algorithm = self.x509.signature_algorithm();
        let (Some(message), Some(signature)) = (self.signed_part(), signature.as_bytes()) else {
            return false;
        };
        issuer.may_issue()
            && tbs.issuer() == issuer.x509.tbs_certificate().subject()
            && tbs.signature() == algorithm
            && issuer.public_key().verifies(algorithm.oid, message, signature)
    }

    /// Without this, whoever holds a key that may only sign manifests could make certificates for it.
    fn may_issue(&self) -> bool {
        let constraints = self.x509.tbs_certificate().get_extension::<BasicConstraints>();
        constraints.ok().flatten().is_some_and(|(_, constraints)| constraints.ca)
            && self.key_usage().is_none_or(|usage| usage.key_cert_sign())
    }

    /// The bytes that its issuer signed: the first element of the outer sequence.
    fn signed_part(&self) -> Option<&[u8]> {
        let mut reader = der::SliceReader::new(&self.der).ok()?;
        der::Header::decode(&mut reader).ok()?;
        reader.tlv_bytes().ok()
    }

    pub(crate) const fn x509(&self) -> &x509_cert::Certificate {
        &self.x509
    }

    pub(crate) fn public_key(&self) -> PublicKey {
        PublicKey::from_spki(self.x509.tbs_certificate().subject_public_key_info())
    }

    pub(crate) fn issuer_and_serial(&self) -> IssuerAndSerialNumber {
        let tbs = self.x509.tbs_certificate();
        IssuerAndSerialNumber {
            issuer: tbs.issuer().clone(),
            serial_number: tbs.serial_number().clone(),
        }
    }

    /// The key usage extension; `None` if there is none, and so no restriction (RFC 5280, 4.2.1.3).
    pub(crate) fn key_usage(&self) -> Option<KeyUsage> {
        self.x509
            .tbs_certificate()
            .get_extension::<KeyUsage>()
            .ok()
            .flatten()
            .map(|(_, usage)| usage)
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({}, serial {})", self.subject(), self.serial())
    }
}

/// `issuer CN=Spanreel recording key, serial 1A2B`: how a recipient is named in messages.
pub(crate) fn describe(id: &IssuerAndSerialNumber) -> String {
    format!("issuer {}, serial {}", id.issuer, serial(&id.serial_number))
}

/// Without the zero byte that DER puts before a high bit.
fn serial(number: &x509_cert::serial_number::SerialNumber) -> String {
    let bytes = number.as_bytes();
    let digits = bytes.strip_prefix(&[0]).filter(|rest| !rest.is_empty()).unwrap_or(bytes);
    digits.iter().map(|byte| format!("{byte:02X}")).collect()
}

fn timestamp(time: x509_cert::time::Time) -> Timestamp {
    Timestamp::ZERO.plus(time.to_unix_duration())
}
