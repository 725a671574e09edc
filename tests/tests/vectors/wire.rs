//! Vectors of the encoding: every type that travels, every variant of every enum, and what must be refused.

use super::files::File;
use crate::common::samples::{Sample, Samples, sample};
use crate::common::*;
use serde_json::{Value, json};
use stafett_protocol::consent::*;
use stafett_protocol::credential::PersonKind;
use stafett_protocol::event::{Body, Carried, Commit, Event, Genesis};
use stafett_protocol::handover::Part;
use stafett_protocol::ids::{Hash, to_hex};
use stafett_protocol::letter::Letter;
use stafett_protocol::membership::{ConsentAuthority, Role, ScopeKind};
use stafett_protocol::statement::*;
use stafett_protocol::wire::{CodeKind, JoinReply};

/// Samples that travel and have no MLS inside, which draws randomness of its own; and what they leave out.
pub fn samples() -> Vec<Sample> {
    let samples = Samples::new();
    let left_out = ["commit", "genesis", "municipalities"];
    let mut all: Vec<Sample> = samples.wire().into_iter().filter(|s| !left_out.contains(&s.name.as_str())).collect();
    all.extend(bodies(&samples));
    all.extend(names(&samples.world));
    all
}

/// Genesis and commit with other bytes in the place of MLS messages.
fn bodies(samples: &Samples) -> Vec<Sample> {
    let world = &samples.world;
    let founding = world.card_founding();
    let genesis = Genesis {
        group_info: vec![1; 70].into(),
        tree: vec![2; 3].into(),
        founder: world.device(TEACHER).credential.borrow().clone(),
        log_salt: Some(SALT),
        card: None,
        grants: founding.grants.clone(),
        vouchers: founding.vouchers.clone(),
        check: Hash([3; 32]),
        carries: None,
    };
    let carries = Some(Carried { to: KeyPlace { generation: 1, epoch: 3 }, link: vec![9; 48].into() });
    let next = Genesis { log_salt: None, grants: vec![], vouchers: vec![], carries, ..genesis.clone() };
    let concern = Genesis { log_salt: None, card: Some(CARD), grants: vec![], vouchers: vec![], ..genesis.clone() };
    let Body::Commit(commit) = &samples.commit.body else { panic!("the sample is a commit") };
    let mut commit = commit.clone();
    commit.mls = vec![4; 300].into();
    commit.group_info = vec![5; 20_000].into();
    commit.link = Some(vec![6; 48].into());
    commit.check = Hash([7; 32]);
    commit.welcome = Some(Hash([8; 32]));
    commit.vouchers = founding.vouchers;
    let resync = Commit { link: None, welcome: None, vouchers: vec![], ..commit.clone() };
    let event = |body| Event { body, ..samples.event.clone() };
    vec![
        sample("event genesis of a card", &event(Body::Genesis(genesis))),
        sample("event genesis of a concern", &event(Body::Genesis(concern))),
        sample("event genesis of a second generation", &event(Body::Genesis(next))),
        sample("event commit", &event(Body::Commit(commit))),
        sample("event resync", &event(Body::Commit(resync))),
        sample("event change", &samples.event),
        sample("signed event", &samples.signed_event()),
    ]
}

/// The small enums, each variant by itself.
fn names(world: &World) -> Vec<Sample> {
    let child = Some(world.authority_person(CHILD));
    let youth = ConsentAuthority { guardians: vec![], quorum: 0, child, youth_from: START };
    let mut all = vec![
        sample("target grant", &Target::Grant(Hash([1; 32]))),
        sample("target unit", &Target::Unit(SCHOOL)),
        sample("target person", &Target::Person(world.id(PPT))),
        sample("target all", &Target::All),
        sample("letter", &Letter { to: world.device(PPT).id(), kem: vec![1; 20].into(), sealed: vec![].into() }),
        sample("grantee unit", &world.unit_of(LEADER)),
        sample(
            "grantee person",
            &Grantee::Person(PersonGrantee { person: world.id(COACH), person_key: world.person(COACH).public() }),
        ),
        sample("code kind person", &CodeKind::Person(PersonKind::Leader)),
        sample("code kind device", &CodeKind::Device),
        sample("empty authority", &ConsentAuthority::default()),
        sample("authority of a youth", &youth),
        sample("joined", &join_reply(world)),
    ];
    let permits = [Permit::No, Permit::Yes];
    all.extend(permits.map(|p| sample("permit", &p)));
    all.extend([Access::Read, Access::Contribute, Access::Hold, Access::Custody].map(|a| sample("access", &a)));
    all.extend(
        [RejectReason::Mls, RejectReason::Link, RejectReason::TwoHistories].map(|r| sample("reject reason", &r)),
    );
    all.extend([Closing::Closed, Closing::Reopened].map(|c| sample("closing", &c)));
    all.extend([Part::Moves, Part::Closes].map(|p| sample("part", &p)));
    all.extend(stafett_protocol::policy::ROLES.iter().map(|r: &Role| sample("role", r)));
    use PersonKind as P;
    all.extend([P::Employee, P::Leader, P::Guardian, P::Child, P::Administrator].map(|k| sample("person kind", &k)));
    use ScopeKind as K;
    all.extend([K::Card, K::Journal, K::Concern, K::Unit, K::Personal].map(|k| sample("scope kind", &k)));
    all
}

