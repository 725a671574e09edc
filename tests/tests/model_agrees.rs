//! The home that simulations model gives the verdicts of the real one: every bundle of some random worlds is handed to
//! the server's own intake, on SQLite and on PostgreSQL, at the same moment, and answered with the same receipts to the
//! byte or refused with the same code.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore as _, SeedableRng as _};
use stafett_protocol::codec::{decode, encode};
use stafett_protocol::federation::PeerFile;
use stafett_protocol::ids::{DeviceId, PersonId, PublicKey};
use stafett_protocol::signed::Signed;
use stafett_protocol::wire::Accepted;
use stafett_server::certs;
use stafett_server::db::{Conn, Db, StoreError};
use stafett_server::federation::Federation;
use stafett_server::home::{Home, Settings, stop_clock};
use stafett_server::municipality::Municipality;
use stafett_server::pg::Postgres;
use stafett_server::problem::Fault;
use stafett_server::server::Server;
use stafett_server::store::accounts::Device;
use stafett_server::store::peers;
use stafett_tests::model::home::{Answered, ModelHome};
use stafett_tests::simulation::operation;
use stafett_tests::simulation::world::World;
use stafett_tests::simulation::{CI, Size};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::watch;

/// In these the PPT belongs to the same municipality: batons pass, and no log moves between homes.
const SEEDS: [u64; 4] = [102, 105, 108, 111];

fn played(seed: u64) -> World {
    let mut world = World::new(seed, CI);
    for (at, step) in operation::draw(seed, Size { steps: 120, ..CI }).iter().enumerate() {
        world.begin_step(at);
        world.perform(step);
        world.pump();
    }
    world
}

/// A server with the model's own key, to which the model's peers are known.
async fn server_of(model: &ModelHome, dir: &Path, url: Option<&str>) -> (Db, Arc<Server>, watch::Sender<bool>) {
    let settings = Settings {
        number: model.number,
        name: "Ullensaker".into(),
        listen: "127.0.0.1:0".into(),
        url: "https://127.0.0.1:1".into(),
        database: None,
        created_ms: model.now,
    };
    let home = Home::create(&dir.join("home"), settings, &model.key).unwrap();
    let authority = certs::new_authority(model.number, "Ullensaker").unwrap();
    home.write("ca.pem", authority.certificate_pem.as_bytes()).unwrap();
    let municipality = Municipality::of(&home).unwrap();
    let db = Db::open(&dir.join("stafett.db"), url).await.unwrap();
    for peer in &model.peers {
        // The model draws a municipality's key from its number.
        let key = ModelHome::new(peer.number).key;
        let theirs = certs::new_authority(peer.number, "Naboen").unwrap();
        let ca = certs::authority_der(&theirs.certificate_pem).unwrap().to_vec();
        let url = format!("https://127.0.0.{}:1", peer.number % 200);
        let file = PeerFile { number: peer.number, name: "Naboen".into(), url, ca: ca.into(), key: peer.key };
        let (number, signed) = (peer.number, Signed::sign(&file, &key));
        db.write::<_, StoreError, _>(move |conn: &mut Conn| {
            Box::pin(async move { peers::put(conn, number, &signed, 1).await })
        })
        .await
        .unwrap();
    }
    let federation = Federation::new(&municipality, &authority).unwrap();
    let (stop, stopped) = watch::channel(false);
    let server = Server::start(db.clone(), municipality, federation, stopped).await.unwrap();
    (db, server, stop)
}

/// Every device that has a key anywhere in the world.
fn devices(world: &mut World) -> BTreeMap<DeviceId, Device> {
    let mut found = BTreeMap::new();
    let mut note = |person: PersonId, key: PublicKey| {
        let device = DeviceId::of_key(&key);
        found.insert(device, Device { device, person, key, is_guest: true });
    };
    let numbers: Vec<_> =
        [vec![world.history.home.number], world.history.home.peers.iter().map(|p| p.number).collect()].concat();
    for number in numbers {
        let home = world.history.home.at(number);
        for (person, account) in &home.accounts {
            account.record.devices.iter().for_each(|d| note(*person, d.certificate.peek().unwrap().device_key));
        }
        for chain in home.scopes.values() {
            for member in &chain.replica.state().membership.members {
                member.devices.iter().for_each(|key| note(member.person, *key));
            }
        }
    }
    found
}

