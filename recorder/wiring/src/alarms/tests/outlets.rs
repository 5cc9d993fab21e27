//! Each outlet against a real receiver, and against a dead one.

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_lc_rs::hmac;
use rustls::{ServerConnection, StreamOwned};

use super::receivers::{Pki, answer, read_all, serve, serve_http, serve_tls};
use super::*;
use crate::alarms::outlets::syslog::{Address, Sender};
use crate::alarms::outlets::{
    JsonOutlet, Line, Outlet, OutletError, OutletReport, SyslogOutlet, WebhookOutlet, tls,
};
use crate::clock;

fn news() -> Vec<Arc<Event>> {
    vec![
        Arc::new(event(Change::Raised, "no packet on eth1")),
        Arc::new(event(Change::Cleared, "no packet on eth1")),
    ]
}

fn sender() -> Sender {
    Sender::new(3, "span1", 4711)
}

/// What the events look like as syslog messages.
fn messages() -> Vec<String> {
    news().iter().map(|event| sender().message(event)).collect()
}

fn counted() -> String {
    messages().iter().map(|message| format!("{} {message}", message.len())).collect()
}

fn wait_for(line: &Line, is_so: impl Fn(&OutletReport) -> bool) -> OutletReport {
    let due = clock::instant() + Duration::from_secs(30);
    while !is_so(&line.report()) {
        assert!(clock::instant() < due, "{:?}", line.report());
        std::thread::sleep(Duration::from_millis(5));
    }
    line.report()
}

#[test]
fn json_lines_in_a_file_that_may_be_rotated() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("alarms.jsonl");
    let line = Line::start(JsonOutlet::new(path.clone(), "span1".into())).unwrap();
    news().into_iter().for_each(|event| line.offer(event));
    wait_for(&line, |report| report.sent == 2);
    let text = fs::read_to_string(&path).unwrap();
    let read: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&read[0]["event"], &read[1]["event"]), (&"raised".into(), &"cleared".into()));
    assert_eq!(read[0]["node"], "span1");
    assert_eq!(read[0]["time"], at(10_000).wall.to_string());
    assert_eq!(read[1]["alarm"]["cleared"], at(70_000).wall.to_string());
    assert_eq!(read[0]["alarm"]["detail"], "no packet on eth1");
    fs::rename(&path, folder.path().join("old")).unwrap();
    line.offer(news().remove(0));
    wait_for(&line, |report| report.sent == 3);
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 1);
}

#[test]
fn syslog_over_udp() {
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = format!("udp://{}", receiver.local_addr().unwrap()).parse().unwrap();
    SyslogOutlet::new(address, sender(), None).send(&news()).unwrap();
    let mut buffer = [0; 4096];
    for message in messages() {
        let length = receiver.recv(&mut buffer).unwrap();
        assert_eq!(std::str::from_utf8(&buffer[..length]).unwrap(), message);
    }
}

#[test]
fn syslog_over_tcp_counts_octets() {
    let server = serve(read_all);
    let address = format!("tcp://{}", server.address).parse().unwrap();
    let mut outlet = SyslogOutlet::new(address, sender(), None);
    outlet.send(&news()).unwrap();
    outlet.send(&news()).unwrap();
    assert_eq!(server.next(), counted());
    assert_eq!(server.next(), counted(), "a connection each time");
}

#[test]
fn syslog_over_tls() {
    let pki = Pki::new();
    let server = serve_tls(pki.server(false));
    let address = format!("tls://localhost:{}", server.address.port()).parse().unwrap();
    let config = tls::client(Some(&pki.path("ca.crt")), None).unwrap();
    SyslogOutlet::new(address, sender(), Some(config)).send(&news()).unwrap();
    assert_eq!(server.next(), counted());
}

