//! The device's memory: one SQLite file of sealed rows. One effect batch is one transaction, durable before it returns.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteLockingMode, SqliteSynchronous};
use sqlx::{Connection, QueryBuilder, Row as _, Sqlite, SqliteConnection};
use stafett_client_core::rows::{Row, Space};
use thiserror::Error;

use crate::host::seal::{Seal, SealError};

/// Before this version SQLite could lose a write in WAL mode.
const OLDEST_SQLITE: (u32, u32, u32) = (3, 51, 3);
/// Not loaded at start, and named so that a range can be read.
const EVENTS: u8 = Space::Event as u8;
const SCHEMA_VERSION: i64 = 1;
/// Rows in one INSERT: three values each, well below SQLite's bound on values.
const ROWS_IN_ONE_STATEMENT: usize = 200;
const CREATE: &str = "CREATE TABLE IF NOT EXISTS row (
    space INTEGER NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL, PRIMARY KEY (space, key)) STRICT";

/// What can go wrong with the file.
#[derive(Debug, Error)]
pub enum StoreError {
    /// SQLite refused; the file may be damaged or the disk full.
    #[error("the database of this home cannot be used: {0}")]
    Sqlite(#[from] sqlx::Error),
    /// A row does not open.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// Linked against an SQLite with a known fault.
    #[error("SQLite {0} is too old")]
    Version(String),
    /// Written by a newer program.
    #[error("the database of this home has version {0}, which this program does not know")]
    Schema(i64),
}

/// An open database, for one process at a time.
pub struct Store {
    connection: SqliteConnection,
    seal: Seal,
}

impl Store {
    /// Opens or creates the file.
    pub async fn open(path: &Path, seal: Seal) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            // One process owns the home, so SQLite needs no shared-memory file beside it.
            .locking_mode(SqliteLockingMode::Exclusive)
            .busy_timeout(Duration::from_secs(5))
            .pragma("secure_delete", "ON")
            .pragma("temp_store", "MEMORY")
            .pragma("trusted_schema", "OFF");
        let mut connection = SqliteConnection::connect_with(&options).await?;
        let version: String = sqlx::query("SELECT sqlite_version()").fetch_one(&mut connection).await?.try_get(0)?;
        if !new_enough(&version) {
            return Err(StoreError::Version(version));
        }
        let schema: i64 = sqlx::query("PRAGMA user_version").fetch_one(&mut connection).await?.try_get(0)?;
        if schema > SCHEMA_VERSION {
            return Err(StoreError::Schema(schema));
        }
        // A file that is there is opened without a write: on a full disk people still read.
        if schema < SCHEMA_VERSION {
            sqlx::query(CREATE).execute(&mut connection).await?;
            sqlx::query("PRAGMA user_version = 1").execute(&mut connection).await?;
        }
        Ok(Self { connection, seal })
    }

    /// Everything but the events.
    pub async fn load(&mut self) -> Result<Vec<Row>, StoreError> {
        let found = sqlx::query("SELECT space, key, value FROM row WHERE space <> $1")
            .bind(i64::from(EVENTS))
            .fetch_all(&mut self.connection)
            .await?;
        let mut rows = Vec::with_capacity(found.len());
        for row in found {
            let number = u8::try_from(row.try_get::<i64, _>(0)?).map_err(|_| SealError::Damaged)?;
            let space = Space::from_number(number).ok_or(SealError::Damaged)?;
            let (key, value) = self.seal.open(number, row.try_get(1)?, row.try_get(2)?)?;
            rows.push(Row { space, key, value: Some(value) });
        }
        Ok(rows)
    }

    /// One batch, all or nothing, on disk when this returns.
    pub async fn write(&mut self, rows: &[Row]) -> Result<(), StoreError> {
        // The last word about a key counts; so the order inside a batch does not matter any more.
        let mut last: BTreeMap<(u8, Vec<u8>), &Row> = BTreeMap::new();
        for row in rows {
            last.insert((row.space as u8, self.name(row)), row);
        }
        if last.is_empty() {
            return Ok(());
        }
        let mut kept = Vec::new();
        let mut gone = Vec::new();
        for ((space, name), row) in last {
            match &row.value {
                Some(value) => {
                    let sealed = self.seal.seal(space, &name, &row.key, value)?;
                    kept.push((i64::from(space), name, sealed));
                }
                None => gone.push((i64::from(space), name)),
            }
        }
        let mut transaction = self.connection.begin().await?;
        for (space, name) in gone {
            sqlx::query("DELETE FROM row WHERE space = $1 AND key = $2")
                .bind(space)
                .bind(name)
                .execute(&mut *transaction)
                .await?;
        }
        for part in kept.chunks(ROWS_IN_ONE_STATEMENT) {
            let mut insert = QueryBuilder::<Sqlite>::new("INSERT INTO row (space, key, value) ");
            insert.push_values(part, |mut values, (space, name, sealed)| {
                values.push_bind(space).push_bind(name.as_slice()).push_bind(sealed.as_slice());
            });
            insert.push(" ON CONFLICT (space, key) DO UPDATE SET value = excluded.value");
            insert.build().execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Event rows of one chain, from `first` to `last` seq, both included, in order.
    pub async fn events(&mut self, prefix: &[u8], first: u64, last: u64) -> Result<Vec<Row>, StoreError> {
        let low = self.seal.range_name(EVENTS, prefix, &first.to_be_bytes());
        let high = self.seal.range_name(EVENTS, prefix, &last.to_be_bytes());
        let found = sqlx::query("SELECT key, value FROM row WHERE space = $1 AND key BETWEEN $2 AND $3 ORDER BY key")
            .bind(i64::from(EVENTS))
            .bind(low)
            .bind(high)
            .fetch_all(&mut self.connection)
            .await?;
        let mut rows = Vec::with_capacity(found.len());
        for row in found {
            let (key, value) = self.seal.open(EVENTS, row.try_get(0)?, row.try_get(1)?)?;
            rows.push(Row { space: Space::Event, key, value: Some(value) });
        }
        Ok(rows)
    }

    /// Closes the file in an orderly way; not needed for durability.
    pub async fn close(self) -> Result<(), StoreError> {
        Ok(self.connection.close().await?)
    }

    fn name(&self, row: &Row) -> Vec<u8> {
        match row.space {
            Space::Event => self.seal.ordered_name(EVENTS, &row.key),
            other => self.seal.name(other as u8, &row.key),
        }
    }
}

fn new_enough(version: &str) -> bool {
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let found = (parts.next().unwrap_or(0), parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    found >= OLDEST_SQLITE
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
