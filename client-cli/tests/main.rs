//! The suites of this crate, as one program: each file a suite.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod answers;
mod commands;
mod door;
mod problems;
mod sending;
mod support;
mod ui;
mod with_server;
mod words;
