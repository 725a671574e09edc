//! A parent whose account is at one municipality takes part in a log at another, through their own
//! server; and what relays, guests and their server are refused.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use crate::common::*;
use crate::support::*;
use stafett_protocol::codec::encode;
use stafett_protocol::credential::{Credential, DeviceCertificate, PersonKind, letter_key_hash};
use stafett_protocol::event::{Body, Event};
use stafett_protocol::federation::{RelayFrame, RelayHello, RelayLogin, RelayPayload};
use stafett_protocol::letter::Letter;
use stafett_protocol::membership::Role;
use stafett_protocol::signed::Signed;
use stafett_protocol::wire::*;
use stafett_server::home::now_ms;
use stafett_server::pg::Postgres;

const THERE: u16 = HAUGESUND;

/// The world's server, and one of another municipality where the mother has her account.
pub struct Two {
    pub world: World,
    pub here: Running,
    pub there: Running,
    /// The mother's stream to her own server.
    pub own: Client,
    pub credential: Credential,
}

pub async fn two(here_url: Option<&str>, there_url: Option<&str>) -> Two {
    let world = World::new();
    let other = &world.haugesund;
    let here = Running::start(&world, here_url).await;
    let there = Running::start_as(THERE, "Haugesund", other, there_url).await;
    here.add_peer(there.peer_file()).await;
    there.add_peer(here.peer_file()).await;
    let mother = world.person(MOTHER);
    let ticket = there.code(PersonKind::Guardian, None).await;
    let reply = there.join(&claim(&mother.key, world.device(MOTHER), ticket)).await.unwrap();
    let certificate = DeviceCertificate {
        person: mother.id,
        device_key: world.device(MOTHER).public(),
        letter_key: letter_key_hash(&letter_key()),
        issued_at: START,
    };
    let credential = Credential { person: reply.certificate.unwrap(), device: Signed::sign(&certificate, &mother.key) };
    *world.device(MOTHER).credential.borrow_mut() = credential.clone();
    let own = there.open(&world.device(MOTHER).key).await.unwrap();
    Two { world, here, there, own, credential }
}

fn one(device: &Device, event: &Event, welcome: Option<Vec<u8>>) -> Bundle {
    let envelope = Envelope { event: Signed::sign(event, &device.key), welcome: welcome.map(Into::into) };
    Bundle { envelopes: vec![envelope], letters: vec![] }
}

/// Opens the relay and answers the challenge as told.
async fn enter_as<'a>(
    own: &'a mut Client,
    world: &World,
    credential: &Credential,
    change: impl Fn(&mut RelayHello, &mut RelayLogin),
) -> Result<Guest<'a>, String> {
    let device = world.device(MOTHER);
    let mut guest = Guest::open(own, HOME).await?;
    let challenge = guest.challenge().await?;
    let mut hello = RelayHello { challenge, home: HOME, device: device.id() };
    let mut login = RelayLogin {
        hello: Signed::sign(&hello, &device.key),
        credential: credential.clone(),
        letter_key: letter_key().into(),
    };
    change(&mut hello, &mut login);
    if login.hello == Signed::sign(&RelayHello { challenge, home: HOME, device: device.id() }, &device.key) {
        login.hello = Signed::sign(&hello, &device.key);
    }
    guest.log_in(&login).await.map(|()| guest)
}

async fn enter<'a>(own: &'a mut Client, world: &World, credential: &Credential) -> Guest<'a> {
    enter_as(own, world, credential, |_, _| {}).await.unwrap()
}

/// The teacher founds a card and lets the mother in, who has no account here.
pub async fn card_with_mother(two: &Two) -> (Client, Chain) {
    let world = &two.world;
    let (teacher, mother) = (world.device(TEACHER), world.device(MOTHER));
    let mut teachers = two.here.enter(world, TEACHER).await;
    let genesis = world.genesis_event(teacher, &world.card_founding());
    let accepted = teachers.submit(one(teacher, &genesis, None)).await.unwrap();
    let mut card = world.found_event(teacher, genesis, accepted[0].time, None).unwrap();
    let basis = card.membership().authority.id();
    let next = card.with(world, MOTHER, &[0], Role::Guardian, basis);
    let plan = Plan { adds: vec![mother.key_package()], membership: Some(next), ..Plan::default() };
    let (commit, welcome) = card.commit(teacher, plan);
    let event = card.event(teacher, Body::Commit(commit));
    let accepted = teachers.submit(one(teacher, &event, welcome.clone())).await.unwrap();
    card.now = accepted[0].time;
    card.submit_event(world, teacher, &event).unwrap();
    (teachers, card)
}

