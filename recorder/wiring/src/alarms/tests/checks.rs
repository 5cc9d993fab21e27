//! Certificates, clocks, the disk, the dialog thread.

use capture::nic::ClockQuality;

use super::*;
use crate::alarms::checks::{Filling, judge_certificates, judge_clock};
use crate::alarms::outlets::OutletReport;
use crate::alarms::service::{failing, stalled, stepped};

const DAY: u64 = 24 * 3_600;

fn after_days(days: u64) -> Timestamp {
    at(0).wall.plus(Duration::from_secs(days * DAY))
}

#[test]
fn a_certificate_on_its_way_to_its_end() {
    let board = Board::new();
    let certificates = [("node.crt".to_owned(), at(0).wall, after_days(365))];
    let mut seen = Vec::new();
    for day in 0..370 {
        judge_certificates(&board, after_days(day), &certificates);
        board.tick(at(day * DAY * 1_000));
        board.tick(at(day * DAY * 1_000 + 20_000));
        seen.push(up(&board));
    }
    assert!(seen[334].is_empty());
    assert_eq!(seen[335], ["certificate_expires_soon"]);
    assert_eq!(seen[358], ["certificate_expires"]);
    assert_eq!(seen[366], ["certificate_expired"]);
    let renewed = [("node.crt".to_owned(), at(0).wall, after_days(3_650))];
    judge_certificates(&board, after_days(366), &renewed);
    board.tick(at(370 * DAY * 1_000));
    board.tick(at(370 * DAY * 1_000 + 20_000));
    assert!(up(&board).is_empty());
}

#[test]
fn a_certificate_of_the_future() {
    let board = Board::new();
    judge_certificates(&board, at(0).wall, &[("a.crt".into(), after_days(1), after_days(300))]);
    board.tick(at(0));
    assert_eq!(up(&board), ["certificate_expired"]);
    assert!(board.raised()[0].detail.starts_with("a.crt is not valid before"));
}

#[test]
fn a_clock_that_nobody_steers() {
    let board = Board::new();
    let quality = |synchronised| {
        let error_max = Duration::from_secs(16);
        Some(ClockQuality { synchronised, error_max, ..ClockQuality::default() })
    };
    judge_clock(&board, quality(false));
    board.tick(at(0));
    board.tick(at(61_000));
    assert_eq!(up(&board), ["clock_unsynchronised"]);
    judge_clock(&board, quality(true));
    board.tick(at(62_000));
    board.tick(at(93_000));
    assert!(up(&board).is_empty());
    judge_clock(&board, None);
    board.tick(at(200_000));
    assert!(up(&board).is_empty(), "what cannot be asked is not accused");
}

#[test]
fn steps_of_the_wall_clock() {
    assert_eq!(stepped(50_000_000), None);
    assert_eq!(stepped(-3_600_000_000_000), Some("by -3600.000 s".into()));
    assert_eq!(stepped(250_000_000), Some("by +0.250 s".into()));
    assert!(stepped(i64::MIN).is_some());
}

#[test]
fn a_dialog_thread_that_is_silent() {
    let seconds = Duration::from_secs;
    assert_eq!(stalled(0, seconds(100)), None, "it has not begun");
    assert_eq!(stalled(98_000, seconds(100)), None);
    assert_eq!(
        stalled(90_000, seconds(100)),
        Some("the dialog thread has been silent for 10 s".into())
    );
}

#[test]
fn a_disk_that_does_not_last() {
    let hour = |hours: u64| Duration::from_secs(3_600 * hours);
    let gigabytes = |count: u64| count * 1_000_000_000;
    let mut space = Filling::default();
    assert_eq!(space.add(hour(0), gigabytes(500), gigabytes(1_000), 90), None);
    // 10 GB an hour.
    let said = space.add(hour(5), gigabytes(450), gigabytes(1_000), 90).unwrap();
    assert_eq!(
        said,
        "1.9 days until the disk is full, at 240.0 GB a day; the whole disk holds 4.2 days, the retention is 90 days"
    );
    assert_eq!(space.add(hour(6), gigabytes(440), gigabytes(1_000), 4), None, "it holds 4 days");
    assert_eq!(space.add(hour(7), gigabytes(430), gigabytes(1_000), 0), None, "nobody says");
    assert_eq!(space.add(hour(8), gigabytes(600), gigabytes(1_000), 90), None, "it was purged");
}

#[test]
fn an_outlet_that_fails_is_told() {
    let mut report = OutletReport { name: "syslog udp://a:514".into(), ..OutletReport::default() };
    assert_eq!(failing(&report, 0), None);
    report.dropped_queue_full = 3;
    assert_eq!(failing(&report, 3).unwrap(), "syslog udp://a:514: 3 events lost so far");
    assert_eq!(failing(&report, 0), None);
    report.trouble = Some("cannot send: refused".into());
    assert_eq!(
        failing(&report, 0).unwrap(),
        "syslog udp://a:514: cannot send: refused (3 events lost so far)"
    );
}
