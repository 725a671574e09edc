//! Who consented to what, kept from the accepted events alone, by hand and without the policy's code: the oracle.

use super::facts::{JUNK_LINK, repaired};
use crate::common::*;
use stafett_protocol::consent::*;
use stafett_protocol::event::{Body, Commit, Event, Genesis};
use stafett_protocol::ids::{Hash, PersonId, PublicKey, UnitId};
use stafett_protocol::membership::{ConsentAuthority, Member, Role};
use stafett_protocol::signed::Signed;
use stafett_protocol::state::ScopeState;
use stafett_protocol::statement::*;

#[derive(Clone)]
struct Consent {
    id: Hash,
    grant: ConsentGrant,
    /// Guardians whose genuine signature has been received, and when.
    signed: Vec<(PersonId, u64)>,
    in_force: Option<u64>,
    over: bool,
}

/// Somebody, or everybody of a unit.
#[derive(Clone, Copy, PartialEq)]
enum Party {
    Person(PersonId),
    Unit(UnitId),
}

/// An epoch whose key does not lead to the one before, and who had both.
#[derive(Clone)]
pub struct Gap {
    pub generation: u32,
    pub epoch: u64,
    pub witnesses: Vec<PersonId>,
    pub mended: bool,
}

/// A decision that has been told, since when it waits, and who of the family has said no.
#[derive(Clone)]
pub struct Waiting {
    pub change: Hash,
    pub to: ConsentAuthority,
    at: u64,
    pub objected: Vec<PersonId>,
}

#[derive(Clone)]
pub struct Ledger {
    consents: Vec<Consent>,
    revoked: Vec<Hash>,
    /// By whom, from whom, when.
    vetoes: Vec<(PersonId, Party, u64)>,
    ended: Vec<(PersonId, u64)>,
    /// Who acts for which unit, and until when.
    vouched: Vec<(PersonId, UnitId, u64)>,
    /// The authority that the family, or the decided way, has made.
    pub authority: ConsentAuthority,
    /// Whose key two others have replaced: who they are now, nobody can say by keys.
    pub rekeyed: Vec<PersonId>,
    holder: Option<PersonId>,
    all_over: bool,
    /// Changes of the authority by decision that wait.
    pub decisions: Vec<Waiting>,
    pub gaps: Vec<Gap>,
    /// The newest content key of each person: its generation and epoch.
    known: Vec<(PersonId, (u32, u64))>,
}

/// The key that a person really has.
fn true_key(world: &World, person: PersonId) -> Option<PublicKey> {
    world.people.iter().find(|p| p.id == person).map(|p| p.public())
}

fn party(grantee: Grantee) -> Party {
    match grantee {
        Grantee::Unit(u) => Party::Unit(u.unit),
        Grantee::Person(p) => Party::Person(p.person),
    }
}

impl Party {
    fn covers(self, world: &World, person: PersonId) -> bool {
        match self {
            Self::Person(p) => p == person,
            Self::Unit(unit) => world.people.iter().any(|p| p.id == person && p.unit == Some(unit)),
        }
    }
}

impl Ledger {
    pub fn new(authority: ConsentAuthority) -> Self {
        Self {
            consents: vec![],
            revoked: vec![],
            vetoes: vec![],
            ended: vec![],
            vouched: vec![],
            authority,
            rekeyed: vec![],
            holder: None,
            all_over: false,
            decisions: vec![],
            gaps: vec![],
            known: vec![],
        }
    }

    pub fn note(&mut self, world: &World, event: &Event, before: &ScopeState, after: &ScopeState, now: u64) {
        match &event.body {
            Body::Change(_) => {}
            Body::Genesis(genesis) => self.founded(world, genesis, after, now),
            Body::Commit(commit) => self.committed(world, event, commit, before, after, now),
            Body::Statement(statement) => self.said(world, event, statement, before, after, now),
        }
    }

