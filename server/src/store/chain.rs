//! The event chains, where each stands, and the snapshots that are derived from them.

use stafett_protocol::codec::{decode, encode};
use stafett_protocol::event::{Position, Receipt, Record};
use stafett_protocol::ids::{DeviceId, Hash, LogId, ScopeId};
use stafett_protocol::replica::Replica;
use stafett_protocol::signed::Signed;
use stafett_protocol::state::{ScopeState, Status};

use super::accounts::{from_db, to_db};
use crate::args;
use crate::db::{Arg, Conn, Row, StoreError};

/// Records in one page, about.
const PAGE_BYTES: i64 = 1024 * 1024;
const PAGE_ROWS: i64 = 2000;
/// A record's framing.
const RECORD_BYTES: i64 = 32;

/// Whose scope it is: what `protocol::transfer` says, kept where every transaction reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HomeStanding {
    /// Records of another home's scope; nobody is served.
    Fetched,
    Home,
    /// Its readers are served what was received here, and where it went.
    Moved,
}

impl HomeStanding {
    pub(super) fn of(number: i64) -> Self {
        match number {
            1 => Self::Home,
            2 => Self::Moved,
            _ => Self::Fetched,
        }
    }

    pub(super) fn number(self) -> i64 {
        match self {
            Self::Fetched => 0,
            Self::Home => 1,
            Self::Moved => 2,
        }
    }
}

/// Where a scope stands, with its row locked for this transaction.
pub struct Locked {
    pub position: Position,
    pub time: u64,
    pub standing: HomeStanding,
    /// No changes before this moment.
    pub held_until: u64,
}

/// A record that has been accepted, as its author asks for it again.
pub struct Stored {
    pub record_seq: u64,
    pub time: u64,
    pub event: Vec<u8>,
}

pub(super) fn damaged<E>(what: &'static str) -> impl FnOnce(E) -> StoreError {
    move |_| StoreError::Damaged(what)
}

/// Locks a scope; `None` when there is none.
pub async fn lock(conn: &mut Conn, scope: ScopeId) -> Result<Option<Locked>, StoreError> {
    let row = conn
        .row(
            "UPDATE scopes SET seq = seq WHERE scope = $1 RETURNING seq, head, time_ms, standing, held_ms",
            args![&scope.0],
        )
        .await?;
    row.map(|row| {
        Ok(Locked {
            position: Position { seq: from_db(row.int(0)?), head: Hash(row.array(1)?) },
            time: from_db(row.int(2)?),
            standing: HomeStanding::of(row.int(3)?),
            held_until: from_db(row.int(4)?),
        })
    })
    .transpose()
}

/// Two foundings of a card at one moment have no scope in common: on PostgreSQL the log's own id is what they lock.
pub async fn lock_log(conn: &mut Conn, log: LogId) -> Result<(), StoreError> {
    if conn.is_pg() {
        let [a, b, c, d, e, f, g, h, ..] = log.0;
        let key = i64::from_be_bytes([a, b, c, d, e, f, g, h]);
        conn.execute("SELECT pg_advisory_xact_lock($1)", args![key]).await?;
    }
    Ok(())
}

/// All scopes of a log that this server knows, whoever their home is.
pub async fn log_of(conn: &mut Conn, log: LogId) -> Result<Vec<ScopeId>, StoreError> {
    let rows = conn.rows("SELECT scope FROM scopes WHERE log = $1 ORDER BY scope LIMIT 1000", args![&log.0]).await?;
    rows.iter().map(|row| Ok(ScopeId(row.array(0)?))).collect()
}

/// The scopes of the log that this scope is in.
pub async fn siblings(conn: &mut Conn, scope: ScopeId) -> Result<Vec<ScopeId>, StoreError> {
    let row = conn.row("SELECT log FROM scopes WHERE scope = $1", args![&scope.0]).await?;
    match row {
        Some(row) => log_of(conn, LogId(row.array(0)?)).await,
        None => Ok(vec![]),
    }
}

