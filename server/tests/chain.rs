//! The whole way of an event, on SQLite and on PostgreSQL: join, found, admit, write, read, withdraw, remove.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use crate::common::*;
use crate::support::*;
use stafett_protocol::consent::{Access, Target};
use stafett_protocol::event::{Body, Event};
use stafett_protocol::ids::ScopeId;
use stafett_protocol::membership::ScopeKind;
use stafett_protocol::signed::Signed;
use stafett_protocol::wire::*;
use stafett_server::args;
use stafett_server::db::StoreError;
use stafett_server::home::now_ms;
use stafett_server::pg::Postgres;

fn bundle(device: &Device, events: &[Event]) -> Bundle {
    let envelopes =
        events.iter().map(|event| Envelope { event: Signed::sign(event, &device.key), welcome: None }).collect();
    Bundle { envelopes, letters: vec![] }
}

/// Says it to the server and to the local replica alike; both must agree.
async fn say(
    world: &World,
    chain: &mut Chain,
    client: &mut Client,
    device: &Device,
    body: Body,
) -> Result<Accepted, Problem> {
    let event = chain.event(device, body);
    let accepted = client.submit(bundle(device, std::slice::from_ref(&event))).await;
    chain.now = time_of(&accepted);
    assert_eq!(
        accepted.as_ref().err().map(|p| p.code.clone()),
        chain.submit_event(world, device, &event).err().map(|r| r.code().to_owned())
    );
    accepted.map(|mut all| all.remove(0))
}

async fn commit(
    world: &World,
    chain: &mut Chain,
    client: &mut Client,
    device: &Device,
    plan: Plan,
) -> Result<Accepted, Problem> {
    let (commit, welcome) = chain.commit(device, plan);
    let event = chain.event(device, Body::Commit(commit.clone()));
    let mut bundle = bundle(device, std::slice::from_ref(&event));
    bundle.envelopes[0].welcome = welcome.clone().map(Into::into);
    let accepted = client.submit(bundle).await;
    chain.now = time_of(&accepted);
    let local = chain.submit_commit(world, device, commit, welcome);
    assert_eq!(accepted.as_ref().err().map(|p| p.code.clone()), local.err().map(|r| r.code().to_owned()));
    accepted.map(|mut all| all.remove(0))
}

/// As [`listed`]; fails if anything of the chain comes first.
fn listed_and_nothing_else(reply: Reply) -> Option<ScopeId> {
    assert!(!matches!(&reply, Reply::Records(records) if records.records.iter().any(|r| r.seq > 6)), "{reply:?}");
    listed(reply)
}

/// The local replica is given the home's time, so that both have the same heads.
fn time_of(accepted: &Result<Vec<Accepted>, Problem>) -> u64 {
    accepted.as_ref().map_or_else(|_| now_ms(), |all| all[0].time)
}

async fn sync(client: &mut Client, scope: ScopeId, seq: u64) -> (Vec<u64>, SyncedScope) {
    client.pushed.clear();
    let reply = client.ask(Request::Sync(vec![ScopePosition { scope, seq }])).await;
    let Reply::Synced(synced) = reply else { panic!("{reply:?}") };
    let mut seqs = vec![];
    while let Some(push) = client.pushed.pop_front() {
        if let Reply::Records(records) = push {
            seqs.extend(records.records.iter().map(|r| r.seq));
        }
    }
    (seqs, synced[0].clone())
}

fn records(reply: Reply) -> Option<Records> {
    if let Reply::Records(records) = reply { Some(records) } else { None }
}

fn listed(reply: Reply) -> Option<ScopeId> {
    match reply {
        Reply::Mail(MailItem { mail: Mail::Listed(scope), .. }) => Some(scope),
        _ => None,
    }
}

