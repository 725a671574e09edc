//! The event chains and what is derived from them: snapshots, and who may read.

use std::collections::BTreeMap;

use stafett_protocol::codec::{decode, encode};
use stafett_protocol::event::{Position, Receipt, Record};
use stafett_protocol::ids::{DeviceId, Hash, LogId, PersonId, PublicKey, ScopeId};
use stafett_protocol::membership::{Member, Role};
use stafett_protocol::replica::Replica;
use stafett_protocol::signed::Signed;
use stafett_protocol::state::{ScopeState, Status};

use super::accounts::{from_db, to_db};
use crate::args;
use crate::db::{Arg, Conn, Row, StoreError};

/// Until when a device may read that no consent limits.
pub const ALWAYS: u64 = i64::MAX as u64;
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
    fn of(number: i64) -> Self {
        match number {
            1 => Self::Home,
            2 => Self::Moved,
            _ => Self::Fetched,
        }
    }

    fn number(self) -> i64 {
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

/// A device's place in the reader table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reader {
    /// 0 when listed for removal.
    pub until: u64,
    pub removed_at: Option<u64>,
    pub standing: HomeStanding,
}

/// A record that has been accepted, as its author asks for it again.
pub struct Stored {
    pub record_seq: u64,
    pub time: u64,
    pub event: Vec<u8>,
}

fn damaged<E>(what: &'static str) -> impl FnOnce(E) -> StoreError {
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

/// A device's place in a scope by its facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Until when it may read; 0: not any more.
    pub until: u64,
    /// Whether it has a leaf, or waits to come back to one after a re-founding.
    pub leaf: bool,
}

/// The place of each device of a scope, by these facts.
#[must_use]
pub fn readers(state: &ScopeState, now: u64) -> BTreeMap<DeviceId, Place> {
    let listed = state.listed_at(now);
    let places = |member: &Member, leaf: bool| {
        let until = until(state, member);
        let place = move |key: &PublicKey| (DeviceId::of_key(key), Place { until, leaf });
        member.devices.iter().map(place).collect::<Vec<_>>()
    };
    let awaited = state.readmit.iter().flat_map(|member| places(member, false));
    let awaited = awaited.filter(|(device, _)| state.awaited(*device, now).is_some());
    let leaves = state.membership.members.iter().flat_map(|member| places(member, true));
    let mut all: BTreeMap<DeviceId, Place> = awaited.chain(leaves).collect();
    for key in &listed {
        all.entry(DeviceId::of_key(key)).and_modify(|place| place.until = 0);
    }
    all
}

/// When a member's place lapses by itself: with the grant, the leader's certificate, or consent on
/// paper that nobody has countersigned. [`ScopeState::listed_at`] says the same for one moment.
fn until(state: &ScopeState, member: &Member) -> u64 {
    let by_grant = matches!(member.role, Role::Actor | Role::Reader | Role::Custodian);
    if !by_grant && member.role != Role::Employee {
        return ALWAYS;
    }
    let employed = state.employed_until(member).into_iter();
    let granted = state.grant(&member.basis).filter(|_| by_grant).into_iter().flat_map(|fact| {
        let paper = fact.attested.iter().filter(|a| !fact.signers.contains(&a.person));
        paper.map(|a| a.until).chain([fact.grant.expires_at])
    });
    employed.chain(granted).min().unwrap_or(ALWAYS)
}

/// Brings the reader table up to date; answers the devices that lost their place at `seq`.
pub async fn save_readers(
    conn: &mut Conn,
    state: &ScopeState,
    seq: u64,
    before: &BTreeMap<DeviceId, Place>,
    after: &BTreeMap<DeviceId, Place>,
) -> Result<Vec<DeviceId>, StoreError> {
    let scope = state.scope();
    let mut lost = Vec::new();
    for (device, place) in before.iter().filter(|(device, _)| !after.contains_key(device)) {
        // Only whoever had a leaf is removed by a record that says so.
        let removed = place.leaf.then(|| to_db(seq));
        conn.execute(
            "UPDATE readers SET until_ms = 0, removed_seq = $3 WHERE scope = $1 AND device = $2",
            args![&scope.0, &device.0, removed],
        )
        .await?;
        lost.push(*device);
    }
    for (device, place) in after {
        if before.get(device) == Some(place) {
            continue;
        }
        let until = place.until;
        let person = state.person_of(*device).map(|person| person.0.to_vec());
        conn.execute(
            "INSERT INTO readers (scope, device, until_ms, person) VALUES ($1, $2, $3, $4) ON CONFLICT (scope, device) DO UPDATE SET until_ms = excluded.until_ms, removed_seq = NULL, person = excluded.person",
            args![&scope.0, &device.0, to_db(until), person],
        )
        .await?;
        if until == 0 {
            lost.push(*device);
        }
    }
    Ok(lost)
}

