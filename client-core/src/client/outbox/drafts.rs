//! What was written here and will not be sent: kept in plain for its author, with the reason, told once with the next `sync`,
//! and found under `drafts` until it is thrown away. Nothing that waits ends in any other way than accepted or here.

use crate::audit::statement_word;
use crate::client::input::Problem;
use crate::client::log::rfc3339;
use crate::client::outbox::letters::OutLetter;
use crate::client::{Answer, Client, people};
use crate::document::Draft;
use crate::rows::Space;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use stafett_protocol::codec::decode;
use stafett_protocol::ids::{Millis, ScopeId, hash, to_hex};
use stafett_protocol::letter::{Answer as Answered, Content};
use stafett_protocol::membership::ScopeKind;
use stafett_protocol::state::Status;
use stafett_protocol::statement::Statement;
use stafett_protocol::wire::Request;

/// What a draft was going to be, by what it wrote: the first of these sections.
const KINDS: &[(&str, &str)] = &[
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

/// Refusals of an edit which may be otherwise tomorrow: it stays where it is and is tried at the next sync.
const WRITTEN_LATER: &[&str] = &["withdrawn", "unknown-scope", "not-a-member", "not-active", "removal-first"];

/// What the program writes of itself, out of what stands elsewhere: nobody's words, and written again where it is missing.
const BY_PROGRAM: &[&str] = &["people", "concerns"];

/// Fields that hold somebody's words.
const WORDS: &[&str] = &["title", "text", "result", "reason", "answer", "child_name", "name", "to"];

/// Refusals of a log or concern that is to be founded which may be otherwise once somebody else has done their part: the
/// leader has renewed a certificate, the program was updated.
const FOUNDED_LATER: &[&str] = &["unknown-policy", "not-identified", "voucher-missing", "voucher-invalid"];

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

/// The words of a letter that somebody asked for; none for what the program tells other programs.
fn words_of(content: &Content) -> Option<String> {
    match content {
        Content::ConsentRequest(request) => Some(request.text.clone()),
        Content::HandoverOffer(offer) => Some(offer.reason.text.clone()),
        Content::HandoverAborted(abort) => Some(abort.reason.clone()),
        Content::Takeover(takeover) => Some(takeover.reason.text.clone()),
        Content::HandoverAnswer(answer) => match &answer.answer {
            Answered::Seen => None,
            Answered::Declined(words) => Some(words.clone()),
            _ => Some(String::new()),
        },
        Content::ConsentAnswer(_)
        | Content::Withdrawal(_)
        | Content::Assignment(_)
        | Content::EmployeeEnd(_)
        | Content::Employment(_)
        | Content::DeviceBundle(_) => Some(String::new()),
        Content::GrantNotice(_)
        | Content::Deletion(_)
        | Content::LateContribution(_)
        | Content::Introduction(_)
        | Content::Seen(_)
        | Content::HandoverDone(_)
        | Content::WelcomeAt(_) => None,
    }
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

    /// A request to a server, or a letter, that it will never take.
    pub(crate) fn keep_row(&mut self, row: &[u8], reason: &str) {
        let Some(value) = self.table.read(Space::Outbox, row).map(<[u8]>::to_vec) else { return };
        let line = |place: &str, text: String| (place.to_owned(), text);
        let wish = match row {
            [b'l', ..] => decode::<OutLetter>(&value).ok().and_then(|letter| {
                let words = words_of(&letter.content)?;
                let to = line("letters/to", self.name_of(letter.to));
                Some(("letter", vec![to, line("letters/text", words)]))
            }),
            [b't', ..] => Some(("offer", vec![])),
            _ => Some(match decode::<Request>(&value) {
                Ok(Request::OfferCode(_)) => ("invitation", vec![]),
                Ok(Request::AddUnit(unit)) => ("unit", vec![line("units/name", unit.name)]),
                Ok(Request::CertifyEmployee(certified)) => {
                    let person = certified.peek().map(|c| self.name_of(c.person)).unwrap_or_default();
                    ("employee", vec![line("employees/name", person)])
                }
                Ok(Request::RemoveDevice(_) | Request::CertifyDevice(_)) => ("device", vec![]),
                _ => ("request", vec![]),
            }),
        };
        if let Some((kind, lines)) = wish {
            let id = hash("refused request", &[row, &self.now.to_be_bytes()]);
            self.keep(None, &id.0, kind, lines, reason);
            self.stream.counts.given_up += 1;
        }
    }

    pub(crate) fn refuse_pending(&mut self, scope: ScopeId, reason: &str) {
        if WRITTEN_LATER.contains(&reason) {
            return;
        }
        let Some(s) = self.scopes.get_mut(&scope) else {
            return;
        };
        let first = s.document.pending().next().map(|p| p.hash);
        let drafts = first.map_or_else(Vec::new, |hash| s.document.refuse(&hash).unwrap_or_default());
        self.stream.counts.given_up += self.keep_drafts(scope, &drafts, reason);
        if let Err(problem) = self.save_scope(scope) {
            self.report(&problem);
        }
    }

    /// A log or a concern that its home refused to found. Its words become drafts, unless the refusal may be another one
    /// tomorrow.
    pub(crate) fn founding_refused(&mut self, scope: ScopeId, reason: &str) {
        if !FOUNDED_LATER.contains(&reason) {
            self.stream.counts.given_up += self.draft_founding(scope, reason);
        }
    }

    /// What was begun here and will never be founded; its words stay with their writer. Answers how many held words.
    fn draft_founding(&mut self, scope: ScopeId, reason: &str) -> u64 {
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
            if !self.stream.busy(scope) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::stream::is_final;
    use stafett_protocol::refusal::Refusal;

    /// Whoever adds a refusal decides here what becomes of what waits: these are tried again, all others end as drafts.
    #[test]
    fn sp23_every_refusal_ends_what_waits_or_is_tried_again() {
        let tried_again = [
            "wrong-home",
            "wrong-generation",
            "wrong-epoch",
            "counter-used",
            "counter-gap",
            "removal-first",
            "time-backwards",
            "chain-broken",
            "held",
            "moved",
            "attachment-missing",
            "not-activated",
        ];
        let all: Vec<&str> = Refusal::ALL.iter().map(|refusal| refusal.code()).collect();
        let again: Vec<&str> = all.iter().copied().filter(|code| !is_final(code)).collect();
        assert_eq!(again, tried_again);
        let misspelt = WRITTEN_LATER.iter().chain(FOUNDED_LATER).filter(|code| !all.contains(code));
        assert_eq!(misspelt.count(), 0, "a word that no home says keeps nothing");
        assert!(FOUNDED_LATER.iter().all(|code| is_final(code)), "what is no last word waits anyway");
    }
}
