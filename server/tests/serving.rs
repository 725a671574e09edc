//! What waits or is on its way is served only to whoever may read at that moment.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use crate::common::*;
use crate::support::moving::{account, blind, play};
use crate::support::*;
use stafett_protocol::consent::{Access, Target};
use stafett_protocol::wire::*;

fn welcomed(client: &Client) -> bool {
    client.pushed.iter().any(|r| matches!(r, Reply::Mail(MailItem { mail: Mail::Welcome(_), .. })))
}

/// The Welcome lies in the mailbox when the consent is withdrawn: it holds the key of everything that was written until
/// then, and somebody who has never fetched it has never had that.
#[tokio::test(flavor = "multi_thread")]
async fn a_welcome_that_waits_is_not_served_once_the_consent_is_withdrawn() {
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
    let ppts = server.open(&world.device(PPT).key).await.unwrap();
    assert!(welcomed(&ppts), "the control: not acknowledged, it stays");
    drop(ppts);
    let before = card.envelopes().len();
    let withdrawal = world.withdrawal(world.log(), CARD, Target::Grant(grant), MOTHER);
    card.say(&world, world.device(MOTHER), withdrawal).unwrap();
    play(&server, &world, &card, before).await;
    let ppts = server.open(&world.device(PPT).key).await.unwrap();
    assert!(ppts.places().is_empty() && !welcomed(&ppts), "{:?}", ppts.pushed);
    server.stop().await;
}
