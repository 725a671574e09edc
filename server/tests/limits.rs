//! What a server bounds: connections, requests, silence; and what a restored one refuses.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use crate::common::*;
use crate::support::*;
use stafett_protocol::event::{Body, Event};
use stafett_protocol::signed::Signed;
use stafett_protocol::wire::*;
use stafett_server::budget::prefix::Prefix;
use stafett_server::db::{StoreError, schema};
use stafett_server::restored::RESTORED;
use stafett_server::server::Server;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

fn one(device: &Device, event: &Event) -> Bundle {
    Bundle { envelopes: vec![Envelope { event: Signed::sign(event, &device.key), welcome: None }], letters: vec![] }
}

/// Somebody who takes whatever a bucket holds, as long as this stands: what a test asks meanwhile is too much, however
/// slow the machine.
struct Greedy {
    done: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Greedy {
    fn of(server: &Running, take: impl Fn(&Server) -> bool + Send + 'static) -> Self {
        let (server, done) = (Arc::clone(&server.server), Arc::new(AtomicBool::new(false)));
        assert!(take(&server), "nobody has asked yet");
        while take(&server) {}
        let until = Arc::clone(&done);
        let thread = std::thread::spawn(move || {
            while !until.load(Ordering::Relaxed) {
                take(&server);
            }
        });
        Self { done, thread: Some(thread) }
    }
}

impl Drop for Greedy {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
        self.thread.take().map(std::thread::JoinHandle::join);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_joins_only_so_often() {
    let world = World::new();
    let server = Running::start(&world, None).await;
    assert_eq!(server.http("POST", "/v1/join", b"x").await.0, 400);
    let greedy = Greedy::of(&server, |server| server.admission.address(Prefix::of([127, 0, 0, 1].into())).is_ok());
    let mut refused = 0;
    while refused == 0 {
        let (status, _) = server.http("POST", "/v1/join", b"x").await;
        assert!(matches!(status, 400 | 429));
        refused += usize::from(status == 429);
    }
    drop(greedy);
    while server.http("POST", "/v1/join", b"x").await.0 == 429 {}
}

#[tokio::test(flavor = "multi_thread")]
async fn one_device_asks_only_so_often_and_loses_nothing() {
    let world = World::new();
    let server = Running::start(&world, None).await;
    let mut client = server.enter(&world, MOTHER).await;
    let device = world.device(MOTHER).id();
    let mut greedy = Some(Greedy::of(&server, move |server| server.admission.request(device).is_ok()));
    let mut id = 0;
    // Refused once, and then let in again on the same stream.
    loop {
        id += 1;
        client.send_raw(stafett_protocol::codec::encode(&ClientFrame { id, request: Request::Ping })).await;
        let answer = client.frame().await.unwrap();
        assert_eq!(answer.id, id);
        match answer.reply {
            Reply::Done if greedy.is_none() => break,
            Reply::Done => {}
            Reply::Problem(problem) if problem.code == "too-many-requests" => greedy = None,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_server_reads_and_signs_nothing() {
    let world = World::new();
    let server = Running::start(&world, None).await;
    let teacher = world.device(TEACHER);
    let mut teachers = server.enter(&world, TEACHER).await;
    let genesis = world.genesis_event(teacher, &world.card_founding());
    let accepted = teachers.submit(one(teacher, &genesis)).await.unwrap();
    server
        .db
        .write::<_, StoreError, _>(|conn| Box::pin(async move { schema::set_meta(conn, RESTORED, 1).await }))
        .await
        .unwrap();
    let server = server.restart().await;
    let mut teachers = server.open(&teacher.key).await.unwrap();
    let card = world.found_event(teacher, genesis.clone(), accepted[0].time, None).unwrap();
    let next = card.event(teacher, Body::Change(change()));
    assert_eq!(teachers.submit(one(teacher, &next)).await.unwrap_err().code, "home-restored");
    let ticket = server.code(stafett_protocol::credential::PersonKind::Guardian, None).await;
    let request = claim(&world.person(MOTHER).key, world.device(MOTHER), ticket);
    assert_eq!(server.join(&request).await.unwrap_err(), (503, "home-restored".to_owned()));
    let Reply::Synced(synced) = teachers.ask(Request::Sync(vec![ScopePosition { scope: CARD, seq: 0 }])).await else {
        panic!()
    };
    assert_eq!(synced[0].position.unwrap().seq, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_is_caught_up_from_the_database() {
    let world = World::new();
    let server = Running::start(&world, None).await;
    let teacher = world.device(TEACHER);
    let mut teachers = server.enter(&world, TEACHER).await;
    let genesis = world.genesis_event(teacher, &world.card_founding());
    let accepted = teachers.submit(one(teacher, &genesis)).await.unwrap();
    let card = world.found_event(teacher, genesis, accepted[0].time, None).unwrap();
    let mut slow = server.open(&teacher.key).await.unwrap();
    let Reply::Synced(_) = slow.ask(Request::Sync(vec![ScopePosition { scope: CARD, seq: 0 }])).await else { panic!() };
    // Far more than a connection's queue holds, while the reader does not read.
    let first = card.event(teacher, Body::Change(change()));
    for n in 0..2000u64 {
        let event = Event { counter: first.counter + n, ..first.clone() };
        teachers.submit(one(teacher, &event)).await.unwrap();
    }
    let mut seen = 1;
    slow.pushed.clear();
    while seen < 2001 {
        if let Reply::Records(records) = slow.push().await {
            for record in records.records {
                assert_eq!(record.seq, seen + 1, "in order, without a gap, nothing twice");
                seen = record.seq;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_dawdles_is_cut_off() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let world = World::new();
    let server = Running::start(&world, None).await;
    let start = std::time::Instant::now();
    // A TLS handshake that never begins, and a header that never ends.
    let mut silent = server.connect_plain().await;
    let mut slow = server.connect().await;
    slow.write_all(b"GET /healthz HTTP/1.1\r\nhost:").await.unwrap();
    let mut nothing = vec![];
    let _ = silent.read_to_end(&mut nothing).await;
    let _ = slow.read_to_end(&mut nothing).await;
    let took = start.elapsed().as_secs();
    assert!((8..=15).contains(&took), "{took} s");
}
