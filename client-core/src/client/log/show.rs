//! What people are shown: plain JSON with keys that scripts rely on.

use crate::client::input::{Cause, Problem};
use crate::client::scope::Standing;
use crate::client::words::{kind_word, rfc3339, role_word};
use crate::client::{Answer, Client, people};
use crate::document::view::{Entry, GlimpseView, MeasureView};
use serde_json::{Value, json};
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

    pub(crate) fn people_list(&mut self, unit: Option<&str>) -> Answer {
        let unit = unit.map(|u| self.unit(u)).transpose()?.map(|u| u.unit);
        let me = self.me()?;
        let own = json!({"person": me.person.to_string(), "name": me.name, "unit": me.unit.as_ref().map(|u| u.unit.to_string()),
            "role": me.kind().map(kind_word), "verified": "self"});
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
                people.push(json!({"person": pin.person.to_string(), "name": self.name_of(pin.person), "unit": pin.unit.map(|u| u.to_string()),
                    "role": kind_word(pin.kind), "verified": pin.trust.word()}));
            }
        }
        Ok(json!({"people": people}))
    }

    fn shares_log(&self, person: PersonId) -> bool {
        self.scopes
            .values()
            .any(|s| s.standing == Standing::Member && s.replica.state().membership.member(person).is_some())
    }

    /// The units that are known here, of one municipality or of all.
    pub(crate) fn unit_list(&mut self, of: Option<Municipality>) -> Answer {
        let units: Vec<Value> = self
            .known_units()
            .into_iter()
            .map(|u| (self.unit_home(u.unit), u))
            .filter(|(home, _)| of.is_none_or(|of| of == *home))
            .map(|(home, u)| {
                json!({"unit": u.unit.to_string(), "name": u.name, "kind": u.kind, "leader": u.leader.map(|l| l.to_string()),
                    "municipality": format!("{home:04}")})
            })
            .collect();
        Ok(json!({"units": units}))
    }

    pub(crate) fn unit_add(&mut self, name: String, kind: String) -> Answer {
        if self.me()?.kind() != Some(PersonKind::Administrator) {
            return Err(Problem::rule(Cause::NotYours, "the municipality's administrator adds units"));
        }
        let (name, kind) = (text::UNIT.take(&name)?, text::UNIT_KIND.take(&kind)?);
        self.queue_request(&Request::AddUnit(NewUnit { name, kind }));
        Ok(json!({"queued": true}))
    }

    pub(crate) fn log_list(&mut self) -> Answer {
        let logs: Vec<Value> = self
            .logs()
            .into_iter()
            .map(|log| {
                let (status, holder, home) = self.log_status(log);
                let card = self.card_of(log).filter(|_| status != "withdrawn").and_then(|card| self.document(card));
                let child = card.map(|document| document.card().child_name).filter(|name| !name.is_empty());
                json!({"log": log.to_string(), "status": status, "child": child,
                    "holder": holder.map(|h| h.to_string()), "holder_name": holder.map(|h| self.name_of(h)), "home": home})
            })
            .collect();
        Ok(json!({"logs": logs}))
    }

    fn log_status(&self, log: LogId) -> (&'static str, Option<PersonId>, Option<String>) {
        let number = self.me.as_ref().map(|m| format!("{:04}", m.number()));
        let card = self.card_of(log);
        match card.and_then(|c| self.scopes.get(&c)) {
            None if card.is_some() => ("waiting", self.me.as_ref().map(|m| m.person), number),
            None => ("withdrawn", None, None),
            Some(s) => {
                let state = s.replica.state();
                let word = match (s.standing, state.status_at(self.home_now())) {
                    _ if self.keeps_archive(log) => "archived",
                    (Standing::Withdrawn, _) | (_, Status::Withdrawn) => "withdrawn",
                    _ if self.scopes_in(log).any(|scope| self.has_two_histories(scope)) => "stopped",
                    (_, Status::Active) => "active",
                    (_, Status::Dormant) => "dormant",
                    (_, Status::Closed) => "passive",
                };
                (word, state.holder().map(|h| h.person), Some(format!("{:04}", state.membership.home)))
            }
        }
    }

    pub(crate) fn log_show(&mut self, log: &str) -> Answer {
        let log = self.log(log)?;
        let card = self.card_of(log).ok_or_else(crate::client::scope::find::withdrawn)?;
        if self.keeps_archive(log) {
            return Ok(self.archived_log(log));
        }
        if self.scopes.contains_key(&card) {
            self.member_card(log)?;
        }
        let (status, holder, home) = self.log_status(log);
        let view = self.document(card).map(|d| d.card()).ok_or_else(crate::client::scope::find::withdrawn)?;
        Ok(json!({
            "log": log.to_string(),
            "status": status,
            "child": view.child_name,
            "born": view.born,
            "level": view.level,
            "beside": self.document(card).map(|d| d.beside("log", None)),
            "holder": holder.map(|h| h.to_string()),
            "holder_name": holder.map(|h| self.name_of(h)),
            "holder_verified": self.holder_known(card).unwrap_or("municipality"),
            "home": home,
            "answers": self.answers(log),
            "participants": self.participants(log, card),
            "concerns": self.concerns(log),
            "notes": self.notes(log),
            "attachments": self.scopes_of(log, ScopeKind::Journal).into_iter().flat_map(|j| self.attachments_of(j)).collect::<Vec<_>>(),
            "handovers": self.handovers(&view),
            "offers": self.offers(Some(log)),
            "pending": self.pending(log),
            "quarantined": self.quarantined(log),
            "audited": self.scopes.values().filter(|s| s.replica.state().log() == log).all(|s| s.unaudited.is_none()),
        }))
    }

    fn participants(&self, log: LogId, card: ScopeId) -> Vec<Value> {
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
                    Role::Holder => "hold",
                    Role::Custodian => "custody",
                    Role::Reader | Role::Archivist => "read",
                    _ => "contribute",
                };
                let unit = pin
                    .as_ref()
                    .and_then(|p| p.unit)
                    .or_else(|| self.me.as_ref().filter(|_| own).and_then(|me| me.unit.as_ref().map(|u| u.unit)))
                    .or_else(|| state.grant(&m.basis).and_then(|g| g.grant.grantee.unit()).map(|u| u.unit));
                json!({
                    "person": m.person.to_string(),
                    "name": self.name_of(m.person),
                    "unit": unit.map(|u| self.unit_name(u)),
                    "role": role_word(role),
                    "access": access,
                    "scopes": scopes,
                    "verified": if own { "self" } else { pin.map_or("municipality", |p| p.trust.word()) },
                })
            })
            .collect()
    }

    pub(crate) fn concerns(&self, log: LogId) -> Vec<Value> {
        self.scopes_of(log, ScopeKind::Concern)
            .into_iter()
            .filter(|s| self.scopes.get(s).is_none_or(|s| s.standing != Standing::Withdrawn))
            .filter_map(|scope| {
                let view = self.document(scope)?.concern();
                Some(json!({"concern": scope.to_string(), "title": view.title, "state": self.concern_state(scope)}))
            })
            .collect()
    }

    fn concern_state(&self, scope: ScopeId) -> &'static str {
        match self.scopes.get(&scope).map(|s| (s.standing, s.replica.state().status_at(self.home_now()))) {
            None => "draft",
            Some((Standing::Joining, _)) => "joining",
            Some((Standing::Halted, _)) => "halted",
            Some(_) if self.has_two_histories(scope) => "stopped",
            Some((_, Status::Closed)) => "closed",
            Some((_, Status::Dormant)) => "dormant",
            Some((_, Status::Withdrawn)) | Some((Standing::Withdrawn, _)) => "withdrawn",
            Some((_, Status::Active)) => "open",
        }
    }

    fn notes(&self, log: LogId) -> Vec<Value> {
        let journals = self.scopes_of(log, ScopeKind::Journal).into_iter().filter_map(|j| self.document(j));
        journals.flat_map(|j| j.journal().notes).map(|note| self.entry_view(&note)).collect()
    }

    pub(crate) fn concern_show(&mut self, concern: &str) -> Answer {
        let scope = self.concern(concern)?;
        let view = self.document(scope).map(|d| d.concern()).ok_or_else(crate::client::scope::find::withdrawn)?;
        let measures: Vec<Value> = view.measures.iter().map(|m| self.measure_view(m)).collect();
        let glimpses: Vec<Value> = view.glimpses.iter().map(|g| self.glimpse_view(g)).collect();
        let comments: Vec<Value> = view.comments.iter().map(|comment| self.entry_view(comment)).collect();
        let arenas: Vec<&str> =
            view.measures.iter().filter(|m| m.superseded.is_none()).map(|m| m.arena.as_str()).collect();
        // F1: one in the service, one at home, one the child is responsible for.
        let missing: Vec<&str> = ["service", "home", "child"].into_iter().filter(|a| !arenas.contains(a)).collect();
        Ok(json!({
            "concern": scope.to_string(),
            "title": view.title,
            "category": view.category,
            "goal": view.goal_text(),
            "state": self.concern_state(scope),
            "audited": self.scopes.get(&scope).is_none_or(|s| s.unaudited.is_none()),
            "measures": measures,
            "missing_arenas": missing,
            "glimpses": glimpses,
            "attachments": self.attachments_of(scope),
            "comments": comments,
        }))
    }

    fn measure_view(&self, m: &MeasureView) -> Value {
        // Where nobody else has evaluated it, the family's own word is what there is.
        let (counts, family) = match (&m.evaluation, m.marks.split_last()) {
            (None, Some((last, before))) => (Some(last), before),
            (evaluation, _) => (evaluation.as_ref(), m.marks.as_slice()),
        };
        let state = match (&m.superseded, counts, m.parked) {
            (Some(_), _, _) => "superseded",
            (_, Some(_), _) => "evaluated",
            (_, _, true) => "parked",
            _ => "active",
        };
        let responsible = m.responsible.parse::<PersonId>().map_or_else(|_| m.responsible.clone(), |p| self.name_of(p));
        let said = |e: &Entry| {
            json!({"result": e.text("result"), "text": e.text("text"), "by": e.author.map(|a| self.name_of(a)),
                "time": e.received_ms.map(rfc3339)})
        };
        let evaluation = counts.map(said).map(|mut evaluation| {
            if let Some(fields) = evaluation.as_object_mut() {
                fields.insert("family_agrees".to_owned(), json!(m.family_agrees));
            }
            evaluation
        });
        let beside = Some(&m.beside).filter(|beside| !beside.is_empty());
        json!({"measure": m.id, "text": m.text, "beside": beside, "arena": m.arena, "responsible": responsible,
            "due": m.due, "state": state, "evaluation": evaluation, "family_agrees": m.family_agrees,
            "remarks": m.remarks.iter().map(said).collect::<Vec<_>>(),
            "family": family.iter().map(said).collect::<Vec<_>>(),
            "author": m.author.map(|a| self.name_of(a)), "time": m.received_ms.map(rfc3339)})
    }

    /// A note or comment: whose, since when, what.
    fn entry_view(&self, e: &Entry) -> Value {
        json!({"id": e.id, "author": e.author.map(|a| self.name_of(a)), "text": e.text("text"),
            "time": e.received_ms.map(rfc3339)})
    }

    fn glimpse_view(&self, g: &GlimpseView) -> Value {
        let time = g.received_ms.map(rfc3339).or_else(|| g.claimed_time.clone());
        json!({"id": g.id, "author": g.author.map(|a| self.name_of(a)), "time": time, "text": g.text})
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
