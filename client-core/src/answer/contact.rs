//! What a contact with the server came to, and what was written here and will not be sent.

use super::word::{Moment, Word};
use serde::{Deserialize, Serialize};

/// Counted since the stream opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub sent: u64,
    pub received: u64,
    pub refused: u64,
    /// That still wait.
    pub queued: usize,
    pub problems: Vec<Trouble>,
    /// Own words and wishes that ended as drafts because they were refused.
    pub given_up: u64,
    /// Drafts that nobody has been told of yet.
    pub drafts: Vec<Draft>,
    /// What has become visible; added by the host, which alone sees the whole contact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub news: Option<Vec<News>>,
}

/// Why something was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    pub code: String,
    /// In English, for whoever looks for the cause.
    pub message: String,
}

/// An entry that has become visible.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct News {
    pub kind: Word,
    /// By name.
    pub by: String,
    /// Whether this person wrote it, wherever.
    pub own: bool,
    pub child: Option<String>,
    /// Of the concern that it is in.
    pub title: Option<String>,
    pub log: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drafts {
    pub drafts: Vec<Draft>,
}

/// Kept in plain for its author.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draft {
    pub id: String,
    pub log: Option<String>,
    pub scope: Option<String>,
    pub kind: Word,
    /// The words in it.
    pub text: String,
    /// The code of the refusal; the same as `problem`.
    pub reason: String,
    pub problem: String,
    pub at: Moment,
    /// Place and value of everything that it wrote.
    pub lines: Vec<(String, String)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DroppedDraft {
    pub draft: String,
}
