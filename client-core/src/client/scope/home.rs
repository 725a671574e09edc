//! Which municipality has what: the home of a scope, of a person, of a unit; and whose keys are believed. The
//! own municipality vouches for its peers; a key that differs from the one known is never taken silently.

use crate::client::input::{Cause, Problem};
use crate::client::keys::mail_key;
use crate::client::scope::Standing;
use crate::client::stream::line::Line;
use crate::client::{Client, people};
use crate::rows::Space;
use stafett_protocol::codec::{decode, encode};
use stafett_protocol::federation::PeerKeys;
use stafett_protocol::ids::{Millis, Municipality, PersonId, ScopeId, UnitId};
use stafett_protocol::letter::WelcomeAt;
use stafett_protocol::signed::Signed;
use stafett_protocol::wire::Problem as WireProblem;
use std::collections::BTreeSet;

/// The municipality whose units were asked for.
pub(crate) fn interest_key(municipality: Municipality) -> Vec<u8> {
    [b"interest/".as_slice(), &municipality.to_be_bytes()].concat()
}

fn unit_home_key(unit: UnitId) -> Vec<u8> {
    [b"unit-home/".as_slice(), &unit.0].concat()
}

fn person_home_key(person: PersonId) -> Vec<u8> {
    [b"person-home/".as_slice(), &person.0].concat()
}

pub(crate) fn number(bytes: &[u8]) -> Option<Municipality> {
    bytes.try_into().ok().map(Municipality::from_be_bytes)
}

/// A home that could not be reached is tried again after so long, when something happens.
const AGAIN_MILLIS: Millis = 60_000;

impl Client {
    pub(crate) fn own_number(&self) -> Municipality {
        self.me.as_ref().map(crate::client::me::Me::number).unwrap_or_default()
    }

    /// The municipality whose server orders this scope's events; where a scope is only planned or welcomed, where
    /// it will be.
    pub(crate) fn home_of(&self, scope: ScopeId) -> Municipality {
        if let Some(s) = self.scopes.get(&scope).filter(|_| !self.may_be_back(scope)) {
            return s.replica.state().membership.home;
        }
        let card = self.foundings.get(&scope).and_then(|f| f.plan.card).and_then(|card| self.scopes.get(&card));
        if let Some(card) = card {
            return card.replica.state().membership.home;
        }
        self.welcome(scope).map_or_else(|| self.own_number(), |w| w.home)
    }

    /// The municipality that certifies a person, as far as it is known here; else our own.
    pub(crate) fn person_home(&self, person: PersonId) -> Municipality {
        let own = self.own_number();
        if self.me.as_ref().is_some_and(|me| me.person == person) {
            return own;
        }
        let pinned = people::pin(&self.table, person).map(|p| p.municipality).filter(|m| *m != 0);
        let leaf = || self.scopes.values().find_map(|s| s.replica.municipality_of(person));
        let told = || self.table.read(Space::State, &person_home_key(person)).and_then(number);
        pinned.or_else(leaf).or_else(told).unwrap_or(own)
    }

    /// Where to ask for somebody of whom only others have spoken: at the municipality of whoever did.
    pub(crate) fn note_person_home(&mut self, person: PersonId, municipality: Municipality) {
        if self.person_home(person) != municipality {
            self.table.write(Space::State, &person_home_key(person), municipality.to_be_bytes().to_vec());
        }
    }

    pub(crate) fn unit_home(&self, unit: UnitId) -> Municipality {
        self.table.read(Space::State, &unit_home_key(unit)).and_then(number).unwrap_or_else(|| self.own_number())
    }

    /// Municipalities with which something here is under way.
    fn wanted_homes(&self) -> BTreeSet<Municipality> {
        let scopes = self.scopes.values().filter(|s| s.standing != Standing::Withdrawn);
        let mut wanted: BTreeSet<Municipality> = scopes.map(|s| s.replica.state().membership.home).collect();
        wanted.extend(self.welcomed().into_iter().map(|scope| self.home_of(scope)));
        let announced = self.table.scan(Space::Mail, b"welcome-at/").filter_map(|(_, value)| decode(value).ok());
        wanted.extend(announced.map(|at: WelcomeAt| at.home));
        let asked = self.table.scan(Space::State, b"interest/");
        wanted.extend(asked.filter_map(|(key, _)| number(key.strip_prefix(b"interest/")?)));
        wanted.extend(self.unconfirmed_homes());
        wanted.remove(&self.own_number());
        wanted
    }

