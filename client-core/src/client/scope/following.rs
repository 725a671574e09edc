//! What of the scopes counts on this connection alone: how far homes were heard, what they lack, what is not tried again.

use crate::client::scope::checkpoint::Incoming;
use crate::client::scope::open::ContentWork;
use stafett_protocol::ids::ScopeId;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

#[derive(Debug, Default)]
pub(crate) struct Following {
    /// How far others were shown a scope when its news were asked for.
    pub expected: BTreeMap<ScopeId, u64>,
    /// Where homes said that they stand.
    pub stands: BTreeMap<ScopeId, u64>,
    /// Scopes whose home was shown its own receipt on this connection, and those whose records it asked for.
    pub shown_to_home: BTreeSet<ScopeId>,
    pub asked_back: BTreeSet<ScopeId>,
    /// What homes lack, and after which record; loaded one by one.
    pub owed: VecDeque<(ScopeId, u64)>,
    /// Scopes in which this device goes over to what the home has, and the last record of both; loaded one by one.
    pub parting: VecDeque<(ScopeId, u64)>,
    /// Scopes in which the last try was refused for good: not tried again on this connection.
    pub blocked: BTreeSet<ScopeId>,
    /// Scopes whose next commit cannot be made, or was refused: no further one on this connection.
    pub unplanned: BTreeSet<ScopeId>,
    /// What of a scope's content is not tried again on this connection. Statements and membership never wait for it.
    pub still: BTreeSet<(ScopeId, ContentWork)>,
    /// Checkpoints whose parts are coming.
    pub incoming: BTreeMap<ScopeId, Incoming>,
    /// Whole ones, until the Welcome brings the key.
    pub sealed: BTreeMap<ScopeId, Incoming>,
}

impl Following {
    /// What was refused in a scope may be tried again.
    pub fn unblock(&mut self, scope: ScopeId) {
        self.blocked.remove(&scope);
        self.still.retain(|(at, _)| *at != scope);
    }

    /// What was decided for these scopes counts no more: their server is away.
    pub fn forget(&mut self, scopes: &BTreeSet<ScopeId>) {
        self.blocked.retain(|s| !scopes.contains(s));
        self.unplanned.retain(|s| !scopes.contains(s));
        self.still.retain(|(s, _)| !scopes.contains(s));
    }
}
