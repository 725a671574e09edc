//! A first look at a change's bytes before Automerge sees them. 113 bytes can claim five million operations, and Automerge believes
//! every run length: this scan walks the column encoding without expanding it and lets only small changes of plain maps pass.
//!
//! Format: automerge.org "binary document format", change chunks. Whatever this scan does not know, it refuses.

use super::columns::{COUNTER_MAX, Cursor, MAGIC, all_false, deltas, runs, strings};
use super::reason::Reason;
use stafett_protocol::limits::{CHANGE_DEPENDENCIES, CHANGE_EVENT_BYTES, CHANGE_OPERATIONS};

/// The longest key of a map: section, entry id or field.
pub const KEY_BYTES: usize = 64;

const CHANGE_CHUNK: u8 = 1;

// The columns of a change that only writes maps: number << 4 | type.
const OBJECT_ACTOR: u64 = 0x01;
const OBJECT_COUNTER: u64 = 0x02;
const KEY_STRING: u64 = 0x15;
const INSERT: u64 = 0x34;
const ACTION: u64 = 0x42;
const VALUE_META: u64 = 0x56;
const VALUE: u64 = 0x57;
const PREDECESSOR_COUNT: u64 = 0x70;
const PREDECESSOR_ACTOR: u64 = 0x71;
const PREDECESSOR_COUNTER: u64 = 0x73;
/// Whether a mark grows; present, always false, in every change.
const EXPAND: u64 = 0x94;

const ACTION_PUT: u64 = 1;
const ACTION_MAKE_MAP: u64 = 0;

/// Scans a change; answers how many operations it has.
pub fn scan(change: &[u8]) -> Result<usize, Reason> {
    if change.len() > CHANGE_EVENT_BYTES {
        return Err(Reason::Size);
    }
    let mut cursor = Cursor(change);
    if cursor.take(MAGIC.len())? != MAGIC {
        return Err(Reason::NotAChange);
    }
    cursor.take(4)?;
    if cursor.byte()? != CHANGE_CHUNK {
        return Err(Reason::ChunkType);
    }
    if cursor.length()? != cursor.0.len() {
        return Err(Reason::NotAChange);
    }
    let dependencies = cursor.length()?;
    if dependencies > CHANGE_DEPENDENCIES {
        return Err(Reason::Dependencies);
    }
    cursor.take(dependencies * 32)?;
    let actor = cursor.length()?;
    cursor.take(actor)?;
    for _sequence_and_start in 0..2 {
        cursor.unsigned()?;
    }
    cursor.skip_number()?;
    if cursor.length()? != 0 {
        return Err(Reason::Extras);
    }
    let others = cursor.length()?;
    if others > CHANGE_OPERATIONS {
        return Err(Reason::Operations);
    }
    for _ in 0..others {
        let actor = cursor.length()?;
        cursor.take(actor)?;
    }
    scan_columns(cursor, others as u64 + 1)
}

/// Rows that a column may have: no change has more operations, nor replaces more values.
const MOST: usize = CHANGE_OPERATIONS;

fn scan_columns(mut cursor: Cursor<'_>, actors: u64) -> Result<usize, Reason> {
    let count = cursor.length()?;
    let mut columns = Vec::new();
    for _ in 0..count.min(32) {
        columns.push((cursor.unsigned()?, cursor.length()?));
    }
    if count > columns.len() || columns.windows(2).any(|pair| pair.first().map(|c| c.0) >= pair.last().map(|c| c.0)) {
        return Err(Reason::NotAChange);
    }
    let mut operations = 0;
    for (column, length) in columns {
        let data = Cursor(cursor.take(length)?);
        match column {
            OBJECT_ACTOR | PREDECESSOR_ACTOR => drop(runs(data, MOST, |value| within(value, actors))?),
            OBJECT_COUNTER => drop(runs(data, MOST, |value| within(value, COUNTER_MAX as u64))?),
            PREDECESSOR_COUNT => drop(runs(data, MOST, |value| within(value, CHANGE_OPERATIONS as u64 + 1))?),
            ACTION => operations = runs(data, MOST, action)?,
            VALUE_META => drop(runs(data, MOST, value_type)?),
            VALUE => {}
            KEY_STRING => strings(data, MOST, KEY_BYTES)?,
            PREDECESSOR_COUNTER => deltas(data, MOST, 0)?,
            INSERT | EXPAND => all_false(data, MOST)?,
            _ => return Err(Reason::Operation),
        }
    }
    if cursor.0.is_empty() { Ok(operations) } else { Err(Reason::Extras) }
}

fn within(value: u64, bound: u64) -> Result<(), Reason> {
    if value < bound { Ok(()) } else { Err(Reason::NotAChange) }
}

fn action(value: u64) -> Result<(), Reason> {
    if matches!(value, ACTION_PUT | ACTION_MAKE_MAP) { Ok(()) } else { Err(Reason::Operation) }
}

