//! The commands of `stafettd`; names, arguments and JSON keys are a contract with scripts.

mod backup;
mod clock;
mod doctor;
mod expiry;
mod init;
mod peer;
mod restore;
mod secrets;
mod serve;
mod unit;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::backup::BackupError;
use crate::backup::contents::WriteError;
use crate::certs::CertificateError;
use crate::db::{Db, StoreError};
use crate::federation::FederationError;
use crate::home::{Home, HomeError};
use crate::problem::Fault;

/// One municipality's server for Stafett.
#[derive(Debug, Parser)]
#[command(name = "stafettd", version, about)]
struct Arguments {
    /// One JSON value on stdout, also for errors.
    #[arg(long, global = true)]
    json: bool,
    /// The server's directory.
    #[arg(long, global = true, value_name = "DIR")]
    home: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Makes keys, certificates and the database, and prints the first administrator's code.
    Init(init::Init),
    /// Runs the server until SIGTERM.
    Serve,
    /// Units (virksomheter).
    Unit {
        #[command(subcommand)]
        command: unit::UnitCommand,
    },
    /// Other municipalities' servers (peers).
    Peer {
        #[command(subcommand)]
        command: peer::PeerCommand,
    },
    /// The clock.
    Clock {
        #[command(subcommand)]
        command: clock::ClockCommand,
    },
    /// Checks clock, TLS, database and backups.
    Doctor,
    /// Writes everything into one new, sealed file; also: `backup verify FILE`, `backup key`.
    Backup(backup::Backup),
    /// Makes a home out of a backup, in an empty directory and an empty database. The restored server signs nothing until
    /// `open`; devices bring back what it lacks.
    Restore(restore::Restore),
    /// Lets a restored server sign again, also while it runs. Only once the devices have brought back what it lacked:
    /// it would else tell two histories, and devices that know the other one stop.
    Open,
}

/// Why a command did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    #[error(transparent)]
    Home(#[from] HomeError),
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Fault(#[from] Fault),
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    #[error(transparent)]
    Federation(#[from] FederationError),
    #[error(transparent)]
    Backup(#[from] BackupError),
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("{message}")]
    Refused { code: &'static str, message: String, hint: &'static str },
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    Damaged(String),
}

impl From<WriteError> for CliError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Store(error) => error.into(),
            WriteError::Io(error) => error.into(),
        }
    }
}

impl CliError {
    /// A full disk is told from damage: what is there is whole, and there is one thing to do.
    fn is_full(&self) -> bool {
        let full = |error: &std::io::Error| error.kind() == std::io::ErrorKind::StorageFull;
        match self {
            Self::Store(error) | Self::Fault(Fault::Store(error)) => error.is_full(),
            Self::Io(error)
            | Self::Backup(BackupError::Io(error))
            | Self::Home(HomeError::Io { source: error, .. }) => full(error),
            _ => false,
        }
    }

    /// Exit code, stable code, what to do.
    fn kind(&self) -> (u8, &'static str, &'static str) {
        if self.is_full() {
            return (4, "disk-full", "make room on the disk and do it again; nothing was damaged");
        }
        match self {
            Self::Backup(error) => backup_kind(error),
            Self::Store(StoreError::Taken) => {
                (1, "database-taken", "name an empty database (`--database URL`); a server is never put into another's")
            }
            Self::Store(StoreError::Unchecked) => (1, "database-unchecked", "see docs/operations.md, PostgreSQL"),
            Self::Home(HomeError::NotEmpty(_)) => (1, "home-not-empty", "choose an empty directory"),
            Self::Home(HomeError::Missing(_)) => (2, "no-home", "run `stafettd init --home DIR …` first"),
            Self::Home(HomeError::Taken(_)) => (1, "home-taken", "choose an empty directory"),
            Self::Home(HomeError::Damaged(_)) | Self::Certificate(_) | Self::Damaged(_) => {
                (4, "damaged", "restore a backup with `stafettd restore FILE`")
            }
            Self::Home(HomeError::Io { .. }) | Self::Io(_) => {
                (4, "io", "look at the path, its owner and the free space")
            }
            Self::Store(_) => (4, "database", "run `stafettd doctor`"),
            Self::Fault(_) => (1, "refused", ""),
            Self::Tls(_) | Self::Federation(_) => (4, "tls", "run `stafettd doctor`"),
            Self::Refused { code, hint, .. } => (1, code, hint),
            Self::Usage(_) => (2, "usage", "see `stafettd --help`"),
        }
    }
}

