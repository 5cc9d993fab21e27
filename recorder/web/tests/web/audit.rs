//! The audit log: what is in it, and that whatever happens to it is found.

use serde_json::json;
use web::audit::{self, Act};
use web::auth::Role;

use crate::rig::Rig;

#[test]
fn who_may_see_it_pages_through_it_and_others_are_noted_in_it() {
    let rig = Rig::start();
    let admin = rig.first();
    let anna = rig.user(&admin, "anna", &[Role::Viewer]);
    assert_eq!(anna.get("/api/v2/audit").status, 403);
    let refused = rig.audit().pop().unwrap();
    assert_eq!(
        (refused.who.as_str(), refused.act, refused.allowed),
        ("anna", Act::SeeAudit, false)
    );
    assert_eq!(refused.address, "127.0.0.1");
    assert_eq!(refused.detail, json!({ "needs": "seeAudit" }));
    let all = rig.audit();
    let mut paged = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = admin.get(&format!("/api/v2/audit?limit=2{cursor}")).json();
        let entries = page["entries"].as_array().unwrap().clone();
        assert!(entries.len() <= 2);
        paged.extend(entries);
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    paged.reverse();
    let paged = paged.into_iter().take(all.len());
    let expected = all.iter().map(|entry| serde_json::to_value(entry).unwrap());
    assert!(paged.eq(expected), "each once, in order");
    let annas = admin.get("/api/v2/audit?who=anna&act=seeAudit").json();
    assert_eq!(annas["entries"].as_array().unwrap().len(), 1);
    for bad in ["limit=0", "limit=1001", "cursor=x", "act=flying", "whom=anna", "limit=1&limit=2"] {
        assert_eq!(admin.get(&format!("/api/v2/audit?{bad}")).status, 400, "{bad}");
    }
}

#[test]
fn what_the_server_wrote_is_found_sound_and_signed_by_its_node() {
    let rig = Rig::start();
    let admin = rig.first();
    rig.user(&admin, "anna", &[Role::Viewer]);
    rig.app.audit().sign().unwrap();
    let folder = rig.folder.path().join("audit");
    let report = audit::verify(&folder, Some(std::slice::from_ref(&rig.node))).unwrap();
    assert_eq!(report.findings, []);
    assert_eq!(report.entries, rig.audit().len() as u64);
    assert_eq!(report.signed, report.entries);
    assert_eq!(report.signers, ["CN=Spanreel node span1"]);
}
