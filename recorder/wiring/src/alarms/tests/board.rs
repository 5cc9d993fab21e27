//! Rising, clearing, flapping; what is bounded.

use base::limits::{ALARM_DETAIL_BYTES_MAX, ALARM_HISTORY_MAX};
use proptest::prelude::*;

use super::*;

fn words(detail: &str) -> Option<String> {
    Some(detail.to_owned())
}

#[test]
fn an_alarm_rises_after_its_condition_held_and_clears_after_it_was_gone() {
    let board = Board::new();
    board.set(AlarmId::NoPackets, words("nothing on eth1"));
    assert_eq!(board.tick(at(0)), []);
    assert_eq!(board.tick(at(9_900)), []);
    let [risen] = board.tick(at(10_000)).try_into().unwrap();
    assert_eq!((risen.change, risen.alarm.detail.as_str()), (Change::Raised, "nothing on eth1"));
    assert_eq!((risen.alarm.since, risen.alarm.raised), (at(0).wall, at(10_000).wall));
    assert_eq!(board.tick(at(11_000)), [], "it is news once");

    board.set(AlarmId::NoPackets, None);
    assert_eq!(board.tick(at(12_000)), []);
    assert_eq!(up(&board), ["no_packets"]);
    let [cleared] = board.tick(at(42_000)).try_into().unwrap();
    assert_eq!(cleared.change, Change::Cleared);
    assert_eq!(cleared.alarm.cleared, Some(at(42_000).wall));
    assert!(up(&board).is_empty());
    assert_eq!(board.history(), [cleared.alarm]);
}

#[test]
fn a_condition_that_is_gone_too_soon_gives_no_alarm() {
    let board = Board::new();
    board.set(AlarmId::NoPackets, words("x"));
    board.tick(at(0));
    board.set(AlarmId::NoPackets, None);
    board.tick(at(5_000));
    board.set(AlarmId::NoPackets, words("x"));
    assert!(board.tick(at(6_000)).is_empty());
    assert!(board.tick(at(12_000)).is_empty(), "it holds for 6 s only");
}

#[test]
fn a_flapping_condition_gives_one_alarm_that_counts() {
    let board = Board::new();
    let mut news = Vec::new();
    for second in 0..60 {
        let down = second % 2 == 0;
        board.set(AlarmId::InterfaceDown, down.then(|| "eth1 has no carrier".to_owned()));
        news.extend(board.tick(at(second * 1_000)));
    }
    assert_eq!(news.len(), 1, "{news:?}");
    assert_eq!(board.raised()[0].count, 30);
    assert!(board.tick(at(68_000)).is_empty());
    assert_eq!(board.tick(at(70_000))[0].change, Change::Cleared);
}

#[test]
fn what_happened_between_two_ticks_is_not_missed() {
    let board = Board::new();
    board.set(AlarmId::DropSocket, words("12 rx_dropped"));
    board.set(AlarmId::DropSocket, None);
    assert_eq!(board.tick(at(0)).len(), 1);
    board.happened(AlarmId::DropJournal, "1 journal_full".into());
    assert_eq!(board.tick(at(250)).len(), 1);
    assert_eq!(up(&board), ["drop_journal", "drop_socket"], "the newest of the worst first");
    assert_eq!(board.raised()[1].detail, "12 rx_dropped");
    assert!(board.tick(at(500)).is_empty());
    assert!(board.tick(at(60_000)).is_empty());
    assert_eq!(board.tick(at(61_000)).len(), 2);
}

#[test]
fn parts_hold_a_condition_each_for_itself() {
    let board = Board::new();
    board.set_part(AlarmId::JournalFailing, 0, words("journal 0: no space"));
    board.set_part(AlarmId::JournalFailing, 3, words("journal 3: I/O error"));
    board.tick(at(0));
    assert_eq!(board.raised()[0].detail, "journal 0: no space; journal 3: I/O error");
    board.set_part(AlarmId::JournalFailing, 0, None);
    board.tick(at(250));
    assert_eq!(board.raised()[0].detail, "journal 3: I/O error");
    board.set_part(AlarmId::JournalFailing, 3, None);
    board.tick(at(500));
    assert_eq!(board.tick(at(10_500)).len(), 1);
}

#[test]
fn a_step_of_the_wall_clock_raises_and_clears_nothing() {
    let board = Board::new();
    board.set(AlarmId::NoPackets, words("x"));
    board.tick(at(0));
    let stepped = Moment { wall: at(3_600_000).wall, ..at(1_000) };
    assert!(board.tick(stepped).is_empty());
}

#[test]
fn history_and_details_are_bounded() {
    let board = Board::new();
    for second in 0..2_000 {
        board.happened(AlarmId::DiskSlow, "\u{1F50A}".repeat(1_000));
        board.tick(at(second * 100_000));
        board.tick(at(second * 100_000 + 1));
        board.tick(at(second * 100_000 + 40_000));
    }
    let history = board.history();
    assert_eq!(history.len(), ALARM_HISTORY_MAX);
    assert!(history[0].raised > history[1].raised, "the newest first");
    assert!(history.iter().all(|alarm| alarm.detail.len() <= ALARM_DETAIL_BYTES_MAX));
}

#[test]
fn an_alarm_is_written_and_read_again() {
    let alarm = event(Change::Cleared, "no packet on eth1").alarm;
    let json = serde_json::to_value(&alarm).unwrap();
    assert_eq!(json["id"], "no_packets");
    assert_eq!(json["severity"], "critical");
    assert_eq!(json["raised"], at(10_000).wall.to_string());
    assert!(json["action"].as_str().unwrap().contains("monitor session"));
    assert_eq!(serde_json::from_value::<Alarm>(json).unwrap(), alarm);
}

proptest! {
    /// Whatever is said and whenever: news alternates, and is the same as what the board shows.
    #[test]
    fn news_of_an_alarm_alternates(says in proptest::collection::vec((any::<bool>(), 1_u64..40_000), 1..60)) {
        let (board, mut now, mut is_up) = (Board::new(), 0, false);
        for (holds, later) in says {
            board.set(AlarmId::WorkerBusy, holds.then(|| "busy".to_owned()));
            now += later;
            for event in board.tick(at(now)) {
                prop_assert_eq!(event.change == Change::Raised, !is_up);
                is_up = !is_up;
            }
            prop_assert_eq!(!board.raised().is_empty(), is_up);
        }
    }
}
