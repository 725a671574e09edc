//! The home's clock is held against its own past (S14): a jump, a stop and a step back sign nothing until the operator
//! says so, nobody who has expired reads on meanwhile, and no other home's far future comes in with a log.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use crate::common::*;
use crate::support::moving::*;
use crate::support::*;
use stafett_protocol::consent::Access;
use stafett_protocol::credential::PersonKind;
use stafett_protocol::event::Body;
use stafett_protocol::limits::*;
use stafett_protocol::signed::Signed;
use stafett_protocol::wire::*;
use stafett_server::clock::{self, NEWEST};
use stafett_server::db::{StoreError, schema};
use stafett_server::pg::Postgres;

const HOUR: i64 = 3_600_000;

/// A teacher's card, and the teacher's stream.
struct Writing {
    world: World,
    server: Running,
    card: Chain,
}

impl Writing {
    async fn begin(url: Option<&str>) -> Self {
        let world = World::new();
        let server = Running::start(&world, url).await;
        let teacher = world.device(TEACHER);
        let mut client = server.enter(&world, TEACHER).await;
        let genesis = world.genesis_event(teacher, &world.card_founding());
        let envelope = Envelope { event: Signed::sign(&genesis, &teacher.key), welcome: None };
        let accepted = client.submit(Bundle { envelopes: vec![envelope], letters: vec![] }).await.unwrap();
        let card = world.found_event(teacher, genesis, accepted[0].time, None).unwrap();
        Self { world, server, card }
    }

    /// The time at which one more change was receipted, or why it was not.
    async fn write(&mut self) -> Result<u64, String> {
        let teacher = self.world.device(TEACHER);
        let event = self.card.event(teacher, Body::Change(change()));
        let envelope = Envelope { event: Signed::sign(&event, &teacher.key), welcome: None };
        let mut client = self.server.open(&teacher.key).await.unwrap();
        let accepted = client.submit(Bundle { envelopes: vec![envelope], letters: vec![] }).await;
        let time = accepted.map_err(|problem| problem.code)?[0].time;
        self.card.now = time;
        self.card.submit_event(&self.world, teacher, &event).unwrap();
        Ok(time)
    }

    async fn refused(&mut self) -> bool {
        self.write().await == Err("clock-jumped".to_owned())
    }

    /// What `stafettd clock accept` does, on the clock of this server's machine.
    async fn accept(&self) {
        let now = self.server.server.clock.wall_ms();
        let db = &self.server.db;
        db.write::<_, StoreError, _>(move |conn| Box::pin(async move { clock::accept(conn, now).await }))
            .await
            .unwrap();
    }

    async fn reads(&self) -> bool {
        let mut client = self.server.open(&self.world.device(TEACHER).key).await.unwrap();
        let reply = client.ask(Request::Sync(vec![ScopePosition { scope: CARD, seq: 0 }])).await;
        matches!(reply, Reply::Synced(synced) if synced[0].position.is_some())
    }

    /// A start after so long a time, by this machine's clock.
    async fn away(self, ms: i64) -> Self {
        let stopped = self.server.down().await;
        let db =
            stafett_server::db::Db::open(&stopped.dir.path().join("home/stafett.db"), stopped.url.as_deref()).await;
        let db = db.unwrap();
        db.write::<_, StoreError, _>(move |conn| {
            Box::pin(async move {
                let noted = schema::meta(conn, NEWEST).await?.unwrap();
                schema::set_meta(conn, NEWEST, noted - ms).await
            })
        })
        .await
        .unwrap();
        db.close().await;
        Self { server: stopped.up().await, ..self }
    }
}

