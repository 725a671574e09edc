//! The demo's attackers: an insider with genuine keys who forges a change, a home that colludes and signs it, and a removed
//! member who kept old keys and got a full copy of the server's database. Nothing is assumed: each attack is carried out.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ed25519_dalek::SigningKey;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection as _, Row as _, SqliteConnection};
use stafett_client_core::client::input::{Account, Command as Wish, Input};
use stafett_client_core::client::{Client, Me};
use stafett_client_core::document::{Document, Editor, edit};
use stafett_client_core::keychain::{ContentKey, KeyChain, open_link};
use stafett_client_core::rows::{Row, Space, Table};
use stafett_client_core::seal;
use stafett_protocol::codec::{decode, encode};
use stafett_protocol::event::{Body, Change, Event, Position, Receipt, Record, SealContext};
use stafett_protocol::http_signature;
use stafett_protocol::ids::{DeviceId, PersonId, ScopeId, from_hex};
use stafett_protocol::membership::{Role, ScopeKind};
use stafett_protocol::replica::Replica;
use stafett_protocol::signed::Signed;
use stafett_protocol::wire::{Bundle, ClientFrame, Envelope, Records, Reply, Request, ScopePosition, ServerFrame};

use super::process::{DemoError, PASSPHRASE};
use crate::host::clock::now_ms;
use crate::host::home::Home;
use crate::host::recording::Recording;
use crate::host::seal::Seal;
use crate::host::store::Store;
use crate::host::transport::{FrameStream, ServerPlace};

/// How long a refusal may take.
const ANSWER_TIME: Duration = Duration::from_secs(20);

fn odd(what: &str, said: impl std::fmt::Display) -> DemoError {
    DemoError::Unexpected { command: what.to_owned(), said: said.to_string() }
}

/// Everything that one home knows, taken out by its own owner.
pub struct Insider {
    rows: Vec<Row>,
    records: Vec<Record>,
    account: Account,
    person: PersonId,
    scope: ScopeId,
}

impl Insider {
    /// Opens a home (or a copy of one) without the client's rules in between.
    pub async fn of(home: &Path, scope: &str) -> Result<Self, DemoError> {
        let scope: ScopeId = scope.parse().map_err(|_| odd("scope", scope))?;
        let home = Home::hold(home).map_err(|error| odd("home", error))?;
        let key = home.unlock(PASSPHRASE.as_bytes()).map_err(|error| odd("home", error))?;
        let path = home.database().map_err(|error| odd("home", error))?;
        let store = Store::open(&path, Seal::under(&key)).await;
        let mut store = store.map_err(|error| odd("store", error))?;
        let rows = store.load().await.map_err(|error| odd("store", error))?;
        let events = store.events(&scope.0, 0, u64::MAX).await.map_err(|error| odd("store", error))?;
        store.close().await.map_err(|error| odd("store", error))?;
        let records = events.iter().filter_map(|row| decode(row.value.as_deref()?).ok()).collect();
        let account = client(&rows)?.account().ok_or_else(|| odd("account", "none"))?;
        let me = rows.iter().find(|row| row.space == Space::Identity && row.key == b"me");
        let me: Me = me.and_then(|row| decode(row.value.as_deref()?).ok()).ok_or_else(|| odd("identity", "none"))?;
        Ok(Self { rows, records, account, person: me.person, scope })
    }

    fn key(&self) -> SigningKey {
        SigningKey::from_bytes(&self.account.device_key)
    }

    fn device(&self) -> DeviceId {
        DeviceId::of_key(&self.key().verifying_key().to_bytes())
    }

    /// Where the chain stands for this home.
    fn position(&self) -> Position {
        self.records.iter().fold(Position::default(), |before, record| Position {
            seq: record.seq,
            head: record.head_after(&before.head),
        })
    }

    fn replica(&self) -> Result<Replica, DemoError> {
        let snapshot = [self.scope.0.as_slice(), &[1]].concat();
        let row = self.rows.iter().find(|row| row.space == Space::Scope && row.key == snapshot);
        let bytes = row.and_then(|row| row.value.as_deref()).ok_or_else(|| odd("replica", "none"))?;
        Replica::restore(bytes).map_err(|error| odd("replica", error))
    }

    fn keys(&self, generation: u32) -> KeyChain {
        KeyChain::load(&Table::load(self.rows.clone()), self.scope, generation)
    }