async fn story(url: Option<&str>) {
    let world = World::new();
    let server = Running::start(&world, url).await;
    let (teacher, mother, ppt) = (world.device(TEACHER), world.device(MOTHER), world.device(PPT));
    let mut teachers = server.enter(&world, TEACHER).await;
    let mut mothers = server.enter(&world, MOTHER).await;
    let mut fathers = server.enter(&world, FATHER).await;
    let mut ppts = server.enter(&world, PPT).await;

    // Genesis; the same bytes again get the same receipt, from a stranger they get nothing.
    let founding = world.card_founding();
    let genesis = world.genesis_event(teacher, &founding);
    let accepted = teachers.submit(bundle(teacher, std::slice::from_ref(&genesis))).await.unwrap();
    assert_eq!((accepted[0].seq, accepted[0].counter), (1, 1));
    assert_eq!(teachers.submit(bundle(teacher, std::slice::from_ref(&genesis))).await.unwrap(), accepted);
    let mut card = world.found_event(teacher, genesis.clone(), accepted[0].time, None).unwrap();
    let receipt = accepted[0].receipt.verify(&public(&world.municipality)).unwrap();
    assert_eq!((receipt.scope, receipt.position.seq, receipt.time), (CARD, 1, accepted[0].time));

    // The family comes in by one commit; each gets the Welcome by mail, syncs, and hears what follows.
    let basis = card.membership().authority.id();
    let mut next = card.with(&world, MOTHER, &[0], stafett_protocol::membership::Role::Guardian, basis);
    next.members.push(world.founder(FATHER, stafett_protocol::membership::Role::Guardian, basis));
    let adds = vec![mother.key_package(), world.device(FATHER).key_package()];
    let plan = Plan { adds, membership: Some(next.sorted()), ..Plan::default() };
    commit(&world, &mut card, &mut teachers, teacher, plan).await.unwrap();
    let welcome = mothers
        .push_until(|reply| match reply {
            Reply::Mail(MailItem { id, mail: Mail::Welcome(mail) }) => Some((id, mail)),
            _ => None,
        })
        .await;
    assert_eq!((welcome.1.scope, welcome.1.seq), (CARD, 2));
    assert_eq!(mothers.ask(Request::Acknowledge(vec![welcome.0])).await, Reply::Done);
    let (seqs, synced) = sync(&mut mothers, CARD, 0).await;
    assert_eq!((seqs, synced.position.unwrap().seq), (vec![1, 2], 2));
    say(&world, &mut card, &mut teachers, teacher, Body::Change(change())).await.unwrap();
    let pushed = mothers.push_until(records).await;
    assert_eq!(pushed.records[0].seq, 3);
    assert_eq!(pushed.receipt.verify(&public(&world.municipality)).unwrap().position.seq, 3);

    // The PPT is in under a grant, reads, and may not write.
    let (grant_before, _) = sync(&mut ppts, CARD, 0).await;
    assert!(grant_before.is_empty(), "a stranger reads nothing");
    let authority = card.membership().authority.clone();
    let grant = world.grant(world.log(), CARD, world.unit_of(PPT_LEADER), Access::Read, &authority);
    for signed in world.signed_by(&grant, &[MOTHER, FATHER]) {
        let body = Body::Statement(stafett_protocol::statement::Statement::Grant(signed));
        say(&world, &mut card, &mut mothers, mother, body).await.unwrap();
    }
    let id = stafett_protocol::signed::id_of(&grant);
    let membership = card.with(&world, PPT, &[0], Access::Read.role(), id);
    let vouchers = vec![world.voucher(PPT_LEADER, PPT, CARD)];
    let plan = Plan { adds: vec![ppt.key_package()], membership: Some(membership), vouchers, ..Plan::default() };
    commit(&world, &mut card, &mut teachers, teacher, plan).await.unwrap();
    let (seqs, synced) = sync(&mut ppts, CARD, 0).await;
    assert_eq!((seqs.len() as u64, synced.position.unwrap().seq), (6, 6));
    let refused = say(&world, &mut card, &mut ppts, ppt, Body::Change(change())).await.unwrap_err();
    assert_eq!(refused.code, "read-only");

    // The mother withdraws: refused at once, read nothing, told by mail; then only the commit that removes.
    let withdrawal = world.withdrawal(world.log(), CARD, Target::Unit(PPT_UNIT), MOTHER);
    say(&world, &mut card, &mut mothers, mother, Body::Statement(withdrawal)).await.unwrap();
    assert_eq!(ppts.push_until(listed_and_nothing_else).await, CARD);
    let (seqs, synced) = sync(&mut ppts, CARD, 6).await;
    assert!(seqs.is_empty() && synced.position.is_none());
    let refused = say(&world, &mut card, &mut ppts, ppt, Body::Change(change())).await.unwrap_err();
    assert_eq!(refused.code, "withdrawn");
    let refused = say(&world, &mut card, &mut teachers, teacher, Body::Change(change())).await.unwrap_err();
    assert_eq!(refused.code, "removal-first");
    let removes = card.state().listed_at(now_ms());
    let plan = Plan { removes: removes.clone(), membership: Some(card.without(&removes)), ..Plan::default() };
    let removal = commit(&world, &mut card, &mut teachers, teacher, plan).await.unwrap();
    say(&world, &mut card, &mut teachers, teacher, Body::Change(change())).await.unwrap();
    let (seqs, synced) = sync(&mut ppts, CARD, 6).await;
    assert!(seqs == [removal.seq] && synced.position.is_none());

    // Everybody else has everything; after a restart too, and the chain goes on.
    let (seqs, _) = sync(&mut fathers, CARD, 0).await;
    assert_eq!(seqs, (1..=9).collect::<Vec<_>>());
    let server = server.restart().await;
    let mut teachers = server.open(&teacher.key).await.unwrap();
    assert_eq!(teachers.submit(bundle(teacher, &[genesis])).await.unwrap(), accepted);
    say(&world, &mut card, &mut teachers, teacher, Body::Change(change())).await.unwrap();
    let mut mothers = server.open(&mother.key).await.unwrap();
    let (seqs, _) = sync(&mut mothers, CARD, 3).await;
    assert_eq!(seqs, (4..=10).collect::<Vec<_>>());
}

