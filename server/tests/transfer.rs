//! A log moves between two real servers: the whole way, and everything that may happen on it (F1–F11, F15).
//! The same suite on both engines, and on one of each.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use crate::common::*;
use crate::support::moving::*;
use crate::support::*;
use stafett_protocol::consent::{Access, Target};
use stafett_protocol::event::Body;
use stafett_protocol::transfer::*;
use stafett_protocol::wire::*;
use stafett_server::args;
use stafett_server::pg::Postgres;

async fn moves(a_url: Option<&str>, b_url: Option<&str>, restarts: bool) {
    let mut log = leaving(a_url, b_url).await;
    let pause = async |log: Leaving| if restarts { log.restart().await } else { log };
    let bundle = log.bundle();
    // Fetching ahead: progress, and nothing promised.
    let mut own = log.a.open(&log.world.device(TEACHER).key).await.unwrap();
    let mut guest = visit(&mut own, &log.world, TEACHER, &log.guests[&TEACHER], HAUGESUND).await;
    let ahead = log.preparation(Bundle { envelopes: vec![], letters: vec![] });
    let Reply::TransferPrepared(ahead) = guest.ask(Request::PrepareTransfer(ahead)).await else { panic!() };
    assert!(ahead.accepts.is_empty());
    let fetched: Vec<_> = ahead.fetched.iter().map(|at| (at.scope, at.seq)).collect();
    let heads = [&log.card, &log.concern].map(|c| (c.scope(), c.state().position.seq));
    assert_eq!(fetched, heads);
    drop(guest);
    drop(own);
    log = pause(log).await;

    let accepts = log.prepare(&bundle).await.unwrap();
    assert_eq!(log.prepare(&bundle).await.unwrap(), accepts, "asked again: the same words");
    assert!(accepts.iter().all(|a| a.verify(&public(&log.world.haugesund)).unwrap().home_epoch == 2));
    log = pause(log).await;
    // Bound is not serving; the old home serves on.
    assert_eq!((log.homes(CARD).await, log.homes(CONCERN).await), ((true, false), (true, false)));
    let teacher = log.world.device(HAUGESUND_TEACHER);
    let early = log.concern.event(teacher, Body::Change(change()));
    let early = Bundle { envelopes: vec![envelope(teacher, &early)], letters: vec![] };
    let mut new = log.b.open(&teacher.key).await.unwrap();
    // Whom the chain does not know yet learns nothing of the scope.
    assert_eq!(new.submit(early).await.unwrap_err().code, "unknown-scope");
    drop(new);

    // Somebody follows the log at the old home, live.
    let mut mothers = log.a.open(&log.world.device(MOTHER).key).await.unwrap();
    let from = [CARD, CONCERN, JOURNAL].map(|scope| ScopePosition { scope, seq: 0 }).to_vec();
    assert!(matches!(mothers.ask(Request::Sync(from)).await, Reply::Synced(_)));
    mothers.pushed.clear();
    let done = log.commit(&bundle, &accepts).await.unwrap();
    assert_eq!((done.accepted.len(), done.tombstones.len()), (3, 2));
    if !restarts {
        for _ in 0..2 {
            let moved = |reply| if let Reply::Moved(tombstone) = reply { Some(tombstone) } else { None };
            let told = mothers.push_until(moved).await;
            assert!(done.tombstones.contains(&told));
        }
    }
    drop(mothers);
    log = pause(log).await;
    let again = log.commit(&bundle, &accepts).await.unwrap();
    assert_eq!(again, done, "a lost answer is asked for again");
    for scope in [CARD, CONCERN] {
        assert!(!log.homes(scope).await.0, "never two homes");
    }

    // Carried by a client, or asked for by the new home itself.
    if restarts {
        log.until_served().await;
    } else {
        let mut own = log.a.open(&log.world.device(MOTHER).key).await.unwrap();
        let problem = own.problem(Request::Activate(done.tombstones.clone())).await;
        assert_eq!(problem, "bad-signature", "not to the old home");
        let mut new = log.b.open(&log.world.device(HAUGESUND_TEACHER).key).await.unwrap();
        assert_eq!(new.ask(Request::Activate(done.tombstones.clone())).await, Reply::Done);
        assert_eq!(new.ask(Request::Activate(done.tombstones.clone())).await, Reply::Done, "F3");
    }
    log = pause(log).await;
    assert_eq!((log.homes(CARD).await, log.homes(CONCERN).await), ((false, true), (false, true)));
    goes_on(&mut log, &bundle, &done).await;
}

