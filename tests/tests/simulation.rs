//! Random worlds, checked after every step: `STAFETT_WORLDS=n` plays more of them, `STAFETT_SEED=n` one. A failure
//! prints its seed, the shortest list of steps found, and the command that replays it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use stafett_tests::simulation::{CI, Tally, run};
use std::sync::Mutex;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|v| v.parse().ok())
}

#[test]
fn worlds_hold_every_invariant_at_every_step() {
    let (from, worlds) = match number("STAFETT_SEED") {
        Some(seed) => (seed, 1),
        None => (1, number("STAFETT_WORLDS").unwrap_or(24)),
    };
    let seeds = Mutex::new(from..from + worlds);
    let (found, all) = (Mutex::new(vec![]), Mutex::new(Tally::default()));
    std::thread::scope(|threads| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            threads.spawn(|| {
                let mut tally = Tally::default();
                loop {
                    let next = seeds.lock().unwrap().next();
                    let Some(seed) = next else { break };
                    if let Err(report) = run(seed, CI, &mut tally) {
                        found.lock().unwrap().push(report);
                    }
                }
                all.lock().unwrap().add(&tally);
            });
        }
    });
    let found = found.into_inner().unwrap();
    println!("{:?}", all.into_inner().unwrap());
    assert!(found.is_empty(), "{}", found.join("\n\n"));
}

/// The checks can fail: a world in which an acknowledged edit is taken off the home's chain is caught, and shrunk.
#[test]
fn what_a_home_loses_is_noticed() {
    use stafett_tests::simulation::{Size, invariants, operation, world::World};
    let mut world = World::new(5, 1);
    for (at, step) in operation::draw(5, Size { logs: 1, steps: 40 }).iter().enumerate() {
        world.begin_step(at);
        world.perform(step);
        world.pump();
    }
    world.settle();
    assert_eq!(invariants::check_all(&mut world).err(), None);
    let last = *world.acknowledged.keys().next_back().expect("something was acknowledged");
    world.home.scopes.get_mut(&last.0).unwrap().records.truncate(last.1 as usize - 1);
    world.chain_heads.clear();
    assert!(invariants::check_all(&mut world).is_err());
}