async fn takes_part(here_url: Option<&str>, there_url: Option<&str>) {
    let mut two = two(here_url, there_url).await;
    let (mut teachers, card) = card_with_mother(&two).await;
    let key_of_home = public(&two.world.municipality);
    let Reply::Peers(keys) = two.own.pushed.front().unwrap() else { panic!("{:?}", two.own.pushed) };
    let keys = keys.verify(&public(&two.world.haugesund)).unwrap();
    assert_eq!((keys.by, keys.peers[0].number, keys.peers[0].key), (THERE, HOME, key_of_home));

    assert!(two.own.places().is_empty(), "her own home has nothing of this log");
    // Her Welcome waits at the log's home, and comes with the first words of the relayed stream.
    let mut guest = enter(&mut two.own, &two.world, &two.credential).await;
    let welcomed = guest.pushed.iter().any(|r| matches!(r, Reply::Mail(MailItem { mail: Mail::Welcome(_), .. })));
    assert!(welcomed, "{:?}", guest.pushed);
    let Some(Reply::Welcome(greeting)) = guest.pushed.iter().find(|r| matches!(r, Reply::Welcome(_))) else { panic!() };
    assert_eq!((greeting.municipality, greeting.key_packages), (HOME, 0));
    assert_eq!(greeting.scopes, [CARD], "S9: what a guest may read here");
    assert!(!guest.pushed.iter().any(|r| matches!(r, Reply::Peers(_))), "its own municipality says whom it trusts");
    let mail: Vec<u64> =
        guest.pushed.iter().filter_map(|r| if let Reply::Mail(item) = r { Some(item.id) } else { None }).collect();
    assert_eq!(guest.ask(Request::Acknowledge(mail)).await, Reply::Done);

    // Sync, then a live push each way.
    let Reply::Synced(synced) = guest.ask(Request::Sync(vec![ScopePosition { scope: CARD, seq: 0 }])).await else {
        panic!()
    };
    assert_eq!(synced[0].position.unwrap(), card.state().position);
    assert_eq!(records(&mut guest.pushed), [1, 2]);
    let Reply::Synced(_) = teachers.ask(Request::Sync(vec![ScopePosition { scope: CARD, seq: 2 }])).await else {
        panic!()
    };
    let mother = two.world.device(MOTHER);
    let event = card.event(mother, Body::Change(change()));
    let Reply::Submitted(accepted) = guest.ask(Request::Submit(one(mother, &event, None))).await else { panic!() };
    assert!(accepted[0].receipt.verify(&key_of_home).is_ok());
    let Reply::Records(pushed) = teachers.push_until(|r| matches!(r, Reply::Records(_)).then_some(r)).await else {
        panic!()
    };
    assert_eq!(pushed.records[0].seq, 3);
    let event = card.event(two.world.device(TEACHER), Body::Change(change()));
    teachers.submit(one(two.world.device(TEACHER), &event, None)).await.unwrap();
    let Reply::Records(pushed) = guest.push().await else { panic!() };
    assert_eq!(pushed.records[0].seq, 4);

    // What she needs to take part, and nothing of accounts.
    let Reply::Persons(found) = guest.ask(Request::Persons(vec![two.world.id(TEACHER)])).await else { panic!() };
    assert_eq!(found.len(), 1);
    let Reply::KeyPackages(_) = guest.ask(Request::FetchKeyPackages(vec![two.world.id(TEACHER)])).await else {
        panic!()
    };
    assert!(matches!(guest.ask(Request::Units).await, Reply::Units(_)));
    let letter = Letter { to: two.world.device(TEACHER).id(), kem: vec![1].into(), sealed: vec![2].into() };
    assert_eq!(guest.ask(Request::Letters(vec![letter])).await, Reply::Done);
    let refused = [
        Request::PublishKeyPackages(vec![]),
        Request::RemoveDevice(DeviceRemoval { device: two.world.device(TEACHER).id(), lost: false.into() }),
        Request::AddUnit(NewUnit { name: "x".into(), kind: "y".into() }),
        Request::Relay(RelayFrame { to: THERE, payload: RelayPayload::Open }),
    ];
    for request in refused {
        assert_eq!(guest.problem(request).await, "not-allowed");
    }
    // No way on: a scope that is not hers looks like none.
    let Reply::Synced(synced) = guest.ask(Request::Sync(vec![ScopePosition { scope: JOURNAL, seq: 0 }])).await else {
        panic!()
    };
    assert_eq!(synced[0].position, None);
}

