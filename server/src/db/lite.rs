//! SQLite: one writer task that drains a queue into one transaction (group commit), readers beside it.
//!
//! Each piece of work runs in a savepoint of its own, so that a refused one does not undo its
//! neighbours. An fsync costs the same for one piece of work as for two hundred.

use std::os::unix::fs::OpenOptionsExt as _;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use tokio::sync::{mpsc, oneshot};

use super::{Conn, StoreError};

/// Most pieces of work that share one commit.
const BATCH: usize = 256;
/// Queue of the writer: beyond it, callers wait.
const QUEUE: usize = 1024;
const READERS: u32 = 4;

/// What is left of a piece of work once it has run inside its savepoint.
struct Outcome {
    keep: bool,
    /// Called after COMMIT (`true`) or when the whole transaction was lost (`false`).
    answer: Box<dyn FnOnce(bool) + Send>,
}

type Work = Box<dyn for<'c> FnOnce(&'c mut Conn) -> BoxFuture<'c, Outcome> + Send>;

#[derive(Clone)]
pub struct Lite {
    queue: mpsc::Sender<Work>,
    writer: SqlitePool,
    readers: SqlitePool,
}

impl Lite {
    pub async fn open(file: &Path) -> Result<Self, StoreError> {
        // SQLite gives its side files the mode of the main one.
        std::fs::OpenOptions::new().append(true).create(true).mode(0o600).open(file).map_err(sqlx::Error::Io)?;
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(5))
            .pragma("secure_delete", "ON")
            .pragma("mmap_size", "0")
            .pragma("trusted_schema", "OFF");
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .connect_with(options.clone())
            .await?;
        let version: String = sqlx::query_scalar("SELECT sqlite_version()").fetch_one(&writer).await?;
        if !is_recent(&version) {
            return Err(StoreError::OldSqlite(version));
        }
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            // A file does not go away as a network does.
            .test_before_acquire(false)
            .connect_with(options.pragma("query_only", "ON"))
            .await?;
        let (queue, jobs) = mpsc::channel(QUEUE);
        tokio::spawn(run(writer.clone(), jobs));
        Ok(Self { queue, writer, readers })
    }

    pub async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: for<'c> FnOnce(&'c mut Conn) -> BoxFuture<'c, Result<T, E>> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel::<Result<T, E>>();
        let work: Work = Box::new(move |conn| {
            async move {
                let result = work(conn).await;
                Outcome {
                    keep: result.is_ok(),
                    answer: Box::new(move |committed| {
                        let result = match result {
                            Ok(_) if !committed => Err(E::from(StoreError::Lost)),
                            other => other,
                        };
                        // Whoever asked may have hung up; the work is done all the same.
                        let _ = sender.send(result);
                    }),
                }
            }
            .boxed()
        });
        self.queue.send(work).await.map_err(|_| E::from(StoreError::Lost))?;
        receiver.await.map_err(|_| E::from(StoreError::Lost))?
    }

    pub async fn reader(&self) -> Result<Conn, StoreError> {
        Ok(Conn::Lite(self.readers.acquire().await?))
    }

    pub async fn single(&self) -> Result<Conn, StoreError> {
        self.readers.close().await;
        Ok(Conn::Lite(self.writer.acquire().await?))
    }

    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

async fn run(pool: SqlitePool, mut jobs: mpsc::Receiver<Work>) {
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        if jobs.recv_many(&mut batch, BATCH).await == 0 {
            return;
        }
        let outcomes = match pool.acquire().await {
            Ok(conn) => {
                let mut conn = Conn::Lite(conn);
                let outcomes = commit(&mut conn, batch.drain(..)).await;
                if outcomes.is_err() {
                    // SQLite may have rolled back by itself already; then this says so and is ignored.
                    let _ = conn.execute("ROLLBACK", vec![]).await;
                }
                outcomes
            }
            Err(error) => Err(error.into()),
        };
        match outcomes {
            Ok(outcomes) => {
                for outcome in outcomes {
                    (outcome.answer)(true);
                }
            }
            // The senders were dropped with their work: every caller hears `Lost`.
            Err(error) => {
                batch.clear();
                tracing::error!(%error, "a batch of writes was not committed");
            }
        }
    }
}

async fn commit(conn: &mut Conn, batch: impl ExactSizeIterator<Item = Work>) -> Result<Vec<Outcome>, StoreError> {
    let alone = batch.len() == 1;
    conn.execute("BEGIN IMMEDIATE", vec![]).await?;
    let mut outcomes = Vec::new();
    for work in batch {
        if !alone {
            conn.execute("SAVEPOINT job", vec![]).await?;
        }
        // A panic in one piece of work must not stop the writer for everybody.
        let outcome = AssertUnwindSafe(async { work(conn).await }).catch_unwind().await.ok();
        let keep = outcome.as_ref().is_some_and(|o| o.keep);
        outcomes.extend(outcome);
        if alone && !keep {
            conn.execute("ROLLBACK", vec![]).await?;
            return Ok(outcomes);
        }
        if !keep {
            conn.execute("ROLLBACK TO job", vec![]).await?;
        }
        if !alone {
            conn.execute("RELEASE job", vec![]).await?;
        }
    }
    if let Err(error) = conn.execute("COMMIT", vec![]).await {
        if is_failed_sync(&error) {
            // After a failed fsync nobody knows what is on disk; only a fresh start reads the truth.
            tracing::error!(%error, "fsync failed; stopping");
            std::process::abort();
        }
        for outcome in outcomes {
            (outcome.answer)(false);
        }
        return Err(error);
    }
    Ok(outcomes)
}

fn is_failed_sync(error: &StoreError) -> bool {
    // SQLITE_IOERR_FSYNC and SQLITE_IOERR_DIR_FSYNC
    matches!(error, StoreError::Sql(sqlx::Error::Database(e)) if matches!(e.code().as_deref(), Some("1034" | "1290")))
}

fn is_recent(version: &str) -> bool {
    let mut parts = version.split('.').map(|p| p.parse::<u32>().unwrap_or(0));
    let found = (parts.next().unwrap_or(0), parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    found >= (3, 51, 3)
}
