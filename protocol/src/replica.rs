//! A scope as anyone can follow it without keys: facts ([`ScopeState`]) and the public MLS group.
//! [`Replica::judge`] is **the accept rule**: the server asks it on submit, every client on reading,
//! `audit verify` on replay. What was judged can be applied, and nothing else can.

use crate::codec::{Malformed, TlsDeserialize, TlsSerialize, TlsSize, VLBytes, decode, encode};
use crate::commit_view::{CommitView, Leaf};
use crate::event::{Body, Event, Position, Receipt, Record};
use crate::group::{check_group_info, open_group};
pub use crate::group::{claimed_membership, group_id};
use crate::ids::{Hash, Millis, Municipality, PersonId, PublicKey};
use crate::limits;
use crate::membership::ScopeKind;
use crate::policy;
use crate::policy::{Context, MlsView};
use crate::refusal::Refusal;
use crate::signed::Signed;
use crate::state::ScopeState;
use openmls::group::PublicGroup;
use openmls::prelude::{MlsMessageIn, ProcessedMessageContent, ProtocolMessage, StagedCommit};
use openmls_rust_crypto::{MemoryStorage, RustCrypto};

/// Facts and public group of one scope.
pub struct Replica {
    state: ScopeState,
    group: PublicGroup,
    storage: MemoryStorage,
}

impl std::fmt::Debug for Replica {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Replica({:?} at {})", self.state.scope(), self.state.position.seq)
    }
}

/// A record that may enter the chain, and what it makes of the scope.
#[derive(Debug)]
pub struct Judged {
    record: Record,
    event: Event,
    author: PublicKey,
    head: Hash,
    effect: Effect,
}

#[derive(Debug)]
enum Effect {
    /// A change touches its author's counter only.
    Change,
    State(Box<ScopeState>),
    Commit(Box<ScopeState>, Box<StagedCommit>),
    Founded(Box<(ScopeState, PublicGroup, MemoryStorage)>),
}

impl Judged {
    pub fn record(&self) -> &Record {
        &self.record
    }
    pub fn event(&self) -> &Event {
        &self.event
    }
    /// The verified author's device key.
    pub fn author(&self) -> &PublicKey {
        &self.author
    }
    /// The chain's head once this is applied.
    pub fn position(&self) -> Position {
        Position { seq: self.record.seq, head: self.head }
    }
    /// Whether facts change beyond counter and position: then a snapshot must be written anew.
    pub fn changes_facts(&self) -> bool {
        !matches!(self.effect, Effect::Change)
    }
    /// The facts after it, where they change.
    pub fn next_state(&self) -> Option<&ScopeState> {
        match &self.effect {
            Effect::Change => None,
            Effect::State(state) | Effect::Commit(state, _) => Some(state),
            Effect::Founded(founded) => Some(&founded.0),
        }
    }
}

/// Founds the replica of a scope from its first record.
pub fn found(record: Record, context: &Context<'_>) -> Result<(Replica, Judged), Refusal> {
    let judged = judge_genesis(record, context)?;
    let Judged { record, event, author, head, effect: Effect::Founded(founded) } = judged else {
        return Err(Refusal::Malformed);
    };
    let (state, group, storage) = *founded;
    let mut replica = Replica { state, group, storage };
    let judged = Judged { record, event, author, head, effect: Effect::Change };
    replica.advance(&judged);
    Ok((replica, judged))
}

fn judge_genesis(record: Record, context: &Context<'_>) -> Result<Judged, Refusal> {
    let event = read(&record)?;
    let Body::Genesis(genesis) = &event.body else { return Err(Refusal::UnknownScope) };
    if record.seq != 1 || event.seen != Position::default() {
        return Err(Refusal::ChainBroken);
    }
    let (group, storage, membership, leaf) = open_group(&event, genesis)?;
    verify(&record, &leaf.key, &event)?;
    let state = policy::found(context, &event, &membership, &leaf)?;
    let head = record.head_after(&Hash::default());
    let author = leaf.key;
    Ok(Judged { record, event, author, head, effect: Effect::Founded(Box::new((state, group, storage))) })
}

/// The home that a scope's first record names, for whoever reads a chain that has moved since.
pub fn first_home(record: &Record) -> Result<Municipality, Refusal> {
    first_standing(record).map(|(home, _)| home)
}

/// The same with the home epoch under which it began.
pub fn first_standing(record: &Record) -> Result<(Municipality, u32), Refusal> {
    let event = read(record)?;
    let Body::Genesis(genesis) = &event.body else { return Err(Refusal::UnknownScope) };
    let membership = open_group(&event, genesis)?.2;
    Ok((membership.home, membership.home_epoch))
}

fn verify(record: &Record, key: &PublicKey, event: &Event) -> Result<(), Refusal> {
    let verified = record.event.verify(key).map_err(|_| Refusal::BadSignature)?;
    if verified == *event { Ok(()) } else { Err(Refusal::BadSignature) }
}

