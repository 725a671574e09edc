//! The pages, as every role sees them, in every language and state.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod dom;
mod every;
mod filled;
mod look;
mod texts;
mod world;
