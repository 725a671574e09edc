//! `bench-peer`: one server, or one person with a connected device, driven by JSON lines, so that anyone can time us
//! beside other systems in one run (`docs/architecture.md`, Tests). The product's own client, host and
//! server, nothing shortened: every edit is sealed, signed, sent over TLS and on disk before its receipt.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a bench stops at the first surprise"
)]

mod entries;
mod participant;
mod server;
mod town;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut words = std::env::args_os();
    let own = words.next().expect("a program has a name");
    match words.next().as_deref().and_then(std::ffi::OsStr::to_str) {
        Some("server") => server::run(),
        Some("participant") => participant::run(),
        // The server's own commands, for this program's other half.
        Some("stafettd") => stafett_server::cli::run(std::iter::once(own).chain(words)),
        _ => {
            eprintln!("bench-peer server | bench-peer participant; see docs/architecture.md, Tests");
            ExitCode::from(2)
        }
    }
}

/// What the driver sets.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn required(name: &str) -> String {
    variable(name).unwrap_or_else(|| panic!("set {name}"))
}
