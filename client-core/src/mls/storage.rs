//! What OpenMLS keeps, as rows: a table of its own with marks, so that a step that fails half-way (a Welcome that does not open) is
//! rolled back and burns no key package (attacks M13). Values are MessagePack, since OpenMLS needs a self-describing format.

use std::sync::{Mutex, MutexGuard, PoisonError};

use openmls_traits::storage::{CURRENT_VERSION, StorageProvider, traits};
use serde::{Serialize, de::DeserializeOwned};

use crate::packed::{PackError, pack, unpack};
use crate::rows::{Mark, Row, Space, Table};

/// OpenMLS storage over a [`Table`]. The trait hands out `&self`, hence the lock; it is never held across a call to OpenMLS.
#[derive(Debug, Default)]
pub struct KvStorage {
    table: Mutex<Table>,
}

impl KvStorage {
    /// Storage that holds the saved rows.
    #[must_use]
    pub fn load(rows: impl IntoIterator<Item = Row>) -> Self {
        Self { table: Mutex::new(Table::load(rows)) }
    }

    /// The present point, for [`KvStorage::rollback`].
    #[must_use]
    pub fn mark(&self) -> Mark {
        self.table().mark()
    }

    /// Undoes what OpenMLS wrote after the mark. Any `MlsGroup` in memory is then ahead of its rows: load it again.
    pub fn rollback(&self, mark: Mark) {
        self.table().rollback(mark);
    }

    /// The rows to save, each once.
    #[must_use]
    pub fn take_dirty(&self) -> Vec<Row> {
        self.table().take_dirty()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // Every write below is a single insert or remove: a panic elsewhere cannot leave the table half-written.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, key: &[u8], value: &impl Serialize) -> Result<(), PackError> {
        let bytes = pack(value)?;
        self.table().write(Space::Mls, key, bytes);
        Ok(())
    }

    fn fetch<V: DeserializeOwned>(&self, key: &[u8]) -> Result<Option<V>, PackError> {
        let table = self.table();
        table.read(Space::Mls, key).map(unpack).transpose()
    }

    fn drop_row(&self, key: &[u8]) -> Result<(), PackError> {
        self.table().delete(Space::Mls, key);
        Ok(())
    }

    /// Lists are stored as a list of encoded items, so that items can be compared without knowing their type.
    fn list(&self, key: &[u8]) -> Result<Vec<Vec<u8>>, PackError> {
        Ok(self.fetch(key)?.unwrap_or_default())
    }

    fn append(&self, key: &[u8], value: &impl Serialize) -> Result<(), PackError> {
        let mut items = self.list(key)?;
        items.push(pack(value)?);
        self.put(key, &items)
    }

    fn items<V: DeserializeOwned>(&self, key: &[u8]) -> Result<Vec<V>, PackError> {
        self.list(key)?.into_iter().map(|item| unpack(&item)).collect()
    }
}

/// Kinds of values; the number is the first byte of the key and part of the stored format.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Kind {
    JoinConfig = 1,
    OwnLeafNodes,
    ProposalRefs,
    Proposal,
    Tree,
    TranscriptHash,
    Context,
    ConfirmationTag,
    GroupState,
    MessageSecrets,
    ResumptionPsks,
    OwnLeafIndex,
    EpochSecrets,
    SignatureKeys,
    EncryptionKeys,
    EpochEncryptionKeys,
    KeyPackage,
    Psk,
}

impl Kind {
    fn key(self, of: &impl Serialize) -> Result<Vec<u8>, PackError> {
        let mut key = vec![self as u8];
        key.extend(pack(of)?);
        Ok(key)
    }
}

const V: u16 = CURRENT_VERSION;

// Generic parameters are named like their traits and stand in the order of the trait's own declaration.
macro_rules! write_one {
    ($($name:ident<$($generic:ident),+>($key:ident, $value:ident) => $kind:ident;)*) => { $(
        fn $name<$($generic: traits::$generic<V>),+>(&self, key: &$key, value: &$value) -> Result<(), PackError> {
            self.put(&Kind::$kind.key(key)?, value)
        }
    )* };
}
macro_rules! read_one {
    ($($name:ident<$($generic:ident),+>($key:ident) -> $value:ident => $kind:ident;)*) => { $(
        fn $name<$($generic: traits::$generic<V>),+>(&self, key: &$key) -> Result<Option<$value>, PackError> {
            self.fetch(&Kind::$kind.key(key)?)
        }
    )* };
}
macro_rules! delete_one {
    ($($name:ident($key:ident) => $kind:ident;)*) => { $(
        fn $name<$key: traits::$key<V>>(&self, key: &$key) -> Result<(), PackError> {
            self.drop_row(&Kind::$kind.key(key)?)
        }
    )* };
}

