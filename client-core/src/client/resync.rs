//! A device whose MLS state is gone or behind, as after a restored backup: it follows the chain without
//! keys, takes its own leaf back by an external commit, and waits for a member to mend the key chain.

use super::input::Problem;
use super::scope::Standing;
use super::{Client, group};
use crate::keychain::ContentKey;
use crate::rows::Space;
use stafett_protocol::consent::{LinkRepair, Statement};
use stafett_protocol::event::{Body, Commit};
use stafett_protocol::ids::{Hash, Municipality, ScopeId};
use stafett_protocol::replica::Judged;
use stafett_protocol::signed::Signed;
use stafett_protocol::wire::{Bundle, Envelope};

/// Where the newest GroupInfo of a scope is kept.
pub(super) fn info_key(scope: ScopeId) -> Vec<u8> {
    [b"info/".as_slice(), &scope.0].concat()
}

fn secret_key(scope: ScopeId) -> Vec<u8> {
    [b"resync/".as_slice(), &scope.0].concat()
}

impl Client {
    /// A commit for a device that cannot process it: its public part is followed. Our own external commit
    /// ends the resync.
    pub(super) fn follow_keyless(
        &mut self,
        scope: ScopeId,
        judged: Judged,
        commit: &Commit,
        own: bool,
    ) -> Result<(), Problem> {
        let (event, device) = (judged.event().clone(), self.me()?.device());
        let secret = self.table.read(Space::State, &secret_key(scope)).map(<[u8]>::to_vec);
        let s = self.scopes.get_mut(&scope).ok_or_else(|| Problem::data("scope", "no such scope"))?;
        s.standing = Standing::Resyncing;
        s.facts_changed = true;
        let (epoch, place) = (event.epoch + 1, s.keys.place(event.epoch + 1));
        group::note(&mut s.keys, epoch, commit)?;
        let key = secret.filter(|_| own).and_then(|secret| ContentKey::from_exporter(&secret).ok());
        if let Some(key) = key.filter(|key| Hash(crate::keychain::check(key, &place)) == commit.check) {
            s.keys.learn_key(epoch, key).map_err(group::mls_problem)?;
            s.standing = Standing::Member;
            self.table.delete(Space::State, &secret_key(scope));
        }
        self.apply(scope, judged)?;
        let inside = self.scopes.get(&scope).is_some_and(|s| s.replica.state().membership.device_key(device).is_some());
        if !inside {
            return self.leave(scope);
        }
        if own {
            self.own_event_stands(scope, &event);
        }
        Ok(())
    }

    /// Begins a resync in one scope of this home that needs it. Answers whether one is under way now.
    pub(super) fn plan_resync(&mut self, home: Municipality) -> Result<bool, Problem> {
        let begun = self.begin_resync(home);
        if begun.is_err() {
            // Not again on this connection; the other scopes go on.
            self.session
                .unplanned
                .extend(self.scopes.iter().filter(|(_, s)| s.standing == Standing::Resyncing).map(|(id, _)| *id));
        }
        begun
    }

    fn begin_resync(&mut self, home: Municipality) -> Result<bool, Problem> {
        let next = self.scopes.iter().find(|(id, s)| {
            let free = !self.session.busy(**id) && !self.session.unplanned.contains(id);
            s.standing == Standing::Resyncing && free && self.home_of(**id) == home
        });
        let Some((scope, s)) = next.map(|(id, s)| (*id, s)) else { return Ok(false) };
        let (membership, tree) = (s.replica.state().membership.clone(), s.replica.tree());
        let info = self.table.read(Space::State, &info_key(scope)).map(<[u8]>::to_vec);
        let info = info.ok_or_else(|| group::mls_problem("no GroupInfo has been published"))?;
        group::forget(&self.provider, &membership)?;
        let s = self.scopes.get(&scope).ok_or_else(|| Problem::data("scope", "no such scope"))?;
        let (commit, secret) = group::resync(&self.provider, self.me()?, &info, tree, &s.keys)?;
        self.table.write(Space::State, &secret_key(scope), secret);
        let event = self.next_event(scope, Body::Commit(commit))?;
        let event = Signed::sign(&event, &self.me()?.device_key());
        self.submit_bundle(Bundle { envelopes: vec![Envelope { event, welcome: None }], letters: vec![] }, vec![scope]);
        Ok(true)
    }

    /// After somebody's resync the key chain has a gap: a member who knows both keys publishes the link.
    pub(super) fn plan_link_repairs(&mut self) {
        let repairs: Vec<(ScopeId, LinkRepair)> = self
            .scopes
            .iter()
            .filter(|(_, s)| s.standing == Standing::Member && s.replica.state().unlinked != 0)
            .filter_map(|(id, s)| {
                let epoch = s.replica.state().unlinked;
                let link = s.keys.link(epoch).ok()?;
                Some((*id, LinkRepair { epoch, link: link.into() }))
            })
            .collect();
        for (scope, repair) in repairs {
            if !self.session.busy(scope) {
                self.queue_statement(scope, Statement::LinkRepair(repair));
            }
        }
    }
}
