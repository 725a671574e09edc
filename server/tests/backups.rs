//! Backups as an attacker, a bad disk and a hurried operator treat them; the files and processes of `stafettd` as another
//! user of the machine sees them.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use serde_json::Value;
use stafett_server::db::{Db, StoreError, schema};
use stafett_server::pg::Postgres;
use stafett_server::problem::Fault;

use crate::commands::{PASSPHRASE, Serving, checks, error_code, init, stafettd, stafettd_with};

struct Backup {
    dir: tempfile::TempDir,
    home: String,
    file: PathBuf,
    key: String,
}

impl Backup {
    /// A home with some rows, and a backup of it.
    fn new(database: Option<&str>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("home");
        let key = init(&home, database)["backup_key"].as_str().unwrap().to_owned();
        let at = home.to_str().unwrap().to_owned();
        assert_eq!(stafettd(&["unit", "add", "--home", &at, "--name", "Solvang skole", "--kind", "school"]).0, 0);
        let file = dir.path().join("backup");
        assert_eq!(stafettd(&["backup", file.to_str().unwrap(), "--home", &at]).0, 0);
        Self { dir, home: at, file, key }
    }

    /// So many rows that the file has several parts.
    async fn grow(&mut self) {
        let db = Db::open(&Path::new(&self.home).join("stafett.db"), None).await.unwrap();
        let rows = db.write::<_, StoreError, _>(|conn| {
            Box::pin(async move {
                for n in 0..5000 {
                    schema::set_meta(conn, &format!("row {n:040}"), n).await?;
                }
                Ok(())
            })
        });
        rows.await.unwrap();
        db.close().await;
        self.file = self.dir.path().join("grown");
        assert_eq!(stafettd(&["backup", self.file.to_str().unwrap(), "--home", &self.home]).0, 0);
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    fn restore(&self, to: &str, more: &[&str]) -> (i32, Value) {
        let file = self.file.to_str().unwrap().to_owned();
        stafettd(&[&["restore", &file, "--home", to], more].concat())
    }
}

#[tokio::test]
async fn a_changed_backup_is_refused_before_anything_is_written() {
    let mut backup = Backup::new(None);
    backup.grow().await;
    let good = std::fs::read(&backup.file).unwrap();
    let part = 64 * 1024 + 16;
    let last = good.len() - 1;
    assert!(good.len() > 2 * part, "several parts: {}", good.len());
    let body = good.len() - good.len() / part * part;
    let flipped = |at: usize| {
        let mut bent = good.clone();
        bent[at] ^= 1;
        bent
    };
    let mut swapped = good.clone();
    swapped[body..body + 2 * part].rotate_left(part);
    let mut bent: Vec<(&str, Vec<u8>)> = vec![
        ("cut by one byte", good[..last].to_vec()),
        ("cut in the middle", good[..good.len() / 2].to_vec()),
        ("cut to its beginning", good[..20].to_vec()),
        ("empty", vec![]),
        ("two parts in each other's place", swapped),
        ("something behind the end", [&good[..], b"x"].concat()),
        ("twice behind itself", [&good[..], &good[..]].concat()),
    ];
    for at in [0, 16, 18, 40, 300, 1300, body + 5, body + part, good.len() / 2, last - 20, last] {
        bent.push(("one bit", flipped(at)));
    }
    let (place, file) = (backup.path("restored"), backup.path("bent"));
    for (how, bytes) in &bent {
        std::fs::write(&file, bytes).unwrap();
        let (exit, said) = stafettd(&["restore", &file, "--home", &place]);
        assert_eq!(exit, 4, "{how}: {said}");
        assert!(!Path::new(&place).exists(), "{how}: nothing was written");
        assert_eq!(stafettd(&["backup", "verify", &file]).0, 4, "{how}");
    }
    let (exit, said) = stafettd(&["backup", "verify", backup.file.to_str().unwrap()]);
    assert_eq!((exit, &said["number"], &said["whole"]), (0, &3209.into(), &true.into()), "{said}");
    assert_eq!(backup.restore(&place, &[]).0, 0);
}

/// Neither names nor keys can be read from the file.
#[test]
fn a_backup_opens_for_its_key_or_passphrase_alone() {
    let backup = Backup::new(None);
    let file = backup.file.to_str().unwrap();
    let bytes = std::fs::read(file).unwrap();
    let key = std::fs::read(Path::new(&backup.home).join("municipality.key")).unwrap();
    for secret in [b"Ullensaker".as_slice(), b"Solvang", b"BEGIN", b"https://", b"SQLite", key.trim_ascii()] {
        assert!(!bytes.windows(secret.len()).any(|window| window == secret));
    }
    let verify = |variables: &[(&str, &str)]| stafettd_with(&["backup", "verify", file], variables);
    assert_eq!(verify(&[("STAFETT_BACKUP_KEY", &backup.key)]).0, 0);
    assert_eq!(verify(&[PASSPHRASE]).0, 0);
    assert_eq!(verify(&[("STAFETT_PASSPHRASE", PASSPHRASE.1)]).0, 0, "as `stafett` is given it");
    assert_eq!(error_code(&verify(&[]).1), "no-backup-key");
    assert_eq!(error_code(&verify(&[("STAFETT_BACKUP_PASSPHRASE", "some other words")]).1), "backup-closed");
    assert_eq!(error_code(&verify(&[("STAFETT_BACKUP_KEY", &backup.key[..60])]).1), "backup-key-mistyped");
    // The home does not open its own backups; a new key does not open old ones.
    for entry in std::fs::read_dir(&backup.home).unwrap().flatten() {
        let kept = std::fs::read(entry.path()).unwrap();
        let seed = backup.key.strip_prefix("stafett-backup-").unwrap().as_bytes();
        assert!(!kept.windows(64).any(|window| window == &seed[..64]), "{:?}", entry.path());
    }
    let (exit, said) = stafettd(&["backup", "key", "--home", &backup.home]);
    let new_key = said["backup_key"].as_str().unwrap();
    assert_eq!((exit, new_key == backup.key), (0, false));
    assert_eq!(error_code(&verify(&[("STAFETT_BACKUP_KEY", new_key)]).1), "backup-closed");
    // Without any passphrase: sealed to the new key alone.
    let later = backup.path("later");
    assert_eq!(stafettd_with(&["backup", &later, "--home", &backup.home], &[]).0, 0);
    let verify = |variable: (&str, &str)| stafettd_with(&["backup", "verify", &later], &[variable]).0;
    assert_eq!((verify(("STAFETT_BACKUP_KEY", new_key)), verify(PASSPHRASE)), (0, 4));
    // What is easily guessed seals nothing.
    let (exit, said) =
        stafettd_with(&["backup", &backup.path("x"), "--home", &backup.home], &[("STAFETT_PASSPHRASE", "x")]);
    assert_eq!((exit, error_code(&said)), (1, "passphrase-short"));
    std::fs::remove_file(Path::new(&backup.home).join("backup.pub")).unwrap();
    let (exit, said) = stafettd_with(&["backup", &backup.path("x"), "--home", &backup.home], &[]);
    assert_eq!((exit, error_code(&said)), (1, "no-backup-key"));
}

#[test]
fn a_backup_goes_into_empty_places_only() {
    let backup = Backup::new(None);
    let full = backup.path("full");
    std::fs::create_dir(&full).unwrap();
    std::fs::write(Path::new(&full).join("x"), "").unwrap();
    assert_eq!(error_code(&backup.restore(&full, &[]).1), "home-not-empty");
    assert_eq!(std::fs::read_dir(&full).unwrap().count(), 1, "nothing came there");
    // A link of somebody's where our database would be made.
    let (trap, theirs) = (backup.path("trap"), backup.path("theirs"));
    std::fs::create_dir(&trap).unwrap();
    symlink(&theirs, Path::new(&trap).join("stafett.db")).unwrap();
    for words in [vec!["restore", backup.file.to_str().unwrap()], vec!["init", "--number", "3209", "--name", "X"]] {
        let (exit, said) = stafettd(&[&words[..], &["--home", &trap]].concat());
        assert_eq!((exit, error_code(&said)), (1, "home-not-empty"));
    }
    assert!(!Path::new(&theirs).exists());
}

/// L8: the old server lives on in the database whose address it knows; restoring must not touch it.
#[test]
fn a_backup_never_finds_the_database_that_it_came_from() {
    let Some(postgres) = Postgres::start() else { return };
    let live = postgres.database("live").unwrap();
    let backup = Backup::new(Some(&live));
    let (exit, said) = backup.restore(&backup.path("a"), &[]);
    assert_eq!((exit, error_code(&said)), (1, "database-unnamed"));
    let (exit, said) = backup.restore(&backup.path("a"), &["--database", &live]);
    assert_eq!((exit, error_code(&said)), (1, "database-taken"));
    assert!(!Path::new(&backup.path("a")).join("settings.json").exists());
    // A second server on the first one's database is the same accident.
    let words = ["init", "--home", &backup.path("b"), "--number", "1106", "--name", "Haugesund", "--database", &live];
    assert_eq!(error_code(&stafettd(&words).1), "database-taken");
    assert_eq!(backup.restore(&backup.path("a"), &["--database", "sqlite"]).0, 0, "the failures left nothing there");
    let settings = std::fs::read_to_string(Path::new(&backup.path("a")).join("settings.json")).unwrap();
    assert!(!settings.contains("postgres"), "{settings}");
    let empty = postgres.database("empty").unwrap();
    assert_eq!(backup.restore(&backup.path("c"), &["--database", &empty]).0, 0);
    assert_eq!(error_code(&backup.restore(&backup.path("d"), &["--database", &empty]).1), "database-taken");
}

#[test]
fn a_part_of_a_backup_can_be_restored() {
    let backup = Backup::new(None);
    // The database is lost, the home is there.
    let home = Path::new(&backup.home);
    let (exit, said) = backup.restore(&backup.home, &["--only", "database"]);
    assert_eq!((exit, error_code(&said)), (1, "database-taken"));
    for name in ["stafett.db", "stafett.db-wal", "stafett.db-shm"] {
        let _ = std::fs::remove_file(home.join(name));
    }
    let (exit, said) = backup.restore(&backup.home, &["--only", "database"]);
    assert_eq!((exit, said["rows"].as_u64() > Some(2)), (0, true), "{said}");
    // Not into another server's home.
    let other = backup.path("other");
    init(Path::new(&other), None);
    std::fs::remove_file(Path::new(&other).join("stafett.db")).unwrap();
    assert_eq!(error_code(&backup.restore(&other, &["--only", "database"]).1), "another-server");
    // The home is lost, the database is there: beside an empty one it signs nothing.
    let keys = backup.path("keys");
    assert_eq!(backup.restore(&keys, &["--only", "keys"]).0, 0);
    assert!(!Path::new(&keys).join("stafett.db").exists());
    let same =
        |name: &str| std::fs::read(home.join(name)).unwrap() == std::fs::read(Path::new(&keys).join(name)).unwrap();
    assert!(same("municipality.key") && same("ca.key") && same("ca.pem"));
    let (serving, _) = Serving::start(Path::new(&keys));
    let (_, opened) = stafettd(&["open", "--home", &keys]);
    assert_eq!(opened["was_restored"], true, "an empty database beside old keys is not signed on");
    assert!(serving.stop());
}

/// L11, L18: what others could have put in the way, and what they could read.
#[test]
fn what_the_operator_writes_is_new_and_private() {
    let backup = Backup::new(None);
    let mode = |path: &str| std::fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(backup.file.to_str().unwrap()), 0o600);
    let (theirs, link, open) = (backup.path("theirs"), backup.path("link"), backup.path("open"));
    symlink(&theirs, &link).unwrap();
    std::fs::write(&open, "").unwrap();
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o666)).unwrap();
    // Also under the names that an unfinished backup once had.
    for name in ["later.part", "later.part.new", "later.new"] {
        symlink(&theirs, backup.path(name)).unwrap();
    }
    for name in [&link, &open] {
        assert_eq!(error_code(&stafettd(&["backup", name, "--home", &backup.home]).1), "file-exists");
    }
    assert_eq!(stafettd(&["backup", &backup.path("later"), "--home", &backup.home]).0, 0);
    assert_eq!((mode(&backup.path("later")), std::fs::read(&open).unwrap().len()), (0o600, 0));
    assert!(!Path::new(&theirs).exists(), "no link was followed");
    let (serving, _) = Serving::start(Path::new(&backup.home));
    let read = |what: &str| std::fs::read_to_string(format!("/proc/{}/{what}", serving.0.id())).unwrap();
    let (limits, status) = (read("limits"), read("status"));
    let cores: Vec<&str> = limits.lines().find(|l| l.starts_with("Max core")).unwrap().split_whitespace().collect();
    assert_eq!(cores[4..6], ["0", "0"], "no core dump can be made");
    assert!(status.lines().any(|line| line == "Umask:\t0077"), "{status}");
    assert!(serving.stop());
}

