//! Units, people, devices and the codes by which they come.

use stafett_protocol::code::ticket_hash;
use stafett_protocol::codec::{decode, encode};
use stafett_protocol::credential::{DeviceCertificate, DeviceRecord, PersonCertificate, PersonKind, PersonRecord};
use stafett_protocol::ids::{DeviceId, Hash, PersonId, PublicKey, UnitId};
use stafett_protocol::limits::PERSON_DEVICES;
use stafett_protocol::signed::Signed;
use stafett_protocol::wire::{CodeKind, Unit};

use crate::args;
use crate::db::{Conn, Row, StoreError};

/// A one-time code as the server knows it.
pub struct StoredCode {
    pub kind: CodeKind,
    pub unit: Option<UnitId>,
    /// Absent for the server's own codes.
    pub offered_by: Option<PersonId>,
    pub expires_ms: u64,
    /// The claim that used it.
    pub used_by: Option<Hash>,
}

/// A person's account without the devices.
pub struct Person {
    pub key: PublicKey,
    pub kind: PersonKind,
    pub unit: Option<UnitId>,
    pub certificate: Signed<PersonCertificate>,
}

/// A device that may open the stream.
#[derive(Clone)]
pub struct Device {
    pub device: DeviceId,
    pub person: PersonId,
    pub key: PublicKey,
    /// Of another municipality: its account, and its end, are there.
    pub is_guest: bool,
}

fn damaged<E>(what: &'static str) -> impl FnOnce(E) -> StoreError {
    move |_| StoreError::Damaged(what)
}

/// Milliseconds as the database keeps them.
#[must_use]
pub fn to_db(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[must_use]
pub fn from_db(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// Adds it, or answers the unit that has the name already: of two nobody could tell which is meant.
pub async fn add_unit(
    conn: &mut Conn,
    unit: UnitId,
    name: &str,
    kind: &str,
    now: u64,
) -> Result<Option<Unit>, StoreError> {
    let same = |known: &Unit| known.name.to_lowercase() == name.to_lowercase();
    if let Some(known) = units(conn).await?.into_iter().find(same) {
        return Ok(Some(known));
    }
    conn.execute(
        "INSERT INTO units (unit, name, kind, created_ms) VALUES ($1, $2, $3, $4)",
        args![&unit.0, name, kind, to_db(now)],
    )
    .await?;
    Ok(None)
}

fn unit_of(row: &Row) -> Result<Unit, StoreError> {
    let leader = row.maybe_bytes(3)?;
    Ok(Unit {
        unit: UnitId(row.array(0)?),
        name: row.text(1)?,
        kind: row.text(2)?,
        leader: leader.map(|id| id.try_into().map(PersonId).map_err(damaged("unit"))).transpose()?,
    })
}

/// All units, oldest first.
pub async fn units(conn: &mut Conn) -> Result<Vec<Unit>, StoreError> {
    let rows =
        conn.rows("SELECT unit, name, kind, leader FROM units ORDER BY created_ms, unit LIMIT 2000", args![]).await?;
    rows.iter().map(unit_of).collect()
}

/// Whether this person leads the unit; if so until the transaction is over. The account of a former leader still names
/// the unit.
pub async fn leads(conn: &mut Conn, person: PersonId, unit: UnitId) -> Result<bool, StoreError> {
    let sql = "UPDATE units SET kind = kind WHERE unit = $1 AND leader = $2";
    Ok(conn.execute(sql, args![&unit.0, &person.0]).await? == 1)
}

pub async fn unit(conn: &mut Conn, unit: UnitId) -> Result<Option<Unit>, StoreError> {
    let row = conn.row("SELECT unit, name, kind, leader FROM units WHERE unit = $1", args![&unit.0]).await?;
    row.as_ref().map(unit_of).transpose()
}

/// A unit whose leader has left can get a new one.
pub async fn set_leader(conn: &mut Conn, unit: UnitId, leader: PersonId) -> Result<(), StoreError> {
    conn.execute("UPDATE units SET leader = $2 WHERE unit = $1", args![&unit.0, &leader.0]).await?;
    Ok(())
}

/// Registers a code; the same ticket registered again by the same person changes nothing.
pub async fn add_code(conn: &mut Conn, ticket: &Hash, code: &StoredCode) -> Result<(), StoreError> {
    conn.execute(
        "INSERT INTO codes (ticket, kind, unit, offered_by, expires_ms) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
        args![
            &ticket.0,
            encode(&code.kind),
            code.unit.map(|u| u.0.to_vec()),
            code.offered_by.map(|p| p.0.to_vec()),
            to_db(code.expires_ms)
        ],
    )
    .await?;
    Ok(())
}

/// Finds a code by its ticket and keeps others from using it meanwhile.
pub async fn lock_code(conn: &mut Conn, ticket: &[u8; 16]) -> Result<Option<StoredCode>, StoreError> {
    let row = conn
        .row(
            "UPDATE codes SET expires_ms = expires_ms WHERE ticket = $1 RETURNING kind, unit, offered_by, expires_ms, used_by",
            args![&ticket_hash(ticket).0],
        )
        .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(StoredCode {
        kind: decode(&row.bytes(0)?).map_err(damaged("code"))?,
        unit: row.maybe_bytes(1)?.map(|id| id.try_into().map(UnitId).map_err(damaged("code"))).transpose()?,
        offered_by: row.maybe_bytes(2)?.map(|id| id.try_into().map(PersonId).map_err(damaged("code"))).transpose()?,
        expires_ms: from_db(row.int(3)?),
        used_by: row.maybe_bytes(4)?.map(|id| id.try_into().map(Hash).map_err(damaged("code"))).transpose()?,
    }))
}

pub async fn use_code(conn: &mut Conn, ticket: &[u8; 16], claim: &Hash) -> Result<(), StoreError> {
    conn.execute("UPDATE codes SET used_by = $2 WHERE ticket = $1", args![&ticket_hash(ticket).0, &claim.0]).await?;
    Ok(())
}

fn kind_from(number: i64) -> Result<PersonKind, StoreError> {
    let byte = u8::try_from(number).map_err(damaged("person"))?;
    decode(&[byte]).map_err(damaged("person"))
}

pub async fn add_person(
    conn: &mut Conn,
    certificate: &PersonCertificate,
    signed: &Signed<PersonCertificate>,
) -> Result<bool, StoreError> {
    let added = conn
        .execute(
            "INSERT INTO persons (person, person_key, kind, unit, certificate, joined_ms) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
            args![
                &certificate.person.0,
                &certificate.person_key,
                i64::from(certificate.kind as u8),
                certificate.unit.map(|u| u.0.to_vec()),
                encode(signed),
                to_db(certificate.issued_at)
            ],
        )
        .await?;
    Ok(added == 1)
}

pub async fn person(conn: &mut Conn, person: PersonId) -> Result<Option<Person>, StoreError> {
    let row =
        conn.row("SELECT person_key, kind, unit, certificate FROM persons WHERE person = $1", args![&person.0]).await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Person {
        key: row.array(0)?,
        kind: kind_from(row.int(1)?)?,
        unit: row.maybe_bytes(2)?.map(|id| id.try_into().map(UnitId).map_err(damaged("person"))).transpose()?,
        certificate: decode(&row.bytes(3)?).map_err(damaged("person"))?,
    }))
}

