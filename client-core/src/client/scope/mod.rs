//! One scope as this device has it: the replica that judges, the key chain, the document, and what of the
//! chain is still unopened. Saved so that a restart goes on exactly where the last transaction ended.

pub(crate) mod ask;
pub(crate) mod begin;
pub(crate) mod checkpoint;
pub(crate) mod edit;
pub(crate) mod files;
pub(crate) mod find;
pub(crate) mod follow;
pub(crate) mod following;
pub(crate) mod group;
pub(crate) mod heads;
pub(crate) mod home;
pub(crate) mod kept;
pub(crate) mod leave;
pub(crate) mod moved;
pub(crate) mod open;
pub(crate) mod own;
pub(crate) mod parted;
pub(crate) mod planned;
pub(crate) mod rebuild;
pub(crate) mod refounded;
pub(crate) mod report;
pub(crate) mod resync;
pub(crate) mod returning;
pub(crate) mod unasked;
pub(crate) mod welcome;

use crate::client::input::{Cause, Problem};
use crate::client::scope::checkpoint::Claim;
use crate::document::Document;
use crate::keychain::KeyChain;
use crate::rows::{Space, Table};
use stafett_protocol::codec::{TlsDeserialize, TlsSerialize, TlsSize, decode, encode};
use stafett_protocol::event::{Change, Position, Record, SealContext};
use stafett_protocol::ids::{DeviceId, Hash, Millis, PersonId, ScopeId};
use stafett_protocol::membership::{Role, ScopeKind};
use stafett_protocol::replica::Replica;
use std::collections::BTreeSet;

/// How this device stands to a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
#[repr(u8)]
pub enum Standing {
    /// A Welcome is here; the chain is being read from its beginning.
    Joining = 1,
    Member = 2,
    /// Access was withdrawn: keys and content are wiped.
    Withdrawn = 3,
    /// A commit could not be processed: followed without keys until the scope is founded anew.
    Halted = 4,
    /// This device's MLS state is gone or behind (a restored backup): it follows the chain without keys and
    /// takes its leaf back by an external commit.
    Resyncing = 5,
}

/// What changes with every record, kept apart from the big snapshot.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
struct Cursor {
    standing: Standing,
    position: Position,
    time: Millis,
    counters: Vec<DeviceCounter>,
    heads: Vec<Position>,
    opened: OpenedUpTo,
    changes: u64,
}

/// The newest generation and epoch whose changes are in the document, and the last of them in the chain.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, TlsSerialize, TlsDeserialize, TlsSize)]
pub(crate) struct OpenedUpTo {
    pub generation: u32,
    pub epoch: u64,
    pub seq: u64,
}

/// So many heads back can be compared with what others have seen; further back only `audit verify` does.
const HEADS: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
struct DeviceCounter {
    device: DeviceId,
    last: u64,
}

/// A change of the chain whose key is not here yet.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub(crate) struct Unopened {
    pub author: PersonId,
    pub role: Role,
    pub time: Millis,
    pub seq: u64,
    pub context: SealContext,
    pub change: Change,
}

/// One scope on this device.
pub(crate) struct Scope {
    pub replica: Replica,
    pub keys: KeyChain,
    pub document: Document,
    /// The document stands still on this device until it has been made anew from its events, or the next start: what comes waits
    /// unopened, and nothing is written. Chain, statements and membership go on.
    pub stopped: bool,
    pub standing: Standing,
    pub unopened: Vec<Unopened>,
    pub opened: OpenedUpTo,
    /// Changes taken in on this device: when the next checkpoint is due.
    pub changes: u64,
    /// What here was not read from the events themselves, or must be read from them anew.
    pub unaudited: Option<Claim>,
    /// Which of them have rows.
    saved_unopened: BTreeSet<u64>,
    /// The last heads of the chain, oldest first.
    heads: Vec<Position>,
    /// The snapshot must be written with the next save.
    pub facts_changed: bool,
}

fn row_key(scope: ScopeId, part: u8) -> Vec<u8> {
    let mut key = scope.0.to_vec();
    key.push(part);
    key
}

const SNAPSHOT: u8 = 1;
const CURSOR: u8 = 2;
const UNOPENED: u8 = 3;
const UNAUDITED: u8 = 4;

fn unopened_key(scope: ScopeId, seq: u64) -> Vec<u8> {
    let mut key = row_key(scope, UNOPENED);
    key.extend_from_slice(&seq.to_be_bytes());
    key
}

/// The key of an event row; big-endian, so that a scan runs in chain order.
pub(crate) fn event_key(scope: ScopeId, seq: u64) -> Vec<u8> {
    let mut key = scope.0.to_vec();
    key.extend_from_slice(&seq.to_be_bytes());
    key
}

