//! What may be stored, founded and asked for in a day. Buckets of requests stop a flood within seconds; these stop whoever
//! fills the disk slowly. In memory, by the time that really passes; each process counts for itself. The figures stand in
//! [`table`], with all others; what may be held in memory at one time is counted in [`memory`].

pub mod memory;
pub mod prefix;
pub mod table;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use stafett_protocol::event::{Body, Event};
use stafett_protocol::ids::{DeviceId, Municipality, PersonId};
use stafett_protocol::limits::BODY_BYTES;
use stafett_protocol::signed::Signed;
use stafett_protocol::statement::Statement;
use stafett_protocol::wire::{Bundle, Request};

use crate::clock::Clock;
use crate::problem::Fault;
use crate::store::accounts::Device;

const DAY_MILLIS: u64 = 86_400_000;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Good {
    /// Events, Welcomes, letters, key packages, checkpoints, parts of attachments: whatever a request has stored.
    Bytes,
    /// Cards, and scopes of units and of people.
    Logs,
    /// Events that alter what everybody knows of a scope: each writes all of it anew.
    Facts,
    /// Bytes of answers, and of whatever else comes of asking.
    Answers,
    /// Bytes of logs that move hither.
    FetchedBytes,
}

/// Who answers for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Payer {
    Device(DeviceId),
    Person(PersonId),
    /// All guests of a municipality together: its server could invent as many people as it likes.
    Peer(Municipality),
}

/// So much at once, and so much again in each day.
#[derive(Clone, Copy)]
struct Budget {
    at_once: u64,
    in_a_day: u64,
}

const NONE: Budget = Budget { at_once: 0, in_a_day: 1 };

/// What a request costs if it is done.
pub type Costs = Vec<(Good, u64)>;

/// By default a request stores all its bytes; those that ask, and these, store nothing here, or what this home has signed
/// before.
fn stores(request: &Request) -> bool {
    !asks(request)
        && !matches!(
            request,
            Request::Acknowledge(_)
                | Request::RemoveDevice(_)
                | Request::Ping
                | Request::Relay(_)
                | Request::Return(_)
                | Request::Activate(_)
                | Request::Release(_)
                | Request::HoldTransfer(_)
        )
}

/// Requests whose answers may be much larger than they are; whoever has been answered too much waits with these alone.
#[must_use]
pub const fn asks(request: &Request) -> bool {
    matches!(
        request,
        Request::Sync(_)
            | Request::SyncAhead(_)
            | Request::History(_)
            | Request::GetAttachmentPart(_)
            | Request::FetchKeyPackages(_)
            | Request::Persons(_)
            | Request::Units
    )
}

/// What a request of so many bytes would cost.
#[must_use]
pub fn costs(request: &Request, bytes: usize) -> Costs {
    if !stores(request) {
        return vec![];
    }
    let (logs, facts) = match request {
        Request::Submit(bundle) => of_bundle(bundle),
        Request::CommitTransfer(moving) => of_bundle(&moving.bundle),
        _ => (0, 0),
    };
    [(Good::Bytes, bytes as u64), (Good::Logs, logs), (Good::Facts, facts)]
        .into_iter()
        .filter(|(_, n)| *n > 0)
        .collect()
}

/// Denial wins: whoever ends somebody's access is not told to wait, so long as it comes without much else. It is owed.
#[must_use]
pub fn must_pass(request: &Request, bytes: usize) -> bool {
    let Request::Submit(bundle) = request else { return false };
    let ends = |event: &Signed<Event>| {
        let body = event.peek().map(|event| event.body);
        matches!(body, Ok(Body::Statement(Statement::Withdrawal(_) | Statement::EmployeeEnd(_))))
    };
    bytes <= BODY_BYTES && bundle.envelopes.iter().all(|envelope| ends(&envelope.event))
}

fn of_bundle(bundle: &Bundle) -> (u64, u64) {
    let events = bundle.envelopes.iter().filter_map(|envelope| envelope.event.peek().ok());
    events.fold((0, 0), |(logs, facts), event| match &event.body {
        Body::Genesis(genesis) => (logs + u64::from(genesis.card.is_none_or(|card| card == event.scope)), facts + 1),
        Body::Commit(_) | Body::Statement(_) => (logs, facts + 1),
        Body::Change(_) => (logs, facts),
    })
}

/// How much of a budget is used, as of a moment; it comes back with time.
#[derive(Clone, Copy, Default)]
struct Used {
    amount: u64,
    at: u64,
}

impl Used {
    fn now(self, budget: Budget, now: u64) -> u64 {
        let passed = u128::from(now.saturating_sub(self.at));
        let back = passed.saturating_mul(budget.in_a_day.into()) / u128::from(DAY_MILLIS);
        self.amount.saturating_sub(u64::try_from(back).unwrap_or(u64::MAX))
    }
}

/// How long until so much more has room.
fn wait_ms(used: u64, amount: u64, budget: Budget) -> u64 {
    let over = u128::from(used.saturating_add(amount).saturating_sub(budget.at_once));
    let wait = over.saturating_mul(DAY_MILLIS.into()).div_ceil(budget.in_a_day.max(1).into());
    u64::try_from(wait).unwrap_or(u64::MAX)
}

/// Everybody's use.
pub struct Budgets {
    clock: Arc<Clock>,
    used: Mutex<HashMap<(Payer, Good), Used>>,
}

