//! People asked for at their municipality, and what is believed of those who are answered or introduced.

use crate::client::Client;
use crate::client::input::{Cause, Problem};
use crate::client::people::{self, NameBy, Trust};
use crate::client::stream::Sent;
use stafett_protocol::code::key_hash;
use stafett_protocol::credential::PersonKind;
use stafett_protocol::ids::{Municipality, PersonId};
use stafett_protocol::letter::NamedPerson;
use stafett_protocol::wire::Request;
use std::collections::BTreeMap;

impl Client {
    /// Asks for persons once a connection, each at their own municipality.
    pub(crate) fn ask_persons(&mut self, persons: &[PersonId]) {
        let mut by_home: BTreeMap<Municipality, Vec<PersonId>> = BTreeMap::new();
        for person in persons {
            by_home.entry(self.person_home(*person)).or_default().push(*person);
        }
        for (home, persons) in by_home {
            self.ask_persons_at(home, &persons);
        }
    }

    pub(crate) fn ask_persons_at(&mut self, home: Municipality, persons: &[PersonId]) {
        let new: Vec<PersonId> = persons.iter().filter(|p| !self.stream.asked.contains(p)).copied().collect();
        if !new.is_empty() && self.reach(home) {
            self.stream.asked.extend(&new);
            self.stream.asked_at.extend(new.iter().map(|p| (*p, home)));
            self.stream.send(home, Request::Persons(new.clone()), Sent::Persons(new));
        }
    }

    /// Somebody of whom only others have spoken is not where we thought: the municipalities that ours works with are
    /// asked, one after another.
    pub(crate) fn ask_elsewhere(&mut self, person: PersonId) {
        if !self.stream.asked.contains(&person) || self.stream.asks_for(person) {
            return;
        }
        let Ok(trusted) = self.me().map(crate::client::me::Me::trusted) else { return };
        for home in trusted.0.iter().map(|m| m.number) {
            if self.stream.asked_at.contains(&(person, home)) {
                continue;
            }
            if self.reach(home) {
                self.stream.asked_at.insert((person, home));
                self.stream.send(home, Request::Persons(vec![person]), Sent::Persons(vec![person]));
                return;
            }
            if self.is_opening(home) {
                return;
            }
        }
    }

    /// What a server answers of a person: believed as far as its municipality and our inviter make it.
    pub(crate) fn learn_person(&mut self, record: &stafett_protocol::credential::PersonRecord) -> Result<(), Problem> {
        let trusted = self.me()?.trusted();
        let person = people::learn(&mut self.table, &trusted, record)?;
        let known = people::pin(&self.table, person).map_or(0, |p| p.devices.len());
        if known < record.devices.len() {
            let why = "the server shows a device that its person has not certified; it gets nothing";
            self.report(&Problem::rule(Cause::StrangeDevice, why));
        }
        let inviter = self.me()?.inviter;
        if let Some(mut pin) = people::pin(&self.table, person).filter(|p| key_hash(&p.person_key) == inviter) {
            pin.trust = pin.trust.max(people::Trust::Authenticated);
            people::save(&mut self.table, &pin);
        }
        Ok(())
    }

    /// Somebody we trust names a person; the key must still be certified when we meet it.
    pub(crate) fn introduce(&mut self, person: &NamedPerson, by: PersonId) {
        if self.me.as_ref().is_some_and(|me| me.person == person.person) {
            return;
        }
        match people::pin(&self.table, person.person) {
            Some(mut pin) if pin.person_key == person.person_key => {
                pin.trust = pin.trust.max(Trust::Introduced);
                people::save(&mut self.table, &pin);
            }
            // An id that does not come from the key would take the place of its owner, who comes later.
            known if known.is_some() || PersonId::of_first_key(&person.person_key) != person.person => {
                let why = "somebody was introduced with another key than the one known, or that is theirs";
                return self.report(&Problem::rule(Cause::KeyChanged, why));
            }
            _ => {
                let pin = people::Pin {
                    person: person.person,
                    person_key: person.person_key,
                    municipality: 0,
                    kind: PersonKind::Guardian,
                    unit: None,
                    trust: Trust::Introduced,
                    employee: None,
                    devices: vec![],
                };
                people::save(&mut self.table, &pin);
                self.note_person_home(person.person, self.person_home(by));
            }
        }
        people::learn_name(&mut self.table, person.person, &person.name, NameBy::Introducer);
    }

    /// Who was introduced and has not been certified yet is asked for: letters come before the server can be asked.
    pub(crate) fn ask_introduced(&mut self) -> Result<(), Problem> {
        let new = people::pins(&self.table).into_iter().filter(|p| p.municipality == 0).map(|p| p.person);
        let new: Vec<PersonId> = new.collect();
        self.ask_persons(&new);
        Ok(())
    }

    pub(crate) fn named(&self, which: impl Fn(&people::Pin) -> bool) -> Vec<NamedPerson> {
        people::pins(&self.table)
            .into_iter()
            .filter(|p| which(p) && p.trust.counts())
            .map(|p| NamedPerson {
                person: p.person,
                person_key: p.person_key,
                name: self.told_name(p.person).unwrap_or_default(),
            })
            .collect()
    }
}
