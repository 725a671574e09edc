//! Ending access: for the family as easy as giving it (GDPR 7(3)), one statement for each scope, told to everyone there.

use crate::answer::{Moment, Receipt, Withdrawn};
use crate::client::input::{Cause, Problem, WithdrawTarget};
use crate::client::keys::mail_key;
use crate::client::scope::{Scope, Standing};
use crate::client::{Client, people};
use crate::rows::Space;
use stafett_protocol::codec::{decode, encode};
use stafett_protocol::consent::{Access, Grantee, SignedGrant, SignedWithdrawal, Target, Withdrawal};
use stafett_protocol::ids::{Hash, LogId, PersonId, ScopeId};
use stafett_protocol::letter::Content;
use stafett_protocol::membership::{Member, Role, ScopeKind};
use stafett_protocol::policy::{Action, can};
use stafett_protocol::signed::Signed;
use stafett_protocol::state::{GrantFact, ScopeState, Status};
use stafett_protocol::statement::Statement;

/// How long the holder waits for somebody of the family to end in a concern what they ended on the card.
const GIVER_PATIENCE_MILLIS: u64 = 10 * 60_000;

/// Withdrawals of others that this device has carried to the chain: once, for the home's answer stands.
fn carried_key(letter: &[u8]) -> Vec<u8> {
    [b"carried/".as_slice(), letter].concat()
}

/// Which withdrawal made this device leave a scope, where a letter told it before the chain did.
fn ended_key(scope: ScopeId) -> Vec<u8> {
    [b"ended/".as_slice(), &scope.0].concat()
}

/// Whether a withdrawal ends the part of this member. Never the family's; the holder's only when all ends.
pub(crate) fn ends(state: &ScopeState, target: &Target, member: &Member) -> bool {
    let grant = state.grant(&member.basis).map(|g| g.grant.grantee);
    match target {
        _ if member.role.is_family() => false,
        Target::All => true,
        _ if member.role == Role::Holder => false,
        Target::Grant(id) => *id == member.basis,
        Target::Unit(unit) => matches!(grant, Some(Grantee::Unit(u)) if u.unit == *unit),
        Target::Person(person) => *person == member.person,
    }
}

/// K3: nobody lets go of the baton, or is made to, before another has it.
pub(crate) fn holder_stays() -> Problem {
    Problem::rule(
        Cause::HolderByHandover,
        "the holder cannot leave or be removed; hand the baton over first: baton offer",
    )
}

/// Every `custody` grant in force of this grantee, scope by scope.
fn custody_of(states: &[&ScopeState], grantee: &Grantee) -> Vec<(ScopeId, Target)> {
    let theirs =
        |f: &&GrantFact| f.ended_at == 0 && f.grant.access == Access::Custody && f.grant.grantee.is_same_party(grantee);
    let of = |state: &ScopeState| -> Vec<_> {
        state.grants.iter().filter(theirs).map(|f| (state.scope(), Target::Grant(f.id))).collect()
    };
    states.iter().flat_map(|state| of(state)).collect()
}

