//! Checkpoints: the compacted document of a scope beside its chain, sealed and signed by a member, so that a
//! newcomer need not open ten thousand events before it sees anything (`docs/protocol.md` 14). What one says
//! is its author's claim until the events behind it have been read; it deletes nothing.

use crate::codec::{Malformed, TlsDeserialize, TlsSerialize, TlsSize, VLBytes, decode};
use crate::event::Position;
use crate::group::public_group;
use crate::ids::{DeviceId, Hash, PublicKey, ScopeId, hash};
use crate::membership::Membership;
use crate::refusal::Refusal;
use crate::replica::{Replica, group_id};
use crate::signed::Signed;
use crate::state::ScopeState;

/// Signed by the author's device.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct CheckpointHead {
    pub scope: ScopeId,
    /// Under which key it is sealed.
    pub generation: u32,
    pub epoch: u64,
    /// The record up to which it goes.
    pub position: Position,
    /// The author's device key.
    pub author: PublicKey,
    pub salt: [u8; 32],
    /// [`facts_hash`] of the facts beside it.
    pub facts: Hash,
    /// [`part_hash`] of each sealed part, in order.
    pub parts: Vec<Hash>,
}

impl CheckpointHead {
    pub fn device(&self) -> DeviceId {
        DeviceId::of_key(&self.author)
    }
}

/// What everyone who follows the chain knows at that position; nothing in it is secret from the home. `state`:
/// an encoded [`ScopeState`]. Who cannot read it reads the events.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct CheckpointFacts {
    pub state: VLBytes,
    /// `MlsMessage(GroupInfo)` of the epoch, as the chain has it.
    pub group_info: VLBytes,
    pub tree: VLBytes,
}

impl CheckpointFacts {
    pub fn read_state(&self) -> Result<ScopeState, Malformed> {
        decode(self.state.as_slice())
    }

    /// The replica that this claims. Its MLS part is checked in itself and against the state; whether the state
    /// is what the chain makes of it, only the chain tells.
    pub fn replica(&self, state: ScopeState) -> Result<Replica, Refusal> {
        let (group, storage) = public_group(self.group_info.as_slice(), self.tree.as_slice())?;
        let membership = Membership::of(group.group_context().extensions()).map_err(|_| Refusal::MembershipMissing)?;
        let keys = group.members().filter_map(|m| m.signature_key.as_slice().try_into().ok());
        let mut leaves: Vec<PublicKey> = keys.collect();
        let mut named: Vec<PublicKey> = membership.devices().copied().collect();
        leaves.sort_unstable();
        named.sort_unstable();
        let fits = group.group_id() == &group_id(state.scope(), state.membership.generation)
            && group.group_context().epoch().as_u64() == state.epoch
            && membership == state.membership
            && leaves == named;
        if fits { Ok(Replica::of(state, group, storage)) } else { Err(Refusal::MembershipMismatch) }
    }
}

/// A checkpoint without its sealed parts. `facts`: an encoded [`CheckpointFacts`].
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct Checkpoint {
    pub head: Signed<CheckpointHead>,
    pub facts: VLBytes,
}

/// A sealed part on its way; which one it is, its hash tells.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct CheckpointPart {
    pub scope: ScopeId,
    pub bytes: VLBytes,
}

/// What [`CheckpointHead::facts`] is made of.
pub fn facts_hash(facts: &[u8]) -> Hash {
    hash("checkpoint facts", &[facts])
}

/// What the hashes in [`CheckpointHead::parts`] are made of.
pub fn part_hash(part: &[u8]) -> Hash {
    hash("checkpoint part", &[part])
}
