//! Units as grantees: who stands for one, the notice of a grant, and the leader's word on who acts for it.

use crate::answer::{Assigned, Units};
use crate::client::input::{Cause, Problem, Who};
use crate::client::keys::mail_key;
use crate::client::people::{NameBy, Trust};
use crate::client::scope::Standing;
use crate::client::scope::find::withdrawn;
use crate::client::scope::home::interest_key;
use crate::client::{Client, people};
use crate::document::edit;
use crate::rows::Space;
use stafett_protocol::codec::{decode, encode};
use stafett_protocol::consent::{
    Access, EmployeeEnd, Grantee, Permit, PersonGrantee, SignedEmployeeEnd, UnitAssignment, UnitGrantee, Voucher,
};
use stafett_protocol::credential::{PersonCertificate, PersonKind};
use stafett_protocol::ids::{LogId, Municipality, PersonId, ScopeId, UnitId};
use stafett_protocol::letter::{Assignment, Content, GrantNotice, Introduction};
use stafett_protocol::membership::ScopeKind;
use stafett_protocol::policy::{Action, can};
use stafett_protocol::signed::Signed;

impl Client {
    pub(crate) fn grantee(&self, who: &Who) -> Result<(Grantee, String), Problem> {
        match who {
            Who::Unit(prefix) => {
                let unit = self.unit(prefix)?;
                let leader = unit.leader.and_then(|l| people::pin(&self.table, l));
                let certified = |p: &people::Pin| {
                    p.municipality == self.unit_home(unit.unit)
                        && p.unit == Some(unit.unit)
                        && p.kind == PersonKind::Leader
                };
                let leader = leader.filter(certified);
                let leader = leader.ok_or_else(|| {
                    Problem::rule(
                        Cause::NoLeader,
                        "the unit's leader has not joined, or is not known here yet; sync first",
                    )
                })?;
                let grantee = UnitGrantee { unit: unit.unit, leader: leader.person, leader_key: leader.person_key };
                Ok((Grantee::Unit(grantee), unit.name))
            }
            Who::Person(prefix) => {
                let pin = people::pin(&self.table, self.person(prefix)?);
                let pin = pin.ok_or_else(|| Problem::caller(Cause::UnknownId, "that person is not known here"))?;
                if pin.unit.is_some() {
                    return Err(Problem::rule(
                        Cause::AskTheUnit,
                        "consent is given to the unit, not to an employee; use --unit",
                    ));
                }
                let grantee = PersonGrantee { person: pin.person, person_key: pin.person_key };
                Ok((Grantee::Person(grantee), self.name_of(pin.person)))
            }
        }
    }

    pub(crate) fn unit(&self, prefix: &str) -> Result<stafett_protocol::wire::Unit, Problem> {
        let id = people::unique("unit", prefix, self.known_units().into_iter().map(|u| u.unit))?;
        self.known_units().into_iter().find(|u| u.unit == id).ok_or_else(withdrawn)
    }

    /// A unit by id or unique prefix, also one of another municipality that is known from a consent only.
    pub(crate) fn unit_id(&self, prefix: &str) -> Result<UnitId, Problem> {
        let granted = self.scopes.values().flat_map(|s| &s.replica.state().grants);
        let granted = granted.filter_map(|fact| fact.grant.grantee.unit()).map(|u| u.unit);
        people::unique("unit", prefix, self.known_units().into_iter().map(|u| u.unit).chain(granted))
    }

