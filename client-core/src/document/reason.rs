//! Why a change is quarantined. Each reason follows from the bytes, the chain and the rules alone, so that every client of a scope
//! gives the same verdict.

use serde::{Deserialize, Serialize};

/// The reason for which a change, and all that depends on it, stays out of the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
pub enum Reason {
    // The bytes.
    #[error("not a well-formed change")]
    NotAChange,
    #[error("not a plain change: a document, a bundle or compressed")]
    ChunkType,
    #[error("larger than a change may be")]
    Size,
    #[error("more operations than an event may have")]
    Operations,
    #[error("a key is too long")]
    KeySize,
    #[error("too many dependencies")]
    Dependencies,
    #[error("a message or extra bytes inside")]
    Extras,
    #[error("an operation other than writing a map or a plain value")]
    Operation,
    #[error("the checksum is wrong")]
    Checksum,
    #[error("not in the one canonical encoding")]
    Encoding,
    // Its place among the changes before it.
    #[error("made under the actor id of another device")]
    Actor,
    #[error("not the next change of its actor")]
    Sequence,
    #[error("its operations are numbered wrongly")]
    StartOperation,
    #[error("too many changes of its author stand side by side")]
    LooseEnds,
    #[error("there is no room left in the document for more of its author")]
    Room,
    #[error("its time is no time")]
    Time,
    #[error("depends on a change that nobody accepted")]
    UnknownDependency,
    #[error("depends on a quarantined change")]
    QuarantinedDependency,
    #[error("writes into an object that does not exist")]
    UnknownObject,
    #[error("claims to replace a value that is not there")]
    Predecessor,
    #[error("the document library refuses it")]
    Unappliable,
    // What it says.
    #[error("outside the scope's schema")]
    Schema,
    #[error("a value of the wrong kind or size")]
    Value,
    #[error("a required field is missing")]
    Missing,
    #[error("names another author than its signer")]
    Author,
    #[error("already there, and written once only")]
    Once,
    #[error("the role does not allow it")]
    Role,
    #[error("the time for editing is over")]
    Window,
    #[error("a concern is published with its goal and first measure")]
    Incomplete,
}
