//! A database that lacks what this server has signed: an old backup, put back. Until its operator opens it the server
//! signs nothing, or it would tell two histories; what is missing comes back from the devices ([`crate::intake`]).
//!
//! Found out in three ways: `restore` marks what it makes; a start finds the database older than the home beside it; a
//! device shows a receipt of ours beyond what we have.

use std::path::Path;

use crate::args;
use crate::cli::CliError;
use crate::db::schema::{meta, set_meta};
use crate::db::{Conn, Db, StoreError};
use crate::home::{now_ms, write_private};
use crate::store::accounts::to_db;

/// Name of the mark in the database.
pub const RESTORED: &str = "restored";
/// When the operator last said that the server goes on from what it has, milliseconds since 1970 UTC.
const OPENED: &str = "opened";
/// When a device last showed that this server has signed two histories of a scope.
pub const TWO_HISTORIES: &str = "two_histories";
/// How often the server was started, in the database and in the home.
pub const STARTS: &str = "starts";

/// Whether the server may sign nothing. Asked in the database each time: several processes share one, and `open` takes
/// effect at once.
pub async fn is_restored(conn: &mut Conn) -> Result<bool, StoreError> {
    Ok(meta(conn, RESTORED).await?.unwrap_or(0) != 0)
}

/// Signs no more from here on; answers whether that is new. One-time key packages go: some may have been handed out after the backup.
pub async fn stop_signing(conn: &mut Conn) -> Result<bool, StoreError> {
    if is_restored(conn).await? {
        return Ok(false);
    }
    set_meta(conn, RESTORED, to_db(now_ms())).await?;
    conn.execute("DELETE FROM key_packages WHERE last_resort = 0", args![]).await?;
    Ok(true)
}

/// The operator has waited for the devices, and goes on from what is here.
pub async fn open(conn: &mut Conn) -> Result<(), StoreError> {
    set_meta(conn, OPENED, to_db(now_ms())).await?;
    set_meta(conn, RESTORED, 0).await
}

/// A device has shown a receipt of ours that goes beyond what is here, or names another history. What was signed before the
/// operator opened the server is a matter of its scope alone: the rest is served, or one device back from a holiday
/// would close the municipality again and again. Answers whether the server has stopped signing now.
pub async fn shown_more(conn: &mut Conn, signed_at: u64, other_history: bool) -> Result<bool, StoreError> {
    if other_history {
        note_two_histories(conn).await?;
    }
    match meta(conn, OPENED).await? {
        Some(opened) if to_db(signed_at) <= opened => Ok(false),
        _ => stop_signing(conn).await,
    }
}

/// This server has signed two histories of a scope: `doctor` says so.
pub async fn note_two_histories(conn: &mut Conn) -> Result<(), StoreError> {
    set_meta(conn, TWO_HISTORIES, to_db(now_ms())).await
}

/// Counts this start in the database and in the home. A database that has seen fewer starts than the home beside it was
/// put back from an older copy.
pub async fn count_start(db: &Db, home: &Path) -> Result<(), CliError> {
    let file = home.join(STARTS);
    let at_home = std::fs::read_to_string(&file).ok().and_then(|text| text.trim().parse::<i64>().ok()).unwrap_or(0);
    let starts = db
        .write::<i64, StoreError, _>(move |conn: &mut Conn| {
            Box::pin(async move {
                let here = meta(conn, STARTS).await?.unwrap_or(0);
                if here < at_home && stop_signing(conn).await? {
                    tracing::error!("the database is older than the home beside it");
                }
                if is_restored(conn).await? {
                    tracing::warn!("nothing is signed until `stafettd open`; devices bring back what is missing");
                }
                let starts = here.max(at_home).saturating_add(1);
                set_meta(conn, STARTS, starts).await?;
                Ok(starts)
            })
        })
        .await?;
    // A crash before this leaves the database ahead, which is no finding.
    write_private(&file, starts.to_string().as_bytes())?;
    Ok(())
}
