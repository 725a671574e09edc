//! What does not belong: malformed, truncated, oversized, replayed and mis-signed input at every route.
//! Each gets a clear problem, nothing panics, nothing is stored.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use crate::common::*;
use crate::support::moving::{blind, play};
use crate::support::*;
use ed25519_dalek::SigningKey;
use stafett_protocol::code::ticket_hash;
use stafett_protocol::codec::encode;
use stafett_protocol::credential::PersonKind;
use stafett_protocol::event::{Body, Event};
use stafett_protocol::ids::Hash;
use stafett_protocol::letter::Letter;
use stafett_protocol::limits;
use stafett_protocol::signed::Signed;
use stafett_protocol::wire::*;
use stafett_server::home::now_ms;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// How much is stored, table by table.
async fn rows(server: &Running) -> Vec<i64> {
    let mut conn = server.db.reader().await.unwrap();
    let mut counts = vec![];
    for sql in [
        "SELECT COUNT(*) FROM persons",
        "SELECT COUNT(*) FROM devices",
        "SELECT COUNT(*) FROM codes WHERE used_by IS NOT NULL",
        "SELECT COUNT(*) FROM scopes",
        "SELECT COUNT(*) FROM records",
        "SELECT COUNT(*) FROM mailbox",
        "SELECT COUNT(*) FROM key_packages",
    ] {
        counts.push(conn.row(sql, vec![]).await.unwrap().unwrap().int(0).unwrap());
    }
    counts
}

fn one(device: &Device, event: &Event) -> Bundle {
    Bundle { envelopes: vec![Envelope { event: Signed::sign(event, &device.key), welcome: None }], letters: vec![] }
}

async fn code_of(client: &mut Client, bundle: Bundle) -> String {
    client.submit(bundle).await.unwrap_err().code
}

