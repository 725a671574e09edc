//! What is fuzzed: bytes in, nothing out, no panic, and a few truths that hold for any bytes. The libFuzzer binaries
//! beside this file and the ordinary suite (`tests/tests/fuzz.rs`) run the same functions on the same seeds.

#[path = "border.rs"]
mod border;
#[path = "client.rs"]
mod client;
#[path = "intake.rs"]
mod intake;
#[path = "served.rs"]
mod served;
#[path = "stream.rs"]
mod stream;

use crate::common::samples::{Sample, Samples, SignedSample};
use crate::common::*;
use automerge::transaction::Transactable;
use automerge::{AutoCommit, ObjType, ROOT, ReadDoc};
use openmls::prelude::{MlsMessageBodyIn, MlsMessageIn, MlsMessageOut, ProtocolVersion};
use openmls_rust_crypto::RustCrypto;
use sha2::{Digest as _, Sha256};
use stafett_client_core::document::edit::{self, Arena, NewGoal, NewMeasure, Responsible};
use stafett_client_core::document::gate::actor_id;
use stafett_client_core::document::{Document, Editor, Outcome, Received, Writer, outline};
use stafett_client_core::letter;
use stafett_protocol::checkpoint::CheckpointFacts;
use stafett_protocol::code::Code;
use stafett_protocol::codec::{decode, encode};
use stafett_protocol::commit_view::Leaf;
use stafett_protocol::event::{Body, Event, Position, Record};
use stafett_protocol::http_signature::{self, SignatureHeaders};
use stafett_protocol::ids::{DeviceId, PersonId, bytes_from_hex};
use stafett_protocol::membership::{Role, ScopeKind};
use stafett_protocol::replica::Replica;
use stafett_protocol::signed::Signed;
use tls_codec::{Deserialize as _, Serialize as _};

/// What runs on one input.
pub type Run = Box<dyn Fn(&[u8])>;

/// One target: its name, seeds to start from, and what runs on each input.
pub struct Target {
    pub name: &'static str,
    pub seeds: Vec<Vec<u8>>,
    pub run: Run,
}

/// All targets, by name.
pub const NAMES: [&str; 10] =
    ["decode", "text", "snapshot", "judge", "gate", "mls", "audit", "client", "intake", "border"];

pub fn target(name: &str) -> Target {
    match name {
        "decode" => decoders(),
        "text" => texts(),
        "snapshot" => snapshots(),
        "judge" => judge(),
        "gate" => gate(),
        "mls" => mls(),
        "audit" => audit(),
        "client" => client::target(),
        "intake" => intake::target(),
        "border" => border::target(),
        other => panic!("there is no target {other}; there are {NAMES:?}"),
    }
}

/// Inputs that once failed, and those that show the fuzzer something new: one a line, in hexadecimal.
pub fn kept(folder: &str, name: &str) -> Vec<Vec<u8>> {
    let text = std::fs::read_to_string(format!("{folder}/{name}.txt")).unwrap();
    text.lines().map(|line| bytes_from_hex(line).unwrap_or_else(|| panic!("{name}: {line}"))).collect()
}

fn numbered(number: usize, bytes: &[u8]) -> Vec<u8> {
    [&[number as u8], bytes].concat()
}

/// Every wire and signed type, and what was signed without its signature. The first byte says which; what decodes,
/// encodes to the same bytes, and nobody else's signature fits.
fn decoders() -> Target {
    let samples = Samples::new();
    let (wire, signed): (Vec<Sample>, Vec<SignedSample>) = (samples.wire(), samples.signed());
    assert!(wire.len() + 2 * signed.len() < 256, "a byte names the type");
    let seeds = wire.iter().map(|s| &s.bytes).chain(signed.iter().flat_map(|s| [&s.bytes, &s.inner]));
    let seeds = seeds.enumerate().map(|(n, bytes)| numbered(n, bytes)).collect();
    let stranger = public(&key("nobody"));
    let run = move |input: &[u8]| {
        let Some((number, bytes)) = input.split_first() else { return };
        let number = usize::from(*number);
        if let Some(sample) = wire.get(number) {
            if let Some(again) = (sample.again)(bytes) {
                assert_eq!(again, bytes, "{} has two encodings", sample.name);
            }
            return;
        }
        let number = number - wire.len();
        let Some(sample) = signed.get(number / 2) else { return };
        if number.is_multiple_of(2) {
            assert!(!(sample.accepts)(bytes, &stranger), "{}", sample.label);
        } else if let Some(again) = (sample.again)(bytes) {
            assert_eq!(again, bytes, "{} has two encodings", sample.label);
        }
    };
    Target { name: "decode", seeds, run: Box::new(run) }
}