/// After the move: the new holder works at the new home, the old one shows the way, what stayed is closed.
async fn goes_on(log: &mut Leaving, bundle: &Bundle, done: &Transferred) {
    log.applied(bundle);
    let teacher = log.world.device(HAUGESUND_TEACHER);
    let mut new = log.b.open(&teacher.key).await.unwrap();
    let welcomes = new.pushed.iter().filter(|r| matches!(r, Reply::Mail(MailItem { mail: Mail::Welcome(_), .. })));
    assert_eq!(welcomes.count(), 2);
    assert_eq!(new.places(), [CARD, CONCERN], "S9: what came is named to whom it is for");
    let from = [CARD, CONCERN].map(|scope| ScopePosition { scope, seq: 0 }).to_vec();
    let Reply::Synced(synced) = new.ask(Request::Sync(from)).await else { panic!() };
    for (synced, accepted) in synced.iter().zip(&done.accepted) {
        let receipt = accepted.receipt.verify(&public(&log.world.municipality)).unwrap();
        assert_eq!(synced.position, Some(receipt.position), "the same head at both homes");
    }
    let before = log.concern.state().position.seq;
    log.concern.remove_listed(&log.world, teacher).unwrap();
    log.concern.write(&log.world, teacher).unwrap();
    let after = log.concern.envelopes().into_iter().skip(before as usize).collect();
    let accepted = new.submit(Bundle { envelopes: after, letters: vec![] }).await.unwrap();
    let receipt = accepted[1].receipt.verify(&public(&log.world.haugesund)).unwrap();
    assert_eq!((receipt.home_epoch, receipt.position.seq), (2, before + 2));

    // The old home: no word more, the way for whoever asks, and the closed part for the family.
    let mother = log.world.device(MOTHER);
    let mut mothers = log.a.open(&mother.key).await.unwrap();
    assert_eq!(mothers.places(), [JOURNAL], "S9: what has left is named by its new home");
    let late = Bundle {
        envelopes: vec![envelope(mother, &log.concern.event(mother, Body::Change(change())))],
        letters: vec![],
    };
    assert_eq!(mothers.submit(late).await.unwrap_err().code, "moved");
    let from = vec![ScopePosition { scope: CONCERN, seq: 0 }];
    let Reply::Synced(synced) = mothers.ask(Request::Sync(from)).await else { panic!() };
    assert_eq!(synced[0].position.unwrap().seq, before, "its last word");
    assert!(mothers.pushed.iter().any(|r| matches!(r, Reply::Moved(t) if done.tombstones.contains(t))));
    for who in [MOTHER, TEACHER] {
        let mut client = log.a.open(&log.world.device(who).key).await.unwrap();
        let from = vec![ScopePosition { scope: JOURNAL, seq: 0 }];
        let Reply::Synced(synced) = client.ask(Request::Sync(from)).await else { panic!() };
        assert!(synced[0].position.is_some(), "{who}: what stayed can be read, by the old holder too");
    }
    let more = log.journal.event(mother, Body::Change(change()));
    let more = Bundle { envelopes: vec![envelope(mother, &more)], letters: vec![] };
    assert_eq!(mothers.submit(more).await.unwrap_err().code, "not-active");
    // F9: not a byte of what stayed is at the new home.
    let mut conn = log.b.db.reader().await.unwrap();
    for table in ["SELECT COUNT(*) FROM records WHERE scope = $1", "SELECT COUNT(*) FROM scopes WHERE scope = $1"] {
        assert_eq!(conn.row(table, args![&JOURNAL.0]).await.unwrap().unwrap().int(0).unwrap(), 0);
    }
}

/// C4: what somebody with a place on the card alone has said in a concern is judged at the new home as at the old one.
#[tokio::test(flavor = "multi_thread")]
async fn c4_a_withdrawal_recorded_from_the_card_alone_does_not_stop_a_move() {
    let mut log = leaving(None, None).await;
    let world = &log.world;
    let played = log.concern.state().position.seq as usize;
    let ended = world.withdrawal(world.log(), CONCERN, Target::Unit(PPT_UNIT), MOTHER);
    log.concern.say(world, world.device(MOTHER), ended).unwrap();
    log.concern.remove_listed(world, world.device(TEACHER)).unwrap();
    world.give(&mut log.concern, world.person_grantee(COACH), Access::Read);
    let recorded = world.withdrawal(world.log(), CONCERN, Target::Person(world.id(COACH)), PPT);
    log.concern.say(world, world.device(PPT), recorded).unwrap();
    play(&log.a, world, &log.concern, played).await;

    let bundle = log.bundle();
    let accepts = log.prepare(&bundle).await.unwrap();
    assert_eq!(log.commit(&bundle, &accepts).await.unwrap().tombstones.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_moves_on_sqlite() {
    moves(None, None, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f1_f2_a_log_moves_though_both_servers_restart_after_every_step() {
    moves(None, None, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_moves_on_postgresql_and_between_engines() {
    let Some(postgres) = Postgres::start() else { return };
    let url = |name| postgres.database(name).unwrap();
    moves(Some(&url("old")), Some(&url("new")), false).await;
    moves(Some(&url("old_home")), None, true).await;
    moves(None, Some(&url("new_home")), false).await;
}
