//! The key chain in its rows: one for each key, check and published link of each generation.

use std::collections::BTreeMap;

use super::{ContentKey, Holds, KeyChain, Link};
use crate::rows::{Space, Table};
use stafett_protocol::ids::{DeviceId, ScopeId};
use stafett_protocol::statement::KeyPlace;

/// Parts of a key chain in a row's key.
const KEY: u8 = 1;
const CHECK: u8 = 2;
/// Then: where it leads, and who published it.
const LINK: u8 = 3;
/// Under the first epoch of a generation that goes on from the one before.
const CARRIED: u8 = 4;

impl KeyChain {
    /// Writes what is not yet in the table.
    pub fn save(&self, table: &mut Table) {
        let mut write = |part, at: &KeyPlace, rest: &[u8], value: &[u8]| {
            let key = [&prefix(self.scope, at.generation)[..], &[part], &at.epoch.to_be_bytes(), rest].concat();
            if table.read(Space::Keys, &key) != Some(value) {
                table.write(Space::Keys, &key, value.to_vec());
            }
        };
        self.keys.iter().for_each(|(at, key)| write(KEY, at, &[], &key.0));
        self.checks.iter().for_each(|(at, check)| write(CHECK, at, &[], check));
        for ((from, to), published) in &self.links {
            let to = [&to.generation.to_be_bytes()[..], &to.epoch.to_be_bytes()].concat();
            for (by, link) in published {
                let value = [&[link.holds as u8][..], &link.sealed].concat();
                write(LINK, from, &[&to[..], &by.0].concat(), &value);
            }
        }
        let first = |generation: &u32| KeyPlace { generation: *generation, epoch: 0 };
        self.carried.iter().map(first).for_each(|at| write(CARRIED, &at, &[], &[1]));
    }

    /// Forgets the rows of a generation: the one that was made here is not the one that stands.
    pub fn forget_generation(table: &mut Table, scope: ScopeId, generation: u32) {
        table.delete_all(Space::Keys, &prefix(scope, generation));
    }

    /// Deletes every row of a scope's keys, all generations.
    pub fn delete_rows(table: &mut Table, scope: ScopeId) {
        table.delete_all(Space::Keys, &scope.0);
    }

    /// Reads a chain back. Rows of another shape are a fault of the store and are left out, and so is a key that does not
    /// fit its check: the links to it bring the right one.
    #[must_use]
    pub fn load(table: &Table, scope: ScopeId, generation: u32) -> Self {
        let mut chain = Self::new(scope, generation);
        for (key, value) in table.scan(Space::Keys, &scope.0) {
            if let Some(row) = key.strip_prefix(&scope.0).and_then(split).filter(|row| row.at.generation <= generation)
            {
                chain.take_row(&row, value);
            }
        }
        let misfit = |at: &KeyPlace, key: &ContentKey| chain.checks.get(at).is_some_and(|c| !chain.fits(*at, key, c));
        let misfits: Vec<KeyPlace> = chain.keys.iter().filter(|(at, key)| misfit(at, key)).map(|(at, _)| *at).collect();
        misfits.iter().for_each(|at| drop(chain.keys.remove(at)));
        chain.try_again(&misfits);
        chain
    }

    /// What was tried with keys that did not fit says nothing.
    fn try_again(&mut self, misfits: &[KeyPlace]) {
        let links = self.links.iter_mut().filter(|((from, to), _)| misfits.contains(from) || misfits.contains(to));
        links.flat_map(|(_, published)| published.values_mut()).for_each(|link| link.holds = Holds::Unknown);
        if !misfits.is_empty() {
            let here: Vec<KeyPlace> = self.keys.keys().copied().collect();
            here.into_iter().for_each(|at| self.walk_back(at));
        }
    }

    fn take_row(&mut self, row: &RowKey<'_>, value: &[u8]) {
        match (row.part, <[u8; 32]>::try_from(value)) {
            (KEY, Ok(key)) => drop(self.keys.insert(row.at, ContentKey(key))),
            (CHECK, Ok(check)) => drop(self.checks.insert(row.at, check)),
            (CARRIED, _) => drop(self.carried.insert(row.at.generation)),
            (LINK, _) => {
                let (Some((to, by)), Some((holds, sealed))) = (target(row.rest), value.split_first()) else { return };
                let holds = match *holds {
                    1 => Holds::Yes,
                    2 => Holds::No,
                    _ => Holds::Unknown,
                };
                let published: &mut BTreeMap<DeviceId, Link> = self.links.entry((row.at, to)).or_default();
                published.insert(by, Link { sealed: sealed.to_vec(), holds });
            }
            _ => {}
        }
    }
}

fn prefix(scope: ScopeId, generation: u32) -> Vec<u8> {
    [&scope.0[..], &generation.to_be_bytes()].concat()
}

/// What stands in a row's key behind the scope.
struct RowKey<'k> {
    part: u8,
    at: KeyPlace,
    rest: &'k [u8],
}

fn split(key: &[u8]) -> Option<RowKey<'_>> {
    let (generation, key) = key.split_first_chunk()?;
    let (part, key) = key.split_first()?;
    let (epoch, rest) = key.split_first_chunk()?;
    let at = KeyPlace { generation: u32::from_be_bytes(*generation), epoch: u64::from_be_bytes(*epoch) };
    Some(RowKey { part: *part, at, rest })
}

fn target(rest: &[u8]) -> Option<(KeyPlace, DeviceId)> {
    let (generation, rest) = rest.split_first_chunk()?;
    let (epoch, rest) = rest.split_first_chunk()?;
    let to = KeyPlace { generation: u32::from_be_bytes(*generation), epoch: u64::from_be_bytes(*epoch) };
    Some((to, DeviceId(rest.try_into().ok()?)))
}
