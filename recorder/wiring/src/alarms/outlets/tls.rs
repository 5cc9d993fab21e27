//! TLS for outlets: rustls on aws-lc-rs, whom to trust, and who we are.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

/// The one provider of cryptography.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// Certificates of authorities to trust: of a file, or the system's.
///
/// # Errors
/// The file that cannot be read, or has none; a system without any.
pub(crate) fn authorities(file: Option<&Path>) -> Result<Vec<CertificateDer<'static>>> {
    if let Some(path) = file {
        return certificates(path);
    }
    let system = rustls_native_certs::load_native_certs();
    if system.certs.is_empty() {
        let errors: Vec<_> = system.errors.iter().map(ToString::to_string).collect();
        bail!(
            "this system has no certificates of authorities ({}); install ca-certificates, or name a CA file",
            errors.join("; ")
        );
    }
    Ok(system.certs)
}

/// How to speak TLS to a receiver: whom to trust, and with which certificate and key, if any.
///
/// # Errors
/// What cannot be read or does not fit.
pub(crate) fn client(
    ca: Option<&Path>,
    identity: Option<(&Path, &Path)>,
) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    let (_, _ignored) = roots.add_parsable_certificates(authorities(ca)?);
    if roots.is_empty() {
        bail!("none of the certificates of authorities can be used");
    }
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    let config = match identity {
        Some((certificate, key)) => {
            let context = || format!("{} and {}", certificate.display(), key.display());
            let private = PrivateKeyDer::from_pem_file(key)
                .with_context(|| format!("no private key (PEM) in {}", key.display()))?;
            let chain = certificates(certificate)?;
            builder.with_client_auth_cert(chain, private).with_context(context)?
        }
        None => builder.with_no_client_auth(),
    };
    Ok(Arc::new(config))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let read = || -> Result<Vec<_>> {
        let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path)?.collect();
        Ok(found?)
    };
    let found =
        read().with_context(|| format!("cannot read certificates from {}", path.display()))?;
    if found.is_empty() {
        bail!("no certificate (PEM) in {}", path.display());
    }
    Ok(found)
}
