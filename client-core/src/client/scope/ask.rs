//! News of scopes asked for: of one, of all that a home has, or of one that is read anew from its beginning.

use crate::client::Client;
use crate::client::scope::Scope;
use crate::client::stream::Sent;
use stafett_protocol::ids::{Municipality, ScopeId};
use stafett_protocol::membership::ScopeKind;
use stafett_protocol::wire::{Request, ScopePosition};

impl Client {
    /// Asks for the news of one scope.
    pub(crate) fn sync_scope(&mut self, scope: ScopeId) {
        if self.wants(scope) {
            let positions = vec![ScopePosition { scope, seq: self.read_so_far(scope).seq }];
            self.expect(&positions);
            self.stream.send(self.home_of(scope), Request::Sync(positions), Sent::Sync);
        }
    }

    /// Notes how far others were shown these scopes.
    fn expect(&mut self, positions: &[ScopePosition]) {
        let shown: Vec<_> = positions.iter().map(|p| (p.scope, self.shown_to_others(p.scope))).collect();
        self.following.expected.extend(shown);
    }

    /// Asks one home for the news of every scope that it has for us.
    pub(crate) fn sync_home(&mut self, home: Municipality) {
        let known = self.scopes.keys().map(|id| ScopePosition { scope: *id, seq: self.read_so_far(*id).seq });
        let lost = |scope: &ScopeId| self.welcome(*scope).is_some_and(|w| w.is_lost());
        let waiting =
            self.welcomed().into_iter().filter(|scope| !lost(scope)).map(|scope| ScopePosition { scope, seq: 0 });
        let mut positions: Vec<ScopePosition> = vec![];
        for position in known.chain(waiting) {
            let wanted = self.home_of(position.scope) == home && self.wants(position.scope);
            if wanted && !positions.iter().any(|p| p.scope == position.scope) {
                positions.push(position);
            }
        }
        self.expect(&positions);
        // Cards first: what happens in a log's other scopes is judged beside them.
        let card = |id: &ScopeId| self.scopes.get(id).is_some_and(|s| s.kind() == ScopeKind::Card);
        positions.sort_by_key(|p| !card(&p.scope));
        if positions.is_empty() {
            self.stream.line_mut(home).synced = true;
            return;
        }
        self.stream.send(home, Request::SyncAhead(positions), Sent::Sync);
    }

    /// The chain is read anew from its beginning: after a withdrawal, where this device is let in again.
    pub(crate) fn read_anew(&mut self, scope: ScopeId) {
        self.forget_scope(scope);
        self.ask_anew(scope);
    }

    pub(crate) fn forget_scope(&mut self, scope: ScopeId) {
        self.scopes.remove(&scope);
        Scope::forget(&mut self.table, scope);
    }

    pub(crate) fn ask_anew(&mut self, scope: ScopeId) {
        self.following.unblock(scope);
        if self.has_greeted(self.home_of(scope)) {
            self.sync_scope(scope);
        }
    }
}
