//! The two sides of a scope's move, exactly as `protocol::transfer` has them, and what was signed with them.

use stafett_protocol::codec::{decode, encode};
use stafett_protocol::ids::ScopeId;
use stafett_protocol::signed::Signed;
use stafett_protocol::transfer::{HomeAccept, Source, Target, TargetStanding, Tombstone};
use stafett_protocol::wire::Envelope;

use crate::args;
use crate::db::{Conn, StoreError};

fn damaged<E>(_: E) -> StoreError {
    StoreError::Damaged("transfer")
}

/// The old home's side; the beginning where nothing has happened.
pub async fn source(conn: &mut Conn, scope: ScopeId, home_epoch: u32) -> Result<Source, StoreError> {
    let row = conn
        .row("SELECT state FROM sources WHERE scope = $1 AND home_epoch = $2", args![&scope.0, i64::from(home_epoch)])
        .await?;
    row.map_or(Ok(Source::default()), |row| decode(&row.bytes(0)?).map_err(damaged))
}

/// In the transaction of whatever is answered. A tombstone that stands is never taken back.
pub async fn save_source(
    conn: &mut Conn,
    scope: ScopeId,
    home_epoch: u32,
    state: &Source,
    tombstone: Option<&Signed<Tombstone>>,
) -> Result<(), StoreError> {
    conn.execute(
        "INSERT INTO sources (scope, home_epoch, state, tombstone) VALUES ($1, $2, $3, $4) ON CONFLICT (scope, home_epoch) DO UPDATE SET state = excluded.state, tombstone = COALESCE(sources.tombstone, excluded.tombstone)",
        args![&scope.0, i64::from(home_epoch), encode(state), tombstone.map(encode)],
    )
    .await?;
    Ok(())
}

/// Where the scope went last.
pub async fn tombstone(conn: &mut Conn, scope: ScopeId) -> Result<Option<Signed<Tombstone>>, StoreError> {
    let row = conn
        .row(
            "SELECT tombstone FROM sources WHERE scope = $1 AND tombstone IS NOT NULL ORDER BY home_epoch DESC LIMIT 1",
            args![&scope.0],
        )
        .await?;
    row.map(|row| decode(&row.bytes(0)?).map_err(damaged)).transpose()
}

/// The tombstone of one move.
pub async fn tombstone_at(
    conn: &mut Conn,
    scope: ScopeId,
    home_epoch: u32,
) -> Result<Option<Signed<Tombstone>>, StoreError> {
    let row = conn
        .row(
            "SELECT tombstone FROM sources WHERE scope = $1 AND home_epoch = $2 AND tombstone IS NOT NULL",
            args![&scope.0, i64::from(home_epoch)],
        )
        .await?;
    row.map(|row| decode(&row.bytes(0)?).map_err(damaged)).transpose()
}

/// The new home's side with what it has signed and bound.
#[derive(Default)]
pub struct Hither {
    pub state: Target,
    pub accept: Option<Signed<HomeAccept>>,
    pub envelope: Option<Envelope>,
}

/// The new home's side; the beginning where nothing has happened.
pub async fn target(conn: &mut Conn, scope: ScopeId, home_epoch: u32) -> Result<Hither, StoreError> {
    let row = conn
        .row(
            "SELECT state, accept, envelope FROM targets WHERE scope = $1 AND home_epoch = $2",
            args![&scope.0, i64::from(home_epoch)],
        )
        .await?;
    let Some(row) = row else { return Ok(Hither::default()) };
    Ok(Hither {
        state: decode(&row.bytes(0)?).map_err(damaged)?,
        accept: row.maybe_bytes(1)?.map(|bytes| decode(&bytes).map_err(damaged)).transpose()?,
        envelope: row.maybe_bytes(2)?.map(|bytes| decode(&bytes).map_err(damaged)).transpose()?,
    })
}

pub async fn save_target(conn: &mut Conn, scope: ScopeId, home_epoch: u32, hither: &Hither) -> Result<(), StoreError> {
    let bound = i64::from(matches!(hither.state.standing, TargetStanding::Bound(_)));
    conn.execute(
        "INSERT INTO targets (scope, home_epoch, state, bound, accept, envelope) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (scope, home_epoch) DO UPDATE SET state = excluded.state, bound = excluded.bound, accept = excluded.accept, envelope = excluded.envelope",
        args![
            &scope.0,
            i64::from(home_epoch),
            encode(&hither.state),
            bound,
            hither.accept.as_ref().map(encode),
            hither.envelope.as_ref().map(encode)
        ],
    )
    .await?;
    Ok(())
}

/// Everything that waits for an old home's word.
pub async fn bound(conn: &mut Conn) -> Result<Vec<Signed<HomeAccept>>, StoreError> {
    let rows = conn
        .rows("SELECT accept FROM targets WHERE bound = 1 AND accept IS NOT NULL ORDER BY scope LIMIT 1000", args![])
        .await?;
    rows.iter().map(|row| decode(&row.bytes(0)?).map_err(damaged)).collect()
}

/// Whether a scope waits for its old home's word.
pub async fn is_bound(conn: &mut Conn, scope: ScopeId) -> Result<bool, StoreError> {
    let row = conn.row("SELECT bound FROM targets WHERE scope = $1 AND bound = 1", args![&scope.0]).await?;
    Ok(row.is_some())
}

/// Takes out what was fetched of a scope that was never served here.
pub async fn forget_fetched(conn: &mut Conn, scope: ScopeId) -> Result<(), StoreError> {
    for sql in [
        "DELETE FROM attachments WHERE scope = $1",
        "DELETE FROM snapshots WHERE scope = $1",
        "DELETE FROM records WHERE scope = $1",
        "DELETE FROM scopes WHERE scope = $1",
    ] {
        conn.execute(sql, args![&scope.0]).await?;
    }
    Ok(())
}
