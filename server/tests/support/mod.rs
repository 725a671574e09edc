//! A real server in this process (TLS, sockets, database) and devices that talk to it.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

pub mod client;
pub mod files;
pub mod moving;
pub mod wire;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ed25519_dalek::SigningKey;
use rustls::pki_types::ServerName;
use stafett_protocol::code::ticket_hash;
use stafett_protocol::codec::{decode, encode};
use stafett_protocol::credential::{Credential, DeviceCertificate, PersonKind, letter_key_hash};
use stafett_protocol::federation::PeerFile;
use stafett_protocol::http_signature;
use stafett_protocol::ids::UnitId;
use stafett_protocol::signed::Signed;
use stafett_protocol::wire::*;
use stafett_server::db::{Db, StoreError};
use stafett_server::federation::Federation;
use stafett_server::home::{Home, Settings, begin_clock, now_ms};
use stafett_server::municipality::Municipality;
use stafett_server::server::Server;
use stafett_server::store::accounts::{self, StoredCode};
use stafett_server::{accept, certs, http, tls};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

#[allow(unused_imports, reason = "not every suite plays guests")]
pub use client::{Client, Guest, open_on, visit};

use crate::common::{Device, START, World};
pub use crate::common::{claim, letter_key};

/// Makes "now" a day after the world's beginning, in the whole process.
fn set_clock() {
    begin_clock(START + 86_400_000);
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
        self.down().await.up().await
    }

    /// Stops; what is left is what is on the disk.
    pub async fn down(self) -> Stopped {
        let _ = self.stop.send(true);
        self.serving.await.unwrap();
        self.db.close().await;
        Stopped { dir: self.dir, address: self.address, url: self.url }
    }

    /// Stops for good.
    pub async fn stop(self) {
        drop(self.down().await);
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

/// A server that does not run.
pub struct Stopped {
    pub dir: tempfile::TempDir,
    /// The same when it runs again: peers know it.
    pub address: SocketAddr,
    pub url: Option<String>,
}

impl Stopped {
    pub async fn up(self) -> Running {
        // Whoever connects somewhere from this machine may have been given the port meanwhile, for a moment.
        let mut listener = TcpListener::bind(self.address).await;
        for _ in 0..300 {
            if listener.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
            listener = TcpListener::bind(self.address).await;
        }
        let listener = listener.unwrap();
        Running::serve(self.dir, listener, self.url).await
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

pub fn connector(ca_pem: &str) -> TlsConnector {
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

pub fn binding_of(tls: &TlsStream<TcpStream>) -> [u8; 32] {
    tls.get_ref().1.export_keying_material([0; 32], http_signature::EXPORTER_LABEL, None).unwrap()
}

/// One HTTP request, raw; status and body.
pub async fn exchange(mut stream: TlsStream<TcpStream>, method: &str, path: &str, body: &[u8]) -> (u16, Vec<u8>) {
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

pub async fn put_code(db: &Db, ticket: [u8; 16], kind: PersonKind, unit: Option<UnitId>) {
    db.write::<_, StoreError, _>(move |conn| {
        Box::pin(async move {
            let code = StoredCode {
                kind: CodeKind::Person(kind),
                unit,
                offered_by: None,
                // Also for a server whose clock a test has turned.
                expires_ms: now_ms() + 86_400_000,
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

/// What a further device says when it asks to be this person's.
pub fn asking(world: &World, who: usize, device: &Device) -> Signed<DeviceClaim> {
    let claim = DeviceClaim {
        ticket: [4; 16],
        person: world.id(who),
        device_key: device.public(),
        letter_key: letter_key().into(),
        proof: [1; 32],
        sealed_name: vec![].into(),
        key_packages: vec![],
    };
    Signed::sign(&claim, &device.key)
}

/// What its person's first device makes of that.
pub fn certified(world: &World, who: usize, claim: Signed<DeviceClaim>) -> CertifiedDevice {
    let asked = claim.peek().unwrap();
    let certificate = DeviceCertificate {
        person: world.id(who),
        device_key: asked.device_key,
        letter_key: letter_key_hash(asked.letter_key.as_slice()),
        issued_at: now_ms(),
    };
    CertifiedDevice { certificate: Signed::sign(&certificate, &world.person(who).key), claim }
}

pub fn removal(device: &Device, lost: bool) -> Request {
    Request::RemoveDevice(DeviceRemoval { device: device.id(), lost: lost.into() })
}
