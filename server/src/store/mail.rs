//! Mailboxes: what waits for a device until the device says that it has saved it.

use std::sync::atomic::{AtomicU64, Ordering};

use stafett_protocol::codec::{decode, encode};
use stafett_protocol::ids::DeviceId;
use stafett_protocol::limits::{MAILBOX_ITEMS, MAILBOX_LETTER_BYTES};
use stafett_protocol::wire::{Mail, MailItem};

use super::accounts::{from_db, to_db};
use crate::args;
use crate::db::{Conn, StoreError};
use crate::fanout::{News, notify};
use crate::home::now_ms;

/// Ids grow with time, so that mail is read in the order in which it came; the low bits tell server
/// processes on one database apart.
static LAST_ID: AtomicU64 = AtomicU64::new(0);

fn next_id() -> u64 {
    let process = u64::from(std::process::id()) & 0x3ff;
    // However wrong the clock is, the number has room.
    let now = now_ms().min(1 << 42) << 20;
    let last =
        LAST_ID.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some((last + 1024).max(now))).unwrap_or(now);
    ((last + 1024).max(now) & !0x3ff) | process
}

/// What became of a piece of mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Posted {
    Waiting,
    /// The device has no account here and no place in any scope.
    NoSuchDevice,
    /// A letter too many.
    Full,
}

/// Puts mail into a device's mailbox.
pub async fn post(conn: &mut Conn, to: DeviceId, mail: &Mail) -> Result<Posted, StoreError> {
    // No lock: posters that take several devices in different orders must not wait for each other.
    let account = conn.row("SELECT person FROM devices WHERE device = $1", args![&to.0]).await?;
    if account.is_none() && !is_guest(conn, to).await? {
        return Ok(Posted::NoSuchDevice);
    }
    // Only what other people write is counted: nobody keeps a device out by filling its mailbox.
    if matches!(mail, Mail::Letter(_)) && is_full(conn, to).await? {
        return Ok(Posted::Full);
    }
    conn.execute(
        "INSERT INTO mailbox (device, id, mail) VALUES ($1, $2, $3)",
        args![&to.0, to_db(next_id()), encode(mail)],
    )
    .await?;
    notify(conn, News::Mail(to)).await?;
    Ok(Posted::Waiting)
}

/// Whether the device of another municipality's person has, or had, a place in a scope of this home.
async fn is_guest(conn: &mut Conn, device: DeviceId) -> Result<bool, StoreError> {
    let row = conn.row("SELECT scope FROM readers WHERE device = $1 LIMIT 1", args![&device.0]).await?;
    Ok(row.is_some())
}

async fn is_full(conn: &mut Conn, device: DeviceId) -> Result<bool, StoreError> {
    let sql = "SELECT COUNT(*), CAST(COALESCE(SUM(LENGTH(mail)), 0) AS BIGINT) FROM mailbox WHERE device = $1";
    let Some(row) = conn.row(sql, args![&device.0]).await? else { return Ok(false) };
    Ok(from_db(row.int(0)?) >= MAILBOX_ITEMS as u64 || from_db(row.int(1)?) >= MAILBOX_LETTER_BYTES)
}

/// Ids of everything that waits, oldest first.
pub async fn waiting(conn: &mut Conn, device: DeviceId) -> Result<Vec<u64>, StoreError> {
    let rows = conn.rows("SELECT id FROM mailbox WHERE device = $1 ORDER BY id LIMIT 20000", args![&device.0]).await?;
    rows.iter().map(|row| Ok(from_db(row.int(0)?))).collect()
}

pub async fn item(conn: &mut Conn, device: DeviceId, id: u64) -> Result<Option<MailItem>, StoreError> {
    let row = conn.row("SELECT mail FROM mailbox WHERE device = $1 AND id = $2", args![&device.0, to_db(id)]).await?;
    let Some(row) = row else { return Ok(None) };
    let mail = decode(&row.bytes(0)?).map_err(|_| StoreError::Damaged("mail"))?;
    Ok(Some(MailItem { id, mail }))
}

pub async fn acknowledge(conn: &mut Conn, device: DeviceId, ids: &[u64]) -> Result<(), StoreError> {
    for id in ids {
        conn.execute("DELETE FROM mailbox WHERE device = $1 AND id = $2", args![&device.0, to_db(*id)]).await?;
    }
    Ok(())
}
