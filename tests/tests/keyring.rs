//! The platform's keyring in the place of the passphrase, in login sessions as a person's terminal has one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use serde_json::Value;
use stafett_tests::process::home::{Home, PASSPHRASE};
use stafett_tests::process::server::Server;
use stafett_tests::process::world::text;
use std::io::Write as _;
use std::process::{Command, Stdio};

/// Begins a session of its own, as a login does (keyctl(2): KEYCTL_JOIN_SESSION_KEYRING), and runs the rest in it.
const LOGIN: &str = "import ctypes, os, platform, sys
number = {'x86_64': 250, 'aarch64': 219}[platform.machine()]
if ctypes.CDLL(None).syscall(number, 1, None) < 0: sys.exit(99)
os.execvp(sys.argv[1], sys.argv[1:])";

/// What a command says in a new session; `None` where the machine lets nobody begin one.
fn say(home: &Home, words: &[&str], passphrase: Option<&str>) -> Option<Value> {
    let client = home.command(words);
    let mut login = Command::new("python3");
    login.args(["-c", LOGIN]).arg(client.get_program()).args(client.get_args());
    login.env_remove("STAFETT_PASSPHRASE").stdin(Stdio::null());
    login.envs(passphrase.map(|given| ("STAFETT_PASSPHRASE", given)));
    let ran = login.output().unwrap();
    (ran.status.code() != Some(99)).then(|| serde_json::from_slice(&ran.stdout).unwrap())
}

#[test]
fn the_key_waits_in_the_keyring_until_it_is_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::init(&dir.path().join("server"), None);
    server.start();
    let code = text(&server.ask(&["unit", "add", "--name", "Solvang skole", "--kind", "school"]), "leader_code");
    let home = Home::new(dir.path(), "leader");
    home.ok(&["join", "--code", &code, "--name", "Leder Larsen"]);

    let kept = say(&home, &["keyring", "keep"], Some(PASSPHRASE));
    let Some(kept) = kept.filter(|kept| kept["error"]["code"] != "no-keyring") else {
        writeln!(std::io::stderr(), "\n*** NOT RUN: this machine lets nobody use a keyring ***\n").unwrap();
        return;
    };
    assert_eq!(kept["kept"], true, "{kept}");
    let devices = |passphrase| say(&home, &["device", "list"], passphrase).unwrap();
    assert!(devices(None)["devices"].is_array(), "{}", devices(None));
    assert_eq!(devices(Some("en annen"))["error"]["code"], "wrong-passphrase", "what is given counts");

    // Another home knows nothing of it.
    let other = Home::new(dir.path(), "other");
    let code = text(&server.ask(&["unit", "add", "--name", "Nes skole", "--kind", "school"]), "leader_code");
    other.ok(&["join", "--code", &code, "--name", "Leder Nes"]);
    assert_eq!(say(&other, &["device", "list"], None).unwrap()["error"]["code"], "no-passphrase");

    assert_eq!(say(&home, &["keyring", "forget"], None).unwrap()["kept"], false);
    assert_eq!(devices(None)["error"]["code"], "no-passphrase");
    assert!(devices(Some(PASSPHRASE))["devices"].is_array());
    server.stop();
}
