//! A home in memory that judges as the real one does, and people with their devices, for suites that play thousands of steps.

pub mod accounts;
pub mod attachments;
pub mod cast;
pub mod chain;
pub mod checkpoints;
pub mod home;
pub mod net;
pub mod people;
pub mod picky;
pub mod restored;
pub mod told;
pub mod transfer;