    /// A glimpse under this home's genuine keys, as if its owner were the holder: well-formed, well sealed, signed, and
    /// not allowed unless its author may write.
    pub fn forge(&self, text: &str) -> Result<Signed<Event>, DemoError> {
        let replica = self.replica()?;
        let state = replica.state();
        let (generation, epoch) = (state.membership.generation, state.epoch);
        let document = Document::load(&Table::load(self.rows.clone()), &self.scope.0, ScopeKind::Concern);
        let mut document = document.map_err(|error| odd("document", error))?.ok_or_else(|| odd("document", "none"))?;
        let (mut salt, mut id, mut fresh) = ([0u8; 32], [0u8; 16], [0u8; 8]);
        for part in [&mut salt[..], &mut id[..], &mut fresh[..]] {
            getrandom::fill(part).map_err(|error| odd("randomness", error))?;
        }
        let (person, device) = (self.person, self.device());
        let editor = Editor { person, device, role: Role::Holder, now_ms: now_ms(), fresh };
        let written = document.edit(&editor, |to| edit::add_glimpse(to, person, &hex::encode(id), text, None));
        let changes = vec![written.map_err(|error| odd("edit", error))?.1];
        let own =
            self.records.iter().filter_map(|record| record.event.peek().ok()).filter(|event| event.device == device);
        let counter = own.map(|event| event.counter).max().unwrap_or(0) + 1;
        let context = SealContext {
            scope: self.scope,
            generation,
            epoch,
            device,
            counter,
            seen: self.position(),
            count: 1,
            attachments: vec![],
        };
        let keys = self.keys(generation);
        let key = keys.key(epoch).ok_or_else(|| odd("content key", "none"))?;
        let header = encode(&context);
        let binding = seal::Binding { salt, device, counter, header: &header };
        let sealed = seal::seal(key, &binding, &changes).map_err(|error| odd("seal", error))?;
        let tag = seal::change_tag(key, &salt, &changes);
        let body = Body::Change(Change { salt, count: 1, tag, attachments: vec![], sealed: sealed.into() });
        let event = Event { scope: self.scope, generation, epoch, device, counter, seen: context.seen, body };
        Ok(Signed::sign(&event, &self.key()))
    }

    /// Hands the forged change to the honest server; the code of its refusal, or `None` if it took it.
    pub async fn submit(&self, event: Signed<Event>, traffic: &Path) -> Result<Option<String>, DemoError> {
        let bundle = Bundle { envelopes: vec![Envelope { event, welcome: None }], letters: vec![] };
        let (answer, _) = self.ask(Request::Submit(bundle), traffic).await?;
        Ok(if let Reply::Problem(problem) = answer { Some(problem.code) } else { None })
    }

    /// Asks the honest server for everything behind what this home knows; how many changes it gives.
    pub async fn fetch_changes(&self, traffic: &Path) -> Result<usize, DemoError> {
        let position = ScopePosition { scope: self.scope, seq: self.position().seq };
        let (_, pushed) = self.ask(Request::Sync(vec![position]), traffic).await?;
        let records = pushed
            .into_iter()
            .filter_map(|reply| if let Reply::Records(records) = reply { Some(records) } else { None });
        let events = records.flat_map(|records| records.records).filter_map(|record| record.event.peek().ok());
        Ok(events.filter(|event| matches!(event.body, Body::Change(_))).count())
    }

    /// One request as this device; the answer, and what the server pushed until then.
    async fn ask(&self, request: Request, traffic: &Path) -> Result<(Reply, Vec<Reply>), DemoError> {
        let place = ServerPlace::new(&self.account.url, self.account.ca).map_err(|error| odd("server", error))?;
        let key = self.key();
        let sign = |path: &str, exporter: &[u8; 32]| http_signature::sign("GET", path, &[], exporter, &key);
        let recording = Arc::new(Recording::to(&traffic.join("utenom"))?);
        let stream = FrameStream::open(&place, recording, sign).await;
        let mut stream = stream.map_err(|error| odd("stream", error))?;
        stream.send(vec![encode(&ClientFrame { id: 1, request })]).await.map_err(|error| odd("stream", error))?;
        let mut pushed = Vec::new();
        loop {
            let frame = stream.next(ANSWER_TIME).await.map_err(|error| odd("stream", error))?;
            let frame = decode(&frame.ok_or_else(|| odd("stream", "silence"))?);
            let ServerFrame { id, reply } = frame.map_err(|error| odd("frame", error))?;
            if id == 1 {
                stream.close().await;
                return Ok((reply, pushed));
            }
            pushed.push(reply);
        }
    }

    /// What a home that colludes would push: the forged change as the next record, under the municipality's own receipt.
    pub fn collude(&self, event: Signed<Event>, server_home: &Path) -> Result<Vec<u8>, DemoError> {
        let text = std::fs::read_to_string(server_home.join("municipality.key"))?;
        let secret: [u8; 32] = from_hex(text.trim()).ok_or_else(|| odd("municipality key", "unreadable"))?;
        let before = self.position();
        let time = self.records.last().map_or(0, |record| record.time) + 1;
        let record = Record { seq: before.seq + 1, time, event };
        let position = Position { seq: record.seq, head: record.head_after(&before.head) };
        let home_epoch = self.replica()?.state().membership.home_epoch;
        let receipt = Receipt { scope: self.scope, home_epoch, position, time };
        let receipt = Signed::sign(&receipt, &SigningKey::from_bytes(&secret));
        let records = Records { scope: self.scope, records: vec![record], receipt };
        Ok(encode(&ServerFrame { id: 0, reply: Reply::Records(records) }))
    }

