//! The steps that make the tables what this version of the program expects, each applied once.

use super::{Database, DatabaseError, Transaction, Value};

/// One row a step that was applied.
const TABLE: &str = "CREATE TABLE IF NOT EXISTS schema_steps (
    component TEXT NOT NULL, step BIGINT NOT NULL, PRIMARY KEY (component, step))";

pub(super) fn migrate(
    database: &Database,
    component: &str,
    steps: &[&str],
) -> Result<(), DatabaseError> {
    // Whoever has nothing to do need not write: the database may be busy, or read-only for now.
    if applied_before(database, component)? == Some(steps.len() as i64) {
        return Ok(());
    }
    database.transaction(|transaction| {
        transaction.one_at_a_time()?;
        transaction.execute(TABLE, &[])?;
        let rows = transaction.query(COUNT, &[component.into()])?;
        let found = rows.first().map_or(Ok(0), |row| row.integer("steps"))?;
        let known = steps.len() as i64;
        if found > known {
            let (place, component) = (database.name().to_owned(), component.to_owned());
            return Err(DatabaseError::Newer { place, component, found, known });
        }
        for (number, step) in (1..).zip(steps).filter(|(number, _)| *number > found) {
            transaction.batch(step)?;
            let done = "INSERT INTO schema_steps (component, step) VALUES ($1, $2)";
            transaction.execute(done, &[component.into(), Value::Integer(number)])?;
        }
        Ok(())
    })
}

const COUNT: &str = "SELECT count(*) AS steps FROM schema_steps WHERE component = $1";

/// How many; none if it is not known yet because there is no table.
fn applied_before(database: &Database, component: &str) -> Result<Option<i64>, DatabaseError> {
    match database.query(COUNT, &[component.into()]) {
        Ok(rows) => rows.first().map(|row| row.integer("steps")).transpose(),
        // SQLite tells a missing table from other mistakes in words only; the transaction finds out.
        Err(DatabaseError::Missing(_) | DatabaseError::Statement { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

impl Transaction<'_> {
    /// Two nodes that start at once make the same tables one after the other.
    fn one_at_a_time(&mut self) -> Result<(), DatabaseError> {
        match &self.0 {
            super::Begun::File(_) => Ok(()),
            super::Begun::Postgres(transaction) => transaction.lock_schema(),
        }
    }
}
