//! Key agreement: a content key wrapped under what ephemeral-static ECDH agrees on (RFC 5753, 3.1;
//! RFC 5652, 6.2.2; SEC 1 for ECDH and its KDF; RFC 3394 for the wrap).
//!
//! The `cms` crate has a builder for this too. It wraps under an all-zero key; only its types are used.

use aes::Aes256;
use aes_kw::{AesKw, KeyInit as _};
use aws_lc_rs::agreement::{self, EphemeralPrivateKey, UnparsedPublicKey, agree_ephemeral};
use aws_lc_rs::rand::SystemRandom;
use cms::cert::IssuerAndSerialNumber;
use cms::content_info::CmsVersion;
use cms::enveloped_data::{
    KeyAgreeRecipientIdentifier, KeyAgreeRecipientInfo, OriginatorIdentifierOrKey,
    OriginatorPublicKey, RecipientEncryptedKey, UserKeyingMaterial,
};
use const_oid::ObjectIdentifier;
use const_oid::db::{rfc5753, rfc5911, rfc5912};
use der::asn1::{BitString, OctetString};
use der::{Any, Encode as _};
use sha2::{Digest, Sha256, Sha384};
use spki::AlgorithmIdentifierOwned;
use zeroize::Zeroizing;

use crate::envelope::{CONTENT_KEY_BYTES, ContentKey};
use crate::public_key::Curve;

/// Bytes of a key-encryption key (AES-256).
const KEK_BYTES: usize = 32;
/// Bytes of a wrapped content key: the wrap adds 8 (RFC 3394, 2.2.1).
const WRAPPED_BYTES: usize = CONTENT_KEY_BYTES + 8;

type Kek = Zeroizing<[u8; KEK_BYTES]>;

/// The content key for the holder of the certificate `id`, whose key is `point` on `curve`. `None` if
/// the library fails.
pub(crate) fn wrap(
    curve: Curve,
    point: &[u8],
    id: IssuerAndSerialNumber,
    content_key: &ContentKey,
) -> Option<KeyAgreeRecipientInfo> {
    let kdf = Kdf::for_curve(curve);
    let shared_info = shared_info(None).ok()?;
    let ephemeral = EphemeralPrivateKey::generate(curve.agreement(), &SystemRandom::new()).ok()?;
    let originator = ephemeral.compute_public_key().ok()?;
    let recipient = UnparsedPublicKey::new(curve.agreement(), point);
    let kek =
        agree_ephemeral(ephemeral, recipient, (), |z| Ok(kdf.derive(z, &shared_info))).ok()?;
    let mut wrapped = [0; WRAPPED_BYTES];
    cipher(&kek).wrap_key(content_key.as_slice(), &mut wrapped).ok()?;
    Some(KeyAgreeRecipientInfo {
        // Always 3.
        version: CmsVersion::V3,
        originator: OriginatorIdentifierOrKey::OriginatorKey(OriginatorPublicKey {
            algorithm: AlgorithmIdentifierOwned {
                oid: rfc5912::ID_EC_PUBLIC_KEY,
                parameters: None,
            },
            public_key: BitString::from_bytes(originator.as_ref()).ok()?,
        }),
        ukm: None,
        key_enc_alg: kdf.algorithm().ok()?,
        recipient_enc_keys: vec![RecipientEncryptedKey {
            rid: KeyAgreeRecipientIdentifier::IssuerAndSerialNumber(id),
            enc_key: OctetString::new(wrapped).ok()?,
        }],
    })
}

/// The content key, if `wrapped` (one of the keys in `info`) holds it for `key`.
pub(crate) fn unwrap(
    curve: Curve,
    key: &agreement::PrivateKey,
    info: &KeyAgreeRecipientInfo,
    wrapped: &RecipientEncryptedKey,
) -> Option<ContentKey> {
    let OriginatorIdentifierOrKey::OriginatorKey(originator) = &info.originator else {
        return None;
    };
    let point = originator.public_key.as_bytes()?;
    let kdf =
        Kdf::ALL.into_iter().find(|kdf| kdf.algorithm().is_ok_and(|a| a == info.key_enc_alg))?;
    if !is_ec_key_on(&originator.algorithm, curve) || !curve.is_uncompressed(point) {
        return None;
    }
    let shared_info = shared_info(info.ukm.as_ref()).ok()?;
    let originator = UnparsedPublicKey::new(curve.agreement(), point);
    let kek = agreement::agree(key, originator, (), |z| Ok(kdf.derive(z, &shared_info))).ok()?;
    let mut content_key = Zeroizing::new([0; CONTENT_KEY_BYTES]);
    let wrapped: &[u8; WRAPPED_BYTES] = wrapped.enc_key.as_bytes().try_into().ok()?;
    cipher(&kek).unwrap_key(wrapped, content_key.as_mut_slice()).ok()?;
    Some(content_key)
}

fn cipher(kek: &Kek) -> AesKw<Aes256> {
    AesKw::new((&**kek).into())
}

/// RFC 5753 (3.1.1) lets the parameters be absent, NULL or the curve.
fn is_ec_key_on(algorithm: &AlgorithmIdentifierOwned, curve: Curve) -> bool {
    let parameters = match &algorithm.parameters {
        None => true,
        Some(any) => *any == Any::null() || any.decode_as::<ObjectIdentifier>() == Ok(curve.oid()),
    };
    algorithm.oid == rfc5912::ID_EC_PUBLIC_KEY && parameters
}

/// The key derivation function of ANSI X9.63 (SEC 1, 3.6.1), by its hash.
#[derive(Clone, Copy, Debug)]
enum Kdf {
    Sha256,
    Sha384,
}