    /// A scope's first record, or its next generation's.
    pub fn founded(&mut self, world: &World, genesis: &Genesis, after: &ScopeState, now: u64) {
        genesis.grants.iter().for_each(|g| self.sign(world, g, now));
        genesis.vouchers.iter().for_each(|v| self.vouch(world, v));
        if after.membership.generation == 1 {
            self.holder = after.membership.holder().map(|h| h.person);
        }
        let generation = after.membership.generation;
        // Whoever had a key of before will see that this link does not open.
        if genesis.carries.as_ref().is_some_and(|c| c.link.as_slice() == JUNK_LINK) {
            let witnesses = self.known.iter().map(|(person, _)| *person).collect();
            self.gaps.push(Gap { generation, epoch: 0, witnesses, mended: false });
        }
        self.learns(after.membership.members[0].person, (generation, 0));
    }

    /// The newest key that this person has.
    pub fn newest(&self, person: PersonId) -> Option<(u32, u64)> {
        self.known.iter().find(|(p, _)| *p == person).map(|(_, at)| *at)
    }

    /// Whether this person's client has followed the group to where it stands.
    pub fn in_step(&self, person: PersonId, state: &ScopeState) -> bool {
        self.newest(person) == Some((state.membership.generation, state.epoch))
    }

    fn learns(&mut self, person: PersonId, at: (u32, u64)) {
        self.known.retain(|(p, _)| *p != person);
        self.known.push((person, at));
    }

    fn committed(
        &mut self,
        world: &World,
        event: &Event,
        commit: &Commit,
        before: &ScopeState,
        after: &ScopeState,
        now: u64,
    ) {
        commit.vouchers.iter().for_each(|v| self.vouch(world, v));
        let junk = commit.link.as_ref().is_some_and(|l| l.as_slice() == JUNK_LINK);
        let author = before.membership.member_of_device(event.device).map(|m| m.person);
        let here: Vec<PersonId> = before.membership.members.iter().map(|m| m.person).collect();
        let followed: Vec<PersonId> = here.iter().filter(|p| self.in_step(**p, before)).copied().collect();
        let generation = after.membership.generation;
        for member in &after.membership.members {
            let welcomed = !here.contains(&member.person) || author == Some(member.person);
            if welcomed || (!junk && followed.contains(&member.person)) {
                self.learns(member.person, (generation, after.epoch));
            }
        }
        if commit.link.is_none() {
            let witnesses = followed.into_iter().filter(|p| Some(*p) != author).collect();
            self.gaps.push(Gap { generation, epoch: after.epoch, witnesses, mended: false });
        }
        if let Some(acceptance) = commit.handover.as_ref().and_then(|h| h.acceptance.as_ref()) {
            let taken = acceptance.peek().unwrap().person;
            let offer = commit.handover.as_ref().unwrap().offer.offer.peek().unwrap();
            if self.stands(world, &offer.basis, taken, Role::Holder, now).is_ok() {
                (self.holder, self.all_over) = (Some(taken), false);
            }
        }
    }

    fn said(
        &mut self,
        world: &World,
        event: &Event,
        statement: &Statement,
        before: &ScopeState,
        after: &ScopeState,
        now: u64,
    ) {
        match statement {
            Statement::Grant(signed) => self.sign(world, signed, now),
            Statement::Withdrawal(signed) => self.withdrawn(signed, now),
            Statement::EmployeeEnd(signed) => self.ended.push((signed.end.peek().unwrap().person, now)),
            Statement::LinkRepair(said) => {
                let place = repaired(said);
                let mended = self.gaps.iter_mut().filter(|g| Some((g.generation, g.epoch)) == place);
                mended.for_each(|g| g.mended = true);
            }
            Statement::AuthorityChange(signed) if before.authority() != after.authority() => {
                self.changed(world, &signed.change, before, after, now);
            }
            Statement::AuthorityChange(signed) => self.told(&signed.change[0].change, now),
            Statement::Objection(said) => {
                let guardian = before.person_of(event.device).filter(|p| self.authority.key(*p).is_some());
                let waiting = self.decisions.iter_mut().filter(|d| d.change == said.change);
                waiting.for_each(|d| d.objected.extend(guardian));
            }
            Statement::PersonKeyChange(signed) => self.rekey(&signed.signatures),
            _ => {}
        }
    }

