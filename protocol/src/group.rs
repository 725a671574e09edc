//! The public MLS group of a scope, as GroupInfo and tree describe it: read, and held to what a scope's group must be.

use crate::commit_view::Leaf;
use crate::event::{Commit, Event, Genesis};
use crate::ids::{ScopeId, hash};
use crate::membership::Membership;
use crate::refusal::Refusal;
use openmls::group::{ProposalStore, PublicGroup};
use openmls::messages::group_info::VerifiableGroupInfo;
use openmls::prelude::{GroupId, MlsMessageBodyIn, MlsMessageIn, RatchetTreeIn, StagedCommit};
use openmls_rust_crypto::{MemoryStorage, RustCrypto};

fn group_info(bytes: &[u8]) -> Result<VerifiableGroupInfo, Refusal> {
    use tls_codec::Deserialize as _;
    let message = MlsMessageIn::tls_deserialize_exact(bytes).map_err(|_| Refusal::MlsRefused)?;
    let MlsMessageBodyIn::GroupInfo(info) = message.extract() else { return Err(Refusal::MlsRefused) };
    Ok(info)
}

/// Who takes part after this commit, by its author's word alone: for whoever cannot follow it, because others that came
/// before are not shown to them.
///
/// # Errors
/// Not a group info, or one without our membership.
pub fn claimed_membership(commit: &Commit) -> Result<Membership, Refusal> {
    let info = group_info(commit.group_info.as_slice())?;
    Membership::of(info.group_context().extensions()).map_err(|_| Refusal::MlsRefused)
}

/// The group info for a resync is of the very epoch that the commit makes.
pub(crate) fn check_group_info(bytes: &[u8], staged: &StagedCommit) -> Result<(), Refusal> {
    let info = group_info(bytes)?;
    if info.group_context() == staged.group_context() { Ok(()) } else { Err(Refusal::MlsRefused) }
}

/// The MLS group id of a scope's generation: never re-used, kept apart from the scope's own id.
pub fn group_id(scope: ScopeId, generation: u32) -> GroupId {
    GroupId::from_slice(&hash("group", &[&scope.0, &generation.to_be_bytes()]).0)
}

/// The public group that GroupInfo and tree describe.
pub(crate) fn public_group(info: &[u8], tree: &[u8]) -> Result<(PublicGroup, MemoryStorage), Refusal> {
    use tls_codec::Deserialize as _;
    let info = group_info(info)?;
    let tree = RatchetTreeIn::tls_deserialize_exact(tree).map_err(|_| Refusal::MlsRefused)?;
    if info.ciphersuite() != crate::SUITE {
        return Err(Refusal::MlsRefused);
    }
    let storage = MemoryStorage::default();
    let (group, _) = PublicGroup::from_external(&RustCrypto::default(), &storage, tree, info, ProposalStore::new())
        .map_err(|_| Refusal::MlsRefused)?;
    Ok((group, storage))
}

pub(crate) fn open_group(
    event: &Event,
    genesis: &Genesis,
) -> Result<(PublicGroup, MemoryStorage, Membership, Leaf), Refusal> {
    let (group, storage) = public_group(genesis.group_info.as_slice(), genesis.tree.as_slice())?;
    let membership = Membership::of(group.group_context().extensions()).map_err(|_| Refusal::MembershipMissing)?;
    if group.group_id() != &group_id(event.scope, event.generation) || group.group_context().epoch().as_u64() != 0 {
        return Err(Refusal::WrongGeneration);
    }
    if group.required_capabilities().is_none_or(|r| !r.extension_types().contains(&Membership::extension_type()))
        || group.group_context().extensions().iter().count() != 2
    {
        return Err(Refusal::ExtensionsChanged);
    }
    let indices: Vec<_> = group.members().map(|m| m.index).collect();
    let [founder] = indices.as_slice() else { return Err(Refusal::MembershipMismatch) };
    let leaf = group.leaf(*founder).ok_or(Refusal::StrangeLeaf).and_then(Leaf::of)?;
    if leaf.credential != genesis.founder {
        return Err(Refusal::PersonChanged);
    }
    Ok((group, storage, membership, leaf))
}