/// Reads an event, within what its kind may weigh.
fn read(record: &Record) -> Result<Event, Refusal> {
    let bytes = record.event.bytes().len();
    if bytes > limits::BUNDLE_BYTES {
        return Err(Refusal::TooLarge);
    }
    let event = record.event.peek().map_err(|_| Refusal::Malformed)?;
    let bound = match event.body {
        Body::Genesis(_) => limits::GENESIS_BYTES,
        Body::Commit(_) => limits::BUNDLE_BYTES,
        Body::Change(_) => limits::CHANGE_EVENT_BYTES.saturating_add(limits::EVENT_HEADER_BYTES),
        Body::Statement(_) => limits::STATEMENT_BYTES,
    };
    if bytes > bound { Err(Refusal::TooLarge) } else { Ok(event) }
}

/// What the author says to have seen must be on this very chain, as far as this party can tell.
fn check_seen(event: &Event, now: Position) -> Result<(), Refusal> {
    let other_head = event.seen.seq == now.seq && event.seen.head != now.head;
    let other_start = event.seen.seq == 0 && event.seen.head != Hash::default();
    if event.seen.seq > now.seq || other_head || other_start { Err(Refusal::ChainBroken) } else { Ok(()) }
}

impl Replica {
    pub fn state(&self) -> &ScopeState {
        &self.state
    }

    /// The municipality that certifies this member, as the leaf says.
    pub fn municipality_of(&self, person: PersonId) -> Option<Municipality> {
        let key = self.state.membership.member(person)?.devices.first()?;
        let leaf = self.group.members().find(|m| m.signature_key == key).and_then(|m| self.group.leaf(m.index))?;
        Some(Leaf::of(leaf).ok()?.credential.person.peek().ok()?.municipality)
    }

    /// The present ratchet tree, for a join or resync.
    pub fn tree(&self) -> openmls::treesync::RatchetTree {
        self.group.export_ratchet_tree()
    }

    /// Judges the next record. Nothing is altered.
    pub fn judge(&self, record: Record, context: &Context<'_>) -> Result<Judged, Refusal> {
        if self.state.position.seq.checked_add(1) != Some(record.seq) {
            return Err(Refusal::ChainBroken);
        }
        if record.time < self.state.time || record.time != context.now {
            return Err(Refusal::TimeBackwards);
        }
        let event = read(&record)?;
        let author = policy::author(&self.state, context, &event)?;
        verify(&record, &author.key, &event)?;
        check_seen(&event, self.state.position)?;
        let head = record.head_after(&self.state.position.head);
        let effect = self.effect(&event, record.event.bytes().len(), context)?;
        Ok(Judged { record, event, author: author.key, head, effect })
    }

    fn effect(&self, event: &Event, record_bytes: usize, context: &Context<'_>) -> Result<Effect, Refusal> {
        match &event.body {
            Body::Change(change) if change.attachments.is_empty() => {
                policy::decide_change(&self.state, context, event, change).map(|_| Effect::Change)
            }
            Body::Change(_) | Body::Statement(_) => {
                policy::decide(&self.state, context, event, &MlsView::None).map(|s| Effect::State(Box::new(s)))
            }
            Body::Commit(commit) => {
                if event.epoch != self.state.epoch {
                    return Err(Refusal::WrongEpoch);
                }
                let in_log = !matches!(self.state.kind(), ScopeKind::Unit | ScopeKind::Personal);
                if in_log && record_bytes > limits::LOG_COMMIT_BYTES {
                    return Err(Refusal::TooLarge);
                }
                let (view, staged) = self.stage(commit.mls.as_slice())?;
                check_group_info(commit.group_info.as_slice(), &staged)?;
                let next = policy::decide(&self.state, context, event, &MlsView::Commit(view))?;
                Ok(Effect::Commit(Box::new(next), Box::new(staged)))
            }
            Body::Genesis(genesis) => {
                let (group, storage, membership, leaf) = open_group(event, genesis)?;
                let next = policy::decide(&self.state, context, event, &MlsView::Genesis(membership, leaf))?;
                Ok(Effect::Founded(Box::new((next, group, storage))))
            }
        }
    }

    fn stage(&self, mls: &[u8]) -> Result<(CommitView, StagedCommit), Refusal> {
        use tls_codec::Deserialize as _;
        let message = MlsMessageIn::tls_deserialize_exact(mls).map_err(|_| Refusal::MlsRefused)?;
        let message: ProtocolMessage = message.try_into_protocol_message().map_err(|_| Refusal::MlsRefused)?;
        let processed = self.group.process_message(&RustCrypto::default(), message).map_err(|_| Refusal::MlsRefused)?;
        let sender = processed.sender().clone();
        let ProcessedMessageContent::StagedCommitMessage(staged) = processed.into_content() else {
            return Err(Refusal::MlsRefused);
        };
        let view = CommitView::of(&self.group, &sender, &staged)?;
        Ok((view, *staged))
    }

