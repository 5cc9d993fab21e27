//! How it was over the last day: a point a minute, made here of what the recorder told.

use std::time::Duration;

use axum::extract::State;
use base::Timestamp;
use serde::{Deserialize, Serialize};
use store::database::{Database, DatabaseError, Row, Value};
use utoipa::{IntoParams, ToSchema};

use crate::app::{Act, App, Json, Query};
use crate::auth::{Caller, Right};
use crate::link::Latest;
use crate::problem::{Answer, Problem};

/// Minutes are since 1970.
pub(super) const TABLE: &str = "CREATE TABLE live_history (
    node TEXT NOT NULL, minute BIGINT NOT NULL, concurrent BIGINT NOT NULL,
    packets DOUBLE PRECISION NOT NULL, bits DOUBLE PRECISION NOT NULL, lost BIGINT NOT NULL,
    PRIMARY KEY (node, minute))";

/// Seconds from point to point.
const STEP: u64 = 60;
/// How long points are kept.
const HOURS_MAX: u64 = 24;

/// A minute.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Point {
    /// When it began.
    #[schema(value_type = String, format = DateTime)]
    time: Timestamp,
    /// Calls that were up at once, at most.
    concurrent: i64,
    /// Packets taken a second, on average.
    packets_per_second: f64,
    /// Bits received a second, on average.
    bits_per_second: f64,
    /// Packets lost in it.
    lost: i64,
}

/// The minute that runs.
#[derive(Debug, Default)]
pub(super) struct Minute {
    number: u64,
    point: Point,
    samples: u32,
    /// Packets lost since the recorder started, when it was last heard.
    lost: Option<u64>,
}

impl Minute {
    /// Adds what is known now. Gives the minute before when a new one begins; none of which nothing was heard.
    pub(super) fn add(&mut self, latest: &Latest, now: Timestamp) -> Option<Point> {
        let number = now.as_millis() / 1_000 / STEP;
        let done = if number == self.number { None } else { self.turn_over(number) };
        let Some(status) = latest.status.as_ref().filter(|_| latest.silent_since.is_none()) else {
            return done;
        };
        let concurrent = i64::try_from(status.calls.concurrent).unwrap_or(i64::MAX);
        self.point.concurrent = self.point.concurrent.max(concurrent);
        self.point.packets_per_second += status.traffic.packets_per_second;
        self.point.bits_per_second += status.traffic.bits_per_second;
        // Less than before: the recorder was started anew.
        let lost = status.ledger.lost;
        let before = self.lost.replace(lost).filter(|before| *before <= lost);
        let more = before.map_or(0, |before| lost - before);
        self.point.lost = self.point.lost.saturating_add(i64::try_from(more).unwrap_or(i64::MAX));
        self.samples += 1;
        done
    }

    fn turn_over(&mut self, number: u64) -> Option<Point> {
        let mut point = std::mem::take(&mut self.point);
        let samples = f64::from(std::mem::take(&mut self.samples));
        point.time = Timestamp::ZERO.plus(Duration::from_secs(self.number * STEP));
        self.number = number;
        point.packets_per_second /= samples;
        point.bits_per_second /= samples;
        (samples > 0.0).then_some(point)
    }
}

/// Keeps a minute of this node's, and throws away what is older than a day.
pub(super) fn write(database: &Database, node: &str, point: &Point) -> Result<(), DatabaseError> {
    let minute = |time: Timestamp| (time.as_millis() / 1_000 / STEP).cast_signed();
    database.execute(
        "INSERT INTO live_history (node, minute, concurrent, packets, bits, lost)
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (node, minute) DO UPDATE SET
         concurrent = excluded.concurrent, packets = excluded.packets, bits = excluded.bits,
         lost = live_history.lost + excluded.lost",
        &[
            Value::from(node),
            Value::from(minute(point.time)),
            Value::from(point.concurrent),
            Value::from(point.packets_per_second),
            Value::from(point.bits_per_second),
            Value::from(point.lost),
        ],
    )?;
    let oldest = point.time.minus(Duration::from_secs(HOURS_MAX * 3_600));
    let old = [Value::from(node), Value::from(minute(oldest))];
    database.execute("DELETE FROM live_history WHERE node = $1 AND minute < $2", &old)?;
    Ok(())
}

