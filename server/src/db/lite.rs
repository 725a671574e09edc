//! SQLite: one writer task that drains a queue into one transaction (group commit), readers beside it.
//!
//! Each piece of work runs in a savepoint of its own, so that a refused one does not undo its
//! neighbours. An fsync costs the same for one piece of work as for two hundred.

use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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
    /// Whether the last batch was lost because the disk is full.
    full: Arc<AtomicBool>,
    writer: SqlitePool,
    readers: SqlitePool,
}

impl Lite {
    pub async fn open(file: &Path) -> Result<Self, StoreError> {
        // SQLite gives its side files the mode of the main one.
        stafett_host::own_file(file).map_err(sqlx::Error::Io)?;
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
        let full = Arc::new(AtomicBool::new(false));
        tokio::spawn(run(writer.clone(), jobs, Arc::clone(&full)));
        Ok(Self { queue, full, writer, readers })
    }

    pub async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: for<'c> FnOnce(&'c mut Conn) -> BoxFuture<'c, Result<T, E>> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel::<Result<T, E>>();
        let full = Arc::clone(&self.full);
        let lost = move || E::from(if full.load(Ordering::Relaxed) { StoreError::Full } else { StoreError::Lost });
        let not_committed = lost.clone();
        let work: Work = Box::new(move |conn| {
            async move {
                let result = work(conn).await;
                Outcome {
                    keep: result.is_ok(),
                    answer: Box::new(move |committed| {
                        let result = match result {
                            Ok(_) if !committed => Err(not_committed()),
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
        receiver.await.map_err(|_| lost())?
    }

    pub async fn reader(&self) -> Result<Conn, StoreError> {
        Ok(Conn::Lite(self.readers.acquire().await?))
    }

    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

async fn run(pool: SqlitePool, mut jobs: mpsc::Receiver<Work>, full: Arc<AtomicBool>) {
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        if jobs.recv_many(&mut batch, BATCH).await == 0 {
            return;
        }
        let mut outcomes = Vec::new();
        let done = match pool.acquire().await {
            Ok(conn) => {
                let mut conn = Conn::Lite(conn);
                let done = commit(&mut conn, &mut batch, &mut outcomes).await;
                if done.is_err() {
                    // SQLite may have rolled back by itself already; then this says so and is ignored.
                    let _ = conn.execute("ROLLBACK", vec![]).await;
                }
                done
            }
            Err(error) => Err(error.into()),
        };
        if let Err(error) = &done {
            tracing::error!(%error, "a batch of writes was not committed");
            // Before anybody hears that their work was lost: they ask why.
            full.store(error.is_full(), Ordering::Relaxed);
        }
        // Work that was not begun goes with its sender: its caller hears that it was lost.
        batch.clear();
        for outcome in outcomes {
            (outcome.answer)(done.is_ok());
        }
    }
}

async fn commit(conn: &mut Conn, batch: &mut Vec<Work>, outcomes: &mut Vec<Outcome>) -> Result<(), StoreError> {
    let alone = batch.len() == 1;
    conn.execute("BEGIN IMMEDIATE", vec![]).await?;
    while !batch.is_empty() {
        let work = batch.remove(0);
        if !alone {
            conn.execute("SAVEPOINT job", vec![]).await?;
        }
        // A panic in one piece of work must not stop the writer for everybody.
        let outcome = AssertUnwindSafe(async { work(conn).await }).catch_unwind().await.ok();
        let keep = outcome.as_ref().is_some_and(|o| o.keep);
        outcomes.extend(outcome);
        if alone && !keep {
            conn.execute("ROLLBACK", vec![]).await?;
            return Ok(());
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
        return Err(error);
    }
    Ok(())
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
