//! What must hold after every step, whatever the rules are: nobody reads without consent, one holder, the family is
//! in, and there is always a way on.

use super::facts::{Board, Deed, Draft, Facts};
use super::honest::{let_in, settle};
use super::moves::{GUARDIANS, Game, P};
use crate::common::*;
use stafett_protocol::consent::{Access, Grantee, Target, Withdrawal};
use stafett_protocol::handover::{Destination, HandoverOffer, Part};
use stafett_protocol::ids::{DeviceId, Hash, PersonId};
use stafett_protocol::membership::{Member, Role};
use stafett_protocol::signed::{Signed, id_of};
use stafett_protocol::state::Status;
use stafett_protocol::statement::Statement;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// Somebody reads without consent in force.
    Reads,
    TwoHolders,
    /// Somebody of the family is out against the authority's will.
    FamilyOut,
    /// Or may come back one day, and until then ends nothing.
    FamilyMute,
    /// Nobody honest can write, or make it so that somebody can.
    NoWayOn,
    /// Somebody new would not read the past, and nobody can mend that.
    NoPast,
    /// Somebody new cannot be let in.
    NoNewcomer,
}

pub const ALL: [Broken; 7] = [
    Broken::Reads,
    Broken::TwoHolders,
    Broken::FamilyOut,
    Broken::FamilyMute,
    Broken::NoWayOn,
    Broken::NoPast,
    Broken::NoNewcomer,
];

/// Something that must never be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    pub kind: Broken,
    pub what: String,
}

fn broken(kind: Broken, what: impl Into<String>) -> Result<(), Violation> {
    Err(Violation { kind, what: what.into() })
}

/// Everything among `kinds`.
pub fn check(world: &World, game: &Game, facts: &Facts, kinds: &[Broken]) -> Result<(), Violation> {
    let asked = |kind| kinds.contains(&kind);
    if asked(Broken::Reads) {
        nobody_reads_without_consent(world, facts)?;
    }
    if asked(Broken::TwoHolders) {
        one_holder(world, facts)?;
    }
    if asked(Broken::FamilyOut) {
        family_is_in(world, game, facts)?;
    }
    if asked(Broken::FamilyMute) {
        family_may_act(world, game, facts)?;
    }
    if [Broken::NoWayOn, Broken::NoPast, Broken::NoNewcomer].iter().any(|k| asked(*k)) {
        let found = way_on(world, game, facts);
        return found.or_else(|v| if asked(v.kind) { Err(v) } else { Ok(()) });
    }
    Ok(())
}

fn name(world: &World, person: PersonId) -> String {
    let who = world.people.iter().position(|p| p.id == person);
    let strangers = [P::Outsider, P::Former, P::Foreign, P::Newcomer];
    let all = [P::Leader, P::Teacher, P::Mother, P::Father, P::Ppt, P::Coach, P::Made, P::Invented];
    all.iter().chain(&strangers).find(|p| Some(p.who()) == who).map_or(format!("{person:?}"), |p| format!("{p:?}"))
}

fn nobody_reads_without_consent(world: &World, facts: &Facts) -> Result<(), Violation> {
    let listed = facts.listed();
    for member in &facts.state.membership.members {
        for device in member.devices.iter().filter(|d| !listed.contains(d)) {
            let who = name(world, member.person);
            if world.id(world.by_id(DeviceId::of_key(device)).who) != member.person {
                return broken(Broken::Reads, format!("{who} has somebody else's device"));
            }
            if let Err(why) = facts.ledger.lets_in(world, member, facts.now) {
                return broken(Broken::Reads, format!("{who} reads as {:?}: {why}", member.role));
            }
        }
    }
    Ok(())
}

fn one_holder(world: &World, facts: &Facts) -> Result<(), Violation> {
    let seats = facts.state.membership.members.iter().chain(&facts.state.readmit);
    let mut holders: Vec<PersonId> = seats.filter(|m| m.role == Role::Holder).map(|m| m.person).collect();
    holders.sort_unstable();
    holders.dedup();
    if holders.len() > 1 {
        let names: Vec<_> = holders.iter().map(|h| name(world, *h)).collect();
        return broken(Broken::TwoHolders, format!("holders, or about to be: {}", names.join(", ")));
    }
    Ok(())
}

