//! Expiry, by the home's receipt time, acts as a withdrawal. Alone in its process: it moves the clock.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::time::{SystemTime, UNIX_EPOCH};

#[path = "../../protocol/tests/common/mod.rs"]
mod common;
mod support;

use crate::common::*;
use crate::support::*;
use stafett_protocol::consent::Access;
use stafett_protocol::event::{Body, Event};
use stafett_protocol::signed::Signed;
use stafett_protocol::statement::Statement;
use stafett_protocol::wire::*;
use stafett_server::home::shift_clock;

fn one(device: &Device, event: &Event, welcome: Option<Vec<u8>>) -> Bundle {
    Bundle {
        envelopes: vec![Envelope { event: Signed::sign(event, &device.key), welcome: welcome.map(Into::into) }],
        letters: vec![],
    }
}

async fn may_read(client: &mut Client) -> bool {
    let reply = client.ask(Request::Sync(vec![ScopePosition { scope: CARD, seq: 0 }])).await;
    let Reply::Synced(synced) = reply else { panic!("{reply:?}") };
    synced[0].position.is_some()
}

#[tokio::test(flavor = "multi_thread")]
async fn consent_that_has_expired_lets_nobody_read() {
    let world = World::new();
    let server = Running::start(&world, None).await;
    let (teacher, ppt) = (world.device(TEACHER), world.device(PPT));
    let mut teachers = server.enter(&world, TEACHER).await;
    let mut ppts = server.enter(&world, PPT).await;
    let genesis = world.genesis_event(teacher, &world.card_founding());
    let accepted = teachers.submit(one(teacher, &genesis, None)).await.unwrap();
    let mut card = world.found_event(teacher, genesis, accepted[0].time, None).unwrap();
    let authority = card.membership().authority.clone();
    let grant = world.grant(world.log(), CARD, world.unit_of(PPT_LEADER), Access::Read, &authority);
    for signed in world.signed_by(&grant, &[MOTHER, FATHER]) {
        let event = card.event(teacher, Body::Statement(Statement::Grant(signed)));
        card.now = teachers.submit(one(teacher, &event, None)).await.unwrap()[0].time;
        card.submit_event(&world, teacher, &event).unwrap();
    }
    let id = stafett_protocol::signed::id_of(&grant);
    let membership = card.with(&world, PPT, &[0], Access::Read.role(), id);
    let vouchers = vec![world.voucher(PPT_LEADER, PPT, CARD)];
    let plan = Plan { adds: vec![ppt.key_package()], membership: Some(membership), vouchers, ..Plan::default() };
    let (commit, welcome) = card.commit(teacher, plan);
    let event = card.event(teacher, Body::Commit(commit));
    teachers.submit(one(teacher, &event, welcome)).await.unwrap();
    assert!(may_read(&mut ppts).await);
    let again = server.open(&ppt.key).await.unwrap();
    assert_eq!(again.places(), [CARD], "S9: named to whoever may read it");

    let real = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    shift_clock((grant.expires_at + 1) as i64 - real);
    assert!(!may_read(&mut ppts).await, "the same open stream, a moment after the expiry");
    let own = Event { device: ppt.id(), counter: 1, body: Body::Change(change()), ..event };
    let refused = ppts.submit(one(ppt, &own, None)).await.unwrap_err();
    assert_eq!(refused.code, "withdrawn");
    assert!(may_read(&mut teachers).await);
    assert!(server.open(&ppt.key).await.unwrap().places().is_empty(), "and to nobody else");
}
