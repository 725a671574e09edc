//! Every word that a person reads: the catalogue in three languages, and answers put into words by it. No input or output and
//! no clock, so that a terminal, a page and a browser say the same.

pub mod dates;
pub mod messages;
pub mod names;
pub mod problems;
pub mod reader;
pub mod render;
pub mod shown;
pub mod summary;

pub use jiff::tz::TimeZone;
