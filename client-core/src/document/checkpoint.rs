//! A checkpoint: the whole document in compact form, so that a newcomer need not open ten thousand events first. It comes from another
//! member, and what it says is a claim until the signed events behind it have been read: its bytes are scanned before Automerge sees
//! them, and every change in it must fit the schema.

use automerge::Automerge;
use miniz_oxide::deflate::compress_to_vec;
use miniz_oxide::inflate::decompress_to_vec_with_limit;
use serde::{Deserialize, Serialize};
use stafett_protocol::limits::{CHECKPOINT_BYTES, DOCUMENT_OPERATIONS};
use stafett_protocol::membership::ScopeKind;

use super::accepted::{Accepted, Quarantined, guarded};
use super::columns::{COUNTER_MAX, Cursor, MAGIC, booleans, deltas, runs, strings};
use super::facts::Facts;
use super::outline::KEY_BYTES;
use super::own::Document;
use super::reason::Reason;
use super::schema;
use crate::packed::{pack, unpack};

/// Operations and changes that a checkpoint may hold: a full document, and as much again for what is reserved to its people.
const ROWS_MAX: usize = 2 * DOCUMENT_OPERATIONS as usize;
/// Bytes after inflating.
const INFLATED_BYTES_MAX: usize = 8 * CHECKPOINT_BYTES;

/// Why a checkpoint is not used. The events are read instead; its author answers for it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    #[error("a checkpoint has at most {CHECKPOINT_BYTES} bytes")]
    Size,
    #[error("the checkpoint inflates too far or is damaged")]
    Inflating,
    #[error("the checkpoint is not packed as it must be: {0}")]
    Packing(String),
    #[error("the checkpoint's document is refused: {0}")]
    Outline(Reason),
    #[error("the checkpoint's document cannot be loaded")]
    Document,
    #[error("something in the checkpoint does not fit the schema")]
    Schema,
}

#[derive(Serialize, Deserialize)]
struct Contents {
    document: Vec<u8>,
    facts: Facts,
    quarantine: Vec<Quarantined>,
}

impl Document {
    /// The accepted part in compact form, to be sealed. One's own pending edits are not in it.
    pub fn checkpoint(&self) -> Result<Vec<u8>, CheckpointError> {
        let contents = Contents {
            document: guarded(|| self.accepted.document.save_nocompress()).map_err(|_| CheckpointError::Document)?,
            facts: self.accepted.facts.clone(),
            quarantine: self.accepted.quarantine.clone(),
        };
        let packed = pack(&contents).map_err(|error| CheckpointError::Packing(error.to_string()))?;
        let compressed = compress_to_vec(&packed, 6);
        let fits = compressed.len() <= CHECKPOINT_BYTES && packed.len() <= INFLATED_BYTES_MAX;
        if fits { Ok(compressed) } else { Err(CheckpointError::Size) }
    }

    /// A document from another member's checkpoint.
    pub fn from_checkpoint(kind: ScopeKind, bytes: &[u8]) -> Result<Self, CheckpointError> {
        if bytes.len() > CHECKPOINT_BYTES {
            return Err(CheckpointError::Size);
        }
        let packed = decompress_to_vec_with_limit(bytes, INFLATED_BYTES_MAX).map_err(|_| CheckpointError::Inflating)?;
        let contents: Contents = unpack(&packed).map_err(|error| CheckpointError::Packing(error.to_string()))?;
        scan(&contents.document).map_err(CheckpointError::Outline)?;
        let loaded = guarded(|| Automerge::load(&contents.document)).map_err(|_| CheckpointError::Document)?;
        let document = loaded.map_err(|_| CheckpointError::Document)?;
        let first = schema::first_change(kind).ok_or(CheckpointError::Schema)?;
        if document.get_change_meta_by_hash(&first.hash()).is_none() {
            return Err(CheckpointError::Schema);
        }
        let mut accepted = Accepted::from_parts(kind, document, contents.facts, contents.quarantine);
        let read = guarded(|| accepted.read_history_once()).map_err(|_| CheckpointError::Schema)?;
        read.map_err(|_| CheckpointError::Schema)?;
        let mut document = Self::from_parts(accepted, std::collections::VecDeque::new());
        document.unsaved.whole = true;
        Ok(document)
    }
}

const DOCUMENT_CHUNK: u8 = 0;

/// Scans a saved document: one document chunk, no compressed columns, no run longer than the limit.
fn scan(document: &[u8]) -> Result<(), Reason> {
    let mut cursor = Cursor(document);
    if cursor.take(MAGIC.len())? != MAGIC {
        return Err(Reason::NotAChange);
    }
    cursor.take(4)?;
    if cursor.byte()? != DOCUMENT_CHUNK {
        return Err(Reason::ChunkType);
    }
    if cursor.length()? != cursor.0.len() {
        return Err(Reason::NotAChange);
    }
    for _ in 0..count(&mut cursor)? {
        let actor = cursor.length()?;
        cursor.take(actor)?;
    }
    for _ in 0..count(&mut cursor)? {
        cursor.take(32)?;
    }
    let changes = columns(&mut cursor)?;
    let operations = columns(&mut cursor)?;
    for (column, length) in changes.into_iter().chain(operations) {
        scan_column(column, Cursor(cursor.take(length)?))?;
    }
    Ok(())
}

