//! The MLS side of a scope: founding, committing, following, joining. MLS decides who; content keys come
//! out of it and go into the key chain (`docs/protocol.md` 5).

use crate::client::input::{Cause, Problem};
use crate::client::me::{LeafSigner, Me};
use crate::keychain::{ContentKey, EXPORTER_LABEL, KeyChain, check};
use crate::mls::Provider;
use openmls::prelude::*;
use openmls::treesync::RatchetTree;
use stafett_protocol::MEMBERSHIP_EXTENSION;
use stafett_protocol::consent::{SignedGrant, Voucher};
use stafett_protocol::event::{Commit, Genesis};
use stafett_protocol::handover::Handover;
use stafett_protocol::ids::{DeviceId, Hash, PublicKey, ScopeId};
use stafett_protocol::membership::Membership;
use stafett_protocol::replica::group_id;
use stafett_protocol::wire::welcome_hash;
use tls_codec::{Deserialize as _, Serialize as _};

pub(crate) fn mls_problem(e: impl core::fmt::Display) -> Problem {
    Problem::data(Cause::Mls, e.to_string())
}

pub(crate) fn capabilities() -> Capabilities {
    Capabilities::new(
        None,
        Some(&[stafett_protocol::SUITE]),
        Some(&[Membership::extension_type(), ExtensionType::LastResort]),
        None,
        Some(&[CredentialType::Basic]),
    )
}

fn extensions(membership: &Membership) -> Result<Extensions<GroupContext>, Problem> {
    let required = RequiredCapabilitiesExtension::new(&[ExtensionType::Unknown(MEMBERSHIP_EXTENSION)], &[], &[]);
    Extensions::from_vec(vec![Extension::RequiredCapabilities(required), membership.to_extension()])
        .map_err(mls_problem)
}

/// Whether the MLS group of this scope's generation is on this device.
pub(crate) fn load(provider: &Provider, membership: &Membership) -> Option<MlsGroup> {
    let id = group_id(membership.scope, membership.generation);
    MlsGroup::load(provider.storage(), &id).ok().flatten()
}

/// What stands beside MLS in a genesis.
pub(crate) struct Beginning<'a> {
    pub membership: &'a Membership,
    pub log_salt: Option<[u8; 16]>,
    pub card: Option<ScopeId>,
    pub grants: Vec<SignedGrant>,
    pub vouchers: Vec<Voucher>,
}

/// Founds the group, alone in it; answers the genesis and puts the first key into `keys`.
pub(crate) fn found(
    provider: &Provider,
    me: &Me,
    founding: Beginning<'_>,
    keys: &mut KeyChain,
) -> Result<Genesis, Problem> {
    let membership = founding.membership;
    let id = group_id(membership.scope, membership.generation);
    forget(provider, membership)?;
    let config = MlsGroupCreateConfig::builder()
        .ciphersuite(stafett_protocol::SUITE)
        .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
        .use_ratchet_tree_extension(false)
        .max_past_epochs(0)
        .capabilities(capabilities())
        .lifetime(Lifetime::init(0, u64::MAX))
        .with_group_context_extensions(extensions(membership)?)
        .build();
    let signer = LeafSigner(me.device_key());
    let group =
        MlsGroup::new_with_group_id(provider, &signer, &config, id, me.credential_with_key()?).map_err(mls_problem)?;
    let info = group.export_group_info(provider.crypto(), &signer, false).map_err(mls_problem)?;
    let key = group.export_secret(provider.crypto(), EXPORTER_LABEL, &membership.scope.0, 32).map_err(mls_problem)?;
    let key = ContentKey::from_exporter(&key).map_err(mls_problem)?;
    let check = check(&key, &keys.place(0));
    keys.learn_key(0, key).map_err(mls_problem)?;
    let carries = keys.carry(me.device());
    Ok(Genesis {
        group_info: info.tls_serialize_detached().map_err(mls_problem)?.into(),
        tree: group.export_ratchet_tree().tls_serialize_detached().map_err(mls_problem)?.into(),
        founder: me.credential()?,
        log_salt: founding.log_salt,
        card: founding.card,
        grants: founding.grants,
        vouchers: founding.vouchers,
        check: Hash(check),
        carries,
    })
}

