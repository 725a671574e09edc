//! The whole client of Stafett without any input or output: everything a device knows and decides. A host gives it the time, bytes
//! from the server and people's wishes, and carries out what it answers (`docs/architecture.md`: save, show, then send).

pub mod answer;
pub mod attachment;
pub mod audit;
pub mod client;
pub mod document;
pub mod keychain;
pub mod letter;
pub mod mls;
pub mod packed;
pub mod rows;
pub mod seal;
