//! What people are shown of logs, concerns, people and units.

use crate::answer;
use crate::answer::{
    Access, AddedUnit, Arena, Concern, ConcernLine, ConcernState, Due, Evaluation, Group, Log, LogLine, LogList,
    LogRole, LogShown, LogStatus, Measure, MeasureState, Moment, Participant, People, Person, Remark, Responsible,
    Unit, Units, Verified,
};
use crate::client::input::{Cause, Problem};
use crate::client::scope::Standing;
use crate::client::{Client, people};
use crate::document::view::{Entry, GlimpseView, MeasureView};
use stafett_protocol::credential::PersonKind;
use stafett_protocol::ids::{LogId, Municipality, PersonId, ScopeId};
use stafett_protocol::membership::{Role, ScopeKind};
use stafett_protocol::state::{ScopeState, Status};
use stafett_protocol::text;
use stafett_protocol::wire::{NewUnit, Request};

impl Client {
    pub(crate) fn scope_title(&self, scope: ScopeId) -> String {
        let kind = self
            .scopes
            .get(&scope)
            .map(crate::client::scope::Scope::kind)
            .or_else(|| self.foundings.get(&scope).map(|f| f.plan.kind));
        match (kind, self.document(scope)) {
            (Some(ScopeKind::Concern), Some(document)) => document.concern().title,
            _ => String::new(),
        }
    }

    pub(crate) fn people_list(&mut self, unit: Option<&str>) -> Result<People, Problem> {
        let unit = unit.map(|u| self.unit(u)).transpose()?.map(|u| u.unit);
        let me = self.me()?;
        let own = Person {
            person: me.person.to_string(),
            name: answer::Name::of(me.person, Some(me.name.clone())),
            unit: me.unit.as_ref().map(|u| u.unit.to_string()),
            role: me.kind().map(Into::into),
            verified: Verified::Myself,
        };
        let mut people = vec![];
        if unit.is_none() || me.unit.as_ref().map(|u| u.unit) == unit {
            people.push(own);
        }
        for pin in people::pins(&self.table)
            .into_iter()
            .filter(|p| p.person != me.person && (unit.is_none() || p.unit == unit))
        {
            // C7: employees of other services are found through a consent, not in a search; leaders stand for their unit.
            let colleague = pin.unit.is_none() || pin.unit == me.unit.as_ref().map(|u| u.unit);
            if colleague || pin.kind == PersonKind::Leader || self.shares_log(pin.person) {
                people.push(Person {
                    person: pin.person.to_string(),
                    name: self.called(pin.person),
                    unit: pin.unit.map(|u| u.to_string()),
                    role: Some(pin.kind.into()),
                    verified: pin.trust.into(),
                });
            }
        }
        Ok(People { people })
    }

    fn shares_log(&self, person: PersonId) -> bool {
        self.scopes
            .values()
            .any(|s| s.standing == Standing::Member && s.replica.state().membership.member(person).is_some())
    }

    /// The units that are known here, of one municipality or of all.
    pub(crate) fn unit_list(&self, of: Option<Municipality>) -> Units {
        let units = self
            .known_units()
            .into_iter()
            .map(|u| (self.unit_home(u.unit), u))
            .filter(|(home, _)| of.is_none_or(|of| of == *home))
            .map(|(home, u)| Unit {
                unit: u.unit.to_string(),
                name: u.name,
                kind: u.kind.into(),
                leader: u.leader.map(|l| l.to_string()),
                municipality: format!("{home:04}"),
            })
            .collect();
        Units { units }
    }

    pub(crate) fn unit_add(&mut self, name: String, kind: String) -> Result<AddedUnit, Problem> {
        if self.me()?.kind() != Some(PersonKind::Administrator) {
            return Err(Problem::rule(Cause::NotYours, "the municipality's administrator adds units"));
        }
        let (name, kind) = (text::UNIT.take(&name)?, text::UNIT_KIND.take(&kind)?);
        self.queue_request(&Request::AddUnit(NewUnit { name, kind }));
        Ok(AddedUnit { queued: true })
    }

