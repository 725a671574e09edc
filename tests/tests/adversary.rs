//! Attacks on the real code, by the ids of the catalogue (`adversary/catalogue.txt`): a lying home, hostile
//! members, hostile content. What other suites show already stands there and is not repeated.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod catalogue;
mod chain;
mod claims;
mod clocks;
mod content;
mod histories;
mod identities;
mod names;
mod privacy;
mod requests;
mod secrets;
mod servers_words;
mod standing_still;
mod tags;
mod taken_back;
pub(crate) mod withdrawals;
