//! The key chain of a scope: one content key for each MLS epoch, every older key sealed under the next newer one. Whoever holds a key
//! can walk back and read the whole generation of the scope; nobody can walk forward. A commit made without the older key (a resync)
//! leaves a gap, until a member that has both keys publishes the missing link. A re-founding begins a new chain, whose first key opens the
//! one before as far as the founder had it.

use std::collections::{BTreeMap, BTreeSet};

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use hkdf::Hkdf;
use sha2::Sha256;
use stafett_protocol::event::Carried;
use stafett_protocol::ids::ScopeId;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::rows::{Space, Table};

/// The MLS exporter label of content keys; its context is the scope's id.
pub const EXPORTER_LABEL: &str = "stafett content";
/// Bytes of a link: a sealed key and its tag.
pub const LINK_BYTES: usize = 48;

/// Why a key, check or link is refused. Links and checks come from others: the author of the commit answers for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("a content key has 32 bytes")]
    Length,
    #[error("the key of epoch {0} does not match its published check")]
    Check(u64),
    #[error("the link of epoch {0} does not open")]
    Link(u64),
    #[error("epoch {0} already has another key, check or link")]
    Differs(u64),
    #[error("the keys needed for a link of epoch {0} are not here")]
    Missing(u64),
}

/// The content key of one epoch.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct ContentKey([u8; 32]);

impl core::fmt::Debug for ContentKey {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        out.write_str("ContentKey(..)")
    }
}

impl ContentKey {
    /// The key as the MLS exporter gives it.
    pub fn from_exporter(secret: &[u8]) -> Result<Self, KeyError> {
        Ok(Self(secret.try_into().map_err(|_| KeyError::Length)?))
    }

    /// A key for one purpose. `context` must be unambiguous: callers use fixed-size parts.
    pub(crate) fn derive(&self, salt: &[u8], label: &str, context: &[u8]) -> Zeroizing<[u8; 32]> {
        let mut key = Zeroizing::new([0; 32]);
        let info = [b"stafett/1 ", label.as_bytes(), &[0], context];
        // 32 bytes are within what HKDF-SHA-256 can give; the error cannot occur, and a zero key would open nothing.
        let _ = Hkdf::<Sha256>::new(Some(salt), &self.0).expand_multi_info(&info, key.as_mut());
        key
    }
}

/// One epoch of one generation of a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub scope: ScopeId,
    pub generation: u32,
    pub epoch: u64,
}

impl Place {
    fn context(&self) -> [u8; 28] {
        let mut bytes = [0; 28];
        let (scope, rest) = bytes.split_at_mut(16);
        let (generation, epoch) = rest.split_at_mut(4);
        scope.copy_from_slice(&self.scope.0);
        generation.copy_from_slice(&self.generation.to_be_bytes());
        epoch.copy_from_slice(&self.epoch.to_be_bytes());
        bytes
    }
}

/// What proves that two members derived the same key for `place`, and tells nothing of the key.
#[must_use]
pub fn check(key: &ContentKey, place: &Place) -> [u8; 32] {
    *key.derive(&[], "check", &place.context())
}

/// The older key sealed under the key of `place`, the newer epoch. The sealing key serves for this one message, so its nonce is fixed.
#[must_use]
pub fn make_link(newer: &ContentKey, older: &ContentKey, place: &Place) -> Vec<u8> {
    let (cipher, aad) = link_cipher(newer, place);
    // Sealing 32 bytes cannot fail; an empty link would be refused by everyone.
    cipher.encrypt(&Nonce::default(), Payload { msg: &older.0, aad: &aad }).unwrap_or_default()
}

/// The key of the epoch before `place`.
pub fn open_link(newer: &ContentKey, link: &[u8], place: &Place) -> Result<ContentKey, KeyError> {
    let (cipher, aad) = link_cipher(newer, place);
    opened(&cipher, link, &aad).ok_or(KeyError::Link(place.epoch))
}

fn opened(cipher: &Aes256Gcm, link: &[u8], aad: &[u8]) -> Option<ContentKey> {
    let key = Zeroizing::new(cipher.decrypt(&Nonce::default(), Payload { msg: link, aad }).ok()?);
    ContentKey::from_exporter(&key).ok()
}

