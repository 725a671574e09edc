//! What a person at a terminal can ask, and what it is told.

pub mod app;
pub mod args;
pub mod attachments;
pub mod commands;
pub mod dates;
pub mod help;
pub mod messages;
pub mod output;
pub mod qr;
pub mod render;
pub mod usage;