    /// Gives a pushed frame to this home's client, in memory only, and says whether it then shows `text`.
    pub fn believes(&self, frame: Vec<u8>, text: &str) -> Result<bool, DemoError> {
        let mut client = client(&self.rows)?;
        client.handle(now_ms(), Input::Connected);
        client.handle(now_ms(), Input::Frame(frame));
        let wish = Wish::ConcernShow { concern: self.scope.to_string() };
        let shown = client.handle(now_ms(), Input::Command(wish)).answer.and_then(Result::ok);
        let shown = shown.ok_or_else(|| odd("concern show", "no answer"))?;
        Ok(shown.to_json().to_string().contains(text))
    }

    /// Whether neither a key nor content of the scope is left in this home.
    pub fn read_nothing(&self) -> bool {
        let scope = self.scope.0.as_slice();
        let of_scope = |row: &&Row| row.key.windows(scope.len()).any(|part| part == scope);
        !self.rows.iter().filter(of_scope).any(|row| matches!(row.space, Space::Keys | Space::Document))
    }

    /// Tries every old key on every change of the chain in a copy of the server's database.
    pub async fn read_copy(&self, database: &Path) -> Result<Readable, DemoError> {
        let keys = self.keys(self.replica()?.state().membership.generation);
        let old: Vec<&ContentKey> = (0..=keys.newest().unwrap_or(0)).filter_map(|epoch| keys.key(epoch)).collect();
        let known = self.position().seq;
        let mut readable = Readable::default();
        for (seq, event) in chain(database, self.scope).await? {
            let (opened, tried) = match &event.body {
                Body::Change(change) => (old.iter().any(|key| opens(key, &event, change)), true),
                Body::Commit(commit) if seq > known => {
                    let place = keys.place(event.epoch + 1);
                    let link = commit.link.as_ref().map(|link| link.as_slice()).unwrap_or_default();
                    (old.iter().any(|key| open_link(key, link, &place).is_ok()), true)
                }
                _ => (false, false),
            };
            let side = if seq > known { &mut readable.after } else { &mut readable.before };
            side.0 += usize::from(opened);
            side.1 += usize::from(tried);
        }
        Ok(readable)
    }
}

/// How much opened, of how much that was tried.
#[derive(Debug, Default)]
pub struct Readable {
    /// Of what was written while the keys were good.
    pub before: (usize, usize),
    /// Of what came after the withdrawal.
    pub after: (usize, usize),
}

fn client(rows: &[Row]) -> Result<Client, DemoError> {
    let mut seed = [0u8; 32];
    getrandom::fill(&mut seed).map_err(|error| odd("randomness", error))?;
    Client::open(rows.to_vec(), seed).map_err(|problem| odd("client", problem.message))
}

fn opens(key: &ContentKey, event: &Event, change: &Change) -> bool {
    let header = encode(&SealContext::of(event, change.count));
    let binding = seal::Binding { salt: change.salt, device: event.device, counter: event.counter, header: &header };
    seal::open(key, &binding, change.sealed.as_slice()).is_ok()
}

async fn open_copy(database: &Path) -> Result<SqliteConnection, DemoError> {
    let options = SqliteConnectOptions::new().filename(database);
    SqliteConnection::connect_with(&options).await.map_err(|error| odd("server's database", error))
}

async fn chain(database: &Path, scope: ScopeId) -> Result<Vec<(u64, Event)>, DemoError> {
    let mut connection = open_copy(database).await?;
    let rows = sqlx::query("SELECT seq, event FROM records WHERE scope = $1 ORDER BY seq")
        .bind(scope.0.as_slice())
        .fetch_all(&mut connection)
        .await
        .map_err(|error| odd("records", error))?;
    let mut events = Vec::with_capacity(rows.len());
    for row in rows {
        let seq: i64 = row.try_get(0).map_err(|error| odd("records", error))?;
        let bytes: Vec<u8> = row.try_get(1).map_err(|error| odd("records", error))?;
        let event: Signed<Event> = decode(&bytes).map_err(|error| odd("event", error))?;
        events.push((seq.unsigned_abs(), event.peek().map_err(|error| odd("event", error))?));
    }
    Ok(events)
}

/// How many scopes and records a copy of the server's database holds, and how many letters wait in it.
pub async fn holdings(database: &Path) -> Result<(i64, i64), DemoError> {
    let mut connection = open_copy(database).await?;
    let mut count = [0; 2];
    for (slot, query) in count
        .iter_mut()
        .zip(["SELECT (SELECT COUNT(*) FROM scopes) + (SELECT COUNT(*) FROM records)", "SELECT COUNT(*) FROM mailbox"])
    {
        let row = sqlx::query(query).fetch_one(&mut connection).await.map_err(|error| odd("count", error))?;
        *slot = row.try_get(0).map_err(|error| odd("count", error))?;
    }
    Ok(count.into())
}
