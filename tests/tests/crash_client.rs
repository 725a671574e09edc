//! The power goes at every write and every sync of a client's SQLite (K4): a batch of rows is there whole or not at all,
//! in the order in which batches were saved, and whoever was told that a batch is saved finds it. With what the
//! simulation shows (a process that dies before saving, after it, before sending), each edit arrives exactly once.
//!
//! The batches are a real client's, from its first start to edits, receipts and a withdrawal. `STAFETT_CRASH=all` tries
//! every state that a crash can leave, as in `crash_server`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use stafett_cli::host::seal::Seal;
use stafett_cli::host::store::{Store, StoreError};
use stafett_client_core::rows::{Row, Space};
use stafett_tests::disk::{Failing, MODES, Mode, Recording, chosen};
use stafett_tests::simulation::operation::{Step, Wish};
use stafett_tests::simulation::world::{FATHER, MOTHER, PPT_LEADER, TEACHER, World};
use stafett_tests::simulation::{CI, Size};
use stafett_tests::vfs::{Failure, watch};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};

/// What is on the disk after each batch.
type Rows = BTreeMap<(u8, Vec<u8>), Vec<u8>>;

/// How many states are tried, where not all are.
const STATES: usize = 200;

/// Everything that the teacher's device saves in a small story.
fn batches() -> &'static [Vec<Row>] {
    static BATCHES: OnceLock<Vec<Vec<Row>>> = OnceLock::new();
    BATCHES.get_or_init(told)
}

fn told() -> Vec<Vec<Row>> {
    let mut world = World::new(5, Size { logs: 1, ..CI });
    let glimpse = |who| Wish::Glimpse { who, log: 0, concern: 0 };
    let access = Wish::AskForAccess { log: 0, concern: 0, contribute: false };
    let consents =
        [MOTHER, FATHER].map(|who| [Wish::Sync { who }, Wish::Consent { guardian: who }, Wish::Sync { who }]);
    let wishes = [
        vec![glimpse(TEACHER), Wish::Sync { who: TEACHER }, Wish::Sync { who: MOTHER }],
        vec![glimpse(MOTHER), Wish::Sync { who: MOTHER }, access, Wish::Sync { who: TEACHER }],
        consents.concat(),
        vec![Wish::Sync { who: TEACHER }, Wish::Sync { who: PPT_LEADER }, Wish::NameWhoActs { log: 0 }],
        vec![Wish::Sync { who: PPT_LEADER }, Wish::Sync { who: TEACHER }, Wish::Withdraw { guardian: MOTHER, log: 0 }],
    ];
    for (at, wish) in wishes.concat().into_iter().enumerate() {
        world.begin_step(at);
        world.perform(&Step::Wish(wish));
    }
    world.settle();
    std::mem::take(&mut world.nodes[TEACHER].device.saved)
}

fn apply(disk: &mut Rows, batch: &[Row]) {
    for row in batch {
        let key = (row.space as u8, row.key.clone());
        match &row.value {
            Some(value) => disk.insert(key, value.clone()),
            None => disk.remove(&key),
        };
    }
}

async fn open(dir: &Path) -> Result<Store, StoreError> {
    Store::open(&dir.join("store.sqlite"), Seal::under(&[9; 32])).await
}

/// Saves all batches, in two lives of the program; each time one is saved, `saved` is called.
async fn save_all(dir: &Path, batches: &[Vec<Row>], saved: impl Fn()) -> Result<(), StoreError> {
    for life in batches.chunks(batches.len().div_ceil(2)) {
        let mut store = open(dir).await?;
        for batch in life {
            store.write(batch).await?;
            saved();
        }
        store.close().await?;
    }
    Ok(())
}

/// What the store holds, events and all.
async fn contents(store: &mut Store) -> Result<Rows, StoreError> {
    let mut rows = store.load().await?;
    let scopes: Vec<Vec<u8>> =
        rows.iter().filter(|r| r.space == Space::Scope && r.key.len() == 17).map(|r| r.key[..16].to_vec()).collect();
    for scope in scopes {
        let known: Vec<Row> = store.events(&scope, 0, u64::MAX).await?;
        rows.extend(known);
    }
    let mut found = Rows::new();
    apply(&mut found, &rows);
    Ok(found)
}

/// Each state after a batch, the empty one first.
fn states(batches: &[Vec<Row>]) -> Vec<Rows> {
    let mut states = vec![Rows::new()];
    for batch in batches {
        let mut next = states.last().unwrap().clone();
        apply(&mut next, batch);
        states.push(next);
    }
    states
}

