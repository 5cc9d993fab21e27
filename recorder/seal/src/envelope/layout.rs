//! The DER around the ciphertext, written and read.
//!
//! Writing computes the lengths from the inside out, so that the ciphertext is produced at its final
//! place. Reading borrows, so that a gigabyte is not copied to look at its head.

use cms::content_info::CmsVersion;
use cms::enveloped_data::{RecipientIdentifier, RecipientInfo};
use const_oid::ObjectIdentifier;
use const_oid::db::{rfc5911, rfc6268};
use der::asn1::{AnyRef, OctetString, OctetStringRef};
use der::{
    Any, Decode as _, Encode, Header, Length, Reader as _, SliceReader, Tag, TagNumber,
    Tagged as _, Writer,
};
use spki::AlgorithmIdentifierOwned;

use super::{NONCE_BYTES, TAG_BYTES};

/// Bytes that the recipients of one file may take. A recipient takes 300 to 1,500.
const RECIPIENTS_BYTES_MAX: usize = 256 * 1024;

#[derive(der::Sequence)]
struct GcmParameters {
    nonce: OctetString,
    /// Written always: only the default of 12 may be left out (RFC 5084, 3.2).
    icv_bytes: u8,
}

fn gcm(nonce: &[u8]) -> der::Result<AlgorithmIdentifierOwned> {
    let parameters = GcmParameters { nonce: OctetString::new(nonce)?, icv_bytes: TAG_BYTES as u8 };
    let parameters = Some(Any::encode_from(&parameters)?);
    Ok(AlgorithmIdentifierOwned { oid: rfc5911::ID_AES_256_GCM, parameters })
}

/// What goes before the ciphertext of `ciphertext_len` bytes; behind it goes only [`tail`].
pub(super) fn head(
    recipients: &[RecipientInfo],
    nonce: &[u8; NONCE_BYTES],
    ciphertext_len: usize,
) -> der::Result<Vec<u8>> {
    let mut recipients: Vec<Vec<u8>> =
        recipients.iter().map(Encode::to_der).collect::<Result<_, _>>()?;
    // DER sorts the elements of a SET OF (X.690, 11.6).
    recipients.sort_unstable();
    let recipients = recipients.concat();
    let content_type = rfc5911::ID_DATA.to_der()?;
    let algorithm = gcm(nonce)?.to_der()?;
    let version = CmsVersion::V0.to_der()?;
    let auth_enveloped_data = rfc6268::ID_CT_AUTH_ENVELOPED_DATA.to_der()?;

    let set = Header::new(Tag::Set, recipients.len().try_into()?);
    let ciphertext = Header::new(context(false), ciphertext_len.try_into()?);
    let content = sequence(&[content_type.len(), algorithm.len()], &[ciphertext])?;
    let envelope = sequence(&[version.len(), 2 + TAG_BYTES], &[set, content])?;
    let explicit = Header::new(context(true), whole(envelope)?);
    let outer = sequence(&[auth_enveloped_data.len()], &[explicit])?;

    let mut out = Vec::with_capacity(recipients.len() + 256);
    outer.encode(&mut out)?;
    out.write(&auth_enveloped_data)?;
    explicit.encode(&mut out)?;
    envelope.encode(&mut out)?;
    out.write(&version)?;
    set.encode(&mut out)?;
    out.write(&recipients)?;
    content.encode(&mut out)?;
    out.write(&content_type)?;
    out.write(&algorithm)?;
    ciphertext.encode(&mut out)?;
    Ok(out)
}

/// What goes behind the ciphertext: the tag as `mac`.
pub(super) fn tail(tag: &[u8; TAG_BYTES]) -> der::Result<Vec<u8>> {
    OctetStringRef::new(tag)?.to_der()
}

/// `[0]`: explicit around a value, or implicit for a string of bytes.
const fn context(constructed: bool) -> Tag {
    Tag::ContextSpecific { constructed, number: TagNumber(0) }
}

/// The bytes of a value with this header, header included.
fn whole(header: Header) -> der::Result<Length> {
    header.encoded_len()? + header.length()
}

/// The header of a sequence of parts of these lengths and values with these headers.
fn sequence(parts: &[usize], headers: &[Header]) -> der::Result<Header> {
    let parts = Length::try_from(parts.iter().sum::<usize>())?;
    let length = headers.iter().try_fold(parts, |sum, header| sum + whole(*header)?)?;
    Ok(Header::new(Tag::Sequence, length))
}

#[derive(der::Sequence)]
struct ContentInfo<'a> {
    content_type: ObjectIdentifier,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    content: AnyRef<'a>,
}

#[derive(der::Sequence)]
struct AuthEnvelopedData<'a> {
    version: CmsVersion,
    recipients: AnyRef<'a>,
    content: EncryptedContentInfo<'a>,
    mac: &'a OctetStringRef,
}

