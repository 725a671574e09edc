//! What a person is told without asking for one log: what is new, who they are here and what this device holds, and who has
//! answered about a log that is not there yet.

use crate::client::input::{Cause, News, Problem};
use crate::client::keys::mail_key;
use crate::client::words::kind_word;
use crate::client::{Answer, Client};
use crate::rows::Space;
use serde_json::{Value, json};
use stafett_protocol::ids::{LogId, PersonId, ScopeId};

/// Sections whose entries are news to people, and what such an entry is called.
const NEWS: [(&str, &str); 7] = [
    ("measures", "measure"),
    ("evaluations", "evaluation"),
    ("glimpses", "glimpse"),
    ("comments", "comment"),
    ("proposals", "proposal"),
    ("notes", "note"),
    ("handovers", "handover"),
];

impl Client {
    /// An entry that has become visible, in a line: what, by whom, about which child. `None` where it is no news to people.
    pub fn describe(&self, news: &News) -> Option<Value> {
        let (_, kind) = NEWS.iter().find(|(section, _)| *section == news.section)?;
        let scope = self.scopes.get(&news.scope)?;
        let author = scope.document.entry(&news.section, &news.entry)?.author?;
        let log = scope.replica.state().log();
        let own = self.me.as_ref().is_some_and(|me| me.person == author);
        let card = self.card_of(log).and_then(|card| self.document(card));
        Some(json!({
            "kind": kind,
            "by": self.name_of(author),
            "own": own,
            "child": card.map(|card| card.card().child_name),
            "title": Some(self.scope_title(news.scope)).filter(|title| !title.is_empty()),
            "log": log.to_string(),
        }))
    }

    /// `me`: who this device is, and how much lies on it.
    pub(crate) fn me_view(&mut self) -> Answer {
        let me = self.me()?.clone();
        let open = self.requests().into_iter().filter(|(_, r)| r.answer == 0).count();
        Ok(json!({
            "person": me.person.to_string(),
            "name": me.name,
            "device": me.device().to_string(),
            "role": me.kind().map(kind_word),
            "unit": me.unit.as_ref().map(|unit| unit.unit.to_string()),
            "unit_name": me.unit.as_ref().map(|unit| self.unit_name(unit.unit)),
            "municipality": format!("{:04}", me.number()),
            "url": me.url,
            "certified": me.credential().is_ok(),
            "logs": self.logs().len(),
            "requests": open,
            "queued": self.queued(),
        }))
    }

    /// The host has found the own server there, under the same authority.
    pub(crate) fn server_at(&mut self, url: String) -> Answer {
        let mut me = self.me()?.clone();
        me.url.clone_from(&url);
        me.save(&mut self.table);
        self.me = Some(me);
        Ok(json!({"url": url}))
    }

    /// Who of those who must has said what about a log that is not there yet.
    pub(crate) fn answers(&self, log: LogId) -> Vec<Value> {
        let planned = self.card_of(log).and_then(|card| self.foundings.get(&card));
        let Some(plan) = planned.map(|founding| &founding.plan) else { return vec![] };
        let answer = |person: PersonId| match () {
            () if plan.grants.iter().any(|grant| grant.signer == person) => "yes",
            () if self.table.read(Space::Mail, &mail_key("refusal", &[&log.0, &person.0])).is_some() => "no",
            () => "unanswered",
        };
        let guardians = plan.authority.guardians.iter().map(|guardian| guardian.person);
        let view = |person: PersonId| json!({"person": person.to_string(), "name": self.name_of(person), "answer": answer(person)});
        guardians.map(view).collect()
    }

    /// A log that nobody has founded yet is thrown away by whoever drafted it.
    pub(crate) fn log_drop(&mut self, log: &str) -> Answer {
        let log = self.log(log)?;
        let planned: Vec<ScopeId> =
            self.foundings.values().filter(|f| f.plan.log == log).map(|f| f.plan.scope).collect();
        let begun = self.scopes.values().any(|s| s.replica.state().log() == log);
        let all_said_yes =
            self.answers(log).iter().all(|answer| answer.get("answer").is_some_and(|word| word == "yes"));
        if begun || planned.is_empty() || all_said_yes {
            return Err(Problem::rule(
                Cause::NotADraft,
                "only a log to which not everybody has said yes can be thrown away",
            ));
        }
        self.take_back_request(log);
        planned.into_iter().for_each(|scope| self.forget_founding(scope));
        Ok(json!({"log": log.to_string(), "dropped": true}))
    }
}
