//! Attacks on the real code, by the ids of the catalogue (`adversary/catalogue.txt`): a lying home, hostile
//! members, hostile content. What other suites show already stands there and is not repeated.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "adversary/catalogue.rs"]
mod catalogue;
#[path = "adversary/chain.rs"]
mod chain;
#[path = "adversary/claims.rs"]
mod claims;
#[path = "adversary/clocks.rs"]
mod clocks;
#[path = "adversary/content.rs"]
mod content;
#[path = "adversary/histories.rs"]
mod histories;
#[path = "adversary/identities.rs"]
mod identities;
#[path = "adversary/names.rs"]
mod names;
#[path = "adversary/privacy.rs"]
mod privacy;
#[path = "adversary/requests.rs"]
mod requests;
#[path = "adversary/secrets.rs"]
mod secrets;
#[path = "adversary/servers_words.rs"]
mod servers_words;
#[path = "adversary/standing_still.rs"]
mod standing_still;
#[path = "adversary/tags.rs"]
mod tags;
#[path = "adversary/withdrawals.rs"]
mod withdrawals;
