//! Groups over the client's rows: life goes on after saving and loading, and a failed join leaves no trace (M13).
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, clippy::indexing_slicing)]

use openmls::prelude::*;
use openmls_basic_credential::SignatureKeyPair;
use tls_codec::{Deserialize as _, Serialize as _};

use super::{Provider, SUITE};

const MEMBERSHIP: u16 = 0xff77;

struct Member {
    provider: Provider,
    signer: SignatureKeyPair,
    credential: CredentialWithKey,
}

fn member(name: &str) -> Member {
    let provider = Provider::default();
    let signer = SignatureKeyPair::new(SignatureScheme::ED25519).unwrap();
    signer.store(provider.storage()).unwrap();
    let credential = CredentialWithKey {
        credential: BasicCredential::new(name.as_bytes().to_vec()).into(),
        signature_key: signer.public().into(),
    };
    Member { provider, signer, credential }
}

fn capabilities() -> Capabilities {
    Capabilities::new(
        None,
        Some(&[SUITE]),
        Some(&[ExtensionType::Unknown(MEMBERSHIP)]),
        None,
        Some(&[CredentialType::Basic]),
    )
}

fn membership(bytes: &[u8]) -> Extensions<GroupContext> {
    // OpenMLS refuses a commit that changes an extension which is not among the required capabilities.
    let required = RequiredCapabilitiesExtension::new(&[ExtensionType::Unknown(MEMBERSHIP)], &[], &[]);
    let ours = Extension::Unknown(MEMBERSHIP, UnknownExtension(bytes.to_vec()));
    Extensions::from_vec(vec![Extension::RequiredCapabilities(required), ours]).unwrap()
}

fn found(holder: &Member) -> MlsGroup {
    let config = MlsGroupCreateConfig::builder()
        .ciphersuite(SUITE)
        .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
        .use_ratchet_tree_extension(false)
        .capabilities(capabilities())
        .lifetime(Lifetime::init(0, u64::MAX))
        .with_group_context_extensions(membership(b"one"))
        .build();
    let id = GroupId::from_slice(b"scope");
    MlsGroup::new_with_group_id(&holder.provider, &holder.signer, &config, id, holder.credential.clone()).unwrap()
}

fn key_package(of: &Member) -> KeyPackage {
    KeyPackage::builder()
        .leaf_node_capabilities(capabilities())
        .key_package_lifetime(Lifetime::init(0, u64::MAX))
        .build(SUITE, &of.provider, &of.signer, of.credential.clone())
        .unwrap()
        .key_package()
        .clone()
}

/// Adds a member and changes the membership extension in the same commit; answers commit and Welcome.
fn add(holder: &Member, group: &mut MlsGroup, package: KeyPackage, roles: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let bundle = group
        .commit_builder()
        .propose_adds([package])
        .propose_group_context_extensions(membership(roles))
        .unwrap()
        .load_psks(holder.provider.storage())
        .unwrap()
        .build(holder.provider.rand(), holder.provider.crypto(), &holder.signer, |_| true)
        .unwrap()
        .stage_commit(&holder.provider)
        .unwrap();
    let (commit, welcome, _) = bundle.into_messages();
    (commit.tls_serialize_detached().unwrap(), welcome.unwrap().tls_serialize_detached().unwrap())
}

fn join(provider: &Provider, welcome: &[u8], tree: RatchetTreeIn) -> Result<MlsGroup, String> {
    let MlsMessageBodyIn::Welcome(welcome) = MlsMessageIn::tls_deserialize_exact(welcome).unwrap().extract() else {
        panic!("not a Welcome")
    };
    let config = MlsGroupJoinConfig::builder()
        .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
        .use_ratchet_tree_extension(false)
        .build();
    StagedWelcome::build_from_welcome(provider, &config, welcome)
        .map_err(|error| error.to_string())?
        .with_ratchet_tree(tree)
        .skip_lifetime_validation()
        .build()
        .map_err(|error| error.to_string())?
        .into_group(provider)
        .map_err(|error| error.to_string())
}

fn secret(group: &MlsGroup, provider: &Provider) -> Vec<u8> {
    group.export_secret(provider.crypto(), "stafett content", b"scope", 32).unwrap()
}

/// The member as it comes back after a restart: only the saved rows remain.
fn restarted(member: Member) -> (Member, MlsGroup) {
    let provider = Provider::load(member.provider.storage().take_dirty());
    let group = MlsGroup::load(provider.storage(), &GroupId::from_slice(b"scope")).unwrap().unwrap();
    (Member { provider, ..member }, group)
}

#[test]
fn a_group_goes_on_after_saving_and_loading() {
    let (holder, parent) = (member("holder"), member("parent"));
    let mut group = found(&holder);
    let (_, welcome) = add(&holder, &mut group, key_package(&parent), b"two");
    // The pending commit survives the restart.
    let (holder, mut group) = restarted(holder);
    group.merge_pending_commit(&holder.provider).unwrap();
    let theirs = join(&parent.provider, &welcome, group.export_ratchet_tree().into()).unwrap();
    assert_eq!(theirs.extensions().unknown(MEMBERSHIP).unwrap().0, b"two");
    assert_eq!(secret(&group, &holder.provider), secret(&theirs, &parent.provider));

    let (parent, mut theirs) = restarted(parent);
    let update = theirs
        .self_update(&parent.provider, &parent.signer, LeafNodeParameters::default())
        .unwrap()
        .into_commit()
        .tls_serialize_detached()
        .unwrap();
    theirs.merge_pending_commit(&parent.provider).unwrap();
    let message = MlsMessageIn::tls_deserialize_exact(update).unwrap().try_into_protocol_message().unwrap();
    let ProcessedMessageContent::StagedCommitMessage(staged) =
        group.process_message(&holder.provider, message).unwrap().into_content()
    else {
        panic!("not a commit")
    };
    group.merge_staged_commit(&holder.provider, *staged).unwrap();
    assert_eq!(secret(&group, &holder.provider), secret(&theirs, &parent.provider));
}

#[test]
fn m13_a_broken_welcome_burns_no_key_package() {
    let (holder, parent) = (member("holder"), member("parent"));
    let mut group = found(&holder);
    let (_, welcome) = add(&holder, &mut group, key_package(&parent), b"two");
    group.merge_pending_commit(&holder.provider).unwrap();
    let mut broken = welcome.clone();
    *broken.last_mut().unwrap() ^= 1;

    let storage = parent.provider.storage();
    let mark = storage.mark();
    join(&parent.provider, &broken, group.export_ratchet_tree().into()).unwrap_err();
    // Without the rollback the key package is gone: this is the danger that the mark is for.
    let after_failure = storage.mark();
    join(&parent.provider, &welcome, group.export_ratchet_tree().into()).unwrap_err();
    storage.rollback(after_failure);
    storage.rollback(mark);
    let theirs = join(&parent.provider, &welcome, group.export_ratchet_tree().into()).unwrap();
    assert_eq!(secret(&group, &holder.provider), secret(&theirs, &parent.provider));
}
