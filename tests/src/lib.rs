//! What the suites share: a home in memory, people with their devices, real server processes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test harness stops at the first surprise"
)]

pub mod bombs;
pub mod disk;
pub mod insider;
pub mod model;
pub mod named_tests;
pub mod process;
pub mod sabotage;
pub mod simulation;
pub mod vfs;
