//! The server's home directory: what it is called, where it listens, its keys. Everything 0600 in a 0700 folder.

use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use ed25519_dalek::SigningKey;
use serde::{Deserialize, Serialize};

/// What `init` decided and every other command reads.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Settings {
    /// Municipality number (kommunenummer).
    pub number: u16,
    pub name: String,
    /// Address to bind; the port was picked once and is kept.
    pub listen: String,
    pub url: String,
    /// PostgreSQL; SQLite in the home when absent.
    pub database: Option<String>,
    pub created_ms: u64,
}

/// A home that could not be read or made.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    #[error("{0} is not a server's home; run `stafettd init` first")]
    Missing(PathBuf),
    #[error("{0} already holds a server")]
    Taken(PathBuf),
    #[error("{0} is not empty")]
    NotEmpty(PathBuf),
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{0} is damaged")]
    Damaged(PathBuf),
}

/// An existing home.
#[derive(Clone, Debug)]
pub struct Home {
    dir: PathBuf,
    pub settings: Settings,
}

/// Its presence makes a directory a home; written last.
pub const SETTINGS: &str = "settings.json";
/// The files that make a home besides the database; `backup` takes them all.
pub const FILES: &[&str] = &[SETTINGS, "municipality.key", "ca.key", "ca.pem", "peer.json", BACKUP_PUBLIC];
/// The public half of the key that backups are sealed to. The other half is the operator's, and never here.
pub const BACKUP_PUBLIC: &str = "backup.pub";
/// SQLite, where the settings name no other database.
pub const DATABASE: &str = "stafett.db";

impl Home {
    /// Makes a new home; refuses a folder that already is one.
    pub fn create(dir: &Path, settings: Settings, key: &SigningKey) -> Result<Self, HomeError> {
        Self::make_folder(dir)?;
        let home = Self { dir: dir.to_owned(), settings };
        home.write("municipality.key", hex_line(&key.to_bytes()).as_bytes())?;
        let text = serde_json::to_string_pretty(&home.settings).map_err(|_| HomeError::Damaged(dir.join(SETTINGS)))?;
        home.write(SETTINGS, text.as_bytes())?;
        Ok(home)
    }

    /// Makes the folder, private to its owner, and refuses one that holds anything: what others have put there, a link or
    /// an old database, would become part of the server.
    pub fn make_room(dir: &Path) -> Result<(), HomeError> {
        Self::make_folder(dir)?;
        let failed = |source| HomeError::Io { path: dir.to_owned(), source };
        for entry in fs::read_dir(dir).map_err(failed)? {
            // Every file system of its own has this one.
            if entry.map_err(failed)?.file_name() != "lost+found" {
                return Err(HomeError::NotEmpty(dir.to_owned()));
            }
        }
        Ok(())
    }

    /// Takes away what a failed beginning has left in a folder that was empty before.
    pub fn clear(dir: &Path) {
        let side = ["stafett.db-wal", "stafett.db-shm", crate::restored::STARTS, DATABASE];
        for name in FILES.iter().chain(&side) {
            // What is not there needs no clearing.
            let _ = fs::remove_file(dir.join(name));
        }
    }

    fn make_folder(dir: &Path) -> Result<(), HomeError> {
        if dir.join(SETTINGS).exists() {
            return Err(HomeError::Taken(dir.to_owned()));
        }
        let failed = |source| HomeError::Io { path: dir.to_owned(), source };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).map_err(failed)
    }

    pub fn open(dir: &Path) -> Result<Self, HomeError> {
        let path = dir.join(SETTINGS);
        let text = fs::read(&path).map_err(|_| HomeError::Missing(dir.to_owned()))?;
        let settings = serde_json::from_slice(&text).map_err(|_| HomeError::Damaged(path))?;
        Ok(Self { dir: dir.to_owned(), settings })
    }

    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    #[must_use]
    pub fn database_file(&self) -> PathBuf {
        self.path(DATABASE)
    }

    /// The municipality key: signs person certificates and receipts.
    pub fn municipality_key(&self) -> Result<SigningKey, HomeError> {
        let path = self.path("municipality.key");
        let text = self.read("municipality.key")?;
        let text = std::str::from_utf8(&text).map_err(|_| HomeError::Damaged(path.clone()))?;
        let bytes: [u8; 32] = stafett_protocol::ids::from_hex(text.trim()).ok_or(HomeError::Damaged(path))?;
        Ok(SigningKey::from_bytes(&bytes))
    }

    pub fn read(&self, name: &str) -> Result<Vec<u8>, HomeError> {
        let path = self.path(name);
        fs::read(&path).map_err(|source| HomeError::Io { path, source })
    }

    pub fn read_text(&self, name: &str) -> Result<String, HomeError> {
        String::from_utf8(self.read(name)?).map_err(|_| HomeError::Damaged(self.path(name)))
    }

    /// Writes a private file whole or not at all.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), HomeError> {
        write_private(&self.path(name), bytes)
    }
}

