//! The host of the client: it performs what the client core decides (rows into SQLite, frames over TLS), and speaks with the
//! person at the terminal. It holds no rule of the domain.
//!
//! `host`: where a home lies, how it is sealed, how it travels. `terminal`: what can be asked, and how it is said. `demo`: a
//! whole story of both.

#[cfg(feature = "demo")]
pub mod demo;
pub mod host;
pub mod terminal;
pub mod ui;

pub use terminal::app::run;