/// A person as others look them up.
pub async fn person_record(conn: &mut Conn, person: PersonId) -> Result<Option<PersonRecord>, StoreError> {
    let row = conn.row("SELECT certificate, employee FROM persons WHERE person = $1", args![&person.0]).await?;
    let Some(row) = row else { return Ok(None) };
    let devices = conn
        .rows(
            "SELECT certificate, letter_key FROM devices WHERE person = $1 ORDER BY device LIMIT 64",
            args![&person.0],
        )
        .await?;
    let devices = devices
        .iter()
        .map(|row| {
            Ok(DeviceRecord {
                certificate: decode(&row.bytes(0)?).map_err(damaged("device"))?,
                letter_key: row.bytes(1)?.into(),
            })
        })
        .collect::<Result<_, StoreError>>()?;
    Ok(Some(PersonRecord {
        certificate: decode(&row.bytes(0)?).map_err(damaged("person"))?,
        devices,
        employee: row
            .maybe_bytes(1)?
            .map(|bytes| decode(&bytes).map_err(damaged("employee certificate")))
            .transpose()?,
    }))
}

pub async fn set_employee(conn: &mut Conn, person: PersonId, certificate: &[u8]) -> Result<bool, StoreError> {
    let changed =
        conn.execute("UPDATE persons SET employee = $2 WHERE person = $1", args![&person.0, certificate]).await?;
    Ok(changed == 1)
}

/// Whether a person has room for this device, or has it already. The person's row is the lock: two devices that are certified
/// at the same time do not both find the last place.
pub async fn has_room_for(conn: &mut Conn, person: PersonId, device: DeviceId) -> Result<bool, StoreError> {
    conn.execute("UPDATE persons SET joined_ms = joined_ms WHERE person = $1", args![&person.0]).await?;
    let sql = "SELECT COUNT(*) FROM devices WHERE person = $1 AND device <> $2";
    let others = conn.row(sql, args![&person.0, &device.0]).await?.map_or(Ok(0), |row| row.int(0))?;
    Ok(from_db(others) < PERSON_DEVICES as u64)
}

