//! Which worlds a run plays: fresh ones each day and for each commit, or those it is told to play again.

use stafett_protocol::ids::hash;
use std::io::Write as _;
use std::ops::Range;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

/// Seeds stay short enough to be read aloud.
const HIGHEST: u64 = 1_000_000_000;
const DAY: u64 = 24 * 60 * 60;

fn commit() -> Vec<u8> {
    let head = Command::new("git").args(["rev-parse", "HEAD"]).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    head.map(|o| o.stdout).unwrap_or_default()
}

fn today() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_secs() / DAY)
}

/// Where the seeds of this commit and day begin. Whoever plays always the same worlds finds nothing new in them.
fn fresh() -> u64 {
    let drawn = hash("fresh worlds", &[&commit(), &today().to_be_bytes()]);
    let number = drawn.0.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
    number % HIGHEST
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|v| v.parse().ok())
}

/// So many seeds for one test. `STAFETT_FROM=n` begins at n.
pub fn of_this_run(test: &str, count: u64) -> Range<u64> {
    let from = number("STAFETT_FROM").unwrap_or_else(fresh);
    // Not by `println`: that is shown of failed tests only, and then a test that hangs has said nothing.
    let said = format!(
        "{test}: {count} seeds from {from}; again: STAFETT_FROM={from} cargo test --workspace --test suite {test}\n"
    );
    let _ = std::io::stderr().write_all(said.as_bytes());
    from..from + count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_commit_on_one_day_draws_the_same_seeds() {
        assert_eq!(fresh(), fresh());
        assert!(!commit().is_empty(), "the suite runs in a checkout");
    }
}
