//! The person's browser, opened at the printed link. Whoever it does not open for has the link.

use std::process::{Command, Stdio};

/// Opens it; that it cannot be done is no fault.
///
/// The link is seen in the list of processes for as long as the browser needs to start: on Linux nobody else can use it, since
/// the port answers this user alone (`neighbour.rs`), and Windows shows it to nobody else.
pub fn open(link: &str) {
    let mut command = opener();
    command.arg(link).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if let Ok(mut child) = command.spawn() {
        // Nobody is left behind as a zombie, and nobody waits.
        std::thread::spawn(move || child.wait());
    }
}

#[cfg(target_os = "windows")]
fn opener() -> Command {
    let mut command = Command::new("rundll32");
    command.arg("url.dll,FileProtocolHandler");
    command
}

#[cfg(target_os = "macos")]
fn opener() -> Command {
    Command::new("open")
}

#[cfg(not(any(target_os = "windows", target_os = "macos")))]
fn opener() -> Command {
    Command::new("xdg-open")
}