fn read(database: &Database, node: &str, since: Timestamp) -> Result<Vec<Point>, DatabaseError> {
    let minute = (since.as_millis() / 1_000 / STEP).cast_signed();
    let rows = database.query(
        "SELECT minute, concurrent, packets, bits, lost FROM live_history
         WHERE node = $1 AND minute >= $2 ORDER BY minute",
        &[Value::from(node), Value::from(minute)],
    )?;
    let point = |row: &Row| {
        let seconds = row.integer("minute")?.unsigned_abs().saturating_mul(STEP);
        Ok(Point {
            time: Timestamp::ZERO.plus(Duration::from_secs(seconds)),
            concurrent: row.integer("concurrent")?,
            packets_per_second: row.real("packets")?,
            bits_per_second: row.real("bits")?,
            lost: row.integer("lost")?,
        })
    };
    rows.iter().map(point).collect()
}

/// How far back.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    /// How many hours back, at most a day.
    #[serde(default = "a_day")]
    #[param(default = 24, minimum = 1, maximum = 24)]
    hours: u64,
}

const fn a_day() -> u64 {
    HOURS_MAX
}

/// How it was.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct History {
    /// Seconds from point to point.
    step: u64,
    /// The oldest first. Minutes of which nothing was heard are left out.
    points: Vec<Point>,
}

/// How it was over the last hours: a point a minute.
#[utoipa::path(get, path = "/status/history", operation_id = "statusHistory", tag = "status", params(Asked),
    responses((status = 200, description = "Minutes", body = History)))]
pub(super) async fn history(
    State(app): State<App>,
    caller: Caller,
    Query(Asked { hours }): Query<Asked>,
) -> Answer<Json<History>> {
    app.allow(&caller, Right::SeeStatus, Act::See, "history")?;
    if !(1..=HOURS_MAX).contains(&hours) {
        return Err(Problem::bad_request(format!("hours: from 1 to {HOURS_MAX}")));
    }
    let since = app.now().minus(Duration::from_secs(hours * 3_600));
    app.blocking(move |app| {
        let points = read(app.database(), &app.settings().node, since)?;
        Ok(Json(History { step: STEP, points }))
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use store::DatabasePlace;

    use super::*;
    use crate::link::status::Status;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::ZERO.plus(Duration::from_secs(1_700_000_040 + seconds))
    }

    fn latest(concurrent: u64, packets: f64, lost: u64) -> Latest {
        let mut status = Status::default();
        status.calls.concurrent = concurrent;
        status.traffic.packets_per_second = packets;
        status.ledger.lost = lost;
        Latest { status: Some(Arc::new(status)), came: Some(at(0)), silent_since: None }
    }

    #[test]
    fn a_minute_is_the_most_calls_the_mean_of_packets_and_what_was_lost_in_it() {
        let mut minute = Minute::default();
        assert_eq!(minute.add(&latest(3, 100.0, 7), at(0)), None, "lost before, who knows when");
        assert_eq!(minute.add(&latest(9, 300.0, 9), at(30)), None);
        let silent = Latest { silent_since: Some(at(31)), ..latest(90, 9.9, 999) };
        assert_eq!(minute.add(&silent, at(40)), None);
        let point = minute.add(&latest(1, 50.0, 2), at(60)).unwrap();
        assert_eq!((point.time, point.concurrent, point.lost), (at(0), 9, 2));
        assert_eq!(point.packets_per_second, 200.0);
        let point = minute.add(&silent, at(120)).unwrap();
        assert_eq!((point.concurrent, point.lost), (1, 0), "it was started anew");
        assert_eq!(minute.add(&silent, at(180)), None, "nothing was heard");
    }

    #[test]
    fn minutes_are_kept_for_a_day_and_of_one_node() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(&DatabasePlace::File(folder.path().join("web.db"))).unwrap();
        super::super::migrate(&database).unwrap();
        let point = |seconds, lost| Point { time: at(seconds), lost, ..Point::default() };
        for (node, seconds) in [("a", 0), ("b", 0), ("a", 60), ("a", 24 * 3_600 + 60)] {
            write(&database, node, &point(seconds, 2)).unwrap();
        }
        write(&database, "a", &point(24 * 3_600 + 60, 1)).unwrap();
        let told = read(&database, "a", at(0)).unwrap();
        let told: Vec<_> = told.iter().map(|point| (point.time, point.lost)).collect();
        assert_eq!(told, [(at(60), 2), (at(24 * 3_600 + 60), 3)]);
        assert_eq!(read(&database, "b", at(0)).unwrap().len(), 1);
    }
}
