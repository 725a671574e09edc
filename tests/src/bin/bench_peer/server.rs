//! `bench-peer server`: a municipality's server in `DATA_DIR` on `PORT`, federated with the one in `PEER_DIR` if that is set.

use crate::{required, variable};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

/// Where a server's home lies in its `DATA_DIR`.
pub fn home_in(data: &str) -> PathBuf {
    Path::new(data).join("stafettd")
}

/// One command of `stafettd`; what it prints.
pub fn stafettd(words: &[&str], home: &Path) -> Vec<u8> {
    let own = std::env::current_exe().expect("has a path");
    let mut command = Command::new(own);
    command.arg("stafettd").args(words).arg("--json").arg("--home").arg(home).stderr(Stdio::inherit());
    let out = command.output().expect("runs");
    assert!(out.status.success(), "{words:?}: {}", String::from_utf8_lossy(&out.stdout));
    out.stdout
}

pub fn run() -> ExitCode {
    let port: u16 = required("PORT").parse().expect("PORT is a port");
    let home = home_in(&required("DATA_DIR"));
    if !home.join("peer.json").exists() {
        std::fs::create_dir_all(home.parent().expect("has a parent")).expect("a folder");
        let listen = format!("127.0.0.1:{port}");
        // Any number will do, if only the two differ.
        let number = format!("{:04}", 1000 + port % 9000);
        stafettd(&["init", "--number", &number, "--name", "Benkeby", "--listen", &listen], &home);
    }
    let (own, peer) = (home.clone(), variable("PEER_DIR"));
    std::thread::spawn(move || {
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            std::thread::sleep(Duration::from_millis(10));
        }
        if let Some(peer) = peer {
            federate(&own, &home_in(&peer));
        }
        println!("listening");
    });
    let words = ["stafettd", "serve", "--home"].map(std::ffi::OsString::from);
    stafett_server::cli::run(words.into_iter().chain([home.into_os_string()]))
}

/// Each adds the other's peer file, as two operators would after comparing fingerprints.
fn federate(own: &Path, peer: &Path) {
    while !peer.join("peer.json").exists() {
        std::thread::sleep(Duration::from_millis(20));
    }
    let add = |at: &Path, file: &Path| {
        stafettd(&["peer", "add", file.join("peer.json").to_str().expect("a plain path")], at);
    };
    add(own, peer);
    add(peer, own);
}
