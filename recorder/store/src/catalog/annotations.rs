//! What people say of recordings: labels, free metadata, and that they must not be deleted. It is not in
//! `recording.json`, and is kept when the catalog is made anew.

use std::collections::{BTreeMap, HashMap};

use base::{RecordingId, Timestamp, limits};

use super::words::Said;
use super::{Catalog, CatalogError, row, write};
use crate::database::{Row, Transaction, Value};

/// What people say of one recording.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Annotations {
    /// In alphabetical order.
    pub labels: Vec<String>,
    /// Free metadata.
    pub metadata: BTreeMap<String, String>,
    /// That it must not be deleted.
    pub hold: Option<Hold>,
}

/// That a recording must not be deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Who says so.
    pub who: String,
    /// And why.
    pub reason: String,
    /// Since when; to the microsecond.
    pub time: Timestamp,
}

impl Catalog {
    /// Gives a recording a label, or takes it from it. False if it was so already.
    ///
    /// # Errors
    /// If there is no such recording, the label is empty or too long, or there are too many.
    pub fn label(&self, id: RecordingId, label: &str, on: bool) -> Result<bool, CatalogError> {
        check_text("a label", label, limits::LABEL_BYTES_MAX)?;
        let values = [id.to_string().into(), label.into()];
        if !on {
            return self.unsay(id, "DELETE FROM labels WHERE id = $1 AND label = $2", &values);
        }
        self.say(id, "labels", |transaction| {
            let sql = "INSERT INTO labels (id, label) VALUES ($1, $2) ON CONFLICT DO NOTHING";
            Ok(transaction.execute(sql, &values)? > 0)
        })
    }

    /// All labels that recordings have, with how many have each, in alphabetical order.
    ///
    /// # Errors
    /// If the catalog cannot be read.
    pub fn labels(&self) -> Result<Vec<(String, u64)>, CatalogError> {
        let sql = "SELECT label, count(*) AS recordings FROM labels GROUP BY label";
        let rows = self.database().query(sql, &[])?;
        let label = |row: &Row| {
            Ok((row.text("label")?.to_owned(), row.integer("recordings")?.unsigned_abs()))
        };
        let mut labels = rows.iter().map(label).collect::<Result<Vec<_>, CatalogError>>()?;
        labels.sort();
        Ok(labels)
    }

    /// Sets a key of a recording's free metadata, or removes it.
    ///
    /// # Errors
    /// If there is no such recording, key or value are too long, or there are too many.
    pub fn set_metadata(
        &self,
        id: RecordingId,
        key: &str,
        value: Option<&str>,
    ) -> Result<(), CatalogError> {
        check_text("a key of metadata", key, limits::METADATA_KEY_BYTES_MAX)?;
        let mut values = vec![id.to_string().into(), key.into()];
        let Some(value) = value else {
            let sql = "DELETE FROM metadata WHERE id = $1 AND name = $2";
            return self.unsay(id, sql, &values).map(drop);
        };
        check_text("a value of metadata", value, limits::METADATA_VALUE_BYTES_MAX)?;
        values.push(value.into());
        let set = |transaction: &mut Transaction<'_>| {
            let sql = "INSERT INTO metadata (id, name, value) VALUES ($1, $2, $3)
                       ON CONFLICT (id, name) DO UPDATE SET value = $3";
            Ok(transaction.execute(sql, &values)? > 0)
        };
        self.say(id, "metadata", set).map(drop)
    }

    /// Says that a recording must not be deleted; who said so last counts.
    ///
    /// # Errors
    /// If there is no such recording, or the reason is empty or too long.
    pub fn hold(&self, id: RecordingId, hold: &Hold) -> Result<(), CatalogError> {
        check_text("the reason of a hold", &hold.reason, limits::HOLD_REASON_BYTES_MAX)?;
        let time = row::microseconds(hold.time).into();
        let values =
            [id.to_string().into(), hold.who.as_str().into(), hold.reason.as_str().into(), time];
        let set = |transaction: &mut Transaction<'_>| {
            let sql = "INSERT INTO holds (id, who, reason, since) VALUES ($1, $2, $3, $4)
                       ON CONFLICT (id) DO UPDATE SET who = $2, reason = $3, since = $4";
            Ok(transaction.execute(sql, &values)? > 0)
        };
        self.say(id, "holds", set).map(drop)
    }

    /// Takes that back. False if it was not held.
    ///
    /// # Errors
    /// If there is no such recording.
    pub fn release(&self, id: RecordingId) -> Result<bool, CatalogError> {
        self.unsay(id, "DELETE FROM holds WHERE id = $1", &[id.to_string().into()])
    }

    /// What people say of these recordings; those of which nothing is said are left out.
    ///
    /// # Errors
    /// If the catalog cannot be read.
    pub fn annotations(
        &self,
        ids: &[RecordingId],
    ) -> Result<HashMap<RecordingId, Annotations>, CatalogError> {
        of(ids, |sql, values| Ok(self.database().query(sql, values)?))
    }

    /// What is added is in the index first: a search that finds too much compares, one that finds too little would
    /// not know.
    fn say(
        &self,
        id: RecordingId,
        table: &str,
        work: impl FnOnce(&mut Transaction<'_>) -> Result<bool, CatalogError>,
    ) -> Result<bool, CatalogError> {
        self.database().transaction(|transaction| {
            let changed = work(transaction)?;
            let sql = format!("SELECT count(*) AS said FROM {table} WHERE id = $1");
            let rows = transaction.query(&sql, &[id.to_string().into()])?;
            let said = rows.first().map_or(Ok(0), |row| row.integer("said"))?;
            if said > limits::ANNOTATIONS_PER_RECORDING_MAX as i64 {
                let max = limits::ANNOTATIONS_PER_RECORDING_MAX;
                return Err(CatalogError::Asked(format!(
                    "{id} has too many {table}; at most {max}"
                )));
            }
            write::index_again(transaction, id)?;
            Ok(changed)
        })
    }

    /// And what is taken back leaves the index last: the two are different files with SQLite.
    fn unsay(&self, id: RecordingId, sql: &str, values: &[Value]) -> Result<bool, CatalogError> {
        let changed = self.database().execute(sql, values)? > 0;
        self.database().transaction(|transaction| write::index_again(transaction, id))?;
        Ok(changed)
    }
}