#[tokio::test(flavor = "multi_thread")]
async fn joining_takes_one_good_claim_for_one_good_code() {
    let world = World::new();
    let server = Running::start(&world, None).await;
    let ticket = server.code(PersonKind::Guardian, None).await;
    let good = claim(&world.person(MOTHER).key, world.device(MOTHER), ticket);
    let before = rows(&server).await;
    let bytes = encode(&good);
    for cut in (0..bytes.len()).step_by(37) {
        let (status, body) = server.http("POST", "/v1/join", &bytes[..cut]).await;
        let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((status, problem["code"].as_str().unwrap()), (400, "malformed"), "cut at {cut}");
    }
    for at in (0..bytes.len()).step_by(53) {
        let mut wrong = bytes.clone();
        wrong[at] ^= 0x40;
        let (status, _) = server.http("POST", "/v1/join", &wrong).await;
        assert!(matches!(status, 400 | 403 | 422), "bit at {at}: {status}");
    }
    let longer = [bytes.clone(), vec![0]].concat();
    assert_eq!(server.http("POST", "/v1/join", &longer).await.0, 400);
    assert_eq!(server.http("POST", "/v1/join", &vec![1; limits::BODY_BYTES + 1]).await.0, 413);
    let unknown = claim(&world.person(MOTHER).key, world.device(MOTHER), [9; 16]);
    assert_eq!(server.join(&unknown).await.unwrap_err().1, "code-invalid");
    assert_eq!(rows(&server).await, before, "nothing of all this is stored");

    let first = server.join(&good).await.unwrap();
    assert_eq!(server.join(&good).await.unwrap(), first, "a lost answer is asked for again");
    let other = claim(&world.person(FATHER).key, world.device(FATHER), ticket);
    assert_eq!(server.join(&other).await.unwrap_err().1, "code-invalid");
    let again = server.code(PersonKind::Guardian, None).await;
    let twice = claim(&world.person(MOTHER).key, world.device(MOTHER), again);
    assert_eq!(server.join(&twice).await.unwrap_err().1, "inconsistent", "the account exists");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stream_opens_for_the_device_that_signs_on_this_connection() {
    let world = World::new();
    let server = Running::start(&world, None).await;
    let key = &world.device(MOTHER).key;
    assert_eq!(server.open(key).await.err(), Some(401), "not joined");
    let mothers = server.enter(&world, MOTHER).await;
    drop(mothers);
    let tls = server.connect().await;
    assert_eq!(server.open_on(tls, &[7; 32], key).await.err(), Some(401), "signed for another connection");
    let stranger = SigningKey::from_bytes(&[9; 32]);
    assert_eq!(server.open(&stranger).await.err(), Some(401));
    assert_eq!(server.http("GET", "/v1/stream", b"").await.0, 401, "no signature at all");
    assert_eq!(server.http("GET", "/v2", b"").await.0, 404);
    assert_eq!(server.http("GET", "/v1/join", b"").await.0, 404);
    assert_eq!(server.http("GET", "/healthz", b"").await, (200, b"ok\n".to_vec()));
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_are_bounded() {
    let world = World::new();
    let server = Running::start(&world, None).await;
    let mut stream = server.connect().await;
    let head = format!("GET /healthz HTTP/1.1\r\nhost: x\r\nx-long: {}\r\n\r\n", "a".repeat(limits::HEADER_BYTES));
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![];
    let _ = stream.read_to_end(&mut answer).await;
    assert!(String::from_utf8_lossy(&answer).starts_with("HTTP/1.1 431"));
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_are_whole_or_refused() {
    let world = World::new();
    let server = Running::start(&world, None).await;
    let mut client = server.enter(&world, TEACHER).await;
    let event = world.genesis_event(world.device(TEACHER), &world.card_founding());
    let frame = encode(&ClientFrame { id: 77, request: Request::Submit(one(world.device(TEACHER), &event)) });
    let before = rows(&server).await;
    for cut in (0..frame.len()).step_by(211) {
        client.send_raw(frame[..cut].to_vec()).await;
        let answer = client.frame().await.unwrap();
        assert_eq!(answer.id, if cut < 4 { 0 } else { 77 });
        let Reply::Problem(problem) = answer.reply else { panic!("cut at {cut}") };
        assert_eq!(problem.code, "malformed");
    }
    for at in (4..frame.len()).step_by(173) {
        let mut wrong = frame.clone();
        wrong[at] ^= 0x08;
        client.send_raw(wrong).await;
        let answer = client.frame().await.unwrap();
        assert!(matches!(answer.reply, Reply::Problem(_)), "bit at {at}: {answer:?}");
    }
    client.send_raw([frame.clone(), vec![0]].concat()).await;
    assert!(matches!(client.frame().await.unwrap().reply, Reply::Problem(_)));
    let zero = encode(&ClientFrame { id: 0, request: Request::Ping });
    client.send_raw(zero).await;
    assert!(matches!(client.frame().await.unwrap().reply, Reply::Problem(_)));
    assert_eq!(rows(&server).await, before);
    assert_eq!(client.ask(Request::Ping).await, Reply::Done, "the stream is still good");
    // Beyond the frame limit the connection ends, before anything is decoded.
    client.send_raw(vec![0; limits::FRAME_BYTES + 1]).await;
    assert!(client.frame().await.is_none());
    assert_eq!(rows(&server).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_next_event_of_its_own_device_enters() {
    let world = World::new();
    let server = Running::start(&world, None).await;
    let teacher = world.device(TEACHER);
    let mut teachers = server.enter(&world, TEACHER).await;
    let mut strangers = server.enter(&world, STRANGER).await;
    let founding = world.card_founding();
    let genesis = world.genesis_event(teacher, &founding);
    let accepted = teachers.submit(one(teacher, &genesis)).await.unwrap();
    let card = world.found_event(teacher, genesis.clone(), accepted[0].time, None).unwrap();
    let good = card.event(teacher, Body::Change(change()));
    let before = rows(&server).await;

    let foreign = strangers.submit(one(teacher, &good)).await.unwrap_err();
    assert_eq!(foreign.code, "not-allowed", "somebody else's device");
    let own = Event { device: world.device(STRANGER).id(), ..good.clone() };
    let forbidden = strangers.submit(one(world.device(STRANGER), &own)).await.unwrap_err();
    let nowhere = Event { scope: JOURNAL, ..own.clone() };
    let unknown = strangers.submit(one(world.device(STRANGER), &nowhere)).await.unwrap_err();
    assert_eq!(forbidden, unknown, "forbidden and unknown look alike");

    let mut forged = one(teacher, &good);
    forged.envelopes[0].event = Signed::sign(&good, &world.device(STRANGER).key);
    assert_eq!(code_of(&mut teachers, forged).await, "bad-signature");
    let gap = Event { counter: 3, ..good.clone() };
    assert_eq!(code_of(&mut teachers, one(teacher, &gap)).await, "counter-gap");
    let used = Event { counter: 1, ..good.clone() };
    assert_eq!(code_of(&mut teachers, one(teacher, &used)).await, "counter-used");
    let epoch = Event { epoch: 5, ..good.clone() };
    let refused = teachers.submit(one(teacher, &epoch)).await.unwrap_err();
    assert_eq!(refused.code, "wrong-epoch");
    assert_eq!(refused.scope, Some(ScopePosition { scope: CARD, seq: 1 }), "it says where to sync to");
    let mut large = change();
    large.sealed = vec![0; limits::CHANGE_EVENT_BYTES + 1].into();
    let large = Event { body: Body::Change(large), ..good.clone() };
    assert_eq!(code_of(&mut teachers, one(teacher, &large)).await, "too-large");
    let mut welcome = one(teacher, &good);
    welcome.envelopes[0].welcome = Some(vec![1, 2, 3].into());
    assert_eq!(code_of(&mut teachers, welcome).await, "welcome-mismatch");
    assert_eq!(code_of(&mut teachers, Bundle { envelopes: vec![], letters: vec![] }).await, "too-large");
    let envelope = one(teacher, &good).envelopes.remove(0);
    let many = Bundle { envelopes: vec![envelope; limits::BUNDLE_ENVELOPES + 1], letters: vec![] };
    assert_eq!(code_of(&mut teachers, many).await, "too-large");
    // All or nothing: a good event beside a bad one does not enter.
    let mut half = one(teacher, &good);
    half.envelopes.extend(one(teacher, &gap).envelopes.into_iter().map(|mut e| {
        e.event = Signed::sign(&Event { counter: 9, ..good.clone() }, &teacher.key);
        e
    }));
    assert_eq!(code_of(&mut teachers, half).await, "counter-gap");
    let letter = Letter { to: teacher.id(), kem: vec![].into(), sealed: vec![0; limits::LETTER_BYTES + 1].into() };
    assert_eq!(teachers.problem(Request::Letters(vec![letter])).await, "too-large");
    assert_eq!(rows(&server).await, before);

    teachers.submit(one(teacher, &good)).await.unwrap();
    let resealed = Event { body: Body::Change(change_of(9)), ..good.clone() };
    let refused = teachers.submit(one(teacher, &resealed)).await.unwrap_err();
    assert_eq!((refused.code.as_str(), refused.scope.unwrap().seq), ("counter-used", 2));
}

fn change_of(byte: u8) -> stafett_protocol::event::Change {
    let mut other = change();
    other.sealed = vec![byte; 64].into();
    other
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_submit_many_times_at_once_is_accepted_once() {
    let world = World::new();
    let server = Running::start(&world, None).await;
    let teacher = world.device(TEACHER);
    drop(server.enter(&world, TEACHER).await);
    let genesis = world.genesis_event(teacher, &world.card_founding());
    let mut clients = vec![];
    for _ in 0..20 {
        clients.push(server.open(&teacher.key).await.unwrap());
    }
    let tries = clients.iter_mut().map(|client| client.submit(one(teacher, &genesis)));
    let answers = futures_util::future::join_all(tries).await;
    assert!(answers.iter().all(|answer| answer == &answers[0] && answer.is_ok()));
    let row = server.db.reader().await.unwrap().row("SELECT COUNT(*) FROM records", vec![]).await;
    assert_eq!(row.unwrap().unwrap().int(0).unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn account_requests_are_for_those_they_are_for() {
    let world = World::new();
    let server = Running::start(&world, None).await;
    let mut mothers = server.enter(&world, MOTHER).await;
    let mother = world.device(MOTHER);
    let before = rows(&server).await;
    let offer = |kind, key: &SigningKey| {
        let offer = CodeOffer { ticket: ticket_hash(&[3; 16]), kind, unit: None, expires_at: u64::MAX };
        Request::OfferCode(Signed::sign(&offer, key))
    };
    let leader = CodeKind::Person(PersonKind::Leader);
    assert_eq!(mothers.problem(offer(leader, &mother.key)).await, "not-allowed");
    assert_eq!(mothers.problem(offer(CodeKind::Device, &world.person(MOTHER).key)).await, "inconsistent");
    let unit = NewUnit { name: "X".into(), kind: "school".into() };
    assert_eq!(mothers.problem(Request::AddUnit(unit)).await, "not-allowed");
    let certificate = world.certificate(LEADER, TEACHER);
    let certificate = Signed::sign(&certificate, &world.person(MOTHER).key);
    assert_eq!(mothers.problem(Request::CertifyEmployee(certificate)).await, "not-allowed");
    let package = |key: &SigningKey, bytes: Vec<u8>, at| {
        let offer =
            KeyPackageOffer { device: mother.id(), offered_at: at, last_resort: false.into(), package: bytes.into() };
        Request::PublishKeyPackages(vec![Signed::sign(&offer, key)])
    };
    let good = message(mother);
    assert_eq!(mothers.problem(package(&world.device(FATHER).key, good.clone(), now_ms())).await, "inconsistent");
    assert_eq!(mothers.problem(package(&mother.key, vec![1, 2, 3], now_ms())).await, "inconsistent");
    assert_eq!(mothers.problem(package(&mother.key, message(world.device(FATHER)), now_ms())).await, "inconsistent");
    assert_eq!(mothers.problem(package(&mother.key, good.clone(), now_ms() - 40 * DAY)).await, "inconsistent");
    let old_device = CertifiedDevice {
        certificate: world.device(FATHER).credential.borrow().device.clone(),
        claim: asking(&world, MOTHER, world.device(FATHER)),
    };
    assert_eq!(mothers.problem(Request::CertifyDevice(old_device)).await, "inconsistent");
    // A hybrid key of another length is no key: nobody could let this device in, or write to it.
    for length in [0, 32, 1184, 1215, 1217] {
        let init_key = vec![7; length];
        let bent = crate::ends::key_package_with(mother, &init_key);
        assert_eq!(mothers.problem(package(&mother.key, bent, now_ms())).await, "inconsistent", "{length}");
        let mut claim = asking(&world, MOTHER, world.device_n(MOTHER, 1)).peek().unwrap();
        claim.letter_key = vec![7; length].into();
        let claim = Signed::sign(&claim, &world.device_n(MOTHER, 1).key);
        let short = Request::CertifyDevice(certified(&world, MOTHER, claim));
        assert_eq!(mothers.problem(short).await, "inconsistent", "{length}");
    }
    assert_eq!(rows(&server).await, before);
    assert_eq!(mothers.ask(package(&mother.key, good, now_ms())).await, Reply::Done);
    assert_ne!(Hash::default(), ticket_hash(&[0; 16]));
}

fn message(device: &Device) -> Vec<u8> {
    use openmls::prelude::MlsMessageOut;
    use tls_codec::Serialize as _;
    MlsMessageOut::from(device.key_package()).tls_serialize_detached().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn m6_nobody_joins_a_scope_by_external_commit() {
    let world = World::new();
    let server = Running::start(&world, None).await;
    drop(server.enter(&world, TEACHER).await);
    let mut strangers = server.enter(&world, STRANGER).await;
    let mut mothers = server.enter(&world, MOTHER).await;
    let mut card = blind(world.card());
    world.add_family(&mut card);
    play(&server, &world, &card, 0).await;
    let before = rows(&server).await;
    let joining = |device: &Device| Body::Commit(card.external_commit(device, device.with_key()).1);
    let (stranger, mother, phone) = (world.device(STRANGER), world.device(MOTHER), world.device_n(MOTHER, 1));
    let alone = card.event(stranger, joining(stranger));
    assert_eq!(code_of(&mut strangers, one(stranger, &alone)).await, "unknown-scope");
    // A device beside the first, carried by the one that is in; and a stranger's, carried by a member.
    for device in [phone, stranger] {
        let carried = card.event(mother, joining(device));
        assert_eq!(code_of(&mut mothers, one(mother, &carried)).await, "resync-foreign");
    }
    assert_eq!(rows(&server).await, before);
}
