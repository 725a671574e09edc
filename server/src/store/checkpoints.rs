//! Members' checkpoints: one of each device in a scope, its sealed parts by their hash. Nothing is derived from
//! them, and nothing depends on them.

use stafett_protocol::checkpoint::{Checkpoint, CheckpointHead, part_hash};
use stafett_protocol::codec::{decode, encode};
use stafett_protocol::ids::{DeviceId, Hash, ScopeId};
use stafett_protocol::limits::CHECKPOINT_AHEAD_BYTES;

use super::accounts::{from_db, to_db};
use crate::args;
use crate::db::{Conn, StoreError};

/// Parts of one device in one scope: those of the checkpoint that stands, and of the one under way.
const PARTS: i64 = 40;

/// Stores a part.
pub async fn put_part(conn: &mut Conn, scope: ScopeId, device: DeviceId, bytes: &[u8]) -> Result<(), StoreError> {
    let count = conn
        .row("SELECT COUNT(*) FROM checkpoint_parts WHERE scope = $1 AND device = $2", args![&scope.0, &device.0])
        .await?;
    if count.map_or(Ok(0), |row| row.int(0))? >= PARTS {
        // Left behind by uploads that were never finished.
        let standing = parts_of(conn, scope, device).await?;
        forget_parts(conn, scope, device, &standing).await?;
    }
    conn.execute(
        "INSERT INTO checkpoint_parts (scope, device, hash, body) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
        args![&scope.0, &device.0, &part_hash(bytes).0, bytes],
    )
    .await?;
    Ok(())
}

/// Replaces the device's checkpoint if every part is here; answers whether it did.
pub async fn put(conn: &mut Conn, head: &CheckpointHead, checkpoint: &Checkpoint) -> Result<bool, StoreError> {
    let (scope, device) = (head.scope, head.device());
    for hash in &head.parts {
        if part(conn, scope, device, hash).await?.is_none() {
            return Ok(false);
        }
    }
    conn.execute(
        "INSERT INTO checkpoints (scope, device, seq, body) VALUES ($1, $2, $3, $4) ON CONFLICT (scope, device) DO UPDATE SET seq = excluded.seq, body = excluded.body",
        args![&scope.0, &device.0, to_db(head.position.seq), encode(checkpoint)],
    )
    .await?;
    forget_parts(conn, scope, device, &head.parts).await?;
    Ok(true)
}

async fn parts_of(conn: &mut Conn, scope: ScopeId, device: DeviceId) -> Result<Vec<Hash>, StoreError> {
    let row =
        conn.row("SELECT body FROM checkpoints WHERE scope = $1 AND device = $2", args![&scope.0, &device.0]).await?;
    let Some(row) = row else { return Ok(vec![]) };
    let stored: Checkpoint = decode(&row.bytes(0)?).map_err(|_| StoreError::Damaged("checkpoint"))?;
    Ok(stored.head.peek().map_err(|_| StoreError::Damaged("checkpoint"))?.parts)
}

/// Deletes the device's parts but for these.
async fn forget_parts(conn: &mut Conn, scope: ScopeId, device: DeviceId, keep: &[Hash]) -> Result<(), StoreError> {
    let rows = conn
        .rows("SELECT hash FROM checkpoint_parts WHERE scope = $1 AND device = $2", args![&scope.0, &device.0])
        .await?;
    for row in rows {
        let hash = Hash(row.array(0)?);
        if !keep.contains(&hash) {
            conn.execute(
                "DELETE FROM checkpoint_parts WHERE scope = $1 AND device = $2 AND hash = $3",
                args![&scope.0, &device.0, &hash.0],
            )
            .await?;
        }
    }
    Ok(())
}

/// The newest checkpoint worth reading for a device that stands at `seq`: many bytes of events ahead, and
/// farther than the device has read.
pub async fn ahead(conn: &mut Conn, scope: ScopeId, seq: u64) -> Result<Option<Checkpoint>, StoreError> {
    let Some(checkpoint) = newest(conn, scope, seq).await? else { return Ok(None) };
    let head = checkpoint.head.peek().map_err(|_| StoreError::Damaged("checkpoint"))?;
    let bytes = conn
        .row(
            "SELECT CAST(COALESCE(SUM(CASE WHEN seq > $2 THEN LENGTH(event) ELSE 0 END), 0) AS BIGINT), CAST(COALESCE(SUM(CASE WHEN seq > $2 THEN 0 ELSE LENGTH(event) END), 0) AS BIGINT) FROM records WHERE scope = $1 AND seq <= $3",
            args![&scope.0, to_db(seq), to_db(head.position.seq)],
        )
        .await?;
    let Some(bytes) = bytes else { return Ok(None) };
    let (beyond, read) = (from_db(bytes.int(0)?), from_db(bytes.int(1)?));
    Ok(Some(checkpoint).filter(|_| beyond > CHECKPOINT_AHEAD_BYTES.max(read)))
}

/// The newest checkpoint that lies beyond `seq`.
async fn newest(conn: &mut Conn, scope: ScopeId, seq: u64) -> Result<Option<Checkpoint>, StoreError> {
    let row = conn
        .row(
            "SELECT body FROM checkpoints WHERE scope = $1 AND seq > $2 ORDER BY seq DESC LIMIT 1",
            args![&scope.0, to_db(seq)],
        )
        .await?;
    row.map(|row| decode(&row.bytes(0)?).map_err(|_| StoreError::Damaged("checkpoint"))).transpose()
}

/// One sealed part.
pub async fn part(
    conn: &mut Conn,
    scope: ScopeId,
    device: DeviceId,
    hash: &Hash,
) -> Result<Option<Vec<u8>>, StoreError> {
    let row = conn
        .row(
            "SELECT body FROM checkpoint_parts WHERE scope = $1 AND device = $2 AND hash = $3",
            args![&scope.0, &device.0, &hash.0],
        )
        .await?;
    row.map(|row| row.bytes(0)).transpose()
}