impl Client {
    /// A letter says that our own access has ended: it counts whatever the home shows, and also for a
    /// device that was away and can no longer follow the commits in between.
    pub(crate) fn heed_withdrawal(&mut self, signed: &SignedWithdrawal) -> Result<(), Problem> {
        let me = self.me()?.person;
        let Ok(withdrawal) = signed.withdrawal.peek() else { return Ok(()) };
        let Some(s) = self.scopes.get(&withdrawal.scope).filter(|s| s.standing != Standing::Withdrawn) else {
            return Ok(());
        };
        if self.is_reading(withdrawal.scope) {
            let key = mail_key("unheeded", &[&signed.withdrawal.id().0]);
            self.table.write(Space::Mail, &key, encode(signed));
            return Ok(());
        }
        let state = s.replica.state();
        let Some(member) = state.present().find(|m| m.person == me) else { return Ok(()) };
        let key = state
            .authority()
            .key(signed.signer)
            .or_else(|| state.present().find(|m| m.person == signed.signer).map(|m| &m.person_key));
        let genuine = key.is_some_and(|key| signed.withdrawal.verify(key).is_ok()) && withdrawal.log == state.log();
        // One that the chain has seen, and got over by a new grant, is an old story told again.
        let device = self.me()?.device_public();
        let over = state.spent.contains(&signed.withdrawal.id()) && !state.listed_at(self.home_now()).contains(&device);
        // Who has accepted the baton may hold it by now, and a holder stays in name: the chain says so or not.
        let may_hold = withdrawal.target != Target::All && self.may_have_got(withdrawal.scope);
        if genuine && !over && !may_hold && ends(state, &withdrawal.target, member) {
            // Perhaps nobody else was told before the writer's device was lost or set back; the chain may name us for ever.
            let family: Vec<PersonId> = state.authority().persons().map(|p| p.person).collect();
            self.leave(withdrawal.scope)?;
            self.table.write(Space::State, &ended_key(withdrawal.scope), encode(&signed.withdrawal.id()));
            family.into_iter().for_each(|person| self.write_letter(person, Content::Withdrawal(signed.clone())));
        }
        Ok(())
    }

    /// Whether a chain is being read for a place in it. As far as it is here, it may be from before what a letter says: an
    /// old story or not, the whole of it will say.
    fn is_reading(&self, scope: ScopeId) -> bool {
        self.scopes.get(&scope).is_some_and(|s| s.standing == Standing::Joining) && self.welcome(scope).is_some()
    }

    /// What this device was told while it read a chain for a place in it counts as soon as it has read it.
    pub(crate) fn heed_what_waited(&mut self) -> Result<(), Problem> {
        let all = mail_key("unheeded", &[]);
        let told = self
            .table
            .scan(Space::Mail, &all)
            .filter_map(|(key, value)| Some((key.to_vec(), decode::<SignedWithdrawal>(value).ok()?)));
        let still = |signed: &SignedWithdrawal| signed.withdrawal.peek().is_ok_and(|w| self.is_reading(w.scope));
        let due: Vec<(Vec<u8>, SignedWithdrawal)> = told.filter(|(_, signed)| !still(signed)).collect();
        for (key, signed) in due {
            self.table.delete(Space::Mail, &key);
            self.heed_withdrawal(&signed)?;
        }
        Ok(())
    }

    /// Whether the withdrawal for which this device left a scope is in these facts, and others than this device's seat are
    /// what it has ended: a colleague's seat that the person has exchanged for the baton, which this device had not heard.
    pub(crate) fn was_told_too_much(&self, state: &ScopeState) -> bool {
        let ended = self.table.read(Space::State, &ended_key(state.scope()));
        ended.and_then(|id| decode::<Hash>(id).ok()).is_some_and(|id| state.spent.contains(&id))
    }

    /// A part of the log that the family did not know of when they withdrew, or that was begun since on a word of theirs
    /// that came after it: what they ended on the card ends there, too, by who said so, or by the holder.
    pub(crate) fn extend_withdrawals(&mut self) -> Result<(), Problem> {
        let (said, granted) = self.said_and_granted();
        let behind_card = |s: &&Scope| s.standing == Standing::Member && !said.contains(&s.id());
        let mut behind = vec![];
        for s in self.scopes.values().filter(behind_card) {
            let state = s.replica.state();
            let card = state.card.and_then(|card| self.scopes.get(&card)).map(|c| c.replica.state());
            let Some(card) = card.filter(|card| card.scope() != state.scope() && !granted.contains(&card.scope()))
            else {
                continue;
            };
            let over = state
                .grants
                .iter()
                .filter(|f| f.ended_at == 0 && f.in_force_since != 0 && self.is_over_on(card, state, f));
            behind.extend(over.map(|f| (state.log(), state.scope(), f.id)));
        }
        for (log, scope, grant) in behind {
            // Once: it waits in the outbox until the home has answered.
            let key = [b"extended/".as_slice(), &scope.0, &grant.0].concat();
            if self.table.read(Space::State, &key).is_none() {
                self.table.write(Space::State, &key, vec![]);
                self.withdraw_in(log, scope, Target::Grant(grant))?;
            }
        }
        Ok(())
    }

