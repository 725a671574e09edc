//! What is changed is sent at once where that can be done, and without a net saved and said so.
#![cfg(all(feature = "demo", unix))]

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::{Server, code, lines, run, said, stafett, text};

/// A server, and its first leader.
fn leader(dir: &Path) -> Server {
    let mut server = Server::new(dir);
    server.start();
    let unit = server.ask(&["unit", "add", "--name", "Solvang skole", "--kind", "school"]);
    let (exit, joined) =
        run(&dir.join("leader"), &["join", "--code", &text(&unit, "leader_code"), "--name", "Lise Brattbakk"]);
    assert_eq!(exit, 0, "{joined}");
    server
}

const INVITE: [&str; 4] = ["invite", "--role", "employee", "--may-hold"];

#[test]
fn a_code_counts_at_once_and_without_a_net_says_when() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = leader(dir.path());
    let home = dir.path().join("leader");
    let join = |place: &str, invited: &serde_json::Value| {
        run(&dir.path().join(place), &["join", "--code", &text(invited, "code"), "--name", "Tone Aasheim"])
    };
    let (exit, invited) = run(&home, &INVITE);
    assert_eq!((exit, &invited["delivery"]["state"]), (0, &"sent".into()), "{invited}");
    assert_eq!(join("teacher", &invited).0, 0, "nobody had to say sync");
    // What the teacher left for her is taken in by the next change, whatever it is.
    let (_, second) = run(&home, &INVITE);
    assert!(second["delivery"]["received"].as_u64() > Some(0), "{second}");
    // Nothing at all goes out.
    let (exit, kept) = run(&home, &[&INVITE[..], &["--offline"]].concat());
    assert_eq!((exit, &kept["delivery"]["state"]), (0, &"later".into()), "{kept}");
    let (exit, early) = join("early", &kept);
    assert_eq!((exit, code(&early)), (1, "code-invalid"), "{early}");
    assert_eq!(run(&home, &["sync"]).0, 0);
    assert_eq!(join("early", &kept).0, 0);
    server.kill();
    let (exit, alone) = run(&home, &INVITE);
    assert_eq!((exit, &alone["delivery"]["code"]), (0, &"unreachable".into()), "{alone}");
    for (language, later, counts) in [
        ("nb", "Lagret her, sendes senere.", "Koden gjelder først når"),
        ("nn", "Lagra her, blir sendt seinare.", "Koden gjeld først når"),
        ("en", "Saved here, sent later.", "The code counts only once"),
    ] {
        for words in [&INVITE[..], &["device", "link"]] {
            let mut command = stafett();
            let output = command.env("STAFETT_LANG", language).args(words).arg("--home").arg(&home).output().unwrap();
            let told = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success() && told.contains(later) && told.contains(counts), "{told}");
        }
    }
    let (exit, value) = run(&home, &["sync", "--offline"]);
    assert_eq!((exit, code(&value)), (2, "usage"), "{value}");
}

#[test]
fn a_server_that_says_nothing_costs_two_seconds() {
    let dir = tempfile::tempdir().unwrap();
    let server = leader(dir.path());
    let home = dir.path().join("leader");
    let timed = || {
        let began = Instant::now();
        let mut command = stafett();
        let output =
            command.env_remove("STAFETT_PATIENCE").arg("--json").arg("--home").arg(&home).args(INVITE).output();
        let (exit, value) = said(&output.unwrap());
        assert_eq!((exit, &value["delivery"]["state"]), (0, &"later".into()), "{value}");
        assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
        value
    };
    server.freeze(true);
    timed();
    server.freeze(false);
    // At the door of a home that is held it is the same.
    let mut watch = stafett()
        .args(["--json", "sync", "--watch", "--home"])
        .arg(&home)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    lines(watch.stdout.take().unwrap()).next().unwrap();
    let (_, sent) = run(&home, &INVITE);
    assert_eq!(sent["delivery"]["state"], "sent", "{sent}");
    server.freeze(true);
    let late = timed();
    server.freeze(false);
    assert_eq!(run(&home, &["sync"]).0, 0);
    let (exit, joined) = run(&dir.path().join("t"), &["join", "--code", &text(&late, "code"), "--name", "Tone"]);
    assert_eq!(exit, 0, "{joined}");
    watch.kill().unwrap();
    watch.wait().unwrap();
}
