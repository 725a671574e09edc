//! What of a log waits here, and what was not taken in: with the reason, so that no edit vanishes.

use crate::answer::{Pending, Quarantined};
use crate::client::Client;
use crate::client::problem::Cause;
use crate::client::scope::kept::Kept;
use crate::rows::Space;
use stafett_protocol::ids::{LogId, PersonId, ScopeId, to_hex};
use stafett_protocol::membership::ScopeKind;

impl Client {
    /// What waits here, and edits that were refused and are kept as drafts with the reason.
    pub(crate) fn pending(&self, log: LogId) -> Vec<Pending> {
        let scopes: Vec<ScopeId> = [ScopeKind::Card, ScopeKind::Journal, ScopeKind::Concern]
            .into_iter()
            .flat_map(|k| self.scopes_of(log, k))
            .collect();
        let mut out = self.pending_offers(log);
        out.extend(self.card_of(log).and_then(|card| self.holder_to_compare(card)));
        out.extend(self.card_of(log).into_iter().flat_map(|card| self.takeovers(log, card)));
        for scope in &scopes {
            for pending in self.document(*scope).into_iter().flat_map(|d| d.pending()) {
                out.push(Pending::Change {
                    id: to_hex(&pending.hash),
                    scope: scope.to_string(),
                    reason: "queued".into(),
                });
            }
            for (id, draft) in self.drafts_of(*scope) {
                let Kept { reason, lines, .. } = draft;
                out.push(Pending::Draft { id, scope: scope.to_string(), reason, lines });
            }
        }
        out
    }

    pub(crate) fn quarantined(&self, log: LogId) -> Vec<Quarantined> {
        let mut out = vec![];
        for s in self.scopes.values().filter(|s| s.replica.state().log() == log) {
            let scope = s.id().to_string();
            for q in s.document.accepted().quarantine() {
                out.push(Quarantined::Change {
                    id: to_hex(&q.hash),
                    scope: scope.clone(),
                    person: PersonId(q.person).to_string(),
                    reason: q.reason.code().to_owned(),
                });
            }
            for (key, why) in self.table.scan(Space::State, &[b"unreadable/".as_slice(), &s.id().0].concat()) {
                let reason = String::from_utf8_lossy(why).into_owned();
                out.push(Quarantined::Event { id: to_hex(key), scope: scope.clone(), reason });
            }
            if s.stopped {
                let reason = Cause::DocumentStopped.word().to_owned();
                out.push(Quarantined::Scope { id: scope.clone(), scope: scope.clone(), reason });
            }
            for (_, why) in self.table.scan(Space::State, &[b"halted/".as_slice(), &s.id().0].concat()) {
                let reason = String::from_utf8_lossy(why).into_owned();
                out.push(Quarantined::Scope { id: scope.clone(), scope: scope.clone(), reason });
            }
        }
        out
    }
}
