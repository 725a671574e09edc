//! What strangers, devices and peers can make a server hold in memory, and how large an answer a small question has (A13).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::Arc;
use std::time::Duration;

use crate::common::*;
use crate::support::*;
use ed25519_dalek::SigningKey;
use futures_util::{SinkExt as _, StreamExt as _};
use rustls::pki_types::ServerName;
use stafett_protocol::codec::encode;
use stafett_protocol::consent::Permit;
use stafett_protocol::event::Event;
use stafett_protocol::joining::{DeviceClaim, DeviceRemoval};
use stafett_protocol::signed::Signed;
use stafett_protocol::wire::*;
use stafett_server::certs;
use stafett_server::federation::RELAY_PATH;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

const MIB: usize = 1024 * 1024;
const THERE: u16 = HAUGESUND;
/// Far more than kernels hold between two sockets.
const MUCH: usize = 64 * MIB;

/// Sends until the other side takes nothing for a while, or ends it; how many bytes it took.
pub async fn taken<S>(socket: &mut WebSocketStream<S>, message: Message, most: usize) -> usize
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut bytes = 0;
    while bytes < most {
        let sent = tokio::time::timeout(Duration::from_secs(3), socket.send(message.clone())).await;
        if !matches!(sent, Ok(Ok(()))) {
            break;
        }
        bytes += message.len() + 6;
    }
    bytes
}

pub fn ping() -> Message {
    Message::Ping(vec![7; 125].into())
}

#[tokio::test(flavor = "multi_thread")]
async fn pings_whose_pongs_are_not_read_are_not_taken_for_ever() {
    let world = World::new();
    let server = Running::start(&world, None).await;
    let mut mothers = server.enter(&world, MOTHER).await;
    let took = taken(&mut mothers.socket, ping(), MUCH).await;
    assert!(took < MUCH, "{took} bytes of pings, and as many of pongs, that nobody reads");
    // Whoever pings as clients do is served.
    let mut mothers = server.open(&world.device(MOTHER).key).await.unwrap();
    for _ in 0..10 {
        mothers.socket.send(ping()).await.unwrap();
        assert_eq!(mothers.ask(Request::Ping).await, Reply::Done);
    }
}

/// A stream that a peer's server opens for a guest: whoever has its certificate may flood it.
pub async fn as_peer(here: &Running, there: &Running) -> WebSocketStream<tokio_rustls::client::TlsStream<TcpStream>> {
    let shown = certs::new_client_leaf(&authority_of(&there.home())).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certs::authority_der(&here.home().read_text("ca.pem").unwrap()).unwrap()).unwrap();
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(shown.chain, shown.key)
        .unwrap();
    let tcp = TcpStream::connect(here.address).await.unwrap();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let tls = TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap();
    let request = format!("wss://127.0.0.1{RELAY_PATH}").into_client_request().unwrap();
    tokio_tungstenite::client_async(request, tls).await.unwrap().0
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_are_those_of_a_peer() {
    let world = World::new();
    let here = Running::start(&world, None).await;
    let there = Running::start_as(THERE, "Haugesund", &world.haugesund, None).await;
    here.add_peer(there.peer_file()).await;
    let mut socket = as_peer(&here, &there).await;
    let took = taken(&mut socket, ping(), MUCH).await;
    assert!(took < MUCH, "{took} bytes of pings, and as many of pongs, that nobody reads");
}

/// Text is no frame: each is refused, and no faster than anybody needs.
#[tokio::test(flavor = "multi_thread")]
async fn text_has_a_pace() {
    let world = World::new();
    let server = Running::start(&world, None).await;
    let mut mothers = server.enter(&world, MOTHER).await;
    let sent = async {
        for _ in 0..10_000 {
            let _ = mothers.socket.send(Message::text("x")).await;
        }
        let mut refused = 0;
        while let Some(Ok(message)) = mothers.socket.next().await {
            refused += usize::from(matches!(message, Message::Binary(_)));
        }
        refused
    };
    let refused = tokio::time::timeout(Duration::from_secs(30), sent).await.expect("it is ended");
    assert!(refused < 200, "{refused} answers");
}

