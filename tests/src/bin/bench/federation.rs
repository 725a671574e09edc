//! Two municipalities that know each other: edits across, and a log that moves.

use crate::limits::Limits;
use crate::municipality::Municipality;
use crate::people::{Town, text};
use crate::{live, percentile, show};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore as _, SeedableRng as _};
use serde_json::Value;
use stafett_cli::host::open_home::OpenHome;
use stafett_client_core::client::input::{AccessWord, AttachTo, Command as Wish, NewAttachment, Who};
use std::time::{Duration, Instant};

const NUMBER: &str = "1106";
const FILES: u64 = 2;
const FILE_BYTES: usize = 10 << 20;
const READERS: [&str; 4] = ["ppt-1", "ppt-2", "ppt-3", "ppt-4"];

pub async fn run(town: &mut Town, limits: &Limits, edits: usize) {
    let there = Municipality::start(town.folder().join("there"), NUMBER, "Haugesund");
    town.here.peer_with(&there);
    let (ppt, code) = there.unit("PPT Haugesund", "ppt");
    town.join("ppt", code).await;
    let mut employees = vec![];
    for name in READERS {
        employees.push(town.employ("ppt", name).await);
    }
    units_there(town).await;
    let (who, scopes) = (Who::Unit(ppt), vec![town.concern.clone()]);
    let request = Wish::AccessRequest { log: town.log.clone(), who, scopes, access: AccessWord::Read };
    town.ask("teacher", request).await;
    town.sync("teacher").await;
    town.parents_say_yes().await;
    town.rounds(2).await;
    for person in employees {
        let assign = Wish::UnitAssign { log: town.log.clone(), person, scopes: vec![] };
        town.ask("ppt", assign).await;
    }
    town.rounds(4).await;
    town.further_device("third").await;
    town.sync("third").await;

    // The floor: three durable commits one after another (writer, home, reader); the relay stores nothing.
    let floor = 3000.0 / limits.commits;
    let two = paced(town, &READERS[..1], 2_000_000).await;
    show("P1", "live edit, 2 people on 2 servers, 200 edits 50 ms apart: p50", percentile(&two, 0.5), floor, "ms");
    show("P1", "  p99", percentile(&two, 0.99), floor, "ms");
    let seven = ["mother", "father", "third", "ppt-1", "ppt-2", "ppt-3", "ppt-4"];
    let eight = paced(town, &seven, 3_000_000).await;
    show("P2", "live edit, 1 writer and 7 readers on 2 servers: p50", percentile(&eight, 0.5), floor, "ms");
    show("P2", "  p99", percentile(&eight, 0.99), floor, "ms");
    moves(town, &there, limits, edits).await;
}

/// How the teacher comes to know the other municipality's units.
async fn units_there(town: &mut Town) -> Value {
    let ask = || Wish::UnitsOf { municipality: NUMBER.into() };
    town.sync("teacher").await;
    town.ask("teacher", ask()).await;
    town.sync("teacher").await;
    town.ask("teacher", ask()).await
}

async fn paced(town: &mut Town, readers: &[&str], from: u64) -> Vec<f64> {
    let writer = town.take("teacher").await;
    let mut sessions = vec![];
    for reader in readers {
        let mut session = town.take(reader).await;
        session.sync().await.expect("syncs");
        sessions.push(session);
    }
    let (times, writer, sessions) = live::paced(writer, sessions, &town.concern.clone(), from).await;
    town.give("teacher", writer);
    for (reader, session) in readers.iter().zip(sessions) {
        town.give(reader, session);
    }
    times
}

