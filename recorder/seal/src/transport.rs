//! Key transport: a content key encrypted with RSAES-OAEP (RFC 3560, RFC 4055; RFC 5652, 6.2.1).

use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, OaepPublicEncryptingKey};
use cms::cert::IssuerAndSerialNumber;
use cms::content_info::CmsVersion;
use cms::enveloped_data::{KeyTransRecipientInfo, RecipientIdentifier};
use const_oid::ObjectIdentifier;
use const_oid::db::rfc5912;
use der::Any;
use der::asn1::OctetString;
use spki::AlgorithmIdentifierOwned;
use zeroize::Zeroizing;

use crate::envelope::{CONTENT_KEY_BYTES, ContentKey};

/// The content key for the holder of the certificate `id`. `None` if the library fails.
pub(crate) fn wrap(
    key: &OaepPublicEncryptingKey,
    id: IssuerAndSerialNumber,
    content_key: &ContentKey,
) -> Option<KeyTransRecipientInfo> {
    let mut encrypted = vec![0; key.ciphertext_size()];
    key.encrypt(&OAEP_SHA256_MGF1SHA256, content_key.as_slice(), &mut encrypted, None).ok()?;
    Some(KeyTransRecipientInfo {
        // 0 goes with issuer and serial number.
        version: CmsVersion::V0,
        rid: RecipientIdentifier::IssuerAndSerialNumber(id),
        key_enc_alg: oaep().ok()?,
        enc_key: OctetString::new(encrypted).ok()?,
    })
}

/// The content key, if `info` holds it for `key`.
pub(crate) fn unwrap(
    key: &OaepPrivateDecryptingKey,
    info: &KeyTransRecipientInfo,
) -> Option<ContentKey> {
    let encrypted = info.enc_key.as_bytes();
    if encrypted.len() != key.key_size_bytes() || !is_supported(&info.key_enc_alg) {
        return None;
    }
    let mut plain = Zeroizing::new(vec![0; key.min_output_size()]);
    let plain = key.decrypt(&OAEP_SHA256_MGF1SHA256, encrypted, &mut plain, None).ok()?;
    let content_key: [u8; CONTENT_KEY_BYTES] = (&*plain).try_into().ok()?;
    Some(Zeroizing::new(content_key))
}

fn is_supported(algorithm: &AlgorithmIdentifierOwned) -> bool {
    // OpenSSL leaves out the NULL behind the hash, RFC 4055 (2.1) asks to write it; both mean the same.
    [Some(Any::null()), None].into_iter().any(|hash_parameters| {
        oaep_with(hash_parameters).is_ok_and(|supported| supported == *algorithm)
    })
}

/// `RSAES-OAEP` with SHA-256, MGF1 with SHA-256 and the empty label (RFC 4055, 4.1).
fn oaep() -> der::Result<AlgorithmIdentifierOwned> {
    oaep_with(Some(Any::null()))
}

fn oaep_with(hash_parameters: Option<Any>) -> der::Result<AlgorithmIdentifierOwned> {
    #[derive(der::Sequence)]
    struct Parameters {
        #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
        hash: AlgorithmIdentifierOwned,
        #[asn1(context_specific = "1", tag_mode = "EXPLICIT")]
        mask: AlgorithmIdentifierOwned,
    }
    let hash = algorithm(rfc5912::ID_SHA_256, hash_parameters);
    let mask = algorithm(rfc5912::ID_MGF_1, Some(Any::encode_from(&hash)?));
    let parameters = Parameters { hash, mask };
    Ok(algorithm(rfc5912::ID_RSAES_OAEP, Some(Any::encode_from(&parameters)?)))
}

fn algorithm(oid: ObjectIdentifier, parameters: Option<Any>) -> AlgorithmIdentifierOwned {
    AlgorithmIdentifierOwned { oid, parameters }
}