    fn sign(&mut self, world: &World, signed: &SignedGrant, now: u64) {
        let guardian = self.authority.guardians.iter().any(|g| g.person == signed.signer);
        let Some(key) = true_key(world, signed.signer).filter(|_| guardian) else { return };
        let Ok(grant) = signed.grant.verify(&key) else { return };
        let id = signed.grant.id();
        if self.revoked.contains(&id) || grant.authority != self.authority.id() {
            return;
        }
        if !self.consents.iter().any(|c| c.id == id) {
            self.consents.push(Consent { id, grant, signed: vec![], in_force: None, over: false });
        }
        let quorum = usize::from(self.authority.quorum);
        let consent = self.consents.iter_mut().find(|c| c.id == id).unwrap();
        if !consent.signed.iter().any(|(by, _)| *by == signed.signer) {
            consent.signed.push((signed.signer, now));
        }
        if consent.in_force.is_none() && consent.signed.len() >= quorum {
            consent.in_force = Some(now);
        }
    }

    fn vouch(&mut self, world: &World, voucher: &Voucher) {
        let Ok(said) = voucher.employee.peek() else { return };
        let leads =
            |p: &&Person| p.unit == Some(said.unit) && p.kind == stafett_protocol::credential::PersonKind::Leader;
        let leader = world.people.iter().find(leads).map(|p| p.public());
        if leader.is_some_and(|key| voucher.employee.verify(&key).is_ok()) {
            self.vouched.push((said.person, said.unit, said.expires_at));
        }
    }

    fn withdrawn(&mut self, signed: &SignedWithdrawal, now: u64) {
        let target = signed.withdrawal.peek().unwrap().target;
        let family = self.authority.guardians.iter().any(|g| g.person == signed.signer);
        let hit = |c: &Consent| match target {
            Target::Grant(id) => c.id == id,
            Target::Unit(unit) => party(c.grant.grantee) == Party::Unit(unit),
            Target::Person(person) => party(c.grant.grantee) == Party::Person(person),
            Target::All => true,
        };
        let mut parties = vec![];
        for consent in self.consents.iter_mut().filter(|c| !c.over && hit(c)) {
            consent.over = true;
            parties.push(party(consent.grant.grantee));
        }
        match target {
            Target::Grant(id) if family && !self.consents.iter().any(|c| c.id == id) => self.revoked.push(id),
            Target::Person(person) => {
                self.ended.push((person, now));
                parties.push(Party::Person(person));
            }
            Target::All => self.all_over = true,
            _ => {}
        }
        self.vetoes.extend(parties.into_iter().filter(|_| family).map(|party| (signed.signer, party, now)));
    }

    /// From now on the family has a week to say no.
    fn told(&mut self, change: &Signed<AuthorityChange>, now: u64) {
        self.decisions.retain(|d| d.change != change.id());
        let to = change.peek().unwrap().to;
        self.decisions.push(Waiting { change: change.id(), to, at: now, objected: vec![] });
    }

    /// By enough of the family, and by everyone whom it drops; or by three who cite a decision, one of them from outside
    /// the log and the holder's unit, a week after the family was told, and with the word of all whom it leaves where one
    /// of them has said no.
    fn changed(
        &mut self,
        world: &World,
        signatures: &[AuthoritySignature],
        before: &ScopeState,
        after: &ScopeState,
        now: u64,
    ) {
        let genuine =
            |s: &&AuthoritySignature| true_key(world, s.signer).is_some_and(|key| s.change.verify(&key).is_ok());
        let mut signers: Vec<_> = signatures.iter().filter(genuine).map(|s| s.signer).collect();
        signers.sort_unstable();
        signers.dedup();
        let to = after.authority();
        let guardians: Vec<_> = self.authority.guardians.iter().map(|g| g.person).collect();
        let enough = guardians.iter().filter(|g| signers.contains(g)).count() >= usize::from(self.authority.quorum);
        let agreed = guardians.iter().all(|g| to.key(*g).is_some() || signers.contains(g));
        let outside = signers.iter().filter(|s| !guardians.contains(s)).count();
        let stranger = |s: &PersonId| {
            let works_there = Party::Unit(SCHOOL).covers(world, *s);
            !works_there && before.present().all(|m| m.person != *s)
        };
        let id = signatures[0].change.id();
        let waited = self.decisions.iter().find(|d| d.change == id && now >= d.at + 7 * DAY);
        let mut staying = guardians.iter().filter(|g| to.key(**g).is_some()).peekable();
        let somebody_stays = staying.peek().is_some();
        let agreed_by_all = staying.all(|g| signers.contains(g));
        let heard = waited.is_some_and(|d| d.objected.is_empty() || agreed_by_all) && somebody_stays;
        if (enough && agreed) || (outside >= 3 && signers.iter().any(stranger) && heard) {
            self.authority = to.clone();
            self.decisions.clear();
        }
    }

