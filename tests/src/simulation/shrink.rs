//! A failing list made short: ever smaller parts are left out as long as what remains still fails (delta debugging).

use super::Violation;
use super::operation::Step;
use std::time::{Duration, Instant};

type Listed = (usize, Step);

/// What a search has found, and how long it looked.
pub struct Shrunk {
    pub steps: Vec<Listed>,
    pub violation: Violation,
    /// Worlds that were played for it.
    pub tries: usize,
    /// Nothing can be left out of the list.
    pub is_shortest: bool,
}

/// The shortest failing list that is found in so much time; each try plays a world.
pub fn shrink(
    steps: &[Listed],
    violation: Violation,
    patience: Duration,
    mut fails: impl FnMut(&[Listed]) -> Result<(), Violation>,
) -> Shrunk {
    let start = Instant::now();
    // Nothing after the step that failed matters.
    let mut best: Vec<Listed> = steps.iter().filter(|(at, _)| *at <= violation.at).cloned().collect();
    let mut shown = violation;
    let mut tries = 0;
    let mut part = best.len().div_ceil(2).max(1);
    loop {
        let mut from = 0;
        let mut smaller = false;
        while from < best.len() && start.elapsed() < patience {
            let kept: Vec<Listed> =
                best.iter().enumerate().filter(|(i, _)| *i < from || *i >= from + part).map(|(_, s)| *s).collect();
            tries += 1;
            match fails(&kept) {
                // Another violation is another story.
                Err(violation) if violation.kind() == shown.kind() => {
                    (best, shown, smaller) = (kept, violation, true);
                }
                _ => from += part,
            }
        }
        let is_shortest = part == 1 && !smaller && from >= best.len();
        if is_shortest || start.elapsed() >= patience {
            return Shrunk { steps: best, violation: shown, tries, is_shortest };
        }
        part = part.div_ceil(2).max(1);
    }
}

#[cfg(test)]
mod tests {
    use super::super::operation::{Fault, Step};
    use super::*;

    #[test]
    fn what_does_not_matter_is_left_out() {
        let steps: Vec<Listed> = (0..40).map(|i| (i, Step::Fault(Fault::Cut { who: i }))).collect();
        // Fails wherever the third and the thirtieth are both there.
        let fails = |list: &[Listed]| {
            let has = |n: usize| list.iter().any(|(at, _)| *at == n);
            if has(3) && has(30) { Err(Violation { at: 30, what: "both".into() }) } else { Ok(()) }
        };
        let violation = Violation { at: 30, what: "both".into() };
        let short = shrink(&steps, violation.clone(), Duration::from_secs(600), fails);
        assert_eq!(short.steps.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [3, 30]);
        assert_eq!((short.violation.what.as_str(), short.is_shortest), ("both", true));
        let hasty = shrink(&steps, violation, Duration::ZERO, fails);
        assert_eq!((hasty.tries, hasty.is_shortest, hasty.steps.len()), (0, false, 31), "only so long is searched");
    }
}
