//! Small changes that would be very large ones (R7, R8): Automerge believes every run length, and inflates whatever
//! a chunk of the compressed type holds.

use automerge::AutoCommit;
use automerge::transaction::Transactable as _;
use sha2::{Digest as _, Sha256};

const MAGIC: [u8; 4] = [0x85, 0x6f, 0x4a, 0x83];

fn unsigned(mut value: u64) -> Vec<u8> {
    let mut bytes = vec![];
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

fn signed(mut value: i64) -> Vec<u8> {
    let mut bytes = vec![];
    loop {
        let byte = value as u8 & 0x7f;
        value >>= 7;
        let done = (value == 0 && byte & 0x40 == 0) || (value == -1 && byte & 0x40 != 0);
        bytes.push(if done { byte } else { byte | 0x80 });
        if done {
            return bytes;
        }
    }
}

/// The checksum covers what the chunk stands for, which for a compressed one is not these bytes.
fn chunk(kind: u8, body: &[u8]) -> Vec<u8> {
    let rest = [&[kind][..], &unsigned(body.len() as u64), body].concat();
    [&MAGIC[..], &Sha256::digest(&rest)[..4], &rest].concat()
}

/// The first change of `actor`, claiming so many operations in about a hundred bytes.
pub fn operations(actor: &[u8], rows: i64) -> Vec<u8> {
    let run = signed(rows);
    let column = |value: u8| [&run[..], &[value]].concat();
    let columns: [(u8, Vec<u8>); 5] = [
        (0x15, [&run[..], &[1, b'k']].concat()),
        (0x34, unsigned(rows as u64)),
        (0x42, column(1)),
        (0x56, column(0)),
        (0x70, column(0)),
    ];
    // No dependencies; sequence 1, first operation 1, time 0, no message, no other actors.
    let mut body = [&[0, actor.len() as u8][..], actor, &[1, 1, 0, 0, 0, columns.len() as u8]].concat();
    columns.iter().for_each(|(id, data)| body.extend([*id, data.len() as u8]));
    columns.iter().for_each(|(_, data)| body.extend(data));
    chunk(1, &body)
}

/// A compressed change that inflates to so many bytes of nothing.
pub fn inflating(bytes: usize) -> Vec<u8> {
    chunk(2, &miniz_oxide::deflate::compress_to_vec(&vec![0; bytes], 6))
}

/// A whole document where one change belongs.
pub fn saved_document() -> Vec<u8> {
    let mut document = AutoCommit::new();
    document.put(automerge::ROOT, "note", "x").expect("a fresh document takes a value");
    document.save()
}
