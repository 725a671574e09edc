//! A real server in this process (TLS, sockets, database) and devices that talk to it.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

pub mod files;
pub mod moving;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Once};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ed25519_dalek::SigningKey;
use futures_util::{SinkExt as _, StreamExt as _};
use rustls::pki_types::ServerName;
use stafett_protocol::code::ticket_hash;
use stafett_protocol::codec::{decode, encode};
use stafett_protocol::credential::{Credential, DeviceCertificate, PersonKind, letter_key_hash};
use stafett_protocol::federation::{
    PeerFile, RelayChallenge, RelayFrame, RelayHello, RelayLogin, RelayPayload, RelayedPayload,
};
use stafett_protocol::http_signature;
use stafett_protocol::ids::{PersonId, UnitId};
use stafett_protocol::signed::Signed;
use stafett_protocol::wire::*;
use stafett_server::db::{Db, StoreError};
use stafett_server::federation::Federation;
use stafett_server::home::{Home, Settings, now_ms, shift_clock};
use stafett_server::municipality::Municipality;
use stafett_server::server::Server;
use stafett_server::store::accounts::{self, StoredCode};
use stafett_server::{accept, certs, http, tls};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use crate::common::{Device, START, World};

/// Makes "now" a day after the world's beginning, in the whole process.
fn set_clock() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let real = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
        shift_clock(START as i64 + 86_400_000 - real);
    });
}

pub struct Running {
    pub dir: tempfile::TempDir,
    pub db: Db,
    pub server: Arc<Server>,
    pub address: SocketAddr,
    stop: watch::Sender<bool>,
    serving: tokio::task::JoinHandle<()>,
    connector: TlsConnector,
    url: Option<String>,
}

impl Running {
    /// Starts a server whose municipality is the world's.
    pub async fn start(world: &World, url: Option<&str>) -> Self {
        Self::start_as(crate::common::HOME, "Ullensaker", &world.municipality, url).await
    }

    /// Starts a server of any municipality.
    pub async fn start_as(number: u16, name: &str, key: &SigningKey, url: Option<&str>) -> Self {
        set_clock();
        let dir = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let listen = listener.local_addr().unwrap().to_string();
        let settings = Settings {
            number,
            name: name.into(),
            url: format!("https://{listen}"),
            listen,
            database: url.map(str::to_owned),
            created_ms: now_ms(),
        };
        let home = Home::create(&dir.path().join("home"), settings, key).unwrap();
        let authority = certs::new_authority(number, name).unwrap();
        home.write("ca.pem", authority.certificate_pem.as_bytes()).unwrap();
        home.write("ca.key", authority.key_pem.as_bytes()).unwrap();
        Self::serve(dir, listener, url.map(str::to_owned)).await
    }

    async fn serve(dir: tempfile::TempDir, listener: TcpListener, url: Option<String>) -> Self {
        let home = Home::open(&dir.path().join("home")).unwrap();
        let db = Db::open(&home.database_file(), url.as_deref()).await.unwrap();
        let authority = authority_of(&home);
        let municipality = Municipality::of(&home).unwrap();
        let federation = Federation::new(&municipality, &authority).unwrap();
        let peers = Arc::clone(&federation.peers);
        let leaf = tls::Leaf::new(certs::new_leaf(&authority, "127.0.0.1").unwrap()).unwrap();
        let acceptor = TlsAcceptor::from(tls::server_config(leaf, Arc::clone(&peers)).unwrap());
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        let server = Server::start(db.clone(), municipality, federation, stopped.clone()).await.unwrap();
        let router = http::router(Arc::clone(&server));
        let serving = tokio::spawn(accept::serve(listener, acceptor, peers, router, stopped));
        Self { dir, db, server, address, stop, serving, connector: connector(&authority.certificate_pem), url }
    }

    /// A server on a home that is there already, somewhere else.
    pub async fn again(dir: tempfile::TempDir, url: Option<&str>) -> Self {
        set_clock();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::serve(dir, listener, url.map(str::to_owned)).await
    }

    /// Stops in good order; the home stays.
    pub async fn end(self) -> tempfile::TempDir {
        let _ = self.stop.send(true);
        self.serving.await.unwrap();
        self.db.close().await;
        self.dir
    }

