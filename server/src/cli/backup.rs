//! `stafettd backup`, `restore`, `open`: the whole server in one file, the same for both engines.
//!
//! The file is a SQLite database with all tables and the home's files, keys included: it must be kept
//! as safe as the server itself. A restored server may lack what was receipted after the backup; it
//! signs nothing until its operator opens it, or it would tell two histories.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::{CliError, Said};
use crate::args;
use crate::db::schema::{self, Kind, TABLES, Table};
use crate::db::{Arg, Conn, Db, Row, StoreError};
use crate::home::{FILES, Home, SETTINGS, Settings, now_ms, write_private};
use crate::restored;

/// Rows copied in one transaction.
const PAGE: i64 = 1000;
pub async fn backup(dir: &Path, file: &Path) -> Result<Said, CliError> {
    let (home, db) = super::open(dir).await?;
    if file.exists() {
        return Err(CliError::Refused {
            code: "file-exists",
            message: format!("{} exists already", file.display()),
            hint: "choose a new name for each backup",
        });
    }
    let mut unfinished = file.as_os_str().to_owned();
    unfinished.push(".part");
    let unfinished = PathBuf::from(unfinished);
    let _ = std::fs::remove_file(&unfinished);
    write_private(&unfinished, b"")?;
    let copy = Db::open(&unfinished, None).await?;
    let mut source = db.reader().await?;
    let begin = if source.is_pg() { "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY" } else { "BEGIN" };
    source.execute(begin, args![]).await?;
    let rows = copy_tables(&mut source, &copy).await?;
    source.execute("COMMIT", args![]).await?;
    drop(source);
    copy_files(&home, &copy).await?;
    copy.close().await;
    std::fs::rename(&unfinished, file)?;
    std::fs::File::open(file)?.sync_all()?;
    db.write::<_, StoreError, _>(|conn: &mut Conn| {
        Box::pin(async move { schema::set_meta(conn, "last_backup_ms", to_i64(now_ms())).await })
    })
    .await?;
    db.close().await;
    Ok(Said::new(
        format!("{rows} rows and all keys are in {}; keep it as safe as the server", file.display()),
        json!({"file": file, "rows": rows}),
    ))
}

pub async fn restore(dir: &Path, file: &Path, database: Option<String>) -> Result<Said, CliError> {
    if !file.is_file() {
        return Err(CliError::Usage(format!("{} is not there", file.display())));
    }
    Home::make_room(dir)?;
    let copy = Db::open(file, None).await?;
    let mut source = copy.reader().await?;
    let mut settings = restore_files(&mut source, dir, file).await?;
    if database.is_some() {
        settings.database = database;
    }
    let db = Db::open(&dir.join("stafett.db"), settings.database.as_deref()).await?;
    let taken = db.reader().await?.row("SELECT ticket FROM codes LIMIT 1", args![]).await?;
    if taken.is_some() {
        return Err(CliError::Refused {
            code: "database-taken",
            message: "the database already holds a server".to_owned(),
            hint: "restore into an empty database (`--database URL`)",
        });
    }
    let rows = copy_tables(&mut source, &db).await?;
    drop(source);
    db.write::<_, StoreError, _>(|conn: &mut Conn| {
        Box::pin(async move { restored::stop_signing(conn).await.map(drop) })
    })
    .await?;
    db.close().await;
    copy.close().await;
    // Last: this is what makes the directory a home.
    let text = serde_json::to_vec_pretty(&settings).map_err(|error| CliError::Damaged(error.to_string()))?;
    write_private(&dir.join(SETTINGS), &text)?;
    Ok(Said::new(
        format!(
            "{rows} rows restored. Start it: it signs nothing, and devices bring back what it lacks. Then `stafettd open`."
        ),
        json!({"rows": rows, "restored": true}),
    ))
}