pub async fn set_standing(conn: &mut Conn, scope: ScopeId, standing: HomeStanding) -> Result<(), StoreError> {
    conn.execute("UPDATE scopes SET standing = $2 WHERE scope = $1", args![&scope.0, standing.number()]).await?;
    Ok(())
}

/// Takes no changes in the scopes of a log for a while.
pub async fn hold(conn: &mut Conn, log: LogId, until: u64) -> Result<(), StoreError> {
    conn.execute("UPDATE scopes SET held_ms = $2 WHERE log = $1", args![&log.0, to_db(until)]).await?;
    Ok(())
}

/// Where a scope stands, without a lock.
pub async fn position(conn: &mut Conn, scope: ScopeId) -> Result<Option<Position>, StoreError> {
    let row = conn.row("SELECT seq, head FROM scopes WHERE scope = $1", args![&scope.0]).await?;
    row.map(|row| Ok(Position { seq: from_db(row.int(0)?), head: Hash(row.array(1)?) })).transpose()
}

/// The card that a scope names; fixed by its genesis.
pub async fn card_of(conn: &mut Conn, scope: ScopeId) -> Result<Option<ScopeId>, StoreError> {
    let row = conn.row("SELECT card FROM scopes WHERE scope = $1", args![&scope.0]).await?;
    let card = row.map_or(Ok(None), |row| row.maybe_bytes(0))?;
    card.map(|id| id.try_into().map(ScopeId).map_err(damaged("scope"))).transpose()
}

/// The newest receipt time in the scopes that hang on a card.
pub async fn newest_beside(conn: &mut Conn, card: ScopeId) -> Result<u64, StoreError> {
    let row = conn.row("SELECT COALESCE(MAX(time_ms), 0) FROM scopes WHERE card = $1", args![&card.0]).await?;
    row.map_or(Ok(0), |row| row.int(0)).map(from_db)
}

/// How many scopes a log has.
pub async fn scopes_of_log(conn: &mut Conn, log: LogId) -> Result<usize, StoreError> {
    let row = conn.row("SELECT COUNT(*) FROM scopes WHERE log = $1", args![&log.0]).await?;
    Ok(usize::try_from(row.map_or(Ok(0), |row| row.int(0))?).unwrap_or(usize::MAX))
}

/// Builds the replica from snapshot and what came after it; the scope must be locked.
pub async fn load(conn: &mut Conn, scope: ScopeId, locked: &Locked) -> Result<Replica, StoreError> {
    let row = conn
        .row("SELECT body, seq FROM snapshots WHERE scope = $1", args![&scope.0])
        .await?
        .ok_or(StoreError::Damaged("scope"))?;
    let mut replica = Replica::restore(&row.bytes(0)?).map_err(damaged("snapshot"))?;
    let counters = conn
        .rows(
            "SELECT device, MAX(counter) FROM records WHERE scope = $1 AND seq > $2 GROUP BY device",
            args![&scope.0, row.int(1)?],
        )
        .await?;
    let counters = counters
        .iter()
        .map(|row| Ok((DeviceId(row.array(0)?), from_db(row.int(1)?))))
        .collect::<Result<Vec<_>, StoreError>>()?;
    replica.fast_forward(locked.position, locked.time, counters);
    Ok(replica)
}

/// A new scope's row; its position is set by [`save`].
pub async fn create(
    conn: &mut Conn,
    state: &ScopeState,
    standing: HomeStanding,
    held_until: u64,
) -> Result<bool, StoreError> {
    let created = conn
        .execute(
            "INSERT INTO scopes (scope, log, card, seq, head, time_ms, standing, closed, held_ms) VALUES ($1, $2, $3, 0, $4, 0, $5, 0, $6) ON CONFLICT DO NOTHING",
            args![
                &state.scope().0,
                &state.log().0,
                state.card.map(|card| card.0.to_vec()),
                &Hash::default().0,
                standing.number(),
                to_db(held_until)
            ],
        )
        .await?;
    Ok(created == 1)
}