    /// Scopes for which a withdrawal of ours waits to be sent, and those for which a consent does.
    fn said_and_granted(&self) -> (Vec<ScopeId>, Vec<ScopeId>) {
        let (mut said, mut granted) = (vec![], vec![]);
        for (_, value) in self.queued_rows("s") {
            match decode::<crate::client::queue::OutStatement>(&value).map(|out| (out.statement, out.scope)) {
                Ok((Statement::Withdrawal(_), scope)) => said.push(scope),
                Ok((Statement::Grant(_), scope)) => granted.push(scope),
                _ => {}
            }
        }
        (said, granted)
    }

    /// Whether the card says that this grant of another scope of its log is over, and it is for us to say so there.
    fn is_over_on(&self, card: &ScopeState, state: &ScopeState, fact: &GrantFact) -> bool {
        let Ok(me) = self.me().map(|m| m.person) else { return false };
        let grantee = &fact.grant.grantee;
        let theirs = || card.grants.iter().filter(|f| f.grant.grantee.is_same_party(grantee));
        let stands = |f: &GrantFact| f.ended_at == 0 && f.in_force_since != 0;
        // A copy of the card's own ends with it; any other, where nothing on the card is left for the party.
        let copied = card.grant(&fact.id);
        let (ended_at, again) = match copied {
            Some(on_card) => (on_card.ended_at, false),
            None if theirs().any(stands) => return false,
            None => {
                let signed = theirs().any(|f| f.ended_at == 0 && f.signers.contains(&me));
                (theirs().map(|f| f.ended_at).max().unwrap_or(0), signed)
            }
        };
        // Nobody is let into what is dormant: those of the family who can still come in go first.
        let waits = |person: PersonId| state.present().all(|m| m.person != person) && self.can_be_asked_in(person);
        let holds =
            || state.holder().is_some_and(|h| h.person == me) && !state.authority().persons().any(|p| waits(p.person));
        // Its giver says so everywhere, and may be lost or apart: then whoever holds passes it on.
        let late = || self.home_now() >= ended_at.saturating_add(GIVER_PATIENCE_MILLIS) && holds();
        let mut by = card.vetoes.iter().filter(|v| match copied {
            Some(_) => v.grantee == *grantee,
            None => v.grantee.is_same_party(grantee),
        });
        // Its giver has consented to something else since, and no veto says any more whose word it was: while anybody is in on
        // it who has left the card, all of the family may say so. What a handover has closed its former holder goes on reading.
        let stranded = || state.present().any(|m| m.basis == fact.id && card.membership.member(m.person).is_none());
        let open = state.status != Status::Closed;
        let anybodys = open && copied.is_some() && by.clone().next().is_none() && stranded();
        let ours = state.authority().key(me).is_some();
        ended_at != 0 && (by.any(|v| (v.by == me && !again) || late()) || (anybodys && (ours || late())))
    }

    /// Whoever withdrew may have lost the device that should have told the home, or had it set back: what the others were
    /// told by letter they carry to the chain, or those put out would have left a scope that still names them, and nobody
    /// would write there any more. Not on the connection that brought the letter: its writer is there first as a rule.
    pub(crate) fn carry_withdrawals(&mut self) -> Result<(), Problem> {
        let (me, now) = (self.me()?.person, self.home_now());
        let told = self.table.scan(Space::Mail, b"withdrawal/");
        let told = told.filter_map(|(key, value)| Some((key.to_vec(), decode::<SignedWithdrawal>(value).ok()?)));
        let missing = |(key, signed): &(Vec<u8>, SignedWithdrawal)| {
            let scope = signed.withdrawal.peek().ok().map(|w| w.scope)?;
            let s = self.scopes.get(&scope).filter(|s| s.standing == Standing::Member)?;
            let state = s.replica.state();
            let may = can(state, me, Action::Withdraw, now).is_ok() && self.informed(scope);
            let first_time = self.table.read(Space::State, &carried_key(key)).is_none();
            let due =
                may && first_time && !self.withdrawals_heard.contains(key) && self.withdrawal_missing(state, signed);
            due.then_some(scope)
        };
        let due: Vec<_> = told.filter_map(|one| Some((missing(&one)?, one))).collect();
        for (scope, (key, signed)) in due {
            self.table.write(Space::State, &carried_key(&key), vec![]);
            self.queue_statement(scope, Statement::Withdrawal(signed));
        }
        Ok(())
    }

