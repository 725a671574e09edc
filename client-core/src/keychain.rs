//! The key chain of a scope: one content key for each MLS epoch, every older key sealed under the next newer one. Whoever holds a key
//! can walk back and read all that was before; nobody can walk forward. The home cannot tell a link from junk, so every
//! link that is published is kept, and tried: a member that has both keys publishes what is missing or does not open. A
//! re-founding begins a new chain, whose first key opens the one before as far as the founder had it.

mod links;
mod rows;

use std::collections::{BTreeMap, BTreeSet};

pub use links::{ContentKey, KeyError, Place, check, make_bridge, make_link, open_bridge, open_link};
use stafett_protocol::event::Carried;
use stafett_protocol::ids::{DeviceId, ScopeId};
pub use stafett_protocol::limits::LINK_BYTES;
use stafett_protocol::statement::{KeyPlace, LinkRepair};
use subtle::ConstantTimeEq;

/// The MLS exporter label of content keys; its context is the scope's id.
pub const EXPORTER_LABEL: &str = "stafett content";

/// The keys of a scope, with the links and checks that its chain published.
#[derive(Debug, Clone)]
pub struct KeyChain {
    scope: ScopeId,
    generation: u32,
    keys: BTreeMap<KeyPlace, ContentKey>,
    checks: BTreeMap<KeyPlace, [u8; 32]>,
    /// By where they start and where they lead; of each device the first. So everybody tries the same ones, and nobody
    /// crowds out another's.
    links: BTreeMap<(KeyPlace, KeyPlace), BTreeMap<DeviceId, Link>>,
    /// Generations that go on from the one before.
    carried: BTreeSet<u32>,
}

#[derive(Debug, Clone)]
struct Link {
    sealed: Vec<u8>,
    holds: Holds,
}

/// Whether a link opens to the key that its target published a check of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holds {
    /// The key that opens it is not here.
    Unknown = 0,
    Yes = 1,
    No = 2,
}

impl KeyChain {
    #[must_use]
    pub fn new(scope: ScopeId, generation: u32) -> Self {
        let (keys, checks, links, carried) = Default::default();
        Self { scope, generation, keys, checks, links, carried }
    }

    /// The chain in the next generation, which goes on from so much of this one.
    #[must_use]
    pub fn next(mut self, carried: Option<&Carried>, founder: DeviceId) -> Self {
        self.generation = self.generation.saturating_add(1);
        if let Some(Carried { to, link }) = carried {
            self.carried.insert(self.generation);
            // A link that does not hold is one more that somebody has to make good.
            let _ = self.learn_link(self.at(0), *to, founder, link.as_slice());
        }
        self
    }

    /// For the founder of this generation, whose first key is here: seals the newest key of those before.
    pub fn carry(&mut self, founder: DeviceId) -> Option<Carried> {
        let first = self.at(0);
        let (to, older) = self.keys.range(..first).next_back()?;
        let (to, newer) = (*to, self.keys.get(&first)?);
        let sealed = make_bridge(newer, older, &self.place_of(first), &self.place_of(to));
        self.carried.insert(self.generation);
        let link = Link { sealed: sealed.clone(), holds: Holds::Yes };
        self.links.entry((first, to)).or_default().insert(founder, link);
        Some(Carried { to, link: sealed.into() })
    }

    /// The key of an epoch of this generation or an earlier one.
    #[must_use]
    pub fn key_of(&self, generation: u32, epoch: u64) -> Option<&ContentKey> {
        self.keys.get(&KeyPlace { generation, epoch })
    }

    /// Whether what was sealed in this generation is content of the scope today: the chain alone says so, alike for all.
    #[must_use]
    pub fn counts(&self, generation: u32) -> bool {
        generation <= self.generation
            && (generation..self.generation).all(|g| self.carried.contains(&g.saturating_add(1)))
    }

    /// Takes in the keys of another copy of this chain, as far as the chain has published checks for them.
    pub fn take_from(&mut self, other: &Self) {
        for (at, key) in other.keys.iter().filter(|(at, _)| self.checks.contains_key(at)).collect::<Vec<_>>() {
            // A key that does not fit here is not taken.
            let _ = self.learn_key_at(*at, key.clone());
        }
    }

    fn at(&self, epoch: u64) -> KeyPlace {
        KeyPlace { generation: self.generation, epoch }
    }

    fn place_of(&self, at: KeyPlace) -> Place {
        Place::of(self.scope, at)
    }

    #[must_use]
    pub fn place(&self, epoch: u64) -> Place {
        self.place_of(self.at(epoch))
    }

    /// The key of an epoch of this generation, if it is known.
    #[must_use]
    pub fn key(&self, epoch: u64) -> Option<&ContentKey> {
        self.keys.get(&self.at(epoch))
    }

    /// The newest epoch of this generation whose key is known.
    #[must_use]
    pub fn newest(&self) -> Option<u64> {
        self.keys.range(self.at(0)..).next_back().map(|(at, _)| at.epoch)
    }

