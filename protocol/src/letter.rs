//! Letters carry what must reach someone who is not (yet) in a group. HPKE-sealed to each device of the
//! recipient, the sender's signature inside the seal; the recipient's own server keeps them until they
//! are fetched (`docs/protocol.md` 11).

use crate::codec::{TlsDeserialize, TlsSerialize, TlsSize, VLBytes};
use crate::consent::{
    Access, ConsentGrant, DeletionReceipt, EmployeeCertificate, Grantee, SignedEmployeeEnd, SignedGrant,
    SignedWithdrawal, UnitAssignment, Voucher,
};
use crate::credential::{Credential, MunicipalityKey};
use crate::event::Receipt;
use crate::handover::{HandoverAcceptance, Reason, SignedOffer};
use crate::ids::{DeviceId, Hash, LogId, Millis, Municipality, PersonId, PublicKey, ScopeId, UnitId};
use crate::membership::{ConsentAuthority, ScopeKind};
use crate::signed::Signed;

/// What the server keeps: for whom, and bytes it cannot read.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct Letter {
    pub to: DeviceId,
    /// HPKE encapsulated key.
    pub kem: VLBytes,
    pub sealed: VLBytes,
}

/// The plaintext: who writes, and the signed body.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct Opened {
    pub from: Credential,
    pub body: Signed<LetterBody>,
}

/// Signed by the sender's device.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct LetterBody {
    pub to: PersonId,
    /// The sender's clock: a claim.
    pub written_at: Millis,
    /// Name of the sender as they call themselves.
    pub sender_name: String,
    pub content: Content,
}

/// What the letter is about.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
#[repr(u8)]
pub enum Content {
    /// Please sign: to each person of the consent authority.
    #[tls_codec(discriminant = 1)]
    ConsentRequest(ConsentRequest),
    /// Signatures, or a refusal, to whoever asked.
    #[tls_codec(discriminant = 2)]
    ConsentAnswer(ConsentAnswer),
    /// To the leader of a granted unit: name who acts for it.
    #[tls_codec(discriminant = 3)]
    GrantNotice(GrantNotice),
    /// From the leader: this employee acts for the unit.
    #[tls_codec(discriminant = 4)]
    Assignment(Assignment),
    /// A withdrawal, to every member of the scope, whatever the home shows.
    #[tls_codec(discriminant = 5)]
    Withdrawal(SignedWithdrawal),
    /// A removed device has wiped.
    #[tls_codec(discriminant = 6)]
    Deletion(Signed<DeletionReceipt>),
    /// To one's own new device: the person key and what one knows of others.
    #[tls_codec(discriminant = 7)]
    DeviceBundle(DeviceBundle),
    /// From a leader to an employee: your certificate, and who is in the unit.
    #[tls_codec(discriminant = 8)]
    Employment(Employment),
    /// A change that the home refused, for the holder to adopt or not.
    #[tls_codec(discriminant = 9)]
    LateContribution(LateContribution),
    /// Someone compared or authenticated these keys; counts for those who authenticated the writer.
    #[tls_codec(discriminant = 10)]
    Introduction(Introduction),
    /// A head that the writer saw, so that two histories meet.
    #[tls_codec(discriminant = 11)]
    Seen(Signed<Receipt>),
    /// From a leader, who has no leaf, to the holder: this employee no longer acts for the unit.
    #[tls_codec(discriminant = 12)]
    EmployeeEnd(SignedEmployeeEnd),
    /// The baton is offered: to who shall take it, and to each guardian, who is told.
    #[tls_codec(discriminant = 13)]
    HandoverOffer(OfferLetter),
    /// Seen, declined or accepted; to the offerer.
    #[tls_codec(discriminant = 14)]
    HandoverAnswer(HandoverAnswer),
    /// The offer no longer stands; to everyone who got it.
    #[tls_codec(discriminant = 15)]
    HandoverAborted(AbortLetter),
    /// It is done, and what the new holder of a moved log needs to found its journal.
    #[tls_codec(discriminant = 16)]
    HandoverDone(DoneLetter),
    /// A Welcome waits at another home than the reader's own.
    #[tls_codec(discriminant = 17)]
    WelcomeAt(WelcomeAt),
    /// The leader steps in for the holder: to the family and to the holder, who read why.
    #[tls_codec(discriminant = 18)]
    Takeover(TakeoverLetter),
    /// What was asked for is not asked for any more: to everyone who was asked.
    #[tls_codec(discriminant = 19)]
    TakenBack(TakenBack),
}

/// Everything that the reader should know before taking the baton.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct OfferLetter {
    pub log: LogId,
    pub child_name: String,
    /// Its hash stands in every offer.
    pub reason: Reason,
    /// Who offers, and gets the answer; not the writer where a leader passes the letter on.
    pub offerer: NamedPerson,
    /// The unit or person that it is offered to.
    pub to_name: String,
    /// The card's first.
    pub scopes: Vec<OfferedScope>,
    /// The journal that the new holder will found, where the log moves; the family's grants name it.
    pub journal: Option<ScopeId>,
    /// From a leader who passes the offer on: the word that this employee may hold.
    pub voucher: Option<Voucher>,
}