    /// A signature that has not left this device yet never will.
    fn drop_unsent_grant(&mut self, target: &Target) {
        let Target::Grant(id) = target else { return };
        for (key, value) in self.queued_rows("s") {
            let out = decode::<crate::client::queue::OutStatement>(&value);
            if out.is_ok_and(|o| matches!(&o.statement, Statement::Grant(g) if g.grant.id() == *id)) {
                self.table.delete(Space::Outbox, &key);
            }
        }
    }

    /// Signatures of ours on grants that the chain does not show (yet): withdrawn by name, so that nobody
    /// can bring them later.
    fn unseen_signatures(&self, log: LogId, target: &Target) -> Vec<(ScopeId, Target)> {
        let Ok(me) = self.me().map(|m| m.person) else { return vec![] };
        let signed =
            self.table.scan(Space::State, b"grant/").filter_map(|(_, value)| decode::<SignedGrant>(value).ok());
        signed
            .filter(|g| g.signer == me)
            .filter_map(|g| g.grant.peek().ok().map(|grant| (g.grant.id(), grant)))
            .filter(|(id, grant)| {
                let hit = match (target, &grant.grantee) {
                    (Target::All, _) => true,
                    (Target::Unit(unit), Grantee::Unit(u)) => u.unit == *unit,
                    (Target::Person(person), Grantee::Person(p)) => p.person == *person,
                    _ => false,
                };
                let shown = self.scopes.get(&grant.scope).is_some_and(|s| s.replica.state().grant(id).is_some());
                hit && grant.log == log && !shown && self.scopes.contains_key(&grant.scope)
            })
            .map(|(id, grant)| (grant.scope, Target::Grant(id)))
            .collect()
    }

    /// Ends access: a statement for each scope, and a letter to everyone there, so that no home can hide it.
    pub(crate) fn consent_withdraw(&mut self, log: &str, target: &WithdrawTarget) -> Result<Withdrawn, Problem> {
        let log = self.log(log)?;
        self.member_card(log)?;
        // What was signed here and is not on the chain yet is withdrawn too: a change of mind before the net
        // was there, or a home that hides the grant.
        let shown = self.withdrawals(log, target);
        let whole = match target {
            WithdrawTarget::All => Some(Target::All),
            WithdrawTarget::Unit(prefix) => Some(Target::Unit(self.unit_id(prefix)?)),
            WithdrawTarget::Person(prefix) => Some(Target::Person(self.person(prefix)?)),
            WithdrawTarget::Grant(_) => None,
        };
        let unseen = whole.map_or_else(Vec::new, |whole| self.unseen_signatures(log, &whole));
        let mut by_scope = match shown {
            Err(problem) if unseen.is_empty() => return Err(problem),
            shown => shown.unwrap_or_default(),
        };
        by_scope.extend(unseen);
        by_scope.iter().for_each(|(_, target)| self.drop_unsent_grant(target));
        let grant_scopes: Vec<String> = by_scope.iter().map(|(scope, _)| scope.to_string()).collect();
        let mut told = vec![];
        let mut ids = vec![];
        for (scope, target) in by_scope {
            let (id, members) = self.withdraw_in(log, scope, target)?;
            ids.push(id.to_string());
            told.extend(members.into_iter().map(|person| self.name_of(person)));
        }
        told.sort_unstable();
        told.dedup();
        let at = Moment::at(self.now);
        Ok(Withdrawn { receipt: Receipt { withdrawals: ids, scopes: grant_scopes, told, at, queued: true } })
    }

