//! Breaks our code on purpose, one entry of `tests/sabotage` at a time, in a copy of the sources, and runs the
//! ordinary test that must notice: `cargo run -p stafett-tests --bin sabotage [-- --only SP3] [--no-baseline]`.
#![allow(clippy::print_stdout, reason = "a command's report")]

mod copy;

use copy::Copy;
use stafett_tests::named_tests::NamedTest;
use stafett_tests::sabotage::{Sabotage, table};
use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Instant;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Caught,
    /// The test went on until its time was out: caught as well, since nobody merges that.
    TimedOut,
    Survived,
    /// The sabotaged code does not compile: the entry must be mended.
    Broken,
    /// The test does not pass on the code as it is: its verdict would mean nothing.
    Unsound,
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Self::Caught => "caught",
            Self::TimedOut => "caught (time)",
            Self::Survived => "SURVIVED",
            Self::Broken => "NOT BUILT",
            Self::Unsound => "TEST FAILS ANYWAY",
        }
    }
    fn good(self) -> bool {
        matches!(self, Self::Caught | Self::TimedOut)
    }
}

fn say(line: &str) {
    println!("{line}");
    let _ = std::io::stdout().flush();
}

/// The named tests that do not pass on the code as it is.
fn baseline(copy: &Copy, chosen: &[Sabotage]) -> Result<BTreeSet<NamedTest>, String> {
    let tests: BTreeSet<&NamedTest> = chosen.iter().map(|s| &s.test).collect();
    let mut unsound = BTreeSet::new();
    for test in tests {
        let (built, passed, _) = copy.run(test)?;
        if !built || !passed {
            say(&format!("{test} does not pass on the code as it is"));
            unsound.insert(test.clone());
        }
    }
    Ok(unsound)
}

fn one(copy: &Copy, sabotage: &Sabotage) -> Result<Verdict, String> {
    let original = copy.read(&sabotage.file)?;
    copy.write(&sabotage.file, &sabotage.apply(&original)?)?;
    let result = copy.run(&sabotage.test);
    copy.write(&sabotage.file, &original)?;
    Ok(match result? {
        (false, _, _) => Verdict::Broken,
        (true, true, _) => Verdict::Survived,
        (true, false, true) => Verdict::TimedOut,
        (true, false, false) => Verdict::Caught,
    })
}

fn run() -> Result<bool, String> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let only = arguments.iter().position(|a| a == "--only").and_then(|at| arguments.get(at + 1));
    let fits = |s: &Sabotage| only.is_none_or(|o| s.property == *o || s.what.contains(o.as_str()));
    let mut chosen: Vec<Sabotage> = table()?.into_iter().filter(fits).collect();
    if chosen.is_empty() {
        return Err("no entry of that name".into());
    }
    let copy = Copy::make()?;
    let asked = !arguments.iter().any(|a| a == "--no-baseline");
    let unsound = if asked { baseline(&copy, &chosen)? } else { BTreeSet::new() };
    // One file after the other: a crate is built again once less.
    chosen.sort_by(|a, b| (&a.file, &a.property).cmp(&(&b.file, &b.property)));
    let mut report = vec![];
    for (number, sabotage) in chosen.iter().enumerate() {
        let started = Instant::now();
        let verdict = if unsound.contains(&sabotage.test) { Verdict::Unsound } else { one(&copy, sabotage)? };
        let (seconds, of) = (started.elapsed().as_secs(), chosen.len());
        let Sabotage { property, what, test, .. } = sabotage;
        say(&format!("{}/{of} {property} {what}: {} ({seconds} s, {test})", number + 1, verdict.word()));
        report.push((sabotage, verdict));
    }
    report.sort_by_key(|(s, _)| (s.property.trim_start_matches("SP").parse::<u32>().unwrap_or(0), s.what.clone()));
    say("\nproperty | sabotage | test | verdict");
    let row = |(s, v): &(&Sabotage, Verdict)| format!("{} | {} | {} | {}", s.property, s.what, s.test, v.word());
    let rows: Vec<String> = report.iter().map(row).collect();
    rows.iter().for_each(|r| say(r));
    copy.keep_report(&rows)?;
    let good = report.iter().filter(|(_, v)| v.good()).count();
    say(&format!("\n{good} of {} caught", report.len()));
    Ok(good == report.len())
}

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            say(&format!("error: {why}"));
            ExitCode::FAILURE
        }
    }
}
