//! Real receivers for the outlets' tests: sockets, TLS, HTTP.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use crate::alarms::outlets::tls::provider;

/// What a receiver got, one item a connection (or an HTTP request).
pub(super) struct Server {
    pub(super) address: SocketAddr,
    pub(super) got: Receiver<Vec<u8>>,
}

impl Server {
    pub(super) fn next(&self) -> String {
        let got = self.got.recv_timeout(super::Duration::from_secs(20)).unwrap();
        String::from_utf8(got).unwrap()
    }
}

/// Serves connections, each on its turn, on a thread that ends with the test.
pub(super) fn serve(mut with: impl FnMut(TcpStream) -> Option<Vec<u8>> + Send + 'static) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, got) = channel();
    let run = move || {
        for stream in listener.incoming().flatten() {
            if with(stream).is_some_and(|bytes| tell.send(bytes).is_err()) {
                return;
            }
        }
    };
    std::thread::Builder::new().spawn(run).unwrap();
    Server { address, got }
}

/// Everything until the other side closes.
pub(super) fn read_all(mut stream: impl Read) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// Certificates of a made authority, as files: `ca.crt`, `server.{crt,key}`, `client.{crt,key}`.
pub(super) struct Pki(pub(super) tempfile::TempDir);

impl Pki {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Each has its own name.
        let name = folder.path().display().to_string();
        params.distinguished_name.push(DnType::CommonName, name);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        fs::write(folder.path().join("ca.crt"), authority.pem()).unwrap();
        for (name, subject) in [("server", "localhost"), ("client", "span1")] {
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new(vec![subject.to_owned()]).unwrap();
            let certificate = params.signed_by(&key, &authority).unwrap();
            let file = |ending: &str| folder.path().join(format!("{name}.{ending}"));
            fs::write(file("crt"), certificate.pem()).unwrap();
            fs::write(file("key"), key.serialize_pem()).unwrap();
        }
        Self(folder)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// How a receiver speaks TLS; with `asks`, only with clients of this authority.
    pub(super) fn server(&self, asks: bool) -> Arc<ServerConfig> {
        let builder = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = if asks {
            let mut roots = RootCertStore::empty();
            roots.add(certificate(&self.path("ca.crt"))).unwrap();
            let verifier =
                WebPkiClientVerifier::builder_with_provider(roots.into(), provider()).build();
            builder.with_client_cert_verifier(verifier.unwrap())
        } else {
            builder.with_no_client_auth()
        };
        let key = PrivateKeyDer::from_pem_file(self.path("server.key")).unwrap();
        let chain = vec![certificate(&self.path("server.crt"))];
        Arc::new(builder.with_single_cert(chain, key).unwrap())
    }
}

fn certificate(path: &Path) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(path).unwrap()
}

/// A TLS receiver.
pub(super) fn serve_tls(config: Arc<ServerConfig>) -> Server {
    serve(move |stream| {
        let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
        read_all(StreamOwned::new(connection, stream))
    })
}

/// Reads one HTTP request: head and body.
pub(super) fn read_request(stream: &mut impl Read) -> Option<Vec<u8>> {
    let (mut request, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let text = String::from_utf8_lossy(&request).to_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:"))?;
            if body.len() >= length.trim().parse::<usize>().ok()? {
                return Some(request);
            }
        }
        match stream.read(&mut buffer).ok()? {
            0 => return None,
            count => request.extend(&buffer[..count]),
        }
    }
}

/// An HTTP server that gives these answers, the last one again and again.
pub(super) fn serve_http(answers: &[u16]) -> Server {
    let mut answers = answers.to_vec();
    serve(move |mut stream| answer(&mut stream, &mut answers))
}

pub(super) fn answer(stream: &mut (impl Read + Write), answers: &mut Vec<u16>) -> Option<Vec<u8>> {
    let request = read_request(stream)?;
    let status = if answers.len() > 1 { answers.remove(0) } else { answers[0] };
    let head = format!("HTTP/1.1 {status} x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).ok()?;
    stream.flush().ok()?;
    Some(request)
}
