//! What of a log waits here, and what was not taken in: with the reason, so that no edit vanishes.

use crate::client::Client;
use crate::rows::Space;
use serde_json::{Value, json};
use stafett_protocol::ids::{LogId, PersonId, ScopeId};
use stafett_protocol::membership::ScopeKind;

impl Client {
    /// What waits here, and edits that were refused and are kept as drafts with the reason.
    pub(crate) fn pending(&self, log: LogId) -> Vec<Value> {
        let scopes: Vec<ScopeId> = [ScopeKind::Card, ScopeKind::Journal, ScopeKind::Concern]
            .into_iter()
            .flat_map(|k| self.scopes_of(log, k))
            .collect();
        let mut out = self.pending_offers(log);
        out.extend(self.card_of(log).and_then(|card| self.holder_to_compare(card)));
        out.extend(self.card_of(log).into_iter().flat_map(|card| self.takeovers(log, card)));
        for scope in &scopes {
            for pending in self.document(*scope).into_iter().flat_map(|d| d.pending()) {
                out.push(json!({"id": stafett_protocol::ids::to_hex(&pending.hash), "kind": "change", "scope": scope.to_string(), "reason": "queued"}));
            }
            for (id, draft) in self.drafts_of(*scope) {
                out.push(json!({"id": id, "kind": "draft", "scope": scope.to_string(), "reason": draft.reason, "lines": draft.lines}));
            }
        }
        out
    }

    pub(crate) fn quarantined(&self, log: LogId) -> Vec<Value> {
        let mut out = vec![];
        for s in self.scopes.values().filter(|s| s.replica.state().log() == log) {
            for q in s.document.accepted().quarantine() {
                out.push(
                    json!({"id": stafett_protocol::ids::to_hex(&q.hash), "kind": "change", "scope": s.id().to_string(),
                    "person": PersonId(q.person).to_string(), "reason": q.reason.to_string()}),
                );
            }
            for (key, why) in self.table.scan(Space::State, &[b"unreadable/".as_slice(), &s.id().0].concat()) {
                out.push(json!({"id": stafett_protocol::ids::to_hex(key), "kind": "event", "scope": s.id().to_string(), "reason": String::from_utf8_lossy(why)}));
            }
            if s.stopped {
                let why = crate::client::scope::open::standing_still().message;
                out.push(
                    json!({"id": s.id().to_string(), "kind": "scope", "scope": s.id().to_string(), "reason": why}),
                );
            }
            for (_, why) in self.table.scan(Space::State, &[b"halted/".as_slice(), &s.id().0].concat()) {
                out.push(json!({"id": s.id().to_string(), "kind": "scope", "scope": s.id().to_string(), "reason": String::from_utf8_lossy(why)}));
            }
        }
        out
    }
}
