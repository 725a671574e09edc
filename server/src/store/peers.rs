//! The municipalities that the operator trusts: each with the description that it signed itself.

use stafett_protocol::codec::{decode, encode};
use stafett_protocol::federation::PeerFile;
use stafett_protocol::ids::Municipality;
use stafett_protocol::signed::Signed;

use super::accounts::{from_db, to_db};
use crate::args;
use crate::db::{Conn, Row, StoreError, schema};

/// Counts changes of the table: a running server looks at this number alone.
const VERSION: &str = "peers";
/// Norway has some 360 municipalities; this bounds a mistake.
pub const MOST: usize = 1000;

/// A peer as it was added.
pub struct Added {
    pub signed: Signed<PeerFile>,
    pub added_ms: u64,
}

/// How often the table has changed.
pub async fn version(conn: &mut Conn) -> Result<i64, StoreError> {
    Ok(schema::meta(conn, VERSION).await?.unwrap_or(0))
}

/// Announces a change; the first statement of its transaction, since its row is the lock.
pub async fn raise_version(conn: &mut Conn) -> Result<(), StoreError> {
    conn.execute(
        "INSERT INTO meta (name, value) VALUES ($1, 1) ON CONFLICT (name) DO UPDATE SET value = meta.value + 1",
        args![VERSION],
    )
    .await?;
    Ok(())
}

fn added(row: &Row) -> Result<Added, StoreError> {
    let signed = decode(&row.bytes(0)?).map_err(|_| StoreError::Damaged("peer"))?;
    Ok(Added { signed, added_ms: from_db(row.int(1)?) })
}

/// All peers, by number.
pub async fn all(conn: &mut Conn) -> Result<Vec<Added>, StoreError> {
    let rows = conn.rows("SELECT description, added_ms FROM peers ORDER BY number LIMIT 1000", args![]).await?;
    rows.iter().map(added).collect()
}

/// Adds a peer, or puts its new description in the old one's place.
pub async fn put(conn: &mut Conn, number: Municipality, signed: &Signed<PeerFile>, now: u64) -> Result<(), StoreError> {
    conn.execute(
        "INSERT INTO peers (number, description, added_ms) VALUES ($1, $2, $3) ON CONFLICT (number) DO UPDATE SET description = excluded.description, added_ms = excluded.added_ms",
        args![i64::from(number), encode(signed), to_db(now)],
    )
    .await?;
    Ok(())
}

/// Ends the trust in a peer; whether there was one.
pub async fn remove(conn: &mut Conn, number: Municipality) -> Result<bool, StoreError> {
    Ok(conn.execute("DELETE FROM peers WHERE number = $1", args![i64::from(number)]).await? == 1)
}
