//! A device that was removed is served nothing more and does nothing more, whatever its connection is busy with and
//! whoever told of it; and who may end it learns nothing of others'.

use crate::common::*;
use crate::support::moving::{account, blind, play};
use crate::support::*;
use stafett_protocol::code::ticket_hash;
use stafett_protocol::credential::PersonKind;
use stafett_protocol::ids::DeviceId;
use stafett_protocol::letter::Letter;
use stafett_protocol::signed::Signed;
use stafett_protocol::wire::*;
use stafett_server::args;
use stafett_server::db::StoreError;
use stafett_server::home::now_ms;
use stafett_server::pg::Postgres;
use stafett_server::store::accounts;

/// How often two things are done in the same moment; a thousand times by hand.
pub fn rounds() -> usize {
    std::env::var("STAFETT_RACES").ok().and_then(|text| text.parse().ok()).unwrap_or(3)
}

/// A server where these people have accounts, and a log with the family in it.
async fn with_family(world: &World, people: &[usize]) -> (Running, Chain) {
    let server = Running::start(world, None).await;
    for who in people {
        account(world, *who, &server).await;
    }
    let mut card = blind(world.card());
    world.add_family(&mut card);
    play(&server, world, &card, 0).await;
    (server, card)
}

/// The mother's telephone beside her first device.
async fn telephone(world: &World, server: &Running, mothers: &mut Client) -> Client {
    let phone = world.device_n(MOTHER, 1);
    let asked = certified(world, MOTHER, asking(world, MOTHER, phone));
    assert_eq!(mothers.ask(Request::CertifyDevice(asked)).await, Reply::Done);
    server.open(&phone.key).await.unwrap()
}

async fn has_device(server: &Running, device: DeviceId) -> bool {
    accounts::device(&mut server.db.reader().await.unwrap(), device).await.unwrap().is_some()
}