    /// Notes the check that the commit to `epoch` published; it must fit a key that is already here.
    pub fn learn_check(&mut self, epoch: u64, published: [u8; 32]) -> Result<(), KeyError> {
        let at = self.at(epoch);
        if self.checks.get(&at).is_some_and(|known| *known != published) {
            return Err(KeyError::Differs(epoch));
        }
        if self.keys.get(&at).is_some_and(|key| !self.fits(at, key, &published)) {
            return Err(KeyError::Check(epoch));
        }
        self.checks.insert(at, published);
        Ok(())
    }

    /// Adds the key of an epoch, as exported from the staged commit or the Welcome, and walks back from it as far as what
    /// is published opens.
    pub fn learn_key(&mut self, epoch: u64, key: ContentKey) -> Result<(), KeyError> {
        self.learn_key_at(self.at(epoch), key)
    }

    fn learn_key_at(&mut self, at: KeyPlace, key: ContentKey) -> Result<(), KeyError> {
        if self.checks.get(&at).is_some_and(|published| !self.fits(at, &key, published)) {
            return Err(KeyError::Check(at.epoch));
        }
        if self.keys.get(&at).is_some_and(|known| !bool::from(known.0.ct_eq(&key.0))) {
            return Err(KeyError::Differs(at.epoch));
        }
        self.keys.insert(at, key);
        self.walk_back(at);
        Ok(())
    }

    /// Notes the link that the commit to `epoch` published.
    pub fn learn_commit_link(&mut self, epoch: u64, by: DeviceId, link: &[u8]) -> Result<(), KeyError> {
        let before = epoch.checked_sub(1).ok_or(KeyError::Link(epoch))?;
        self.learn_link(self.at(epoch), self.at(before), by, link)
    }

    /// Notes a link that somebody has published, and walks back through it. An error says that it is junk; what the same
    /// device has published there before counts, and is not replaced.
    pub fn learn_link(&mut self, from: KeyPlace, to: KeyPlace, by: DeviceId, link: &[u8]) -> Result<(), KeyError> {
        if link.len() != LINK_BYTES || to >= from {
            return Err(KeyError::Link(from.epoch));
        }
        let published = self.links.entry((from, to)).or_default();
        published.entry(by).or_insert_with(|| Link { sealed: link.to_vec(), holds: Holds::Unknown });
        if self.settle(from, to) {
            self.walk_back(to);
        }
        match self.links.get(&(from, to)).and_then(|published| published.get(&by)) {
            Some(link) if link.holds == Holds::No => Err(KeyError::Link(from.epoch)),
            _ => Ok(()),
        }
    }

    /// Links that the keys here make and that nobody has published so that they open: from each key to the next older one
    /// that is here. What this device has published once it does not publish again.
    #[must_use]
    pub fn repairs(&self, by: DeviceId) -> Vec<LinkRepair> {
        // Only of what was checked is it known that others have the same.
        let known = || self.keys.iter().filter(|(at, _)| self.checks.contains_key(at) && self.counts(at.generation));
        let missing = known().zip(known().skip(1)).filter(|((to, _), (from, _))| {
            let published = self.links.get(&(**from, **to));
            !published.is_some_and(|links| links.contains_key(&by) || links.values().any(|l| l.holds == Holds::Yes))
        });
        missing
            .map(|((to, older), (from, newer))| {
                let link = make_bridge(newer, older, &self.place_of(*from), &self.place_of(*to));
                LinkRepair { from: *from, to: *to, link: link.into() }
            })
            .collect()
    }

    /// Forgets everything: the scope was left.
    pub fn wipe(&mut self) {
        *self = Self::new(self.scope, self.generation);
    }

    fn fits(&self, at: KeyPlace, key: &ContentKey, published: &[u8; 32]) -> bool {
        check(key, &self.place_of(at)).ct_eq(published).into()
    }

    /// Tries what has been published between two places. Answers whether it brought a key. Where no check is known no
    /// link counts: a wrong key would be taken for the right one, and keep it out.
    fn settle(&mut self, from: KeyPlace, to: KeyPlace) -> bool {
        let (Some(newer), Some(published)) = (self.keys.get(&from).cloned(), self.checks.get(&to).copied()) else {
            return false;
        };
        let places = (self.place_of(from), self.place_of(to));
        let mut found = None;
        for link in self.links.get_mut(&(from, to)).into_iter().flat_map(BTreeMap::values_mut) {
            if link.holds == Holds::Unknown {
                let older = open_bridge(&newer, &link.sealed, &places.0, &places.1)
                    .filter(|key| check(key, &places.1).ct_eq(&published).into());
                link.holds = if older.is_some() { Holds::Yes } else { Holds::No };
                found = found.or(older);
            }
        }
        found.is_some_and(|key| !self.keys.contains_key(&to) && self.keys.insert(to, key).is_none())
    }

    fn walk_back(&mut self, start: KeyPlace) {
        let mut reached = vec![start];
        while let Some(from) = reached.pop() {
            let leads: Vec<KeyPlace> =
                self.links.range((from, KeyPlace::default())..=(from, from)).map(|((_, to), _)| *to).collect();
            for to in leads {
                if self.settle(from, to) {
                    reached.push(to);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
