//! Which clock counts for what: the home's for the rules, and this device's own beside it for whatever cannot be undone.

use super::Client;
use super::input::Problem;
use crate::rows::Space;
use stafett_protocol::event::{Event, Record};
use stafett_protocol::ids::{Millis, ScopeId};
use stafett_protocol::limits::{CLOCK_FUTURE_MILLIS, CLOCK_SKEW_SHOWN_MILLIS};

/// Code of what is refused because two clocks are too far apart.
pub(crate) const WRONG_CLOCK: &str = "clock";

/// Code of what is told of a device clock that is off, while all else goes on.
const CLOCK_SKEW: &str = "clock-skew";

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
            self.stream.problems.push((CLOCK_SKEW.to_owned(), why));
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
        Err(Problem::rule(WRONG_CLOCK, why))
    }

    /// Records of such a time stop their scope on this connection.
    pub(crate) fn check_times(&mut self, scope: ScopeId, records: &[Record]) -> Result<(), Problem> {
        let checked = records.iter().try_for_each(|record| self.check_time(record.time));
        if checked.is_err() {
            self.stream.blocked.insert(scope);
            self.stream.unplanned.insert(scope);
        }
        checked
    }

    /// What removes this device must be over by its own clock, too: by somebody's statement, by an own device, or because
    /// its time has come here. Else it is read again with the next connection.
    pub(crate) fn check_over(&self, scope: ScopeId, by: &Event, time: Millis) -> Result<(), Problem> {
        let (Some(s), Ok(me)) = (self.scopes.get(&scope), self.me()) else { return Ok(()) };
        let state = s.replica.state();
        let by_own = state.membership.member_of_device(by.device).is_some_and(|m| m.person == me.person);
        if by_own || time <= self.now || state.listed.contains(&me.device_public()) {
            return Ok(());
        }
        let why = "the municipality ends access here at a time that has not come by this device's clock; nothing is wiped \
                   until it has: set the clock of this device right, and if it is, tell the municipality";
        Err(Problem::rule(WRONG_CLOCK, why))
    }
}
