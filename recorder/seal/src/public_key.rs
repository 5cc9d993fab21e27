//! The public keys that this crate works with: RSA of 2,048 to 8,192 bits, and the NIST curves P-256 and
//! P-384 (RFC 3279, 5480).

use aws_lc_rs::agreement;
use aws_lc_rs::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use const_oid::ObjectIdentifier;
use const_oid::db::rfc5912;
use der::Encode as _;
use spki::SubjectPublicKeyInfoOwned;

/// Below this, RSA is breakable within the time that recordings are kept (NIST SP 800-57, table 2).
pub(crate) const RSA_BITS_MIN: usize = 2_048;
/// The longest that AWS-LC takes.
pub(crate) const RSA_BITS_MAX: usize = 8_192;

/// The curves that an EC key may be on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Curve {
    P256,
    P384,
}

impl Curve {
    pub(crate) const ALL: [Self; 2] = [Self::P256, Self::P384];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
        }
    }

    pub(crate) const fn oid(self) -> ObjectIdentifier {
        match self {
            Self::P256 => rfc5912::SECP_256_R_1,
            Self::P384 => rfc5912::SECP_384_R_1,
        }
    }

    pub(crate) fn agreement(self) -> &'static agreement::Algorithm {
        match self {
            Self::P256 => &agreement::ECDH_P256,
            Self::P384 => &agreement::ECDH_P384,
        }
    }

    /// Whether `point` has the form of an uncompressed point (SEC 1, 2.3.3). The library also takes
    /// compressed and hybrid ones, which would give one point several spellings.
    pub(crate) fn is_uncompressed(self, point: &[u8]) -> bool {
        let bytes = match self {
            Self::P256 => 65,
            Self::P384 => 97,
        };
        point.len() == bytes && point.first() == Some(&4)
    }
}

/// A certificate's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PublicKey {
    Rsa {
        /// `SubjectPublicKeyInfo`.
        spki: Vec<u8>,
        bits: usize,
    },
    Ec {
        curve: Curve,
        /// Uncompressed.
        point: Vec<u8>,
    },
    /// Something else, by its algorithm as a person knows it.
    Other(String),
}

impl PublicKey {
    pub(crate) fn from_spki(spki: &SubjectPublicKeyInfoOwned) -> Self {
        let algorithm = spki.algorithm.oid;
        let key = match algorithm {
            rfc5912::RSA_ENCRYPTION => rsa(spki),
            rfc5912::ID_EC_PUBLIC_KEY => ec(spki),
            _ => None,
        };
        key.unwrap_or_else(|| Self::Other(name(spki)))
    }

    /// Whether `signature` by this key over `message` holds. False for algorithms not known here.
    pub(crate) fn verifies(
        &self,
        algorithm: ObjectIdentifier,
        message: &[u8],
        signature: &[u8],
    ) -> bool {
        let (key, algorithm): (&[u8], &dyn VerificationAlgorithm) = match (self, algorithm) {
            (Self::Rsa { spki, .. }, rfc5912::SHA_256_WITH_RSA_ENCRYPTION) => {
                (spki, &signature::RSA_PKCS1_2048_8192_SHA256)
            }
            (Self::Rsa { spki, .. }, rfc5912::SHA_384_WITH_RSA_ENCRYPTION) => {
                (spki, &signature::RSA_PKCS1_2048_8192_SHA384)
            }
            (Self::Rsa { spki, .. }, rfc5912::SHA_512_WITH_RSA_ENCRYPTION) => {
                (spki, &signature::RSA_PKCS1_2048_8192_SHA512)
            }
            (Self::Ec { curve: Curve::P256, point }, rfc5912::ECDSA_WITH_SHA_256) => {
                (point, &signature::ECDSA_P256_SHA256_ASN1)
            }
            (Self::Ec { curve: Curve::P256, point }, rfc5912::ECDSA_WITH_SHA_384) => {
                (point, &signature::ECDSA_P256_SHA384_ASN1)
            }
            (Self::Ec { curve: Curve::P384, point }, rfc5912::ECDSA_WITH_SHA_256) => {
                (point, &signature::ECDSA_P384_SHA256_ASN1)
            }
            (Self::Ec { curve: Curve::P384, point }, rfc5912::ECDSA_WITH_SHA_384) => {
                (point, &signature::ECDSA_P384_SHA384_ASN1)
            }
            _ => return false,
        };
        UnparsedPublicKey::new(algorithm, key).verify(message, signature).is_ok()
    }
}

/// What to call this key in a message, e.g. `RSA-3072`.
impl std::fmt::Display for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Rsa { bits, .. } => write!(f, "RSA-{bits}"),
            Self::Ec { curve, .. } => f.write_str(curve.name()),
            Self::Other(name) => f.write_str(name),
        }
    }
}

fn rsa(spki: &SubjectPublicKeyInfoOwned) -> Option<PublicKey> {
    #[derive(der::Sequence)]
    struct RsaPublicKey {
        modulus: der::asn1::Uint,
        exponent: der::asn1::Uint,
    }
    let key = <RsaPublicKey as der::Decode>::from_der(spki.subject_public_key.as_bytes()?).ok()?;
    let modulus = key.modulus.as_bytes();
    let bits = modulus.len() * 8 - modulus.first()?.leading_zeros() as usize;
    Some(PublicKey::Rsa { spki: spki.to_der().ok()?, bits })
}

fn ec(spki: &SubjectPublicKeyInfoOwned) -> Option<PublicKey> {
    let parameters: ObjectIdentifier = spki.algorithm.parameters.as_ref()?.decode_as().ok()?;
    let curve = Curve::ALL.into_iter().find(|curve| curve.oid() == parameters)?;
    let point = spki.subject_public_key.as_bytes()?;
    curve.is_uncompressed(point).then(|| PublicKey::Ec { curve, point: point.to_vec() })
}

fn name(spki: &SubjectPublicKeyInfoOwned) -> String {
    let name = |oid: &ObjectIdentifier| match const_oid::db::DB.by_oid(oid) {
        Some(name) => name.to_owned(),
        None => oid.to_string(),
    };
    let curve =
        spki.algorithm.parameters.as_ref().and_then(|p| p.decode_as::<ObjectIdentifier>().ok());
    match curve {
        Some(curve) => format!("{} on {}", name(&spki.algorithm.oid), name(&curve)),
        None => name(&spki.algorithm.oid),
    }
}