/// The mother withdraws while the teacher writes and adds as fast as both can: from the statement's
/// receipt on it holds.
async fn race(url: Option<&str>) {
    let world = World::new();
    let server = Running::start(&world, url).await;
    let (teacher, mother) = (world.device(TEACHER), world.device(MOTHER));
    let mut teachers = server.enter(&world, TEACHER).await;
    let mut mothers = server.enter(&world, MOTHER).await;
    let mut ppts = server.enter(&world, PPT).await;
    let genesis = world.genesis_event(teacher, &world.card_founding());
    let accepted = teachers.submit(bundle(teacher, std::slice::from_ref(&genesis))).await.unwrap();
    let mut card = world.found_event(teacher, genesis, accepted[0].time, None).unwrap();
    let basis = card.membership().authority.id();
    let next = card.with(&world, MOTHER, &[0], stafett_protocol::membership::Role::Guardian, basis);
    let plan = Plan { adds: vec![mother.key_package()], membership: Some(next), ..Plan::default() };
    commit(&world, &mut card, &mut teachers, teacher, plan).await.unwrap();
    let authority = card.membership().authority.clone();
    let grant = world.grant(world.log(), CARD, world.unit_of(PPT_LEADER), Access::Contribute, &authority);
    for signed in world.signed_by(&grant, &[MOTHER, FATHER]) {
        let body = Body::Statement(stafett_protocol::statement::Statement::Grant(signed));
        say(&world, &mut card, &mut teachers, teacher, body).await.unwrap();
    }
    let id = stafett_protocol::signed::id_of(&grant);
    let membership = card.with(&world, PPT, &[0], Access::Contribute.role(), id);
    let vouchers = vec![world.voucher(PPT_LEADER, PPT, CARD)];
    let plan =
        Plan { adds: vec![world.device(PPT).key_package()], membership: Some(membership), vouchers, ..Plan::default() };
    commit(&world, &mut card, &mut teachers, teacher, plan).await.unwrap();
    let first = card.event(world.device(PPT), Body::Change(change()));
    let withdrawal = world.withdrawal(world.log(), CARD, Target::Unit(PPT_UNIT), MOTHER);
    let statement = card.event(mother, Body::Statement(withdrawal));
    let writing = async {
        let (mut accepted, mut refused) = (0, vec![]);
        for n in 0..200 {
            let event = Event { counter: first.counter + accepted, ..first.clone() };
            match ppts.submit(bundle(world.device(PPT), &[event])).await {
                Ok(_) => accepted += 1,
                Err(problem) => refused.push((n, problem.code)),
            }
        }
        (accepted, refused)
    };
    let withdrawing = async {
        tokio::time::sleep(std::time::Duration::from_millis(60)).await;
        // Its answer is lost: the same bytes asked again get the same receipt.
        let first = mothers.submit(bundle(mother, std::slice::from_ref(&statement))).await.unwrap();
        assert_eq!(mothers.submit(bundle(mother, std::slice::from_ref(&statement))).await.unwrap(), first);
        first[0].seq
    };
    let ((accepted, refused), at) = tokio::join!(writing, withdrawing);
    assert!(refused.iter().all(|(_, code)| code == "withdrawn"), "{refused:?}");
    assert_eq!(accepted + refused.len() as u64, 200);
    // Nobody else was online: nothing of the PPT's stands behind the statement.
    let mut conn = server.db.reader().await.unwrap();
    let sql = "SELECT COUNT(*) FROM records WHERE scope = $1 AND device = $2 AND seq > $3";
    let behind = conn.row(sql, args![&CARD.0, &world.device(PPT).id().0, at as i64]).await.unwrap().unwrap();
    assert_eq!(behind.int(0).unwrap(), 0);
    let (seqs, synced) = sync(&mut ppts, CARD, 0).await;
    assert!(seqs.is_empty() && synced.position.is_none());
    // A second withdrawal, and the holder who wants to write: the removal has to come first.
    let again = world.withdrawal_salted(world.log(), CARD, Target::Unit(PPT_UNIT), MOTHER, 9);
    let event = Event { counter: statement.counter + 1, body: Body::Statement(again), ..statement.clone() };
    assert_eq!(mothers.submit(bundle(mother, &[event])).await.unwrap()[0].seq, at + 1);
    let event = card.event(teacher, Body::Change(change()));
    assert_eq!(teachers.submit(bundle(teacher, &[event])).await.unwrap_err().code, "removal-first");
}

