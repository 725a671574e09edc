//! The commands of `stafettd`, run as the operator runs them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use stafett_protocol::code::{Code, key_hash};
use stafett_server::clock::NEWEST;
use stafett_server::db::{Db, StoreError, schema};
use stafett_server::pg::Postgres;

/// Opens the backups of these tests.
pub const PASSPHRASE: (&str, &str) = ("STAFETT_BACKUP_PASSPHRASE", "for-these-tests-only");

pub fn stafettd(arguments: &[&str]) -> (i32, Value) {
    stafettd_with(arguments, &[PASSPHRASE])
}

/// With these variables, and none of the backups' that this process may have.
pub fn stafettd_with(arguments: &[&str], variables: &[(&str, &str)]) -> (i32, Value) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stafettd"));
    for name in ["STAFETT_PASSPHRASE", "STAFETT_BACKUP_PASSPHRASE", "STAFETT_BACKUP_KEY"] {
        command.env_remove(name);
    }
    command.envs(variables.iter().copied()).stdin(Stdio::null());
    let output = command.args(arguments).arg("--json").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    (output.status.code().unwrap(), serde_json::from_str(&text).unwrap_or(Value::Null))
}

pub fn init(home: &Path, database: Option<&str>) -> Value {
    let mut arguments = vec!["init", "--home", home.to_str().unwrap(), "--number", "3209", "--name", "Ullensaker"];
    if let Some(url) = database {
        arguments.extend(["--database", url]);
    }
    let (exit, said) = stafettd(&arguments);
    assert_eq!(exit, 0, "{said}");
    said
}

/// A serving process; stopped by SIGTERM as the operator would.
pub struct Serving(pub Child);

impl Serving {
    pub fn start(home: &Path) -> (Self, Value) {
        let mut child = Command::new(env!("CARGO_BIN_EXE_stafettd"))
            .args(["serve", "--home", home.to_str().unwrap()])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        (Self(child), serde_json::from_str(&line).unwrap())
    }

    pub fn stop(mut self) -> bool {
        let pid = self.0.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        self.0.wait().unwrap().success()
    }
}

pub fn checks(said: &Value) -> Vec<(String, bool)> {
    let list = said["checks"].as_array().unwrap();
    list.iter().map(|c| (c["name"].as_str().unwrap().to_owned(), c["ok"].as_bool().unwrap())).collect()
}

fn life(database: Option<&str>, second_database: Option<&str>) {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("home");
    let at = home.to_str().unwrap();
    let made = init(&home, database);
    let code = Code::from_text(made["admin_code"].as_str().unwrap()).unwrap();
    assert_eq!((code.municipality, code.url.as_str()), (3209, made["url"].as_str().unwrap()));
    assert_eq!((code.secret, code.inviter), (None, code.municipality_key));
    let peer: Value = serde_json::from_slice(&std::fs::read(made["peer_file"].as_str().unwrap()).unwrap()).unwrap();
    let key = stafett_protocol::ids::from_hex::<32>(peer["municipality_key"].as_str().unwrap()).unwrap();
    assert_eq!(key_hash(&key), code.municipality_key);
    for entry in std::fs::read_dir(&home).unwrap().flatten() {
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{:?} is readable by others", entry.path());
    }

    let (serving, ready) = Serving::start(&home);
    assert_eq!((&ready["ready"], &ready["number"], &ready["url"]), (&Value::Bool(true), &3209.into(), &made["url"]));
    let (exit, unit) = stafettd(&["unit", "add", "--home", at, "--name", "Solvang skole", "--kind", "school"]);
    assert_eq!((exit, unit["unit"].as_str().unwrap().len()), (0, 32));
    assert!(Code::from_text(unit["leader_code"].as_str().unwrap()).is_ok());
    let (exit, said) = stafettd(&["doctor", "--home", at]);
    assert_eq!(exit, 0, "{said}");
    assert!(checks(&said).iter().any(|(name, ok)| name == "database" && *ok));

    let file = dir.path().join("backup");
    let to = file.to_str().unwrap();
    let (exit, said) = stafettd(&["backup", to, "--home", at]);
    assert_eq!(exit, 0, "{said}");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o077, 0);
    assert_eq!(stafettd(&["backup", to, "--home", at]).0, 1, "a backup is never written over");
    assert!(serving.stop(), "SIGTERM ends it well");

    restore(&file, &dir.path().join("other"), second_database);
    // Into a database that already holds a server: never.
    if let Some(url) = database {
        let third = dir.path().join("third");
        let (exit, said) = stafettd(&["restore", to, "--home", third.to_str().unwrap(), "--database", url]);
        assert_eq!((exit, said["error"]["code"].as_str().unwrap()), (1, "database-taken"));
    }
    std::fs::write(home.join("municipality.key"), "rubbish").unwrap();
    assert_eq!(stafettd(&["doctor", "--home", at]).0, 4);
}

