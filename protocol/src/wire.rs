//! What client and server say to each other: the frames of the one stream, and with `joining` how it begins. Binary, exact
//! `tls_codec`; events inside are signed themselves (`docs/protocol.md` 14).

use crate::attachment::{AttachmentManifest, AttachmentPart, AttachmentPlace, AttachmentWants};
use crate::checkpoint::{Checkpoint, CheckpointPart};
use crate::codec::{TlsDeserialize, TlsSerialize, TlsSize, VLBytes};
use crate::consent::EmployeeCertificate;
use crate::credential::{PersonCertificate, PersonRecord};
use crate::event::{Event, Position, Receipt, Record};
use crate::federation::{PeerKeys, RelayFrame, RelayedFrame};
use crate::ids::{Hash, LogId, Millis, Municipality, PersonId, ScopeId, UnitId};
pub use crate::joining::*;
use crate::letter::Letter;
use crate::signed::Signed;
use crate::transfer::{Cancellation, Preparation, Prepared, Tombstone, Transfer, TransferAbort, Transferred};

/// One event on its way to its home, with the Welcome that its commit makes.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct Envelope {
    pub event: Signed<Event>,
    /// `MlsMessage(Welcome)`; its hash stands in the commit. Stored for each added device in the
    /// transaction of the commit.
    pub welcome: Option<VLBytes>,
}

/// Envelopes that the home applies all or nothing, in this order, and letters stored with them.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct Bundle {
    pub envelopes: Vec<Envelope>,
    pub letters: Vec<Letter>,
}

/// What the hash in [`crate::event::Commit::welcome`] is made of.
pub fn welcome_hash(welcome: &[u8]) -> Hash {
    crate::ids::hash("welcome", &[welcome])
}

/// From a device.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct ClientFrame {
    /// Chosen by the client, returned with the answer; never 0.
    pub id: u32,
    pub request: Request,
}

