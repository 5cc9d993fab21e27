//! A server of its own for each test, and clients that talk to it.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base::Timestamp;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use seal::keys::{Algorithm, Purpose};
use seal::{Certificate, Signer};
use serde_json::{Value, json};
use store::DatabasePlace;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use ureq::http::{HeaderMap, Method, Request, Response};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Body};
use web::app::{App, Settings};
use web::audit::Entry;
use web::auth::{Right, Role};
use web::server::{Server, ServerCertificate};

/// A password that may be one.
pub(crate) const PASSWORD: &str = "correct horse battery staple";

/// A data folder with a server on it.
pub(crate) struct Rig {
    pub(crate) folder: TempDir,
    pub(crate) app: App,
    pub(crate) address: SocketAddr,
    /// The node's certificate.
    pub(crate) node: Certificate,
    /// The server's certificate, DER.
    pub(crate) certificate: Vec<u8>,
    stop: Option<oneshot::Sender<()>>,
    runtime: Option<Runtime>,
}

pub(crate) fn now() -> Timestamp {
    let nanos = jiff::Timestamp::now().as_nanosecond();
    Timestamp::from_nanos(u64::try_from(nanos).unwrap())
}

impl Rig {
    /// On an SQLite file, and an empty data folder.
    pub(crate) fn start() -> Self {
        Self::start_with(|_| {})
    }

    /// The same with other settings.
    pub(crate) fn start_with(change: impl FnOnce(&mut Settings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (signer, node) = node(folder.path());
        let mut settings = settings(folder.path(), &node);
        change(&mut settings);
        let app = App::new(settings, signer).unwrap();
        let server = Server::bind(app.clone()).unwrap();
        let address = server.address().unwrap();
        let pem = std::fs::read(folder.path().join("keys/web.crt")).unwrap();
        let certificate = CertificateDer::from_pem_slice(&pem).unwrap().to_vec();
        let (stop, stopped) = oneshot::channel();
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.spawn(async move {
            server.run(async { drop(stopped.await) }).await.unwrap();
        });
        let (stop, runtime) = (Some(stop), Some(runtime));
        Self { folder, app, address, node, certificate, stop, runtime }
    }

    /// Nobody.
    pub(crate) fn client(&self) -> Client {
        let certificate = ureq::tls::Certificate::from_der(&self.certificate).to_owned();
        let tls = TlsConfig::builder()
            .unversioned_rustls_crypto_provider(Arc::new(
                rustls::crypto::aws_lc_rs::default_provider(),
            ))
            .root_certs(RootCerts::new_with_certs(&[certificate]))
            .build();
        let agent = Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(30)))
            .max_redirects(0)
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            .tls_config(tls)
            .build()
            .into();
        let base = format!("https://localhost:{}", self.address.port());
        Client { agent, base, cookie: None, csrf: None, token: None }
    }

    /// What a path gives to who trusts `certificate`; `None`: the server shows another.
    pub(crate) fn try_get(&self, path: &str) -> Option<Reply> {
        let client = self.client();
        let mut answer = client.agent.get(format!("{}{path}", client.base)).call().ok()?;
        let body = answer.body_mut().read_to_vec().ok()?;
        Some(Reply { status: answer.status().as_u16(), headers: answer.headers().clone(), body })
    }

    /// The first user, `admin`, with all roles; made by the set-up link.
    pub(crate) fn first(&self) -> Client {
        let link = self.app.set_up_link().unwrap().expect("no user yet");
        let token = link.rsplit_once("token=").unwrap().1;
        let mut client = self.client();
        let body = json!({ "token": token, "name": "admin", "password": PASSWORD });
        client.enter(client.post("/api/v2/setup", &body));
        client
    }

    /// A new user with these roles, logged in.
    pub(crate) fn user(&self, admin: &Client, name: &str, roles: &[Role]) -> Client {
        let body = json!({ "name": name, "roles": roles, "password": PASSWORD });
        assert_eq!(admin.post("/api/v2/users", &body).status, 201);
        let mut client = self.client();
        client.log_in(name, PASSWORD);
        client
    }

    /// Somebody with a new API token of `owner`'s.
    pub(crate) fn token(&self, owner: &Client, name: &str, rights: &[Right]) -> Client {
        let body = json!({ "name": name, "rights": rights, "expires": null });
        let made = owner.post("/api/v2/tokens", &body);
        assert_eq!(made.status, 201, "{}", made.text());
        let mut client = self.client();
        client.token = Some(made.json()["token"].as_str().unwrap().to_owned());
        client
    }

    /// Every entry of the audit log, the oldest first.
    pub(crate) fn audit(&self) -> Vec<Entry> {
        let mut files: Vec<_> = std::fs::read_dir(self.folder.path().join("audit"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|e| e == "jsonl"))
            .collect();
        files.sort();
        let text: String = files.iter().map(|p| std::fs::read_to_string(p).unwrap()).collect();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// A connection by TLS, for what no decent client sends.
    pub(crate) fn raw(&self) -> StreamOwned<ClientConnection, TcpStream> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone().into()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").unwrap();
        let connection = ClientConnection::new(Arc::new(config), name).unwrap();
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        StreamOwned::new(connection, stream)
    }

    /// Sends bytes as they are; what comes back until the server closes.
    pub(crate) fn send_raw(&self, request: &str) -> String {
        let mut stream = self.raw();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        // A server that closes without TLS's farewell is no failure here.
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(5));
        }
    }
}

