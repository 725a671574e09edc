//! What must not happen to a log that moves: competing offers, forged and stale words, altered histories,
//! withdrawals in between, offers taken back, a peer that asks for more, a server out of a backup (C15, F3–F15).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use crate::common::*;
use crate::support::moving::*;
use crate::support::*;
use hyper::Method;
use stafett_protocol::codec::encode;
use stafett_protocol::event::Body;
use stafett_protocol::handover::*;
use stafett_protocol::ids::ScopeId;
use stafett_protocol::refusal::Refusal;
use stafett_protocol::signed::Signed;
use stafett_protocol::transfer::*;
use stafett_protocol::wire::*;
use stafett_server::args;
use stafett_server::db::{StoreError, schema};
use stafett_server::federation::outgoing::PeerError;
use stafett_server::restored::RESTORED;
use stafett_server::store::transfers;
use stafett_server::transfer::PULL_PATH;

/// What the asking server gets for this offer.
async fn pulled(by: &Running, offer: SignedOffer) -> Result<Vec<u8>, PeerError> {
    let request = encode(&PullRequest { offer, after: 0 });
    let answer = by.server.federation.outgoing.ask(HOME, Method::POST, PULL_PATH, request, 1 << 20).await;
    answer.map(|bytes| bytes.to_vec())
}

#[tokio::test(flavor = "multi_thread")]
async fn f9_f15_a_peer_gets_what_is_offered_to_it_and_nothing_else_is_there() {
    let log = leaving(None, None).await;
    let world = &log.world;
    assert!(pulled(&log.b, log.offer(CARD)).await.is_ok(), "the control");
    let good = log.offer(CONCERN).offer.peek().unwrap();
    let sign = |offer: &HandoverOffer| world.sign_offer(offer, TEACHER);
    let third = Destination { municipality: 4601, ..good.to };
    let asked = [
        ("nothing that exists", sign(&HandoverOffer { scope: ScopeId([9; 16]), ..good.clone() })),
        ("what is closed, not moved", log.offer(JOURNAL)),
        ("another municipality's", sign(&HandoverOffer { to: third, ..good.clone() })),
        ("not consented to", sign(&HandoverOffer { basis: log.card.basis(), ..good.clone() })),
        ("another scope's offer", sign(&HandoverOffer { scope: JOURNAL, ..good.clone() })),
        ("not the holder's word", world.sign_offer(&good, MOTHER)),
        ("forged", SignedOffer { by: world.id(TEACHER), ..world.sign_offer(&good, MOTHER) }),
    ];
    for (what, offer) in asked {
        let answer = pulled(&log.b, offer).await;
        assert!(matches!(answer, Err(PeerError::Refused(Refusal::UnknownScope))), "{what}: {answer:?}");
    }
    // Another peer than the one that the offer names.
    let other = Running::start_as(4601, "Bergen", &key("a third municipality"), None).await;
    log.a.add_peer(other.peer_file()).await;
    other.add_peer(log.a.peer_file()).await;
    assert!(matches!(pulled(&other, log.offer(CARD)).await, Err(PeerError::Refused(Refusal::UnknownScope))));
    // And once it is taken back.
    log.abort(&[]).await.unwrap();
    assert!(matches!(pulled(&log.b, log.offer(CARD)).await, Err(PeerError::Refused(Refusal::UnknownScope))));
}

/// Asks the new home with other acceptances than the honest ones.
async fn prepare_with(log: &Leaving, acceptances: Vec<Signed<HandoverAcceptance>>) -> String {
    let mut own = log.a.open(&log.world.device(TEACHER).key).await.unwrap();
    let mut guest = visit(&mut own, &log.world, TEACHER, &log.guests[&TEACHER], HAUGESUND).await;
    let honest = log.preparation(Bundle { envelopes: vec![], letters: vec![] });
    guest.problem(Request::PrepareTransfer(Preparation { acceptances, ..honest })).await
}

