//! What the database holds, in the words of the protocol. No rule is decided here.

pub mod accounts;
pub mod attachments;
pub mod chain;
pub mod checkpoints;
pub mod mail;
pub mod packages;
pub mod peers;
pub mod readers;
pub mod transfers;
