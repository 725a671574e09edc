//! The one bundle under way at each home: stored before it is sent, sent again byte for byte, and given up when
//! the chain has gone past it.

use crate::client::Client;
use crate::client::fate::Fate;
use crate::client::input::{Cause, Problem};
use crate::client::stream::Sent;
use stafett_protocol::consent::Permit;
use stafett_protocol::event::{Body, Event};
use stafett_protocol::ids::{Municipality, ScopeId};
use stafett_protocol::wire::{Envelope, Problem as WireProblem, Request};

/// The scope that an envelope of ours is for.
pub(crate) fn envelope_scope(envelope: &Envelope) -> Option<ScopeId> {
    envelope.event.peek().ok().map(|e| e.scope)
}

impl Client {
    /// After a restart or a lost connection: the chains have been read. What of the bundle stands there has
    /// been taken in; if nothing does, the same bytes are sent again, unless an epoch has passed. If some of it does, all
    /// of it was taken in, and the same bytes bring the home's word on the rest: whoever has handed a scope over reads
    /// there no more, and hears of it in no other way.
    pub(crate) fn resume_bundle(&mut self, home: Municipality) -> Result<(), Problem> {
        let Some(bundle) = self.open_bundle(home) else {
            return Ok(());
        };
        let events: Result<Vec<Event>, _> = bundle.envelopes.iter().map(|e| e.event.peek()).collect();
        let events = events.map_err(|e| Problem::data(Cause::Bundle, e.to_string()))?;
        let missing: Vec<&Event> = events.iter().filter(|e| !self.stands_here(e)).collect();
        let partly = missing.len() < events.len();
        let over = |event: &&Event| self.home_of(event.scope) != home || !(partly || self.fits(event));
        if missing.is_empty() || missing.iter().any(over) {
            self.drop_bundle(home);
            return Ok(());
        }
        let scopes: Vec<ScopeId> = events.iter().map(|e| e.scope).collect();
        // Where the home has another history, whatever it answers cannot be followed here: nothing is asked for again.
        if scopes.iter().any(|scope| self.stream.busy(*scope) || self.parted.contains_key(scope)) {
            return Ok(());
        }
        // An answer that brought no more than before, or none but that the home does not know, is asked for with the next
        // connection.
        if self.stream.asked_again.contains(&home) {
            return Ok(());
        }
        if !self.drive_transfer(home) {
            self.stream.send(home, Request::Submit(bundle), Sent::Bundle(scopes.clone()));
        }
        // Where the way to the other home is not open yet, nothing was asked.
        if partly && scopes.iter().any(|scope| self.stream.busy(*scope)) {
            self.stream.asked_again.insert(home);
        }
        Ok(())
    }

    /// Whether this event of ours can still be taken where its scope stands now.
    fn fits(&self, event: &Event) -> bool {
        let founding = matches!(event.body, Body::Genesis(_));
        match self.scopes.get(&event.scope).map(|s| s.replica.state()) {
            None => founding,
            Some(state) if founding => state.rejected == Permit::Yes && state.membership.generation < event.generation,
            Some(state) => state.epoch == event.epoch,
        }
    }

    pub(crate) fn bundle_refused(&mut self, scopes: &[ScopeId], problem: &WireProblem) {
        let home = self.home_of(scopes.first().copied().unwrap_or_default());
        if self.transfer_refused(home, scopes, problem) {
            return;
        }
        let lost: Vec<bool> = scopes.iter().map(|scope| self.race_lost(*scope, problem)).collect();
        let again = lost.contains(&true);
        self.drop_bundle(home);
        if !again {
            self.following.unplanned.extend(scopes);
            if Fate::of(&problem.code).is_last_word() {
                let begun: Vec<ScopeId> = scopes.iter().copied().filter(|s| self.foundings.contains_key(s)).collect();
                for scope in begun {
                    self.founding_refused(scope, &problem.code);
                }
            }
            self.report(&Problem::quoting(&problem.code, problem.detail.clone()));
        }
    }
}
