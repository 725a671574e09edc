//! What a person at a terminal can ask, and what it is told.

pub mod app;
pub mod args;
pub mod attachments;
pub mod commands;
pub mod dates;
pub mod help;
pub mod homes;
pub mod messages;
pub mod names;
pub mod output;
pub mod problems;
pub mod qr;
pub mod reader;
pub mod render;
pub mod sending;
pub mod shown;
pub mod summary;
pub mod usage;
