//! What both programs ask of the machine that they run on: files that are made new and for their owner alone, files of
//! others read with a bound, and a process that leaves no picture of its memory behind.
//!
//! Whatever server or client writes goes through here; a home is only one more directory.

mod files;
mod process;

pub use files::{NewFile, append_own, free_bytes, own_file, read_bounded, replace, write_new};
#[cfg(unix)]
pub use process::is_us;
pub use process::keep_to_ourselves;
