//! One's way among the scopes that are here: of which log, of which kind, and the names of the people in them.

use crate::answer::Name;
use crate::client::input::{Cause, Problem};
use crate::client::scope::{Scope, Standing};
use crate::client::{Client, people};
use crate::rows::Space;
use stafett_protocol::ids::{LogId, PersonId, ScopeId};
use stafett_protocol::membership::ScopeKind;

pub(crate) fn withdrawn() -> Problem {
    Problem::rule(Cause::Withdrawn, "access to this has been withdrawn; its content is no longer on this device")
}

impl Client {
    pub(crate) fn logs(&self) -> Vec<LogId> {
        let mut logs: Vec<LogId> = self
            .scopes
            .values()
            .map(|s| s.replica.state().log())
            .chain(self.foundings.values().map(|f| f.plan.log))
            .filter(|log| *log != LogId::default())
            .collect();
        logs.sort_unstable();
        logs.dedup();
        logs
    }

    pub(crate) fn log(&self, prefix: &str) -> Result<LogId, Problem> {
        people::unique("log", prefix, self.logs())
    }

    /// Scopes of a log on this device, of one kind, founded or about to be.
    pub(crate) fn scopes_of(&self, log: LogId, kind: ScopeKind) -> Vec<ScopeId> {
        let founded =
            self.scopes.values().filter(|s| s.replica.state().log() == log && s.kind() == kind).map(|s| s.id());
        let planned =
            self.foundings.values().filter(|f| f.plan.log == log && f.plan.kind == kind).map(|f| f.plan.scope);
        founded.chain(planned).collect()
    }

    pub(crate) fn card_of(&self, log: LogId) -> Option<ScopeId> {
        self.scopes_of(log, ScopeKind::Card).into_iter().next()
    }

    pub(crate) fn journal_of(&self, log: LogId) -> Option<ScopeId> {
        // A log that has moved has left one behind, closed.
        let all = self.scopes_of(log, ScopeKind::Journal);
        let closed = |scope: &ScopeId| {
            self.scopes.get(scope).is_some_and(|s| s.replica.state().status == stafett_protocol::state::Status::Closed)
        };
        all.iter().find(|s| !closed(s)).or(all.first()).copied()
    }

    /// The founded card of a log that this device is in.
    pub(crate) fn member_card(&self, log: LogId) -> Result<ScopeId, Problem> {
        let card = self.card_of(log).ok_or_else(|| Problem::caller(Cause::UnknownId, "there is no such log here"))?;
        match self.scopes.get(&card) {
            Some(s) if s.standing == Standing::Withdrawn => Err(withdrawn()),
            Some(_) => Ok(card),
            None => Err(Problem::rule(Cause::NoConsentYet, "the log does not exist until everyone has signed")),
        }
    }

    /// A concern by id or unique prefix.
    pub(crate) fn concern(&self, prefix: &str) -> Result<ScopeId, Problem> {
        let all = self.logs().into_iter().flat_map(|log| self.scopes_of(log, ScopeKind::Concern)).collect::<Vec<_>>();
        let scope = people::unique("concern", prefix, all)?;
        match self.scopes.get(&scope) {
            Some(s) if s.standing == Standing::Withdrawn => Err(withdrawn()),
            _ => Ok(scope),
        }
    }

    /// The name by which this device knows a person, where somebody has told one.
    pub(crate) fn known_name(&self, person: PersonId) -> Option<String> {
        // The card of a log that they are in says it before any other does.
        let on_card = || {
            let cards = || self.scopes.values().filter(|s| s.kind() == ScopeKind::Card);
            let inside = cards().filter(|s| s.replica.state().membership.member(person).is_some());
            let mut people = inside.chain(cards()).flat_map(|s| s.document.people("people"));
            people.find(|p| p.person == person).map(|p| p.name)
        };
        self.told_name(person).or_else(on_card)
    }

    /// What this device calls a person, or that nobody has named them.
    pub(crate) fn called(&self, person: PersonId) -> Name {
        Name::of(person, self.known_name(person))
    }

    /// The name by which this device knows a person; the id's beginning where nobody has told one.
    pub(crate) fn name_of(&self, person: PersonId) -> String {
        self.known_name(person).unwrap_or_else(|| person.to_string().chars().take(8).collect())
    }

    /// The parts of a log that are held against each other. One that this device had to leave, while it stays in the
    /// log, is as it was then, and says nothing of the others as they are now.
    pub(crate) fn audited_scopes(&self, log: LogId) -> impl Iterator<Item = &Scope> {
        let left = |s: &Scope| s.standing == Standing::Withdrawn;
        let stays = self.card_of(log).and_then(|card| self.scopes.get(&card)).is_some_and(|card| !left(card));
        self.scopes.values().filter(move |s| s.replica.state().log() == log && !(stays && left(s)))
    }

    /// Notes whether the home still shows this device a scope. One that was put back to an old backup may have left it since.
    pub(crate) fn note_shown(&mut self, scope: ScopeId, shown: bool) {
        let key = unseen_key(scope);
        match (shown, self.table.read(Space::State, &key).is_some()) {
            (false, false) => self.table.write(Space::State, &key, vec![]),
            (true, true) => self.table.delete(Space::State, &key),
            _ => {}
        }
    }

    /// Parts of a log of which the home shows this device nothing more.
    pub(crate) fn unseen(&self, log: LogId) -> Vec<ScopeId> {
        let unseen = |scope: &ScopeId| self.table.read(Space::State, &unseen_key(*scope)).is_some();
        self.audited_scopes(log).map(Scope::id).filter(unseen).collect()
    }
}

fn unseen_key(scope: ScopeId) -> Vec<u8> {
    [b"unseen/".as_slice(), &scope.0].concat()
}
