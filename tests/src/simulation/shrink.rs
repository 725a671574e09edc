//! A failing list made short: ever smaller parts are left out as long as what remains still fails (delta debugging).

use super::Violation;
use super::operation::Step;

type Listed = (usize, Step);

/// Longest search: each try plays a world.
const TRIES: usize = 120;

/// The shortest failing list found, and what it violates.
pub fn shrink(
    steps: &[Listed],
    violation: Violation,
    mut fails: impl FnMut(&[Listed]) -> Result<(), Violation>,
) -> (Vec<Listed>, Violation) {
    // Nothing after the step that failed matters.
    let mut best: Vec<Listed> = steps.iter().filter(|(at, _)| *at <= violation.at).cloned().collect();
    let mut shown = violation;
    let mut tries = 0;
    let mut part = best.len().div_ceil(2).max(1);
    loop {
        let mut from = 0;
        let mut smaller = false;
        while from < best.len() && tries < TRIES {
            let kept: Vec<Listed> =
                best.iter().enumerate().filter(|(i, _)| *i < from || *i >= from + part).map(|(_, s)| *s).collect();
            tries += 1;
            match fails(&kept) {
                Err(violation) => {
                    (best, shown, smaller) = (kept, violation, true);
                }
                Ok(()) => from += part,
            }
        }
        if tries >= TRIES || (part == 1 && !smaller) {
            return (best, shown);
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
        let (short, violation) = shrink(&steps, Violation { at: 30, what: "both".into() }, fails);
        assert_eq!(short.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [3, 30]);
        assert_eq!(violation.what, "both");
    }
}