async fn nothing_is_signed_by_a_wrong_clock(url: Option<&str>) {
    let mut writing = Writing::begin(url).await;
    let first = writing.write().await.unwrap();
    let clock = std::sync::Arc::clone(&writing.server.server.clock);

    // Ahead: ten years in one moment. What is there is read, and whoever has lost an answer gets it.
    clock.set_wrong(3650 * 24 * HOUR);
    assert!(writing.refused().await && writing.reads().await);
    let ticket = writing.server.code(PersonKind::Guardian, None).await;
    let request = claim(&writing.world.person(MOTHER).key, writing.world.device(MOTHER), ticket);
    assert_eq!(writing.server.join(&request).await.unwrap_err(), (503, "clock-jumped".to_owned()));
    clock.set_wrong(-3650 * 24 * HOUR);
    let second = writing.write().await.unwrap();
    assert!(second >= first && second < first + DAY, "the clock is right again, and nothing was signed meanwhile");

    // Behind: a little holds time still, more is refused.
    clock.set_wrong(-5 * MINUTE as i64);
    let third = writing.write().await.unwrap();
    assert!(third >= second && third < second + 2 * MINUTE, "time stands, and does not go back");
    clock.set_wrong(-6 * MINUTE as i64);
    assert!(writing.refused().await);
    clock.set_wrong(11 * MINUTE as i64);
    writing.write().await.unwrap();

    // It stands, while time passes.
    clock.stand(9 * MINUTE as i64);
    writing.write().await.unwrap();
    clock.stand(2 * MINUTE as i64);
    assert!(writing.refused().await && writing.reads().await);
    clock.set_wrong(11 * MINUTE as i64);
    writing.write().await.unwrap();

    // The operator's word, ahead and back: at once, on the running server.
    clock.set_wrong(25 * HOUR);
    assert!(writing.refused().await);
    writing.accept().await;
    let ahead = writing.write().await.unwrap();
    assert!(ahead > second + 24 * HOUR as u64);
    clock.set_wrong(-25 * HOUR);
    assert!(writing.refused().await);
    writing.accept().await;
    assert_eq!(writing.write().await.unwrap(), ahead + 1, "receipt time never goes back, whatever the operator says");
    writing.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_signed_by_a_wrong_clock_on_sqlite() {
    nothing_is_signed_by_a_wrong_clock(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_signed_by_a_wrong_clock_on_postgresql() {
    let Some(postgres) = Postgres::start() else { return };
    nothing_is_signed_by_a_wrong_clock(Some(&postgres.database("clock").unwrap())).await;
}

/// What the last run has noted is what the next start believes.
#[tokio::test(flavor = "multi_thread")]
async fn a_start_far_from_the_own_past_signs_nothing() {
    let writing = Writing::begin(None).await;
    let mut writing = writing.away(29 * 24 * HOUR).await;
    writing.write().await.unwrap();
    let mut writing = writing.away(CLOCK_ABSENCE_MILLIS as i64 + HOUR).await;
    assert!(writing.refused().await && writing.reads().await);
    writing.accept().await;
    writing.write().await.unwrap();
    let mut writing = writing.away(-HOUR).await;
    assert!(writing.refused().await, "the clock of an hour ago");
    writing.server.server.clock.set_wrong(HOUR);
    writing.write().await.unwrap();
    writing.server.stop().await;
}

/// Each process notes what it finds, for whoever asks `doctor`.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_the_clock_is_noted_and_taken_back() {
    let writing = Writing::begin(None).await;
    let noted = async |number: i64| {
        for _ in 0..100 {
            let found = schema::meta(&mut writing.server.db.reader().await.unwrap(), clock::FINDING).await.unwrap();
            if found == Some(number) {
                return true;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        false
    };
    assert!(noted(0).await);
    writing.server.server.clock.set_wrong(25 * HOUR);
    assert!(noted(1).await);
    writing.server.server.clock.set_wrong(-26 * HOUR);
    assert!(noted(2).await);
    writing.server.server.clock.set_wrong(HOUR);
    assert!(noted(0).await);
}

/// Whoever has expired does not read on because the clock stands.
#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_clock_keeps_no_expired_reader_reading() {
    let world = World::new();
    let server = Running::start(&world, None).await;
    for who in [TEACHER, MOTHER, FATHER, PPT] {
        account(&world, who, &server).await;
    }
    let mut card = blind(world.card());
    world.add_family(&mut card);
    let grant = world.give(&mut card, world.unit_of(PPT_LEADER), Access::Read);
    world.admit_ppt(&mut card, grant);
    play(&server, &world, &card, 0).await;
    let mut ppts = server.open(&world.device(PPT).key).await.unwrap();
    let mut reads = async || {
        let Reply::Synced(synced) = ppts.ask(Request::Sync(vec![ScopePosition { scope: CARD, seq: 0 }])).await else {
            panic!()
        };
        synced[0].position.is_some()
    };
    assert!(reads().await);
    server.server.clock.stand(400 * 24 * HOUR);
    assert!(!reads().await, "the consent ended a month ago, whatever the wall clock says");
}

/// A hostile old home stamps the far future into a log, so that its consents expire at the new home, for good.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_from_the_far_future_does_not_come_in() {
    let world = World::new();
    let a = Running::start(&world, None).await;
    let b = Running::start_as(HAUGESUND, "Haugesund", &world.haugesund, None).await;
    a.add_peer(b.peer_file()).await;
    b.add_peer(a.peer_file()).await;
    a.server.clock.pass(2 * HOUR);
    let log = leaving_from(world, a, b).await;
    let bundle = log.bundle();
    assert_eq!(log.prepare(&bundle).await, Err("time-ahead".to_owned()));
    let rows = log.b.db.reader().await.unwrap().row("SELECT COUNT(*) FROM records", vec![]).await.unwrap().unwrap();
    assert_eq!(rows.int(0).unwrap(), 0, "nothing of it is stored");
    log.b.server.clock.pass(90 * MINUTE as i64);
    assert!(!log.prepare(&bundle).await.unwrap().is_empty(), "half an hour is a clock's fault");
}

/// The old home's last word is a record as well.
#[tokio::test(flavor = "multi_thread")]
async fn the_commit_that_moves_a_log_does_not_bring_the_far_future() {
    let log = leaving(None, None).await;
    let bundle = log.bundle();
    let accepts = log.prepare(&bundle).await.unwrap();
    log.a.server.clock.pass(2 * HOUR);
    let done = log.commit(&bundle, &accepts).await.unwrap();
    let (by, to) = (log.way.by, log.destination());
    let mut own = log.a.open(&log.world.device(by).key).await.unwrap();
    let mut guest = visit(&mut own, &log.world, by, &log.guests[&by], to).await;
    assert_eq!(guest.problem(Request::Activate(done.tombstones.clone())).await, "time-ahead");
    assert_eq!(log.homes(CARD).await, (false, false), "it waits, and nothing is lost");
    // The new home asks by itself until then.
    log.b.server.clock.pass(2 * HOUR);
    drop(own);
    log.until_served().await;
}
