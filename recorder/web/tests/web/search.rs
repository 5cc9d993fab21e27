//! Search, its pages, its count, one recording, and the list as a file.

use serde_json::{Value, json};
use web::audit::Act;
use web::auth::Right;

use crate::rig::{Client, Rig};
use crate::samples::{id, insert, places};

const API: &str = "/api/v2";

/// Ten calls, 0 to 9, some of which somebody said something of.
pub(crate) fn rigs(name: &str, test: impl Fn(&Rig, &Client)) {
    for (_folder, place) in places(name) {
        let rig = Rig::start_with(|settings| {
            insert(&place, 0..10);
            settings.catalog = place.clone();
            settings.database = match place.clone() {
                store::DatabasePlace::File(_) => settings.database.clone(),
                postgres => postgres,
            };
        });
        let admin = rig.first();
        test(&rig, &admin);
    }
}

pub(crate) fn put(client: &Client, path: &str, body: Option<&Value>) {
    let reply = client.send("PUT", &format!("{API}{path}"), &[], body);
    assert_eq!(reply.status, 200, "{path}: {}", reply.text());
}

fn found(client: &Client, query: &str) -> Vec<u64> {
    let reply = client.get(&format!("{API}/recordings?order=earliest&{query}"));
    assert_eq!(reply.status, 200, "{query}: {}", reply.text());
    let page = reply.json();
    assert_eq!(page["next"], Value::Null, "{query}");
    page["recordings"].as_array().unwrap().iter().map(number).collect()
}

/// Which of the calls it is.
fn number(summary: &Value) -> u64 {
    let call_id = summary["callId"].as_str().unwrap();
    let digits = call_id.trim_start_matches("call-").split('@').next().unwrap();
    digits.parse().unwrap()
}

