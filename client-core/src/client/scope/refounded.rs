//! The chain shows the next generation of a scope: who founded it has its group, others wait for their Welcome.

use crate::client::Client;
use crate::client::input::{Cause, Problem};
use crate::client::scope::{Standing, group};
use crate::keychain::{KeyChain, check};
use stafett_protocol::event::{Body, Event};
use stafett_protocol::ids::ScopeId;
use stafett_protocol::replica::Judged;

impl Client {
    /// The chain shows the next generation. Who founded it has its group; others wait for their Welcome and
    /// read on from there.
    pub(crate) fn refounded(&mut self, scope: ScopeId, judged: Judged, own: bool) -> Result<(), Problem> {
        let event: Event = judged.event().clone();
        let Body::Genesis(genesis) = &event.body else { return Ok(()) };
        let me = self.me()?.person;
        let s = self.scopes.get_mut(&scope).ok_or_else(|| Problem::data(Cause::Scope, "no such scope"))?;
        let reads_anew = s.standing == Standing::Joining;
        group::forget(&self.provider, &s.replica.state().membership)?;
        s.keys.save(&mut self.table);
        let made = KeyChain::load(&self.table, scope, event.generation);
        let ours = own && made.key(0).is_some_and(|key| check(key, &made.place(0)) == genesis.check.0);
        s.standing = match (own, ours) {
            (_, true) => Standing::Member,
            // Founded by a device whose backup is older than that: it comes back like any that is behind.
            (true, false) => Standing::Resyncing,
            (false, false) => Standing::Joining,
        };
        if ours {
            s.keys = made;
        } else {
            // A try of our own that lost the race is worth nothing.
            KeyChain::forget_generation(&mut self.table, scope, event.generation);
            let before = std::mem::replace(&mut s.keys, KeyChain::new(scope, event.generation));
            s.keys = before.next(genesis.carries.as_ref(), event.device);
        }
        s.keys.learn_check(0, genesis.check.0).map_err(group::mls_problem)?;
        self.apply(scope, judged)?;
        let Some(s) = self.scopes.get_mut(&scope) else { return Ok(()) };
        if !ours {
            group::forget(&self.provider, &s.replica.state().membership)?;
        }
        // What this device took in before a founder who carries nothing on must go.
        if s.opened.generation != 0 && !s.keys.counts(s.opened.generation) {
            s.read_again();
        }
        let is_out = !s.replica.state().present().any(|m| m.person == me);
        // Who reads the past on the way to a Welcome, or to a place, comes in later than this. To leave here would be to
        // begin reading anew, for ever.
        if is_out && !(reads_anew && self.welcome(scope).is_some()) {
            return self.leave(scope);
        }
        if own {
            self.own_event_stands(scope, &event);
        }
        Ok(())
    }
}
