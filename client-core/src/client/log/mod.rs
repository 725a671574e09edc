//! Logs: beginning one, and finding one's way among the scopes of those that exist.

pub(crate) mod attachments;
pub(crate) mod audit;
pub(crate) mod baton;
pub(crate) mod concern;
pub(crate) mod consent;
pub(crate) mod request;
pub(crate) mod show;
pub(crate) mod told;
pub(crate) mod units;
pub(crate) mod waiting;
pub(crate) mod withdrawal;

use crate::client::input::Problem;
use crate::client::outbox::founding::Plan;
use crate::client::people::{self, Pin};
use crate::client::scope::Standing;
use crate::client::{Answer, Client};
use crate::document::edit;
use crate::rows::Space;
use serde_json::json;
use stafett_protocol::POLICY_VERSION;
use stafett_protocol::codec::{decode, encode};
use stafett_protocol::consent::{Access, ConsentGrant, Grantee, Permit, UnitGrantee, text_hash};
use stafett_protocol::credential::PersonKind;
use stafett_protocol::ids::{LogId, Municipality, PersonId, ScopeId, UnitId};
use stafett_protocol::letter::{ConsentRequest, Content, LogDraft, NamedPerson, RequestedGrant};
use stafett_protocol::limits;
use stafett_protocol::membership::{AuthorityPerson, ConsentAuthority, Role, ScopeKind};
use stafett_protocol::signed::id_of;
use stafett_protocol::text;
use stafett_protocol::wire::Unit;

/// Nobody is older than this.
const OLDEST_DAYS: i64 = 120 * 366;

