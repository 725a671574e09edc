//! Vectors of what is computed: request signatures, codes, key chain, sealed changes, letters.

use super::files::{File, folder};
use crate::common::samples::code;
use crate::common::*;
use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use openmls_rust_crypto::RustCrypto;
use serde_json::{Value, json};
use stafett_client_core::keychain::{ContentKey, Place, check, make_bridge, open_bridge};
use stafett_client_core::letter::{SealedLetter, key_pair};
use stafett_client_core::seal::{Binding, SealError, change_tag, open, padded, seal};
use stafett_client_core::{letter, seal as sealing};
use stafett_protocol::code::{Code, written};
use stafett_protocol::codec::encode;
use stafett_protocol::event::{Position, SealContext};
use stafett_protocol::http_signature::{SignatureHeaders, sign, verify};
use stafett_protocol::ids::{DeviceId, Hash, PublicKey, bytes_from_hex, to_hex};

fn headers(h: &SignatureHeaders) -> Value {
    json!({"Content-Digest": h.content_digest, "Signature-Input": h.signature_input, "Signature": h.signature})
}

/// `stream.json`.
pub fn stream() -> File {
    let world = World::new();
    let device = world.device(MOTHER);
    let exporter = [0x5a; 32];
    let good = sign("GET", "/v1/stream", b"", &exporter, &device.key);
    let request = |key: &PublicKey, exporter: &[u8; 32], h: &SignatureHeaders| json!({"method": "GET", "path": "/v1/stream", "exporter": to_hex(exporter), "key": to_hex(key), "headers": headers(h)});
    let other = |edit: &dyn Fn(&mut SignatureHeaders)| {
        let mut h = good.clone();
        edit(&mut h);
        h
    };
    let by = |method: &str, path: &str, body: &[u8]| sign(method, path, body, &exporter, &device.key);
    let altered = [
        ("another connection", [1; 32], good.clone()),
        ("signed for another method", exporter, by("POST", "/v1/stream", b"")),
        ("signed for another route", exporter, by("GET", "/v1/join", b"")),
        ("signed with a body", exporter, by("GET", "/v1/stream", b"x")),
        (
            "another algorithm named",
            exporter,
            other(&|h| h.signature_input = h.signature_input.replace("ed25519", "none")),
        ),
        ("a component left out", exporter, other(&|h| h.signature_input = h.signature_input.replace("\"@path\" ", ""))),
        ("no signature", exporter, other(&|h| h.signature = "stafett=::".into())),
        ("a short signature", exporter, other(&|h| h.signature.truncate(40))),
        ("another label", exporter, other(&|h| h.signature = h.signature.replace("stafett", "sig1"))),
    ];
    let mut vectors = vec![request(&device.public(), &exporter, &good)];
    for (why, exporter, h) in altered {
        assert!(!verify("GET", "/v1/stream", b"", &exporter, &device.public(), &h), "{why}");
        let mut vector = request(&device.public(), &exporter, &h);
        vector["refused"] = why.into();
        vectors.push(vector);
    }
    let stranger = world.device(FATHER).public();
    assert!(!verify("GET", "/v1/stream", b"", &exporter, &stranger, &good));
    let mut vector = request(&stranger, &exporter, &good);
    vector["refused"] = "another device's key".into();
    vectors.push(vector);
    File {
        name: "stream.json",
        about: "The signed request (RFC 9421) that opens a device's stream, on the connection with this exporter value.",
        vectors,
    }
}

/// `codes.json`.
pub fn codes() -> File {
    let whole = code();
    let short = Code { secret: None, person: None, ..code() };
    let shown = |c: &Code| json!({"municipality": c.municipality, "url": c.url, "ca": to_hex(&c.ca), "municipality_key": to_hex(&c.municipality_key.0), "ticket": to_hex(&c.ticket), "secret": c.secret.map(|s| to_hex(&s)), "inviter": to_hex(&c.inviter.0), "person": c.person.map(|p| p.to_string())});
    let text = whole.to_text();
    let spaced = format!(" {}\n\t{} ", &text[..50], &text[50..]);
    let mut vectors: Vec<Value> = [(&text, &whole), (&short.to_text(), &short), (&spaced, &whole)]
        .map(|(text, code)| json!({"text": text, "code": shown(code)}))
        .to_vec();
    let swap = |at: usize| {
        let other = if text.as_bytes()[at] == b'0' { "1" } else { "0" };
        format!("{}{other}{}", &text[..at], &text[at + 1..])
    };
    let wrong = [
        ("mistyped", swap(20)),
        ("a wrong check letter", swap(text.len() - 1)),
        ("cut off", text[..text.len() - 2].to_owned()),
        ("a group is missing", text.replacen(&text[20..32], "", 1)),
        ("another prefix", text.replace("stafett1-", "stafett2-")),
        ("no prefix", text.replace("stafett1-", "")),
        ("a letter that is no digit", format!("{}ø{}", &text[..30], &text[31..])),
        ("right groups over a byte too many", written(&[encode(&whole), vec![0]].concat())),
        ("right groups over nothing", written(&[])),
        (
            "two groups that changed places",
            text.replacen(&text[9..32], &format!("{}-{}", &text[21..32], &text[9..20]), 1),
        ),
        ("nothing", String::new()),
    ];
    for (why, text) in wrong {
        assert!(Code::from_text(&text).is_err(), "{why}");
        vectors.push(json!({"refused": why, "text": text}));
    }
    File { name: "codes.json", about: "One-time codes as people copy them.", vectors }
}

