//! What the wide world sends: forged requests, guesses, traversal, headers that inject, bodies too long, clients too
//! slow (OWASP's basics).

use std::io::{Read as _, Write as _};
use std::time::Duration;

use serde_json::json;
use web::audit::Act;
use web::auth::{Right, Role};

use crate::rig::{Client, PASSWORD, Rig};

fn without_csrf(client: &Client) -> Client {
    Client { csrf: None, ..client.clone() }
}

#[test]
fn a_request_that_another_site_made_the_browser_send_is_refused() {
    let rig = Rig::start();
    let admin = rig.first();
    let user = json!({ "name": "eve", "roles": ["administrator"], "password": PASSWORD });
    let forged = |client: &Client, headers: &[(&str, &str)]| {
        client.send("POST", "/api/v2/users", headers, Some(&user)).status
    };
    assert_eq!(forged(&without_csrf(&admin), &[]), 403, "without its token");
    let other = Client { csrf: Some("A".repeat(43)), ..admin.clone() };
    assert_eq!(forged(&other, &[]), 403, "with another token");
    assert_eq!(forged(&admin, &[("origin", "https://evil.example")]), 403);
    assert_eq!(forged(&admin, &[("sec-fetch-site", "cross-site")]), 403);
    let upgrade = [("upgrade", "websocket"), ("origin", "https://evil.example")];
    assert_eq!(admin.send("GET", "/api/v2/me", &upgrade, None).status, 403, "a WebSocket");
    let login = json!({ "name": "admin", "password": PASSWORD });
    let foreign = [("origin", "https://evil.example")];
    assert_eq!(rig.client().send("POST", "/api/v2/login", &foreign, Some(&login)).status, 403);
    assert_eq!(admin.get("/api/v2/users").json()["users"].as_array().unwrap().len(), 1);
    let own = format!("https://localhost:{}", rig.address.port());
    assert_eq!(forged(&admin, &[("origin", &own), ("sec-fetch-site", "same-origin")]), 201);
    let told = rig.audit().iter().filter(|e| e.act == Act::Forged && !e.allowed).count();
    assert_eq!(told, 6, "each is in the audit log");
}

#[test]
fn a_token_needs_no_csrf_and_a_planted_cookie_is_nobodys() {
    let rig = Rig::start();
    let admin = rig.first();
    let token = rig.token(&admin, "script", &[Right::ManageUsers]);
    let user = json!({ "name": "bert", "roles": ["viewer"], "password": PASSWORD });
    assert_eq!(token.post("/api/v2/users", &user).status, 201);
    // Session fixation: what an attacker knows beforehand is not what the log-in becomes.
    let mut victim = rig.client();
    victim.cookie = Some("known-to-the-attacker".to_owned());
    assert_eq!(victim.get("/api/v2/me").status, 401);
    victim.log_in("bert", PASSWORD);
    assert_ne!(victim.cookie.as_deref(), Some("known-to-the-attacker"));
    let before = victim.cookie.clone();
    victim.log_in("bert", PASSWORD);
    assert_ne!(victim.cookie, before, "a new one at each log-in");
}

#[test]
fn guessing_gets_slower_and_says_nothing_of_who_exists() {
    let rig = Rig::start();
    let _admin = rig.first();
    let guess = |name: &str| {
        rig.client()
            .post("/api/v2/login", &json!({ "name": name, "password": "wrong wrong wrong" }))
    };
    let (known, unknown) = (guess("admin"), guess("nobody"));
    assert_eq!((known.status, unknown.status), (401, 401));
    assert_eq!(known.body, unknown.body, "no difference");
    for _ in 0..3 {
        assert_eq!(guess("admin").status, 401);
    }
    let slowed = guess("admin");
    assert_eq!(slowed.status, 429);
    assert_eq!(slowed.header("retry-after"), "1");
    let right = json!({ "name": "admin", "password": PASSWORD });
    assert_eq!(
        rig.client().post("/api/v2/login", &right).status,
        429,
        "nor the right one, so soon"
    );
    std::thread::sleep(Duration::from_millis(1100));
    assert_eq!(rig.client().post("/api/v2/login", &right).status, 200);
    let refused = rig.audit().into_iter().filter(|e| e.act == Act::LogInRefused).count();
    assert_eq!(refused, 7);
    assert!(!rig.audit().iter().any(|e| serde_json::to_string(e).unwrap().contains("wrong wrong")));
}