/// As another process on the same database does it; its word of it never comes.
async fn ended_elsewhere(server: &Running, world: &World, device: DeviceId) {
    let person = world.id(MOTHER);
    let ended = server
        .db
        .write::<_, StoreError, _>(move |conn| {
            Box::pin(async move { accounts::remove_device(conn, device, person).await })
        })
        .await;
    assert!(ended.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_asks_whether_the_device_stands() {
    let world = World::new();
    let server = Running::start(&world, None).await;
    let mut mothers = server.enter(&world, MOTHER).await;
    let phone = world.device_n(MOTHER, 1);
    let third = world.device(STRANGER);
    let letter = Letter { to: world.device(MOTHER).id(), kem: vec![1].into(), sealed: vec![1; 99].into() };
    let offer =
        CodeOffer { ticket: ticket_hash(&[9; 16]), kind: CodeKind::Device, unit: None, expires_at: now_ms() + DAY };
    for request in [
        Request::Ping,
        Request::CertifyDevice(certified(&world, MOTHER, asking(&world, MOTHER, third))),
        Request::Letters(vec![letter]),
        Request::OfferCode(Signed::sign(&offer, &phone.key)),
        Request::Persons(vec![world.id(MOTHER)]),
        Request::Sync(vec![]),
    ] {
        let mut phones = telephone(&world, &server, &mut mothers).await;
        assert_eq!(phones.ask(Request::Ping).await, Reply::Done);
        ended_elsewhere(&server, &world, phone.id()).await;
        phones.send_raw(stafett_protocol::codec::encode(&ClientFrame { id: 7, request })).await;
        assert!(phones.frame().await.is_none(), "its stream ends, and nothing is answered");
        assert!(!has_device(&server, third.id()).await);
    }
    assert!(!mothers.pushed.iter().any(|reply| matches!(reply, Reply::Mail(_))));
}

/// Its queue is full, and it does not read: 256 pushes wait, and what would come next is dropped.
#[tokio::test(flavor = "multi_thread")]
async fn an_end_does_not_wait_in_a_full_queue() {
    let world = World::new();
    let server = Running::start(&world, None).await;
    let mut mothers = server.enter(&world, MOTHER).await;
    let mut phones = telephone(&world, &server, &mut mothers).await;
    let phone = world.device_n(MOTHER, 1);
    for _ in 0..2000 {
        server.server.fanout.mail(phone.id());
    }
    assert_eq!(mothers.ask(removal(phone, false)).await, Reply::Done);
    for _ in 0..2000 {
        server.server.fanout.mail(phone.id());
    }
    let third = certified(&world, MOTHER, asking(&world, MOTHER, world.device(STRANGER)));
    phones
        .send_raw(stafett_protocol::codec::encode(&ClientFrame { id: 7, request: Request::CertifyDevice(third) }))
        .await;
    assert!(phones.frame().await.is_none());
    assert!(!has_device(&server, world.device(STRANGER).id()).await);
    assert_eq!(server.open(&phone.key).await.err(), Some(401));
}

async fn ends_while_it_comes_in(url: Option<&str>) {
    let world = World::new();
    let server = Running::start(&world, url).await;
    let mut mothers = server.enter(&world, MOTHER).await;
    let (phone, third) = (world.device_n(MOTHER, 1), world.device(STRANGER));
    for _ in 0..rounds() {
        drop(telephone(&world, &server, &mut mothers).await);
        // Logged in before the end, or after it, or never: nobody tells it later.
        let (opened, removed) = tokio::join!(open_quietly(&server, phone), mothers.ask(removal(phone, true)));
        assert_eq!(removed, Reply::Done);
        if let Some(mut phones) = opened {
            let third = certified(&world, MOTHER, asking(&world, MOTHER, third));
            phones
                .send_raw(stafett_protocol::codec::encode(&ClientFrame {
                    id: 9,
                    request: Request::CertifyDevice(third),
                }))
                .await;
            while phones.frame().await.is_some() {}
        }
        assert!(!has_device(&server, third.id()).await);
    }
}

async fn open_quietly(server: &Running, device: &Device) -> Option<Client> {
    let tls = server.connect().await;
    let binding = binding_of(&tls);
    client::open_without_greeting(tls, &binding, &device.key).await.ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_ends_while_it_comes_in_stays_out_on_sqlite() {
    ends_while_it_comes_in(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_ends_while_it_comes_in_stays_out_on_postgresql() {
    let Some(postgres) = Postgres::start() else { return };
    ends_while_it_comes_in(Some(&postgres.database("ends").unwrap())).await;
}

/// L4: a thief founds a scope with the stolen device, which no other device of its owner is in.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_thief_founds_keeps_no_stolen_device_in() {
    let world = World::new();
    let server = Running::start(&world, None).await;
    let mut mothers = server.enter(&world, MOTHER).await;
    let (first, phone) = (world.device(MOTHER), world.device_n(MOTHER, 1));
    let mut phones = telephone(&world, &server, &mut mothers).await;
    let scope = world.personal_founding(MOTHER);
    let founded = founds(&world, &mut mothers, first, scope).await;
    assert!(founded.is_ok(), "{founded:?}");
    // The telephone is there now; what the first device founds from here on does not keep it in.
    assert_eq!(phones.ask(removal(first, false)).await, Reply::Done);
    assert!(mothers.frame().await.is_none());
    assert!(!has_device(&server, first.id()).await && has_device(&server, phone.id()).await);
}

async fn founds(
    world: &World,
    client: &mut Client,
    device: &Device,
    founding: Founding,
) -> Result<Vec<Accepted>, Problem> {
    let event = world.genesis_event(device, &founding);
    let envelope = Envelope { event: Signed::sign(&event, &device.key), welcome: None };
    client.submit(Bundle { envelopes: vec![envelope], letters: vec![] }).await
}

/// What it had before keeps it in, unless it is lost; then its person's open codes go, too.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_device_goes_though_it_is_needed_and_open_codes_with_it() {
    let world = World::new();
    let (server, _) = with_family(&world, &[TEACHER, MOTHER, FATHER]).await;
    let first = world.device(MOTHER);
    let mut mothers = server.open(&first.key).await.unwrap();
    let mut phones = telephone(&world, &server, &mut mothers).await;
    let kind = CodeKind::Person(PersonKind::Guardian);
    let offer = CodeOffer { ticket: ticket_hash(&[8; 16]), kind, unit: None, expires_at: now_ms() + DAY };
    assert_eq!(mothers.ask(Request::OfferCode(Signed::sign(&offer, &first.key))).await, Reply::Done);
    assert_eq!(phones.problem(removal(first, false)).await, "device-needed");
    assert_eq!(phones.ask(removal(first, true)).await, Reply::Done);
    assert!(mothers.frame().await.is_none());
    let joined = server.join(&claim(&world.person(COACH).key, world.device(COACH), [8; 16])).await;
    assert_eq!(joined.unwrap_err().1, "code-invalid");
}

/// L4: of somebody else's device, in a log or not, and of one that there is not, the answer is the same.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_learns_by_removing_whether_a_device_is_in_a_log() {
    let world = World::new();
    let (server, _) = with_family(&world, &[TEACHER, MOTHER, FATHER, STRANGER]).await;
    let mut strangers = server.open(&world.device(STRANGER).key).await.unwrap();
    for device in [world.device(MOTHER), world.device(PPT), world.device_n(MOTHER, 1)] {
        for lost in [false, true] {
            assert_eq!(strangers.ask(removal(device, lost)).await, Reply::Done);
        }
    }
    assert!(has_device(&server, world.device(MOTHER).id()).await);
}

/// A device key is no secret. Whoever registers another municipality's device for their own could end it here.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_takes_another_device_for_their_own() {
    let world = World::new();
    let (server, _) = with_family(&world, &[TEACHER, MOTHER, FATHER, STRANGER]).await;
    // The father as a guest: a place in the log, no account here.
    let father = world.device(FATHER);
    server
        .db
        .write::<_, StoreError, _>({
            let device = father.id();
            move |conn| {
                Box::pin(async move { conn.execute("DELETE FROM devices WHERE device = $1", args![&device.0]).await })
            }
        })
        .await
        .unwrap();
    let mut strangers = server.open(&world.device(STRANGER).key).await.unwrap();
    let waits = async || {
        let mut conn = server.db.reader().await.unwrap();
        let sql = "SELECT COUNT(*) FROM mailbox WHERE device = $1";
        conn.row(sql, args![&father.id().0]).await.unwrap().unwrap().int(0).unwrap()
    };
    let before = waits().await;
    assert!(before > 0, "his Welcome");
    // The claim is of the father's key, by whoever can: nobody but him signs with it.
    let claim = asking(&world, STRANGER, father).peek().unwrap();
    for signer in [&world.device(STRANGER).key, &world.person(STRANGER).key] {
        let taken = certified(&world, STRANGER, Signed::sign(&claim, signer));
        assert_eq!(strangers.problem(Request::CertifyDevice(taken)).await, "inconsistent");
    }
    // And what he once said to his own person says nothing to another.
    let taken = certified(&world, STRANGER, asking(&world, FATHER, father));
    assert_eq!(strangers.problem(Request::CertifyDevice(taken)).await, "inconsistent");
    assert_eq!(strangers.ask(removal(father, true)).await, Reply::Done);
    assert_eq!(waits().await, before);
}

/// Whatever a stranger does wrong in a scope that is here, it is a scope that is not.
#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_learns_nothing_of_a_scope_by_being_refused() {
    let world = World::new();
    let (server, card) = with_family(&world, &[TEACHER, MOTHER, FATHER, STRANGER]).await;
    let mut strangers = server.open(&world.device(STRANGER).key).await.unwrap();
    let stranger = world.device(STRANGER);
    let good = card.event(stranger, stafett_protocol::event::Body::Change(change()));
    let mut codes = vec![];
    for bend in 0..5 {
        let mut event = good.clone();
        match bend {
            1 => event.epoch += 7,
            2 => event.generation += 1,
            3 => event.counter += 3,
            4 => event.seen.seq += 100,
            _ => {}
        }
        let key = if bend == 0 { &world.device(MOTHER).key } else { &stranger.key };
        let envelope = Envelope { event: Signed::sign(&event, key), welcome: None };
        let refused = strangers.submit(Bundle { envelopes: vec![envelope], letters: vec![] }).await.unwrap_err();
        codes.push((refused.code, refused.scope));
    }
    assert!(codes.iter().all(|(code, at)| code == "unknown-scope" && at.is_none()), "{codes:?}");
}