/// Guardians by the family's own will whose keys nobody hostile has.
fn honest_guardians<'a>(world: &'a World, game: &'a Game, facts: &'a Facts) -> impl Iterator<Item = P> + 'a {
    let named = |p: &P| {
        let id = world.id(p.who());
        facts.ledger.authority.guardians.iter().any(|g| g.person == id) && !facts.ledger.rekeyed.contains(&id)
    };
    GUARDIANS.into_iter().filter(move |p| game.is_honest(*p) && named(p))
}

fn withdrawal(world: &World, facts: &Facts, by: P) -> Deed {
    let at = facts.state.position.seq.to_be_bytes();
    let mut salt = [0xEE; 16];
    salt[..8].copy_from_slice(&at);
    let said = Withdrawal { log: world.log(), scope: CARD, target: Target::All, salt };
    let withdrawal = Signed::sign(&said, &world.person(by.who()).key);
    let signer = world.id(by.who());
    Deed::Say(Statement::Withdrawal(stafett_protocol::consent::SignedWithdrawal { signer, withdrawal }))
}

/// Whether this guardian can end every consent, or has nothing left to end.
fn may_withdraw(world: &World, facts: &Facts, by: P) -> bool {
    let asked = facts.judge(world, facts.device(world, by), &withdrawal(world, facts, by));
    matches!(asked.map(drop), Ok(()) | Err(Refusal::NothingToWithdraw))
}

/// In a scope that is orphaned the family founds anew.
fn family_is_in(world: &World, game: &Game, facts: &Facts) -> Result<(), Violation> {
    let id = |p: &P| world.id(p.who());
    let back = |p: &P| facts.state.readmit.iter().any(|m| m.person == id(p));
    let out = honest_guardians(world, game, facts).find(|p| !facts.reads(id(p)) && !back(p));
    match out.filter(|_| !facts.state.is_orphaned(facts.now)) {
        Some(guardian) => broken(Broken::FamilyOut, format!("{guardian:?} is out and cannot come back")),
        None => Ok(()),
    }
}

fn family_may_act(world: &World, game: &Game, facts: &Facts) -> Result<(), Violation> {
    let mute = honest_guardians(world, game, facts).find(|p| !may_withdraw(world, facts, *p));
    match mute.filter(|_| !facts.state.is_orphaned(facts.now)) {
        Some(guardian) => broken(Broken::FamilyMute, format!("{guardian:?} can withdraw nothing")),
        None => Ok(()),
    }
}

fn somebody_writes(world: &World, game: &Game, facts: &Facts, more: &[P]) -> bool {
    let writes = |p: P| {
        let in_step = facts.ledger.in_step(world.id(p.who()), &facts.state);
        in_step && facts.judge(world, facts.device(world, p), &Deed::Write).is_ok()
    };
    game.honest().chain(more.iter().copied()).any(writes)
}

fn way_on(world: &World, game: &Game, facts: &Facts) -> Result<(), Violation> {
    let mut after = facts.clone();
    settle(&mut after, world, game);
    let guardians: Vec<P> = honest_guardians(world, game, &after).collect();
    let quorum = guardians.len() >= usize::from(after.ledger.authority.quorum);
    let active = after.state.status_at(after.now) == Status::Active;
    if !somebody_writes(world, game, &after, &[]) {
        if !quorum {
            // Without the hostile guardian's consent there is no log; but an active one is not stopped by a trick.
            // (Whom two others have given a new key needs a device under it first, which is in nobody's hands here.)
            return if active && after.ledger.rekeyed.is_empty() {
                broken(Broken::NoWayOn, "the log is active, and nobody honest writes")
            } else {
                Ok(())
            };
        }
        if !guardians.iter().any(|g| begins_anew(world, game, &after, *g, &guardians)) {
            return broken(Broken::NoWayOn, "nobody honest writes, nor can the family give the log to somebody new");
        }
        return past_is_read(world, game, &after);
    }
    past_is_read(world, game, &after)?;
    if quorum && active && !newcomer_comes_in(world, game, &after, &guardians) {
        return broken(Broken::NoNewcomer, "nobody can let in whom the family consents to");
    }
    Ok(())
}

