//! Logs: beginning one, and finding one's way among the scopes of those that exist.

pub(crate) mod attachments;
pub(crate) mod audit;
pub(crate) mod baton;
pub(crate) mod concern;
pub(crate) mod consent;
pub(crate) mod request;
pub(crate) mod show;
pub(crate) mod taken_back;
pub(crate) mod told;
pub(crate) mod units;
pub(crate) mod waiting;
pub(crate) mod withdrawal;

use crate::answer::{LogStatus, NewLog};
use crate::client::Client;
use crate::client::input::{Cause, Problem};
use crate::client::people::{self, Pin};
use crate::client::scope::Standing;
use crate::client::scope::planned::Plan;
use crate::client::words::{date, date_after, date_text};
use crate::document::edit;
use crate::rows::Space;
use stafett_protocol::codec::encode;
use stafett_protocol::consent::{Access, ConsentGrant, Grantee, Permit, UnitGrantee, text_hash};
use stafett_protocol::credential::PersonKind;
use stafett_protocol::ids::{LogId, Municipality, PersonId, ScopeId, UnitId};
use stafett_protocol::letter::{ConsentRequest, Content, LogDraft, NamedPerson, RequestedGrant};
use stafett_protocol::membership::{AuthorityPerson, ConsentAuthority, Role, ScopeKind};
use stafett_protocol::signed::id_of;
use stafett_protocol::wire::Unit;
use stafett_protocol::{POLICY_VERSION, limits, text};

/// Nobody is older than this.
const OLDEST_DAYS: i64 = 120 * 366;

impl Client {
    /// A local draft and the request for consent: nothing readable about the child leaves the device but
    /// sealed to its guardians, and no log exists before they have signed (B1).
    pub(crate) fn log_new(
        &mut self,
        child: String,
        born: String,
        guardians: &[String],
        level: u8,
    ) -> Result<NewLog, Problem> {
        let employee = self.may_hold()?;
        if !(1..=3).contains(&level) {
            return Err(Problem::caller(Cause::Level, "a log has level 1, 2 or 3; on level 0 there is no log yet"));
        }
        let child = text::CHILD.take(&child)?;
        let born = self.born(&born)?;
        let guardians = self.guardians(guardians)?;
        let same = self.logs_of_child(&child, &born);
        let authority = ConsentAuthority {
            guardians: guardians.iter().map(|g| AuthorityPerson { person: g.person, key: g.person_key }).collect(),
            quorum: u8::try_from(guardians.len())
                .map_err(|_| Problem::caller(Cause::Guardians, "too many guardians"))?,
            child: None,
            youth_from: 0,
        };
        let me = self.me()?;
        let leader = self.own_leader(employee)?;
        let founder_key = me.person_public()?;
        let salt: [u8; 16] = self.random();
        let log = LogId::found(&founder_key, &salt);
        let (card, journal) = (ScopeId(self.random()), ScopeId(self.random()));
        let grantee =
            Grantee::Unit(UnitGrantee { unit: employee, leader: leader.person, leader_key: leader.person_key });
        let unit_name = self.unit_name(employee);
        // The leader's continuity seat is asked for in the same request, and said in plain words.
        let text = format!("{child}: stafettlogg, {unit_name}. {}", custody_text(&self.name_of(leader.person)));
        let words = Words { salt: self.random(), text };
        let mut grants = vec![];
        for (scope, kind) in [(card, ScopeKind::Card), (journal, ScopeKind::Journal)] {
            let mut requested = |grant: ConsentGrant| {
                let id = id_of(&grant);
                let grantee_name = unit_name.clone();
                grants.push(RequestedGrant { grant, kind, scope_title: String::new(), grantee_name });
                id
            };
            let basis = requested(self.new_grant(log, scope, grantee, Access::Hold, &authority, &words));
            let custody = requested(self.new_grant(log, scope, grantee, Access::Custody, &authority, &words));
            self.plan_scope(Plan {
                scope,
                kind,
                log,
                log_salt: (kind == ScopeKind::Card).then_some(salt),
                card: (kind == ScopeKind::Journal).then_some(card),
                authority: authority.clone(),
                basis,
                custody: Some(custody),
                grants: vec![],
            })?;
        }
        let named = guardians.iter().map(|g| self.named_person(g)).collect::<Vec<_>>();
        self.write_card(card, &child, &born, level, &named)?;
        let draft = LogDraft { child_name: child, born, level, guardians: named };
        let Words { text, salt } = words;
        let request = ConsentRequest { log, draft: Some(draft), authority, grants, text, salt };
        for guardian in &guardians {
            self.write_letter(guardian.person, Content::ConsentRequest(request.clone()));
        }
        let same_child = same.into_iter().map(|log| log.to_string()).collect();
        Ok(NewLog { log: log.to_string(), status: LogStatus::Draft, same_child })
    }