    pub(crate) fn log_list(&self) -> LogList {
        let logs = self
            .logs()
            .into_iter()
            .map(|log| {
                let (status, holder, home) = self.log_status(log);
                let card =
                    self.card_of(log).filter(|_| status != LogStatus::Withdrawn).and_then(|card| self.document(card));
                let card = card.map(|document| document.card());
                let (born, level) = card.as_ref().map_or((None, None), |c| (Some(c.born.clone().into()), c.level));
                let child = card.map(|card| card.child_name).filter(|name| !name.is_empty());
                let (holder, holder_name) = (holder.map(|h| h.to_string()), holder.map(|h| self.name_of(h)));
                let (role, due) = (self.own_role(log), self.due_in(log));
                LogLine { log: log.to_string(), status, child, holder, holder_name, home, role, born, level, due }
            })
            .collect();
        LogList { logs }
    }

    /// What this person is in a log: an actor acts in its concerns, and only reads on its card.
    fn own_role(&self, log: LogId) -> Option<LogRole> {
        let me = self.me.as_ref()?.person;
        let of_log = self.scopes.values().map(|s| s.replica.state()).filter(|s| s.log() == log);
        let roles = of_log.filter_map(|s| s.membership.member(me)).map(|member| member.role);
        let (mut role, mut acts) = (None, false);
        for one in roles {
            acts |= one == Role::Actor;
            role = role.filter(|_| one == Role::Actor || one == Role::Reader).or(Some(one));
        }
        if acts { Some(LogRole::Actor) } else { role.map(Into::into) }
    }

    /// Measures of open concerns that run and have a day.
    fn due_in(&self, log: LogId) -> Vec<Due> {
        let me = self.me.as_ref().map(|me| me.person.to_string());
        let open = |scope: &ScopeId| self.concern_state(*scope) == ConcernState::Open;
        let concerns = self.scopes_of(log, ScopeKind::Concern).into_iter().filter(open);
        let of = |scope: ScopeId| {
            let view = self.document(scope).map(|document| document.concern())?;
            let runs = view.measures.iter().filter(|m| m.superseded.is_none() && m.evaluation.is_none() && !m.parked);
            let due = runs.filter_map(|m| {
                Some(Due {
                    concern: scope.to_string(),
                    title: view.title.clone(),
                    measure: m.id.clone(),
                    text: m.text.clone(),
                    due: m.due.clone()?.into(),
                    own: me.as_ref() == Some(&m.responsible),
                })
            });
            Some(due.collect::<Vec<_>>())
        };
        concerns.filter_map(of).flatten().collect()
    }

    fn log_status(&self, log: LogId) -> (LogStatus, Option<PersonId>, Option<String>) {
        let number = self.me.as_ref().map(|m| format!("{:04}", m.number()));
        let card = self.card_of(log);
        match card.and_then(|c| self.scopes.get(&c)) {
            None if card.is_some() => (LogStatus::Waiting, self.me.as_ref().map(|m| m.person), number),
            None => (LogStatus::Withdrawn, None, None),
            Some(s) => {
                let state = s.replica.state();
                let word = match (s.standing, state.status_at(self.home_now())) {
                    _ if self.keeps_archive(log) => LogStatus::Archived,
                    (Standing::Withdrawn, _) | (_, Status::Withdrawn) => LogStatus::Withdrawn,
                    _ if self.scopes_in(log).any(|scope| self.has_two_histories(scope)) => LogStatus::Stopped,
                    (_, Status::Active) => LogStatus::Active,
                    (_, Status::Dormant) => LogStatus::Dormant,
                    (_, Status::Closed) => LogStatus::Passive,
                };
                (word, state.holder().map(|h| h.person), Some(format!("{:04}", state.membership.home)))
            }
        }
    }

    pub(crate) fn log_show(&mut self, log: &str) -> Result<LogShown, Problem> {
        let log = self.log(log)?;
        let card = self.card_of(log).ok_or_else(crate::client::scope::find::withdrawn)?;
        if self.keeps_archive(log) {
            return Ok(LogShown::Archived(self.archived_log(log)));
        }
        if self.scopes.contains_key(&card) {
            self.member_card(log)?;
        }
        let (status, holder, home) = self.log_status(log);
        let view = self.document(card).map(|d| d.card()).ok_or_else(crate::client::scope::find::withdrawn)?;
        let mut in_log = self.scopes.values().filter(|s| s.replica.state().log() == log);
        let audited = in_log.all(|s| s.unaudited.is_none());
        let journals = self.scopes_of(log, ScopeKind::Journal).into_iter();
        // Whoever drafts a log will hold it, before there is a chain that says so.
        let own = self.me.as_ref().is_some_and(|me| Some(me.person) == holder);
        let unknown = if own { Verified::Myself } else { Verified::Municipality };
        let holder_verified = self.holder_known(card).unwrap_or(unknown);
        Ok(LogShown::Here(Box::new(Log {
            log: log.to_string(),
            status,
            level: view.level,
            beside: self.document(card).map(|d| d.beside("log", None)),
            holder: holder.map(|h| h.to_string()),
            holder_name: holder.map(|h| self.name_of(h)),
            holder_verified,
            home,
            answers: self.answers(log),
            participants: self.participants(log, card),
            concerns: self.concerns(log),
            notes: self.notes(log),
            attachments: journals.flat_map(|journal| self.attachments_of(journal)).collect(),
            handovers: self.handovers(&view),
            offers: self.offers(Some(log)),
            pending: self.pending(log),
            quarantined: self.quarantined(log),
            audited,
            child: view.child_name,
            born: view.born.into(),
        })))
    }

