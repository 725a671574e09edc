//! What a peer's server, its guests, and a home to which this server passes its devices' words on can make it hold in
//! memory (A13). Every one of them is believed to be a municipality, and does what it likes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::Arc;
use std::time::Duration;

use crate::common::*;
use crate::edges::{as_peer, ping, taken};
use crate::relay::{card_with_mother, two};
use crate::support::*;
use ed25519_dalek::SigningKey;
use futures_util::{SinkExt as _, StreamExt as _};
use hyper::Method;
use stafett_protocol::codec::{decode, encode};
use stafett_protocol::credential::Credential;
use stafett_protocol::event::{Body, Change, Event};
use stafett_protocol::federation::{PeerFile, RelayChallenge, RelayFrame, RelayHello, RelayLogin, RelayPayload};
use stafett_protocol::ids::DeviceId;
use stafett_protocol::limits::FRAME_BYTES;
use stafett_protocol::signed::Signed;
use stafett_protocol::wire::*;
use stafett_server::budget::memory::Holder;
use stafett_server::budget::table::{FREE_BYTES, PUSH_BYTES, RELAYS_PER_STREAM, held_bytes};
use stafett_server::certs;
use stafett_server::fanout::{Fanout, NewRecords, Push};
use stafett_server::transfer::PULL_PATH;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, client, server};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

const MIB: usize = 1024 * 1024;
const THERE: u16 = HAUGESUND;
/// Far more than kernels hold between two sockets.
const MUCH: usize = 64 * MIB;
const PEER: Holder = Holder::Peer(THERE);

type AtPeer = WebSocketStream<client::TlsStream<TcpStream>>;

async fn next_frame(socket: &mut AtPeer) -> Vec<u8> {
    loop {
        if let Message::Binary(bytes) = socket.next().await.unwrap().unwrap() {
            return bytes.to_vec();
        }
    }
}

/// The mother as a guest, over a stream that her server opens for her and whatever else.
async fn guest(here: &Running, there: &Running, world: &World, credential: &Credential) -> AtPeer {
    let mut socket = as_peer(here, there).await;
    let challenge: RelayChallenge = decode(&next_frame(&mut socket).await).unwrap();
    let device = world.device(MOTHER);
    let hello = RelayHello { challenge: challenge.challenge, home: HOME, device: device.id() };
    let login = RelayLogin {
        hello: Signed::sign(&hello, &device.key),
        credential: credential.clone(),
        letter_key: letter_key().into(),
    };
    socket.send(Message::Binary(encode(&login).into())).await.unwrap();
    loop {
        let frame: ServerFrame = decode(&next_frame(&mut socket).await).unwrap();
        if matches!(frame.reply, Reply::Welcome(_)) {
            return socket;
        }
    }
}