impl Scope {
    /// A scope just founded or about to be joined.
    pub fn new(replica: Replica, standing: Standing) -> Result<Self, Problem> {
        let state = replica.state();
        let (scope, generation, kind) = (state.scope(), state.membership.generation, state.kind());
        let document = Document::new(kind).map_err(|e| Problem::data(Cause::Document, e.to_string()))?;
        Ok(Self {
            replica,
            keys: KeyChain::new(scope, generation),
            document,
            stopped: false,
            standing,
            unopened: vec![],
            opened: OpenedUpTo::default(),
            changes: 0,
            unaudited: None,
            saved_unopened: BTreeSet::new(),
            heads: vec![],
            facts_changed: true,
        })
    }

    /// The document must be made anew from its events.
    pub fn read_again(&mut self) {
        self.unaudited = Some(Claim { head: None, state: Hash::default(), document: Hash::default() });
    }

    /// Whether all facts here were read from the events themselves. The document may be on its way: no rule depends on it.
    pub fn facts_read(&self) -> bool {
        self.unaudited.as_ref().is_none_or(|claim| claim.head.is_none())
    }

    /// The chain has come to a new position.
    pub fn note_head(&mut self) {
        let position = self.replica.state().position;
        self.heads.push(position);
        let over = self.heads.len().saturating_sub(HEADS);
        self.heads.drain(..over);
    }

    /// The head at `seq`, where it is at hand.
    pub fn head_at(&self, seq: u64) -> Option<Hash> {
        self.heads.iter().find(|p| p.seq == seq).map(|p| p.head)
    }

    /// Takes over another history of the scope. The document is made anew from it as soon as this device is in there: what is
    /// its person's and is not in it waits again.
    pub fn come_over(&mut self, other: Self, standing: Standing) {
        (self.replica, self.heads, self.standing) = (other.replica, other.heads, standing);
        let before = std::mem::replace(&mut self.keys, other.keys);
        self.keys.take_from(&before);
        self.unopened.clear();
        self.facts_changed = true;
        self.read_again();
    }

    pub fn kind(&self) -> ScopeKind {
        self.replica.state().kind()
    }

    pub fn id(&self) -> ScopeId {
        self.replica.state().scope()
    }

    /// Reads every saved scope back.
    pub fn load_all(table: &Table) -> Result<Vec<Self>, Problem> {
        let snapshots =
            table.scan(Space::Scope, b"").filter(|(key, _)| key.len() == 17 && key.last() == Some(&SNAPSHOT));
        let ids: Vec<ScopeId> = snapshots.filter_map(|(key, _)| key.first_chunk().map(|id| ScopeId(*id))).collect();
        ids.into_iter().map(|id| Self::load(table, id)).collect()
    }

    /// Reads one scope as the last transaction left it.
    pub fn load(table: &Table, id: ScopeId) -> Result<Self, Problem> {
        let damaged = |e: &dyn core::fmt::Display| Problem::data(Cause::Damaged, e.to_string());
        let row = |part| table.read(Space::Scope, &row_key(id, part)).ok_or_else(|| damaged(&"a scope is incomplete"));
        let mut replica = Replica::restore(row(SNAPSHOT)?).map_err(|e| damaged(&e))?;
        let cursor: Cursor = decode(row(CURSOR)?).map_err(|e| damaged(&e))?;
        if replica.state().scope() != id {
            return Err(damaged(&"a scope is stored under another's name"));
        }
        replica.fast_forward(cursor.position, cursor.time, cursor.counters.iter().map(|c| (c.device, c.last)));
        let (generation, kind) = (replica.state().membership.generation, replica.state().kind());
        let (document, stopped) = load_or_salvage(table, id, kind)?;
        let keys = KeyChain::load(table, id, generation);
        let prefix = row_key(id, UNOPENED);
        let waiting = table.scan(Space::Scope, &prefix).map(|(_, value)| decode(value));
        let unopened: Vec<Unopened> = waiting.collect::<Result<_, _>>().map_err(|e| damaged(&e))?;
        let saved_unopened = unopened.iter().map(|u| u.seq).collect();
        let claimed = table.read(Space::Scope, &row_key(id, UNAUDITED));
        let unaudited = claimed.map(decode).transpose().map_err(|e| damaged(&e))?;
        let Cursor { standing, heads, opened, changes, .. } = cursor;
        let mut scope = Self {
            replica,
            keys,
            document,
            stopped,
            standing,
            unopened,
            opened,
            changes,
            unaudited,
            saved_unopened,
            heads,
            facts_changed: false,
        };
        if stopped && scope.unaudited.is_none() {
            scope.read_again();
        }
        Ok(scope)
    }

