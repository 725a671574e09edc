//! What honest people's clients do by themselves: found anew what they cannot process, remove who is listed, repair
//! the key chain, let back who may come back.

use super::facts::{Board, Deed, Draft, Facts, link, repair};
use super::moves::{Game, P};
use crate::common::*;
use stafett_protocol::consent::{Objection, Permit};
use stafett_protocol::event::Carried;
use stafett_protocol::ids::PublicKey;
use stafett_protocol::membership::{Member, Membership, Role};
use stafett_protocol::statement::{KeyPlace, Reject, RejectReason, Statement};

/// Rounds after which people would have come to rest, were there any rest.
const ROUNDS: usize = 60;

/// The next generation with one member in it.
pub fn founded(facts: &Facts, seat: &Member, device: &Device, carries: Option<Carried>) -> Deed {
    let membership = Membership {
        generation: facts.state.membership.generation + 1,
        members: vec![Member { devices: vec![device.public()], ..seat.clone() }],
        ..facts.state.membership.clone()
    };
    Deed::Found { membership, carries, vouchers: vec![] }
}

pub fn carried(generation: u32, epoch: u64, junk: bool) -> Option<Carried> {
    Some(Carried { to: KeyPlace { generation, epoch }, link: link(junk).into() })
}

pub fn reject(facts: &Facts) -> Deed {
    Deed::Say(Statement::Reject(Reject { seq: facts.state.last_commit, reason: RejectReason::Mls }))
}

/// Everybody who must go goes, and nothing else happens.
pub fn sweep(facts: &Facts) -> Deed {
    Deed::Commit(Draft { removes: facts.listed(), membership: Some(facts.swept().sorted()), ..Draft::default() })
}

/// These devices of a member come (back) in, in this seat.
pub fn let_in(facts: &Facts, seat: &Member, devices: usize) -> Deed {
    let mut membership = facts.swept();
    let here = membership.members.iter().find(|m| m.person == seat.person).map_or(vec![], |m| m.devices.clone());
    let adds: Vec<_> = seat.devices.iter().filter(|d| !here.contains(d)).take(devices).copied().collect();
    match membership.members.iter_mut().find(|m| m.person == seat.person) {
        Some(member) => {
            member.devices.extend(&adds);
            (member.role, member.basis) = (seat.role, seat.basis);
        }
        None => membership.members.push(Member { devices: adds.clone(), ..seat.clone() }),
    }
    let membership = Some(membership.sorted());
    Deed::Commit(Draft { adds, removes: facts.listed(), membership, ..Draft::default() })
}

/// Whoever a re-founding keeps a seat for, with devices that are not here and could be.
fn awaited(facts: &Facts) -> Vec<Member> {
    let here = |d: &PublicKey| facts.state.membership.devices().any(|h| h == d);
    let mut seats = facts.state.readmit.clone();
    for seat in seats.iter_mut().filter(|m| facts.withheld.contains(&m.person)) {
        seat.devices.truncate(1);
    }
    seats.retain(|m| m.devices.iter().any(|d| !here(d)));
    seats
}

/// What is due for this person, the first thing first.
fn due(world: &World, facts: &Facts, by: P, pick: usize) -> Vec<Deed> {
    let (state, id) = (&facts.state, world.id(by.who()));
    let device = facts.device(world, by);
    let guards = facts.ledger.authority.guardians.iter().any(|g| g.person == id);
    let mut deeds = if guards { objections(world, facts, by) } else { vec![] };
    if state.is_orphaned(facts.now) {
        let seat = world.founder(by.who(), Role::Guardian, state.authority().id());
        deeds.extend(guards.then(|| founded(facts, &seat, device, None)));
        return deeds;
    }
    let (reads, in_step) = (facts.reads(id), facts.ledger.in_step(id, state));
    let gaps = facts.ledger.gaps.iter().filter(|g| reads && !g.mended && g.witnesses.contains(&id));
    deeds.extend(gaps.map(|g| repair(g.generation, g.epoch, false)));
    if state.rejected == Permit::Yes {
        deeds.extend(anew(world, facts, by));
    } else if reads && !in_step {
        deeds.push(reject(facts));
    }
    if reads && in_step {
        if !facts.listed().is_empty() {
            deeds.push(sweep(facts));
        }
        let mut back = awaited(facts);
        let turn = if back.is_empty() { 0 } else { pick % back.len() };
        back.rotate_left(turn);
        deeds.extend(back.iter().map(|seat| let_in(facts, seat, seat.devices.len())));
    }
    deeds
}

/// A guardian says no, once, to whatever would change who decides; only how many of them must sign is let pass.
fn objections(world: &World, facts: &Facts, by: P) -> Vec<Deed> {
    let (id, present) = (world.id(by.who()), &facts.ledger.authority);
    let waits =
        facts.ledger.decisions.iter().filter(|d| !d.objected.contains(&id) && d.to.guardians != present.guardians);
    waits.map(|d| Deed::Say(Statement::Objection(Objection { change: d.change }))).collect()
}

/// The next generation, from the newest key that this person has, of whatever generation.
fn anew(world: &World, facts: &Facts, by: P) -> Option<Deed> {
    let id = world.id(by.who());
    let seat = facts.state.before_last_commit.iter().find(|m| m.person == id)?;
    let carries = facts.ledger.newest(id).and_then(|(generation, epoch)| carried(generation, epoch, false));
    Some(founded(facts, seat, facts.device(world, by), carries))
}

/// One step of one person; whether there was any.
pub fn answer(board: &mut impl Board, world: &World, by: P, pick: usize) -> bool {
    let deeds = due(world, board.facts(), by, pick);
    let device = board.facts().device(world, by);
    deeds.iter().any(|deed| board.take(world, device, deed).is_ok())
}

/// Somebody of the family, or the holder, whom nobody lets back: their client goes on alone, with whoever it lets in.
fn insist(board: &mut impl Board, world: &World, by: P) -> bool {
    let (facts, id) = (board.facts(), world.id(by.who()));
    let waits = facts.state.readmit.iter().any(|m| m.person == id && matches!(m.role, Role::Guardian | Role::Holder))
        && !facts.reads(id);
    let device = facts.device(world, by);
    if !waits || board.take(world, device, &reject(board.facts())).is_err() {
        return false;
    }
    let deed = anew(world, board.facts(), by);
    deed.is_some_and(|deed| board.take(world, device, &deed).is_ok())
}

/// Everybody honest does what is due, until nothing is.
pub fn settle(board: &mut impl Board, world: &World, game: &Game) {
    for _ in 0..ROUNDS {
        let moved = game.honest().filter(|p| answer(board, world, *p, 0)).count();
        if moved == 0 && !game.honest().any(|p| insist(board, world, p)) {
            return;
        }
    }
}
