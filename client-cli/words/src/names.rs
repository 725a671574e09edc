//! Names for the ids in an answer: people read who and what, scripts read the ids. Only the words get them, never the JSON.

use std::collections::BTreeMap;

use stafett_client_core::answer::{Answer, LogShown};

/// What is known by a name here: people, units, logs by their child, concerns by their title.
#[derive(Default)]
pub struct Names(BTreeMap<String, String>);

impl Names {
    /// What an answer names.
    pub fn learn(&mut self, answer: &Answer) {
        match answer {
            Answer::People(people) => {
                people.people.iter().for_each(|one| self.call(&one.person, one.name.told().unwrap_or_default()))
            }
            Answer::Units(units) => units.units.iter().for_each(|one| self.call(&one.unit, &one.name)),
            Answer::LogList(list) => {
                list.logs.iter().for_each(|one| self.call(&one.log, one.child.as_deref().unwrap_or_default()));
            }
            Answer::LogShow(shown) => {
                let (concerns, participants) = match shown.as_ref() {
                    LogShown::Here(log) => (&log.concerns, &log.participants),
                    LogShown::Archived(log) => (&log.concerns, &log.participants),
                };
                concerns.iter().for_each(|one| self.call(&one.concern, &one.title));
                participants.iter().for_each(|one| self.call(&one.person, one.name.told().unwrap_or_default()));
            }
            _ => {}
        }
    }

    fn call(&mut self, id: &str, name: &str) {
        if !name.is_empty() {
            self.0.insert(id.to_owned(), name.to_owned());
        }
    }

    /// The name of an id.
    pub fn of(&self, id: &str) -> Option<&str> {
        self.0.get(id).map(String::as_str)
    }
}