fn join_reply(world: &World) -> JoinReply {
    JoinReply {
        municipality: HOME,
        municipality_key: world.trusted.0[0].key,
        certificate: Some(world.device(TEACHER).credential.borrow().person.clone()),
        unit: None,
    }
}

/// Bytes that are nearly right. Beyond these every accepted vector is refused when it is cut at any byte or
/// followed by another; checkers do that themselves.
fn refused() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let letter = |length: &[u8], rest: usize| [&[7; 16], length, &[1; 20][..], &[0], &vec![0; rest]].concat();
    vec![
        ("Letter", "a length in two bytes where one does", letter(&[0x40, 20], 0)),
        ("Letter", "a length in four bytes where one does", letter(&[0x80, 0, 0, 20], 0)),
        ("Letter", "a length in eight bytes", letter(&[0xc0, 0, 0, 0, 0, 0, 0, 20], 0)),
        ("Letter", "a length of 2^30 - 1 and nothing behind it", letter(&[0xbf, 0xff, 0xff, 0xff], 0)),
        ("Letter", "a length one too long", letter(&[22], 0)),
        ("Letter", "a byte behind the end", letter(&[20], 1)),
        ("Letter", "nothing at all", vec![]),
        ("Permit", "no such variant", vec![2]),
        ("Role", "no such variant", vec![0]),
        ("Role", "no such variant", vec![0xff]),
        ("Target", "no such variant", vec![5]),
        ("Target", "a variant without fields, followed by some", [&[4][..], &[0; 16]].concat()),
        ("Target", "fields of another variant", [&[1][..], &[0; 16]].concat()),
        ("ClientFrame", "no such request", vec![0, 0, 0, 1, 0xff]),
        ("ServerFrame", "no such reply", vec![0, 0, 0, 1, 0xff]),
        ("ClientFrame", "a vector of u64 of nine bytes", [&[0, 0, 0, 1, 8, 9][..], &[0; 9]].concat()),
        ("ClientFrame", "a text that is not UTF-8", vec![0, 0, 0, 1, 12, 2, 0xc3, 0x28, 1, b'x']),
        ("ClientFrame", "a text that encodes a surrogate", vec![0, 0, 0, 1, 12, 3, 0xed, 0xa0, 0x80, 1, b'x']),
        ("ConsentAuthority", "an optional with the first byte 2", vec![0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0]),
        ("ConsentAuthority", "an optional that is announced and missing", vec![0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]),
        ("Signed<Event>", "a signature of 63 bytes", [&[1, 0][..], &[0; 63]].concat()),
    ]
}

/// `wire.json`.
pub fn file() -> File {
    let samples = samples();
    let mut vectors: Vec<Value> = samples
        .iter()
        .map(|s| json!({"type": type_name(s.of), "name": s.name, "hex": to_hex(&s.bytes), "value": s.shown}))
        .collect();
    for (of, why, bytes) in refused() {
        let decoder = samples.iter().find(|s| type_name(s.of) == of).unwrap_or_else(|| panic!("no sample of {of}"));
        assert!((decoder.again)(&bytes).is_none(), "{of}: {why}: this must not decode");
        vectors.push(json!({"type": of, "refused": why, "hex": to_hex(&bytes)}));
    }
    for s in &samples {
        assert_eq!((s.again)(&s.bytes).as_ref(), Some(&s.bytes), "{}", s.name);
    }
    let about =
        "enc(value) of every type; `value` names the fields (Rust's debug notation). `refused` must not decode.";
    File { name: "wire.json", about, vectors }
}

/// `short_name` cuts generics: `Signed<…::Event>` is called by what it signs.
fn type_name(of: &str) -> String {
    of.strip_suffix('>').map_or(of.to_owned(), |inner| format!("Signed<{inner}>"))
}
