//! Exit codes and faults as scripts rely on them, through the real binary.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::path::Path;

use crate::support::{code, run, said, stafett};
use stafett_protocol::code::Code;
use stafett_protocol::ids::Hash;

/// A well-formed code of a server that is not there.
fn nowhere() -> String {
    let code = Code {
        municipality: 3209,
        url: "https://127.0.0.1:1".into(),
        ca: [1; 32],
        municipality_key: Hash([2; 32]),
        ticket: [3; 16],
        secret: Some([4; 16]),
        inviter: Hash([5; 32]),
        person: None,
    };
    code.to_text()
}

#[test]
fn wrong_use_is_2() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("home");
    for (words, expected) in [
        (vec!["frobnicate"], "usage"),
        (vec!["log", "new", "--child", "Ella"], "usage"),
        (vec!["log", "list"], "no-home"),
        (vec!["sync"], "no-home"),
        (vec!["join", "--code", "tull", "--name", "Anne"], "code"),
    ] {
        let (exit, value) = run(&home, &words);
        assert_eq!((exit, code(&value)), (2, expected), "{words:?} {value}");
    }
}

#[test]
fn an_absent_server_is_3_and_nothing_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let (exit, value) = run(dir.path(), &["join", "--code", &nowhere(), "--name", "Anne"]);
        assert_eq!((exit, code(&value)), (3, "unreachable"), "{value}");
    }
    let wrong = stafett()
        .env("STAFETT_PASSPHRASE", "en annen")
        .args(["--json", "log", "list", "--home"])
        .arg(dir.path())
        .output()
        .unwrap();
    let (exit, value) = said(&wrong);
    assert_eq!((exit, code(&value)), (2, "no-home"), "{value}");
}

#[test]
fn a_first_join_that_came_to_nothing_binds_no_passphrase() {
    let dir = tempfile::tempdir().unwrap();
    let with = |passphrase: &str, words: &[&str]| {
        let mut command = stafett();
        command.env("STAFETT_PASSPHRASE", passphrase).arg("--json").arg("--home").arg(dir.path()).args(words);
        said(&command.output().unwrap())
    };
    let join = ["join", "--code", &nowhere(), "--name", "Anne"];
    for passphrase in ["den første som ble skrevet feil", "den som var ment", "den som var ment"] {
        let (exit, value) = with(passphrase, &join);
        assert_eq!((exit, code(&value)), (3, "unreachable"), "{value}");
    }
    assert_eq!(code(&with("en tredje", &["log", "list"]).1), "no-home");
    assert_eq!(code(&with("den som var ment", &["log", "list"]).1), "");
}

#[test]
fn a_home_is_forgotten_when_its_person_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("hjem");
    run(&home, &["join", "--code", &nowhere(), "--name", "Anne"]);
    let (exit, value) = run(&home, &["home", "forget"]);
    assert_eq!((exit, code(&value)), (2, "not-sure"), "{value}");
    assert!(home.exists());
    std::fs::write(home.join("ferie.jpg"), "ikke vår").unwrap();
    let (exit, value) = run(&home, &["home", "forget", "--yes"]);
    assert_eq!((exit, &value["forgotten"]), (0, &true.into()), "{value}");
    let left: Vec<_> = fs::read_dir(&home).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["ferie.jpg"], "what is not ours stays");
    assert_eq!(code(&run(&home, &["log", "list"]).1), "no-home");
}

#[test]
fn a_path_that_no_database_opens_is_refused_before_anything_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let home = (0..8).fold(dir.path().to_owned(), |path, _| path.join("x".repeat(200)));
    let (exit, value) = run(&home, &["join", "--code", &nowhere(), "--name", "Anne"]);
    assert_eq!((exit, code(&value)), (2, "home-path-long"), "{value}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn what_is_refused_at_the_door_leaves_no_home() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("home");
    let long = "ø".repeat(121);
    for (given, name, expected) in [
        ("tull", "Anne", "code"),
        (nowhere().as_str(), "\u{3164}", "name"),
        (nowhere().as_str(), "A\u{1b}[31m", "unprintable"),
        (nowhere().as_str(), &long, "too-long"),
    ] {
        let (exit, value) = run(&home, &["join", "--code", given, "--name", name]);
        assert_eq!((exit, code(&value)), (2, expected), "{value}");
        assert!(!home.exists(), "{expected}");
    }
    let output = stafett().args(["join", "--code", &nowhere(), "--name", &long, "--home"]).arg(&home).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("Navnet") && told.contains("120") && told.contains("121"), "{told}");
}

