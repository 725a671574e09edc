//! `POST /v1/join`: a one-time code becomes an account, or a question to the devices of an account.
//! The same claim asked again gets the same answer; the code serves nobody else.

use std::sync::Arc;

use stafett_protocol::codec::encode;
use stafett_protocol::credential::PersonCertificate;
use stafett_protocol::ids::{DeviceId, PersonId};
use stafett_protocol::limits::BODY_BYTES;
use stafett_protocol::signed::Signed;
use stafett_protocol::wire::{
    CodeKind, DeviceClaim, JoinClaim, JoinNotice, JoinReply, JoinRequest, KeyPackageOffer, Mail, PersonJoin, Unit,
};

use crate::budget::{Budgets, Good, Payer};
use crate::db::Conn;
use crate::municipality::Municipality;
use crate::offers;
use crate::problem::Fault;
use crate::server::Server;
use crate::store::accounts::{self, StoredCode};
use crate::store::{mail, packages};

/// A sealed name is a name, not a file.
const SEALED_NAME_BYTES: usize = 1024;

/// Answers a join of either kind.
pub async fn join(server: &Server, request: JoinRequest) -> Result<JoinReply, Fault> {
    server.may_sign().await?;
    let (certificate, unit, told) = match request {
        JoinRequest::Person(join) => {
            let (certificate, unit, told) = person(server, join).await?;
            (Some(certificate), unit, told)
        }
        JoinRequest::Device(claim) => (None, None, device(server, claim).await?),
    };
    for device in told {
        server.fanout.mail(device);
    }
    Ok(JoinReply {
        municipality: server.municipality.number,
        municipality_key: server.municipality.public(),
        certificate,
        unit,
    })
}

/// What a new person has shown, all signatures checked.
struct Newcomer {
    claim: JoinClaim,
    signed: Signed<JoinClaim>,
    person: PersonId,
    packages: Vec<Signed<KeyPackageOffer>>,
}

type Joined = (Signed<PersonCertificate>, Option<Unit>, Vec<DeviceId>);

async fn person(server: &Server, join: PersonJoin) -> Result<Joined, Fault> {
    let signed = join.claim;
    let device_key = signed.peek()?.device_key;
    let claim = signed.verify(&device_key).map_err(|_| Fault::Inconsistent)?;
    let person = PersonId::of_first_key(&claim.person_key);
    let certificate = offers::check_device(&claim.device, person, &claim.person_key, claim.letter_key.as_slice())?;
    if certificate.device_key != device_key || claim.sealed_name.as_slice().len() > SEALED_NAME_BYTES {
        return Err(Fault::Inconsistent);
    }
    let newcomer = Newcomer { claim, signed, person, packages: join.key_packages };
    let municipality = Arc::clone(&server.municipality);
    let (now, budgets) = (server.clock.now(), Arc::clone(&server.budgets));
    server
        .db
        .write::<Joined, Fault, _>(move |conn: &mut Conn| {
            Box::pin(async move { settle(conn, &municipality, &budgets, newcomer, now).await })
        })
        .await
}

async fn settle(
    conn: &mut Conn,
    municipality: &Municipality,
    budgets: &Budgets,
    new: Newcomer,
    now: u64,
) -> Result<Joined, Fault> {
    let code = accounts::lock_code(conn, &new.claim.ticket).await?.ok_or(Fault::CodeInvalid)?;
    let CodeKind::Person(kind) = code.kind else {
        return Err(Fault::CodeInvalid);
    };
    let unit = match code.unit {
        Some(unit) => accounts::unit(conn, unit).await?,
        None => None,
    };
    if code.used_by == Some(new.signed.id()) {
        // The first answer was lost.
        let person = accounts::person(conn, new.person).await?.ok_or(Fault::CodeInvalid)?;
        return Ok((person.certificate, unit, Vec::new()));
    }
    check_unused(&code, now)?;
    let certificate = PersonCertificate {
        municipality: municipality.number,
        person: new.person,
        person_key: new.claim.person_key,
        kind,
        unit: code.unit,
        issued_at: now,
    };
    let signed = municipality.certify(&certificate);
    if !accounts::add_person(conn, &certificate, &signed).await? {
        return Err(Fault::Inconsistent);
    }
    let device = new.claim.device.verify(&new.claim.person_key).map_err(|_| Fault::Inconsistent)?;
    if !accounts::add_device(conn, &device, &new.claim.device, new.claim.letter_key.as_slice()).await? {
        return Err(Fault::Inconsistent);
    }
    if kind == stafett_protocol::credential::PersonKind::Leader
        && let Some(unit) = code.unit
    {
        accounts::set_leader(conn, unit, new.person).await?;
    }
    let offered = offers::check_packages(&new.packages, new.person, &device.device_key, &municipality.trusted(), now)?;
    for (offer, signed) in offered.iter().zip(&new.packages) {
        packages::add(conn, offer, signed).await?;
    }
    accounts::use_code(conn, &new.claim.ticket, &new.signed.id()).await?;
    let notice = Mail::Joined(JoinNotice { claim: new.signed, certificate: signed.clone() });
    let told = tell_offerer(conn, budgets, &code, &notice).await?;
    // The unit again: this join may have given it its leader.
    let unit = match code.unit {
        Some(unit) => accounts::unit(conn, unit).await?,
        None => None,
    };
    Ok((signed, unit, told))
}

fn check_unused(code: &StoredCode, now: u64) -> Result<(), Fault> {
    if code.used_by.is_some() || now >= code.expires_ms {
        return Err(Fault::CodeInvalid);
    }
    Ok(())
}

async fn tell_offerer(
    conn: &mut Conn,
    budgets: &Budgets,
    code: &StoredCode,
    notice: &Mail,
) -> Result<Vec<DeviceId>, Fault> {
    let Some(offerer) = code.offered_by else {
        return Ok(Vec::new());
    };
    let devices = accounts::devices_of(conn, offerer).await?;
    // Whoever invites answers for what comes of it: the newcomer has no account yet.
    let bytes = encode(notice).len().saturating_mul(devices.len());
    budgets.take(&[Payer::Person(offerer)], &[(Good::Bytes, bytes as u64)])?;
    for device in &devices {
        mail::post(conn, *device, notice).await?;
    }
    Ok(devices)
}

/// A further device: its person's devices are asked; the server certifies nothing.
async fn device(server: &Server, signed: Signed<DeviceClaim>) -> Result<Vec<DeviceId>, Fault> {
    let device_key = signed.peek()?.device_key;
    let claim = signed.verify(&device_key).map_err(|_| Fault::Inconsistent)?;
    if claim.sealed_name.as_slice().len() > SEALED_NAME_BYTES || signed.bytes().len() > BODY_BYTES {
        return Err(Fault::Inconsistent);
    }
    let (now, budgets) = (server.clock.now(), Arc::clone(&server.budgets));
    server
        .db
        .write::<Vec<DeviceId>, Fault, _>(move |conn: &mut Conn| {
            Box::pin(async move {
                let code = accounts::lock_code(conn, &claim.ticket).await?.ok_or(Fault::CodeInvalid)?;
                if code.kind != CodeKind::Device || code.offered_by != Some(claim.person) {
                    return Err(Fault::CodeInvalid);
                }
                if code.used_by == Some(signed.id()) {
                    return Ok(Vec::new());
                }
                check_unused(&code, now)?;
                accounts::use_code(conn, &claim.ticket, &signed.id()).await?;
                tell_offerer(conn, &budgets, &code, &Mail::DeviceAsks(signed)).await
            })
        })
        .await
}