/// A membership change to commit; both empty and `membership` unchanged renews one's own leaf.
pub(crate) struct MembershipChange {
    pub adds: Vec<KeyPackage>,
    pub removes: Vec<PublicKey>,
    pub membership: Option<Membership>,
    pub vouchers: Vec<Voucher>,
    pub handover: Option<Handover>,
}

/// Makes a commit and leaves it pending; answers it with its Welcome.
pub(crate) fn commit(
    provider: &Provider,
    me: &Me,
    group: &mut MlsGroup,
    plan: MembershipChange,
    keys: &KeyChain,
) -> Result<(Commit, Option<Vec<u8>>), Problem> {
    let signer = LeafSigner(me.device_key());
    if group.pending_commit().is_some() {
        group.clear_pending_commit(provider.storage()).map_err(mls_problem)?;
    }
    let removes = plan.removes.iter().filter_map(|key| leaf_index(group, key)).collect::<Vec<_>>();
    let mut builder = group.commit_builder().force_self_update(true).propose_removals(removes).propose_adds(plan.adds);
    if let Some(membership) = &plan.membership {
        builder = builder.propose_group_context_extensions(extensions(membership)?).map_err(mls_problem)?;
    }
    let bundle = builder
        .load_psks(provider.storage())
        .map_err(mls_problem)?
        .create_group_info(true)
        .use_ratchet_tree_extension(false)
        .build(provider.rand(), provider.crypto(), &signer, |_| true)
        .map_err(mls_problem)?
        .stage_commit(provider)
        .map_err(mls_problem)?;
    let (message, welcome, info) = bundle.into_messages();
    let scope = keys.place(0).scope;
    let staged = group.pending_commit().ok_or_else(|| mls_problem("no pending commit"))?;
    let next = staged.group_context().epoch().as_u64();
    let key = exported(provider, staged, scope)?;
    let older = keys.key(next.saturating_sub(1)).ok_or_else(|| mls_problem("the present key is missing"))?;
    let place = keys.place(next);
    let welcome = welcome.map(|w| w.tls_serialize_detached()).transpose().map_err(mls_problem)?;
    let info = info.ok_or_else(|| mls_problem("no group info"))?;
    Ok((
        Commit {
            mls: message.tls_serialize_detached().map_err(mls_problem)?.into(),
            group_info: info.tls_serialize_detached().map_err(mls_problem)?.into(),
            link: Some(crate::keychain::make_link(&key, older, &place).into()),
            check: Hash(check(&key, &place)),
            welcome: welcome.as_deref().map(welcome_hash),
            vouchers: plan.vouchers,
            handover: plan.handover,
        },
        welcome,
    ))
}

fn exported(provider: &Provider, staged: &StagedCommit, scope: ScopeId) -> Result<ContentKey, Problem> {
    let secret = staged.export_secret(provider.crypto(), EXPORTER_LABEL, &scope.0, 32).map_err(mls_problem)?;
    ContentKey::from_exporter(&secret).map_err(mls_problem)
}

fn leaf_index(group: &MlsGroup, key: &PublicKey) -> Option<LeafNodeIndex> {
    group.members().find(|m| m.signature_key.as_slice() == key).map(|m| m.index)
}

/// What following a commit came to.
pub(crate) enum Followed {
    /// The new epoch's key is in the chain.
    Member,
    /// This device has been removed.
    Removed,
}

