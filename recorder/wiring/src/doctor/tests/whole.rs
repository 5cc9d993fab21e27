//! The command as a whole, as far as it needs no privileges.

use crate::cli::Data;
use crate::doctor::{Options, examine, run};

fn options(interface: Option<&str>, data: &std::path::Path) -> Options {
    Options {
        interface: interface.map(str::to_owned),
        seconds: 0,
        data: Data { dir: data.to_owned() },
        json: true,
    }
}

#[test]
fn the_machine_and_an_interface_are_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let report = examine(&options(Some("lo"), folder.path())).unwrap();
    let json = report.as_json();
    assert_eq!(json["interface"]["name"], "lo");
    assert!(json["machine"]["cpus"].as_u64().is_some_and(|cpus| cpus > 0));
    let topics: Vec<_> = report.findings.iter().map(|it| it.topic).collect();
    for topic in ["kernel", "privileges", "clock", "disk flush", "link", "queues"] {
        assert!(topics.contains(&topic), "{topic} is not in {topics:?}");
    }
    assert!(json["traffic"].is_null(), "nothing was listened to");
    let alone = examine(&options(None, folder.path())).unwrap();
    assert!(alone.findings.iter().all(|it| it.topic != "link"));
}

#[test]
fn an_interface_that_is_not_there_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let error = run(&options(Some("no-such-if"), folder.path())).unwrap_err();
    assert!(error.to_string().contains("there is no network interface \"no-such-if\""), "{error}");
}