/// Who led a unit once has an account that still says so; what counts is who leads it.
#[tokio::test(flavor = "multi_thread")]
async fn a_former_leader_certifies_nobody() {
    let world = World::new();
    let server = Running::start(&world, None).await;
    let unit = world.person(LEADER).unit.unwrap();
    server
        .db
        .write::<_, StoreError, _>(move |conn| {
            Box::pin(async move { accounts::add_unit(conn, unit, "Solvang skole", "school", now_ms()).await })
        })
        .await
        .unwrap();
    for who in [LEADER, COLLEAGUE] {
        account(&world, who, &server).await;
    }
    let mut leaders = server.open(&world.device(LEADER).key).await.unwrap();
    let certificate = Signed::sign(&world.certificate(LEADER, COLLEAGUE), &world.person(LEADER).key);
    let offer = |ticket| {
        let kind = CodeKind::Person(PersonKind::Employee);
        let offer =
            CodeOffer { ticket: ticket_hash(&[ticket; 16]), kind, unit: Some(unit), expires_at: now_ms() + DAY };
        Request::OfferCode(Signed::sign(&offer, &world.device(LEADER).key))
    };
    assert_eq!(leaders.ask(Request::CertifyEmployee(certificate.clone())).await, Reply::Done);
    assert_eq!(leaders.ask(offer(1)).await, Reply::Done);
    // Somebody else leads now.
    let ticket = server.code(PersonKind::Leader, Some(unit)).await;
    server.join(&claim(&world.person(COACH).key, world.device(COACH), ticket)).await.unwrap();
    assert_eq!(leaders.problem(Request::CertifyEmployee(certificate)).await, "not-allowed");
    assert_eq!(leaders.problem(offer(2)).await, "not-allowed");
}