/// A record on its way into the table.
pub struct Entry<'a> {
    pub scope: ScopeId,
    pub record: &'a Record,
    pub device: DeviceId,
    pub counter: u64,
    /// If this record carries one, it covers all before.
    pub receipt: Option<&'a Signed<Receipt>>,
}

/// Entries in one statement: a bundle of many changes is mostly the cost of asking the database.
const ENTRIES: usize = 25;

/// Appends records in order.
pub async fn append(conn: &mut Conn, entries: &[Entry<'_>]) -> Result<(), StoreError> {
    let mut chunks = entries.chunks_exact(ENTRIES);
    for chunk in chunks.by_ref() {
        conn.raw(insert_of(ENTRIES), chunk.iter().flat_map(values).collect()).await?;
    }
    for entry in chunks.remainder() {
        conn.raw(insert_of(1), values(entry)).await?;
    }
    Ok(())
}

fn insert_of(rows: usize) -> String {
    const COLUMNS: usize = 7;
    let row = |n: usize| {
        let places: Vec<String> = (1..=COLUMNS).map(|c| format!("${}", n * COLUMNS + c)).collect();
        format!("({})", places.join(", "))
    };
    let rows: Vec<String> = (0..rows).map(row).collect();
    format!("INSERT INTO records (scope, seq, time_ms, device, counter, event, receipt) VALUES {}", rows.join(", "))
}

fn values(entry: &Entry<'_>) -> Vec<Arg> {
    args![
        &entry.scope.0,
        to_db(entry.record.seq),
        to_db(entry.record.time),
        &entry.device.0,
        to_db(entry.counter),
        encode(&entry.record.event),
        entry.receipt.map(encode)
    ]
}

/// Writes where the replica stands; the whole replica only when its facts have changed.
pub async fn save(conn: &mut Conn, replica: &Replica, with_snapshot: bool) -> Result<(), StoreError> {
    let state = replica.state();
    let (scope, seq) = (state.scope(), to_db(state.position.seq));
    conn.execute(
        "UPDATE scopes SET seq = $2, head = $3, time_ms = $4 WHERE scope = $1",
        args![&scope.0, seq, &state.position.head.0, to_db(state.time)],
    )
    .await?;
    if with_snapshot {
        save_snapshot(conn, state, replica.snapshot()).await?;
    }
    Ok(())
}

/// Keeps what was replayed of another home's scope.
pub async fn save_fetched(conn: &mut Conn, state: &ScopeState, snapshot: Vec<u8>) -> Result<(), StoreError> {
    let (scope, seq) = (state.scope(), to_db(state.position.seq));
    conn.execute(
        "UPDATE scopes SET seq = $2, head = $3, time_ms = $4 WHERE scope = $1",
        args![&scope.0, seq, &state.position.head.0, to_db(state.time)],
    )
    .await?;
    save_snapshot(conn, state, snapshot).await
}

async fn save_snapshot(conn: &mut Conn, state: &ScopeState, snapshot: Vec<u8>) -> Result<(), StoreError> {
    let scope = state.scope();
    let closed = i64::from(state.status == Status::Closed);
    conn.execute("UPDATE scopes SET closed = $2 WHERE scope = $1", args![&scope.0, closed]).await?;
    conn.execute(
        "INSERT INTO snapshots (scope, seq, body) VALUES ($1, $2, $3) ON CONFLICT (scope) DO UPDATE SET seq = excluded.seq, body = excluded.body",
        args![&scope.0, to_db(state.position.seq), snapshot],
    )
    .await?;
    Ok(())
}

/// The scopes that hang on this card.
pub async fn hanging_on(conn: &mut Conn, card: ScopeId) -> Result<Vec<ScopeId>, StoreError> {
    let rows = conn.rows("SELECT scope FROM scopes WHERE card = $1 AND scope <> $1", args![&card.0]).await?;
    rows.iter().map(|row| Ok(ScopeId(row.array(0)?))).collect()
}

/// What stands under a device's counter.
pub async fn stored(
    conn: &mut Conn,
    scope: ScopeId,
    device: DeviceId,
    counter: u64,
) -> Result<Option<Stored>, StoreError> {
    let row = conn
        .row(
            "SELECT seq, time_ms, event FROM records WHERE scope = $1 AND device = $2 AND counter = $3",
            args![&scope.0, &device.0, to_db(counter)],
        )
        .await?;
    row.map(|row| Ok(Stored { record_seq: from_db(row.int(0)?), time: from_db(row.int(1)?), event: row.bytes(2)? }))
        .transpose()
}

/// The first receipt that covers `seq`.
pub async fn receipt_for(conn: &mut Conn, scope: ScopeId, seq: u64) -> Result<Signed<Receipt>, StoreError> {
    let row = conn
        .row(
            "SELECT receipt FROM records WHERE scope = $1 AND seq >= $2 AND receipt IS NOT NULL ORDER BY seq LIMIT 1",
            args![&scope.0, to_db(seq)],
        )
        .await?
        .ok_or(StoreError::Damaged("receipt"))?;
    decode(&row.bytes(0)?).map_err(damaged("receipt"))
}

fn record_of(row: &Row) -> Result<Record, StoreError> {
    Ok(Record {
        seq: from_db(row.int(0)?),
        time: from_db(row.int(1)?),
        event: decode(&row.bytes(2)?).map_err(damaged("event"))?,
    })
}

/// The record at `seq` alone, with the receipt that stands on it.
pub async fn one(conn: &mut Conn, scope: ScopeId, seq: u64) -> Result<Option<(Record, Signed<Receipt>)>, StoreError> {
    let row = conn
        .row("SELECT seq, time_ms, event FROM records WHERE scope = $1 AND seq = $2", args![&scope.0, to_db(seq)])
        .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some((record_of(&row)?, receipt_for(conn, scope, seq).await?)))
}