/// The log goes to a school there, while the father goes on writing.
async fn moves(town: &mut Town, there: &Municipality, limits: &Limits, edits: usize) {
    attach(town).await;
    let (school, code) = there.unit("Haraldsvang skole", "school");
    let leader = town.join("rector", code).await;
    let holder = town.employ("rector", "holder").await;
    units_there(town).await;
    let number = text(&town.ask("teacher", Wish::Verify { person: leader.clone(), number: None }).await, "number");
    town.ask("teacher", Wish::Verify { person: leader, number: Some(number) }).await;
    let offer = Wish::BatonOffer {
        log: town.log.clone(),
        to: school,
        municipality: Some(NUMBER.into()),
        notes: vec![],
        concerns: vec![town.concern.clone()],
        reason: "Familien flytter".into(),
    };
    let offer = text(&town.ask("teacher", offer).await, "offer");
    town.sync("teacher").await;
    town.sync("rector").await;
    town.ask("rector", Wish::BatonAccept { offer: offer.clone(), person: Some(holder) }).await;
    town.sync("rector").await;
    town.sync("holder").await;
    town.ask("holder", Wish::BatonAccept { offer, person: None }).await;
    town.sync("holder").await;
    town.parents_say_yes().await;

    let (mut teacher, mut father) = (town.take("teacher").await, town.take("father").await);
    let (log, concern) = (town.log.clone(), town.concern.clone());
    let start = Instant::now();
    let moving = async {
        for _ in 0..20 {
            teacher.sync().await.expect("syncs");
            if is_there(&mut teacher, &log).await {
                break;
            }
        }
        start.elapsed()
    };
    let writing = async {
        let (mut stood, mut after) = (vec![Instant::now()], 0);
        for i in 0.. {
            let glimpse = Wish::Glimpse { concern: concern.clone(), text: format!("Skrevet underveis {i}") };
            father.perform(glimpse).await.expect("is saved");
            let synced = father.sync().await.expect("syncs");
            if synced.queued == 0 {
                stood.push(Instant::now());
                after += usize::from(is_there(&mut father, &log).await);
            }
            if after == 5 || start.elapsed() > Duration::from_secs(300) {
                break;
            }
        }
        stood
    };
    let (moved, stood) = tokio::join!(moving, writing);
    let gaps: Vec<f64> = stood.windows(2).map(|pair| pair[1].duration_since(pair[0]).as_secs_f64()).collect();
    let pause = gaps.iter().copied().fold(0.0, f64::max);
    let usual = gaps.iter().copied().fold(f64::MAX, f64::min);
    town.give("teacher", teacher);
    town.give("father", father);
    town.rounds(2).await;
    let home = town.ask("mother", Wish::LogShow { log: town.log.clone() }).await;
    assert_eq!(home["home"], NUMBER, "the log has moved: {home}");
    // The floor: every event is verified once more by the new home, and stored in groups.
    let floor = edits as f64 / limits.verifies + edits as f64 / limits.rows;
    show(
        "T1",
        "a log with these edits and 20 MiB of files moves: from the last consent to the new home",
        moved.as_secs_f64(),
        floor,
        "s",
    );
    show("T2", "  the longest time in which the father's writing did not stand", pause, usual, "s");
    println!("the new home: {} kB resident, {} kB on disk", there.memory_kb(), there.disk_kb());
}

/// Files that travel with the concern, 20 MiB in all; bytes that no compression makes smaller.
async fn attach(town: &mut Town) {
    for n in 0..FILES {
        let mut rng = ChaCha20Rng::seed_from_u64(n);
        let mut bytes = b"%PDF-1.7\n".to_vec();
        bytes.resize(FILE_BYTES, 0);
        rng.fill_bytes(&mut bytes[9..]);
        let to = AttachTo::Glimpse(town.concern.clone());
        let file = NewAttachment { name: format!("rapport-{n}.pdf"), bytes };
        let start = Instant::now();
        town.ask("teacher", Wish::Attach { to, text: "Se vedlegget".into(), file }).await;
        town.sync("teacher").await;
        println!("attached {} MiB in {:.2} s", FILE_BYTES >> 20, start.elapsed().as_secs_f64());
    }
}

async fn is_there(session: &mut OpenHome, log: &str) -> bool {
    // Who has handed the log over may no longer open it.
    session.perform(Wish::LogShow { log: log.into() }).await.map_or(true, |shown| shown.to_json()["home"] == NUMBER)
}