    /// Whoever holds tells the leader of a granted unit, once a grant is in force, so that somebody is named.
    pub(crate) fn announce_grants(&mut self) -> Result<(), Problem> {
        let me = self.me()?.clone();
        let own_key = me.person_public()?;
        let mut notices: Vec<(Vec<u8>, PersonId, GrantNotice)> = vec![];
        for s in self.scopes.values().filter(|s| s.standing == Standing::Member) {
            let state = s.replica.state();
            if state.holder().is_none_or(|h| h.person != me.person) {
                continue;
            }
            // A custodian comes in herself and names nobody.
            let named = |access| matches!(access, Access::Read | Access::Contribute);
            for fact in state.grants_in_force(self.home_now()).filter(|g| named(g.grant.access)) {
                let Grantee::Unit(unit) = fact.grant.grantee else {
                    continue;
                };
                let key = [b"noticed/".as_slice(), &fact.id.0].concat();
                if self.table.read(Space::State, &key).is_some() {
                    continue;
                }
                let notice = GrantNotice {
                    log: state.log(),
                    scope: state.scope(),
                    grant: fact.id,
                    grantee: fact.grant.grantee,
                    access: fact.grant.access,
                    expires_at: fact.grant.expires_at,
                    scope_kind: state.kind(),
                    holder: me.person,
                    holder_key: own_key,
                };
                notices.push((key, unit.leader, notice));
            }
        }
        for (key, leader, notice) in notices {
            self.table.write(Space::State, &key, vec![]);
            self.write_letter(leader, Content::GrantNotice(notice));
        }
        Ok(())
    }

    /// Whoever holds writes on the card who has come in: the family sees names, not keys. Who has got the baton also says so
    /// by letter, for the card may be at rest before it can be written on.
    pub(crate) fn present_members(&mut self) -> Result<(), Problem> {
        let me = self.me()?.person;
        let mut unmet: Vec<(ScopeId, PersonId)> = vec![];
        let mut newcomers: Vec<(ScopeId, PersonId, String, Option<String>)> = vec![];
        for s in self.scopes.values().filter(|s| s.standing == Standing::Member && s.kind() == ScopeKind::Card) {
            let state = s.replica.state();
            let holds = state.holder().is_some_and(|h| h.person == me);
            let stale = self.following.blocked.contains(&s.id()) || !self.informed(s.id());
            if holds && !stale && state.tenures.len() > 1 {
                let others = state.present().map(|m| m.person).filter(|person| *person != me);
                unmet.extend(others.map(|person| (s.id(), person)));
            }
            if !holds || can(state, me, Action::Change, self.home_now()).is_err() || stale {
                continue;
            }
            let presented = s.document.people("people");
            for member in state.membership.members.iter().filter(|m| !presented.iter().any(|p| p.person == m.person)) {
                let unit =
                    state.grant(&member.basis).and_then(|g| g.grant.grantee.unit()).map(|u| self.unit_name(u.unit));
                newcomers.extend(self.told_name(member.person).map(|name| (s.id(), member.person, name, unit)));
            }
        }
        for (card, person) in unmet {
            let met = [b"met/".as_slice(), &card.0, &person.0].concat();
            if self.table.read(Space::State, &met).is_none() {
                self.table.write(Space::State, &met, vec![]);
                self.write_letter(
                    person,
                    Content::Introduction(Introduction { persons: vec![], municipalities: vec![] }),
                );
            }
        }
        for (card, person, name, unit) in newcomers {
            self.edit_beside(card, |to| edit::present_person(to, "people", person, &name, unit.as_deref(), None));
        }
        Ok(())
    }

    /// Word of a grant to the own unit, from whoever says to hold. Nobody's word takes the place of another's: who holds
    /// stands on a chain that is not here.
    pub(crate) fn take_notice(&mut self, from: &PersonCertificate, notice: &GrantNotice) -> Result<(), Problem> {
        let refused = |why: &str| Problem::rule(Cause::GrantNotice, why);
        if notice.holder != from.person || notice.holder_key != from.person_key {
            return Err(refused("it is not from the holder it names"));
        }
        let me = self.me()?;
        let own = UnitGrantee {
            unit: me.identity()?.unit().unwrap_or_default(),
            leader: me.person,
            leader_key: me.person_public()?,
        };
        if me.kind() != Some(PersonKind::Leader) || notice.grantee != Grantee::Unit(own) {
            return Err(refused("it is not about a unit of ours"));
        }
        let parts: [&[u8]; 4] = [&notice.log.0, &notice.scope.0, &notice.grant.0, &notice.holder.0];
        self.table.write(Space::Mail, &mail_key("notice", &parts), encode(notice));
        Ok(())
    }

