//! Everything that two parties of Stafett must agree on, and nothing else: no clock, no randomness,
//! no socket, no database, no plaintext of a log.
//!
//! Read in this order: `ids`, `signed`, `credential`, `event`, `membership`, `consent`, `statement`, `handover`, `policy`,
//! `replica`, `transfer`. `wire`, `letter`, `code` and `federation` are what travels around the chain.

pub mod attachment;
pub mod checkpoint;
pub mod code;
pub mod codec;
pub mod commit_view;
pub mod consent;
pub mod credential;
pub mod event;
pub mod facts;
pub mod federation;
mod group;
pub mod handover;
pub mod http_signature;
pub mod ids;
pub mod joining;
mod labels;
pub mod letter;
pub mod limits;
pub mod membership;
pub mod pace;
pub mod policy;
pub mod refusal;
pub mod replica;
mod seat;
pub mod signed;
pub mod state;
pub mod statement;
pub mod text;
pub mod transfer;
pub mod wire;

/// The MLS suite of every group: draft code point 0x004F, ML-KEM-768 + X25519 (`docs/protocol.md` 5).
pub const SUITE: openmls::prelude::Ciphersuite =
    openmls::prelude::Ciphersuite::MLS_128_MLKEM768X25519_AES128GCM_SHA256_Ed25519;

/// The group-context extension that carries [`membership::Membership`].
pub const MEMBERSHIP_EXTENSION: u16 = 0xff77;

/// The version of the rules in [`policy`]. A client that does not know a scope's version reads only.
pub const POLICY_VERSION: u16 = 1;