#[tokio::test(flavor = "multi_thread")]
async fn f10_nothing_is_fetched_for_somebody_who_has_not_accepted() {
    let log = leaving(None, None).await;
    let world = &log.world;
    assert_eq!(prepare_with(&log, vec![]).await, "not-accepted");
    let (card, concern) = (log.offer(CARD), log.offer(CONCERN));
    let twice = vec![world.accept(&card, HAUGESUND_TEACHER); 2];
    assert_eq!(prepare_with(&log, twice).await, "not-accepted", "for another offer");
    let foreign = vec![world.accept(&card, COLLEAGUE), world.accept(&concern, COLLEAGUE)];
    assert_eq!(prepare_with(&log, foreign).await, "not-accepted", "by somebody of another municipality");
    let forged = [&card, &concern].map(|o| Signed::sign(&world.acceptance(o, HAUGESUND_TEACHER), &key("forger")));
    assert_eq!(prepare_with(&log, forged.to_vec()).await, "not-accepted", "signed by another key");
    let mut conn = log.b.db.reader().await.unwrap();
    let row = conn.row("SELECT COUNT(*) FROM scopes", args![]).await.unwrap().unwrap();
    assert_eq!(row.int(0).unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn f5_an_altered_history_is_not_accepted() {
    for sql in [
        "UPDATE records SET time_ms = time_ms + 1 WHERE scope = $1 AND seq = 3",
        "DELETE FROM records WHERE scope = $1 AND seq = 3",
        "UPDATE records SET event = (SELECT event FROM records r WHERE r.scope = $1 AND r.seq = 4) WHERE scope = $1 AND seq = 3",
        "UPDATE records SET receipt = (SELECT receipt FROM records r WHERE r.scope = $1 AND r.seq = 3) WHERE scope = $1 AND seq = (SELECT MAX(seq) FROM records r WHERE r.scope = $1)",
        "DELETE FROM records WHERE scope = $1 AND seq = (SELECT MAX(seq) FROM records r WHERE r.scope = $1)",
    ] {
        let log = leaving(None, None).await;
        let bundle = log.bundle();
        let damaged = log.a.db.write::<u64, StoreError, _>(move |conn| {
            Box::pin(async move { conn.execute(sql, args![&CONCERN.0]).await })
        });
        assert_eq!(damaged.await.unwrap(), 1);
        let refused = log.prepare(&bundle).await.unwrap_err();
        assert!(
            ["chain-broken", "counter-used", "counter-gap", "time-backwards"].contains(&refused.as_str()),
            "{refused}"
        );
        assert!(transfers::bound(&mut log.b.db.reader().await.unwrap()).await.unwrap().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_needs_exactly_what_the_new_home_has_accepted() {
    let log = leaving(None, None).await;
    let bundle = log.bundle();
    let accepts = log.prepare(&bundle).await.unwrap();
    // Without, with one of two, with forged words, and by the plain door.
    assert_eq!(log.commit(&bundle, &[]).await.unwrap_err(), "accept-mismatch");
    assert_eq!(log.commit(&bundle, &accepts[..1]).await.unwrap_err(), "accept-mismatch");
    let forge = |bend: fn(&mut HomeAccept), by: &ed25519_dalek::SigningKey| {
        let forged = accepts.iter().map(|signed| {
            let mut accept = signed.peek().unwrap();
            bend(&mut accept);
            Signed::sign(&accept, by)
        });
        forged.collect::<Vec<_>>()
    };
    assert_eq!(log.commit(&bundle, &forge(|_| {}, &log.world.municipality)).await.unwrap_err(), "bad-signature");
    let theirs = &log.world.haugesund;
    assert_eq!(log.commit(&bundle, &forge(|a| a.root.0[0] ^= 1, theirs)).await.unwrap_err(), "accept-mismatch");
    assert_eq!(log.commit(&bundle, &forge(|a| a.home_epoch = 3, theirs)).await.unwrap_err(), "accept-mismatch");
    assert_eq!(log.commit(&bundle, &forge(|a| a.extends.seq -= 1, theirs)).await.unwrap_err(), "stale-accept");
    let mut own = log.a.open(&log.world.device(TEACHER).key).await.unwrap();
    assert_eq!(own.submit(bundle.clone()).await.unwrap_err().code, "accept-mismatch");
    // A part of the log is not handed over alone.
    let part = Bundle { envelopes: bundle.envelopes[..2].to_vec(), letters: vec![] };
    assert_eq!(log.commit(&part, &accepts).await.unwrap_err(), "handover-partial");
    assert_eq!((log.homes(CARD).await, log.homes(CONCERN).await), ((true, false), (true, false)));
    assert!(log.commit(&bundle, &accepts).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn c15_what_is_received_meanwhile_makes_the_acceptance_stale_and_a_withdrawal_is_never_held_up() {
    let mut log = leaving(None, None).await;
    let (world, mother) = (&log.world, log.world.device(MOTHER));
    let bundle = log.bundle();
    let accepts = log.prepare(&bundle).await.unwrap();
    let mut mothers = log.a.open(&mother.key).await.unwrap();
    let one = |event| Bundle { envelopes: vec![envelope(mother, &event)], letters: vec![] };
    let mut teachers = log.a.open(&world.device(TEACHER).key).await.unwrap();
    assert_eq!(teachers.ask(Request::HoldTransfer(world.log())).await, Reply::Done);
    let change = log.concern.event(mother, Body::Change(change()));
    assert_eq!(mothers.submit(one(change.clone())).await.unwrap_err().code, "held");
    // The family takes the consent to the move back: it holds at once, hold or not.
    let before = log.concern.records.len();
    let granted = log.concern.state().grants.iter().find(|g| g.grant.moves_to.is_some()).unwrap().id;
    let target = stafett_protocol::consent::Target::Grant(granted);
    let statement = world.withdrawal(world.log(), CONCERN, target, MOTHER);
    log.concern.say(world, mother, statement).unwrap();
    play(&log.a, world, &log.concern, before).await;
    let refused = log.commit(&bundle, &accepts).await.unwrap_err();
    assert!(["stale-accept", "grant-withdrawn"].contains(&refused.as_str()), "{refused}");
    assert_eq!((log.homes(CARD).await, log.homes(CONCERN).await), ((true, false), (true, false)));
    // Nobody holds a log up again and again, or one that is not theirs.
    let mut father = log.a.open(&world.device(FATHER).key).await.unwrap();
    assert_eq!(father.ask(Request::HoldTransfer(world.log())).await, Reply::Done, "held already");
    let stranger = log.b.open(&world.device(HAUGESUND_TEACHER).key).await.unwrap();
    drop(stranger);
    drop(log.a.enter(world, STRANGER).await);
    let mut stranger = log.a.open(&world.device(STRANGER).key).await.unwrap();
    assert_eq!(stranger.problem(Request::HoldTransfer(world.log())).await, "unknown-scope");
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_that_went_on_need_another_round() {
    let mut log = leaving(None, None).await;
    let first = log.bundle();
    let accepts = log.prepare(&first).await.unwrap();
    let before = log.concern.records.len();
    log.concern.write(&log.world, log.world.device(MOTHER)).unwrap();
    play(&log.a, &log.world, &log.concern, before).await;
    assert_eq!(log.commit(&first, &accepts).await.unwrap_err(), "stale-accept");
    // The same commits on the new heads: the acceptance of the handover counts again, the home's is new.
    let again = log.prepare(&first).await;
    assert!(again.is_ok(), "{again:?}");
    assert_ne!(again.as_ref().unwrap()[1], accepts[1]);
    assert_eq!(log.commit(&first, &accepts).await.unwrap_err(), "stale-accept", "the old word is dead");
    let done = log.commit(&first, &again.unwrap()).await.unwrap();
    assert_eq!(done.tombstones.len(), 2);
    log.until_served().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f11_an_offer_that_was_taken_back_frees_the_new_home_and_is_never_committed() {
    let log = leaving(None, None).await;
    let bundle = log.bundle();
    let accepts = log.prepare(&bundle).await.unwrap();
    let freed = log.abort(&accepts).await.unwrap();
    assert_eq!(freed.len(), 2);
    assert_eq!(log.abort(&accepts).await.unwrap(), freed, "asked again");
    assert_eq!(log.commit(&bundle, &accepts).await.unwrap_err(), "transfer-aborted");
    // Told by the client, or found out by the new home itself.
    let mut own = log.b.open(&log.world.device(HAUGESUND_TEACHER).key).await.unwrap();
    let forged: Vec<_> = freed.iter().map(|f| Signed::sign(&f.peek().unwrap(), &log.world.haugesund)).collect();
    let bound = async || transfers::bound(&mut log.b.db.reader().await.unwrap()).await.unwrap().len();
    let said = own.ask(Request::Release(forged)).await;
    assert!(bound().await == 0 || matches!(said, Reply::Problem(p) if p.code == "bad-signature"));
    assert_eq!(own.ask(Request::Release(freed.clone())).await, Reply::Done);
    assert_eq!(bound().await, 0);
    assert_eq!(own.ask(Request::Release(freed)).await, Reply::Done, "F3");
    assert_eq!((log.homes(CARD).await, log.homes(CONCERN).await), ((true, false), (true, false)));
}

#[tokio::test(flavor = "multi_thread")]
async fn f3_words_that_do_not_fit_move_nothing() {
    let log = leaving(None, None).await;
    let bundle = log.bundle();
    let accepts = log.prepare(&bundle).await.unwrap();
    let done = log.commit(&bundle, &accepts).await.unwrap();
    let mut own = log.b.open(&log.world.device(HAUGESUND_TEACHER).key).await.unwrap();
    for (what, bend, ours) in [
        ("another log", (|t: &mut Tombstone| t.log.0[0] ^= 1) as fn(&mut Tombstone), true),
        ("another scope", |t| t.scope = JOURNAL, true),
        ("another home", |t| t.to = 4601, true),
        ("not the old home's word", |_| {}, false),
    ] {
        let by = if ours { &log.world.municipality } else { &log.world.haugesund };
        let forged = done.tombstones.iter().map(|signed| {
            let mut tombstone = signed.peek().unwrap();
            bend(&mut tombstone);
            Signed::sign(&tombstone, by)
        });
        let code = own.problem(Request::Activate(forged.collect())).await;
        assert!(["accept-mismatch", "bad-signature"].contains(&code.as_str()), "{what}: {code}");
    }
    // The concern alone waits for its card.
    let concern = done.tombstones.iter().filter(|t| t.peek().unwrap().scope == CONCERN).cloned().collect();
    let alone = own.ask(Request::Activate(concern)).await;
    assert!(log.homes(CARD).await.1 || matches!(alone, Reply::Problem(p) if p.code == "not-activated"));
    assert_eq!(own.ask(Request::Activate(done.tombstones.clone())).await, Reply::Done);
    log.until_served().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f8_a_server_out_of_a_backup_says_nothing_about_moves() {
    let log = leaving(None, None).await;
    let bundle = log.bundle();
    let accepts = log.prepare(&bundle).await.unwrap();
    log.a
        .db
        .write::<_, StoreError, _>(|conn| Box::pin(async move { schema::set_meta(conn, RESTORED, 1).await }))
        .await
        .unwrap();
    let log = log.restart().await;
    assert_eq!(log.commit(&bundle, &accepts).await.unwrap_err(), "home-restored");
    assert_eq!(log.abort(&accepts).await.unwrap_err(), "home-restored");
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    assert_eq!(transfers::bound(&mut log.b.db.reader().await.unwrap()).await.unwrap().len(), 2, "bound still");
}
