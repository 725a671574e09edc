//! What a home on this machine is made of: where things lie, how they are sealed, and how they travel. No word for people.

pub mod callers;
pub mod clock;
pub mod desk;
pub mod door;
pub mod fault;
pub mod files;
pub mod home;
pub mod keyring;
pub mod live;
pub mod open_home;
pub mod passphrase;
pub mod recording;
pub mod seal;
pub mod serving;
pub mod store;
pub mod tls;
pub mod transport;
pub mod typed;
