//! PostgreSQL, or what speaks its protocol: a pool of connections on a runtime of its own.
//!
//! Nothing waits for ever: connecting, waiting for a free connection, each statement and each lock end with an error
//! after the patience that was given, on our side too, should the server or the network say nothing at all. A
//! connection on which that happened is closed and not used again.

mod settings;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Hook, HookError, Manager, ManagerConfig, Object, PoolError};
use deadpool_postgres::{RecyclingMethod, Runtime as PoolRuntime};
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::ToSql;

pub use self::settings::PostgresSettings;
use super::{DatabaseError, Row, Value};

/// Connections open at once.
const CONNECTIONS_MAX: usize = 16;
/// How much longer than the server we wait, so that its own, better words come first.
const LATER: Duration = Duration::from_secs(1);
/// Makes tables one node at a time: an arbitrary number that all our nodes have in common.
const SCHEMA_LOCK: &str = "SELECT pg_advisory_xact_lock(6003105402)";

#[derive(Debug)]
pub(crate) struct Pool {
    name: String,
    patience: Duration,
    connections: deadpool_postgres::Pool,
    /// Taken out when dropped.
    runtime: Option<Runtime>,
}

impl Pool {
    /// Connects once, to see that it can be done.
    pub(super) fn open(
        settings: &PostgresSettings,
        patience: Duration,
    ) -> Result<Self, DatabaseError> {
        let (config, tls) = settings.resolve(patience)?;
        let name = settings::name(&config);
        let words = |error: &dyn std::fmt::Display| DatabaseError::Settings(error.to_string());
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("postgres")
            .enable_all()
            .build()
            .map_err(|error| words(&format!("cannot start a thread for {name}: {error}")))?;
        let how = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let connections = deadpool_postgres::Pool::builder(Manager::from_config(config, tls, how))
            .max_size(CONNECTIONS_MAX)
            .runtime(PoolRuntime::Tokio1)
            .wait_timeout(Some(patience))
            .create_timeout(Some(patience))
            .recycle_timeout(Some(patience))
            .post_create(session(patience))
            .build()
            .map_err(|error| words(&error))?;
        let pool = Self { name, patience, connections, runtime: Some(runtime) };
        drop(pool.take()?);
        Ok(pool)
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Waits for `work`, but no longer than the patience.
    fn wait<T>(
        &self,
        work: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, DatabaseError> {
        let runtime = self.runtime.as_ref().ok_or_else(|| self.slow())?;
        let limit = self.patience + LATER;
        match runtime.block_on(async { tokio::time::timeout(limit, work).await }) {
            Ok(done) => done.map_err(|error| DatabaseError::of_server(&self.name, &error)),
            Err(_) => Err(self.slow()),
        }
    }

    fn slow(&self) -> DatabaseError {
        let reason = format!("no answer within {} ms", self.patience.as_millis());
        DatabaseError::InUse { place: self.name.clone(), reason }
    }

    fn take(&self) -> Result<Object, DatabaseError> {
        let runtime = self.runtime.as_ref().ok_or_else(|| self.slow())?;
        runtime.block_on(self.connections.get()).map_err(|error| {
            let reason = match error {
                PoolError::Backend(error)
                | PoolError::PostCreateHook(HookError::Backend(error)) => {
                    return DatabaseError::of_server(&self.name, &error);
                }
                PoolError::Timeout(_) => return self.unreachable("no connection in time"),
                other => other.to_string(),
            };
            self.unreachable(&reason)
        })
    }

    fn unreachable(&self, reason: &str) -> DatabaseError {
        DatabaseError::Unreachable { place: self.name.clone(), reason: reason.to_owned() }
    }

    pub(super) fn execute(&self, sql: &str, values: &[Value]) -> Result<u64, DatabaseError> {
        self.using(|on| on.execute(sql, values))
    }

    pub(super) fn query(&self, sql: &str, values: &[Value]) -> Result<Vec<Row>, DatabaseError> {
        self.using(|on| on.query(sql, values))
    }

    /// With a connection, which is closed if the work has left it in the middle of something.
    fn using<T, E: From<DatabaseError>>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let on = Transaction { connection: self.take()?, pool: self };
        let done = work(&on);
        if done.is_err() {
            on.close();
        }
        done
    }

    pub(super) fn transaction<T, E: From<DatabaseError>>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        // Closing the connection undoes what was begun.
        self.using(|on| {
            on.batch("BEGIN")?;
            let done = work(on)?;
            on.batch("COMMIT")?;
            Ok(done)
        })
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // Not waited for: it may be dropped where one must not block.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// What each connection is told first.
fn session(patience: Duration) -> Hook {
    let patience = patience.as_millis().max(1);
    let must = format!("SET statement_timeout = {patience}; SET lock_timeout = {patience}");
    // Nice to have: not all that speak the protocol know these. A search's best plan hangs on its values, and is never
    // to read all.
    let may =
        ["SET plan_cache_mode = force_custom_plan", "SET jit = off", "SET enable_seqscan = off"];
    Hook::async_fn(move |client, _| {
        let must = must.clone();
        Box::pin(async move {
            client.batch_execute(&must).await.map_err(HookError::Backend)?;
            for setting in may {
                if let Err(error) = client.batch_execute(setting).await {
                    tracing::debug!("{setting}: {error}");
                }
            }
            Ok(())
        })
    })
}

/// A connection that is in use, in a transaction or not.
#[derive(Debug)]
pub(crate) struct Transaction<'a> {
    connection: Object,
    pool: &'a Pool,
}

impl Transaction<'_> {
    fn close(self) {
        drop(Object::take(self.connection));
    }

