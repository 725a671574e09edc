//! The new home gets ready: fetches what is offered to its people, judges the moving commits on the exact
//! heads, stores them as bound, and signs that it will be the home once they stand.

use std::time::{Duration, Instant};

use stafett_protocol::event::{Event, Record};
use stafett_protocol::handover::{HandoverOffer, Part, SignedOffer};
use stafett_protocol::ids::Municipality;
use stafett_protocol::policy::Context;
use stafett_protocol::refusal::Refusal;
use stafett_protocol::replica::Replica;
use stafett_protocol::signed::Signed;
use stafett_protocol::state::ScopeState;
use stafett_protocol::transfer::{HomeAccept, Preparation, Prepared, TargetInput, accept_of};
use stafett_protocol::wire::{Envelope, ScopePosition, welcome_hash};

use super::at_most_a_log;
use super::fetch::Fetching;
use crate::db::Conn;
use crate::problem::Fault;
use crate::server::Server;
use crate::signing;
use crate::store::chain;
use crate::store::transfers::{self, Hither};

/// How long one request fetches before it answers how far it is; the caller asks again.
const ROUND: Duration = Duration::from_secs(4);

/// Fetches, and with moving commits at hand accepts; answers how far it is.
pub async fn prepare(server: &Server, asked: Preparation) -> Result<Prepared, Fault> {
    server.may_sign().await?;
    at_most_a_log(&asked.offers)?;
    let offers = offers(server, &asked)?;
    let started = Instant::now();
    let mut fetched = Vec::with_capacity(offers.len());
    let mut complete = true;
    for (signed, offer) in &offers {
        let mut fetching = Fetching::of(server, offer.scope, offer.log, asked.from).await?;
        let mut whole = false;
        // The card comes first, and whole: the others' records are judged beside it.
        let card = fetched.first().and_then(|card: &Fetching| card.replica().ok()).map(Replica::state);
        while complete && !whole && started.elapsed() < ROUND {
            whole = fetching.page(server, signed, card).await?;
        }
        if whole {
            whole = fetching.files(server, signed, started + ROUND).await?;
        }
        complete &= whole;
        fetched.push(fetching);
    }
    let positions = fetched.iter().map(|f| ScopePosition { scope: f.scope, seq: f.position().seq }).collect();
    let mut accepts = vec![];
    if complete && !asked.bundle.envelopes.is_empty() {
        accepts = accept(server, asked.from, &offers, &fetched, asked.bundle.envelopes).await?;
    }
    Ok(Prepared { accepts, fetched: positions })
}

/// The offers that this home's own people have accepted; nobody else's fill its disk.
fn offers(server: &Server, asked: &Preparation) -> Result<Vec<(SignedOffer, HandoverOffer)>, Fault> {
    let own = &server.municipality;
    let mut found = Vec::with_capacity(asked.offers.len());
    for signed in &asked.offers {
        let offer = signed.offer.peek()?;
        if offer.part != Part::Moves || offer.to.municipality != own.number {
            return Err(Refusal::HandoverMismatch.into());
        }
        let id = signed.offer.id();
        let accepted = asked.acceptances.iter().any(|signed| {
            let Ok(claimed) = signed.peek() else { return false };
            let certificate = claimed.certificate.verify(&own.public());
            let employed = certificate.is_ok_and(|c| (c.person, c.person_key) == (claimed.person, claimed.person_key));
            claimed.offer == id && employed && signed.verify(&claimed.person_key).is_ok()
        });
        if !accepted {
            return Err(Refusal::NotAccepted.into());
        }
        found.push((signed.clone(), offer));
    }
    Ok(found)
}

