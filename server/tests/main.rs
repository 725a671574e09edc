//! The suites of this crate, as one program: each file a suite.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod attachments;
mod backups;
mod chain;
mod checkpoints;
mod clock;
mod commands;
#[path = "../../protocol/tests/common/mod.rs"]
mod common;
mod door;
mod edges;
mod edges_of_peers;
mod ends;
mod expiry_on_card;
mod limits;
mod mailbox;
mod peers;
mod people;
mod probing;
mod quotas;
mod races;
mod relay;
mod restored;
mod serving;
mod speed;
mod store;
mod support;
mod transfer;
mod transfer_faults;
mod transfer_files;
mod transfer_ways;
