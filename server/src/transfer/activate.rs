//! The old home's word arrives, carried by any client or asked for: the bound commits become records, and
//! this server is the home; or nothing rests on the acceptances any more.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hyper::Method;
use stafett_protocol::codec::encode;
use stafett_protocol::event::{Receipt, Record};
use stafett_protocol::ids::{DeviceId, Municipality};
use stafett_protocol::limits::BODY_BYTES;
use stafett_protocol::policy::Context;
use stafett_protocol::refusal::Refusal;
use stafett_protocol::replica::Replica;
use stafett_protocol::signed::Signed;
use stafett_protocol::state::ScopeState;
use stafett_protocol::transfer::{
    Fate, HomeAccept, TargetInput, Tombstone, TombstoneReply, TombstoneRequest, TransferAbort,
};
use stafett_protocol::wire::{Envelope, Mail, WelcomeMail};

use super::{TOMBSTONES_PATH, answer_of, at_most_a_log};
use crate::db::{Conn, StoreError};
use crate::fanout::{Notice, notify};
use crate::federation::peers::Known;
use crate::municipality::Municipality as Own;
use crate::problem::Fault;
use crate::server::Server;
use crate::store::chain::{self, Entry, HomeStanding};
use crate::store::mail;
use crate::store::readers;
use crate::store::transfers::{self, Hither};

/// How often old homes are asked while something is bound.
const ASK: Duration = Duration::from_secs(2);

/// A tombstone whose signatures hold.
struct Verified {
    accept: HomeAccept,
    accept_id: stafett_protocol::ids::Hash,
    receipt: Receipt,
    signed_receipt: Signed<Receipt>,
}

fn verify(known: &Known, own: &Own, signed: &Signed<Tombstone>) -> Result<Verified, Fault> {
    let bad = |_| Refusal::BadSignature;
    let from = signed.peek()?.from;
    let key = known.trusted.key(from).ok_or(Refusal::NotIdentified)?;
    let tombstone = signed.verify(key).map_err(bad)?;
    let accept = tombstone.accept.verify(&own.public()).map_err(bad)?;
    let receipt = tombstone.receipt.verify(key).map_err(bad)?;
    let fits = accept.from == from
        && (accept.scope, accept.log, accept.to) == (tombstone.scope, tombstone.log, tombstone.to)
        && (receipt.scope, receipt.home_epoch.checked_add(1)) == (accept.scope, Some(accept.home_epoch));
    if !fits {
        return Err(Refusal::AcceptMismatch.into());
    }
    Ok(Verified { accept_id: tombstone.accept.id(), accept, receipt, signed_receipt: tombstone.receipt })
}

/// Serves the scopes of these tombstones from now on. The same ones again change nothing.
pub async fn activate(server: &Server, tombstones: Vec<Signed<Tombstone>>) -> Result<(), Fault> {
    server.may_sign().await?;
    at_most_a_log(&tombstones)?;
    let known = server.federation.peers.known();
    let mut verified = Vec::with_capacity(tombstones.len());
    for signed in &tombstones {
        let one = verify(&known, &server.municipality, signed)?;
        // The commit that moves the log has the old home's time as well.
        server.clock.check_foreign(one.receipt.time)?;
        verified.push(one);
    }
    let told = server
        .db
        .write::<_, Fault, _>(move |conn: &mut Conn| Box::pin(async move { settle(conn, &known, verified).await }))
        .await?;
    for device in told {
        server.fanout.mail(device);
    }
    Ok(())
}

/// One scope in the transaction that makes this server its home.
struct Arrival {
    verified: Verified,
    hither: Hither,
    replica: Replica,
}

