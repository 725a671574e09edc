//! What this machine can do at all, in the same run.

use ed25519_dalek::{Signer as _, SigningKey};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, Executor as _};
use std::time::Instant;

pub struct Limits {
    pub commits: f64,
    pub rows: f64,
    pub signs: f64,
    pub verifies: f64,
}

pub async fn measure() -> Limits {
    let (commits, rows) = sqlite().await;
    let key = SigningKey::from_bytes(&[7; 32]);
    let message = [0u8; 400];
    let start = Instant::now();
    let signature = (1..2000).fold(key.sign(&message), |_, _| key.sign(&message));
    let signs = 2000.0 / start.elapsed().as_secs_f64();
    let start = Instant::now();
    (0..2000).for_each(|_| key.verifying_key().verify_strict(&message, &signature).expect("verifies"));
    Limits { commits, rows, signs, verifies: 2000.0 / start.elapsed().as_secs_f64() }
}

async fn sqlite() -> (f64, f64) {
    let dir = tempfile::tempdir().expect("a folder");
    let options = SqliteConnectOptions::new()
        .filename(dir.path().join("limit.db"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    let mut db = options.connect().await.expect("opens");
    db.execute("CREATE TABLE t (k INTEGER PRIMARY KEY, v BLOB)").await.expect("creates");
    let row = vec![7u8; 500];
    let start = Instant::now();
    for _ in 0..500 {
        sqlx::query("INSERT INTO t (v) VALUES ($1)").bind(&row).execute(&mut db).await.expect("inserts");
    }
    let commits = 500.0 / start.elapsed().as_secs_f64();
    let start = Instant::now();
    let mut group = db.begin().await.expect("begins");
    for _ in 0..20_000 {
        sqlx::query("INSERT INTO t (v) VALUES ($1)").bind(&row).execute(&mut *group).await.expect("inserts");
    }
    group.commit().await.expect("commits");
    (commits, 20_000.0 / start.elapsed().as_secs_f64())
}
