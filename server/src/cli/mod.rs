//! The commands of `stafettd`; names, arguments and JSON keys are those of the design's `cli.md`.

mod backup;
mod clock;
mod doctor;
mod init;
mod peer;
mod serve;
mod unit;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

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
    /// Writes everything into one file.
    Backup { file: PathBuf },
    /// Makes a home out of a backup. The restored server signs nothing until `open`; devices bring back what it lacks.
    Restore {
        file: PathBuf,
        /// Another PostgreSQL database than the one that was backed up; it must be empty.
        #[arg(long, value_name = "URL")]
        database: Option<String>,
    },
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
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("{message}")]
    Refused { code: &'static str, message: String, hint: &'static str },
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    Damaged(String),
}

impl CliError {
    /// Exit code, stable code, what to do.
    fn kind(&self) -> (u8, &'static str, &'static str) {
        match self {
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
        .ok_or_else(|| CliError::Usage("--home DIR is missing".to_owned()))?;
    match arguments.command {
        Command::Init(init) => init.run(&dir).await.map(Some),
        Command::Serve => serve::run(&dir).await.map(|()| None),
        Command::Unit { command } => command.run(&dir).await.map(Some),
        Command::Peer { command } => command.run(&dir).await.map(Some),
        Command::Clock { command } => command.run(&dir).await.map(Some),
        Command::Doctor => doctor::run(&dir).await.map(Some),
        Command::Backup { file } => backup::backup(&dir, &file).await.map(Some),
        Command::Restore { file, database } => backup::restore(&dir, &file, database).await.map(Some),
        Command::Open => backup::open(&dir).await.map(Some),
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

/// A reader that has gone away is no reason to fail.
fn print_line(text: &str) {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}");
    let _ = out.flush();
}