    pub fn home(&self) -> Home {
        Home::open(&self.dir.path().join("home")).unwrap()
    }

    /// This server's own word, as a peer file carries it.
    pub fn peer_file(&self) -> Signed<PeerFile> {
        let ca = certs::authority_der(&self.home().read_text("ca.pem").unwrap()).unwrap();
        self.server.municipality.describe(&ca)
    }

    /// What `stafettd peer add` does beside the running server; waits until it counts.
    pub async fn add_peer(&self, signed: Signed<PeerFile>) {
        let number = signed.peek().unwrap().number;
        self.db
            .write::<_, StoreError, _>(move |conn| {
                Box::pin(async move {
                    stafett_server::store::peers::raise_version(conn).await?;
                    stafett_server::store::peers::put(conn, number, &signed, now_ms()).await
                })
            })
            .await
            .unwrap();
        self.server.federation.peers.refresh(&self.db).await.unwrap();
    }

    /// Stops and starts again on the same data, with nothing in memory.
    pub async fn restart(self) -> Self {
        let _ = self.stop.send(true);
        self.serving.await.unwrap();
        self.db.close().await;
        // The same address: peers know it.
        let listener = TcpListener::bind(self.address).await.unwrap();
        Self::serve(self.dir, listener, self.url).await
    }

    /// Stops for good.
    pub async fn stop(self) {
        let _ = self.stop.send(true);
        self.serving.await.unwrap();
        self.db.close().await;
    }

    /// A connection without TLS.
    pub async fn connect_plain(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    pub async fn connect(&self) -> TlsStream<TcpStream> {
        let tcp = TcpStream::connect(self.address).await.unwrap();
        tcp.set_nodelay(true).unwrap();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        self.connector.connect(name, tcp).await.unwrap()
    }

    /// One HTTP request, raw; status and body.
    pub async fn http(&self, method: &str, path: &str, body: &[u8]) -> (u16, Vec<u8>) {
        exchange(self.connect().await, method, path, body).await
    }

    /// A one-time code of the operator's.
    pub async fn code(&self, kind: PersonKind, unit: Option<UnitId>) -> [u8; 16] {
        let ticket: [u8; 16] = stafett_server::home::random().unwrap();
        put_code(&self.db, ticket, kind, unit).await;
        ticket
    }

    pub async fn join(&self, request: &JoinRequest) -> Result<JoinReply, (u16, String)> {
        let (status, body) = self.http("POST", "/v1/join", &encode(request)).await;
        if status == 200 {
            return Ok(decode(&body).unwrap());
        }
        let problem: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
        Err((status, problem["code"].as_str().unwrap_or("none").to_owned()))
    }

    /// Joins a person of the world with the first device and opens its stream.
    pub async fn enter(&self, world: &World, who: usize) -> Client {
        let person = world.person(who);
        let ticket = self.code(person.kind, person.unit).await;
        self.join(&claim(&person.key, world.device(who), ticket)).await.unwrap();
        self.open(&world.device(who).key).await.unwrap()
    }

    pub async fn open(&self, key: &SigningKey) -> Result<Client, u16> {
        let tls = self.connect().await;
        let binding = binding_of(&tls);
        open_on(tls, &binding, key).await
    }

    pub async fn open_on(
        &self,
        tls: TlsStream<TcpStream>,
        binding: &[u8; 32],
        key: &SigningKey,
    ) -> Result<Client, u16> {
        open_on(tls, binding, key).await
    }
}

/// A server in a process of its own.
pub struct Remote {
    address: SocketAddr,
    connector: TlsConnector,
}

impl Remote {
    /// `stafettd init`, with the world's key in the municipality's place.
    pub fn init(world: &World, home: &std::path::Path, url: Option<&str>) -> Self {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_stafettd"));
        command.args(["init", "--number", "3209", "--name", "Ullensaker", "--json", "--home"]).arg(home);
        if let Some(url) = url {
            command.args(["--database", url]);
        }
        let output = command.output().unwrap();
        let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let key = stafett_protocol::ids::to_hex(&world.municipality.to_bytes());
        std::fs::write(home.join("municipality.key"), key).unwrap();
        let pem = std::fs::read_to_string(said["ca_file"].as_str().unwrap()).unwrap();
        let address = said["url"].as_str().unwrap().trim_start_matches("https://").parse().unwrap();
        Self { address, connector: connector(&pem) }
    }

