//! Vectors of signed objects, hashes and ids, and of a chain with its receipts.

use super::files::File;
use crate::common::samples::{Samples, SignedSample};
use crate::common::*;
use ed25519_dalek::{Signer as _, SigningKey};
use serde_json::{Value, json};
use stafett_client_core::document::gate::actor_id;
use stafett_protocol::code::{Proof, comparison_number, key_hash, proof, ticket_hash};
use stafett_protocol::codec::{VLBytes, encode};
use stafett_protocol::consent::text_hash;
use stafett_protocol::credential::letter_key_hash;
use stafett_protocol::event::{Position, Receipt, Record};
use stafett_protocol::handover::Reason;
use stafett_protocol::ids::*;
use stafett_protocol::policy::own_basis;
use stafett_protocol::signed::Signed;
use stafett_protocol::wire::welcome_hash;

/// A signature over `bytes` as the protocol makes it, under any label.
fn sign(label: &str, bytes: &[u8], key: &SigningKey) -> [u8; 64] {
    key.sign(&[b"stafett/1 signed ", label.as_bytes(), &[0], bytes].concat()).to_bytes()
}

/// enc(Signed<T>) of these bytes with this signature.
fn object(bytes: &[u8], signature: &[u8]) -> Vec<u8> {
    [encode(&VLBytes::from(bytes.to_vec())), signature.to_vec()].concat()
}

/// The signed bytes and the signature inside enc(Signed<T>).
fn parts(object: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let (rest, signature) = object.split_at(object.len() - 64);
    let bytes: VLBytes = stafett_protocol::codec::decode(rest).unwrap();
    (bytes.as_slice().to_vec(), signature.to_vec())
}

/// `S + L` in the place of `S`: the same equation, another scalar.
fn uncanonical(signature: &[u8]) -> Vec<u8> {
    const L: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let mut bent = signature.to_vec();
    let mut carry = 0u16;
    for (byte, l) in bent[32..].iter_mut().zip(L) {
        carry += u16::from(*byte) + u16::from(l);
        *byte = carry as u8;
        carry >>= 8;
    }
    bent
}

/// Nearly right forms of one signed object; none may be believed under `key`.
fn forgeries(sample: &SignedSample, other_label: &'static str) -> Vec<(&'static str, Vec<u8>, PublicKey)> {
    let signer = key("signer");
    let public_key = public(&signer);
    let (bytes, signature) = parts(&sample.bytes);
    let longer = [&bytes[..], &[0]].concat();
    let mut bent = bytes.clone();
    let middle = bent.len() / 2;
    bent[middle] ^= 1;
    let mut bent_signature = signature.clone();
    bent_signature[0] ^= 1;
    let shorter = &bytes[..bytes.len() - 1];
    // The neutral element as key and as R, and S = 0: holds for every text where small orders are let in.
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let trivial = [&neutral[..], &[0; 32]].concat();
    vec![
        ("signed under another label", object(&bytes, &sign(other_label, &bytes, &signer)), public_key),
        ("signed without the prefix", object(&bytes, &signer.sign(&bytes).to_bytes()), public_key),
        ("signed by another key", object(&bytes, &sign(sample.label, &bytes, &key("another"))), public_key),
        ("one bit of what was signed flipped", object(&bent, &signature), public_key),
        ("one bit of the signature flipped", object(&bytes, &bent_signature), public_key),
        (
            "well signed, with a byte behind the value",
            object(&longer, &sign(sample.label, &longer, &signer)),
            public_key,
        ),
        ("well signed, with the last byte missing", object(shorter, &sign(sample.label, shorter, &signer)), public_key),
        ("a signature of no bytes", object(&bytes, &[]), public_key),
        ("a signature of 32 bytes", object(&bytes, &signature[..32]), public_key),
        ("a signature of 63 bytes", object(&bytes, &signature[..63]), public_key),
        ("a signature of 65 bytes", object(&bytes, &[&signature[..], &[0]].concat()), public_key),
        ("a scalar beyond the order of the group", object(&bytes, &uncanonical(&signature)), public_key),
        ("a key of small order", object(&bytes, &trivial), neutral),
    ]
}

/// `signed.json`.
pub fn signed() -> File {
    let samples = Samples::new().signed();
    let public_key = to_hex(&public(&key("signer")));
    let mut vectors: Vec<Value> = vec![];
    for (i, s) in samples.iter().enumerate() {
        vectors.push(json!({"type": s.of, "label": s.label, "key": public_key, "hex": to_hex(&s.bytes), "id": to_hex(&s.id.0), "value": s.shown}));
        let other = samples[(i + 1) % samples.len()].label;
        for (why, bytes, key) in forgeries(s, other) {
            assert!(!(s.accepts)(&bytes, &key), "{} {why}", s.label);
            vectors.push(
                json!({"type": s.of, "label": s.label, "key": to_hex(&key), "hex": to_hex(&bytes), "refused": why}),
            );
        }
    }
    File {
        name: "signed.json",
        about: "enc(Signed<T>) under `label`; holds for `key`, and is named `id`. `refused` must not be believed.",
        vectors,
    }
}

fn hashed(what: &str, parts: &[&[u8]], out: &[u8]) -> Value {
    json!({"what": what, "in": parts.iter().map(|p| to_hex(p)).collect::<Vec<_>>(), "out": to_hex(out)})
}

