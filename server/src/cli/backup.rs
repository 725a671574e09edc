//! `stafettd backup`, `backup key`, `backup verify`: the whole server in one sealed file, the same for both engines.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;
use stafett_host::NewFile;
use zeroize::Zeroizing;

use super::{CliError, Said, secrets};
use crate::args;
use crate::backup::contents::{self, Begin, Checked};
use crate::backup::sealed::{FileKey, OpenBackup, Sealing};
use crate::backup::{BackupError, keys};
use crate::db::schema;
use crate::db::{Conn, Db, StoreError};
use crate::home::{BACKUP_PUBLIC, FILES, Home, SETTINGS, Settings, now_ms};
use crate::store::accounts::to_db;

/// When the last backup was written, read back and found whole.
pub const LAST_BACKUP: &str = "last_backup_ms";

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Backup {
    #[command(subcommand)]
    command: Option<BackupCommand>,
    /// A new file; nothing is written over.
    file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub enum BackupCommand {
    /// Reads a backup from its first byte to its last and says what is in it; nothing is written, no home is needed.
    Verify {
        file: PathBuf,
        #[arg(long, value_name = "FILE")]
        key_file: Option<PathBuf>,
    },
    /// Makes a new backup key and prints it once. Later backups open with it; older ones still need the older key.
    Key,
}

impl Backup {
    pub async fn run(self, dir: impl FnOnce() -> Result<PathBuf, CliError>) -> Result<Said, CliError> {
        match (self.command, self.file) {
            (Some(BackupCommand::Verify { file, key_file }), _) => verify(&file, key_file.as_deref()),
            (Some(BackupCommand::Key), _) => key(&dir()?),
            (None, Some(file)) => backup(&dir()?, &file).await,
            (None, None) => Err(CliError::Usage("`backup FILE`, `backup verify FILE` or `backup key`".to_owned())),
        }
    }
}

fn key(dir: &Path) -> Result<Said, CliError> {
    let (key, short) = secrets::new_key(&Home::open(dir)?)?;
    Ok(Said::new(
        format!("{}\nOlder backups still need the older key.", secrets::keep_it(&key)),
        json!({"backup_key": key.as_str(), "fingerprint": short}),
    ))
}

async fn backup(dir: &Path, file: &Path) -> Result<Said, CliError> {
    let (home, db) = super::open(dir).await?;
    let (recipients, opens) = secrets::recipients(&home)?;
    let draft = NewFile::at(file).map_err(|error| exists(error, file))?;
    let (mut sealing, key) = Sealing::begin(draft, &recipients)?;
    let rows = write(&home, &db, &mut sealing).await?;
    let draft = sealing.finish()?;
    // What the disk has, not what we meant: a backup that cannot be read is none.
    let read = check(draft.reopen()?, &key)?;
    if read.rows != rows {
        return Err(BackupError::Damaged("it does not hold what was written").into());
    }
    draft.finish().map_err(|error| exists(error, file))?;
    let at = to_db(read.begin.made_ms);
    db.write::<_, StoreError, _>(move |conn: &mut Conn| {
        Box::pin(async move { schema::set_meta(conn, LAST_BACKUP, at).await })
    })
    .await?;
    db.close().await;
    Ok(Said::new(
        format!(
            "{rows} rows and all keys are in {}, sealed, read back and whole.\nIt opens with {}. Without that it is lost: \
             this server cannot open it.",
            file.display(),
            opens.join(", or with ")
        ),
        json!({"file": file, "rows": rows, "opens_with": opens}),
    ))
}

fn exists(error: std::io::Error, file: &Path) -> CliError {
    match error.kind() {
        std::io::ErrorKind::AlreadyExists => CliError::Refused {
            code: "file-exists",
            message: format!("{} exists already", file.display()),
            hint: "choose a new name for each backup",
        },
        _ => CliError::Io(error),
    }
}

async fn write(home: &Home, db: &Db, to: &mut Sealing<NewFile>) -> Result<u64, CliError> {
    // Where the database is, and its password, stays here: a restored server must not go to the database of this one.
    let settings = Settings { database: None, ..home.settings.clone() };
    let text = serde_json::to_vec_pretty(&settings).map_err(|error| CliError::Damaged(error.to_string()))?;
    let mut files = vec![(SETTINGS, Zeroizing::new(text))];
    for name in FILES.iter().filter(|name| **name != SETTINGS) {
        if *name != BACKUP_PUBLIC || home.path(name).exists() {
            files.push((*name, Zeroizing::new(home.read(name)?)));
        }
    }
    let mut source = db.reader().await?;
    let postgres = source.is_pg();
    let begin = if postgres { "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY" } else { "BEGIN" };
    source.execute(begin, args![]).await?;
    let rows = contents::write(to, Begin::now(now_ms(), settings.number, postgres), files, &mut source).await?;
    source.execute("COMMIT", args![]).await?;
    Ok(rows)
}

/// All of a backup whose file key is known.
pub fn check(from: std::fs::File, key: &FileKey) -> Result<Checked, BackupError> {
    contents::check(OpenBackup::with_key(from, key)?)
}

/// Opens a backup file with what the operator has, and checks all of it.
pub fn open_checked(file: &Path, secrets: &[keys::Secret]) -> Result<(std::fs::File, FileKey, Checked), CliError> {
    use std::io::{Seek as _, SeekFrom};
    let named = |error: std::io::Error| CliError::Usage(format!("{}: {error}", file.display()));
    let found = std::fs::metadata(file).map_err(named)?;
    if !found.is_file() {
        return Err(CliError::Usage(format!("{} is not an ordinary file", file.display())));
    }
    let mut from = std::fs::File::open(file).map_err(named)?;
    let (_, key) = OpenBackup::with_secrets(&mut from, secrets)?;
    from.seek(SeekFrom::Start(0))?;
    let checked = contents::check(OpenBackup::with_key(&mut from, &key)?)?;
    from.seek(SeekFrom::Start(0))?;
    Ok((from, key, checked))
}

fn verify(file: &Path, key_file: Option<&Path>) -> Result<Said, CliError> {
    let (_, _, found) = open_checked(file, &secrets::secrets(key_file)?)?;
    let made = super::day(found.begin.made_ms);
    Ok(Said::new(
        format!(
            "{} is whole: {:04} {}, made {made}, {} rows and the server's keys. Every part is authentic and can be read.\n\
             Not checked: whether it is your newest backup.",
            file.display(),
            found.settings.number,
            found.settings.name,
            found.rows
        ),
        json!({
            "file": file, "number": found.settings.number, "name": found.settings.name,
            "made_ms": found.begin.made_ms, "rows": found.rows, "whole": true,
            "engine": if found.begin.postgres == 0 { "sqlite" } else { "postgres" },
        }),
    ))
}
