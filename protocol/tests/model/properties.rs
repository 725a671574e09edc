//! What must hold in every state (`docs/protocol.md` 19), and what must be reachable, or the run shows
//! nothing.

use super::records::{Chain, Rec, SCOPES, To};
use super::system::{Scenario, State, place};
use stateright::Property;

/// Who carries the baton after a chain, told without the policy's code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Carries {
    Teacher,
    Colleague,
    Over(To),
}

fn holder(chain: &Chain) -> Carries {
    chain.iter().fold(Carries::Teacher, |holder, rec| match rec {
        Rec::Hand => Carries::Colleague,
        Rec::Move(to) | Rec::Bare(to) => Carries::Over(*to),
        _ => holder,
    })
}

fn both(holds: impl Fn(usize) -> bool) -> bool {
    SCOPES.into_iter().all(holds)
}

fn one_home(_: &Scenario, state: &State) -> bool {
    both(|scope| state.serving(scope).len() <= 1)
}

fn some_home(_: &Scenario, state: &State) -> bool {
    both(|scope| state.truth(scope).is_some())
}

fn one_holder(_: &Scenario, state: &State) -> bool {
    let batons = |chain: &Chain| chain.iter().filter(|r| matches!(r, Rec::Hand | Rec::Move(_) | Rec::Bare(_))).count();
    let (Some(card), Some(concern)) = (state.truth(0), state.truth(1)) else { return true };
    // The teacher gives it away once, in both scopes to the same person.
    batons(card) <= 1 && holder(card) == holder(concern)
}

fn has_accepted(_: &Scenario, state: &State) -> bool {
    both(|scope| state.truth(scope).is_none_or(|chain| !chain.iter().any(|r| matches!(r, Rec::Bare(_)))))
}

fn in_consent(_: &Scenario, state: &State) -> bool {
    both(|scope| {
        state.truth(scope).is_none_or(|chain| {
            let moved = chain.iter().position(|r| matches!(r, Rec::Move(_) | Rec::Bare(_)));
            moved.is_none_or(|at| {
                !chain[..at].iter().any(|r| matches!((r, chain[at]), (Rec::Revoked(a), Rec::Move(b)) if *a == b))
            })
        })
    })
}

fn kept(_: &Scenario, state: &State) -> bool {
    both(|scope| state.truth(scope).is_none_or(|chain| chain.starts_with(&state.receipts[scope])))
}

/// The old home's receipts end with the tombstone.
fn last_word(_: &Scenario, state: &State) -> bool {
    let disk = &state.homes[0].disk;
    both(|scope| {
        let moves = disk.chains[scope].iter().position(|r| matches!(r, Rec::Move(_) | Rec::Bare(_)));
        moves.is_none_or(|at| at + 1 == disk.chains[scope].len())
    })
}

fn serves_at(state: &State, to: To) -> bool {
    SCOPES.into_iter().all(|scope| state.serving(scope) == [place(Some(to))])
}

fn after_the_move(state: &State, rec: Rec) -> bool {
    SCOPES.into_iter().any(|scope| {
        let Some(chain) = state.truth(scope) else { return false };
        let moved = chain.iter().position(|r| matches!(r, Rec::Move(_)));
        moved.is_some_and(|at| chain[at..].contains(&rec)) && !state.serving(scope).is_empty()
    })
}

pub fn all(scenario: &Scenario) -> Vec<Property<Scenario>> {
    let mut all = vec![
        Property::always("at most one home receives events of a scope", one_home),
        Property::always("one home is active, or bound by an acceptance with a tombstone", some_home),
        Property::always("one holder, the same in every scope", one_holder),
        Property::always("a holder has accepted", has_accepted),
        Property::always("a move stands on consent in force", in_consent),
        Property::always("what was receipted is in every later state", kept),
        Property::always("nothing at the old home epoch after the tombstone", last_word),
    ];
    if scenario.to.contains(&To::B) {
        all.push(Property::sometimes("the log gets to B", |_, state| serves_at(state, To::B)));
        all.push(Property::sometimes("an offer is taken back and B freed", |_, state: &State| {
            let disk = &state.homes[1].disk;
            !disk.targets[0].freed.is_empty() && !disk.serves(Some(To::B), 0)
        }));
    }
    if scenario.to.contains(&To::C) {
        all.push(Property::sometimes("the log gets to C", |_, state| serves_at(state, To::C)));
    }
    if scenario.to.contains(&To::B) && scenario.edits > 0 {
        all.push(Property::sometimes("somebody writes at B", |_, state| after_the_move(state, Rec::Edit)));
    }
    if scenario.to.contains(&To::B) && scenario.withdrawal {
        all.push(Property::sometimes("access is withdrawn at B", |_, state| after_the_move(state, Rec::Withdrawn)));
    }
    if scenario.withdrawal {
        all.push(Property::sometimes("access is withdrawn here", |_, state: &State| {
            state.homes[0].disk.chains[1].contains(&Rec::Withdrawn)
        }));
    }
    if scenario.handover {
        all.push(Property::sometimes("a colleague takes the baton", |_, state: &State| {
            state.truth(0).is_some_and(|chain| holder(chain) == Carries::Colleague)
        }));
    }
    all
}
