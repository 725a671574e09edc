//! Which clock counts for what: the home's for the rules, and this device's own beside it for whatever cannot be undone.

use super::Client;
use super::input::{Cause, Problem};
use crate::rows::Space;
use stafett_protocol::ids::Millis;
use stafett_protocol::limits::{CLOCK_FUTURE_MILLIS, CLOCK_SKEW_SHOWN_MILLIS};

/// By how many milliseconds the home's clock was ahead of this device's when it last told.
pub(crate) const CLOCK: &[u8] = b"clock";

impl Client {
    /// The time by which the rules go: the home's, as far as it is known, also while there is no line. A device
    /// clock that is off is shown, never trusted: it does not lock its owner out, nor make consents that have run
    /// out before they begin.
    pub(crate) fn home_now(&self) -> Millis {
        let told = self.table.read(Space::State, CLOCK).and_then(|row| row.try_into().ok());
        self.now.saturating_add_signed(told.map_or(0, i64::from_be_bytes))
    }

    /// A device clock that is off is told: what is written here bears its time, and what it says of days is wrong.
    pub(crate) fn tell_clock(&mut self, ahead: i64) {
        if ahead.unsigned_abs() > CLOCK_SKEW_SHOWN_MILLIS {
            let way = if ahead > 0 { "behind" } else { "ahead of" };
            let minutes = ahead.unsigned_abs() / 60_000;
            let why = format!("this device's clock is {minutes} minutes {way} the municipality's; set it right");
            self.told.problems.push((Cause::ClockSkew.word().to_owned(), why));
        }
    }

    /// The time by which this device forgets for good: what is over by the home's word must be over by its own clock.
    pub(crate) fn both_now(&self) -> Millis {
        self.home_now().min(self.now)
    }

    /// A time that a home states is none that this device cannot have come to.
    pub(crate) fn check_time(&self, time: Millis) -> Result<(), Problem> {
        if time <= self.now.saturating_add(CLOCK_FUTURE_MILLIS) {
            return Ok(());
        }
        let why = "the municipality's time lies more than two days ahead of this device's clock: one of them is wrong; \
                   set the clock of this device right, and if it is, tell the municipality";
        Err(Problem::rule(Cause::Clock, why))
    }

    /// The leader's own time for a word on an employee: later than every one before, whatever the clocks do.
    pub(crate) fn time_of_word(&mut self) -> Millis {
        const LAST: &[u8] = b"leader's word";
        let last =
            self.table.read(Space::State, LAST).and_then(|row| row.try_into().ok()).map_or(0, Millis::from_be_bytes);
        let at = self.home_now().max(last.saturating_add(1));
        self.table.write(Space::State, LAST, at.to_be_bytes().to_vec());
        at
    }
}
