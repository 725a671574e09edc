//! Who is who: joining, devices, codes, people and units, and the keys that were compared.

use super::word::{Account, InviteState, Moment, Verified};
use serde::{Deserialize, Serialize};
use stafett_protocol::ids::PersonId;

/// This device has become somebody's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joined {
    pub person: String,
    pub device: String,
    pub unit: Option<String>,
    /// Nothing before the first device has certified a further one.
    pub role: Option<Account>,
}

/// A one-time code, shown once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Code {
    pub code: String,
}

/// The devices of one person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Devices {
    pub person: String,
    pub devices: Vec<Device>,
    /// When the one-time keys of this device ran out; at most one.
    pub used_up: Vec<UsedUp>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    pub device: String,
    pub name: String,
    /// Whether it is the one that answers.
    pub this: bool,
}

/// All one-time keys had been taken, and new ones were laid out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsedUp {
    pub at: Moment,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemovedDevice {
    pub device: String,
}

/// Codes that this device has made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invites {
    pub invites: Vec<Invite>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invite {
    pub code: String,
    pub state: InviteState,
    /// Who used it.
    pub person: Option<String>,
    /// Which unit's leader it is for.
    pub unit: Option<String>,
}

/// What somebody is called here, if anybody has named them. Scripts find `name` all the same, the beginning of the id, and
/// `named` that it is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Name {
    name: String,
    named: bool,
}

impl Name {
    pub(crate) fn of(person: PersonId, name: Option<String>) -> Self {
        let named = name.is_some();
        Self { name: name.unwrap_or_else(|| person.to_string().chars().take(8).collect()), named }
    }

    /// None where nobody has named them.
    #[must_use]
    pub fn told(&self) -> Option<&str> {
        self.named.then_some(self.name.as_str())
    }
}

/// Who can be found from here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct People {
    pub people: Vec<Person>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    pub person: String,
    #[serde(flatten)]
    pub name: Name,
    pub unit: Option<String>,
    pub role: Option<Account>,
    pub verified: Verified,
}

/// Units (virksomheter) that are known here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Units {
    pub units: Vec<Unit>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unit {
    pub unit: String,
    pub name: String,
    /// `school`, `ppt`, …: whatever the administrator wrote.
    pub kind: super::Word,
    pub leader: Option<String>,
    /// Four digits.
    pub municipality: String,
}

/// The administrator's wish, on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddedUnit {
    pub queued: bool,
}

/// Who acts, or no longer acts, for the own unit in a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assigned {
    pub log: Option<String>,
    pub person: String,
}

/// The number that both read aloud.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comparison {
    pub person: String,
    pub number: String,
}

/// Whether what the other read is the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compared {
    pub person: String,
    pub person_name: String,
    pub matches: bool,
}

/// Who this device is, and how much lies on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Me {
    pub person: String,
    pub name: String,
    pub device: String,
    pub role: Option<Account>,
    pub unit: Option<String>,
    pub unit_name: Option<String>,
    /// Four digits.
    pub municipality: String,
    pub url: String,
    pub certified: bool,
    pub logs: usize,
    /// That wait for this person's word.
    pub requests: usize,
    /// That wait to be sent.
    pub queued: usize,
}

/// Where the own server is from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerPlace {
    pub url: String,
}