fn restore(file: &Path, other: &Path, database: Option<&str>) {
    let (from, to) = (file.to_str().unwrap(), other.to_str().unwrap());
    let mut arguments = vec!["restore", from, "--home", to];
    if let Some(url) = database {
        arguments.extend(["--database", url]);
    }
    let (exit, said) = stafettd(&arguments);
    assert_eq!(exit, 0, "{said}");
    assert_eq!(stafettd(&arguments).0, 1, "not over a home");
    let again = other.with_extension("again");
    let (exit, again) = stafettd(&["backup", again.to_str().unwrap(), "--home", to]);
    assert_eq!(exit, 0, "{again}");
    // Two marks are new: that it was restored, and when it was last backed up.
    assert!(again["rows"].as_u64().unwrap() >= said["rows"].as_u64().unwrap());
    assert_eq!(stafettd(&["open", "--home", to]).0, 0);
    assert_eq!(stafettd(&["doctor", "--home", to]).0, 0);
}

#[test]
fn a_server_lives_on_sqlite() {
    life(None, None);
}

#[test]
fn a_server_lives_on_postgresql() {
    let Some(postgres) = Postgres::start() else { return };
    let second = postgres.database("second_life").unwrap();
    life(Some(&postgres.database("life").unwrap()), Some(&second));
}

/// Writes what `peer show` prints into a file, changed as told.
fn peer_file(home: &Path, to: &Path, change: impl Fn(&mut Value)) -> String {
    let (exit, mut file) = stafettd(&["peer", "show", "--home", home.to_str().unwrap()]);
    assert_eq!(exit, 0, "{file}");
    change(&mut file);
    std::fs::write(to, file.to_string()).unwrap();
    to.to_str().unwrap().to_owned()
}

pub fn error_code(said: &Value) -> &str {
    said["error"]["code"].as_str().unwrap_or_default()
}

#[test]
fn two_operators_make_their_servers_peers() {
    let dir = tempfile::tempdir().unwrap();
    let (here, there) = (dir.path().join("here"), dir.path().join("there"));
    init(&here, None);
    let other = ["init", "--home", there.to_str().unwrap(), "--number", "1106", "--name", "Haugesund"];
    assert_eq!(stafettd(&other).0, 0);
    let at = |home: &Path, arguments: &[&str]| {
        let home = home.to_str().unwrap().to_owned();
        let all: Vec<&str> = ["peer"].iter().chain(arguments).copied().chain(["--home", &home]).collect();
        stafettd(&all)
    };
    let (serving_here, _) = Serving::start(&here);
    let (serving_there, _) = Serving::start(&there);
    let theirs = peer_file(&there, &dir.path().join("theirs"), |_| {});
    let ours = peer_file(&here, &dir.path().join("ours"), |_| {});

    // A file that somebody has touched, and one's own.
    for field in ["number", "url", "municipality_key", "fingerprint", "name", "signed"] {
        let touched = peer_file(&there, &dir.path().join("touched"), |file| match field {
            "number" => file[field] = 1107.into(),
            _ => file[field] = file[field].as_str().unwrap().replace(['1', 'H', 'a'], "2").into(),
        });
        assert_eq!(error_code(&at(&here, &["add", &touched]).1), "peer-file", "{field}");
    }
    assert_eq!(error_code(&at(&here, &["add", &ours]).1), "peer-is-own");
    assert_eq!(at(&here, &["list"]).1["peers"], serde_json::json!([]));

    // Added on one side, then on both; nobody restarts.
    let (exit, added) = at(&here, &["add", &theirs]);
    assert_eq!((exit, &added["number"], added["state"].as_str()), (0, &1106.into(), Some("added")));
    assert_eq!(at(&here, &["add", &theirs]).1["state"], "unchanged");
    assert_eq!(at(&here, &["list"]).1["peers"][0]["fingerprint"], added["fingerprint"]);
    let (exit, checked) = at(&here, &["check"]);
    assert_eq!((exit, &checked["peers"][0]["ok"]), (4, &Value::Bool(false)), "{checked}");
    assert_eq!(stafettd(&["doctor", "--home", here.to_str().unwrap()]).0, 4);
    assert_eq!(at(&there, &["add", &ours]).0, 0);
    let answered = (0..50).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(100));
        at(&here, &["check"]).0 == 0
    });
    assert!(answered && at(&there, &["check"]).0 == 0);
    assert_eq!(stafettd(&["doctor", "--home", here.to_str().unwrap()]).0, 0);

    // A new key under the old number: only by a person's word.
    let again = dir.path().join("again");
    let anew = ["init", "--home", again.to_str().unwrap(), "--number", "1106", "--name", "Haugesund"];
    assert_eq!(stafettd(&anew).0, 0);
    let changed = peer_file(&again, &dir.path().join("changed"), |_| {});
    assert_eq!(error_code(&at(&here, &["add", &changed]).1), "peer-key-changed");
    assert_eq!(at(&here, &["list"]).1["peers"][0]["fingerprint"], added["fingerprint"]);
    assert_eq!(at(&here, &["add", &changed, "--replace"]).1["state"], "replaced");
    assert_eq!(at(&here, &["check"]).0, 4, "the old server is not the new one");
    assert_eq!(at(&here, &["add", &theirs, "--replace"]).0, 0);

    // Peers are in the backup.
    let (file, restored) = (dir.path().join("backup"), dir.path().join("restored"));
    assert_eq!(stafettd(&["backup", file.to_str().unwrap(), "--home", here.to_str().unwrap()]).0, 0);
    assert_eq!(stafettd(&["restore", file.to_str().unwrap(), "--home", restored.to_str().unwrap()]).0, 0);
    assert_eq!(at(&restored, &["list"]).1["peers"][0]["fingerprint"], added["fingerprint"]);

    assert_eq!(at(&here, &["remove", "1106"]).0, 0);
    assert_eq!(error_code(&at(&here, &["remove", "1106"]).1), "peer-unknown");
    assert!(serving_here.stop() && serving_there.stop());
}