    fn notices(&self, log: &str) -> Result<Vec<GrantNotice>, Problem> {
        let all: Vec<GrantNotice> =
            self.table.scan(Space::Mail, b"notice/").filter_map(|(_, v)| decode(v).ok()).collect();
        let log = people::unique("log", log, all.iter().map(|n| n.log))?;
        Ok(all.into_iter().filter(|n| n.log == log && self.home_now() < n.expires_at).collect())
    }

    /// A leader says who acts for the granted unit: signed, by letter to the holder.
    pub(crate) fn unit_assign(&mut self, log: &str, person: &str, scopes: &[String]) -> Result<Assigned, Problem> {
        let notices = self.notices(log)?;
        let person = self.person(person)?;
        let me = self.me()?;
        let key = me.person_key()?;
        let pin = people::pin(&self.table, person)
            .ok_or_else(|| Problem::caller(Cause::UnknownId, "that person is not known here"))?;
        let employee = pin
            .employee
            .clone()
            .ok_or_else(|| Problem::rule(Cause::NotAnEmployee, "you have not registered that person as an employee"))?;
        let Ok(certificate) = employee.verify(&me.person_public()?) else {
            return Err(Problem::rule(Cause::NotAnEmployee, "that person is not an employee of your unit"));
        };
        let said_at = self.time_of_word();
        if certificate.may_act != Permit::Yes {
            return Err(Problem::rule(
                Cause::MayNotAct,
                "you have registered that person as one who does not act in logs",
            ));
        }
        let concerns = || notices.iter().filter(|n| n.scope_kind != ScopeKind::Card).map(|n| n.scope);
        let scopes: Vec<ScopeId> =
            scopes.iter().map(|s| people::unique("concern", s, concerns())).collect::<Result<_, _>>()?;
        let mut by_holder: std::collections::BTreeMap<(PersonId, LogId), Vec<Signed<UnitAssignment>>> =
            std::collections::BTreeMap::new();
        for notice in &notices {
            let Grantee::Unit(unit) = notice.grantee else {
                continue;
            };
            let wanted = scopes.is_empty() || notice.scope_kind == ScopeKind::Card || scopes.contains(&notice.scope);
            if wanted {
                let assignment = UnitAssignment {
                    unit: unit.unit,
                    person,
                    scope: notice.scope,
                    assigned_at: said_at,
                    salt: self.random(),
                };
                by_holder.entry((notice.holder, notice.log)).or_default().push(Signed::sign(&assignment, &key));
            }
        }
        if by_holder.is_empty() {
            return Err(Problem::rule(
                Cause::GrantMissing,
                "no consent for your unit in that log is known here; sync first",
            ));
        }
        for ((holder, log), assignments) in by_holder {
            let person_name = self.told_name(person).unwrap_or_default();
            let assignment = Assignment { log, person_name, employee: employee.clone(), assignments };
            self.write_letter(holder, Content::Assignment(assignment));
        }
        Ok(Assigned { log: notices.first().map(|n| n.log.to_string()), person: person.to_string() })
    }

