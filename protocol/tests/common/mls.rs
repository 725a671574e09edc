//! How the tests make MLS groups and commits, as the protocol demands them.

use super::people::capabilities;
use openmls::group::CommitMessageBundle;
use openmls::prelude::*;
use stafett_protocol::event::Commit;
use stafett_protocol::ids::Hash;
use stafett_protocol::membership::Membership;
use stafett_protocol::wire::welcome_hash;
use tls_codec::Serialize as _;

pub fn extensions(membership: &Membership) -> Extensions<GroupContext> {
    extensions_with(vec![membership.to_extension()])
}

pub fn extensions_with(mut more: Vec<Extension>) -> Extensions<GroupContext> {
    let required = RequiredCapabilitiesExtension::new(&[Membership::extension_type()], &[], &[]);
    more.insert(0, Extension::RequiredCapabilities(required));
    Extensions::from_vec(more).unwrap()
}

pub fn config(extensions: Extensions<GroupContext>) -> MlsGroupCreateConfig {
    MlsGroupCreateConfig::builder()
        .ciphersuite(stafett_protocol::SUITE)
        .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
        .use_ratchet_tree_extension(false)
        .capabilities(capabilities())
        .lifetime(Lifetime::init(0, u64::MAX))
        .with_group_context_extensions(extensions)
        .build()
}

pub fn join_config() -> MlsGroupJoinConfig {
    MlsGroupJoinConfig::builder()
        .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
        .use_ratchet_tree_extension(false)
        .build()
}

/// The envelope's commit around what MLS made, and the Welcome beside it.
pub fn as_commit(bundle: CommitMessageBundle) -> (Commit, Option<Vec<u8>>) {
    let (mls, welcome, info) = bundle.into_messages();
    let welcome = welcome.map(|w| w.tls_serialize_detached().unwrap());
    let commit = Commit {
        mls: mls.tls_serialize_detached().unwrap().into(),
        group_info: info.unwrap().tls_serialize_detached().unwrap().into(),
        link: Some(vec![5; 48].into()),
        check: Hash([2; 32]),
        welcome: welcome.as_deref().map(welcome_hash),
        vouchers: vec![],
        handover: None,
    };
    (commit, welcome)
}