fn count(cursor: &mut Cursor<'_>) -> Result<usize, Reason> {
    let count = cursor.length()?;
    if count <= ROWS_MAX { Ok(count) } else { Err(Reason::Operations) }
}

fn columns(cursor: &mut Cursor<'_>) -> Result<Vec<(u64, usize)>, Reason> {
    let count = cursor.length()?;
    if count > 32 {
        return Err(Reason::NotAChange);
    }
    (0..count).map(|_| Ok((cursor.unsigned()?, cursor.length()?))).collect()
}

/// The low four bits of a column's number say whether it is compressed and what it holds.
fn scan_column(column: u64, data: Cursor<'_>) -> Result<(), Reason> {
    let below = |value: u64| {
        if value < COUNTER_MAX as u64 { Ok(()) } else { Err(Reason::NotAChange) }
    };
    match column & 0xf {
        0 | 1 | 2 | 6 => runs(data, ROWS_MAX, below).map(drop),
        3 => deltas(data, ROWS_MAX, -COUNTER_MAX),
        4 => booleans(data, ROWS_MAX).map(drop),
        5 => strings(data, ROWS_MAX, KEY_BYTES),
        7 => Ok(()),
        _ => Err(Reason::Operation),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::super::tests::*;
    use super::*;
    use crate::document::edit;
    use proptest::prelude::*;

    fn with_glimpses() -> Document {
        let (mut document, _) = published();
        for number in 0..20u64 {
            let id = format!("g{number}");
            let edited =
                document.edit(&MOTHER.editor(), |to| edit::add_glimpse(to, MOTHER.person(), &id, "Et smil", None));
            document.accept(&[MOTHER.event(number + 2, START, vec![edited.unwrap().1])]).unwrap();
        }
        document
    }

    fn repacked(document: Vec<u8>) -> Vec<u8> {
        let contents = Contents { document, facts: Facts::default(), quarantine: Vec::new() };
        compress_to_vec(&pack(&contents).unwrap(), 6)
    }

    #[test]
    fn a_checkpoint_is_the_document_and_life_goes_on_from_it() {
        let mut original = with_glimpses();
        let bytes = original.checkpoint().unwrap();
        let mut copy = Document::from_checkpoint(ScopeKind::Concern, &bytes).unwrap();
        assert_eq!(copy.concern(), original.concern());
        assert_eq!(copy.accepted().heads(), original.accepted().heads());
        let edited = copy.edit(&TEACHER.editor(), |to| edit::add_comment(to, TEACHER.person(), "c", "Fint", None));
        let event = [TEACHER.event(50, START, vec![edited.unwrap().1])];
        copy.accept(&event).unwrap();
        original.accept(&event).unwrap();
        assert_eq!(copy.concern(), original.concern());
        let mut table = crate::rows::Table::default();
        copy.save(&mut table, b"c").unwrap();
        let loaded = Document::load(&table, b"c", ScopeKind::Concern).unwrap().unwrap();
        assert_eq!(loaded.concern(), original.concern());
    }

    #[test]
    fn bombs_and_strangers_are_refused() {
        let refused = |bytes: &[u8]| Document::from_checkpoint(ScopeKind::Concern, bytes).unwrap_err();
        assert_eq!(refused(&vec![0; CHECKPOINT_BYTES + 1]), CheckpointError::Size);
        assert_eq!(refused(&compress_to_vec(&vec![0; INFLATED_BYTES_MAX + 1], 6)), CheckpointError::Inflating);
        assert_eq!(refused(b"noise"), CheckpointError::Inflating);
        let empty = repacked(Automerge::new().save_nocompress());
        assert_eq!(refused(&empty), CheckpointError::Schema);
        let card = Document::new(ScopeKind::Card).unwrap().checkpoint().unwrap();
        assert_eq!(refused(&card), CheckpointError::Schema);
        let mut large = automerge::AutoCommit::new();
        for number in 0..1000 {
            automerge::transaction::Transactable::put(
                &mut large,
                automerge::ROOT,
                format!("k{number}"),
                "x".repeat(20),
            )
            .unwrap();
        }
        assert_eq!(refused(&repacked(large.save())), CheckpointError::Outline(Reason::Operation), "compressed columns");
        assert_eq!(refused(&repacked(large.save_nocompress())), CheckpointError::Schema);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]
        #[test]
        fn mutated_checkpoints_never_panic(at in 0usize..4000, byte: u8, second in 0usize..4000, other: u8) {
            let mut saved = with_glimpses().accepted.document.save_nocompress();
            let length = saved.len();
            saved[9 + at % (length - 9)] = byte;
            saved[9 + second % (length - 9)] = other;
            let sum = <sha2::Sha256 as sha2::Digest>::digest(&saved[8..]);
            saved[4..8].copy_from_slice(&sum[..4]);
            let _ = Document::from_checkpoint(ScopeKind::Concern, &repacked(saved));
        }
    }
}
