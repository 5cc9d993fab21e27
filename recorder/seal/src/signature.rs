//! Detached signatures over a manifest: CMS SignedData (RFC 5652, 5) in DER, with one signer, its
//! certificate, and four signed attributes: content type, signing time, message digest (RFC 5652, 11) and
//! signing certificate v2 (RFC 5035), which binds every byte of the certificate.
//!
//! It is what `openssl cms -sign -cades -nosmimecap -binary` writes. For one certificate, time, content
//! and signature value there is exactly one such file. [`verify`] takes these four out of what it is
//! given, checks the signature, writes the file again and compares, so that a change is noticed also
//! where no signature reaches.

use base::Timestamp;
use cms::cert::{CertificateChoices, IssuerAndSerialNumber};
use cms::content_info::{CmsVersion, ContentInfo};
use cms::signed_data::{
    CertificateSet, EncapsulatedContentInfo, SignedData, SignerIdentifier, SignerInfo, SignerInfos,
};
use const_oid::ObjectIdentifier;
use const_oid::db::{rfc5911, rfc5912};
use der::asn1::{GeneralizedTime, OctetString, SetOfVec, UtcTime};
use der::{Any, Decode as _, Encode as _};
use spki::AlgorithmIdentifierOwned;
use x509_cert::attr::{Attribute, Attributes};
use x509_cert::ext::pkix::name::{GeneralName, GeneralNames};
use x509_cert::serial_number::SerialNumber;
use x509_cert::time::Time;

use crate::certificate::Certificate;
use crate::digest::{Sha256Hash, sha256};
use crate::private_key::KeyError;
use crate::signing_key::{SigningKey, algorithms};

/// A signature file takes 1 to 4 KB; a longer one is not read.
pub const SIGNATURE_BYTES_MAX: usize = 64 * 1024;

/// Signs manifests as one node.
#[derive(Debug)]
pub struct Signer {
    key: SigningKey,
    certificate: Certificate,
    algorithm: AlgorithmIdentifierOwned,
}

impl Signer {
    /// From a private key (PEM or DER; the caller zeroes it) and the certificate that belongs to it.
    ///
    /// # Errors
    /// If either cannot be used to sign, or the two do not belong together.
    pub fn new(private_key: &[u8], certificate: Certificate) -> Result<Self, KeyError> {
        let key = SigningKey::parse(private_key)?;
        let public_key = key.public_key()?;
        if public_key != certificate.public_key() {
            return Err(KeyError::Mismatch(certificate.subject()));
        }
        let (_, algorithm) = algorithms(&public_key).ok_or(KeyError::Unsupported("P-256"))?;
        Ok(Self { key, certificate, algorithm })
    }

    /// The certificate that goes into each signature.
    #[must_use]
    pub const fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The signature over `content`, made at `time` (which is kept in whole seconds).
    ///
    /// # Errors
    /// If the library fails.
    pub fn sign(&self, content: &[u8], time: Timestamp) -> Result<Vec<u8>, KeyError> {
        let failed = |_| KeyError::Library("write a signature");
        let attributes = attributes(sha256(content), time, &self.certificate).map_err(failed)?;
        let signature = self.key.sign(&attributes.to_der().map_err(failed)?)?;
        assemble(&self.certificate, attributes, &self.algorithm, &signature).map_err(failed)
    }
}

/// Who signed, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedBy {
    /// Subject of the signer's certificate.
    pub subject: String,
    /// SHA-256 of the signer's certificate.
    pub fingerprint: Sha256Hash,
    /// When, by the signer's clock; whole seconds.
    pub time: Timestamp,
    /// Whether the certificate is one of those trusted, or issued by one. Without that, the signature
    /// says only that nothing changed since somebody signed.
    pub trusted: bool,
    /// Whether the certificate was valid at that time.
    pub valid_then: bool,
}