fn content_key(n: u8) -> ([u8; 32], ContentKey) {
    ([n; 32], ContentKey::from_exporter(&[n; 32]).unwrap())
}

/// `keys.json`.
pub fn keys() -> File {
    let mut vectors = vec![];
    // To the epoch before, and bridges to others.
    let pairs = [((1, 1), (1, 0)), ((1, 2), (1, 1)), ((2, 300), (2, 299)), ((2, 0), (1, 7)), ((1, 5), (1, 3))];
    for ((generation, epoch), to) in pairs {
        let ((newer_bytes, newer), (older_bytes, older)) = (content_key(11), content_key(10));
        let place = Place { scope: CARD, generation, epoch };
        let target = Place { scope: CARD, generation: to.0, epoch: to.1 };
        let link = make_bridge(&newer, &older, &place, &target);
        let vector = |key: &[u8; 32], link: &[u8]| json!({"scope": to_hex(&CARD.0), "generation": generation, "epoch": epoch, "to": [to.0, to.1], "key": to_hex(key), "check": to_hex(&check(&newer, &place)), "link": to_hex(link)});
        let mut good = vector(&newer_bytes, &link);
        good["before"] = to_hex(&older_bytes).into();
        vectors.push(good);
        let mut bent = link.clone();
        bent[5] ^= 1;
        for (why, key, link) in [
            ("a bent link", newer_bytes, bent),
            ("a short link", newer_bytes, link[..32].to_vec()),
            ("another key", older_bytes, link),
        ] {
            let key_here = ContentKey::from_exporter(&key).unwrap();
            assert!(open_bridge(&key_here, &link, &place, &target).is_none(), "{why}");
            let mut vector = vector(&key, &link);
            vector["refused"] = why.into();
            vectors.push(vector);
        }
    }
    File {
        name: "keys.json",
        about: "Content keys: the check that a commit publishes, and the link that opens to the key of `to`, the epoch before or an earlier place (generation, epoch).",
        vectors,
    }
}

/// HKDF as the protocol uses it, to seal what the client would not.
fn kdf(key: &[u8], salt: &[u8], label: &str, context: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    let info = [b"stafett/1 ", label.as_bytes(), &[0], context].concat();
    hkdf::Hkdf::<sha2::Sha256>::new(Some(salt), key).expand(&info, &mut out).unwrap();
    out
}

/// Any plaintext, sealed as a change.
fn seal_raw(key: &[u8; 32], at: &SealContext, salt: &[u8; 32], plain: &[u8]) -> Vec<u8> {
    let context = [&at.device.0[..], &at.counter.to_be_bytes()].concat();
    let cipher = Aes256Gcm::new((&kdf(key, salt, "change", &context)).into());
    cipher.encrypt(&Nonce::default(), Payload { msg: plain, aad: &encode(at) }).unwrap()
}

