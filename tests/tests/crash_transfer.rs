//! Both servers of a move die at every write and every sync of either database (F1): one home and one holder within
//! seconds after both run, whatever was acknowledged is there, every request may be asked again, and a withdrawal given
//! at any point of the move holds at the end (C15).
//!
//! Two real servers with real clients over TLS, their disks on one tape (`stafett_tests::disk`). `STAFETT_CRASH=all` tries
//! every state that a crash can leave, `STAFETT_CRASH=3/40` the third of forty parts of them; without it every one that a
//! sync has made durable is tried, and some in between.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "crash/moves.rs"]
mod moves;

use crate::support::Stopped;
use moves::Act::*;
use moves::*;
use stafett_tests::disk::{Crash, Mode, asked_for};
use std::path::Path;
use std::time::Instant;

/// How many states of each way are tried beside those that end at a sync, where not all are.
const STATES: usize = 4;

#[tokio::test(flavor = "multi_thread")]
async fn f1_both_homes_die_at_every_write_of_a_move() {
    crash_everywhere(&[Prepare, Commit, Carry, Write]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c15_withdrawn_before_the_new_home_is_asked() {
    crash_everywhere(&[Withdraw, Prepare, Commit, Carry, Write]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c15_withdrawn_while_the_new_home_is_bound() {
    crash_everywhere(&[Prepare, Withdraw, Stale, Prepare, Commit, Carry, Write]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c15_withdrawn_before_the_new_home_serves() {
    crash_everywhere(&[Prepare, Commit, Withdraw, Write]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c15_withdrawn_after_the_move() {
    crash_everywhere(&[Prepare, Commit, Carry, Withdraw, Write]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c15_the_consent_to_the_move_withdrawn() {
    crash_everywhere(&[Prepare, WithdrawMove, Stale]).await;
}

async fn crash_everywhere(acts: &[Act]) {
    let (log, tape) = recorded().await;
    let (mut log, played) = play(log, acts, &tape).await;
    let (a, b) = (log.a.down().await, log.b.down().await);
    let (steps, syncs) = tape.steps();
    let room = tempfile::tempdir_in(shared_memory()).unwrap();
    // Homes without their databases: keys, settings, certificates.
    let bare = [&a, &b].map(|stopped| bare(stopped, room.path()));
    let begun = Instant::now();
    let mut left = vec![];
    let mut lay_out = |crash: Crash<'_>| {
        let dir = tempfile::tempdir_in(room.path()).unwrap();
        ["a", "b"].iter().for_each(|name| std::fs::create_dir(dir.path().join(name)).unwrap());
        crash.lay_out(dir.path());
        left.push((dir, format!("{:?} before step {} of {steps}", crash.mode, crash.at), crash.acknowledged));
    };
    // Every state that a sync has made durable, and some of those in between.
    let durable = tape.crashes(&[Mode::Lost], usize::MAX, &mut lay_out);
    let all = durable + tape.crashes(&[Mode::Clean, Mode::Torn, Mode::Some], STATES, &mut lay_out);
    let tried = left.len();
    let addresses = [a.address, b.address];
    let mut bad = vec![];
    for (dir, what, acknowledged) in left {
        let [a, b] = laid_out([bare[0].path(), bare[1].path()], dir.path());
        log.a = Stopped { dir: a, address: addresses[0], url: None }.up().await;
        log.b = Stopped { dir: b, address: addresses[1], url: None }.up().await;
        if let Err(why) = check(&log, &played, acknowledged).await {
            bad.push(format!("{what}, {acknowledged} of {} acknowledged: {why}", played.acts()));
        }
        drop((log.a.down().await, log.b.down().await));
    }
    let (part, parts) = asked_for().unwrap_or((1, 1));
    println!(
        "{acts:?}, part {part} of {parts}: {steps} steps, {syncs} of them syncs, {all} states after a crash, {tried} tried in {:?}, {} bad",
        begun.elapsed(),
        bad.len()
    );
    assert!(tried > syncs / parts, "{tried}");
    assert!(bad.is_empty(), "{bad:#?}");
}

/// A copy of a server's home without its database.
fn bare(stopped: &Stopped, room: &Path) -> tempfile::TempDir {
    let dir = tempfile::tempdir_in(room).unwrap();
    for file in std::fs::read_dir(stopped.dir.path().join("home")).unwrap().map(Result::unwrap) {
        if file.path().is_file() && !file.file_name().to_string_lossy().starts_with("stafett.db") {
            std::fs::copy(file.path(), dir.path().join(file.file_name())).unwrap();
        }
    }
    dir
}

/// A folder in memory, if the machine has one.
fn shared_memory() -> &'static Path {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { memory } else { Path::new("/tmp") }
}
