//! What people say of recordings: labels, free metadata, non-deletion; in our words and in those of Interaction
//! Recording Web Services.

use serde_json::{Value, json};
use web::audit::Act;
use web::auth::{Right, Role};

use crate::rig::{Client, Rig};
use crate::samples::{id, insert, places, publish};
use crate::search::{put, rigs};

const API: &str = "/api/v2";

/// Labels, metadata and who holds it.
fn said(client: &Client, at: u64) -> (Value, Value, Value) {
    let one = client.get(&format!("{API}/recordings/{}", id(at))).json();
    (one["labels"].clone(), one["metadata"].clone(), one["nonDelete"]["who"].clone())
}

fn delete(client: &Client, path: &str) -> u16 {
    client.send("DELETE", &format!("{API}{path}"), &[], None).status
}

#[test]
fn labels_are_put_on_and_taken_off() {
    rigs("labels", |rig, admin| {
        let label = |name: &str| format!("/recordings/{}/labels/{name}", id(1));
        put(admin, &label("b"), None);
        put(admin, &label("a"), None);
        put(admin, &label("a"), None);
        put(admin, &format!("/recordings/{}/labels/a", id(2)), None);
        assert_eq!(said(admin, 1).0, json!(["a", "b"]));
        let all = json!([{ "name": "a", "count": 2 }, { "name": "b", "count": 1 }]);
        assert_eq!(admin.get(&format!("{API}/labels")).json()["labels"], all);
        assert_eq!(delete(admin, &label("a")), 200);
        assert_eq!(delete(admin, &label("a")), 200, "it is off already");
        assert_eq!(said(admin, 1).0, json!(["b"]));
        for bad in ["%20x", "x%00", &"x".repeat(65)] {
            let path = format!("{API}{}", label(bad));
            assert_eq!(admin.send("PUT", &path, &[], None).status, 400, "{bad}");
        }
        let entries = rig.audit();
        let labels: Vec<_> = entries.iter().filter(|e| e.act == Act::Label).collect();
        assert_eq!(labels.len(), 6);
        assert_eq!(labels[0].subject, id(1));
        assert_eq!(labels[0].detail, json!({ "label": "b", "on": true }));
    });
}

#[test]
fn metadata_are_set_and_taken_out_and_bounded() {
    rigs("metadata", |_, admin| {
        let path = format!("/recordings/{}/metadata", id(1));
        put(admin, &path, Some(&json!({ "case": "1", "agent": "Ann" })));
        put(admin, &path, Some(&json!({ "case": "2", "agent": null, "other": null })));
        assert_eq!(said(admin, 1).1, json!({ "case": "2" }));
        for bad in [
            json!({ "a:b": "1" }),
            json!({ "": "1" }),
            json!({ "a": "" }),
            json!({ "a": "x".repeat(257) }),
            json!({ "a": 1 }),
            json!([]),
        ] {
            let reply = admin.send("PUT", &format!("{API}{path}"), &[], Some(&bad));
            assert_eq!(reply.status, 400, "{bad}: {}", reply.text());
        }
        let many = (0..64).map(|n| (format!("k{n}"), json!("v"))).collect();
        let reply = admin.send("PUT", &format!("{API}{path}"), &[], Some(&Value::Object(many)));
        assert_eq!(reply.status, 409, "65 with what it has");
        assert_eq!(said(admin, 1).1, json!({ "case": "2" }));
    });
}

#[test]
fn non_deletion_needs_its_own_right_and_a_reason() {
    rigs("hold", |rig, admin| {
        let path = format!("/recordings/{}/non-deletion", id(1));
        let reason = json!({ "reason": "court order 7" });
        let supervisor = rig.user(admin, "sue", &[Role::Supervisor]);
        let reply = supervisor.send("PUT", &format!("{API}{path}"), &[], Some(&reason));
        assert_eq!(reply.status, 403);
        let officer = rig.user(admin, "olga", &[Role::Compliance]);
        for bad in [json!({}), json!({ "reason": "" }), json!({ "reason": "x", "by": "me" })] {
            let reply = officer.send("PUT", &format!("{API}{path}"), &[], Some(&bad));
            assert_eq!(reply.status, 400, "{bad}");
        }
        put(&officer, &path, Some(&reason));
        assert_eq!(said(admin, 1).2, "olga");
        assert_eq!(delete(&supervisor, &path), 403);
        assert_eq!(delete(&officer, &path), 200);
        assert_eq!(said(admin, 1).2, Value::Null);
        let acts: Vec<_> = rig
            .audit()
            .into_iter()
            .filter(|e| e.subject == id(1) && e.act != Act::See)
            .map(|e| (e.act, e.who, e.allowed))
            .collect();
        let entry = |act, who: &str, allowed| (act, who.to_owned(), allowed);
        assert_eq!(
            acts,
            [
                entry(Act::Hold, "sue", false),
                entry(Act::Hold, "olga", true),
                entry(Act::Release, "sue", false),
                entry(Act::Release, "olga", true),
            ]
        );
    });
}