    /// One scope's statement, queued; and a letter to everyone there. Answers its id and who is told.
    fn withdraw_in(&mut self, log: LogId, scope: ScopeId, target: Target) -> Result<(Hash, Vec<PersonId>), Problem> {
        let me = self.me()?;
        let (signer, key) = (me.person, me.person_key()?);
        let withdrawal = Withdrawal { log, scope, target, salt: self.random() };
        let signed = SignedWithdrawal { signer, withdrawal: Signed::sign(&withdrawal, &key) };
        self.queue_statement(scope, Statement::Withdrawal(signed.clone()));
        let members = self.scopes.get(&scope).map(|s| s.replica.state().membership.members.iter());
        let members: Vec<PersonId> =
            members.into_iter().flatten().map(|m| m.person).filter(|person| *person != signer).collect();
        for person in &members {
            self.write_letter(*person, Content::Withdrawal(signed.clone()));
        }
        Ok((signed.withdrawal.id(), members))
    }

    pub(crate) fn withdrawals(&self, log: LogId, target: &WithdrawTarget) -> Result<Vec<(ScopeId, Target)>, Problem> {
        let states: Vec<&ScopeState> = self
            .scopes
            .values()
            .filter(|s| s.replica.state().log() == log && s.standing != Standing::Withdrawn)
            .map(|s| s.replica.state())
            .collect();
        let live = |state: &ScopeState, hit: &dyn Fn(&Hash, &Grantee) -> bool| {
            state.grants.iter().any(|f| f.ended_at == 0 && hit(&f.id, &f.grant.grantee))
        };
        let chosen: Vec<(ScopeId, Target)> = match target {
            WithdrawTarget::All => states.iter().map(|s| (s.scope(), Target::All)).collect(),
            WithdrawTarget::Unit(prefix) => {
                let unit = self.unit_id(prefix)?;
                let hit = |_: &Hash, g: &Grantee| matches!(g, Grantee::Unit(u) if u.unit == unit);
                states.iter().filter(|s| live(s, &hit)).map(|s| (s.scope(), Target::Unit(unit))).collect()
            }
            WithdrawTarget::Person(prefix) => {
                let person = self.person(prefix)?;
                let family = |s: &&ScopeState| {
                    s.authority().key(person).is_some()
                        || s.membership.member(person).is_some_and(|m| m.role.is_family())
                };
                if states.iter().any(family) {
                    return Err(Problem::rule(Cause::FamilyStays, "guardians and the child cannot be withdrawn"));
                }
                if states.iter().any(|s| s.holder().is_some_and(|h| h.person == person)) {
                    return Err(holder_stays());
                }
                let hit = |_: &Hash, g: &Grantee| matches!(g, Grantee::Person(p) if p.person == person);
                let there = |s: &ScopeState| live(s, &hit) || s.membership.member(person).is_some();
                states.iter().filter(|s| there(s)).map(|s| (s.scope(), Target::Person(person))).collect()
            }
            WithdrawTarget::Grant(prefix) => {
                let all = states.iter().flat_map(|s| &s.grants).filter(|f| f.ended_at == 0).map(|f| f.id);
                let id = people::unique("consent", prefix, all.collect::<Vec<_>>())?;
                let on_card = states.iter().filter(|s| s.kind() == ScopeKind::Card).find_map(|s| s.grant(&id));
                match on_card.map(|fact| (fact.grant.access, fact.grant.grantee)) {
                    // The leader's seat ends alone and everywhere; the unit goes on holding.
                    Some((Access::Custody, grantee)) => return Ok(custody_of(&states, &grantee)),
                    // Whoever leaves the card leaves the log.
                    Some((_, Grantee::Unit(u))) => {
                        return self.withdrawals(log, &WithdrawTarget::Unit(u.unit.to_string()));
                    }
                    Some((_, Grantee::Person(p))) => {
                        return self.withdrawals(log, &WithdrawTarget::Person(p.person.to_string()));
                    }
                    None => {}
                }
                let hit = |grant: &Hash, _: &Grantee| *grant == id;
                states.iter().filter(|s| live(s, &hit)).map(|s| (s.scope(), Target::Grant(id))).collect()
            }
        };
        if chosen.is_empty() {
            return Err(Problem::rule(Cause::NothingToWithdraw, "no consent or person here matches"));
        }
        Ok(chosen)
    }
}