/// Card and concern in one bundle; whoever is gone from the card is served nothing of the concern.
async fn two_scopes(url: Option<&str>) {
    let world = World::new();
    let server = Running::start(&world, url).await;
    let teacher = world.device(TEACHER);
    let mut teachers = server.enter(&world, TEACHER).await;
    let card = world.genesis_event(teacher, &world.card_founding());
    let concern = world.genesis_event(teacher, &world.log_founding(CONCERN, ScopeKind::Concern));
    let alone = teachers.submit(bundle(teacher, std::slice::from_ref(&concern))).await.unwrap_err();
    assert_eq!(alone.code, "unknown-scope", "no concern without its card");
    let wrong = Event { generation: 2, ..concern.clone() };
    let half = teachers.submit(bundle(teacher, &[card.clone(), wrong])).await.unwrap_err();
    assert_eq!(half.code, "wrong-generation");
    let (_, synced) = sync(&mut teachers, CARD, 0).await;
    assert!(synced.position.is_none(), "the card of a refused bundle does not stand");
    let accepted = teachers.submit(bundle(teacher, &[card.clone(), concern.clone()])).await.unwrap();
    assert_eq!(accepted.iter().map(|a| (a.scope, a.seq)).collect::<Vec<_>>(), [(CARD, 1), (CONCERN, 1)]);
    assert_eq!(teachers.submit(bundle(teacher, &[card.clone(), concern.clone()])).await.unwrap(), accepted);
    let second = world.genesis_event(teacher, &Founding { membership: other_scope(&world), ..world.card_founding() });
    let twice = teachers.submit(bundle(teacher, &[second])).await.unwrap_err();
    assert!(["scope-exists", "grant-mismatch"].contains(&twice.code.as_str()), "{}", twice.code);

    let (seqs, _) = sync(&mut teachers, CONCERN, 0).await;
    assert_eq!(seqs, [1]);
    let concern = world.found_event(teacher, concern, accepted[1].time, Some(&card_facts(&world, &card, &accepted[0])));
    let event = concern.unwrap().event(teacher, Body::Change(change()));
    forget_on_card(&server, teacher).await;
    assert_eq!(teachers.submit(bundle(teacher, &[event])).await.unwrap_err().code, "withdrawn");
    let (seqs, synced) = sync(&mut teachers, CONCERN, 0).await;
    assert!(seqs.is_empty() && synced.position.is_none());
}

