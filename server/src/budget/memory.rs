//! What may be held in memory at one time for somebody: bodies and messages that are still coming, answers that are still
//! going. Each byte counts against everybody who answers for it, and against all together; it is given back with its guard.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use stafett_protocol::ids::{DeviceId, Municipality, PersonId};

use super::prefix::Prefix;
use super::table;
use crate::problem::Fault;

/// Who answers for bytes in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Holder {
    /// Everybody together.
    All,
    /// Bodies of HTTP requests together: most of those who send them are not known yet.
    Bodies,
    /// What is given back to a restored home and is not whole yet, of everybody together.
    Returning,
    Prefix(Prefix),
    Device(DeviceId),
    Person(PersonId),
    /// A municipality's server, and all guests that come through it.
    Peer(Municipality),
}

/// What everybody holds.
#[derive(Debug, Default)]
pub struct Memory(Mutex<HashMap<Holder, usize>>);

/// Bytes that are held; dropping it gives them back.
#[derive(Debug)]
pub struct Held {
    memory: Arc<Memory>,
    holders: Vec<Holder>,
    bytes: usize,
}

impl Memory {
    /// A guard that holds nothing yet, for these and for all together.
    #[must_use]
    pub fn nothing(self: &Arc<Self>, holders: impl IntoIterator<Item = Holder>) -> Held {
        let holders = holders.into_iter().chain([Holder::All]).collect();
        Held { memory: Arc::clone(self), holders, bytes: 0 }
    }

    /// So many bytes at once, or none.
    pub fn hold(self: &Arc<Self>, holders: impl IntoIterator<Item = Holder>, bytes: usize) -> Result<Held, Fault> {
        let mut held = self.nothing(holders);
        held.set(bytes)?;
        Ok(held)
    }

    /// What somebody holds now.
    #[must_use]
    pub fn held(&self, holder: Holder) -> usize {
        self.with(|all| all.get(&holder).copied().unwrap_or_default())
    }

    fn with<T>(&self, act: impl FnOnce(&mut HashMap<Holder, usize>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Held {
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// A guard for the same holders, that holds nothing yet.
    #[must_use]
    pub fn another(&self) -> Self {
        Self { memory: Arc::clone(&self.memory), holders: self.holders.clone(), bytes: 0 }
    }

    /// Holds so many from now on; if there is no room for more, everything stays as it was.
    pub fn set(&mut self, bytes: usize) -> Result<(), Fault> {
        let Some(more) = bytes.checked_sub(self.bytes).filter(|more| *more > 0) else {
            self.give_back(self.bytes - bytes.min(self.bytes));
            return Ok(());
        };
        self.memory.with(|all| {
            let has_room = |holder: &Holder| {
                all.get(holder).copied().unwrap_or_default().saturating_add(more) <= table::held_bytes(*holder)
            };
            if !self.holders.iter().all(has_room) {
                return Err(Fault::TooManyRequests);
            }
            for holder in &self.holders {
                *all.entry(*holder).or_default() += more;
            }
            Ok(())
        })?;
        self.bytes = bytes;
        Ok(())
    }

    fn give_back(&mut self, bytes: usize) {
        self.memory.with(|all| {
            for holder in &self.holders {
                let left = all.get(holder).copied().unwrap_or_default().saturating_sub(bytes);
                if left == 0 {
                    all.remove(holder);
                } else {
                    all.insert(*holder, left);
                }
            }
        });
        self.bytes -= bytes;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.give_back(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const PEER: Holder = Holder::Peer(1106);

    #[test]
    fn what_is_held_is_bounded_for_each_and_for_all_and_given_back() {
        let memory = Arc::new(Memory::default());
        let person = |n| Holder::Person(PersonId([n; 16]));
        let most = table::held_bytes(person(1));
        let mut one = memory.hold([person(1)], most).unwrap();
        assert!(memory.hold([person(1)], 1).is_err());
        assert!(one.set(most + 1).is_err(), "nor by growing");
        // Who has no room takes from nobody else.
        assert!(memory.hold([PEER, person(1)], 1).is_err());
        assert_eq!(memory.held(PEER), 0);
        let others: Vec<_> = (2..=u8::MAX).map_while(|n| memory.hold([person(n)], most).ok()).collect();
        assert_eq!(memory.held(Holder::All), table::held_bytes(Holder::All) / most * most);
        one.set(1).unwrap();
        assert_eq!(memory.held(person(1)), 1);
        drop((one, others));
        assert!(memory.with(|all| all.is_empty()), "nothing is left behind");
    }
}