/// Writes the home's files but the settings, which are answered.
async fn restore_files(source: &mut Conn, dir: &Path, file: &Path) -> Result<Settings, CliError> {
    let damaged = |why: &str| CliError::Damaged(format!("{} {why}", file.display()));
    let rows =
        source.rows("SELECT name, content FROM home_files", args![]).await.map_err(|_| damaged("is not a backup"))?;
    let mut settings = None;
    for row in &rows {
        let (name, content) = (row.text(0)?, row.bytes(1)?);
        if !FILES.contains(&name.as_str()) {
            return Err(damaged("holds a strange file"));
        }
        if name == SETTINGS {
            settings = Some(content);
        } else {
            write_private(&dir.join(&name), &content)?;
        }
    }
    let settings = settings.ok_or_else(|| damaged("is not whole"))?;
    serde_json::from_slice(&settings).map_err(|_| damaged("is damaged"))
}

pub async fn open(dir: &Path) -> Result<Said, CliError> {
    let (_, db) = super::open(dir).await?;
    db.write::<_, StoreError, _>(|conn: &mut Conn| Box::pin(async move { restored::open(conn).await })).await?;
    db.close().await;
    Ok(Said::new("The server signs again.".to_owned(), json!({"open": true})))
}

async fn copy_files(home: &Home, copy: &Db) -> Result<(), CliError> {
    let mut files = Vec::new();
    for name in FILES {
        files.push((*name, home.read(name)?));
    }
    copy.write::<_, StoreError, _>(move |conn: &mut Conn| {
        Box::pin(async move {
            conn.execute("CREATE TABLE home_files (name TEXT NOT NULL PRIMARY KEY, content BLOB NOT NULL)", args![])
                .await?;
            for (name, content) in files {
                conn.execute("INSERT INTO home_files (name, content) VALUES ($1, $2)", args![name, content]).await?;
            }
            Ok(())
        })
    })
    .await?;
    // One file, nothing beside it.
    let mut conn = copy.single().await?;
    conn.row("PRAGMA journal_mode = DELETE", args![]).await?;
    Ok(())
}

async fn copy_tables(source: &mut Conn, target: &Db) -> Result<u64, CliError> {
    let mut total = 0;
    for table in TABLES {
        let names: Vec<&str> = table.columns.iter().map(|(name, _)| name.trim_end_matches('?')).collect();
        let names = names.join(", ");
        let key = key_columns(table);
        let mut offset = 0;
        loop {
            let rows = source
                .raw(format!("SELECT {names} FROM {} ORDER BY {key} LIMIT {PAGE} OFFSET {offset}", table.name), args![])
                .await?;
            let count = to_i64(rows.len() as u64);
            total += rows.len() as u64;
            let rows = rows.iter().map(|row| values(table, row)).collect::<Result<Vec<_>, StoreError>>()?;
            insert(target, table, names.clone(), rows).await?;
            offset += count;
            if count < PAGE {
                break;
            }
        }
    }
    Ok(total)
}

async fn insert(target: &Db, table: &'static Table, names: String, rows: Vec<Vec<Arg>>) -> Result<(), StoreError> {
    target
        .write(move |conn: &mut Conn| {
            Box::pin(async move {
                let places: Vec<String> = (1..=table.columns.len()).map(|n| format!("${n}")).collect();
                // Only `meta` has rows in a new database.
                let sql = format!(
                    "INSERT INTO {} ({names}) VALUES ({}) ON CONFLICT DO NOTHING",
                    table.name,
                    places.join(", ")
                );
                for row in rows {
                    conn.raw(sql.clone(), row).await?;
                }
                Ok(())
            })
        })
        .await
}

fn key_columns(table: &Table) -> &'static str {
    table.rules.strip_prefix("PRIMARY KEY (").and_then(|rest| rest.split(')').next()).unwrap_or("1")
}

fn values(table: &Table, row: &Row) -> Result<Vec<Arg>, StoreError> {
    table
        .columns
        .iter()
        .enumerate()
        .map(|(at, (_, kind))| {
            Ok(match kind {
                Kind::Int => Arg::Int(row.maybe_int(at)?),
                Kind::Bytes => Arg::Bytes(row.maybe_bytes(at)?),
                Kind::Text => Arg::Text(Some(row.text(at)?)),
            })
        })
        .collect()
}

fn to_i64(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
