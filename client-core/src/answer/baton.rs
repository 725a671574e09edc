//! The baton (stafettpinnen): offers, what became of them, who took over.

use super::word::{Handed, Moment, OfferKind, OfferSide, OfferState, OfferWaits};
use serde::{Deserialize, Serialize};

/// An offer that was made, or answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfferStep {
    pub offer: String,
    pub state: OfferState,
}

/// An offer that a leader has passed on to an employee.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfferPassed {
    pub offer: String,
    pub state: OfferState,
    pub person: String,
}

/// Newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offers {
    pub offers: Vec<Offer>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    pub offer: String,
    pub log: String,
    pub child: String,
    pub side: OfferSide,
    pub from: String,
    pub to: String,
    /// Who has accepted, by name.
    pub holder: Option<String>,
    pub kind: OfferKind,
    /// Four digits.
    pub municipality: Option<String>,
    pub state: OfferState,
    pub reason: String,
    pub concerns: Vec<HandedConcern>,
    pub waiting: Vec<OfferWaits>,
    /// Why it was declined or taken back.
    pub words: String,
    pub at: Moment,
}

/// A concern, and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandedConcern {
    pub concern: String,
    pub title: String,
    pub part: Handed,
}

/// That the baton has passed, as the card says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handover {
    pub id: String,
    pub from: Option<String>,
    pub to: Option<String>,
    pub reason: Option<String>,
    pub at: Option<Moment>,
}

/// A leader steps in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenOver {
    pub log: String,
    pub takeover: String,
    pub queued: bool,
}
