//! Model checking of handover, transfer and withdrawal (Stateright): one log with two scopes, its home, the
//! one it moves to, and one that competes; a client that may do anything at any time, two faults. The
//! homes decide with the functions that the servers run: `transfer::Source`, `transfer::Target`, the policy.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod homes;
mod properties;
mod records;
mod rules;
mod system;

use self::records::To;
use self::rules::Rule;
use self::system::Scenario;
use stateright::{Checker as _, HasDiscoveries, Model as _};
use std::time::Instant;

const NOTHING: Scenario = Scenario {
    name: "",
    to: &[],
    handover: false,
    withdrawal: false,
    edits: 0,
    faults: 2,
    under_way: 1,
    lets_go: false,
    without: None,
};

/// Each part exhaustively, then in pairs. That an acceptance may be let go multiplies the states: it is played in one
/// scenario, and in all with `STAFETT_MODEL=all` (eight minutes).
fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario { name: "handover", handover: true, edits: 2, under_way: 3, ..NOTHING },
        Scenario { name: "withdrawal", withdrawal: true, edits: 2, under_way: 3, ..NOTHING },
        Scenario { name: "transfer", to: &[To::B], edits: 1, lets_go: true, ..NOTHING },
        Scenario { name: "transfer, two requests at once", to: &[To::B], edits: 1, faults: 1, under_way: 2, ..NOTHING },
        Scenario { name: "transfer, and a competing home", to: &To::BOTH, ..NOTHING },
        Scenario {
            name: "handover and withdrawal",
            handover: true,
            withdrawal: true,
            edits: 1,
            under_way: 2,
            ..NOTHING
        },
        Scenario { name: "transfer and handover", to: &[To::B], handover: true, ..NOTHING },
        Scenario { name: "transfer and withdrawal", to: &[To::B], withdrawal: true, ..NOTHING },
    ]
}

#[test]
fn every_state_of_handover_transfer_and_withdrawal_keeps_what_is_promised() {
    let all = std::env::var("STAFETT_MODEL").is_ok_and(|wanted| wanted == "all");
    for scenario in scenarios() {
        let scenario = Scenario { lets_go: all || scenario.lets_go, ..scenario };
        let begun = Instant::now();
        let checker = scenario.checker().threads(2).spawn_bfs().join();
        println!(
            "{:<34} {:>9} states, {:>9} visited, depth {:>3}, {} faults, {:.1} s",
            scenario.name,
            checker.unique_state_count(),
            checker.state_count(),
            checker.max_depth(),
            scenario.faults,
            begun.elapsed().as_secs_f32()
        );
        assert!(checker.is_done(), "every state was visited");
        checker.assert_properties();
    }
}

#[test]
fn without_any_one_of_the_rules_something_promised_breaks() {
    for rule in Rule::ALL {
        let broken = scenarios().into_iter().find_map(|scenario| {
            let sabotaged = Scenario { without: Some(*rule), ..scenario };
            let checker = sabotaged.checker().finish_when(HasDiscoveries::AnyFailures);
            let checker = checker.threads(2).spawn_bfs().join();
            let found = checker.discoveries().into_iter().find(|(name, _)| {
                sabotaged
                    .properties()
                    .iter()
                    .any(|p| p.name == *name && p.expectation == stateright::Expectation::Always)
            });
            found.map(|(name, path)| (scenario.name, name, path.into_actions()))
        });
        let (scenario, property, path) = broken.unwrap_or_else(|| panic!("nothing breaks without {rule:?}"));
        println!("without {rule:?}: \"{property}\" fails in {scenario} after {} steps", path.len());
    }
}