/// Adds a device; `false` when it stands already.
pub async fn add_device(
    conn: &mut Conn,
    certificate: &DeviceCertificate,
    signed: &Signed<DeviceCertificate>,
    letter_key: &[u8],
) -> Result<bool, StoreError> {
    let added = conn
        .execute(
            "INSERT INTO devices (device, person, device_key, certificate, letter_key, locks) VALUES ($1, $2, $3, $4, $5, 0) ON CONFLICT DO NOTHING",
            args![
                &DeviceId::of_key(&certificate.device_key).0,
                &certificate.person.0,
                &certificate.device_key,
                encode(signed),
                letter_key
            ],
        )
        .await?;
    Ok(added == 1)
}

pub async fn device(conn: &mut Conn, device: DeviceId) -> Result<Option<Device>, StoreError> {
    let row = conn.row("SELECT person, device_key FROM devices WHERE device = $1", args![&device.0]).await?;
    row.map(|row| Ok(Device { device, person: PersonId(row.array(0)?), key: row.array(1)?, is_guest: false }))
        .transpose()
}

/// Whether the device still stands; if so it stands until the transaction is over. Whoever ends it waits that long,
/// nobody else does.
pub async fn hold(conn: &mut Conn, device: &Device) -> Result<bool, StoreError> {
    if device.is_guest {
        return Ok(true);
    }
    let sql = if conn.is_pg() {
        "SELECT person FROM devices WHERE device = $1 AND person = $2 FOR KEY SHARE"
    } else {
        "SELECT person FROM devices WHERE device = $1 AND person = $2"
    };
    Ok(conn.row(sql, args![&device.device.0, &device.person.0]).await?.is_some())
}

/// Of two devices, those that this person has, locked: the one that ends the other, and that. Always in the same order.
pub async fn lock_devices(conn: &mut Conn, both: [DeviceId; 2], person: PersonId) -> Result<Vec<DeviceId>, StoreError> {
    let sql = if conn.is_pg() {
        "SELECT device FROM devices WHERE device IN ($1, $2) AND person = $3 ORDER BY device FOR UPDATE"
    } else {
        "SELECT device FROM devices WHERE device IN ($1, $2) AND person = $3 ORDER BY device"
    };
    let rows = conn.rows(sql, args![&both[0].0, &both[1].0, &person.0]).await?;
    rows.iter().map(|row| Ok(DeviceId(row.array(0)?))).collect()
}

/// When the device was certified, by the device that did it.
pub async fn certified_at(conn: &mut Conn, device: DeviceId) -> Result<u64, StoreError> {
    let row = conn.row("SELECT certificate FROM devices WHERE device = $1", args![&device.0]).await?;
    let Some(row) = row else { return Ok(0) };
    let signed: Signed<DeviceCertificate> = decode(&row.bytes(0)?).map_err(damaged("device"))?;
    Ok(signed.peek().map_err(damaged("device"))?.issued_at)
}

/// Locks a person's row: what is counted of this person is counted by one at a time.
pub async fn lock_person(conn: &mut Conn, person: PersonId) -> Result<(), StoreError> {
    conn.execute("UPDATE persons SET kind = kind WHERE person = $1", args![&person.0]).await?;
    Ok(())
}

pub async fn devices_of(conn: &mut Conn, person: PersonId) -> Result<Vec<DeviceId>, StoreError> {
    let rows =
        conn.rows("SELECT device FROM devices WHERE person = $1 ORDER BY device LIMIT 64", args![&person.0]).await?;
    rows.iter().map(|row| Ok(DeviceId(row.array(0)?))).collect()
}

/// Ends a device of this person; its mailbox and key packages go with it.
pub async fn remove_device(conn: &mut Conn, device: DeviceId, person: PersonId) -> Result<bool, StoreError> {
    let removed =
        conn.execute("DELETE FROM devices WHERE device = $1 AND person = $2", args![&device.0, &person.0]).await?;
    if removed == 1 {
        conn.execute("DELETE FROM mailbox WHERE device = $1", args![&device.0]).await?;
    }
    Ok(removed == 1)
}

/// Codes of a person that somebody could still use.
pub async fn open_codes(conn: &mut Conn, person: PersonId, now: u64) -> Result<i64, StoreError> {
    let row = conn
        .row(
            "SELECT COUNT(*) FROM codes WHERE offered_by = $1 AND used_by IS NULL AND expires_ms > $2",
            args![&person.0, to_db(now)],
        )
        .await?;
    row.map_or(Ok(0), |row| row.int(0))
}

/// Ends the codes of a person that nobody has used: whoever has a lost device may know them, or have made them.
pub async fn end_codes(conn: &mut Conn, person: PersonId) -> Result<(), StoreError> {
    conn.execute("DELETE FROM codes WHERE offered_by = $1 AND used_by IS NULL", args![&person.0]).await?;
    Ok(())
}

/// Deletes codes that expired before this.
pub async fn delete_codes(conn: &mut Conn, before: u64) -> Result<(), StoreError> {
    conn.execute("DELETE FROM codes WHERE expires_ms < $1", args![to_db(before)]).await?;
    Ok(())
}