    /// Logs here, in use or drafted, of a child of this name and birth date.
    fn logs_of_child(&self, child: &str, born: &str) -> Vec<LogId> {
        let alike = |log: &LogId| {
            let card = self.card_of(*log).and_then(|card| self.document(card)).map(|document| document.card());
            card.is_some_and(|card| card.born == born && card.child_name.to_lowercase() == child.to_lowercase())
        };
        self.logs().into_iter().filter(alike).collect()
    }

    /// A birth date is one that somebody who has a log can have.
    fn born(&self, text: &str) -> Result<String, Problem> {
        let born = date_text(date(text)?);
        let (first, last) = (date_after(self.home_now(), -OLDEST_DAYS), date_after(self.home_now(), 1));
        match first <= born && born <= last {
            true => Ok(born),
            false => Err(Problem {
                values: vec![("given", born.clone()), ("today", date_after(self.home_now(), 0))],
                ..Problem::caller(Cause::Born, format!("nobody who has a log was born on {born}"))
            }),
        }
    }

    fn write_card(
        &mut self,
        card: ScopeId,
        child: &str,
        born: &str,
        level: u8,
        guardians: &[NamedPerson],
    ) -> Result<(), Problem> {
        let me = self.me()?;
        let (own, name, unit) = (me.person, me.name.clone(), me.unit.as_ref().map(|u| u.name.clone()));
        self.edit(card, |to| {
            edit::describe_child(to, child, born, level)?;
            edit::present_person(to, "people", own, &name, unit.as_deref(), None)?;
            guardians.iter().try_for_each(|g| edit::present_person(to, "people", g.person, &g.name, None, None))
        })
    }

    /// C15: whoever begins a log may both hold and act; the leader says so. Answers the unit.
    fn may_hold(&self) -> Result<UnitId, Problem> {
        let refused = || {
            Problem::rule(
                Cause::NotAHolder,
                "your leader must register you as both holder and actor before you can begin a log",
            )
        };
        let certificate = self.me()?.employee.as_ref().and_then(|c| c.peek().ok()).ok_or_else(refused)?;
        if certificate.may_hold != Permit::Yes || certificate.may_act != Permit::Yes {
            return Err(refused());
        }
        if self.home_now() >= certificate.expires_at {
            return Err(Problem::rule(
                Cause::RegistrationExpired,
                "your registration has run out; your leader renews it",
            ));
        }
        Ok(certificate.unit)
    }

    /// The leader whose word makes us an employee: the key is authenticated by the invitation.
    fn own_leader(&self, unit: UnitId) -> Result<Pin, Problem> {
        people::pins(&self.table)
            .into_iter()
            .find(|p| p.unit == Some(unit) && p.kind == PersonKind::Leader && p.trust.counts())
            .ok_or_else(|| Problem::rule(Cause::LeaderUnknown, "your leader's key is not here yet; sync first"))
    }

    fn named_person(&self, pin: &Pin) -> NamedPerson {
        NamedPerson {
            person: pin.person,
            person_key: pin.person_key,
            name: self.told_name(pin.person).unwrap_or_default(),
        }
    }

