//! Opening.

use aws_lc_rs::aead::{Aad, Nonce};
use cms::cert::IssuerAndSerialNumber;
use cms::enveloped_data::{
    KeyAgreeRecipientIdentifier, KeyAgreeRecipientInfo, KeyTransRecipientInfo, RecipientIdentifier,
    RecipientInfo,
};
use zeroize::Zeroizing;

use super::layout::{self, Parts};
use super::{ContentKey, cipher};
use crate::certificate::describe;
use crate::private_key::{Kind, PrivateKey};
use crate::{agreement, transport};

/// Why a sealed file cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Something else, or damaged so that it is not even the right shape.
    #[error("not a sealed file, or damaged: {0}")]
    NotSealed(&'static str),
    /// None of its recipients is the holder of the key.
    #[error("not sealed for this key, but for: {}; give the key of one of these", .recipients.join("; "))]
    NotForThisKey {
        /// Issuer and serial number of each recipient's certificate.
        recipients: Vec<String>,
    },
    /// The shape is right, the content is not what was sealed.
    #[error("the file was altered or damaged after it was sealed; restore it from a copy")]
    Altered,
}

/// The plain content of the sealed file `cms`.
///
/// # Errors
/// If it is not one, is for somebody else, or was altered. Nothing of an altered file is returned.
pub fn open(cms: &[u8], key: &PrivateKey) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let parts = layout::parse(cms).map_err(OpenError::NotSealed)?;
    let content_key = content_key(&parts, key)?;
    let cipher = cipher(&content_key).ok_or(OpenError::Altered)?;
    let mut plain = Zeroizing::new(parts.ciphertext.to_vec());
    let nonce = Nonce::assume_unique_for_key(parts.nonce);
    cipher
        .open_in_place_separate_tag(nonce, Aad::empty(), &parts.tag, &mut plain)
        .map_err(|_| OpenError::Altered)?;
    Ok(plain)
}

/// For whom the sealed file `cms` is: issuer and serial number of each certificate. Needs no key.
///
/// # Errors
/// If it is not a sealed file.
pub fn recipients(cms: &[u8]) -> Result<Vec<String>, OpenError> {
    let parts = layout::parse(cms).map_err(OpenError::NotSealed)?;
    Ok(names(&parts))
}

fn names(parts: &Parts<'_>) -> Vec<String> {
    parts.recipients.iter().flat_map(entries).map(|entry| entry.name()).collect()
}

fn content_key(parts: &Parts<'_>, key: &PrivateKey) -> Result<ContentKey, OpenError> {
    let mine = key.certificate().map(crate::Certificate::issuer_and_serial);
    let entries = parts.recipients.iter().flat_map(entries);
    let mut fitting =
        entries.filter(|entry| mine.is_none() || entry.id() == mine.as_ref()).peekable();
    let named = mine.is_some() && fitting.peek().is_some();
    fitting.find_map(|entry| entry.unwrap(key)).ok_or_else(|| match named {
        // The entry is there by name, and yet does not give way to the right key.
        true => OpenError::Altered,
        false => OpenError::NotForThisKey { recipients: names(parts) },
    })
}

/// One wrapped content key.
enum Entry<'a> {
    Transport(&'a KeyTransRecipientInfo),
    Agreement(&'a KeyAgreeRecipientInfo, usize),
    Other,
}

fn entries(info: &RecipientInfo) -> Vec<Entry<'_>> {
    match info {
        RecipientInfo::Ktri(info) => vec![Entry::Transport(info)],
        RecipientInfo::Kari(info) => {
            (0..info.recipient_enc_keys.len()).map(|place| Entry::Agreement(info, place)).collect()
        }
        _ => vec![Entry::Other],
    }
}

impl Entry<'_> {
    fn id(&self) -> Option<&IssuerAndSerialNumber> {
        match self {
            Self::Transport(info) => match &info.rid {
                RecipientIdentifier::IssuerAndSerialNumber(id) => Some(id),
                RecipientIdentifier::SubjectKeyIdentifier(_) => None,
            },
            Self::Agreement(info, place) => match &info.recipient_enc_keys.get(*place)?.rid {
                KeyAgreeRecipientIdentifier::IssuerAndSerialNumber(id) => Some(id),
                KeyAgreeRecipientIdentifier::RKeyId(_) => None,
            },
            Self::Other => None,
        }
    }

    fn name(&self) -> String {
        self.id()
            .map_or_else(|| "a recipient without issuer and serial number".to_owned(), describe)
    }

    fn unwrap(&self, key: &PrivateKey) -> Option<ContentKey> {
        match (self, &key.kind) {
            (Self::Transport(info), Kind::Rsa(key)) => transport::unwrap(key, info),
            (Self::Agreement(info, place), Kind::Ec(curve, key)) => {
                agreement::unwrap(*curve, key, info, info.recipient_enc_keys.get(*place)?)
            }
            _ => None,
        }
    }
}
