//! A scope's document as its owner works on it: what is accepted, and one's own edits on a fork of it until the home has receipted
//! them. Writing goes on without a net; a refused edit is kept as a draft.

use std::collections::{HashSet, VecDeque};

use automerge::transaction::{CommitOptions, Transaction};
use automerge::{Automerge, AutomergeError, Change, ScalarValue};
use stafett_protocol::ids::{DeviceId, Millis, PersonId};
use stafett_protocol::limits::{CHANGE_OPERATIONS, DOCUMENT_LAST_OPERATION};
use stafett_protocol::membership::{Role, ScopeKind};

use super::accepted::{Accepted, Known, Outcome, Quarantined, Received, Step, Stopped, guarded, judge};
use super::facts::{Facts, NewFacts};
use super::gate::{Incarnation, actor_id};
use super::history::{History, Layered};
use super::reason::Reason;
use super::rules::Writer;
use super::stored::Unsaved;
use super::{gate, outline, touch};

/// Who edits on this device.
#[derive(Debug, Clone, Copy)]
pub struct Editor {
    pub person: PersonId,
    pub device: DeviceId,
    pub role: Role,
    pub now_ms: Millis,
    /// Fresh random bytes; used when the device starts a new line of changes.
    pub fresh: Incarnation,
}

/// Why an edit was not made.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// The rules that everybody else will apply.
    #[error("not allowed: {0}")]
    Refused(Reason),
    #[error("the edit changes nothing")]
    Nothing,
    #[error("the document cannot be edited so: {0}")]
    Document(#[from] AutomergeError),
}

/// An edit of one's own that the home has not receipted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    pub hash: [u8; 32],
    pub device: DeviceId,
    pub bytes: Vec<u8>,
    /// What it adds to the facts, as far as known before its receipt.
    pub(super) facts: NewFacts,
    /// The row that holds it.
    pub(super) row: u64,
}

impl Pending {
    /// Operations in it; those of an event are counted together.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.facts.brought.as_ref().map_or(0, |brought| brought.size.operations)
    }
}

/// A refused edit, kept for its author.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    pub hash: [u8; 32],
    pub bytes: Vec<u8>,
    /// What it wrote, in plain: the place (`measures/<id>/text`) and the value.
    pub lines: Vec<(String, String)>,
}

/// Pending edits as they look to the next one.
#[derive(Debug, Default)]
pub(super) struct Fork {
    pub(super) document: Automerge,
    pub(super) history: History,
    facts: Facts,
}

/// What a delivery did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    /// One for each change, in the order given.
    pub outcomes: Vec<Outcome>,
    pub quarantined: Vec<Quarantined>,
    /// Section and key of every new entry.
    pub entries: Vec<(String, String)>,
    /// Own edits that fell with a quarantined one.
    pub drafts: Vec<Draft>,
}

/// The document of a scope on this device.
#[derive(Debug)]
pub struct Document {
    pub(super) accepted: Accepted,
    pub(super) pending: VecDeque<Pending>,
    fork: Option<Fork>,
    line: Option<Incarnation>,
    pub(super) unsaved: Unsaved,
}

impl Document {
    /// An empty document of a kind.
    pub fn new(kind: ScopeKind) -> Result<Self, Stopped> {
        Ok(Self::from_parts(Accepted::new(kind)?, VecDeque::new()))
    }

    pub(super) fn from_parts(accepted: Accepted, pending: VecDeque<Pending>) -> Self {
        let unsaved = Unsaved::after(pending.back().map_or(0, |last| last.row + 1));
        Self { accepted, pending, fork: None, line: None, unsaved }
    }

    /// Makes the fork for pending edits that were read from rows.
    pub(super) fn restore_fork(&mut self) -> Result<(), Stopped> {
        if !self.pending.is_empty() {
            self.fork = Some(self.make_fork()?);
        }
        Ok(())
    }

    #[must_use]
    pub fn kind(&self) -> ScopeKind {
        self.accepted.kind
    }

    #[must_use]
    pub fn accepted(&self) -> &Accepted {
        &self.accepted
    }

    /// One's own edits that wait for a receipt, oldest first.
    pub fn pending(&self) -> impl ExactSizeIterator<Item = &Pending> {
        self.pending.iter()
    }

    /// The document as it is shown: with one's own pending edits.
    #[must_use]
    pub fn shown(&self) -> &Automerge {
        self.fork.as_ref().map_or(&self.accepted.document, |fork| &fork.document)
    }

