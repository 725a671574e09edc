//! What a person at a terminal can ask, and what it is told.

pub mod app;
pub mod args;
pub mod attachments;
pub mod commands;
pub mod help;
pub mod here;
pub mod homes;
pub mod names;
pub mod output;
pub mod qr;
pub mod sending;
pub mod usage;