/// Who pays for a device's requests.
#[must_use]
pub fn payers(device: &Device, guest_of: Option<Municipality>) -> Vec<Payer> {
    let own = [Payer::Device(device.device), Payer::Person(device.person)];
    own.into_iter().chain(guest_of.map(Payer::Peer)).collect()
}

impl Budgets {
    #[must_use]
    pub fn new(clock: Arc<Clock>) -> Self {
        Self { clock, used: Mutex::default() }
    }

    fn with<T>(&self, act: impl FnOnce(&mut HashMap<(Payer, Good), Used>, u64) -> T) -> T {
        let now = self.clock.elapsed_ms();
        act(&mut self.used.lock().unwrap_or_else(PoisonError::into_inner), now)
    }

    /// Takes all of it from everybody, or nothing from anybody.
    pub fn take(&self, payers: &[Payer], costs: &[(Good, u64)]) -> Result<(), Fault> {
        self.with(|used, now| {
            let mut wait = 0;
            for (payer, good, amount) in each(payers, costs) {
                let budget = table::of_a_day(payer, good);
                let before = used.get(&(payer, good)).copied().unwrap_or_default().now(budget, now);
                wait = wait.max(wait_ms(before, amount, budget));
            }
            if wait > 0 {
                return Err(Fault::QuotaExceeded { wait_ms: wait });
            }
            add(used, now, payers, costs);
            Ok(())
        })
    }

    /// Whether everybody has paid what they owe of this.
    pub fn have_room(&self, payers: &[Payer], good: Good) -> Result<(), Fault> {
        self.take(payers, &[(good, 0)])
    }

    /// What was stored beyond what the request had said: it is owed.
    pub fn owe(&self, payers: &[Payer], costs: &[(Good, u64)]) {
        self.with(|used, now| add(used, now, payers, costs));
    }

    /// Nothing came of it.
    pub fn give_back(&self, payers: &[Payer], costs: &[(Good, u64)]) {
        self.with(|used, _| {
            for (payer, good, amount) in each(payers, costs) {
                if let Some(used) = used.get_mut(&(payer, good)) {
                    used.amount = used.amount.saturating_sub(amount);
                }
            }
        });
    }

    /// Forgets whoever owes nothing.
    pub fn sweep(&self) {
        self.with(|all, now| all.retain(|(payer, good), used| used.now(table::of_a_day(*payer, *good), now) > 0));
    }
}

fn each<'a>(payers: &'a [Payer], costs: &'a [(Good, u64)]) -> impl Iterator<Item = (Payer, Good, u64)> + 'a {
    payers.iter().flat_map(move |payer| costs.iter().map(move |(good, amount)| (*payer, *good, *amount)))
}

fn add(used: &mut HashMap<(Payer, Good), Used>, now: u64, payers: &[Payer], costs: &[(Good, u64)]) {
    for (payer, good, amount) in each(payers, costs) {
        let entry = used.entry((payer, good)).or_default();
        let before = entry.now(table::of_a_day(payer, good), now);
        *entry = Used { amount: before.saturating_add(amount), at: now };
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use super::table::MIB_BYTES;
    use super::*;

    const PERSON: Payer = Payer::Person(PersonId([1; 16]));

    fn bytes(amount: u64) -> Costs {
        vec![(Good::Bytes, amount)]
    }

    #[test]
    fn what_is_used_comes_back_with_the_day_and_what_is_owed_is_paid_first() {
        let clock = Arc::new(Clock::default());
        let budgets = Budgets::new(Arc::clone(&clock));
        let all = table::of_a_day(PERSON, Good::Bytes);
        budgets.take(&[PERSON], &bytes(all.at_once)).unwrap();
        let Err(Fault::QuotaExceeded { wait_ms }) = budgets.take(&[PERSON], &bytes(MIB_BYTES)) else { panic!() };
        assert!(wait_ms > 0 && wait_ms < DAY_MILLIS);
        budgets.owe(&[PERSON], &bytes(MIB_BYTES));
        clock.pass(i64::try_from(wait_ms).unwrap());
        assert!(budgets.take(&[PERSON], &bytes(MIB_BYTES)).is_err(), "owed");
        clock.pass(i64::try_from(wait_ms).unwrap());
        budgets.take(&[PERSON], &bytes(MIB_BYTES)).unwrap();
        budgets.give_back(&[PERSON], &bytes(all.at_once));
        clock.pass(i64::try_from(2 * DAY_MILLIS).unwrap());
        budgets.sweep();
        assert!(budgets.with(|used, _| used.is_empty()));
    }

    #[test]
    fn nobody_pays_for_what_another_has_no_room_for() {
        let budgets = Budgets::new(Arc::default());
        let peer = Payer::Peer(1106);
        let logs = |n| vec![(Good::Logs, n)];
        budgets.take(&[PERSON], &logs(table::of_a_day(PERSON, Good::Logs).at_once)).unwrap();
        assert!(budgets.take(&[peer, PERSON], &logs(1)).is_err());
        budgets.take(&[peer], &logs(table::of_a_day(peer, Good::Logs).at_once)).unwrap();
        assert!(budgets.take(&[peer, Payer::Person(PersonId([2; 16]))], &logs(1)).is_err(), "nor new people of it");
    }
}
