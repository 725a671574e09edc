//! How fast the server alone is: `cargo test --release --workspace --test server speed:: -- --ignored --nocapture`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::time::Instant;

use crate::common::*;
use crate::support::*;
use stafett_protocol::event::{Body, Event};
use stafett_protocol::signed::Signed;
use stafett_protocol::wire::*;
use stafett_server::pg::Postgres;

async fn measure(name: &str, url: Option<&str>) {
    let world = World::new();
    let server = Running::start(&world, url).await;
    let teacher = world.device(TEACHER);
    let mut writer = server.enter(&world, TEACHER).await;
    let genesis = world.genesis_event(teacher, &world.card_founding());
    let bundle = |events: &[Event]| Bundle {
        envelopes: events
            .iter()
            .map(|event| Envelope { event: Signed::sign(event, &teacher.key), welcome: None })
            .collect(),
        letters: vec![],
    };
    let accepted = writer.submit(bundle(std::slice::from_ref(&genesis))).await.unwrap();
    let card = world.found_event(teacher, genesis, accepted[0].time, None).unwrap();
    let first = card.event(teacher, Body::Change(change()));
    let nth = |n: u64| Event { counter: first.counter + n, ..first.clone() };
    let mut reader = server.open(&teacher.key).await.unwrap();
    reader.ask(Request::Sync(vec![ScopePosition { scope: CARD, seq: 1 }])).await;
    let (mut live, mut n) = (vec![], 0);
    for _ in 0..500 {
        let ready = bundle(&[nth(n)]);
        let start = Instant::now();
        let (answer, _) = tokio::join!(writer.submit(ready), reader.push());
        live.push(start.elapsed());
        answer.unwrap();
        n += 1;
    }
    live.sort();
    let bundles: Vec<_> =
        (0..40).map(|b| bundle(&(0..250).map(|i| nth(n + b * 250 + i)).collect::<Vec<_>>())).collect();
    let start = Instant::now();
    for ready in bundles {
        writer.submit(ready).await.unwrap();
    }
    let ingest = 10_000.0 / start.elapsed().as_secs_f64();
    let mut late = server.open(&teacher.key).await.unwrap();
    let start = Instant::now();
    late.ask(Request::Sync(vec![ScopePosition { scope: CARD, seq: 0 }])).await;
    println!(
        "{name}: live edit p50 {:?} p99 {:?}; ingest {ingest:.0} events/s; catch-up of 10,501 events {:?}",
        live[250],
        live[495],
        start.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement, not a test"]
async fn speed() {
    measure("SQLite", None).await;
    if let Some(postgres) = Postgres::start() {
        measure("PostgreSQL", Some(&postgres.database("speed").unwrap())).await;
    }
}