fn link_cipher(newer: &ContentKey, place: &Place) -> (Aes256Gcm, [u8; 28]) {
    let context = place.context();
    (cipher(newer, "link", &context), context)
}

fn cipher(newer: &ContentKey, label: &str, context: &[u8]) -> Aes256Gcm {
    Aes256Gcm::new((&*newer.derive(&[], label, context)).into())
}

/// The keys of one generation of a scope, with the links and checks that the chain published.
#[derive(Debug, Clone)]
pub struct KeyChain {
    scope: ScopeId,
    generation: u32,
    keys: BTreeMap<u64, ContentKey>,
    checks: BTreeMap<u64, [u8; 32]>,
    links: BTreeMap<u64, Vec<u8>>,
    before: Option<Box<Before>>,
}

/// The generation before, and what of it goes on.
#[derive(Debug, Clone)]
struct Before {
    chain: KeyChain,
    carried: Option<Carried>,
}

impl KeyChain {
    #[must_use]
    pub fn new(scope: ScopeId, generation: u32) -> Self {
        Self { scope, generation, keys: BTreeMap::new(), checks: BTreeMap::new(), links: BTreeMap::new(), before: None }
    }

    /// The chain of the next generation, which takes over so much of this one.
    #[must_use]
    pub fn next(self, carried: Option<Carried>) -> Self {
        let next = Self::new(self.scope, self.generation.saturating_add(1));
        Self { before: Some(Box::new(Before { chain: self, carried })), ..next }
    }

    /// For the founder of this generation, whose first key is here: seals the newest key of the one before.
    pub fn carry(&mut self) -> Option<Carried> {
        let place = self.place(0);
        let first = self.keys.get(&0)?;
        let before = self.before.as_mut()?;
        let (epoch, older) = before.chain.keys.last_key_value()?;
        let sealed = cipher(first, "carry", &place.context())
            .encrypt(&Nonce::default(), Payload { msg: &older.0, aad: &before.chain.place(*epoch).context() });
        before.carried = Some(Carried { epoch: *epoch, link: sealed.ok()?.into() });
        before.carried.clone()
    }

    /// The key of an epoch of this generation or an earlier one.
    #[must_use]
    pub fn key_of(&self, generation: u32, epoch: u64) -> Option<&ContentKey> {
        match &self.before {
            _ if generation == self.generation => self.keys.get(&epoch),
            Some(before) => before.chain.key_of(generation, epoch),
            None => None,
        }
    }

    /// Whether what was sealed there is content of the scope today: the chain alone says so, alike for all.
    #[must_use]
    pub fn counts(&self, generation: u32, epoch: u64) -> bool {
        let Some(before) = self.before.as_deref().filter(|_| generation < self.generation) else {
            return generation == self.generation;
        };
        let newest = generation == before.chain.generation;
        before.carried.as_ref().is_some_and(|c| !newest || epoch <= c.epoch) && before.chain.counts(generation, epoch)
    }

    /// Takes in the keys of another copy of this chain, as far as the chain has published checks for them.
    pub fn take_from(&mut self, other: &Self) {
        let mut theirs = Some(other);
        while let Some(chain) = theirs {
            if chain.generation == self.generation {
                let fitting: Vec<_> = chain.keys.iter().filter(|(epoch, _)| self.checks.contains_key(epoch)).collect();
                for (epoch, key) in fitting {
                    // An error is about a link further back: a gap.
                    let _ = self.learn_key(*epoch, key.clone());
                }
            }
            theirs = chain.before.as_ref().map(|before| &before.chain);
        }
        if let Some(before) = &mut self.before {
            before.chain.take_from(other);
        }
    }

    /// Opens the generation before with the first key of this one, if that is here. A carried key that does not
    /// open or fit is as good as none.
    fn open_before(&mut self) {
        let place = self.place(0);
        let (Some(first), Some(before)) = (self.keys.get(&0), self.before.as_mut()) else { return };
        let Some(carried) = &before.carried else { return };
        if before.chain.keys.contains_key(&carried.epoch) {
            return;
        }
        let aad = before.chain.place(carried.epoch).context();
        if let Some(key) = opened(&cipher(first, "carry", &place.context()), carried.link.as_slice(), &aad) {
            // An error is about a link further back, or a key that does not fit: either way nothing is taken.
            let _ = before.chain.learn_key(carried.epoch, key);
        }
    }

