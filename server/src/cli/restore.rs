//! `stafettd restore` and `open`: a server out of a backup, into empty places only, and never into the database that the
//! backup came from.
//!
//! All of the file is read and checked first. A restored server may lack what was receipted after the backup; it signs
//! nothing until its operator opens it, or it would tell two histories.

use std::fs::File;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::json;

use super::{CliError, Said, backup, secrets};
use crate::backup::contents::{Checked, Rows, names};
use crate::backup::sealed::{FileKey, OpenBackup};
use crate::db::schema::{self, TABLES};
use crate::db::{Conn, Db};
use crate::home::{Home, SETTINGS, write_private};
use crate::restored;

#[derive(Debug, Args)]
pub struct Restore {
    file: PathBuf,
    /// Where the rows go: the URL of an empty PostgreSQL database, or `sqlite` for a file in the home (which is what a backup
    /// of SQLite does without it). With `--only keys`: the database that is still there, which is not touched.
    #[arg(long, value_name = "URL")]
    database: Option<String>,
    /// A part: `keys` where the home was lost and the database is there; `database` where the home is there.
    #[arg(long, value_name = "PART")]
    only: Option<Only>,
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Only {
    /// Settings and keys.
    Keys,
    /// All rows, into the empty database that an existing home names.
    Database,
}

impl Restore {
    pub async fn run(self, dir: &Path) -> Result<Said, CliError> {
        let secrets = secrets::secrets(self.key_file.as_deref())?;
        // Before anything is written, and whatever part is wanted: half a damaged backup is no better.
        let (file, key, checked) = backup::open_checked(&self.file, &secrets)?;
        match self.only {
            Some(Only::Database) => into_home(dir, file, key, checked, self.database).await,
            only => into_empty(dir, file, key, checked, self.database, only.is_some()).await,
        }
    }
}

fn refused(code: &'static str, message: &str, hint: &'static str) -> CliError {
    CliError::Refused { code, message: message.to_owned(), hint }
}

/// A new home, and its database unless that is still somewhere.
async fn into_empty(
    dir: &Path,
    file: File,
    key: FileKey,
    checked: Checked,
    database: Option<String>,
    keys_only: bool,
) -> Result<Said, CliError> {
    let url = match database {
        Some(word) if word == "sqlite" => None,
        None if checked.begin.postgres != 0 => {
            return Err(refused(
                "database-unnamed",
                "this backup was taken from PostgreSQL, and does not say where that is",
                "name an EMPTY database with `--database URL`, or take `--database sqlite`",
            ));
        }
        other => other,
    };
    Home::make_room(dir)?;
    let result = fill(dir, file, key, &checked, url, keys_only).await;
    if result.is_err() {
        // The place was empty before; what a failure has left would only be in the next attempt's way.
        Home::clear(dir);
    }
    let rows = result?;
    let words = if keys_only {
        "Settings and keys are restored; the database was not touched. If it lacks what this server has signed, it signs \
         nothing until `stafettd open`."
            .to_owned()
    } else {
        format!(
            "{rows} rows restored. Start it: it signs nothing, and devices bring back what it lacks. Then `stafettd open`."
        )
    };
    Ok(Said::new(words, json!({"rows": rows, "restored": true})))
}

async fn fill(
    dir: &Path,
    file: File,
    key: FileKey,
    checked: &Checked,
    url: Option<String>,
    keys_only: bool,
) -> Result<u64, CliError> {
    let mut rows = 0;
    if !keys_only {
        rows = copy(&dir.join(crate::home::DATABASE), url.as_deref(), file, &key).await?;
    }
    for (name, content) in &checked.files {
        write_private(&dir.join(name), content)?;
    }
    if keys_only {
        // A database that has seen no start is older than this home: nothing is signed on it (`restored::count_start`).
        write_private(&dir.join(restored::STARTS), b"1")?;
    }
    // Last: this is what makes the directory a home.
    let settings = crate::home::Settings { database: url, ..checked.settings.clone() };
    let text = serde_json::to_vec_pretty(&settings).map_err(|error| CliError::Damaged(error.to_string()))?;
    write_private(&dir.join(SETTINGS), &text)?;
    Ok(rows)
}

/// The rows for a home that is there.
async fn into_home(
    dir: &Path,
    file: File,
    key: FileKey,
    checked: Checked,
    database: Option<String>,
) -> Result<Said, CliError> {
    let home = Home::open(dir)?;
    if database.is_some() {
        return Err(CliError::Usage("with --only database the home's settings.json names the database".to_owned()));
    }
    let own = home.read("municipality.key")?;
    let theirs = checked.files.iter().find(|(name, _)| *name == "municipality.key");
    if theirs.is_none_or(|(_, content)| content.trim_ascii() != own.trim_ascii()) {
        return Err(refused(
            "another-server",
            "this backup is of a server with another key than this home",
            "restore it into an empty directory",
        ));
    }
    let rows = copy(&home.database_file(), home.settings.database.as_deref(), file, &key).await?;
    Ok(Said::new(
        format!(
            "{rows} rows restored. Start it: it signs nothing, and devices bring back what it lacks. Then `stafettd open`."
        ),
        json!({"rows": rows, "restored": true}),
    ))
}

/// All rows into an empty database, in one transaction: all or nothing.
async fn copy(sqlite: &Path, url: Option<&str>, file: File, key: &FileKey) -> Result<u64, CliError> {
    Db::must_be_empty(sqlite, url).await?;
    let mut from = Rows::of(OpenBackup::with_key(file, key)?);
    let db = Db::open(sqlite, url).await?;
    let rows = db
        .write::<u64, CliError, _>(move |conn: &mut Conn| {
            Box::pin(async move {
                // Whoever restores at the same time waits here, and then finds it taken.
                schema::lock(conn).await?;
                if !schema::is_empty(conn).await? {
                    return Err(crate::db::StoreError::Taken.into());
                }
                let mut rows = 0;
                while let Some((table, values)) = from.next_row()? {
                    // Only `meta` has rows in a new database.
                    let places: Vec<String> = (1..=table.columns.len()).map(|n| format!("${n}")).collect();
                    let sql = format!(
                        "INSERT INTO {} ({}) VALUES ({}) ON CONFLICT DO NOTHING",
                        table.name,
                        names(table),
                        places.join(", ")
                    );
                    conn.raw(sql, values).await?;
                    rows += 1;
                }
                restored::stop_signing(conn).await?;
                Ok(rows)
            })
        })
        .await?;
    db.close().await;
    Ok(rows)
}

pub async fn open(dir: &Path) -> Result<Said, CliError> {
    let (_, db) = super::open(dir).await?;
    let was = db
        .write::<bool, crate::db::StoreError, _>(|conn: &mut Conn| {
            Box::pin(async move {
                let was = restored::is_restored(conn).await?;
                restored::open(conn).await?;
                Ok(was)
            })
        })
        .await?;
    db.close().await;
    let words = if was {
        "Opened: it signs again, if its clock is believed (`stafettd doctor` says)."
    } else {
        "Nothing to open: this server was not restored."
    };
    Ok(Said::new(words.to_owned(), json!({"open": true, "was_restored": was})))
}

const _: () = assert!(TABLES.len() < 256, "a row names its table in one byte");
