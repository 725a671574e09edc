//! `cargo run --release -p stafett-tests --bin bench`: a first set of the figures of the design's performance
//! table, on one server and on two, with the product's own client, host and server, beside the limits of this machine in
//! the same run. Read the ratios; machines are shared and noisy.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a bench stops at the first surprise"
)]

mod federation;
mod limits;
mod live;
mod municipality;
mod people;
mod prose;

use people::{Town, measure};
use serde_json::json;
use stafett_cli::host::live::Live;
use std::time::{Duration, Instant};

fn main() {
    let edits: usize = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(10_000);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(run(edits));
}

fn show(id: &str, what: &str, ours: f64, limit: f64, unit: &str) {
    println!("{id:<4} {what:<66} {ours:>11.2} {unit:<9} limit {limit:>11.2}  ratio {:>8.2}", ours / limit);
    println!("{}", json!({"id": id, "what": what, "ours": ours, "limit": limit, "unit": unit}));
}

fn percentile(sorted: &[f64], p: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * p) as usize]
}

async fn run(edits: usize) {
    let limits = limits::measure().await;
    println!(
        "machine: {:.0} SQLite commits/s (WAL, FULL, one by one), {:.0} rows/s in groups, Ed25519 {:.0} sign/s {:.0} verify/s",
        limits.commits, limits.rows, limits.signs, limits.verifies
    );
    let mut town = Town::found().await;
    live(&mut town, &limits).await;
    let (ingest, apply) = burst(&mut town, edits).await;
    show(
        "P5",
        "edits as fast as the API takes them, until a second person has all",
        edits as f64 / ingest,
        limits.rows,
        "edits/s",
    );
    show("P5a", "  of that, until all are saved on the writer's disk", edits as f64 / apply, limits.commits, "edits/s");
    let back = catch_up(&mut town, edits).await;
    // The floor: every event's signature once, and its row on disk.
    let floor = edits as f64 / limits.verifies / 100.0 + edits as f64 / limits.rows;
    show("P3", "reader returns after those edits: connect to all visible", back, floor, "s");
    let cold = town.cold_device(edits).await;
    show("P4", "new device: connect to all visible", cold, floor, "s");
    println!("server: {} kB resident, {} kB on disk", town.here.memory_kb(), town.here.disk_kb());
    federation::run(&mut town, &limits, edits).await;
}

async fn live(town: &mut Town, limits: &limits::Limits) {
    let (writer, reader) = (town.take("teacher").await, town.take("mother").await);
    let (times, writer, mut readers) = live::paced(writer, vec![reader], &town.concern.clone(), 1).await;
    // The floor: three durable commits one after another (writer, server, reader).
    let floor = 3000.0 / limits.commits;
    show("P1a", "live edit, one server, 200 edits 50 ms apart: p50", percentile(&times, 0.5), floor, "ms");
    show("P1b", "live edit, one server, 200 edits 50 ms apart: p99", percentile(&times, 0.99), floor, "ms");
    town.give("teacher", writer);
    town.give("mother", readers.remove(0));
}

async fn burst(town: &mut Town, edits: usize) -> (f64, f64) {
    let (mut writer, reader) = (town.take("teacher").await, town.take("mother").await);
    let concern = town.concern.clone();
    let mut reader = Live::open(reader).await.expect("connects");
    let before = people::measures(&mut reader, &concern).await;
    let start = Instant::now();
    for i in 0..edits {
        writer.perform(measure(&concern, 1_000_000 + i as u64)).await.expect("is saved");
    }
    let applied = start.elapsed().as_secs_f64();
    let sent = async { writer.sync().await.expect("syncs") };
    let seen = async {
        while people::measures(&mut reader, &concern).await < before + edits {
            assert!(reader.next(Duration::from_secs(60)).await.expect("the stream holds").0, "edits are missing");
        }
    };
    tokio::join!(sent, seen);
    let all = start.elapsed().as_secs_f64();
    town.give("teacher", writer);
    town.give("mother", reader.close().await.expect("closes"));
    (all, applied)
}

async fn catch_up(town: &mut Town, edits: usize) -> f64 {
    let mut father = town.take("father").await;
    let start = Instant::now();
    father.sync().await.expect("syncs");
    let seen = people::measures_of(&mut father, &town.concern).await;
    let time = start.elapsed().as_secs_f64();
    assert!(seen >= edits, "the reader sees {seen}");
    town.give("father", father);
    time
}
