//! Checkpoints beside a chain, on SQLite and on PostgreSQL: stored whole or not, replaced, and shown to readers
//! alone; pages of history.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use crate::common::*;
use crate::support::*;
use stafett_protocol::checkpoint::*;
use stafett_protocol::event::{Body, Change, Event, Position};
use stafett_protocol::ids::Hash;
use stafett_protocol::limits::CHECKPOINT_PART_BYTES;
use stafett_protocol::signed::Signed;
use stafett_protocol::wire::*;
use stafett_server::pg::Postgres;

const RECORDS: u64 = 301;

fn head(device: &Device, seq: u64, parts: &[&[u8]]) -> CheckpointHead {
    CheckpointHead {
        scope: CARD,
        generation: 1,
        epoch: 0,
        position: Position { seq, head: Hash([1; 32]) },
        author: device.public(),
        salt: [2; 32],
        facts: facts_hash(b"facts"),
        parts: parts.iter().map(|part| part_hash(part)).collect(),
    }
}

fn put(device: &Device, head: &CheckpointHead) -> Request {
    Request::PutCheckpoint(Checkpoint { head: Signed::sign(head, &device.key), facts: b"facts".to_vec().into() })
}

fn part(bytes: &[u8]) -> Request {
    Request::PutCheckpointPart(CheckpointPart { scope: CARD, bytes: bytes.to_vec().into() })
}

/// What a sync from the beginning brings: checkpoints by their seq, parts, and the seqs of records.
async fn ahead(client: &mut Client) -> (Vec<u64>, Vec<Vec<u8>>, Vec<u64>) {
    client.pushed.clear();
    let reply = client.ask(Request::SyncAhead(vec![ScopePosition { scope: CARD, seq: 0 }])).await;
    assert!(matches!(reply, Reply::Synced(_)), "{reply:?}");
    let (mut heads, mut parts, mut seqs) = (vec![], vec![], vec![]);
    while let Some(push) = client.pushed.pop_front() {
        match push {
            Reply::Checkpoint(checkpoint) => heads.push(checkpoint.head.peek().unwrap().position.seq),
            Reply::CheckpointPart(part) => parts.push(part.bytes.as_slice().to_vec()),
            Reply::Records(records) => seqs.extend(records.records.iter().map(|r| r.seq)),
            _ => {}
        }
    }
    (heads, parts, seqs)
}

async fn story(url: Option<&str>) {
    let world = World::new();
    let server = Running::start(&world, url).await;
    let (teacher, ppt) = (world.device(TEACHER), world.device(PPT));
    let mut teachers = server.enter(&world, TEACHER).await;
    let mut ppts = server.enter(&world, PPT).await;
    let genesis = world.genesis_event(teacher, &world.card_founding());
    let mut events = vec![genesis.clone()];
    // Large enough that skipping them is worth a checkpoint.
    let large = Change { sealed: vec![8; 1024].into(), ..change() };
    let write = |counter| Event { counter, body: Body::Change(large.clone()), ..genesis.clone() };
    events.extend((2..=RECORDS).map(write));
    for some in events.chunks(200) {
        let envelopes = some.iter().map(|e| Envelope { event: Signed::sign(e, &teacher.key), welcome: None }).collect();
        teachers.submit(Bundle { envelopes, letters: vec![] }).await.unwrap();
    }

    // Whole or not at all, one's own, not beyond the chain, and no larger than allowed.
    let good = head(teacher, 290, &[b"one", b"two"]);
    assert_eq!(teachers.ask(part(b"one")).await, Reply::Done);
    assert_eq!(teachers.problem(put(teacher, &good)).await, "inconsistent", "a part is missing");
    assert_eq!(teachers.ask(part(b"two")).await, Reply::Done);
    assert_eq!(teachers.problem(put(ppt, &good)).await, "inconsistent", "signed by somebody else");
    assert_eq!(teachers.problem(put(teacher, &head(ppt, 290, &[b"one"]))).await, "not-allowed");
    assert_eq!(teachers.problem(put(teacher, &head(teacher, RECORDS + 1, &[b"one"]))).await, "inconsistent");
    assert_eq!(teachers.problem(part(&vec![7; CHECKPOINT_PART_BYTES + 1])).await, "too-large");
    let (heads, _, seqs) = ahead(&mut teachers).await;
    assert!(heads.is_empty() && seqs.len() as u64 == RECORDS, "nothing of that was stored");
    assert_eq!(teachers.ask(put(teacher, &good)).await, Reply::Done);
    let (heads, parts, seqs) = ahead(&mut teachers).await;
    assert_eq!((heads, parts), (vec![290], vec![b"one".to_vec(), b"two".to_vec()]));
    assert_eq!(seqs, (291..=RECORDS).collect::<Vec<_>>());

    // A new one takes the place of the old, and its parts with it.
    assert_eq!(teachers.ask(part(b"three")).await, Reply::Done);
    assert_eq!(teachers.ask(put(teacher, &head(teacher, 300, &[b"three"]))).await, Reply::Done);
    assert_eq!(ahead(&mut teachers).await.1, vec![b"three".to_vec()]);
    assert_eq!(teachers.problem(put(teacher, &good)).await, "inconsistent", "the old parts are gone");

    // Who has no place in the scope learns nothing and leaves nothing.
    assert_eq!(ppts.problem(part(b"mine")).await, "unknown-scope");
    assert_eq!(ppts.problem(put(ppt, &head(ppt, 290, &[]))).await, "unknown-scope");
    assert_eq!(ahead(&mut ppts).await, (vec![], vec![], vec![]));
    let after = |seq| Request::History(ScopePosition { scope: CARD, seq });
    assert_eq!(ppts.problem(after(0)).await, "unknown-scope");

    // History comes page by page, each with its receipt, and follows nothing.
    let Reply::Records(page) = teachers.ask(after(100)).await else { panic!("no page") };
    assert_eq!(page.records[0].seq, 101);
    let receipt = page.receipt.verify(&public(&world.municipality)).unwrap();
    assert_eq!(receipt.position.seq, page.records.last().unwrap().seq);
    assert_eq!(teachers.ask(after(RECORDS)).await, Reply::Done);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn checkpoints_beside_a_chain_on_sqlite() {
    story(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn checkpoints_beside_a_chain_on_postgres() {
    let Some(postgres) = Postgres::start() else { return };
    story(Some(&postgres.database("checkpoints").unwrap())).await;
}