fn records(pushed: &mut std::collections::VecDeque<Reply>) -> Vec<u64> {
    let found = pushed.drain(..).filter_map(|r| if let Reply::Records(r) = r { Some(r.records) } else { None });
    found.flatten().map(|record| record.seq).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_takes_part_on_sqlite() {
    takes_part(None, None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_takes_part_on_postgresql_and_sqlite() {
    let Some(postgres) = Postgres::start() else { return };
    takes_part(Some(&postgres.database("home").unwrap()), None).await;
    takes_part(None, Some(&postgres.database("relaying").unwrap())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_is_who_her_own_key_says_and_nobody_else() {
    let mut two = two(None, None).await;
    drop(card_with_mother(&two).await);
    // A colluding relay replays what it has seen: another stream's challenge.
    let stale = RelayHello { challenge: [7; 32], home: HOME, device: two.world.device(MOTHER).id() };
    let refused = enter_as(&mut two.own, &two.world, &two.credential, |hello, _| *hello = stale).await.err();
    assert_eq!(refused.as_deref(), Some("not-authenticated"), "replayed hello");
    let refused = enter_as(&mut two.own, &two.world, &two.credential, |hello, _| hello.home = 4204).await.err();
    assert_eq!(refused.as_deref(), Some("not-authenticated"), "hello for another home");
    let father = two.world.device(FATHER).id();
    let refused = enter_as(&mut two.own, &two.world, &two.credential, |hello, _| hello.device = father).await.err();
    assert_eq!(refused.as_deref(), Some("not-authenticated"), "another device's name");
    let (other, challenge_of) = (two.world.device(FATHER).key.clone(), two.world.device(MOTHER).id());
    let refused = enter_as(&mut two.own, &two.world, &two.credential, |hello, login| {
        login.hello = Signed::sign(&RelayHello { device: challenge_of, ..*hello }, &other)
    })
    .await
    .err();
    assert_eq!(refused.as_deref(), Some("not-authenticated"), "signed by another key");
    let refused =
        enter_as(&mut two.own, &two.world, &two.credential, |_, login| login.letter_key = vec![9; 1216].into())
            .await
            .err();
    assert_eq!(refused.as_deref(), Some("not-authenticated"), "another letter key");
    // A credential of this home's own, and of a third municipality that is a peer here too.
    let third = key("a third municipality");
    let server = Running::start_as(4204, "Kristiansand", &third, None).await;
    two.here.add_peer(server.peer_file()).await;
    let mut certificate = two.credential.person.peek().unwrap();
    for (number, key) in [(HOME, two.world.municipality.clone()), (4204, third), (THERE, key("nobody"))] {
        certificate.municipality = number;
        let credential = Credential { person: Signed::sign(&certificate, &key), ..two.credential.clone() };
        let refused =
            enter_as(&mut two.own, &two.world, &two.credential, |_, login| login.credential = credential.clone())
                .await
                .err();
        assert_eq!(refused.as_deref(), Some("not-authenticated"), "{number}");
    }
    // Rubbish in the place of an answer.
    for bytes in [vec![], vec![0xff; 64], encode(&two.credential)] {
        let mut guest = Guest::open(&mut two.own, HOME).await.unwrap();
        guest.challenge().await.unwrap();
        guest.send(bytes).await;
        assert_eq!(guest.closed().await, "malformed");
    }
    assert!(
        matches!(enter(&mut two.own, &two.world, &two.credential).await.ask(Request::Ping).await, Reply::Done),
        "the control"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn relays_lead_to_added_peers_only_and_end_with_the_trust() {
    let mut two = two(None, None).await;
    let relay = |to, payload| Request::Relay(RelayFrame { to, payload });
    assert_eq!(two.own.problem(relay(4204, RelayPayload::Open)).await, "peer-unknown");
    assert_eq!(two.own.problem(relay(THERE, RelayPayload::Open)).await, "peer-unknown", "not to oneself");
    assert_eq!(two.own.problem(relay(HOME, RelayPayload::Message(vec![1].into()))).await, "relay-closed");
    // The other side has another key for us now.
    let impostor = Running::start_as(THERE, "Haugesund", &key("a third key"), None).await;
    two.here.add_peer(impostor.peer_file()).await;
    assert_eq!(
        enter_as(&mut two.own, &two.world, &two.credential, |_, _| {}).await.err().as_deref(),
        Some("peer-not-added")
    );
    two.here.add_peer(two.there.peer_file()).await;
    // Trust that ends while a guest is there ends the stream.
    let here_server = std::sync::Arc::clone(&two.here.server);
    let file = impostor.peer_file();
    let db = two.here.db.clone();
    let mut guest = enter(&mut two.own, &two.world, &two.credential).await;
    assert_eq!(guest.ask(Request::Ping).await, Reply::Done);
    db.write::<_, stafett_server::db::StoreError, _>(move |conn| {
        Box::pin(async move {
            stafett_server::store::peers::raise_version(conn).await?;
            stafett_server::store::peers::put(conn, THERE, &file, now_ms()).await
        })
    })
    .await
    .unwrap();
    here_server.federation.peers.refresh(&db).await.unwrap();
    assert_eq!(guest.closed().await, "removed");
    // A home that is away is said to be away, and the own stream lives on.
    drop(guest);
    let Two { here, mut own, .. } = two;
    here.stop().await;
    let mut away = Guest::open(&mut own, HOME).await.unwrap();
    assert_eq!(away.closed().await, "peer-unreachable");
    assert_eq!(own.ask(Request::Ping).await, Reply::Done);
}

/// Whoever is connected when the operator adds a peer hears of it before anything that this peer's people may have sent.
#[tokio::test(flavor = "multi_thread")]
async fn a_peer_added_later_is_told_on_open_streams() {
    let world = World::new();
    let here = Running::start(&world, None).await;
    let there = Running::start_as(THERE, "Haugesund", &world.haugesund, None).await;
    let mut father = here.enter(&world, FATHER).await;
    assert_eq!(father.ask(Request::Ping).await, Reply::Done);
    assert!(!father.pushed.iter().any(|r| matches!(r, Reply::Peers(_))));
    here.add_peer(there.peer_file()).await;
    assert_eq!(father.ask(Request::Ping).await, Reply::Done);
    let Some(Reply::Peers(keys)) = father.pushed.back() else { panic!("{:?}", father.pushed) };
    let keys = keys.verify(&public(&world.municipality)).unwrap();
    assert_eq!((keys.by, keys.peers[0].number), (HOME, THERE));
    father.pushed.clear();
    assert_eq!(father.ask(Request::Ping).await, Reply::Done);
    assert!(father.pushed.is_empty(), "told once");
}

/// F14: a peer that floods is told to wait; devices of the home and guests of others notice nothing.
#[tokio::test(flavor = "multi_thread")]
async fn f14_one_peers_flood_is_its_own() {
    let mut two = two(None, None).await;
    let mut own_people = two.here.enter(&two.world, FATHER).await;
    let asked: Vec<_> = (0..256).map(|n| stafett_protocol::ids::PersonId([n as u8; 16])).collect();
    let mut guest = enter(&mut two.own, &two.world, &two.credential).await;
    // Many at a time: what comes back with each second must not outrun a slow machine.
    let mut refused = 0;
    for _ in 0..100 {
        for answer in guest.ask_at_once(&Request::Persons(asked.clone()), 20).await {
            match answer {
                Reply::Persons(_) => {}
                Reply::Problem(problem) => {
                    assert_eq!(problem.code, "too-many-requests");
                    refused += 1;
                }
                other => panic!("{other:?}"),
            }
        }
        if refused > 0 {
            break;
        }
    }
    assert!(refused > 0);
    assert!(matches!(own_people.ask(Request::Persons(asked)).await, Reply::Persons(_)));
}

/// Trust that ends, ends what is open, also where the guest says nothing at all.
async fn a_silent_guest_is_put_out(url: Option<&str>) {
    let mut two = two(url, None).await;
    let home = two.here.dir.path().join("home");
    let guest = enter(&mut two.own, &two.world, &two.credential).await;
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_stafettd"))
        .arg("--home")
        .arg(&home)
        .args(["peer", "remove", &THERE.to_string()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut guest = guest;
    let ended = tokio::time::timeout(std::time::Duration::from_secs(10), guest.closed()).await;
    assert_eq!(ended.expect("a silent guest is served on").as_str(), "removed");
    two.here.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_guest_of_a_removed_peer_is_put_out_on_sqlite() {
    a_silent_guest_is_put_out(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_guest_of_a_removed_peer_is_put_out_on_postgresql() {
    let Some(postgres) = Postgres::start() else { return };
    a_silent_guest_is_put_out(Some(&postgres.database("removed").unwrap())).await;
}
