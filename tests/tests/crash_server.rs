//! The power goes at every write and every sync of the server's SQLite (S1): what was acknowledged is there, chains
//! verify, nothing is done twice, and the server goes on. EIO and ENOSPC at every one of them (S4, S5). The suite is
//! shown to catch `synchronous = NORMAL` and `OFF` (S3).
//!
//! The server's real intake and store run over a disk that remembers (`stafett_tests::disk`); each state that a crash can
//! leave is laid out in a folder of its own and opened by the same code. `STAFETT_CRASH=all` tries every state and every
//! failing write; without it, CI tries as many as fit into its time, evenly spread.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "crash/check.rs"]
mod check;
#[path = "crash/script.rs"]
mod script;

use check::*;
use script::*;
use stafett_tests::disk::{Failing, MODES, Mode, Recording, chosen};
use stafett_tests::vfs::{Failure, watch};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// How many of the states that a crash can leave are tried, where not all are.
const STATES: usize = 400;
/// How many failing writes are tried, where not all are.
const FAILING: usize = 12;

/// The story once, on a disk that remembers.
async fn recorded(town: &Town, disk: &Arc<Recording>) -> Played {
    let dir = tempfile::tempdir().unwrap();
    watch(dir.path(), Arc::clone(disk) as Arc<_>);
    let noted = Arc::clone(disk);
    play(town, dir.path(), move || noted.acknowledge()).await
}

/// Tries states that a crash can leave; answers how many there were, and what was wrong with those that were bad.
async fn crash_everywhere(modes: &[Mode], synchronous: Option<&'static str>, some: usize) -> (usize, Vec<String>) {
    let town = Town::new();
    let disk = Arc::new(Recording::under(synchronous));
    let played = recorded(&town, &disk).await;
    let (steps, syncs) = disk.steps();
    let begun = Instant::now();
    let mut folders = vec![];
    let mut n = 0;
    let room = tempfile::tempdir_in(shared_memory()).unwrap();
    let all = disk.crashes(modes, some, |crash| {
        n += 1;
        let dir = room.path().join(n.to_string());
        std::fs::create_dir(&dir).unwrap();
        crash.lay_out(&dir);
        folders.push((dir, format!("{:?} before step {} of {steps}", crash.mode, crash.at), crash.acknowledged));
    });
    let mut bad = vec![];
    for (dir, what, acknowledged) in &folders {
        if let Err(why) = check(&town, dir, &played, *acknowledged).await {
            bad.push(format!("{what}, {acknowledged} acknowledged: {why}"));
        }
        std::fs::remove_dir_all(dir).unwrap();
    }
    println!(
        "synchronous {}: {steps} steps, {syncs} of them syncs, {all} states after a crash, {} tried in {:?}, {} bad",
        synchronous.unwrap_or("as the server asks"),
        folders.len(),
        begun.elapsed(),
        bad.len()
    );
    (folders.len(), bad)
}

/// A folder in memory, if the machine has one: thousands of small databases are laid out.
fn shared_memory() -> &'static Path {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { memory } else { Path::new("/tmp") }
}

#[tokio::test]
async fn s1_no_crash_loses_or_doubles_anything() {
    let (tried, bad) = crash_everywhere(&MODES, None, STATES).await;
    assert!(tried >= 100, "{tried}");
    assert!(bad.is_empty(), "{bad:#?}");
}

#[tokio::test]
async fn s3_the_suite_notices_a_database_that_does_not_sync() {
    for synchronous in ["1", "OFF"] {
        let (_, bad) = crash_everywhere(&[Mode::Lost], Some(synchronous), 20).await;
        assert!(!bad.is_empty(), "synchronous = {synchronous} went unnoticed");
    }
}

/// From some write on nothing can be written: who asks hears it, who reads goes on, and with room again all is well.
async fn fails_and_recovers(failure: Failure) {
    let town = Town::new();
    let disk = Arc::new(Recording::default());
    let played = recorded(&town, &disk).await;
    let (steps, syncs) = disk.steps();
    let writes = steps - syncs;
    let mut refused = 0;
    for from in chosen(writes, FAILING) {
        let dir = tempfile::tempdir_in(shared_memory()).unwrap();
        let disk = Arc::new(Failing::writes(failure, from));
        watch(dir.path(), Arc::clone(&disk) as Arc<_>);
        let mended = Arc::clone(&disk);
        let (again, faults) = replay(&town, dir.path(), &played, move || mended.mend()).await;
        refused += usize::from(faults > 0);
        check(&town, dir.path(), &again, again.steps()).await.unwrap_or_else(|why| panic!("write {from}: {why}"));
    }
    println!("{failure:?}: {refused} times somebody was told, of {writes} writes");
    assert!(refused > 5);
}

#[tokio::test]
async fn s4_a_full_disk_is_said_and_survived() {
    fails_and_recovers(Failure::Full).await;
}

#[tokio::test]
async fn a_write_that_fails_is_said_and_survived() {
    fails_and_recovers(Failure::Broken).await;
}

/// Where the child finds which sync is to fail, and its folder.
const CHILD: &str = "STAFETT_TEST_FAILING_SYNC";

/// EIO on fsync: no acknowledgement, the process stops, and a new one finds everything that was acknowledged.
#[tokio::test]
async fn s5_a_failed_sync_stops_the_server() {
    if let Ok(told) = std::env::var(CHILD) {
        let (from, dir) = told.split_once(' ').unwrap();
        let dir = Path::new(dir);
        let disk = Arc::new(Failing::syncs(from.parse().unwrap()));
        watch(dir, disk);
        let log = dir.with_extension("acknowledged");
        play(&Town::new(), dir, move || {
            use std::io::Write as _;
            let mut log = std::fs::OpenOptions::new().create(true).append(true).open(&log).unwrap();
            log.write_all(b".").unwrap();
        })
        .await;
        return;
    }
    let town = Town::new();
    let disk = Arc::new(Recording::default());
    let played = recorded(&town, &disk).await;
    let (_, syncs) = disk.steps();
    let (mut tried, mut aborted) = (0, 0);
    for from in chosen(syncs, 9) {
        tried += 1;
        let room = tempfile::tempdir_in(shared_memory()).unwrap();
        let dir = room.path().join("database");
        std::fs::create_dir(&dir).unwrap();
        let (_, module) = module_path!().split_once("::").unwrap();
        let child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &format!("{module}::s5_a_failed_sync_stops_the_server"), "--quiet"])
            .env(CHILD, format!("{from} {}", dir.display()))
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .status()
            .unwrap();
        use std::os::unix::process::ExitStatusExt as _;
        aborted += usize::from(child.signal().is_some());
        let said = std::fs::read(dir.with_extension("acknowledged")).unwrap_or_default().len();
        check_another(&town, &dir, &played, said).await.unwrap_or_else(|why| panic!("sync {from}: {why}"));
        assert!(!child.success() || said == played.steps(), "sync {from} failed and nobody noticed");
    }
    println!("of {syncs} syncs {tried} were made to fail; {aborted} times the process stopped itself");
    assert!(aborted > 3);
}
