//! A database that lacks what this server has signed (S8): noticed before anything is signed on it, and made whole by
//! the devices, on SQLite and on PostgreSQL.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use crate::common::*;
use crate::support::*;
use stafett_protocol::event::{Body, Change, Event, Position, Receipt, Record};
use stafett_protocol::ids::{Hash, ScopeId};
use stafett_protocol::membership::{Role, ScopeKind};
use stafett_protocol::signed::Signed;
use stafett_protocol::wire::*;
use stafett_server::db::{Conn, Db, StoreError, schema};
use stafett_server::pg::Postgres;
use stafett_server::restored;
use std::path::{Path, PathBuf};
use std::process::Command;

fn stafettd(home: &Path, words: &[&str]) {
    let output = Command::new(env!("CARGO_BIN_EXE_stafettd"))
        .env("STAFETT_BACKUP_PASSPHRASE", "for-these-tests-only")
        .arg("--home")
        .arg(home)
        .args(words)
        .output()
        .unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// What the devices keep of a scope.
#[derive(Clone, Default)]
struct Kept {
    records: Vec<Record>,
    receipt: Option<Signed<Receipt>>,
}

impl Kept {
    fn after(&self, seq: u64) -> Records {
        let records = self.records.iter().filter(|r| r.seq > seq).cloned().collect();
        let receipt = self.receipt.clone().unwrap();
        Records { scope: receipt.peek().unwrap().scope, records, receipt }
    }
}

/// A teacher's device: what it sends it keeps.
struct Author<'w> {
    world: &'w World,
    client: Client,
    kept: std::collections::BTreeMap<ScopeId, Kept>,
    /// Everything it has sent, with what was answered.
    sent: Vec<(Bundle, Vec<Accepted>)>,
}

impl Author<'_> {
    async fn submit(&mut self, events: &[Event], welcome: Option<Vec<u8>>) -> u64 {
        let device = self.world.device(TEACHER);
        let signed: Vec<_> = events.iter().map(|event| Signed::sign(event, &device.key)).collect();
        let mut envelopes: Vec<_> = signed.iter().map(|e| Envelope { event: e.clone(), welcome: None }).collect();
        envelopes[0].welcome = welcome.map(Into::into);
        let bundle = Bundle { envelopes, letters: vec![] };
        let accepted = self.client.submit(bundle.clone()).await.unwrap();
        for (one, event) in accepted.iter().zip(signed) {
            let kept = self.kept.entry(one.scope).or_default();
            kept.records.push(Record { seq: one.seq, time: one.time, event });
            kept.receipt = Some(one.receipt.clone());
        }
        self.sent.push((bundle, accepted.clone()));
        accepted[0].time
    }

    async fn write(&mut self, chain: &mut Chain) {
        let event = chain.event(self.world.device(TEACHER), Body::Change(change()));
        chain.now = self.submit(std::slice::from_ref(&event), None).await;
        chain.submit_event(self.world, self.world.device(TEACHER), &event).unwrap();
    }

    async fn admit(&mut self, chain: &mut Chain, who: usize) {
        let teacher = self.world.device(TEACHER);
        let basis = chain.membership().authority.id();
        let next = chain.with(self.world, who, &[0], Role::Guardian, basis);
        let adds = vec![self.world.device(who).key_package()];
        let (commit, welcome) =
            chain.commit(teacher, Plan { adds, membership: Some(next.sorted()), ..Plan::default() });
        let event = chain.event(teacher, Body::Commit(commit.clone()));
        chain.now = self.submit(&[event], welcome.clone()).await;
        chain.submit_commit(self.world, teacher, commit, welcome).unwrap();
    }

    async fn give(&mut self, records: Records) -> Reply {
        self.client.ask(Request::Return(records)).await
    }
}

fn stands(reply: Reply) -> Option<u64> {
    match reply {
        Reply::Synced(scopes) => Some(scopes[0].position.map_or(0, |p| p.seq)),
        Reply::Done => None,
        other => panic!("{other:?}"),
    }
}

async fn read(client: &mut Client, world: &World, scope: ScopeId) -> Vec<Record> {
    client.pushed.clear();
    client.ask(Request::Sync(vec![ScopePosition { scope, seq: 0 }])).await;
    let (mut all, mut head) = (vec![], Hash::default());
    while let Some(push) = client.pushed.pop_front() {
        let Reply::Records(records) = push else { continue };
        for record in &records.records {
            head = record.head_after(&head);
        }
        let receipt = records.receipt.verify(&public(&world.municipality)).unwrap();
        all.extend(records.records);
        assert_eq!(receipt.position, Position { seq: all.len() as u64, head });
    }
    all
}

