//! What may be served is asked at each push, against the card too: time alone ends it, without any event.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::time::Duration;

use crate::common::*;
use crate::support::moving::{account, blind, play};
use crate::support::*;
use stafett_protocol::consent::Access;
use stafett_protocol::event::Body;
use stafett_protocol::membership::ScopeKind;
use stafett_protocol::signed::Signed;
use stafett_protocol::wire::*;
use stafett_server::pg::Postgres;

/// Lets the PPT in until a moment.
fn until(world: &World, chain: &mut Chain, expires_at: u64) {
    let authority = chain.state().authority().clone();
    let mut grant = world.grant(world.log(), chain.scope(), world.unit_of(PPT_LEADER), Access::Read, &authority);
    grant.expires_at = expires_at;
    let grant = world.give_grant(chain, &grant);
    world.admit_ppt(chain, grant);
}

async fn write(teachers: &mut Client, world: &World, chain: &mut Chain) {
    let teacher = world.device(TEACHER);
    let event = chain.event(teacher, Body::Change(change()));
    let envelope = Envelope { event: Signed::sign(&event, &teacher.key), welcome: None };
    chain.now = teachers.submit(Bundle { envelopes: vec![envelope], letters: vec![] }).await.unwrap()[0].time;
    chain.submit_event(world, teacher, &event).unwrap();
}

async fn expires_on_the_card_first(url: Option<&str>) {
    let world = World::new();
    let server = Running::start(&world, url).await;
    for who in [TEACHER, MOTHER, FATHER, PPT] {
        account(&world, who, &server).await;
    }
    let mut card = blind(world.card());
    world.add_family(&mut card);
    until(&world, &mut card, START + 3 * DAY);
    let founding = world.log_founding(CONCERN, ScopeKind::Concern);
    let mut concern = blind(world.found(world.device(TEACHER), &founding, Some(card.state())).unwrap());
    concern.now = concern.now.max(card.now);
    world.add_family(&mut concern);
    until(&world, &mut concern, START + 300 * DAY);
    for chain in [&card, &concern] {
        play(&server, &world, chain, 0).await;
    }
    let mut teachers = server.open(&world.device(TEACHER).key).await.unwrap();
    let mut ppts = server.open(&world.device(PPT).key).await.unwrap();
    let seq = concern.state().position.seq;
    ppts.ask(Request::Sync(vec![ScopePosition { scope: CONCERN, seq }])).await;
    write(&mut teachers, &world, &mut concern).await;
    let Reply::Records(heard) = ppts.push_until(|r| matches!(r, Reply::Records(_)).then_some(r)).await else {
        panic!()
    };
    assert_eq!((heard.scope, heard.records[0].seq), (CONCERN, seq + 1), "the control");

    server.server.clock.pass((2 * DAY + MINUTE) as i64);
    for _ in 0..3 {
        write(&mut teachers, &world, &mut concern).await;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(ppts.ask(Request::Ping).await, Reply::Done);
    let heard: Vec<_> = ppts.pushed.iter().filter(|r| matches!(r, Reply::Records(_))).collect();
    assert!(heard.is_empty(), "off the card by time alone, and served: {heard:?}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_expired_on_the_card_hears_nothing_more_of_its_concerns() {
    expires_on_the_card_first(None).await;
    let Some(postgres) = Postgres::start() else { return };
    expires_on_the_card_first(Some(&postgres.database("expiry").unwrap())).await;
}
