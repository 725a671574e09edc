//! The suites of this crate, as one program: each file a suite.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod authority;
mod authority_facts;
mod chain_rules;
mod commit_facts;
mod common;
mod devices;
mod employment;
mod endings;
mod entry_facts;
mod founding;
mod genesis_facts;
mod handover;
mod handover_facts;
mod hostile;
mod insiders;
mod key_changes;
mod known_faults;
mod machines;
mod membership;
mod model;
mod policy_table;
mod refounding;
mod replica_facts;
mod sequences;
mod state_facts;
mod statement_facts;
mod takeover;
mod transfer;
mod wire;
mod withdrawal;
mod withdrawal_facts;