/// Follows a commit that the policy has accepted: this device's own or another's, whichever the chain says.
pub(crate) fn follow(
    provider: &Provider,
    group: &mut MlsGroup,
    commit: &Commit,
    (by, own): (DeviceId, bool),
    keys: &mut KeyChain,
) -> Result<Followed, Problem> {
    let scope = keys.place(0).scope;
    let message = MlsMessageIn::tls_deserialize_exact(commit.mls.as_slice()).map_err(mls_problem)?;
    let message = message.try_into_protocol_message().map_err(mls_problem)?;
    if own && let Some(staged) = group.pending_commit() {
        let (epoch, key) = (staged.group_context().epoch().as_u64(), exported(provider, staged, scope)?);
        if check(&key, &keys.place(epoch)) == commit.check.0 {
            learn(keys, epoch, key, commit, by)?;
            group.merge_pending_commit(provider).map_err(mls_problem)?;
            return Ok(Followed::Member);
        }
    }
    let processed = group.process_message(provider, message).map_err(mls_problem)?;
    if group.pending_commit().is_some() {
        group.clear_pending_commit(provider.storage()).map_err(mls_problem)?;
    }
    let ProcessedMessageContent::StagedCommitMessage(staged) = processed.into_content() else {
        return Err(mls_problem("not a commit"));
    };
    if staged.self_removed() {
        group.merge_staged_commit(provider, *staged).map_err(mls_problem)?;
        return Ok(Followed::Removed);
    }
    let (epoch, key) = (staged.group_context().epoch().as_u64(), exported(provider, &staged, scope)?);
    if check(&key, &keys.place(epoch)) != commit.check.0 {
        return Err(mls_problem("the check does not match the key"));
    }
    learn(keys, epoch, key, commit, by)?;
    group.merge_staged_commit(provider, *staged).map_err(mls_problem)?;
    Ok(Followed::Member)
}

/// Check, key and link of a commit, in this order: where the key before is known, the link must open to it.
fn learn(keys: &mut KeyChain, epoch: u64, key: ContentKey, commit: &Commit, by: DeviceId) -> Result<(), Problem> {
    let place = keys.place(epoch);
    if let (Some(older), Some(link)) = (keys.key(epoch.saturating_sub(1)), &commit.link) {
        let before = keys.place(epoch.saturating_sub(1));
        let opened = crate::keychain::open_link(&key, link.as_slice(), &place).map_err(mls_problem)?;
        if check(&opened, &before) != check(older, &before) {
            return Err(mls_problem("the link leads to another key than the one before"));
        }
    }
    note(keys, epoch, commit, by)?;
    keys.learn_key(epoch, key).map_err(mls_problem)
}

/// Notes what a commit publishes of keys; for those who are not in the group yet, that is all. A link that does not hold
/// is a gap, which somebody can mend.
pub(crate) fn note(keys: &mut KeyChain, epoch: u64, commit: &Commit, by: DeviceId) -> Result<(), Problem> {
    keys.learn_check(epoch, commit.check.0).map_err(mls_problem)?;
    let _ = commit.link.as_ref().map(|link| keys.learn_commit_link(epoch, by, link.as_slice()));
    Ok(())
}

fn join_config() -> MlsGroupJoinConfig {
    MlsGroupJoinConfig::builder()
        .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
        .use_ratchet_tree_extension(false)
        .max_past_epochs(0)
        .build()
}

/// Joins by a Welcome with the tree of one's own replica. Whatever fails leaves the key package unused (M13).
pub(crate) fn join(
    provider: &Provider,
    welcome: &[u8],
    tree: RatchetTree,
    expected: &Membership,
    epoch: u64,
    keys: &mut KeyChain,
) -> Result<(), Problem> {
    let mark = provider.storage().mark();
    let joined = try_join(provider, welcome, tree, expected, epoch, keys);
    if joined.is_err() {
        provider.storage().rollback(mark);
    }
    joined
}

fn try_join(
    provider: &Provider,
    welcome: &[u8],
    tree: RatchetTree,
    expected: &Membership,
    epoch: u64,
    keys: &mut KeyChain,
) -> Result<(), Problem> {
    let MlsMessageBodyIn::Welcome(welcome) =
        MlsMessageIn::tls_deserialize_exact(welcome).map_err(mls_problem)?.extract()
    else {
        return Err(mls_problem("not a Welcome"));
    };
    let config = join_config();
    let staged = StagedWelcome::build_from_welcome(provider, &config, welcome)
        .map_err(mls_problem)?
        .with_ratchet_tree(tree.into())
        .skip_lifetime_validation()
        .build()
        .map_err(mls_problem)?;
    let context = staged.group_context();
    let same = Membership::of(context.extensions()).is_ok_and(|m| m == *expected)
        && context.epoch().as_u64() == epoch
        && context.group_id() == &group_id(expected.scope, expected.generation);
    if !same {
        return Err(mls_problem("the Welcome leads elsewhere than the chain"));
    }
    let secret = staged.export_secret(provider.crypto(), EXPORTER_LABEL, &expected.scope.0, 32).map_err(mls_problem)?;
    let key = ContentKey::from_exporter(&secret).map_err(mls_problem)?;
    keys.learn_key(epoch, key).map_err(mls_problem)?;
    staged.into_group(provider).map(drop).map_err(mls_problem)
}

