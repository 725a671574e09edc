//! The rows that a client keeps: one small key-value table that the core reads and writes in memory, and whose changed rows the host
//! saves in one transaction. The core never sees a database; the host never sees what a row means.

use std::collections::{BTreeMap, BTreeSet};

use zeroize::Zeroize;

/// What a row belongs to. The number is part of the stored format: never re-use one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Space {
    /// Own keys and certificates.
    Identity = 1,
    /// Small facts of the client machine: cursors, counters, settings.
    State = 2,
    /// What OpenMLS stores.
    Mls = 3,
    /// Content keys of scopes.
    Keys = 4,
    /// Accepted documents and pending changes.
    Document = 5,
    /// What waits to be sent: changes and membership intents.
    Outbox = 6,
    /// Letters and notices received.
    Mail = 7,
    /// Keys of other people, as compared or certified.
    Pin = 8,
    /// Scope replicas: chain head, membership, public group.
    Scope = 9,
    /// Refused changes of one's own, kept as drafts.
    Draft = 10,
    /// What is never loaded at start, and leaves the memory once it is saved: received events, parts of attachments.
    Event = 11,
    /// The host's own, which the core is never given: what was typed at a page and is not said yet.
    Typed = 12,
}

impl Space {
    /// Every space, in the order of its number.
    pub const ALL: [Self; 12] = [
        Self::Identity,
        Self::State,
        Self::Mls,
        Self::Keys,
        Self::Document,
        Self::Outbox,
        Self::Mail,
        Self::Pin,
        Self::Scope,
        Self::Draft,
        Self::Event,
        Self::Typed,
    ];

    /// The space that a stored number names.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|space| *space as u8 == number)
    }
}

/// One stored row; no value means that the row is deleted.
#[derive(Clone, PartialEq, Eq)]
pub struct Row {
    pub space: Space,
    pub key: Vec<u8>,
    pub value: Option<Vec<u8>>,
}

/// Rows hold keys and content: only sizes are printed.
impl core::fmt::Debug for Row {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let value = self.value.as_ref().map(Vec::len);
        write!(out, "Row({:?}, key {} bytes, value {value:?} bytes)", self.space, self.key.len())
    }
}

/// A point to which a [`Table`] can be rolled back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark(usize);

type Address = (Space, Vec<u8>);

/// The rows in memory. Reads see writes at once; [`Table::take_dirty`] hands out what the host has to save;
/// [`Table::rollback`] undoes what was written after a mark, so that a failed step leaves no trace.
#[derive(Default)]
pub struct Table {
    rows: BTreeMap<Address, Vec<u8>>,
    /// Former values, newest last, since the last `take_dirty`.
    undo: Vec<(Address, Option<Vec<u8>>)>,
}

impl core::fmt::Debug for Table {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(out, "Table({} rows, {} unsaved writes)", self.rows.len(), self.undo.len())
    }
}

impl Table {
    /// A table that holds the saved rows.
    #[must_use]
    pub fn load(rows: impl IntoIterator<Item = Row>) -> Self {
        let mut table = Self::default();
        for row in rows {
            if let Some(value) = row.value {
                table.rows.insert((row.space, row.key), value);
            }
        }
        table
    }

    /// The value of a row.
    #[must_use]
    pub fn read(&self, space: Space, key: &[u8]) -> Option<&[u8]> {
        // A lookup by borrowed parts would need a key type of its own; keys are short.
        self.rows.get(&(space, key.to_vec())).map(Vec::as_slice)
    }

    /// All rows of a space whose key starts with `prefix`, in the order of their keys.
    pub fn scan<'a>(&'a self, space: Space, prefix: &'a [u8]) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + 'a {
        self.rows
            .range((space, prefix.to_vec())..)
            .take_while(move |((at, key), _)| *at == space && key.starts_with(prefix))
            .map(|((_, key), value)| (key.as_slice(), value.as_slice()))
    }

    /// Writes a row.
    pub fn write(&mut self, space: Space, key: &[u8], value: Vec<u8>) {
        let address = (space, key.to_vec());
        let former = self.rows.insert(address.clone(), value);
        self.undo.push((address, former));
    }

    /// Deletes a row; nothing happens if there is none.
    pub fn delete(&mut self, space: Space, key: &[u8]) {
        let address = (space, key.to_vec());
        if let Some(former) = self.rows.remove(&address) {
            self.undo.push((address, Some(former)));
        }
    }

    /// Deletes a row of [`Space::Event`], which may be here or only in the host's store.
    pub fn erase(&mut self, key: &[u8]) {
        let address = (Space::Event, key.to_vec());
        let former = self.rows.remove(&address);
        self.undo.push((address, former));
    }

    /// Deletes every row of a space whose key starts with `prefix`.
    pub fn delete_all(&mut self, space: Space, prefix: &[u8]) {
        let keys: Vec<Vec<u8>> = self.scan(space, prefix).map(|(key, _)| key.to_vec()).collect();
        for key in keys {
            self.delete(space, &key);
        }
    }

    /// The present point, for [`Table::rollback`]. A mark is void once `take_dirty` was called after it.
    #[must_use]
    pub fn mark(&self) -> Mark {
        Mark(self.undo.len())
    }

