//! Requests about accounts: codes, devices, employees, units. Each asks first whether this kind of
//! account may do it; what people may do inside a log is none of this module's business.

use stafett_protocol::code::ticket_hash;
use stafett_protocol::codec::encode;
use stafett_protocol::consent::{EmployeeCertificate, Permit};
use stafett_protocol::credential::PersonKind;
use stafett_protocol::ids::{DeviceId, PersonId, UnitId};
use stafett_protocol::limits::{CODE_MAX_MILLIS, PERSON_CODES};
use stafett_protocol::signed::Signed;
use stafett_protocol::text;
use stafett_protocol::wire::{AddedUnit, CertifiedDevice, CodeKind, CodeOffer, DeviceRemoval, NewUnit, Reply};

use super::Connection;
use super::requests::Failed;
use crate::db::Conn;
use crate::fanout::{Notice, notify};
use crate::home::random;
use crate::offers;
use crate::problem::Fault;
use crate::store::accounts::{self, Person, StoredCode};
use crate::store::readers;

/// Whom an account may invite.
fn may_invite(person: &Person, kind: PersonKind, unit: Option<UnitId>) -> bool {
    match (person.kind, kind) {
        (PersonKind::Administrator, PersonKind::Administrator) => unit.is_none(),
        (PersonKind::Administrator, PersonKind::Leader) => unit.is_some(),
        (PersonKind::Leader, PersonKind::Employee) => unit.is_some() && unit == person.unit,
        (
            PersonKind::Leader | PersonKind::Employee | PersonKind::Guardian,
            PersonKind::Guardian | PersonKind::Child,
        ) => unit.is_none(),
        _ => false,
    }
}

/// A device may end itself where another of its person has all that it has: also what it has founded itself. Devices of one
/// person go one at a time, so that no two leave it all to each other.
async fn leaves_all_to_another(conn: &mut Conn, own: DeviceId, person: PersonId, now: u64) -> Result<(), Fault> {
    accounts::lock_person(conn, person).await?;
    for other in accounts::devices_of(conn, person).await? {
        if other != own && !readers::has_scope_without(conn, own, (other, i64::MAX.unsigned_abs()), now).await? {
            return Ok(());
        }
    }
    Err(Fault::DeviceNeeded)
}

impl Connection {
    async fn myself(&mut self) -> Result<Person, Fault> {
        let mut conn = self.server.db.reader().await?;
        accounts::person(&mut conn, self.device.person).await?.ok_or(Fault::NotAuthenticated)
    }

    pub(super) async fn offer_code(&mut self, signed: &Signed<CodeOffer>) -> Result<Reply, Failed> {
        let offer = signed.verify(&self.device.key).map_err(|_| Fault::Inconsistent)?;
        if let CodeKind::Person(kind) = offer.kind
            && !may_invite(&self.myself().await?, kind, offer.unit)
        {
            return Err(Fault::NotAllowed.into());
        }
        let (person, now) = (self.device.person, self.server.clock.now());
        let code = StoredCode {
            kind: offer.kind,
            unit: offer.unit,
            offered_by: Some(person),
            expires_ms: offer.expires_at.min(now.saturating_add(CODE_MAX_MILLIS)),
            used_by: None,
        };
        self.write(move |conn: &mut Conn| {
            Box::pin(async move {
                accounts::lock_person(conn, person).await?;
                if let (CodeKind::Person(PersonKind::Employee), Some(unit)) = (code.kind, code.unit)
                    && !accounts::leads(conn, person, unit).await?
                {
                    return Err(Fault::NotAllowed);
                }
                if accounts::open_codes(conn, person, now).await? >= PERSON_CODES {
                    return Err(Fault::TooManyRequests);
                }
                Ok(accounts::add_code(conn, &offer.ticket, &code).await?)
            })
        })
        .await?;
        Ok(Reply::Done)
    }

    pub(super) async fn certify_device(&mut self, certified: CertifiedDevice) -> Result<Reply, Failed> {
        let person = self.device.person;
        let key = self.myself().await?.key;
        let claim = certified.claim.peek()?;
        let letter_key = claim.letter_key.as_slice().to_vec();
        let certificate = offers::check_device(&certified.certificate, person, &key, &letter_key)?;
        // Device keys are no secret: without the new device's own word anybody could register, and then end, another's.
        let asked = certified.claim.verify(&certificate.device_key).map_err(|_| Fault::Inconsistent)?;
        if asked.person != person || asked.device_key != certificate.device_key {
            return Err(Fault::Inconsistent.into());
        }
        self.write(move |conn: &mut Conn| {
            Box::pin(async move {
                let device = DeviceId::of_key(&certificate.device_key);
                if !accounts::has_room_for(conn, person, device).await? {
                    return Err(Fault::TooManyDevices);
                }
                let added = accounts::add_device(conn, &certificate, &certified.certificate, &letter_key).await?;
                // Certified again after a lost answer is fine; a device that is another person's is not.
                let owner = accounts::device(conn, device).await?.map(|found| found.person);
                if added || owner == Some(person) { Ok(()) } else { Err(Fault::Inconsistent) }
            })
        })
        .await?;
        Ok(Reply::Done)
    }

