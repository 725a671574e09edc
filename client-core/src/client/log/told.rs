//! What a person is told without asking for one log: what is new, who they are here and what this device holds, and who has
//! answered about a log that is not there yet.

use crate::answer;
use crate::answer::{Answered, DroppedLog, Me, Said, ServerPlace};
use crate::client::Client;
use crate::client::input::{Cause, News, Problem};
use crate::client::keys::mail_key;
use crate::rows::Space;
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
    pub fn describe(&self, news: &News) -> Option<answer::News> {
        let (_, kind) = NEWS.iter().find(|(section, _)| *section == news.section)?;
        let scope = self.scopes.get(&news.scope)?;
        let author = scope.document.entry(&news.section, &news.entry)?.author?;
        let log = scope.replica.state().log();
        let own = self.me.as_ref().is_some_and(|me| me.person == author);
        let card = self.card_of(log).and_then(|card| self.document(card));
        Some(answer::News {
            kind: (*kind).into(),
            by: self.name_of(author),
            own,
            child: card.map(|card| card.card().child_name),
            title: Some(self.scope_title(news.scope)).filter(|title| !title.is_empty()),
            log: log.to_string(),
        })
    }

    /// `me`: who this device is, and how much lies on it.
    pub(crate) fn me_view(&mut self) -> Result<Me, Problem> {
        let me = self.me()?.clone();
        let open = self.requests().into_iter().filter(|(_, r)| r.answer == 0).count();
        Ok(Me {
            person: me.person.to_string(),
            device: me.device().to_string(),
            role: me.kind().map(Into::into),
            unit: me.unit.as_ref().map(|unit| unit.unit.to_string()),
            unit_name: me.unit.as_ref().map(|unit| self.unit_name(unit.unit)),
            municipality: format!("{:04}", me.number()),
            certified: me.credential().is_ok(),
            logs: self.logs().len(),
            requests: open,
            queued: self.queued(),
            name: me.name,
            url: me.url,
        })
    }

    /// The host has found the own server there, under the same authority.
    pub(crate) fn server_at(&mut self, url: String) -> Result<ServerPlace, Problem> {
        let mut me = self.me()?.clone();
        me.url.clone_from(&url);
        me.save(&mut self.table);
        self.me = Some(me);
        Ok(ServerPlace { url })
    }

    /// Who of those who must has said what about a log that is not there yet.
    pub(crate) fn answers(&self, log: LogId) -> Vec<Answered> {
        let planned = self.card_of(log).and_then(|card| self.foundings.get(&card));
        let Some(plan) = planned.map(|founding| &founding.plan) else { return vec![] };
        let answer = |person: PersonId| match () {
            () if plan.grants.iter().any(|grant| grant.signer == person) => Said::Yes,
            () if self.table.read(Space::Mail, &mail_key("refusal", &[&log.0, &person.0])).is_some() => Said::No,
            () => Said::Unanswered,
        };
        let guardians = plan.authority.guardians.iter().map(|guardian| guardian.person);
        let view = |person: PersonId| Answered {
            person: person.to_string(),
            name: self.name_of(person),
            answer: answer(person),
        };
        guardians.map(view).collect()
    }

    /// A log that nobody has founded yet is thrown away by whoever drafted it.
    pub(crate) fn log_drop(&mut self, log: &str) -> Result<DroppedLog, Problem> {
        let log = self.log(log)?;
        let planned: Vec<ScopeId> =
            self.foundings.values().filter(|f| f.plan.log == log).map(|f| f.plan.scope).collect();
        let begun = self.scopes.values().any(|s| s.replica.state().log() == log);
        let all_said_yes = self.answers(log).iter().all(|one| one.answer == Said::Yes);
        if begun || planned.is_empty() || all_said_yes {
            return Err(Problem::rule(
                Cause::NotADraft,
                "only a log to which not everybody has said yes can be thrown away",
            ));
        }
        self.take_back_request(log);
        planned.into_iter().for_each(|scope| self.forget_founding(scope));
        Ok(DroppedLog { log: log.to_string(), dropped: true })
    }
}
