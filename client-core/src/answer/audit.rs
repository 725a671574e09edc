//! What a replay of a log's chains found, and the file with which others can make it.

use super::word::{Moment, PartKind, Word};
use serde::{Deserialize, Serialize};

/// What there was to look at, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    pub log: String,
    /// The keys that everything was held against.
    pub municipalities: Vec<HeldAgainst>,
    pub scopes: Vec<SeenPart>,
    pub from: Option<Moment>,
    pub to: Option<Moment>,
    pub events: usize,
    /// Rules asked.
    pub checks: usize,
    pub violations: Vec<Violation>,
    /// What no replay can see.
    pub unchecked: Vec<Word>,
    /// Signatures of the home that contradict each other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forks: Vec<Fork>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldAgainst {
    pub number: u16,
    pub key: String,
    pub fingerprint: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenPart {
    pub scope: String,
    /// Nothing where its first record cannot be read.
    pub kind: Option<PartKind>,
    pub records: usize,
    pub from: Moment,
    pub to: Moment,
}

/// A record that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    pub scope: String,
    pub seq: u64,
    /// An [`AuditRule`](super::AuditRule), or the code of the refusal of the record.
    pub rule: Word,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fork {
    pub scope: String,
    pub seq: u64,
    /// Whole, in hexadecimal.
    pub receipts: Vec<String>,
}

/// Records, receipts and keys, in hexadecimal: a file that anyone can verify.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Export {
    pub format: String,
    pub log: String,
    pub municipalities: Vec<ExportedKey>,
    pub records: Vec<String>,
    pub receipts: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportedKey {
    pub number: u16,
    pub key: String,
}
