//! A real server over a real SQLite file, with accounts and a log in it, and what an authenticated device is answered.
//! Whatever was accepted is undone: each input meets the same server.

use super::stream::{BINARY, heard, message};
use crate::common::*;
use stafett_protocol::code::ticket_hash;
use stafett_protocol::codec::{decode, encode};
use stafett_protocol::ids::hash;
use stafett_protocol::wire::*;
use stafett_server::certs::{self, Authority};
use stafett_server::db::schema::{Kind, TABLES};
use stafett_server::db::{Conn, Db, StoreError};
use stafett_server::federation::Federation;
use stafett_server::home::{Home, Settings, begin_clock, now_ms};
use stafett_server::metered::Metered;
use stafett_server::municipality::Municipality;
use stafett_server::server::Server;
use stafett_server::socket::{Road, Socket};
use stafett_server::store::accounts::{self, Device as Account, StoredCode};
use stafett_server::{args, stream};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::io::{AsyncWriteExt as _, duplex};
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// Who has an account here.
pub const PEOPLE: [Who; 8] = [LEADER, TEACHER, COLLEAGUE, MOTHER, FATHER, PPT_LEADER, PPT, STRANGER];
/// Asked after the input: when it is answered, the input is.
const LAST: u32 = 0x7fff_ff01;
const LONG: Duration = Duration::from_secs(8);

/// A server, and the file that it began with.
pub struct Served {
    runtime: Runtime,
    server: Arc<Server>,
    /// Tells whether another connection has committed anything.
    watching: Option<Conn>,
    version: i64,
    /// Everything that was stored in the beginning.
    began: [u8; 32],
    _stop: watch::Sender<bool>,
    _dir: tempfile::TempDir,
}

/// What came of one input.
pub struct Answered {
    /// Codes of every refusal.
    pub refused: Vec<String>,
    /// Whether anything is stored otherwise than before.
    pub changed: bool,
}

fn folder() -> tempfile::TempDir {
    // In memory where there is such a place: thousands of inputs are accepted.
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder")
}

/// The file with accounts and chains, and the authority that no server does without.
pub struct Beginning {
    dir: tempfile::TempDir,
    authority: Authority,
}

impl Beginning {
    pub fn of(world: &World, chains: &[&Chain]) -> Self {
        begin_clock(START + DAY);
        let dir = folder();
        let settings = Settings {
            number: HOME,
            name: "Ullensaker".into(),
            listen: "127.0.0.1:0".into(),
            url: "https://127.0.0.1:1".into(),
            database: None,
            created_ms: now_ms(),
        };
        let home = Home::create(&dir.path().join("home"), settings, &world.municipality).expect("a home");
        let authority = certs::new_authority(HOME, "Ullensaker").expect("an authority");
        home.write("ca.pem", authority.certificate_pem.as_bytes()).expect("is written");
        let beginning = Self { dir, authority };
        let runtime = runtime();
        runtime.block_on(async {
            let (db, server, stop) = beginning.start(&beginning.dir.path().join("stafett.db")).await;
            for who in PEOPLE {
                join(&db, &server, world, who).await;
            }
            for envelope in chains.iter().flat_map(|chain| chain.envelopes()) {
                let author = account(world.by_id(envelope.event.peek().unwrap().device), world);
                let bundle = Bundle { envelopes: vec![envelope], letters: vec![] };
                server.intake.submit(&author, bundle).await.expect("what was played is accepted");
            }
            drop((server, stop));
            db.close().await;
        });
        beginning
    }

    async fn start(&self, file: &Path) -> (Db, Arc<Server>, watch::Sender<bool>) {
        let home = Home::open(&self.dir.path().join("home")).expect("a home");
        let municipality = Municipality::of(&home).expect("its keys");
        let federation = Federation::new(&municipality, &self.authority).expect("a certificate");
        let db = Db::open(file, None).await.expect("a database");
        let (stop, stopped) = watch::channel(false);
        let server = Server::start(db.clone(), municipality, federation, stopped).await.expect("a server");
        (db, server, stop)
    }

