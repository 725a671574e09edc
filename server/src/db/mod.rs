//! The database: one SQL text over two engines.
//!
//! SQLite is the embedded default (one writer with group commit, a read pool beside it), PostgreSQL
//! the engine for several server processes. Everything above this module sees only [`Conn`], [`Row`]
//! and [`Db::write`]; a refused piece of work leaves no trace, an answer is given only after COMMIT.

mod conn;
mod lite;
mod postgres;
pub mod schema;

pub use conn::{Arg, Conn, Row};

use std::path::Path;

use futures_util::future::BoxFuture;

/// What the environment can do to us. Nothing here is the fault of whoever asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("database: {0}")]
    Sql(#[from] sqlx::Error),
    #[error("the disk of the database is full; nothing was stored")]
    Full,
    #[error("the database already holds something")]
    Taken,
    #[error(
        "the database is on another machine, and the connection to it would not be checked: say `sslmode=verify-full` in \
         its URL (with `sslrootcert=FILE` for an authority of your own)"
    )]
    Unchecked,
    #[error("a stored row cannot be read: {0}")]
    Damaged(&'static str),
    #[error("the work was lost before it was committed")]
    Lost,
    #[error("SQLite {0} is older than 3.51.3, which has a bug in its write-ahead log")]
    OldSqlite(String),
    #[error("the database was written by a newer version of this server (schema {0})")]
    NewerSchema(i64),
}

impl StoreError {
    /// Whether it is the disk that has no room: nothing is damaged, and it goes on once there is some.
    #[must_use]
    pub fn is_full(&self) -> bool {
        match self {
            Self::Full => true,
            Self::Sql(sqlx::Error::Io(error)) => error.kind() == std::io::ErrorKind::StorageFull,
            // SQLITE_FULL; PostgreSQL's disk_full.
            Self::Sql(sqlx::Error::Database(error)) => matches!(error.code().as_deref(), Some("13" | "53100")),
            _ => false,
        }
    }
}

/// Where the rows are.
#[derive(Clone)]
pub enum Db {
    Lite(lite::Lite),
    Pg(postgres::Pg),
}

impl Db {
    /// Opens SQLite in `file`, or PostgreSQL when a URL is given, and brings the schema up to date.
    pub async fn open(file: &Path, url: Option<&str>) -> Result<Self, StoreError> {
        let db = match url {
            Some(url) => Self::Pg(postgres::Pg::open(url).await?),
            None => Self::Lite(lite::Lite::open(file).await?),
        };
        schema::migrate(&db).await?;
        Ok(db)
    }

    /// Refuses a place that holds anything, before it is touched: two servers in one database are none.
    pub async fn must_be_empty(file: &Path, url: Option<&str>) -> Result<(), StoreError> {
        let empty = match url {
            Some(url) => {
                let pg = postgres::Pg::open(url).await?;
                let empty = pg.is_empty().await;
                pg.close().await;
                empty?
            }
            None => !file.exists(),
        };
        if empty { Ok(()) } else { Err(StoreError::Taken) }
    }

    /// Runs `work` so that all of it is on disk when this returns `Ok`, and none of it when it returns `Err`.
    ///
    /// The first statement of `work` must be a write on the row that it wants to itself: on PostgreSQL
    /// that row is the lock, on SQLite the single writer is.
    pub async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: for<'c> FnOnce(&'c mut Conn) -> BoxFuture<'c, Result<T, E>> + Send + 'static,
    {
        match self {
            Self::Lite(lite) => lite.write(work).await,
            Self::Pg(pg) => pg.write(work).await,
        }
    }

    /// A connection for reading. Each statement sees committed rows only.
    pub async fn reader(&self) -> Result<Conn, StoreError> {
        match self {
            Self::Lite(lite) => lite.reader().await,
            Self::Pg(pg) => pg.reader().await,
        }
    }

    /// The PostgreSQL pool, for what only it has (LISTEN).
    #[must_use]
    pub fn pg_pool(&self) -> Option<&sqlx::PgPool> {
        match self {
            Self::Lite(_) => None,
            Self::Pg(pg) => Some(pg.pool()),
        }
    }

    /// Waits for what is under way and closes every connection.
    pub async fn close(&self) {
        match self {
            Self::Lite(lite) => lite.close().await,
            Self::Pg(pg) => pg.close().await,
        }
    }
}