fn past_is_read(world: &World, game: &Game, after: &Facts) -> Result<(), Violation> {
    let knows = |person: &PersonId| after.reads(*person) && game.honest().any(|p| world.id(p.who()) == *person);
    let lost = |g: &&super::ledger::Gap| !g.mended && g.witnesses.iter().any(knows);
    match after.ledger.gaps.iter().find(lost) {
        Some(gap) => broken(Broken::NoPast, format!("behind epoch {} of {}", gap.epoch, gap.generation)),
        None => Ok(()),
    }
}

/// The honest guardians consent, and `by` passes it on.
fn consent(world: &World, facts: &mut Facts, by: P, guardians: &[P], access: Access) -> Option<Hash> {
    let authority = facts.state.authority().clone();
    let mut grant = world.grant(world.log(), CARD, world.person_grantee(P::Newcomer.who()), access, &authority);
    grant.expires_at = facts.now + 100 * DAY;
    for guardian in guardians {
        let signed = Statement::Grant(world.sign_grant(&grant, guardian.who()));
        let device = facts.device(world, by);
        facts.take(world, device, &Deed::Say(signed)).ok()?;
    }
    Some(id_of(&grant))
}

fn newcomer_comes_in(world: &World, game: &Game, facts: &Facts, guardians: &[P]) -> bool {
    let mut fork = facts.clone();
    let bearer = game.honest().find(|p| fork.reads(world.id(p.who())));
    let grant = bearer.and_then(|by| consent(world, &mut fork, by, guardians, Access::Read));
    let Some(grant) = grant else { return false };
    let deed = let_in(&fork, &world.founder(P::Newcomer.who(), Role::Reader, grant), 1);
    game.honest().any(|p| fork.judge(world, fork.device(world, p), &deed).is_ok())
}

/// The family ends everything, consents to a new holder, and gives them the log; the new holder writes.
fn begins_anew(world: &World, game: &Game, facts: &Facts, by: P, guardians: &[P]) -> bool {
    let mut fork = facts.clone();
    let device = fork.device(world, by);
    let _ = fork.take(world, device, &withdrawal(world, facts, by));
    settle(&mut fork, world, game);
    let Some(basis) = consent(world, &mut fork, by, guardians, Access::Hold) else { return false };
    let seats = fork.state.membership.members.iter().chain(&fork.state.readmit);
    let holders: Vec<PersonId> = seats.filter(|m| m.role == Role::Holder).map(|m| m.person).collect();
    holders.into_iter().chain([PersonId::default()]).any(|from| {
        let mut given = fork.clone();
        let device = given.device(world, by);
        given.take(world, device, &handed_over(world, &given, by, from, basis)).is_ok() && {
            settle(&mut given, world, game);
            somebody_writes(world, game, &given, &[P::Newcomer])
        }
    })
}

fn handed_over(world: &World, facts: &Facts, by: P, from: PersonId, basis: Hash) -> Deed {
    let Grantee::Person(person) = world.person_grantee(P::Newcomer.who()) else { panic!("a person") };
    let to = Destination { municipality: HOME, unit: None, person: Some(person) };
    let offer = HandoverOffer {
        log: world.log(),
        scope: CARD,
        from,
        to,
        part: Part::Moves,
        basis,
        reason: Hash([0x77; 32]),
        salt: [9; 16],
    };
    given(world, facts, by, P::Newcomer, &offer)
}

/// The commit of an offer by `by` that `to` accepts.
pub fn given(world: &World, facts: &Facts, by: P, to: P, offer: &HandoverOffer) -> Deed {
    let mut membership = facts.swept();
    for old in membership.members.iter_mut().filter(|m| m.person == offer.from) {
        old.role = Role::Archivist;
    }
    let seat = Member { ..world.founder(to.who(), Role::Holder, offer.basis) };
    let mut adds = vec![];
    match membership.members.iter_mut().find(|m| m.person == seat.person) {
        Some(member) => (member.role, member.basis) = (Role::Holder, offer.basis),
        None => {
            adds = seat.devices.clone();
            membership.members.push(seat);
        }
    }
    Deed::Commit(Draft {
        adds,
        removes: facts.listed(),
        membership: Some(membership.sorted()),
        vouchers: vec![world.voucher(LEADER, to.who(), CARD)],
        handover: Some(world.agreed(offer, by.who(), to.who())),
        junk: false,
    })
}
