//! Each move as a deed: what whoever makes it signs, with the keys that are in hostile hands, or with an honest
//! person's own.

use super::checks::given;
use super::facts::{Deed, Draft, oldest_gap, repair};
use super::honest::{carried, founded, let_in, reject, sweep};
use super::moves::{Aim, Gift, Move, P, Rule, Seat};
use super::play::{Run, employee_voucher};
use crate::common::*;
use stafett_protocol::consent::*;
use stafett_protocol::credential::{PersonCertificate, PersonKind};
use stafett_protocol::event::Body;
use stafett_protocol::handover::{Destination, HandoverOffer, Part};
use stafett_protocol::ids::{Hash, PersonId};
use stafett_protocol::membership::{ConsentAuthority, Member, Role};
use stafett_protocol::signed::Signed;
use stafett_protocol::statement::*;

/// Whose move it is, and the deed; none where there is nothing to sign.
pub fn deed(run: &Run<'_>, step: Move) -> Option<(P, Deed)> {
    let (world, facts) = (run.world, &run.facts);
    Some(match step {
        Move::Answer { .. } | Move::Wait { .. } | Move::Withhold { .. } => return None,
        Move::Write { by } => (by, Deed::Write),
        Move::Renew { by, junk } => (by, Deed::Commit(Draft { junk, ..Draft::default() })),
        Move::Resync { by } => (by, Deed::Resync),
        Move::JunkLink { by, off } => {
            let epoch = oldest_gap(&facts.state).unwrap_or(facts.state.epoch) + off;
            (by, repair(facts.state.membership.generation, epoch, true))
        }
        Move::Reject { by } => (by, reject(facts)),
        Move::Refound { by, back, junk } => {
            let id = world.id(by.who());
            let seat = facts.state.before_last_commit.iter().find(|m| m.person == id);
            let heir = world.founder(by.who(), Role::Guardian, facts.state.authority().id());
            let carries = carried(facts.state.membership.generation, facts.state.epoch.saturating_sub(back), junk);
            (by, founded(facts, seat.unwrap_or(&heir), facts.device(world, by), carries))
        }
        Move::LetIn { by, who, devices, seat } => (by, enters(run, who, devices, seat)?),
        Move::Remove { by, more } => (by, removes(run, more)),
        Move::Device { by, n, junk } => (by, own_device(run, by, n, junk)?),
        Move::Sign { by, gift, nth } => {
            (by, Deed::Say(Statement::Grant(world.sign_grant(&grant(run, gift, nth), by.who()))))
        }
        Move::Withdraw { by, aim } => (by, withdraws(run, by, aim)?),
        Move::End { by, who } => (bearer(run, by), Deed::Say(world.employee_end(by.who(), who.who(), CARD))),
        Move::Attest { by, of } => {
            let statement = world.attested(&grant(run, Gift::ReadPpt, 9), of.who(), TEACHER, LEADER);
            (by, Deed::Say(statement))
        }
        Move::TakeOver { by } => (by, Deed::Say(Statement::Takeover(Takeover { reason: Hash([1; 32]) }))),
        Move::HandOver { by, to } => (by, hands_over(run, by, to)?),
        Move::Close { by, reopen } => {
            let closing = if reopen { Closing::Reopened } else { Closing::Closed };
            (by, Deed::Say(Statement::Close(closing)))
        }
        Move::Authority { by, to, decision } => (by, changes_authority(run, to, decision)),
        Move::Object { by, nth } => (by, objects(run, nth)?),
        Move::Rekey { by, who, survives } => (by, rekeys(run, by, who, survives)),
        Move::Deletion { by } => (bearer(run, by), deletion(run, by)),
        Move::Replay { by, nth } => (by, Deed::Say(said(run, nth)?)),
    })
}

/// A device comes in beside the others, under whatever the seat says.
fn enters(run: &Run<'_>, who: P, devices: usize, seat: Seat) -> Option<Deed> {
    let (world, facts) = (run.world, &run.facts);
    let seat = match seat {
        Seat::Kept => run.kept(who)?.clone(),
        Seat::Guardian => {
            Member { role: Role::Guardian, basis: facts.state.authority().id(), ..run.kept(who)?.clone() }
        }
        Seat::Holder => Member { role: Role::Holder, ..run.kept(who)?.clone() },
        Seat::Given(gift) => {
            let like = grant(run, gift, 0);
            let basis = run.newest(|g| (g.grantee, g.access) == (like.grantee, like.access))?;
            world.founder(who.who(), like.access.role(), basis)
        }
    };
    let Deed::Commit(mut draft) = let_in(facts, &seat, devices) else { return None };
    draft.vouchers = match who {
        P::Ppt => vec![employee_voucher(world)],
        P::Made => vec![world.voucher(LEADER, COLLEAGUE, CARD)],
        // The copy that everybody has, whatever their leader has said since.
        P::Former => vec![world.voucher(PPT_LEADER, PPT_TWO, CARD)],
        _ => vec![],
    };
    Some(Deed::Commit(draft))
}

