//! Private keys that sign: ECDSA on P-256, and RSA with PKCS#1 v1.5 padding, both over SHA-256. The padding
//! is the one that `openssl cms` uses and expects unless told otherwise.

use std::fmt;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use const_oid::ObjectIdentifier;
use const_oid::db::rfc5912;
use der::{Any, Decode as _};
use spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};

use crate::private_key::{KeyError, der_of};
use crate::public_key::{Curve, PublicKey, RSA_BITS_MAX, RSA_BITS_MIN};

pub(crate) enum SigningKey {
    Ecdsa(EcdsaKeyPair),
    Rsa(RsaKeyPair),
}

impl SigningKey {
    /// From PEM or DER: PKCS#8, PKCS#1 or SEC 1.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, KeyError> {
        let der = der_of(bytes)?;
        let ecdsa = EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_ASN1_SIGNING, &der);
        let rsa = || RsaKeyPair::from_pkcs8(&der).or_else(|_| RsaKeyPair::from_der(&der));
        ecdsa
            .map(Self::Ecdsa)
            .or_else(|_| rsa().map(Self::Rsa))
            .map_err(|_| KeyError::Unsupported("P-256"))
    }

    pub(crate) fn public_key(&self) -> Result<PublicKey, KeyError> {
        let failed = KeyError::Library("compute a public key");
        match self {
            Self::Ecdsa(pair) => {
                Ok(PublicKey::Ec { curve: Curve::P256, point: pair.public_key().as_ref().to_vec() })
            }
            Self::Rsa(pair) => {
                let der = pair.public_key().as_der().map_err(|_| failed.clone())?;
                let spki = SubjectPublicKeyInfoOwned::from_der(der.as_ref()).map_err(|_| failed)?;
                Ok(PublicKey::from_spki(&spki))
            }
        }
    }

    /// The signature over `message`.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let failed = |_| KeyError::Library("sign");
        let random = SystemRandom::new();
        match self {
            Self::Ecdsa(pair) => Ok(pair.sign(&random, message).map_err(failed)?.as_ref().to_vec()),
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).map_err(failed)?;
                Ok(signature)
            }
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ecdsa(_) => "SigningKey(P-256)",
            Self::Rsa(_) => "SigningKey(RSA)",
        })
    }
}

/// How a signature by `key` is made, and how CMS names it (RFC 5753, 2.1.1; RFC 3370, 3.2: for RSA the
/// name of the key, not of the signature). `None` for keys that do not sign manifests.
pub(crate) fn algorithms(key: &PublicKey) -> Option<(ObjectIdentifier, AlgorithmIdentifierOwned)> {
    let named = |oid, parameters| AlgorithmIdentifierOwned { oid, parameters };
    match key {
        PublicKey::Rsa { bits, .. } if (RSA_BITS_MIN..=RSA_BITS_MAX).contains(bits) => Some((
            rfc5912::SHA_256_WITH_RSA_ENCRYPTION,
            named(rfc5912::RSA_ENCRYPTION, Some(Any::null())),
        )),
        PublicKey::Ec { curve: Curve::P256, .. } => {
            Some((rfc5912::ECDSA_WITH_SHA_256, named(rfc5912::ECDSA_WITH_SHA_256, None)))
        }
        _ => None,
    }
}
