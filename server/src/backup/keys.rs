//! Who can open a backup: whoever has the backup key, which was shown once and never stays on the server, or a passphrase.

use std::io;

use openmls_rust_crypto::RustCrypto;
use openmls_traits::crypto::OpenMlsCrypto as _;
use openmls_traits::types::HpkeKeyPair;
use sha2::{Digest as _, Sha256};
use stafett_protocol::ids::{bytes_from_hex, to_hex};
use zeroize::Zeroizing;

use super::BackupError;
use crate::home::random;

/// Fewer letters than these can be guessed by whoever has the file and time.
pub const PASSPHRASE_CHARS: usize = 12;
const PREFIX: &str = "stafettbackup";
const SUM_BYTES: usize = 4;

/// The secret from which the key pair comes that backups are sealed to (the hybrid of the protocol's letters).
pub struct BackupKey(Zeroizing<[u8; 32]>);

impl BackupKey {
    pub fn new() -> Result<Self, BackupError> {
        random().map(|seed| Self(Zeroizing::new(seed))).map_err(|error| BackupError::Io(io::Error::other(error)))
    }

    pub fn pair(&self) -> Result<HpkeKeyPair, BackupError> {
        let config = stafett_protocol::SUITE.hpke_config();
        RustCrypto::default().derive_hpke_keypair(config, &self.0[..]).map_err(|_| BackupError::Sealing)
    }

    /// One word with a checksum, for paper or a password store.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("stafett-backup-{}{}", to_hex(&self.0[..]), to_hex(&checksum(&self.0[..]))))
    }

    /// Reads it as people type it: spaces, lines, dashes and capitals mean nothing.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let letters: Zeroizing<String> =
            Zeroizing::new(text.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase());
        let bytes = Zeroizing::new(letters.strip_prefix(PREFIX).and_then(bytes_from_hex)?);
        let (seed, sum) = bytes.split_at_checked(32)?;
        let seed: [u8; 32] = seed.try_into().ok()?;
        (sum == checksum(&seed)).then(|| Self(Zeroizing::new(seed)))
    }
}

fn checksum(seed: &[u8]) -> [u8; SUM_BYTES] {
    let digest: [u8; 32] = Sha256::new().chain_update("stafett backup key").chain_update(seed).finalize().into();
    digest.first_chunk().copied().unwrap_or_default()
}

/// How a backup names the key that it was sealed to, and people compare it.
#[must_use]
pub fn fingerprint(public: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update("stafett backup public key").chain_update(public).finalize().into()
}

/// To whom a backup is sealed.
#[derive(Default)]
pub struct Recipients {
    /// The public half of the backup key.
    pub public: Option<Vec<u8>>,
    pub passphrase: Option<Zeroizing<String>>,
}

/// What somebody has who wants to open one.
pub enum Secret {
    Key(BackupKey),
    Passphrase(Zeroizing<String>),
}

impl Secret {
    /// What a person typed: a backup key shows itself by its form.
    #[must_use]
    pub fn typed(text: Zeroizing<String>) -> Self {
        BackupKey::from_text(&text).map_or_else(|| Self::Passphrase(text), Self::Key)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_paper() {
        let key = BackupKey::new().unwrap();
        let text = key.to_text();
        let typed = format!(" {}\n– {} ", text[..30].to_uppercase(), &text[30..]);
        assert_eq!(BackupKey::from_text(&typed).unwrap().pair().unwrap().public, key.pair().unwrap().public);
        let wrong = text.replace(['0', '1'], "2");
        assert!(BackupKey::from_text(&wrong).is_none() && BackupKey::from_text("stafett-backup-").is_none());
        assert!(matches!(Secret::typed(Zeroizing::new("en setning".into())), Secret::Passphrase(_)));
    }
}
