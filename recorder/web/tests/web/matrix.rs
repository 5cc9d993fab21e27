//! Every operation of the API against everybody: what each role may, and what a token with and without the right may. An
//! operation that is not in the table fails the test, and so does an entry without its operation.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use web::auth::{Right, Role};

use crate::rig::{Client, Rig};

/// Whom an operation is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum For {
    /// Everybody, logged in or not.
    All,
    /// Whoever is known: users and tokens.
    Known,
    /// Users, not tokens.
    Users,
    /// Who has all of these.
    Having(&'static [Right]),
    /// Who has one of these.
    HavingOne(&'static [Right]),
}
use For::{All, Having, HavingOne, Known, Users};
use Right::{
    DownloadEvidence, Hold, Label, ListenLive, ManageShares, ManageUsers, Play, SeeAudit, SeeCalls,
    SeeRecordings, SeeStatus, Share,
};

/// Method, path, whom it is for, and a body that is none to complain about.
const TABLE: &[(&str, &str, For, &str)] = &[
    ("get", "/setup", All, ""),
    ("post", "/setup", All, r#"{"token":"x","name":"x","password":"x"}"#),
    ("post", "/login", All, r#"{"name":"x","password":"x"}"#),
    ("get", "/me", Known, ""),
    ("post", "/me/password", Users, r#"{"old":"x","new":"x"}"#),
    ("get", "/users", Having(&[ManageUsers]), ""),
    (
        "post",
        "/users",
        Having(&[ManageUsers]),
        r#"{"name":"new","roles":[],"password":"correct horse battery"}"#,
    ),
    ("patch", "/users/{name}", Having(&[ManageUsers]), r#"{"roles":["viewer"]}"#),
    ("delete", "/users/{name}", Having(&[ManageUsers]), ""),
    ("get", "/tokens", Known, ""),
    ("post", "/tokens", Users, r#"{"name":"new","rights":[],"expires":null}"#),
    ("delete", "/tokens/{id}", Known, ""),
    ("get", "/audit", Having(&[SeeAudit]), ""),
    ("get", "/status", Having(&[SeeStatus]), ""),
    ("get", "/status/events", Having(&[SeeStatus]), ""),
    ("get", "/status/history", Having(&[SeeStatus]), ""),
    ("get", "/calls", Having(&[SeeCalls]), ""),
    ("get", "/calls/events", Having(&[SeeCalls]), ""),
    ("get", "/calls/{id}/listen", Having(&[ListenLive]), ""),
    ("get", "/recordings/{id}/audio", Having(&[Play]), ""),
    // Of an audio file; packets need another right.
    ("get", "/recordings/{id}/mediaFiles/{mediaId}", Having(&[Play]), ""),
    ("get", "/recordings/{id}/packets", Having(&[DownloadEvidence]), ""),
    ("get", "/recordings/{id}/bundle", Having(&[DownloadEvidence]), ""),
    ("get", "/recordings/{id}/evidence", Having(&[SeeRecordings]), ""),
    ("get", "/recordings/{id}/shares", HavingOne(&[Share, ManageShares]), ""),
    (
        "post",
        "/recordings/{id}/shares",
        Having(&[Share, Play]),
        r#"{"expires":"2026-12-24T00:00:00Z"}"#,
    ),
    ("get", "/shares", HavingOne(&[Share, ManageShares]), ""),
    ("delete", "/shares/{id}", HavingOne(&[Share, ManageShares]), ""),
    ("post", "/shared/{token}", All, "{}"),
    ("get", "/shared/{token}/audio", All, ""),
    ("get", "/recordings", Having(&[SeeRecordings]), ""),
    ("get", "/recordings/count", Having(&[SeeRecordings]), ""),
    ("get", "/recordings/export", Having(&[SeeRecordings]), ""),
    ("get", "/recordings/{id}", Having(&[SeeRecordings]), ""),
    ("post", "/recordings/{id}", Having(&[Hold]), r#"{"operationName":"applyNonDelete"}"#),
    ("post", "/recordings/{id}/labels", Having(&[Label]), r#"{"name":"label"}"#),
    ("put", "/recordings/{id}/labels/{label}", Having(&[Label]), ""),
    ("delete", "/recordings/{id}/labels/{label}", Having(&[Label]), ""),
    ("put", "/recordings/{id}/metadata", Having(&[Label]), r#"{"key":"value"}"#),
    ("put", "/recordings/{id}/non-deletion", Having(&[Hold]), r#"{"reason":"court"}"#),
    ("delete", "/recordings/{id}/non-deletion", Having(&[Hold]), ""),
    ("get", "/labels", Having(&[SeeRecordings]), ""),
    ("get", "/recording-label-definitions", Having(&[SeeRecordings]), ""),
    ("post", "/recording-label-definitions", Having(&[Label]), r#"{"name":"label"}"#),
    ("get", "/searches", Having(&[SeeRecordings]), ""),
    ("post", "/searches", Having(&[SeeRecordings]), r#"{"name":"mine","query":"","columns":[]}"#),
    ("delete", "/searches/{id}", Having(&[SeeRecordings]), ""),
    // It ends the log-in that it is sent with.
    ("post", "/logout", Users, ""),
];

/// Every right, so that there is a token with it alone and one with all others.
const RIGHTS: [Right; 12] = [
    Right::SeeStatus,
    Right::SeeCalls,
    Right::ListenLive,
    Right::SeeRecordings,
    Right::Play,
    Right::DownloadEvidence,
    Right::Label,
    Right::Hold,
    Right::Share,
    Right::ManageShares,
    Right::SeeAudit,
    Right::ManageUsers,
];

/// Somebody, and what he may.
struct Somebody {
    what: String,
    client: Client,
    rights: Option<Vec<Right>>,
    is_user: bool,
}

impl Somebody {
    fn may(&self, whom: For) -> bool {
        match (whom, &self.rights) {
            (All, _) => true,
            (_, None) => false,
            (Known, Some(_)) => true,
            (Users, Some(_)) => self.is_user,
            (Having(all), Some(rights)) => all.iter().all(|right| rights.contains(right)),
            (HavingOne(some), Some(rights)) => some.iter().any(|right| rights.contains(right)),
        }
    }
}

fn everybody(rig: &Rig) -> Vec<Somebody> {
    let admin = rig.first();
    let mut all = vec![Somebody {
        what: "nobody".into(),
        client: rig.client(),
        rights: None,
        is_user: false,
    }];
    for (name, role) in
        ["viewer", "supervisor", "compliance", "administrator"].iter().zip(Role::ALL)
    {
        let client = rig.user(&admin, name, &[role]);
        let rights = Some(role.rights().to_vec());
        all.push(Somebody { what: (*name).into(), client, rights, is_user: true });
    }
    for (n, right) in RIGHTS.into_iter().enumerate() {
        let others: Vec<_> = RIGHTS.into_iter().filter(|other| *other != right).collect();
        for (kind, rights) in [("with", vec![right]), ("without", others)] {
            let client = rig.token(&admin, &format!("{kind}-{n}"), &rights);
            let what = format!("a token {kind} {right:?}");
            all.push(Somebody { what, client, rights: Some(rights), is_user: false });
        }
    }
    all
}

fn path(template: &str) -> String {
    let id = "00000000-0000-7000-8000-000000000000";
    let path = template.replace("{id}", id).replace("{name}", "somebody");
    format!(
        "/api/v2{}",
        path.replace("{label}", "label")
            .replace("{token}", "token")
            .replace("{mediaId}", "audio.flac")
    )
}

fn operations(description: &Value) -> BTreeSet<(String, String)> {
    let paths = description["paths"].as_object().unwrap();
    let of = |(path, item): (&String, &Value)| {
        let path = path.strip_prefix("/api/v2").unwrap().to_owned();
        let methods: Vec<_> = item.as_object().unwrap().keys().cloned().collect();
        methods.into_iter().map(move |method| (method, path.clone()))
    };
    paths.iter().flat_map(of).collect()
}

/// All of them ask from one address, and may be too quick for it.
fn unhurried(ask: impl Fn() -> u16) -> u16 {
    for _ in 0..10 {
        match ask() {
            429 => std::thread::sleep(std::time::Duration::from_secs(1)),
            status => return status,
        }
    }
    429
}

#[test]
fn every_operation_is_in_the_table() {
    let described = operations(&web::server::description());
    let table: BTreeSet<_> = TABLE.iter().map(|(m, p, ..)| ((*m).into(), (*p).into())).collect();
    let missing: Vec<_> = described.difference(&table).collect();
    assert!(missing.is_empty(), "say in TABLE whom these are for: {missing:?}");
    let gone: Vec<_> = table.difference(&described).collect();
    assert!(gone.is_empty(), "these are no operations any more: {gone:?}");
}

#[test]
fn each_operation_has_a_name_of_its_own() {
    let description = web::server::description();
    let mut names = BTreeSet::new();
    for (method, path) in operations(&description) {
        let operation = &description["paths"][format!("/api/v2{path}")][&method];
        let name = operation["operationId"].as_str().unwrap().to_owned();
        assert!(names.insert(name.clone()), "{method} {path}: another is {name} too");
    }
}

#[test]
fn each_role_and_token_may_what_the_table_says_and_nothing_else() {
    let rig = Rig::start();
    let description = web::server::description();
    let everybody = everybody(&rig);
    let mut refused = 0;
    for (method, template, whom, body) in TABLE {
        let answers = &description["paths"][format!("/api/v2{template}")][*method]["responses"];
        let body: Option<Value> = (!body.is_empty()).then(|| serde_json::from_str(body).unwrap());
        let is_public =
            description["paths"][format!("/api/v2{template}")][*method]["security"] == json!([{}]);
        assert_eq!(is_public, *whom == All, "{method} {template}");
        for somebody in &everybody {
            let ask = || somebody.client.status(method, &path(template), body.as_ref());
            let status = if *whom == All { ask() } else { unhurried(ask) };
            let what = format!("{} {method} {template}: {status}", somebody.what);
            assert!(answers.get(status.to_string()).is_some(), "{what} is not in the description");
            let expected = match (somebody.may(*whom), &somebody.rights) {
                (true, _) => None,
                (false, None) => Some(401),
                (false, Some(_)) => Some(403),
            };
            match expected {
                Some(expected) => assert_eq!(status, expected, "{what}"),
                None if *whom == All => assert!(status < 500 || status == 503, "{what}"),
                None => assert!(!matches!(status, 401 | 403), "{what}"),
            }
            refused += usize::from(expected == Some(403));
        }
    }
    let noted =
        rig.audit().iter().filter(|e| !e.allowed && e.detail.get("needs").is_some()).count();
    assert_eq!(noted, refused, "each refusal is in the audit log");
}

#[test]
fn no_operation_that_changes_something_is_taken_without_its_csrf_token() {
    let rig = Rig::start();
    let admin = rig.first();
    let forged = Client { csrf: None, ..admin.clone() };
    for (method, template, whom, body) in TABLE {
        if *method == "get" || *whom == All {
            continue;
        }
        let body: Option<Value> = (!body.is_empty()).then(|| serde_json::from_str(body).unwrap());
        let status = forged.status(method, &path(template), body.as_ref());
        assert_eq!(status, 403, "{method} {template}");
    }
    assert_eq!(admin.get("/api/v2/me").status, 200, "nothing was done");
}

#[test]
fn query_keys_that_no_operation_knows_are_refused_everywhere() {
    let rig = Rig::start();
    let admin = rig.first();
    for (method, template, ..) in TABLE {
        let status = admin.status(method, &format!("{}?nonsense=1", path(template)), None);
        assert_eq!(status, 400, "{method} {template}");
    }
}

#[test]
fn packets_need_another_right_than_audio() {
    let rig = Rig::start();
    let admin = rig.first();
    let plays = rig.token(&admin, "plays", &[Play]);
    let proves = rig.token(&admin, "proves", &[DownloadEvidence]);
    let file = |client: &Client, name: &str| {
        client.status("get", &path(&format!("/recordings/{{id}}/mediaFiles/{name}")), None)
    };
    assert_eq!((file(&plays, "audio.flac"), file(&plays, "packets.pcapng")), (404, 403));
    assert_eq!((file(&proves, "audio.flac"), file(&proves, "packets.pcapng")), (403, 404));
}