#[test]
fn a_receiver_that_asks_for_a_certificate_gets_ours() {
    let pki = Pki::new();
    let server = serve_tls(pki.server(true));
    let address: Address = format!("tls://localhost:{}", server.address.port()).parse().unwrap();
    let (certificate, key) = (pki.path("client.crt"), pki.path("client.key"));
    let identity: Option<(&Path, &Path)> = Some((&certificate, &key));
    let with = tls::client(Some(&pki.path("ca.crt")), identity).unwrap();
    let without = tls::client(Some(&pki.path("ca.crt")), None).unwrap();
    let refused = SyslogOutlet::new(address.clone(), sender(), Some(without)).send(&news());
    assert!(matches!(refused, Err(OutletError::Unreachable(_))), "{refused:?}");
    SyslogOutlet::new(address, sender(), Some(with)).send(&news()).unwrap();
    assert_eq!(server.next(), counted());
}

#[test]
fn a_receiver_that_we_do_not_trust_gets_nothing() {
    let (theirs, ours) = (Pki::new(), Pki::new());
    let server = serve_tls(theirs.server(false));
    let port = server.address.port();
    let config = tls::client(Some(&ours.path("ca.crt")), None).unwrap();
    let address = format!("tls://localhost:{port}").parse().unwrap();
    let refused = SyslogOutlet::new(address, sender(), Some(config)).send(&news()).unwrap_err();
    assert!(refused.to_string().contains("UnknownIssuer"), "{refused}");
    // The right authority, but another name.
    let config = tls::client(Some(&theirs.path("ca.crt")), None).unwrap();
    let address = format!("tls://127.0.0.1:{port}").parse().unwrap();
    let refused = SyslogOutlet::new(address, sender(), Some(config)).send(&news()).unwrap_err();
    assert!(refused.to_string().contains("not valid for name"), "{refused}");
    assert!(server.got.try_recv().is_err());
}

fn webhook(url: String, secret: Option<&[u8]>) -> WebhookOutlet {
    WebhookOutlet::new(url, "span1".into(), &[], secret)
}

/// A request's header field, by its name in small letters.
fn field(request: &str, name: &str) -> Option<String> {
    let head = request.split("\r\n\r\n").next().unwrap();
    let fields = head.lines().filter_map(|line| line.split_once(": "));
    let mut found = fields.filter(|(it, _)| it.eq_ignore_ascii_case(name));
    found.next().map(|(_, value)| value.to_owned())
}

#[test]
fn a_webhook_is_posted_and_signed() {
    let server = serve_http(&[204]);
    let secret = b"0123456789abcdef";
    let mut outlet = webhook(format!("http://{}/hook?token=1", server.address), Some(secret));
    assert_eq!(outlet.name(), format!("webhook http://{}", server.address));
    outlet.send(&news()[..1]).unwrap();
    let request = server.next();
    assert!(request.starts_with("POST /hook?token=1 HTTP/1.1\r\n"), "{request}");
    assert_eq!(field(&request, "content-type").unwrap(), "application/json");
    assert_eq!(field(&request, "x-spanreel-event").unwrap(), "raised");
    let body = request.split_once("\r\n\r\n").unwrap().1;
    let json: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!((&json["alarm"]["id"], &json["node"]), (&"no_packets".into(), &"span1".into()));
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let signature = field(&request, "x-spanreel-signature").unwrap();
    let hex = signature.strip_prefix("sha256=").unwrap();
    let tag: Vec<u8> =
        (0..32).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap()).collect();
    hmac::verify(&key, body.as_bytes(), &tag).unwrap();
}

#[test]
fn a_webhook_over_tls() {
    let pki = Pki::new();
    let config = pki.server(false);
    let server = serve(move |stream| {
        let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
        answer(&mut StreamOwned::new(connection, stream), &mut vec![200])
    });
    let url = format!("https://localhost:{}/", server.address.port());
    let authorities = tls::authorities(Some(&pki.path("ca.crt"))).unwrap();
    let mut outlet = WebhookOutlet::new(url.clone(), "span1".into(), &authorities, None);
    outlet.send(&news()).unwrap();
    assert_eq!(field(&server.next(), "x-spanreel-event").unwrap(), "raised");
    let cleared = server.next();
    assert_eq!(field(&cleared, "x-spanreel-event").unwrap(), "cleared");
    assert_eq!(field(&cleared, "x-spanreel-signature"), None);
    let strangers = tls::authorities(Some(&Pki::new().path("ca.crt"))).unwrap();
    let mut outlet = WebhookOutlet::new(url, "span1".into(), &strangers, None);
    assert!(matches!(outlet.send(&news()), Err(OutletError::Unreachable(_))));
}