/// Backup, more events, a concern that the backup never knew; restore; the device brings all of it back.
async fn an_old_backup_is_made_whole(first: Option<&str>, second: Option<&str>) {
    let world = World::new();
    let server = Running::start(&world, first).await;
    server.home().write("peer.json", b"{}").unwrap();
    let client = server.enter(&world, TEACHER).await;
    let _mother = server.enter(&world, MOTHER).await;
    let mut teacher = Author { world: &world, client, kept: Default::default(), sent: vec![] };
    let genesis = world.genesis_event(world.device(TEACHER), &world.card_founding());
    let time = teacher.submit(std::slice::from_ref(&genesis), None).await;
    let mut card = world.found_event(world.device(TEACHER), genesis, time, None).unwrap();
    teacher.admit(&mut card, FATHER).await;
    teacher.write(&mut card).await;
    let file = server.dir.path().join("backup");
    stafettd(&server.dir.path().join("home"), &["backup", file.to_str().unwrap()]);
    // What the backup does not know: a new member, changes, a concern.
    teacher.admit(&mut card, MOTHER).await;
    teacher.write(&mut card).await;
    teacher.write(&mut card).await;
    let founding = world.log_founding(CONCERN, ScopeKind::Concern);
    teacher.submit(&[world.genesis_event(world.device(TEACHER), &founding)], None).await;
    let (card_kept, concern_kept) = (teacher.kept[&CARD].clone(), teacher.kept[&CONCERN].clone());

    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("home");
    let mut words = vec!["restore", file.to_str().unwrap()];
    words.extend(second.iter().flat_map(|url| ["--database", url]));
    stafettd(&home, &words);
    drop(teacher.client);
    server.end().await;
    let server = Running::again(dir, second).await;
    teacher.client = server.open(&world.device(TEACHER).key).await.unwrap();
    let next = card.event(world.device(TEACHER), Body::Change(change()));
    let refused = teacher.client.submit(one(world.device(TEACHER), &next)).await.unwrap_err();
    assert_eq!(refused.code, "home-restored");
    // Nothing but its own signature over exactly these bytes moves it.
    let forged = Signed::sign(&card_kept.receipt.clone().unwrap().peek().unwrap(), &key("stranger"));
    let problem = Request::Return(Records { receipt: forged, ..card_kept.after(3) });
    assert_eq!(teacher.client.problem(problem).await, "inconsistent");
    let mut bent = card_kept.after(3);
    bent.records[1].time += 1;
    assert_eq!(teacher.client.problem(Request::Return(bent)).await, "chain-broken");
    let mut gap = card_kept.after(3);
    gap.records.remove(0);
    assert_eq!(teacher.client.problem(Request::Return(gap)).await, "chain-broken");
    assert_eq!(stands(teacher.give(concern_kept.after(1)).await), Some(0), "where does the concern stand?");
    // The card, in two parts; then the concern, which hangs on it. A second time there is nothing to do.
    assert_eq!(stands(teacher.give(Records { records: vec![], ..card_kept.after(0) }).await), Some(3));
    let mut part = card_kept.after(3);
    let rest = part.records.split_off(1);
    assert_eq!(stands(teacher.give(part.clone()).await), None);
    assert_eq!(stands(teacher.give(Records { records: rest, ..part }).await), Some(6));
    assert_eq!(stands(teacher.give(concern_kept.after(0)).await), Some(1));
    assert_eq!(stands(teacher.give(card_kept.after(3)).await), None);

    // Everybody reads everything, who came in after the backup too; byte for byte, under the old receipts.
    let mut mother = server.open(&world.device(MOTHER).key).await.unwrap();
    assert_eq!(read(&mut mother, &world, CARD).await, card_kept.records);
    assert_eq!(read(&mut teacher.client, &world, CONCERN).await, concern_kept.records);
    for (bundle, accepted) in teacher.sent.clone() {
        let again = teacher.client.submit(bundle).await.unwrap();
        for (old, new) in accepted.iter().zip(&again) {
            // The receipt may be a later one, which covers the same place.
            let covers = new.receipt.verify(&public(&world.municipality)).unwrap().position.seq;
            assert_eq!((old.scope, old.seq, old.time, old.counter), (new.scope, new.seq, new.time, new.counter));
            assert!(covers >= old.seq);
        }
    }
    let refused = teacher.client.submit(one(world.device(TEACHER), &next)).await.unwrap_err();
    assert_eq!(refused.code, "home-restored", "until its operator opens it");
    stafettd(&home, &["open"]);
    assert_eq!(teacher.client.submit(one(world.device(TEACHER), &next)).await.unwrap()[0].seq, 7);
    server.end().await;
}

fn one(device: &Device, event: &Event) -> Bundle {
    Bundle { envelopes: vec![Envelope { event: Signed::sign(event, &device.key), welcome: None }], letters: vec![] }
}