/// Records after `seq` and up to another, ending at one that carries a receipt; `None` when there is
/// nothing newer.
pub async fn page(
    conn: &mut Conn,
    scope: ScopeId,
    after: u64,
    upto: u64,
) -> Result<Option<(Vec<Record>, Signed<Receipt>)>, StoreError> {
    // Sizes first: a page is bounded in bytes before anything large is read.
    let sizes = conn
        .rows(
            "SELECT seq, CAST(LENGTH(event) AS BIGINT), CAST(CASE WHEN receipt IS NULL THEN 0 ELSE 1 END AS BIGINT) FROM records WHERE scope = $1 AND seq > $2 AND seq <= $4 ORDER BY seq LIMIT $3",
            args![&scope.0, to_db(after), PAGE_ROWS, to_db(upto)],
        )
        .await?;
    let (mut bytes, mut end) = (0, None);
    for row in &sizes {
        bytes += row.int(1)? + RECORD_BYTES;
        if end.is_some() && bytes > PAGE_BYTES {
            break;
        }
        if row.int(2)? == 1 {
            end = Some(row.int(0)?);
        }
    }
    let Some(end) = end else { return Ok(None) };
    let rows = conn
        .rows(
            "SELECT seq, time_ms, event, receipt FROM records WHERE scope = $1 AND seq > $2 AND seq <= $3 ORDER BY seq",
            args![&scope.0, to_db(after), end],
        )
        .await?;
    let records = rows.iter().map(record_of).collect::<Result<Vec<_>, _>>()?;
    let receipt = rows.last().map_or(Ok(None), |row| row.maybe_bytes(3))?;
    let receipt = receipt.ok_or(StoreError::Damaged("receipt"))?;
    Ok(Some((records, decode(&receipt).map_err(damaged("receipt"))?)))
}
