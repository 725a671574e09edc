//! What of a log waits here, and what was not taken in.

use super::word::{Moment, OfferState};
use serde::{Deserialize, Serialize};

/// Something that waits: to be sent, or for somebody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Pending {
    /// The baton is offered to somebody.
    Offer { id: String, state: OfferState, reason: String },
    /// The key of the holder was compared by nobody here: the reader is told to.
    HolderKey { id: String, reason: super::Word },
    /// A leader has taken over. The reason is none where the letter with it has not come.
    Takeover { id: String, by: String, at: Moment, reason: Option<String> },
    /// Written here, and not sent yet.
    Change { id: String, scope: String, reason: super::Word },
    /// Will not be sent; `reason` is the code of the refusal, `lines` place and value of what was written.
    Draft { id: String, scope: String, reason: String, lines: Vec<(String, String)> },
}

/// Something that others sent and that was not taken in; `reason` is a code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Quarantined {
    /// A change that the rules of the content refuse.
    Change { id: String, scope: String, person: String, reason: String },
    /// An event that cannot be opened.
    Event { id: String, scope: String, reason: String },
    /// A part of the log that stands still.
    Scope { id: String, scope: String, reason: String },
}
