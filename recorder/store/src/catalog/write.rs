//! Recordings put in and taken out.

use std::collections::{BTreeMap, BTreeSet};

use base::RecordingId;
use base::recording::Recording;

use super::row::{self, Columns};
use super::words::{self, Word};
use super::{CatalogError, annotations};
use crate::database::{Kind, Row, Transaction, Value};

/// Values in one list; shorter lists are filled up, so that there are few different statements.
const LISTED_MAX: usize = 256;

/// `IN (...)` for each stretch of `values`, with the values bound to it.
pub(super) fn lists(values: Vec<Value>) -> Vec<(String, Vec<Value>)> {
    let each = values.chunks(LISTED_MAX).map(|chunk| {
        let size = chunk.len().next_power_of_two().min(LISTED_MAX);
        let mut list = chunk.to_vec();
        if let Some(last) = chunk.last() {
            list.resize(size, last.clone());
        }
        let names: Vec<_> = (1..=size).map(|number| format!("${number}")).collect();
        (format!("IN ({})", names.join(", ")), list)
    });
    each.collect()
}

/// Puts recordings in; one whose id is there is replaced, and of several with one id the last counts.
pub(super) fn put<'a>(
    transaction: &mut Transaction<'_>,
    recordings: impl IntoIterator<Item = &'a Recording>,
) -> Result<(), CatalogError> {
    let recordings: BTreeMap<RecordingId, &Recording> =
        recordings.into_iter().map(|recording| (recording.id, recording)).collect();
    let ids: Vec<RecordingId> = recordings.keys().copied().collect();
    remove(transaction, &ids)?;
    let keys = free_keys(transaction, &recordings)?;
    let said = annotations::said(transaction, &ids)?;
    let (mut rows, mut documents, mut calls, mut words) = (vec![], vec![], vec![], vec![]);
    let nothing = words::Said::default();
    for (recording, key) in recordings.into_values().zip(keys) {
        let columns = Columns::of(recording);
        let list = words::of(&columns, said.get(&recording.id).unwrap_or(&nothing));
        let json = serde_json::to_string(recording)
            .map_err(|error| CatalogError::Asked(format!("{}: {error}", recording.id)))?;
        documents.push(vec![key.into(), json.into()]);
        let of_legs = recording.legs.iter().map(|leg| &leg.call_id);
        let call_ids: BTreeSet<&String> = recording.call_id.iter().chain(of_legs).collect();
        calls.extend(call_ids.into_iter().map(|call_id| vec![call_id.into(), key.into()]));
        let mut row = vec![key.into()];
        row.extend(columns.values());
        match transaction.kind() {
            Kind::File => words.push(vec![key.into(), text(&list).into()]),
            Kind::Postgres => row.push(numbers(list, key)),
        }
        rows.push(row);
    }
    let names: Vec<&str> = ["recording"].into_iter().chain(row::NAMES).collect();
    match transaction.kind() {
        Kind::File => {
            transaction.put_many("recordings", &names, rows)?;
            transaction.put_many("words", &["rowid", "list"], words)?;
        }
        Kind::Postgres => {
            let names: Vec<&str> = names.into_iter().chain(["words"]).collect();
            transaction.put_many("recordings", &names, rows)?;
        }
    }
    transaction.put_many("documents", &["recording", "json"], documents)?;
    transaction.put_many("calls", &["call_id", "recording"], calls)?;
    Ok(())
}

/// A key for each that no other recording has.
fn free_keys(
    transaction: &mut Transaction<'_>,
    recordings: &BTreeMap<RecordingId, &Recording>,
) -> Result<Vec<i64>, CatalogError> {
    let mut keys: Vec<i64> = recordings
        .values()
        .map(|recording| row::key(row::microseconds(recording.start_time), recording.id))
        .collect();
    loop {
        let mut taken = taken(transaction, &keys)?;
        let mut moved = false;
        for key in &mut keys {
            while !taken.insert(*key) {
                (*key, moved) = (*key + 1, true);
            }
        }
        // One that moved may have come upon one that is in the tables.
        if !moved {
            return Ok(keys);
        }
    }
}

