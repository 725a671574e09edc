//! The suites that need more than one crate, as one program: each file a suite.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod adversary;
mod assurance;
mod attachments;
mod baton;
mod baton_dormant;
mod beside;
mod bombs;
mod checkpoints;
mod client_story;
mod coming_back;
#[path = "../../protocol/tests/common/mod.rs"]
mod common;
mod crash_client;
mod crash_server;
mod crash_transfer;
mod docs;
mod domain;
mod federation;
mod fuzz;
mod handover;
mod key_gaps;
mod keyring;
mod kill;
mod kill_transfer;
mod late_welcome;
mod loss;
mod loss_refused;
mod lost;
mod moving;
mod municipalities;
mod own_devices;
mod race;
mod refounding;
mod restored;
mod rooms;
mod sabotage;
mod scenario;
mod set_back;
mod simulation;
#[path = "../../server/tests/support/mod.rs"]
mod support;
mod three_municipalities;
mod transfer;
mod transfer_again;
mod two_histories;
mod vectors;
