//! The steps that make the tables what this version of the program expects, each applied once.

use super::{Database, DatabaseError, Kind, Transaction, Value};

/// The steps of one component.
#[derive(Debug)]
pub(crate) struct Steps<'a> {
    /// With a dot behind it; SQLite: of the file that holds the tables.
    pub(crate) schema: &'a str,
    /// Whose tables they are.
    pub(crate) component: &'a str,
    /// In order; each may hold several statements.
    pub(crate) steps: &'a [&'a str],
}

impl Steps<'_> {
    /// Whether there is nothing to do: then nothing need be written, and the database may be busy, or read-only.
    pub(crate) fn are_done(&self, database: &Database) -> Result<bool, DatabaseError> {
        match database.query(&self.count(), &[self.component.into()]) {
            Ok(rows) => {
                let found = rows.first().map(|row| row.integer("steps")).transpose()?;
                Ok(found == Some(self.steps.len() as i64))
            }
            // SQLite tells a missing table from other mistakes in words only; `apply` finds out.
            Err(DatabaseError::Missing(_) | DatabaseError::Statement { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn count(&self) -> String {
        let Self { schema, .. } = self;
        format!("SELECT count(*) AS steps FROM {schema}schema_steps WHERE component = $1")
    }

    /// Applies those that were not applied before; how many were.
    pub(crate) fn apply(&self, transaction: &mut Transaction<'_>) -> Result<i64, DatabaseError> {
        let Self { schema, component, steps } = self;
        transaction.one_at_a_time()?;
        let table = format!(
            "CREATE TABLE IF NOT EXISTS {schema}schema_steps (
                component TEXT NOT NULL, step BIGINT NOT NULL, PRIMARY KEY (component, step))"
        );
        transaction.execute(&table, &[])?;
        let rows = transaction.query(&self.count(), &[(*component).into()])?;
        let found = rows.first().map_or(Ok(0), |row| row.integer("steps"))?;
        let known = steps.len() as i64;
        if found > known {
            let (place, component) = (transaction.name().to_owned(), (*component).to_owned());
            return Err(DatabaseError::Newer { place, component, found, known });
        }
        let done = format!("INSERT INTO {schema}schema_steps (component, step) VALUES ($1, $2)");
        for (number, step) in (1..).zip(*steps).filter(|(number, _)| *number > found) {
            transaction.batch(step)?;
            transaction.execute(&done, &[(*component).into(), Value::Integer(number)])?;
        }
        Ok(found)
    }
}

pub(super) fn migrate(
    database: &Database,
    component: &str,
    steps: &[&str],
) -> Result<(), DatabaseError> {
    let schema = if database.kind() == Kind::File { "main." } else { "" };
    let steps = Steps { schema, component, steps };
    if steps.are_done(database)? {
        return Ok(());
    }
    database.transaction(|transaction| steps.apply(transaction).map(drop))
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