/// Judges every moving commit on what was fetched, the card's first, and binds all of them at once.
async fn accept(
    server: &Server,
    from: Municipality,
    offers: &[(SignedOffer, HandoverOffer)],
    fetched: &[Fetching],
    envelopes: Vec<Envelope>,
) -> Result<Vec<Signed<HomeAccept>>, Fault> {
    if envelopes.len() != offers.len() {
        return Err(Refusal::HandoverPartial.into());
    }
    let known = server.federation.peers.known();
    let mut card: Option<ScopeState> = None;
    let mut judged = Vec::with_capacity(envelopes.len());
    for envelope in envelopes {
        let event = envelope.event.peek()?;
        let one = fetched.iter().find(|f| f.scope == event.scope).ok_or(Refusal::WrongScope)?;
        let replica = one.replica()?;
        let state = replica.state();
        let (_, offer) = offers.iter().find(|(_, o)| o.scope == event.scope).ok_or(Refusal::WrongScope)?;
        check_welcome(&event, &envelope)?;
        // What was fetched before this clock was set right.
        server.clock.check_foreign(state.time)?;
        let now = server.clock.now().max(state.time);
        // Card and concerns are of one log, and the card says whose that is.
        let of = state.card.filter(|card| *card != state.scope());
        if of.is_some() && of != card.as_ref().map(ScopeState::scope) {
            return Err(Refusal::HandoverPartial.into());
        }
        let record = Record { seq: state.position.seq.saturating_add(1), time: now, event: envelope.event.clone() };
        let context = Context { now, home: state.membership.home, trusted: &known.trusted, card: card.as_ref() };
        let next = replica.judge(record, &context)?;
        let accept = accept_of(replica, &next, &envelope)?;
        let named = offers.iter().any(|(signed, _)| signed.offer.id() == accept.offer);
        if accept.to != server.municipality.number || accept.log != offer.log || !named {
            return Err(Refusal::AcceptMismatch.into());
        }
        if accept.from != from {
            return Err(Refusal::WrongHome.into());
        }
        if of.is_none() {
            card = next.next_state().cloned();
        }
        judged.push((accept, envelope));
    }
    if card.is_none() {
        return Err(Refusal::HandoverPartial.into());
    }
    bind(server, judged).await
}

fn check_welcome(event: &Event, envelope: &Envelope) -> Result<(), Fault> {
    let stafett_protocol::event::Body::Commit(commit) = &event.body else {
        return Err(Refusal::AcceptMismatch.into());
    };
    let hash = envelope.welcome.as_ref().map(|welcome| welcome_hash(welcome.as_slice()));
    if commit.welcome == hash { Ok(()) } else { Err(Refusal::WelcomeMismatch.into()) }
}

/// One transaction: every scope is bound, and only then is anything signed shown. Where an earlier acceptance of
/// another commit stands in the way nothing changes, and that one is shown: whoever hands over may have it let go.
async fn bind(server: &Server, mut judged: Vec<(HomeAccept, Envelope)>) -> Result<Vec<Signed<HomeAccept>>, Fault> {
    // Everybody locks in the same order: the card, which was judged first, and then the others.
    if let Some((_, others)) = judged.split_first_mut() {
        others.sort_by_key(|(accept, _)| accept.scope);
    }
    let municipality = std::sync::Arc::clone(&server.municipality);
    let clock = std::sync::Arc::clone(&server.clock);
    server
        .db
        .write::<_, Fault, _>(move |conn: &mut Conn| {
            Box::pin(async move {
                signing::time(conn, &clock).await?;
                let (mut bound, mut standing) = (Vec::with_capacity(judged.len()), vec![]);
                for (accept, envelope) in judged {
                    let locked = chain::lock(conn, accept.scope).await?.ok_or(Refusal::UnknownScope)?;
                    if locked.position != accept.extends {
                        return Err(Refusal::StaleAccept.into());
                    }
                    let before = transfers::target(conn, accept.scope, accept.home_epoch).await?;
                    match before.state.step(TargetInput::Prepare { accept: &accept }) {
                        Ok((state, _)) => bound.push((accept, envelope, state)),
                        Err(Refusal::Bound) => standing.extend(before.accept),
                        Err(refusal) => return Err(refusal.into()),
                    }
                }
                if !standing.is_empty() {
                    return Ok(standing);
                }
                let mut accepts = Vec::with_capacity(bound.len());
                for (accept, envelope, state) in bound {
                    let signed = municipality.sign(&accept);
                    let hither = Hither { state, accept: Some(signed.clone()), envelope: Some(envelope) };
                    transfers::save_target(conn, accept.scope, accept.home_epoch, &hither).await?;
                    accepts.push(signed);
                }
                Ok(accepts)
            })
        })
        .await
}
