//! Other ways that a move may take between real servers: to two homes at once (F4), with one direction between them cut
//! in any of its states (N5), and back to where it came from.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use crate::common::*;
use crate::support::moving::*;
use crate::support::wire::Wire;
use crate::support::*;
use stafett_protocol::event::Body;
use stafett_protocol::signed::Signed;
use stafett_protocol::transfer::*;
use stafett_protocol::wire::*;
use stafett_server::args;
use stafett_server::db::StoreError;
use stafett_server::pg::Postgres;

const TO_BERGEN: Way = Way { by: TEACHER, leader: BERGEN_LEADER, to: BERGEN_TEACHER };
const BACK: Way = Way { by: HAUGESUND_TEACHER, leader: LEADER, to: COLLEAGUE };

/// The log at Ullensaker, Haugesund, and Bergen's server, which all know each other.
async fn among_three(urls: [Option<&str>; 3]) -> (Leaving, Running) {
    let world = World::new().with_bergen();
    let a = Running::start(&world, urls[0]).await;
    let b = Running::start_as(HAUGESUND, "Haugesund", &world.haugesund, urls[1]).await;
    let c = Running::start_as(BERGEN, "Bergen", &world.bergen, urls[2]).await;
    for (one, other) in [(&a, &b), (&b, &a), (&a, &c), (&c, &a), (&b, &c), (&c, &b)] {
        one.add_peer(other.peer_file()).await;
    }
    let teacher = account(&world, BERGEN_TEACHER, &c).await;
    let mut log = leaving_from(world, a, b).await;
    log.guests.insert(BERGEN_TEACHER, teacher);
    (log, c)
}

/// The family agrees to a school in Bergen, too.
async fn bergen_may_have_it(log: &mut Leaving) {
    let played = [&log.card, &log.concern].map(|chain| chain.records.len());
    log.world.give_hold(&mut log.card, BERGEN_LEADER, 7);
    log.world.give_hold(&mut log.concern, BERGEN_LEADER, 8);
    for (chain, from) in [&log.card, &log.concern].into_iter().zip(played) {
        play(&log.a, &log.world, chain, from).await;
    }
}

/// What the new home answers to whoever hands over.
async fn asked(log: &Leaving, preparation: Preparation) -> Reply {
    let by = log.way.by;
    let mut own = log.a.open(&log.world.device(by).key).await.unwrap();
    let mut guest = visit(&mut own, &log.world, by, &log.guests[&by], log.destination()).await;
    guest.ask(Request::PrepareTransfer(preparation)).await
}

/// The new home has what there is, and has promised nothing.
async fn fetched_ahead(log: &Leaving) {
    let ahead = log.preparation(Bundle { envelopes: vec![], letters: vec![] });
    let Reply::TransferPrepared(ahead) = asked(log, ahead).await else { panic!() };
    assert!(ahead.accepts.is_empty() && ahead.fetched.iter().all(|one| one.seq > 0));
}

