//! Histories drawn at random: any move of any hostile member, and more often the one that the facts invite to.

use super::checks::{Broken, Violation, check};
use super::facts::oldest_gap;
use super::moves::{Aim, CASTS, GUARDIANS, Game, Gift, MEMBERS, Move, P, Rule, Seat};
use super::play::{Run, Start, start};
use stafett_protocol::consent::Permit;
use stafett_protocol::ids::hash;
use stafett_protocol::state::Status;

/// Moves that come to something, and moves that are tried.
const STEPS: usize = 14;
const TRIES: usize = 70;

/// Numbers that follow from a seed alone.
pub struct Dice(u64, u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed, 0)
    }

    fn below(&mut self, bound: usize) -> usize {
        self.1 += 1;
        let drawn = hash("dice", &[&self.0.to_be_bytes(), &self.1.to_be_bytes()]).0;
        let number = u64::from_be_bytes(drawn[..8].try_into().unwrap());
        usize::try_from(number % u64::try_from(bound).unwrap()).unwrap()
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}

/// The frame of a seed's history, by one of `casts`.
pub fn game(dice: &mut Dice, casts: &[&str]) -> Game {
    let fits: Vec<_> = CASTS
        .iter()
        .filter(|c| if casts.is_empty() { !c.people.is_empty() } else { casts.contains(&c.name) })
        .collect();
    Game { cast: dice.one(&fits), quorum: dice.one(&[1, 2]), young: dice.below(4) == 0 }
}

/// Plays a seed's history as it is drawn; all its steps, and what is broken after the last of them.
pub fn history(starts: &[Start], seed: u64, casts: &[&str], kinds: &[Broken]) -> (Game, Vec<Move>, Option<Violation>) {
    let mut dice = Dice::new(seed);
    let game = game(&mut dice, casts);
    let mut run = start(starts, game).run(game);
    let mut steps = vec![];
    for _ in 0..TRIES {
        if steps.len() == STEPS {
            break;
        }
        let step = draw(&mut dice, &run);
        // What is refused leaves everything as it was.
        if run.step(step) {
            steps.push(step);
            if let Err(violation) = check(run.world, &run.game, &run.facts, kinds) {
                return (game, steps, Some(violation));
            }
        }
    }
    (game, steps, None)
}

const AIMS: [Aim; 10] = [
    Aim::Hold,
    Aim::Hold,
    Aim::Custody,
    Aim::Newest,
    Aim::School,
    Aim::PptUnit,
    Aim::Person(P::Ppt),
    Aim::Person(P::Coach),
    Aim::Person(P::Leader),
    Aim::All,
];
const GIFTS: [Gift; 6] =
    [Gift::HoldSchool, Gift::HoldCoach, Gift::CustodySchool, Gift::ReadPpt, Gift::ReadPptByName, Gift::ContributeCoach];
const RULES: [Rule; 6] =
    [Rule::MotherAlone, Rule::FatherAlone, Rule::Invented, Rule::WithInvented, Rule::OneOfTwo, Rule::TwoOfTwo];
const SEATS: [Seat; 5] = [Seat::Kept, Seat::Kept, Seat::Kept, Seat::Guardian, Seat::Holder];

/// Whoever of these is hostile, and else anybody who is.
fn among(dice: &mut Dice, run: &Run<'_>, fit: &[P]) -> P {
    let fits: Vec<P> = run.game.cast.people.iter().filter(|p| fit.contains(p)).copied().collect();
    if fits.is_empty() { dice.one(run.game.cast.people) } else { dice.one(&fits) }
}