    /// A guardian's code, put beside the running process as `stafettd unit add` would.
    pub async fn add_code(&self, home: &std::path::Path, url: Option<&str>, ticket: [u8; 16]) {
        let db = Db::open(&home.join("stafett.db"), url).await.unwrap();
        put_code(&db, ticket, PersonKind::Guardian, None).await;
        db.close().await;
    }

    async fn connect(&self) -> TlsStream<TcpStream> {
        let tcp = TcpStream::connect(self.address).await.unwrap();
        self.connector.connect(ServerName::try_from("127.0.0.1").unwrap(), tcp).await.unwrap()
    }

    pub async fn join(&self, request: &JoinRequest) {
        let (status, _) = exchange(self.connect().await, "POST", "/v1/join", &encode(request)).await;
        assert_eq!(status, 200);
    }

    pub async fn open(&self, key: &SigningKey) -> Result<Client, u16> {
        let tls = self.connect().await;
        let binding = binding_of(&tls);
        open_on(tls, &binding, key).await
    }
}

/// The authority of a home, able to sign leaves.
pub fn authority_of(home: &Home) -> certs::Authority {
    certs::Authority {
        number: home.settings.number,
        name: home.settings.name.clone(),
        certificate_pem: home.read_text("ca.pem").unwrap(),
        key_pem: home.read_text("ca.key").unwrap(),
    }
}

fn connector(ca_pem: &str) -> TlsConnector {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certs::authority_der(ca_pem).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(client))
}

fn binding_of(tls: &TlsStream<TcpStream>) -> [u8; 32] {
    tls.get_ref().1.export_keying_material([0; 32], http_signature::EXPORTER_LABEL, None).unwrap()
}

/// One HTTP request, raw; status and body.
async fn exchange(mut stream: TlsStream<TcpStream>, method: &str, path: &str, body: &[u8]) -> (u16, Vec<u8>) {
    let head =
        format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    let _ = stream.write_all(head.as_bytes()).await;
    let _ = stream.write_all(body).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let text = String::from_utf8_lossy(&answer).into_owned();
    let status = text.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
    let at = answer.windows(4).position(|w| w == b"\r\n\r\n").map_or(answer.len(), |at| at + 4);
    (status, answer[at..].to_vec())
}

async fn open_on(tls: TlsStream<TcpStream>, binding: &[u8; 32], key: &SigningKey) -> Result<Client, u16> {
    let signed = http_signature::sign("GET", "/v1/stream", b"", binding, key);
    let mut request = "wss://127.0.0.1/v1/stream".into_client_request().unwrap();
    let headers = request.headers_mut();
    headers.insert("content-digest", signed.content_digest.parse().unwrap());
    headers.insert("signature-input", signed.signature_input.parse().unwrap());
    headers.insert("signature", signed.signature.parse().unwrap());
    match tokio_tungstenite::client_async(request, tls).await {
        Ok((socket, _)) => {
            let mut client = Client { socket, last_id: 0, pushed: VecDeque::new() };
            client.greeting().await;
            Ok(client)
        }
        Err(tokio_tungstenite::tungstenite::Error::Http(response)) => Err(response.status().as_u16()),
        Err(error) => panic!("{error}"),
    }
}

async fn put_code(db: &Db, ticket: [u8; 16], kind: PersonKind, unit: Option<UnitId>) {
    db.write::<_, StoreError, _>(move |conn| {
        Box::pin(async move {
            let code = StoredCode {
                kind: CodeKind::Person(kind),
                unit,
                offered_by: None,
                expires_ms: now_ms() + 1_000_000,
                used_by: None,
            };
            accounts::add_code(conn, &ticket_hash(&ticket), &code).await
        })
    })
    .await
    .unwrap();
}