/// Why a signature does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// Something else, or damaged so that it is not even the right shape.
    #[error("not a signature of this kind, or damaged: {0}")]
    NotASignature(&'static str),
    /// The signature is as it was made, and belongs to other content.
    #[error("altered after it was signed")]
    ContentAltered,
    /// A byte of the signature changed.
    #[error("the signature was altered after it was made")]
    Altered,
}

/// Checks that `p7s` is the signature over `content`, byte for byte as it was made. `trusted` are the
/// certificates to trust; without them [`SignedBy::trusted`] is false.
///
/// # Errors
/// If it is no such signature, or either was altered. A signer who is not trusted is no error here.
pub fn verify(
    p7s: &[u8],
    content: &[u8],
    trusted: Option<&[Certificate]>,
) -> Result<SignedBy, VerifyError> {
    let found = parse(p7s).map_err(VerifyError::NotASignature)?;
    let certificate = &found.certificate;
    let public_key = certificate.public_key();
    let (method, algorithm) =
        algorithms(&public_key).ok_or(VerifyError::NotASignature("unsupported key"))?;
    let attributes =
        attributes(found.digest, found.time, certificate).map_err(|_| VerifyError::Altered)?;
    let signed = attributes.to_der().map_err(|_| VerifyError::Altered)?;
    let again = assemble(certificate, attributes, &algorithm, &found.signature);
    if again.as_deref() != Ok(p7s) || !public_key.verifies(method, &signed, &found.signature) {
        return Err(VerifyError::Altered);
    }
    // Last, so that an unaltered signature puts the blame on the content.
    if found.digest != sha256(content) {
        return Err(VerifyError::ContentAltered);
    }
    let is_trusted =
        |anchor: &Certificate| anchor == certificate || certificate.is_issued_by(anchor);
    Ok(SignedBy {
        subject: certificate.subject(),
        fingerprint: certificate.fingerprint(),
        time: found.time,
        trusted: trusted.is_some_and(|trusted| trusted.iter().any(is_trusted)),
        valid_then: certificate.is_valid_at(found.time),
    })
}

/// What makes a signature file, and makes it completely.
struct Found {
    certificate: Certificate,
    digest: Sha256Hash,
    time: Timestamp,
    signature: Vec<u8>,
}

fn parse(p7s: &[u8]) -> Result<Found, &'static str> {
    if p7s.len() > SIGNATURE_BYTES_MAX {
        return Err("too long");
    }
    let outer = ContentInfo::from_der(p7s).map_err(|_| "no CMS in DER")?;
    let data: SignedData = outer.content.decode_as().map_err(|_| "no CMS SignedData in DER")?;
    let certificates = data.certificates.as_ref().map_or(&[][..], |set| set.0.as_slice());
    let [CertificateChoices::Certificate(certificate)] = certificates else {
        return Err("it does not hold exactly one certificate");
    };
    let certificate = certificate.to_der().map_err(|_| "damaged certificate")?;
    let certificate = Certificate::from_der(&certificate).map_err(|_| "damaged certificate")?;
    let [signer] = data.signer_infos.0.as_slice() else {
        return Err("it does not have exactly one signer");
    };
    let attributes = signer.signed_attrs.as_ref().ok_or("it has no signed attributes")?;
    let digest = value(attributes, rfc5911::ID_MESSAGE_DIGEST).ok_or("it has no message digest")?;
    let digest: OctetString = digest.decode_as().map_err(|_| "damaged message digest")?;
    let digest = digest.as_bytes().try_into().map_err(|_| "its message digest is not SHA-256")?;
    let time = value(attributes, rfc5911::ID_SIGNING_TIME).ok_or("it has no signing time")?;
    let time =
        Time::from_der(&time.to_der().map_err(|_| "damaged time")?).map_err(|_| "damaged time")?;
    let time = Timestamp::ZERO.plus(time.to_unix_duration());
    let signature = signer.signature.as_bytes().to_vec();
    Ok(Found { certificate, digest: Sha256Hash(digest), time, signature })
}

fn value(attributes: &Attributes, oid: ObjectIdentifier) -> Option<&Any> {
    attributes.iter().find(|attribute| attribute.oid == oid)?.values.get(0)
}

