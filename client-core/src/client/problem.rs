//! What the client refuses or reports: a code for scripts and catalogues, words as a last resort, and whose turn it is.

use stafett_protocol::codec::Malformed;
use stafett_protocol::refusal::Refusal;
use stafett_protocol::text::{Unfit, Why};

macro_rules! causes {
    ($($name:ident => $word:literal,)+) => {
        /// Everything that the client itself says no with, or tells of. What a rule of the protocol refuses is a [`Refusal`],
        /// and bears that one's code; what a server says, it says in its own words.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Cause { $($name),+ }

        impl Cause {
            /// Every cause there is, for catalogues and tests.
            pub const ALL: &'static [Cause] = &[$(Cause::$name),+];

            /// Stable, kebab-case.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self { $(Self::$name => $word),+ }
            }
        }
    };
}

causes! {
    AlienScope => "alien-scope",
    AlreadyGranted => "already-granted",
    AmbiguousId => "ambiguous-id",
    Arena => "arena",
    AskTheUnit => "ask-the-unit",
    Assignment => "assignment",
    AttachmentAway => "attachment-away",
    AttachmentDamaged => "attachment-damaged",
    AttachmentNotPdf => "attachment-not-pdf",
    AttachmentTooLarge => "attachment-too-large",
    AttachmentWanted => "attachment-wanted",
    AttachmentsWaiting => "attachments-waiting",
    AuthorityDiffers => "authority-differs",
    BadReceipt => "bad-receipt",
    Born => "born",
    Bundle => "bundle",
    ChainBroken => "chain-broken",
    CheckpointRefused => "checkpoint-refused",
    Clock => "clock",
    ClockSkew => "clock-skew",
    Code => "code",
    CodeCut => "code-cut",
    CodeGroup => "code-group",
    CodeWhole => "code-whole",
    Concern => "concern",
    ConcernUnsent => "concern-unsent",
    ConsentAnswer => "consent-answer",
    ConsentExpired => "consent-expired",
    ConsentRequest => "consent-request",
    ContentRule => "content-rule",
    CustodyOwnUnit => "custody-own-unit",
    Damaged => "damaged",
    Date => "date",
    Deletion => "deletion",
    DeviceBundle => "device-bundle",
    DeviceCode => "device-code",
    Document => "document",
    DocumentFull => "document-full",
    DocumentStopped => "document-stopped",
    Employment => "employment",
    DuePast => "due-past",
    EmptyId => "empty-id",
    FalseCheckpoint => "false-checkpoint",
    FamilyStays => "family-stays",
    ForgedDevice => "forged-device",
    ForgedJoin => "forged-join",
    Founding => "founding",
    GrantMismatch => "grant-mismatch",
    GrantMissing => "grant-missing",
    GrantNotice => "grant-notice",
    Guardians => "guardians",
    HandoverAnswer => "handover-answer",
    HandoverDone => "handover-done",
    HandoverOffer => "handover-offer",
    HolderByHandover => "holder-by-handover",
    HomeInUse => "home-in-use",
    JoinCode => "join-code",
    KeyChanged => "key-changed",
    KeyDiffers => "key-differs",
    KeyNotCompared => "key-not-compared",
    Keys => "keys",
    LeaderUnknown => "leader-unknown",
    Letter => "letter",
    Level => "level",
    LogFull => "log-full",
    MayNotAct => "may-not-act",
    Malformed => "malformed",
    Mls => "mls",
    MunicipalityKeyChanged => "municipality-key-changed",
    NoAccount => "no-account",
    NoConsentYet => "no-consent-yet",
    NoKeyPackage => "no-key-package",
    NoLeader => "no-leader",
    NoUnit => "no-unit",
    NotADraft => "not-a-draft",
    NotAGuardian => "not-a-guardian",
    NotAHolder => "not-a-holder",
    NotAMember => "not-a-member",
    NotActive => "not-active",
    NotAnAuthority => "not-an-authority",
    NotAnEmployee => "not-an-employee",
    NotAudited => "not-audited",
    NotCertified => "not-certified",
    NotIdentified => "not-identified",
    NotReturned => "not-returned",
    NotTheLeader => "not-the-leader",
    NotYours => "not-yours",
    Note => "note",
    NothingAsked => "nothing-asked",
    NothingStopped => "nothing-stopped",
    NothingToWithdraw => "nothing-to-withdraw",
    Offer => "offer",
    OfferClosed => "offer-closed",
    OfferOpen => "offer-open",
    OwnDevice => "own-device",
    PeerKeys => "peer-keys",
    PersonMoved => "person-moved",
    ReasonMissing => "reason-missing",
    ReceiptAfterMove => "receipt-after-move",
    RegistrationExpired => "registration-expired",
    Result => "result",
    Scope => "scope",
    Seal => "seal",
    ServerFrame => "server-frame",
    ServerReply => "server-reply",
    SetBackTooFar => "set-back-too-far",
    StrangeDevice => "strange-device",
    TakenBack => "taken-back",
    Tombstone => "tombstone",
    TooLarge => "too-large",
    TooManyLetters => "too-many-letters",
    TwoHistories => "two-histories",
    UnaskedScope => "unasked-scope",
    Unchanged => "unchanged",
    UnitTaken => "unit-taken",
    UnknownCode => "unknown-code",
    UnknownId => "unknown-id",
    UnknownMunicipality => "unknown-municipality",
    UnknownScope => "unknown-scope",
    Unreachable => "unreachable",
    Withdrawn => "withdrawn",
    Withheld => "withheld",
    WrongCertificate => "wrong-certificate",
    WrongMunicipality => "wrong-municipality",
}