/// A world's device as the account that a join has made of it, with the letter key of these tests.
pub fn relay_credential(world: &World, who: usize, joined: &JoinReply) -> Credential {
    let certificate = DeviceCertificate {
        person: world.id(who),
        device_key: world.device(who).public(),
        letter_key: letter_key_hash(&letter_key()),
        issued_at: START,
    };
    Credential {
        person: joined.certificate.clone().unwrap(),
        device: Signed::sign(&certificate, &world.person(who).key),
    }
}

/// Opens a relay and logs a device of the world in.
pub async fn visit<'a>(
    own: &'a mut Client,
    world: &World,
    who: usize,
    credential: &Credential,
    home: u16,
) -> Guest<'a> {
    let device = world.device(who);
    let mut guest = Guest::open(own, home).await.unwrap();
    let challenge = guest.challenge().await.unwrap();
    let hello = RelayHello { challenge, home, device: device.id() };
    let login = RelayLogin {
        hello: Signed::sign(&hello, &device.key),
        credential: credential.clone(),
        letter_key: letter_key().into(),
    };
    guest.log_in(&login).await.unwrap();
    guest
}

/// What every device of these tests has letters sealed to.
pub fn letter_key() -> Vec<u8> {
    vec![5; 1216]
}

/// What a new person says on joining.
pub fn claim(person_key: &SigningKey, device: &Device, ticket: [u8; 16]) -> JoinRequest {
    let public = person_key.verifying_key().to_bytes();
    let letter_key = letter_key();
    let certificate = DeviceCertificate {
        person: PersonId::of_first_key(&public),
        device_key: device.public(),
        letter_key: letter_key_hash(&letter_key),
        issued_at: START,
    };
    let claim = JoinClaim {
        ticket,
        person_key: public,
        device_key: device.public(),
        device: Signed::sign(&certificate, person_key),
        letter_key: letter_key.into(),
        proof: [0; 32],
        sealed_name: Vec::new().into(),
    };
    JoinRequest::Person(PersonJoin { claim: Signed::sign(&claim, &device.key), key_packages: vec![] })
}

/// One open stream.
pub struct Client {
    pub socket: WebSocketStream<TlsStream<TcpStream>>,
    last_id: u32,
    pub pushed: VecDeque<Reply>,
}

impl Client {
    async fn greeting(&mut self) {
        loop {
            let reply = self.frame().await.unwrap().reply;
            let done = matches!(reply, Reply::Welcome(_));
            self.pushed.push_back(reply);
            if done {
                return;
            }
        }
    }

    /// The next frame; `None` when the stream has ended.
    pub async fn frame(&mut self) -> Option<ServerFrame> {
        loop {
            let next = tokio::time::timeout(Duration::from_secs(20), self.socket.next());
            match next.await.expect("the server says nothing") {
                Some(Ok(Message::Binary(bytes))) => return Some(decode(&bytes).unwrap()),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                _ => return None,
            }
        }
    }

    pub async fn send_raw(&mut self, bytes: Vec<u8>) {
        let _ = self.socket.send(Message::Binary(bytes.into())).await;
    }

    pub async fn ask(&mut self, request: Request) -> Reply {
        self.last_id += 1;
        let id = self.last_id;
        self.send_raw(encode(&ClientFrame { id, request })).await;
        self.answer(id).await
    }

    pub async fn answer(&mut self, id: u32) -> Reply {
        loop {
            let frame = self.frame().await.expect("the stream has ended");
            if frame.id == id {
                return frame.reply;
            }
            self.pushed.push_back(frame.reply);
        }
    }

    /// The next push, waiting for it.
    pub async fn push(&mut self) -> Reply {
        if let Some(reply) = self.pushed.pop_front() {
            return reply;
        }
        self.frame().await.expect("the stream has ended").reply
    }

    /// The next push of this kind; others are thrown away.
    pub async fn push_until<T>(&mut self, wanted: impl Fn(Reply) -> Option<T>) -> T {
        loop {
            if let Some(found) = wanted(self.push().await) {
                return found;
            }
        }
    }

