//! `stafettd doctor`: what an operator should know before people notice.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::json;
use stafett_protocol::credential::MunicipalityKey;

use super::backup::LAST_BACKUP;
use super::{CliError, Said, expiry, peer};
use crate::certs;
use crate::clock::{self, Clock, Wrong};
use crate::db::{Db, StoreError, schema};
use crate::federation::peers::Peers;
use crate::home::{BACKUP_PUBLIC, DATABASE, FILES, Home, now_ms};
use crate::municipality::Municipality;
use crate::restored;
use crate::signing;
use crate::store::accounts::from_db;

/// A backup older than this is a finding.
const BACKUP_DAYS: u64 = 7;
/// Less room than this is a finding: SQLite's log alone may grow by as much.
const FREE_BYTES: u64 = 256 << 20;
const DAY_MS: u64 = 86_400_000;

pub(super) struct Check {
    pub name: &'static str,
    pub result: Result<String, String>,
}

pub async fn run(dir: &Path) -> Result<Said, CliError> {
    let home = Home::open(dir)?;
    let mut checks = vec![keys(&home), backup_key(&home), tls(&home), expiry::authority(&home), disk(&home)];
    checks.push(expiry::running(&home).await);
    match Db::open(&home.database_file(), home.settings.database.as_deref()).await {
        Ok(db) => {
            checks.push(database(&db).await);
            checks.push(clock(&db).await);
            checks.push(histories(&db).await);
            checks.push(expiry::employees(&db).await);
            checks.push(last_backup(&home, &db).await);
            checks.push(peers(&home, &db).await);
            db.close().await;
        }
        Err(error) => checks.push(Check { name: "database", result: Err(error.to_string()) }),
    }
    let words: Vec<String> = checks
        .iter()
        .map(|check| match &check.result {
            Ok(detail) => format!("ok    {}: {detail}", check.name),
            Err(detail) => format!("WRONG {}: {detail}", check.name),
        })
        .collect();
    let list: Vec<_> = checks
        .iter()
        .map(|check| {
            let detail = match &check.result {
                Ok(detail) | Err(detail) => detail,
            };
            json!({"name": check.name, "ok": check.result.is_ok(), "detail": detail})
        })
        .collect();
    let mut said = Said::new(words.join("\n"), json!({"checks": list}));
    said.exit = if checks.iter().all(|check| check.result.is_ok()) { 0 } else { 4 };
    Ok(said)
}

fn keys(home: &Home) -> Check {
    // The home itself, and what lies in it whatever the settings say.
    let all = FILES.iter().copied().chain([".", DATABASE, "stafett.db-wal", "stafett.db-shm"]);
    let open = |name: &str| std::fs::metadata(home.path(name)).is_ok_and(|meta| meta.permissions().mode() & 0o077 != 0);
    let open_to_others: Vec<&str> = all.filter(|name| open(name)).collect();
    // `backup key` has a check of its own.
    let needed = FILES.iter().copied().filter(|name| *name != BACKUP_PUBLIC);
    let missing: Vec<&str> = needed.filter(|name| !home.path(name).is_file()).collect();
    Check {
        name: "keys",
        result: match home.municipality_key() {
            Err(error) => Err(error.to_string()),
            Ok(_) if !missing.is_empty() => Err(format!("missing: {}", missing.join(", "))),
            Ok(_) if !open_to_others.is_empty() => Err(format!("others can read {}", open_to_others.join(", "))),
            Ok(_) => Ok("all there, for their owner only".to_owned()),
        },
    }
}

/// Whether backups are sealed to a key at all. That its other half is still somewhere, only the operator knows.
fn backup_key(home: &Home) -> Check {
    Check {
        name: "backup key",
        result: if home.path(BACKUP_PUBLIC).exists() {
            Ok("backups are sealed to it; whether you still have it, only `stafettd backup verify FILE` shows"
                .to_owned())
        } else {
            Err("there is none, so that backups need a passphrase each time; `stafettd backup key` makes one"
                .to_owned())
        },
    }
}

/// Room on the disk of the home, and of the database where it is there.
fn disk(home: &Home) -> Check {
    let elsewhere = home.settings.database.is_some();
    let result = match stafett_host::free_bytes(&home.path(".")) {
        Err(error) => Err(error.to_string()),
        Ok(free) if free < FREE_BYTES => Err(format!(
            "the disk is full, or nearly so: {} MiB of free space; nothing is stored when there is none",
            free >> 20
        )),
        Ok(free) => Ok(format!("{} MiB of free space", free >> 20)),
    };
    let words = |text: String| match elsewhere {
        true => format!("{text}; the disk of PostgreSQL was not looked at"),
        false => text,
    };
    Check { name: "disk", result: result.map(words).map_err(words) }
}

fn tls(home: &Home) -> Check {
    let shown = super::serve::authority(home)
        .map_err(|error| error.to_string())
        .and_then(|authority| certs::new_leaf(&authority, super::serve::host(home)).map_err(|error| error.to_string()));
    Check {
        name: "tls",
        result: shown.and_then(|shown| {
            let municipality = Municipality::of(home).map_err(|error| error.to_string())?;
            let own = MunicipalityKey { number: municipality.number, key: municipality.public() };
            crate::tls::Leaf::new(shown)
                .and_then(|leaf| crate::tls::server_config(leaf, Peers::new(own)))
                .map(|_| "the authority signs; TLS 1.3 with X25519MLKEM768".to_owned())
                .map_err(|error| error.to_string())
        }),
    }
}

