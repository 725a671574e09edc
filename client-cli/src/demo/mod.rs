//! `stafett demo`: the whole story on this machine, with real server processes and a separate home for every device. The
//! only room that names the server crate.

pub mod search;