    pub async fn submit(&mut self, bundle: Bundle) -> Result<Vec<Accepted>, Problem> {
        match self.ask(Request::Submit(bundle)).await {
            Reply::Submitted(accepted) => Ok(accepted),
            Reply::Problem(problem) => Err(problem),
            other => panic!("{other:?}"),
        }
    }

    /// Submits to a server that may die meanwhile: `None` when the stream has ended.
    pub async fn try_submit(&mut self, bundle: Bundle) -> Option<Result<Vec<Accepted>, Problem>> {
        self.last_id += 1;
        let id = self.last_id;
        self.send_raw(encode(&ClientFrame { id, request: Request::Submit(bundle) })).await;
        loop {
            let frame = self.frame().await?;
            match frame.reply {
                Reply::Submitted(accepted) if frame.id == id => return Some(Ok(accepted)),
                Reply::Problem(problem) if frame.id == id => return Some(Err(problem)),
                other => self.pushed.push_back(other),
            }
        }
    }

    pub async fn problem(&mut self, request: Request) -> String {
        match self.ask(request).await {
            Reply::Problem(problem) => problem.code,
            other => panic!("{other:?}"),
        }
    }
}

/// A stream to another home, inside the stream to one's own.
pub struct Guest<'a> {
    own: &'a mut Client,
    to: u16,
    last_id: u32,
    pub pushed: VecDeque<Reply>,
}

impl<'a> Guest<'a> {
    /// Opens the relay; an immediate refusal is an error.
    pub async fn open(own: &'a mut Client, to: u16) -> Result<Self, String> {
        let mut guest = Guest { own, to, last_id: 0, pushed: VecDeque::new() };
        guest.pass(RelayPayload::Open).await;
        Ok(guest)
    }

    async fn pass(&mut self, payload: RelayPayload) {
        self.own.last_id += 1;
        let frame = RelayFrame { to: self.to, payload };
        self.own.send_raw(encode(&ClientFrame { id: self.own.last_id, request: Request::Relay(frame) })).await;
    }

    pub async fn send(&mut self, bytes: Vec<u8>) {
        self.pass(RelayPayload::Message(bytes.into())).await;
    }

    async fn message(&mut self) -> Result<Vec<u8>, String> {
        loop {
            match self.own.frame().await.expect("the own stream has ended").reply {
                Reply::Relayed(relayed) if relayed.from == self.to => match relayed.payload {
                    RelayedPayload::Message(bytes) => return Ok(bytes.into()),
                    RelayedPayload::Closed(problem) => return Err(problem.code),
                },
                Reply::Problem(problem) => return Err(problem.code),
                _ => {}
            }
        }
    }

    pub async fn challenge(&mut self) -> Result<[u8; 32], String> {
        let challenge: RelayChallenge = decode(&self.message().await?).unwrap();
        Ok(challenge.challenge)
    }

    /// Answers the challenge and waits for the greeting.
    pub async fn log_in(&mut self, login: &RelayLogin) -> Result<(), String> {
        self.send(encode(login)).await;
        loop {
            let frame: ServerFrame = decode(&self.message().await?).unwrap();
            let done = matches!(frame.reply, Reply::Welcome(_));
            self.pushed.push_back(frame.reply);
            if done {
                return Ok(());
            }
        }
    }

    pub async fn ask(&mut self, request: Request) -> Reply {
        self.last_id += 1;
        let id = self.last_id;
        self.send(encode(&ClientFrame { id, request })).await;
        loop {
            let frame: ServerFrame = decode(&self.message().await.unwrap()).unwrap();
            if frame.id == id {
                return frame.reply;
            }
            self.pushed.push_back(frame.reply);
        }
    }

    pub async fn problem(&mut self, request: Request) -> String {
        match self.ask(request).await {
            Reply::Problem(problem) => problem.code,
            other => panic!("{other:?}"),
        }
    }

    pub async fn push(&mut self) -> Reply {
        if let Some(reply) = self.pushed.pop_front() {
            return reply;
        }
        decode::<ServerFrame>(&self.message().await.unwrap()).unwrap().reply
    }

    /// Why the stream ends, once it does.
    pub async fn closed(&mut self) -> String {
        loop {
            if let Err(code) = self.message().await {
                return code;
            }
        }
    }
}