/// The next move: each with a weight, by what the facts are.
fn draw(dice: &mut Dice, run: &Run<'_>) -> Move {
    let state = &run.facts.state;
    let (rejected, gap) = (state.rejected == Permit::Yes, oldest_gap(state).is_some());
    let (waiting, dormant) = (!state.readmit.is_empty(), state.status_at(run.facts.now) != Status::Active);
    let (taken, granted) = (!state.takeovers.is_empty(), state.grants.len() > 4);
    let listed = !run.facts.listed().is_empty();
    let (leads, leads_ppt) = (!run.game.is_honest(P::Leader), !run.game.is_honest(P::Outsider));
    let mut bag: Vec<(usize, Move)> = honest_moves(dice, run);
    if run.game.cast.people.is_empty() {
        return pick(dice, &bag);
    }
    let by = dice.one(run.game.cast.people);
    let family = among(dice, run, &[P::Father]);
    let founder = among(dice, run, &[P::Father, P::Teacher, P::Made]);
    let giver = among(dice, run, &[P::Father, P::Teacher, P::Leader]);
    let decider = among(dice, run, &[P::Father, P::Teacher, P::Leader]);
    let decision = (dice.below(3) > 0).then(|| u8::try_from(dice.below(2)).unwrap());
    let waits = !state.decisions.is_empty();
    let somebody = dice.one(&MEMBERS);
    let if_so = |so: bool, often: usize, else_: usize| if so { often } else { else_ };
    let nth = u8::try_from(dice.below(3)).unwrap();
    let gift = if dormant { dice.one(&GIFTS[..2]) } else { dice.one(&GIFTS) };
    let to = dice.one(&[P::Made, P::Made, P::Coach, P::Teacher]);
    let more = (dice.below(4) == 0).then_some(somebody);
    let junk = dice.below(4) == 0;
    bag.extend([
        (1, Move::Write { by }),
        (4, Move::Renew { by, junk }),
        (3, Move::Resync { by }),
        (if_so(gap, 12, 0), Move::JunkLink { by, off: u64::from(dice.below(4) == 0) }),
        (if_so(rejected, 0, 8), Move::Reject { by }),
        (if_so(rejected, 25, 1), Move::Refound { by: founder, back: u64::from(dice.below(3) == 0), junk }),
        (
            if_so(waiting, 12, 0),
            Move::LetIn { by: founder, who: somebody, devices: 1 + dice.below(2), seat: dice.one(&SEATS) },
        ),
        (if_so(granted, 6, 1), given(dice, founder)),
        (if_so(listed, 4, 1), Move::Remove { by, more }),
        (3, Move::Device { by, n: dice.below(3), junk: dice.below(8) == 0 }),
        (if_so(dormant, 12, 4), Move::Sign { by: family, gift, nth }),
        (4, Move::Withdraw { by, aim: dice.one(&AIMS) }),
        (if_so(leads, 1, 0), Move::End { by: P::Leader, who: dice.one(&[P::Made, P::Teacher, P::Ppt]) }),
        (if_so(leads_ppt, 1, 0), Move::End { by: P::Outsider, who: dice.one(&[P::Ppt, P::Former, P::Coach]) }),
        (1, Move::Attest { by, of: dice.one(&GUARDIANS) }),
        (if_so(leads && !taken, 8, 0), Move::TakeOver { by: P::Leader }),
        (if_so(dormant || taken, 12, 3), Move::HandOver { by: giver, to }),
        (2, Move::Close { by: founder, reopen: dice.below(2) == 0 }),
        (if_so(waits || leads_ppt, 14, 6), Move::Authority { by: decider, to: dice.one(&RULES), decision }),
        (if_so(waits, 3, 0), Move::Object { by: family, nth: dice.below(3) }),
        (2, Move::Rekey { by, who: somebody, survives: dice.below(2) == 0 }),
        (1, Move::Deletion { by }),
        (2, Move::Withhold { by }),
        (2, Move::Replay { by, nth: dice.below(40) }),
    ]);
    pick(dice, &bag)
}

/// What honest people do meanwhile, by themselves or because they changed their minds.
fn honest_moves(dice: &mut Dice, run: &Run<'_>) -> Vec<(usize, Move)> {
    let honest: Vec<P> = run.game.honest().collect();
    let family: Vec<P> = GUARDIANS.into_iter().filter(|p| run.game.is_honest(*p)).collect();
    let by = dice.one(&honest);
    let busy = !run.facts.listed().is_empty() || !run.facts.state.readmit.is_empty();
    let mut bag = vec![
        (if busy { 30 } else { 8 }, Move::Answer { by, pick: dice.below(5) }),
        (5, Move::Wait { days: dice.one(&[1, 1, 8, 31, 31, 366]) }),
        (2, given(dice, by)),
    ];
    if !family.is_empty() {
        let by = dice.one(&family);
        bag.push((4, Move::Withdraw { by, aim: dice.one(&AIMS) }));
        bag.push((4, Move::Sign { by, gift: dice.one(&GIFTS), nth: u8::try_from(dice.below(3)).unwrap() }));
        let waits = !run.facts.state.decisions.is_empty();
        bag.push((if waits { 8 } else { 0 }, Move::Object { by, nth: dice.below(3) }));
    }
    bag
}

/// Somebody comes in on a grant.
fn given(dice: &mut Dice, by: P) -> Move {
    let whom = [
        (P::Ppt, Gift::ReadPpt),
        (P::Ppt, Gift::ReadPptByName),
        (P::Coach, Gift::ContributeCoach),
        (P::Leader, Gift::CustodySchool),
        (P::Made, Gift::ReadPpt),
        (P::Outsider, Gift::ReadPpt),
        (P::Former, Gift::ReadPpt),
    ];
    let (who, gift) = dice.one(&whom);
    Move::LetIn { by, who, devices: 1, seat: Seat::Given(gift) }
}

fn pick(dice: &mut Dice, bag: &[(usize, Move)]) -> Move {
    let mut left = dice.below(bag.iter().map(|(weight, _)| weight).sum());
    for (weight, step) in bag {
        if left < *weight {
            return *step;
        }
        left -= weight;
    }
    bag[0].1
}