    #[must_use]
    pub fn place(&self, epoch: u64) -> Place {
        Place { scope: self.scope, generation: self.generation, epoch }
    }

    /// The key of an epoch, if it is known.
    #[must_use]
    pub fn key(&self, epoch: u64) -> Option<&ContentKey> {
        self.keys.get(&epoch)
    }

    /// The newest epoch whose key is known.
    #[must_use]
    pub fn newest(&self) -> Option<u64> {
        self.keys.last_key_value().map(|(epoch, _)| *epoch)
    }

    /// Notes the check that the commit to `epoch` published; it must fit a key that is already here.
    pub fn learn_check(&mut self, epoch: u64, published: [u8; 32]) -> Result<(), KeyError> {
        if self.checks.get(&epoch).is_some_and(|known| *known != published) {
            return Err(KeyError::Differs(epoch));
        }
        if let Some(key) = self.keys.get(&epoch) {
            self.fits(epoch, key, &published)?;
        }
        self.checks.insert(epoch, published);
        Ok(())
    }

    /// Adds the key of an epoch, as exported from the staged commit or the Welcome, and walks back from it. The epochs opened.
    /// An error that names an earlier epoch is about a link there: the key itself was taken, and the link counts as missing.
    pub fn learn_key(&mut self, epoch: u64, key: ContentKey) -> Result<Vec<u64>, KeyError> {
        self.admit(epoch, key)?;
        self.walk_back(epoch)
    }

    /// Adds the link that the commit to `epoch`, or a later repair, published, and walks back through it. The epochs opened.
    pub fn learn_link(&mut self, epoch: u64, link: Vec<u8>) -> Result<Vec<u64>, KeyError> {
        if self.links.get(&epoch).is_some_and(|known| *known != link) {
            return Err(KeyError::Differs(epoch));
        }
        if let (Some(newer), Some(before)) = (self.keys.get(&epoch), epoch.checked_sub(1)) {
            let older = open_link(newer, &link, &self.place(epoch))?;
            self.admit(before, older)?;
        }
        self.links.insert(epoch, link);
        self.walk_back(epoch)
    }

    /// The link of `epoch`, made from the keys that are here: for one's own commit, or to repair a gap.
    pub fn link(&self, epoch: u64) -> Result<Vec<u8>, KeyError> {
        let older = epoch.checked_sub(1).and_then(|before| self.keys.get(&before));
        match (self.keys.get(&epoch), older) {
            (Some(newer), Some(older)) => Ok(make_link(newer, older, &self.place(epoch))),
            _ => Err(KeyError::Missing(epoch)),
        }
    }

    /// Epochs whose commit published no link that holds: until repaired, a newcomer cannot read behind them.
    #[must_use]
    pub fn gaps(&self) -> Vec<u64> {
        let known: BTreeSet<u64> = self.checks.keys().chain(self.keys.keys()).copied().collect();
        known.into_iter().filter(|epoch| *epoch > 0 && !self.links.contains_key(epoch)).collect()
    }

    /// Forgets everything: the scope was left.
    pub fn wipe(&mut self) {
        self.keys.clear();
        self.checks.clear();
        self.links.clear();
        self.before = None;
    }

    fn admit(&mut self, epoch: u64, key: ContentKey) -> Result<(), KeyError> {
        if let Some(published) = self.checks.get(&epoch) {
            self.fits(epoch, &key, published)?;
        }
        if self.keys.get(&epoch).is_some_and(|known| !bool::from(known.0.ct_eq(&key.0))) {
            return Err(KeyError::Differs(epoch));
        }
        self.keys.insert(epoch, key);
        Ok(())
    }

    fn fits(&self, epoch: u64, key: &ContentKey, published: &[u8; 32]) -> Result<(), KeyError> {
        let made = check(key, &self.place(epoch));
        if bool::from(made.ct_eq(published)) { Ok(()) } else { Err(KeyError::Check(epoch)) }
    }