    /// Whether plans in this scope stand on news: its home has answered, and nothing is being asked.
    pub(crate) fn informed(&self, scope: ScopeId) -> bool {
        self.stream.line(self.home_of(scope)).is_some_and(crate::client::stream::line::Line::is_informed)
    }

    /// The municipalities that ours has agreed with. What is known stays: chains of the past hang on it.
    pub(crate) fn learn_peers(&mut self, signed: &Signed<PeerKeys>) -> Result<(), Problem> {
        let refused = |why: String| Problem::rule(Cause::PeerKeys, why);
        let me = self.me.as_mut().ok_or_else(|| refused("no account".into()))?;
        let keys = signed.verify(&me.municipality.key).map_err(|e| refused(e.to_string()))?;
        if keys.by != me.number() {
            return Err(refused("the list is another municipality's".into()));
        }
        let mut changed: Vec<Municipality> = vec![];
        for peer in keys.peers {
            match me.trusted().key(peer.number) {
                Some(key) if *key == peer.key => {}
                Some(_) => changed.push(peer.number),
                None => me
                    .peers
                    .0
                    .push(stafett_protocol::credential::MunicipalityKey { number: peer.number, key: peer.key }),
            }
        }
        me.save(&mut self.table);
        for number in changed {
            let why = format!(
                "municipality {number:04} is shown with another key than before; the one known stays until you have asked your municipality"
            );
            self.report(&Problem::rule(Cause::MunicipalityKeyChanged, why));
        }
        Ok(())
    }

    pub(crate) fn is_interested(&self, municipality: Municipality) -> bool {
        self.table.read(Space::State, &interest_key(municipality)).is_some()
    }

    /// Notes where a unit belongs. A peer cannot take over what is known as another's.
    pub(crate) fn claim_unit(&mut self, from: Municipality, unit: UnitId) -> bool {
        let known = self.known_units().iter().any(|u| u.unit == unit);
        if known && self.unit_home(unit) != from {
            self.report(&Problem::rule(Cause::UnitTaken, "a municipality shows a unit that is known as another's"));
            return false;
        }
        if from != self.own_number() {
            self.table.write(Space::State, &unit_home_key(unit), from.to_be_bytes().to_vec());
        }
        true
    }

    /// A Welcome waits at another municipality: its server is opened until the scope is here.
    pub(crate) fn welcome_waits(&mut self, at: &WelcomeAt) -> Result<(), Problem> {
        if self.me()?.trusted().key(at.home).is_none() {
            return Err(Problem::rule(
                Cause::UnknownMunicipality,
                "somebody invites us to a municipality that is not a peer",
            ));
        }
        let inside = self.scopes.get(&at.scope).is_some_and(|s| s.standing != Standing::Withdrawn);
        if !inside && self.welcome(at.scope).is_none() {
            // Another's word does not take the place of a true one: both homes are asked.
            let key = mail_key("welcome-at", &[&at.scope.0, &at.home.to_be_bytes()]);
            self.table.write(Space::Mail, &key, encode(at));
        }
        Ok(())
    }

    pub(crate) fn welcome_came(&mut self, scope: ScopeId) {
        let told = mail_key("welcome-at", &[&scope.0]);
        let told: Vec<Vec<u8>> = self.table.scan(Space::Mail, &told).map(|(key, _)| key.to_vec()).collect();
        told.iter().for_each(|key| self.table.delete(Space::Mail, key));
    }

    /// Opens the lines to every municipality that something here waits for.
    pub(crate) fn open_lines(&mut self) {
        for home in self.wanted_homes() {
            self.reach(home);
        }
    }

    /// Another municipality's server is out of reach: its own scopes wait, everything else goes on.
    pub(crate) fn line_down(&mut self, home: Municipality, problem: &WireProblem) {
        let message = format!("municipality {home:04} cannot be reached now: {}", problem.detail);
        self.broken(home, &Problem::quoting(&problem.code, message));
    }

    pub(crate) fn broken(&mut self, home: Municipality, problem: &Problem) {
        let again_at = self.now.saturating_add(AGAIN_MILLIS);
        *self.stream.line_mut(home) = Line::down(again_at);
        let its: BTreeSet<ScopeId> = self.scopes.keys().copied().filter(|s| self.home_of(*s) == home).collect();
        let asked: Vec<_> = self.stream.asked.iter().copied().filter(|p| self.person_home(*p) == home).collect();
        self.following.forget(&its);
        self.stream.forget(&its, &asked);
        self.report(problem);
    }
}