/// `changes.json`.
pub fn changes() -> File {
    let device = DeviceId([3; 16]);
    let at = |count| SealContext {
        scope: CARD,
        generation: 1,
        epoch: 2,
        device,
        counter: 4,
        seen: Position { seq: 9, head: Hash([9; 32]) },
        count,
        attachments: vec![],
    };
    let (key_bytes, key) = content_key(1);
    let salt = [2; 32];
    let mut vectors = vec![];
    let vector = |count: u16, sealed: &[u8]| json!({"key": to_hex(&key_bytes), "salt": to_hex(&salt), "context": to_hex(&encode(&at(count))), "sealed": to_hex(sealed)});
    let long: Vec<u8> = (0..1800u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    for changes in [vec![vec![9; 40]], vec![vec![1; 20], vec![2; 30], vec![]], vec![long]] {
        let header = encode(&at(changes.len() as u16));
        let binding = Binding { salt, device, counter: 4, header: &header };
        let sealed = seal(&key, &binding, &changes).unwrap();
        let mut good = vector(changes.len() as u16, &sealed);
        good["changes"] = changes.iter().map(|c| to_hex(c)).collect();
        good["tag"] = to_hex(&change_tag(&key, &salt, &changes)).into();
        vectors.push(good);
    }
    let refuse = |why: &str, count, sealed: Vec<u8>, error| {
        let header = encode(&at(count));
        assert_eq!(open(&key, &Binding { salt, device, counter: 4, header: &header }, &sealed), Err(error), "{why}");
        let mut vector = vector(count, &sealed);
        vector["refused"] = why.into();
        vector
    };
    vectors.extend(
        refused_changes(&key_bytes, &at(1), &salt)
            .into_iter()
            .map(|(why, sealed, error)| refuse(why, 1, sealed, error)),
    );
    let sizes = [0, 1, 64, 65, 1023, 1024, 1025, 2048, 2049, 5000, 65_537, 262_143, 262_144];
    vectors.push(json!({"padded": sizes.map(|n| json!([n, padded(n)]))}));
    File {
        name: "changes.json",
        about: "Sealed changes: `sealed` opens under `key` to `changes`, whose tag is `tag`; `context` is enc(SealContext).",
        vectors,
    }
}

fn refused_changes(key: &[u8; 32], at: &SealContext, salt: &[u8; 32]) -> Vec<(&'static str, Vec<u8>, SealError)> {
    // DEFLATE with one stored block: the bytes stand in the clear.
    let stored = |packed: &[u8]| {
        let n = packed.len() as u16;
        [&[1][..], &n.to_le_bytes(), &(!n).to_le_bytes(), packed].concat()
    };
    let plain = |announced: usize, compressed: &[u8], size: usize, fill: u8| {
        let mut plain = [&(announced as u32).to_be_bytes()[..], compressed].concat();
        plain.resize(size - 16, fill);
        seal_raw(key, at, salt, &plain)
    };
    let good = stored(&[0, 0, 0, 2, 7, 7]);
    let right = plain(good.len(), &good, 64, 0);
    let mut bent = right.clone();
    bent[0] ^= 1;
    let elsewhere = SealContext { counter: at.counter + 1, ..at.clone() };
    let cut = stored(&[0, 0, 0, 9, 7]);
    let none = stored(&[]);
    vec![
        ("one bit flipped", bent, SealError::Opening),
        ("a tag of 15 bytes", right[..right.len() - 1].to_vec(), SealError::Opening),
        ("sealed for another event", seal_raw(key, &elsewhere, salt, &[0; 48]), SealError::Opening),
        ("padding that is not zero", plain(good.len(), &good, 64, 1), SealError::Packing),
        ("padded more than need be", plain(good.len(), &good, 128, 0), SealError::Packing),
        ("padded to no size of the table", plain(good.len(), &good, 65, 0), SealError::Packing),
        ("a length beyond the end", plain(5000, &good, 64, 0), SealError::Packing),
        ("a change longer than what is there", plain(cut.len(), &cut, 64, 0), SealError::Packing),
        ("no change", plain(none.len(), &none, 64, 0), SealError::Count),
    ]
}

/// `letters.json`. HPKE draws randomness: the committed letter stays, as long as it opens.
pub fn letters() -> File {
    let crypto = RustCrypto::default();
    let seed = [0x42; 32];
    let pair = key_pair(&crypto, &seed).unwrap();
    let to = DeviceId([5; 16]);
    let plain = b"a letter's plaintext stands here";
    let committed: Value = std::fs::read_to_string(folder().join("letters.json"))
        .ok()
        .and_then(|t| serde_json::from_str(&t).ok())
        .unwrap_or_default();
    let bytes = |v: &Value| v.as_str().and_then(bytes_from_hex).unwrap_or_default();
    let open = |l: &SealedLetter| letter::open(&crypto, &pair.private, b"stafett/1 letter", &to.0, l);
    let first = &committed["vectors"][0];
    let kept = SealedLetter { kem: bytes(&first["kem"]), sealed: bytes(&first["sealed"]) };
    let kept = if open(&kept).is_ok_and(|p| p == plain) {
        kept
    } else {
        letter::seal(&crypto, &pair.public, b"stafett/1 letter", &to.0, plain).unwrap()
    };
    let vector = |l: &SealedLetter| json!({"seed": to_hex(&seed), "public": to_hex(&pair.public), "to": to_hex(&to.0), "kem": to_hex(&l.kem), "sealed": to_hex(&l.sealed)});
    let mut good = vector(&kept);
    good["plain"] = to_hex(plain).into();
    let mut vectors = vec![good];
    let mut bent = kept.clone();
    bent.sealed[3] ^= 1;
    let short = SealedLetter { kem: kept.kem[..1119].to_vec(), ..kept.clone() };
    let cut = SealedLetter { sealed: kept.sealed[..sealing::padded(1) - 1].to_vec(), ..kept };
    for (why, letter) in [("one bit flipped", bent), ("an encapsulated key too short", short), ("no whole tag", cut)] {
        assert!(open(&letter).is_err(), "{why}");
        let mut vector = vector(&letter);
        vector["refused"] = why.into();
        vectors.push(vector);
    }
    File {
        name: "letters.json",
        about: "A letter sealed to the letter key that is derived from `seed`: the outer form and what it opens to.",
        vectors,
    }
}