fn check_text(what: &str, text: &str, max: usize) -> Result<(), CatalogError> {
    if text.trim().is_empty() || text.contains('\0') {
        return Err(CatalogError::Asked(format!("{what} must not be empty")));
    }
    match text.len() > max {
        true => Err(CatalogError::Asked(format!("{what} has at most {max} bytes"))),
        false => Ok(()),
    }
}

/// As words are made of it.
pub(super) fn said(
    transaction: &mut Transaction<'_>,
    ids: &[RecordingId],
) -> Result<HashMap<RecordingId, Said>, CatalogError> {
    let all = of(ids, |sql, values| Ok(transaction.query(sql, values)?))?;
    let said = |all: Annotations| Said {
        labels: all.labels,
        metadata: all.metadata.into_iter().collect(),
        held: all.hold.is_some(),
    };
    Ok(all.into_iter().map(|(id, all)| (id, said(all))).collect())
}

fn of(
    ids: &[RecordingId],
    mut query: impl FnMut(&str, &[Value]) -> Result<Vec<Row>, CatalogError>,
) -> Result<HashMap<RecordingId, Annotations>, CatalogError> {
    let mut all: HashMap<RecordingId, Annotations> = HashMap::new();
    let id = |row: &Row| -> Result<RecordingId, CatalogError> {
        let text = row.text("id")?;
        text.parse().map_err(|_| CatalogError::NotFound(text.to_owned()))
    };
    for (list, values) in write::lists(ids.iter().map(|id| id.to_string().into()).collect()) {
        for row in query(&format!("SELECT id, label FROM labels WHERE id {list}"), &values)? {
            all.entry(id(&row)?).or_default().labels.push(row.text("label")?.to_owned());
        }
        for row in query(&format!("SELECT id, name, value FROM metadata WHERE id {list}"), &values)?
        {
            let (name, value) = (row.text("name")?.to_owned(), row.text("value")?.to_owned());
            all.entry(id(&row)?).or_default().metadata.insert(name, value);
        }
        let sql = format!("SELECT id, who, reason, since FROM holds WHERE id {list}");
        for row in query(&sql, &values)? {
            let nanos = row.integer("since")?.unsigned_abs().saturating_mul(1_000);
            all.entry(id(&row)?).or_default().hold = Some(Hold {
                who: row.text("who")?.to_owned(),
                reason: row.text("reason")?.to_owned(),
                time: Timestamp::from_nanos(nanos),
            });
        }
    }
    all.values_mut().for_each(|one| one.labels.sort());
    Ok(all)
}