/// What people and headers carry as text: invitation codes, and the signature that opens the stream.
fn texts() -> Target {
    let device = key("device");
    let headers = http_signature::sign("GET", "/v1/stream", b"", &[7; 32], &device);
    let sample = Samples::new().wire().into_iter().find(|s| s.of == "Code").map(|s| s.bytes).unwrap_or_default();
    let code = decode::<Code>(&sample).map(|code| code.to_text()).unwrap_or_default();
    let seeds = vec![
        numbered(0, code.as_bytes()),
        numbered(1, headers.signature_input.as_bytes()),
        numbered(2, headers.signature.as_bytes()),
        numbered(3, headers.content_digest.as_bytes()),
    ];
    let run = move |input: &[u8]| {
        let Some((kind, Ok(text))) = input.split_first().map(|(kind, rest)| (*kind, std::str::from_utf8(rest))) else {
            return;
        };
        let SignatureHeaders { content_digest, signature_input, signature } = headers.clone();
        let bent = match kind {
            0 => {
                if let Ok(code) = Code::from_text(text) {
                    assert_eq!(Code::from_text(&code.to_text()).as_ref(), Ok(&code));
                }
                return;
            }
            1 => {
                http_signature::claimed_device(text);
                SignatureHeaders { signature_input: text.into(), content_digest, signature }
            }
            2 => SignatureHeaders { signature: text.into(), content_digest, signature_input },
            _ => SignatureHeaders { content_digest: text.into(), signature_input, signature },
        };
        let holds = http_signature::verify("GET", "/v1/stream", b"", &[7; 32], &public(&device), &bent);
        let other = http_signature::verify("POST", "/v1/stream", b"", &[7; 32], &public(&device), &bent);
        assert!(!other, "a signature for GET opens POST");
        let same = (bent.signature_input == headers.signature_input) && (bent.signature == headers.signature);
        assert!(!holds || kind == 2 || same, "an altered signature holds");
    };
    Target { name: "text", seeds, run: Box::new(run) }
}

/// What a server or client reads back from its own disk: damage is said.
fn snapshots() -> Target {
    let world = World::new();
    let seeds = vec![world.card().replica.snapshot(), world.card_with_reader().replica.snapshot()];
    let run = |input: &[u8]| {
        if let Ok(replica) = Replica::restore(input) {
            assert_eq!(replica.snapshot(), input);
        }
    };
    Target { name: "snapshot", seeds, run: Box::new(run) }
}

/// The accept rule: any body, under a good signature of anybody in the log, on a card, a concern and a personal scope.
fn judge() -> Target {
    let samples = Samples::new();
    let world = World::new();
    let card = world.card_with_reader();
    let concern = world.concern(card.state());
    let personal = world.found(world.device(MOTHER), &world.personal_founding(MOTHER), None).unwrap();
    let mut bodies: Vec<Body> = vec![samples.event.body.clone(), samples.commit.body.clone()];
    for chain in [&card, &concern, &personal] {
        bodies.extend(chain.records.iter().map(|record| record.event.peek().unwrap().body));
    }
    let seeds = bodies.iter().enumerate().map(|(n, body)| [&[n as u8, (n / 3) as u8], &*encode(body)].concat());
    let seeds = seeds.collect();
    let chains = [card, concern, personal];
    let run = move |input: &[u8]| {
        let [which, who, bytes @ ..] = input else { return };
        let Ok(body) = decode::<Body>(bytes) else { return };
        let chain = &chains[usize::from(*which) % chains.len()];
        let device = world.device(usize::from(*who) % world.people.len());
        let genesis = matches!(body, Body::Genesis(_));
        let event = chain.event(device, body);
        // A re-founding says the next generation, at epoch 0.
        let event = if genesis && who & 0x80 != 0 {
            Event { generation: event.generation + 1, epoch: 0, ..event }
        } else {
            event
        };
        let record =
            Record { seq: chain.state().position.seq + 1, time: chain.now, event: Signed::sign(&event, &device.key) };
        let context = chain.context(&world);
        let Ok(judged) = chain.replica.judge(record.clone(), &context) else { return };
        let mut next = Replica::restore(&chain.replica.snapshot()).unwrap();
        let position = judged.position();
        assert_eq!(position, Position { seq: record.seq, head: record.head_after(&chain.state().position.head) });
        drop(judged);
        let judged = next.judge(record, &context).expect("the same verdict from a snapshot");
        next.apply(judged).expect("what was judged can be applied");
        assert_eq!(next.state().position, position);
        let again = Replica::restore(&next.snapshot()).expect("what was applied can be stored");
        assert_eq!(again.state(), next.state());
    };
    Target { name: "judge", seeds, run: Box::new(run) }
}