impl Kdf {
    const ALL: [Self; 2] = [Self::Sha256, Self::Sha384];

    /// A hash as strong as the curve (RFC 5753, 7.2).
    const fn for_curve(curve: Curve) -> Self {
        match curve {
            Curve::P256 => Self::Sha256,
            Curve::P384 => Self::Sha384,
        }
    }

    /// `dhSinglePass-stdDH-sha...kdf-scheme` with AES-256 key wrap (RFC 5753, 7.1.4 and 7.1.5).
    fn algorithm(self) -> der::Result<AlgorithmIdentifierOwned> {
        let oid = match self {
            Self::Sha256 => rfc5753::DH_SINGLE_PASS_STD_DH_SHA_256_KDF_SCHEME,
            Self::Sha384 => rfc5753::DH_SINGLE_PASS_STD_DH_SHA_384_KDF_SCHEME,
        };
        Ok(AlgorithmIdentifierOwned { oid, parameters: Some(Any::encode_from(&key_wrap())?) })
    }

    /// The key-encryption key of the shared secret `z`. Both hashes are at least as long as the key, so
    /// that the first of the function's blocks is enough.
    fn derive(self, z: &[u8], shared_info: &[u8]) -> Kek {
        match self {
            Self::Sha256 => first_block::<Sha256>(z, shared_info),
            Self::Sha384 => first_block::<Sha384>(z, shared_info),
        }
    }
}

fn first_block<D: Digest>(z: &[u8], shared_info: &[u8]) -> Kek {
    let counter = 1_u32.to_be_bytes();
    let block = D::new().chain_update(z).chain_update(counter).chain_update(shared_info).finalize();
    let mut kek = Zeroizing::new([0; KEK_BYTES]);
    kek.iter_mut().zip(block.iter()).for_each(|(to, from)| *to = *from);
    kek
}

/// AES-256 key wrap; its parameters are absent (RFC 3565, 2.3.2).
const fn key_wrap() -> AlgorithmIdentifierOwned {
    AlgorithmIdentifierOwned { oid: rfc5911::ID_AES_256_WRAP, parameters: None }
}

/// `ECC-CMS-SharedInfo` (RFC 5753, 7.2).
fn shared_info(ukm: Option<&UserKeyingMaterial>) -> der::Result<Vec<u8>> {
    #[derive(der::Sequence)]
    struct SharedInfo {
        key_info: AlgorithmIdentifierOwned,
        #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
        entity_u_info: Option<OctetString>,
        #[asn1(context_specific = "2", tag_mode = "EXPLICIT")]
        supp_pub_info: OctetString,
    }
    let kek_bits = KEK_BYTES as u32 * 8;
    let supp_pub_info = OctetString::new(kek_bits.to_be_bytes())?;
    SharedInfo { key_info: key_wrap(), entity_u_info: ukm.cloned(), supp_pub_info }.to_der()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        let digits = hex.as_bytes().as_chunks::<2>().0;
        digits
            .iter()
            .map(|d| u8::from_str_radix(std::str::from_utf8(d).unwrap(), 16).unwrap())
            .collect()
    }

    #[test]
    fn kdf_gives_the_nist_example() {
        // CAVP, ANSI X9.63-2001, SHA-256, shared secret of 192 bits, no shared info, count 0: 16 bytes.
        let z = bytes("96c05619d56c328ab95fe84b18264b08725b85e33fd34f08");
        assert_eq!(Kdf::Sha256.derive(&z, b"")[..16], bytes("443024c3dae66b95e6f5670601558f71"));
    }

    #[test]
    fn kdf_agrees_with_openssl() {
        let z: Vec<u8> = (0..48).collect();
        let info = shared_info(None).unwrap();
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        for (kdf, digest) in [(Kdf::Sha256, "SHA256"), (Kdf::Sha384, "SHA384")] {
            let mut openssl = std::process::Command::new("openssl");
            openssl.args(["kdf", "-keylen", "32", "-kdfopt"]).arg(format!("digest:{digest}"));
            openssl.arg("-kdfopt").arg(format!("hexsecret:{}", hex(&z)));
            openssl.arg("-kdfopt").arg(format!("hexinfo:{}", hex(&info))).arg("X963KDF");
            let printed = String::from_utf8(openssl.output().unwrap().stdout).unwrap();
            let printed = printed.trim().replace(':', "").to_lowercase();
            assert_eq!(hex(kdf.derive(&z, &info).as_slice()), printed, "{digest}");
        }
    }

    #[test]
    fn shared_info_is_the_one_of_rfc_5753() {
        // SEQUENCE { { id-aes256-wrap }, [2] { OCTET STRING 256 as four bytes } }
        let expected = "3015300b060960864801650304012da206040400000100";
        assert_eq!(shared_info(None).unwrap(), bytes(expected));
        let ukm = OctetString::new([0xAA; 2]).unwrap();
        let expected = "301b300b060960864801650304012da0040402aaaaa206040400000100";
        assert_eq!(shared_info(Some(&ukm)).unwrap(), bytes(expected));
    }

    #[test]
    fn wrap_gives_the_example_of_rfc_3394_4_6() {
        let kek: Kek = Zeroizing::new(std::array::from_fn(|place| place as u8));
        let key = bytes("00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f");
        let mut wrapped = [0; WRAPPED_BYTES];
        cipher(&kek).wrap_key(&key, &mut wrapped).unwrap();
        let expected =
            "28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21";
        assert_eq!(wrapped.to_vec(), bytes(expected));
    }
}
