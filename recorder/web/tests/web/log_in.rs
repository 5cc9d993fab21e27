//! Set-up, log-in, log-out, passwords.

use serde_json::json;
use web::audit::Act;
use web::auth::Role;

use crate::rig::{PASSWORD, Rig, cookie};

#[test]
fn the_first_start_makes_the_first_user_once() {
    let rig = Rig::start();
    let nobody = rig.client();
    assert_eq!(nobody.get("/api/v2/setup").json(), json!({ "needed": true }));
    let link = rig.app.set_up_link().unwrap().unwrap();
    assert!(link.starts_with("https://span1.example:8443/#/setup?token="), "{link}");
    let token = link.rsplit_once('=').unwrap().1;
    let first = |token: &str, password: &str| {
        nobody
            .post("/api/v2/setup", &json!({ "token": token, "name": "Anna", "password": password }))
    };
    assert_eq!(first("guessed", PASSWORD).status, 403);
    let weak = first(token, "short");
    assert_eq!((weak.status, weak.header("content-type")), (400, "application/problem+json"));
    let me = first(token, PASSWORD);
    assert_eq!(me.status, 200);
    assert_eq!(me.json()["name"], "anna");
    assert_eq!(me.json()["roles"], json!(["viewer", "supervisor", "compliance", "administrator"]));
    assert_eq!(first(token, PASSWORD).status, 409, "the link is spent");
    assert_eq!(nobody.get("/api/v2/setup").json(), json!({ "needed": false }));
    assert_eq!(rig.app.set_up_link().unwrap(), None);
    let acts: Vec<_> = rig.audit().iter().map(|e| (e.act, e.allowed)).collect();
    let expected =
        [(Act::Start, true), (Act::SetUp, false), (Act::SetUp, true), (Act::LogIn, true)];
    assert_eq!(acts, expected);
}

#[test]
fn a_log_in_is_a_cookie_that_scripts_and_other_sites_cannot_use() {
    let rig = Rig::start();
    let admin = rig.first();
    let reply =
        rig.client().post("/api/v2/login", &json!({ "name": "admin", "password": PASSWORD }));
    let set = reply.header("set-cookie").to_owned();
    for part in ["HttpOnly", "Secure", "SameSite=Strict", "Path=/"] {
        assert!(set.contains(part), "{set}");
    }
    assert!(!set.contains("Domain"), "{set}");
    assert_ne!(Some(cookie(&reply)), admin.cookie, "each log-in is new");
    let me = admin.get("/api/v2/me").json();
    assert_eq!(me["name"], "admin");
    assert_eq!(me["csrf"].as_str(), admin.csrf.as_deref());
    assert_eq!(rig.client().get("/api/v2/me").status, 401);
    assert_eq!(rig.client().get("/api/v2/me").header("www-authenticate"), "Bearer");
}

#[test]
fn logging_out_ends_the_log_in_and_a_new_password_ends_all_others() {
    let rig = Rig::start();
    let admin = rig.first();
    let anna = rig.user(&admin, "anna", &[Role::Viewer]);
    let mut elsewhere = rig.client();
    elsewhere.log_in("anna", PASSWORD);
    let change =
        |old: &str, new: &str| anna.post("/api/v2/me/password", &json!({ "old": old, "new": new }));
    assert_eq!(change("wrong", "another long secret").status, 400);
    assert_eq!(change(PASSWORD, "short").status, 400);
    assert_eq!(elsewhere.get("/api/v2/me").status, 200);
    assert_eq!(change(PASSWORD, "another long secret").status, 204);
    assert_eq!(elsewhere.get("/api/v2/me").status, 401, "other log-ins end");
    assert_eq!(anna.get("/api/v2/me").status, 200, "this one goes on");
    let mut again = rig.client();
    again.log_in("anna", "another long secret");
    let out = again.send("POST", "/api/v2/logout", &[], None);
    assert_eq!(out.status, 204);
    assert!(out.header("set-cookie").contains("Max-Age=0"), "{}", out.header("set-cookie"));
    assert_eq!(again.get("/api/v2/me").status, 401);
    assert_eq!(anna.get("/api/v2/me").status, 200);
}
