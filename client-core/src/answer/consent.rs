//! The family's switch: what is asked for, what stands, what was withdrawn.

use super::people::Name;
use super::word::{Access, Decided, GrantState, Moment, PartKind, Verified};
use serde::{Deserialize, Serialize};

/// Requests that wait for this person, and those to which a no can become a yes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requests {
    pub requests: Vec<Request>,
    pub refused: Vec<Request>,
    /// By their askers, not long ago: nothing is to be done.
    pub taken_back: Vec<RequestTakenBack>,
}

/// A request that nobody can answer any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestTakenBack {
    pub request: String,
    pub log: String,
    pub child: Option<String>,
    /// Who had asked.
    pub by: String,
    pub at: Moment,
}

/// What somebody asks for, as a signature would bind it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    pub request: String,
    pub log: String,
    pub child: Option<String>,
    pub from: String,
    pub from_verified: Verified,
    /// Who would be let in; by our own name of them where we have one.
    pub grantee: String,
    pub grantee_verified: Verified,
    /// Who leads the unit that would be let in.
    pub leader: Option<Named>,
    pub scopes: Vec<AskedPart>,
    /// The most that any of the parts would give.
    pub access: Option<Access>,
    pub expires: Option<Moment>,
    /// The municipality that the log would move to.
    pub moves_to: Option<String>,
    pub authority: Authority,
    /// The code of why it cannot be granted now.
    pub problem: Option<String>,
    /// Who has said yes already, as far as the log's own chains tell.
    pub answered: Vec<String>,
    pub text: String,
}

/// A part of a log that is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskedPart {
    pub scope: String,
    pub kind: PartKind,
    pub title: String,
    pub access: Access,
}

/// Who decides in a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authority {
    pub guardians: Vec<Named>,
    /// So many of them must say yes.
    pub quorum: u8,
    pub of: usize,
    pub child: Option<Named>,
    /// From when the child decides alone.
    pub youth_from: Option<Moment>,
}

/// A person as known here, with how far this very key is believed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    pub person: String,
    #[serde(flatten)]
    pub name: Name,
    /// What the letter calls them, where that is another name.
    pub called: Option<String>,
    pub verified: Verified,
}

/// The own answer to a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnsweredRequest {
    pub request: String,
    pub state: Decided,
}

/// A request that was sent to the family.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskedFamily {
    pub request: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consents {
    pub consents: Vec<Consent>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consent {
    pub id: String,
    pub grantee: String,
    /// The one part that it is for.
    pub scopes: Vec<GrantedPart>,
    pub access: Access,
    pub expires: Moment,
    pub state: GrantState,
    /// Who has not said yes.
    pub missing: Vec<String>,
    /// Whether it stands on a paper that somebody attested.
    pub attested: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantedPart {
    pub scope: String,
    pub kind: PartKind,
    pub title: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawn {
    pub receipt: Receipt,
}

/// That a consent was withdrawn here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The statements, one for each part.
    pub withdrawals: Vec<String>,
    /// The parts.
    pub scopes: Vec<String>,
    /// Who gets a letter, by name.
    pub told: Vec<String>,
    pub at: Moment,
    pub queued: bool,
}