#[tokio::test(flavor = "multi_thread")]
async fn s8_an_old_backup_is_made_whole_on_sqlite() {
    an_old_backup_is_made_whole(None, None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s8_an_old_backup_is_made_whole_on_postgresql() {
    let Some(postgres) = Postgres::start() else { return };
    let (first, second) = (postgres.database("before").unwrap(), postgres.database("after").unwrap());
    an_old_backup_is_made_whole(Some(&first), Some(&second)).await;
}

/// A server on which the teacher has founded a card, and its database as it was then.
struct Founded<'w> {
    server: Running,
    teacher: Author<'w>,
    card: Chain,
    file: PathBuf,
    old: Vec<u8>,
}

async fn founded(world: &World) -> Founded<'_> {
    let server = Running::start(world, None).await;
    let client = server.enter(world, TEACHER).await;
    let mut teacher = Author { world, client, kept: Default::default(), sent: vec![] };
    let genesis = world.genesis_event(world.device(TEACHER), &world.card_founding());
    let time = teacher.submit(std::slice::from_ref(&genesis), None).await;
    let card = world.found_event(world.device(TEACHER), genesis, time, None).unwrap();
    drop(teacher.client);
    let file = server.dir.path().join("home/stafett.db");
    let (dir, old) = (server.end().await, std::fs::read(&file).unwrap());
    let server = Running::again(dir, None).await;
    teacher.client = server.open(&world.device(TEACHER).key).await.unwrap();
    Founded { server, teacher, card, file, old }
}

/// The old database file alone was put back, and nobody said so: the first device with a newer receipt stops the server.
#[tokio::test(flavor = "multi_thread")]
async fn s8_a_server_shown_its_own_receipt_beyond_its_head_signs_nothing_more() {
    let world = World::new();
    let Founded { server, mut teacher, mut card, file, old } = founded(&world).await;
    teacher.write(&mut card).await;
    drop(teacher.client);
    let dir = server.end().await;
    std::fs::write(&file, old).unwrap();
    let server = Running::again(dir, None).await;
    teacher.client = server.open(&world.device(TEACHER).key).await.unwrap();
    let kept = teacher.kept[&CARD].clone();
    assert_eq!(stands(teacher.give(Records { records: vec![], ..kept.after(0) }).await), Some(1));
    let other = card.event(world.device(TEACHER), Body::Change(change()));
    let other = Event { counter: other.counter - 1, seen: Position::default(), ..other };
    let refused = teacher.client.submit(one(world.device(TEACHER), &other)).await.unwrap_err();
    assert_eq!(refused.code, "home-restored");
    assert_eq!(stands(teacher.give(kept.after(1)).await), Some(2));
    server.end().await;
}

/// Once its operator has gone on from what is here, a device that knows another history stops its own scope and nobody else:
/// neither a longer nor an equally long one closes the server again.
#[tokio::test(flavor = "multi_thread")]
async fn s8_two_histories_after_open_close_nothing_but_their_scope() {
    let world = World::new();
    let Founded { server, mut teacher, mut card, file, old } = founded(&world).await;
    let first = card.event(world.device(TEACHER), Body::Change(change()));
    teacher.write(&mut card).await;
    let equal = teacher.kept[&CARD].clone();
    teacher.write(&mut card).await;
    let longer = teacher.kept[&CARD].clone();
    drop(teacher.client);
    let dir = server.end().await;
    std::fs::write(&file, old).unwrap();
    let server = Running::again(dir, None).await;
    server
        .db
        .write::<(), StoreError, _>(|conn: &mut Conn| Box::pin(async move { restored::open(conn).await }))
        .await
        .unwrap();
    teacher.client = server.open(&world.device(TEACHER).key).await.unwrap();
    // Somebody writes on what is here: another second record.
    let said = Event { body: Body::Change(Change { salt: [9; 32], ..change() }), ..first };
    teacher.client.submit(one(world.device(TEACHER), &said)).await.unwrap();
    assert_eq!(stands(teacher.give(Records { records: vec![], ..equal.after(0) }).await), Some(2));
    assert_eq!(stands(teacher.give(Records { records: vec![], ..longer.after(0) }).await), Some(2));
    let Reply::Problem(refused) = teacher.give(longer.after(2)).await else { panic!("another history was taken in") };
    assert_eq!(refused.code, "chain-broken");
    // It signs on.
    let more = Event { counter: said.counter + 1, ..said };
    teacher.client.submit(one(world.device(TEACHER), &more)).await.unwrap();
    let noted = schema::meta(&mut server.db.reader().await.unwrap(), restored::TWO_HISTORIES).await.unwrap();
    assert!(noted.is_some(), "the operator can see it");
    server.end().await;
}

/// A database older than the home beside it is noticed at the start; one that is ahead of it (a crash in between, a second
/// process) is not.
#[tokio::test]
async fn s8_a_database_older_than_its_home_is_noticed_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let (file, copy) = (dir.path().join("stafett.db"), dir.path().join("copy.db"));
    async fn start(dir: &Path) -> bool {
        let db = Db::open(&dir.join("stafett.db"), None).await.unwrap();
        restored::count_start(&db, dir).await.unwrap();
        let marked = restored::is_restored(&mut db.reader().await.unwrap()).await.unwrap();
        db.close().await;
        marked
    }
    assert!(!start(dir.path()).await);
    std::fs::copy(&file, &copy).unwrap();
    let starts = std::fs::read(dir.path().join("starts")).unwrap();
    assert!(!start(dir.path()).await && !start(dir.path()).await);
    std::fs::write(dir.path().join("starts"), starts).unwrap();
    assert!(!start(dir.path()).await, "the database is ahead");
    std::fs::copy(&copy, &file).unwrap();
    assert!(start(dir.path()).await, "the database is behind");
    assert!(start(dir.path()).await, "and stays marked until it is opened");
}
