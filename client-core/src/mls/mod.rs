//! OpenMLS behind one concrete provider type, whose storage is the client's own rows.

pub mod provider;
pub mod storage;
#[cfg(test)]
mod tests;

pub use provider::{Provider, SUITE};
pub use storage::KvStorage;