fn removes(run: &Run<'_>, more: Option<P>) -> Deed {
    let Deed::Commit(mut draft) = sweep(&run.facts) else { panic!("a commit") };
    let named = more.and_then(|who| run.facts.member(run.world, who));
    draft.removes.extend(named.iter().flat_map(|m| &m.devices));
    draft.removes.sort_unstable();
    draft.removes.dedup();
    draft.membership = draft.membership.map(|m| without(m, &draft.removes));
    Deed::Commit(draft)
}

/// One's own further device comes, or, where it is here, goes.
fn own_device(run: &Run<'_>, by: P, n: usize, junk: bool) -> Option<Deed> {
    let (world, facts) = (run.world, &run.facts);
    let device = world.device_n(by.who(), n).public();
    let seat = facts.member(world, by)?;
    let deed = if seat.devices.contains(&device) {
        let mut removes = facts.listed();
        removes.push(device);
        let membership = Some(without(facts.swept(), &removes));
        Deed::Commit(Draft { removes, membership, junk, ..Draft::default() })
    } else {
        let Deed::Commit(draft) = let_in(facts, &Member { devices: vec![device], ..seat.clone() }, 1) else {
            return None;
        };
        Deed::Commit(Draft { junk, ..draft })
    };
    Some(deed)
}

/// The same gift twice is the same grant, unless it is for the `nth` time.
fn grant(run: &Run<'_>, gift: Gift, nth: u8) -> ConsentGrant {
    let world = run.world;
    let (grantee, access) = match gift {
        Gift::HoldSchool => (world.unit_of(LEADER), Access::Hold),
        Gift::HoldCoach => (world.person_grantee(COACH), Access::Hold),
        Gift::CustodySchool => (world.unit_of(LEADER), Access::Custody),
        Gift::ReadPpt => (world.unit_of(PPT_LEADER), Access::Read),
        Gift::ReadPptByName => (world.person_grantee(PPT), Access::Read),
        Gift::ContributeCoach => (world.person_grantee(COACH), Access::Contribute),
    };
    let grant = world.grant(world.log(), CARD, grantee, access, run.facts.state.authority());
    ConsentGrant { salt: [nth.saturating_add(100); 16], expires_at: START + 500 * DAY, ..grant }
}

fn withdraws(run: &Run<'_>, by: P, aim: Aim) -> Option<Deed> {
    let (world, state) = (run.world, &run.facts.state);
    let basis = |role| state.present().find(|m| m.role == role).map(|m| m.basis);
    let target = match aim {
        Aim::Hold => Target::Grant(basis(Role::Holder)?),
        Aim::Custody => Target::Grant(basis(Role::Custodian)?),
        Aim::Newest => Target::Grant(state.grants.last()?.id),
        Aim::School => Target::Unit(SCHOOL),
        Aim::PptUnit => Target::Unit(PPT_UNIT),
        Aim::Person(who) => Target::Person(world.id(who.who())),
        Aim::All => Target::All,
    };
    let salt = u8::try_from(state.position.seq % 251).unwrap();
    Some(Deed::Say(world.withdrawal_salted(world.log(), CARD, target, by.who(), salt)))
}

fn hands_over(run: &Run<'_>, by: P, to: P) -> Option<Deed> {
    let (world, facts) = (run.world, &run.facts);
    let unit = (to != P::Coach).then(|| world.unit_grantee(LEADER));
    let grantee = if unit.is_some() { world.unit_of(LEADER) } else { world.person_grantee(COACH) };
    let basis = run.newest(|g| (g.grantee, g.access) == (grantee, Access::Hold))?;
    let person = PersonGrantee { person: world.id(to.who()), person_key: world.person(to.who()).public() };
    let offer = HandoverOffer {
        log: world.log(),
        scope: CARD,
        from: facts.state.membership.holder().map(|h| h.person).unwrap_or_default(),
        to: Destination { municipality: HOME, unit, person: Some(person) },
        part: Part::Moves,
        basis,
        reason: Hash([0x77; 32]),
        salt: [1; 16],
    };
    Some(given(world, facts, by, to, &offer))
}

/// Who has no place hands what they signed to an accomplice who has one, and else to the reader's client, which knows
/// no better.
fn bearer(run: &Run<'_>, by: P) -> P {
    let here = |p: &P| run.facts.reads(run.world.id(p.who()));
    let mut people = std::iter::once(by).chain(run.game.cast.people.iter().copied()).chain([P::Ppt, P::Teacher]);
    people.find(here).unwrap_or(by)
}