const TEACHER_PERSON: PersonId = PersonId([1; 16]);
const MOTHER_PERSON: PersonId = PersonId([2; 16]);
const MOTHER_DEVICE: DeviceId = DeviceId([102; 16]);

fn received(event: u64, device: DeviceId, person: PersonId, role: Role, change: Vec<u8>) -> Received {
    let writer = Writer { person, role, received_ms: START, event };
    Received { device, writer, changes: vec![change] }
}

/// A published concern, as its holder sends it.
fn published() -> Received {
    let device = DeviceId([101; 16]);
    let editor = Editor { person: TEACHER_PERSON, device, role: Role::Holder, now_ms: START, fresh: [1; 8] };
    let goal = NewGoal { text: "Ella gjør lekser hver dag".into(), ..NewGoal::default() };
    let (arena, responsible) = (Arena::Home, Responsible::Family);
    let measure = NewMeasure { id: "home".into(), text: "Tiltak".into(), arena, responsible, due: None, step: None };
    let mut document = Document::new(ScopeKind::Concern).unwrap();
    let (_, change) = document
        .edit(&editor, |to| edit::publish_concern(to, TEACHER_PERSON, "Lekser", None, &goal, &[measure]))
        .unwrap();
    received(1, device, TEACHER_PERSON, Role::Holder, change)
}

/// A change that the mother writes with the bare library, past all rules of a client.
fn forged(document: &Document, fresh: u8, edit: impl FnOnce(&mut AutoCommit)) -> Vec<u8> {
    let mut theirs = AutoCommit::load(&document.shown().save()).unwrap();
    theirs.set_actor(actor_id(MOTHER_DEVICE, [fresh; 8]));
    edit(&mut theirs);
    theirs.get_last_local_change().unwrap().raw_bytes().to_vec()
}

/// The change gate: any bytes of a member as a change. Two devices say the same, and go on. The checksum is put right
/// where the first byte is odd, so that what lies behind it is reached.
fn gate() -> Target {
    let first = published();
    let mut document = Document::new(ScopeKind::Concern).unwrap();
    document.accept(std::slice::from_ref(&first)).unwrap();
    let map = |d: &AutoCommit| d.get(ROOT, "measures").unwrap().map(|(_, id)| id);
    let mut changes = vec![first.changes[0].clone()];
    changes.push(forged(&document, 1, |d| d.put(ROOT, "title", "Fravær").unwrap()));
    changes.push(forged(&document, 2, |d| {
        let list = d.put_object(ROOT, "odd", ObjType::List).unwrap();
        (0..20).for_each(|n| d.insert(&list, n, n as i64).unwrap());
    }));
    changes.push(forged(&document, 3, |d| {
        if let Some(measures) = map(d) {
            let entry = d.put_object(&measures, "m", ObjType::Map).unwrap();
            d.put(&entry, "text", "Tiltak").unwrap();
        }
    }));
    let seeds = changes.iter().map(|change| numbered(1, change)).collect();
    let run = move |input: &[u8]| {
        let Some((mode, bytes)) = input.split_first() else { return };
        let mut change = bytes.to_vec();
        if mode & 1 == 1 && change.len() > 8 {
            let sum = Sha256::digest(&change[8..]);
            change[4..8].copy_from_slice(&sum[..4]);
        }
        let _ = outline::scan(&change);
        let event = received(2, MOTHER_DEVICE, MOTHER_PERSON, Role::Guardian, change);
        let verdict = |event: &Received| {
            let mut reader = Document::new(ScopeKind::Concern).unwrap();
            reader.accept(std::slice::from_ref(&first)).unwrap();
            let delivered = reader.accept(std::slice::from_ref(event)).unwrap();
            let stored = reader.checkpoint().unwrap();
            assert!(Document::from_checkpoint(ScopeKind::Concern, &stored).is_ok());
            let refused = matches!(delivered.outcomes.first(), Some(Outcome::Quarantined(_)) | None);
            (refused, reader.shown().get_heads())
        };
        assert_eq!(verdict(&event), verdict(&event));
        let _ = Document::from_checkpoint(ScopeKind::Concern, bytes);
    };
    Target { name: "gate", seeds, run: Box::new(run) }
}