    /// By a device of their own, or by two who have met them.
    fn rekey(&mut self, signatures: &[KeyChangeSignature]) {
        let change = signatures[0].change.peek().unwrap();
        let own = signatures.iter().any(|s| s.signer == change.person);
        if own || signatures.len() >= 2 {
            self.rekeyed.push(change.person);
        }
        let named = self.authority.guardians.iter_mut().filter(|g| g.person == change.person);
        named.for_each(|g| g.key = change.new);
    }

    /// Whether this member may read, and if not why.
    pub fn lets_in(&self, world: &World, member: &Member, now: u64) -> Result<(), &'static str> {
        match member.role {
            Role::Guardian if self.authority.guardians.iter().any(|g| g.person == member.person) => Ok(()),
            Role::Guardian => Err("no guardian by the family's own will"),
            Role::Holder if self.holder != Some(member.person) => Err("not the holder whom the family consented to"),
            Role::Holder if self.all_over => Err("everything is withdrawn"),
            // Frozen, the holder reads on.
            Role::Holder => Ok(()),
            Role::Actor | Role::Reader | Role::Custodian => {
                self.stands(world, &member.basis, member.person, member.role, now)
            }
            _ => Err("no such seat in this scope"),
        }
    }

    fn stands(&self, world: &World, basis: &Hash, person: PersonId, role: Role, now: u64) -> Result<(), &'static str> {
        let consent = self.consents.iter().find(|c| c.id == *basis).ok_or("no consent")?;
        let since = consent.in_force.ok_or("signatures are missing")?;
        if consent.over {
            return Err("the consent is withdrawn");
        }
        if now >= consent.grant.expires_at {
            return Err("the consent has expired");
        }
        if consent.grant.access.role() != role {
            return Err("the consent is for another role");
        }
        self.for_them(&consent.grant, world, person, role, since, now)?;
        // Who had withdrawn from them before it came into force is asked: for this grant, or for another since.
        let asked = |by: PersonId, at: u64| {
            let again = |c: &&Consent| c.id == *basis || party(c.grant.grantee).covers(world, person);
            let signed = |c: &Consent| c.signed.iter().any(|(s, t)| *s == by && (c.id == *basis || *t > at));
            self.consents.iter().filter(again).any(signed)
        };
        let open = |(by, from, at): &(PersonId, Party, u64)| {
            let here = self.authority.guardians.iter().any(|g| g.person == *by);
            here && *at <= since && from.covers(world, person) && !asked(*by, *at)
        };
        if self.vetoes.iter().any(open) { Err("who withdrew from them has not been asked") } else { Ok(()) }
    }

    fn for_them(
        &self,
        grant: &ConsentGrant,
        world: &World,
        person: PersonId,
        role: Role,
        since: u64,
        now: u64,
    ) -> Result<(), &'static str> {
        let unit = match grant.grantee {
            Grantee::Person(p) if p.person == person => return Ok(()),
            Grantee::Person(_) => return Err("the consent is for another person"),
            Grantee::Unit(unit) => unit,
        };
        if self.ended.iter().any(|(p, at)| *p == person && *at >= since) {
            return Err("withdrawn by name, or no longer employed");
        }
        let vouched = |(p, u, until): &(PersonId, UnitId, u64)| (*p, *u) == (person, unit.unit) && now < *until;
        let works = Party::Unit(unit.unit).covers(world, person);
        if unit.leader == person || (works && role == Role::Holder) || self.vouched.iter().any(vouched) {
            Ok(())
        } else {
            Err("their leader does not vouch for them")
        }
    }
}
