//! `manifest.json`: what belongs to a recording, byte for byte, and how complete it is.
//!
//! It is signed (`manifest.p7s`) and never sealed, so that a recording can be checked by whoever cannot
//! listen to it. So it holds nothing personal: no phone number, no Call-ID, no address.

use base::recording::{Clock, Gap};
use base::{RecordingId, Timestamp, limits};
use serde::{Deserialize, Serialize};

use crate::digest::{Sha256Hash, sha256};

/// The manifest's name in a recording's folder.
pub const MANIFEST_NAME: &str = "manifest.json";
/// The name of the signature over it.
pub const SIGNATURE_NAME: &str = "manifest.p7s";
/// What a sealed file's name ends with.
pub const SEALED_SUFFIX: &str = ".p7m";
/// The version that is written.
const VERSION: u32 = 1;
/// Bytes of a file name that every file system takes.
const NAME_BYTES_MAX: usize = 255;

/// The contents of `manifest.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Manifest {
    /// Of this shape; 1.
    version: u32,
    /// The recording, and its folder's name.
    pub recording_id: RecordingId,
    /// When the recording was finished.
    pub created: Timestamp,
    /// The node that recorded it.
    pub node: String,
    /// Program and version that finished it.
    pub build: String,
    /// Whether everything that the parties sent is in it as far as can be known.
    pub complete: bool,
    /// What is missing, when, on which side.
    pub gaps: Vec<Gap>,
    /// The clock that its times are by; absent for what was made of a capture file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock: Option<Clock>,
    /// Whose keys open every sealed file; empty if nothing is sealed. The node that made it can open the metadata
    /// as well, with its catalog key.
    pub recipients: Vec<Recipient>,
    /// Every file of the folder but the manifest and its signature.
    pub files: Vec<File>,
}

/// A certificate that files are sealed for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Recipient {
    /// Issuer of the certificate (RFC 4514).
    pub issuer: String,
    /// Its serial number, hexadecimal.
    pub serial: String,
    /// How content keys are wrapped for it, e.g. `ECDH P-256`, `RSA-3072 OAEP SHA-256`.
    pub algorithm: String,
}

/// One file, as stored and before it was sealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct File {
    /// Name in the folder.
    pub name: String,
    /// Media type of the plain content, e.g. `audio/flac`.
    #[serde(rename = "type")]
    pub media_type: String,
    /// Bytes as stored.
    pub size: u64,
    /// SHA-256 of the stored bytes.
    pub sha256: Sha256Hash,
    /// Whether it is sealed. If not, what follows repeats the above.
    pub sealed: bool,
    /// Name of the plain file.
    pub plain_name: String,
    /// Bytes of the plain content.
    pub plain_size: u64,
    /// SHA-256 of the plain content.
    pub plain_sha256: Sha256Hash,
}

impl File {
    /// The entry of a file called `plain_name` with the content `plain`, which is stored as it is, or as
    /// `sealed` under the name with [`SEALED_SUFFIX`].
    #[must_use]
    pub fn new(plain_name: &str, media_type: &str, plain: &[u8], sealed: Option<&[u8]>) -> Self {
        let entry = Self::plain(plain_name, media_type, plain);
        match sealed {
            Some(sealed) => entry.sealed_as(sealed),
            None => entry,
        }
    }

    /// The entry of a file that is stored as it is.
    #[must_use]
    pub fn plain(name: &str, media_type: &str, content: &[u8]) -> Self {
        let (size, sha256) = (content.len() as u64, sha256(content));
        Self {
            name: name.to_owned(),
            media_type: media_type.to_owned(),
            size,
            sha256,
            sealed: false,
            plain_name: name.to_owned(),
            plain_size: size,
            plain_sha256: sha256,
        }
    }

    /// The same file, stored as `sealed`.
    #[must_use]
    pub fn sealed_as(self, sealed: &[u8]) -> Self {
        Self {
            name: format!("{}{SEALED_SUFFIX}", self.plain_name),
            size: sealed.len() as u64,
            sha256: sha256(sealed),
            sealed: true,
            ..self
        }
    }
}

/// Why bytes are not a usable manifest.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Larger than [`limits::MANIFEST_BYTES_MAX`].
    #[error("a manifest of {0} bytes is too large to be one")]
    TooLarge(usize),
    /// Not the JSON of a manifest.
    #[error("not a manifest: {0}")]
    Json(#[from] serde_json::Error),
    /// Of a later program.
    #[error("the manifest has version {0}, this program knows {VERSION}; use a newer program")]
    Version(u32),
    /// More than [`limits::FILES_PER_RECORDING_MAX`].
    #[error("the manifest lists {0} files, more than {max}", max = limits::FILES_PER_RECORDING_MAX)]
    TooManyFiles(usize),
    /// Not a plain name in the folder, or there twice.
    #[error(
        "the manifest lists {0:?}, which no file of a recording can be called, or can be called twice"
    )]
    Name(String),
}

