//! The server of one municipality: it orders events, judges them, and can read none of them.
//!
//! Follow an event: [`accept`] → [`http`] → [`stream`] → [`intake`] → [`store`] → [`fanout`].

pub mod accept;
pub mod admission;
pub mod backup;
pub mod border;
pub mod budget;
pub mod certs;
pub mod cli;
pub mod clock;
pub mod db;
pub mod fanout;
pub mod federation;
pub mod home;
pub mod http;
pub mod intake;
pub mod metered;
pub mod municipality;
pub mod offers;
#[cfg(feature = "test-support")]
pub mod pg;
pub mod problem;
pub mod restored;
pub mod server;
pub mod signing;
pub mod socket;
pub mod store;
pub mod stream;
pub mod tls;
pub mod trace;
pub mod transfer;
