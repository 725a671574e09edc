//! A failing list made short: ever smaller parts are left out as long as the same thing is still broken.

use super::checks::Violation;
use super::moves::{Game, Move};
use super::play::{Start, play, start};

/// The least list that is found, and what is broken at its end.
pub fn shrunk(starts: &[Start], game: Game, steps: &[Move], violation: Violation) -> (Vec<Move>, Violation) {
    let start = start(starts, game);
    let (mut best, mut shown) = (steps.to_vec(), violation);
    let mut part = best.len().div_ceil(2);
    while part > 0 {
        let (mut from, mut smaller) = (0, false);
        while from < best.len() {
            let kept: Vec<Move> =
                best.iter().enumerate().filter(|(i, _)| *i < from || *i >= from + part).map(|(_, s)| *s).collect();
            match play(start, game, &kept, &[shown.kind]) {
                Err((at, violation)) => {
                    best = kept[..=at].to_vec();
                    (shown, smaller) = (violation, true);
                }
                Ok(()) => from += part,
            }
        }
        part = if part == 1 && !smaller { 0 } else { part.div_ceil(2).max(1) };
    }
    (best, shown)
}
