//! What was written here and will not be sent is kept in plain for its author, with the reason.

use crate::answer;
use crate::answer::Moment;
use crate::audit::statement_word;
use crate::client::Client;
use crate::client::queue::OutStatement;
use crate::document::Draft;
use crate::rows::Space;
use serde::{Deserialize, Serialize};
use stafett_protocol::codec::decode;
use stafett_protocol::ids::{Millis, ScopeId, hash, to_hex};
use stafett_protocol::membership::ScopeKind;
use stafett_protocol::statement::Statement;

/// What a draft was going to be, by what it wrote: the first of these sections.
pub(crate) const KINDS: &[(&str, &str)] = &[
    ("log", "log"),
    ("about", "concern"),
    ("goal", "concern"),
    ("glimpses", "glimpse"),
    ("notes", "note"),
    ("comments", "comment"),
    ("measures", "measure"),
    ("evaluations", "evaluation"),
    ("family_marks", "evaluation"),
    ("proposals", "proposal"),
];

/// What the program writes of itself, out of what stands elsewhere: nobody's words, and written again where it is missing.
const BY_PROGRAM: &[&str] = &["people", "concerns"];

/// Fields that hold somebody's words.
const WORDS: &[&str] = &["title", "text", "result", "reason", "answer", "child_name", "name", "to"];

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
    pub at: Millis,
    pub told: bool,
}

impl Kept {
    pub(crate) fn text(&self) -> String {
        let words = |place: &str| place.rsplit('/').next().is_some_and(|field| WORDS.contains(&field));
        let said = self.lines.iter().filter(|(place, _)| words(place)).map(|(_, value)| value.as_str());
        said.collect::<Vec<_>>().join(" – ")
    }

    pub(crate) fn shown(&self, key: &[u8]) -> answer::Draft {
        answer::Draft {
            id: draft_id(key),
            log: self.log.clone(),
            scope: self.scope.clone(),
            kind: self.kind.clone().into(),
            text: self.text(),
            reason: self.reason.clone(),
            problem: self.reason.clone(),
            at: Moment::at(self.at),
            lines: self.lines.clone(),
        }
    }
}

/// The key of a draft begins with its scope, the same for many; what follows is its own.
pub(crate) fn draft_id(key: &[u8]) -> String {
    to_hex(key.get(ScopeId::default().0.len()..).unwrap_or(key))
}

impl Client {
    /// A refused edit is kept in plain on this device, with the reason: no edit vanishes (SP23). Answers whether it held
    /// anybody's words.
    fn keep_draft(&mut self, scope: ScopeId, draft: &Draft, reason: &str) -> bool {
        // Words are kept for their author to read; the key of a file that was not sent is none.
        let lines: Vec<_> =
            draft.lines.iter().filter(|(place, _)| !place.ends_with("/attachment_key")).cloned().collect();
        let sections: Vec<&str> = lines.iter().filter_map(|(place, _)| place.split('/').next()).collect();
        if !sections.is_empty() && sections.iter().all(|section| BY_PROGRAM.contains(section)) {
            return false;
        }
        let kind = KINDS.iter().find(|(known, _)| sections.contains(known)).map_or("change", |(_, kind)| kind);
        self.keep(Some(scope), &draft.hash, kind, lines, reason);
        true
    }

    /// The same for several; answers how many held somebody's words.
    pub(crate) fn keep_drafts(&mut self, scope: ScopeId, drafts: &[Draft], reason: &str) -> u64 {
        drafts.iter().map(|draft| u64::from(self.keep_draft(scope, draft, reason))).sum()
    }

    pub(crate) fn keep(
        &mut self,
        scope: Option<ScopeId>,
        id: &[u8],
        kind: &str,
        lines: Vec<(String, String)>,
        reason: &str,
    ) {
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

    /// What was begun here and will never be founded; its words stay with their writer. Answers how many held words.
    pub(crate) fn draft_founding(&mut self, scope: ScopeId, reason: &str) -> u64 {
        let Some(founding) = self.foundings.get_mut(&scope) else { return 0 };
        let (log, kind, card) = (founding.plan.log, founding.plan.kind, founding.plan.card);
        let first = founding.document.pending().next().map(|p| p.hash);
        let drafts = first.map_or_else(Vec::new, |hash| founding.document.refuse(&hash).unwrap_or_default());
        let mut kept = self.keep_drafts(scope, &drafts, reason);
        // The journal of a log that has moved is the family's with the move: it stays planned, without these words.
        if kind == ScopeKind::Journal && card.is_some_and(|card| self.scopes.contains_key(&card)) {
            if let Err(problem) = self.save_founding(scope) {
                self.report(&problem);
            }
            return kept;
        }
        if kind == ScopeKind::Card {
            self.take_back_request(log);
        }
        self.forget_founding(scope);
        self.wipe_files(scope);
        match kind {
            ScopeKind::Card => kept += self.draft_foundings_under(scope, reason),
            _ => {
                if let Some(journal) = self.journal_of(log).filter(|journal| self.scopes.contains_key(journal)) {
                    self.edit_beside(journal, |to| crate::document::edit::set_listed_state(to, scope, false));
                }
            }
        }
        kept
    }

    /// What was begun in a log whose card this device has left, or which will never be. Answers how many held words.
    pub(crate) fn draft_foundings_under(&mut self, card: ScopeId, reason: &str) -> u64 {
        let under = self.foundings.values().filter(|f| f.plan.card == Some(card)).map(|f| f.plan.scope);
        let under: Vec<ScopeId> = under.collect();
        under.into_iter().map(|scope| self.draft_founding(scope, reason)).sum()
    }

    /// What waited for a scope that this device has left.
    pub(crate) fn drop_queue(&mut self, scope: ScopeId, reason: &str) {
        let waits = self.queued_rows("s").into_iter().filter_map(|(_, value)| decode::<OutStatement>(&value).ok());
        let here: Vec<Statement> = waits.filter(|o| o.scope == scope).map(|o| o.statement).collect();
        here.iter().for_each(|statement| self.keep_statement(scope, statement, reason));
        self.drop_statements(scope, |_| true);
    }
}
