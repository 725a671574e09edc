//! What was written here and will not be sent: kept in plain for its author, with the reason, told once with the next `sync`,
//! and found under `drafts` until it is thrown away. Nothing that waits ends in any other way than accepted or here.

use crate::audit::statement_word;
use crate::client::input::Problem;
use crate::client::log::rfc3339;
use crate::client::{Answer, Client, people};
use crate::document::Draft;
use crate::rows::Space;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use stafett_protocol::codec::decode;
use stafett_protocol::ids::{Millis, ScopeId, hash, to_hex};
use stafett_protocol::membership::ScopeKind;
use stafett_protocol::state::Status;
use stafett_protocol::statement::Statement;
use stafett_protocol::wire::Request;

/// What a draft was going to be, by the section that it wrote first.
const KINDS: &[(&str, &str)] = &[
    ("glimpses", "glimpse"),
    ("notes", "note"),
    ("comments", "comment"),
    ("measures", "measure"),
    ("evaluations", "evaluation"),
    ("family_marks", "evaluation"),
    ("about", "concern"),
    ("goal", "concern"),
    ("proposals", "proposal"),
];

/// Fields that hold somebody's words.
const WORDS: &[&str] = &["title", "text", "result", "reason", "answer", "child_name"];

/// A draft as it is kept.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Kept {
    scope: Option<String>,
    /// The id alone: what others wrote of the log goes when access ends.
    log: Option<String>,
    kind: String,
    /// The code of a refusal, or what became of the place it was for.
    pub reason: String,
    /// Place and value of everything that it wrote.
    pub lines: Vec<(String, String)>,
    at: Millis,
    told: bool,
}

impl Kept {
    fn text(&self) -> String {
        let words = |place: &str| place.rsplit('/').next().is_some_and(|field| WORDS.contains(&field));
        let said = self.lines.iter().filter(|(place, _)| words(place)).map(|(_, value)| value.as_str());
        said.collect::<Vec<_>>().join(" – ")
    }

    fn to_json(&self, key: &[u8]) -> Value {
        json!({"id": draft_id(key), "log": self.log, "scope": self.scope, "kind": self.kind, "text": self.text(),
            "reason": self.reason, "problem": self.reason, "at": rfc3339(self.at), "lines": self.lines})
    }
}

/// The key of a draft begins with its scope, the same for many; what follows is its own.
pub(crate) fn draft_id(key: &[u8]) -> String {
    to_hex(key.get(ScopeId::default().0.len()..).unwrap_or(key))
}

impl Client {
    /// A refused edit is kept in plain on this device, with the reason: no edit vanishes (SP23).
    pub(crate) fn keep_draft(&mut self, scope: ScopeId, draft: &Draft, reason: &str) {
        // Words are kept for their author to read; the key of a file that was not sent is none.
        let lines: Vec<_> =
            draft.lines.iter().filter(|(place, _)| !place.ends_with("/attachment_key")).cloned().collect();
        let section = lines.first().and_then(|(place, _)| place.split('/').next()).unwrap_or_default().to_owned();
        let kind = KINDS.iter().find(|(known, _)| *known == section).map_or("change", |(_, kind)| kind);
        self.keep(Some(scope), &draft.hash, kind, lines, reason);
    }

    fn keep(&mut self, scope: Option<ScopeId>, id: &[u8], kind: &str, lines: Vec<(String, String)>, reason: &str) {
        let founded = |scope| self.scopes.get(&scope).map(|s| s.replica.state().log());
        let planned = |scope| self.foundings.get(&scope).map(|f| f.plan.log);
        let log = scope.and_then(|scope| founded(scope).or_else(|| planned(scope)));
        let kept = Kept {
            scope: scope.map(|scope| scope.to_string()),
            log: log.map(|log| log.to_string()),
            kind: kind.to_owned(),
            reason: reason.to_owned(),
            lines,
            at: self.now,
            told: false,
        };
        let key = [scope.unwrap_or_default().0.as_slice(), id].concat();
        // Rows of these few plain fields always become text.
        self.table.write(Space::Draft, &key, serde_json::to_vec(&kept).unwrap_or_default());
    }

    /// A statement of this device's owner that will never stand on its chain.
    pub(crate) fn keep_statement(&mut self, scope: ScopeId, statement: &Statement, reason: &str) {
        // What a device says of itself, or carries for others, is nothing that its owner asked for.
        let asked = match statement {
            Statement::Deletion(_) | Statement::LinkRepair(_) | Statement::Reject(_) => false,
            Statement::Withdrawal(withdrawal) => self.me.as_ref().is_some_and(|me| me.person == withdrawal.signer),
            _ => true,
        };
        if asked {
            let id = hash("refused statement", &[&stafett_protocol::codec::encode(statement)]);
            self.keep(Some(scope), &id.0, statement_word(statement), vec![], reason);
        }
    }

    /// A request to the own server that it will never take.
    pub(crate) fn keep_request_of(&mut self, row: &[u8], reason: &str) {
        let kind = match self.table.read(Space::Outbox, row).map(decode::<Request>) {
            Some(Ok(Request::OfferCode(_))) => "code",
            Some(Ok(Request::AddUnit(_))) => "unit",
            Some(Ok(Request::RemoveDevice(_))) => "device",
            _ => "request",
        };
        let id = hash("refused request", &[row, &self.now.to_be_bytes()]);
        self.keep(None, &id.0, kind, vec![], reason);
        self.session.counts.given_up += 1;
    }

