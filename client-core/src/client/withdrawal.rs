//! Ending access: for the family as easy as giving it (GDPR 7(3)), one statement for each scope, told to everyone there.

use super::input::{Problem, WithdrawTarget};
use super::log::rfc3339;
use super::people;
use super::scope::Standing;
use super::{Answer, Client};
use crate::rows::Space;
use serde_json::json;
use stafett_protocol::codec::decode;
use stafett_protocol::consent::{Grantee, SignedGrant, SignedWithdrawal, Statement, Target, Withdrawal};
use stafett_protocol::ids::{Hash, LogId, PersonId, ScopeId};
use stafett_protocol::letter::Content;
use stafett_protocol::membership::{Member, Role, ScopeKind};
use stafett_protocol::signed::Signed;
use stafett_protocol::state::ScopeState;

/// Whether a withdrawal ends the part of this member. Never the family's; the holder's only when all ends.
fn ends(state: &ScopeState, target: &Target, member: &Member) -> bool {
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

impl Client {
    /// A letter says that our own access has ended: it counts whatever the home shows, and also for a
    /// device that was away and can no longer follow the commits in between.
    pub(super) fn heed_withdrawal(&mut self, signed: &SignedWithdrawal) -> Result<(), Problem> {
        let me = self.me()?.person;
        let Ok(withdrawal) = signed.withdrawal.peek() else { return Ok(()) };
        let Some(s) = self.scopes.get(&withdrawal.scope).filter(|s| s.standing != Standing::Withdrawn) else {
            return Ok(());
        };
        let state = s.replica.state();
        let Some(member) = state.membership.member(me) else { return Ok(()) };
        let key = state
            .authority()
            .key(signed.signer)
            .or_else(|| state.membership.member(signed.signer).map(|m| &m.person_key));
        let genuine = key.is_some_and(|key| signed.withdrawal.verify(key).is_ok()) && withdrawal.log == state.log();
        if genuine && ends(state, &withdrawal.target, member) {
            return self.leave(withdrawal.scope);
        }
        Ok(())
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
    pub(super) fn consent_withdraw(&mut self, log: &str, target: &WithdrawTarget) -> Answer {
        let log = self.log(log)?;
        self.member_card(log)?;
        let mut by_scope = self.withdrawals(log, target)?;
        if let Some((_, whole)) = by_scope.first().copied() {
            by_scope.extend(self.unseen_signatures(log, &whole));
        }
        let grant_scopes: Vec<String> = by_scope.iter().map(|(scope, _)| scope.to_string()).collect();
        let me = self.me()?;
        let (signer, key) = (me.person, me.person_key()?);
        let mut told = vec![];
        let mut ids = vec![];
        for (scope, target) in by_scope {
            let withdrawal = Withdrawal { log, scope, target, salt: self.random() };
            let signed = SignedWithdrawal { signer, withdrawal: Signed::sign(&withdrawal, &key) };
            ids.push(signed.withdrawal.id().to_string());
            self.queue_statement(scope, Statement::Withdrawal(signed.clone()));
            let members: Vec<PersonId> = self
                .scopes
                .get(&scope)
                .map(|s| {
                    s.replica.state().membership.members.iter().map(|m| m.person).filter(|p| *p != signer).collect()
                })
                .unwrap_or_default();
            for person in members {
                self.write_letter(person, Content::Withdrawal(signed.clone()));
                told.push(self.name_of(person));
            }
        }
        told.sort_unstable();
        told.dedup();
        Ok(
            json!({"receipt": {"withdrawals": ids, "scopes": grant_scopes, "told": told, "at": rfc3339(self.now), "queued": true}}),
        )
    }

    pub(super) fn withdrawals(&self, log: LogId, target: &WithdrawTarget) -> Result<Vec<(ScopeId, Target)>, Problem> {
        let states: Vec<&ScopeState> = self
            .scopes
            .values()
            .filter(|s| s.replica.state().log() == log && matches!(s.standing, Standing::Member))
            .map(|s| s.replica.state())
            .collect();
        let live = |state: &ScopeState, hit: &dyn Fn(&Hash, &Grantee) -> bool| {
            state.grants.iter().any(|f| f.ended_at == 0 && hit(&f.id, &f.grant.grantee))
        };
        let chosen: Vec<(ScopeId, Target)> = match target {
            WithdrawTarget::All => states.iter().map(|s| (s.scope(), Target::All)).collect(),
            WithdrawTarget::Unit(prefix) => {
                let unit = self.unit(prefix)?.unit;
                let hit = |_: &Hash, g: &Grantee| matches!(g, Grantee::Unit(u) if u.unit == unit);
                states.iter().filter(|s| live(s, &hit)).map(|s| (s.scope(), Target::Unit(unit))).collect()
            }
            WithdrawTarget::Person(prefix) => {
                let person = self.person(prefix)?;
                let hit = |_: &Hash, g: &Grantee| matches!(g, Grantee::Person(p) if p.person == person);
                let there = |s: &ScopeState| live(s, &hit) || s.membership.member(person).is_some();
                states.iter().filter(|s| there(s)).map(|s| (s.scope(), Target::Person(person))).collect()
            }
            WithdrawTarget::Grant(prefix) => {
                let all = states.iter().flat_map(|s| &s.grants).filter(|f| f.ended_at == 0).map(|f| f.id);
                let id = people::unique("consent", prefix, all.collect::<Vec<_>>())?;
                let on_card = states.iter().filter(|s| s.kind() == ScopeKind::Card).find_map(|s| s.grant(&id));
                match on_card.map(|fact| fact.grant.grantee) {
                    // Whoever leaves the card leaves the log.
                    Some(Grantee::Unit(u)) => return self.withdrawals(log, &WithdrawTarget::Unit(u.unit.to_string())),
                    Some(Grantee::Person(p)) => {
                        return self.withdrawals(log, &WithdrawTarget::Person(p.person.to_string()));
                    }
                    None => {}
                }
                let hit = |grant: &Hash, _: &Grantee| *grant == id;
                states.iter().filter(|s| live(s, &hit)).map(|s| (s.scope(), Target::Grant(id))).collect()
            }
        };
        if chosen.is_empty() {
            return Err(Problem::rule("nothing-to-withdraw", "no consent or person here matches"));
        }
        Ok(chosen)
    }
}
