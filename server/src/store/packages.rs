//! Key packages: handed out once each, the one of last resort as often as needed, none too old.

use stafett_protocol::codec::{decode, encode};
use stafett_protocol::consent::Permit;
use stafett_protocol::ids::{DeviceId, hash};
use stafett_protocol::limits::{KEY_PACKAGE_MAX_MILLIS, KEY_PACKAGES_PER_DEVICE};
use stafett_protocol::signed::Signed;
use stafett_protocol::wire::KeyPackageOffer;

use super::accounts::to_db;
use crate::args;
use crate::db::{Conn, StoreError};

/// The device's row is the lock: on PostgreSQL two at a time would else pick the same package, or store two of last resort.
pub async fn lock(conn: &mut Conn, device: DeviceId) -> Result<(), StoreError> {
    conn.execute("UPDATE devices SET locks = locks + 1 WHERE device = $1", args![&device.0]).await?;
    Ok(())
}

/// Stores an offer. A new one of last resort takes the place of the old; of the others the newest are kept.
pub async fn add(conn: &mut Conn, offer: &KeyPackageOffer, signed: &Signed<KeyPackageOffer>) -> Result<(), StoreError> {
    let last_resort = i64::from(offer.last_resort == Permit::Yes);
    if last_resort == 1 {
        conn.execute("DELETE FROM key_packages WHERE device = $1 AND last_resort = 1", args![&offer.device.0]).await?;
    }
    conn.execute(
        "INSERT INTO key_packages (hash, device, last_resort, offered_ms, offer) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
        args![
            &hash("stored key package", &[offer.package.as_slice()]).0,
            &offer.device.0,
            last_resort,
            to_db(offer.offered_at),
            encode(signed)
        ],
    )
    .await?;
    conn.execute(
        "DELETE FROM key_packages WHERE device = $1 AND last_resort = 0 AND hash NOT IN (SELECT hash FROM key_packages WHERE device = $1 AND last_resort = 0 ORDER BY offered_ms DESC, hash LIMIT $2)",
        args![&offer.device.0, to_db(KEY_PACKAGES_PER_DEVICE as u64)],
    )
    .await?;
    Ok(())
}

/// How many one-time packages of a device are left and fresh.
pub async fn count(conn: &mut Conn, device: DeviceId, now: u64) -> Result<u32, StoreError> {
    let row = conn
        .row(
            "SELECT COUNT(*) FROM key_packages WHERE device = $1 AND last_resort = 0 AND offered_ms > $2",
            args![&device.0, oldest(now)],
        )
        .await?;
    let count = row.map_or(Ok(0), |row| row.int(0))?;
    Ok(u32::try_from(count).unwrap_or(u32::MAX))
}

fn oldest(now: u64) -> i64 {
    to_db(now.saturating_sub(KEY_PACKAGE_MAX_MILLIS))
}

/// Takes one package of a device: the oldest fresh one, which nobody gets again, or the one of last resort. Whoever has had
/// enough of the former gets the latter.
pub async fn take(
    conn: &mut Conn,
    device: DeviceId,
    now: u64,
    enough: bool,
) -> Result<Option<Signed<KeyPackageOffer>>, StoreError> {
    lock(conn, device).await?;
    conn.execute(
        "DELETE FROM key_packages WHERE device = $1 AND last_resort = 0 AND offered_ms <= $2",
        args![&device.0, oldest(now)],
    )
    .await?;
    let once = "DELETE FROM key_packages WHERE hash = (SELECT hash FROM key_packages WHERE device = $1 AND last_resort = 0 ORDER BY offered_ms, hash LIMIT 1) RETURNING offer";
    let mut row = if enough { None } else { conn.row(once, args![&device.0]).await? };
    if row.is_none() {
        row =
            conn.row("SELECT offer FROM key_packages WHERE device = $1 AND last_resort = 1", args![&device.0]).await?;
    }
    let Some(row) = row else { return Ok(None) };
    decode(&row.bytes(0)?).map(Some).map_err(|_| StoreError::Damaged("key package"))
}
