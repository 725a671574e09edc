//! What people write: concerns (oppmerksomheter), measures, glimpses, notes, and the files on them.

use super::word::{Arena, ConcernState, FileState, MeasureState, Moment, Word};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewConcern {
    pub concern: String,
    pub measure: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClosedConcern {
    pub concern: String,
    pub state: ConcernState,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Concern {
    pub concern: String,
    pub title: String,
    pub category: Option<String>,
    pub goal: String,
    pub state: ConcernState,
    /// Whether all events behind what is shown have been read, not a checkpoint alone.
    pub audited: bool,
    pub measures: Vec<Measure>,
    /// F1: one in the service, one at home, one the child is responsible for.
    pub missing_arenas: Vec<Arena>,
    pub glimpses: Vec<Entry>,
    pub attachments: Vec<Attachment>,
    pub comments: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measure {
    pub measure: String,
    pub text: String,
    /// Written at the same time as the text, until somebody writes it anew.
    pub beside: Option<Vec<String>>,
    pub arena: Word,
    pub responsible: Responsible,
    pub due: Option<Moment>,
    pub state: MeasureState,
    /// The one that counts: the first, or, where nobody else has said anything, the family's.
    pub evaluation: Option<Evaluation>,
    /// The family's last word (G3).
    pub family_agrees: Option<bool>,
    /// Evaluations made meanwhile by others.
    pub remarks: Vec<Remark>,
    /// What each of the family has said of it.
    pub family: Vec<Remark>,
    pub author: Option<String>,
    /// When the home received it; none while it waits here.
    pub time: Option<Moment>,
}

/// Who is responsible for a measure: a group, or a person by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Responsible {
    Group(Group),
    Person(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Group {
    Family,
    Child,
}

/// How a measure worked, as one person says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remark {
    /// `green`, `yellow`, `red`.
    pub result: Option<Word>,
    pub text: Option<String>,
    pub by: Option<String>,
    pub time: Option<Moment>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evaluation {
    #[serde(flatten)]
    pub said: Remark,
    pub family_agrees: Option<bool>,
}

/// A note, comment or glimpse: whose, since when, what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub id: String,
    pub author: Option<String>,
    pub text: Option<String>,
    /// When the home received it; of a glimpse that waits here, when its author says it was.
    pub time: Option<Moment>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    pub id: String,
    /// The entry that it hangs on.
    pub on: String,
    pub name: String,
    pub size: usize,
    pub state: FileState,
}

/// The measure that was made, or changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OneMeasure {
    pub measure: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RewrittenMeasure {
    pub measure: String,
    /// The words that stood there: another device's may have come since they were looked at.
    pub replaced: Vec<String>,
}

/// A glimpse, comment or note that was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    pub id: String,
    /// The file on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attachment: Option<String>,
}

/// A file that comes beside the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GotAttachment {
    pub attachment: String,
    pub name: String,
    pub size: usize,
}
