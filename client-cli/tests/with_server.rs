//! A device and a real server: joining, watching, a lost server, the wrong server.
#![cfg(feature = "demo")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::process::Stdio;

use crate::support::{Server, code, lines, run, stafett, text};
use serde_json::Value;
use stafett_protocol::code::Code;

#[test]
fn a_leader_joins_once_and_watches_through_a_lost_server() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::new(dir.path());
    server.start();
    let unit = server.ask(&["unit", "add", "--name", "Solvang skole", "--kind", "school"]);
    let (leader, teacher) = (dir.path().join("leader"), dir.path().join("teacher"));
    let leader_code = text(&unit, "leader_code");
    let (exit, joined) = run(&leader, &["join", "--code", &leader_code, "--name", "Lise Brattbakk"]);
    assert_eq!(exit, 0, "{joined}");
    assert_eq!((text(&joined, "unit"), text(&joined, "role")), (text(&unit, "unit"), "leader".to_owned()));
    assert_eq!(text(&joined, "person").len(), 32);
    // A code works once, and a home serves one person.
    let (exit, again) = run(&teacher, &["join", "--code", &leader_code, "--name", "Noen"]);
    assert_eq!(exit, 1, "{again}");
    let (exit, again) = run(&leader, &["join", "--code", &leader_code, "--name", "Noen"]);
    assert_eq!((exit, code(&again)), (1, "home-in-use"), "{again}");
    let (exit, other) = run(&leader, &["invite", "--role", "employee", "--unit", "0000000000000000"]);
    assert_eq!((exit, code(&other)), (1, "not-your-unit"), "{other}");
    let own = text(&unit, "unit");
    let (_, invited) = run(&leader, &["invite", "--role", "employee", "--may-hold", "--unit", &own]);
    let (exit, counts) = run(&leader, &["sync"]);
    assert_eq!(exit, 0, "{counts}");
    assert!(["sent", "received", "refused", "queued"].iter().all(|key| counts[*key].is_u64()), "{counts}");

    let mut watch = stafett()
        .args(["--json", "sync", "--watch", "--home"])
        .arg(&leader)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut seen = lines(watch.stdout.take().unwrap());
    assert!(seen.next().unwrap()["queued"].is_u64());
    server.kill();
    server.start();
    // The first word after the return of the server, then what the new employee's joining sets off.
    assert!(seen.next().unwrap()["queued"].is_u64());
    let fresh = dir.path().join("teacher-2");
    let (exit, joined) = run(&fresh, &["join", "--code", &text(&invited, "code"), "--name", "Tone Aasheim"]);
    assert_eq!(exit, 0, "{joined}");
    let heard: Value = seen.next().unwrap();
    assert!(heard["received"].as_u64() > Some(0) || heard["sent"].as_u64() > Some(0), "{heard}");
    watch.kill().unwrap();
    watch.wait().unwrap();
    let (_, people) = run(&leader, &["people"]);
    assert!(people.to_string().contains("Tone Aasheim"), "{people}");
    server.kill();
    assert_eq!(run(&leader, &["sync"]).0, 3);
}

#[test]
fn a_server_with_another_authority_is_not_spoken_to() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::new(dir.path());
    server.start();
    let unit = server.ask(&["unit", "add", "--name", "Solvang skole", "--kind", "school"]);
    let mut code_of_leader = Code::from_text(&text(&unit, "leader_code")).unwrap();
    code_of_leader.ca[0] ^= 1;
    let home = dir.path().join("home");
    let (exit, value) = run(&home, &["join", "--code", &code_of_leader.to_text(), "--name", "Lise"]);
    assert_eq!(exit, 3, "{value}");
    // The authority's file in the place of the hash: the same server is right again.
    let ca = server.home.join("ca.pem");
    let url = code_of_leader.url.clone();
    let words =
        ["join", "--code", &code_of_leader.to_text(), "--name", "Lise", "--server", &url, "--ca", ca.to_str().unwrap()];
    let (exit, value) = run(&home, &words);
    assert_eq!(exit, 0, "{value}");
}

#[test]
fn a_server_that_has_moved_is_followed_for_its_keys_alone() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::new(dir.path());
    server.start();
    let unit = server.ask(&["unit", "add", "--name", "Solvang skole", "--kind", "school"]);
    let home = dir.path().join("leader");
    assert_eq!(run(&home, &["join", "--code", &text(&unit, "leader_code"), "--name", "Lise"]).0, 0);
    server.kill();
    let file = server.home.join("settings.json");
    let mut settings: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let place = format!("127.0.0.1:{port}");
    let url = format!("https://{place}");
    settings["listen"] = place.into();
    settings["url"] = url.clone().into();
    std::fs::write(&file, settings.to_string()).unwrap();
    server.start();
    let (exit, kept) = run(&home, &["invite", "--role", "employee"]);
    assert_eq!((exit, &kept["delivery"]["state"]), (0, &"later".into()), "{kept}");
    // Another municipality's server, one that is not there, and what is no address.
    let elsewhere = dir.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    let mut other = Server::new(&elsewhere);
    other.start();
    let others: Value = serde_json::from_slice(&std::fs::read(other.home.join("settings.json")).unwrap()).unwrap();
    for (given, exit, expected) in [
        (others["url"].as_str().unwrap(), 3, "wrong-server"),
        ("https://127.0.0.1:1", 3, "unreachable"),
        ("kommunen", 2, "server-address"),
    ] {
        let (was, value) = run(&home, &["sync", "--server", given]);
        assert_eq!((was, code(&value)), (exit, expected), "{value}");
    }
    let (exit, counts) = run(&home, &["sync", "--server", &url]);
    assert_eq!((exit, &counts["queued"]), (0, &0.into()), "{counts}");
    // From now on without saying so.
    assert_eq!(run(&home, &["sync"]).0, 0);
    assert_eq!(
        run(&dir.path().join("t"), &["join", "--code", &text(&kept, "code"), "--name", "T"]).0,
        3,
        "an old code"
    );
    let (_, fresh) = run(&home, &["invite", "--role", "employee"]);
    assert_eq!(run(&dir.path().join("u"), &["join", "--code", &text(&fresh, "code"), "--name", "U"]).0, 0);
}

