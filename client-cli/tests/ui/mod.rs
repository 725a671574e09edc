//! The pages on the own machine: the real process, spoken with as a browser does, and as whoever must not come in does.
#![cfg(all(feature = "demo", unix))]

mod browser;
mod loopback;
mod story;
