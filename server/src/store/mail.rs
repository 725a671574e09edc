//! Mailboxes: what waits for a device until the device says that it has saved it. Letters have bounds, by the box and by
//! the sender; what the server itself has to say has none: nobody keeps a device out by filling its mailbox.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use stafett_protocol::codec::{decode, encode};
use stafett_protocol::ids::{DeviceId, PersonId};
use stafett_protocol::letter::Letter;
use stafett_protocol::limits::{
    MAILBOX_ITEMS, MAILBOX_LETTER_BYTES, MAILBOX_RESERVED_BYTES, MAILBOX_RESERVED_ITEMS, MAILBOX_SENDER_BYTES,
    MAILBOX_SENDER_ITEMS, MAILBOX_STRANGERS_BYTES, MAILBOX_STRANGERS_ITEMS,
};
use stafett_protocol::wire::{Mail, MailItem};

use super::accounts::{from_db, to_db};
use crate::args;
use crate::db::{Conn, StoreError};
use crate::fanout::{Notice, notify};
use crate::home::{now_ms, random};

/// Ids grow with time, so that mail is read in the order in which it came.
static LAST_ID: AtomicU64 = AtomicU64::new(0);
/// The low bits, drawn anew by each server process: most ids of two processes on one database differ by them.
const PROCESS_BITS: u64 = 0x3ff;
/// Ids that others have taken in the same moment, at most.
const TRIES: usize = 64;

fn next_id() -> u64 {
    // A process number would not do: in containers every server is process 1.
    static PROCESS: OnceLock<u64> = OnceLock::new();
    let process = *PROCESS.get_or_init(|| u64::from_be_bytes(random().unwrap_or_default()) & PROCESS_BITS);
    // However wrong the clock is, the number has room.
    let now = now_ms().min(1 << 42) << 20;
    let last =
        LAST_ID.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some((last + 1024).max(now))).unwrap_or(now);
    ((last + 1024).max(now) & !PROCESS_BITS) | process
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

/// Puts what the server has to say into a device's mailbox.
pub async fn post(conn: &mut Conn, to: DeviceId, mail: &Mail) -> Result<Posted, StoreError> {
    if owner(conn, to).await?.is_none() {
        return Ok(Posted::NoSuchDevice);
    }
    put(conn, to, mail, None).await?;
    Ok(Posted::Waiting)
}

/// Puts somebody's letter into a device's mailbox, if there is room for it.
pub async fn post_letter(
    conn: &mut Conn,
    from: PersonId,
    letter: Letter,
    now: u64,
) -> Result<(Posted, Option<PersonId>), StoreError> {
    let to = letter.to;
    let Some(owner) = owner(conn, to).await? else { return Ok((Posted::NoSuchDevice, None)) };
    let mail = Mail::Letter(letter);
    let bytes = encode(&mail).len() as u64;
    if !has_room(conn, from, (to, owner), bytes, now).await? {
        return Ok((Posted::Full, Some(owner)));
    }
    put(conn, to, &mail, Some(from)).await?;
    Ok((Posted::Waiting, Some(owner)))
}

/// Whose device it is. It stands, with its mailbox, until the transaction is over; posters of several devices in different
/// orders do not wait for each other. The device of another municipality's person has, or had, a place in a scope here.
async fn owner(conn: &mut Conn, device: DeviceId) -> Result<Option<PersonId>, StoreError> {
    let sql = if conn.is_pg() {
        "SELECT person FROM devices WHERE device = $1 FOR KEY SHARE"
    } else {
        "SELECT person FROM devices WHERE device = $1"
    };
    let mut row = conn.row(sql, args![&device.0]).await?;
    if row.is_none() {
        let sql = "SELECT person FROM readers WHERE device = $1 AND person IS NOT NULL LIMIT 1";
        row = conn.row(sql, args![&device.0]).await?;
    }
    row.map(|row| Ok(PersonId(row.array(0)?))).transpose()
}

async fn put(conn: &mut Conn, to: DeviceId, mail: &Mail, from: Option<PersonId>) -> Result<(), StoreError> {
    let (bytes, from) = (encode(mail), from.map(|person| person.0.to_vec()));
    for _ in 0..TRIES {
        let put = conn
            .execute(
                "INSERT INTO mailbox (device, id, sender, mail) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
                args![&to.0, to_db(next_id()), from.clone(), bytes.clone()],
            )
            .await?;
        if put == 1 {
            return notify(conn, Notice::Mail(to)).await;
        }
    }
    Err(StoreError::Lost)
}

/// So many letters, and so many bytes of them.
#[derive(Clone, Copy)]
struct Room {
    items: u64,
    bytes: u64,
}

impl Room {
    fn holds(self, waiting: Self, bytes: u64) -> bool {
        waiting.items < self.items && waiting.bytes.saturating_add(bytes) <= self.bytes
    }
}

const OF_STRANGERS: Room = Room { items: MAILBOX_STRANGERS_ITEMS, bytes: MAILBOX_STRANGERS_BYTES };
const OF_ALL: Room = Room { items: MAILBOX_ITEMS as u64, bytes: MAILBOX_LETTER_BYTES };
const OF_ONE: Room = Room { items: MAILBOX_SENDER_ITEMS, bytes: MAILBOX_SENDER_BYTES };
const RESERVED: Room = Room { items: MAILBOX_RESERVED_ITEMS, bytes: MAILBOX_RESERVED_BYTES };

/// Strangers share a part of the box, those who share a scope with its owner the whole. Where that is full, a little is
/// left for each person who has not used it: strangers up to the whole, the others beyond it, for what they say may be a
/// withdrawal.
async fn has_room(
    conn: &mut Conn,
    from: PersonId,
    (to, owner): (DeviceId, PersonId),
    bytes: u64,
    now: u64,
) -> Result<bool, StoreError> {
    let row = conn
        .row(
            "SELECT COUNT(*), CAST(COALESCE(SUM(LENGTH(mail)), 0) AS BIGINT), CAST(COALESCE(SUM(CASE WHEN sender = $2 THEN 1 ELSE 0 END), 0) AS BIGINT), CAST(COALESCE(SUM(CASE WHEN sender = $2 THEN LENGTH(mail) ELSE 0 END), 0) AS BIGINT) FROM mailbox WHERE device = $1 AND sender IS NOT NULL",
            args![&to.0, &from.0],
        )
        .await?;
    let Some(row) = row else { return Ok(true) };
    let all = Room { items: from_db(row.int(0)?), bytes: from_db(row.int(1)?) };
    let own = Room { items: from_db(row.int(2)?), bytes: from_db(row.int(3)?) };
    let (one, little) = (OF_ONE.holds(own, bytes), RESERVED.holds(own, bytes));
    if one && OF_STRANGERS.holds(all, bytes) {
        return Ok(true);
    }
    if from == owner || share_a_scope(conn, from, to, now).await? {
        return Ok(little || (one && OF_ALL.holds(all, bytes)));
    }
    Ok(little && OF_ALL.holds(all, bytes))
}

/// Whether the person reads a scope of this home now in which the device has, or had, a place.
async fn share_a_scope(conn: &mut Conn, person: PersonId, device: DeviceId, now: u64) -> Result<bool, StoreError> {
    let row = conn
        .row(
            "SELECT w.scope FROM readers r JOIN readers w ON w.scope = r.scope WHERE r.device = $1 AND w.person = $2 AND w.until_ms > $3 LIMIT 1",
            args![&device.0, &person.0, to_db(now)],
        )
        .await?;
    Ok(row.is_some())
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
