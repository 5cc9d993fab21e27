//! The recorders that share a database, each with a row that its window writes.

use std::time::Duration;

use base::Timestamp;
use serde::Serialize;
use store::database::{Database, DatabaseError, Row, Value};
use utoipa::ToSchema;

use crate::app::Settings;
use crate::link::Latest;

/// Times are nanoseconds since 1970.
pub(super) const TABLE: &str = "CREATE TABLE live_nodes (
    node TEXT PRIMARY KEY, address TEXT NOT NULL, time BIGINT NOT NULL, recording TEXT NOT NULL,
    alarms BIGINT NOT NULL, concurrent BIGINT NOT NULL, lost BIGINT NOT NULL)";

/// A row that was not written for so long says nothing any more.
const SILENT_AFTER: Duration = Duration::from_secs(15);
/// A node that was not heard of for so long is gone.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(7 * 24 * 3_600);
/// Nodes told at most.
const NODES_MAX: i64 = 1_000;

/// A recorder.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Node {
    /// Its name.
    node: String,
    /// Where its own pages are.
    address: Option<String>,
    /// When this was so.
    #[schema(value_type = String, format = DateTime)]
    time: Timestamp,
    /// As `recorder.recording.state`; or `silent`: it says nothing.
    recording: String,
    /// Alarms that are up.
    alarms: i64,
    /// Calls that are up.
    concurrent: i64,
    /// Packets lost since it started.
    lost: i64,
}

impl Node {
    /// Whether it is the same, at another time.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.node == other.node
    }

    /// This node, if a recorder has ever been heard here.
    pub(super) fn of(latest: &Latest, settings: &Settings, now: Timestamp) -> Option<Self> {
        let status = latest.status.as_ref()?;
        let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let silent = latest.silent_since.is_some();
        Some(Self {
            node: status.node.clone(),
            address: Some(settings.url.clone()),
            time: latest.came.unwrap_or(now),
            recording: if silent { "silent".into() } else { status.recording.state.clone() },
            alarms: count(status.alarms.len() as u64),
            concurrent: if silent { 0 } else { count(status.calls.concurrent) },
            lost: count(status.ledger.lost),
        })
    }
}

fn nanos(time: Timestamp) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

/// Writes this node's row, and removes those of nodes that are gone.
pub(super) fn write(
    database: &Database,
    node: Option<&Node>,
    now: Timestamp,
) -> Result<(), DatabaseError> {
    if let Some(node) = node {
        database.execute(
            "INSERT INTO live_nodes (node, address, time, recording, alarms, concurrent, lost)
             VALUES ($1, $2, $3, $4, $5, $6, $7)
             ON CONFLICT (node) DO UPDATE SET address = excluded.address, time = excluded.time,
             recording = excluded.recording, alarms = excluded.alarms,
             concurrent = excluded.concurrent, lost = excluded.lost",
            &[
                Value::from(node.node.as_str()),
                Value::from(node.address.as_deref().unwrap_or_default()),
                Value::from(nanos(node.time)),
                Value::from(node.recording.as_str()),
                Value::from(node.alarms),
                Value::from(node.concurrent),
                Value::from(node.lost),
            ],
        )?;
    }
    let oldest = nanos(now.minus(FORGOTTEN_AFTER));
    database.execute("DELETE FROM live_nodes WHERE time < $1", &[Value::from(oldest)])?;
    Ok(())
}

/// All nodes, by name. One whose row is old is silent, whatever it says.
pub(super) fn read(database: &Database, now: Timestamp) -> Result<Vec<Node>, DatabaseError> {
    let rows = database.query(
        "SELECT node, address, time, recording, alarms, concurrent, lost FROM live_nodes
         ORDER BY node LIMIT $1",
        &[Value::from(NODES_MAX)],
    )?;
    let node = |row: &Row| {
        let time = Timestamp::from_nanos(row.integer("time")?.unsigned_abs());
        let is_silent = now.since(time) > SILENT_AFTER;
        let recording = if is_silent { "silent" } else { row.text("recording")? };
        let address = row.text("address")?;
        Ok(Node {
            node: row.text("node")?.to_owned(),
            address: (!address.is_empty()).then(|| address.to_owned()),
            time,
            recording: recording.to_owned(),
            alarms: row.integer("alarms")?,
            concurrent: row.integer("concurrent")?,
            lost: row.integer("lost")?,
        })
    };
    rows.iter().map(node).collect()
}
