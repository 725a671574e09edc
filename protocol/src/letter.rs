//! Letters carry what must reach someone who is not (yet) in a group. HPKE-sealed to each device of the
//! recipient, the sender's signature inside the seal; the recipient's own server keeps them until they
//! are fetched (design `protocol.md` 2).

use crate::codec::{TlsDeserialize, TlsSerialize, TlsSize, VLBytes};
use crate::consent::{
    Access, ConsentGrant, DeletionReceipt, EmployeeCertificate, Grantee, SignedEmployeeEnd, SignedGrant,
    SignedWithdrawal, UnitAssignment,
};
use crate::credential::{Credential, MunicipalityKey};
use crate::event::Receipt;
use crate::ids::{DeviceId, Hash, LogId, Millis, PersonId, PublicKey, ScopeId, UnitId};
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
