//! What people write: concerns, measures, evaluations, glimpses. Every command is saved on this device at
//! once and sent when it can be; the rules of the content are the document's.

use crate::answer::{
    ClosedConcern, Compared, Comparison, ConcernState, NewConcern, OneMeasure, RewrittenMeasure, Written,
};
use crate::client::input::{Cause, NewAttachment, NewMeasure, Problem};
use crate::client::people::Pin;
use crate::client::queue::OutStatement;
use crate::client::scope::Standing;
use crate::client::scope::find::withdrawn;
use crate::client::scope::planned::Plan;
use crate::client::words::{date, date_after, date_text, rfc3339};
use crate::client::{Client, people};
use crate::document::edit::{self, Arena, Colour, Responsible};
use stafett_protocol::codec::decode;
use stafett_protocol::ids::{LogId, ScopeId, to_hex};
use stafett_protocol::limits::LOG_SCOPES;
use stafett_protocol::membership::{Role, ScopeKind};
use stafett_protocol::policy::{Action, can};
use stafett_protocol::state::Status;
use stafett_protocol::statement::{Closing, Statement};
use stafett_protocol::text;

/// A measure runs six weeks when nothing else is said (F4: one to two months).
const MEASURE_DAYS: i64 = 42;

impl Client {
    /// A concern (oppmerksomhet) exists with its goal and its first measure, or not at all (E12).
    pub(crate) fn concern_new(
        &mut self,
        log: &str,
        title: String,
        goal: String,
        category: Option<String>,
        measure: NewMeasure,
    ) -> Result<NewConcern, Problem> {
        let log = self.log(log)?;
        let title = text::TITLE.take(&title)?;
        let goal = text::GOAL.take(&goal)?;
        let category = text::CATEGORY.take_some(&category.unwrap_or_default())?;
        let (card, authority, basis) = self.holding(log)?;
        let parts = [ScopeKind::Card, ScopeKind::Journal, ScopeKind::Concern];
        // Closed ones count, as they do at the home; what stayed at an earlier home does not.
        let here = |scope: &ScopeId| self.home_of(*scope) == self.home_of(card);
        if parts.into_iter().flat_map(|kind| self.scopes_of(log, kind)).filter(here).count() >= LOG_SCOPES {
            let most = (LOG_SCOPES - 2).to_string();
            return Err(Problem {
                values: vec![("most", most.clone())],
                ..Problem::rule(Cause::LogFull, format!("a log has {most} concerns at most, closed ones among them"))
            });
        }
        let scope = ScopeId(self.random());
        let measure = self.new_measure(measure)?;
        let measure_id = measure.id.clone();
        self.plan_scope(Plan {
            scope,
            kind: ScopeKind::Concern,
            log,
            log_salt: None,
            card: Some(card),
            authority,
            basis,
            custody: None,
            grants: vec![],
        })?;
        let author = self.me()?.person;
        let goal = edit::NewGoal {
            text: goal,
            present: None,
            conditions: None,
            looks_like: None,
            until: None,
            success_sign: None,
        };
        self.edit(scope, |to| edit::publish_concern(to, author, &title, category.as_deref(), &goal, &[measure]))?;
        if let Some(journal) = self.journal_of(log) {
            self.edit(journal, |to| edit::list_concern(to, scope, &title))?;
        }
        Ok(NewConcern { concern: scope.to_string(), measure: measure_id })
    }

    /// What a concern is founded on: card, authority and the `hold` grant; ours, and in force.
    fn holding(
        &self,
        log: LogId,
    ) -> Result<(ScopeId, stafett_protocol::membership::ConsentAuthority, stafett_protocol::ids::Hash), Problem> {
        let card = self.card_of(log).ok_or_else(withdrawn)?;
        let me = self.me()?.person;
        if let Some(founding) = self.foundings.get(&card) {
            return Ok((card, founding.plan.authority.clone(), founding.plan.basis));
        }
        let state = self.scopes.get(&self.member_card(log)?).map(|s| s.replica.state()).ok_or_else(withdrawn)?;
        can(state, me, Action::Change, self.home_now())?;
        let holder = state.holder().filter(|h| h.person == me);
        let holder = holder
            .ok_or_else(|| Problem::rule(Cause::NotYours, "the holder of the log publishes concerns; use propose"))?;
        Ok((card, state.authority().clone(), holder.basis))
    }

