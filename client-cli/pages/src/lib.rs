//! The pages: what people see, as pure functions. A host carries what a person did here, the commands from here to the core,
//! and the reply back to the person. No input or output, no clock, no framework.

mod acts;
mod answers;
mod border;
mod form;
mod pages;
mod pieces;
mod shell;
mod table;
mod view;

pub use border::{Ask, Draft, Drafts, Home, HomeHere, HostWish, Method, Reply, Status, UploadedFile, after};
pub use table::{asked_of_host, forms, places, show, wanted};

pub use jiff::Timestamp;
pub use jiff::tz::TimeZone;
pub use stafett_words::messages::{Language, Messages};

/// Served by hosts as `/style.css`.
pub const STYLE: &str = include_str!("style.css");
/// Served by hosts as `/shell.js`: only improves, forms and links work without it.
pub const SHELL: &str = include_str!("shell.js");