    /// How many more rows of a space there are than at the mark. It looks at what was written since, not at the rows.
    #[must_use]
    pub fn grown(&self, space: Space, mark: Mark) -> usize {
        let mut were = BTreeMap::new();
        for (address, former) in self.undo.iter().skip(mark.0).filter(|((at, _), _)| *at == space) {
            were.entry(address).or_insert(former.is_some());
        }
        let are = were.keys().filter(|address| self.rows.contains_key(**address)).count();
        are.saturating_sub(were.values().filter(|was| **was).count())
    }

    /// Undoes everything that was written after the mark.
    pub fn rollback(&mut self, mark: Mark) {
        while self.undo.len() > mark.0 {
            let Some((address, former)) = self.undo.pop() else {
                return;
            };
            match former {
                Some(value) => {
                    self.rows.insert(address, value);
                }
                None => {
                    self.rows.remove(&address);
                }
            }
        }
    }

    /// The rows that changed since the last call, each once with its last value; they count as saved from now on.
    pub fn take_dirty(&mut self) -> Vec<Row> {
        let mut undo = core::mem::take(&mut self.undo);
        let touched: BTreeSet<Address> = undo.iter().map(|(address, _)| address.clone()).collect();
        for former in undo.iter_mut().filter_map(|(_, former)| former.as_mut()) {
            former.zeroize();
        }
        let mut saved = |address: &Address| match address.0 {
            Space::Event => self.rows.remove(address),
            _ => self.rows.get(address).cloned(),
        };
        touched.into_iter().map(|at| Row { value: saved(&at), space: at.0, key: at.1 }).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_see_writes_and_dirty_rows_come_once() {
        let mut table = Table::default();
        table.write(Space::State, b"a", vec![1]);
        table.write(Space::State, b"a", vec![2]);
        table.delete(Space::State, b"nothing");
        assert_eq!(table.read(Space::State, b"a"), Some(&[2][..]));
        assert_eq!(table.read(Space::Mls, b"a"), None);
        assert_eq!(table.take_dirty(), vec![Row { space: Space::State, key: b"a".to_vec(), value: Some(vec![2]) }]);
        assert!(table.take_dirty().is_empty());
        table.delete(Space::State, b"a");
        assert_eq!(table.take_dirty(), vec![Row { space: Space::State, key: b"a".to_vec(), value: None }]);
    }

    #[test]
    fn rows_on_demand_leave_the_memory_once_saved_and_can_be_deleted_all_the_same() {
        let mut table = Table::default();
        let row = |value: Option<&[u8]>| Row { space: Space::Event, key: vec![1], value: value.map(<[u8]>::to_vec) };
        table.write(Space::Event, &[1], vec![7]);
        assert_eq!(table.read(Space::Event, &[1]), Some(&[7][..]), "until the host has it");
        assert_eq!(table.take_dirty(), vec![row(Some(&[7]))]);
        assert_eq!(table.read(Space::Event, &[1]), None);
        let mark = table.mark();
        table.erase(&[1]);
        table.rollback(mark);
        assert!(table.take_dirty().is_empty());
        table.erase(&[1]);
        assert_eq!(table.take_dirty(), vec![row(None)]);
    }

    #[test]
    fn scan_stays_within_space_and_prefix() {
        let mut table = Table::default();
        for key in [&b"a1"[..], b"a2", b"b1"] {
            table.write(Space::Keys, key, key.to_vec());
        }
        table.write(Space::Document, b"a3", vec![]);
        let found: Vec<&[u8]> = table.scan(Space::Keys, b"a").map(|(key, _)| key).collect();
        assert_eq!(found, vec![&b"a1"[..], b"a2"]);
        table.delete_all(Space::Keys, b"a");
        assert_eq!(table.scan(Space::Keys, b"").count(), 1);
    }

    #[test]
    fn numbers_are_unique_and_known() {
        let numbers: BTreeSet<u8> = Space::ALL.into_iter().map(|space| space as u8).collect();
        assert_eq!(numbers.len(), Space::ALL.len());
        assert_eq!(Space::from_number(3), Some(Space::Mls));
        assert_eq!(Space::from_number(0), None);
    }

    #[test]
    fn printing_shows_no_bytes() {
        let row = Row { space: Space::Keys, key: vec![7; 4], value: Some(vec![9; 32]) };
        assert_eq!(format!("{row:?}"), "Row(Keys, key 4 bytes, value Some(32) bytes)");
    }

    proptest! {
        #[test]
        fn rollback_restores_exactly(before in proptest::collection::vec((0u8..6, proptest::option::of(0u8..9)), 0..20),
                                     after in proptest::collection::vec((0u8..6, proptest::option::of(0u8..9)), 0..20)) {
            let apply = |table: &mut Table, steps: &[(u8, Option<u8>)]| {
                for (key, value) in steps {
                    match value {
                        Some(value) => table.write(Space::State, &[*key], vec![*value]),
                        None => table.delete(Space::State, &[*key]),
                    }
                }
            };
            let mut table = Table::default();
            apply(&mut table, &before);
            let expected = table.rows.clone();
            let mark = table.mark();
            apply(&mut table, &after);
            prop_assert_eq!(table.grown(Space::State, mark), table.rows.len().saturating_sub(expected.len()));
            prop_assert_eq!(table.grown(Space::Mls, mark), 0);
            table.rollback(mark);
            prop_assert_eq!(&table.rows, &expected);
            let saved = Table::load(table.take_dirty());
            prop_assert_eq!(saved.rows, expected);
        }
    }
}
