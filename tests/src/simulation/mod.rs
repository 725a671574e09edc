//! Whole worlds from one seed: real clients and the real accept rule over a model of server, network, disk and clock. A
//! world is a list of operations, named as people would, and of faults; both are data, so that a failing list can be
//! shrunk and replayed (design `quality.md`, simulation).
//!
//! `operation`: what people do and what strikes them. `world`: the machine that performs it. `invariants`: what must
//! hold after every step. `shrink`: a failing list made short.

pub mod invariants;
pub mod operation;
pub mod shrink;
pub mod world;

use operation::Step;
use world::World;

/// How big worlds are.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    pub logs: usize,
    pub steps: usize,
}

/// What the suite of every commit runs (`quality.md`: six people, two logs, 200 operations).
pub const CI: Size = Size { logs: 2, steps: 200 };

/// What a run did, for the long runs' report.
#[derive(Debug, Default, Clone)]
pub struct Tally {
    pub worlds: u64,
    pub steps: u64,
    pub faults: u64,
    pub checks: u64,
}

impl Tally {
    pub fn add(&mut self, more: &Self) {
        self.worlds += more.worlds;
        self.steps += more.steps;
        self.faults += more.faults;
        self.checks += more.checks;
    }
}

/// Something that must never be.
#[derive(Debug, Clone)]
pub struct Violation {
    /// After which step, counted from 0; the number of steps for what was found at the end.
    pub at: usize,
    pub what: String,
}

/// Plays a list of steps in the world of `seed`, checking as it goes.
pub fn play(seed: u64, size: Size, steps: &[(usize, Step)], tally: &mut Tally) -> Result<(), Violation> {
    let mut world = World::new(seed, size.logs);
    for (at, step) in steps {
        world.begin_step(*at);
        world.perform(step);
        world.pump();
        tally.steps += 1;
        tally.checks += invariants::check_touched(&mut world).map_err(|what| Violation { at: *at, what })?;
    }
    world.settle();
    let at = steps.len();
    tally.checks += invariants::check_all(&mut world).map_err(|what| Violation { at, what })?;
    tally.worlds += 1;
    tally.faults += world.faults_struck();
    Ok(())
}

/// One world of a seed; a violation comes with the shortest list found that still shows one, and the command that replays it.
pub fn run(seed: u64, size: Size, tally: &mut Tally) -> Result<(), String> {
    let steps: Vec<(usize, Step)> = operation::draw(seed, size).into_iter().enumerate().collect();
    let played = guarded(seed, size, &steps, tally);
    let Err(violation) = played else { return Ok(()) };
    let (short, violation) = shrink::shrink(&steps, violation, |list| guarded(seed, size, list, &mut Tally::default()));
    let places: Vec<String> = short.iter().map(|(at, _)| at.to_string()).collect();
    let lines: Vec<String> = short.iter().map(|(at, step)| format!("  {at:>4} {step:?}")).collect();
    Err(format!(
        "seed {seed}: {} (after step {})\n{}\nreplay: cargo run --release -p stafett-tests --bin simulate -- --seed {seed} --logs {} --steps {} --only {}",
        violation.what,
        violation.at,
        lines.join("\n"),
        size.logs,
        size.steps,
        places.join(",")
    ))
}

/// Plays a chosen part of a seed's steps.
pub fn replay(seed: u64, size: Size, only: &[usize], tally: &mut Tally) -> Result<(), Violation> {
    let steps: Vec<(usize, Step)> = operation::draw(seed, size).into_iter().enumerate().collect();
    let chosen: Vec<(usize, Step)> = steps.into_iter().filter(|(at, _)| only.is_empty() || only.contains(at)).collect();
    guarded(seed, size, &chosen, tally)
}

/// A panic anywhere in client or home is a violation like any other.
fn guarded(seed: u64, size: Size, steps: &[(usize, Step)], tally: &mut Tally) -> Result<(), Violation> {
    let mut own = Tally::default();
    let played = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| play(seed, size, steps, &mut own)));
    tally.add(&own);
    played.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned())).unwrap_or_default();
        Err(Violation { at: usize::try_from(own.steps).unwrap_or(0), what: format!("panic: {text}") })
    })
}
