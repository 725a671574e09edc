//! Attachments beside a chain, on SQLite and on PostgreSQL: stored by writers, whole before a change names them,
//! bounded, and served to whoever is served the changes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use crate::common::*;
use crate::support::files::*;
use crate::support::moving::{blind, envelope, play};
use crate::support::*;
use stafett_protocol::attachment::*;
use stafett_protocol::consent::{Access, Target};
use stafett_protocol::event::Body;
use stafett_protocol::ids::Hash;
use stafett_protocol::limits::*;
use stafett_protocol::statement::Statement;
use stafett_protocol::wire::*;
use stafett_server::args;
use stafett_server::pg::Postgres;

async fn stored(server: &Running, sql: &'static str) -> i64 {
    server.db.reader().await.unwrap().row(sql, args![]).await.unwrap().unwrap().int(0).unwrap()
}

const PARTS: &str = "SELECT COUNT(*) FROM attachment_parts";
const ANNOUNCED: &str = "SELECT COUNT(*) FROM attachments";

async fn story(url: Option<&str>) {
    let world = World::new();
    let server = Running::start(&world, url).await;
    for who in [TEACHER, MOTHER, FATHER, PPT] {
        drop(server.enter(&world, who).await);
    }
    let mut card = blind(world.card());
    world.add_family(&mut card);
    let grant = world.give(&mut card, world.unit_of(PPT_LEADER), Access::Read);
    world.admit_ppt(&mut card, grant);
    play(&server, &world, &card, 0).await;
    let mother = world.device(MOTHER);
    let mut mothers = server.open(&mother.key).await.unwrap();
    let mut ppts = server.open(&world.device(PPT).key).await.unwrap();
    let (manifest, parts) = file(CARD, 1);

    // A change that names what is not here, or not wholly, does not enter the chain.
    let naming = |card: &Chain| envelope(mother, &card.event(mother, Body::Change(naming(&manifest))));
    let bundle = |envelope| Bundle { envelopes: vec![envelope], letters: vec![] };
    let early = mothers.submit(bundle(naming(&card))).await;
    assert_eq!(early.unwrap_err().code, "attachment-missing");
    assert_eq!(wants(&mut mothers, &manifest).await, [0, 1]);
    assert_eq!(mothers.problem(put(&manifest, 0, &parts[1])).await, "inconsistent", "another part's bytes");
    assert_eq!(mothers.problem(put(&manifest, 2, &parts[1])).await, "inconsistent", "no such part");
    assert_eq!(mothers.ask(put(&manifest, 1, &parts[1])).await, Reply::Done);
    assert_eq!(mothers.ask(put(&manifest, 1, &parts[1])).await, Reply::Done, "again: nothing changes");
    assert_eq!(wants(&mut mothers, &manifest).await, [0], "goes on where it stood");
    let half = mothers.submit(bundle(naming(&card))).await;
    assert_eq!(half.unwrap_err().code, "attachment-missing");
    assert_eq!(mothers.ask(put(&manifest, 0, &parts[0])).await, Reply::Done);
    assert_eq!(wants(&mut mothers, &manifest).await, [0u16; 0]);
    mothers.submit(bundle(naming(&card))).await.unwrap();
    card.submit(&world, mother, Body::Change(crate::support::files::naming(&manifest))).unwrap();
    assert_eq!(stored(&server, PARTS).await, 2);

    // Who reads the changes reads it; who only reads stores nothing.
    assert_eq!(ppts.ask(get(&manifest, 0)).await, here(&manifest, 0, &parts[0]));
    assert_eq!(ppts.ask(get(&manifest, 1)).await, here(&manifest, 1, &parts[1]));
    assert_eq!(ppts.problem(get(&manifest, 2)).await, "attachment-missing");
    assert_eq!(ppts.problem(Request::PutAttachment(file(CARD, 2).0)).await, "read-only");
    assert_eq!(ppts.problem(put(&file(CARD, 2).0, 0, &parts[0])).await, "inconsistent", "not announced");

    strangers(&world, &server, &manifest, &parts[0]).await;
    bounds(&server, &mut mothers).await;

    // Listed: from the receipt on the device is served none of it.
    let out = world.withdrawal(world.log(), CARD, Target::Unit(PPT_UNIT), MOTHER);
    card.say(&world, mother, out).unwrap();
    let withdrawal = card.envelopes().pop().unwrap();
    mothers.submit(bundle(withdrawal)).await.unwrap();
    assert_eq!(ppts.problem(get(&manifest, 0)).await, "unknown-scope", "not to the listed");
    let server = server.restart().await;
    let mut fathers = server.open(&world.device(FATHER).key).await.unwrap();
    assert_eq!(fathers.ask(get(&manifest, 1)).await, here(&manifest, 1, &parts[1]));
    server.stop().await;
}

