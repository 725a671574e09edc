//! The same conformance suite on SQLite and on PostgreSQL: what `Db::write` promises.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use stafett_server::args;
use stafett_server::db::{Conn, Db, StoreError, schema};
use stafett_server::pg::Postgres;

async fn put(db: &Db, name: String, value: i64) -> Result<(), StoreError> {
    db.write(move |conn: &mut Conn| Box::pin(async move { schema::set_meta(conn, &name, value).await })).await
}

async fn value(db: &Db, name: &str) -> Option<i64> {
    schema::meta(&mut db.reader().await.unwrap(), name).await.unwrap()
}

/// Adds one to a counter, the row locked by the first statement.
async fn raise(conn: &mut Conn) -> Result<i64, StoreError> {
    let row = conn.row("UPDATE meta SET value = value + 1 WHERE name = 'count' RETURNING value", args![]).await?;
    row.unwrap().int(0)
}

async fn promises(db: Db) {
    // Written is readable at once, refused leaves nothing.
    put(&db, "a".into(), 1).await.unwrap();
    assert_eq!(value(&db, "a").await, Some(1));
    let refused: Result<(), StoreError> = db
        .write(|conn: &mut Conn| {
            Box::pin(async move {
                schema::set_meta(conn, "a", 2).await?;
                Err(StoreError::Damaged("on purpose"))
            })
        })
        .await;
    assert!(matches!(refused, Err(StoreError::Damaged(_))));
    assert_eq!(value(&db, "a").await, Some(1));

    // A panic is that work's alone.
    let panicked: Result<(), StoreError> = db
        .write(|conn: &mut Conn| {
            Box::pin(async move {
                schema::set_meta(conn, "a", 3).await?;
                panic!("on purpose")
            })
        })
        .await;
    assert!(panicked.is_err());
    assert_eq!(value(&db, "a").await, Some(1));

    // Many at once, some refused, some with broken SQL: each good one counts once, and no other.
    put(&db, "count".into(), 0).await.unwrap();
    let done = Arc::new(AtomicUsize::new(0));
    let mut tasks = vec![];
    for n in 0..200 {
        let (db, done) = (db.clone(), Arc::clone(&done));
        tasks.push(tokio::spawn(async move {
            let result: Result<i64, StoreError> = db
                .write(move |conn: &mut Conn| {
                    Box::pin(async move {
                        let value = raise(conn).await?;
                        if n % 5 == 1 {
                            return Err(StoreError::Damaged("on purpose"));
                        }
                        if n % 5 == 2 {
                            conn.execute("SELECT no_such_column FROM meta", args![]).await?;
                        }
                        Ok(value)
                    })
                })
                .await;
            assert_eq!(result.is_ok(), n % 5 != 1 && n % 5 != 2);
            if result.is_ok() {
                done.fetch_add(1, Ordering::Relaxed);
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(value(&db, "count").await, Some(120));
    assert_eq!(done.load(Ordering::Relaxed), 120);

    // Every kind of value comes back as it was.
    let bytes: Vec<u8> = (0..=255).collect();
    {
        let bytes = bytes.clone();
        db.write::<_, StoreError, _>(move |conn: &mut Conn| {
            Box::pin(async move {
                conn.execute(
                    "INSERT INTO units (unit, name, kind, leader, created_ms) VALUES ($1, $2, $3, $4, $5)",
                    args![bytes, "Bærum «æøå» 👩", "x", None::<Vec<u8>>, i64::MAX],
                )
                .await
            })
        })
        .await
        .unwrap();
    }
    let mut conn = db.reader().await.unwrap();
    let row = conn.row("SELECT unit, name, leader, created_ms FROM units", args![]).await.unwrap().unwrap();
    assert_eq!(row.bytes(0).unwrap(), bytes);
    assert_eq!(row.text(1).unwrap(), "Bærum «æøå» 👩");
    assert_eq!(row.maybe_bytes(2).unwrap(), None);
    assert_eq!(row.int(3).unwrap(), i64::MAX);
}

/// An older program must not touch a newer database.
async fn refuses_the_future(db: Db, file: &std::path::Path, url: Option<&str>) {
    put(&db, "schema".into(), 1000).await.unwrap();
    db.close().await;
    assert!(matches!(Db::open(file, url).await, Err(StoreError::NewerSchema(1000))));
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_keeps_its_promises() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x.db");
    let db = Db::open(&file, None).await.unwrap();
    promises(db.clone()).await;
    refuses_the_future(db, &file, None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_keeps_its_promises() {
    let Some(postgres) = Postgres::start() else { return };
    let url = postgres.database("promises").unwrap();
    let nowhere = std::path::Path::new("/nonexistent");
    let db = Db::open(nowhere, Some(&url)).await.unwrap();
    promises(db.clone()).await;
    refuses_the_future(db, nowhere, Some(&url)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_write_to_one_sqlite() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x.db");
    let (a, b) = (Db::open(&file, None).await.unwrap(), Db::open(&file, None).await.unwrap());
    for n in 0..50 {
        let (one, two) = tokio::join!(put(&a, format!("a{n}"), n), put(&b, format!("b{n}"), n));
        one.unwrap();
        two.unwrap();
    }
    assert_eq!((value(&a, "b49").await, value(&b, "a49").await), (Some(49), Some(49)));
}

/// A database of the first version: its mailboxes hang on devices, its readers know no person.
#[tokio::test(flavor = "multi_thread")]
async fn an_older_database_is_brought_up_to_date() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x.db");
    let Some(postgres) = Postgres::start() else { return version_one(&file, None).await };
    let url = postgres.database("older").unwrap();
    version_one(&file, None).await;
    version_one(&file, Some(&url)).await;
}

async fn version_one(file: &std::path::Path, url: Option<&str>) {
    let db = Db::open(file, url).await.unwrap();
    let bytes = if url.is_some() { "BYTEA" } else { "BLOB" };
    db.write::<_, StoreError, _>(move |conn: &mut Conn| {
        Box::pin(async move {
            for sql in [
                "ALTER TABLE scopes DROP COLUMN standing",
                "ALTER TABLE scopes DROP COLUMN closed",
                "ALTER TABLE scopes DROP COLUMN held_ms",
                "DROP TABLE peers",
                "DROP TABLE sources",
                "DROP TABLE targets",
                "DROP TABLE mailbox",
                "DROP TABLE readers",
                "INSERT INTO persons (person, person_key, kind, certificate, joined_ms) VALUES ($1, $1, 1, $1, 0)",
                "INSERT INTO devices (device, person, device_key, certificate, letter_key, locks) VALUES ($1, $1, $1, $1, $1, 0)",
                "INSERT INTO scopes (scope, log, seq, head, time_ms) VALUES ($1, $1, 0, $1, 0)",
            ] {
                let bound = if sql.starts_with("INSERT") { args![vec![7u8; 16]] } else { args![] };
                conn.execute(sql, bound).await?;
            }
            let mailbox = "CREATE TABLE mailbox (device BYTES NOT NULL, id BIGINT NOT NULL, mail BYTES NOT NULL, PRIMARY KEY (device, id), FOREIGN KEY (device) REFERENCES devices (device) ON DELETE CASCADE)";
            let readers = "CREATE TABLE readers (scope BYTES NOT NULL, device BYTES NOT NULL, until_ms BIGINT NOT NULL, removed_seq BIGINT, PRIMARY KEY (scope, device), FOREIGN KEY (scope) REFERENCES scopes (scope))";
            for table in [mailbox, readers] {
                let sql: &'static str = Box::leak(table.replace("BYTES", bytes).into_boxed_str());
                conn.execute(sql, args![]).await?;
            }
            conn.execute("INSERT INTO mailbox (device, id, mail) VALUES ($1, 1, $1)", args![vec![7u8; 16]]).await?;
            conn.execute("INSERT INTO readers (scope, device, until_ms) VALUES ($1, $1, 5)", args![vec![7u8; 16]])
                .await?;
            schema::set_meta(conn, "schema", 1).await
        })
    })
    .await
    .unwrap();
    db.close().await;
    let db = Db::open(file, url).await.unwrap();
    let mut conn = db.reader().await.unwrap();
    let row = conn.row("SELECT person, until_ms FROM readers", args![]).await.unwrap().unwrap();
    assert_eq!((row.bytes(0).unwrap(), row.int(1).unwrap()), (vec![7; 16], 5));
    let row = conn.row("SELECT mail FROM mailbox WHERE id = 1", args![]).await.unwrap().unwrap();
    assert_eq!(row.bytes(0).unwrap(), vec![7; 16]);
    drop(conn);
    // A guest has mail and no account.
    db.write::<_, StoreError, _>(|conn: &mut Conn| {
        Box::pin(async move {
            let sql = "INSERT INTO mailbox (device, id, mail) VALUES ($1, 1, $1)";
            conn.execute(sql, args![vec![9u8; 16]]).await
        })
    })
    .await
    .unwrap();
    assert_eq!(value(&db, "schema").await, Some(3));
}

/// S3, S15: no commit is answered before it is on disk, and what is deleted is gone from the file.
#[tokio::test(flavor = "multi_thread")]
async fn s3_s15_commits_are_synced_and_deleted_bytes_are_overwritten_on_sqlite() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x.db");
    let db = Db::open(&file, None).await.unwrap();
    let (synced, journal) = db
        .write::<_, StoreError, _>(|conn: &mut Conn| {
            Box::pin(async move {
                let synced = conn.row("PRAGMA synchronous", args![]).await?.unwrap().int(0)?;
                let journal = conn.row("PRAGMA journal_mode", args![]).await?.unwrap().text(0)?;
                Ok((synced, journal))
            })
        })
        .await
        .unwrap();
    assert_eq!((synced, journal.as_str()), (2, "wal"), "FULL: every commit of the log is synced");
    let name = "kanari-".repeat(40);
    {
        let name = name.clone();
        db.write::<_, StoreError, _>(move |conn: &mut Conn| {
            Box::pin(async move { schema::set_meta(conn, &name, 1).await })
        })
        .await
        .unwrap();
    }
    let holds = |file: &std::path::Path| std::fs::read(file).unwrap().windows(14).any(|w| w == b"kanari-kanari-");
    assert!(holds(&dir.path().join("x.db-wal")), "the search finds what is there");
    db.write::<_, StoreError, _>(|conn: &mut Conn| {
        Box::pin(async move {
            conn.execute("UPDATE meta SET value = 2 WHERE name LIKE 'kanari%'", args![]).await?;
            conn.execute("DELETE FROM meta WHERE name LIKE 'kanari%'", args![]).await
        })
    })
    .await
    .unwrap();
    // The last connection folds the log into the file and removes it.
    db.close().await;
    assert!(!dir.path().join("x.db-wal").exists() && !holds(&file), "deleted bytes are left");
}