#[test]
fn a_passphrase_opens_from_any_keyboard_and_can_be_changed() {
    let dir = tempfile::tempdir().unwrap();
    let with = |passphrase: &str, words: &[&str]| {
        let mut command = stafett();
        command.env("STAFETT_PASSPHRASE", passphrase).env("STAFETT_NEW_PASSPHRASE", "ny, lang passfrase");
        said(&command.arg("--json").arg("--home").arg(dir.path()).args(words).output().unwrap())
    };
    with("blåbær på lørdag", &["join", "--code", &nowhere(), "--name", "Anne"]);
    assert_eq!(code(&with("bla\u{30a}bær pa\u{30a} lørdag\n", &["log", "list"]).1), "");
    assert_eq!(code(&with("a\u{7}", &["log", "list"]).1), "passphrase-sign");
    let (exit, value) = with("blåbær på lørdag", &["passphrase"]);
    assert_eq!(exit, 0, "{value}");
    assert_eq!(code(&with("blåbær på lørdag", &["log", "list"]).1), "no-home");
    assert_eq!(code(&with("ny, lang passfrase", &["log", "list"]).1), "");
}

#[test]
fn one_process_a_home_and_patience_ends() {
    let dir = tempfile::tempdir().unwrap();
    run(dir.path(), &["join", "--code", &nowhere(), "--name", "Anne"]);
    let lock = fs::File::open(dir.path().join("lock")).unwrap();
    lock.try_lock().unwrap();
    let mut hasty = stafett();
    hasty.env("STAFETT_WAIT", "1").args(["--json", "log", "list", "--home"]).arg(dir.path());
    let (exit, value) = said(&hasty.output().unwrap());
    assert_eq!((exit, code(&value)), (2, "home-busy"), "{value}");
    drop(lock);
    assert_ne!(code(&run(dir.path(), &["log", "list"]).1), "home-busy");
}

#[test]
fn damage_is_4() {
    let dir = tempfile::tempdir().unwrap();
    run(dir.path(), &["join", "--code", &nowhere(), "--name", "Anne"]);
    let damage = |path: &Path| {
        let mut bytes = fs::read(path).unwrap();
        for byte in bytes.iter_mut().skip(16) {
            *byte ^= 0x55;
        }
        fs::write(path, bytes).unwrap();
    };
    let _ = fs::remove_file(dir.path().join("store.sqlite-wal"));
    damage(&dir.path().join("store.sqlite"));
    let (exit, value) = run(dir.path(), &["log", "list"]);
    assert_eq!((exit, code(&value)), (4, "store-damaged"), "{value}");
    damage(&dir.path().join("home.json"));
    let (exit, value) = run(dir.path(), &["log", "list"]);
    assert_eq!((exit, code(&value)), (4, "home-damaged"), "{value}");
}

#[test]
fn people_read_their_own_language() {
    let dir = tempfile::tempdir().unwrap();
    for (language, words) in [("nb", "ennå"), ("nn_NO.UTF-8", "enno"), ("en", "yet")] {
        let output =
            stafett().env("STAFETT_LANG", language).args(["log", "list", "--home"]).arg(dir.path()).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(output.stdout.is_empty());
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(told.contains(words) && told.contains("stafett join"), "{told}");
    }
}

#[test]
fn only_the_demo_names_the_server() {
    fn walk(dir: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                if !path.ends_with("demo") {
                    walk(&path, found);
                }
            } else if fs::read_to_string(&path).unwrap().contains("stafett_server") {
                found.push(path.display().to_string());
            }
        }
    }
    let mut found = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    assert!(found.is_empty(), "{found:?}");
}
