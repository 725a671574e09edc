//! Who may read a scope, and until when: derived from its facts, kept where every request asks.

use std::collections::BTreeMap;

use stafett_protocol::ids::{DeviceId, PersonId, PublicKey, ScopeId};
use stafett_protocol::membership::{Member, Role};
use stafett_protocol::state::ScopeState;

use super::accounts::{from_db, to_db};
use super::chain::{HomeStanding, damaged};
use crate::args;
use crate::db::{Conn, StoreError};

/// Until when a device may read that no consent limits.
pub const ALWAYS: u64 = i64::MAX as u64;

/// A device's place in the reader table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reader {
    /// 0 when listed for removal.
    pub until: u64,
    pub removed_at: Option<u64>,
    pub standing: HomeStanding,
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
pub fn places(state: &ScopeState, now: u64) -> BTreeMap<DeviceId, Place> {
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
pub async fn save(
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
pub async fn forget(conn: &mut Conn, scope: ScopeId) -> Result<(), StoreError> {
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
