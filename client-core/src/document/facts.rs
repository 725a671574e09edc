//! What the rules must know of the entries that a document already has, and what people are shown of them: who wrote what, when it was
//! received, in which order. All of it follows from receipts, none from what an author claims.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde::{Deserialize, Serialize};
use stafett_protocol::ids::{Millis, PersonId};

use super::history::Layered;

/// What is known of an entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryFact {
    /// The verified author.
    pub author: [u8; 16],
    /// The home's receipt time of the event that brought it.
    pub received_ms: Millis,
    /// The place in the order of receipt: event, change in the event, entry in the change.
    pub order: (u64, u32, u32),
    /// Who is responsible for a measure.
    pub responsible: Option<String>,
    /// The measure that an evaluation or mark is about.
    pub measure: Option<String>,
}

impl EntryFact {
    #[must_use]
    pub fn is_by(&self, person: PersonId) -> bool {
        self.author == person.0
    }
}

/// Facts of all accepted entries.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    entries: HashMap<String, EntryFact>,
    /// Fields of records that have been written.
    written: HashSet<String>,
    /// Who has evaluated which measure.
    evaluated: HashMap<String, Vec<[u8; 16]>>,
    /// What each person has brought.
    used: BTreeMap<[u8; 16], Used>,
    /// Changes on which no other builds yet, with their persons.
    loose: BTreeMap<[u8; 32], [u8; 16]>,
}

/// How much of a document changes take up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    pub operations: u64,
    /// Of the changes as they were received.
    pub bytes: u64,
}

/// A change as a part of the document, whatever it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Brought {
    pub hash: [u8; 32],
    pub person: [u8; 16],
    pub size: Used,
    /// The loose ends that it builds on.
    pub joined: Vec<([u8; 32], [u8; 16])>,
}

impl Used {
    #[must_use]
    pub fn and(self, more: Self) -> Self {
        Self {
            operations: self.operations.saturating_add(more.operations),
            bytes: self.bytes.saturating_add(more.bytes),
        }
    }

    fn without(self, less: Self) -> Self {
        Self {
            operations: self.operations.saturating_sub(less.operations),
            bytes: self.bytes.saturating_sub(less.bytes),
        }
    }
}

/// What one change adds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewFacts {
    /// Section, key and fact of new entries.
    pub entries: Vec<(String, String, EntryFact)>,
    /// Section and field of records.
    pub written: Vec<(String, String)>,
    /// The change itself.
    pub brought: Option<Brought>,
}

impl NewFacts {
    #[must_use]
    pub fn writes(&self, section: &str, field: &str) -> bool {
        self.written.iter().any(|(in_section, in_field)| in_section == section && in_field == field)
    }
}

fn address(section: &str, name: &str) -> String {
    [section, "/", name].concat()
}

/// The section whose entries count as evaluations.
pub const EVALUATIONS: &str = "evaluations";

impl Facts {
    #[must_use]
    pub fn entry(&self, section: &str, key: &str) -> Option<&EntryFact> {
        self.entries.get(&address(section, key))
    }

    /// Whether a field of a record has a value.
    #[must_use]
    pub fn is_written(&self, section: &str, field: &str) -> bool {
        self.written.contains(&address(section, field))
    }

    #[must_use]
    pub fn has_evaluated(&self, person: PersonId, measure: &str) -> bool {
        self.evaluated.get(measure).is_some_and(|persons| persons.contains(&person.0))
    }

    /// Everything in one order, to compare two copies by.
    #[must_use]
    pub fn canonical(&self) -> Vec<u8> {
        let entries: BTreeMap<_, _> = self.entries.iter().collect();
        let written: BTreeSet<_> = self.written.iter().collect();
        let evaluated: BTreeMap<_, _> = self.evaluated.iter().filter(|(_, by)| !by.is_empty()).collect();
        // Text and numbers always encode; no facts would equal none but those.
        crate::packed::pack(&(entries, written, evaluated, &self.used, &self.loose)).unwrap_or_default()
    }

    /// What a person has brought.
    #[must_use]
    pub fn used_by(&self, person: &[u8; 16]) -> Used {
        self.used.get(person).copied().unwrap_or_default()
    }

    /// What everybody has brought.
    #[must_use]
    pub fn used(&self) -> Used {
        self.used.values().fold(Used::default(), |all, one| all.and(*one))
    }

    /// Changes on which no other builds yet, with their persons.
    pub fn loose(&self) -> impl Iterator<Item = (&[u8; 32], &[u8; 16])> {
        self.loose.iter()
    }

    /// Forgets the room that a change took here: it is counted elsewhere now.
    pub fn release(&mut self, brought: &Brought) {
        let left = self.used_by(&brought.person).without(brought.size);
        if left == Used::default() {
            self.used.remove(&brought.person);
        } else {
            self.used.insert(brought.person, left);
        }
    }

    /// Section and key of every entry.
    pub fn names(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries.keys().filter_map(|address| address.split_once('/'))
    }

    pub fn add(&mut self, new: &NewFacts) {
        for (section, key, fact) in &new.entries {
            if let (EVALUATIONS, Some(measure)) = (section.as_str(), &fact.measure) {
                self.evaluated.entry(measure.clone()).or_default().push(fact.author);
            }
            self.entries.insert(address(section, key), fact.clone());
        }
        self.written.extend(new.written.iter().map(|(section, field)| address(section, field)));
        if let Some(brought) = &new.brought {
            let used = self.used_by(&brought.person).and(brought.size);
            self.used.insert(brought.person, used);
            self.loose.retain(|hash, _| !brought.joined.iter().any(|(joined, _)| joined == hash));
            self.loose.insert(brought.hash, brought.person);
        }
    }

    /// Takes the newest addition back.
    pub fn take_back(&mut self, new: &NewFacts) {
        for (section, key, fact) in &new.entries {
            if let (EVALUATIONS, Some(measure)) = (section.as_str(), &fact.measure) {
                self.evaluated
                    .entry(measure.clone())
                    .and_modify(|persons| persons.truncate(persons.len().saturating_sub(1)));
            }
            self.entries.remove(&address(section, key));
        }
        for (section, field) in &new.written {
            self.written.remove(&address(section, field));
        }
        if let Some(brought) = &new.brought {
            self.release(brought);
            self.loose.remove(&brought.hash);
            self.loose.extend(brought.joined.iter().copied());
        }
    }
}

/// Facts of the accepted entries with those of one's own pending ones above.
impl<'a> Layered<'a, Facts> {
    #[must_use]
    pub fn entry(&self, section: &str, key: &str) -> Option<&'a EntryFact> {
        self.find(|facts| facts.entry(section, key))
    }

    #[must_use]
    pub fn is_written(&self, section: &str, field: &str) -> bool {
        self.find(|facts| facts.is_written(section, field).then_some(())).is_some()
    }

    #[must_use]
    pub fn has_evaluated(&self, person: PersonId, measure: &str) -> bool {
        self.find(|facts| facts.has_evaluated(person, measure).then_some(())).is_some()
    }
}
