//! Why something is not allowed: one small enum, with a stable code for machines and, in the clients'
//! message catalogue, words for people. Carries no ids and no personal data.

macro_rules! refusals {
    ($($(#[$doc:meta])* $name:ident $code:literal $text:literal),+ $(,)?) => {
        /// A rule said no.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
        pub enum Refusal {
            $($(#[$doc])* #[error($text)] $name),+
        }
        impl Refusal {
            /// Every refusal there is, for catalogues and tests.
            pub const ALL: &'static [Refusal] = &[$(Refusal::$name),+];

            /// Stable, kebab-case; part of the protocol.
            pub fn code(self) -> &'static str {
                match self { $(Self::$name => $code),+ }
            }
        }
    };
}

refusals! {
    Malformed "malformed" "the event is not what its type demands",
    WrongScope "wrong-scope" "the event belongs to another scope",
    ScopeExists "scope-exists" "the scope has been founded already",
    UnknownScope "unknown-scope" "there is no such scope, or it is not for you",
    WrongHome "wrong-home" "this server is not the home of the scope",
    WrongGeneration "wrong-generation" "the scope has been founded anew; sync first",
    WrongEpoch "wrong-epoch" "the membership has changed; sync and seal again",
    CounterUsed "counter-used" "another event of this device stands under this counter",
    CounterGap "counter-gap" "an earlier event of this device is missing",
    BadSignature "bad-signature" "the signature does not match",
    NotIdentified "not-identified" "the credential does not chain to a known municipality",
    NotAMember "not-a-member" "the author has no leaf in this scope",
    Listed "withdrawn" "access to this scope has been withdrawn",
    RemovalFirst "removal-first" "someone must be removed from the scope first",
    ReadOnly "read-only" "this role reads and does not write",
    NotYours "not-yours" "this role may not do that",
    NotActive "not-active" "the scope is dormant, withdrawn or closed",
    TooLarge "too-large" "the event is larger than allowed",
    TooMany "too-many-members" "the scope has no room for more devices",
    TooSoon "too-soon" "keys were renewed less than a day ago",
    UnknownPolicy "unknown-policy" "the scope's rules are newer than this program; update it",
    MlsRefused "mls-refused" "MLS does not accept the commit",
    StrangeProposal "strange-proposal" "the commit holds a proposal that the protocol does not use",
    StrangeLeaf "strange-leaf" "a leaf is not made as the protocol demands",
    ExtensionsChanged "extensions-changed" "the commit alters other extensions of the group",
    MembershipMissing "membership-missing" "the group has no readable membership",
    MembershipMismatch "membership-mismatch" "the membership does not list exactly the leaves, or alters what is fixed",
    PersonChanged "person-changed" "a leaf or member changes its person",
    KeyNotPinned "key-not-pinned" "the person's key is not the one that is pinned",
    GrantMissing "grant-missing" "no consent lets this person in",
    GrantWaiting "grant-waiting" "signatures are missing on the consent",
    GrantWithdrawn "grant-withdrawn" "the consent has been withdrawn",
    GrantExpired "grant-expired" "the consent has expired",
    GrantMismatch "grant-mismatch" "the consent is for something else",
    GrantTooLong "grant-too-long" "a consent lasts 24 months at most, and ends in the future",
    NotAnAuthority "not-an-authority" "only the family's consent authority signs this",
    AlreadySigned "already-signed" "this person has signed this already",
    QuorumMissing "quorum-missing" "not everyone who must sign has signed",
    VoucherMissing "voucher-missing" "the unit's leader has not named this person",
    VoucherInvalid "voucher-invalid" "the leader's certificate or assignment does not hold",
    HolderByHandover "holder-by-handover" "the holder changes by a handover only",
    FamilyStays "family-stays" "guardians and the child cannot be withdrawn",
    NothingToWithdraw "nothing-to-withdraw" "no consent or person here matches",
    NotOnCard "not-on-card" "only those who are in the log can be in its scopes",
    LogMismatch "log-mismatch" "the log id does not open to this founder",
    NotRejected "not-rejected" "a scope is founded anew only after a rejected commit, or when nobody is left",
    ResyncForeign "resync-foreign" "a resync may replace the device's own leaf only",
    LinkMissing "link-missing" "the commit must carry the link to the key before",
    LinkRepairFirst "link-repair-first" "the key chain has a gap; it must be repaired before anyone is added",
    WelcomeMismatch "welcome-mismatch" "the Welcome is not the one the commit names",
    DecisionMissing "decision-missing" "a change of authority needs the present one and whoever it drops, or a decision by holder, leader and another unit",
    DecisionWaits "decision-waiting" "the family has seven days to object to this decision; bring it again then",
    DecisionObjected "decision-objected" "a guardian has objected: every guardian who stays must sign the decision",
    TooManyGrants "too-many-grants" "this person has signed more consents here than there is room for",
    TimeBackwards "time-backwards" "a record is older than the one before",
    ChainBroken "chain-broken" "the record does not continue the chain",
    HandoverMismatch "handover-mismatch" "the offer does not fit this scope, its holder or what the commit does",
    NotAccepted "not-accepted" "the new holder has not accepted this very offer",
    ReasonMissing "reason-missing" "a handover or takeover needs a reason",
    TakeoverFirst "takeover-first" "the leader takes over first, with a reason that the family sees",
    TakenOver "taken-over" "a leader has stepped in for the holder: whoever gets the baton goes on",
    HandoverPartial "handover-partial" "a handover names every open scope of the log: each moves or is closed",
    MoveNotConsented "move-not-consented" "the family has not consented to this municipality as home",
    Held "held" "the log is about to move; try again in a minute",
    Moved "moved" "the scope has moved to another municipality",
    StaleAccept "stale-accept" "the scope has gone on since the new home accepted it; prepare again",
    AcceptMismatch "accept-mismatch" "the new home has not accepted exactly this",
    TransferAborted "transfer-aborted" "the offer has been taken back",
    Bound "bound" "the new home waits for the old one's word on an earlier acceptance",
    TooManyAttachments "too-many-attachments" "the scope, or one change, has no room for more attachments",
    AttachmentMissing "attachment-missing" "an attachment that is named here is not at the home; upload it first",
    NotActivated "not-activated" "the new home has not seen the old one's tombstone; show it",
}
