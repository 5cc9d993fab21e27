//! What holds for both databases alike.

use std::time::Duration;

use store::database::{Row, Value};
use store::{Database, DatabaseError, DatabasePlace, PostgresSettings};

use crate::places::{Place, places, settings};

fn open(place: &Place) -> Database {
    Database::open_within(&place.database, Duration::from_secs(5)).unwrap()
}

const TABLE: &str =
    "CREATE TABLE things (name TEXT PRIMARY KEY, number BIGINT, share DOUBLE PRECISION,
    flag BOOLEAN NOT NULL, bytes BYTEA); CREATE INDEX things_by_number ON things (number)";
const INSERT: &str =
    "INSERT INTO things (name, number, share, flag, bytes) VALUES ($1, $2, $3, $4, $5)";

fn thing(name: &str, number: Option<i64>) -> [Value; 5] {
    let bytes: &[u8] = &[0, 255, 7];
    [name.into(), number.into(), 0.25.into(), true.into(), bytes.into()]
}

#[test]
fn what_goes_in_comes_out_whatever_its_type() {
    for place in places("types") {
        let database = open(&place);
        database.migrate("test", &[TABLE]).unwrap();
        assert_eq!(database.execute(INSERT, &thing("O'Neil ü $1", Some(i64::MIN))).unwrap(), 1);
        assert_eq!(database.execute(INSERT, &thing("none", None)).unwrap(), 1);
        let sql = "SELECT * FROM things WHERE name = $1 AND flag";
        let rows = database.query(sql, &["O'Neil ü $1".into()]).unwrap();
        let [row] = rows.as_slice() else { panic!("{rows:?}") };
        assert_eq!(row.text("name").unwrap(), "O'Neil ü $1");
        assert_eq!(row.integer("number").unwrap(), i64::MIN);
        assert_eq!(row.real("share").unwrap(), 0.25);
        assert!(row.bool("flag").unwrap());
        assert_eq!(row.bytes("bytes").unwrap(), [0, 255, 7]);
        let rows = database.query(sql, &["none".into()]).unwrap();
        assert_eq!(rows[0].optional_integer("number").unwrap(), None);
        assert!(matches!(rows[0].integer("number"), Err(DatabaseError::Column { .. })));
        assert!(matches!(rows[0].text("nothing"), Err(DatabaseError::Column { .. })));
        // Placeholders in any order, more than once, and with RETURNING.
        let sql = "UPDATE things SET number = $2 WHERE name = $1 OR name = $1 RETURNING number";
        let rows = database.query(sql, &["none".into(), 5_i64.into()]).unwrap();
        assert_eq!(rows.iter().map(|row| row.integer("number").unwrap()).collect::<Vec<_>>(), [5]);
        assert_eq!(database.execute("DELETE FROM things", &[]).unwrap(), 2);
    }
}

fn names(rows: &[Row]) -> Vec<&str> {
    rows.iter().map(|row| row.text("name").unwrap()).collect()
}

#[test]
fn what_is_done_together_is_done_or_undone_together() {
    for place in places("together") {
        let database = open(&place);
        database.migrate("test", &[TABLE]).unwrap();
        let failed = database.transaction(|t| {
            t.execute(INSERT, &thing("a", None))?;
            assert_eq!(t.query("SELECT name FROM things", &[])?.len(), 1, "seen within");
            t.execute(INSERT, &thing("a", None))
        });
        assert!(matches!(failed, Err(DatabaseError::Conflict { .. })), "{failed:?}");
        assert_eq!(database.query("SELECT name FROM things", &[]).unwrap(), []);
        database
            .transaction(|t| {
                t.execute(INSERT, &thing("a", None))?;
                t.execute(INSERT, &thing("b", None))
            })
            .unwrap();
        let rows = database.clone().query("SELECT name FROM things ORDER BY name", &[]).unwrap();
        assert_eq!(names(&rows), ["a", "b"]);
        let wrong = database.query("SELEKT", &[]).unwrap_err();
        assert!(matches!(wrong, DatabaseError::Statement { .. }), "{wrong}");
        assert!(
            wrong.to_string().contains("things") || wrong.to_string().contains(database.name())
        );
        drop(database);
        assert_eq!(open(&place).query("SELECT name FROM things", &[]).unwrap().len(), 2);
    }
}

#[test]
fn each_step_is_applied_once_whoever_comes_first() {
    for place in places("steps") {
        let one = "CREATE TABLE one (x BIGINT); INSERT INTO one (x) VALUES (1)";
        let two = "INSERT INTO one (x) VALUES (2)";
        open(&place).migrate("test", &[one]).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| open(&place).migrate("test", &[one, two]).unwrap());
            }
        });
        let database = open(&place);
        let rows = database.query("SELECT x FROM one ORDER BY x", &[]).unwrap();
        assert_eq!(rows.iter().map(|row| row.integer("x").unwrap()).collect::<Vec<_>>(), [1, 2]);
        database.migrate("other", &["CREATE TABLE other (x BIGINT)"]).unwrap();
        // A step that fails leaves nothing of itself, nor of those before it.
        let wrong = ["CREATE TABLE third (x BIGINT)", "SELEKT"];
        database.migrate("third", &wrong).unwrap_err();
        database.migrate("third", &wrong[..1]).unwrap();
        let newer = database.migrate("test", &[one]).unwrap_err();
        assert!(matches!(newer, DatabaseError::Newer { found: 2, known: 1, .. }), "{newer}");
        assert!(newer.to_string().contains("newer program"), "{newer}");
    }
}

