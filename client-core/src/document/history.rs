//! What is known of the changes already in a document: who made which object, which change came last from each actor, which operation
//! wrote which field. Kept beside Automerge, because the gate and the rules ask for it with every change, thousands at a time.

use std::collections::HashMap;

use automerge::{ActorId, Change, ChangeHash, legacy};

/// Bytes of every actor id in a document of ours.
pub const ACTOR_BYTES: usize = 24;

/// An operation: its counter and its actor.
pub type Op = (u64, [u8; ACTOR_BYTES]);

/// Where an object hangs: in which section, and which entry it is (none: the section itself).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub section: usize,
    pub entry: Option<String>,
}

/// The last change of an actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Last {
    pub sequence: u64,
    pub hash: ChangeHash,
}

/// The facts of all changes in a document.
#[derive(Debug, Default, PartialEq)]
pub struct History {
    last: HashMap<ActorId, Last>,
    /// Every change with the counter of its last operation.
    changes: HashMap<ChangeHash, u64>,
    objects: HashMap<Op, Place>,
    /// Who wrote a late field: the entry's or section's object, and the field.
    late: HashMap<Op, (Op, &'static str)>,
    max_op: u64,
}

/// What one change adds; it can be taken back.
#[derive(Debug)]
pub struct Addition {
    pub hash: ChangeHash,
    pub actor: ActorId,
    pub sequence: u64,
    pub max_op: u64,
    pub objects: Vec<(Op, Place)>,
    pub late: Vec<(Op, (Op, &'static str))>,
}

/// What taking back needs to know.
#[derive(Debug)]
pub struct Undo {
    addition: Addition,
    last: Option<Last>,
    max_op: u64,
}

/// The operation that an id names; none under an actor of another shape than ours.
#[must_use]
pub fn op(id: &legacy::OpId) -> Option<Op> {
    op_at(id.counter(), id.actor())
}

/// The operation of this counter and actor.
#[must_use]
pub fn op_at(counter: u64, actor: &ActorId) -> Option<Op> {
    Some((counter, actor.to_bytes().try_into().ok()?))
}

/// The counter of a change's last operation; an empty change ends before it begins.
#[must_use]
pub fn last_op(change: &Change) -> u64 {
    (change.start_op().get() - 1).saturating_add(change.len() as u64)
}

impl Addition {
    /// What follows from a change itself; objects and fields are added by who reads its operations.
    #[must_use]
    pub fn of(change: &Change) -> Self {
        Self {
            hash: change.hash(),
            actor: change.actor_id().clone(),
            sequence: change.seq(),
            max_op: last_op(change),
            objects: Vec::new(),
            late: Vec::new(),
        }
    }
}

impl History {
    /// Adds what a change brings.
    pub fn add(&mut self, addition: Addition) -> Undo {
        let last = self.last.insert(addition.actor.clone(), Last { sequence: addition.sequence, hash: addition.hash });
        self.changes.insert(addition.hash, addition.max_op);
        self.objects.extend(addition.objects.iter().cloned());
        self.late.extend(addition.late.iter().copied());
        let max_op = self.max_op;
        self.max_op = max_op.max(addition.max_op);
        Undo { addition, last, max_op }
    }

    /// Takes the newest addition back.
    pub fn take_back(&mut self, undo: Undo) {
        let addition = undo.addition;
        match undo.last {
            Some(last) => self.last.insert(addition.actor, last),
            None => self.last.remove(&addition.actor),
        };
        self.changes.remove(&addition.hash);
        for (op, _) in &addition.objects {
            self.objects.remove(op);
        }
        for (op, _) in &addition.late {
            self.late.remove(op);
        }
        self.max_op = undo.max_op;
    }
}

/// A layer of one's own pending changes above what is accepted, so that own edits are judged as others will judge them. What has been
/// accepted meanwhile stays in both layers; they then say the same.
#[derive(Debug)]
pub struct Layered<'a, T> {
    pub accepted: &'a T,
    pub pending: Option<&'a T>,
}

impl<'a, T> Layered<'a, T> {
    /// The accepted layer alone.
    #[must_use]
    pub fn accepted(accepted: &'a T) -> Self {
        Self { accepted, pending: None }
    }

    pub(super) fn find<V>(&self, look: impl Fn(&'a T) -> Option<V>) -> Option<V> {
        look(self.accepted).or_else(|| self.pending.and_then(look))
    }
}

impl<'a> Layered<'a, History> {
    #[must_use]
    pub fn contains(&self, hash: &ChangeHash) -> bool {
        self.max_op_of(hash).is_some()
    }

    /// The counter of a change's last operation.
    #[must_use]
    pub fn max_op_of(&self, hash: &ChangeHash) -> Option<u64> {
        self.find(|history| history.changes.get(hash).copied())
    }

    /// The last change of an actor, pending or accepted.
    #[must_use]
    pub fn last(&self, actor: &ActorId) -> Option<Last> {
        let pending = self.pending.and_then(|history| history.last.get(actor));
        pending.into_iter().chain(self.accepted.last.get(actor)).max_by_key(|last| last.sequence).copied()
    }

    #[must_use]
    pub fn place(&self, object: Op) -> Option<&'a Place> {
        self.find(|history| history.objects.get(&object))
    }

    /// Which field the operation wrote, if it was a late one.
    #[must_use]
    pub fn late(&self, op: Op) -> Option<(Op, &'static str)> {
        self.find(|history| history.late.get(&op).copied())
    }

    #[must_use]
    pub fn max_op(&self) -> u64 {
        self.accepted.max_op.max(self.pending.map_or(0, |history| history.max_op))
    }
}
