//! Attachments: announced by what parts they have, then stored part by part. Those that a change has named stay for
//! as long as their scope; the others go when they are old, or when their device has too many of them.

use stafett_protocol::attachment::{AttachmentManifest, AttachmentPlace};
use stafett_protocol::codec::{decode, encode};
use stafett_protocol::ids::{DeviceId, Hash, ScopeId};
use stafett_protocol::limits::{
    ATTACHMENT_PART_BYTES, ATTACHMENT_WAIT_MILLIS, DEVICE_ATTACHMENTS_WAITING, SCOPE_ATTACHMENT_BYTES,
};

use super::accounts::to_db;
use crate::args;
use crate::db::{Conn, StoreError};

fn count_of(manifest: &AttachmentManifest) -> i64 {
    i64::try_from(manifest.parts.len()).unwrap_or(i64::MAX)
}

/// What was announced under this id.
pub async fn manifest(
    conn: &mut Conn,
    scope: ScopeId,
    attachment: &Hash,
) -> Result<Option<AttachmentManifest>, StoreError> {
    let row = conn
        .row("SELECT manifest FROM attachments WHERE scope = $1 AND attachment = $2", args![&scope.0, &attachment.0])
        .await?;
    row.map(|row| decode(&row.bytes(0)?).map_err(|_| StoreError::Damaged("attachment"))).transpose()
}

/// Notes what is to come, and clears away what never came; answers whether the scope has room for it.
pub async fn announce(
    conn: &mut Conn,
    manifest: &AttachmentManifest,
    device: DeviceId,
    now: u64,
) -> Result<bool, StoreError> {
    if self::manifest(conn, manifest.scope, &manifest.id()).await?.is_some() {
        return Ok(true);
    }
    let old = to_db(now.saturating_sub(ATTACHMENT_WAIT_MILLIS));
    conn.execute("DELETE FROM attachments WHERE named = 0 AND announced_ms < $1", args![old]).await?;
    let waiting = conn
        .rows(
            "SELECT scope, attachment FROM attachments WHERE device = $1 AND named = 0 ORDER BY announced_ms DESC",
            args![&device.0],
        )
        .await?;
    for row in waiting.iter().skip(DEVICE_ATTACHMENTS_WAITING.saturating_sub(1)) {
        conn.execute(
            "DELETE FROM attachments WHERE scope = $1 AND attachment = $2",
            args![row.bytes(0)?, row.bytes(1)?],
        )
        .await?;
    }
    insert(conn, manifest, (device, false), now).await
}

async fn insert(
    conn: &mut Conn,
    manifest: &AttachmentManifest,
    (device, named): (DeviceId, bool),
    now: u64,
) -> Result<bool, StoreError> {
    let sum = conn
        .row(
            "SELECT CAST(COALESCE(SUM(parts), 0) AS BIGINT) FROM attachments WHERE scope = $1",
            args![&manifest.scope.0],
        )
        .await?;
    let parts = sum.map_or(Ok(0), |row| row.int(0))?.saturating_add(count_of(manifest));
    let most = SCOPE_ATTACHMENT_BYTES / ATTACHMENT_PART_BYTES as u64;
    if parts > to_db(most) {
        return Ok(false);
    }
    conn.execute(
        "INSERT INTO attachments (scope, attachment, device, parts, manifest, announced_ms, named) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (scope, attachment) DO NOTHING",
        args![
            &manifest.scope.0,
            &manifest.id().0,
            &device.0,
            count_of(manifest),
            encode(manifest),
            to_db(now),
            i64::from(named)
        ],
    )
    .await?;
    Ok(true)
}

/// The parts of an announced attachment that are not here.
pub async fn missing(conn: &mut Conn, manifest: &AttachmentManifest) -> Result<Vec<u16>, StoreError> {
    let rows = conn
        .rows(
            "SELECT part FROM attachment_parts WHERE scope = $1 AND attachment = $2",
            args![&manifest.scope.0, &manifest.id().0],
        )
        .await?;
    let here = rows.iter().map(|row| row.int(0)).collect::<Result<Vec<i64>, StoreError>>()?;
    let all = 0..u16::try_from(manifest.parts.len()).unwrap_or(u16::MAX);
    Ok(all.filter(|part| !here.contains(&i64::from(*part))).collect())
}

/// Stores a part that fits what was announced; answers whether it does.
pub async fn put_part(conn: &mut Conn, place: AttachmentPlace, bytes: &[u8]) -> Result<bool, StoreError> {
    let announced = manifest(conn, place.scope, &place.attachment).await?;
    if !announced.is_some_and(|manifest| manifest.fits(place.part, bytes)) {
        return Ok(false);
    }
    conn.execute(
        "INSERT INTO attachment_parts (scope, attachment, part, body) VALUES ($1, $2, $3, $4) ON CONFLICT (scope, attachment, part) DO NOTHING",
        args![&place.scope.0, &place.attachment.0, i64::from(place.part), bytes],
    )
    .await?;
    Ok(true)
}

/// A part that was fetched from the old home, of an attachment that the chain names.
pub async fn put_fetched(
    conn: &mut Conn,
    manifest: &AttachmentManifest,
    part: u16,
    bytes: &[u8],
    now: u64,
) -> Result<bool, StoreError> {
    let (scope, attachment) = (manifest.scope, manifest.id());
    if self::manifest(conn, scope, &attachment).await?.is_none()
        && !insert(conn, manifest, (DeviceId::default(), true), now).await?
    {
        return Ok(false);
    }
    // Somebody may have announced it here long ago, when this was the home before.
    name(conn, scope, &attachment).await?;
    put_part(conn, AttachmentPlace { scope, attachment, part }, bytes).await
}

/// One sealed part.
pub async fn part(conn: &mut Conn, place: AttachmentPlace) -> Result<Option<Vec<u8>>, StoreError> {
    let row = conn
        .row(
            "SELECT body FROM attachment_parts WHERE scope = $1 AND attachment = $2 AND part = $3",
            args![&place.scope.0, &place.attachment.0, i64::from(place.part)],
        )
        .await?;
    row.map(|row| row.bytes(0)).transpose()
}

/// Keeps a whole attachment for good, now that a change names it; answers whether it is whole.
pub async fn keep(conn: &mut Conn, scope: ScopeId, attachment: &Hash) -> Result<bool, StoreError> {
    let Some(manifest) = manifest(conn, scope, attachment).await? else { return Ok(false) };
    if !missing(conn, &manifest).await?.is_empty() {
        return Ok(false);
    }
    name(conn, scope, attachment).await?;
    Ok(true)
}

async fn name(conn: &mut Conn, scope: ScopeId, attachment: &Hash) -> Result<(), StoreError> {
    let sql = "UPDATE attachments SET named = 1 WHERE scope = $1 AND attachment = $2";
    conn.execute(sql, args![&scope.0, &attachment.0]).await?;
    Ok(())
}