#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
#[repr(u8)]
pub enum Request {
    /// → `Submitted`
    #[tls_codec(discriminant = 1)]
    Submit(Bundle),
    /// Everything after these positions, of many scopes in one round trip, then live pushes of them.
    /// → one or more `Records` pushes for each scope that has news, then `Synced`.
    #[tls_codec(discriminant = 2)]
    Sync(Vec<ScopePosition>),
    /// → `Done`
    #[tls_codec(discriminant = 3)]
    PublishKeyPackages(Vec<Signed<KeyPackageOffer>>),
    /// One key package for every device of these persons. → `KeyPackages`
    #[tls_codec(discriminant = 4)]
    FetchKeyPackages(Vec<PersonId>),
    /// → `Persons`, those that exist.
    #[tls_codec(discriminant = 5)]
    Persons(Vec<PersonId>),
    /// → `Units`
    #[tls_codec(discriminant = 6)]
    Units,
    /// Letters alone, without events. → `Done`
    #[tls_codec(discriminant = 7)]
    Letters(Vec<Letter>),
    /// These mailbox items are saved here; the server may drop them. → `Done`
    #[tls_codec(discriminant = 8)]
    Acknowledge(Vec<u64>),
    /// Registers the server's part of a one-time code. → `Done`
    #[tls_codec(discriminant = 9)]
    OfferCode(Signed<CodeOffer>),
    /// A device of the same person has certified a new one. → `Done`
    #[tls_codec(discriminant = 10)]
    CertifyDevice(CertifiedDevice),
    /// A leader's certificate for an employee, for others to find. → `Done`
    #[tls_codec(discriminant = 11)]
    CertifyEmployee(Signed<EmployeeCertificate>),
    /// An administrator adds a unit. → `UnitAdded` with the leader's one-time part.
    #[tls_codec(discriminant = 12)]
    AddUnit(NewUnit),
    /// Ends a device of one's own. → `Done`
    #[tls_codec(discriminant = 13)]
    RemoveDevice(DeviceRemoval),
    /// Are you there? → `Done`
    #[tls_codec(discriminant = 14)]
    Ping,
    /// To another home, by way of the own one. → `Problem`, or nothing; then `Relayed` pushes
    #[tls_codec(discriminant = 15)]
    Relay(RelayFrame),
    /// To the new home: get ready. → `TransferPrepared`
    #[tls_codec(discriminant = 16)]
    PrepareTransfer(Preparation),
    /// To the old home: hand over and move, all or nothing. → `TransferCommitted`
    #[tls_codec(discriminant = 17)]
    CommitTransfer(Transfer),
    /// To the old home: take no changes in this log for a minute, so that heads stand still. → `Done`
    #[tls_codec(discriminant = 18)]
    HoldTransfer(LogId),
    /// To the old home: these offers no longer stand. → `TransferAborted`
    #[tls_codec(discriminant = 19)]
    AbortTransfer(Cancellation),
    /// To the new home: the old one has let go. → `Done`
    #[tls_codec(discriminant = 20)]
    Activate(Vec<Signed<Tombstone>>),
    /// To the new home: the old one never will. → `Done`
    #[tls_codec(discriminant = 21)]
    Release(Vec<Signed<TransferAbort>>),
    /// Like `Sync`; but where a checkpoint lies far ahead, it comes first (`Checkpoint`, its `CheckpointPart`s),
    /// and the records only from there.
    #[tls_codec(discriminant = 22)]
    SyncAhead(Vec<ScopePosition>),
    /// One page of records after a position, without following the scope. → `Records`, or `Done` if there is none
    #[tls_codec(discriminant = 23)]
    History(ScopePosition),
    /// A sealed part of a checkpoint that is being stored. → `Done`
    #[tls_codec(discriminant = 24)]
    PutCheckpointPart(CheckpointPart),
    /// A checkpoint whose parts are all there; it replaces this device's former one. → `Done`
    #[tls_codec(discriminant = 25)]
    PutCheckpoint(Checkpoint),
    /// To a home behind its own receipt: that, and what lies behind it, in parts. → `Synced`: where it stands; or `Done`
    #[tls_codec(discriminant = 26)]
    Return(Records),
    /// An attachment that is to be stored, or asked how far it is. → `AttachmentWants`
    #[tls_codec(discriminant = 27)]
    PutAttachment(AttachmentManifest),
    /// A sealed part of an announced attachment. → `Done`
    #[tls_codec(discriminant = 28)]
    PutAttachmentPart(AttachmentPart),
    /// → `AttachmentPart`
    #[tls_codec(discriminant = 29)]
    GetAttachmentPart(AttachmentPlace),
}

/// From the server.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct ServerFrame {
    /// The request's id; 0 for what the server says unasked.
    pub id: u32,
    pub reply: Reply,
}

#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
#[repr(u8)]
pub enum Reply {
    #[tls_codec(discriminant = 1)]
    Done,
    #[tls_codec(discriminant = 2)]
    Problem(Problem),
    /// Everything in the bundle stands (now, or since an earlier try).
    #[tls_codec(discriminant = 3)]
    Submitted(Vec<Accepted>),
    /// Records of one scope in order, ending at the receipt.
    #[tls_codec(discriminant = 4)]
    Records(Records),
    #[tls_codec(discriminant = 5)]
    Synced(Vec<SyncedScope>),
    #[tls_codec(discriminant = 6)]
    KeyPackages(Vec<Signed<KeyPackageOffer>>),
    #[tls_codec(discriminant = 7)]
    Persons(Vec<PersonRecord>),
    #[tls_codec(discriminant = 8)]
    Units(Vec<Unit>),
    #[tls_codec(discriminant = 9)]
    UnitAdded(AddedUnit),
    /// Something for this device, until it is acknowledged.
    #[tls_codec(discriminant = 10)]
    Mail(MailItem),
    /// All mail that was waiting when the stream opened has been pushed; who the server thinks you are.
    #[tls_codec(discriminant = 11)]
    Welcome(Greeting),
    /// From another home, through this one.
    #[tls_codec(discriminant = 12)]
    Relayed(RelayedFrame),
    #[tls_codec(discriminant = 13)]
    TransferPrepared(Prepared),
    #[tls_codec(discriminant = 14)]
    TransferCommitted(Transferred),
    /// The acceptances that are freed by it.
    #[tls_codec(discriminant = 15)]
    TransferAborted(Vec<Signed<TransferAbort>>),
    /// After the last records of a scope that has moved: where it went.
    #[tls_codec(discriminant = 16)]
    Moved(Signed<Tombstone>),
    /// A member's checkpoint; its parts follow, then the records after it.
    #[tls_codec(discriminant = 17)]
    Checkpoint(Checkpoint),
    #[tls_codec(discriminant = 18)]
    CheckpointPart(CheckpointPart),
    #[tls_codec(discriminant = 20)]
    AttachmentWants(AttachmentWants),
    #[tls_codec(discriminant = 21)]
    AttachmentPart(AttachmentPart),
    /// The other municipalities that this home's operator knows, signed by the municipality key: before anything else
    /// that the device has not been told them for, so that whatever their people sent can be checked. Never to guests.
    #[tls_codec(discriminant = 22)]
    Peers(Signed<PeerKeys>),
}

