//! The fixed words of answers: what scripts compare with, and what people read in their language (`word.<…>` in the
//! catalogue of the client).

use crate::client::Trust;
use serde::{Deserialize, Serialize};
use stafett_protocol::consent::Access as Granted;
use stafett_protocol::credential::PersonKind;
use stafett_protocol::ids::Millis;
use stafett_protocol::membership::{Role, ScopeKind};
use stafett_protocol::state::GrantStanding;
use std::borrow::Cow;

/// A closed set of words, each with what it stands for.
macro_rules! words {
    ($($(#[$about:meta])* $set:ident { $($(#[$says:meta])* $name:ident = $word:literal,)+ })+) => {
        $(
            $(#[$about])*
            #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
            pub enum $set {
                $($(#[$says])* #[serde(rename = $word)] $name,)+
            }

            impl $set {
                /// Every word of the set.
                pub const ALL: &'static [Self] = &[$(Self::$name),+];

                /// As it stands in answers.
                #[must_use]
                pub fn word(self) -> &'static str {
                    match self { $(Self::$name => $word,)+ }
                }
            }
        )+

        /// Every word of every closed set: each stands in the catalogue, in every language.
        #[must_use]
        pub fn all() -> Vec<&'static str> {
            [$($set::ALL.iter().map(|one| one.word()).collect::<Vec<_>>()),+].concat()
        }
    };
}

words! {
    /// What a replay asks beside the rule by which records are accepted (`docs/protocol.md` 15).
    AuditRule {
        /// A record that cannot be read.
        Malformed = "malformed-record",
        /// Of nothing, nothing can be said.
        NoRecords = "no-records",
        /// The log's card is not among the scopes.
        NoCard = "no-card",
        /// Two scopes say that they are the card.
        TwoCards = "two-cards",
        /// A record of another log.
        OtherLog = "other-log",
        /// A log has exactly one holder.
        OneHolder = "one-holder",
        /// Nobody is in a group without what lets them in.
        LeafWithoutBasis = "leaf-without-basis",
        /// Only those on the card are in concerns.
        ConcernWithoutCard = "concern-without-card",
        /// A municipality or a key is named twice.
        NamedTwice = "named-twice",
        /// A receipt that the home did not sign.
        ReceiptNotOfHome = "receipt-not-of-home",
        /// The home has signed for a scope that is not there.
        ScopeLeftOut = "scope-left-out",
        /// The home has signed another history.
        AnotherHistory = "another-history",
        /// Records that no receipt covers.
        NoReceipt = "no-receipt",
    }
    /// How it stands with a log on this device.
    LogStatus {
        /// Written here, and nobody has been asked to found it.
        Draft = "draft",
        /// Asked for; not everybody who must has said yes.
        Waiting = "waiting",
        Active = "active",
        /// Nobody carries the baton, or the family took its consent to who did.
        Dormant = "dormant",
        Passive = "passive",
        /// Of a former holder: what was closed when the log was handed over stays to be read.
        Archived = "archived",
        Withdrawn = "withdrawn",
        /// The home has told two histories of a part of it.
        Stopped = "stopped",
    }
    /// How it stands with a concern (oppmerksomhet).
    ConcernState {
        Draft = "draft",
        Joining = "joining",
        Halted = "halted",
        Stopped = "stopped",
        Open = "open",
        Closed = "closed",
        Dormant = "dormant",
        Withdrawn = "withdrawn",
    }
    /// How it stands with a measure (tiltak).
    MeasureState {
        Active = "active",
        /// Its actor has another active measure in the concern (E1).
        Parked = "parked",
        Evaluated = "evaluated",
        /// Wrongly recorded, or replaced.
        Superseded = "superseded",
    }
    /// Where a measure happens (F1).
    Arena { Service = "service", Home = "home", Child = "child", }
    /// Where the bytes of an attachment are.
    FileState { Queued = "queued", Damaged = "damaged", Here = "here", Away = "away", }
    /// What a consent lets somebody do.
    Access { Read = "read", Contribute = "contribute", Hold = "hold", Custody = "custody", }
    /// A kind of part of a log.
    PartKind {
        Card = "card",
        Journal = "journal",
        Concern = "concern",
        Unit = "unit",
        Personal = "personal",
    }
    /// What a municipality certifies somebody as.
    Account {
        Employee = "employee",
        Leader = "leader",
        Guardian = "guardian",
        Child = "child",
        Administrator = "administrator",
    }
    /// What somebody is in a log.
    LogRole {
        Guardian = "guardian",
        Child = "child",
        Holder = "holder",
        Actor = "actor",
        Reader = "reader",
        Custodian = "custodian",
        Archivist = "archivist",
        Leader = "leader",
        Employee = "employee",
        Own = "own",
    }
    /// How a key came to be believed here.
    Verified {
        Myself = "self",
        Compared = "compared",
        Code = "code",
        Introduced = "introduced",
        /// Only by the leader of the holder's unit, whose key counts.
        Leader = "leader",
        /// By the municipality, and nobody else.
        Municipality = "municipality",
        Unknown = "unknown",
    }
    /// How it stands with a one-time code.
    InviteState { Open = "open", Used = "used", Expired = "expired", }
    /// How it stands with a consent.
    GrantState { Waiting = "waiting", Active = "active", Withdrawn = "withdrawn", Expired = "expired", }
    /// What a person has said to a request.
    Said { Yes = "yes", No = "no", Unanswered = "unanswered", }
    /// How a request ended for this person.
    Decided { Granted = "granted", Refused = "refused", }
    /// What this device is to an offer of the baton.
    OfferSide { Offered = "offered", Received = "received", Told = "told", }
    /// How far an offer has come.
    OfferState {
        Open = "open",
        Seen = "seen",
        Passed = "passed",
        Accepted = "accepted",
        Declined = "declined",
        Aborted = "aborted",
        HandedOver = "handed-over",
    }
    /// How far a baton goes (K1).
    OfferKind {
        SameUnit = "same-unit",
        OtherUnit = "other-unit",
        OtherMunicipality = "other-municipality",
    }
    /// What keeps an offer from becoming a handover.
    OfferWaits {
        Acceptance = "acceptance",
        Consent = "consent",
        /// The new holder's key was neither authenticated nor compared.
        KeyNotCompared = "key-not-compared",
        /// Something of the log is not covered by the offer any more: abort and offer anew.
        Outdated = "outdated",
        /// Letters, edits or other commits of ours are still on their way.
        Sending = "sending",
    }
    /// What becomes of a concern when the baton passes.
    Handed { Moves = "moves", Closes = "closes", }
}

impl From<Granted> for Access {
    fn from(access: Granted) -> Self {
        match access {
            Granted::Read => Self::Read,
            Granted::Contribute => Self::Contribute,
            Granted::Hold => Self::Hold,
            Granted::Custody => Self::Custody,
        }
    }
}

impl From<ScopeKind> for PartKind {
    fn from(kind: ScopeKind) -> Self {
        match kind {
            ScopeKind::Card => Self::Card,
            ScopeKind::Journal => Self::Journal,
            ScopeKind::Concern => Self::Concern,
            ScopeKind::Unit => Self::Unit,
            ScopeKind::Personal => Self::Personal,
        }
    }
}

impl From<PersonKind> for Account {
    fn from(kind: PersonKind) -> Self {
        match kind {
            PersonKind::Employee => Self::Employee,
            PersonKind::Leader => Self::Leader,
            PersonKind::Guardian => Self::Guardian,
            PersonKind::Child => Self::Child,
            PersonKind::Administrator => Self::Administrator,
        }
    }
}

impl From<Role> for LogRole {
    fn from(role: Role) -> Self {
        match role {
            Role::Guardian => Self::Guardian,
            Role::Child => Self::Child,
            Role::Holder => Self::Holder,
            Role::Actor => Self::Actor,
            Role::Reader => Self::Reader,
            Role::Custodian => Self::Custodian,
            Role::Archivist => Self::Archivist,
            Role::Leader => Self::Leader,
            Role::Employee => Self::Employee,
            Role::Own => Self::Own,
        }
    }
}

impl From<Trust> for Verified {
    fn from(trust: Trust) -> Self {
        match trust {
            Trust::Certified => Self::Municipality,
            Trust::Introduced => Self::Introduced,
            Trust::Authenticated => Self::Code,
            Trust::Compared => Self::Compared,
        }
    }
}

impl From<GrantStanding> for GrantState {
    fn from(standing: GrantStanding) -> Self {
        match standing {
            GrantStanding::Waiting => Self::Waiting,
            GrantStanding::InForce => Self::Active,
            GrantStanding::Withdrawn => Self::Withdrawn,
            GrantStanding::Expired => Self::Expired,
        }
    }
}

/// A word of a set that is kept elsewhere: a kind of event, of draft, or what a replay cannot see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Word(Cow<'static, str>);

impl Word {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&'static str> for Word {
    fn from(word: &'static str) -> Self {
        Self(Cow::Borrowed(word))
    }
}

impl From<AuditRule> for Word {
    fn from(rule: AuditRule) -> Self {
        Self::from(rule.word())
    }
}

impl From<String> for Word {
    fn from(word: String) -> Self {
        Self(Cow::Owned(word))
    }
}

/// A moment (RFC 3339, UTC) or a day (YYYY-MM-DD); people read it by the clock on their wall.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Moment(String);

impl Moment {
    pub(crate) fn at(millis: Millis) -> Self {
        Self(crate::client::rfc3339(millis))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for Moment {
    fn from(text: String) -> Self {
        Self(text)
    }
}