/// L12: a name that ends its line could say anything in the next.
#[test]
fn names_stay_in_their_line() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().join("x");
    let at = at.to_str().unwrap();
    for name in ["", "  ", "Ulle\u{1b}[31m", "\u{200b}"] {
        let (exit, said) = stafettd(&["init", "--home", at, "--number", "3209", "--name", name]);
        assert_eq!((exit, error_code(&said)), (2, "usage"), "{name:?}");
        assert!(!Path::new(at).exists(), "and no half home is left");
    }
    init(Path::new(at), None);
    for (name, kind) in [("Sol\u{7}vang", "school"), ("Solvang", "\u{2060}"), ("\u{feff}", "school")] {
        let (exit, said) = stafettd(&["unit", "add", "--home", at, "--name", name, "--kind", kind]);
        assert_eq!((exit, error_code(&said)), (2, "usage"), "{name:?} {kind:?}");
    }
    let (exit, said) = stafettd(&["init", "--home", at, "--number", "3209", "--name", "X", "--listen", "0.0.0.0:0"]);
    assert_eq!((exit, error_code(&said)), (2, "usage"), "nobody reaches a code that names no host");
    assert!(!checks(&stafettd(&["doctor", "--home", at]).1).is_empty());
}

/// B5: no room is no damage. Whoever asks hears it, and once there is room everything goes on.
#[tokio::test]
async fn a_full_disk_is_told_and_passes() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(&dir.path().join("stafett.db"), None).await.unwrap();
    let limit = |sql: &'static str| {
        db.write::<_, StoreError, _>(move |conn| Box::pin(async move { conn.row(sql, vec![]).await.map(drop) }))
    };
    let fill = || {
        db.write::<_, StoreError, _>(|conn| {
            Box::pin(async move {
                for n in 0..2000 {
                    schema::set_meta(conn, &format!("row {n:080}"), n).await?;
                }
                Ok(())
            })
        })
    };
    // As many pages as there are.
    limit("PRAGMA max_page_count = 1").await.unwrap();
    let told: Vec<StoreError> = [fill().await, fill().await].into_iter().map(Result::unwrap_err).collect();
    for error in told {
        assert!(error.is_full(), "{error}");
        let problem = Fault::from(error).to_problem();
        assert_eq!(problem.code, "server-full");
        assert!(problem.detail.contains("disk is full") && problem.detail.contains("nothing is damaged"));
    }
    limit("PRAGMA max_page_count = 1000000").await.unwrap();
    fill().await.unwrap();
    db.close().await;
}
