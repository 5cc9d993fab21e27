//! New key pairs with a certificate that they sign themselves.

use std::time::Duration;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _, RsaKeyPair,
};
use base::Timestamp;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, PublicKeyData, SerialNumber, SignatureAlgorithm,
};
use zeroize::Zeroizing;

use crate::private_key::KeyError;
use crate::signing_key::SigningKey;
use crate::{Certificate, pem};

/// What a key pair is for. It decides the certificate's name and key usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose<'a> {
    /// Recordings are sealed for it: the private key is needed to listen.
    Recording,
    /// This node signs manifests with it.
    Node(&'a str),
    /// This node makes its catalog anew with it: the metadata are sealed for it too, the media never.
    Catalog(&'a str),
    /// This node's web server shows it to browsers (TLS), which know the server by these names and IP addresses; at
    /// least one.
    Server(&'a [String]),
}

/// The kind of a new key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Algorithm {
    /// EC on P-256: ECDH or ECDSA.
    #[default]
    P256,
    /// RSA of 3,072 bits, as strong (NIST SP 800-57, table 2).
    Rsa3072,
}

/// A new key pair, as the two files that it becomes.
pub struct KeyPair {
    /// The certificate, PEM.
    pub certificate: String,
    /// The private key, PKCS#8 PEM; for a file that only its owner can read.
    pub private_key: Zeroizing<String>,
}

/// A new key pair for `purpose`, with a self-signed certificate for the time from `not_before` to
/// `not_after` (whole seconds).
///
/// # Errors
/// If the library fails.
pub fn create(
    purpose: Purpose<'_>,
    algorithm: Algorithm,
    not_before: Timestamp,
    not_after: Timestamp,
) -> Result<KeyPair, KeyError> {
    let failed = KeyError::Library("make a certificate");
    let pkcs8 = generate(algorithm).ok_or(KeyError::Library("make a key pair"))?;
    let key = SigningKey::parse(&pkcs8)?;
    let mut serial = [0; 16];
    aws_lc_rs::rand::fill(&mut serial).map_err(|_| failed.clone())?;
    // Positive and of full length (RFC 5280, 4.1.2.2).
    let [first, ..] = &mut serial;
    *first = *first & 0x7F | 0x40;
    let names = if let Purpose::Server(names) = purpose { names.to_vec() } else { Vec::new() };
    let mut parameters = CertificateParams::new(names).map_err(|_| failed.clone())?;
    parameters.serial_number = Some(SerialNumber::from_slice(&serial));
    parameters.distinguished_name = name(purpose);
    parameters.key_usages = usage(purpose, algorithm);
    if matches!(purpose, Purpose::Server(_)) {
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    }
    parameters.is_ca = IsCa::ExplicitNoCa;
    parameters.not_before = rcgen::date_time_ymd(1970, 1, 1) + since_epoch(not_before);
    parameters.not_after = rcgen::date_time_ymd(1970, 1, 1) + since_epoch(not_after);
    let certificate = parameters.self_signed(&Pair::of(&key)).map_err(|_| failed.clone())?;
    let certificate = Certificate::from_der(certificate.der()).map_err(|_| failed)?.to_pem();
    Ok(KeyPair { certificate, private_key: pem::encode("PRIVATE KEY", &pkcs8) })
}

/// PKCS#8.
fn generate(algorithm: Algorithm) -> Option<Zeroizing<Vec<u8>>> {
    let random = SystemRandom::new();
    // Both documents zero themselves.
    let pkcs8 = match algorithm {
        Algorithm::P256 => {
            let document =
                EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).ok()?;
            Zeroizing::new(document.as_ref().to_vec())
        }
        Algorithm::Rsa3072 => {
            let pair = RsaKeyPair::generate(KeySize::Rsa3072).ok()?;
            Zeroizing::new(pair.as_der().ok()?.as_ref().to_vec())
        }
    };
    Some(pkcs8)
}

fn name(purpose: Purpose<'_>) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    match purpose {
        Purpose::Recording => name.push(DnType::CommonName, "Spanreel recording key"),
        Purpose::Node(node) => name.push(DnType::CommonName, format!("Spanreel node {node}")),
        Purpose::Catalog(node) => {
            name.push(DnType::CommonName, format!("Spanreel catalog of {node}"))
        }
        Purpose::Server(names) => {
            let first = names.first().map_or("", String::as_str);
            name.push(DnType::CommonName, format!("Spanreel on {first}"))
        }
    }
    name
}

fn usage(purpose: Purpose<'_>, algorithm: Algorithm) -> Vec<KeyUsagePurpose> {
    vec![match (purpose, algorithm) {
        (Purpose::Node(_) | Purpose::Server(_), _) => KeyUsagePurpose::DigitalSignature,
        (_, Algorithm::P256) => KeyUsagePurpose::KeyAgreement,
        (_, Algorithm::Rsa3072) => KeyUsagePurpose::KeyEncipherment,
    }]
}

fn since_epoch(time: Timestamp) -> Duration {
    Duration::from_secs(time.as_nanos() / 1_000_000_000)
}

/// Lets rcgen sign with our key, so that it never holds a copy of it.
struct Pair<'a> {
    key: &'a SigningKey,
    public_key: &'a [u8],
}

impl<'a> Pair<'a> {
    fn of(key: &'a SigningKey) -> Self {
        let public_key = match key {
            SigningKey::Ecdsa(pair) => pair.public_key().as_ref(),
            SigningKey::Rsa(pair) => pair.public_key().as_ref(),
        };
        Self { key, public_key }
    }
}

impl PublicKeyData for Pair<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.public_key
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        match self.key {
            SigningKey::Ecdsa(_) => &PKCS_ECDSA_P256_SHA256,
            SigningKey::Rsa(_) => &PKCS_RSA_SHA256,
        }
    }
}

impl rcgen::SigningKey for Pair<'_> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        self.key.sign(message).map_err(|_| rcgen::Error::RemoteKeyError)
    }
}