#[test]
fn each_filter_finds_exactly_what_it_says() {
    rigs("filters", |_, admin| {
        put(admin, &format!("/recordings/{}/labels/complaint", id(1)), None);
        put(admin, &format!("/recordings/{}/labels/complaint", id(2)), None);
        put(admin, &format!("/recordings/{}/labels/f%C3%BCr%20sp%C3%A4ter%20%2F%202", id(2)), None);
        let case = json!({ "case": "4711:b", "agent": "Ann" });
        put(admin, &format!("/recordings/{}/metadata", id(4)), Some(&case));
        let reason = json!({ "reason": "case 4711" });
        put(admin, &format!("/recordings/{}/non-deletion", id(6)), Some(&reason));
        for (query, expected) in [
            ("", vec![0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
            ("from=2026-11-23T00:08:00Z", vec![8, 9]),
            ("to=2026-11-23T01:02:00%2B01:00", vec![0, 1]),
            ("from=2026-11-23T00:02:00Z&to=2026-11-23T00:04:00Z", vec![2, 3]),
            ("party=%2B49300003", vec![3]),
            ("party=%2B4930*5", vec![5]),
            ("party=104", vec![4]),
            ("party=104@PBX.example", vec![4]),
            ("party=sip:*@nowhere.example", vec![]),
            ("callId=call-7@pbx.example", vec![7]),
            ("callId=leg-call-7@pbx.example", vec![7]),
            ("direction=inbound", vec![0, 2, 4, 6, 8]),
            ("direction=outbound&party=*9", vec![9]),
            ("direction=unknown", vec![]),
            ("durationMin=7000", vec![7, 8, 9]),
            ("durationMax=1000", vec![0, 1]),
            ("durationMin=3001&durationMax=5999", vec![4, 5]),
            ("mosMax=3", vec![5]),
            ("mosMax=2.3", vec![]),
            ("incomplete=true", vec![3]),
            ("gaps=true", vec![3]),
            ("held=true", vec![6]),
            ("held=false", vec![0, 1, 2, 3, 4, 5, 7, 8, 9]),
            ("label=complaint", vec![1, 2]),
            ("label=Complaint", vec![]),
            ("label=complaint&label=f%C3%BCr%20sp%C3%A4ter%20/%202", vec![2]),
            ("metadata=case:4711:b", vec![4]),
            ("metadata=case:4711:b&metadata=agent:Ann", vec![4]),
            ("metadata=case:4711", vec![]),
            ("party=%27%20OR%20%271%27=%271", vec![]),
            ("party=%25", vec![]),
        ] {
            assert_eq!(found(admin, query), expected, "{query}");
            let count = admin.get(&format!("{API}/recordings/count?{query}")).json();
            assert_eq!(count, json!({ "count": expected.len(), "exact": true }), "{query}");
        }
    });
}

#[test]
fn a_line_of_the_list_says_what_the_recording_is() {
    rigs("summary", |_, admin| {
        put(admin, &format!("/recordings/{}/labels/b", id(3)), None);
        put(admin, &format!("/recordings/{}/labels/a", id(3)), None);
        let list = admin.get(&format!("{API}/recordings?incomplete=true")).json();
        let mut summary = list["recordings"][0].clone();
        let media = summary.as_object_mut().unwrap().remove("mediaFiles").unwrap();
        assert_eq!(
            summary,
            json!({
                "id": id(3),
                "callId": "call-3@pbx.example",
                "callerPhoneNumber": "+49300003",
                "dialedPhoneNumber": "103",
                "startTime": "2026-11-23T00:03:00.000000Z",
                "stopTime": "2026-11-23T00:03:03.000000Z",
                "duration": 3_000,
                "complete": false,
                "incompleteReasons": ["12 packets, \"lost\""],
                "direction": "outbound",
                "mos": 4.2,
                "codecs": ["PCMU"],
                "labels": ["a", "b"],
                "metadata": {},
                "nonDelete": false,
                "hasAudio": true,
                "node": "span1",
            })
        );
        assert_eq!(media[0]["mediaId"], "audio.flac");
        assert_eq!(media[0]["type"], "audio/flac");
        assert!(media[0].get("peaks").is_none(), "a list is not for drawing");
    });
}

#[test]
fn pages_give_each_once_in_order_while_recordings_come_in() {
    for order in ["latest", "earliest"] {
        rigs(&format!("pages_{order}"), |rig, admin| {
            let (mut seen, mut cursor, mut new) = (Vec::new(), String::new(), 100);
            loop {
                let query = format!("{API}/recordings?order={order}&limit=3{cursor}");
                let page = admin.get(&query).json();
                let lines = page["recordings"].as_array().unwrap();
                seen.extend(lines.iter().map(number));
                let Some(next) = page["next"].as_str() else { break };
                assert_eq!(lines.len(), 3);
                cursor = format!("&cursor={next}");
                // Later than all, and so before all pages or behind them.
                insert(&rig.app.settings().catalog, new..new + 1);
                new += 1;
            }
            let mut expected: Vec<u64> = (0..10).collect();
            if order == "latest" {
                expected.reverse();
            } else {
                expected.extend(100..new);
            }
            assert_eq!(seen, expected, "{order}");
        });
    }
}

#[test]
fn one_recording_is_its_recording_json_and_what_was_said_of_it() {
    rigs("one", |rig, admin| {
        let reason = json!({ "reason": "court order 7" });
        put(admin, &format!("/recordings/{}/non-deletion", id(2)), Some(&reason));
        let mut one = admin.get(&format!("{API}/recordings/{}", id(2))).json();
        let fields = one.as_object_mut().unwrap();
        assert_eq!(fields.remove("labels").unwrap(), json!([]));
        assert_eq!(fields.remove("metadata").unwrap(), json!({}));
        let hold = fields.remove("nonDelete").unwrap();
        assert_eq!((&hold["on"], &hold["who"]), (&json!(true), &json!("admin")));
        assert_eq!(hold["reason"], "court order 7");
        assert_eq!(one, serde_json::to_value(crate::samples::recording(2)).unwrap());
        let looks = rig.audit().into_iter().filter(|e| e.act == Act::See && e.subject == id(2));
        assert_eq!(looks.count(), 1);
    });
}

#[test]
fn what_is_wrong_is_said_and_what_is_not_there_is_not_found() {
    rigs("wrong", |_, admin| {
        for (query, what) in [
            ("from=yesterday", "from"),
            ("limit=0", "limit"),
            ("limit=1000", "limit"),
            ("cursor=1", "cursor"),
            ("colour=red", "colour"),
            ("mosMax=9", "mosMax"),
            ("metadata=case", "metadata"),
            ("direction=up", "direction"),
        ] {
            let reply = admin.get(&format!("{API}/recordings?{query}"));
            assert_eq!(reply.status, 400, "{query}");
            assert_eq!(reply.header("content-type"), "application/problem+json");
            let detail = reply.json()["detail"].as_str().unwrap().to_owned();
            assert!(detail.contains(what) || what == "direction", "{query}: {detail}");
        }
        assert_eq!(admin.get(&format!("{API}/recordings/7")).status, 400);
        let other = "01900000-0000-7000-8000-000000000001";
        assert_eq!(admin.get(&format!("{API}/recordings/{other}")).status, 404);
    });
}

#[test]
fn the_list_as_csv_is_whole_and_runs_nothing() {
    rigs("csv", |rig, admin| {
        let metadata = json!({ "formula": "=1+1" });
        put(admin, &format!("/recordings/{}/metadata", id(3)), Some(&metadata));
        put(admin, &format!("/recordings/{}/labels/@all", id(3)), None);
        let query = "format=csv&order=earliest&columns=callerPhoneNumber&columns=dialedPhoneNumber\
                     &columns=labels&columns=incompleteReasons&columns=mos&columns=complete";
        let reply = admin.get(&format!("{API}/recordings/export?{query}&to=2026-11-23T00:04:00Z"));
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("content-type"), "text/csv; charset=utf-8; header=present");
        let name = "attachment; filename=\"recordings.csv\"";
        assert_eq!(reply.header("content-disposition"), name);
        assert_eq!(
            reply.text(),
            "callerPhoneNumber,dialedPhoneNumber,labels,incompleteReasons,mos,complete\r\n\
             \"'+49300000\",100,,,4.20,true\r\n\
             \"'+49300001\",101,,,4.20,true\r\n\
             \"'+49300002\",102,,,4.20,true\r\n\
             \"'+49300003\",103,\"'@all\",\"12 packets, \"\"lost\"\"\",4.20,false\r\n"
        );
        let exports: Vec<_> =
            rig.audit().into_iter().filter(|entry| entry.act == Act::Export).collect();
        assert_eq!(exports.len(), 1);
        assert_eq!(exports[0].detail["to"], "2026-11-23T00:04:00Z");
    });
}

#[test]
fn the_list_as_json_is_what_the_pages_of_the_list_are() {
    rigs("json", |rig, admin| {
        // More than one page of the export.
        insert(&rig.app.settings().catalog, 1_000..1_450);
        let reply = admin.get(&format!("{API}/recordings/export?format=json&order=earliest"));
        assert_eq!(reply.header("content-type"), "application/json");
        let exported = reply.json();
        let numbers: Vec<u64> =
            exported["recordings"].as_array().unwrap().iter().map(number).collect();
        let expected: Vec<u64> = (0..10).chain(1_000..1_450).collect();
        assert_eq!(numbers, expected);
        let page = admin.get(&format!("{API}/recordings?order=earliest&limit=200")).json();
        let (page, whole) = (&page["recordings"], exported["recordings"].as_array().unwrap());
        assert_eq!(page.as_array().unwrap()[..], whole[..200]);
        let none = admin.get(&format!("{API}/recordings/export?format=json&party=none"));
        assert_eq!(none.json(), json!({ "recordings": [], "next": null }));
        let none = admin.get(&format!("{API}/recordings/export?columns=id&party=none"));
        assert_eq!(none.text(), "id\r\n");
    });
}

#[test]
fn searches_need_the_right_and_are_in_the_audit_log_with_their_filter() {
    rigs("rights", |rig, admin| {
        let few = rig.token(admin, "few", &[Right::SeeStatus, Right::Label]);
        let paths = ["/recordings", "/recordings/count", "/recordings/export", "/labels"];
        for path in paths {
            assert_eq!(few.get(&format!("{API}{path}")).status, 403, "{path}");
            assert_eq!(rig.client().get(&format!("{API}{path}")).status, 401, "{path}");
        }
        assert_eq!(few.get(&format!("{API}/recordings/{}", id(1))).status, 403);
        admin.get(&format!("{API}/recordings?party=104&label=x"));
        let audit = rig.audit();
        let refused: Vec<_> = audit.iter().filter(|e| !e.allowed).map(|e| e.act).collect();
        let expected = [Act::Search, Act::Search, Act::Export, Act::Search, Act::See];
        assert_eq!(refused, expected);
        let last = audit.last().unwrap();
        assert_eq!((last.act, last.who.as_str(), last.allowed), (Act::Search, "admin", true));
        assert_eq!(last.detail, json!({ "party": "104", "label": ["x"], "order": "latest" }));
    });
}

#[test]
fn the_description_has_the_limits_that_hold() {
    use base::limits;
    let api = web::server::description();
    let schemas = &api["components"]["schemas"];
    let limit = |value: &Value| value.as_u64().unwrap() as usize;
    assert_eq!(limit(&schemas["Label"]["maxLength"]), limits::LABEL_CHARACTERS_MAX);
    let value = &schemas["MetadataValue"]["maxLength"];
    assert_eq!(limit(value), limits::METADATA_VALUE_CHARACTERS_MAX);
    let reason = &schemas["HoldReason"]["properties"]["reason"]["maxLength"];
    assert_eq!(limit(reason), limits::HOLD_REASON_CHARACTERS_MAX);
    let search = &schemas["NewSearch"]["properties"];
    assert_eq!(limit(&search["name"]["maxLength"]), limits::SAVED_SEARCH_NAME_CHARACTERS_MAX);
    assert_eq!(limit(&search["query"]["maxLength"]), limits::SAVED_QUERY_BYTES_MAX);
    assert_eq!(limit(&search["columns"]["maxItems"]), limits::SAVED_COLUMNS_MAX);
    let keys = api["paths"]["/api/v2/recordings"]["get"]["parameters"].as_array().unwrap();
    let key = |name: &str| &keys.iter().find(|key| key["name"] == name).unwrap()["schema"];
    assert_eq!(limit(&key("party")["maxLength"]), limits::SEARCH_TEXT_CHARACTERS_MAX);
    assert_eq!(limit(&key("label")["maxItems"]), limits::SEARCH_LABELS_MAX);
    assert_eq!(limit(&key("metadata")["maxItems"]), limits::SEARCH_LABELS_MAX);
    assert_eq!(limit(&key("limit")["maximum"]), limits::SEARCH_PAGE_MAX);
    assert_eq!(limit(&key("limit")["default"]), limits::SEARCH_PAGE_DEFAULT);
}
