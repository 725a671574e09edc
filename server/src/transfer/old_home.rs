//! The old home's answers: records of what is offered, holds, offers taken back, what became of acceptances.

use std::collections::BTreeSet;

use stafett_protocol::attachment::AttachmentPlace;
use stafett_protocol::event::Receipt;
use stafett_protocol::handover::{SignedAbort, SignedOffer};
use stafett_protocol::ids::{Hash, LogId, Municipality, PersonId};
use stafett_protocol::membership::{Role, ScopeKind};
use stafett_protocol::policy::{may_abort, may_offer};
use stafett_protocol::refusal::Refusal;
use stafett_protocol::signed::Signed;
use stafett_protocol::state::ScopeState;
use stafett_protocol::transfer::{
    AttachmentRequest, Cancellation, Fate, HomeAccept, PullRequest, PulledPart, SourceInput, SourceOutput,
    TombstoneRequest, TransferAbort,
};
use stafett_protocol::wire::Records;

use super::at_most_a_log;
use crate::federation::peers::Peer;
use crate::intake::{Look, epoch_before};
use crate::problem::Fault;
use crate::server::Server;
use crate::store::accounts::Device;
use crate::store::readers;
use crate::store::{attachments, chain, transfers};

/// Longest pause in which a log takes no changes.
const HOLD_MS: u64 = 60_000;

/// One page of a scope that is offered to this peer. Whatever is wrong, the answer is that of a scope
/// which does not exist: a peer learns of nothing that is not offered to it (F9, F15).
pub async fn offered_page(server: &Server, peer: &Peer, request: PullRequest) -> Result<Records, Fault> {
    let scope = request.offer.offer.peek()?.scope;
    let (receipt, _) = offered(server, peer, request.offer).await?;
    let head = receipt.position.seq;
    let page = chain::page(&mut server.db.reader().await?, scope, request.after, head).await?;
    Ok(match page {
        Some((records, receipt)) => Records { scope, records, receipt },
        // Nothing newer: the head, signed, so that the asker knows that it has everything.
        None => Records { scope, records: vec![], receipt: server.municipality.receipt(&receipt) },
    })
}

/// One part of an attachment that the offered scope's chain names.
pub async fn offered_part(server: &Server, peer: &Peer, request: AttachmentRequest) -> Result<PulledPart, Fault> {
    let scope = request.offer.offer.peek()?.scope;
    let (_, named) = offered(server, peer, request.offer).await?;
    if !named.contains(&request.attachment) {
        return Err(Refusal::UnknownScope.into());
    }
    let mut conn = server.db.reader().await?;
    let manifest = attachments::manifest(&mut conn, scope, &request.attachment).await?;
    let place = AttachmentPlace { scope, attachment: request.attachment, part: request.part };
    let bytes = attachments::part(&mut conn, place).await?;
    let (manifest, bytes) = manifest.zip(bytes).ok_or(Refusal::AttachmentMissing)?;
    Ok(PulledPart { manifest, bytes: bytes.into() })
}

/// Where the offered scope stands, and which attachments it has, for the peer to which it is offered.
async fn offered(server: &Server, peer: &Peer, offer: SignedOffer) -> Result<(Receipt, Vec<Hash>), Fault> {
    let scope = offer.offer.peek()?.scope;
    let number = peer.number;
    server
        .intake
        .look(BTreeSet::from([scope]), move |look| {
            Box::pin(async move {
                let state = look.at_home(scope)?;
                let offered = may_offer(state, &look.context(state), &offer)?;
                let receipt = look.receipt(scope)?;
                let home_epoch = state.membership.home_epoch;
                let source = transfers::source(look.conn, scope, home_epoch).await?;
                let stands = !source.aborted.contains(&offer.offer.id());
                let moves = offered.part == stafett_protocol::handover::Part::Moves;
                if stands && moves && offered.to.municipality == number {
                    return Ok((receipt, look.known(scope)?.attachments.clone()));
                }
                Err(Refusal::UnknownScope.into())
            })
        })
        .await
        .map_err(|fault| if matches!(fault, Fault::Refused(..)) { Refusal::UnknownScope.into() } else { fault })
}

/// Whoever could hand the log over, and nobody else, disturbs a move that is under way.
fn answers_for(state: &ScopeState, person: PersonId) -> Result<(), Refusal> {
    let member = state.membership.member(person).ok_or(Refusal::UnknownScope)?;
    let may = matches!(member.role, Role::Holder | Role::Custodian) || member.role.is_family();
    if may { Ok(()) } else { Err(Refusal::NotYours) }
}

/// Takes no changes in a log for a while, for whoever could hand it over. Not twice in a row: who only
/// wants to disturb gets every other minute at most.
pub async fn hold(server: &Server, author: &Device, log: LogId) -> Result<(), Fault> {
    let person = author.person;
    let scopes = chain::log_of(&mut server.db.reader().await?, log).await?;
    server
        .intake
        .look(scopes.into_iter().collect(), move |look| {
            Box::pin(async move {
                let card = look.states().find(|state| state.kind() == ScopeKind::Card);
                let card = card.ok_or(Refusal::UnknownScope)?;
                answers_for(card, person)?;
                look.at_home(card.scope())?;
                let (now, before) = (look.now, look.held_until(card.scope()));
                if now < before {
                    return Ok(());
                }
                if now < before.saturating_add(HOLD_MS) && before != 0 {
                    return Err(Refusal::TooSoon.into());
                }
                chain::hold(look.conn, log, now.saturating_add(HOLD_MS)).await?;
                Ok(())
            })
        })
        .await
}