fn taken(transaction: &mut Transaction<'_>, keys: &[i64]) -> Result<BTreeSet<i64>, CatalogError> {
    let mut taken = BTreeSet::new();
    for (list, values) in lists(keys.iter().map(|key| (*key).into()).collect()) {
        let sql = format!("SELECT recording FROM recordings WHERE recording {list}");
        for row in transaction.query(&sql, &values)? {
            taken.insert(row.integer("recording")?);
        }
    }
    Ok(taken)
}

/// Takes recordings out; how many were there. What people said of them stays.
pub(super) fn remove(
    transaction: &mut Transaction<'_>,
    ids: &[RecordingId],
) -> Result<usize, CatalogError> {
    let mut keys: Vec<Value> = Vec::new();
    for (list, values) in lists(ids.iter().map(|id| id.to_string().into()).collect()) {
        let sql = format!("SELECT recording FROM recordings WHERE id {list}");
        for row in transaction.query(&sql, &values)? {
            keys.push(row.integer("recording")?.into());
        }
    }
    let count = keys.len();
    let words = (transaction.kind() == Kind::File).then_some(("words", "rowid"));
    let tables = [("documents", "recording"), ("calls", "recording"), ("recordings", "recording")];
    for (list, values) in lists(keys) {
        for (table, column) in words.into_iter().chain(tables) {
            transaction.execute(&format!("DELETE FROM {table} WHERE {column} {list}"), &values)?;
        }
    }
    Ok(count)
}

/// Gives a recording that is there the words that it has now.
pub(super) fn index_again(
    transaction: &mut Transaction<'_>,
    id: RecordingId,
) -> Result<(), CatalogError> {
    let lock = if transaction.kind() == Kind::Postgres { " FOR UPDATE" } else { "" };
    let sql = format!("SELECT * FROM recordings WHERE id = $1{lock}");
    let rows = transaction.query(&sql, &[id.to_string().into()])?;
    let Some(row) = rows.first() else { return Err(CatalogError::NotFound(id.to_string())) };
    let said = annotations::said(transaction, &[id])?.remove(&id).unwrap_or_default();
    index(transaction, row, &said)
}

/// Gives all recordings the words that they have now.
pub(super) fn index_all(transaction: &mut Transaction<'_>) -> Result<(), CatalogError> {
    let mut last = Value::from(i64::MIN);
    loop {
        let sql = "SELECT * FROM recordings WHERE recording > $1 ORDER BY recording LIMIT $2";
        let rows = transaction.query(sql, &[last, (LISTED_MAX as i64).into()])?;
        let Some(end) = rows.last() else { return Ok(()) };
        last = end.integer("recording")?.into();
        let id = |row: &Row| row.text("id").ok()?.parse::<RecordingId>().ok();
        let said = annotations::said(transaction, &rows.iter().filter_map(id).collect::<Vec<_>>())?;
        let nothing = words::Said::default();
        for row in &rows {
            index(transaction, row, id(row).and_then(|id| said.get(&id)).unwrap_or(&nothing))?;
        }
    }
}

fn index(
    transaction: &mut Transaction<'_>,
    row: &Row,
    said: &words::Said,
) -> Result<(), CatalogError> {
    let number = row.integer("recording")?;
    let key = Value::from(number);
    let list = words::of(&Columns::read(row)?, said);
    match transaction.kind() {
        Kind::File => {
            transaction
                .execute("DELETE FROM words WHERE rowid = $1", std::slice::from_ref(&key))?;
            let sql = "INSERT INTO words (rowid, list) VALUES ($1, $2)";
            transaction.execute(sql, &[key, text(&list).into()])?;
        }
        Kind::Postgres => {
            let sql = "UPDATE recordings SET words = $2 WHERE recording = $1";
            transaction.execute(sql, &[key, numbers(list, number)])?;
        }
    }
    Ok(())
}

/// A word as FTS5 has it.
pub(super) fn token(word: Word) -> String {
    format!("{:x}", word.cast_unsigned())
}

fn numbers(mut words: Vec<Word>, key: i64) -> Value {
    words.extend(words::of_time(key));
    Value::Numbers(words)
}

fn text(words: &[Word]) -> String {
    words.iter().map(|word| token(*word)).collect::<Vec<_>>().join(" ")
}