async fn settle(conn: &mut Conn, known: &Known, verified: Vec<Verified>) -> Result<Vec<DeviceId>, Fault> {
    // Everybody locks in the same order, cards first.
    let mut ordered = Vec::with_capacity(verified.len());
    for one in verified {
        ordered.push((chain::card_of(conn, one.accept.scope).await?.is_some(), one));
    }
    ordered.sort_by_key(|(hangs, one)| (*hangs, one.accept.scope));
    let mut arrivals = Vec::new();
    for (_, one) in ordered {
        let (scope, home_epoch) = (one.accept.scope, one.accept.home_epoch);
        let locked = chain::lock(conn, scope).await?.ok_or(Refusal::UnknownScope)?;
        let before = transfers::target(conn, scope, home_epoch).await?;
        let input = TargetInput::Tombstone { accept: one.accept_id, position: one.receipt.position };
        let (state, _) = before.state.step(input)?;
        if state == before.state {
            // It serves already.
            continue;
        }
        let replica = chain::load(conn, scope, &locked).await?;
        arrivals.push(Arrival { verified: one, hither: Hither { state, ..before }, replica });
    }
    // The card first: the others are judged by it as it is after its own move.
    arrivals.sort_by_key(|one| one.replica.state().card.is_some_and(|card| card != one.replica.state().scope()));
    let mut cards: BTreeMap<_, ScopeState> = BTreeMap::new();
    let mut told = Vec::new();
    for arrival in arrivals {
        let state = arrive(conn, known, arrival, &cards, &mut told).await?;
        cards.insert(state.scope(), state);
    }
    Ok(told)
}

/// The bound commit becomes the record that the old home has receipted: same event, same time, same head.
async fn arrive(
    conn: &mut Conn,
    known: &Known,
    arrival: Arrival,
    cards: &BTreeMap<stafett_protocol::ids::ScopeId, ScopeState>,
    told: &mut Vec<DeviceId>,
) -> Result<ScopeState, Fault> {
    let Arrival { verified: Verified { accept, receipt, signed_receipt, .. }, hither, mut replica } = arrival;
    let envelope = hither.envelope.clone().ok_or(StoreError::Damaged("transfer"))?;
    let card = match replica.state().card.filter(|card| *card != accept.scope) {
        Some(card) => Some(card_of(conn, card, cards).await?),
        None => None,
    };
    let record = Record { seq: receipt.position.seq, time: receipt.time, event: envelope.event.clone() };
    let home: Municipality = replica.state().membership.home;
    let context = Context { now: receipt.time, home, trusted: &known.trusted, card: card.as_ref() };
    let event = envelope.event.peek()?;
    let before: Vec<DeviceId> = replica.state().membership.devices().map(DeviceId::of_key).collect();
    let record = replica.take(record, &context)?;
    if replica.receipt() != receipt {
        return Err(Refusal::AcceptMismatch.into());
    }
    let entry = Entry {
        scope: accept.scope,
        record: &record,
        device: event.device,
        counter: event.counter,
        receipt: Some(&signed_receipt),
    };
    chain::append(conn, &[entry]).await?;
    chain::save(conn, &replica, true).await?;
    chain::set_standing(conn, accept.scope, HomeStanding::Home).await?;
    transfers::save_target(conn, accept.scope, accept.home_epoch, &Hither { envelope: None, ..hither }).await?;
    welcome(conn, replica.state(), (&envelope, &before), receipt, told).await?;
    notify(conn, Notice::Scope(accept.scope)).await?;
    Ok(replica.state().clone())
}

/// The card as it is after its own move. A concern whose card has not come is not served before it.
async fn card_of(
    conn: &mut Conn,
    card: stafett_protocol::ids::ScopeId,
    cards: &BTreeMap<stafett_protocol::ids::ScopeId, ScopeState>,
) -> Result<ScopeState, Fault> {
    if let Some(state) = cards.get(&card) {
        return Ok(state.clone());
    }
    let locked = chain::lock(conn, card).await?.filter(|locked| locked.standing == HomeStanding::Home);
    let locked = locked.ok_or(Refusal::NotActivated)?;
    Ok(chain::load(conn, card, &locked).await?.state().clone())
}

/// Readers as the commit leaves them; Welcomes for those whom it has added, and word to the listed.
async fn welcome(
    conn: &mut Conn,
    state: &ScopeState,
    (envelope, before): (&Envelope, &[DeviceId]),
    receipt: Receipt,
    told: &mut Vec<DeviceId>,
) -> Result<(), Fault> {
    let (scope, seq) = (state.scope(), receipt.position.seq);
    let after = readers::places(state, receipt.time);
    // A scope that has been here before comes back with other readers.
    readers::forget(conn, scope).await?;
    let listed = readers::save(conn, state, seq, &BTreeMap::new(), &after).await?;
    if let Some(welcome) = &envelope.welcome {
        let mail = Mail::Welcome(WelcomeMail { scope, seq, welcome: welcome.clone() });
        for (device, _) in after.iter().filter(|(device, place)| place.leaf && !before.contains(device)) {
            mail::post(conn, *device, &mail).await?;
            told.push(*device);
        }
    }
    for device in listed {
        mail::post(conn, device, &Mail::Listed(scope)).await?;
        told.push(device);
    }
    Ok(())
}