    /// Applies what [`Replica::judge`] of this very replica allowed.
    pub fn apply(&mut self, judged: Judged) -> Result<Record, Refusal> {
        if self.state.position.seq.checked_add(1) != Some(judged.record.seq) {
            return Err(Refusal::ChainBroken);
        }
        let Judged { record, event, author, head, effect } = judged;
        let rest = Judged { record, event, author, head, effect: Effect::Change };
        match effect {
            Effect::Change => {}
            Effect::State(state) => self.state = *state,
            Effect::Commit(state, staged) => {
                self.group.merge_commit(&self.storage, *staged).map_err(|_| Refusal::MlsRefused)?;
                self.state = *state;
            }
            Effect::Founded(founded) => (self.state, self.group, self.storage) = *founded,
        }
        self.advance(&rest);
        Ok(rest.record)
    }

    fn advance(&mut self, judged: &Judged) {
        self.state.position = judged.position();
        self.state.time = judged.record.time;
        self.state.counter_mut(judged.event.device).last = judged.event.counter;
    }

    /// Judges and applies.
    pub fn take(&mut self, record: Record, context: &Context<'_>) -> Result<Record, Refusal> {
        let judged = self.judge(record, context)?;
        self.apply(judged)
    }

    /// What [`Replica::signer`] signs for the present position.
    pub fn receipt(&self) -> Receipt {
        let (_, home_epoch) = self.state.home_at(self.state.position.seq);
        Receipt { scope: self.state.scope(), home_epoch, position: self.state.position, time: self.state.time }
    }

    /// Whose receipt the present position has: the home's, but for a commit that has just moved the scope,
    /// which is the old home's last word.
    pub fn signer(&self) -> Municipality {
        self.state.home_at(self.state.position.seq).0
    }

    /// Everything that a scope's next verdicts depend on, as one hash: whoever replayed the same records
    /// has the same.
    pub fn root(&self) -> Hash {
        crate::ids::hash("replica root", &[&encode(&self.state), &encode(&self.tree())])
    }

    /// The whole replica as bytes, to go on from without replay. Trusted storage only: the bytes are
    /// not verified again on [`Replica::restore`].
    pub fn snapshot(&self) -> Vec<u8> {
        let mut rows: Vec<Row> = self.storage.values.read().map_or_else(
            |_| vec![],
            |values| values.iter().map(|(k, v)| Row { key: k.clone().into(), value: v.clone().into() }).collect(),
        );
        rows.sort_by(|a, b| a.key.as_slice().cmp(b.key.as_slice()));
        let body = encode(&Snapshot { state: self.state.clone(), rows });
        encode(&Checked { sum: crate::ids::hash("replica snapshot", &[&body]), body: body.into() })
    }

    /// Back from [`Replica::snapshot`].
    pub fn restore(bytes: &[u8]) -> Result<Self, Malformed> {
        let broken = |why: &str| Malformed { what: "Replica", why: why.into() };
        let Checked { sum, body } = decode(bytes)?;
        // OpenMLS's storage panics on what it did not write: nothing else gets there.
        if sum != crate::ids::hash("replica snapshot", &[body.as_slice()]) {
            return Err(broken("damaged"));
        }
        let Snapshot { state, rows } = decode(body.as_slice())?;
        let storage = MemoryStorage::default();
        if let Ok(mut values) = storage.values.write() {
            values.extend(rows.into_iter().map(|row| (row.key.into(), row.value.into())));
        }
        let id = group_id(state.scope(), state.membership.generation);
        let group = PublicGroup::load(&storage, &id)
            .map_err(|_| broken("unreadable group"))?
            .ok_or_else(|| broken("no group"))?;
        Ok(Self { state, group, storage })
    }

    /// Facts and group that are known to belong together.
    pub(crate) fn of(state: ScopeState, group: PublicGroup, storage: MemoryStorage) -> Self {
        Self { state, group, storage }
    }

    /// This very group with facts that a member claims for the same epoch.
    pub fn ahead(&self, state: ScopeState) -> Result<Self, Malformed> {
        Ok(Self { state, ..Self::restore(&self.snapshot())? })
    }

    /// Puts counter and position forward to where the store says the chain stands: snapshots are
    /// rewritten only when facts change, changes in between touch these alone.
    pub fn fast_forward(
        &mut self,
        position: Position,
        time: Millis,
        counters: impl IntoIterator<Item = (crate::ids::DeviceId, u64)>,
    ) {
        self.state.position = position;
        self.state.time = time;
        for (device, last) in counters {
            self.state.counter_mut(device).last = last;
        }
    }

    /// Whether `receipt`, by [`Replica::signer`] with this key, stands for the present position.
    pub fn confirms(&self, receipt: &Signed<Receipt>, home_key: &PublicKey) -> Result<(), Refusal> {
        let receipt = receipt.verify(home_key).map_err(|_| Refusal::BadSignature)?;
        if receipt == self.receipt() { Ok(()) } else { Err(Refusal::ChainBroken) }
    }
}

#[derive(Debug, TlsSerialize, TlsDeserialize, TlsSize)]
struct Checked {
    sum: Hash,
    body: VLBytes,
}

#[derive(Debug, TlsSerialize, TlsDeserialize, TlsSize)]
struct Snapshot {
    state: ScopeState,
    rows: Vec<Row>,
}

#[derive(Debug, TlsSerialize, TlsDeserialize, TlsSize)]
struct Row {
    key: VLBytes,
    value: VLBytes,
}