fn node(folder: &Path) -> (Signer, Certificate) {
    let until = now().plus(Duration::from_secs(86_400 * 365));
    let from = now().minus(Duration::from_secs(86_400));
    let pair = seal::keys::create(Purpose::Node("span1"), Algorithm::P256, from, until).unwrap();
    std::fs::create_dir_all(folder.join("keys")).unwrap();
    std::fs::write(folder.join("keys/node.crt"), &pair.certificate).unwrap();
    let certificate = Certificate::parse(pair.certificate.as_bytes()).unwrap();
    (Signer::new(pair.private_key.as_bytes(), certificate.clone()).unwrap(), certificate)
}

fn settings(folder: &Path, node: &Certificate) -> Settings {
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    Settings {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        redirect: None,
        url: "https://span1.example:8443".to_owned(),
        certificate: ServerCertificate::Own { folder: folder.join("keys"), names },
        node: "span1".to_owned(),
        build: "spanreel test".to_owned(),
        data: folder.to_owned(),
        recordings: folder.join("recordings"),
        database: DatabasePlace::File(folder.join("web.db")),
        catalog: DatabasePlace::File(folder.join("catalog.db")),
        recording_key: None,
        catalog_key: None,
        node_certificates: vec![node.clone()],
        now,
    }
}

/// Somebody who sends requests.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) agent: Agent,
    pub(crate) base: String,
    /// The secret of a log-in.
    pub(crate) cookie: Option<String>,
    pub(crate) csrf: Option<String>,
    pub(crate) token: Option<String>,
}

/// An answer.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {} {}", self.status, self.text()))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl Client {
    pub(crate) fn get(&self, path: &str) -> Reply {
        self.send("GET", path, &[], None)
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Reply {
        self.send("POST", path, &[], Some(body))
    }

    /// A request with further headers, and a body of JSON.
    pub(crate) fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Reply {
        let bytes = body.map(|body| body.to_string().into_bytes());
        let kind = body.map(|_| ("content-type", "application/json"));
        let headers: Vec<_> = kind.into_iter().chain(headers.iter().copied()).collect();
        self.send_bytes(method, path, &headers, bytes.unwrap_or_default())
    }

    /// What an answer begins with; the rest of it, which may never end, is left.
    pub(crate) fn status(&self, method: &str, path: &str, body: Option<&Value>) -> u16 {
        let bytes = body.map(|body| body.to_string().into_bytes());
        let kind: Vec<_> = body.map(|_| ("content-type", "application/json")).into_iter().collect();
        self.begin(method, path, &kind, bytes.unwrap_or_default()).status().as_u16()
    }

    /// A request as it is, but for what shows who sends it.
    pub(crate) fn send_bytes(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Reply {
        let mut answer = self.begin(method, path, headers, body);
        let body = answer.body_mut().with_config().limit(64 << 20).read_to_vec().unwrap();
        Reply { status: answer.status().as_u16(), headers: answer.headers().clone(), body }
    }

    fn begin(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Response<Body> {
        let url = format!("{}{path}", self.base);
        let method = method.to_uppercase();
        let mut request =
            Request::builder().method(Method::from_bytes(method.as_bytes()).unwrap()).uri(url);
        let cookie = self.cookie.as_ref().map(|cookie| format!("__Host-spanreel={cookie}"));
        let bearer = self.token.as_ref().map(|token| format!("Bearer {token}"));
        let own = [("cookie", &cookie), ("authorization", &bearer), ("x-csrf-token", &self.csrf)];
        for (name, value) in own {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.agent.run(request.body(body).unwrap()).unwrap()
    }

    /// Logs in, and sends what that gave with every further request.
    pub(crate) fn log_in(&mut self, name: &str, password: &str) {
        self.enter(self.post("/api/v2/login", &json!({ "name": name, "password": password })));
    }

    fn enter(&mut self, reply: Reply) {
        assert_eq!(reply.status, 200, "{}", reply.text());
        self.cookie = Some(cookie(&reply));
        self.csrf = Some(reply.json()["csrf"].as_str().unwrap().to_owned());
    }
}

/// The secret in the cookie that an answer sets.
pub(crate) fn cookie(reply: &Reply) -> String {
    let cookie = reply.header("set-cookie");
    let value = cookie.strip_prefix("__Host-spanreel=").unwrap_or_else(|| panic!("{cookie:?}"));
    value.split(';').next().unwrap().to_owned()
}
