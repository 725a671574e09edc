//! Units, codes, further devices, letters and key packages, on both engines.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use crate::common::*;
use crate::support::*;
use openmls::prelude::MlsMessageOut;
use stafett_protocol::code::{Code, ticket_hash};
use stafett_protocol::codec::encode;
use stafett_protocol::credential::{DeviceCertificate, PersonKind, letter_key_hash};
use stafett_protocol::event::{Body, Event};
use stafett_protocol::letter::Letter;
use stafett_protocol::signed::Signed;
use stafett_protocol::wire::*;
use stafett_server::args;
use stafett_server::db::StoreError;
use stafett_server::home::now_ms;
use stafett_server::pg::Postgres;
use tls_codec::Serialize as _;

fn mail(reply: Reply) -> Option<MailItem> {
    if let Reply::Mail(item) = reply { Some(item) } else { None }
}

async fn offer(client: &mut Client, device: &Device, ticket: [u8; 16], kind: CodeKind) {
    let offer = CodeOffer { ticket: ticket_hash(&ticket), kind, unit: None, expires_at: now_ms() + DAY };
    assert_eq!(client.ask(Request::OfferCode(Signed::sign(&offer, &device.key))).await, Reply::Done);
}

async fn people(url: Option<&str>) {
    let world = World::new();
    let server = Running::start(&world, url).await;
    let teacher = world.device(TEACHER);
    let mut teachers = server.enter(&world, TEACHER).await;

    // An invitation: the newcomer's claim reaches the inviter as it was signed.
    offer(&mut teachers, teacher, [8; 16], CodeKind::Person(PersonKind::Guardian)).await;
    let request = claim(&world.person(MOTHER).key, world.device(MOTHER), [8; 16]);
    let reply = server.join(&request).await.unwrap();
    let item = teachers.push_until(mail).await;
    let Mail::Joined(notice) = item.mail else { panic!() };
    let JoinRequest::Person(sent) = &request else { panic!() };
    assert_eq!((&notice.claim, Some(&notice.certificate)), (&sent.claim, reply.certificate.as_ref()));
    let certificate = notice.certificate.verify(&public(&world.municipality)).unwrap();
    assert_eq!((certificate.person, certificate.kind), (world.id(MOTHER), PersonKind::Guardian));

    // Mail waits until it is acknowledged, over reconnects.
    drop(teachers);
    let mut teachers = server.open(&teacher.key).await.unwrap();
    assert_eq!(teachers.push_until(mail).await.id, item.id);
    assert_eq!(teachers.ask(Request::Acknowledge(vec![item.id])).await, Reply::Done);
    drop(teachers);
    let mut teachers = server.open(&teacher.key).await.unwrap();
    assert!(!teachers.pushed.iter().any(|reply| matches!(reply, Reply::Mail(_))));

    // Letters in order, live and waiting.
    let letter = |byte| Letter { to: world.device(MOTHER).id(), kem: vec![byte].into(), sealed: vec![byte; 99].into() };
    assert_eq!(teachers.ask(Request::Letters(vec![letter(1), letter(2)])).await, Reply::Done);
    let mut mothers = server.open(&world.device(MOTHER).key).await.unwrap();
    assert_eq!(teachers.ask(Request::Letters(vec![letter(3)])).await, Reply::Done);
    for byte in 1..=3 {
        assert_eq!(mothers.push_until(mail).await.mail, Mail::Letter(letter(byte)));
    }

    // Key packages: each once, then the one of last resort again and again.
    let packages: Vec<_> =
        [false, false, true].into_iter().map(|last_resort| published(world.device(MOTHER), last_resort)).collect();
    assert_eq!(mothers.ask(Request::PublishKeyPackages(packages.clone())).await, Reply::Done);
    let mut fetched = vec![];
    for _ in 0..4 {
        let Reply::KeyPackages(mut got) = teachers.ask(Request::FetchKeyPackages(vec![world.id(MOTHER)])).await else {
            panic!()
        };
        fetched.push(got.remove(0));
    }
    assert!(fetched[..2].iter().all(|f| packages[..2].contains(f)) && fetched[0] != fetched[1]);
    assert_eq!(&fetched[2..], &[packages[2].clone(), packages[2].clone()]);

    full_mailbox(&world, &server, &mut teachers).await;
    further_device(&world, &server, &mut mothers, &mut teachers).await;
    units(&world, &server).await;
}

