//! `cargo run -p stafett-tests --bin flood [STAFETTD]`: a real server process under each attack on its memory, and what it
//! holds second by second. Give it an older `stafettd` to see what a mend was worth. What is bounded is a line that
//! ends flat; what is not, grows as long as the attack lasts.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a bench stops at the first surprise"
)]

mod attacker;
mod attacks;
mod town;

use attacks::ATTACKS;
use std::path::PathBuf;
use std::time::Duration;
use town::Town;

/// How long an attack lasts, and how long the server has to come to rest after it.
const SECONDS: usize = 20;
const REST: usize = 5;

fn main() {
    let mut words = std::env::args().skip(1);
    let stafettd = words.next().map_or_else(beside, PathBuf::from);
    let wanted: Vec<String> = words.collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    println!(
        "{}: MiB resident before, each second of {SECONDS} under attack, and after {REST} more",
        stafettd.display()
    );
    for attack in ATTACKS.iter().filter(|attack| wanted.is_empty() || wanted.iter().any(|name| name == attack.name)) {
        runtime.block_on(run(&stafettd, attack));
    }
}

fn beside() -> PathBuf {
    let beside = std::env::current_exe().expect("has a path").with_file_name("stafettd");
    assert!(beside.exists(), "build the server first: cargo build --bin stafettd");
    beside
}

async fn run(stafettd: &std::path::Path, attack: &attacks::Attack) {
    let town = Town::start(stafettd);
    let before = town.memory_mib();
    let under_attack = tokio::spawn((attack.run)(town.target()));
    let mut curve = vec![];
    for _ in 0..SECONDS {
        tokio::time::sleep(Duration::from_secs(1)).await;
        curve.push(town.memory_mib());
    }
    let done = under_attack.is_finished();
    under_attack.abort();
    let failed = under_attack.await.err().is_some_and(|error| error.is_panic());
    tokio::time::sleep(Duration::from_secs(REST as u64)).await;
    let serves = attacker::Target::is_well(&town.target()).await;
    let curve: Vec<String> = curve.iter().map(ToString::to_string).collect();
    println!(
        "{:<10} {:<58} {before:>5} | {} | {:>5}{}{}{}",
        attack.name,
        attack.what,
        curve.join(" "),
        town.memory_mib(),
        if serves { "" } else { "  DOES NOT SERVE" },
        if done && !failed { "  (the attack came to its end)" } else { "" },
        if failed { "  (THE ATTACK FAILED)" } else { "" },
    );
}