impl Client {
    /// A local draft and the request for consent: nothing readable about the child leaves the device but
    /// sealed to its guardians, and no log exists before they have signed (B1).
    pub(crate) fn log_new(&mut self, child: String, born: String, guardians: &[String], level: u8) -> Answer {
        let employee = self.may_hold()?;
        if !(1..=3).contains(&level) {
            return Err(Problem::caller("level", "a log has level 1, 2 or 3; on level 0 there is no log yet"));
        }
        let child = text::CHILD.take(&child)?;
        let born = self.born(&born)?;
        let guardians = self.guardians(guardians)?;
        let same = self.logs_of_child(&child, &born);
        let authority = ConsentAuthority {
            guardians: guardians.iter().map(|g| AuthorityPerson { person: g.person, key: g.person_key }).collect(),
            quorum: u8::try_from(guardians.len()).map_err(|_| Problem::caller("guardians", "too many guardians"))?,
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
        let same: Vec<String> = same.into_iter().map(|log| log.to_string()).collect();
        Ok(json!({"log": log.to_string(), "status": "draft", "same_child": same}))
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
                ..Problem::caller("born", format!("nobody who has a log was born on {born}"))
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
                "not-a-holder",
                "your leader must register you as both holder and actor before you can begin a log",
            )
        };
        let certificate = self.me()?.employee.as_ref().and_then(|c| c.peek().ok()).ok_or_else(refused)?;
        if certificate.may_hold != Permit::Yes || certificate.may_act != Permit::Yes {
            return Err(refused());
        }
        if self.home_now() >= certificate.expires_at {
            return Err(Problem::rule("registration-expired", "your registration has run out; your leader renews it"));
        }
        Ok(certificate.unit)
    }

    /// The leader whose word makes us an employee: the key is authenticated by the invitation.
    fn own_leader(&self, unit: UnitId) -> Result<Pin, Problem> {
        people::pins(&self.table)
            .into_iter()
            .find(|p| p.unit == Some(unit) && p.kind == PersonKind::Leader && p.trust.counts())
            .ok_or_else(|| Problem::rule("leader-unknown", "your leader's key is not here yet; sync first"))
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
                .ok_or_else(|| Problem::caller("not-a-guardian", "that person is not a guardian"))?;
            if !pin.trust.counts() {
                return Err(Problem::rule("key-not-compared", "compare keys with the guardian first: verify"));
            }
            if !found.iter().any(|p| p.person == pin.person) {
                found.push(pin);
            }
        }
        if found.is_empty() {
            return Err(Problem::caller(
                "guardians",
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
        let unknown = || Problem::caller("unknown-id", "that person is not known here");
        people::pin(&self.table, person).or_else(in_log).ok_or_else(unknown)
    }

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
        let card = self.card_of(log).ok_or_else(|| Problem::caller("unknown-id", "there is no such log here"))?;
        match self.scopes.get(&card) {
            Some(s) if s.standing == Standing::Withdrawn => Err(withdrawn()),
            Some(_) => Ok(card),
            None => Err(Problem::rule("no-consent-yet", "the log does not exist until everyone has signed")),
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

    pub(crate) fn known_units(&self) -> Vec<Unit> {
        self.table.scan(Space::State, b"unit/").filter_map(|(_, value)| decode(value).ok()).collect()
    }

    pub(crate) fn unit_name(&self, unit: UnitId) -> String {
        let known = self.known_units().into_iter().find(|u| u.unit == unit).map(|u| u.name);
        let known = known.filter(|name| !name.is_empty());
        let told = || self.table.read(Space::State, &crate::client::outbox::letters::mail_key("unit-name", &[&unit.0]));
        let told = || told().and_then(|name| String::from_utf8(name.to_vec()).ok());
        known.or_else(told).unwrap_or_else(|| unit.to_string())
    }
}

pub(crate) fn withdrawn() -> Problem {
    Problem::rule("withdrawn", "access to this has been withdrawn; its content is no longer on this device")
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

/// A calendar date as people write it, YYYY-MM-DD or D.M.YYYY; kept as the former.
pub(crate) fn date(text: &str) -> Result<time::Date, Problem> {
    let bad = || Problem::caller("date", "give dates as YYYY-MM-DD");
    let compact: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let (year, month, day) =
        match *compact.split(['-', '\u{2010}', '\u{2011}', '\u{2013}', '.', '/']).collect::<Vec<_>>() {
            [year, month, day] if year.len() == 4 => (year, month, day),
            [day, month, year] if year.len() == 4 && compact.contains('.') => (year, month, day),
            _ => return Err(bad()),
        };
    let number = |digits: &str| match digits.bytes().all(|b| b.is_ascii_digit()) {
        true => digits.parse::<u16>().map_err(|_| bad()),
        false => Err(bad()),
    };
    let month =
        u8::try_from(number(month)?).ok().and_then(|month| time::Month::try_from(month).ok()).ok_or_else(bad)?;
    let day = u8::try_from(number(day)?).map_err(|_| bad())?;
    time::Date::from_calendar_date(number(year)?.into(), month, day).map_err(|_| bad())
}

/// A date as it is kept.
pub(crate) fn date_text(date: time::Date) -> String {
    format!("{:04}-{:02}-{:02}", date.year(), u8::from(date.month()), date.day())
}

/// A moment as RFC 3339 UTC.
pub(crate) fn rfc3339(millis: u64) -> String {
    let seconds = i64::try_from(millis / 1000).unwrap_or_default();
    time::OffsetDateTime::from_unix_timestamp(seconds)
        .ok()
        .and_then(|t| t.format(&time::format_description::well_known::Rfc3339).ok())
        .unwrap_or_default()
}

/// The date so many days after a moment, as YYYY-MM-DD.
pub(crate) fn date_after(millis: u64, days: i64) -> String {
    let seconds = i64::try_from(millis / 1000).unwrap_or_default();
    let format = time::macros::format_description!("[year]-[month]-[day]");
    time::OffsetDateTime::from_unix_timestamp(seconds)
        .ok()
        .and_then(|t| t.checked_add(time::Duration::days(days)))
        .and_then(|t| t.date().format(format).ok())
        .unwrap_or_default()
}