/// Peers that do not answer keep people of two municipalities apart.
async fn peers(home: &Home, db: &Db) -> Check {
    let result = async {
        let federation = peer::federation(home, db).await.map_err(|error| error.to_string())?;
        let stored = peer::stored(db).await.map_err(|error| error.to_string())?;
        let (mut wrong, mut well) = (Vec::new(), Vec::new());
        for (found, _) in &stored {
            match peer::ask(&federation, found).await {
                Ok(said) => well.push(format!("{:04} {said}", found.number)),
                Err(why) => wrong.push(format!("{:04}: {why}", found.number)),
            }
        }
        match (stored.len(), wrong.is_empty()) {
            (0, _) => Ok("none are added".to_owned()),
            (count, true) => Ok(format!("all {count} answer: {}", well.join("; "))),
            (_, false) => Err(wrong.join("; ")),
        }
    }
    .await;
    Check { name: "peers", result }
}

async fn database(db: &Db) -> Check {
    let result = async {
        let mut conn = db.reader().await?;
        if conn.is_pg() {
            let row = conn.row("SELECT version()", vec![]).await?;
            return row.map_or(Ok(String::new()), |row| row.text(0));
        }
        let row = conn.row("PRAGMA quick_check(1)", vec![]).await?;
        row.map_or(Ok(String::new()), |row| row.text(0))
    }
    .await;
    Check {
        name: "database",
        result: match result {
            Ok(text) if text == "ok" => Ok("SQLite, structure intact".to_owned()),
            Ok(text) if text.starts_with("PostgreSQL") => Ok(format!("answers; its files were not looked at ({text})")),
            Ok(text) => Err(text),
            Err(error) => Err(error.to_string()),
        },
    }
}

/// Receipts never go back in time, and consents end by them: whether the running server signs, whether it would after a
/// start now, and how far the clock is from what was signed last.
async fn clock(db: &Db) -> Check {
    let found = async {
        let mut conn = db.reader().await?;
        let row = conn.row("SELECT MAX(time_ms) FROM scopes", vec![]).await?;
        let receipt = row.map_or(Ok(None), |row| row.maybe_int(0))?.map(from_db);
        let running = schema::meta(&mut conn, clock::FINDING).await?.and_then(Wrong::of);
        Ok::<_, StoreError>((receipt, running, signing::marks(&mut conn).await?))
    }
    .await;
    let now = now_ms();
    let apart = |then: u64| format!("{} s {}", now.abs_diff(then) / 1000, if now < then { "before" } else { "after" });
    Check {
        name: "clock",
        result: match found {
            Err(error) => Err(error.to_string()),
            Ok((receipt, running, marks)) => match (running.or(Clock::default().read(&marks).wrong), receipt) {
                (Some(wrong), _) => Err(format!(
                    "{}: it is {} the newest time that was noted, and nothing is signed; set it right, or, if it is right, `stafettd clock accept`",
                    wrong.words(),
                    apart(marks.newest)
                )),
                (None, Some(newest)) if newest > now.saturating_add(1000) => {
                    Err(format!("the clock is {} s behind the newest receipt", (newest - now) / 1000))
                }
                (None, Some(newest)) => Ok(format!("{} the newest receipt", apart(newest))),
                (None, None) => Ok("nothing is signed yet".to_owned()),
            },
        },
    }
}

async fn last_backup(home: &Home, db: &Db) -> Check {
    let last = async {
        let mut conn = db.reader().await?;
        schema::meta(&mut conn, LAST_BACKUP).await
    }
    .await;
    let since = match &last {
        Ok(Some(at)) => u64::try_from(*at).unwrap_or(0),
        _ => home.settings.created_ms,
    };
    let days = now_ms().saturating_sub(since) / DAY_MS;
    Check {
        name: "last backup",
        result: match last {
            Err(error) => Err(error.to_string()),
            Ok(Some(at)) if from_db(at) > now_ms().saturating_add(DAY_MS) => {
                Err("the last backup is of a day to come: the clock is wrong, or was".to_owned())
            }
            Ok(None) if days >= BACKUP_DAYS => Err(format!(
                "there has never been a backup, and the server is {days} days old; run `stafettd backup FILE`"
            )),
            Ok(_) if days >= BACKUP_DAYS => Err(format!("no backup for {days} days; run `stafettd backup FILE`")),
            Ok(Some(_)) => Ok(format!("{days} days ago, read back and whole then; where it is now was not looked at")),
            Ok(None) => Ok("none yet; the server is new".to_owned()),
        },
    }
}

/// Devices have shown that this server has signed two histories of a scope: it was set back, and people wrote on.
async fn histories(db: &Db) -> Check {
    let seen = async { schema::meta(&mut db.reader().await?, restored::TWO_HISTORIES).await };
    let result = match seen.await {
        Ok(None) => Ok("no device has shown another history than this server's".to_owned()),
        Ok(Some(at)) => Err(format!(
            "devices have shown another history of a scope than this server's, last {} days ago. The server was set back, and people \
             wrote before everybody had been there. Those logs have stopped; a guardian or the holder goes on with \
             `stafett log continue`. Tell the units",
            now_ms().saturating_sub(from_db(at)) / DAY_MS
        )),
        Err(error) => Err(error.to_string()),
    };
    Check { name: "histories", result }
}