    fn participants(&self, log: LogId, card: ScopeId) -> Vec<Participant> {
        let Some(state) = self.scopes.get(&card).map(|s| s.replica.state()) else {
            return vec![];
        };
        let listed = state.listed_at(self.home_now());
        let others: Vec<&ScopeState> =
            self.scopes.values().map(|s| s.replica.state()).filter(|s| s.log() == log).collect();
        state
            .membership
            .members
            .iter()
            .filter(|m| m.devices.iter().any(|d| !listed.contains(d)))
            .map(|m| {
                let pin = people::pin(&self.table, m.person);
                let own = self.me.as_ref().is_some_and(|me| me.person == m.person);
                let scopes: Vec<String> = others
                    .iter()
                    .filter(|s| s.membership.member(m.person).is_some())
                    .map(|s| s.scope().to_string())
                    .collect();
                // On the card services only read; what they may do stands in the concerns.
                let acts = others.iter().filter_map(|s| s.membership.member(m.person)).any(|o| o.role == Role::Actor);
                let role = if acts && m.role == Role::Reader { Role::Actor } else { m.role };
                let access = match role {
                    Role::Holder => Access::Hold,
                    Role::Custodian => Access::Custody,
                    Role::Reader | Role::Archivist => Access::Read,
                    _ => Access::Contribute,
                };
                let unit = pin
                    .as_ref()
                    .and_then(|p| p.unit)
                    .or_else(|| self.me.as_ref().filter(|_| own).and_then(|me| me.unit.as_ref().map(|u| u.unit)))
                    .or_else(|| state.grant(&m.basis).and_then(|g| g.grant.grantee.unit()).map(|u| u.unit));
                let pinned = || pin.map_or(Verified::Municipality, |p| p.trust.into());
                Participant {
                    person: m.person.to_string(),
                    name: self.called(m.person),
                    unit: unit.map(|u| self.unit_name(u)),
                    role: role.into(),
                    access,
                    scopes,
                    verified: if own { Verified::Myself } else { pinned() },
                }
            })
            .collect()
    }

    pub(crate) fn concerns(&self, log: LogId) -> Vec<ConcernLine> {
        self.scopes_of(log, ScopeKind::Concern)
            .into_iter()
            .filter(|s| self.scopes.get(s).is_none_or(|s| s.standing != Standing::Withdrawn))
            .filter_map(|scope| {
                let title = self.document(scope)?.concern().title;
                Some(ConcernLine { concern: scope.to_string(), title, state: self.concern_state(scope) })
            })
            .collect()
    }

    fn concern_state(&self, scope: ScopeId) -> ConcernState {
        match self.scopes.get(&scope).map(|s| (s.standing, s.replica.state().status_at(self.home_now()))) {
            None => ConcernState::Draft,
            Some((Standing::Joining, _)) => ConcernState::Joining,
            Some((Standing::Halted, _)) => ConcernState::Halted,
            Some(_) if self.has_two_histories(scope) => ConcernState::Stopped,
            Some((_, Status::Closed)) => ConcernState::Closed,
            Some((_, Status::Dormant)) => ConcernState::Dormant,
            Some((_, Status::Withdrawn)) | Some((Standing::Withdrawn, _)) => ConcernState::Withdrawn,
            Some((_, Status::Active)) => ConcernState::Open,
        }
    }

    fn notes(&self, log: LogId) -> Vec<answer::Entry> {
        let journals = self.scopes_of(log, ScopeKind::Journal).into_iter().filter_map(|j| self.document(j));
        journals.flat_map(|j| j.journal().notes).map(|note| self.entry_view(&note)).collect()
    }

