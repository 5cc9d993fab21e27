//! `spanreel web` as a person starts it, and `spanreel verify --audit` on what it leaves.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{Data, program, read, spanreel};

/// A server, and what it printed until it had said everything.
fn start(data: &Data) -> (Child, Vec<String>) {
    let mut server = Command::new(spanreel())
        .args(["web", "--listen", "127.0.0.1:0", "--url", "https://calls.example.com"])
        .arg("--data")
        .arg(data.path())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let out = BufReader::new(server.stdout.take().expect("piped"));
    let mut lines = Vec::new();
    for line in out.lines().map_while(Result::ok) {
        let last = line.starts_with("make the first user");
        lines.push(line);
        if last {
            break;
        }
    }
    (server, lines)
}

fn stop(mut server: Child) -> Option<i32> {
    kill_process(Pid::from_child(&server), Signal::TERM).expect("it runs");
    server.wait().expect("it ends").code()
}

#[test]
fn a_first_start_shows_what_to_trust_and_makes_no_default_password() {
    let data = Data::new();
    std::fs::create_dir_all(data.path()).unwrap();
    let (server, lines) = start(&data);
    let text = lines.join("\n");
    assert!(text.contains("https://calls.example.com (listening on 127.0.0.1:"), "{text}");
    assert!(
        text.contains("make the first user, once: https://calls.example.com/#/setup?token="),
        "{text}"
    );
    let certificate = data.path().join("keys/web.crt");
    let arguments = [
        "x509",
        "-in",
        certificate.to_str().unwrap(),
        "-noout",
        "-fingerprint",
        "-sha256",
        "-ext",
        "subjectAltName",
    ];
    let shown = program("openssl", &arguments).ok().out;
    let fingerprint = shown.split('=').nth(1).unwrap().lines().next().unwrap();
    let fingerprint = fingerprint.replace(':', "").to_lowercase();
    assert!(text.contains(&format!("certificate SHA-256 {fingerprint}")), "{text}\n{shown}");
    assert!(
        shown.contains("DNS:calls.example.com") && shown.contains("IP Address:127.0.0.1"),
        "{shown}"
    );
    let second = data.run(&["web", "--listen", "127.0.0.1:0"]);
    second.fails_naming(&["the audit log", "another `spanreel web` serves this data folder"]);
    assert_eq!(stop(server), Some(0));
    let (server, again) = start(&data);
    assert_eq!(again[1], lines[1], "the same certificate");
    assert_ne!(again.last(), lines.last(), "another link: the first is worth nothing any more");
    assert_eq!(stop(server), Some(0));
}

#[test]
fn an_audit_log_that_was_altered_is_named_by_line() {
    let data = Data::new();
    std::fs::create_dir_all(data.path()).unwrap();
    for _ in 0..3 {
        let (server, _) = start(&data);
        assert_eq!(stop(server), Some(0));
    }
    let sound = data.run(&["verify", "--audit"]).ok();
    assert!(
        sound.out.contains("3 entries in 1 files, 0 bad; signed up to entry 3 by"),
        "{}",
        sound.out
    );
    let path = data.path().join("audit/0000000000000001.jsonl");
    let whole = String::from_utf8(read(&path)).unwrap();
    std::fs::write(&path, whole.replacen("\"number\":2", "\"number\":4", 1)).unwrap();
    let ran = data.run(&["verify", "--audit"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.out.contains("0000000000000001.jsonl, line 2: was altered"), "{}", ran.out);
    let without_last: String = whole.lines().take(2).map(|line| format!("{line}\n")).collect();
    std::fs::write(&path, without_last).unwrap();
    let ran = data.run(&["verify", "--audit", "--json"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.out.contains("entry 3 was signed, but the last sound one is 2"), "{}", ran.out);
}
