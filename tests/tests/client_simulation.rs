//! Random worlds: edits, consent and withdrawal while processes die and streams break. A failure prints the
//! seed; `STAFETT_SEED=n cargo test -p stafett-tests --test client_simulation` replays it,
//! `STAFETT_SEEDS=n` runs more of them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use stafett_client_core::client::input::Command as C;
use stafett_tests::sim::{FATHER, Faults, MOTHER, PPT, TEACHER, World};

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|v| v.parse().ok())
}

fn seeds(default: u64) -> Vec<u64> {
    match number("STAFETT_SEED") {
        Some(one) => vec![one],
        None => (1..=number("STAFETT_SEEDS").unwrap_or(default)).collect(),
    }
}

fn check(world: &mut World, seed: u64) {
    world.settle();
    let trace = world.trace.join("\n");
    let teacher = world.glimpses(TEACHER);
    for who in [MOTHER, FATHER] {
        let seen = world.glimpses(who);
        assert_eq!(teacher, seen, "seed {seed}: {} sees other glimpses\n{trace}", world.nodes[who].name);
    }
    let mut written = world.written.clone();
    written.sort();
    assert_eq!(written, teacher, "seed {seed}: nothing lost, nothing twice\n{trace}");
    for who in [TEACHER, MOTHER, FATHER] {
        let log = world.log.clone();
        let show = world.ask(who, C::LogShow { log: log.clone() });
        assert_eq!(show["quarantined"].as_array().unwrap().len(), 0, "seed {seed}: {show}\n{trace}");
        assert_eq!(show["pending"].as_array().unwrap().len(), 0, "seed {seed}: {show}\n{trace}");
        let audit = world.ask(who, C::AuditVerify { log });
        assert_eq!(audit["violations"].as_array().unwrap().len(), 0, "seed {seed}: {audit}\n{trace}");
    }
}

#[test]
fn edits_survive_crashes_cuts_and_interleaving() {
    for seed in seeds(12) {
        let mut world = World::new(seed);
        let faults = Faults { crash: 30, cut: 20 };
        for step in 0..400 {
            if step % 8 == 0 {
                let who = [TEACHER, MOTHER, FATHER][world.pick(3)];
                world.glimpse(who, format!("lysglimt {step}"));
            }
            world.step(&faults);
        }
        check(&mut world, seed);
        println!("seed {seed}: {} crashes, {} glimpses", world.crashes(), world.written.len());
    }
}

/// Withdrawal against edits, adds and another withdrawal: from its receipt on it holds.
#[test]
fn c4_withdrawal_wins_every_race() {
    for seed in seeds(12) {
        let mut world = World::new(seed);
        let faults = Faults { crash: 15, cut: 15 };
        world.request_ppt();
        let withdraws_at = 60 + world.pick(300);
        let mut withdrawn = false;
        for step in 0..450 {
            if step % 10 == 0 {
                let who = [TEACHER, MOTHER, FATHER][world.pick(3)];
                world.glimpse(who, format!("lysglimt {step}"));
                if !withdrawn {
                    world.grant_all(MOTHER);
                    world.grant_all(FATHER);
                    world.assign_ppt();
                }
            }
            if step >= withdraws_at && !withdrawn {
                let guardian = [MOTHER, FATHER][world.pick(2)];
                withdrawn = world.withdraw_ppt(guardian);
                if withdrawn && world.pick(2) == 0 {
                    world.withdraw_ppt(MOTHER + FATHER - guardian);
                }
            }
            world.step(&faults);
        }
        check(&mut world, seed);
        if withdrawn {
            let inside = world.home.scopes.values().filter(|chain| {
                let ppt = stafett_tests::sim::stafett_id(&world, PPT).parse().unwrap();
                chain.replica.state().membership.member(ppt).is_some()
            });
            assert_eq!(inside.count(), 0, "seed {seed}: the PPT is out everywhere\n{}", world.trace.join("\n"));
            assert!(
                !world.nodes[PPT].device.disk.keys().any(|(space, _)| [4, 5].contains(space)),
                "seed {seed}: wiped"
            );
        }
    }
}