fn code(answer: Result<Vec<Accepted>, Fault>) -> Result<Vec<Accepted>, String> {
    answer.map_err(|fault| fault.to_problem().code)
}

/// What is handed in: every bundle in its order, and, where `wild`, others in between that no client of ours sends so:
/// bundles that come too early or once more, without their last envelope, or with a signature that does not hold.
fn script(answered: &[Answered], wild: Option<u64>) -> Vec<Answered> {
    let Some(seed) = wild else { return answered.to_vec() };
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let mut script = vec![];
    for (at, said) in answered.iter().enumerate() {
        let some = (rng.next_u32() % 8) as usize;
        let other = match rng.next_u32() % 12 {
            0 => answered.get(at + 1 + some).cloned(),
            1 => answered.get(at.saturating_sub(1 + some)).cloned(),
            2 if said.bundle.envelopes.len() > 1 => {
                let mut less = said.clone();
                less.bundle.envelopes.pop();
                Some(less)
            }
            3 => Some(bent(said)),
            _ => None,
        };
        script.extend(other.map(|other| Answered { at: said.at, ..other }));
        script.push(said.clone());
    }
    script
}

/// The same with one bit of a signature changed.
fn bent(said: &Answered) -> Answered {
    let mut bent = said.clone();
    let envelope = bent.bundle.envelopes.last_mut().unwrap();
    let mut bytes = encode(&envelope.event);
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    envelope.event = decode(&bytes).unwrap();
    bent
}

/// Hands one script to a model and to a server; answers how many bundles both took, and how many both refused.
async fn compare(world: &mut World, url: Option<&str>, wild: Option<u64>) -> (usize, usize) {
    let dir = tempfile::tempdir().unwrap();
    let devices = devices(world);
    let script = script(&world.history.home.answered, wild);
    let mut model = world.history.home.emptied();
    // The home lives by the model's clock from its beginning.
    stop_clock(script.first().map_or(model.now, |said| said.at));
    let (db, server, stop) = server_of(&model, dir.path(), url).await;
    let (mut taken, mut refused) = (0, 0);
    for (at, said) in script.iter().enumerate() {
        // A device that has ended since has left no key behind.
        let Some(author) = devices.get(&said.device) else { continue };
        // Both are handed several bundles at one moment here, which worlds never do.
        (model.now, model.stamped) = (said.at - 1, 0);
        let expected = model.submit(said.device, said.bundle.clone());
        stop_clock(said.at);
        let answer = code(server.intake.submit(author, said.bundle.clone()).await);
        assert_eq!(answer, expected, "bundle {at} of {}, wild: {wild:?}", script.len());
        if answer.is_ok() { taken += 1 } else { refused += 1 }
    }
    let _ = stop.send(true);
    db.close().await;
    (taken, refused)
}

async fn every_verdict_is_the_same(database: impl Fn(u64) -> Option<String>) {
    let (mut taken, mut refused) = (0, 0);
    for seed in SEEDS {
        let mut world = played(seed);
        for (run, wild) in [None, Some(seed), Some(seed + 1000)].into_iter().enumerate() {
            let url = database(seed * 10 + run as u64);
            let (t, r) = compare(&mut world, url.as_deref(), wild).await;
            (taken, refused) = (taken + t, refused + r);
        }
    }
    println!("{taken} bundles taken and {refused} refused by both");
    assert!(taken > 300 && refused > 50, "{taken} {refused}");
}

#[tokio::test]
async fn the_model_and_the_server_give_the_same_verdicts() {
    every_verdict_is_the_same(|_| None).await;
    let Some(postgres) = Postgres::start() else { return };
    every_verdict_is_the_same(|seed| Some(postgres.database(&format!("world{seed}")).unwrap())).await;
}
