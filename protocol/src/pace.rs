//! How often somebody may do what costs the other side a little each time: a bucket of tokens, by the caller's own clock.

use crate::ids::Millis;

/// So many at once, and one more after each step of time.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    at_once: u64,
    step: Millis,
    /// The time up to which everything is used.
    used_until: Millis,
}

impl Pace {
    pub const fn new(at_once: u32, step: Millis) -> Self {
        Self { at_once: at_once as u64, step, used_until: 0 }
    }

    /// Whether one more is within the pace; if it is not, nothing is used. `now` starts anywhere and does not go back.
    pub fn admit(&mut self, now: Millis) -> bool {
        // Shifted by what may be used at once, so that a clock that starts at 0 can be asked too.
        let now = now.saturating_add(self.at_once.saturating_mul(self.step));
        let oldest = now.saturating_sub(self.at_once.saturating_mul(self.step));
        let next = self.used_until.max(oldest).saturating_add(self.step);
        if next > now {
            return false;
        }
        self.used_until = next;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_at_once_and_then_one_a_step() {
        let mut pace = Pace::new(3, 1000);
        let admitted = |pace: &mut Pace, now| (0..10).filter(|_| pace.admit(now)).count();
        assert_eq!(admitted(&mut pace, 0), 3);
        assert_eq!(admitted(&mut pace, 999), 0);
        assert_eq!(admitted(&mut pace, 1000), 1);
        assert_eq!(admitted(&mut pace, 3500), 2);
        assert_eq!(admitted(&mut pace, 1_000_000), 3, "no more is saved up");
    }
}