/// The nth decision that waits, or one that nobody has brought.
fn objects(run: &Run<'_>, nth: usize) -> Option<Deed> {
    let waiting = &run.facts.state.decisions;
    let change = waiting.get(nth % (waiting.len() + 1)).map_or(Hash([6; 32]), |d| d.change);
    Some(Deed::Say(Statement::Objection(Objection { change })))
}

/// What a colluding home certifies: whoever it wants, for whatever it wants.
fn certificate(run: &Run<'_>, who: P) -> Signed<PersonCertificate> {
    let genuine = run.world.device(who.who()).credential.borrow().person.clone();
    if who != P::Invented {
        return genuine;
    }
    let said = PersonCertificate { kind: PersonKind::Administrator, unit: None, ..genuine.peek().unwrap() };
    Signed::sign(&said, &run.world.municipality)
}

/// Signed by everyone in hostile hands whose word could count.
fn changes_authority(run: &Run<'_>, to: Rule, decision: Option<u8>) -> Deed {
    let (world, state) = (run.world, &run.facts.state);
    let authority = match to {
        Rule::MotherAlone => world.authority_of(&[MOTHER], 1),
        Rule::FatherAlone => world.authority_of(&[FATHER], 1),
        Rule::Invented => world.authority_of(&[CHILD], 1),
        Rule::WithInvented => world.authority_of(&[MOTHER, FATHER, CHILD], 1),
        Rule::OneOfTwo => world.authority_of(&[MOTHER, FATHER], 1),
        Rule::TwoOfTwo => world.authority_of(&[MOTHER, FATHER], 2),
    };
    let present: &ConsentAuthority = state.authority();
    let holder = state.membership.holder().map(|h| h.person);
    let people = run.game.cast.people;
    // One word from outside is enough, and a false one spoils all.
    let outside = [P::Outsider, P::Invented, P::Foreign, P::Former].into_iter().find(|p| people.contains(p));
    let counts = |p: &&P| {
        let id: PersonId = world.id(p.who());
        let decides = holder == Some(id) || **p == P::Leader || outside == Some(**p);
        if decision.is_some() { decides } else { present.key(id).is_some() }
    };
    let decision = decision.map_or(Hash::default(), |nth| Hash([4 + nth; 32]));
    let (log, from) = (world.log(), present.id());
    let change = AuthorityChange { log, scope: CARD, from, to: authority, decision };
    let sign = |p: &P| AuthoritySignature {
        signer: world.id(p.who()),
        certificate: Some(certificate(run, *p)),
        change: Signed::sign(&change, &world.person(p.who()).key),
    };
    let change = people.iter().filter(counts).map(sign).collect();
    Deed::Say(Statement::AuthorityChange(SignedAuthorityChange { change }))
}

fn rekeys(run: &Run<'_>, by: P, who: P, survives: bool) -> Deed {
    let (world, state) = (run.world, &run.facts.state);
    let id = world.id(who.who());
    let old = state.key_of(id).copied().unwrap_or(world.person(who.who()).public());
    let here = state.membership.member(id).map_or(vec![], |m| m.devices.clone());
    let surviving = if survives { here } else { vec![] };
    let change = PersonKeyChange { scope: CARD, person: id, old, new: public(&key("another")), surviving };
    let own = (who == by).then(|| run.facts.device(world, by));
    let others: Vec<Who> = run.game.cast.people.iter().filter(|p| **p != who).map(|p| p.who()).collect();
    Deed::Say(world.key_change(&change, own, if own.is_some() { &[] } else { &others }))
}

/// Of a device that never was in; of one that has left, in the mouth of whoever is there.
fn deletion(run: &Run<'_>, by: P) -> Deed {
    let device = run.world.device_n(by.who(), if by == P::Former { 0 } else { 2 });
    let receipt = DeletionReceipt { scope: CARD, device: device.id(), seq: 1, wiped_at: run.facts.now };
    let receipt = Signed::sign(&receipt, &device.key);
    Deed::Say(Statement::Deletion(DeletionWitness { device_key: device.public(), receipt }))
}

/// What somebody has said before, word for word.
fn said(run: &Run<'_>, nth: usize) -> Option<Statement> {
    let statement = |r: &stafett_protocol::event::Record| match r.event.peek().unwrap().body {
        Body::Statement(statement) => Some(statement),
        _ => None,
    };
    let all: Vec<Statement> = run.chain.records.iter().filter_map(statement).collect();
    all.get(nth % all.len().max(1)).cloned()
}
