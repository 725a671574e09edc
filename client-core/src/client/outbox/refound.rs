//! A scope founded anew after a commit that somebody could not process (`docs/protocol.md` 15): forward, with
//! exactly those who were there, and with the key of the generation before sealed under the first of the new
//! one, so that the document goes on.

use crate::client::Client;
use crate::client::input::{Cause, Problem};
use crate::client::scope::{Scope, Standing, group};
use crate::keychain::KeyChain;
use stafett_protocol::consent::Permit;
use stafett_protocol::event::{Body, Event};
use stafett_protocol::ids::{Municipality, ScopeId};
use stafett_protocol::limits;
use stafett_protocol::membership::{Member, Membership};
use stafett_protocol::policy::{Action, can};
use stafett_protocol::signed::Signed;
use stafett_protocol::statement::{Reject, RejectReason, Statement};
use stafett_protocol::wire::{Bundle, Envelope};

impl Client {
    /// Founds one scope anew where a commit was rejected and this person may. Answers whether one is under way.
    pub(crate) fn plan_refounding(&mut self, home: Municipality) -> Result<bool, Problem> {
        let next = self.scopes.keys().copied().find(|scope| {
            let rejected = |s: &Scope| s.replica.state().rejected == Permit::Yes;
            let followed = |s: &Scope| matches!(s.standing, Standing::Member | Standing::Halted) || self.is_kept_out(s);
            self.home_of(*scope) == home
                && self.may_refound(*scope)
                && self.scopes.get(scope).is_some_and(|s| rejected(s) && followed(s))
        });
        let Some(scope) = next else { return Ok(false) };
        match self.refounding(scope) {
            Ok(envelope) => self.submit_bundle(Bundle { envelopes: vec![envelope], letters: vec![] }, vec![scope]),
            Err(problem) => {
                // Not again on this connection; the other scopes go on.
                self.following.unplanned.insert(scope);
                return Err(problem);
            }
        }
        Ok(true)
    }

    /// Rejects a founding whose founder lets this device back no more, be it lost or hostile: what follows is founded
    /// by whoever comes first, who lets everybody back. And one of this device's own that nobody could ever be let into.
    pub(crate) fn reject_lonely_foundings(&mut self) {
        let lonely: Vec<ScopeId> = self.scopes.keys().copied().filter(|scope| self.may_refound(*scope)).collect();
        for scope in lonely {
            let stuck = |s: &&Scope| self.is_kept_out(s) || self.is_alone_behind_a_gap(s);
            let Some(s) = self.scopes.get(&scope).filter(stuck) else { continue };
            let state = s.replica.state();
            if state.rejected == Permit::No {
                let reject = Reject { seq: state.last_commit, reason: RejectReason::Mls };
                self.queue_statement(scope, Statement::Reject(reject));
            }
        }
    }

    /// Whether nothing stands between this person and founding this scope anew but a Reject.
    fn may_refound(&self, scope: ScopeId) -> bool {
        let (Ok(me), Some(s)) = (self.me().map(|m| m.person), self.scopes.get(&scope)) else { return false };
        let free = !self.stream.busy(scope)
            && !self.following.unplanned.contains(&scope)
            && !self.following.blocked.contains(&scope);
        let state = s.replica.state();
        free && s.facts_read()
            && state.before_last_commit.iter().any(|m| m.person == me)
            && can(state, me, Action::Refound, self.home_now()).is_ok()
    }

    /// Whether this device has waited long enough to be let back in after a re-founding.
    fn is_kept_out(&self, s: &Scope) -> bool {
        let (Ok(device), state, now) =
            (self.me().map(crate::client::me::Me::device), s.replica.state(), self.home_now())
        else {
            return false;
        };
        let further = state.membership.generation.saturating_sub(2).min(7);
        let patience = limits::READMIT_PATIENCE_MILLIS << further;
        s.standing == Standing::Joining
            && now >= state.founded_at.saturating_add(patience)
            && state.awaited(device, now).is_some()
    }

    /// Whether a key is lost that nobody but this device ever had: whoever founds alone, and dies before the key is saved.
    /// Nobody is let in before the gap is mended, and nobody is there to mend it.
    fn is_alone_behind_a_gap(&self, s: &Scope) -> bool {
        let state = s.replica.state();
        let own = self.me().map(crate::client::me::Me::device_public).unwrap_or_default();
        let alone = state.membership.devices().all(|key| *key == own) && state.readmit.is_empty();
        s.standing == Standing::Member && alone && !state.gaps.is_empty()
    }

    fn refounding(&mut self, scope: ScopeId) -> Result<Envelope, Problem> {
        let me = self.me()?;
        let s = self.scopes.get(&scope).ok_or_else(|| Problem::data(Cause::Scope, "no such scope"))?;
        let state = s.replica.state();
        let seat = state.before_last_commit.iter().find(|m| m.person == me.person);
        let seat = seat.ok_or_else(|| Problem::rule(Cause::NotAMember, "you are not in this part of the log"))?;
        let membership = Membership {
            generation: state.membership.generation.saturating_add(1),
            members: vec![Member { devices: vec![me.device_public()], ..seat.clone() }],
            ..state.membership.clone()
        };
        let founding =
            group::Beginning { membership: &membership, log_salt: None, card: None, grants: vec![], vouchers: vec![] };
        let mut keys = s.keys.clone().next(None, me.device());
        let genesis = group::found(&self.provider, me, founding, &mut keys)?;
        let event = self.next_event(scope, Body::Genesis(genesis))?;
        let event = Event { generation: membership.generation, epoch: 0, ..event };
        // An earlier try that came to nothing left rows.
        KeyChain::forget_generation(&mut self.table, scope, membership.generation);
        keys.save(&mut self.table);
        Ok(Envelope { event: Signed::sign(&event, &self.me()?.device_key()), welcome: None })
    }
}