    /// No guardian's key counts that was neither authenticated by a code nor compared.
    fn guardians(&self, ids: &[String]) -> Result<Vec<Pin>, Problem> {
        let mut found: Vec<Pin> = vec![];
        for id in ids {
            let person = self.person(id)?;
            let pin = people::pin(&self.table, person)
                .filter(|p| p.kind == PersonKind::Guardian)
                .ok_or_else(|| Problem::caller(Cause::NotAGuardian, "that person is not a guardian"))?;
            if !pin.trust.counts() {
                return Err(Problem::rule(Cause::KeyNotCompared, "compare keys with the guardian first: verify"));
            }
            if !found.iter().any(|p| p.person == pin.person) {
                found.push(pin);
            }
        }
        if found.is_empty() {
            return Err(Problem::caller(
                Cause::Guardians,
                "a log needs at least one guardian until the child is sixteen (B7); give --guardian",
            ));
        }
        Ok(found)
    }

    pub(crate) fn new_grant(
        &mut self,
        log: LogId,
        scope: ScopeId,
        grantee: Grantee,
        access: Access,
        authority: &ConsentAuthority,
        words: &Words,
    ) -> ConsentGrant {
        ConsentGrant {
            log,
            scope,
            grantee,
            access,
            authority: authority.id(),
            text: text_hash(&words.salt, &words.text),
            policy_version: POLICY_VERSION,
            expires_at: self.home_now().saturating_add(limits::CONSENT_DEFAULT_MILLIS),
            moves_to: None,
            salt: self.random(),
        }
    }

    /// A person by id or unique prefix, among all known here and all who are in a log with us.
    pub(crate) fn person(&self, prefix: &str) -> Result<PersonId, Problem> {
        let own = self.me()?.person;
        let pinned = people::pins(&self.table).into_iter().map(|p| p.person);
        let beside = self.scopes.values().filter(|s| s.standing != Standing::Withdrawn);
        let beside = beside.flat_map(|s| s.replica.state().membership.members.iter().map(|m| m.person));
        people::unique("person", prefix, pinned.chain(beside).chain([own]))
    }

    /// What is known of a person; of one who was met in a log only, the key that stands there.
    pub(crate) fn acquaintance(&self, person: PersonId) -> Result<Pin, Problem> {
        let in_log = || {
            let member = self.scopes.values().find_map(|s| s.replica.state().membership.member(person))?;
            Some(Pin {
                person,
                person_key: member.person_key,
                municipality: self.person_home(person),
                kind: match member.role {
                    Role::Guardian => PersonKind::Guardian,
                    Role::Child => PersonKind::Child,
                    _ => PersonKind::Employee,
                },
                unit: None,
                trust: people::Trust::Certified,
                employee: None,
                devices: vec![],
            })
        };
        let unknown = || Problem::caller(Cause::UnknownId, "that person is not known here");
        people::pin(&self.table, person).or_else(in_log).ok_or_else(unknown)
    }

    pub(crate) fn learn_units(&mut self, from: Municipality, units: &[Unit]) {
        for unit in units {
            if !self.claim_unit(from, unit.unit) {
                continue;
            }
            // What a server calls a unit stands on cards and in requests: it must fit there.
            let unit =
                Unit { name: text::UNIT.shown(&unit.name), kind: text::UNIT_KIND.shown(&unit.kind), ..unit.clone() };
            self.table.write(Space::State, &[b"unit/".as_slice(), &unit.unit.0].concat(), encode(&unit));
        }
        let leaders: Vec<PersonId> = units.iter().filter_map(|u| u.leader).collect();
        self.ask_persons_at(from, &leaders);
    }
}

/// What a leader's custody means, for those who sign it.
pub(crate) fn custody_text(leader: &str) -> String {
    format!(
        "Lederen, {leader}, får nøkkel for kontinuitetens skyld: hun eller han kan lese loggen, og ta over stafetten for \
         å gi den videre når stafettholderen er borte; grunnen vises for dere"
    )
}

/// The words that somebody is asked to sign, and what keeps others from guessing them.
pub(crate) struct Words {
    pub text: String,
    pub salt: [u8; 32],
}