    fn new_measure(&mut self, measure: NewMeasure) -> Result<edit::NewMeasure, Problem> {
        let text = text::MEASURE.take(&measure.text)?;
        let arena = measure.arena.as_deref().unwrap_or("service");
        let arena = Arena::from_word(arena)
            .ok_or_else(|| Problem::caller(Cause::Arena, "the arena is service, home or child"))?;
        let responsible = match (measure.responsible.as_deref(), arena) {
            (Some("family"), _) => Responsible::Family,
            (Some("child"), _) => Responsible::Child,
            (Some(person), _) => Responsible::Person(self.person(person)?),
            // F6: what is done at home is the guardians' responsibility.
            (None, Arena::Home) => Responsible::Family,
            (None, Arena::Child) => Responsible::Child,
            (None, Arena::Service) => Responsible::Person(self.me()?.person),
        };
        let due = measure.due.map(|due| self.due(&due)).transpose()?;
        let due = due.unwrap_or_else(|| date_after(self.home_now(), MEASURE_DAYS));
        Ok(edit::NewMeasure { id: self.entry_id(), text, arena, responsible, due: Some(due), step: None })
    }

    /// When a measure is evaluated: a day that is still to come. Today's depends on where one is.
    fn due(&self, text: &str) -> Result<String, Problem> {
        let due = date_text(date(text)?);
        if due >= date_after(self.home_now(), -1) {
            return Ok(due);
        }
        Err(Problem {
            values: vec![("given", due.clone()), ("today", date_after(self.home_now(), 0))],
            ..Problem::caller(Cause::DuePast, format!("{due} is past"))
        })
    }

    fn entry_id(&mut self) -> String {
        to_hex(&self.random::<16>())
    }

    pub(crate) fn measure_add(&mut self, concern: &str, measure: NewMeasure) -> Result<OneMeasure, Problem> {
        let scope = self.concern(concern)?;
        let measure = self.new_measure(measure)?;
        let (id, author) = (measure.id.clone(), self.me()?.person);
        self.edit(scope, |to| edit::add_measure(to, author, &measure))?;
        Ok(OneMeasure { measure: id })
    }

    /// The concern in which a measure stands, and the measure's whole id.
    fn measure(&self, prefix: &str) -> Result<(ScopeId, String), Problem> {
        let prefix = prefix.trim().to_lowercase();
        if prefix.is_empty() {
            return Err(Problem::caller(Cause::EmptyId, "which measure?"));
        }
        let mut found: Vec<(ScopeId, String)> = vec![];
        for log in self.logs() {
            for scope in self.scopes_of(log, ScopeKind::Concern) {
                let Some(document) = self.document(scope) else {
                    continue;
                };
                let ids = document.concern().measures.into_iter().map(|m| m.id).filter(|id| id.starts_with(&prefix));
                found.extend(ids.map(|id| (scope, id)));
            }
        }
        match (found.pop(), found.is_empty()) {
            (Some(one), true) => Ok(one),
            (None, _) => {
                Err(Problem::caller(Cause::UnknownId, "no measure here begins with that; look at concern show"))
            }
            (Some(_), false) => {
                Err(Problem::caller(Cause::AmbiguousId, "several measures begin with that; give more of the id"))
            }
        }
    }

    /// F7: its author, within eight hours.
    pub(crate) fn measure_edit(&mut self, measure: &str, text: String) -> Result<RewrittenMeasure, Problem> {
        let (scope, id) = self.measure(measure)?;
        let text = text::MEASURE.take(&text)?;
        let known = self.document(scope).map(|d| d.concern().measures).unwrap_or_default();
        let known = known.into_iter().find(|m| m.id == id);
        self.edit(scope, |to| edit::rewrite_measure(to, &id, &text))?;
        // Whoever writes anew learns which words it replaces: another device's may have come since they were looked at.
        let replaced = known.into_iter().flat_map(|m| m.beside.into_iter().chain([m.text])).filter(|old| *old != text);
        Ok(RewrittenMeasure { measure: id, replaced: replaced.collect() })
    }

    /// F8: wrongly recorded (feilregistrert), replaced by a corrected one or ended.
    pub(crate) fn measure_correct(
        &mut self,
        measure: &str,
        replacement: Option<NewMeasure>,
    ) -> Result<OneMeasure, Problem> {
        let (scope, id) = self.measure(measure)?;
        let author = self.me()?.person;
        let replacement = replacement.map(|m| self.new_measure(m)).transpose()?;
        let new = replacement.as_ref().map(|m| m.id.clone());
        self.edit(scope, |to| {
            if let Some(replacement) = &replacement {
                edit::add_measure(to, author, replacement)?;
            }
            edit::supersede_measure(to, &id, new.as_deref())
        })?;
        Ok(OneMeasure { measure: new.unwrap_or(id) })
    }

    /// G1: once. The family's word (G3) is a mark of its own, and the last one.
    pub(crate) fn evaluate(
        &mut self,
        measure: &str,
        result: &str,
        text: String,
        family_agrees: bool,
    ) -> Result<OneMeasure, Problem> {
        let (scope, id) = self.measure(measure)?;
        let result = Colour::from_word(result)
            .ok_or_else(|| Problem::caller(Cause::Result, "the result is green, yellow or red"))?;
        let (author, entry) = (self.me()?.person, self.entry_id());
        let text = text::EVALUATION.take_some(&text)?;
        let family = self.role_in(scope).is_some_and(Role::is_family);
        self.edit(scope, |to| {
            if family {
                let agrees = family_agrees || result == Colour::Green;
                edit::mark_as_family(to, author, &entry, &id, (result, agrees), text.as_deref())
            } else {
                edit::evaluate(to, author, &entry, &id, result, text.as_deref(), family_agrees)
            }
        })?;
        Ok(OneMeasure { measure: id })
    }

