//! Logs: which there are, and one of them whole.

use super::baton::{Handover, Offer};
use super::concern::{Attachment, Entry};
use super::pending::{Pending, Quarantined};
use super::people::Name;
use super::word::{Access, ConcernState, LogRole, LogStatus, Moment, PartKind, Said, Verified, Word};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A log that was drafted here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewLog {
    pub log: String,
    pub status: LogStatus,
    /// Logs that are here already, of a child of this name and birth date.
    pub same_child: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DroppedLog {
    pub log: String,
    pub dropped: bool,
}

/// A log that goes on from what its home has, where that had signed two histories.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContinuedLog {
    pub log: String,
    /// The parts that had stopped.
    pub scopes: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogList {
    pub logs: Vec<LogLine>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    pub log: String,
    pub status: LogStatus,
    pub child: Option<String>,
    pub holder: Option<String>,
    pub holder_name: Option<String>,
    /// The municipality that has it; four digits.
    pub home: Option<String>,
    /// What the asker is in it.
    pub role: Option<LogRole>,
    pub born: Option<Moment>,
    pub level: Option<i64>,
    /// Measures that are to be evaluated.
    #[serde(default)]
    pub due: Vec<Due>,
}

/// A measure that runs, and when it is to be evaluated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Due {
    pub concern: String,
    pub title: String,
    pub measure: String,
    pub text: String,
    pub due: Moment,
    /// Whether the asker is responsible for it.
    pub own: bool,
}

/// What `log show` tells: of a log that one is in, or of one that was handed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum LogShown {
    Here(Box<Log>),
    Archived(ArchivedLog),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Log {
    pub log: String,
    pub status: LogStatus,
    pub child: String,
    pub born: Moment,
    pub level: Option<i64>,
    /// What somebody else wrote at the same time about the child, by field, until it is written anew.
    pub beside: Option<BTreeMap<String, Vec<String>>>,
    pub holder: Option<String>,
    pub holder_name: Option<String>,
    pub holder_verified: Verified,
    pub home: Option<String>,
    /// Of a log that is not there yet: who has said what.
    pub answers: Vec<Answered>,
    pub participants: Vec<Participant>,
    pub concerns: Vec<ConcernLine>,
    pub notes: Vec<Entry>,
    pub attachments: Vec<Attachment>,
    pub handovers: Vec<Handover>,
    pub offers: Vec<Offer>,
    pub pending: Vec<Pending>,
    pub quarantined: Vec<Quarantined>,
    /// Whether all events behind what is shown have been read, not a checkpoint alone.
    pub audited: bool,
}

/// The log of a former holder: what was closed stays to be read, nothing else is here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchivedLog {
    pub log: String,
    pub status: LogStatus,
    /// Nobody that this device would know of: always nothing.
    pub holder: Option<String>,
    /// None that this device would know of.
    pub participants: Vec<Participant>,
    pub concerns: Vec<ConcernLine>,
    pub offers: Vec<Offer>,
    pub pending: Vec<Pending>,
    /// Nothing comes any more.
    pub quarantined: Vec<Quarantined>,
}

/// What one of those who must has said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    pub person: String,
    pub name: String,
    pub answer: Said,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Participant {
    pub person: String,
    #[serde(flatten)]
    pub name: Name,
    /// By name.
    pub unit: Option<String>,
    pub role: LogRole,
    pub access: Access,
    /// The parts of the log that they are in, among those that this device sees.
    pub scopes: Vec<String>,
    pub verified: Verified,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConcernLine {
    pub concern: String,
    pub title: String,
    pub state: ConcernState,
}

/// What has happened in a log, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    pub log: String,
    pub events: Vec<Event>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Its place on the chain of its part.
    pub seq: u64,
    pub time: Moment,
    pub scope: String,
    pub part: PartKind,
    pub kind: Word,
    /// Who signed it.
    pub author: Option<String>,
    /// Who brought it to the chain, if it was somebody else.
    pub brought_by: Option<String>,
}
