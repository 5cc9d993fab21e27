//! TLS, the certificate, the redirect, the pages, the description.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use seal::keys::{Algorithm, Purpose};

use crate::rig::{Rig, now};

#[test]
fn a_certificate_that_was_renewed_is_shown_without_a_restart() {
    let mut rig = Rig::start();
    assert_eq!(rig.client().get("/live").text(), "live\n");
    let day = Duration::from_secs(86_400);
    let names = ["localhost".to_owned()];
    let (from, until) = (now().minus(day), now().plus(day * 200));
    let pair =
        seal::keys::create(Purpose::Server(&names), Algorithm::Rsa3072, from, until).unwrap();
    let keys = rig.folder.path().join("keys");
    std::fs::write(keys.join("web.crt"), &pair.certificate).unwrap();
    std::fs::write(keys.join("web.key"), pair.private_key.as_bytes()).unwrap();
    rig.certificate = CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap().to_vec();
    let begin = now();
    while rig.try_get("/live").is_none() {
        assert!(now().since(begin) < Duration::from_secs(60), "it is never shown");
        std::thread::sleep(Duration::from_millis(500));
    }
    // What cannot be used is not: the server goes on with what it has.
    std::fs::write(keys.join("web.crt"), "no certificate").unwrap();
    std::thread::sleep(Duration::from_secs(11));
    assert_eq!(rig.try_get("/live").unwrap().text(), "live\n");
}

#[test]
fn plain_http_leads_to_the_real_address_whatever_it_asks_for() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let rig = Rig::start_with(|settings| settings.redirect = Some(free));
    let ask = |address: SocketAddr, request: &str| {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    };
    let answer =
        ask(free, "GET /s/x?y=%0d%0az HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 308 "), "{answer}");
    assert!(answer.contains("location: https://span1.example:8443/s/x?y=%0d%0az\r\n"), "{answer}");
    assert!(!answer.contains("evil.example"), "{answer}");
    let in_the_clear = ask(rig.address, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(!in_the_clear.contains("HTTP/1.1 200"), "{in_the_clear}");
}

#[test]
fn pages_are_there_or_say_what_is_missing_and_the_application_has_all_other_addresses() {
    let rig = Rig::start();
    for path in ["/", "/s/AbCd", "/recordings"] {
        let page = rig.client().get(path);
        assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
        assert_eq!(page.header("cache-control"), "no-cache");
        let text = page.text();
        assert!(text.contains("cargo xtask web") || text.contains("<script"), "{text}");
    }
    assert_eq!(rig.client().get("/assets/none-12345678.js").status, 404);
    assert_eq!(rig.client().get("/favicon.nothing").status, 404);
    assert_eq!(rig.client().send("POST", "/", &[], None).status, 405);
}

#[test]
fn the_description_is_served_and_says_what_happens_to_other_requests() {
    let rig = Rig::start();
    let client = rig.client();
    let description = client.get("/api/v2/openapi.json");
    assert_eq!(description.json(), web::server::description());
    assert_eq!(description.json()["openapi"], "3.1.0");
    let zipped = client.send("GET", "/api/v2/openapi.json", &[("accept-encoding", "gzip")], None);
    assert_eq!(zipped.header("content-encoding"), "gzip");
    assert!(zipped.body.len() * 3 < description.body.len());
    let nowhere = client.get("/api/v2/nowhere");
    assert_eq!((nowhere.status, nowhere.header("content-type")), (404, "application/problem+json"));
    let method = client.send("DELETE", "/api/v2/setup", &[], None);
    assert_eq!((method.status, method.header("content-type")), (405, "application/problem+json"));
    assert!(method.header("allow").contains("GET"), "{}", method.header("allow"));
}