/// Letters have a bound; what the server itself has to say does not.
async fn full_mailbox(world: &World, server: &Running, teachers: &mut Client) {
    let father = world.device(FATHER);
    drop(server.enter(world, FATHER).await);
    let letter = Letter { to: father.id(), kem: vec![].into(), sealed: vec![1].into() };
    let bytes = encode(&Mail::Letter(letter.clone()));
    server
        .db
        .write::<_, StoreError, _>(move |conn| {
            Box::pin(async move {
                let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000) INSERT INTO mailbox (device, id, sender, mail) SELECT $1, i, $3, $2 FROM n";
                conn.execute(sql, args![&world_device(FATHER).0, bytes, &[8u8; 16]]).await
            })
        })
        .await
        .unwrap();
    let most = usize::try_from(stafett_protocol::limits::MAILBOX_RESERVED_ITEMS).unwrap() + 1;
    assert_eq!(teachers.problem(Request::Letters(vec![letter; most])).await, "mailbox-full");
    let teacher = world.device(TEACHER);
    let genesis = world.genesis_event(teacher, &world.card_founding());
    let bundle = |event: &Event, welcome: Option<Vec<u8>>| Bundle {
        envelopes: vec![Envelope { event: Signed::sign(event, &teacher.key), welcome: welcome.map(Into::into) }],
        letters: vec![],
    };
    let accepted = teachers.submit(bundle(&genesis, None)).await.unwrap();
    let card = world.found_event(teacher, genesis, accepted[0].time, None).unwrap();
    let basis = card.membership().authority.id();
    let with = |who| card.with(world, who, &[0], stafett_protocol::membership::Role::Guardian, basis);
    let (mut next, mother) = (with(FATHER), with(MOTHER));
    next.members.extend(mother.member(world.id(MOTHER)).cloned());
    let adds = vec![father.key_package(), world.device(MOTHER).key_package()];
    let plan = Plan { adds, membership: Some(next.sorted()), ..Plan::default() };
    let (commit, welcome) = card.commit(teacher, plan);
    teachers.submit(bundle(&card.event(teacher, Body::Commit(commit)), welcome)).await.unwrap();
    let mut fathers = server.open(&father.key).await.unwrap();
    let is_welcome = |reply: &Reply| matches!(reply, Reply::Mail(MailItem { mail: Mail::Welcome(_), .. }));
    assert!(fathers.pushed.iter().any(is_welcome));
    assert_eq!(fathers.ask(Request::Acknowledge((1..=10_000).collect())).await, Reply::Done);
}

fn world_device(who: usize) -> stafett_protocol::ids::DeviceId {
    World::new().device(who).id()
}

pub fn published(device: &Device, last_resort: bool) -> Signed<KeyPackageOffer> {
    let package = MlsMessageOut::from(device.key_package()).tls_serialize_detached().unwrap();
    let offer = KeyPackageOffer {
        device: device.id(),
        offered_at: now_ms(),
        last_resort: last_resort.into(),
        package: package.into(),
    };
    Signed::sign(&offer, &device.key)
}

