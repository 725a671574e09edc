//! Real processes: the two programs as an operator and as people start them, with every home in a folder of its own.
//! Read `programs`, `server` and `home`, then `world` (what can go wrong), then `story` (what happens).

pub mod home;
pub mod leak;
pub mod mishap;
pub mod neighbour;
pub mod programs;
pub mod relay;
pub mod server;
pub mod story;
pub mod texts;
pub mod view;
pub mod world;
