//! Why a change is quarantined. Each reason follows from the bytes, the chain and the rules alone, so that every client of a scope
//! gives the same verdict.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! reasons {
    ($($(#[$means:meta])* $name:ident => $code:literal,)+) => {
        /// The reason for which a change, and all that depends on it, stays out of the document.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Reason {
            $($(#[$means])* $name),+
        }

        impl Reason {
            /// Every reason, for catalogues and tests.
            pub const ALL: &'static [Reason] = &[$(Self::$name),+];

            /// Stable, kebab-case.
            #[must_use]
            pub fn code(self) -> &'static str {
                match self { $(Self::$name => $code),+ }
            }
        }
    };
}

reasons! {
    // The bytes.
    /// Not a well-formed change.
    NotAChange => "change-not-one",
    /// Not a plain change: a document, a bundle or compressed.
    ChunkType => "change-chunk-type",
    /// Larger than a change may be.
    Size => "change-size",
    /// More operations than an event may have.
    Operations => "change-operations",
    /// A key is too long.
    KeySize => "change-key-size",
    /// Too many dependencies.
    Dependencies => "change-dependencies",
    /// A message or extra bytes inside.
    Extras => "change-extras",
    /// An operation other than writing a map or a plain value.
    Operation => "change-operation",
    /// The checksum is wrong.
    Checksum => "change-checksum",
    /// Not in the one canonical encoding.
    Encoding => "change-encoding",
    // Its place among the changes before it.
    /// Made under the actor id of another device.
    Actor => "change-actor",
    /// Not the next change of its actor.
    Sequence => "change-sequence",
    /// Its operations are numbered wrongly.
    StartOperation => "change-start-operation",
    /// Too many changes of its author stand side by side.
    LooseEnds => "change-loose-ends",
    /// There is no room left in the document for more of its author.
    Room => "change-room",
    /// Its time is no time.
    Time => "change-time",
    /// Depends on a change that nobody accepted.
    UnknownDependency => "change-unknown-dependency",
    /// Depends on a quarantined change.
    QuarantinedDependency => "change-quarantined-dependency",
    /// Writes into an object that does not exist.
    UnknownObject => "change-unknown-object",
    /// Claims to replace a value that is not there.
    Predecessor => "change-predecessor",
    /// The document library refuses it.
    Unappliable => "change-unappliable",
    // What it says.
    /// Outside the scope's schema.
    Schema => "change-schema",
    /// A value of the wrong kind or size.
    Value => "change-value",
    /// A required field is missing.
    Missing => "change-missing",
    /// Names another author than its signer.
    Author => "change-author",
    /// Already there, and written once only.
    Once => "change-once",
    /// The role does not allow it.
    Role => "change-role",
    /// The time for editing is over.
    Window => "change-window",
    /// A concern is published with its goal and first measure.
    Incomplete => "change-incomplete",
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}
