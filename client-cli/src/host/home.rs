//! A home: the directory of one device. Who may open it (mode, lock, passphrase) is settled here, before anything is
//! read from the store.
//!
//! `home.json` holds a random home key, wrapped under Argon2id of the passphrase. The parameters stand in the file, within
//! bounds that this program sets: whoever can write the file can neither weaken them nor ask for absurd amounts of memory.

use std::fs::{DirBuilder, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use argon2::{Algorithm, Argon2, Params, Version};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::host::door::SOCKET;
use crate::host::passphrase::prepared;

const FORMAT: u32 = 1;
/// The files of a home.
const OURS: [&str; 6] = ["lock", "home.json", "home.lock", "store.sqlite", SOCKET, BEGUN];
/// Stands in a home until somebody has come in by a code: until then its passphrase binds nobody.
const BEGUN: &str = "begun";
/// Of 512 that SQLite takes, with the names of its files.
const PATH_BYTES: usize = 480;
const NEW_MEMORY_KIB: u32 = 47_104;
const NEW_PASSES: u32 = 2;
const MEMORY_KIB: std::ops::RangeInclusive<u32> = 19_456..=1_048_576;
const PASSES: std::ops::RangeInclusive<u32> = 2..=32;

/// Why a home does not open.
#[derive(Debug, Error)]
pub enum HomeError {
    /// There is nothing here yet.
    #[error("there is no home in {0}")]
    Missing(PathBuf),
    /// There is already something here.
    #[error("there is already a home in {0}")]
    Exists(PathBuf),
    /// Another process works in it.
    #[error("another process uses the home {0}")]
    Busy(PathBuf),
    /// The passphrase does not fit (or the wrapped key was altered, which cannot be told apart).
    #[error("the passphrase does not fit this home")]
    Passphrase,
    /// It holds what no keyboard writes, or is not text.
    #[error("the passphrase holds a sign that cannot be used")]
    PassphraseSign,
    /// The second time something else was typed.
    #[error("the two passphrases differ")]
    PassphraseTwice,
    /// Nobody to ask and nothing given.
    #[error("no passphrase was given")]
    NoPassphrase,
    /// `home.json` is not what this program wrote, or weaker than it allows.
    #[error("home.json is damaged: {0}")]
    Damaged(String),
    /// SQLite opens no file whose whole path is longer.
    #[error("the path of this folder is too long: {0}")]
    PathLong(PathBuf),
    /// The file system or the operating system said no.
    #[error("{0}: {1}")]
    Io(PathBuf, #[source] io::Error),
}

#[derive(Serialize, Deserialize)]
struct Wrapping {
    format: u32,
    kdf: String,
    memory_kib: u32,
    passes: u32,
    salt: String,
    nonce: String,
    wrapped_key: String,
}

/// A home by its directory, whoever works in it: what needs its key and nothing that is stored.
pub struct Folder {
    dir: PathBuf,
}

/// A directory that this process alone holds.
pub struct Home {
    folder: Folder,
    /// Held for its lock; released by the operating system when the process ends, however it ends.
    _lock: File,
}

impl std::ops::Deref for Home {
    type Target = Folder;

    fn deref(&self) -> &Folder {
        &self.folder
    }
}

/// Held while the wrapped key is read and written anew.
pub struct KeyLock(#[allow(dead_code, reason = "held for its lock")] File);

impl Home {
    /// Takes an existing home for this process.
    pub fn hold(dir: &Path) -> Result<Self, HomeError> {
        if !dir.join("home.json").is_file() {
            return Err(HomeError::Missing(dir.to_owned()));
        }
        Self::lock(dir)
    }

    /// Takes a directory for this process, making it if it is not there.
    pub fn hold_new(dir: &Path) -> Result<Self, HomeError> {
        let whole = std::path::absolute(dir).map_err(|error| HomeError::Io(dir.to_owned(), error))?;
        if whole.as_os_str().len() > PATH_BYTES {
            return Err(HomeError::PathLong(dir.to_owned()));
        }
        make_private_dir(dir).map_err(|error| HomeError::Io(dir.to_owned(), error))?;
        Self::lock(dir)
    }

    fn lock(dir: &Path) -> Result<Self, HomeError> {
        let path = dir.join("lock");
        let file = stafett_host::own_file(&path).map_err(|error| HomeError::Io(path.clone(), error))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { folder: Folder { dir: dir.to_owned() }, _lock: file }),
            Err(TryLockError::WouldBlock) => Err(HomeError::Busy(dir.to_owned())),
            Err(TryLockError::Error(error)) => Err(HomeError::Io(path, error)),
        }
    }

    /// The key of a home that begins. What an earlier try left, which came to nobody, is taken up where its passphrase fits
    /// (its code may have been used, though the answer was lost), and begun anew where it does not.
    pub fn begin(&self, passphrase: &[u8]) -> Result<Zeroizing<[u8; 32]>, HomeError> {
        if !self.is_set_up() {
            return self.set_up(passphrase);
        }
        match self.unlock(passphrase) {
            Err(HomeError::Passphrase) if self.is_begun() => {
                for name in ["home.json", "store.sqlite", "store.sqlite-wal", "store.sqlite-shm"] {
                    let _ = std::fs::remove_file(self.dir.join(name));
                }
                self.set_up(passphrase)
            }
            other => other,
        }
    }

    /// Takes away a home that was made for nothing, and its directory where nothing else is in it.
    pub fn discard(self) {
        let Self { folder: Folder { dir }, _lock } = self;
        for name in OURS {
            for ending in ["", ".new", "-wal", "-shm", "-journal"] {
                // What is not there need not go, and what cannot go does no harm.
                let _ = std::fs::remove_file(dir.join(format!("{name}{ending}")));
            }
        }
        let _ = std::fs::remove_dir(dir);
    }

    /// The database file, made with its mode before SQLite sees it (its WAL inherits the mode).
    pub fn database(&self) -> Result<PathBuf, HomeError> {
        let path = self.dir.join("store.sqlite");
        stafett_host::own_file(&path).map_err(|error| HomeError::Io(path.clone(), error))?;
        Ok(path)
    }
}

impl Folder {
    /// The home in this directory.
    pub fn at(dir: &Path) -> Result<Self, HomeError> {
        let folder = Self { dir: dir.to_owned() };
        if folder.is_set_up() { Ok(folder) } else { Err(HomeError::Missing(dir.to_owned())) }
    }

    /// Whether nobody has come in here by a code yet.
    pub fn is_begun(&self) -> bool {
        self.dir.join(BEGUN).is_file()
    }

    /// Somebody has: from now on the passphrase is what opens it.
    pub fn is_somebodys(&self) {
        // Where it stays, all that is lost is that a passphrase which does not fit is told in other words.
        let _ = std::fs::remove_file(self.dir.join(BEGUN));
    }

    /// Where it is.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Nobody else changes the wrapping of the key until this is dropped. Another lock than the home's: a passphrase can be
    /// changed while a process works in the home. It is held for moments, so it is waited for.
    pub fn lock_key(&self) -> Result<KeyLock, HomeError> {
        let path = self.dir.join("home.lock");
        let lock = || {
            let file = stafett_host::own_file(&path)?;
            file.lock()?;
            Ok(file)
        };
        lock().map(KeyLock).map_err(|error| HomeError::Io(path.clone(), error))
    }

    /// Whether a key was made here already.
    pub fn is_set_up(&self) -> bool {
        self.dir.join("home.json").is_file()
    }

    /// Makes the home key and wraps it under `passphrase`.
    pub fn set_up(&self, passphrase: &[u8]) -> Result<Zeroizing<[u8; 32]>, HomeError> {
        if self.is_set_up() {
            return Err(HomeError::Exists(self.dir.clone()));
        }
        let begun = self.dir.join(BEGUN);
        stafett_host::own_file(&begun).map_err(|error| HomeError::Io(begun.clone(), error))?;
        let mut key = Zeroizing::new([0u8; 32]);
        getrandom::fill(&mut key[..]).map_err(|error| HomeError::Io(self.dir.clone(), io::Error::other(error)))?;
        self.wrap(&key, passphrase)?;
        Ok(key)
    }

    /// Wraps the home key under a passphrase; what was wrapped before is gone once this returns.
    pub fn wrap(&self, key: &[u8; 32], passphrase: &[u8]) -> Result<(), HomeError> {
        let mut salt = [0u8; 16];
        let mut nonce = [0u8; 12];
        for part in [&mut salt[..], &mut nonce[..]] {
            getrandom::fill(part).map_err(|error| HomeError::Io(self.dir.clone(), io::Error::other(error)))?;
        }
        let mut wrapping = Wrapping {
            format: FORMAT,
            kdf: "argon2id".to_owned(),
            memory_kib: NEW_MEMORY_KIB,
            passes: NEW_PASSES,
            salt: hex::encode(salt),
            nonce: hex::encode(nonce),
            wrapped_key: String::new(),
        };
        let wrapped = wrapping
            .cipher(passphrase)?
            .encrypt(&Nonce::from(nonce), Payload { msg: &key[..], aad: &wrapping.context() })
            .map_err(|_| HomeError::Damaged("the key cannot be wrapped".to_owned()))?;
        wrapping.wrapped_key = hex::encode(wrapped);
        self.write_whole("home.json", &wrapping)
    }

    fn wrapping(&self) -> Result<Wrapping, HomeError> {
        let path = self.dir.join("home.json");
        let text = std::fs::read(&path).map_err(|error| HomeError::Io(path, error))?;
        let wrapping: Wrapping =
            serde_json::from_slice(&text).map_err(|error| HomeError::Damaged(error.to_string()))?;
        wrapping.check()?;
        Ok(wrapping)
    }

    /// What tells this home from any other, also from one made anew in its place.
    pub fn name(&self) -> Result<String, HomeError> {
        self.wrapping().map(|wrapping| wrapping.salt)
    }

    /// The home key, for whoever knows the passphrase.
    pub fn unlock(&self, passphrase: &[u8]) -> Result<Zeroizing<[u8; 32]>, HomeError> {
        let wrapping = self.wrapping()?;
        let nonce: [u8; 12] = fixed(&wrapping.nonce)?;
        let wrapped: [u8; 48] = fixed(&wrapping.wrapped_key)?;
        let plain = wrapping
            .cipher(passphrase)?
            .decrypt(&Nonce::from(nonce), Payload { msg: &wrapped, aad: &wrapping.context() })
            .map_err(|_| HomeError::Passphrase)?;
        let plain = Zeroizing::new(plain);
        <[u8; 32]>::try_from(plain.as_slice())
            .map(Zeroizing::new)
            .map_err(|_| HomeError::Damaged("the wrapped key has another length".to_owned()))
    }

    /// A file is there whole or not at all, also after a crash.
    fn write_whole(&self, name: &str, value: &Wrapping) -> Result<(), HomeError> {
        let path = self.dir.join(name);
        let write = || stafett_host::replace(&path, &serde_json::to_vec_pretty(value)?);
        write().map_err(|error| HomeError::Io(path.clone(), error))
    }
}

impl Wrapping {
    fn check(&self) -> Result<(), HomeError> {
        let wrong = if self.format != FORMAT || self.kdf != "argon2id" {
            "unknown format"
        } else if !MEMORY_KIB.contains(&self.memory_kib) || !PASSES.contains(&self.passes) {
            "parameters outside what this program allows"
        } else {
            return Ok(());
        };
        Err(HomeError::Damaged(wrong.to_owned()))
    }

    fn cipher(&self, passphrase: &[u8]) -> Result<Aes256Gcm, HomeError> {
        let bad = |error: argon2::Error| HomeError::Damaged(error.to_string());
        let salt: [u8; 16] = fixed(&self.salt)?;
        let parameters = Params::new(self.memory_kib, self.passes, 1, Some(32)).map_err(bad)?;
        let mut key = Zeroizing::new([0u8; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters)
            .hash_password_into(passphrase, &salt, &mut key[..])
            .map_err(bad)?;
        Ok(Aes256Gcm::new((&*key).into()))
    }

    fn context(&self) -> Vec<u8> {
        format!("stafett home {} {} {} {}", self.format, self.kdf, self.memory_kib, self.passes).into_bytes()
    }
}

/// Where a home is when the command line does not say: `STAFETT_HOME`, then the platform's data directory.
pub fn default_dir() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(named) = set("STAFETT_HOME") {
        return Some(named);
    }
    let base = if cfg!(windows) {
        set("LOCALAPPDATA")
    } else if cfg!(target_os = "macos") {
        set("HOME").map(|home| home.join("Library/Application Support"))
    } else {
        set("XDG_DATA_HOME").or_else(|| set("HOME").map(|home| home.join(".local/share")))
    };
    base.map(|base| base.join("stafett"))
}

/// Where a passphrase is given, and the new one in `passphrase`.
const GIVEN: &str = "STAFETT_PASSPHRASE";
const NEW: &str = "STAFETT_NEW_PASSPHRASE";

/// Whether `STAFETT_PASSPHRASE` says it.
pub fn is_passphrase_given() -> bool {
    std::env::var_os(GIVEN).is_some_and(|given| !given.is_empty())
}

/// `STAFETT_PASSPHRASE`, else a question at the terminal; asked twice for a new home.
pub fn passphrase(question: &str, again: Option<&str>) -> Result<Zeroizing<String>, HomeError> {
    given_or_asked(GIVEN, question, again)
}

/// The one that comes in its place: `STAFETT_NEW_PASSPHRASE`, else asked twice.
pub fn new_passphrase(question: &str, again: &str) -> Result<Zeroizing<String>, HomeError> {
    given_or_asked(NEW, question, Some(again))
}

fn given_or_asked(variable: &str, question: &str, again: Option<&str>) -> Result<Zeroizing<String>, HomeError> {
    if let Some(given) = std::env::var_os(variable).filter(|given| !given.is_empty()) {
        let given = Zeroizing::new(given.into_string().map_err(|_| HomeError::PassphraseSign)?);
        return prepared(&given).ok_or(HomeError::PassphraseSign);
    }
    let ask = |text: &str| rpassword::prompt_password(text).map(Zeroizing::new).map_err(|_| HomeError::NoPassphrase);
    let first = ask(&format!("{question} "))?;
    if first.is_empty() {
        return Err(HomeError::NoPassphrase);
    }
    match again {
        Some(text) if *ask(&format!("{text} "))? != *first => Err(HomeError::PassphraseTwice),
        _ => prepared(&first).ok_or(HomeError::PassphraseSign),
    }
}

fn fixed<const N: usize>(text: &str) -> Result<[u8; N], HomeError> {
    let mut bytes = [0u8; N];
    hex::decode_to_slice(text, &mut bytes).map_err(|error| HomeError::Damaged(error.to_string()))?;
    Ok(bytes)
}

fn make_private_dir(dir: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
        builder.mode(0o700);
        builder.create(dir)?;
        // A directory that holds other things is somebody's; our files in it are private all the same.
        if only_ours(dir)? { std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700)) } else { Ok(()) }
    }
    #[cfg(not(unix))]
    builder.create(dir)
}

#[cfg(unix)]
fn only_ours(dir: &Path) -> io::Result<bool> {
    for entry in std::fs::read_dir(dir)? {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        if !OURS.iter().any(|own| name.starts_with(own)) {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
#[path = "home_tests.rs"]
mod tests;