/// Two municipalities are offered the log and have accepted it, and the family has said yes to both: `first` commits,
/// `second` comes too late, or both come at once.
async fn competes(urls: [Option<&str>; 3], first: Option<Way>) {
    let (mut log, c) = among_three(urls).await;
    bergen_may_have_it(&mut log).await;
    let mut both = vec![];
    for way in [TO_HAUGESUND, TO_BERGEN] {
        log.way = way;
        let bundle = log.bundle();
        let accepts = log.prepare(&bundle).await.unwrap();
        both.push((bundle, accepts));
    }
    assert_eq!((bound(&log.b).await.len(), bound(&c).await.len()), (2, 2), "both have promised");
    let commit = async |to: usize| log.commit(&both[to].0, &both[to].1).await;
    let (haugesund, bergen) = match first {
        Some(way) if way.to == BERGEN_TEACHER => {
            let bergen = commit(1).await;
            (commit(0).await, bergen)
        }
        Some(_) => (commit(0).await, commit(1).await),
        None => tokio::join!(commit(0), commit(1)),
    };
    let (done, refused, home, other) = match (haugesund, bergen) {
        (Ok(done), Err(refused)) => (done, refused, &log.b, &c),
        (Err(refused), Ok(done)) => (done, refused, &c, &log.b),
        both => panic!("exactly one: {both:?}"),
    };
    assert!(["moved", "counter-used"].contains(&refused.as_str()), "{refused}");
    for scope in [CARD, CONCERN] {
        for _ in 0..100 {
            if serves(home, scope).await {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        let all = [&log.a, home, other].map(async |server| serves(server, scope).await);
        let [old, new, not] = all;
        assert_eq!((old.await, new.await, not.await), (false, true, false));
    }
    until_free(other).await;
    // Nobody brings the other one to serve what it was freed of.
    let who = if std::ptr::eq(other, &c) { BERGEN_TEACHER } else { HAUGESUND_TEACHER };
    let mut client = other.open(&log.world.device(who).key).await.unwrap();
    let said = client.problem(Request::Activate(done.tombstones.clone())).await;
    assert_eq!(said, "bad-signature", "it is another home's promise");
    let position = [CARD, CONCERN].map(|scope| ScopePosition { scope, seq: 0 }).to_vec();
    let Reply::Synced(synced) = client.ask(Request::Sync(position)).await else { panic!() };
    assert!(synced.iter().all(|one| one.position.is_none()), "nothing of it is shown there");
}

#[tokio::test(flavor = "multi_thread")]
async fn f4_of_two_municipalities_the_one_that_is_committed_first_gets_the_log() {
    competes([None; 3], Some(TO_HAUGESUND)).await;
    competes([None; 3], Some(TO_BERGEN)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f4_of_two_commits_at_once_one_stands_on_sqlite() {
    competes([None; 3], None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f4_of_two_commits_at_once_one_stands_on_postgresql() {
    let Some(postgres) = Postgres::start() else { return };
    let url = |name| postgres.database(name).unwrap();
    competes([Some(&url("old")), None, Some(&url("bergen"))], None).await;
}

/// One server hears the other, and is not heard.
async fn partitioned(deaf: &str) {
    let world = World::new();
    let a = Running::start(&world, None).await;
    let b = Running::start_as(HAUGESUND, "Haugesund", &world.haugesund, None).await;
    let (to_a, to_b) = (Wire::before(&a).await, Wire::before(&b).await);
    a.add_peer(to_b.peer_file(&b)).await;
    b.add_peer(to_a.peer_file(&a)).await;
    let log = leaving_from(world, a, b).await;
    let wire = if deaf == "old" { &to_a } else { &to_b };
    let homes = async || (log.homes(CARD).await, log.homes(CONCERN).await);
    let at_old = ((true, false), (true, false));

    // Before anything is promised: nothing is.
    wire.cut();
    let first = log.bundle();
    assert!(["peer-unreachable", "unavailable"].contains(&prepare(&log, &first).await.unwrap_err().as_str()));
    assert_eq!((bound(&log.b).await.len(), homes().await), (0, at_old));
    wire.mend();

    // Promised, and let go again: the new home is free, by a client where it cannot ask.
    let accepts = log.prepare(&first).await.unwrap();
    wire.cut();
    let freed = log.cancel(vec![], &accepts).await.unwrap();
    assert_eq!(freed.len(), 2);
    if deaf == "old" {
        assert_eq!(carried(&log, Request::Release(freed.clone())).await, Reply::Done);
    }
    until_free(&log.b).await;
    assert_eq!(homes().await, at_old);
    wire.mend();
    assert_eq!(log.commit(&first, &accepts).await.unwrap_err(), "transfer-aborted");

    // Committed while the new home cannot ask, or is not told: one home, and nothing more at the old one.
    let bundle = log.bundle();
    let accepts = log.prepare(&bundle).await.unwrap();
    wire.cut();
    let done = log.commit(&bundle, &accepts).await.unwrap();
    assert_eq!(log.commit(&bundle, &accepts).await.unwrap(), done, "asked again");
    assert!(!log.homes(CARD).await.0 && !log.homes(CONCERN).await.0);
    if deaf == "old" {
        assert_eq!(bound(&log.b).await.len(), 2, "it waits for the word");
        assert_eq!(carried(&log, Request::Activate(done.tombstones.clone())).await, Reply::Done);
    }
    log.until_served().await;

    // Served: the old home shows the way, whoever hears whom.
    let mother = log.world.device(MOTHER);
    let mut mothers = log.a.open(&mother.key).await.unwrap();
    let late = log.concern.event(mother, Body::Change(change()));
    let late = Bundle { envelopes: vec![envelope(mother, &late)], letters: vec![] };
    assert_eq!(mothers.submit(late).await.unwrap_err().code, "moved");
    wire.mend();
    assert_eq!(carried(&log, Request::Activate(done.tombstones)).await, Reply::Done, "played again");
    assert_eq!(homes().await, ((false, true), (false, true)));
}

/// The same question as [`Leaving::prepare`] asks, where the way there may be cut.
async fn prepare(log: &Leaving, bundle: &Bundle) -> Result<Vec<Signed<HomeAccept>>, String> {
    let mut own = log.a.open(&log.world.device(TEACHER).key).await.unwrap();
    let mut guest = Guest::open(&mut own, HAUGESUND).await?;
    guest.challenge().await?;
    drop(guest);
    log.prepare(bundle).await
}

/// The mother brings it to the new home, through her own server.
async fn carried(log: &Leaving, request: Request) -> Reply {
    let mut own = log.a.open(&log.world.device(MOTHER).key).await.unwrap();
    let mut guest = visit(&mut own, &log.world, MOTHER, &log.guests[&MOTHER], HAUGESUND).await;
    guest.ask(request).await
}

#[tokio::test(flavor = "multi_thread")]
async fn n5_the_new_home_does_not_reach_the_old_one_in_any_state_of_a_move() {
    partitioned("old").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn n5_the_old_home_does_not_reach_the_new_one_in_any_state_of_a_move() {
    partitioned("new").await;
}

/// A → B → A: the family moves back. Three home epochs, and each home's word stands for its own.
async fn comes_back(a_url: Option<&str>, b_url: Option<&str>) {
    let mut log = leaving(a_url, b_url).await;
    let (there, gone) = moved(&mut log).await;
    log.way = BACK;
    lives(&mut log, None).await;

    // Back, to another teacher of the old school.
    std::mem::swap(&mut log.a, &mut log.b);
    let back = log.bundle();
    assert_eq!(back.envelopes.len(), 2, "the journal stayed, closed");
    let accepts = log.prepare(&back).await.unwrap();
    assert!(accepts.iter().all(|a| a.verify(&public(&log.world.municipality)).unwrap().home_epoch == 3));
    assert_eq!(log.homes(CONCERN).await, (true, false));
    let returned = log.commit(&back, &accepts).await.unwrap();
    log.until_served().await;
    log.applied(&back);
    log = log.restart().await;

    // Words of the first move change nothing any more, at either home.
    let mut haugesund = log.a.open(&log.world.device(HAUGESUND_TEACHER).key).await.unwrap();
    assert_eq!(haugesund.ask(Request::Activate(gone.tombstones.clone())).await, Reply::Done);
    assert_eq!((log.homes(CARD).await, log.homes(CONCERN).await), ((false, true), (false, true)));
    let first = Transfer { bundle: there, accepts: gone.tombstones.iter().map(|t| t.peek().unwrap().accept).collect() };
    let mut old = log.b.open(&log.world.device(TEACHER).key).await.unwrap();
    let again = old.ask(Request::CommitTransfer(first)).await;
    assert_eq!(again, Reply::TransferCommitted(gone), "the same answer for ever");
    assert_eq!(log.commit(&back, &accepts).await.unwrap(), returned);

    // It is written to at home again; Haugesund shows the way, and what stayed closed stays so.
    let before = log.concern.records.len();
    let colleague = log.world.device(COLLEAGUE);
    log.concern.remove_listed(&log.world, colleague).unwrap();
    log.concern.write(&log.world, colleague).unwrap();
    log.concern.write(&log.world, log.world.device(MOTHER)).unwrap();
    let mut mothers = log.b.open(&log.world.device(MOTHER).key).await.unwrap();
    play(&log.b, &log.world, &log.concern, before).await;
    let from = [CARD, CONCERN, JOURNAL].map(|scope| ScopePosition { scope, seq: 0 }).to_vec();
    let Reply::Synced(synced) = mothers.ask(Request::Sync(from)).await else { panic!() };
    let heads = [&log.card, &log.concern, &log.journal].map(|chain| Some(chain.state().position.seq));
    assert_eq!(synced.iter().map(|one| one.position.map(|at| at.seq)).collect::<Vec<_>>(), heads);
    let receipts = mothers.pushed.iter().filter_map(|reply| match reply {
        Reply::Records(records) => records.receipt.verify(&public(&log.world.municipality)).ok(),
        _ => None,
    });
    let last = receipts.filter(|receipt| receipt.scope == CONCERN).map(|r| r.home_epoch).max();
    assert_eq!(last, Some(3));
    let closed = log.journal.event(log.world.device(MOTHER), Body::Change(change()));
    let closed = Bundle { envelopes: vec![envelope(log.world.device(MOTHER), &closed)], letters: vec![] };
    assert_eq!(mothers.submit(closed).await.unwrap_err().code, "not-active");
    let late = log.concern.event(log.world.device(HAUGESUND_TEACHER), Body::Change(change()));
    let late = Bundle { envelopes: vec![envelope(log.world.device(HAUGESUND_TEACHER), &late)], letters: vec![] };
    assert_eq!(haugesund.submit(late).await.unwrap_err().code, "moved");
    assert!(bound(&log.a).await.is_empty() && bound(&log.b).await.is_empty());
}

/// At the new home `b`: the old holder's leaves go, something is written, and the family, whose accounts are at the old
/// home or at a third server, says yes to the way that is next.
async fn lives(log: &mut Leaving, family: Option<&Running>) {
    let (home, next) = (log.card.membership().home, log.way);
    let holder = log.world.device(next.by);
    let before = [&log.card, &log.concern].map(|chain| chain.records.len());
    for chain in [&mut log.card, &mut log.concern] {
        chain.remove_listed(&log.world, holder).unwrap();
        chain.write(&log.world, holder).unwrap();
    }
    let salt = 10 * u8::try_from(log.card.membership().home_epoch).unwrap();
    log.world.give_hold(&mut log.card, next.leader, salt);
    log.world.give_hold(&mut log.concern, next.leader, salt + 1);
    let one = |part: &[Envelope]| Bundle { envelopes: part.to_vec(), letters: vec![] };
    let mut holders = log.b.open(&holder.key).await.unwrap();
    let family = family.unwrap_or(&log.a);
    let mut own = family.open(&log.world.device(MOTHER).key).await.unwrap();
    let mut mother = visit(&mut own, &log.world, MOTHER, &log.guests[&MOTHER], home).await;
    for (chain, from) in [&log.card, &log.concern].into_iter().zip(before) {
        let envelopes = chain.envelopes();
        holders.submit(one(&envelopes[from..from + 2])).await.unwrap();
        for statement in envelopes.chunks(1).skip(from + 2) {
            let said = mother.ask(Request::Submit(one(statement))).await;
            assert!(matches!(said, Reply::Submitted(_)), "{said:?}");
        }
    }
}

/// One move from `a` to `b`, to its end.
async fn moved(log: &mut Leaving) -> (Bundle, Transferred) {
    let bundle = log.bundle();
    let accepts = log.prepare(&bundle).await.unwrap();
    let done = log.commit(&bundle, &accepts).await.unwrap();
    log.until_served().await;
    log.applied(&bundle);
    (bundle, done)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_comes_back_to_where_it_was_on_sqlite() {
    comes_back(None, None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_comes_back_to_where_it_was_on_postgresql() {
    let Some(postgres) = Postgres::start() else { return };
    let url = |name| postgres.database(name).unwrap();
    comes_back(Some(&url("old_home")), Some(&url("new_home"))).await;
}

/// A → C → B → A, where B had begun to fetch from A: whoever the log comes from is asked, and not where it was before.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_moves_on_to_homes_that_know_an_earlier_one() {
    let (mut log, mut third) = among_three([None; 3]).await;
    fetched_ahead(&log).await;
    bergen_may_have_it(&mut log).await;
    let on = Way { by: BERGEN_TEACHER, ..TO_HAUGESUND };
    for (way, next) in [(TO_BERGEN, Some(on)), (on, Some(BACK)), (BACK, None)] {
        log.way = way;
        // The one that it comes from, the one that it goes to, and the third.
        std::mem::swap(&mut log.b, &mut third);
        moved(&mut log).await;
        assert!(!serves(&third, CARD).await && !serves(&third, CONCERN).await);
        if let Some(next) = next {
            log.way = next;
            let elsewhere = third.server.municipality.number == HOME;
            lives(&mut log, elsewhere.then_some(&third)).await;
        }
        std::mem::swap(&mut log.a, &mut log.b);
    }
    assert_eq!(log.card.membership().home_epoch, 4);
    assert_eq!(log.card.status_and_home(), (stafett_protocol::state::Status::Active, HOME));
}

/// A peer that has every record of the log, and says that it is the home, is not believed; nor does what it has shown
/// stand in the way of the home.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_fetched_from_its_home_and_from_nobody_else() {
    let (mut log, bergen) = among_three([None; 3]).await;
    bergen_may_have_it(&mut log).await;
    log.way = TO_BERGEN;
    fetched_ahead(&log).await;
    let lies = bergen.db.write::<u64, StoreError, _>(|conn| {
        Box::pin(async move { conn.execute("UPDATE scopes SET standing = 1", args![]).await })
    });
    assert_eq!(lies.await.unwrap(), 2);
    log.way = TO_HAUGESUND;
    let bundle = log.bundle();
    let envelopes = bundle.envelopes.iter().take(2).cloned().collect();
    let honest = log.preparation(Bundle { envelopes, letters: vec![] });
    for from in [BERGEN, HAUGESUND, 9999] {
        let said = asked(&log, Preparation { from, ..honest.clone() }).await;
        assert!(matches!(said, Reply::Problem(_)), "{from}: {said:?}");
        assert!(bound(&log.b).await.is_empty());
    }
    let accepts = log.prepare(&bundle).await.unwrap();
    assert!(log.commit(&bundle, &accepts).await.is_ok());
    log.until_served().await;
}