/// A refusal for people and scripts. `code` is stable and kebab-case; the host's catalogue has words for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub code: String,
    /// English, for scripts and as a last resort.
    pub message: String,
    pub blame: Blame,
    /// What the words name: how much is allowed, how much it is.
    pub values: Vec<(&'static str, String)>,
}

/// Who can do something about a problem; decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// A rule says no: exit code 1.
    Rule,
    /// The command was used wrongly: 2.
    Caller,
    /// The server cannot be reached: 3.
    Net,
    /// Stored or received data is damaged: 4.
    Data,
}

impl Problem {
    pub fn rule(code: Cause, message: impl Into<String>) -> Self {
        Self::quoting(code.word(), message)
    }

    pub fn caller(code: Cause, message: impl Into<String>) -> Self {
        Self { blame: Blame::Caller, ..Self::quoting(code.word(), message) }
    }

    pub fn data(code: Cause, message: impl Into<String>) -> Self {
        Self { blame: Blame::Data, ..Self::quoting(code.word(), message) }
    }

    /// In the words of somebody else: a server, a rule, the name of a field.
    pub fn quoting(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), blame: Blame::Rule, values: vec![] }
    }

    pub fn from_malformed(e: Malformed) -> Self {
        Self::data(Cause::Malformed, e.to_string())
    }

    /// Whether it is this one.
    #[must_use]
    pub fn is(&self, code: Cause) -> bool {
        self.code == code.word()
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self::quoting(refusal.code(), refusal.to_string())
    }
}

/// What was left empty is refused by its own name; what is too long or cannot be shown, by what is wrong with it.
impl From<Unfit> for Problem {
    fn from(unfit: Unfit) -> Self {
        let what = ("what", unfit.field.what.to_owned());
        let (code, more) = match unfit.why {
            Why::Empty => (unfit.field.what, vec![]),
            Why::TooLong { given } => {
                ("too-long", vec![("most", unfit.field.most.to_string()), ("given", given.to_string())])
            }
            Why::Control(c) => ("unprintable", vec![("sign", format!("U+{:04X}", u32::from(c)))]),
        };
        Self { blame: Blame::Caller, values: [vec![what], more].concat(), ..Self::quoting(code, unfit.to_string()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_code_is_one_word_and_stands_once() {
        let words: BTreeSet<&str> = Cause::ALL.iter().map(|code| code.word()).collect();
        assert_eq!(words.len(), Cause::ALL.len());
        assert!(words.iter().all(|word| word.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')));
    }
}
