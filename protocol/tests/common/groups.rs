//! The MLS groups of a scope's devices: kept up to date, committed on, come back to.

use super::chain::{Chain, Plan};
use super::mls::*;
use super::people::*;
use super::{Context, HOME, Refusal, START, verdicts};
use openmls::group::CommitMessageBundle;
use openmls::prelude::*;
use stafett_protocol::event::{Body, Commit};
use stafett_protocol::ids::{DeviceId, Hash, PublicKey};
use stafett_protocol::replica::group_id;
use tls_codec::{Deserialize as _, Serialize as _};

/// A commit that stands, for devices that follow later.
#[derive(Clone)]
pub struct Sent {
    generation: u32,
    epoch: u64,
    pub mls: Vec<u8>,
    author: DeviceId,
    pub welcome: Option<Vec<u8>>,
    tree: openmls::treesync::RatchetTree,
}

impl Chain {
    /// The device's group, up to date.
    pub fn with_group<T>(&self, device: &Device, then: impl FnOnce(&mut MlsGroup) -> T) -> T {
        let generation = self.membership().generation;
        let id = group_id(self.scope(), generation);
        let mut groups = device.groups.borrow_mut();
        if !groups.contains_key(id.as_slice())
            && let Ok(Some(stored)) = MlsGroup::load(device.provider.storage(), &id)
        {
            groups.insert(id.as_slice().to_vec(), stored);
        }
        for sent in self.sent.iter().filter(|s| s.generation == generation) {
            match groups.get_mut(id.as_slice()) {
                Some(group) if group.is_active() && group.epoch().as_u64() == sent.epoch => follow(device, group, sent),
                Some(group) if group.is_active() => {}
                gone => {
                    // A device that was removed has no more than its Welcome to come back by.
                    if let Some(old) = gone {
                        old.delete(device.provider.storage()).unwrap();
                        groups.remove(id.as_slice());
                    }
                    if let Some(group) = join(device, sent) {
                        groups.insert(id.as_slice().to_vec(), group);
                    }
                }
            }
        }
        then(groups.get_mut(id.as_slice()).expect("the device is in the group"))
    }

    /// Builds a commit on the device's group and leaves it pending there.
    pub fn commit(&self, device: &Device, plan: Plan) -> (Commit, Option<Vec<u8>>) {
        self.with_group(device, |group| {
            if group.pending_commit().is_some() {
                group.clear_pending_commit(device.provider.storage()).unwrap();
            }
            let at = |key: &PublicKey| group.members().find(|m| m.signature_key == key).expect("a leaf").index;
            let removes: Vec<_> = plan.removes.iter().map(at).collect();
            let mut builder = group
                .commit_builder()
                .consume_proposal_store(plan.stored)
                .force_self_update(true)
                .leaf_node_parameters(plan.leaf)
                .propose_removals(removes)
                .propose_adds(plan.adds)
                .add_proposals(plan.proposals);
            if let Some(membership) = &plan.membership {
                builder = builder.propose_group_context_extensions(extensions(membership)).unwrap();
            }
            let bundle = builder
                .load_psks(device.provider.storage())
                .unwrap()
                .create_group_info(true)
                .use_ratchet_tree_extension(false)
                .build(device.provider.rand(), device.provider.crypto(), device, |_| true)
                .unwrap()
                .stage_commit(&device.provider)
                .unwrap();
            let (commit, welcome) = as_commit(bundle);
            (Commit { vouchers: plan.vouchers, handover: plan.handover, ..commit }, welcome)
        })
    }

    pub fn send(&mut self, world: &World, device: &Device, plan: Plan) -> Result<(), Refusal> {
        let (commit, welcome) = self.commit(device, plan);
        self.submit_commit(world, device, commit, welcome)
    }