impl StorageProvider<V> for KvStorage {
    type Error = PackError;

    write_one! {
        write_mls_join_config<GroupId, MlsGroupJoinConfig>(GroupId, MlsGroupJoinConfig) => JoinConfig;
        write_tree<GroupId, TreeSync>(GroupId, TreeSync) => Tree;
        write_interim_transcript_hash<GroupId, InterimTranscriptHash>(GroupId, InterimTranscriptHash) => TranscriptHash;
        write_context<GroupId, GroupContext>(GroupId, GroupContext) => Context;
        write_confirmation_tag<GroupId, ConfirmationTag>(GroupId, ConfirmationTag) => ConfirmationTag;
        write_group_state<GroupState, GroupId>(GroupId, GroupState) => GroupState;
        write_message_secrets<GroupId, MessageSecrets>(GroupId, MessageSecrets) => MessageSecrets;
        write_resumption_psk_store<GroupId, ResumptionPskStore>(GroupId, ResumptionPskStore) => ResumptionPsks;
        write_own_leaf_index<GroupId, LeafNodeIndex>(GroupId, LeafNodeIndex) => OwnLeafIndex;
        write_group_epoch_secrets<GroupId, GroupEpochSecrets>(GroupId, GroupEpochSecrets) => EpochSecrets;
        write_signature_key_pair<SignaturePublicKey, SignatureKeyPair>(SignaturePublicKey, SignatureKeyPair) => SignatureKeys;
        write_encryption_key_pair<EncryptionKey, HpkeKeyPair>(EncryptionKey, HpkeKeyPair) => EncryptionKeys;
        write_key_package<HashReference, KeyPackage>(HashReference, KeyPackage) => KeyPackage;
        write_psk<PskId, PskBundle>(PskId, PskBundle) => Psk;
    }

    read_one! {
        mls_group_join_config<GroupId, MlsGroupJoinConfig>(GroupId) -> MlsGroupJoinConfig => JoinConfig;
        tree<GroupId, TreeSync>(GroupId) -> TreeSync => Tree;
        group_context<GroupId, GroupContext>(GroupId) -> GroupContext => Context;
        interim_transcript_hash<GroupId, InterimTranscriptHash>(GroupId) -> InterimTranscriptHash => TranscriptHash;
        confirmation_tag<GroupId, ConfirmationTag>(GroupId) -> ConfirmationTag => ConfirmationTag;
        group_state<GroupState, GroupId>(GroupId) -> GroupState => GroupState;
        message_secrets<GroupId, MessageSecrets>(GroupId) -> MessageSecrets => MessageSecrets;
        resumption_psk_store<GroupId, ResumptionPskStore>(GroupId) -> ResumptionPskStore => ResumptionPsks;
        own_leaf_index<GroupId, LeafNodeIndex>(GroupId) -> LeafNodeIndex => OwnLeafIndex;
        group_epoch_secrets<GroupId, GroupEpochSecrets>(GroupId) -> GroupEpochSecrets => EpochSecrets;
        signature_key_pair<SignaturePublicKey, SignatureKeyPair>(SignaturePublicKey) -> SignatureKeyPair => SignatureKeys;
        encryption_key_pair<HpkeKeyPair, EncryptionKey>(EncryptionKey) -> HpkeKeyPair => EncryptionKeys;
        key_package<HashReference, KeyPackage>(HashReference) -> KeyPackage => KeyPackage;
        psk<PskBundle, PskId>(PskId) -> PskBundle => Psk;
    }

    delete_one! {
        delete_own_leaf_nodes(GroupId) => OwnLeafNodes;
        delete_group_config(GroupId) => JoinConfig;
        delete_tree(GroupId) => Tree;
        delete_confirmation_tag(GroupId) => ConfirmationTag;
        delete_group_state(GroupId) => GroupState;
        delete_context(GroupId) => Context;
        delete_interim_transcript_hash(GroupId) => TranscriptHash;
        delete_message_secrets(GroupId) => MessageSecrets;
        delete_all_resumption_psk_secrets(GroupId) => ResumptionPsks;
        delete_own_leaf_index(GroupId) => OwnLeafIndex;
        delete_group_epoch_secrets(GroupId) => EpochSecrets;
        delete_signature_key_pair(SignaturePublicKey) => SignatureKeys;
        delete_encryption_key_pair(EncryptionKey) => EncryptionKeys;
        delete_key_package(HashReference) => KeyPackage;
        delete_psk(PskId) => Psk;
    }

