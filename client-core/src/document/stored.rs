//! A document in the client's rows: the compacted document, the steps taken since, and the pending edits. A live edit writes one small
//! row; after many steps the document is written anew as a whole.

use std::collections::VecDeque;

use automerge::{Automerge, Change};
use serde::{Deserialize, Serialize};
use stafett_protocol::ids::DeviceId;
use stafett_protocol::membership::ScopeKind;

use super::accepted::{Accepted, Quarantined, Step, guarded};
use super::facts::{Facts, NewFacts};
use super::own::{Document, Pending};
use crate::packed::{PackError, pack, unpack};
use crate::rows::{Space, Table};

/// Steps, and bytes in them, after which the whole document is written anew.
const STEPS_MAX: usize = 128;
const STEP_BYTES_MAX: usize = 256 * 1024;

/// Why a document cannot be read from its rows or written to them.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error(transparent)]
    Pack(#[from] PackError),
    #[error("the stored document cannot be read")]
    Document,
}

/// What is not yet in the rows.
#[derive(Debug, Default)]
pub struct Unsaved {
    pub(super) steps: Vec<Step>,
    pub(super) dropped: Vec<u64>,
    next_pending: u64,
    first_unsaved: u64,
    next_step: u64,
    stored_bytes: usize,
    /// Nothing of the accepted part is in the rows: it came from a checkpoint.
    pub(super) whole: bool,
}

impl Unsaved {
    pub(super) fn after(next_pending: u64) -> Self {
        Self { next_pending, first_unsaved: next_pending, ..Self::default() }
    }

    /// Nothing of the accepted part in the rows counts any more, nor what waited upon it.
    pub(super) fn replaced(&mut self, pending: &VecDeque<Pending>) {
        self.dropped.extend(pending.iter().map(|pending| pending.row));
        self.steps.clear();
        self.whole = true;
    }

    pub(super) fn next_row(&mut self) -> u64 {
        self.next_pending += 1;
        self.next_pending - 1
    }
}

#[derive(Serialize, Deserialize)]
struct Base {
    document: Vec<u8>,
    facts: Facts,
    quarantine: Vec<Quarantined>,
}

#[derive(Serialize, Deserialize)]
struct StoredStep {
    changes: Vec<Vec<u8>>,
    facts: Vec<NewFacts>,
    quarantined: Vec<Quarantined>,
}

#[derive(Serialize, Deserialize)]
struct StoredPending {
    device: [u8; 16],
    bytes: Vec<u8>,
    facts: NewFacts,
}

const BASE: u8 = b'b';
const STEP: u8 = b's';
const PENDING: u8 = b'p';

fn row_key(prefix: &[u8], part: u8, number: u64) -> Vec<u8> {
    [prefix, &[part], &number.to_be_bytes()].concat()
}

fn row_number(key: &[u8], prefix: &[u8]) -> Option<u64> {
    key.get(prefix.len() + 1..)?.try_into().ok().map(u64::from_be_bytes)
}

impl Document {
    /// Writes what changed since the last call under rows that begin with `prefix`.
    pub fn save(&mut self, table: &mut Table, prefix: &[u8]) -> Result<(), StoreError> {
        for row in core::mem::take(&mut self.unsaved.dropped) {
            table.delete(Space::Document, &row_key(prefix, PENDING, row));
        }
        for pending in self.pending.iter().filter(|pending| pending.row >= self.unsaved.first_unsaved) {
            let (device, bytes, facts) = (pending.device.0, pending.bytes.clone(), pending.facts.clone());
            let stored = StoredPending { device, bytes, facts };
            table.write(Space::Document, &row_key(prefix, PENDING, pending.row), pack(&stored)?);
        }
        self.unsaved.first_unsaved = self.unsaved.next_pending;
        let steps = core::mem::take(&mut self.unsaved.steps);
        let new_bytes: usize = steps.iter().flat_map(|step| &step.applied).map(|change| change.raw_bytes().len()).sum();
        let many = self.unsaved.next_step as usize + steps.len() > STEPS_MAX;
        if self.unsaved.whole || many || self.unsaved.stored_bytes + new_bytes > STEP_BYTES_MAX {
            return self.save_whole(table, prefix);
        }
        for step in steps {
            let changes = step.applied.iter().map(|change| change.raw_bytes().to_vec()).collect();
            let stored = StoredStep { changes, facts: step.facts, quarantined: step.quarantined };
            table.write(Space::Document, &row_key(prefix, STEP, self.unsaved.next_step), pack(&stored)?);
            self.unsaved.next_step += 1;
        }
        self.unsaved.stored_bytes += new_bytes;
        Ok(())
    }