fn one(device: &Device, event: &Event) -> Bundle {
    Bundle { envelopes: vec![Envelope { event: Signed::sign(event, &device.key), welcome: None }], letters: vec![] }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_named_often_is_answered_once() {
    let world = World::new();
    let server = Running::start(&world, None).await;
    let teacher = world.device(TEACHER);
    let mut teachers = server.enter(&world, TEACHER).await;
    let genesis = world.genesis_event(teacher, &world.card_founding());
    teachers.submit(one(teacher, &genesis)).await.unwrap();
    let Reply::Persons(found) = teachers.ask(Request::Persons(vec![world.id(TEACHER); 256])).await else { panic!() };
    assert_eq!(found.len(), 1);
    teachers.pushed.clear();
    let often = vec![ScopePosition { scope: CARD, seq: 0 }; 4096];
    for request in [Request::Sync(often.clone()), Request::SyncAhead(often)] {
        let Reply::Synced(synced) = teachers.ask(request).await else { panic!() };
        assert_eq!(synced.len(), 1);
        let records = teachers.pushed.drain(..).filter(|reply| matches!(reply, Reply::Records(_))).count();
        assert_eq!(records, 1, "the records of one scope, once");
    }
    let fetched = teachers.ask(Request::FetchKeyPackages(vec![world.id(TEACHER); 64])).await;
    assert!(matches!(fetched, Reply::KeyPackages(packages) if packages.len() <= 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_has_only_so_many_devices() {
    let world = World::new();
    let server = Running::start(&world, None).await;
    let mut mothers = server.enter(&world, MOTHER).await;
    let certified = |n: u8| {
        let key = SigningKey::from_bytes(&[n; 32]);
        let claim = DeviceClaim {
            ticket: [4; 16],
            person: world.id(MOTHER),
            device_key: public(&key),
            letter_key: letter_key().into(),
            proof: [1; 32],
            sealed_name: vec![].into(),
            key_packages: vec![],
        };
        Request::CertifyDevice(crate::support::certified(&world, MOTHER, Signed::sign(&claim, &key)))
    };
    for n in 1..16 {
        assert_eq!(mothers.ask(certified(n)).await, Reply::Done, "{n}");
    }
    assert_eq!(mothers.problem(certified(100)).await, "too-many-devices");
    assert_eq!(mothers.ask(certified(1)).await, Reply::Done, "again, after a lost answer");
    let gone = stafett_protocol::ids::DeviceId::of_key(&public(&SigningKey::from_bytes(&[1; 32])));
    let gone = DeviceRemoval { device: gone, lost: Permit::No };
    assert_eq!(mothers.ask(Request::RemoveDevice(gone)).await, Reply::Done);
    assert_eq!(mothers.ask(certified(100)).await, Reply::Done, "one has gone");
}

/// 1 MiB of a join that never ends, over and over: some are told to wait, instead of all being held.
#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_do_not_end_have_a_bound_together() {
    let world = World::new();
    let server = Running::start(&world, None).await;
    let mut open = vec![];
    let body = vec![0; MIB - 1];
    let mut held = 0;
    for _ in 0..120 {
        let mut tls = server.connect().await;
        let head = format!("POST /v1/join HTTP/1.1\r\nhost: x\r\ncontent-length: {MIB}\r\n\r\n");
        tls.write_all(head.as_bytes()).await.unwrap();
        let _ = tls.write_all(&body).await;
        open.push(tls);
    }
    for tls in &mut open {
        let mut answer = [0; 12];
        let read = tokio::io::AsyncReadExt::read(tls, &mut answer);
        let waits = tokio::time::timeout(Duration::from_millis(20), read).await.is_err();
        held += usize::from(waits);
    }
    assert!((1..100).contains(&held), "{held} MiB of bodies at one time");
    // They end, and everybody gets in again.
    drop(open);
    let mother = claim(&world.person(MOTHER).key, world.device(MOTHER), [0; 16]);
    while server.join(&mother).await.unwrap_err().0 == 429 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The first part of a message of 8 MiB, and nothing more but a ping.
async fn begin(socket: &mut WebSocketStream<tokio_rustls::client::TlsStream<TcpStream>>) -> bool {
    let part = Frame::message(vec![0u8; 7 * MIB], OpCode::Data(Data::Binary), false);
    socket.send(Message::Frame(part)).await.is_ok() && socket.send(ping()).await.is_ok() && {
        let pong = tokio::time::timeout(Duration::from_secs(20), async {
            loop {
                match socket.next().await {
                    Some(Ok(Message::Pong(_))) => return true,
                    Some(Ok(_)) => {}
                    _ => return false,
                }
            }
        });
        pong.await.unwrap_or(false)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_do_not_end_have_a_bound_together() {
    let world = World::new();
    let server = Running::start(&world, None).await;
    let mut streams = vec![server.enter(&world, MOTHER).await];
    let mut held = 0;
    for _ in 0..12 {
        let mut stream = server.open(&world.device(MOTHER).key).await.unwrap();
        held += usize::from(begin(&mut stream.socket).await);
        streams.push(stream);
    }
    assert!((1..10).contains(&held), "{held} messages of 7 MiB at one time");
    // Small requests of hers still get through, on a new stream too.
    let mut last = server.open(&world.device(MOTHER).key).await.unwrap();
    assert_eq!(last.ask(Request::Ping).await, Reply::Done);
    assert_eq!(streams[0].ask(Request::Ping).await, Reply::Done);
}

/// What only names things is small, whatever a bundle may be.
#[tokio::test(flavor = "multi_thread")]
async fn a_small_request_is_small() {
    let world = World::new();
    let server = Running::start(&world, None).await;
    let mut mothers = server.enter(&world, MOTHER).await;
    let mut large = encode(&ClientFrame { id: 1, request: Request::Ping });
    large.resize(MIB, 0);
    mothers.send_raw(large).await;
    let Reply::Problem(problem) = mothers.answer(1).await else { panic!() };
    assert_eq!(problem.code, "too-large");
}

/// Whoever was answered a day's worth waits, and gets everything else through.
#[tokio::test(flavor = "multi_thread")]
async fn answers_are_paid_by_whoever_asks() {
    use stafett_server::budget::{Good, Payer};
    let world = World::new();
    let server = Running::start(&world, None).await;
    let mut mothers = server.enter(&world, MOTHER).await;
    let payer = [Payer::Person(world.id(MOTHER))];
    let question = || Request::Persons(vec![world.id(MOTHER)]);
    assert!(matches!(mothers.ask(question()).await, Reply::Persons(_)));
    server.server.budgets.owe(&payer, &[(Good::Answers, 1 << 40)]);
    assert_eq!(mothers.problem(question()).await, "quota-exceeded");
    assert_eq!(mothers.ask(Request::Acknowledge(vec![1, 1])).await, Reply::Done);
    assert!(matches!(server.enter(&world, TEACHER).await.ask(question()).await, Reply::Persons(_)), "others go on");
}
