//! A chain's first record: founded here, or read by whoever was welcomed.

use crate::client::Client;
use crate::client::input::{Cause, Problem};
use crate::client::scope::resync::info_key;
use crate::client::scope::{Scope, Standing, group, save_record};
use crate::keychain::{self, KeyChain};
use crate::rows::Space;
use stafett_protocol::event::{Body, Record};
use stafett_protocol::ids::ScopeId;
use stafett_protocol::policy::Context;
use stafett_protocol::replica;

impl Client {
    /// The first record of a scope that we found, or were welcomed to.
    pub(crate) fn begin(&mut self, scope: ScopeId, record: Record, context: &Context<'_>) -> Result<(), Problem> {
        let (replica, judged) = replica::found(record, context)?;
        if replica.state().scope() != scope {
            return Err(stafett_protocol::refusal::Refusal::WrongScope.into());
        }
        let own = judged.event().device == self.me()?.device();
        if !own && self.welcome(scope).is_none() {
            return Err(Problem::rule(Cause::UnaskedScope, "the server sent a scope that nobody let us into"));
        }
        self.check_belongs(replica.state(), judged.record().time)?;
        let founded = self.founded_here(scope);
        // A founder whose backup is older than its scope comes back into it like any device that is behind; one who
        // left and was let in again, like any newcomer.
        let standing = match (own, &founded) {
            (true, Some(_)) => Standing::Member,
            (true, None) if self.welcome(scope).is_none() => Standing::Resyncing,
            _ => Standing::Joining,
        };
        let mut s = Scope::new(replica, standing)?;
        if let Body::Genesis(genesis) = &judged.event().body {
            let grants = genesis.grants.clone();
            grants.iter().for_each(|g| self.keep_grant(g));
        }
        if let Some((keys, document)) = founded {
            let check = keys.key(0).map(|key| keychain::check(key, &keys.place(0)));
            // The home has another genesis than the last one made here: its key is not here, and ours opens nothing.
            if check != Some(s.replica.state().check.0) {
                s.standing = Standing::Resyncing;
                KeyChain::forget_generation(&mut self.table, scope, s.replica.state().membership.generation);
            } else {
                s.keys = keys;
            }
            s.document = document;
        } else if let Body::Genesis(genesis) = &judged.event().body {
            self.table.write(Space::State, &info_key(scope), genesis.group_info.as_slice().to_vec());
        }
        s.keys.learn_check(0, s.replica.state().check.0).map_err(group::mls_problem)?;
        save_record(&mut self.table, scope, judged.record());
        s.note_head();
        let event = judged.event().clone();
        self.scopes.insert(scope, s);
        if own {
            self.own_event_stands(scope, &event);
        }
        Ok(())
    }

    /// A concern or journal must stand on the card's own grants and authority, as far as the card is known
    /// here: a founder cannot bring an authority of its own. A guardian checks the card against what it signed.
    pub(crate) fn check_belongs(
        &self,
        state: &stafett_protocol::state::ScopeState,
        founded_at: u64,
    ) -> Result<(), Problem> {
        let alien = || Problem::rule(Cause::AlienScope, "the scope does not stand on the consents of its log");
        match state.card.and_then(|card| self.scopes.get(&card)) {
            Some(card) => {
                let card = card.replica.state();
                let authorities = card.grants.iter().map(|g| g.grant.authority).chain([card.membership.authority.id()]);
                let known = authorities.into_iter().any(|id| id == state.membership.authority.id());
                // A concern stands on the card's own `hold` grant, and on one that was in force then.
                let basis = state.holder().map(|h| h.basis).unwrap_or_default();
                let held = card.grant(&basis).is_some_and(|g| g.ended_at == 0 || g.ended_at >= founded_at);
                let stands = state.kind() != stafett_protocol::membership::ScopeKind::Concern || held;
                if card.log() == state.log() && known && stands { Ok(()) } else { Err(alien()) }
            }
            None => {
                let me = self.me()?.person;
                let named = state.membership.authority.key(me);
                let ours = named.is_none_or(|key| {
                    self.me().and_then(crate::client::me::Me::person_public).is_ok_and(|k| k == *key)
                });
                if ours { Ok(()) } else { Err(alien()) }
            }
        }
    }
}