#[test]
fn nothing_is_said_of_a_recording_that_is_not_there() {
    rigs("nothing", |_, admin| {
        let other = "01900000-0000-7000-8000-000000000001";
        let ask = |method: &str, path: &str, body: Option<Value>| {
            let path = format!("{API}/recordings/{other}{path}");
            admin.send(method, &path, &[], body.as_ref()).status
        };
        assert_eq!(ask("PUT", "/labels/a", None), 404);
        assert_eq!(ask("DELETE", "/labels/a", None), 404);
        assert_eq!(ask("PUT", "/metadata", Some(json!({ "a": "1" }))), 404);
        assert_eq!(ask("PUT", "/non-deletion", Some(json!({ "reason": "x" }))), 404);
        assert_eq!(ask("DELETE", "/non-deletion", None), 404);
        assert_eq!(ask("POST", "", Some(json!({ "operationName": "applyNonDelete" }))), 404);
        assert_eq!(admin.get(&format!("{API}/labels")).json()["labels"], json!([]));
    });
}

#[test]
fn clients_of_interaction_recording_web_services_are_understood() {
    rigs("gir", |rig, admin| {
        let one = format!("{API}/recordings/{}", id(1));
        let operate = |name: &str| admin.post(&one, &json!({ "operationName": name }));
        let done = operate("applyNonDelete");
        assert_eq!((done.status, done.json()), (200, json!({ "statusCode": 0 })));
        assert_eq!(said(admin, 1).2, "admin");
        assert_eq!(operate("removeNonDelete").status, 200);
        assert_eq!(said(admin, 1).2, Value::Null);
        assert_eq!(operate("explode").status, 400);
        let labels = format!("{one}/labels");
        assert_eq!(admin.post(&labels, &json!({ "name": "review" })).status, 201);
        assert_eq!(said(admin, 1).0, json!(["review"]));
        let definitions = format!("{API}/recording-label-definitions");
        let define = |name: &str| {
            let body =
                json!({ "name": name, "displayName": "Review", "description": "Look again" });
            admin.post(&definitions, &body).status
        };
        assert_eq!((define("review"), define("review"), define("")), (201, 409, 400));
        assert_eq!(
            admin.get(&definitions).json()["labelDefinitions"],
            json!([{ "name": "review", "displayName": "Review", "description": "Look again" }])
        );
        let few = rig.token(admin, "few", &[Right::SeeStatus]);
        assert_eq!(few.post(&one, &json!({ "operationName": "applyNonDelete" })).status, 403);
        assert_eq!(few.post(&definitions, &json!({ "name": "x" })).status, 403);
        assert_eq!(few.post(&labels, &json!({ "name": "x" })).status, 403);
    });
}

#[test]
fn what_was_said_survives_a_catalog_made_anew() {
    for (folder, place) in places("rebuilt") {
        let recordings = tempfile::tempdir().unwrap();
        publish(recordings.path(), 0..3);
        let settled = |settings: &mut web::app::Settings| settings.catalog = place.clone();
        {
            insert(&place, 0..3);
            let rig = Rig::start_with(settled);
            let admin = rig.first();
            put(&admin, &format!("/recordings/{}/labels/a", id(1)), None);
            put(&admin, &format!("/recordings/{}/metadata", id(1)), Some(&json!({ "case": "1" })));
            let reason = json!({ "reason": "court order 7" });
            put(&admin, &format!("/recordings/{}/non-deletion", id(1)), Some(&reason));
        }
        let open = |_: &[u8]| Err::<_, String>("nothing is sealed".into());
        let rebuilt = store::catalog::rebuild(&place, recordings.path(), "span1", open).unwrap();
        assert_eq!((rebuilt.recordings, rebuilt.problems.len()), (3, 0));
        let rig = Rig::start_with(settled);
        let admin = rig.first();
        assert_eq!(said(&admin, 1), (json!(["a"]), json!({ "case": "1" }), json!("admin")));
        for query in ["label=a", "metadata=case:1", "held=true"] {
            let list = admin.get(&format!("{API}/recordings?{query}")).json();
            assert_eq!(list["recordings"][0]["id"], id(1), "{query}");
            assert_eq!(list["recordings"].as_array().unwrap().len(), 1, "{query}");
        }
        drop(folder);
    }
}
