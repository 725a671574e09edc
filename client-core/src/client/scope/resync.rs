//! A device whose MLS state is gone or behind, as after a restored backup: it hears from the homes which scopes it has
//! forgotten, follows the chains without keys, takes its own leaf back by an external commit, and waits for a member to
//! mend the key chain.

use crate::client::Client;
use crate::client::input::{Cause, Problem};
use crate::client::scope::welcome::WelcomeFrom;
use crate::client::scope::{Scope, Standing, event_key, group};
use crate::keychain::{ContentKey, KeyChain};
use crate::rows::Space;
use stafett_protocol::consent::Permit;
use stafett_protocol::event::{Body, Commit, Position};
use stafett_protocol::ids::{Hash, Municipality, ScopeId};
use stafett_protocol::limits::PREVIOUS_EPOCH_MILLIS;
use stafett_protocol::replica::Judged;
use stafett_protocol::signed::Signed;
use stafett_protocol::state::ScopeState;
use stafett_protocol::statement::{KeyPlace, LinkRepair, Statement};
use stafett_protocol::wire::{Bundle, Envelope};

/// Where the newest GroupInfo of a scope is kept.
pub(crate) fn info_key(scope: ScopeId) -> Vec<u8> {
    [b"info/".as_slice(), &scope.0].concat()
}

fn secret_key(scope: ScopeId) -> Vec<u8> {
    [b"resync/".as_slice(), &scope.0].concat()
}

impl Client {
    /// The scopes in which a home has a place for this device. Those of which it has never heard came after the backup to
    /// which it was set back, or their Welcome is lost. What it has left stays left, for its people's letters may be ahead
    /// of the home, unless the chain shows that it was out and let in again.
    pub(crate) fn has_places(&mut self, home: Municipality, scopes: &[ScopeId]) {
        // Nobody has a place who was not certified. The letter that brought the certificate was taken in, and is forgotten
        // here with all that came after: it does not come again.
        if !scopes.is_empty() && self.awaits_certificate() {
            let why = "this device was set back to before it was certified, and cannot be used any more; \
                       remove it on another device of yours, and link it anew in an empty home";
            return self.report(&Problem::rule(Cause::SetBackTooFar, why));
        }
        for scope in scopes {
            if let Err(problem) = self.miss_welcome(*scope) {
                self.report(&problem);
            }
            let follows = self.scopes.contains_key(scope) && !self.has_left(*scope);
            let welcome = self.welcome(*scope);
            if follows || self.foundings.contains_key(scope) || welcome.as_ref().is_some_and(|w| !w.is_lost()) {
                continue;
            }
            if welcome.is_none() {
                let left_at = self.scopes.get(scope).map_or(0, |s| s.replica.state().position.seq.max(1));
                self.welcome_lost(home, *scope, left_at);
            }
            self.ask_anew(*scope);
        }
    }

    /// The chain of a scope that this device had left is read anew: whether it shows a state without this device since.
    pub(crate) fn note_absence(&mut self, scope: ScopeId) {
        let Some(lost) = self.welcome(scope).filter(|w| w.is_lost() && !w.counts()) else { return };
        let (Ok(device), Some(s)) = (self.me().map(crate::client::me::Me::device), self.scopes.get(&scope)) else {
            return;
        };
        let state = s.replica.state();
        if state.position.seq >= lost.left_at && state.membership.device_key(device).is_none() {
            self.write_welcome(scope, &WelcomeFrom { was_out: Permit::Yes, ..lost });
        }
    }

    /// A home has told all that it has of a scope. Where its Welcome is lost, the leaf is taken back; where there is no
    /// leaf, the home was wrong.
    pub(crate) fn look_for_place(&mut self, scope: ScopeId, told: Option<Position>) -> Result<(), Problem> {
        let Some(lost) = self.welcome(scope).filter(WelcomeFrom::is_lost) else { return Ok(()) };
        let here = |s: &&Scope| s.standing == Standing::Joining;
        let state = self.scopes.get(&scope).filter(here).map(|s| s.replica.state());
        if let (Some(state), Some(told)) = (state, told)
            && state.position != told
        {
            return Ok(());
        }
        // What came by letter may have been ahead of the home; once the chain has it, the chain says whom it has ended.
        let counts = lost.counts() || state.is_some_and(|state| self.was_told_too_much(state));
        if !(counts && told.is_some() && self.take_leaf(scope)?) {
            match self.scopes.get_mut(&scope).filter(|s| s.standing == Standing::Joining) {
                Some(s) if lost.left_at > 0 => s.wipe(&mut self.table)?,
                None if lost.left_at > 0 => {}
                _ => self.forget_stranger(scope),
            }
        }
        self.welcome_used(scope);
        Ok(())
    }

    /// Nothing stays of what was read for a place that is not there.
    fn forget_stranger(&mut self, scope: ScopeId) {
        let read = self.scopes.get(&scope).map_or(0, |s| s.replica.state().position.seq);
        (1..=read).for_each(|seq| self.table.erase(&event_key(scope, seq)));
        KeyChain::delete_rows(&mut self.table, scope);
        for kind in ["info", "receipt"] {
            self.table.delete_all(Space::State, &[kind.as_bytes(), b"/", &scope.0].concat());
        }
        self.forget_scope(scope);
    }