#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct OfferedScope {
    pub offer: SignedOffer,
    pub kind: ScopeKind,
    /// Title of the concern, empty otherwise.
    pub title: String,
}

#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct HandoverAnswer {
    pub log: LogId,
    /// The card's offer.
    pub offer: Hash,
    pub answer: Answer,
}

#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
#[repr(u8)]
pub enum Answer {
    #[tls_codec(discriminant = 1)]
    Seen,
    /// With words for the offerer.
    #[tls_codec(discriminant = 2)]
    Declined(String),
    #[tls_codec(discriminant = 3)]
    Accepted(Acceptances),
}

#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct Acceptances {
    /// One for each scope that moves.
    pub acceptances: Vec<Signed<HandoverAcceptance>>,
    /// The leader's word, for an employee.
    pub voucher: Option<Voucher>,
}

#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct AbortLetter {
    pub log: LogId,
    /// The card's offer.
    pub offer: Hash,
    pub reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct TakeoverLetter {
    pub log: LogId,
    /// Its hash stands on the card.
    pub reason: Reason,
}

#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct DoneLetter {
    pub log: LogId,
    pub card: ScopeId,
    /// The card's offer.
    pub offer: Hash,
    /// Absent where the journal went along.
    pub journal: Option<CarriedJournal>,
}

/// What goes into the journal that the new holder founds; the old one stays behind, closed.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct CarriedJournal {
    pub scope: ScopeId,
    /// The family's signatures on its `hold` grant.
    pub grants: Vec<SignedGrant>,
    /// The concerns that moved.
    pub concerns: Vec<NamedScope>,
    /// Notes that the family chose to send along.
    pub notes: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct NamedScope {
    pub scope: ScopeId,
    pub title: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct WelcomeAt {
    pub home: Municipality,
    pub log: LogId,
    pub scope: ScopeId,
}

/// Everything a guardian needs to read before signing.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct ConsentRequest {
    pub log: LogId,
    /// For a log that does not exist yet: what it will be.
    pub draft: Option<LogDraft>,
    pub authority: ConsentAuthority,
    /// One grant for each scope.
    pub grants: Vec<RequestedGrant>,
    /// Purpose and text, as shown; its hash stands in every grant.
    pub text: String,
    /// Random, and told to nobody but those who get the words.
    pub salt: [u8; 32],
}

/// What is asked, with words for the person who decides.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct RequestedGrant {
    pub grant: ConsentGrant,
    pub kind: ScopeKind,
    /// Title of the concern, empty otherwise.
    pub scope_title: String,
    pub grantee_name: String,
}

/// A log before its genesis, readable by the parents alone.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct LogDraft {
    pub child_name: String,
    /// YYYY-MM-DD.
    pub born: String,
    pub level: u8,
    pub guardians: Vec<NamedPerson>,
}

#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct NamedPerson {
    pub person: PersonId,
    pub person_key: PublicKey,
    pub name: String,
}

#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct ConsentAnswer {
    pub log: LogId,
    /// The grants' ids, in the order of the request.
    pub requested: Vec<Hash>,
    /// Empty: refused.
    pub signed: Vec<SignedGrant>,
}

/// By whoever wrote the request, and nobody else.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct TakenBack {
    pub log: LogId,
    /// The ids of grants that were asked for.
    pub requested: Vec<Hash>,
}

#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct GrantNotice {
    pub log: LogId,
    pub scope: ScopeId,
    pub grant: Hash,
    pub grantee: Grantee,
    pub access: Access,
    pub expires_at: Millis,
    /// Words for the leader, who is not let in: which scope this is.
    pub scope_kind: ScopeKind,
    /// Whom to send the assignment to.
    pub holder: PersonId,
    pub holder_key: PublicKey,
}

#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct Assignment {
    pub log: LogId,
    pub person_name: String,
    pub employee: Signed<EmployeeCertificate>,
    pub assignments: Vec<Signed<UnitAssignment>>,
}

#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct DeviceBundle {
    /// The person's Ed25519 secret key.
    pub person_secret: VLBytes,
    pub name: String,
    /// Opaque rows of the first device: pins, names, drafts.
    pub rows: Vec<BundledRow>,
}

#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct BundledRow {
    pub space: u8,
    pub key: VLBytes,
    pub value: VLBytes,
}

#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct Employment {
    pub unit: UnitId,
    pub unit_name: String,
    pub certificate: Signed<EmployeeCertificate>,
    pub colleagues: Vec<NamedPerson>,
}

#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct LateContribution {
    pub scope: ScopeId,
    /// Plain Automerge changes.
    pub changes: Vec<VLBytes>,
    pub reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct Introduction {
    pub persons: Vec<NamedPerson>,
    pub municipalities: Vec<MunicipalityKey>,
}