#[test]
fn what_belongs_to_another_is_not_there() {
    let rig = Rig::start();
    let admin = rig.first();
    let anna = rig.user(&admin, "anna", &[Role::Supervisor]);
    let bert = rig.user(&admin, "bert", &[Role::Supervisor]);
    let body = json!({ "name": "annas", "rights": ["play"], "expires": null });
    let id = anna.post("/api/v2/tokens", &body).json()["id"].as_str().unwrap().to_owned();
    let path = format!("/api/v2/tokens/{id}");
    assert_eq!(bert.send("DELETE", &path, &[], None).status, 404);
    assert_eq!(bert.get("/api/v2/tokens").json(), json!({ "tokens": [] }));
    assert_eq!(anna.get("/api/v2/tokens").json()["tokens"][0]["name"], "annas");
    assert_eq!(admin.get("/api/v2/tokens").json()["tokens"][0]["owner"], "anna");
    assert_eq!(admin.send("DELETE", &path, &[], None).status, 204);
    let more = json!({ "name": "more", "rights": ["manageUsers"], "expires": null });
    assert_eq!(anna.post("/api/v2/tokens", &more).status, 403, "more than she herself may");
}

#[test]
fn a_token_ends_with_its_rights_its_time_and_its_owner() {
    let rig = Rig::start();
    let admin = rig.first();
    let anna = rig.user(&admin, "anna", &[Role::Supervisor, Role::Administrator]);
    let token = rig.token(&anna, "annas", &[Right::ManageUsers, Right::Play]);
    assert_eq!(token.get("/api/v2/me").json()["name"], "token:annas");
    assert_eq!(token.get("/api/v2/users").status, 200);
    let child = json!({ "name": "child", "rights": ["play"], "expires": null });
    assert_eq!(token.post("/api/v2/tokens", &child).status, 403, "a token makes no tokens");
    let fewer = json!({ "roles": ["supervisor"] });
    assert_eq!(admin.send("PATCH", "/api/v2/users/anna", &[], Some(&fewer)).status, 200);
    assert_eq!(token.get("/api/v2/users").status, 403, "not what its owner may no more");
    assert_eq!(token.get("/api/v2/me").json()["rights"], json!(["play"]));
    let past = json!({ "name": "past", "rights": ["play"], "expires": "2020-01-01T00:00:00Z" });
    assert_eq!(anna.post("/api/v2/tokens", &past).status, 400);
    let soon = crate::rig::now().plus(Duration::from_millis(300)).to_string();
    let short = json!({ "name": "short", "rights": ["play"], "expires": soon });
    let mut short_lived = rig.client();
    let made = anna.post("/api/v2/tokens", &short).json();
    short_lived.token = Some(made["token"].as_str().unwrap().to_owned());
    assert_eq!(short_lived.get("/api/v2/me").status, 200);
    std::thread::sleep(Duration::from_millis(400));
    assert_eq!(short_lived.get("/api/v2/me").status, 401);
    assert_eq!(admin.send("DELETE", "/api/v2/users/anna", &[], None).status, 204);
    assert_eq!(token.get("/api/v2/me").status, 401);
    assert_eq!(anna.get("/api/v2/me").status, 401);
}

#[test]
fn the_last_administrator_stays() {
    let rig = Rig::start();
    let admin = rig.first();
    let roles = json!({ "roles": ["viewer"] });
    assert_eq!(admin.send("PATCH", "/api/v2/users/admin", &[], Some(&roles)).status, 409);
    assert_eq!(admin.send("DELETE", "/api/v2/users/admin", &[], None).status, 409);
    assert!(admin.get("/api/v2/me").json()["roles"].to_string().contains("administrator"));
}