#[test]
fn who_has_to_wait_too_long_is_told() {
    for place in places("wait") {
        let one = open(&place);
        one.migrate("test", &[TABLE]).unwrap();
        one.execute(INSERT, &thing("a", None)).unwrap();
        let other = Database::open_within(&place.database, Duration::from_millis(100)).unwrap();
        let update = "UPDATE things SET number = 1 WHERE name = 'a'";
        one.transaction(|t| {
            t.execute(update, &[])?;
            let late = other.execute(update, &[]).unwrap_err();
            assert!(matches!(late, DatabaseError::InUse { .. }), "{late}");
            Ok::<_, DatabaseError>(())
        })
        .unwrap();
        assert_eq!(other.execute(update, &[]).unwrap(), 1, "the connection is good again");
    }
}

#[test]
fn calls_from_blocking_threads_of_another_runtime_do_not_panic() {
    for place in places("runtime") {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let rows = runtime.block_on(async {
            let place = place.database.clone();
            let database = tokio::task::spawn_blocking(move || Database::open(&place).unwrap());
            let database = database.await.unwrap();
            let clone = database.clone();
            let rows = tokio::task::spawn_blocking(move || clone.query("SELECT 1 AS x", &[]));
            let rows = rows.await.unwrap().unwrap();
            drop(database); // the last: where one must not block
            rows
        });
        assert_eq!(rows[0].integer("x").unwrap(), 1);
    }
}

#[test]
fn a_server_that_goes_freezes_and_comes_back() {
    let Some(mut server) =
        test_postgres::Server::start().map_err(|why| println!("skipped: {why}")).ok()
    else {
        return;
    };
    let place = DatabasePlace::Postgres(settings(&server.database("outage")));
    let database = Database::open_within(&place, Duration::from_millis(300)).unwrap();
    let ask = || database.query("SELECT 1 AS x", &[]);
    ask().unwrap();
    server.freeze(true);
    let frozen = ask().unwrap_err();
    assert!(matches!(frozen, DatabaseError::InUse { .. }), "{frozen}");
    let frozen = Database::open_within(&place, Duration::from_millis(300)).unwrap_err();
    assert!(matches!(frozen, DatabaseError::Unreachable { .. }), "{frozen}");
    server.freeze(false);
    ask().unwrap();
    server.stop();
    let gone = ask().unwrap_err();
    assert!(matches!(gone, DatabaseError::Unreachable { .. }), "{gone}");
    assert!(gone.to_string().contains("check that the server runs"), "{gone}");
    server.start_again();
    ask().unwrap();
}

#[test]
fn a_stranger_is_refused_and_a_wrong_server_is_not_trusted() {
    let Some(server) = test_postgres::shared() else { return };
    let right = settings(&server.database("trust"));
    let open = |settings: PostgresSettings| Database::open(&DatabasePlace::Postgres(settings));
    open(right.clone()).unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let wrong = scratch.path().join("password");
    std::fs::write(&wrong, "wrong\n").unwrap();
    let refused = open(PostgresSettings { password_file: Some(wrong), ..right.clone() });
    assert!(matches!(refused, Err(DatabaseError::Refused { .. })), "{refused:?}");
    let no_such = right.url.replace("/trust", "/no_trust");
    let refused = open(PostgresSettings { url: no_such, ..right.clone() });
    assert!(matches!(refused, Err(DatabaseError::Refused { .. })), "{refused:?}");
    let stranger = rcgen::generate_simple_self_signed(["localhost".into()]).unwrap();
    let ca = scratch.path().join("ca");
    std::fs::write(&ca, test_postgres::pem("CERTIFICATE", stranger.cert.der())).unwrap();
    let error = open(PostgresSettings { ca: Some(ca), ..right.clone() }).unwrap_err();
    assert!(error.to_string().contains("certificate"), "{error}");
    let other_name = right.url.replace("@localhost", "@elsewhere.example");
    let error = open(PostgresSettings { url: other_name, ..right.clone() }).unwrap_err();
    assert!(error.to_string().contains("certificate"), "{error}");
    let in_the_clear = PostgresSettings { url: format!("{}&sslmode=disable", right.url), ..right };
    in_the_clear.check().unwrap();
    for (url, says) in [
        ("postgres://a@db.example/x?sslmode=disable", "this machine itself only"),
        ("postgres:///x", "names no host"),
        ("postgress://a@b", "postgres://user@host:5432/database"),
    ] {
        let wrong = PostgresSettings { url: url.into(), ..in_the_clear.clone() };
        let error = wrong.check().unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    }
}
