//! An MLS commit seen as a membership change. OpenMLS checks MLS; it knows nothing of roles, so every
//! proposal is turned into plain facts here for [`crate::policy`], on server, client and auditor alike.

use crate::codec::{Deserialize as _, TlsDeserialize, TlsSize, VLBytes, encode};
use crate::credential::Credential;
use crate::ids::PublicKey;
use crate::membership::Membership;
use crate::refusal::Refusal;
use openmls::prelude::{
    BasicCredential, CredentialType, Extension, LeafNode, Proposal, ProposalOrRefType, PublicGroup, Sender,
    StagedCommit,
};

/// A leaf as the rules see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// The MLS signature key, which is the device key.
    pub key: PublicKey,
    pub credential: Credential,
}

/// What a commit does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitView {
    /// The committer's leaf before the commit; `None` for an external commit.
    pub sender: Option<PublicKey>,
    pub adds: Vec<Leaf>,
    pub removes: Vec<PublicKey>,
    /// The committer's leaf after the commit, where it has an update path.
    pub path: Option<Leaf>,
    /// The membership after the commit, if the commit rewrites it.
    pub membership: Option<Membership>,
}

impl Leaf {
    /// Reads a leaf; refuses what is not ours.
    pub fn of(leaf: &LeafNode) -> Result<Self, Refusal> {
        let key = leaf.signature_key().as_slice().try_into().map_err(|_| Refusal::StrangeLeaf)?;
        if leaf.credential().credential_type() != CredentialType::Basic
            || !leaf.capabilities().extensions().contains(&Membership::extension_type())
            || !leaf.capabilities().ciphersuites().contains(&crate::SUITE.into())
            || leaf.extensions().iter().next().is_some()
        {
            return Err(Refusal::StrangeLeaf);
        }
        if !lives_for_ever(leaf) {
            return Err(Refusal::StrangeLeaf);
        }
        let basic = BasicCredential::try_from(leaf.credential().clone()).map_err(|_| Refusal::StrangeLeaf)?;
        let credential = crate::codec::decode(basic.identity()).map_err(|_| Refusal::StrangeLeaf)?;
        Ok(Self { key, credential })
    }
}

/// The beginning of an encoded leaf node (RFC 9420 7.2), up to where a leaf from a key package has its
/// lifetime; OpenMLS does not show it.
#[derive(TlsDeserialize, TlsSize)]
struct LeafStart {
    _encryption_key: VLBytes,
    _signature_key: VLBytes,
    _credential: (u16, VLBytes),
    /// Versions, cipher suites, extensions.
    _capabilities: (VLBytes, VLBytes, VLBytes),
    /// Proposals, credentials.
    _more_capabilities: (VLBytes, VLBytes),
    source: u8,
}

/// Whether a leaf from a key package has the one lifetime that the protocol allows. MLS judges lifetimes
/// by each party's clock: a shorter one would let parties disagree on a commit, and later replays fail.
fn lives_for_ever(leaf: &LeafNode) -> bool {
    const FROM_KEY_PACKAGE: u8 = 1;
    let bytes = encode(leaf);
    let mut rest = bytes.as_slice();
    let Ok(start) = LeafStart::tls_deserialize(&mut rest) else { return false };
    start.source != FROM_KEY_PACKAGE || <(u64, u64)>::tls_deserialize(&mut rest) == Ok((0, u64::MAX))
}

impl CommitView {
    /// Looks at a staged commit of `group`. Deny by default: a proposal by reference, or of a kind the
    /// protocol does not use, refuses the whole commit.
    pub fn of(group: &PublicGroup, sender: &Sender, staged: &StagedCommit) -> Result<Self, Refusal> {
        let key_at = |index| group.leaf(index).ok_or(Refusal::StrangeLeaf).and_then(Leaf::of).map(|l| l.key);
        let sender = match sender {
            Sender::Member(index) => Some(key_at(*index)?),
            Sender::NewMemberCommit => None,
            Sender::External(_) | Sender::NewMemberProposal => return Err(Refusal::StrangeProposal),
        };
        let (mut adds, mut removes, mut rewrites, mut external_inits) = (vec![], vec![], false, 0);
        for queued in staged.queued_proposals() {
            if queued.proposal_or_ref_type() != ProposalOrRefType::Proposal {
                return Err(Refusal::StrangeProposal);
            }
            match queued.proposal() {
                Proposal::Add(add) => adds.push(Leaf::of(add.key_package().leaf_node())?),
                Proposal::Remove(remove) => removes.push(key_at(remove.removed())?),
                Proposal::GroupContextExtensions(_) => rewrites = true,
                Proposal::ExternalInit(_) => external_inits += 1,
                _ => return Err(Refusal::StrangeProposal),
            }
        }
        if (sender.is_none() && external_inits != 1) || (sender.is_some() && external_inits != 0) {
            return Err(Refusal::StrangeProposal);
        }
        let after = staged.group_context().extensions();
        let others = |extensions: &openmls::prelude::Extensions<_>| -> Vec<Extension> {
            extensions.iter().filter(|e| e.extension_type() != Membership::extension_type()).cloned().collect()
        };
        if others(after) != others(group.group_context().extensions()) {
            return Err(Refusal::ExtensionsChanged);
        }
        let membership =
            if rewrites { Some(Membership::of(after).map_err(|_| Refusal::MembershipMissing)?) } else { None };
        let path = staged.update_path_leaf_node().map(Leaf::of).transpose()?;
        Ok(Self { sender, adds, removes, path, membership })
    }
}