/// Null (of a new map), booleans, integers, strings, bytes and times: no floats, counters, unknown types.
fn value_type(meta: u64) -> Result<(), Reason> {
    if matches!(meta & 0xf, 0..=4 | 6 | 7 | 9) { Ok(()) } else { Err(Reason::Operation) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use automerge::transaction::{CommitOptions, Transactable};
    use automerge::{AutoCommit, ObjType, ROOT};
    use proptest::prelude::*;
    use sha2::{Digest, Sha256};

    fn put_one() -> Vec<u8> {
        let mut document = AutoCommit::new();
        let map = document.put_object(ROOT, "measures", ObjType::Map).unwrap();
        document.put(&map, "text", "Lese 20 minutter").unwrap();
        document.put(&map, "text", "Lese 25 minutter").unwrap();
        document.put(&map, "age", -3).unwrap();
        document.get_last_local_change().unwrap().raw_bytes().to_vec()
    }

    fn only(edit: impl FnOnce(&mut AutoCommit)) -> Vec<u8> {
        let mut document = AutoCommit::new();
        edit(&mut document);
        document.get_last_local_change().unwrap().raw_bytes().to_vec()
    }

    fn unsigned(mut value: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        while value >= 0x80 {
            bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        bytes.push(value as u8);
        bytes
    }

    fn signed(value: i64) -> Vec<u8> {
        let mut bytes = unsigned(value as u64);
        if bytes.last().is_some_and(|last| last & 0x40 != 0) {
            *bytes.last_mut().unwrap() |= 0x80;
            bytes.push(0);
        }
        bytes
    }

    /// A change chunk around a body, with the right checksum.
    fn chunk(kind: u8, body: &[u8]) -> Vec<u8> {
        let mut tail = vec![kind];
        tail.extend(unsigned(body.len() as u64));
        tail.extend(body);
        let mut bytes = MAGIC.to_vec();
        bytes.extend(&Sha256::digest(&tail)[..4]);
        bytes.extend(tail);
        bytes
    }

    /// A change of `rows` operations that all say the same: some forty bytes whatever the number.
    fn bomb(rows: i64) -> Vec<u8> {
        let run = signed(rows);
        let column = |value: u8| [&run[..], &[value]].concat();
        let columns = [
            (0x15, [&run[..], &[1, b'k']].concat()),
            (0x34, unsigned(rows as u64)),
            (0x42, column(1)),
            (0x56, column(0)),
            (0x70, column(0)),
        ];
        let mut body = vec![0, 2, 7, 7, 1, 1, 0, 0, 0, columns.len() as u8];
        columns.iter().for_each(|(id, data)| body.extend([*id, data.len() as u8]));
        columns.iter().for_each(|(_, data)| body.extend(data));
        chunk(1, &body)
    }

    #[test]
    fn changes_of_maps_pass_and_are_counted() {
        assert_eq!(scan(&put_one()), Ok(4));
        assert_eq!(automerge::Change::from_bytes(put_one()).unwrap().len(), 4);
    }

    #[test]
    fn r7_a_small_change_cannot_claim_many_operations() {
        assert_eq!(scan(&bomb(10_000)), Ok(10_000));
        assert_eq!(
            automerge::Change::from_bytes(bomb(10_000)).unwrap().len(),
            10_000,
            "Automerge reads it the same way"
        );
        for rows in [10_001, 5_000_001, 1 << 40] {
            assert!(bomb(rows).len() < 80);
            assert_eq!(scan(&bomb(rows)), Err(Reason::Operations));
        }
    }

    #[test]
    fn r8_r9_only_plain_change_chunks_pass() {
        let mut document = AutoCommit::new();
        document.put(ROOT, "text", "x".repeat(1000)).unwrap();
        document.commit_with(CommitOptions::default());
        let mut change = document.get_last_local_change().unwrap();
        assert_eq!(scan(&change.bytes()), Err(Reason::ChunkType), "compressed");
        assert_eq!(scan(&document.save()), Err(Reason::ChunkType), "document");
        assert_eq!(scan(&[change.raw_bytes(), change.raw_bytes()].concat()), Err(Reason::NotAChange), "two at once");
        assert_eq!(scan(b""), Err(Reason::NotAChange));
        assert_eq!(scan(&vec![0; CHANGE_EVENT_BYTES + 1]), Err(Reason::Size));
    }

    #[test]
    fn only_maps_and_plain_values_pass() {
        let refused = [
            only(|d| drop(d.put_object(ROOT, "list", ObjType::List).unwrap())),
            only(|d| drop(d.put_object(ROOT, "text", ObjType::Text).unwrap())),
            only(|d| d.put(ROOT, "counter", automerge::ScalarValue::counter(1)).unwrap()),
            only(|d| d.put(ROOT, "float", 1.5).unwrap()),
            only(|d| {
                d.put(ROOT, "a", 1).unwrap();
                d.commit();
                d.delete(ROOT, "a").unwrap();
            }),
        ];
        for change in refused {
            assert_eq!(scan(&change), Err(Reason::Operation));
        }
        assert_eq!(scan(&only(|d| d.put(ROOT, "k".repeat(65), 1).unwrap())), Err(Reason::KeySize));
        assert_eq!(scan(&only(|d| d.put(ROOT, "k".repeat(64), 1).unwrap())), Ok(1));
        let mut told = AutoCommit::new();
        told.put(ROOT, "a", 1).unwrap();
        told.commit_with(CommitOptions::default().with_message("hidden"));
        assert_eq!(scan(told.get_last_local_change().unwrap().raw_bytes()), Err(Reason::Extras));
    }

    proptest! {
        #[test]
        fn mutated_changes_never_panic(at in 9usize..200, byte: u8, second in 9usize..200, other: u8) {
            let mut bytes = put_one();
            let length = bytes.len();
            bytes[at % length] = byte;
            bytes[second % length] = other;
            let _ = scan(&bytes);
        }
    }
}