    /// Edits the document and answers the change to send. An edit that the rules do not allow leaves no trace.
    pub fn edit<T>(
        &mut self,
        editor: &Editor,
        edit: impl FnOnce(&mut Transaction<'_>) -> Result<T, AutomergeError>,
    ) -> Result<(T, Vec<u8>), EditError> {
        let line = *self.line.get_or_insert(editor.fresh);
        let mut fork = match self.fork.take() {
            Some(fork) => fork,
            None => self.make_fork()?,
        };
        // The library panics where numbers run out, and on a document that somebody has brought out of joint.
        let made = guarded(|| {
            fork.document.set_actor(actor_id(editor.device, line));
            self.edit_fork(&mut fork, editor, edit)
        });
        match made.unwrap_or_else(|stopped| Err(stopped.into())) {
            Ok((value, change, facts)) => {
                self.fork = Some(fork);
                let (hash, bytes) = (change.hash().0, change.raw_bytes().to_vec());
                let row = self.unsaved.next_row();
                self.pending.push_back(Pending { hash, device: editor.device, bytes: bytes.clone(), facts, row });
                Ok((value, bytes))
            }
            Err(error) => {
                // The fork may hold a change that must not be: make it anew.
                self.restore_fork()?;
                Err(error)
            }
        }
    }

    /// The accepted document with the pending edits on top.
    fn make_fork(&mut self) -> Result<Fork, Stopped> {
        self.accepted.read_history_once()?;
        let mut fork = Fork { document: self.accepted.document.fork(), ..Fork::default() };
        for pending in &self.pending {
            let change = guarded(|| Change::from_bytes(pending.bytes.clone()))?.map_err(|_| Stopped)?;
            let expanded = guarded(|| change.decode())?;
            let layers = Layered { accepted: self.accepted.history().ok_or(Stopped)?, pending: Some(&fork.history) };
            let (_, addition) = touch::read(self.accepted.kind, &change, &expanded, &layers).map_err(|_| Stopped)?;
            fork.history.add(addition);
            fork.facts.add(&pending.facts);
            guarded(|| fork.document.apply_changes([change]))?.map_err(|_| Stopped)?;
        }
        Ok(fork)
    }

    fn edit_fork<T>(
        &mut self,
        fork: &mut Fork,
        editor: &Editor,
        edit: impl FnOnce(&mut Transaction<'_>) -> Result<T, AutomergeError>,
    ) -> Result<(T, Change, NewFacts), EditError> {
        let numbered =
            Layered { accepted: self.accepted.history().ok_or(Stopped)?, pending: Some(&fork.history) }.max_op();
        if numbered.saturating_add(CHANGE_OPERATIONS as u64) > DOCUMENT_LAST_OPERATION {
            return Err(EditError::Refused(Reason::Room));
        }
        let mut transaction = fork.document.transaction();
        let value = match edit(&mut transaction) {
            Ok(value) => value,
            Err(error) => {
                transaction.rollback();
                return Err(error.into());
            }
        };
        let seconds = i64::try_from(editor.now_ms / 1000).unwrap_or(i64::MAX);
        let (made, _) = transaction.commit_with(CommitOptions::default().with_time(seconds));
        made.ok_or(EditError::Nothing)?;
        let change = fork.document.get_last_local_change().ok_or(EditError::Nothing)?;
        let facts = self.judge_own(fork, editor, &change)?;
        Ok((value, change, facts))
    }

    pub(super) fn take_fork(&mut self) -> Result<Fork, Stopped> {
        match self.fork.take() {
            Some(fork) => Ok(fork),
            None => self.make_fork(),
        }
    }

    pub(super) fn put_fork(&mut self, fork: Fork) {
        self.fork = Some(fork);
    }

    /// The accepted part is another: the next edit begins a new line of changes.
    pub(super) fn restart(&mut self) {
        (self.fork, self.line) = (None, None);
    }

    pub(super) fn draft_of(&self, hash: [u8; 32], bytes: Vec<u8>) -> Draft {
        let history = self
            .accepted
            .history()
            .map(|accepted| Layered { accepted, pending: self.fork.as_ref().map(|f| &f.history) });
        let lines = history.and_then(|known| plain_lines(self.accepted.kind, &bytes, &known));
        Draft { hash, bytes, lines: lines.unwrap_or_default() }
    }

    /// Section and key of every entry that is accepted.
    pub fn entry_names(&self) -> impl Iterator<Item = (&str, &str)> {
        self.accepted.facts.names()
    }

    /// Judges one's own change as others will, and lets the fork's layers know it.
    pub(super) fn judge_own(
        &mut self,
        fork: &mut Fork,
        editor: &Editor,
        change: &Change,
    ) -> Result<NewFacts, EditError> {
        outline::scan(change.raw_bytes()).map_err(EditError::Refused)?;
        let writer = Writer { person: editor.person, role: editor.role, received_ms: editor.now_ms, event: u64::MAX };
        let known = Known {
            kind: self.accepted.kind,
            history: Layered { accepted: self.accepted.history().ok_or(Stopped)?, pending: Some(&fork.history) },
            facts: Layered { accepted: &self.accepted.facts, pending: Some(&fork.facts) },
        };
        gate::check(change, change.raw_bytes(), editor.device, &known.history).map_err(EditError::Refused)?;
        let place = u32::try_from(self.pending.len()).unwrap_or(u32::MAX);
        let (_, addition, new) = judge(change, &writer, place, &known).map_err(EditError::Refused)?;
        fork.history.add(addition);
        fork.facts.add(&new);
        Ok(new)
    }

    /// Takes in receipted events, one's own among them.
    pub fn accept(&mut self, events: &[Received]) -> Result<Delivered, Stopped> {
        let step = self.accepted.accept(events)?;
        self.settle(&step);
        let refused = refused(events, &step.outcomes);
        let fell = |pending: &Pending| refused.contains(&(pending.device, pending.hash));
        let drafts = match self.pending.iter().position(fell) {
            Some(first) => self.drop_from(first)?,
            None => Vec::new(),
        };
        if self.pending.is_empty() {
            // If only one's own edits arrived, the fork is the accepted document: it serves the next edit.
            let same = |fork: &Fork| fork.document.get_heads() == self.accepted.document.get_heads();
            let kept = self.fork.take().filter(same);
            self.fork = kept.map(|fork| Fork { document: fork.document, ..Fork::default() });
        } else if let Some(fork) = self.fork.as_mut() {
            guarded(|| fork.document.apply_changes(step.applied.iter().cloned()))?.map_err(|_| Stopped)?;
        }
        let entries = step.facts.iter().flat_map(|new| &new.entries).map(|(s, k, _)| (s.clone(), k.clone())).collect();
        let delivered =
            Delivered { outcomes: step.outcomes.clone(), quarantined: step.quarantined.clone(), entries, drafts };
        self.unsaved.steps.push(step);
        Ok(delivered)
    }

    /// Pending edits that are now in the document wait no longer.
    fn settle(&mut self, step: &Step) {
        let arrived: HashSet<[u8; 32]> = step
            .outcomes
            .iter()
            .filter_map(|outcome| match outcome {
                Outcome::Applied(hash) | Outcome::Known(hash) => Some(*hash),
                Outcome::Quarantined(_) => None,
            })
            .collect();
        for pending in self.pending.iter().filter(|pending| arrived.contains(&pending.hash)) {
            self.unsaved.dropped.push(pending.row);
            if let (Some(fork), Some(brought)) = (self.fork.as_mut(), &pending.facts.brought) {
                fork.facts.release(brought);
            }
        }
        self.pending.retain(|pending| !arrived.contains(&pending.hash));
    }

    /// Gives up a pending edit that the home refused, and all that follow it; they become drafts.
    pub fn refuse(&mut self, hash: &[u8; 32]) -> Result<Vec<Draft>, Stopped> {
        let Some(first) = self.pending.iter().position(|pending| pending.hash == *hash) else {
            return Ok(Vec::new());
        };
        self.drop_from(first)
    }

    fn drop_from(&mut self, first: usize) -> Result<Vec<Draft>, Stopped> {
        // The next edit must not look like another version of the one that was refused: a new line of changes.
        self.line = None;
        let fork = self.fork.take();
        let dropped = self.pending.split_off(first);
        self.unsaved.dropped.extend(dropped.iter().map(|pending| pending.row));
        let history =
            self.accepted.history().map(|accepted| Layered { accepted, pending: fork.as_ref().map(|f| &f.history) });
        let drafts = dropped
            .into_iter()
            .map(|pending| {
                let lines = history.as_ref().and_then(|known| plain_lines(self.accepted.kind, &pending.bytes, known));
                Draft { hash: pending.hash, bytes: pending.bytes, lines: lines.unwrap_or_default() }
            })
            .collect();
        if self.restore_fork().is_err() {
            // The words are their writer's all the same.
            self.fork = None;
        }
        Ok(drafts)
    }
}

/// Which changes of which devices stay out.
fn refused(events: &[Received], outcomes: &[Outcome]) -> HashSet<(DeviceId, [u8; 32])> {
    let changes = events.iter().flat_map(|event| event.changes.iter().map(|bytes| (event.device, bytes)));
    let out = changes.zip(outcomes).filter(|(_, outcome)| matches!(outcome, Outcome::Quarantined(_)));
    out.map(|((device, bytes), _)| (device, crate::seal::change_hash(bytes))).collect()
}

/// What a change wrote, in plain.
fn plain_lines(kind: ScopeKind, bytes: &[u8], known: &Layered<'_, History>) -> Option<Vec<(String, String)>> {
    let change = guarded(|| Change::from_bytes(bytes.to_vec())).ok()?.ok()?;
    let expanded = guarded(|| change.decode()).ok()?;
    let (touch, _) = touch::read(kind, &change, &expanded, known).ok()?;
    let entries = touch.entries.iter().flat_map(|entry| {
        let under = [entry.section.name, "/", &entry.key, "/"].concat();
        entry.fields.iter().map(move |(field, value)| (under.clone() + field.name, plain(value)))
    });
    let writes = touch.writes.iter().map(|write| {
        let entry = write.entry.as_ref().map_or_else(String::new, |key| ["/", key].concat());
        ([write.section.name, &entry, "/", write.field.name].concat(), plain(&write.value))
    });
    let mut lines: Vec<(String, String)> = vec![];
    for (place, value) in entries.chain(writes) {
        // A choice between texts is written in two steps: the last one is what was said.
        lines.retain(|(before, _)| *before != place);
        lines.push((place, value));
    }
    Some(lines)
}

fn plain(value: &ScalarValue) -> String {
    match value {
        ScalarValue::Str(text) => text.to_string(),
        other => other.to_string(),
    }
}