/// `hashes.json`.
pub fn hashes() -> File {
    let world = World::new();
    let (teacher, mother) = (world.person(TEACHER).public(), world.person(MOTHER).public());
    let device = world.device(TEACHER).id();
    let authority = world.authority();
    let group = stafett_protocol::replica::group_id(CARD, 2);
    let (secret, ticket) = ([4; 16], [3; 16]);
    let h = |label: &str, parts: &[&[u8]]| {
        let mut inputs = vec![label.as_bytes()];
        inputs.extend(parts);
        hashed("H", &inputs, &hash(label, parts).0)
    };
    let proven = |what: &str, purpose, parts: &[&[u8]]| {
        let mut inputs = vec![secret.as_slice(), &ticket];
        inputs.extend(parts);
        hashed(what, &inputs, &proof(&secret, purpose, &ticket, parts))
    };
    let number = comparison_number((world.id(TEACHER), &teacher), (world.id(MOTHER), &mother));
    let pair: [&[u8]; 4] = [&world.id(TEACHER).0, &teacher, &world.id(MOTHER).0, &mother];
    let letter_key_hashed = letter_key_hash(&[9; 1216]);
    let reason = Reason { text: "Bytter skole".into(), salt: SALT };
    let vectors = vec![
        h("a", &[]),
        h("a", &[b""]),
        h("a", &[b"bc"]),
        h("ab", &[b"c"]),
        h("a", &[b"b", b"c"]),
        hashed("PersonId", &[&teacher], &PersonId::of_first_key(&teacher).0),
        hashed("DeviceId", &[&world.device(TEACHER).public()], &device.0),
        hashed("LogId", &[&teacher, &SALT], &LogId::found(&teacher, &SALT).0),
        hashed("letter key hash", &[&[9; 1216]], &letter_key_hashed.0),
        hashed("key hash", &[&teacher], &key_hash(&teacher).0),
        hashed("ticket hash", &[&ticket], &ticket_hash(&ticket).0),
        hashed("authority id", &[&encode(&authority)], &authority.id().0),
        hashed("own basis", &[&teacher], &own_basis(&teacher).0),
        hashed("MLS group id", &[&CARD.0, &2u32.to_be_bytes()], group.as_slice()),
        hashed("consent text hash", &[&[8; 32], "Lær meg å lese".as_bytes()], &text_hash(&[8; 32], "Lær meg å lese").0),
        hashed("handover reason hash", &[&SALT, reason.text.as_bytes()], &reason.hash().0),
        hashed("Welcome hash", &[b"a Welcome"], &welcome_hash(b"a Welcome").0),
        hashed(
            "actor id",
            &[&device.0, &[1, 2, 3, 4, 5, 6, 7, 8]],
            actor_id(device, [1, 2, 3, 4, 5, 6, 7, 8]).to_bytes(),
        ),
        hashed("comparison number", &pair, number.as_bytes()),
        proven("proof of person key", Proof::Person, &[&teacher]),
        proven("proof of device key", Proof::Device, &[&world.device(TEACHER).public(), &letter_key_hashed.0]),
        proven("name key", Proof::NameKey, &[]),
    ];
    File { name: "hashes.json", about: "Hashes, ids and MACs: `out` follows from the parts `in`.", vectors }
}

/// `chain.json`: a chain of four records with a receipt at its end, and what an altered copy looks like.
pub fn chain() -> File {
    let samples = Samples::new();
    let home = key("municipality");
    let mut head = Hash::default();
    let mut records = vec![];
    for seq in 1..=4u64 {
        let mut event = samples.event.clone();
        (event.counter, event.seen) = (seq, Position { seq: seq - 1, head });
        let event = Signed::sign(&event, &samples.world.device(MOTHER).key);
        let record = Record { seq, time: START + seq * MINUTE, event };
        head = record.head_after(&head);
        records.push((record, head));
    }
    let receipt = |seq: u64, head| {
        let time = START + seq * MINUTE;
        to_hex(&encode(&Signed::sign(
            &Receipt { scope: CARD, home_epoch: 1, position: Position { seq, head }, time },
            &home,
        )))
    };
    let whole: Vec<String> = records.iter().map(|(r, _)| to_hex(&encode(r))).collect();
    let last = receipt(4, head);
    let mut vectors = vec![
        json!({"records": whole, "heads": records.iter().map(|(_, h)| to_hex(&h.0)).collect::<Vec<_>>(), "receipt": last, "key": to_hex(&public(&home))}),
        json!({"records": &whole[..2], "receipt": receipt(2, records[1].1), "key": to_hex(&public(&home))}),
    ];
    let later = Record { time: records[3].0.time + 1, ..records[3].0.clone() };
    let swapped = [whole[0].clone(), whole[2].clone(), whole[1].clone(), whole[3].clone()];
    let altered = [
        ("a record left out", vec![whole[0].clone(), whole[1].clone(), whole[3].clone()], last.clone()),
        ("the last record left out", whole[..3].to_vec(), last.clone()),
        ("two records swapped", swapped.to_vec(), last.clone()),
        ("another time", [&whole[..3], &[to_hex(&encode(&later))]].concat(), last.clone()),
        ("a record twice", [&whole[..], &whole[3..]].concat(), last),
        ("a receipt for another head", whole.clone(), receipt(4, Hash([1; 32]))),
        ("a receipt for another place", whole.clone(), receipt(3, head)),
    ];
    vectors.extend(altered.into_iter().map(|(why, records, receipt)| {
        json!({"refused": why, "records": records, "receipt": receipt, "key": to_hex(&public(&home))})
    }));
    File {
        name: "chain.json",
        about: "Records of one scope, the head after each, and the home's receipt, which must stand for exactly these records.",
        vectors,
    }
}