    pub(super) fn execute(&self, sql: &str, values: &[Value]) -> Result<u64, DatabaseError> {
        self.pool.wait(async {
            let statement = self.connection.prepare_cached(sql).await?;
            self.connection
                .execute_raw(&statement, parameters(values, statement.params().len()))
                .await
        })
    }

    pub(super) fn query(&self, sql: &str, values: &[Value]) -> Result<Vec<Row>, DatabaseError> {
        let rows = self.pool.wait(async {
            let statement = self.connection.prepare_cached(sql).await?;
            let used: Vec<&(dyn ToSql + Sync)> = parameters(values, statement.params().len())
                .map(|value| value as &(dyn ToSql + Sync))
                .collect();
            self.connection.query(&statement, &used).await
        })?;
        let Some(first) = rows.first() else { return Ok(Vec::new()) };
        let columns: Arc<[String]> =
            first.columns().iter().map(|column| column.name().to_owned()).collect();
        let of = |error| DatabaseError::of_server(&self.pool.name, &error);
        let row = |row: &tokio_postgres::Row| {
            let values = (0..columns.len()).map(|at| row.try_get(at)).collect::<Result<_, _>>();
            Ok(Row::new(Arc::clone(&columns), values.map_err(of)?))
        };
        rows.iter().map(row).collect()
    }

    pub(super) fn batch(&self, sql: &str) -> Result<(), DatabaseError> {
        self.pool.wait(self.connection.batch_execute(sql))
    }

    pub(super) fn name(&self) -> &str {
        &self.pool.name
    }

    pub(super) fn put_many(
        &self,
        table: &str,
        columns: &[&str],
        rows: &[Vec<Value>],
    ) -> Result<(), DatabaseError> {
        let names = columns.join(", ");
        self.pool.wait(async {
            let like = format!("SELECT {names} FROM {table} LIMIT 0");
            let statement = self.connection.prepare_cached(&like).await?;
            let types: Vec<_> = statement.columns().iter().map(|c| c.type_().clone()).collect();
            let copy = format!("COPY {table} ({names}) FROM STDIN (FORMAT binary)");
            let sink = self.connection.copy_in(&copy).await?;
            let mut writer = pin!(BinaryCopyInWriter::new(sink, &types));
            for row in rows {
                writer.as_mut().write_raw(row).await?;
            }
            writer.finish().await.map(drop)
        })
    }

    /// Waits for other nodes that make tables.
    pub(super) fn lock_schema(&self) -> Result<(), DatabaseError> {
        self.batch(SCHEMA_LOCK)
    }
}

/// Those that the statement has; a value that it does not name is not sent, as with SQLite.
fn parameters(values: &[Value], named: usize) -> impl ExactSizeIterator<Item = &Value> {
    values.iter().take(named)
}
