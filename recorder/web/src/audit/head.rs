//! The signed head of a file: how far the log went, said with the node's key, so that a tail that is cut off is missed.
//!
//! `NNNNNNNNNNNNNNNN.head` beside the file of that name, two lines:
//!
//! ```text
//! {"number":7,"hash":"...","time":"..."}      the last entry, and when this was signed
//! MII...                                      CMS SignedData (detached, DER) over the first line, in base64
//! ```
//!
//! It is replaced as a whole every few seconds while entries come, when the file is full, and when the server ends. OpenSSL
//! checks it: `openssl cms -verify -inform DER -binary -content LINE_1 -in LINE_2_DECODED -CAfile node.crt`.

use std::io::IoSlice;
use std::path::{Path, PathBuf};

use base::Timestamp;
use base::disk::{self, Disk};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use seal::{Certificate, Sha256Hash, SignedBy, Signer};
use serde::{Deserialize, Serialize};

use super::log::{AuditError, Head};

/// What is signed.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    number: u64,
    hash: Sha256Hash,
    time: Timestamp,
}

/// Where the head of a log file is.
pub(super) fn path(log: &Path) -> PathBuf {
    log.with_extension("head")
}

/// Signs how far the log went and writes it beside `log`.
pub(super) fn write(
    disk: &dyn Disk,
    log: &Path,
    head: Head,
    signer: &Signer,
    now: Timestamp,
) -> Result<(), AuditError> {
    let said = Said { number: head.number, hash: head.hash, time: now };
    // Numbers and strings: there is nothing in it that JSON could not say.
    let said = serde_json::to_string(&said).unwrap_or_default();
    let signature = signer.sign(said.as_bytes(), now)?;
    let text = format!("{said}\n{}\n", STANDARD.encode(signature));
    let (path, new) = (path(log), log.with_extension("head.new"));
    let replace = || {
        if disk.exists(&new)? {
            disk.remove(&new)?;
        }
        let file = disk.create(&new, 0o600)?;
        disk::write_all_at(&*file, &mut [IoSlice::new(text.as_bytes())], 0).map_err(|(_, e)| e)?;
        file.sync_data()?;
        disk.rename(&new, &path)?;
        disk.sync_folder(log.parent().unwrap_or(Path::new(".")))
    };
    replace().map_err(AuditError::io(&path))
}

/// What a head says, and who signed it; or what is wrong with it.
pub(super) fn read(
    text: &[u8],
    trusted: Option<&[Certificate]>,
) -> Result<(Head, SignedBy), String> {
    let text = std::str::from_utf8(text).map_err(|_| "is no head of an audit log")?;
    let (said, signature) = text.split_once('\n').ok_or("is no head of an audit log")?;
    let signature = signature.strip_suffix('\n').ok_or("is no head of an audit log")?;
    let signature = STANDARD.decode(signature).map_err(|_| "has no signature")?;
    let by = seal::verify(&signature, said.as_bytes(), trusted).map_err(|e| e.to_string())?;
    if trusted.is_some() && !by.trusted {
        return Err(format!(
            "was signed by {} ({}), who is not this node",
            by.subject, by.fingerprint
        ));
    }
    let said: Said = serde_json::from_str(said).map_err(|_| "is no head of an audit log")?;
    Ok((Head { number: said.number, hash: said.hash }, by))
}