fn card_facts(world: &World, genesis: &Event, accepted: &Accepted) -> stafett_protocol::state::ScopeState {
    let card = world.found_event(world.device(TEACHER), genesis.clone(), accepted.time, None).unwrap();
    card.state().clone()
}

fn other_scope(world: &World) -> stafett_protocol::membership::Membership {
    stafett_protocol::membership::Membership { scope: JOURNAL, ..world.card_founding().membership }
}

/// As if the device had lost its place on the card and nowhere else.
async fn forget_on_card(server: &Running, device: &Device) {
    let id = device.id();
    server
        .db
        .write::<_, StoreError, _>(move |conn| {
            Box::pin(async move {
                let sql = "UPDATE readers SET until_ms = 0 WHERE scope = $1 AND device = $2";
                conn.execute(sql, args![&CARD.0, &id.0]).await
            })
        })
        .await
        .unwrap();
}

/// Two server processes on one PostgreSQL: what one accepts, the other's devices hear of.
async fn two_processes(url: &str) {
    let world = World::new();
    let (one, two) = (Running::start(&world, Some(url)).await, Running::start(&world, Some(url)).await);
    let teacher = world.device(TEACHER);
    let mut here = one.enter(&world, TEACHER).await;
    let genesis = world.genesis_event(teacher, &world.card_founding());
    let accepted = here.submit(bundle(teacher, std::slice::from_ref(&genesis))).await.unwrap();
    let mut card = world.found_event(teacher, genesis, accepted[0].time, None).unwrap();
    let mut there = two.open(&teacher.key).await.unwrap();
    let (seqs, _) = sync(&mut there, CARD, 0).await;
    assert_eq!(seqs, [1]);
    for n in 0..20 {
        // By turns, so that each process finds the other's work in its way.
        let by = if n % 2 == 0 { &mut here } else { &mut there };
        say(&world, &mut card, by, teacher, Body::Change(change())).await.unwrap();
    }
    let mut heard = vec![];
    while heard.last() < Some(&20) {
        heard.extend(there.push_until(records).await.records.iter().map(|r| r.seq));
    }
    assert!(heard.windows(2).all(|pair| pair[0] < pair[1]));
    assert!((2..=20).step_by(2).all(|seq| heard.contains(&seq)), "every other event came from the other process");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_lives_on_sqlite() {
    story(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_lives_on_postgresql() {
    let Some(postgres) = Postgres::start() else { return };
    story(Some(&postgres.database("story").unwrap())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_concern_hangs_on_its_card_on_sqlite() {
    two_scopes(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_share_one_postgresql() {
    let Some(postgres) = Postgres::start() else { return };
    two_scopes(Some(&postgres.database("scopes").unwrap())).await;
    two_processes(&postgres.database("processes").unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawal_wins_its_race_on_sqlite() {
    race(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawal_wins_its_race_on_postgresql() {
    let Some(postgres) = Postgres::start() else { return };
    race(Some(&postgres.database("race").unwrap())).await;
}