/// The signed attributes, sorted as DER wants them.
fn attributes(
    digest: Sha256Hash,
    time: Timestamp,
    certificate: &Certificate,
) -> der::Result<Attributes> {
    let attribute = |oid, value: Any| {
        Ok::<_, der::Error>(Attribute { oid, values: SetOfVec::try_from(vec![value])? })
    };
    SetOfVec::try_from(vec![
        attribute(rfc5911::ID_CONTENT_TYPE, Any::encode_from(&rfc5911::ID_DATA)?)?,
        attribute(rfc5911::ID_SIGNING_TIME, Any::encode_from(&signing_time(time)?)?)?,
        attribute(rfc5911::ID_MESSAGE_DIGEST, Any::encode_from(&OctetString::new(digest.0)?)?)?,
        attribute(rfc5911::ID_AA_SIGNING_CERTIFICATE_V_2, signing_certificate(certificate)?)?,
    ])
}

/// `UTCTime` through 2049, `GeneralizedTime` from then on (RFC 5652, 11.3).
fn signing_time(time: Timestamp) -> der::Result<Time> {
    let seconds = std::time::Duration::from_secs(time.as_nanos() / 1_000_000_000);
    match UtcTime::from_unix_duration(seconds) {
        Ok(time) => Ok(Time::UtcTime(time)),
        Err(_) => Ok(Time::GeneralTime(GeneralizedTime::from_unix_duration(seconds)?)),
    }
}

/// `SigningCertificateV2` (RFC 5035, 3) with the certificate's SHA-256, issuer and serial number.
fn signing_certificate(certificate: &Certificate) -> der::Result<Any> {
    #[derive(der::Sequence)]
    struct SigningCertificate {
        certificates: Vec<CertificateId>,
    }
    #[derive(der::Sequence)]
    struct CertificateId {
        // The hash algorithm in front is left out: SHA-256 is its default.
        hash: OctetString,
        issuer_serial: IssuerSerial,
    }
    #[derive(der::Sequence)]
    struct IssuerSerial {
        issuer: GeneralNames,
        serial_number: SerialNumber,
    }
    let IssuerAndSerialNumber { issuer, serial_number } = certificate.issuer_and_serial();
    let issuer_serial =
        IssuerSerial { issuer: vec![GeneralName::DirectoryName(issuer)], serial_number };
    let hash = OctetString::new(certificate.fingerprint().0)?;
    Any::encode_from(&SigningCertificate {
        certificates: vec![CertificateId { hash, issuer_serial }],
    })
}

/// The one file for these parts.
fn assemble(
    certificate: &Certificate,
    signed_attrs: Attributes,
    signature_algorithm: &AlgorithmIdentifierOwned,
    signature: &[u8],
) -> der::Result<Vec<u8>> {
    // Parameters absent (RFC 5754, 2).
    let sha256 = AlgorithmIdentifierOwned { oid: rfc5912::ID_SHA_256, parameters: None };
    let signer = SignerInfo {
        version: CmsVersion::V1,
        sid: SignerIdentifier::IssuerAndSerialNumber(certificate.issuer_and_serial()),
        digest_alg: sha256.clone(),
        signed_attrs: Some(signed_attrs),
        signature_algorithm: signature_algorithm.clone(),
        signature: OctetString::new(signature)?,
        unsigned_attrs: None,
    };
    let certificates = vec![CertificateChoices::Certificate(certificate.x509().clone())];
    let data = SignedData {
        version: CmsVersion::V1,
        digest_algorithms: SetOfVec::try_from(vec![sha256])?,
        encap_content_info: EncapsulatedContentInfo {
            econtent_type: rfc5911::ID_DATA,
            econtent: None,
        },
        certificates: Some(CertificateSet::try_from(certificates)?),
        crls: None,
        signer_infos: SignerInfos::try_from(vec![signer])?,
    };
    ContentInfo { content_type: rfc5911::ID_SIGNED_DATA, content: Any::encode_from(&data)? }
        .to_der()
}