fn backup_kind(error: &BackupError) -> (u8, &'static str, &'static str) {
    match error {
        BackupError::NotABackup => (4, "not-a-backup", "`stafettd backup FILE` writes one"),
        BackupError::Closed => (
            4,
            "backup-closed",
            "give the key that was shown when it was made, or the passphrase of then; else take another copy",
        ),
        BackupError::Damaged(_) => (4, "backup-damaged", "take another copy of it, or an older backup"),
        BackupError::Version => (4, "backup-version", "restore it with the version that wrote it"),
        BackupError::Io(_) | BackupError::Sealing => (4, "io", "look at the path, its owner and the free space"),
    }
}

/// What a command says when it is done: words for people, one JSON value for programs.
pub struct Said {
    words: String,
    json: serde_json::Value,
    exit: u8,
}

impl Said {
    fn new(words: String, json: serde_json::Value) -> Self {
        Self { words, json, exit: 0 }
    }
}

/// The whole program: arguments from the command line.
#[must_use]
pub fn main() -> ExitCode {
    run(std::env::args_os())
}

/// The whole program with given arguments, the first being the program's name.
#[must_use]
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    if let Err(error) = stafett_host::keep_to_ourselves() {
        return fail(&error.into(), false);
    }
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let wants_json = arguments.iter().any(|a| a == "--json");
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) if error.use_stderr() && wants_json => {
            return fail(&CliError::Usage(error.to_string().trim().to_owned()), true);
        }
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    let json = arguments.json;
    crate::trace::start();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into(), json),
    };
    match runtime.block_on(perform(arguments)) {
        Ok(Some(said)) => {
            let text = if json { said.json.to_string() } else { said.words };
            print_line(&text);
            ExitCode::from(said.exit)
        }
        Ok(None) => ExitCode::SUCCESS,
        Err(error) => fail(&error, json),
    }
}

async fn perform(arguments: Arguments) -> Result<Option<Said>, CliError> {
    let dir = arguments
        .home
        .or_else(|| std::env::var_os("STAFETTD_HOME").map(PathBuf::from))
        .ok_or_else(|| CliError::Usage("--home DIR is missing".to_owned()));
    // The one command that may need no home.
    if let Command::Backup(backup) = arguments.command {
        return backup.run(|| dir).await.map(Some);
    }
    let dir = dir?;
    match arguments.command {
        Command::Init(init) => init.run(&dir).await.map(Some),
        Command::Serve => serve::run(&dir).await.map(|()| None),
        Command::Unit { command } => command.run(&dir).await.map(Some),
        Command::Peer { command } => command.run(&dir).await.map(Some),
        Command::Clock { command } => command.run(&dir).await.map(Some),
        Command::Doctor => doctor::run(&dir).await.map(Some),
        Command::Backup(backup) => backup.run(|| Ok(dir)).await.map(Some),
        Command::Restore(restore) => restore.run(&dir).await.map(Some),
        Command::Open => restore::open(&dir).await.map(Some),
    }
}

/// Opens home and database together.
async fn open(dir: &std::path::Path) -> Result<(Home, Db), CliError> {
    let home = Home::open(dir)?;
    let db = Db::open(&home.database_file(), home.settings.database.as_deref()).await?;
    Ok((home, db))
}

fn fail(error: &CliError, json: bool) -> ExitCode {
    let (exit, code, hint) = error.kind();
    let code = match error {
        CliError::Fault(fault) => fault.to_problem().code,
        _ => code.to_owned(),
    };
    if json {
        print_line(
            &serde_json::json!({"error": {"code": code, "message": error.to_string(), "hint": hint}}).to_string(),
        );
    } else {
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), "{error}\n{hint}");
    }
    ExitCode::from(exit)
}

/// In groups of four, for reading aloud.
fn grouped(hex: &str) -> String {
    let groups: Vec<&str> = hex.as_bytes().chunks(4).filter_map(|four| std::str::from_utf8(four).ok()).collect();
    groups.join(" ")
}

/// A day as people write it down, in UTC.
fn day(ms: u64) -> String {
    let seconds = i64::try_from(ms / 1000).unwrap_or(i64::MAX);
    time::OffsetDateTime::from_unix_timestamp(seconds).map_or_else(|_| "?".to_owned(), |at| at.date().to_string())
}

/// A reader that has gone away is no reason to fail.
fn print_line(text: &str) {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}");
    let _ = out.flush();
}
