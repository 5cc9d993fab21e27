//! Which server, as whom, and how it proves that it is the right one.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::DatabaseError;

/// A PostgreSQL server and how to reach it.
///
/// The way there is encrypted, and the server's certificate checked against its name. Without, it goes only to this
/// machine itself: over a Unix socket (`postgres:///name?host=/run/postgresql`), or to a loopback address if the URL
/// says `sslmode=disable`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostgresSettings {
    /// `postgres://user@host:5432/database`.
    pub url: String,
    /// A file whose first line is the password.
    pub password_file: Option<PathBuf>,
    /// Certificates (PEM) of the authorities that the server's must come from; without, the system's.
    pub ca: Option<PathBuf>,
}

impl PostgresSettings {
    /// Whether the URL can be understood; nothing is connected.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), DatabaseError> {
        self.config(Duration::from_secs(1)).map(drop)
    }

    pub(super) fn resolve(
        &self,
        patience: Duration,
    ) -> Result<(Config, MakeRustlsConnect), DatabaseError> {
        let mut config = self.config(patience)?;
        if let Some(path) = &self.password_file {
            let text = std::fs::read_to_string(path).map_err(|error| {
                wrong(format!("cannot read the password in {}: {error}", path.display()))
            })?;
            config.password(text.lines().next().unwrap_or_default());
        }
        let roots = match config.get_ssl_mode() {
            SslMode::Disable => RootCertStore::empty(),
            _ => roots(self.ca.as_deref())?,
        };
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| wrong(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok((config, MakeRustlsConnect::new(client)))
    }

    fn config(&self, patience: Duration) -> Result<Config, DatabaseError> {
        let mut config: Config = self.url.parse().map_err(|error| {
            wrong(format!("a PostgreSQL URL is like postgres://user@host:5432/database: {error}"))
        })?;
        if config.get_password().is_some() {
            let name = name(&config);
            return Err(wrong(format!(
                "no password in the URL of {name}: put it into a password file"
            )));
        }
        if config.get_hosts().is_empty() {
            return Err(wrong(format!("the PostgreSQL URL {} names no host", name(&config))));
        }
        if config.get_hosts().iter().all(|host| matches!(host, Host::Unix(_))) {
            config.ssl_mode(SslMode::Disable);
        } else if config.get_ssl_mode() != SslMode::Disable {
            config.ssl_mode(SslMode::Require);
        } else if !config.get_hosts().iter().all(is_this_machine) {
            return Err(wrong(format!(
                "sslmode=disable goes to this machine itself only, and {} is not",
                name(&config)
            )));
        }
        config.connect_timeout(patience);
        config.tcp_user_timeout(patience);
        config.application_name("spanreel");
        Ok(config)
    }
}

impl fmt::Display for PostgresSettings {
    /// Without a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.url.parse() {
            Ok(config) => name(&config).fmt(f),
            Err(_) => "PostgreSQL".fmt(f),
        }
    }
}

fn is_this_machine(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name == "localhost" || name.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
        }
    }
}

/// Without the password.
pub(super) fn name(config: &Config) -> String {
    let hosts: Vec<String> = config
        .get_hosts()
        .iter()
        .enumerate()
        .map(|(at, host)| {
            let ports = config.get_ports();
            let port = ports.get(at).or(ports.first()).copied().unwrap_or(5432);
            match host {
                Host::Tcp(host) => format!("{host}:{port}"),
                Host::Unix(path) => path.display().to_string(),
            }
        })
        .collect();
    let user = config.get_user().unwrap_or_default();
    let database = config.get_dbname().unwrap_or(user);
    format!("postgres://{user}@{}/{database}", hosts.join(","))
}

fn roots(file: Option<&Path>) -> Result<RootCertStore, DatabaseError> {
    let certificates = match file {
        Some(path) => CertificateDer::pem_file_iter(path)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| {
                wrong(format!("no certificates (PEM) in {}: {error}", path.display()))
            })?,
        None => rustls_native_certs::load_native_certs().certs,
    };
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(certificates);
    match added {
        0 => Err(wrong(
            "no certificates of authorities: install ca-certificates, or name a CA file".into(),
        )),
        _ => Ok(roots),
    }
}

fn wrong(reason: String) -> DatabaseError {
    DatabaseError::Settings(reason)
}
