//! Saved searches.

use serde_json::json;
use web::audit::Act;
use web::auth::{Right, Role};

use crate::search::rigs;

const SEARCHES: &str = "/api/v2/searches";

#[test]
fn saved_searches_are_their_owners_own() {
    rigs("searches", |rig, admin| {
        let anna = rig.user(admin, "anna", &[Role::Supervisor]);
        let bert = rig.user(admin, "bert", &[Role::Supervisor]);
        let new = json!({ "name": "Mine", "query": "party=%2B4930*&incomplete=true", "columns": ["caller", "mos"] });
        let made = anna.post(SEARCHES, &new);
        assert_eq!(made.status, 201, "{}", made.text());
        let made = made.json();
        let id = made["id"].as_str().unwrap();
        let listed = anna.get(SEARCHES).json();
        assert_eq!(listed["searches"], json!([made]));
        assert_eq!(listed["searches"][0]["query"], "party=%2B4930*&incomplete=true");
        assert_eq!(listed["searches"][0]["columns"], json!(["caller", "mos"]));
        for other in [&bert, admin] {
            assert_eq!(other.get(SEARCHES).json()["searches"], json!([]));
            let path = format!("{SEARCHES}/{id}");
            assert_eq!(other.send("DELETE", &path, &[], None).status, 404);
        }
        assert_eq!(anna.get(SEARCHES).json()["searches"].as_array().unwrap().len(), 1);
        let path = format!("{SEARCHES}/{id}");
        assert_eq!(anna.send("DELETE", &path, &[], None).status, 204);
        assert_eq!(anna.send("DELETE", &path, &[], None).status, 404);
        assert_eq!(anna.get(SEARCHES).json()["searches"], json!([]));
        let saved = rig.audit().into_iter().filter(|e| e.act == Act::SaveSearch && e.who == "anna");
        assert_eq!(saved.count(), 3);
    });
}

#[test]
fn what_could_not_be_searched_is_not_saved() {
    rigs("bad_searches", |rig, admin| {
        for (bad, what) in [
            (json!({ "name": "", "query": "" }), "name"),
            (json!({ "name": "x" }), "query"),
            (json!({ "name": "x", "query": "colour=red" }), "colour"),
            (json!({ "name": "x", "query": "from=yesterday" }), "from"),
            (json!({ "name": "x", "query": "a".repeat(3_000) }), "query"),
            (json!({ "name": "x", "query": "", "columns": ["<b>"] }), "columns"),
            (json!({ "name": "x", "query": "", "columns": vec!["a"; 33] }), "columns"),
            (json!({ "name": "x", "query": "", "owner": "admin" }), "owner"),
        ] {
            let reply = admin.post(SEARCHES, &bad);
            assert_eq!(reply.status, 400, "{bad}");
            assert!(reply.text().contains(what), "{bad}: {}", reply.text());
        }
        for number in 0..100 {
            let new = json!({ "name": format!("Search {number}"), "query": "" });
            assert_eq!(admin.post(SEARCHES, &new).status, 201);
        }
        assert_eq!(admin.post(SEARCHES, &json!({ "name": "x", "query": "" })).status, 409);
        assert_eq!(rig.client().get(SEARCHES).status, 401);
        let few = rig.token(admin, "few", &[Right::SeeStatus]);
        assert_eq!(few.get(SEARCHES).status, 403);
    });
}