    pub(super) async fn certify_employee(&mut self, signed: &Signed<EmployeeCertificate>) -> Result<Reply, Failed> {
        let leader = self.myself().await?;
        let certificate = signed.verify(&leader.key).map_err(|_| Fault::Inconsistent)?;
        if leader.kind != PersonKind::Leader || leader.unit != Some(certificate.unit) {
            return Err(Fault::NotAllowed.into());
        }
        let (person, bytes) = (self.device.person, encode(signed));
        self.write(move |conn: &mut Conn| {
            Box::pin(async move {
                // Who led the unit once still has such an account.
                if !accounts::leads(conn, person, certificate.unit).await? {
                    return Err(Fault::NotAllowed);
                }
                let employee = accounts::person(conn, certificate.person).await?;
                let fits =
                    employee.is_some_and(|e| e.key == certificate.person_key && e.unit == Some(certificate.unit));
                if !fits {
                    return Err(Fault::Inconsistent);
                }
                accounts::set_employee(conn, certificate.person, &bytes).await?;
                Ok(())
            })
        })
        .await?;
        Ok(Reply::Done)
    }

    pub(super) async fn add_unit(&mut self, new: NewUnit) -> Result<Reply, Failed> {
        if self.myself().await?.kind != PersonKind::Administrator {
            return Err(Fault::NotAllowed.into());
        }
        // The client has asked the same before; what comes otherwise was not made by ours.
        let (Ok(name), Ok(kind)) = (text::UNIT.take(&new.name), text::UNIT_KIND.take(&new.kind)) else {
            return Err(Fault::NameNotPlain.into());
        };
        let unit = UnitId(random()?);
        let ticket: [u8; 16] = random()?;
        let now = self.server.clock.now();
        let code = StoredCode {
            kind: CodeKind::Person(PersonKind::Leader),
            unit: Some(unit),
            offered_by: None,
            expires_ms: now.saturating_add(CODE_MAX_MILLIS),
            used_by: None,
        };
        let unit = self
            .write(move |conn: &mut Conn| {
                Box::pin(async move {
                    let code = match accounts::add_unit(conn, unit, &name, &kind, now).await? {
                        None => code,
                        // The answer was lost, perhaps, and with it the code.
                        Some(known) if known.leader.is_none() => StoredCode { unit: Some(known.unit), ..code },
                        Some(_) => return Err(Fault::UnitExists),
                    };
                    let unit = code.unit.unwrap_or(unit);
                    accounts::add_code(conn, &ticket_hash(&ticket), &code).await?;
                    Ok(unit)
                })
            })
            .await?;
        Ok(Reply::UnitAdded(AddedUnit { unit, leader_code: self.server.municipality.code(ticket).to_text() }))
    }

    /// Of somebody else's device and of one that there is not the answer is the same, and nothing more is looked at.
    pub(super) async fn remove_device(&mut self, removal: DeviceRemoval) -> Result<Reply, Failed> {
        let (own, person, now) = (self.device.device, self.device.person, self.server.clock.now());
        let DeviceRemoval { device, lost } = removal;
        let removed = self
            .server
            .db
            .write::<bool, Fault, _>(move |conn: &mut Conn| {
                Box::pin(async move {
                    let mine = accounts::lock_devices(conn, [own, device], person).await?;
                    if !mine.contains(&own) {
                        return Err(Fault::NotAuthenticated);
                    }
                    if !mine.contains(&device) {
                        return Ok(false);
                    }
                    if lost == Permit::Yes {
                        accounts::end_codes(conn, person).await?;
                    } else if device == own {
                        leaves_all_to_another(conn, own, person, now).await?;
                    } else {
                        let there_since = accounts::certified_at(conn, own).await?;
                        if readers::has_scope_without(conn, device, (own, there_since), now).await? {
                            return Err(Fault::DeviceNeeded);
                        }
                    }
                    accounts::remove_device(conn, device, person).await?;
                    notify(conn, Notice::Ended(device)).await?;
                    Ok(true)
                })
            })
            .await?;
        if removed {
            self.server.fanout.end(device);
        }
        Ok(Reply::Done)
    }
}