    fn walk_back(&mut self, from: u64) -> Result<Vec<u64>, KeyError> {
        let mut epochs = Vec::new();
        for epoch in (1..=from).rev() {
            let (Some(newer), Some(link)) = (self.keys.get(&epoch), self.links.get(&epoch)) else { break };
            if self.keys.contains_key(&(epoch - 1)) {
                continue;
            }
            let older = open_link(newer, link, &self.place(epoch));
            if let Err(error) = older.and_then(|older| self.admit(epoch - 1, older)) {
                // A link that does not hold is a gap, which a repair can fill.
                self.links.remove(&epoch);
                return Err(error);
            }
            epochs.push(epoch - 1);
        }
        self.open_before();
        Ok(epochs)
    }
}

/// Parts of a key chain in a row's key.
const KEY: u8 = 1;
const CHECK: u8 = 2;
const LINK: u8 = 3;
/// Under the last epoch of the generation before that counts.
const CARRIED: u8 = 4;

impl KeyChain {
    /// Writes what is not yet in the table.
    pub fn save(&self, table: &mut Table) {
        let mut write = |part, epoch: u64, value: &[u8]| {
            let key = self.row_key(part, epoch);
            if table.read(Space::Keys, &key) != Some(value) {
                table.write(Space::Keys, &key, value.to_vec());
            }
        };
        self.keys.iter().for_each(|(epoch, key)| write(KEY, *epoch, &key.0));
        self.checks.iter().for_each(|(epoch, check)| write(CHECK, *epoch, check));
        self.links.iter().for_each(|(epoch, link)| write(LINK, *epoch, link));
        if let Some(before) = &self.before {
            before.carried.iter().for_each(|c| write(CARRIED, c.epoch, c.link.as_slice()));
            before.chain.save(table);
        }
    }

    /// Forgets the rows of a generation: the one that was made here is not the one that stands.
    pub fn forget_generation(table: &mut Table, scope: ScopeId, generation: u32) {
        table.delete_all(Space::Keys, &Self::new(scope, generation).row_prefix());
    }

    /// Reads a chain back. Rows of another shape are a fault of the store and are left out.
    #[must_use]
    pub fn load(table: &Table, scope: ScopeId, generation: u32) -> Self {
        let mut chain = match generation {
            0 | 1 => Self::new(scope, generation),
            later => Self::load(table, scope, later - 1).next(None),
        };
        let prefix = chain.row_prefix();
        for (key, value) in table.scan(Space::Keys, &prefix) {
            let Some([part, epoch @ ..]) = key.strip_prefix(prefix.as_slice()) else {
                continue;
            };
            let Ok(epoch) = epoch.try_into().map(u64::from_be_bytes) else {
                continue;
            };
            match (*part, <[u8; 32]>::try_from(value)) {
                (KEY, Ok(key)) => drop(chain.keys.insert(epoch, ContentKey(key))),
                (CHECK, Ok(check)) => drop(chain.checks.insert(epoch, check)),
                (LINK, _) => drop(chain.links.insert(epoch, value.to_vec())),
                (CARRIED, _) => {
                    let carried = Carried { epoch, link: value.to_vec().into() };
                    chain.before.iter_mut().for_each(|before| before.carried = Some(carried.clone()));
                }
                _ => {}
            }
        }
        // A link that was found not to hold may still have its row: each round drops one.
        while chain.newest().is_some_and(|newest| chain.walk_back(newest).is_err()) {}
        chain
    }

    /// Deletes every row of a scope's keys, all generations.
    pub fn delete_rows(table: &mut Table, scope: ScopeId) {
        table.delete_all(Space::Keys, &scope.0);
    }

    fn row_prefix(&self) -> Vec<u8> {
        [&self.scope.0[..], &self.generation.to_be_bytes()].concat()
    }

    fn row_key(&self, part: u8, epoch: u64) -> Vec<u8> {
        [&self.row_prefix()[..], &[part], &epoch.to_be_bytes()].concat()
    }
}

#[cfg(test)]
mod tests;
