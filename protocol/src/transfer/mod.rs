//! A scope moves from one home to another: what the two municipalities sign, and how they are asked for it
//! (`docs/protocol.md` 19). `source` and `target` are the two sides' state machines.

mod source;
mod target;

pub use source::{Gone, Source, SourceInput, SourceOutput};
pub use target::{Target, TargetInput, TargetOutput, TargetStanding};

use crate::attachment::AttachmentManifest;
use crate::codec::{TlsDeserialize, TlsSerialize, TlsSize, VLBytes, encode};
use crate::event::{Body, Position, Receipt};
use crate::handover::{HandoverAcceptance, SignedAbort, SignedOffer};
use crate::ids::{Hash, LogId, Municipality, ScopeId, hash};
use crate::refusal::Refusal;
use crate::replica::{Judged, Replica};
use crate::signed::Signed;
use crate::wire::{Accepted, Bundle, Envelope, ScopePosition};

/// "I have this scope up to here, and will be its home once exactly this commit stands." Signed by the
/// new home; has no expiry.
#[derive(Debug, Clone, PartialEq, Eq, Hash, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct HomeAccept {
    pub scope: ScopeId,
    pub log: LogId,
    pub from: Municipality,
    pub to: Municipality,
    /// The one under which the new home will serve: the present one + 1.
    pub home_epoch: u32,
    /// The record that the moving commit follows.
    pub extends: Position,
    /// [`envelope_hash`] of the moving commit as it must be stored.
    pub envelope: Hash,
    /// Id of the offer inside that commit.
    pub offer: Hash,
    /// [`crate::replica::Replica::root`] at `extends`, as the new home has replayed it.
    pub root: Hash,
}

/// "It moved." Signed by the old home in the transaction of the moving commit, shown for ever to whoever
/// asks. Nothing stands at the old home epoch after it.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct Tombstone {
    pub scope: ScopeId,
    pub log: LogId,
    pub from: Municipality,
    pub to: Municipality,
    /// The last receipt of the old home: place and time of the moving commit.
    pub receipt: Signed<Receipt>,
    pub accept: Signed<HomeAccept>,
}

/// "This acceptance will never be committed." Signed by the old home; frees the new one.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct TransferAbort {
    pub scope: ScopeId,
    /// The acceptance's id.
    pub accept: Hash,
}

/// What became of an acceptance, in the old home's words.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
#[repr(u8)]
pub enum Fate {
    #[tls_codec(discriminant = 1)]
    Moved(Signed<Tombstone>),
    #[tls_codec(discriminant = 2)]
    Aborted(Signed<TransferAbort>),
}

/// → `POST /v1/peer/pull`: one page of an offered scope. ← [`crate::wire::Records`]
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct PullRequest {
    pub offer: SignedOffer,
    /// Records after this one.
    pub after: u64,
}

/// → `POST /v1/peer/attachment`: one part of an attachment of an offered scope. ← [`PulledPart`]
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct AttachmentRequest {
    pub offer: SignedOffer,
    pub attachment: Hash,
    pub part: u16,
}

/// One part, and which parts there are.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct PulledPart {
    pub manifest: AttachmentManifest,
    pub bytes: VLBytes,
}

/// → `POST /v1/peer/tombstones`: what became of these? ← [`TombstoneReply`]
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct TombstoneRequest {
    pub accepts: Vec<Signed<HomeAccept>>,
}

/// Those that are decided; the others may still be committed.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct TombstoneReply {
    pub fates: Vec<Fate>,
}

/// What the new home needs to pull the moving scopes and to judge their last commits.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct Preparation {
    /// The log's home, which is asked for it; no other answers in its place.
    pub from: Municipality,
    /// One for each moving scope, the card's first.
    pub offers: Vec<SignedOffer>,
    pub acceptances: Vec<Signed<HandoverAcceptance>>,
    /// The moving commits, on the exact heads. Empty: only fetch ahead.
    pub bundle: Bundle,
}

/// The whole handover of a log that moves.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct Transfer {
    /// Moving and closing commits, the card's first.
    pub bundle: Bundle,
    pub accepts: Vec<Signed<HomeAccept>>,
}

/// What shall not be, and the acceptances known to rest on it.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct Cancellation {
    pub aborts: Vec<SignedAbort>,
    pub accepts: Vec<Signed<HomeAccept>>,
}

/// How far the new home is.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct Prepared {
    /// One for each moving scope; empty after fetching ahead.
    pub accepts: Vec<Signed<HomeAccept>>,
    /// What it holds of each scope.
    pub fetched: Vec<ScopePosition>,
}

/// The log has moved.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct Transferred {
    /// Every envelope of the bundle.
    pub accepted: Vec<Accepted>,
    /// One for each scope that moved.
    pub tombstones: Vec<Signed<Tombstone>>,
}

/// Names an envelope in a [`HomeAccept`].
pub fn envelope_hash(envelope: &Envelope) -> Hash {
    hash("envelope", &[&encode(envelope)])
}

/// The acceptance that fits this moving commit on this replica: what the new home signs, and what the old
/// one compares it with. `judged` is the envelope's event as `replica` judged it.
pub fn accept_of(replica: &Replica, judged: &Judged, envelope: &Envelope) -> Result<HomeAccept, Refusal> {
    let before = replica.state();
    let after = &judged.next_state().ok_or(Refusal::AcceptMismatch)?.membership;
    let Body::Commit(commit) = &judged.event().body else { return Err(Refusal::AcceptMismatch) };
    let handover = commit.handover.as_ref().ok_or(Refusal::AcceptMismatch)?;
    let same = judged.record().event == envelope.event && judged.event().scope == before.scope();
    if !same || after.home == before.membership.home {
        return Err(Refusal::AcceptMismatch);
    }
    Ok(HomeAccept {
        scope: before.scope(),
        log: before.log(),
        from: before.membership.home,
        to: after.home,
        home_epoch: after.home_epoch,
        extends: before.position,
        envelope: envelope_hash(envelope),
        offer: handover.offer.offer.id(),
        root: replica.root(),
    })
}