    fn append_own_leaf_node<GroupId: traits::GroupId<V>, LeafNode: traits::LeafNode<V>>(
        &self,
        id: &GroupId,
        leaf: &LeafNode,
    ) -> Result<(), PackError> {
        self.append(&Kind::OwnLeafNodes.key(id)?, leaf)
    }

    fn own_leaf_nodes<GroupId: traits::GroupId<V>, LeafNode: traits::LeafNode<V>>(
        &self,
        id: &GroupId,
    ) -> Result<Vec<LeafNode>, PackError> {
        self.items(&Kind::OwnLeafNodes.key(id)?)
    }

    fn queue_proposal<
        GroupId: traits::GroupId<V>,
        ProposalRef: traits::ProposalRef<V>,
        QueuedProposal: traits::QueuedProposal<V>,
    >(
        &self,
        id: &GroupId,
        reference: &ProposalRef,
        proposal: &QueuedProposal,
    ) -> Result<(), PackError> {
        self.put(&Kind::Proposal.key(&(id, reference))?, proposal)?;
        self.append(&Kind::ProposalRefs.key(id)?, reference)
    }

    fn queued_proposal_refs<GroupId: traits::GroupId<V>, ProposalRef: traits::ProposalRef<V>>(
        &self,
        id: &GroupId,
    ) -> Result<Vec<ProposalRef>, PackError> {
        self.items(&Kind::ProposalRefs.key(id)?)
    }

    fn queued_proposals<
        GroupId: traits::GroupId<V>,
        ProposalRef: traits::ProposalRef<V>,
        QueuedProposal: traits::QueuedProposal<V>,
    >(
        &self,
        id: &GroupId,
    ) -> Result<Vec<(ProposalRef, QueuedProposal)>, PackError> {
        let mut queue = Vec::new();
        for reference in self.items::<ProposalRef>(&Kind::ProposalRefs.key(id)?)? {
            if let Some(proposal) = self.fetch(&Kind::Proposal.key(&(id, &reference))?)? {
                queue.push((reference, proposal));
            }
        }
        Ok(queue)
    }

    fn remove_proposal<GroupId: traits::GroupId<V>, ProposalRef: traits::ProposalRef<V>>(
        &self,
        id: &GroupId,
        reference: &ProposalRef,
    ) -> Result<(), PackError> {
        let (list, gone) = (Kind::ProposalRefs.key(id)?, pack(reference)?);
        let rest: Vec<Vec<u8>> = self.list(&list)?.into_iter().filter(|item| *item != gone).collect();
        self.put(&list, &rest)?;
        self.drop_row(&Kind::Proposal.key(&(id, reference))?)
    }

    fn clear_proposal_queue<GroupId: traits::GroupId<V>, ProposalRef: traits::ProposalRef<V>>(
        &self,
        id: &GroupId,
    ) -> Result<(), PackError> {
        for reference in self.items::<ProposalRef>(&Kind::ProposalRefs.key(id)?)? {
            self.drop_row(&Kind::Proposal.key(&(id, reference))?)?;
        }
        self.drop_row(&Kind::ProposalRefs.key(id)?)
    }

    fn write_encryption_epoch_key_pairs<
        GroupId: traits::GroupId<V>,
        EpochKey: traits::EpochKey<V>,
        HpkeKeyPair: traits::HpkeKeyPair<V>,
    >(
        &self,
        id: &GroupId,
        epoch: &EpochKey,
        leaf_index: u32,
        key_pairs: &[HpkeKeyPair],
    ) -> Result<(), PackError> {
        self.put(&Kind::EpochEncryptionKeys.key(&(id, epoch, leaf_index))?, &key_pairs)
    }

    fn encryption_epoch_key_pairs<
        GroupId: traits::GroupId<V>,
        EpochKey: traits::EpochKey<V>,
        HpkeKeyPair: traits::HpkeKeyPair<V>,
    >(
        &self,
        id: &GroupId,
        epoch: &EpochKey,
        leaf_index: u32,
    ) -> Result<Vec<HpkeKeyPair>, PackError> {
        Ok(self.fetch(&Kind::EpochEncryptionKeys.key(&(id, epoch, leaf_index))?)?.unwrap_or_default())
    }

    fn delete_encryption_epoch_key_pairs<GroupId: traits::GroupId<V>, EpochKey: traits::EpochKey<V>>(
        &self,
        id: &GroupId,
        epoch: &EpochKey,
        leaf_index: u32,
    ) -> Result<(), PackError> {
        self.drop_row(&Kind::EpochEncryptionKeys.key(&(id, epoch, leaf_index))?)
    }
}