    /// Ends an employee's part. The leader has no leaf: the signed end goes to the holder by letter, whose
    /// client puts it on the chain.
    pub(crate) fn unit_unassign(&mut self, log: &str, person: &str) -> Result<Assigned, Problem> {
        let notices = self.notices(log)?;
        let person = self.person(person)?;
        let me = self.me()?;
        let (own, key) = (me.person, me.person_key()?);
        let holds = |n: &GrantNotice| {
            let card = self.card_of(n.log).and_then(|card| self.scopes.get(&card));
            let holder = card.and_then(|s| s.replica.state().holder()).map(|h| h.person);
            holder.map_or(n.holder, |holder| holder) == person
        };
        // Who calls themself the holder does not thereby stay: the chain knows who is.
        if notices.iter().all(holds) {
            return Err(crate::client::log::withdrawal::holder_stays());
        }
        let log = notices.first().map(|n| n.log.to_string());
        let said_at = self.time_of_word();
        let mut ended = 0;
        for notice in notices.into_iter().filter(|n| n.holder != person) {
            let Grantee::Unit(unit) = notice.grantee else { continue };
            let end =
                EmployeeEnd { unit: unit.unit, person, scope: notice.scope, ended_at: said_at, salt: self.random() };
            let signed = SignedEmployeeEnd { leader: own, end: Signed::sign(&end, &key) };
            self.write_letter(notice.holder, Content::EmployeeEnd(signed));
            ended += 1;
        }
        if ended == 0 {
            return Err(Problem::rule(
                Cause::GrantMissing,
                "no consent for your unit in that log is known here; sync first",
            ));
        }
        Ok(Assigned { log, person: person.to_string() })
    }

    /// Asks for another municipality's units with every sync from now on; answers what is known so far.
    pub(crate) fn units_of(&mut self, municipality: &str) -> Result<Units, Problem> {
        let known: Vec<Municipality> = self.me()?.trusted().0.iter().map(|m| m.number).collect();
        let wanted = municipality.trim().parse().ok().filter(|n| known.contains(n));
        let wanted: Municipality = wanted.ok_or_else(|| {
            Problem::rule(
                Cause::UnknownMunicipality,
                "that municipality is not a peer of your own; sync, or ask for it there",
            )
        })?;
        if wanted != self.own_number() && !self.is_interested(wanted) {
            self.table.write(Space::State, &interest_key(wanted), vec![]);
        }
        Ok(self.unit_list(Some(wanted)))
    }

    /// A leader's word on who acts for a granted unit, kept until the grant lets the person in.
    pub(crate) fn keep_assignment(
        &mut self,
        from: &PersonCertificate,
        assignment: &stafett_protocol::letter::Assignment,
    ) -> Result<(), Problem> {
        let refused = |e: &dyn core::fmt::Display| Problem::rule(Cause::Assignment, e.to_string());
        let employee = assignment.employee.verify(&from.person_key).map_err(|e| refused(&e))?;
        if from.kind != PersonKind::Leader || from.unit != Some(employee.unit) {
            return Err(refused(&"it is not from the leader of that unit"));
        }
        self.check_key(employee.person, &employee.person_key)?;
        // Nobody is another unit's, or nobody's, because a leader says so.
        let pin = people::pin(&self.table, employee.person).filter(|p| p.municipality != 0);
        if pin.is_some_and(|p| p.kind != PersonKind::Employee && p.kind != PersonKind::Leader || p.unit != from.unit) {
            return Err(refused(&"whom it names does not work in that unit"));
        }
        self.note_person_home(employee.person, from.municipality);
        for signed in &assignment.assignments {
            let assigned = signed.verify(&from.person_key).map_err(|e| refused(&e))?;
            if assigned.person != employee.person || assigned.unit != employee.unit {
                return Err(refused(&"certificate and assignment name different people"));
            }
            let scope = assigned.scope;
            let voucher = Voucher { employee: assignment.employee.clone(), assignment: Some(signed.clone()) };
            self.table.write(
                Space::Mail,
                &mail_key("voucher", &[&scope.0, &employee.person.0, &from.person.0]),
                encode(&voucher),
            );
        }
        let believed = people::pin(&self.table, from.person).is_some_and(|p| p.trust >= Trust::Authenticated);
        let by = if believed { NameBy::Introducer } else { NameBy::Leader };
        people::learn_name(&mut self.table, employee.person, &assignment.person_name, by);
        Ok(())
    }
}