impl Manifest {
    /// A manifest without files, for a recording that nothing is known to be missing from.
    #[must_use]
    pub fn new(recording_id: RecordingId, created: Timestamp, node: &str, build: &str) -> Self {
        Self {
            version: VERSION,
            recording_id,
            created,
            node: node.to_owned(),
            build: build.to_owned(),
            complete: true,
            gaps: Vec::new(),
            clock: None,
            recipients: Vec::new(),
            files: Vec::new(),
        }
    }

    /// The bytes of `manifest.json`: what is signed. The same manifest always gives the same bytes.
    ///
    /// Lines end with CR LF, the canonical form of text in S/MIME (RFC 8551, 3.1.1): `openssl cms -verify`
    /// finds the signature good with `-binary` and without.
    ///
    /// # Errors
    /// Never for what [`Manifest::from_json`] would take back; that is checked.
    pub fn to_json(&self) -> Result<Vec<u8>, ManifestError> {
        self.check()?;
        let pretty = serde_json::to_string_pretty(self)? + "\n";
        // Strings hold no raw line ends (RFC 8259, 7), so this touches layout only.
        Ok(pretty.replace('\n', "\r\n").into_bytes())
    }

    /// Reads `manifest.json`. It is to be trusted only after its signature was checked.
    ///
    /// # Errors
    /// If it is not one, is of a later version, or lists names that no folder of ours has.
    pub fn from_json(json: &[u8]) -> Result<Self, ManifestError> {
        /// A later version may have any shape beyond this.
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        if json.len() > limits::MANIFEST_BYTES_MAX {
            return Err(ManifestError::TooLarge(json.len()));
        }
        let Versioned { version } = serde_json::from_slice(json)?;
        if version != VERSION {
            return Err(ManifestError::Version(version));
        }
        let manifest: Self = serde_json::from_slice(json)?;
        manifest.check()?;
        Ok(manifest)
    }

    fn check(&self) -> Result<(), ManifestError> {
        if self.files.len() > limits::FILES_PER_RECORDING_MAX {
            return Err(ManifestError::TooManyFiles(self.files.len()));
        }
        let mut names: Vec<&str> = vec![MANIFEST_NAME, SIGNATURE_NAME];
        names.extend(self.files.iter().map(|file| file.name.as_str()));
        names.sort_unstable();
        let twice = names.array_windows().find(|[a, b]| a == b).map(|[name, _]| *name);
        let bad = names.iter().copied().find(|name| !is_file_name(name));
        match twice.or(bad) {
            Some(name) => Err(ManifestError::Name(name.to_owned())),
            None => Ok(()),
        }
    }
}

/// Whether `name` can be a file in a recording's folder: one visible path component.
#[must_use]
pub fn is_file_name(name: &str) -> bool {
    let plain = |c: char| c != '/' && c != '\\' && !c.is_control();
    !name.is_empty()
        && name.len() <= NAME_BYTES_MAX
        && !name.starts_with('.')
        && name.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use base::Side;
    use proptest::prelude::*;

    use super::*;

    fn example() -> Manifest {
        let start = Timestamp::from_nanos(1_700_000_000_000_000_000);
        let mut manifest =
            Manifest::new(RecordingId::of_call(start, &[b"x"]), start, "span1", "spanreel 0.1.0");
        manifest.gaps.push(Gap {
            side: Side::Callee,
            start_time: start,
            duration: 20.125,
            packets: Some(1),
            reason: "loss".into(),
        });
        manifest.complete = false;
        manifest.files.push(File::new("recording.json", "application/json", b"{}", None));
        manifest.files.push(File::new("audio.flac", "audio/flac", b"fLaC", Some(b"sealed")));
        manifest
    }

    #[test]
    fn json_has_a_stable_shape() {
        let json = String::from_utf8(example().to_json().unwrap()).unwrap();
        let keys: Vec<_> = json.lines().filter(|l| l.starts_with("  \"")).collect();
        let names: Vec<_> = keys.iter().filter_map(|l| l.split('"').nth(1)).collect();
        let expected =
            "version recordingId created node build complete gaps recipients files".split(' ');
        assert_eq!(names, expected.collect::<Vec<_>>());
        assert!(json.contains("\"name\": \"audio.flac.p7m\""), "{json}");
        assert!(
            json.contains(&sha256(b"fLaC").to_string())
                && json.contains(&sha256(b"sealed").to_string())
        );
        assert_eq!(Manifest::from_json(json.as_bytes()).unwrap(), example());
    }

    #[test]
    fn names_that_leave_the_folder_or_hide_are_refused() {
        for name in ["../audio", "a/b", ".hidden", "", "manifest.json", "recording.json", "a\nb"] {
            let mut manifest = example();
            manifest.files.push(File::new(name, "x", b"", None));
            assert!(
                matches!(manifest.to_json(), Err(ManifestError::Name(bad)) if bad == name),
                "{name}"
            );
        }
    }

    #[test]
    fn a_later_version_is_named() {
        let error = Manifest::from_json(br#"{"version": 2, "shape": "new"}"#).unwrap_err();
        assert!(matches!(error, ManifestError::Version(2)), "{error}");
        assert!(error.to_string().contains("newer program"));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Manifest::from_json(&bytes);
        }
    }
}