    pub fn serve(&self) -> Served {
        let (runtime, dir) = (runtime(), folder());
        let file = dir.path().join("stafett.db");
        std::fs::copy(self.dir.path().join("stafett.db"), &file).expect("is copied");
        let (server, watching, version, began, stop) = runtime.block_on(async {
            let (db, server, stop) = self.start(&file).await;
            let mut watching = db.reader().await.expect("a connection");
            let began = stored(&mut watching).await;
            let version = version(&mut watching).await;
            (server, watching, version, began, stop)
        });
        Served { runtime, server, watching: Some(watching), version, began, _stop: stop, _dir: dir }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _inside = self.runtime.enter();
        self.watching = None;
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

pub fn account(device: &Device, world: &World) -> Account {
    Account { device: device.id(), person: world.id(device.who), key: device.public(), is_guest: false }
}

async fn join(db: &Db, server: &Arc<Server>, world: &World, who: Who) {
    let (person, device) = (world.person(who), world.device(who));
    let ticket = [who as u8 + 1; 16];
    let code = StoredCode {
        kind: CodeKind::Person(person.kind),
        unit: person.unit,
        offered_by: None,
        expires_ms: now_ms() + DAY,
        used_by: None,
    };
    let added = db.write::<_, StoreError, _>(move |conn: &mut Conn| {
        Box::pin(async move { accounts::add_code(conn, &ticket_hash(&ticket), &code).await })
    });
    added.await.expect("a code");
    let request = claim(&person.key, device, ticket);
    stafett_server::http::join::join(server, request).await.expect("joins");
}

async fn version(conn: &mut Conn) -> i64 {
    conn.row("PRAGMA data_version", args![]).await.unwrap().unwrap().int(0).unwrap()
}

/// Everything in the tables but `meta`, where the home notes its clock.
async fn stored(conn: &mut Conn) -> [u8; 32] {
    static SELECTS: OnceLock<Vec<&'static str>> = OnceLock::new();
    let tables = || TABLES.iter().filter(|table| table.name != "meta");
    let selects = SELECTS.get_or_init(|| {
        let select = |table: &stafett_server::db::schema::Table| {
            let names: Vec<&str> = table.columns.iter().map(|(name, _)| name.trim_end_matches('?')).collect();
            format!("SELECT {} FROM {} ORDER BY 1, 2", names.join(", "), table.name)
        };
        tables().map(|table| &*select(table).leak()).collect()
    });
    let mut all = vec![];
    for (table, select) in tables().zip(selects) {
        for row in conn.rows(select, args![]).await.unwrap() {
            for (at, (_, kind)) in table.columns.iter().enumerate() {
                let value = match kind {
                    Kind::Int => row.maybe_int(at).unwrap().map(|n| n.to_be_bytes().to_vec()),
                    Kind::Bytes => row.maybe_bytes(at).unwrap(),
                    Kind::Text => Some(row.text(at).unwrap().into_bytes()),
                };
                all.push(hash(table.name, &[&value.unwrap_or_else(|| b"none".to_vec())]).0);
            }
        }
    }
    let all: Vec<&[u8]> = all.iter().map(<[u8; 32]>::as_slice).collect();
    hash("everything", &all).0
}

impl Served {
    /// One frame on a new stream of this device, and the end of that stream.
    pub fn ask(&mut self, who: &Account, frame: &[u8]) -> Answered {
        let Self { runtime, server, watching, version: before, began, .. } = self;
        runtime.block_on(async {
            let refused = tokio::time::timeout(LONG, speak(server, who, frame)).await.expect("the stream ends");
            let conn = watching.as_mut().expect("open until the end");
            let now = version(conn).await;
            let changed = now != *before && stored(conn).await != *began;
            *before = now;
            Answered { refused, changed }
        })
    }
}

async fn speak(server: &Arc<Server>, who: &Account, frame: &[u8]) -> Vec<String> {
    let (mut client, near) = duplex(1 << 20);
    let (road, meter) = Metered::new(near);
    meter.begin(server.memory.nothing([]));
    let road: Road = Box::new(road);
    let serving = stream::run(Arc::clone(server), who.clone(), Socket::new(road, meter).await);
    let asking = async {
        let last = encode(&ClientFrame { id: LAST, request: Request::Ping });
        let said = [message(BINARY, frame), message(BINARY, &last)].concat();
        let mut refused = vec![];
        let _ = client.write_all(&said).await;
        while let Some((opcode, payload)) = heard(&mut client).await {
            if opcode != BINARY {
                continue;
            }
            let frame: ServerFrame = decode(&payload).expect("the server says what can be read");
            match frame.reply {
                Reply::Done if frame.id == LAST => break,
                Reply::Problem(problem) => refused.push(problem.code),
                _ => {}
            }
        }
        drop(client);
        refused
    };
    tokio::join!(serving, asking).1
}
