//! The one bundle under way at each home: stored before it is sent, sent again byte for byte, and given up when
//! the chain has gone past it.

use crate::client::Client;
use crate::client::input::Problem;
use crate::client::outbox::transfer::moving_key;
use crate::client::stream::{Sent, is_final};
use crate::rows::Space;
use stafett_protocol::codec::{decode, encode};
use stafett_protocol::consent::Permit;
use stafett_protocol::event::{Body, Event};
use stafett_protocol::ids::{Municipality, ScopeId};
use stafett_protocol::wire::{Bundle, Envelope, Problem as WireProblem, Request};

/// Where the one bundle under way at a home is kept.
fn bundle_key(home: Municipality) -> Vec<u8> {
    [b"bundle/".as_slice(), &home.to_be_bytes()].concat()
}

/// The scope that an envelope of ours is for.
pub(crate) fn envelope_scope(envelope: &Envelope) -> Option<ScopeId> {
    envelope.event.peek().ok().map(|e| e.scope)
}

impl Client {
    /// Sends the stored bundle, the same bytes each time, unless the chain has gone past it.
    pub(crate) fn submit_bundle(&mut self, bundle: Bundle, scopes: Vec<ScopeId>) {
        let home = self.home_of(scopes.first().copied().unwrap_or_default());
        self.keep_bundle(home, &bundle);
        self.stream.send(home, Request::Submit(bundle), Sent::Bundle(scopes));
    }

    pub(crate) fn keep_bundle(&mut self, home: Municipality, bundle: &Bundle) {
        self.table.write(Space::Outbox, &bundle_key(home), encode(bundle));
    }

    /// The bundle whose outcome at this home is not known.
    pub(crate) fn open_bundle(&self, home: Municipality) -> Option<Bundle> {
        self.table.read(Space::Outbox, &bundle_key(home)).and_then(|b| decode(b).ok())
    }

    pub(crate) fn drop_bundle(&mut self, home: Municipality) {
        self.table.delete(Space::Outbox, &bundle_key(home));
        self.table.delete(Space::State, &moving_key(home));
    }

    /// Bundles under way, with the homes that they were sent to.
    pub(crate) fn bundles(&self) -> Vec<(Municipality, Bundle)> {
        let home = |key: &[u8]| key.strip_prefix(b"bundle/")?.try_into().ok().map(Municipality::from_be_bytes);
        let rows = self.table.scan(Space::Outbox, b"bundle/");
        rows.filter_map(|(key, value)| Some((home(key)?, decode(value).ok()?))).collect()
    }

    /// Whether an event of ours is in the chain as it was read here, or in one that this device has left.
    pub(crate) fn stands_here(&self, event: &Event) -> bool {
        let counter = self.scopes.get(&event.scope).map(|s| s.replica.state().counter(event.device));
        self.has_left(event.scope) || counter.is_some_and(|counter| counter >= event.counter)
    }

    /// After a restart or a lost connection: the chains have been read. What of the bundle stands there has
    /// been taken in; if nothing does, the same bytes are sent again, unless an epoch has passed. If some of it does, all
    /// of it was taken in, and the same bytes bring the home's word on the rest: whoever has handed a scope over reads
    /// there no more, and hears of it in no other way.
    pub(crate) fn resume_bundle(&mut self, home: Municipality) -> Result<(), Problem> {
        let Some(bundle) = self.open_bundle(home) else {
            return Ok(());
        };
        let events: Result<Vec<Event>, _> = bundle.envelopes.iter().map(|e| e.event.peek()).collect();
        let events = events.map_err(|e| Problem::data("bundle", e.to_string()))?;
        let missing: Vec<ScopeId> = events.iter().filter(|e| !self.stands_here(e)).map(|e| e.scope).collect();
        let told = !missing.iter().any(|scope| self.stream.blocked.contains(scope));
        let partly = told && !missing.is_empty() && missing.len() < events.len();
        for event in &events {
            let state = self.scopes.get(&event.scope).map(|s| s.replica.state());
            let founding = matches!(event.body, Body::Genesis(_));
            let fits = match state {
                None => founding,
                Some(state) if founding => {
                    state.rejected == Permit::Yes
                        && state.counter(event.device) < event.counter
                        && state.membership.generation < event.generation
                }
                Some(state) => state.counter(event.device) < event.counter && state.epoch == event.epoch,
            };
            // A scope that has moved since takes nothing more there, and one that this device has left asks nothing more.
            let over = !fits || self.has_left(event.scope) || self.home_of(event.scope) != home;
            if over && !(partly && self.home_of(event.scope) == home) {
                self.drop_bundle(home);
                return Ok(());
            }
        }
        let scopes: Vec<ScopeId> = events.iter().map(|e| e.scope).collect();
        if self.drive_transfer(home) {
            return Ok(());
        }
        // Where the home has another history, whatever it answers cannot be followed here: nothing is asked for again.
        if !scopes.iter().any(|scope| self.stream.busy(*scope) || self.parted.contains_key(scope)) {
            self.stream.send(home, Request::Submit(bundle), Sent::Bundle(scopes));
        }
        Ok(())
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
            self.stream.unplanned.extend(scopes);
            if is_final(&problem.code) {
                let begun: Vec<ScopeId> = scopes.iter().copied().filter(|s| self.foundings.contains_key(s)).collect();
                for scope in begun {
                    self.founding_refused(scope, &problem.code);
                }
            }
            self.report(&Problem::rule(&problem.code, problem.detail.clone()));
        }
    }
}
