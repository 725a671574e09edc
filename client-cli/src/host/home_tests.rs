//! A home's lock, passphrase and file rights.

#![allow(clippy::unwrap_used)]
use super::*;

#[test]
fn opens_for_the_right_passphrase_only() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::hold_new(&dir.path().join("h")).unwrap();
    let key = home.set_up(b"riktig").unwrap();
    assert_eq!(*home.unlock(b"riktig").unwrap(), *key);
    assert!(matches!(home.unlock(b"feil"), Err(HomeError::Passphrase)));
    assert!(matches!(home.set_up(b"ny"), Err(HomeError::Exists(_))));
}

#[test]
fn one_process_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(Home::hold(dir.path()), Err(HomeError::Missing(_))));
    let home = Home::hold_new(dir.path()).unwrap();
    assert!(matches!(Home::hold_new(dir.path()), Err(HomeError::Busy(_))));
    drop(home);
    Home::hold_new(dir.path()).unwrap();
}

#[test]
fn the_file_cannot_weaken_its_parameters() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::hold_new(dir.path()).unwrap();
    home.set_up(b"p").unwrap();
    let path = dir.path().join("home.json");
    let good = std::fs::read_to_string(&path).unwrap();
    for (from, to) in
        [("47104", "8"), ("47104", "4000000000"), ("\"passes\": 2", "\"passes\": 1"), ("argon2id", "none")]
    {
        std::fs::write(&path, good.replace(from, to)).unwrap();
        assert!(matches!(home.unlock(b"p"), Err(HomeError::Damaged(_))), "{to}");
    }
    // Within the bounds, but not what was wrapped.
    std::fs::write(&path, good.replace("47104", "19456")).unwrap();
    assert!(matches!(home.unlock(b"p"), Err(HomeError::Passphrase)));
}

#[cfg(unix)]
#[test]
fn nobody_else_may_read() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("deep/home");
    let home = Home::hold_new(&place).unwrap();
    home.set_up(b"p").unwrap();
    home.database().unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&place), 0o700);
    for name in ["lock", "home.json", "store.sqlite"] {
        assert_eq!(mode(&place.join(name)), 0o600, "{name}");
    }
    // A directory with other things in it keeps its mode.
    let shared = dir.path().join("shared");
    std::fs::create_dir(&shared).unwrap();
    std::fs::set_permissions(&shared, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::write(shared.join("oppgave.txt"), "x").unwrap();
    Home::hold_new(&shared).unwrap();
    assert_eq!((mode(&shared), mode(&shared.join("lock"))), (0o755, 0o600));
}