/// The first words of a server on a stream, after the waiting mail.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct Greeting {
    pub municipality: Municipality,
    /// The server's clock, to show the user when the device's is far off.
    pub time: Millis,
    /// How many key packages of this device are left.
    pub key_packages: u32,
    /// The unit of this device's person, by name.
    pub unit: Option<Unit>,
    /// The scopes of this home that this device may read. One that it does not know was forgotten with a restored backup:
    /// it reads the chain from the beginning and takes its leaf back by a resync.
    pub scopes: Vec<ScopeId>,
}

/// A refusal on the stream (over HTTP the same code stands in a problem document, RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct Problem {
    /// Stable, kebab-case: a [`crate::refusal::Refusal`] code or the server's own.
    pub code: String,
    /// What to do about it, in English; no ids, no personal data.
    pub detail: String,
    /// Where the scope stands, for `wrong-epoch` and `stale-counter`: sync first.
    pub scope: Option<ScopePosition>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct ScopePosition {
    pub scope: ScopeId,
    pub seq: u64,
}

/// One envelope's place in its chain; `record` repeats time and seq so that the author can append it
/// without waiting for the push.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct Accepted {
    pub scope: ScopeId,
    pub counter: u64,
    pub seq: u64,
    pub time: Millis,
    pub receipt: Signed<Receipt>,
}

#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct Records {
    pub scope: ScopeId,
    pub records: Vec<Record>,
    /// Covers the last of `records`.
    pub receipt: Signed<Receipt>,
}

/// How a scope's sync ended.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct SyncedScope {
    pub scope: ScopeId,
    /// Where the chain stands for this device; absent if the device may not read it (or it is unknown).
    pub position: Option<Position>,
}

#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct MailItem {
    /// To acknowledge it by.
    pub id: u64,
    pub mail: Mail,
}

#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
#[repr(u8)]
pub enum Mail {
    #[tls_codec(discriminant = 1)]
    Letter(Letter),
    /// The device was added to a scope by the commit at `seq`.
    #[tls_codec(discriminant = 2)]
    Welcome(WelcomeMail),
    /// Somebody used a code that this person's device offered.
    #[tls_codec(discriminant = 3)]
    Joined(JoinNotice),
    /// A new device of this person asks to be certified.
    #[tls_codec(discriminant = 4)]
    DeviceAsks(Signed<DeviceClaim>),
    /// This scope has something for the device (it is listed for removal, or removed): sync it.
    #[tls_codec(discriminant = 5)]
    Listed(ScopeId),
}

#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct WelcomeMail {
    pub scope: ScopeId,
    pub seq: u64,
    pub welcome: VLBytes,
}

#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct JoinNotice {
    pub claim: Signed<JoinClaim>,
    /// The certificate that the municipality issued on it.
    pub certificate: Signed<PersonCertificate>,
}

#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct NewUnit {
    pub name: String,
    pub kind: String,
}

/// A unit; its name is public, its people are not.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct Unit {
    pub unit: UnitId,
    pub name: String,
    /// `school`, `kindergarten`, `health-station`, `ppt`, …
    pub kind: String,
    /// Absent until the leader has joined.
    pub leader: Option<PersonId>,
}

#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct AddedUnit {
    pub unit: UnitId,
    /// The leader's one-time code, whole ([`crate::code::Code`]).
    pub leader_code: String,
}