    pub(crate) fn concern_show(&mut self, concern: &str) -> Result<Concern, Problem> {
        let scope = self.concern(concern)?;
        let view = self.document(scope).map(|d| d.concern()).ok_or_else(crate::client::scope::find::withdrawn)?;
        let arenas: Vec<&str> =
            view.measures.iter().filter(|m| m.superseded.is_none()).map(|m| m.arena.as_str()).collect();
        // F1: one in the service, one at home, one the child is responsible for.
        let missing = Arena::ALL.iter().copied().filter(|arena| !arenas.contains(&arena.word()));
        Ok(Concern {
            concern: scope.to_string(),
            goal: view.goal_text().to_owned(),
            state: self.concern_state(scope),
            audited: self.scopes.get(&scope).is_none_or(|s| s.unaudited.is_none()),
            measures: view.measures.iter().map(|m| self.measure_view(m)).collect(),
            missing_arenas: missing.collect(),
            glimpses: view.glimpses.iter().map(|g| self.glimpse_view(g)).collect(),
            attachments: self.attachments_of(scope),
            comments: view.comments.iter().map(|comment| self.entry_view(comment)).collect(),
            title: view.title,
            category: view.category,
        })
    }

    fn measure_view(&self, m: &MeasureView) -> Measure {
        // Where nobody else has evaluated it, the family's own word is what there is.
        let (counts, family) = match (&m.evaluation, m.marks.split_last()) {
            (None, Some((last, before))) => (Some(last), before),
            (evaluation, _) => (evaluation.as_ref(), m.marks.as_slice()),
        };
        let state = match (&m.superseded, counts, m.parked) {
            (Some(_), _, _) => MeasureState::Superseded,
            (_, Some(_), _) => MeasureState::Evaluated,
            (_, _, true) => MeasureState::Parked,
            _ => MeasureState::Active,
        };
        let responsible = match (m.responsible.as_str(), m.responsible.parse::<PersonId>()) {
            ("family", _) => Responsible::Group(Group::Family),
            ("child", _) => Responsible::Group(Group::Child),
            (_, Ok(person)) => Responsible::Person(self.name_of(person)),
            (other, Err(_)) => Responsible::Person(other.to_owned()),
        };
        let said = |e: &Entry| Remark {
            result: e.text("result").map(Into::into),
            text: e.text("text"),
            by: e.author.map(|a| self.name_of(a)),
            time: e.received_ms.map(Moment::at),
        };
        Measure {
            measure: m.id.clone(),
            text: m.text.clone(),
            beside: Some(m.beside.clone()).filter(|beside| !beside.is_empty()),
            arena: m.arena.clone().into(),
            responsible,
            due: m.due.clone().map(Into::into),
            state,
            evaluation: counts.map(|e| Evaluation { said: said(e), family_agrees: m.family_agrees }),
            family_agrees: m.family_agrees,
            remarks: m.remarks.iter().map(said).collect(),
            family: family.iter().map(said).collect(),
            author: m.author.map(|a| self.name_of(a)),
            time: m.received_ms.map(Moment::at),
        }
    }

    /// A note or comment: whose, since when, what.
    fn entry_view(&self, e: &Entry) -> answer::Entry {
        answer::Entry {
            id: e.id.clone(),
            author: e.author.map(|a| self.name_of(a)),
            text: e.text("text"),
            time: e.received_ms.map(Moment::at),
        }
    }

    fn glimpse_view(&self, g: &GlimpseView) -> answer::Entry {
        answer::Entry {
            id: g.id.clone(),
            author: g.author.map(|a| self.name_of(a)),
            text: Some(g.text.clone()),
            time: g.received_ms.map(Moment::at).or_else(|| g.claimed_time.clone().map(Into::into)),
        }
    }

    /// Nothing is granted or exported on a checkpoint's word.
    pub(crate) fn audited(&self, log: LogId) -> Result<(), Problem> {
        let of_log = |s: &&crate::client::scope::Scope| s.replica.state().log() == log;
        match self.scopes.values().filter(of_log).all(crate::client::scope::Scope::facts_read) {
            true => Ok(()),
            false => Err(Problem::rule(
                Cause::NotAudited,
                "the events behind what is shown have not all been read; sync first",
            )),
        }
    }
}
