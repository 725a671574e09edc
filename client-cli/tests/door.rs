//! One process holds a home, and the others are served at its door: through real processes.
#![cfg(all(feature = "demo", unix))]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Server, code, lines, run, said, stafett, text};

/// A server, and a leader's home at this place.
fn leader(dir: &Path, home: &Path) -> Server {
    let mut server = Server::new(dir);
    server.start();
    let unit = server.ask(&["unit", "add", "--name", "Solvang skole", "--kind", "school"]);
    let (exit, joined) = run(home, &["join", "--code", &text(&unit, "leader_code"), "--name", "Lise Brattbakk"]);
    assert_eq!(exit, 0, "{joined}");
    server
}

struct Watch {
    child: Child,
    seen: Box<dyn Iterator<Item = Value>>,
}

impl Watch {
    fn of(home: &Path) -> Self {
        let mut child = stafett()
            .args(["--json", "sync", "--watch", "--home"])
            .arg(home)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let seen = Box::new(lines(child.stdout.take().unwrap()));
        Self { child, seen }
    }

    /// Until it has spoken with the server.
    fn ready(home: &Path) -> Self {
        let mut watch = Self::of(home);
        assert!(watch.seen.next().unwrap()["queued"].is_u64());
        watch
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn deep(dir: &Path) -> PathBuf {
    (0..4).fold(dir.to_owned(), |path, _| path.join("x".repeat(100))).join("hjem")
}

#[test]
fn commands_work_while_another_watches_however_long_the_path() {
    let dir = tempfile::tempdir().unwrap();
    for home in [dir.path().join("kort"), deep(dir.path())] {
        let world = dir.path().join(format!("verden{}", home.as_os_str().len()));
        fs::create_dir(&world).unwrap();
        let mut server = leader(&world, &home);
        let mut watch = Watch::ready(&home);
        let mode = fs::metadata(home.join("door")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        // To read, to write, to speak with the server; all at once, too.
        let running: Vec<Child> = [vec!["people"], vec!["invite", "--role", "employee"], vec!["sync"], vec!["sync"]]
            .into_iter()
            .map(|words| {
                let mut command = stafett();
                command.arg("--json").arg("--home").arg(&home).args(words);
                command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
            })
            .collect();
        for child in running {
            let (exit, value) = said(&child.wait_with_output().unwrap());
            assert_eq!(exit, 0, "{value}");
        }
        let (_, invited) = run(&home, &["invite", "--role", "employee", "--may-hold", "--may-act"]);
        let (exit, counts) = run(&home, &["sync"]);
        assert_eq!((exit, &counts["queued"]), (0, &Value::from(0)), "{counts}");
        // What was made at the door is at the server.
        let (exit, joined) = run(&world.join("b"), &["join", "--code", &text(&invited, "code"), "--name", "Tone"]);
        assert_eq!(exit, 0, "{joined}");
        // Refusals are the same as ever.
        let (exit, refused) = run(&home, &["log", "show", "0123"]);
        assert_eq!((exit, code(&refused)), (2, "unknown-id"), "{refused}");
        let (exit, second) = run(&home, &["sync", "--watch"]);
        assert_eq!((exit, code(&second)), (2, "already-watched"), "{second}");
        let (exit, again) = run(&home, &["join", "--code", &text(&invited, "code"), "--name", "Noen"]);
        assert_eq!((exit, code(&again)), (1, "home-in-use"), "{again}");
        // Without a net it serves on, and says what it cannot.
        server.kill();
        let (exit, value) = run(&home, &["invite", "--role", "employee"]);
        assert_eq!(exit, 0, "{value}");
        let (exit, value) = run(&home, &["sync"]);
        assert_eq!((exit, code(&value)), (3, "unreachable"), "{value}");
        assert!(watch.child.try_wait().unwrap().is_none(), "it still watches");
    }
}

#[test]
fn the_door_opens_for_the_home_s_passphrase_alone() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("hjem");
    let _server = leader(dir.path(), &home);
    let mut watch = Watch::ready(&home);
    let wrong = stafett().env("STAFETT_PASSPHRASE", "feil").args(["--json", "people", "--home"]).arg(&home).output();
    let (exit, value) = said(&wrong.unwrap());
    assert_eq!((exit, code(&value)), (2, "wrong-passphrase"), "{value}");
    // Whoever cannot show the key is told nothing, whatever they send.
    let ask = br#"{"Wish":"LogList"}"#;
    let asked = [&[0; 32][..], &[0, 0, 0, ask.len() as u8, 0, 0, 0, 0], ask].concat();
    for spoken in [asked, vec![0; 32], [vec![0; 32], vec![0xff; 64]].concat(), vec![]] {
        let mut stream = UnixStream::connect(home.join("door")).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let mut nonce = [0; 32];
        stream.read_exact(&mut nonce).unwrap();
        let _ = stream.write_all(&spoken);
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut heard = Vec::new();
        // Closed with what it had not read, it may be a reset.
        let _ = stream.read_to_end(&mut heard);
        assert!(heard.is_empty(), "{heard:?}");
    }
    // The passphrase changes meanwhile, and the new one opens the door.
    let mut change = stafett();
    change.env("STAFETT_NEW_PASSPHRASE", "en ny og like lang").args(["--json", "passphrase", "--home"]).arg(&home);
    assert_eq!(said(&change.output().unwrap()).0, 0);
    assert_eq!(code(&run(&home, &["people"]).1), "wrong-passphrase");
    let mut people = stafett();
    people.env("STAFETT_PASSPHRASE", "en ny og like lang").args(["--json", "people", "--home"]).arg(&home);
    assert_eq!(said(&people.output().unwrap()).0, 0);
    assert!(watch.child.try_wait().unwrap().is_none());
}

#[test]
fn what_a_killed_process_left_is_put_right() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("hjem");
    let _server = leader(dir.path(), &home);
    let mut watch = Watch::ready(&home);
    watch.child.kill().unwrap();
    watch.child.wait().unwrap();
    assert!(home.join("door").exists(), "it had no time to put it away");
    assert_eq!(run(&home, &["people"]).0, 0);
    let mut watch = Watch::ready(&home);
    assert_eq!(run(&home, &["people"]).0, 0);
    std::process::Command::new("kill").args(["-INT", &watch.child.id().to_string()]).status().unwrap();
    assert_eq!(watch.child.wait().unwrap().code(), Some(0));
    assert!(!home.join("door").exists());
}

#[test]
fn who_comes_second_waits_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("hjem");
    let _server = leader(dir.path(), &home);
    let lock = fs::File::open(home.join("lock")).unwrap();
    lock.try_lock().unwrap();
    let began = Instant::now();
    let mut command = stafett();
    command.args(["people", "--home"]).arg(&home).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut waiting = command.spawn().unwrap();
    let mut told = String::new();
    BufReader::new(waiting.stderr.take().unwrap()).read_line(&mut told).unwrap();
    drop(lock);
    assert!(told.contains("Venter"), "{told}");
    assert!(waiting.wait().unwrap().success() && began.elapsed() < Duration::from_secs(29));
}
