//! What an account, and a peer's guests together, may store and found in a day: whoever fills the disk slowly is told so,
//! and nobody else notices (A13, L4, L8).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use crate::common::*;
use crate::support::moving::{account, blind, play};
use crate::support::*;
use stafett_protocol::consent::{Access, Target};
use stafett_protocol::event::{Body, Event};
use stafett_protocol::letter::Letter;
use stafett_protocol::limits;
use stafett_protocol::signed::Signed;
use stafett_protocol::transfer::Transfer;
use stafett_protocol::wire::*;
use stafett_server::budget::{Good, Payer};
use stafett_server::store::accounts;

const DAY_MS: i64 = 86_400_000;

fn one(device: &Device, event: &Event) -> Bundle {
    Bundle { envelopes: vec![Envelope { event: Signed::sign(event, &device.key), welcome: None }], letters: vec![] }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_founds_only_so_many_logs_a_day() {
    let world = World::new();
    let server = Running::start(&world, None).await;
    let mut teachers = server.enter(&world, TEACHER).await;
    let mut mothers = server.enter(&world, MOTHER).await;
    let teacher = world.device(TEACHER);
    let budgets = &server.server.budgets;
    budgets.take(&[Payer::Person(world.id(TEACHER))], &[(Good::Logs, 60)]).unwrap();
    let event = world.genesis_event(teacher, &world.card_founding());
    let refused = teachers.submit(one(teacher, &event)).await.unwrap_err();
    assert_eq!(refused.code, "quota-exceeded");
    assert!(refused.detail.contains("min"), "it says until when: {}", refused.detail);
    assert_eq!(mothers.ask(Request::Ping).await, Reply::Done);
    server.server.clock.pass(DAY_MS / 60);
    teachers.submit(one(teacher, &event)).await.unwrap();
    server.server.clock.pass(DAY_MS);
    // What is refused costs nothing: the same card again is none, however often.
    let again = Event { counter: 2, ..event.clone() };
    for _ in 0..100 {
        let refused = teachers.submit(one(teacher, &again)).await.unwrap_err();
        assert_ne!(refused.code, "quota-exceeded");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_stores_only_so_much_a_day_whatever_it_is() {
    let world = World::new();
    let server = Running::start(&world, None).await;
    let mut teachers = server.enter(&world, TEACHER).await;
    let mut mothers = server.enter(&world, MOTHER).await;
    let teacher = world.device(TEACHER);
    let genesis = world.genesis_event(teacher, &world.card_founding());
    let accepted = teachers.submit(one(teacher, &genesis)).await.unwrap();
    let card = world.found_event(teacher, genesis, accepted[0].time, None).unwrap();
    let change = card.event(teacher, Body::Change(change()));
    let letter = |to| Letter { to, kem: vec![1].into(), sealed: vec![0; limits::LETTER_BYTES - 1].into() };
    // In steps as its letters would.
    let step = vec![(Good::Bytes, limits::BODY_BYTES as u64)];
    let device = [Payer::Device(teacher.id())];
    while server.server.budgets.take(&device, &step).is_ok() {}
    // More than comes back while this test runs.
    server.server.budgets.owe(&device, &[(Good::Bytes, 1 << 28)]);
    let to = world.device(MOTHER).id();
    assert_eq!(teachers.problem(Request::Letters(vec![letter(to)])).await, "quota-exceeded");
    assert_eq!(teachers.submit(one(teacher, &change)).await.unwrap_err().code, "quota-exceeded");
    // It reads, and everybody else goes on.
    let Reply::Synced(_) = teachers.ask(Request::Sync(vec![ScopePosition { scope: CARD, seq: 0 }])).await else {
        panic!()
    };
    assert_eq!(mothers.ask(Request::Letters(vec![letter(teacher.id())])).await, Reply::Done);
    server.server.clock.pass(DAY_MS);
    teachers.submit(one(teacher, &change)).await.unwrap();
}

/// One Welcome is stored for each device that it lets in: what was brought once is owed as often.
#[tokio::test(flavor = "multi_thread")]
async fn a_welcome_is_paid_for_as_often_as_it_is_stored() {
    let world = World::new();
    let server = Running::start(&world, None).await;
    for who in [TEACHER, MOTHER, FATHER] {
        account(&world, who, &server).await;
    }
    let mut card = blind(world.card());
    play(&server, &world, &card, 0).await;
    world.add_family(&mut card);
    let envelope = card.envelopes().pop().unwrap();
    let welcome = envelope.welcome.as_ref().unwrap().as_slice().len() as u64;
    let mut conn = server.db.reader().await.unwrap();
    let teacher = accounts::device(&mut conn, world.device(TEACHER).id()).await.unwrap().unwrap();
    drop(conn);
    let bundle = Bundle { envelopes: vec![envelope], letters: vec![] };
    let taken = server.server.intake.transfer(&teacher, Transfer { bundle, accepts: vec![] }).await.unwrap();
    assert_eq!(taken.copied_bytes, welcome, "two were let in");
}

/// Denial wins, also over a budget that is used up.
#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawal_gets_through_whatever_was_stored_before() {
    let world = World::new();
    let server = Running::start(&world, None).await;
    for who in [TEACHER, MOTHER, FATHER] {
        account(&world, who, &server).await;
    }
    let mut card = blind(world.card());
    world.add_family(&mut card);
    let grant = world.give(&mut card, world.unit_of(PPT_LEADER), Access::Read);
    play(&server, &world, &card, 0).await;
    let mother = world.device(MOTHER);
    let payers = [Payer::Device(mother.id()), Payer::Person(world.id(MOTHER))];
    server.server.budgets.owe(&payers, &[(Good::Bytes, 1 << 40), (Good::Facts, 1 << 40)]);
    let mut mothers = server.open(&mother.key).await.unwrap();
    let change = card.event(mother, Body::Change(change()));
    assert_eq!(mothers.submit(one(mother, &change)).await.unwrap_err().code, "quota-exceeded");
    let withdrawal = world.withdrawal(world.log(), CARD, Target::Grant(grant), MOTHER);
    let event = card.event(mother, Body::Statement(withdrawal));
    mothers.submit(one(mother, &event)).await.unwrap();
}

const THERE: u16 = HAUGESUND;

#[tokio::test(flavor = "multi_thread")]
async fn all_guests_of_a_peer_have_one_budget() {
    let world = World::new();
    let here = Running::start(&world, None).await;
    let there = Running::start_as(THERE, "Haugesund", &world.haugesund, None).await;
    here.add_peer(there.peer_file()).await;
    there.add_peer(here.peer_file()).await;
    let credential = account(&world, HAUGESUND_TEACHER, &there).await;
    let mut own = there.open(&world.device(HAUGESUND_TEACHER).key).await.unwrap();
    let mut guest = visit(&mut own, &world, HAUGESUND_TEACHER, &credential, HOME).await;
    let mut teachers = here.enter(&world, TEACHER).await;
    let letter = Letter { to: world.device(TEACHER).id(), kem: vec![1].into(), sealed: vec![2].into() };
    assert_eq!(guest.ask(Request::Letters(vec![letter.clone()])).await, Reply::Done);
    let peer = [Payer::Peer(THERE)];
    while here.server.budgets.take(&peer, &[(Good::Bytes, 1 << 30)]).is_ok() {}
    // More than comes back while this test runs: 100 KiB a millisecond.
    here.server.budgets.owe(&peer, &[(Good::Bytes, 1 << 34)]);
    assert_eq!(guest.problem(Request::Letters(vec![letter.clone()])).await, "quota-exceeded");
    assert_eq!(guest.ask(Request::Ping).await, Reply::Done);
    assert_eq!(teachers.ask(Request::Letters(vec![letter])).await, Reply::Done, "the home's own people");
}
