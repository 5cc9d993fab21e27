//! The server's certificate: where it comes from, and how rustls uses it.
//!
//! Without one of its own name (an authority's), the server makes one that signs itself, in the data folder: whoever
//! connects first compares its fingerprint with what the console says. It is made anew a while before it ends, and read
//! again whenever its file changes, so that a renewed one needs no restart.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base::Timestamp;
use base::disk::{Disk as _, SystemDisk};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use seal::keys::{Algorithm, Purpose};
use seal::{Certificate, Sha256Hash};

use super::ServeError;

/// How long one that we make holds; browsers refuse longer ones.
const VALIDITY: Duration = Duration::from_secs(825 * 24 * 3600);
/// It holds from a little before now: clocks differ.
const BACKDATED: Duration = Duration::from_secs(24 * 3600);
/// It is made anew when it would end so soon.
const RENEWED: Duration = Duration::from_secs(30 * 24 * 3600);

/// Where the certificate is.
#[derive(Clone, Debug)]
pub enum ServerCertificate {
    /// Given; somebody else looks after it.
    Given {
        /// The certificate and those of the authorities between it and the root, PEM.
        certificate: PathBuf,
        /// Its private key, PEM.
        key: PathBuf,
    },
    /// Ours, made if it is not there: `web.crt` and `web.key` in this folder.
    Own {
        /// The data folder's keys.
        folder: PathBuf,
        /// The names and IP addresses that browsers know this server by.
        names: Vec<String>,
    },
}

/// A certificate that was read.
pub(super) struct Loaded {
    pub(super) tls: Arc<ServerConfig>,
    /// Of the certificate.
    pub(super) fingerprint: Sha256Hash,
    /// What files were read; another when they change.
    pub(super) bytes: Vec<u8>,
}

impl ServerCertificate {
    fn paths(&self) -> (PathBuf, PathBuf) {
        match self {
            Self::Given { certificate, key } => (certificate.clone(), key.clone()),
            Self::Own { folder, .. } => (folder.join("web.crt"), folder.join("web.key")),
        }
    }

    /// Reads it; makes it if it is ours and not there, or ends soon.
    pub(super) fn load(&self, now: Timestamp) -> Result<Loaded, ServeError> {
        let (certificate, key) = self.paths();
        if let Self::Own { names, .. } = self
            && !holds(&certificate, &key, now)?
        {
            make(names, &certificate, &key, now)?;
        }
        let chain = read(&certificate)?;
        let secret = zeroize::Zeroizing::new(read(&key)?);
        let bad = |what: String| ServeError::Certificate { path: certificate.clone(), what };
        let parsed: Vec<_> = CertificateDer::pem_slice_iter(&chain)
            .collect::<Result<_, _>>()
            .map_err(|error| bad(error.to_string()))?;
        let first =
            parsed.first().ok_or_else(|| bad("there is no certificate in it".to_owned()))?;
        let fingerprint = seal::sha256(first);
        let private = PrivateKeyDer::from_pem_slice(&secret).map_err(|error| {
            ServeError::Certificate { path: key.clone(), what: error.to_string() }
        })?;
        let mut tls = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(parsed, private))
            .map_err(|error| bad(error.to_string()))?;
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let bytes = [chain, seal::sha256(&secret).0.to_vec()].concat();
        Ok(Loaded { tls: Arc::new(tls), fingerprint, bytes })
    }
}

/// Whether there is a pair that does not end soon. One file without the other is neither ours to complete nor to remove.
fn holds(certificate: &Path, key: &Path, now: Timestamp) -> Result<bool, ServeError> {
    if !certificate.exists() && !key.exists() {
        return Ok(false);
    }
    read(key)?;
    let bad = |what: String| ServeError::Certificate { path: certificate.to_owned(), what };
    let found = Certificate::parse(&read(certificate)?).map_err(|error| bad(error.to_string()))?;
    Ok(found.is_valid_at(now.plus(RENEWED)))
}

/// Makes a pair. The key gets its name first; killed in between, a renewed pair does not match, and is made again when
/// its files are removed, as the message says.
fn make(
    names: &[String],
    certificate: &Path,
    key: &Path,
    now: Timestamp,
) -> Result<(), ServeError> {
    let pair = seal::keys::create(
        Purpose::Server(names),
        Algorithm::P256,
        now.minus(BACKDATED),
        now.plus(VALIDITY),
    )?;
    write(key, pair.private_key.as_bytes(), 0o600)?;
    write(certificate, pair.certificate.as_bytes(), 0o644)
}

/// Writes a file hidden, and gives it its name when it is whole and on the disk.
fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), ServeError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let new = path.with_extension("new");
    let write = || {
        base::disk::create_folders(&SystemDisk, folder, 0o700)?;
        if SystemDisk.exists(&new)? {
            SystemDisk.remove(&new)?;
        }
        let file = SystemDisk.create(&new, mode)?;
        base::disk::write_all_at(&*file, &mut [io::IoSlice::new(bytes)], 0).map_err(|(_, e)| e)?;
        file.sync_data()?;
        SystemDisk.rename(&new, path)?;
        SystemDisk.sync_folder(folder)
    };
    write().map_err(|error| ServeError::File { path: path.to_owned(), error })
}

fn read(path: &Path) -> Result<Vec<u8>, ServeError> {
    std::fs::read(path).map_err(|error| ServeError::File { path: path.to_owned(), error })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const NOW: Timestamp = Timestamp::from_nanos(1_800_000_000_000_000_000);

    #[test]
    fn our_own_is_made_once_kept_and_made_anew_before_it_ends() {
        let folder = tempfile::tempdir().unwrap();
        let names = vec!["span1".to_owned(), "localhost".to_owned(), "127.0.0.1".to_owned()];
        let own = ServerCertificate::Own { folder: folder.path().join("keys"), names };
        let first = own.load(NOW).unwrap();
        let key = folder.path().join("keys/web.key");
        assert_eq!(key.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let found =
            Certificate::parse(&read(&folder.path().join("keys/web.crt")).unwrap()).unwrap();
        assert_eq!(found.fingerprint(), first.fingerprint);
        assert_eq!(found.subject(), "CN=Spanreel on span1");
        assert_eq!(own.load(NOW).unwrap().fingerprint, first.fingerprint);
        let late = NOW.plus(VALIDITY).minus(RENEWED / 2);
        assert_ne!(own.load(late).unwrap().fingerprint, first.fingerprint);
    }

    #[test]
    fn what_is_given_is_never_made() {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = (folder.path().join("a.crt"), folder.path().join("a.key"));
        let given = ServerCertificate::Given { certificate: certificate.clone(), key: key.clone() };
        let error = given.load(NOW).err().unwrap().to_string();
        assert!(error.contains("a.crt"), "{error}");
        std::fs::write(&certificate, "no PEM").unwrap();
        std::fs::write(&key, "no PEM").unwrap();
        let error = given.load(NOW).err().unwrap().to_string();
        assert!(error.contains("there is no certificate in it"), "{error}");
    }
}
