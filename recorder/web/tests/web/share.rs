//! Links to recordings: made, opened, heard, ended.

use std::io::{Read as _, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base::Timestamp;
use serde_json::{Value, json};
use web::audit::Act;
use web::auth::{Right, Role};

use crate::recorded::{Keys, Recorded, decoded, wav};
use crate::rig::{Client, Reply, Rig, now};

struct Stage {
    rig: Rig,
    keys: Keys,
    anna: Client,
    call: Recorded,
}

fn stage() -> Stage {
    stage_at(now)
}

fn stage_at(clock: fn() -> Timestamp) -> Stage {
    let keys = Keys::new();
    let rig = Rig::start_with(|settings| {
        keys.serve_with(settings);
        settings.now = clock;
    });
    let admin = rig.first();
    let anna = rig.user(&admin, "anna", &[Role::Supervisor]);
    let call = keys.call(rig.folder.path(), 1, 11, 4);
    Stage { rig, keys, anna, call }
}

/// In so many seconds.
fn within(clock: fn() -> Timestamp, seconds: u64) -> String {
    clock().plus(Duration::from_secs(seconds)).to_string()
}

impl Stage {
    fn share(&self, body: &Value) -> (String, String) {
        let made = self.anna.post(&self.call.path("shares"), body);
        assert_eq!(made.status, 201, "{}", made.text());
        let made = made.json();
        let url = made["url"].as_str().unwrap();
        let token = url.strip_prefix("https://span1.example:8443/s/").expect(url);
        (made["id"].as_str().unwrap().to_owned(), token.to_owned())
    }

    fn open(&self, token: &str, passcode: Option<&str>) -> Reply {
        self.rig.client().post(&format!("/api/v2/shared/{token}"), &json!({ "passcode": passcode }))
    }

    fn hear(&self, token: &str, key: &str, more: &str) -> Reply {
        self.rig.client().get(&format!("/api/v2/shared/{token}/audio?key={key}{more}"))
    }

    /// Act, whether allowed, and why not, of what outsiders did.
    fn outsiders(&self) -> Vec<(Act, bool, String)> {
        let entries = self.rig.audit().into_iter();
        let entries =
            entries.filter(|entry| entry.who.is_empty() || entry.who.starts_with("share:"));
        let told = |why: &Value| why.as_str().unwrap_or_default().to_owned();
        entries
            .filter(|entry| matches!(entry.act, Act::OpenShare | Act::Play | Act::Download))
            .map(|entry| (entry.act, entry.allowed, told(&entry.detail["why"])))
            .collect()
    }
}

fn key(opened: &Reply) -> String {
    assert_eq!(opened.status, 200, "{}", opened.text());
    opened.json()["key"].as_str().unwrap().to_owned()
}

#[test]
fn whoever_opens_a_link_sees_that_recording_and_who_shared_it() {
    let stage = stage();
    let (_, token) = stage.share(&json!({ "expires": within(now, 3_600) }));
    let shown = stage.open(&token, None).json();
    let parties = (&shown["caller"], &shown["callee"], &shown["sharedBy"]);
    assert_eq!(parties, (&json!("+33100"), &json!("4711"), &json!("anna")));
    assert_eq!((&shown["duration"], &shown["channels"]), (&json!(11_000), &json!(2)));
    assert_eq!(shown["peaks"].as_array().unwrap().len(), 220);
    let mut fields: Vec<_> = shown.as_object().unwrap().keys().map(String::as_str).collect();
    fields.sort_unstable();
    let expected = "callee caller channels duration expires key peaks sharedBy sharedOn startTime";
    assert_eq!(fields.join(" "), expected, "and nothing else");
}

#[test]
fn what_was_shared_sounds_as_recorded_and_each_file_says_who_shared_it() {
    let stage = stage();
    let (_, token) = stage.share(&json!({ "expires": within(now, 3_600) }));
    let key = key(&stage.open(&token, None));
    let watermark = format!("shared by anna on {}", &now().to_string()[..10]);
    let samples = stage.call.samples();
    let flac = stage.hear(&token, &key, "").body;
    assert!(decoded(&flac) == samples);
    let reader = claxon::FlacReader::new(&flac[..]).unwrap();
    assert_eq!(reader.get_tag("comment").collect::<Vec<_>>(), [&watermark]);
    let wave = stage.hear(&token, &key, "&format=wav&download=true").body;
    assert!(wav(&wave) == samples);
    let contains =
        |bytes: &[u8]| bytes.windows(watermark.len()).any(|part| part == watermark.as_bytes());
    assert!(contains(&wave[..200]));
    assert!(contains(&stage.hear(&token, &key, "&format=opus").body[..1_000]));
    let path = format!("/api/v2/shared/{token}/audio?key={key}");
    let part = stage.rig.client().send("GET", &path, &[("range", "bytes=50-99")], None);
    assert_eq!(part.status, 206);
    assert!(part.body == flac[50..100]);
}

#[test]
fn openings_are_counted_and_noted_and_hearing_is_no_opening() {
    let stage = stage();
    let wanted = json!({ "expires": within(now, 3_600), "uses": 2, "note": "for the court" });
    let (id, token) = stage.share(&wanted);
    let key = key(&stage.open(&token, None));
    for more in ["", "", "&format=wav&download=true"] {
        assert_eq!(stage.hear(&token, &key, more).status, 200);
    }
    let listed = stage.anna.get("/api/v2/shares").json();
    let share = &listed["shares"][0];
    let told = (&share["id"], &share["used"], &share["note"]);
    assert_eq!(told, (&json!(id), &json!(1), &json!("for the court")));
    assert!(!listed.to_string().contains(&token), "the link is shown once");
    assert_eq!(stage.open(&token, None).status, 200);
    assert_eq!(stage.open(&token, None).status, 410);
    assert_eq!(stage.hear(&token, &key, "").status, 200, "what was opened is heard on");
    let expected = [
        (Act::OpenShare, true, ""),
        (Act::Play, true, ""),
        (Act::Download, true, ""),
        (Act::OpenShare, true, ""),
        (Act::OpenShare, false, "usedUp"),
    ];
    let expected = expected.map(|(act, allowed, why)| (act, allowed, why.to_owned()));
    assert_eq!(stage.outsiders(), expected);
    let audit = stage.rig.audit();
    let made = audit.iter().find(|entry| entry.act == Act::Share).unwrap();
    let told = (made.who.as_str(), &made.detail["share"], &made.detail["uses"]);
    assert_eq!(told, ("anna", &json!(id), &json!(2)));
    let log = format!("{audit:?}");
    assert!(!log.contains(&token) && !log.contains(&key), "no secret is in the log");
}

#[test]
fn a_revoked_link_ends_at_once_also_for_who_listens() {
    let stage = stage();
    let long = stage.keys.call(stage.rig.folder.path(), 2, 1_800, 1_800);
    let made =
        stage.anna.post(&long.path("shares"), &json!({ "expires": within(now, 3_600) })).json();
    let token = made["url"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    let key = key(&stage.open(&token, None));
    // Somebody who listens, slower than he could.
    let mut stream = stage.rig.raw();
    let request = format!(
        "GET /api/v2/shared/{token}/audio?key={key}&format=wav HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut begun = vec![0; 100_000];
    stream.read_exact(&mut begun).unwrap();
    assert!(begun.starts_with(b"HTTP/1.1 200"));
    let gone = stage.anna.send(
        "DELETE",
        &format!("/api/v2/shares/{}", made["id"].as_str().unwrap()),
        &[],
        None,
    );
    assert_eq!(gone.status, 204, "{}", gone.text());
    std::thread::sleep(Duration::from_millis(1_100));
    let mut rest = Vec::new();
    let end = stream.read_to_end(&mut rest);
    let whole = 44 + 1_800 * 8_000 * 4;
    println!("heard {} of {whole} bytes after it was revoked: {end:?}", rest.len());
    assert!(begun.len() + rest.len() < whole / 2);
    assert_eq!(stage.hear(&token, &key, "").status, 410);
    assert_eq!(stage.open(&token, None).status, 410);
    let again = stage.anna.send(
        "DELETE",
        &format!("/api/v2/shares/{}", made["id"].as_str().unwrap()),
        &[],
        None,
    );
    assert_eq!(again.status, 204);
    assert!(stage.anna.get("/api/v2/shares").json()["shares"][0]["revoked"].is_string());
    let revoked =
        stage.rig.audit().into_iter().filter(|entry| entry.act == Act::RevokeShare).count();
    assert_eq!(revoked, 2);
}

static PASSCODE_CLOCK: AtomicU64 = AtomicU64::new(0);

fn passcode_clock() -> Timestamp {
    now().plus(Duration::from_secs(PASSCODE_CLOCK.load(Ordering::SeqCst)))
}

#[test]
fn ten_wrong_passcodes_lock_a_link() {
    let stage = stage_at(passcode_clock);
    let expires = within(passcode_clock, 80 * 86_400);
    let short = stage
        .anna
        .post(&stage.call.path("shares"), &json!({ "expires": expires, "passcode": "12345" }));
    assert_eq!(short.status, 400);
    let (_, token) = stage.share(&json!({ "expires": expires, "passcode": "123456" }));
    assert_eq!(stage.open(&token, None).status, 401, "it asks");
    assert_eq!(stage.open(&token, Some("123456")).status, 200);
    let mut throttled = 0;
    for wrong in 1..=10 {
        loop {
            let reply = stage.open(&token, Some("654321"));
            if reply.status == 401 {
                break;
            }
            assert_eq!(reply.status, 429, "{}", reply.text());
            throttled += 1;
            PASSCODE_CLOCK.fetch_add(1_000, Ordering::SeqCst);
        }
        if wrong == 9 {
            PASSCODE_CLOCK.fetch_add(1_000, Ordering::SeqCst);
            assert_eq!(stage.open(&token, Some("123456")).status, 200, "nine are not enough");
        }
    }
    assert!(throttled > 0, "guessing is slow");
    PASSCODE_CLOCK.fetch_add(1_000, Ordering::SeqCst);
    let locked = stage.open(&token, Some("123456"));
    assert_eq!(locked.status, 410);
    assert!(locked.text().contains("locked"), "{}", locked.text());
    let outsiders = stage.outsiders();
    let count = |wanted: &str| outsiders.iter().filter(|(_, _, why)| why == wanted).count();
    assert_eq!((count("noPasscode"), count("wrongPasscode"), count("locked")), (1, 10, 1));
    assert_eq!(count("tooOften"), throttled);
    let log = format!("{:?}", stage.rig.audit());
    assert!(!log.contains("123456") && !log.contains("654321"), "no passcode is in the log");
}

static EXPIRY_CLOCK: AtomicU64 = AtomicU64::new(0);

fn expiry_clock() -> Timestamp {
    now().plus(Duration::from_secs(EXPIRY_CLOCK.load(Ordering::SeqCst)))
}

#[test]
fn links_and_openings_expire() {
    let stage = stage_at(expiry_clock);
    let path = stage.call.path("shares");
    for seconds in [91 * 86_400, 0] {
        let bad = stage.anna.post(&path, &json!({ "expires": within(expiry_clock, seconds) }));
        assert_eq!(bad.status, 400, "{}", bad.text());
    }
    for body in [
        json!({}),
        json!({ "expires": "soon" }),
        json!({ "expires": within(expiry_clock, 60), "uses": 0 }),
    ] {
        assert_eq!(stage.anna.post(&path, &body).status, 400, "{body}");
    }
    let (_, token) = stage.share(&json!({ "expires": within(expiry_clock, 6 * 3_600) }));
    let first = key(&stage.open(&token, None));
    EXPIRY_CLOCK.store(5 * 3_600, Ordering::SeqCst);
    assert_eq!(stage.hear(&token, &first, "").status, 401, "a key holds for four hours");
    let second = key(&stage.open(&token, None));
    assert_eq!(stage.hear(&token, &second, "").status, 200);
    EXPIRY_CLOCK.store(6 * 3_600 + 60, Ordering::SeqCst);
    assert_eq!(stage.hear(&token, &second, "").status, 410);
    assert_eq!(stage.open(&token, None).status, 410);
}

#[test]
fn a_link_opens_nothing_else() {
    let stage = stage();
    let expires = within(now, 3_600);
    let (_, token) = stage.share(&json!({ "expires": expires }));
    let other = stage.keys.call(stage.rig.folder.path(), 2, 2, 60);
    let made = stage.anna.post(&other.path("shares"), &json!({ "expires": expires })).json();
    let other_token = made["url"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    let key = key(&stage.open(&token, None));
    assert_eq!(stage.hear(&other_token, &key, "").status, 401, "another link's key");
    assert_eq!(stage.hear(&token, "x", "").status, 401);
    assert_eq!(stage.hear(&token, &key, "&media=audio-2.flac").status, 400);
    assert_eq!(
        stage.rig.client().get(&format!("/api/v2/shared/{token}/audio")).status,
        400,
        "no key"
    );
    for path in [
        stage.call.path("audio"),
        format!("{}?key={key}", stage.call.path("audio")),
        stage.call.path("shares"),
        "/api/v2/shares".into(),
    ] {
        let status = stage.rig.client().get(&path).status;
        assert!(matches!(status, 400 | 401), "{path}: {status}");
    }
    let unknown = stage.open("x".repeat(43).as_str(), None);
    assert_eq!(unknown.status, 404);
    let bearer = Client { token: Some(key.clone()), ..stage.rig.client() };
    assert_eq!(bearer.get(&stage.call.path("audio")).status, 401);
    assert_eq!(stage.outsiders().last().unwrap(), &(Act::OpenShare, false, "unknown".to_owned()));
}

#[test]
fn ones_own_links_are_ones_own() {
    let stage = stage();
    let (id, _) = stage.share(&json!({ "expires": within(now, 3_600) }));
    let admin = {
        let mut admin = stage.rig.client();
        admin.log_in("admin", crate::rig::PASSWORD);
        admin
    };
    let bert = stage.rig.user(&admin, "bert", &[Role::Supervisor]);
    assert_eq!(bert.get("/api/v2/shares").json(), json!({ "shares": [] }));
    assert_eq!(bert.get(&stage.call.path("shares")).json(), json!({ "shares": [] }));
    assert_eq!(bert.send("DELETE", &format!("/api/v2/shares/{id}"), &[], None).status, 404);
    let carl = stage.rig.user(&admin, "carl", &[Role::Compliance]);
    assert_eq!(carl.get(&stage.call.path("shares")).json()["shares"][0]["owner"], json!("anna"));
    assert_eq!(
        carl.post(&stage.call.path("shares"), &json!({ "expires": within(now, 60) })).status,
        403
    );
    assert_eq!(carl.send("DELETE", &format!("/api/v2/shares/{id}"), &[], None).status, 204);
    let dora = stage.rig.user(&admin, "dora", &[Role::Viewer]);
    assert_eq!(dora.get("/api/v2/shares").status, 403);
    let deaf = stage.rig.token(&admin, "deaf", &[Right::Share]);
    let refused = deaf.post(&stage.call.path("shares"), &json!({ "expires": within(now, 60) }));
    assert_eq!(refused.status, 403, "who may not hear may not let others hear");
}

#[test]
fn what_was_altered_is_not_shown_and_that_uses_nothing_up() {
    let stage = stage();
    let (_, token) = stage.share(&json!({ "expires": within(now, 3_600), "uses": 1 }));
    stage.call.alter("recording.json.p7m");
    let reply = stage.open(&token, None);
    assert_eq!(reply.status, 409, "{}", reply.text());
    stage.call.alter("recording.json.p7m");
    let key = key(&stage.open(&token, None));
    stage.call.alter("audio.part2.flac.p7m");
    assert_eq!(stage.hear(&token, &key, "").status, 409);
}

/// As many at once as there are threads for it: never one opening too many.
#[test]
fn a_link_for_one_opens_for_one() {
    let stage = stage();
    let (_, token) = stage.share(&json!({ "expires": within(now, 3_600), "uses": 3 }));
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let open = |_| scope.spawn(|| stage.open(&token, None).status);
        let threads: Vec<_> = (0..12).map(open).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let opened = statuses.iter().filter(|status| **status == 200).count();
    assert_eq!(opened, 3, "{statuses:?}");
    assert!(statuses.iter().all(|status| matches!(status, 200 | 410)), "{statuses:?}");
}
