//! kill -9 of the real server process, again and again while devices write: nothing that was
//! acknowledged is lost, nothing stands twice.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

#[path = "../../protocol/tests/common/mod.rs"]
mod common;
#[path = "support/remote.rs"]
mod remote;
mod support;

use crate::common::*;
use crate::remote::Remote;
use stafett_protocol::codec::{decode, encode};
use stafett_protocol::event::{Body, Change, Event, Position};
use stafett_protocol::ids::{Hash, ScopeId};
use stafett_protocol::signed::Signed;
use stafett_protocol::wire::*;
use stafett_server::pg::Postgres;

const KILLS: usize = 15;

fn serve(home: &Path) -> Child {
    let mut child = Command::new(env!("CARGO_BIN_EXE_stafettd"))
        .args(["serve", "--home", home.to_str().unwrap()])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("ready"));
    child
}

/// The n-th change of the device, always the same bytes.
fn nth(first: &Event, n: u64) -> Event {
    let body = Body::Change(Change { sealed: n.to_be_bytes().repeat(16).into(), ..change() });
    Event { counter: first.counter + n, body, ..first.clone() }
}

async fn survive(url: Option<&str>) {
    let world = World::new();
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("home");
    let place = Remote::init(&world, &home, url);
    let mother = world.device(MOTHER);
    let mut child = serve(&home);
    place.add_code(&home, url, [7; 16]).await;
    place.join(&claim(&world.person(MOTHER).key, mother, [7; 16])).await;
    let genesis = world.genesis_event(mother, &world.personal_founding(MOTHER));
    let scope = ScopeId(world.id(MOTHER).0);
    let bundle = |event: &Event| Bundle {
        envelopes: vec![Envelope { event: Signed::sign(event, &mother.key), welcome: None }],
        letters: vec![],
    };
    let mut client = place.open(&mother.key).await.unwrap();
    client.submit(bundle(&genesis)).await.unwrap();
    let first = Event { counter: 2, seen: Position::default(), body: Body::Change(change()), ..genesis };
    let mut receipts = vec![];
    for kill in 0..KILLS {
        let pid = child.id().to_string();
        let killer = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(15 + 7 * kill as u64));
            Command::new("kill").args(["-9", &pid]).status().unwrap();
        });
        // Writes until the connection breaks; the last one may or may not stand.
        while let Some(answer) = client.try_submit(bundle(&nth(&first, receipts.len() as u64))).await {
            receipts.push(answer.unwrap().remove(0));
        }
        killer.join().unwrap();
        child.wait().unwrap();
        child = serve(&home);
        client = place.open(&mother.key).await.unwrap();
    }
    for n in 0..3 {
        let answer = client.submit(bundle(&nth(&first, receipts.len() as u64))).await;
        receipts.push(answer.unwrap_or_else(|p| panic!("{n}: {}", p.code)).remove(0));
    }
    assert!(receipts.len() > KILLS, "there was something to lose");
    // The whole chain: every acknowledged event at its place, under heads that continue.
    client.pushed.clear();
    client.ask(Request::Sync(vec![ScopePosition { scope, seq: 0 }])).await;
    let mut all = vec![];
    let mut head = Hash::default();
    while let Some(push) = client.pushed.pop_front() {
        let Reply::Records(records) = push else { continue };
        for record in records.records {
            head = record.head_after(&head);
            all.push(record);
        }
        let receipt = records.receipt.verify(&public(&world.municipality)).unwrap();
        assert_eq!(receipt.position.head, head);
    }
    assert_eq!(all.len(), receipts.len() + 1);
    for (n, receipt) in receipts.iter().enumerate() {
        assert_eq!(receipt.seq, n as u64 + 2);
        assert_eq!(all[n + 1].event, Signed::sign(&nth(&first, n as u64), &mother.key));
        assert_eq!(all[n + 1].time, receipt.time);
    }
    assert_eq!(decode::<Signed<Event>>(&encode(&all[0].event)).unwrap(), all[0].event);
    drop(client);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_loses_nothing_on_sqlite() {
    survive(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_loses_nothing_on_postgresql() {
    let Some(postgres) = Postgres::start() else { return };
    survive(Some(&postgres.database("crash").unwrap())).await;
}
