//! Attacks on the real code, by the ids of the catalogue (`adversary/catalogue.txt`): a lying home, hostile
//! members, hostile content. What other suites show already stands there and is not repeated.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "adversary/histories.rs"]
mod histories;
