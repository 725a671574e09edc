//! Vectors of what is sealed in parts: checkpoints and attachments. Both are padded to 64 KiB and sealing draws nothing, so a
//! vector has what goes in, and the hashes of what comes out.

use super::files::File;
use crate::common::*;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use stafett_client_core::attachment;
use stafett_client_core::keychain::ContentKey;
use stafett_client_core::seal::{open_checkpoint, seal_checkpoint};
use stafett_protocol::checkpoint::CheckpointHead;
use stafett_protocol::codec::encode;
use stafett_protocol::event::Position;
use stafett_protocol::ids::{Hash, ScopeId, to_hex};

const KEY: [u8; 32] = [7; 32];

/// What stands in the documents and files.
fn pattern(size: usize) -> Vec<u8> {
    (0..size).map(|n| (n % 251) as u8).collect()
}

/// Parts as a liar hands them on.
fn altered(mut parts: Vec<Vec<u8>>, how: &str) -> Vec<Vec<u8>> {
    let last = parts.last_mut().unwrap();
    match how {
        "flip" => *last.last_mut().unwrap() ^= 1,
        "cut" => drop(last.pop()),
        "turn" => parts.reverse(),
        _ => {}
    }
    parts
}

fn head(epoch: u64) -> CheckpointHead {
    let position = Position { seq: 30, head: Hash([3; 32]) };
    CheckpointHead {
        scope: CARD,
        generation: 1,
        epoch,
        position,
        author: [4; 32],
        salt: [5; 32],
        facts: Hash([6; 32]),
        parts: vec![],
    }
}

fn checkpoint(size: usize, opener: &CheckpointHead, how: &str) -> Value {
    let key = ContentKey::from_exporter(&KEY).unwrap();
    let sealed = seal_checkpoint(&key, &head(2), &pattern(size)).unwrap();
    let opened = open_checkpoint(&key, opener, &altered(vec![sealed.clone()], how)[0]);
    let good = how.is_empty() && *opener == head(2);
    assert_eq!(opened.ok(), good.then(|| pattern(size)));
    json!({"what": "checkpoint", "key": to_hex(&KEY), "size": size, "header": to_hex(&encode(&head(2))),
        "opener": to_hex(&encode(opener)), "altered": how, "ids": [to_hex(&Sha256::digest(&sealed))]})
}

fn file(size: usize, opener: ScopeId, how: &str) -> Value {
    let sealed = attachment::seal(&KEY, CARD, &pattern(size)).unwrap();
    let opened = attachment::open(&KEY, opener, size, &altered(sealed.parts, how));
    let good = how.is_empty() && opener == CARD;
    assert_eq!(opened.ok(), good.then(|| pattern(size)));
    let hashes =
        sealed.manifest.parts.iter().chain([&sealed.manifest.id()]).map(|hash| to_hex(&hash.0)).collect::<Vec<_>>();
    json!({"what": "attachment", "key": to_hex(&KEY), "size": size, "scope": to_hex(&CARD.0),
        "opener": to_hex(&opener.0), "altered": how, "ids": hashes})
}

/// `sealed.json`.
pub fn sealed() -> File {
    let step = 64 * 1024 - 16 - 4;
    let part = 1024 * 1024 - 16 - 4;
    let mut vectors: Vec<Value> = [0, 1, step, step + 1].map(|size| checkpoint(size, &head(2), "")).into();
    vectors.extend([1, step, step + 1, part, part + 1].map(|size| file(size, CARD, "")));
    let mut refused = |why: &str, mut vector: Value| {
        vector["refused"] = why.into();
        vectors.push(vector);
    };
    refused("one bit flipped", checkpoint(100, &head(2), "flip"));
    refused("a byte missing", checkpoint(100, &head(2), "cut"));
    refused("under the head of another epoch", checkpoint(100, &head(3), ""));
    refused("one bit flipped", file(100, CARD, "flip"));
    refused("a byte missing", file(100, CARD, "cut"));
    refused("in another scope", file(100, JOURNAL, ""));
    refused("parts in another order", file(part + 1, CARD, "turn"));
    File {
        name: "sealed.json",
        about: "Checkpoints and attachments: `size` bytes n mod 251, sealed under `key`; `header` is enc(CheckpointHead) with no parts, and `ids` has the SHA-256 of a checkpoint, the hashes of a file's parts and its id. Where `refused` stands, what is `altered` or has another `opener` does not open.",
        vectors,
    }
}