#[derive(der::Sequence)]
struct EncryptedContentInfo<'a> {
    content_type: ObjectIdentifier,
    algorithm: AlgorithmIdentifierOwned,
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT")]
    ciphertext: &'a OctetStringRef,
}

/// A sealed file taken apart.
pub(super) struct Parts<'a> {
    pub(super) recipients: Vec<RecipientInfo>,
    pub(super) nonce: [u8; NONCE_BYTES],
    pub(super) ciphertext: &'a [u8],
    pub(super) tag: [u8; TAG_BYTES],
}

/// Takes `bytes` apart; `Err` says in which part they are not what [`head`] and [`tail`] write.
pub(super) fn parse(bytes: &[u8]) -> Result<Parts<'_>, &'static str> {
    let outer = ContentInfo::from_der(bytes).map_err(|_| "no CMS ContentInfo in DER")?;
    if outer.content_type != rfc6268::ID_CT_AUTH_ENVELOPED_DATA {
        return Err("CMS, but not AuthEnvelopedData");
    }
    let envelope: AuthEnvelopedData<'_> =
        outer.content.decode_as().map_err(|_| "its AuthEnvelopedData has another shape")?;
    // The reader sorts sets and forgives some spellings: only what would be written again is taken.
    if envelope.version != CmsVersion::V0 || !is_written_as(&outer, bytes) {
        return Err("its AuthEnvelopedData is not in DER");
    }
    let nonce = nonce(&envelope.content)?;
    let tag =
        envelope.mac.as_bytes().try_into().map_err(|_| "its authentication tag is not 16 bytes")?;
    let recipients = recipients(envelope.recipients)?;
    Ok(Parts { recipients, nonce, ciphertext: envelope.content.ciphertext.as_bytes(), tag })
}

fn nonce(content: &EncryptedContentInfo<'_>) -> Result<[u8; NONCE_BYTES], &'static str> {
    let unsupported =
        "its content is not data encrypted with AES-256-GCM, nonce of 12, tag of 16 bytes";
    let parameters = content.algorithm.parameters.as_ref().ok_or(unsupported)?;
    let parameters: GcmParameters = parameters.decode_as().map_err(|_| unsupported)?;
    let nonce = parameters.nonce.as_bytes().try_into().map_err(|_| unsupported)?;
    let expected = gcm(parameters.nonce.as_bytes()).map_err(|_| unsupported)?;
    match content.algorithm == expected && content.content_type == rfc5911::ID_DATA {
        true => Ok(nonce),
        false => Err(unsupported),
    }
}

fn recipients(set: AnyRef<'_>) -> Result<Vec<RecipientInfo>, &'static str> {
    let malformed = "its recipients are malformed";
    if set.value().len() > RECIPIENTS_BYTES_MAX {
        return Err("it has too many recipients");
    }
    let elements = elements(set).map_err(|_| malformed)?;
    if elements.len() > base::limits::RECIPIENTS_MAX {
        return Err("it has too many recipients");
    }
    // Sorted by their bytes (X.690, 11.6). `SetOfVec` orders by what they mean, which is another order.
    let (recipients, bytes): (Vec<_>, Vec<_>) = elements.into_iter().unzip();
    let canonical = set.tag() == Tag::Set && bytes.is_sorted() && bytes.concat() == set.value();
    match canonical && recipients.iter().all(has_its_version) {
        true => Ok(recipients),
        false => Err(malformed),
    }
}

/// Each recipient, and how it is written.
fn elements(set: AnyRef<'_>) -> der::Result<Vec<(RecipientInfo, Vec<u8>)>> {
    let mut reader = SliceReader::new(set.value())?;
    let mut elements = Vec::new();
    while !reader.is_finished() {
        let recipient = RecipientInfo::decode(&mut reader)?;
        let bytes = recipient.to_der()?;
        elements.push((recipient, bytes));
    }
    Ok(elements)
}

/// The version follows from how a recipient is named (RFC 5652, 6.2.1 and 6.2.2), and so must not be free.
fn has_its_version(recipient: &RecipientInfo) -> bool {
    match recipient {
        RecipientInfo::Ktri(info) => match info.rid {
            RecipientIdentifier::IssuerAndSerialNumber(_) => info.version == CmsVersion::V0,
            RecipientIdentifier::SubjectKeyIdentifier(_) => info.version == CmsVersion::V2,
        },
        RecipientInfo::Kari(info) => info.version == CmsVersion::V3,
        _ => true,
    }
}

/// Whether encoding `value` gives exactly `bytes`; without a second copy of them.
fn is_written_as(value: &impl Encode, bytes: &[u8]) -> bool {
    struct Same<'a>(&'a [u8]);

    impl Writer for Same<'_> {
        fn write(&mut self, slice: &[u8]) -> der::Result<()> {
            self.0 = self.0.strip_prefix(slice).ok_or(der::ErrorKind::Failed)?;
            Ok(())
        }
    }

    let mut same = Same(bytes);
    value.encode(&mut same).is_ok() && same.0.is_empty()
}
