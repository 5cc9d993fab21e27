//! The pages of a recorder, as programs of people talk to it: HTTP/1.1 and WebSockets, by TLS.

use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::{Value, json};
use tungstenite::WebSocket;
use tungstenite::client::IntoClientRequest as _;

use crate::recorder::Site;
use crate::wire::eventually;

const PASSWORD: &str = "correct horse battery staple";
/// Nobody waits longer for an answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
/// Who waits for what may come looks so often whether he is to leave.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The pages. A clone is the same.
#[derive(Clone)]
pub(super) struct House {
    address: SocketAddr,
    tls: Arc<ClientConfig>,
    /// Headers of somebody who has all rights.
    key: String,
}

type Stream = StreamOwned<ClientConnection, TcpStream>;
/// One that a call is heard by.
pub(super) type Ear = WebSocket<Stream>;

/// A connection.
pub(super) struct Line {
    stream: BufReader<Stream>,
}

/// What is answered.
pub(super) struct Answer {
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

impl Answer {
    /// What a header says.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        Some(lines.find(|(key, _)| key.eq_ignore_ascii_case(name))?.1)
    }

    pub(super) fn status(&self) -> &str {
        self.head.split(' ').nth(1).unwrap()
    }
}

impl House {
    /// Waits for the pages, and makes the first user.
    pub(super) fn enter(site: &Site) -> Self {
        let told = |begin: &str, end: char| {
            let log = site.read_log();
            let rest = log.split_once(begin)?.1;
            Some(rest.split_once(end)?.0.to_owned())
        };
        eventually("the set-up link is shown", || told("setup?token=", '\n').is_some());
        let address = told("(listening on ", ')').unwrap().parse().unwrap();
        let pem = std::fs::read(site.data().join("keys/web.crt")).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(&pem).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut house = Self { address, tls: Arc::new(tls), key: String::new() };
        let token = told("setup?token=", '\n').unwrap();
        let body = json!({ "token": token.trim(), "name": "admin", "password": PASSWORD });
        let answer = house.line().ask("POST", "setup", "", Some(&body));
        let cookie = answer.header("set-cookie").unwrap_or_else(|| panic!("{}", answer.head));
        let cookie = cookie.split(';').next().unwrap();
        let me: Value = serde_json::from_slice(&answer.body).unwrap();
        let csrf = me["csrf"].as_str().unwrap();
        house.key = format!("Cookie: {cookie}\r\nX-CSRF-Token: {csrf}\r\n");
        house
    }

    /// Headers of somebody else, who may play.
    pub(super) fn player(&self, name: &str) -> String {
        let body = json!({ "name": name, "rights": ["play"] });
        let answer = self.line().ask("POST", "tokens", &self.key, Some(&body));
        assert_eq!(answer.status(), "201", "{}", answer.head);
        let made: Value = serde_json::from_slice(&answer.body).unwrap();
        format!("Authorization: Bearer {}\r\n", made["token"].as_str().unwrap())
    }

    fn stream(&self) -> Stream {
        let name = ServerName::try_from("localhost").unwrap();
        let connection = ClientConnection::new(Arc::clone(&self.tls), name).unwrap();
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(ANSWER_WITHIN)).unwrap();
        StreamOwned::new(connection, stream)
    }

    pub(super) fn line(&self) -> Line {
        Line { stream: BufReader::new(self.stream()) }
    }

    pub(super) fn get(&self, path: &str) -> Value {
        let answer = self.line().ask("GET", path, &self.key, None);
        assert_eq!(answer.status(), "200", "{path}: {}", answer.head);
        serde_json::from_slice(&answer.body).unwrap()
    }

    /// The state, as it changes.
    pub(super) fn watch(&self) -> Line {
        let mut line = self.line();
        // Of HTTP/1.0, so that the events come as they are, not in pieces with lengths between.
        let request =
            format!("GET /api/v2/status/events HTTP/1.0\r\nHost: localhost\r\n{}\r\n", self.key);
        line.stream.get_mut().write_all(request.as_bytes()).unwrap();
        let head = line.head();
        assert!(head.contains(" 200 "), "{head}");
        line.stream.get_ref().sock.set_read_timeout(Some(LOOK_EVERY)).unwrap();
        line
    }

    /// A call, as it is heard; none if it is over.
    pub(super) fn listen(&self, call: &str) -> Option<Ear> {
        let url = format!("wss://localhost/api/v2/calls/{call}/listen");
        let mut request = url.into_client_request().unwrap();
        let (_, cookie) = self.key.lines().next().unwrap().split_once(": ").unwrap();
        request.headers_mut().insert("cookie", cookie.parse().unwrap());
        let (socket, _) = tungstenite::client(request, self.stream()).ok()?;
        socket.get_ref().sock.set_read_timeout(Some(LOOK_EVERY)).unwrap();
        Some(socket)
    }
}

impl Line {
    /// Asks, and waits for the whole answer. The connection stays.
    pub(super) fn ask(
        &mut self,
        method: &str,
        path: &str,
        headers: &str,
        body: Option<&Value>,
    ) -> Answer {
        let body = body.map_or_else(String::new, Value::to_string);
        let request = format!(
            "{method} /api/v2/{path} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.stream.get_mut().write_all(request.as_bytes()).unwrap();
        let mut answer = Answer { head: self.head(), body: Vec::new() };
        let length = answer.header("content-length").unwrap_or_else(|| panic!("{}", answer.head));
        answer.body = vec![0; length.parse().unwrap()];
        self.stream.read_exact(&mut answer.body).unwrap();
        answer
    }

    fn head(&mut self) -> String {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(self.stream.read_line(&mut head).unwrap() > 0, "{head}");
        }
        head
    }

    /// What the next event has; none if none came until it is time to look up.
    pub(super) fn event(&mut self, line: &mut Vec<u8>) -> Option<Value> {
        match self.stream.read_until(b'\n', line) {
            Ok(read) => assert!(read > 0, "the events end"),
            Err(error) => {
                let kinds = [ErrorKind::WouldBlock, ErrorKind::TimedOut];
                assert!(kinds.contains(&error.kind()), "{error}");
                return None;
            }
        }
        let line = std::mem::take(line);
        line.strip_prefix(b"data: ").map(|data| serde_json::from_slice(data).unwrap())
    }
}