    fn save_whole(&mut self, table: &mut Table, prefix: &[u8]) -> Result<(), StoreError> {
        let base = Base {
            document: guarded(|| self.accepted.document.save()).map_err(|_| StoreError::Document)?,
            facts: self.accepted.facts.clone(),
            quarantine: self.accepted.quarantine.clone(),
        };
        let base = pack(&base)?;
        self.unsaved.next_step = 0;
        self.unsaved.whole = false;
        self.unsaved.stored_bytes = 0;
        table.delete_all(Space::Document, &[prefix, &[STEP]].concat());
        table.write(Space::Document, &row_key(prefix, BASE, 0), base);
        Ok(())
    }

    /// Reads a document back; none if there are no rows.
    pub fn load(table: &Table, prefix: &[u8], kind: ScopeKind) -> Result<Option<Self>, StoreError> {
        let mut rows = table.scan(Space::Document, prefix).peekable();
        if rows.peek().is_none() {
            return Ok(None);
        }
        let mut accepted = match table.read(Space::Document, &row_key(prefix, BASE, 0)) {
            Some(bytes) => {
                let base: Base = unpack(bytes)?;
                let document = guarded(|| Automerge::load(&base.document)).map_err(|_| StoreError::Document)?;
                let document = document.map_err(|_| StoreError::Document)?;
                Accepted::from_parts(kind, document, base.facts, base.quarantine)
            }
            None => Accepted::new(kind).map_err(|_| StoreError::Document)?,
        };
        let (mut changes, mut pending, mut next_step, mut stored_bytes) = (Vec::new(), VecDeque::new(), 0, 0);
        for (key, value) in rows {
            let (part, number) = (key.get(prefix.len()), row_number(key, prefix).ok_or(StoreError::Document)?);
            match part {
                Some(&STEP) => {
                    let step: StoredStep = unpack(value)?;
                    stored_bytes += step.changes.iter().map(Vec::len).sum::<usize>();
                    changes.extend(step.changes);
                    step.facts.iter().for_each(|facts| accepted.facts.add(facts));
                    accepted.quarantine.extend(step.quarantined);
                    next_step = number + 1;
                }
                Some(&PENDING) => {
                    let StoredPending { device, bytes, facts } = unpack(value)?;
                    let hash = crate::seal::change_hash(&bytes);
                    pending.push_back(Pending { hash, device: DeviceId(device), bytes, facts, row: number });
                }
                _ => {}
            }
        }
        let changes: Result<Vec<Change>, _> = changes.into_iter().map(Change::from_bytes).collect();
        let changes = changes.map_err(|_| StoreError::Document)?;
        let applied = guarded(|| accepted.document.apply_changes(changes)).map_err(|_| StoreError::Document)?;
        applied.map_err(|_| StoreError::Document)?;
        let mut document = Self::from_parts(accepted, pending);
        document.unsaved.next_step = next_step;
        document.unsaved.stored_bytes = stored_bytes;
        document.restore_fork().map_err(|_| StoreError::Document)?;
        Ok(Some(document))
    }

    /// What can be saved of a document that cannot be read back: one's own edits that wait. They are judged anew once the accepted
    /// part has been made again from its events.
    pub fn salvage(table: &Table, prefix: &[u8], kind: ScopeKind) -> Result<Self, StoreError> {
        let mut pending = VecDeque::new();
        for (key, value) in table.scan(Space::Document, &[prefix, &[PENDING]].concat()) {
            if let (Some(row), Ok(StoredPending { device, bytes, facts })) = (row_number(key, prefix), unpack(value)) {
                let hash = crate::seal::change_hash(&bytes);
                pending.push_back(Pending { hash, device: DeviceId(device), bytes, facts, row });
            }
        }
        Ok(Self::from_parts(Accepted::new(kind).map_err(|_| StoreError::Document)?, pending))
    }

    /// Deletes every row of a document.
    pub fn delete_rows(table: &mut Table, prefix: &[u8]) {
        table.delete_all(Space::Document, prefix);
    }
}