/// Takes offers back for ever, and lets the acceptances go that are named: whoever hands over will not commit
/// them, and the new home is free for others.
pub async fn abort(
    server: &Server,
    author: &Device,
    cancelled: Cancellation,
) -> Result<Vec<Signed<TransferAbort>>, Fault> {
    at_most_a_log(&cancelled.aborts)?;
    at_most_a_log(&cancelled.accepts)?;
    let mut scopes = BTreeSet::new();
    for signed in &cancelled.aborts {
        scopes.insert(signed.abort.peek()?.scope);
    }
    for signed in &cancelled.accepts {
        scopes.insert(signed.peek()?.scope);
    }
    let (person, device) = (author.person, author.device);
    let (accepts, aborts) = (cancelled.accepts, cancelled.aborts);
    server
        .intake
        .look(scopes, move |look| {
            Box::pin(async move {
                for signed in &aborts {
                    let scope = signed.abort.peek()?.scope;
                    let is_known = readers::reader(look.conn, scope, device, look.now).await?.is_some();
                    // Whoever never had a place there does not learn that there is such a scope, or that it has moved.
                    take_back(look, signed).await.map_err(|fault| match fault {
                        Fault::Refused(..) if !is_known => Refusal::UnknownScope.into(),
                        other => other,
                    })?;
                }
                freed(look, person, accepts).await
            })
        })
        .await
}

async fn take_back(look: &mut Look<'_>, signed: &SignedAbort) -> Result<(), Fault> {
    let scope = signed.abort.peek()?.scope;
    let state = look.at_home(scope)?;
    let offer = may_abort(state, &look.context(state), signed)?;
    let home_epoch = state.membership.home_epoch;
    let source = transfers::source(look.conn, scope, home_epoch).await?;
    let (source, _) = source.step(SourceInput::Abort { offer })?;
    transfers::save_source(look.conn, scope, home_epoch, &source, None).await?;
    Ok(())
}

async fn freed(
    look: &mut Look<'_>,
    person: PersonId,
    accepts: Vec<Signed<HomeAccept>>,
) -> Result<Vec<Signed<TransferAbort>>, Fault> {
    let mut freed = Vec::new();
    for signed in accepts {
        let accept = look.verify_accept(&signed)?;
        let_go(look, person, &accept).await?;
        if let Some(Fate::Aborted(abort)) = fate(look, &accept).await? {
            freed.push(abort);
        }
    }
    Ok(freed)
}

/// Where the scope has moved or gone on there is nothing to let go any more.
async fn let_go(look: &mut Look<'_>, person: PersonId, accept: &HomeAccept) -> Result<(), Fault> {
    let Ok(state) = look.at_home(accept.scope) else { return Ok(()) };
    answers_for(state, person)?;
    let home_epoch = state.membership.home_epoch;
    if accept.log != state.log() || epoch_before(accept) != home_epoch || accept.extends != state.position {
        return Ok(());
    }
    let source = transfers::source(look.conn, accept.scope, home_epoch).await?;
    let (source, _) = source.step(SourceInput::Drop { accept })?;
    Ok(transfers::save_source(look.conn, accept.scope, home_epoch, &source, None).await?)
}

/// What became of a peer's acceptances, as far as it is decided.
pub async fn fates(server: &Server, peer: &Peer, request: TombstoneRequest) -> Result<Vec<Fate>, Fault> {
    at_most_a_log(&request.accepts)?;
    let mut scopes = BTreeSet::new();
    for signed in &request.accepts {
        let accept = signed.verify(&peer.key).map_err(|_| Refusal::UnknownScope)?;
        if accept.to != peer.number {
            return Err(Refusal::UnknownScope.into());
        }
        scopes.insert(accept.scope);
    }
    server
        .intake
        .look(scopes, move |look| {
            Box::pin(async move {
                let mut fates = Vec::new();
                for signed in &request.accepts {
                    fates.extend(fate(look, &look.verify_accept(signed)?).await?);
                }
                Ok(fates)
            })
        })
        .await
}

/// The old home's word on one acceptance. A scope that it never had it has no word on.
async fn fate(look: &mut Look<'_>, accept: &HomeAccept) -> Result<Option<Fate>, Fault> {
    let Ok(state) = look.known(accept.scope) else { return Ok(None) };
    let own: Municipality = look.municipality().number;
    if accept.from != own || accept.log != state.log() {
        return Ok(None);
    }
    let (head, home_epoch) = (state.position, epoch_before(accept));
    let source = transfers::source(look.conn, accept.scope, home_epoch).await?;
    let (_, output) = source.step(SourceInput::Ask { accept, head })?;
    Ok(match output {
        SourceOutput::Tombstone => transfers::tombstone_at(look.conn, accept.scope, home_epoch).await?.map(Fate::Moved),
        SourceOutput::Never => {
            let abort = TransferAbort { scope: accept.scope, accept: stafett_protocol::signed::id_of(accept) };
            Some(Fate::Aborted(look.municipality().sign(&abort)))
        }
        _ => None,
    })
}
