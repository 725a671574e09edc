//! What must hold after every step (`docs/architecture.md`, What must stay true). Every check reads the world from outside: the
//! home's chains, what devices report, what lies on their disks.

use super::world::World;
use crate::model::home::ModelHome;
use crate::model::net::Net as _;
use stafett_client_core::client::{Report, Standing};
use stafett_protocol::ids::{Hash, ScopeId};
use stafett_protocol::membership::{Role, ScopeKind};
use stafett_protocol::state::{ScopeState, Status};
use std::collections::BTreeMap;

/// Reports of every device, by scope.
pub(super) type Reports = BTreeMap<ScopeId, Vec<(usize, Report)>>;

pub(super) fn reports(world: &World) -> Reports {
    let mut all = Reports::new();
    for (at, node) in world.nodes.iter().enumerate().filter(|(at, _)| world.is_here(*at)) {
        for report in node.device.client.standings() {
            all.entry(report.scope).or_default().push((at, report));
        }
    }
    all
}

/// The scopes that the last step touched. Answers how many checks were made.
pub fn check_touched(world: &mut World) -> Result<u64, String> {
    let checked = world.in_each_history(|world| {
        let scopes: Vec<ScopeId> = world.history.touched.iter().copied().collect();
        let reports = reports(world);
        check_scopes(world, &scopes, &reports)
    });
    checked.into_iter().sum()
}

pub(super) fn check_scopes(world: &mut World, scopes: &[ScopeId], reports: &Reports) -> Result<u64, String> {
    if let Some(fork) = world.forks.first() {
        return Err(format!("the home signed {fork}"));
    }
    // What a home has lost that was put back is asked for once its operator has opened it.
    let scopes: &[ScopeId] = &scopes.iter().copied().filter(|scope| !world.is_behind(*scope)).collect::<Vec<_>>();
    for scope in scopes {
        let here = reports.get(scope).map_or(&[][..], Vec::as_slice);
        let Some(chain) = world.history.home.chain(*scope) else { continue };
        let state = chain.replica.state();
        one_home(world, state)?;
        one_holder(world, state)?;
        everyone_is_let_in(state, world.history.home.now())?;
        heads_agree(world, *scope, here)?;
        documents_agree(world, here)?;
        cut_off(world, *scope, here)?;
    }
    acknowledged_stands(world, scopes)?;
    Ok(scopes.len() as u64 * 7)
}

/// SP16: at most one home accepts events; where none does, the old one has let go for the one that has promised. What
/// a former home keeps is how the scope's history begins, up to where its tombstone stands, and no further.
fn one_home(world: &World, state: &ScopeState) -> Result<(), String> {
    let scope = state.scope();
    let serving: Vec<u16> = world.history.home.all().filter(|h| h.serves(scope)).map(|h| h.number).collect();
    if serving.len() > 1 {
        return Err(format!("{scope} has the homes {serving:?}"));
    }
    let whole = &world.history.home.chain(scope).expect("is somewhere").records;
    for home in world.history.home.all().filter(|h| h.scopes.contains_key(&scope) && !h.serves(scope)) {
        let stone = home.tombstones.get(&scope).and_then(|t| t.peek().ok());
        let stone = stone.ok_or(format!("{} let {scope} go without a tombstone", home.number))?;
        let kept = &home.scopes[&scope].records;
        let upto = stone.receipt.peek().map_err(|e| e.to_string())?.position.seq;
        if kept.len() as u64 != upto || !whole.starts_with(kept) {
            return Err(format!("{} and the tombstone of {scope} at {upto} disagree", home.number));
        }
        let accept = stone.accept.peek().map_err(|e| e.to_string())?;
        let awaited = |h: &ModelHome| h.number == stone.to && h.transfers.awaits(&accept);
        if serving.is_empty() && kept.len() == whole.len() && !world.history.home.all().any(awaited) {
            return Err(format!("{scope} has no home, and nobody waits for it"));
        }
    }
    Ok(())
}

/// SP15, C1: exactly one holder a log, by the card; who holds it holds every part of it that is open.
fn one_holder(world: &World, state: &ScopeState) -> Result<(), String> {
    if !matches!(state.kind(), ScopeKind::Card | ScopeKind::Journal | ScopeKind::Concern) {
        return Ok(());
    }
    let holders: Vec<_> = state.present().filter(|m| m.role == Role::Holder).collect();
    // What was closed when the baton passed has archivists alone.
    if holders.is_empty() && state.status == Status::Closed && state.kind() != ScopeKind::Card {
        return Ok(());
    }
    let [holder] = holders.as_slice() else { return Err(format!("{} holders in {}", holders.len(), state.scope())) };
    let card = state.card.and_then(|card| world.history.home.chain(card)).map(|c| c.replica.state());
    let by_card = card.and_then(|c| c.holder()).map(|h| h.person);
    // What the family took from its holder rests as it is until they give it to somebody; what a holder never let anybody
    // into has ended with their place on the card.
    let active = state.status_at(world.history.home.now()) == Status::Active;
    let is_read = state.present().any(|m| m.role != Role::Holder);
    if active && is_read && by_card.is_some_and(|person| person != holder.person) {
        return Err(format!("{} ({:?}) has another holder than its card", state.scope(), state.status));
    }
    Ok(())
}

