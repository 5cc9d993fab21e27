//! The same on a real PostgreSQL server, which several nodes share.

use serde_json::json;
use store::{DatabasePlace, PostgresSettings};
use web::auth::{Right, Role};

use crate::rig::{PASSWORD, Rig};

#[test]
fn users_log_ins_and_tokens_are_shared_by_nodes() {
    let Some(server) =
        test_postgres::Server::start().map_err(|why| println!("skipped: {why}")).ok()
    else {
        return;
    };
    let database = server.database("web");
    let place = || {
        DatabasePlace::Postgres(PostgresSettings {
            url: database.url.clone(),
            password_file: Some(database.password_file.clone()),
            ca: Some(database.ca.clone()),
        })
    };
    let one = Rig::start_with(|settings| settings.database = place());
    let other = Rig::start_with(|settings| settings.database = place());
    let admin = one.first();
    assert_eq!(other.app.set_up_link().unwrap(), None, "the first user is made once for all");
    let anna = one.user(&admin, "anna", &[Role::Supervisor]);
    let token = one.token(&anna, "annas", &[Right::Play]);
    let mut there = other.client();
    there.log_in("anna", PASSWORD);
    assert_eq!(there.get("/api/v2/me").json()["roles"], json!(["supervisor"]));
    let mut again = other.client();
    again.token = token.token.clone();
    assert_eq!(again.get("/api/v2/me").json()["rights"], json!(["play"]));
    let twice = json!({ "name": "anna", "roles": [], "password": PASSWORD });
    assert_eq!(admin.post("/api/v2/users", &twice).status, 409);
    let taken = json!({ "name": "annas", "rights": [], "expires": null });
    assert_eq!(anna.post("/api/v2/tokens", &taken).status, 409);
    let roles = json!({ "roles": ["viewer"] });
    assert_eq!(admin.send("PATCH", "/api/v2/users/admin", &[], Some(&roles)).status, 409);
    assert_eq!(admin.send("DELETE", "/api/v2/users/anna", &[], None).status, 204);
    assert_eq!(there.get("/api/v2/me").status, 401);
    assert_eq!(again.get("/api/v2/me").status, 401);
    // While the database is gone, who is known is not known, and the server says so.
    drop(server);
    assert_eq!(admin.get("/api/v2/me").status, 503);
    assert_eq!(one.client().get("/ready").status, 503);
    assert_eq!(one.client().get("/live").status, 200);
    assert_eq!(one.client().get("/").status, 200);
}