/// A key package for others to add this device with.
pub(crate) fn key_package(provider: &Provider, me: &Me, last_resort: bool) -> Result<Vec<u8>, Problem> {
    let mut builder =
        KeyPackage::builder().leaf_node_capabilities(capabilities()).key_package_lifetime(Lifetime::init(0, u64::MAX));
    if last_resort {
        builder = builder.mark_as_last_resort();
    }
    let bundle = builder
        .build(stafett_protocol::SUITE, provider, &LeafSigner(me.device_key()), me.credential_with_key()?)
        .map_err(mls_problem)?;
    MlsMessageOut::from(bundle.key_package().clone()).tls_serialize_detached().map_err(mls_problem)
}

/// Reads another device's key package; every signature in it is verified.
pub(crate) fn read_key_package(provider: &Provider, bytes: &[u8]) -> Result<KeyPackage, Problem> {
    let MlsMessageBodyIn::KeyPackage(package) =
        MlsMessageIn::tls_deserialize_exact(bytes).map_err(mls_problem)?.extract()
    else {
        return Err(mls_problem("not a key package"));
    };
    package.validate(provider.crypto(), ProtocolVersion::Mls10).map_err(mls_problem)
}

/// Takes this device's leaf back by an external commit on the published GroupInfo (`docs/protocol.md` 5).
/// Answers the commit and the new epoch's secret, which counts once the chain has the commit.
pub(crate) fn resync(
    provider: &Provider,
    me: &Me,
    info: &[u8],
    tree: RatchetTree,
    keys: &KeyChain,
) -> Result<(Commit, Vec<u8>), Problem> {
    let MlsMessageBodyIn::GroupInfo(info) = MlsMessageIn::tls_deserialize_exact(info).map_err(mls_problem)?.extract()
    else {
        return Err(mls_problem("not a GroupInfo"));
    };
    let config = join_config();
    let signer = LeafSigner(me.device_key());
    let (group, bundle) = MlsGroup::external_commit_builder()
        .with_config(config)
        .with_ratchet_tree(tree.into())
        .skip_lifetime_validation()
        .build_group(provider, info, me.credential_with_key()?)
        .map_err(mls_problem)?
        .leaf_node_parameters(LeafNodeParameters::builder().with_capabilities(capabilities()).build())
        .load_psks(provider.storage())
        .map_err(mls_problem)?
        .build(provider.rand(), provider.crypto(), &signer, |_| true)
        .map_err(mls_problem)?
        .finalize(provider)
        .map_err(mls_problem)?;
    let (message, _, _) = bundle.into_messages();
    let place = keys.place(group.epoch().as_u64());
    let secret = group.export_secret(provider.crypto(), EXPORTER_LABEL, &place.scope.0, 32).map_err(mls_problem)?;
    let key = ContentKey::from_exporter(&secret).map_err(mls_problem)?;
    let info = group.export_group_info(provider.crypto(), &signer, false).map_err(mls_problem)?;
    let commit = Commit {
        mls: message.tls_serialize_detached().map_err(mls_problem)?.into(),
        group_info: info.tls_serialize_detached().map_err(mls_problem)?.into(),
        link: None,
        check: Hash(check(&key, &place)),
        welcome: None,
        vouchers: vec![],
        handover: None,
    };
    Ok((commit, secret))
}

/// Forgets the MLS group of this scope's generation, whatever state it is in.
pub(crate) fn forget(provider: &Provider, membership: &Membership) -> Result<(), Problem> {
    match load(provider, membership) {
        Some(mut group) => group.delete(provider.storage()).map_err(mls_problem),
        None => Ok(()),
    }
}