    /// A commit for a device that cannot process it: its public part is followed. Our own external commit
    /// ends the resync.
    pub(crate) fn follow_keyless(
        &mut self,
        scope: ScopeId,
        judged: Judged,
        commit: &Commit,
        own: bool,
    ) -> Result<(), Problem> {
        let (event, device) = (judged.event().clone(), self.me()?.device());
        let secret = self.table.read(Space::State, &secret_key(scope)).map(<[u8]>::to_vec);
        if stafett_protocol::replica::claimed_membership(commit).is_ok_and(|m| m.device_key(device).is_none()) {
            self.check_over(scope, &event, judged.record().time)?;
        }
        let s = self.scopes.get_mut(&scope).ok_or_else(|| Problem::data(Cause::Scope, "no such scope"))?;
        s.standing = Standing::Resyncing;
        s.facts_changed = true;
        let (epoch, place) = (event.epoch + 1, s.keys.place(event.epoch + 1));
        group::note(&mut s.keys, epoch, commit, event.device)?;
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
    pub(crate) fn plan_resync(&mut self, home: Municipality) -> Result<bool, Problem> {
        let begun = self.begin_resync(home);
        if begun.is_err() {
            // Not again on this connection; the other scopes go on.
            self.following
                .unplanned
                .extend(self.scopes.iter().filter(|(_, s)| s.standing == Standing::Resyncing).map(|(id, _)| *id));
        }
        begun
    }

    fn begin_resync(&mut self, home: Municipality) -> Result<bool, Problem> {
        let next = self.scopes.iter().find(|(id, s)| {
            let free = !self.stream.busy(**id) && !self.following.unplanned.contains(id);
            s.standing == Standing::Resyncing && free && self.home_of(**id) == home
        });
        let Some((scope, s)) = next.map(|(id, s)| (*id, s)) else { return Ok(false) };
        let (membership, tree) = (s.replica.state().membership.clone(), s.replica.tree());
        let info = self.table.read(Space::State, &info_key(scope)).map(<[u8]>::to_vec);
        let info = info.ok_or_else(|| group::mls_problem("no GroupInfo has been published"))?;
        group::forget(&self.provider, &membership)?;
        let s = self.scopes.get(&scope).ok_or_else(|| Problem::data(Cause::Scope, "no such scope"))?;
        let (commit, secret) = group::resync(&self.provider, self.me()?, &info, tree, &s.keys)?;
        self.table.write(Space::State, &secret_key(scope), secret);
        let event = self.next_event(scope, Body::Commit(commit))?;
        let event = Signed::sign(&event, &self.me()?.device_key());
        self.submit_bundle(Bundle { envelopes: vec![Envelope { event, welcome: None }], letters: vec![] }, vec![scope]);
        Ok(true)
    }

    /// The links of a scope's key chain that this device can make good. Nobody is let in before it has: a gap that
    /// somebody else could mend is no reason to wait.
    pub(crate) fn link_repairs(&self, scope: ScopeId) -> Vec<LinkRepair> {
        let Ok(device) = self.me().map(crate::client::me::Me::device) else { return vec![] };
        let now = self.home_now();
        let settled = |s: &&Scope| s.standing == Standing::Member && s.unaudited.is_none();
        let member = |s: &&Scope| settled(s) && s.replica.state().may_read(device, now);
        let Some(s) = self.scopes.get(&scope).filter(member) else { return vec![] };
        let mut repairs = s.keys.repairs(device);
        repairs.retain(|repair| self.is_due(s.replica.state(), repair));
        repairs
    }

    /// Who only knows keys further back leaves a moment to those who know the one before: then nothing is skipped.
    fn is_due(&self, state: &ScopeState, repair: &LinkRepair) -> bool {
        let LinkRepair { from, to, .. } = repair;
        let next = from.generation != to.generation || to.epoch.checked_add(1) == Some(from.epoch);
        let present = KeyPlace { generation: state.membership.generation, epoch: state.epoch };
        next || *from < present || self.home_now() > state.epoch_since.saturating_add(PREVIOUS_EPOCH_MILLIS)
    }

    /// Where the key chain has a gap, or what was published there is junk, a member who knows both keys publishes the
    /// link. What another has published meanwhile does not wait to be sent any more.
    pub(crate) fn plan_link_repairs(&mut self) {
        let scopes: Vec<ScopeId> = self.scopes.keys().copied().filter(|s| !self.stream.busy(*s)).collect();
        for scope in scopes {
            let repairs = self.link_repairs(scope);
            self.drop_statements(scope, |s| matches!(s, Statement::LinkRepair(r) if !repairs.contains(r)));
            for repair in repairs {
                self.queue_statement(scope, Statement::LinkRepair(repair));
            }
        }
    }
}
