//! Whole worlds from one seed: real clients and the real accept rule over a model of server, network, disk and clock. A
//! world is a list of operations, named as people would, and of faults; both are data, so that a failing list can be
//! shrunk and replayed (`docs/architecture.md`, Tests).
//!
//! `operation`: what people do and what strikes them. `world`, `node`: people, devices, servers. `wishes`, `baton`,
//! `faults`, `troubles`, `attacks`, `double`, `network`: how a step is performed. `invariants`: what must hold after every step; `at_rest`: at the end.
//! `torn`: homes that lead a double life until people talk. `shrink`: a failing list made short. `seeds`: which worlds a run plays.

pub mod at_rest;
mod attacks;
mod baton;
mod double;
mod faults;
pub mod invariants;
mod network;
pub mod node;
pub mod operation;
pub mod seeds;
pub mod shrink;
mod tell;
pub mod torn;
mod troubles;
mod wishes;
pub mod world;

use operation::{Mix, Step};
use std::time::Duration;
use world::World;

/// How big worlds are. A unit is two people, its leader and an employee; a family two guardians.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    pub municipalities: usize,
    pub units: usize,
    pub families: usize,
    pub logs: usize,
    pub steps: usize,
    pub mix: Mix,
}

/// What the suite of every commit runs (six people, two logs, 200 operations).
pub const CI: Size = Size { municipalities: 2, units: 2, families: 1, logs: 2, steps: 200, mix: Mix::Life };

impl std::fmt::Display for Size {
    /// As the options of `simulate`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { municipalities, units, families, logs, steps, mix } = self;
        write!(
            f,
            "--municipalities {municipalities} --units {units} --families {families} --logs {logs} --steps {steps} \
             --mix {mix}"
        )
    }
}

/// What a run did, for the long runs' report.
#[derive(Debug, Default, Clone)]
pub struct Tally {
    pub worlds: u64,
    pub steps: u64,
    pub faults: u64,
    pub checks: u64,
    /// Batons that changed hands, logs that changed their home, and of these the ones that were struck in the middle.
    pub handovers: u64,
    pub moves: u64,
    pub struck_moves: u64,
    /// What hostile members handed in, in how many worlds, and what of it the home took.
    pub tried: u64,
    pub reached: u64,
    pub landed: u64,
}

impl Tally {
    pub fn add(&mut self, more: &Self) {
        self.worlds += more.worlds;
        self.steps += more.steps;
        self.faults += more.faults;
        self.checks += more.checks;
        self.handovers += more.handovers;
        self.moves += more.moves;
        self.struck_moves += more.struck_moves;
        self.tried += more.tried;
        self.reached += more.reached;
        self.landed += more.landed;
    }
}

/// Something that must never be.
#[derive(Debug, Clone)]
pub struct Violation {
    /// After which step, counted from 0; the number of steps for what was found at the end.
    pub at: usize,
    pub what: String,
}

impl Violation {
    /// What is violated, without who and where: the words of it that hold no digit.
    fn kind(&self) -> String {
        let words = self.what.split_whitespace().filter(|word| !word.contains(|c: char| c.is_ascii_digit()));
        words.take(6).collect::<Vec<_>>().join(" ")
    }
}

/// Plays a list of steps in the world of `seed`, checking as it goes; the world as it came to rest.
pub fn play(seed: u64, size: Size, steps: &[(usize, Step)], tally: &mut Tally) -> Result<World, Violation> {
    let mut world = World::new(seed, size);
    let lived = live_on(&mut world, steps, tally).and_then(|()| come_to_rest(&mut world, steps.len(), tally));
    explained(&mut world, lived)?;
    tally.worlds += 1;
    world.report(tally);
    Ok(world)
}

/// What came of it; shown with the chains behind a violation to whoever asks for that with `STAFETT_TELL=1`.
pub(crate) fn explained(world: &mut World, lived: Result<(), Violation>) -> Result<(), Violation> {
    if let (Err(violation), Some(_)) = (&lived, std::env::var_os("STAFETT_TELL")) {
        tell::tell(world, &violation.what);
    }
    lived
}

/// Goes on in a world.
pub fn live_on(world: &mut World, steps: &[(usize, Step)], tally: &mut Tally) -> Result<(), Violation> {
    for (at, step) in steps {
        world.begin_step(*at);
        world.perform(step);
        world.pump();
        tally.steps += 1;
        tally.checks += invariants::check_touched(world).map_err(|what| Violation { at: *at, what })?;
    }
    Ok(())
}

/// Every fault ends, everybody syncs, and all must be well.
pub fn come_to_rest(world: &mut World, at: usize, tally: &mut Tally) -> Result<(), Violation> {
    world.settle();
    tally.checks += at_rest::check_all(world).map_err(|what| Violation { at, what })?;
    Ok(())
}

/// The steps of a seed, numbered.
pub fn numbered(seed: u64, size: Size) -> Vec<(usize, Step)> {
    operation::draw(seed, size).into_iter().enumerate().collect()
}

/// A chosen part of them; all, where nothing is chosen.
pub fn chosen(seed: u64, size: Size, only: &[usize]) -> Vec<(usize, Step)> {
    numbered(seed, size).into_iter().filter(|(at, _)| only.is_empty() || only.contains(at)).collect()
}

/// One world of a seed; a violation comes with the shortest list that is found in a while, and the command that replays it.
pub fn run(seed: u64, size: Size, patience: Duration, tally: &mut Tally) -> Result<(), String> {
    let steps = numbered(seed, size);
    let played = guarded(seed, size, &steps, tally);
    let Err(violation) = played else { return Ok(()) };
    let found = shrink::shrink(&steps, violation, patience, |list| guarded(seed, size, list, &mut Tally::default()));
    let places: Vec<String> = found.steps.iter().map(|(at, _)| at.to_string()).collect();
    let lines: Vec<String> = found.steps.iter().map(|(at, step)| format!("  {at:>4} {step:?}")).collect();
    let shortest = if found.is_shortest { "none can be left out" } else { "time was up" };
    Err(format!(
        "seed {seed}: {} (after step {})\n{}\n({} worlds tried for this list; {shortest})\n\
         replay: cargo run --release -p stafett-tests --bin simulate -- --seed {seed} {size} --only {}",
        found.violation.what,
        found.violation.at,
        lines.join("\n"),
        found.tries,
        places.join(",")
    ))
}

/// Plays a chosen part of a seed's steps.
pub fn replay(seed: u64, size: Size, only: &[usize], tally: &mut Tally) -> Result<(), Violation> {
    guarded(seed, size, &chosen(seed, size, only), tally)
}

/// A panic anywhere in client or home is a violation like any other.
fn guarded(seed: u64, size: Size, steps: &[(usize, Step)], tally: &mut Tally) -> Result<(), Violation> {
    let mut own = Tally::default();
    let played = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| play(seed, size, steps, &mut own).map(drop)));
    tally.add(&own);
    played.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned())).unwrap_or_default();
        Err(Violation { at: usize::try_from(own.steps).unwrap_or(0), what: format!("panic: {text}") })
    })
}