/// The old home says that these acceptances are never committed.
pub async fn release(server: &Server, aborts: Vec<Signed<TransferAbort>>) -> Result<(), Fault> {
    at_most_a_log(&aborts)?;
    let known = server.federation.peers.known();
    server
        .db
        .write::<(), Fault, _>(move |conn: &mut Conn| {
            Box::pin(async move {
                let bound = transfers::bound(conn).await?;
                for signed in &aborts {
                    free(conn, &known, &bound, signed).await?;
                }
                Ok(())
            })
        })
        .await
}

async fn free(
    conn: &mut Conn,
    known: &Known,
    bound: &[Signed<HomeAccept>],
    signed: &Signed<TransferAbort>,
) -> Result<(), Fault> {
    let claimed = signed.peek()?;
    // Nothing rests on an acceptance that is not bound: an abort of it changes nothing.
    let Some(accept) = bound.iter().find(|accept| accept.id() == claimed.accept) else { return Ok(()) };
    let accept = accept.peek()?;
    let key = known.trusted.key(accept.from).ok_or(Refusal::NotIdentified)?;
    let abort = signed.verify(key).map_err(|_| Refusal::BadSignature)?;
    if abort.scope != accept.scope {
        return Err(Refusal::AcceptMismatch.into());
    }
    chain::lock(conn, accept.scope).await?;
    let before = transfers::target(conn, accept.scope, accept.home_epoch).await?;
    let (state, _) = before.state.step(TargetInput::Release { accept: claimed.accept })?;
    let hither = Hither { state, accept: None, envelope: None };
    Ok(transfers::save_target(conn, accept.scope, accept.home_epoch, &hither).await?)
}

/// Asks old homes for their word while something is bound, until the server stops: a transfer that was
/// committed is never left without a home, whoever has crashed.
pub async fn follow(server: Arc<Server>) {
    let mut stop = server.stop.clone();
    loop {
        // First of all after a start: what was committed while this server was down waits for nobody.
        if let Err(error) = ask_all(&server).await {
            tracing::warn!(%error, "bound transfers were not settled; asking again");
        }
        tokio::select! {
            () = tokio::time::sleep(ASK) => {}
            () = crate::accept::stopped(&mut stop) => return,
        }
    }
}

async fn ask_all(server: &Server) -> Result<(), Fault> {
    let bound = transfers::bound(&mut server.db.reader().await?).await?;
    let mut by_home: BTreeMap<Municipality, BTreeMap<_, Vec<Signed<HomeAccept>>>> = BTreeMap::new();
    for signed in bound {
        let accept = signed.peek()?;
        by_home.entry(accept.from).or_default().entry(accept.log).or_default().push(signed);
    }
    for (home, logs) in by_home {
        for accepts in logs.into_values() {
            // One home that does not answer, or answers nonsense, does not keep the others waiting for ever.
            if let Err(error) = ask_one(server, home, accepts).await {
                tracing::debug!(%error, "an old home has not said what became of a transfer");
            }
        }
    }
    Ok(())
}

async fn ask_one(server: &Server, home: Municipality, accepts: Vec<Signed<HomeAccept>>) -> Result<(), Fault> {
    let request = encode(&TombstoneRequest { accepts });
    let answer = server.federation.outgoing.ask(home, Method::POST, TOMBSTONES_PATH, request, BODY_BYTES).await?;
    let reply: TombstoneReply = answer_of(&answer)?;
    let (mut tombstones, mut aborts) = (vec![], vec![]);
    for fate in reply.fates {
        match fate {
            Fate::Moved(tombstone) => tombstones.push(tombstone),
            Fate::Aborted(abort) => aborts.push(abort),
        }
    }
    release(server, aborts).await?;
    activate(server, tombstones).await
}