/// SP7: no leaf without what lets it in, listed leaves excepted.
fn everyone_is_let_in(state: &ScopeState, now: u64) -> Result<(), String> {
    let listed = state.listed_at(now);
    for member in &state.membership.members {
        if member.devices.iter().all(|d| listed.contains(d)) {
            continue;
        }
        let in_force = |basis: &Hash| {
            let fact = state.grants.iter().find(|g| g.id == *basis);
            fact.is_some_and(|g| g.ended_at == 0 && now < g.grant.expires_at && !g.signers.is_empty())
        };
        let stands = match member.role {
            Role::Guardian | Role::Child => state.authority().key(member.person) == Some(&member.person_key),
            Role::Actor | Role::Reader | Role::Custodian => in_force(&member.basis),
            Role::Holder => state.grants.iter().any(|g| g.id == member.basis),
            _ => true,
        };
        if !stands {
            return Err(format!("a {:?} of {} stands on nothing", member.role, state.scope()));
        }
    }
    Ok(())
}

/// SP10: where two know the same seq, they know the same head.
fn heads_agree(world: &mut World, scope: ScopeId, reports: &[(usize, Report)]) -> Result<(), String> {
    let records = &world.history.home.chain(scope).expect("is somewhere").records;
    let heads = world.history.chain_heads.entry(scope).or_insert_with(|| vec![Hash::default()]);
    for record in &records[heads.len() - 1..] {
        let head = heads.last().map_or_else(Hash::default, |before| record.head_after(before));
        heads.push(head);
    }
    for (at, report) in reports {
        // A removed device is handed its removal alone, which is no place in its chain.
        let there = heads.get(report.position.seq as usize);
        if report.standing != Standing::Withdrawn && there != Some(&report.position.head) {
            return Err(format!("device {at} knows another history of {scope} at {}", report.position.seq));
        }
    }
    for ((_, seq), named) in world.history.heads.range((scope, 0)..=(scope, u64::MAX)) {
        if heads.get(*seq as usize).is_some_and(|h| h.0 != *named) {
            return Err(format!("a receipt of {scope} at {seq} is not of this chain"));
        }
    }
    Ok(())
}

/// SP22, SP24: documents of two devices with the same events are identical, quarantine included.
fn documents_agree(world: &World, reports: &[(usize, Report)]) -> Result<(), String> {
    let readable = |r: &Report| r.standing == Standing::Member && r.unopened == 0;
    let mut first: BTreeMap<u64, (usize, &Report)> = BTreeMap::new();
    for (at, report) in reports.iter().filter(|(_, r)| readable(r)) {
        let (other, known) = *first.entry(report.position.seq).or_insert((*at, report));
        if known.heads != report.heads || known.quarantined != report.quarantined {
            let person = |n: usize| world.nodes[n].person;
            return Err(format!(
                "devices {other} (person {}) and {at} (person {}) have different documents of {:?} {} at {}: {} or {} heads, out stay {:?} or {:?}",
                person(other),
                person(*at),
                report.kind,
                report.scope,
                report.position.seq,
                known.heads.len(),
                report.heads.len(),
                known.quarantined,
                report.quarantined,
            ));
        }
    }
    Ok(())
}

/// SP3: who has lost access reads nothing that is accepted afterwards.
fn cut_off(world: &World, scope: ScopeId, reports: &[(usize, Report)]) -> Result<(), String> {
    let chain = world.history.home.chain(scope).expect("is somewhere");
    for (at, report) in reports.iter().filter(|(_, r)| r.standing == Standing::Member) {
        let last = world.nodes[*at].device.id.and_then(|device| chain.last_read.get(&device));
        if last.is_some_and(|last| report.position.seq > *last) {
            return Err(format!("device {at} read on in {scope} after it lost access at {last:?}"));
        }
    }
    Ok(())
}

/// SP18: what was acknowledged stands where the receipt says.
fn acknowledged_stands(world: &World, scopes: &[ScopeId]) -> Result<(), String> {
    for scope in scopes {
        for ((_, seq), (device, counter)) in world.history.acknowledged.range((*scope, 0)..=(*scope, u64::MAX)) {
            let record = world.history.home.chain(*scope).and_then(|c| c.records.get(*seq as usize - 1));
            let event = record.and_then(|r| r.event.peek().ok());
            if event.is_none_or(|e| (e.device, e.counter) != (*device, *counter)) {
                return Err(format!("an acknowledged event of {scope} at {seq} is gone"));
            }
        }
    }
    Ok(())
}