async fn crash_everywhere(modes: &[Mode], synchronous: Option<&'static str>, some: usize) -> Vec<String> {
    let batches = batches();
    let states = states(batches);
    let disk = Arc::new(Recording::under(synchronous));
    let dir = tempfile::tempdir().unwrap();
    watch(dir.path(), Arc::clone(&disk) as Arc<_>);
    save_all(dir.path(), batches, || disk.acknowledge()).await.unwrap();
    let (steps, syncs) = disk.steps();
    let room = tempfile::tempdir().unwrap();
    let (mut n, mut folders) = (0, vec![]);
    let all = disk.crashes(modes, some, |crash| {
        n += 1;
        let dir = room.path().join(n.to_string());
        std::fs::create_dir(&dir).unwrap();
        crash.lay_out(&dir);
        folders.push((dir, format!("{:?} before step {} of {steps}", crash.mode, crash.at), crash.acknowledged));
    });
    let mut bad = vec![];
    for (dir, what, saved) in &folders {
        if let Err(why) = check(dir, &states, *saved).await {
            bad.push(format!("{what}, {saved} saved: {why}"));
        }
        std::fs::remove_dir_all(dir).unwrap();
    }
    println!(
        "synchronous {}: {} batches, {steps} steps, {syncs} of them syncs, {all} states, {} tried, {} bad",
        synchronous.unwrap_or("as the client asks"),
        batches.len(),
        folders.len(),
        bad.len()
    );
    bad
}

/// The store opens and holds exactly what some batch not older than the last saved one left, and takes more.
async fn check(dir: &Path, states: &[Rows], saved: usize) -> Result<(), String> {
    let said = |error: StoreError| error.to_string();
    let mut store = open(dir).await.map_err(said)?;
    let found = contents(&mut store).await.map_err(said)?;
    let state = states[saved..].iter().take(2).any(|state| *state == found);
    if !state {
        return Err(match states.iter().position(|state| *state == found) {
            Some(at) => format!("the state after batch {at} is here"),
            None => "what is here was never saved so".into(),
        });
    }
    let row = Row { space: Space::State, key: b"after".to_vec(), value: Some(b"the crash".to_vec()) };
    store.write(std::slice::from_ref(&row)).await.map_err(said)?;
    store.close().await.map_err(said)?;
    let mut again = open(dir).await.map_err(said)?;
    let rows = again.load().await.map_err(said)?;
    if rows.contains(&row) { Ok(()) } else { Err("the store takes no more".into()) }
}

#[tokio::test]
async fn k4_a_batch_is_saved_whole_or_not_at_all() {
    let bad = crash_everywhere(&MODES, None, STATES).await;
    assert!(bad.is_empty(), "{bad:#?}");
}

#[tokio::test]
async fn s3_a_client_that_does_not_sync_is_noticed() {
    for synchronous in ["1", "OFF"] {
        let bad = crash_everywhere(&[Mode::Lost], Some(synchronous), 40).await;
        assert!(!bad.is_empty(), "synchronous = {synchronous} went unnoticed");
    }
}

/// A full or broken disk is said, what was saved stays, and with room again the same batch is saved (K3).
#[tokio::test]
async fn k3_a_disk_that_fails_is_said_and_nothing_is_half_saved() {
    let batches = batches();
    let states = states(batches);
    let recording = Arc::new(Recording::default());
    let dir = tempfile::tempdir().unwrap();
    watch(dir.path(), Arc::clone(&recording) as Arc<_>);
    save_all(dir.path(), batches, || ()).await.unwrap();
    let (steps, syncs) = recording.steps();
    let mut told = 0;
    let cases = |failing: fn(usize) -> Failing, all: usize| chosen(all, 8).map(failing).collect::<Vec<_>>();
    let full = cases(|from| Failing::writes(Failure::Full, from), steps - syncs);
    let broken = cases(|from| Failing::writes(Failure::Broken, from), steps - syncs);
    for failing in full.into_iter().chain(broken).chain(cases(Failing::syncs, syncs)) {
        let (dir, disk) = (tempfile::tempdir().unwrap(), Arc::new(failing));
        watch(dir.path(), Arc::clone(&disk) as Arc<_>);
        let saved = std::cell::Cell::new(0);
        let result = save_all(dir.path(), batches, || saved.set(saved.get() + 1)).await;
        told += usize::from(result.is_err());
        assert!(result.is_ok() || matches!(result, Err(StoreError::Sqlite(_))), "{result:?}");
        assert!(disk.mend() > 0);
        check(dir.path(), &states, saved.get()).await.unwrap_or_else(|why| panic!("{} saved: {why}", saved.get()));
    }
    println!("{told} times the client was told");
    assert!(told > 10);
}
