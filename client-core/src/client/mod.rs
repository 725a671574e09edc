//! The client as a machine: inputs in, effects out.

pub mod input;
