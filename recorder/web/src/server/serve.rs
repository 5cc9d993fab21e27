//! The server while it runs.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum_server::Handle;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use base::limits::{CLIENT_SECONDS_MAX, REQUEST_HEAD_BYTES_MAX, REQUESTS_PER_CONNECTION_MAX};
use seal::{KeyError, Sha256Hash};
use serde_json::json;
use tokio::task::JoinSet;

use super::certificate::{Loaded, ServerCertificate};
use super::connections::Connections;
use super::router;
use crate::app::App;
use crate::audit::{Act, AuditError, What};
use crate::live;

/// How long answers that have begun may take when the server is told to end.
const GRACE: Duration = Duration::from_secs(3);
/// How often the audit log is signed while it grows.
const SIGNED_EVERY: Duration = Duration::from_secs(2);
/// How often it is looked whether the certificate is another.
const CERTIFICATE_EVERY: Duration = Duration::from_secs(10);
/// A connection over which nobody says anything is asked whether it is still there.
const ASKED_EVERY: Duration = Duration::from_secs(20);

/// Why the server does not serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address is taken, or not ours.
    #[error(
        "cannot listen on {address}: {error}; choose another with --listen, or stop what listens there"
    )]
    Listen {
        /// Which.
        address: SocketAddr,
        /// What the system says.
        error: io::Error,
    },
    /// A file of the certificate.
    #[error("cannot read or write {}: {error}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// It cannot be used.
    #[error("{} cannot be used by the web server: {what}; give another with --cert and --key, or remove keys/web.crt and keys/web.key to have new ones made", .path.display())]
    Certificate {
        /// Which.
        path: PathBuf,
        /// Why.
        what: String,
    },
    /// It cannot be made.
    #[error("cannot make a certificate for the web server: {0}")]
    Make(#[from] KeyError),
    /// The start cannot be noted.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The server ended by itself.
    #[error("the web server failed: {0}")]
    Failed(io::Error),
}

/// A server that has its addresses and its certificate.
pub struct Server {
    app: App,
    listener: TcpListener,
    redirect: Option<TcpListener>,
    shown: ServerCertificate,
    loaded: Loaded,
}

impl Server {
    /// Takes the addresses, and reads or makes the certificate. Blocks.
    ///
    /// # Errors
    /// If either cannot be had.
    pub fn bind(app: App) -> Result<Self, ServeError> {
        let shown = app.settings().certificate.clone();
        let loaded = shown.load(app.now())?;
        let listener = listen(app.settings().listen)?;
        let redirect = app.settings().redirect.map(listen).transpose()?;
        Ok(Self { app, listener, redirect, shown, loaded })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The system's.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// SHA-256 of the certificate that it shows.
    #[must_use]
    pub fn fingerprint(&self) -> Sha256Hash {
        self.loaded.fingerprint
    }

    /// Serves until `shutdown` is ready; answers that have begun get a moment.
    ///
    /// # Errors
    /// If it cannot go on.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), ServeError> {
        let Self { app, listener, redirect, shown, loaded } = self;
        let start = json!({ "build": app.settings().build, "node": app.settings().node });
        app.audit().append(&What::server(Act::Start, "", start))?;
        let handle = Handle::new();
        let tls = RustlsConfig::from_config(loaded.tls.clone());
        // They end with this.
        let mut beside = JoinSet::new();
        beside.spawn(app.recorder().clone().run());
        beside.spawn(live::keep(app.clone()));
        beside.spawn(sign(app.clone()));
        beside.spawn(renew(app.clone(), shown, loaded, tls.clone()));
        if let Some(listener) = redirect {
            beside.spawn(serve_redirect(listener, app.settings().url.clone()));
        }
        let server = serve(listener, tls, router(&app), handle.clone());
        tokio::pin!(server, shutdown);
        let result = tokio::select! {
            result = &mut server => result,
            () = &mut shutdown => {
                handle.graceful_shutdown(Some(GRACE));
                server.await
            }
        };
        app.audit().sign()?;
        result.map_err(ServeError::Failed)
    }
}

fn listen(address: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address).map_err(|error| ServeError::Listen { address, error })
}

async fn serve(
    listener: TcpListener,
    tls: RustlsConfig,
    router: Router,
    handle: Handle<SocketAddr>,
) -> io::Result<()> {
    let patience = Duration::from_secs(CLIENT_SECONDS_MAX);
    let acceptor = RustlsAcceptor::new(tls).handshake_timeout(patience);
    let server =
        axum_server::from_tcp(listener)?.acceptor(acceptor.acceptor(Connections::default()));
    let mut server = server.handle(handle).first_request_timeout(patience);
    // Nobody may be slow, long or many for ever.
    let head = usize::try_from(REQUEST_HEAD_BYTES_MAX).unwrap_or(usize::MAX);
    let builder = server.http_builder();
    builder.http1().header_read_timeout(patience).max_buf_size(head);
    builder
        .http2()
        .max_header_list_size(REQUEST_HEAD_BYTES_MAX)
        .max_concurrent_streams(REQUESTS_PER_CONNECTION_MAX)
        .keep_alive_interval(ASKED_EVERY)
        .keep_alive_timeout(patience);
    server.serve(router.into_make_service_with_connect_info::<SocketAddr>()).await
}

/// Plain HTTP, which says where the real address is and nothing else. It is made from the settings, never from what
/// the request says its host was.
async fn serve_redirect(listener: TcpListener, url: String) {
    let router = Router::new().fallback(redirect).with_state(url);
    let patience = Duration::from_secs(CLIENT_SECONDS_MAX);
    let serve = async || {
        let server = axum_server::from_tcp(listener)?.acceptor(Connections::default());
        let mut server = server.first_request_timeout(patience);
        server.http_builder().http1().header_read_timeout(patience);
        server.serve(router.into_make_service()).await
    };
    if let Err(error) = serve().await {
        tracing::error!("plain HTTP is not redirected any more: {error}");
    }
}

async fn redirect(State(url): State<String>, uri: Uri) -> (StatusCode, HeaderMap) {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let mut headers = HeaderMap::new();
    match HeaderValue::try_from(format!("{url}{path}")) {
        Ok(location) => {
            headers.insert(header::LOCATION, location);
            (StatusCode::PERMANENT_REDIRECT, headers)
        }
        Err(_) => (StatusCode::BAD_REQUEST, headers),
    }
}

/// Signs the audit log while it grows.
async fn sign(app: App) {
    loop {
        tokio::time::sleep(SIGNED_EVERY).await;
        let app = app.clone();
        let signed = tokio::task::spawn_blocking(move || app.audit().sign()).await;
        if let Ok(Err(error)) = signed {
            tracing::error!("{error}");
        }
    }
}

/// Takes another certificate when there is one. What cannot be used is said, and the old one goes on.
async fn renew(app: App, shown: ServerCertificate, mut loaded: Loaded, tls: RustlsConfig) {
    let mut said = String::new();
    loop {
        tokio::time::sleep(CERTIFICATE_EVERY).await;
        let (again, now) = (shown.clone(), app.now());
        match tokio::task::spawn_blocking(move || again.load(now)).await {
            Ok(Ok(new)) if new.bytes != loaded.bytes => {
                tracing::warn!(
                    "the web server's certificate is another: SHA-256 {}",
                    new.fingerprint
                );
                tls.reload_from_config(new.tls.clone());
                loaded = new;
            }
            Ok(Err(error)) if error.to_string() != said => {
                said = error.to_string();
                tracing::error!("the web server goes on with its certificate: {said}");
            }
            _ => {}
        }
    }
}