#[test]
fn wrong_use_is_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().join("x");
    let at = at.to_str().unwrap();
    let (exit, said) = stafettd(&["serve", "--home", at]);
    assert_eq!((exit, said["error"]["code"].as_str().unwrap()), (2, "no-home"));
    let (exit, said) = stafettd(&["init", "--home", at]);
    assert_eq!((exit, said["error"]["code"].as_str().unwrap()), (2, "usage"));
    assert_eq!(stafettd(&["init", "--home", at, "--number", "0", "--name", "x"]).0, 2);
    assert_eq!(stafettd(&["init", "--home", at, "--number", "3209", "--name", "x", "--listen", "nonsense"]).0, 2);
    let (exit, said) =
        stafettd(&["init", "--home", at, "--number", "3209", "--name", "x", "--database", "postgres://127.0.0.1:1/x"]);
    assert_eq!((exit, said["error"]["code"].as_str().unwrap()), (4, "database"));
    init(Path::new(at), None);
    let (exit, said) = stafettd(&["init", "--home", at, "--number", "3209", "--name", "x"]);
    assert_eq!((exit, said["error"]["code"].as_str().unwrap()), (1, "home-taken"));
}

/// A server that was away for longer than anybody believes a clock: the operator is told, looks, and says so.
#[tokio::test]
async fn the_operator_sees_the_clock_and_accepts_it() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("home");
    let at = home.to_str().unwrap();
    init(&home, None);
    let (serving, _) = Serving::start(&home);
    let well = |wanted: bool| {
        (0..50).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(200));
            let (_, said) = stafettd(&["doctor", "--home", at]);
            checks(&said).contains(&("clock".to_owned(), wanted))
        })
    };
    assert!(well(true));
    assert!(serving.stop());
    let db = Db::open(&home.join("stafett.db"), None).await.unwrap();
    db.write::<_, StoreError, _>(|conn| {
        Box::pin(async move {
            let noted = schema::meta(conn, NEWEST).await?.unwrap();
            schema::set_meta(conn, NEWEST, noted - 40 * 86_400_000).await
        })
    })
    .await
    .unwrap();
    db.close().await;
    let (serving, _) = Serving::start(&home);
    assert!(well(false));
    let (exit, said) = stafettd(&["clock", "accept", "--home", at]);
    assert_eq!(exit, 0, "{said}");
    assert!(said["accepted_ms"].as_u64().unwrap() > said["newest_ms"].as_u64().unwrap());
    assert!(well(true) && serving.stop());
}
