//! Content keys, what is derived from one, and how an older one is sealed under a newer one.

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use hkdf::Hkdf;
use sha2::Sha256;
use stafett_protocol::ids::ScopeId;
use stafett_protocol::statement::KeyPlace;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Why a key, check or link is refused. Links and checks come from others: their author answers for them.
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
}

/// The content key of one epoch.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct ContentKey(pub(super) [u8; 32]);

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
    pub(super) fn of(scope: ScopeId, at: KeyPlace) -> Self {
        Self { scope, generation: at.generation, epoch: at.epoch }
    }

    fn context(&self) -> [u8; 28] {
        let mut bytes = [0; 28];
        let (scope, rest) = bytes.split_at_mut(16);
        let (generation, epoch) = rest.split_at_mut(4);
        scope.copy_from_slice(&self.scope.0);
        generation.copy_from_slice(&self.generation.to_be_bytes());
        epoch.copy_from_slice(&self.epoch.to_be_bytes());
        bytes
    }

    fn follows(&self, before: &Self) -> bool {
        (self.scope, self.generation) == (before.scope, before.generation)
            && before.epoch.checked_add(1) == Some(self.epoch)
    }
}

/// What proves that two members derived the same key for `place`, and tells nothing of the key.
#[must_use]
pub fn check(key: &ContentKey, place: &Place) -> [u8; 32] {
    *key.derive(&[], "check", &place.context())
}

/// The key of the epoch before sealed under the key of `place`.
#[must_use]
pub fn make_link(newer: &ContentKey, older: &ContentKey, place: &Place) -> Vec<u8> {
    sealed(&cipher(newer, "link", &place.context()), older, &place.context())
}

/// The key of the epoch before `place`.
pub fn open_link(newer: &ContentKey, link: &[u8], place: &Place) -> Result<ContentKey, KeyError> {
    let cipher = cipher(newer, "link", &place.context());
    opened(&cipher, link, &place.context()).ok_or(KeyError::Link(place.epoch))
}

/// The key of `to`, any earlier place, sealed under the key of `from`.
#[must_use]
pub fn make_bridge(newer: &ContentKey, older: &ContentKey, from: &Place, to: &Place) -> Vec<u8> {
    if from.follows(to) {
        return make_link(newer, older, from);
    }
    sealed(&bridge_cipher(newer, from, to), older, &to.context())
}

/// The key of `to`, out of what was sealed under the key of `from`.
#[must_use]
pub fn open_bridge(newer: &ContentKey, link: &[u8], from: &Place, to: &Place) -> Option<ContentKey> {
    if from.follows(to) {
        return open_link(newer, link, from).ok();
    }
    opened(&bridge_cipher(newer, from, to), link, &to.context())
}

/// Under one key lead several bridges, each to another key: each has a sealing key of its own, or two of them would
/// use one nonce twice and show the difference of the keys inside.
fn bridge_cipher(newer: &ContentKey, from: &Place, to: &Place) -> Aes256Gcm {
    cipher(newer, "carry", &[from.context(), to.context()].concat())
}

fn cipher(newer: &ContentKey, label: &str, context: &[u8]) -> Aes256Gcm {
    Aes256Gcm::new((&*newer.derive(&[], label, context)).into())
}

/// The sealing key serves for this one message, so its nonce is fixed.
fn sealed(cipher: &Aes256Gcm, older: &ContentKey, aad: &[u8]) -> Vec<u8> {
    // Sealing 32 bytes cannot fail; an empty link would be refused by everyone.
    cipher.encrypt(&Nonce::default(), Payload { msg: &older.0, aad }).unwrap_or_default()
}

fn opened(cipher: &Aes256Gcm, link: &[u8], aad: &[u8]) -> Option<ContentKey> {
    let key = Zeroizing::new(cipher.decrypt(&Nonce::default(), Payload { msg: link, aad }).ok()?);
    ContentKey::from_exporter(&key).ok()
}
