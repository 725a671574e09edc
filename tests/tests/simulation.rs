//! Random worlds, checked after every step: `STAFETT_WORLDS=n` plays more of them, `STAFETT_SEED=n` one. A failure
//! prints its seed, the shortest list of steps found, and the command that replays it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use stafett_client_core::client::Standing;
use stafett_client_core::rows::Space;
use stafett_protocol::membership::ScopeKind;
use stafett_tests::simulation::operation::{Mix, Step, Wish};
use stafett_tests::simulation::world::{FATHER, MOTHER, PPT, TEACHER, World};
use stafett_tests::simulation::{CI, Size, Tally, at_rest, numbered, play, run};
use std::sync::Mutex;
use std::time::Duration;

/// Worlds of every commit.
const WORLDS: u64 = 200;
/// Violations after which no more worlds are begun, and how long each is made shorter: a failing run must end, too.
const ENOUGH: usize = 3;
const PATIENCE: Duration = Duration::from_secs(40);

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|v| v.parse().ok())
}

#[test]
fn worlds_hold_every_invariant_at_every_step() {
    let (from, worlds) = match number("STAFETT_SEED") {
        Some(seed) => (seed, 1),
        None => (1, number("STAFETT_WORLDS").unwrap_or(WORLDS)),
    };
    let seeds = Mutex::new(from..from + worlds);
    let (found, all) = (Mutex::new(vec![]), Mutex::new(Tally::default()));
    std::thread::scope(|threads| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            threads.spawn(|| {
                let mut tally = Tally::default();
                while found.lock().unwrap().len() < ENOUGH {
                    let next = seeds.lock().unwrap().next();
                    let Some(seed) = next else { break };
                    if let Err(report) = run(seed, CI, PATIENCE, &mut tally) {
                        found.lock().unwrap().push(report);
                    }
                }
                all.lock().unwrap().add(&tally);
            });
        }
    });
    let (found, tally) = (found.into_inner().unwrap(), all.into_inner().unwrap());
    println!("{tally:?}");
    assert!(found.is_empty(), "{}", found.join("\n\n"));
    assert!(worlds < WORLDS || (tally.handovers > 20 && tally.moves > 3), "the baton hardly passed: {tally:?}");
}

fn played(seed: u64, size: Size, steps: &[(usize, Step)]) -> World {
    play(seed, size, steps, &mut Tally::default()).unwrap_or_else(|v| panic!("seed {seed}: {v:?}"))
}

/// Where nobody's rights change, what was written is with everybody, once, however often devices died.
#[test]
fn edits_survive_crashes_cuts_and_interleaving() {
    let mut written = 0;
    for seed in 1..=12 {
        let size = Size { logs: 1, steps: 120, mix: Mix::Writing };
        let mut world = played(seed, size, &numbered(seed, size));
        for person in [TEACHER, MOTHER, FATHER] {
            let node = world.node(person);
            if world.nodes[node].restored {
                // It may not know of a part that was begun after its backup (threat model).
                continue;
            }
            let shown = at_rest::shown(&mut world, node);
            for text in world.written.iter().filter(|w| !w.forgotten).map(|w| &w.text) {
                let times = shown.matches(&format!("\"{text}\"")).count();
                assert_eq!(times, 1, "seed {seed}: person {person} sees {text} {times} times");
                written += 1;
            }
            let standings = world.nodes[world.node(person)].device.client.standings();
            assert!(standings.iter().all(|r| r.quarantined.is_empty() && r.pending == 0), "seed {seed}: {standings:?}");
        }
    }
    assert!(written > 300, "{written}");
}

/// Withdrawal against edits, adds and another withdrawal: from its receipt on it holds, and the PPT's devices keep nothing.
#[test]
fn c4_withdrawal_wins_every_race() {
    let mut had_access = 0;
    for seed in 1..=20 {
        let size = Size { logs: 1, steps: 160, mix: Mix::Access };
        let mut steps = numbered(seed, size);
        // After the last withdrawals nobody asks anew.
        let gives = |step: &Step| matches!(step, Step::Wish(Wish::AskForAccess { .. } | Wish::Consent { .. }));
        steps.retain(|(at, step)| *at < 120 || !gives(step));
        let withdraw = |guardian| Step::Wish(Wish::Withdraw { guardian, log: 0 });
        let at = steps.iter().position(|(at, _)| *at >= 120).unwrap();
        steps.splice(at..at, (0..4).map(|n| (1000 + n, withdraw(n))));
        let world = played(seed, size, &steps);
        let ppt = world.persons[PPT].parse().unwrap();
        for chain in world.home.all().flat_map(|h| h.scopes.values()) {
            assert!(chain.replica.state().membership.member(ppt).is_none(), "seed {seed}: the PPT is out everywhere");
        }
        let node = &world.nodes[world.node(PPT)];
        let withdrawn = |r: &stafett_client_core::client::Report| r.standing == Standing::Withdrawn;
        had_access += usize::from(node.device.client.standings().iter().any(withdrawn));
        assert!(!node.keeps(Space::Keys, b"") && !node.keeps(Space::Document, b""), "seed {seed}: wiped");
    }
    assert!(had_access > 3, "{had_access}");
}

/// The checks can fail: a world in which an acknowledged edit is taken off the home's chain is caught.
#[test]
fn what_a_home_loses_is_noticed() {
    let size = Size { logs: 1, steps: 40, mix: Mix::Writing };
    let mut world = played(5, size, &numbered(5, size));
    let in_log = |scope| world.home.chain(scope).unwrap().replica.state().kind() != ScopeKind::Unit;
    let last = *world.acknowledged.keys().rfind(|(scope, _)| in_log(*scope)).expect("something was acknowledged");
    let number = world.home.all().find(|h| h.serves(last.0)).unwrap().number;
    world.home.at(number).scopes.get_mut(&last.0).unwrap().records.truncate(last.1 as usize - 1);
    world.chain_heads.clear();
    assert!(at_rest::check_all(&mut world).is_err());
}