/// Forgets who could read.
pub async fn forget_readers(conn: &mut Conn, scope: ScopeId) -> Result<(), StoreError> {
    conn.execute("DELETE FROM readers WHERE scope = $1", args![&scope.0]).await?;
    Ok(())
}

/// A device's place in a scope. Whoever is gone from the card is served nothing of the log's other
/// scopes either, whatever their own lists say.
pub async fn reader(conn: &mut Conn, scope: ScopeId, device: DeviceId, now: u64) -> Result<Option<Reader>, StoreError> {
    let row = conn
        .row(
            "SELECT r.until_ms, r.removed_seq, s.card, r.person, s.closed, s.standing FROM readers r JOIN scopes s ON s.scope = r.scope WHERE r.scope = $1 AND r.device = $2",
            args![&scope.0, &device.0],
        )
        .await?;
    let Some(row) = row else { return Ok(None) };
    let mut until = from_db(row.int(0)?);
    if let Some(card) = row.maybe_bytes(2)? {
        let card = ScopeId(card.try_into().map_err(damaged("scope"))?);
        let person = row.maybe_bytes(3)?.ok_or(StoreError::Damaged("reader"))?;
        let person = PersonId(person.try_into().map_err(damaged("reader"))?);
        // Whoever handed a log over keeps what stayed behind, closed, and has left the card.
        if card != scope && row.int(4)? == 0 && !is_on_card(conn, card, person, now).await? {
            until = 0;
        }
    }
    Ok(Some(Reader { until, removed_at: row.maybe_int(1)?.map(from_db), standing: HomeStanding::of(row.int(5)?) }))
}

/// The scopes of this home that a device may read now, by the rules of [`reader`].
pub async fn scopes_of(conn: &mut Conn, device: DeviceId, now: u64) -> Result<Vec<ScopeId>, StoreError> {
    let rows = conn
        .rows(
            "SELECT r.scope FROM readers r JOIN scopes s ON s.scope = r.scope WHERE r.device = $1 AND r.until_ms > $2 AND s.standing = $3 AND (s.card IS NULL OR s.card = r.scope OR s.closed <> 0 OR EXISTS (SELECT 1 FROM readers c WHERE c.scope = s.card AND c.person = r.person AND c.until_ms > $2)) ORDER BY r.scope",
            args![&device.0, to_db(now), HomeStanding::Home.number()],
        )
        .await?;
    rows.iter().map(|row| Ok(ScopeId(row.array(0)?))).collect()
}

/// Whether this person has a place on the card, with whatever device.
pub async fn is_on_card(conn: &mut Conn, card: ScopeId, person: PersonId, now: u64) -> Result<bool, StoreError> {
    let row = conn
        .row(
            "SELECT until_ms FROM readers WHERE scope = $1 AND person = $2 AND until_ms > $3 LIMIT 1",
            args![&card.0, &person.0, to_db(now)],
        )
        .await?;
    Ok(row.is_some())
}

/// Whether one device reads a scope of this home that the other has not been let into. What it has founded itself since
/// the other was there does not count: whoever has stolen it could found without end.
pub async fn has_scope_without(
    conn: &mut Conn,
    device: DeviceId,
    (other, there_since): (DeviceId, u64),
    now: u64,
) -> Result<bool, StoreError> {
    let row = conn
        .row(
            "SELECT r.scope FROM readers r WHERE r.device = $1 AND r.until_ms > $3 AND NOT EXISTS (SELECT 1 FROM readers o WHERE o.scope = r.scope AND o.device = $2 AND o.until_ms > $3) AND NOT EXISTS (SELECT 1 FROM records f WHERE f.scope = r.scope AND f.seq = 1 AND f.device = $1 AND f.time_ms >= $4) LIMIT 1",
            args![&device.0, &other.0, to_db(now), to_db(there_since)],
        )
        .await?;
    Ok(row.is_some())
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