    pub(crate) fn refuse_pending(&mut self, scope: ScopeId, reason: &str) {
        // These may change again: the edits stay where they are and are tried at the next sync.
        if matches!(
            reason,
            "withdrawn"
                | "unknown-scope"
                | "not-a-member"
                | "not-active"
                | "busy"
                | "too-many-requests"
                | "removal-first"
        ) {
            return;
        }
        let Some(s) = self.scopes.get_mut(&scope) else {
            return;
        };
        let first = s.document.pending().next().map(|p| p.hash);
        let drafts = first.map_or_else(Vec::new, |hash| s.document.refuse(&hash).unwrap_or_default());
        for draft in &drafts {
            self.keep_draft(scope, draft, reason);
        }
        self.session.counts.given_up += drafts.len() as u64;
        if let Err(problem) = self.save_scope(scope) {
            self.report(&problem);
        }
    }

    /// What was begun here and will never be founded; its words stay with their writer. Content alone: a log that waits for
    /// its family waits on.
    pub(crate) fn draft_founding(&mut self, scope: ScopeId, reason: &str) {
        let Some(founding) = self.foundings.get_mut(&scope).filter(|f| f.plan.kind == ScopeKind::Concern) else {
            return;
        };
        let log = founding.plan.log;
        let first = founding.document.pending().next().map(|p| p.hash);
        let drafts = first.map_or_else(Vec::new, |hash| founding.document.refuse(&hash).unwrap_or_default());
        drafts.iter().for_each(|draft| self.keep_draft(scope, draft, reason));
        self.forget_founding(scope);
        if let Some(journal) = self.journal_of(log).filter(|journal| self.scopes.contains_key(journal)) {
            self.edit_beside(journal, |to| crate::document::edit::set_listed_state(to, scope, false));
        }
    }

    /// Concerns that were begun in a log whose card this device has left.
    pub(crate) fn draft_foundings_under(&mut self, card: ScopeId, reason: &str) {
        let under = self.foundings.values().filter(|f| f.plan.card == Some(card)).map(|f| f.plan.scope);
        let under: Vec<ScopeId> = under.collect();
        under.into_iter().for_each(|scope| self.draft_founding(scope, reason));
    }

    /// What was written for a part that was closed meanwhile, or stayed behind, closed, when the log moved.
    pub(crate) fn draft_left_behind(&mut self) -> Result<(), Problem> {
        let closed = |s: &crate::client::scope::Scope| {
            let state = s.replica.state();
            let card = state.card.and_then(|card| self.scopes.get(&card)).map(|c| c.replica.state().membership.home);
            let behind = s.kind() != ScopeKind::Card && card.is_some_and(|home| home != state.membership.home);
            let waits = state.status == Status::Closed && s.document.pending().len() > 0;
            waits.then_some((s.id(), if behind { "closed-by-move" } else { "closed" }))
        };
        let closed: Vec<_> = self.scopes.values().filter_map(closed).collect();
        for (scope, reason) in closed {
            if !self.session.busy(scope) {
                self.refuse_pending(scope, reason);
            }
        }
        Ok(())
    }

    fn drafts(&self) -> Vec<(Vec<u8>, Kept)> {
        let rows = self.table.scan(Space::Draft, b"");
        let mut drafts: Vec<_> =
            rows.filter_map(|(k, v)| Some((k.to_vec(), serde_json::from_slice(v).ok()?))).collect();
        drafts.sort_by_key(|(_, kept): &(_, Kept)| kept.at);
        drafts
    }

    /// Drafts of one scope, as `log show` has them.
    pub(crate) fn drafts_of(&self, scope: ScopeId) -> Vec<(String, Kept)> {
        let rows = self.table.scan(Space::Draft, &scope.0);
        rows.filter_map(|(key, value)| Some((draft_id(key), serde_json::from_slice(value).ok()?))).collect()
    }

    pub(crate) fn drafts_list(&self) -> Answer {
        let drafts: Vec<Value> = self.drafts().iter().map(|(key, kept)| kept.to_json(key)).collect();
        Ok(json!({"drafts": drafts}))
    }

    /// Those of which nobody has been told yet.
    pub(crate) fn news_of_drafts(&mut self) -> Vec<Value> {
        let mut news = vec![];
        for (key, mut kept) in self.drafts() {
            if !std::mem::replace(&mut kept.told, true) {
                news.push(kept.to_json(&key));
                self.table.write(Space::Draft, &key, serde_json::to_vec(&kept).unwrap_or_default());
            }
        }
        news
    }

    /// Thrown away by its author.
    pub(crate) fn draft_drop(&mut self, prefix: &str) -> Answer {
        let drafts: Vec<(Vec<u8>, Kept)> = self.drafts();
        let id: String = people::unique("draft", prefix, drafts.iter().map(|(key, _)| draft_id(key)))?;
        let key = drafts.into_iter().map(|(key, _)| key).find(|key| draft_id(key) == id);
        key.iter().for_each(|key| self.table.delete(Space::Draft, key));
        Ok(json!({"draft": id}))
    }
}