#[test]
fn nothing_leads_out_of_the_pages_or_the_api() {
    let rig = Rig::start();
    let secret = std::fs::read_to_string(rig.folder.path().join("keys/web.key")).unwrap();
    for path in [
        "/../keys/web.key",
        "/..%2f..%2fkeys%2fweb.key",
        "/%2e%2e/%2e%2e/keys/web.key",
        "/assets/..\\..\\keys\\web.key",
        "/assets/../../../keys/web.key",
        "//etc/passwd",
        "/etc/passwd",
        "/api/v2/tokens/..%2f..%2f..%2fkeys%2fweb.key",
        "/api/v2/../../keys/web.key",
    ] {
        let answer = rig.send_raw(&format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        ));
        assert!(answer.starts_with("HTTP/1.1 "), "{path}: {answer}");
        assert!(!answer.contains(secret.lines().nth(1).unwrap()), "{path}");
        assert!(!answer.contains("root:"), "{path}");
    }
}

#[test]
fn no_header_is_made_of_what_a_request_says() {
    let rig = Rig::start();
    let admin = rig.first();
    for bad in ["a%0d%0aset-cookie:x=y", "a%22%0d%0a%0d%0a%3Cscript%3E"] {
        let answer = admin.send("DELETE", &format!("/api/v2/users/{bad}"), &[], None);
        assert_eq!(answer.status, 400, "{bad}");
        assert_eq!(answer.header("set-cookie"), "");
        assert_eq!(answer.header("content-type"), "application/problem+json");
    }
    // Whatever host a request names: links are made from the settings.
    let answer = rig.send_raw(
        "GET /api/v2/setup HTTP/1.1\r\nHost: evil.example\r\nX-Forwarded-Host: evil.example\r\nConnection: close\r\n\r\n",
    );
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(!answer.contains("evil.example"), "{answer}");
    let split = rig.send_raw(
        "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    );
    assert!(split.is_empty() || split.starts_with("HTTP/1.1 "), "{split}");
}

#[test]
fn every_answer_has_the_headers_that_keep_browsers_safe() {
    let rig = Rig::start();
    for path in ["/", "/api/v2/me", "/api/v2/nowhere", "/live"] {
        let answer = rig.client().get(path);
        let policy = answer.header("content-security-policy");
        assert!(policy.contains("default-src 'none'"), "{path}: {policy}");
        assert!(policy.contains("script-src 'self';") && policy.contains("frame-ancestors 'none'"));
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{path}");
        assert_eq!(answer.header("cross-origin-opener-policy"), "same-origin", "{path}");
        assert!(answer.header("strict-transport-security").starts_with("max-age="), "{path}");
        assert!(answer.header("permissions-policy").contains("microphone=()"), "{path}");
    }
}

#[test]
fn a_body_too_long_and_one_that_is_no_json_are_problems() {
    let rig = Rig::start();
    let client = rig.client();
    let long = json!({ "name": "x".repeat(70_000), "password": "y" });
    let answer = client.post("/api/v2/login", &long);
    assert_eq!((answer.status, answer.header("content-type")), (413, "application/problem+json"));
    let kind = [("content-type", "text/plain")];
    assert_eq!(client.send_bytes("POST", "/api/v2/login", &kind, b"{}".to_vec()).status, 415);
    for bad in ["", "{", "[]", "{\"name\":1}", "{\"name\":\"a\",\"password\":\"b\",\"x\":1}"] {
        let kind = [("content-type", "application/json")];
        let answer = client.send_bytes("POST", "/api/v2/login", &kind, bad.into());
        assert_eq!(answer.status, 400, "{bad}");
        assert_eq!(answer.json()["title"], "Bad Request");
    }
    let deep = format!("{{\"name\":{}", "[".repeat(50_000));
    let kind = [("content-type", "application/json")];
    assert_eq!(client.send_bytes("POST", "/api/v2/login", &kind, deep.into()).status, 400);
}

#[test]
fn who_sends_slowly_is_left() {
    let rig = Rig::start();
    let mut stream = rig.raw();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n").unwrap();
    let begin = crate::rig::now();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let waited = crate::rig::now().since(begin);
    assert!(waited < Duration::from_secs(25), "left within its time, not the client's");
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
}