async fn further_device(world: &World, server: &Running, mothers: &mut Client, teachers: &mut Client) {
    let (first, second) = (world.device(MOTHER), world.device_n(MOTHER, 1));
    offer(mothers, first, [4; 16], CodeKind::Device).await;
    let letter_key = vec![6; 1216];
    let asked = DeviceClaim {
        ticket: [4; 16],
        person: world.id(MOTHER),
        device_key: second.public(),
        letter_key: letter_key.clone().into(),
        proof: [1; 32],
        sealed_name: vec![].into(),
        key_packages: vec![],
    };
    let asked = Signed::sign(&asked, &second.key);
    assert!(server.join(&JoinRequest::Device(asked.clone())).await.unwrap().certificate.is_none());
    let asks = |reply| mail(reply).filter(|item| matches!(item.mail, Mail::DeviceAsks(_)));
    assert_eq!(mothers.push_until(asks).await.mail, Mail::DeviceAsks(asked.clone()));
    assert_eq!(server.open(&second.key).await.err(), Some(401), "not certified yet");
    let certificate = DeviceCertificate {
        person: world.id(MOTHER),
        device_key: second.public(),
        letter_key: letter_key_hash(&letter_key),
        issued_at: now_ms(),
    };
    let certified =
        CertifiedDevice { certificate: Signed::sign(&certificate, &world.person(MOTHER).key), claim: asked.clone() };
    assert_eq!(mothers.ask(Request::CertifyDevice(certified.clone())).await, Reply::Done);
    assert_eq!(mothers.ask(Request::CertifyDevice(certified)).await, Reply::Done, "again is fine");
    let mut seconds = server.open(&second.key).await.unwrap();
    let Reply::Persons(found) = teachers.ask(Request::Persons(vec![world.id(MOTHER), world.id(COACH)])).await else {
        panic!()
    };
    assert_eq!((found.len(), found[0].devices.len()), (1, 2));
    // The card knows the first device alone: without it the mother would be outside of her log.
    assert_eq!(seconds.problem(removal(first, false)).await, "device-needed");
    assert_eq!(mothers.ask(removal(second, false)).await, Reply::Done);
    assert!(seconds.frame().await.is_none(), "its stream ends at once");
    assert_eq!(server.open(&second.key).await.err(), Some(401));
}

async fn units(world: &World, server: &Running) {
    let ticket = server.code(PersonKind::Administrator, None).await;
    server.join(&claim(&world.person(COACH).key, world.device(COACH), ticket)).await.unwrap();
    let mut administrator = server.open(&world.device(COACH).key).await.unwrap();
    let new = NewUnit { name: "Solvang skole".into(), kind: "school".into() };
    let Reply::UnitAdded(added) = administrator.ask(Request::AddUnit(new)).await else { panic!() };
    let code = Code::from_text(&added.leader_code).unwrap();
    assert!(code.secret.is_none());
    let reply = server.join(&claim(&world.person(LEADER).key, world.device(LEADER), code.ticket)).await.unwrap();
    assert_eq!(reply.unit.unwrap().leader, Some(world.id(LEADER)));
    let Reply::Units(units) = administrator.ask(Request::Units).await else { panic!() };
    assert_eq!((units[0].name.as_str(), units[0].leader), ("Solvang skole", Some(world.id(LEADER))));

    // The leader brings an employee in and says what they may do.
    let mut leader = server.open(&world.device(LEADER).key).await.unwrap();
    let offer = CodeOffer {
        ticket: ticket_hash(&[5; 16]),
        kind: CodeKind::Person(PersonKind::Employee),
        unit: Some(added.unit),
        expires_at: now_ms() + DAY,
    };
    assert_eq!(leader.ask(Request::OfferCode(Signed::sign(&offer, &world.device(LEADER).key))).await, Reply::Done);
    server.join(&claim(&world.person(COLLEAGUE).key, world.device(COLLEAGUE), [5; 16])).await.unwrap();
    let certificate =
        stafett_protocol::consent::EmployeeCertificate { unit: added.unit, ..world.certificate(LEADER, COLLEAGUE) };
    let certificate = Signed::sign(&certificate, &world.person(LEADER).key);
    assert_eq!(leader.ask(Request::CertifyEmployee(certificate.clone())).await, Reply::Done);
    let Reply::Persons(found) = leader.ask(Request::Persons(vec![world.id(COLLEAGUE)])).await else { panic!() };
    assert_eq!(found[0].employee, Some(certificate));
}

#[tokio::test(flavor = "multi_thread")]
async fn people_come_and_write_to_each_other_on_sqlite() {
    people(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn people_come_and_write_to_each_other_on_postgresql() {
    let Some(postgres) = Postgres::start() else { return };
    people(Some(&postgres.database("people").unwrap())).await;
}