    fn role_in(&self, scope: ScopeId) -> Option<Role> {
        let me = self.me.as_ref()?.person;
        match self.scopes.get(&scope) {
            Some(s) => s.replica.state().membership.member(me).map(|m| m.role),
            None => self.foundings.get(&scope).map(|_| Role::Holder),
        }
    }

    pub(crate) fn glimpse(
        &mut self,
        concern: &str,
        text: String,
        file: Option<&NewAttachment>,
    ) -> Result<Written, Problem> {
        let scope = self.concern(concern)?;
        let text = text::GLIMPSE.take(&text)?;
        let (author, id, time) = (self.me()?.person, self.entry_id(), rfc3339(self.now));
        self.edit_with_file(scope, ("glimpses", id), file, |to, id| {
            edit::add_glimpse(to, author, id, &text, Some(&time))
        })
    }

    pub(crate) fn comment(&mut self, concern: &str, text: String) -> Result<Written, Problem> {
        let scope = self.concern(concern)?;
        let text = text::COMMENT.take(&text)?;
        let (author, id) = (self.me()?.person, self.entry_id());
        self.edit(scope, |to| edit::add_comment(to, author, &id, &text, None))?;
        Ok(Written { id, attachment: None })
    }

    pub(crate) fn note(&mut self, log: &str, text: String, file: Option<&NewAttachment>) -> Result<Written, Problem> {
        let log = self.log(log)?;
        if self.card_of(log).and_then(|c| self.scopes.get(&c)).is_some_and(|s| s.standing == Standing::Withdrawn) {
            return Err(withdrawn());
        }
        let journal =
            self.journal_of(log).ok_or_else(|| Problem::rule(Cause::NotYours, "you are not in this log's journal"))?;
        let text = text::NOTE.take(&text)?;
        let (author, id) = (self.me()?.person, self.entry_id());
        self.edit_with_file(journal, ("notes", id), file, |to, id| edit::add_text(to, author, "notes", id, &text))
    }

    /// Closes a concern: its chain takes no more content, everyone in it reads on.
    pub(crate) fn concern_close(&mut self, concern: &str) -> Result<ClosedConcern, Problem> {
        let scope = self.concern(concern)?;
        let state = self.scopes.get(&scope).map(|s| s.replica.state());
        let state =
            state.ok_or_else(|| Problem::rule(Cause::NotActive, "the concern has not been sent yet; sync first"))?;
        can(state, self.me()?.person, Action::Close, self.home_now())?;
        let waits = self.queued_rows("s").into_iter().filter_map(|(_, v)| decode::<OutStatement>(&v).ok());
        let closing = |o: OutStatement| o.scope == scope && matches!(o.statement, Statement::Close(_));
        if state.status_at(self.home_now()) == Status::Closed || waits.into_iter().any(closing) {
            return Err(Problem::rule(Cause::Unchanged, "the concern is closed already"));
        }
        let log = state.log();
        self.queue_statement(scope, Statement::Close(Closing::Closed));
        if let Some(journal) = self.journal_of(log) {
            self.edit_beside(journal, |to| edit::set_listed_state(to, scope, false));
        }
        Ok(ClosedConcern { concern: scope.to_string(), state: ConcernState::Closed })
    }

    /// The number that both sides read aloud.
    pub(crate) fn comparison(&mut self, person: &str) -> Result<Comparison, Problem> {
        let pin = self.acquaintance(self.person(person)?)?;
        Ok(Comparison { person: pin.person.to_string(), number: self.number_with(&pin)? })
    }

    fn number_with(&self, pin: &Pin) -> Result<String, Problem> {
        let me = self.me()?;
        let (ours, theirs) = ((me.person, &me.person_public()?), (pin.person, &pin.person_key));
        Ok(stafett_protocol::code::comparison_number(ours, theirs))
    }

    /// The number as the other side read it: a key that it fits is compared from now on.
    pub(crate) fn compare_keys(&mut self, person: &str, number: &str) -> Result<Compared, Problem> {
        let person = self.person(person)?;
        let mut pin = self.acquaintance(person)?;
        let ours = self.number_with(&pin)?;
        let digits = |s: &str| s.chars().filter(char::is_ascii_digit).collect::<String>();
        let matches = digits(number) == digits(&ours);
        if matches {
            pin.trust = people::Trust::Compared;
            people::save(&mut self.table, &pin);
        }
        Ok(Compared { person: person.to_string(), person_name: self.name_of(person), matches })
    }
}