/// No place in the scope: like a scope that does not exist.
async fn strangers(world: &World, server: &Running, manifest: &AttachmentManifest, part: &[u8]) {
    let mut stranger = server.enter(world, COLLEAGUE).await;
    assert_eq!(stranger.problem(get(manifest, 0)).await, "unknown-scope");
    assert_eq!(stranger.problem(Request::PutAttachment(manifest.clone())).await, "unknown-scope");
    assert_eq!(stranger.problem(put(manifest, 0, part)).await, "unknown-scope");
}

/// What nobody names goes again, and no device or scope fills the disk.
async fn bounds(server: &Running, client: &mut Client) {
    let sized = |parts: usize, n: u8| AttachmentManifest { scope: CARD, parts: vec![Hash([n; 32]); parts] };
    assert_eq!(client.problem(Request::PutAttachment(sized(0, 1))).await, "too-large");
    assert_eq!(client.problem(Request::PutAttachment(sized(ATTACHMENT_PARTS + 1, 1))).await, "too-large");
    // Never finished: the oldest makes room, the named one stays.
    for n in 0..3 * DEVICE_ATTACHMENTS_WAITING as u8 {
        let (left, parts) = file(CARD, 100 + n);
        assert_eq!(wants(client, &left).await, [0, 1]);
        assert_eq!(client.ask(put(&left, 1, &parts[1])).await, Reply::Done);
    }
    assert_eq!(stored(server, ANNOUNCED).await, 1 + DEVICE_ATTACHMENTS_WAITING as i64);
    assert_eq!(stored(server, PARTS).await, 2 + DEVICE_ATTACHMENTS_WAITING as i64);
    // A week later even those are gone when somebody announces another.
    let old = "UPDATE attachments SET announced_ms = announced_ms - 604800001";
    server.db.write::<_, stafett_server::db::StoreError, _>(move |c| Box::pin(c.execute(old, args![]))).await.unwrap();
    assert_eq!(wants(client, &file(CARD, 99).0).await, [0, 1]);
    assert_eq!((stored(server, ANNOUNCED).await, stored(server, PARTS).await), (2, 2));
    // The scope has room for so much in all, whoever has been there before.
    let full = "UPDATE attachments SET parts = 1000 WHERE named = 1";
    server.db.write::<_, stafett_server::db::StoreError, _>(move |c| Box::pin(c.execute(full, args![]))).await.unwrap();
    let room = (SCOPE_ATTACHMENT_BYTES / ATTACHMENT_PART_BYTES as u64) as usize - 1000 - 2;
    assert_eq!(client.problem(Request::PutAttachment(sized(room + 1, 1))).await, "too-many-attachments");
    assert_eq!(wants(client, &sized(room, 2)).await.len(), room);
}

/// The leader's seat opens nothing before she has taken over.
async fn custodian(url: Option<&str>) {
    let world = World::new();
    let server = Running::start(&world, url).await;
    for who in [TEACHER, MOTHER, FATHER, LEADER] {
        drop(server.enter(&world, who).await);
    }
    let mut card = blind(world.card());
    world.add_family(&mut card);
    world.seat_custodian(&mut card, LEADER);
    play(&server, &world, &card, 0).await;
    let (manifest, parts) = file(CARD, 1);
    let mut mothers = server.open(&world.device(MOTHER).key).await.unwrap();
    upload(&mut mothers, &manifest, &parts).await;
    let mut leaders = server.open(&world.device(LEADER).key).await.unwrap();
    assert_eq!(leaders.problem(get(&manifest, 0)).await, "takeover-first");
    let reason = Statement::Takeover(stafett_protocol::statement::Takeover { reason: Hash([1; 32]) });
    card.say(&world, world.device(LEADER), reason).unwrap();
    let takeover = Bundle { envelopes: vec![card.envelopes().pop().unwrap()], letters: vec![] };
    leaders.submit(takeover).await.unwrap();
    assert_eq!(leaders.ask(get(&manifest, 0)).await, here(&manifest, 0, &parts[0]));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attachments_beside_a_chain_on_sqlite() {
    story(None).await;
    custodian(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attachments_beside_a_chain_on_postgres() {
    let Some(postgres) = Postgres::start() else { return };
    story(Some(&postgres.database("attachments").unwrap())).await;
    custodian(Some(&postgres.database("custodian").unwrap())).await;
}