/// A key package with another init key, signed anew by its device.
pub fn key_package_with(device: &Device, key: &[u8]) -> Vec<u8> {
    use openmls::prelude::ProtocolVersion;
    use tls_codec::Serialize as _;
    let package = device.key_package();
    let (whole, vector) = (package.tls_serialize_detached().unwrap(), |bytes: &[u8]| {
        tls_codec::VLBytes::new(bytes.to_vec()).tls_serialize_detached().unwrap()
    });
    let rest_at = 4 + vector(package.hpke_init_key().as_slice()).len();
    let end = whole.len() - vector(&[0; 64]).len();
    let content = [&whole[..4], &vector(key), &whole[rest_at..end]].concat();
    let labelled = [vector(b"MLS 1.0 KeyPackageTBS"), vector(&content)].concat();
    let signature = ed25519_dalek::Signer::sign(&device.key, &labelled).to_bytes();
    // version mls10, wire format mls_key_package
    let message = [ProtocolVersion::Mls10.tls_serialize_detached().unwrap(), vec![0, 5]].concat();
    [message, content, vector(&signature)].concat()
}

/// A device that is being wiped says so itself. What only it has, also what it founded, and its person's account stay.
#[tokio::test(flavor = "multi_thread")]
async fn a_device_ends_itself_only_where_another_has_all_of_it() {
    let world = World::new();
    let (server, _) = with_family(&world, &[TEACHER, MOTHER, FATHER]).await;
    let (first, phone) = (world.device(MOTHER), world.device_n(MOTHER, 1));
    let mut mothers = server.open(&first.key).await.unwrap();
    assert_eq!(mothers.problem(removal(first, false)).await, "device-needed", "the only one");
    let mut phones = telephone(&world, &server, &mut mothers).await;
    assert_eq!(mothers.problem(removal(first, false)).await, "device-needed", "the telephone is in no scope");
    // The telephone has nothing; its stream ends with it, before the answer or behind it.
    let frame = ClientFrame { id: 9, request: removal(phone, false) };
    phones.send_raw(stafett_protocol::codec::encode(&frame)).await;
    while phones.frame().await.is_some() {}
    assert!(!has_device(&server, phone.id()).await && has_device(&server, first.id()).await);
    assert_eq!(server.open(&phone.key).await.err(), Some(401));
    assert_eq!(mothers.problem(removal(first, false)).await, "device-needed", "the only one again");
}