/// Looks for so long, and answers the most that was held.
async fn most_held(server: &Running, holders: &[Holder], seconds: u64) -> usize {
    let mut most = 0;
    for _ in 0..seconds * 50 {
        for holder in holders {
            let held = server.server.memory.held(*holder);
            assert!(held <= held_bytes(*holder), "{held} bytes of {holder:?}");
            most = most.max(held);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    most
}

#[tokio::test(flavor = "multi_thread")]
async fn pings_of_a_guest_who_has_logged_in_are_not_taken_for_ever() {
    let two = two(None, None).await;
    let mut socket = guest(&two.here, &two.there, &two.world, &two.credential).await;
    let (took, held) = tokio::join!(taken(&mut socket, ping(), MUCH), most_held(&two.here, &[PEER, Holder::All], 3));
    assert!(took < MUCH, "{took} bytes of pings, and as many of pongs, that nobody reads");
    assert!(held < MIB, "{held} bytes are held");
    // Whoever pings as servers do is served.
    let mut socket = guest(&two.here, &two.there, &two.world, &two.credential).await;
    for id in 1..10 {
        socket.send(ping()).await.unwrap();
        socket.send(Message::Binary(encode(&ClientFrame { id, request: Request::Ping }).into())).await.unwrap();
        let answer: ServerFrame = decode(&next_frame(&mut socket).await).unwrap();
        assert_eq!((answer.id, answer.reply), (id, Reply::Done));
    }
}

/// Many streams that ask for much and read nothing: what waits for them has a bound together, and others go on.
#[tokio::test(flavor = "multi_thread")]
async fn answers_that_guests_do_not_read_have_a_bound_together() {
    let two = two(None, None).await;
    let (mut teachers, card) = card_with_mother(&two).await;
    let teacher = two.world.device(TEACHER);
    let next = card.event(teacher, Body::Change(Change { sealed: vec![8; 128 * 1024].into(), ..change() }));
    for n in 0..24 {
        let event = Event { counter: next.counter + n, ..next.clone() };
        let envelope = Envelope { event: Signed::sign(&event, &teacher.key), welcome: None };
        teachers.submit(Bundle { envelopes: vec![envelope], letters: vec![] }).await.unwrap();
    }
    let mut streams = vec![];
    for _ in 0..24 {
        let mut socket = guest(&two.here, &two.there, &two.world, &two.credential).await;
        let question = Request::Sync(vec![ScopePosition { scope: CARD, seq: 0 }]);
        for id in 1..40 {
            let asked = encode(&ClientFrame { id, request: question.clone() });
            let sent = socket.send(Message::Binary(asked.into()));
            if !matches!(tokio::time::timeout(Duration::from_millis(200), sent).await, Ok(Ok(()))) {
                break;
            }
        }
        streams.push(socket);
    }
    let mothers = [Holder::Device(two.world.device(MOTHER).id()), Holder::Person(two.world.id(MOTHER))];
    let held = most_held(&two.here, &[mothers[0], mothers[1], PEER, Holder::All], 3).await;
    assert!(held > MIB, "{held} bytes: nothing waits that should");
    assert_eq!(teachers.ask(Request::Ping).await, Reply::Done, "others go on");
    drop(streams);
    let given_back = async {
        while two.here.server.memory.held(PEER) > 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), given_back).await.expect("it is given back");
}

/// What is pushed to whoever reads nothing waits in the database, but for a little.
#[test]
fn pushes_that_are_not_read_have_a_bound_and_none_is_lost() {
    let fanout = Fanout::default();
    let (listener, mut pushes) = fanout.enter(DeviceId([7; 16])).unwrap();
    fanout.follow(CARD, &listener);
    let records = |n| NewRecords { scope: CARD, first: n, last: n, frame: vec![7; PUSH_BYTES].into(), moved: None };
    let mut take = |fanout: &Fanout, most: u64| {
        (1..=most).for_each(|n| fanout.records(&Arc::new(records(n))));
        let (mut bytes, mut to_read) = (0, 0);
        while let Ok(push) = pushes.try_recv() {
            listener.took(&push);
            match push {
                Push::Records(new) => bytes += new.frame.len(),
                Push::Scope(_) => to_read += 1,
                Push::Mail => {}
            }
        }
        assert!(bytes <= FREE_BYTES, "{bytes} bytes wait");
        assert_eq!(bytes / PUSH_BYTES + to_read, most as usize);
        bytes
    };
    assert_eq!(take(&fanout, 200), FREE_BYTES);
    assert_eq!(take(&fanout, 2), 2 * PUSH_BYTES, "whoever reads again has records again");
}

/// A server in the place of the other municipality's.
struct Hostile {
    listener: TcpListener,
    acceptor: TlsAcceptor,
    file: Signed<PeerFile>,
}

impl Hostile {
    async fn start(key: &SigningKey) -> Self {
        let authority = certs::new_authority(THERE, "Haugesund").unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let shown = certs::new_leaf(&authority, "127.0.0.1").unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(shown.chain, shown.key)
            .unwrap();
        let file = PeerFile {
            number: THERE,
            name: "Haugesund".into(),
            url: format!("https://{}", listener.local_addr().unwrap()),
            ca: certs::authority_der(&authority.certificate_pem).unwrap().to_vec().into(),
            key: public(key),
        };
        Self { listener, acceptor: TlsAcceptor::from(Arc::new(config)), file: Signed::sign(&file, key) }
    }

    async fn accept(&self) -> server::TlsStream<TcpStream> {
        self.acceptor.accept(self.listener.accept().await.unwrap().0).await.unwrap()
    }

    async fn stream(&self) -> WebSocketStream<server::TlsStream<TcpStream>> {
        tokio_tungstenite::accept_async(self.accept().await).await.unwrap()
    }
}

/// This server with a device of its own, and a hostile home that its operator has added.
async fn with_hostile(world: &World) -> (Running, Client, Hostile) {
    let here = Running::start(world, None).await;
    let teachers = here.enter(world, TEACHER).await;
    let hostile = Hostile::start(&world.haugesund).await;
    here.add_peer(hostile.file.clone()).await;
    (here, teachers, hostile)
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_are_those_of_a_home_to_which_a_device_is_relayed() {
    let world = World::new();
    let (here, mut teachers, hostile) = with_hostile(&world).await;
    let mut guest = Guest::open(&mut teachers, THERE).await.unwrap();
    let mut socket = hostile.stream().await;
    let (took, held) = tokio::join!(taken(&mut socket, ping(), MUCH), most_held(&here, &[PEER, Holder::All], 3));
    assert!(took < MUCH, "{took} bytes of pings, and as many of pongs, that nobody reads");
    assert!(held < MIB, "{held} bytes are held");
    assert_eq!(guest.closed().await, "peer-unreachable");
    assert_eq!(teachers.ask(Request::Ping).await, Reply::Done, "the own stream lives on");
}

/// A home that sends much to a device that reads nothing, each of them hostile.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_home_sends_to_a_device_that_does_not_read_has_a_bound() {
    let world = World::new();
    let (here, mut teachers, hostile) = with_hostile(&world).await;
    drop(Guest::open(&mut teachers, THERE).await.unwrap());
    let mut socket = hostile.stream().await;
    let holders = [Holder::Device(world.device(TEACHER).id()), PEER, Holder::All];
    let much = Message::Binary(vec![7; 3 * MIB].into());
    let (took, held) = tokio::join!(taken(&mut socket, much, 2 * MUCH), most_held(&here, &holders, 3));
    assert!(took < 2 * MUCH, "{took} bytes that nobody reads");
    assert!(held > 3 * MIB, "{held} bytes: nothing waits that should");
}

/// A relay that is opened anew gives way at once, also where the home never answers: what a device has under way at one
/// time is bounded, whatever it has forgotten.
#[tokio::test(flavor = "multi_thread")]
async fn relays_opened_over_and_over_are_few_at_one_time() {
    let world = World::new();
    let (_here, mut teachers, hostile) = with_hostile(&world).await;
    for id in 1..400 {
        let open = Request::Relay(RelayFrame { to: THERE, payload: RelayPayload::Open });
        teachers.send_raw(encode(&ClientFrame { id, request: open })).await;
    }
    // Those of them that are still open when all have come.
    let mut accepted = vec![];
    while let Ok(Ok((tcp, _))) = tokio::time::timeout(Duration::from_secs(2), hostile.listener.accept()).await {
        accepted.push(tcp);
    }
    let mut open = 0;
    for tcp in &mut accepted {
        let mut all = vec![];
        let ended = tokio::time::timeout(Duration::from_millis(20), tcp.read_to_end(&mut all)).await;
        open += usize::from(ended.is_err());
    }
    assert!(open <= RELAYS_PER_STREAM, "{open} connections to a home that does not answer");
}

/// What another home answers is counted against it while it comes and while it is dealt with.
#[tokio::test(flavor = "multi_thread")]
async fn answers_of_a_home_have_a_bound_together() {
    let world = World::new();
    let (here, _teachers, hostile) = with_hostile(&world).await;
    let answers = tokio::spawn(async move {
        let mut open = vec![];
        let mut part = vec![0; FRAME_BYTES - 1];
        part.fill(7);
        let part = Arc::new(part);
        for _ in 0..40 {
            let mut tls = hostile.accept().await;
            let part = Arc::clone(&part);
            open.push(tokio::spawn(async move {
                let mut asked = [0; 4096];
                let _ = tls.read(&mut asked).await;
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {FRAME_BYTES}\r\n\r\n");
                let _ = tls.write_all(head.as_bytes()).await;
                let _ = tls.write_all(&part).await;
                // The last byte never comes.
                std::future::pending::<()>().await;
            }));
        }
        std::future::pending::<()>().await;
    });
    let asked: Vec<_> = (0..40)
        .map(|_| {
            let server = Arc::clone(&here.server);
            tokio::spawn(async move {
                let outgoing = &server.federation.outgoing;
                outgoing.ask(THERE, Method::POST, PULL_PATH, vec![], FRAME_BYTES).await.map(drop)
            })
        })
        .collect();
    let held = most_held(&here, &[PEER, Holder::All], 6).await;
    let refused = asked.iter().filter(|asked| asked.is_finished()).count();
    assert!(held > 64 * MIB, "{held} bytes: what has come is not counted");
    assert!(refused > 20, "{refused} of 40 answers of 8 MiB were not let in");
    answers.abort();
}
