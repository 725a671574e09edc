//! The one OpenMLS provider of the client: RustCrypto and the client's rows. One concrete type, so that OpenMLS is compiled once.

use openmls_rust_crypto::RustCrypto;
use openmls_traits::OpenMlsProvider;

use super::storage::KvStorage;
use crate::rows::Row;

pub use stafett_protocol::SUITE;

/// Cryptography, randomness and storage for OpenMLS.
#[derive(Debug, Default)]
pub struct Provider {
    crypto: RustCrypto,
    storage: KvStorage,
}

impl Provider {
    /// A provider over the saved rows of [`crate::rows::Space::Mls`].
    #[must_use]
    pub fn load(rows: impl IntoIterator<Item = Row>) -> Self {
        Self { crypto: RustCrypto::default(), storage: KvStorage::load(rows) }
    }
}

impl OpenMlsProvider for Provider {
    type CryptoProvider = RustCrypto;
    type RandProvider = RustCrypto;
    type StorageProvider = KvStorage;

    fn storage(&self) -> &KvStorage {
        &self.storage
    }

    fn crypto(&self) -> &RustCrypto {
        &self.crypto
    }

    fn rand(&self) -> &RustCrypto {
        &self.crypto
    }
}
