//! A small municipality for tests: people with keys and devices, and scopes that are real MLS groups
//! behind a real [`Replica`]. `people` holds who there is, `chain` what they do.

#![allow(dead_code, unused_imports, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

pub mod baton;
pub mod chain;
pub mod facts;
pub mod groups;
pub mod joining;
pub mod logs;
pub mod mls;
pub mod move_samples;
pub mod objects;
pub mod people;
pub mod samples;
pub mod verdicts;

pub use baton::{offered, taken};
pub use chain::{Chain, Founding, Plan, bare_genesis, change, without};
pub use facts::{bent, commit_of, leaf, view};
pub use joining::{claim, letter_key};
pub use logs::*;
pub use mls::*;
pub use move_samples::{peer_file, peer_keys};
pub use objects::*;
pub use people::*;
pub use stafett_protocol::policy::Context;
pub use stafett_protocol::refusal::Refusal;

/// The home of the tests: Ullensaker.
pub const HOME: u16 = 3209;
/// Another municipality, with a server of its own: Haugesund.
pub const HAUGESUND: u16 = 1106;
/// A third one.
pub const BERGEN: u16 = 4601;
/// A receipt time to start from; everything counts from here.
pub const START: u64 = 1_700_000_000_000;
pub const MINUTE: u64 = 60_000;
pub const DAY: u64 = 24 * 60 * MINUTE;
