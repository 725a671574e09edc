//! The whole way of an event, on SQLite and on PostgreSQL: join, found, admit, write, read, withdraw, remove.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../../protocol/tests/common/mod.rs"]
mod common;
mod support;

use common::*;
use stafett_protocol::consent::{Access, Target};
use stafett_protocol::event::{Body, Event};
use stafett_protocol::ids::ScopeId;
use stafett_protocol::signed::Signed;
use stafett_protocol::wire::*;
use stafett_server::home::now_ms;
use stafett_server::pg::Postgres;
use support::*;

fn bundle(device: &Device, events: &[Event]) -> Bundle {
    let envelopes = events
        .iter()
        .map(|event| Envelope {
            event: Signed::sign(event, &device.key),
            welcome: None,
        })
        .collect();
    Bundle {
        envelopes,
        letters: vec![],
    }
}

/// Says it to the server and to the local replica alike; both must agree.
async fn say(world: &World, chain: &mut Chain, client: &mut Client, device: &Device, body: Body) -> Result<Accepted, Problem> {
    chain.now = now_ms().max(chain.now);
    let event = chain.event(device, body);
    let accepted = client.submit(bundle(device, std::slice::from_ref(&event))).await;
    assert_eq!(
        accepted.as_ref().err().map(|p| p.code.clone()),
        chain.submit_event(world, device, &event).err().map(|r| r.code().to_owned())
    );
    accepted.map(|mut all| all.remove(0))
}

async fn commit(world: &World, chain: &mut Chain, client: &mut Client, device: &Device, plan: Plan) -> Result<Accepted, Problem> {
    chain.now = now_ms().max(chain.now);
    let (commit, welcome) = chain.commit(device, plan);
    let event = chain.event(device, Body::Commit(commit.clone()));
    let mut bundle = bundle(device, std::slice::from_ref(&event));
    bundle.envelopes[0].welcome = welcome.clone().map(Into::into);
    let accepted = client.submit(bundle).await;
    let local = chain.submit_commit(world, device, commit, welcome);
    assert_eq!(accepted.as_ref().err().map(|p| p.code.clone()), local.err().map(|r| r.code().to_owned()));
    accepted.map(|mut all| all.remove(0))
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
    let mut card = world.found_event(teacher, genesis.clone(), now_ms(), None).unwrap();
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
        let body = Body::Statement(stafett_protocol::consent::Statement::Grant(signed));
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
    assert_eq!(ppts.push_until(listed).await, CARD);
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

#[tokio::test(flavor = "multi_thread")]
async fn a_log_lives_on_sqlite() {
    story(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_lives_on_postgresql() {
    let Some(postgres) = Postgres::start() else { return };
    story(Some(&postgres.database("story").unwrap())).await;
}
