//! Ending access: for the family as easy as giving it (GDPR 7(3)), one statement for each scope, told to everyone there.

use super::input::{Problem, WithdrawTarget};
use super::log::rfc3339;
use super::people;
use super::scope::Standing;
use super::{Answer, Client};
use serde_json::json;
use stafett_protocol::consent::{Grantee, SignedWithdrawal, Statement, Target, Withdrawal};
use stafett_protocol::ids::{Hash, LogId, PersonId, ScopeId};
use stafett_protocol::letter::Content;
use stafett_protocol::signed::Signed;
use stafett_protocol::state::ScopeState;

impl Client {
    /// Ends access: a statement for each scope, and a letter to everyone there, so that no home can hide it.
    pub(super) fn consent_withdraw(&mut self, log: &str, target: &WithdrawTarget) -> Answer {
        let log = self.log(log)?;
        self.member_card(log)?;
        let by_scope = self.withdrawals(log, target)?;
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
                let all = states.iter().flat_map(|s| {
                    s.grants.iter().filter(|f| f.ended_at == 0 && f.grant.scope == s.scope()).map(|f| f.id)
                });
                let id = people::unique("consent", prefix, all.collect::<Vec<_>>())?;
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
