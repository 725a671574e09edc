//! Long runs of random worlds, and the replay of one: `simulate --seeds N [--minutes M] [--from S] [--shrink SECONDS]`,
//! `simulate --seed S [--only 3,17,40]`; with `--torn` worlds whose homes lead a double life. How big worlds are: `--municipalities --units --families --logs --steps`; what
//! happens in them: `--mix`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a tool for developers")]

use stafett_tests::simulation::{CI, Size, Tally, chosen, replay, run, torn};
use std::process::ExitCode;
use std::time::{Duration, Instant};

fn option(words: &[String], name: &str) -> Option<String> {
    words.iter().position(|w| w == name).and_then(|at| words.get(at + 1).cloned())
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = |name: &str, default: u64| option(&words, name).map_or(default, |w| w.parse().expect("a number"));
    let many = |name: &str, usual: usize| number(name, usual as u64) as usize;
    let size = Size {
        municipalities: many("--municipalities", CI.municipalities),
        units: many("--units", CI.units),
        families: many("--families", CI.families),
        logs: many("--logs", CI.logs),
        steps: many("--steps", CI.steps),
        mix: option(&words, "--mix").map_or(CI.mix, |word| word.parse().expect("a mix")),
    };
    let mut tally = Tally::default();
    let is_torn = words.iter().any(|w| w == "--torn");
    if let Some(seed) = option(&words, "--seed") {
        let seed = seed.parse().expect("a number");
        let only: Vec<usize> = option(&words, "--only")
            .map(|list| list.split(',').map(|n| n.parse().expect("a number")).collect())
            .unwrap_or_default();
        if is_torn {
            println!("{:?}", torn::play(seed, &only, &mut tally));
            return ExitCode::SUCCESS;
        }
        return match replay(seed, size, &only, &mut tally) {
            Ok(()) => {
                println!("seed {seed}: nothing is violated; {tally:?}");
                ExitCode::SUCCESS
            }
            Err(violation) => {
                chosen(seed, size, &only).iter().for_each(|(at, step)| println!("{at:>4} {step:?}"));
                println!("seed {seed}: after step {}: {}", violation.at, violation.what);
                ExitCode::FAILURE
            }
        };
    }
    let (from, seeds, minutes) = (number("--from", 1), number("--seeds", 200), number("--minutes", 600));
    let patience = Duration::from_secs(number("--shrink", 120));
    // A panic is a finding, shown once it is shrunk.
    std::panic::set_hook(Box::new(|_| {}));
    let (start, mut found) = (Instant::now(), 0);
    for seed in from..from + seeds {
        if start.elapsed() > Duration::from_secs(60 * minutes) {
            break;
        }
        let played = if is_torn {
            torn::play(seed, &[], &mut tally).map(drop).map_err(|v| format!("seed {seed} --torn: {v:?}"))
        } else {
            run(seed, size, patience, &mut tally)
        };
        if let Err(report) = played {
            println!("{report}\n");
            found += 1;
        }
    }
    println!("{tally:?}, {found} violations, {:.0} s", start.elapsed().as_secs_f64());
    if found == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