#[test]
#[cfg(unix)]
fn everybody_in_the_story_s_municipality_can_be_played() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("spill");
    for _ in 0..2 {
        let mut play = stafett().args(["--json", "demo", "--play"]).arg(&place).stdout(Stdio::piped()).spawn().unwrap();
        let told = lines(play.stdout.take().unwrap()).next().unwrap();
        let people = told["people"].as_array().unwrap_or_else(|| panic!("{told}"));
        assert_eq!(people.len(), 6);
        for person in people {
            let mut command = stafett();
            command.env("STAFETT_PASSPHRASE", text(&told, "passphrase"));
            command.args(["--json", "--home", person["home"].as_str().unwrap(), "sync"]);
            let (exit, value) = crate::support::said(&command.output().unwrap());
            assert_eq!(exit, 0, "{person} {value}");
        }
        std::process::Command::new("kill").args(["-INT", &play.id().to_string()]).status().unwrap();
        assert_eq!(play.wait().unwrap().code(), Some(0));
    }
}

#[test]
fn the_demo_proves_everything() {
    let output = stafett().args(["--json", "demo", "--fast"]).output().unwrap();
    let (exit, told) = crate::support::said(&output);
    let proofs = told["proofs"].as_array().unwrap_or_else(|| panic!("{told}"));
    assert!(proofs.iter().all(|proof| proof["ok"] == Value::Bool(true)), "{proofs:#?}");
    assert!(exit == 0 && proofs.len() >= 15 && told["steps"].as_array().unwrap().len() >= 15);
}

/// Whoever sells a machine: the server hears of it, and what it did not hear is said.
#[test]
fn a_home_that_is_forgotten_tells_the_server_and_says_what_it_could_not_tell() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::new(dir.path());
    server.start();
    let code_of = |server: &Server, name: &str| {
        text(&server.ask(&["unit", "add", "--name", name, "--kind", "school"]), "leader_code")
    };
    let (old, fresh, copy) = (dir.path().join("gammel"), dir.path().join("ny"), dir.path().join("kopi"));
    assert_eq!(run(&old, &["join", "--code", &code_of(&server, "Solvang skole"), "--name", "Lise"]).0, 0);
    let link = text(&run(&old, &["device", "link"]).1, "code");
    assert_eq!(run(&fresh, &["device", "accept", "--code", &link]).0, 0);
    for home in [&old, &fresh, &old] {
        run(home, &["sync"]);
    }
    std::fs::create_dir(&copy).unwrap();
    for file in std::fs::read_dir(&old).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file()) {
        std::fs::copy(&file, copy.join(file.file_name().unwrap())).unwrap();
    }
    let forget = |home: &std::path::Path, more: &[&str]| run(home, &[&["home", "forget", "--yes"], more].concat());
    let wrong = stafett()
        .env("STAFETT_PASSPHRASE", "en annen")
        .args(["--json", "home", "forget", "--yes", "--home"])
        .arg(&old)
        .output();
    let (exit, value) = crate::support::said(&wrong.unwrap());
    assert_eq!((exit, code(&value)), (2, "forget-passphrase"), "{value}");
    assert!(old.join("home.json").exists(), "nothing was deleted");
    let (exit, value) = forget(&old, &[]);
    assert_eq!((exit, &value["server"]), (0, &"told".into()), "{value}");
    assert!(!old.join("home.json").exists());
    assert_eq!(code(&run(&copy, &["sync"]).1), "not-authenticated", "what somebody copied before comes in no more");
    assert_eq!(run(&fresh, &["sync"]).0, 0, "the other device is as it was");
    // The only one, one that is not to tell, and one without a net.
    for (name, more, up, expected) in [
        ("Nes skole", [].as_slice(), true, "last"),
        ("Fjell skole", &["--offline"], true, "offline"),
        ("Dal skole", &[], false, "unreachable"),
    ] {
        let home = dir.path().join(name);
        assert_eq!(run(&home, &["join", "--code", &code_of(&server, name), "--name", "Lise"]).0, 0);
        if !up {
            server.kill();
        }
        let (exit, value) = forget(&home, more);
        assert_eq!((exit, &value["server"]), (0, &expected.into()), "{value}");
        assert!(!home.join("home.json").exists(), "{expected}");
    }
}
