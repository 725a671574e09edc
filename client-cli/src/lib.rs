//! The host of the client: it performs what the client core decides (rows into SQLite, frames over TLS), and speaks with the
//! person at the terminal. It holds no rule of the domain.
//!
//! Read in this order: `args` (what can be asked), `home` and `store` (where things lie), `transport` (how they travel),
//! `output` and `messages` (what is said).

pub mod app;
pub mod args;
mod attachments;
pub mod clock;
pub mod commands;
pub mod dates;
#[cfg(feature = "demo")]
pub mod demo;
pub mod fault;
mod files;
pub mod help;
pub mod home;
pub mod keyring;
pub mod live;
pub mod messages;
pub mod output;
pub mod passphrase;
pub mod qr;
pub mod recording;
pub mod render;
pub mod seal;
pub mod session;
pub mod store;
pub mod tls;
pub mod transport;

pub use app::run;