#[test]
fn a_webhook_that_fails_for_a_while_is_tried_again() {
    let server = serve_http(&[503, 429, 200]);
    let line = Line::start(webhook(format!("http://{}/", server.address), None)).unwrap();
    line.offer(news().remove(0));
    let keys: Vec<_> = (0..3).map(|_| field(&server.next(), "idempotency-key").unwrap()).collect();
    assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
    let report = wait_for(&line, |report| report.sent == 1);
    assert_eq!((report.dropped(), report.trouble), (0, None));
}

#[test]
fn a_webhook_that_refuses_loses_the_event_by_name() {
    let server = serve_http(&[302, 200]);
    let line = Line::start(webhook(format!("http://{}/", server.address), None)).unwrap();
    line.offer(news().remove(0));
    let report = wait_for(&line, |report| report.dropped_refused == 1);
    assert_eq!(report.trouble.unwrap(), "the answer is 302");
    line.offer(news().remove(1));
    assert_eq!(wait_for(&line, |report| report.sent == 1).trouble, None);
}

/// An outlet that is dead until told otherwise.
struct Dead(Arc<AtomicBool>);

impl Outlet for Dead {
    fn name(&self) -> String {
        "dead".into()
    }

    fn send(&mut self, _: &[Arc<Event>]) -> Result<(), OutletError> {
        let lives = self.0.load(Ordering::Acquire);
        lives.then_some(()).ok_or_else(|| OutletError::Unreachable("dead".into()))
    }
}

#[test]
fn a_dead_outlet_blocks_nobody_and_counts_what_it_loses() {
    use base::limits::ALARM_QUEUE_MAX;

    let lives = Arc::new(AtomicBool::new(false));
    let line = Line::start(Dead(Arc::clone(&lives))).unwrap();
    let event = news().remove(0);
    line.offer(Arc::clone(&event));
    // The first is being tried; the queue is empty.
    wait_for(&line, |report| report.trouble.is_some());
    for _ in 0..ALARM_QUEUE_MAX + 5 {
        line.offer(Arc::clone(&event));
    }
    assert_eq!(line.report().dropped_queue_full, 5);
    lives.store(true, Ordering::Release);
    let report = wait_for(&line, |report| report.sent == ALARM_QUEUE_MAX as u64 + 1);
    assert_eq!((report.dropped(), report.trouble), (5, None));
}

#[test]
fn at_the_end_a_dead_outlet_tries_once_and_leaves() {
    let line = Line::start(Dead(Arc::default())).unwrap();
    news().into_iter().for_each(|event| line.offer(event));
    wait_for(&line, |report| report.trouble.is_some());
    // It would hang for an hour if it did not notice.
    line.end().join().unwrap();
}

#[test]
fn a_receiver_that_is_not_there_is_told() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let address = format!("tcp://{free}").parse().unwrap();
    let line = Line::start(SyslogOutlet::new(address, sender(), None)).unwrap();
    line.offer(news().remove(0));
    let report = wait_for(&line, |report| report.trouble.is_some());
    assert!(report.trouble.unwrap().starts_with("cannot send: "));
    assert_eq!(report.name, format!("syslog tcp://{free}"));
    let again = TcpListener::bind(free).unwrap();
    let (stream, _) = again.accept().unwrap();
    let got = String::from_utf8(read_all(stream).unwrap()).unwrap();
    assert_eq!(got, format!("{} {}", messages()[0].len(), messages()[0]));
    assert_eq!(wait_for(&line, |report| report.sent == 1).dropped(), 0);
}