/// Writes beside the target, syncs, renames: nobody ever sees half a key.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<(), HomeError> {
    stafett_host::replace(path, bytes).map_err(|source| HomeError::Io { path: path.to_owned(), source })
}

fn hex_line(bytes: &[u8]) -> String {
    format!("{}\n", stafett_protocol::ids::to_hex(bytes))
}

/// Milliseconds since 1970, UTC, by this machine's clock.
#[must_use]
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
    #[cfg(feature = "test-support")]
    let now = now.saturating_add_signed(CLOCK_OFFSET_MS.load(std::sync::atomic::Ordering::Relaxed));
    #[cfg(feature = "test-support")]
    let now = match CLOCK_STOPPED_MS.load(std::sync::atomic::Ordering::Relaxed) {
        0 => now,
        stopped => stopped,
    };
    now
}

/// Milliseconds that have really passed, from some beginning of this process's own: no clock can be set wrong by it.
#[must_use]
pub fn elapsed_ms() -> u64 {
    /// So that tests may live before the process's own beginning.
    const BEGINNING: u64 = 1 << 50;
    static BEGAN: OnceLock<Instant> = OnceLock::new();
    let since = BEGAN.get_or_init(Instant::now).elapsed().as_millis();
    let passed = BEGINNING.saturating_add(u64::try_from(since).unwrap_or(u64::MAX));
    #[cfg(feature = "test-support")]
    let passed = passed.saturating_add_signed(CLOCK_OFFSET_MS.load(std::sync::atomic::Ordering::Relaxed));
    #[cfg(feature = "test-support")]
    let passed = match CLOCK_STOPPED_MS.load(std::sync::atomic::Ordering::Relaxed) {
        0 => passed,
        stopped => stopped,
    };
    passed
}

/// The moment at which tests let the clock stand; 0 while it runs.
#[cfg(feature = "test-support")]
static CLOCK_STOPPED_MS: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);

/// Tests only: for this process's servers it is this moment until another is named.
#[cfg(feature = "test-support")]
pub fn stop_clock(at_ms: u64) {
    CLOCK_STOPPED_MS.store(at_ms, std::sync::atomic::Ordering::Relaxed);
}

#[cfg(feature = "test-support")]
static CLOCK_OFFSET_MS: std::sync::atomic::AtomicI64 = std::sync::atomic::AtomicI64::new(0);

/// Tests only: this process's servers live at another time from now on.
#[cfg(feature = "test-support")]
pub fn shift_clock(offset_ms: i64) {
    CLOCK_OFFSET_MS.store(offset_ms, std::sync::atomic::Ordering::Relaxed);
}

/// Tests only: this process's servers begin at this moment. Suites that share a process share its clock: the first of them
/// sets it, and it goes on for all.
#[cfg(feature = "test-support")]
pub fn begin_clock(at_ms: u64) {
    static BEGUN: std::sync::Once = std::sync::Once::new();
    BEGUN.call_once(|| {
        let (at, now) = (i64::try_from(at_ms).unwrap_or(i64::MAX), i64::try_from(now_ms()).unwrap_or(i64::MAX));
        shift_clock(at.saturating_sub(now));
    });
}

/// Bytes from the operating system. Without randomness nothing here may go on.
pub fn random<const N: usize>() -> Result<[u8; N], HomeError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| HomeError::Io {
        path: PathBuf::from("random source"),
        source: std::io::Error::other("no randomness"),
    })?;
    Ok(bytes)
}