/// What MLS and HPKE read of others, each with its own first byte: the facts of a checkpoint, a key package, a device's
/// letter key, a letter.
fn mls() -> Target {
    let world = World::new();
    let card = world.card_with_reader();
    let facts = CheckpointFacts {
        state: encode(card.state()).into(),
        group_info: card.group_info.clone().into(),
        tree: card.replica.tree().tls_serialize_detached().unwrap().into(),
    };
    let mother = world.device(MOTHER);
    let package = MlsMessageOut::from(mother.key_package()).tls_serialize_detached().unwrap();
    let crypto = RustCrypto::default();
    let pair = letter::key_pair(&crypto, &[1; 32]).unwrap();
    let sealed = letter::seal(&crypto, &pair.public, b"letter", b"to", b"Hei").unwrap();
    let kem = sealed.kem.len();
    let seeds = [encode(&facts), package, pair.public.clone(), [sealed.kem, sealed.sealed].concat()];
    let seeds = seeds.iter().enumerate().map(|(n, bytes)| numbered(n, bytes)).collect();
    let run = move |input: &[u8]| match input.split_first() {
        Some((0, bytes)) => {
            let Ok(facts) = decode::<CheckpointFacts>(bytes) else { return };
            let Some(replica) = facts.read_state().ok().and_then(|state| facts.replica(state).ok()) else { return };
            let again = Replica::restore(&replica.snapshot()).expect("what was read can be stored");
            assert_eq!(again.root(), replica.root());
        }
        Some((1, bytes)) => {
            let Ok(MlsMessageBodyIn::KeyPackage(package)) =
                MlsMessageIn::tls_deserialize_exact(bytes).map(MlsMessageIn::extract)
            else {
                return;
            };
            if let Ok(package) = package.validate(&crypto, ProtocolVersion::Mls10) {
                let _ = Leaf::of(package.leaf_node()).map(|leaf| leaf.credential.verify(&world.trusted).is_ok());
            }
        }
        Some((2, bytes)) => drop(letter::seal(&crypto, bytes, b"letter", b"to", b"Hei")),
        Some((_, bytes)) => {
            let (kem, sealed) = bytes.split_at(kem.min(bytes.len()));
            let sealed = letter::SealedLetter { kem: kem.to_vec(), sealed: sealed.to_vec() };
            let _ = letter::open(&crypto, &pair.private, b"letter", b"to", &sealed);
        }
        None => {}
    };
    Target { name: "mls", seeds, run: Box::new(run) }
}

/// A file that anybody may hand an auditor.
fn audit() -> Target {
    let world = World::new();
    let card = world.card();
    let receipt = Signed::sign(&card.replica.receipt(), &key("municipality"));
    let export = stafett_client_core::audit::export(&card.records, vec![receipt], &world.trusted, world.log());
    let seeds = vec![serde_json::to_vec(&export).unwrap()];
    let run = |input: &[u8]| {
        let Ok(file) = serde_json::from_slice(input) else { return };
        if let Ok(report) = stafett_client_core::audit::verify_export(&file) {
            assert!(report.checks >= report.violations.len());
        }
    };
    Target { name: "audit", seeds, run: Box::new(run) }
}