    pub fn submit_commit(
        &mut self,
        world: &World,
        device: &Device,
        commit: Commit,
        welcome: Option<Vec<u8>>,
    ) -> Result<(), Refusal> {
        let epoch = self.state().epoch;
        let mls = commit.mls.as_slice().to_vec();
        let info = commit.group_info.as_slice().to_vec();
        let answer = self.submit(world, device, Body::Commit(commit));
        if answer.is_ok() {
            self.group_info = info;
            let (generation, tree) = (self.membership().generation, self.replica.tree());
            self.sent.push(Sent { generation, epoch, mls, author: device.id(), welcome, tree });
        } else {
            self.with_group(device, |g| g.clear_pending_commit(device.provider.storage()).unwrap());
        }
        answer
    }

    /// An external commit by `device`; its new group replaces the old one only if it is accepted.
    pub fn external(&mut self, world: &World, device: &Device, with: CredentialWithKey) -> Result<(), Refusal> {
        let (group, commit) = self.external_commit(device, with);
        let (generation, epoch) = (self.membership().generation, self.state().epoch);
        let mls = commit.mls.as_slice().to_vec();
        let info = commit.group_info.as_slice().to_vec();
        self.submit(world, device, Body::Commit(commit))?;
        self.group_info = info;
        let id = group.group_id().as_slice().to_vec();
        device.groups.borrow_mut().insert(id, group);
        self.sent.push(Sent { generation, epoch, mls, author: device.id(), welcome: None, tree: self.replica.tree() });
        Ok(())
    }

    pub fn external_commit(&self, device: &Device, with: CredentialWithKey) -> (MlsGroup, Commit) {
        let message = MlsMessageIn::tls_deserialize_exact(&self.group_info).unwrap();
        let MlsMessageBodyIn::GroupInfo(info) = message.extract() else { panic!("no group info") };
        let (group, bundle) = MlsGroup::external_commit_builder()
            .with_ratchet_tree(self.replica.tree().into())
            .with_config(join_config())
            .skip_lifetime_validation()
            .build_group(&device.provider, info, with)
            .unwrap()
            .leaf_node_parameters(LeafNodeParameters::builder().with_capabilities(capabilities()).build())
            .load_psks(device.provider.storage())
            .unwrap()
            .create_group_info(true)
            .build(device.provider.rand(), device.provider.crypto(), device, |_| true)
            .unwrap()
            .finalize(&device.provider)
            .unwrap();
        let (mls, _, info) = bundle.into_messages();
        let commit = Commit {
            mls: mls.tls_serialize_detached().unwrap().into(),
            group_info: info.unwrap().tls_serialize_detached().unwrap().into(),
            link: None,
            check: Hash([4; 32]),
            welcome: None,
            vouchers: vec![],
            handover: None,
        };
        (group, commit)
    }
}

fn follow(device: &Device, group: &mut MlsGroup, sent: &Sent) {
    if sent.author == device.id() && group.pending_commit().is_some() {
        group.merge_pending_commit(&device.provider).unwrap();
        return;
    }
    if group.pending_commit().is_some() {
        group.clear_pending_commit(device.provider.storage()).unwrap();
    }
    let message = MlsMessageIn::tls_deserialize_exact(&sent.mls).unwrap().try_into_protocol_message().unwrap();
    let processed = group.process_message(&device.provider, message).unwrap();
    let ProcessedMessageContent::StagedCommitMessage(staged) = processed.into_content() else { panic!("no commit") };
    group.merge_staged_commit(&device.provider, *staged).unwrap();
}

fn join(device: &Device, sent: &Sent) -> Option<MlsGroup> {
    let message = MlsMessageIn::tls_deserialize_exact(sent.welcome.as_ref()?).unwrap();
    let MlsMessageBodyIn::Welcome(welcome) = message.extract() else { panic!("no Welcome") };
    let staged = StagedWelcome::build_from_welcome(&device.provider, &join_config(), welcome).ok()?;
    let staged = staged.with_ratchet_tree(sent.tree.clone().into()).skip_lifetime_validation().build().ok()?;
    staged.into_group(&device.provider).ok()
}