    /// Back to the document as its rows have it.
    pub fn reload_document(&mut self, table: &Table) {
        if let Ok((document, _)) = load_or_salvage(table, self.id(), self.kind()) {
            self.document = document;
        }
        // Whatever was to be written with the edit is written with the next one.
        self.facts_changed = true;
    }

    /// The document does not take what the chain brings: back to what was saved of it.
    pub fn stop(&mut self, table: &Table) {
        self.stopped = true;
        if let Ok((document, _)) = load_or_salvage(table, self.id(), self.kind()) {
            self.document = document;
        }
        if self.unaudited.is_none() {
            self.read_again();
        }
    }

    /// Forgets a scope that was left, so that it can be joined anew.
    pub fn forget(table: &mut Table, id: ScopeId) {
        table.delete_all(Space::Scope, &id.0);
    }

    fn save_unopened(&mut self, table: &mut Table) {
        let id = self.id();
        for waiting in self.unopened.iter().filter(|u| !self.saved_unopened.contains(&u.seq)) {
            table.write(Space::Scope, &unopened_key(id, waiting.seq), encode(waiting));
        }
        let now: BTreeSet<u64> = self.unopened.iter().map(|u| u.seq).collect();
        for opened in self.saved_unopened.difference(&now) {
            table.delete(Space::Scope, &unopened_key(id, *opened));
        }
        self.saved_unopened = now;
    }

    /// Writes what changes with every record; the snapshot too, where facts have changed.
    pub fn save(&mut self, table: &mut Table) -> Result<(), Problem> {
        let id = self.id();
        if self.document.save(table, &id.0).is_err() {
            // What it took in last is nowhere but in the chain.
            self.stopped = true;
            if self.unaudited.is_none() {
                self.read_again();
            }
        }
        self.save_unopened(table);
        let state = self.replica.state();
        if std::mem::take(&mut self.facts_changed) {
            table.write(Space::Scope, &row_key(id, SNAPSHOT), self.replica.snapshot());
            self.keys.save(table);
        }
        match &self.unaudited {
            Some(claim) => table.write(Space::Scope, &row_key(id, UNAUDITED), encode(claim)),
            None => table.delete(Space::Scope, &row_key(id, UNAUDITED)),
        }
        let cursor = Cursor {
            standing: self.standing,
            opened: self.opened,
            changes: self.changes,
            position: state.position,
            time: state.time,
            heads: self.heads.clone(),
            counters: state.counters.iter().map(|c| DeviceCounter { device: c.device, last: c.last }).collect(),
        };
        table.write(Space::Scope, &row_key(id, CURSOR), encode(&cursor));
        Ok(())
    }

    /// Forgets keys and content; what the chain says of the scope stays, as the record of having had access.
    pub fn wipe(&mut self, table: &mut Table) -> Result<(), Problem> {
        let id = self.id();
        self.keys.wipe();
        self.document = Document::new(self.kind()).map_err(|e| Problem::data(Cause::Document, e.to_string()))?;
        self.unopened.clear();
        self.unaudited = None;
        self.stopped = false;
        self.standing = Standing::Withdrawn;
        self.facts_changed = true;
        self.save(table)?;
        KeyChain::delete_rows(table, id);
        Document::delete_rows(table, &id.0);
        Ok(())
    }
}

/// The document of a scope from its rows; an empty one where there are none.
fn load_document(table: &Table, scope: ScopeId, kind: ScopeKind) -> Result<Document, Problem> {
    let damaged = |e: &dyn core::fmt::Display| Problem::data(Cause::Damaged, e.to_string());
    match Document::load(table, &scope.0, kind).map_err(|e| damaged(&e))? {
        Some(document) => Ok(document),
        None => Document::new(kind).map_err(|e| damaged(&e)),
    }
}

/// A scope's document, or what can be saved of one that cannot be read back, and whether that is so.
pub(crate) fn load_or_salvage(table: &Table, scope: ScopeId, kind: ScopeKind) -> Result<(Document, bool), Problem> {
    match load_document(table, scope, kind) {
        Ok(document) => Ok((document, false)),
        Err(_) => {
            let saved = Document::salvage(table, &scope.0, kind);
            Ok((saved.map_err(|e| Problem::data(Cause::Damaged, e.to_string()))?, true))
        }
    }
}

/// Stores a record as the chain has it.
pub(crate) fn save_record(table: &mut Table, scope: ScopeId, record: &Record) {
    table.write(Space::Event, &event_key(scope, record.seq), encode(record));
}
