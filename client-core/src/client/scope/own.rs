//! This device's own events on a chain: the next one, and what is over once one stands.

use crate::client::Client;
use crate::client::input::{Cause, Problem};
use crate::client::queue::sent_key;
use crate::client::stream::Sent;
use crate::rows::Space;
use stafett_protocol::event::{Body, Event};
use stafett_protocol::ids::ScopeId;
use stafett_protocol::wire::{Bundle, Request};

impl Client {
    /// An event of ours stands in the chain, however we came to know it.
    pub(crate) fn own_event_stands(&mut self, scope: ScopeId, event: &Event) {
        self.stream.retries.remove(&scope);
        self.table.delete(Space::Outbox, &sent_key(scope));
        if let Body::Statement(statement) = &event.body {
            self.drop_statement(scope, statement.clone());
        }
        if let Body::Change(change) = &event.body {
            self.files_stand(scope, &change.attachments);
        }
        for (home, bundle) in self.bundles() {
            let events = || bundle.envelopes.iter().filter_map(|e| e.event.peek().ok());
            let this = |e: &Event| (e.scope, e.counter) == (scope, event.counter);
            if events().any(|e| this(&e)) && events().all(|e| this(&e) || self.stands_here(&e)) {
                self.drop_bundle(home);
            }
        }
        if matches!(&event.body, Body::Commit(commit) if commit.welcome.is_some()) {
            self.announce_welcomes(scope);
        }
    }

    /// The event that comes next from this device in a scope.
    pub(crate) fn next_event(&self, scope: ScopeId, body: Body) -> Result<Event, Problem> {
        let s = self.scopes.get(&scope).ok_or_else(|| Problem::data(Cause::Scope, "no such scope"))?;
        let (state, device) = (s.replica.state(), self.me()?.device());
        Ok(Event {
            scope,
            generation: state.membership.generation,
            epoch: state.epoch,
            device,
            counter: state.counter(device) + 1,
            seen: state.position,
            body,
        })
    }

    /// Sends the stored bundle, the same bytes each time, unless the chain has gone past it.
    pub(crate) fn submit_bundle(&mut self, bundle: Bundle, scopes: Vec<ScopeId>) {
        let home = self.home_of(scopes.first().copied().unwrap_or_default());
        self.keep_bundle(home, &bundle);
        self.stream.send(home, Request::Submit(bundle), Sent::Bundle(scopes));
    }

    /// Whether an event of ours is in the chain as it was read here, or in one that this device has left.
    pub(crate) fn stands_here(&self, event: &Event) -> bool {
        let counter = self.scopes.get(&event.scope).map(|s| s.replica.state().counter(event.device));
        self.has_left(event.scope) || counter.is_some_and(|counter| counter >= event.counter)
    }
}
