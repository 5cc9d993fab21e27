//! docs/ALARMS.md has every alarm as the table in the code has it.

use super::*;

#[test]
fn the_documentation_has_every_alarm() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/ALARMS.md");
    let text = std::fs::read_to_string(path).unwrap();
    let rows: Vec<_> = text.lines().filter(|line| line.starts_with("| `")).collect();
    let expected: Vec<_> = AlarmId::ALL
        .iter()
        .map(|id| {
            format!(
                "| `{id}` | {} | {} | {} | {} | {} |",
                id.severity(),
                id.raise_after().as_secs(),
                id.clear_after().as_secs(),
                id.meaning(),
                id.action()
            )
        })
        .collect();
    assert_eq!(rows, expected, "docs/ALARMS.md lists every alarm as ids.rs does");
}
