//! What was written here and will not be sent: kept in plain for its author, with the reason, told once with the next `sync`,
//! and found under `drafts` until it is thrown away. Nothing that waits ends in any other way than accepted or here.

use crate::answer;
use crate::client::fate::Fate;
use crate::client::input::Problem;
use crate::client::queue::OutLetter;
use crate::client::scope::kept::{Kept, draft_id};
use crate::client::told::Counts;
use crate::client::{Client, people};
use crate::rows::Space;
use stafett_protocol::codec::decode;
use stafett_protocol::ids::{ScopeId, hash};
use stafett_protocol::letter::{Answer as Answered, Content};
use stafett_protocol::membership::ScopeKind;
use stafett_protocol::state::Status;
use stafett_protocol::wire::Request;

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
        | Content::TakenBack(_)
        | Content::WelcomeAt(_) => None,
    }
}

impl Client {
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
            self.told.counts.given_up += 1;
        }
    }

    pub(crate) fn refuse_pending(&mut self, scope: ScopeId, reason: &str) {
        if Fate::of(reason) == Fate::EditWaits {
            return;
        }
        let Some(s) = self.scopes.get_mut(&scope) else {
            return;
        };
        let first = s.document.pending().next().map(|p| p.hash);
        let drafts = first.map_or_else(Vec::new, |hash| s.document.refuse(&hash).unwrap_or_default());
        self.told.counts.given_up += self.keep_drafts(scope, &drafts, reason);
        if let Err(problem) = self.save_scope(scope) {
            self.report(&problem);
        }
    }

    /// A log or a concern that its home refused to found. Its words become drafts, unless the refusal may be another one
    /// tomorrow.
    pub(crate) fn founding_refused(&mut self, scope: ScopeId, reason: &str) {
        if Fate::of(reason) != Fate::FoundingWaits {
            self.told.counts.given_up += self.draft_founding(scope, reason);
        }
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

    pub(crate) fn drafts_list(&self) -> answer::Drafts {
        answer::Drafts { drafts: self.drafts().iter().map(|(key, kept)| kept.shown(key)).collect() }
    }

    /// Those of which nobody has been told yet.
    fn news_of_drafts(&mut self) -> Vec<answer::Draft> {
        let mut news = vec![];
        for (key, mut kept) in self.drafts() {
            if !std::mem::replace(&mut kept.told, true) {
                news.push(kept.shown(&key));
                self.table.write(Space::Draft, &key, serde_json::to_vec(&kept).unwrap_or_default());
            }
        }
        news
    }

    /// Thrown away by its author.
    pub(crate) fn draft_drop(&mut self, prefix: &str) -> Result<answer::DroppedDraft, Problem> {
        let drafts: Vec<(Vec<u8>, Kept)> = self.drafts();
        let id: String = people::unique("draft", prefix, drafts.iter().map(|(key, _)| draft_id(key)))?;
        let key = drafts.into_iter().map(|(key, _)| key).find(|key| draft_id(key) == id);
        key.iter().for_each(|key| self.table.delete(Space::Draft, key));
        Ok(answer::DroppedDraft { draft: id })
    }

    pub(crate) fn sync_counts(&mut self) -> answer::Counts {
        let Counts { sent, received, refused, given_up } = self.told.counts;
        let trouble =
            |(code, message): &(String, String)| answer::Trouble { code: code.clone(), message: message.clone() };
        answer::Counts {
            sent,
            received,
            refused,
            queued: self.queued(),
            problems: self.told.problems.iter().map(trouble).collect(),
            given_up,
            drafts: self.news_of_drafts(),
            news: None,
        }
    }
}
